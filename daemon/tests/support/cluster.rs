//! Several daemons over one MongoDB and one Redis: each with its own directory, name and port, which
//! it keeps over restarts; and what can happen to one of them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::server::Port;
use crate::support::{Daemon, plain};

/// The daemons.
pub(crate) struct Cluster {
    nodes: Vec<Node>,
    settings: Vec<(String, String)>,
    _folder: TempDir,
}

struct Node {
    name: String,
    data_dir: PathBuf,
    port: Port,
    daemon: Option<Daemon>,
}

impl Cluster {
    /// Starts so many daemons, named a, b, c and so on, with these settings as environment variables.
    pub(crate) fn start(daemons: usize, settings: &[(&str, &str)]) -> Self {
        let mut cluster = Self::prepare(daemons, settings);
        (0..daemons).for_each(|number| cluster.restart(number));
        cluster
    }

    /// The same, none of them started.
    pub(crate) fn prepare(daemons: usize, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let node = |number: usize| {
            let name = char::from(b'a' + number as u8).to_string();
            let data_dir = folder.path().join(&name);
            Node { name, data_dir, port: Port::take(), daemon: None }
        };
        let nodes = (0..daemons).map(node).collect();
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self { nodes, settings: settings.iter().map(owned).collect(), _folder: folder }
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// A daemon that runs.
    pub(crate) fn daemon(&self, number: usize) -> &Daemon {
        self.nodes[number].daemon.as_ref().expect("it runs")
    }

    /// Where each daemon is to be found, running or not.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| node.port.address().parse().unwrap()).collect()
    }

    pub(crate) fn data_dir(&self, number: usize) -> &Path {
        &self.nodes[number].data_dir
    }

    /// The id it goes by in documents and claims.
    pub(crate) fn id(&self, number: usize) -> String {
        std::fs::read_to_string(self.data_dir(number).join("NODE")).unwrap().trim().to_owned()
    }

    /// Changes a setting for daemons that are started from now on.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    /// Starts a daemon that does not run, and waits until it listens.
    pub(crate) fn restart(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        let mut command = plain();
        command.args(["--bind", &node.port.address(), "--data-dir"]).arg(&node.data_dir);
        command.env("PULSEBOARD_NODE__NAME", &node.name);
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        node.daemon = Some(Daemon::spawn(command));
    }

    /// kill -9, if it runs.
    pub(crate) fn kill(&mut self, number: usize) {
        if let Some(daemon) = self.nodes[number].daemon.take() {
            daemon.kill();
        }
    }

    /// SIGTERM, and its exit code.
    pub(crate) fn terminate(&mut self, number: usize) -> Option<i32> {
        self.nodes[number].daemon.take().and_then(Daemon::terminate)
    }

    /// SIGSTOP: it keeps its connections and answers nothing.
    pub(crate) fn freeze(&self, number: usize) {
        self.signal(number, Signal::STOP);
    }

    /// SIGCONT.
    pub(crate) fn thaw(&self, number: usize) {
        self.signal(number, Signal::CONT);
    }

    fn signal(&self, number: usize, signal: Signal) {
        let pid = Pid::from_raw(self.daemon(number).pid() as i32).expect("a child has a pid");
        kill_process(pid, signal).unwrap();
    }
}
