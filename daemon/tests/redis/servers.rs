//! Redis in the forms that are more than one process: a Redis Cluster, a primary with a replica and
//! sentinels, and a server that speaks TLS alone. All gone when dropped.

use std::ffi::OsString;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use super::shared::server::{Port, Process, program};
use super::support::eventually;

const INSTALL: &str = "install Redis 6.2 or later (redis-server)";

/// One process, on a port of its own.
pub(crate) struct Server {
    pub(crate) port: Port,
    pub(crate) process: Process,
    _folder: TempDir,
}

impl Server {
    fn start(port: Port, settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut args: Vec<OsString> =
            ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"].map(OsString::from).into();
        args.extend(["--dir".into(), folder.path().as_os_str().to_owned()]);
        args.extend(settings.iter().map(OsString::from));
        Self::spawn(port, args, folder)
    }

    fn spawn(port: Port, args: Vec<OsString>, folder: TempDir) -> Self {
        let log = folder.path().join("log");
        let program = program("REDIS_SERVER", "redis-server", INSTALL);
        let mut process = Process::new(program, args, &log);
        process.start();
        Self { port, process, _folder: folder }
    }

    fn connection(&self) -> Option<redis::Connection> {
        let client = redis::Client::open(format!("redis://{}", self.port.address())).unwrap();
        client.get_connection().ok()
    }

    fn asked<T: redis::FromRedisValue>(&self, parts: &[&str]) -> Option<T> {
        let mut command = redis::cmd(parts[0]);
        command.arg(&parts[1..]);
        command.query(&mut self.connection()?).ok()
    }
}

/// Three primaries, each with a third of the slots.
pub(crate) struct RedisCluster {
    nodes: Vec<Server>,
    frozen: Option<usize>,
}

impl RedisCluster {
    pub(crate) fn start() -> Self {
        let node = |_| {
            let (port, bus) = (Port::take(), Port::take());
            let settings = [
                ("--port", port.number.to_string()),
                ("--cluster-port", bus.number.to_string()),
                ("--cluster-enabled", "yes".to_owned()),
                ("--cluster-node-timeout", "2000".to_owned()),
                // What one node misses, the others answer all the same.
                ("--cluster-require-full-coverage", "no".to_owned()),
            ];
            let settings: Vec<&str> =
                settings.iter().flat_map(|(name, value)| [*name, value.as_str()]).collect();
            (Server::start(port, &settings), bus)
        };
        let (nodes, buses): (Vec<Server>, Vec<Port>) = (0..3).map(node).unzip();
        for (number, node) in nodes.iter().enumerate() {
            let (first, last) = ((16_384 * number / 3), (16_384 * (number + 1) / 3 - 1));
            let range = [first.to_string(), last.to_string()];
            eventually("it takes its slots", || {
                node.asked::<String>(&["CLUSTER", "ADDSLOTSRANGE", &range[0], &range[1]])
            });
            let port = node.port.number.to_string();
            let bus = buses[number].number.to_string();
            eventually("it meets the first", || {
                nodes[0].asked::<String>(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus])
            });
        }
        for node in &nodes {
            eventually("the cluster is whole", || {
                let info: String = node.asked(&["CLUSTER", "INFO"])?;
                let whole = ["cluster_state:ok", "cluster_slots_assigned:16384", "_nodes:3"];
                whole.iter().all(|part| info.contains(part)).then_some(())
            });
        }
        Self { nodes, frozen: None }
    }

    pub(crate) fn url(&self) -> String {
        let hosts: Vec<String> = self.nodes.iter().map(|node| node.port.address()).collect();
        format!("redis+cluster://{}", hosts.join(","))
    }

    /// As if one of them were all there is.
    pub(crate) fn url_of_one(&self) -> String {
        // The one that does not hold the key the link writes first.
        let held = self.holder("pulseboard:{life}:written");
        format!("redis://{}", self.nodes[(held + 1) % 3].port.address())
    }

    /// The node whose slots this key is in.
    pub(crate) fn holder(&self, key: &str) -> usize {
        let slot: usize =
            self.nodes.iter().find_map(|node| node.asked(&["CLUSTER", "KEYSLOT", key])).unwrap();
        (0..3).find(|number| slot < 16_384 * (number + 1) / 3).unwrap()
    }

    /// A node that does not hold this key.
    pub(crate) fn other_than(&self, key: &str) -> usize {
        (self.holder(key) + 1) % 3
    }

    /// What a key holds.
    pub(crate) fn get(&self, key: &str) -> Vec<u8> {
        self.nodes[self.holder(key)].asked(&["GET", key]).unwrap()
    }

    /// kill -9.
    pub(crate) fn kill(&mut self, number: usize) {
        self.nodes[number].process.kill();
    }

    /// Starts one that was killed: it knows its slots, and nothing that was in them.
    pub(crate) fn restart(&mut self, number: usize) {
        self.nodes[number].process.start();
        for node in &self.nodes {
            eventually("the cluster is whole again", || {
                let nodes: String = node.asked(&["CLUSTER", "NODES"])?;
                (nodes.matches(" connected").count() == 3 && !nodes.contains("fail")).then_some(())
            });
        }
    }

    /// SIGSTOP to a node that does not hold this key.
    pub(crate) fn freeze_node_without(&mut self, key: &str) {
        let number = self.other_than(key);
        self.nodes[number].process.freeze();
        self.frozen = Some(number);
    }

    pub(crate) fn thaw(&mut self) {
        if let Some(number) = self.frozen.take() {
            self.nodes[number].process.thaw();
        }
    }
}

/// A primary, its replica, and two sentinels of which each may decide.
pub(crate) struct Sentinels {
    primary: Server,
    _replica: Server,
    watchers: Vec<Server>,
}

impl Sentinels {
    pub(crate) fn start() -> Self {
        let port = Port::take();
        let at = port.number.to_string();
        let primary = Server::start(port, &["--port", &at]);
        let port = Port::take();
        let own = port.number.to_string();
        let fast = ["--repl-diskless-sync-delay", "0"];
        let settings = ["--port", &own, "--replicaof", "127.0.0.1", &at, fast[0], fast[1]];
        let replica = Server::start(port, &settings);
        eventually("the replica follows", || {
            let info: String = replica.asked(&["INFO", "replication"])?;
            info.contains("master_link_status:up").then_some(())
        });
        let sentinel = |_| {
            let (port, folder) = (Port::take(), tempfile::tempdir().unwrap());
            let file = folder.path().join("sentinel.conf");
            let lines = format!(
                "port {}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {at} 1\n\
                 sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 3000\n",
                port.number
            );
            std::fs::write(&file, lines).unwrap();
            Server::spawn(port, vec![file.into(), "--sentinel".into()], folder)
        };
        let sentinels: Vec<Server> = (0..2).map(sentinel).collect();
        for sentinel in &sentinels {
            eventually("the sentinel knows the replica", || {
                let replicas: Vec<redis::Value> =
                    sentinel.asked(&["SENTINEL", "replicas", "main"])?;
                (replicas.len() == 1).then_some(())
            });
        }
        Self { primary, _replica: replica, watchers: sentinels }
    }

    pub(crate) fn url(&self) -> String {
        let hosts: Vec<String> = self.watchers.iter().map(|s| s.port.address()).collect();
        format!("redis+sentinel://{}/main", hosts.join(","))
    }

    /// kill -9.
    pub(crate) fn kill_primary(&mut self) {
        self.primary.process.kill();
    }
}

/// A server that speaks TLS alone, and wants a certificate of its clients.
pub(crate) struct Tls {
    server: Server,
    folder: TempDir,
}

impl Tls {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        // Named apart from what it signs, which would seem to have signed itself.
        params.distinguished_name.push(DnType::CommonName, "the authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("ca.pem", &authority.pem());
        for name in ["server", "client"] {
            let key = KeyPair::generate().unwrap();
            let names = vec!["127.0.0.1".to_owned()];
            let params = CertificateParams::new(names).unwrap();
            write(&format!("{name}.pem"), &params.signed_by(&key, &authority).unwrap().pem());
            write(&format!("{name}.key"), &key.serialize_pem());
        }
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let port = Port::take();
        let number = port.number.to_string();
        let (cert, key, ca) = (at("server.pem"), at("server.key"), at("ca.pem"));
        let settings = ["--port", "0", "--tls-port", &number, "--tls-cert-file", &cert];
        let files = ["--tls-key-file", &key, "--tls-ca-cert-file", &ca];
        let server = Server::start(port, &[settings.as_slice(), &files].concat());
        eventually("it listens", || std::net::TcpStream::connect(server.port.address()).ok());
        Self { server, folder }
    }

    pub(crate) fn url(&self) -> String {
        format!("rediss://{}", self.server.port.address())
    }

    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Our certificate and its key.
    pub(crate) fn own(&self) -> (PathBuf, PathBuf) {
        (self.folder.path().join("client.pem"), self.folder.path().join("client.key"))
    }
}
