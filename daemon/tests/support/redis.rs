//! A real redis-server for scenarios: with a password and settings as wanted, and the ways it can
//! fail. It keeps nothing on disk, so that a restart is an empty one. Gone when dropped.

use std::ffi::OsString;

use tempfile::TempDir;

use super::proxy::Proxy;
use super::server::{Port, Process, program};
use crate::support::eventually;

const INSTALL: &str = "install Redis 6.2 or later (redis-server)";

/// A running redis-server.
pub(crate) struct Redis {
    pub(crate) process: Process,
    port: Port,
    password: Option<String>,
    proxy: Option<Proxy>,
    _folder: TempDir,
}

impl Redis {
    pub(crate) fn start() -> Self {
        Self::start_with(None, &[])
    }

    /// With a password, and more of its settings as on its command line.
    pub(crate) fn start_with(password: Option<&str>, settings: &[&str]) -> Self {
        let mut redis = Self::prepare(password, settings);
        redis.restart();
        redis
    }

    /// Clients reach it through a proxy only.
    pub(crate) fn start_behind_proxy() -> Self {
        let mut redis = Self::prepare(None, &[]);
        redis.proxy = Some(Proxy::to(&redis.port.address()));
        redis.restart();
        redis
    }

    /// Has everything but a running process: its address is known.
    pub(crate) fn prepare(password: Option<&str>, settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = Port::take();
        let mut args: Vec<OsString> =
            ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"].map(OsString::from).into();
        args.extend(["--port".into(), port.number.to_string().into()]);
        args.extend(["--dir".into(), folder.path().as_os_str().to_owned()]);
        if let Some(password) = password {
            args.extend(["--requirepass", password].map(OsString::from));
        }
        args.extend(settings.iter().map(OsString::from));
        let log = folder.path().join("log");
        let process = Process::new(program("REDIS_SERVER", "redis-server", INSTALL), args, &log);
        let password = password.map(str::to_owned);
        Self { process, port, password, proxy: None, _folder: folder }
    }

    /// Where clients reach it, with the password.
    pub(crate) fn url(&self) -> String {
        let address = self.proxy.as_ref().map_or_else(|| self.port.address(), Proxy::address);
        match &self.password {
            Some(password) => format!("redis://:{password}@{address}"),
            None => format!("redis://{address}"),
        }
    }

    /// The same without the password.
    pub(crate) fn url_without_password(&self) -> String {
        format!("redis://{}", self.port.address())
    }

    /// Starts it, empty, on the same port, and waits until it answers.
    pub(crate) fn restart(&mut self) {
        self.process.start();
        eventually("redis-server answers", || {
            assert!(self.process.is_running(), "it ended: {}", self.process.last_words());
            let mut connection = self.client().get_connection().ok()?;
            redis::cmd("PING").query::<String>(&mut connection).ok()
        });
    }

    /// The proxy in front of it.
    pub(crate) fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().expect("it was started behind a proxy")
    }

    /// A connection past the proxy.
    pub(crate) fn connection(&self) -> redis::Connection {
        self.client().get_connection().unwrap()
    }

    fn client(&self) -> redis::Client {
        let url = match &self.password {
            Some(password) => format!("redis://:{password}@{}", self.port.address()),
            None => self.url_without_password(),
        };
        redis::Client::open(url).unwrap()
    }
}
