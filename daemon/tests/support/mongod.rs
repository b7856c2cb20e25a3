//! Real mongod processes for scenarios: a standalone server or a replica set, which can be stopped,
//! killed, frozen, made to step down, to refuse writes or to cut connections. Deleted when dropped.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use mongodb::bson::{Bson, Document, doc};
use mongodb::{Client, Database};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::proxy::Proxy;
use super::server::{Port, Process, program};
use crate::support::eventually;

const INSTALL: &str = "install MongoDB 5.0 or later (mongod)";
const SET: &str = "rs0";
/// The database that addresses name.
pub(crate) const DATABASE: &str = "pulseboard";

/// How a server is to be.
pub(crate) struct Options {
    members: usize,
    is_set: bool,
    user: Option<(String, String)>,
    behind_proxies: bool,
    folder: Option<PathBuf>,
    args: Vec<OsString>,
}

impl Options {
    /// A user with every right; nobody else gets in.
    pub(crate) fn user(mut self, name: &str, password: &str) -> Self {
        self.user = Some((name.to_owned(), password.to_owned()));
        self
    }

    /// Clients reach each member through a proxy only. With several members these do too.
    pub(crate) fn behind_proxies(mut self) -> Self {
        self.behind_proxies = true;
        self
    }

    /// Its data goes here: a small file system, for one that fills up.
    pub(crate) fn folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    pub(crate) fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Lets [`Mongod::fail`] work.
    pub(crate) fn fail_points(self) -> Self {
        self.arg("--setParameter").arg("enableTestCommands=1")
    }

    /// Starts it, and waits until it takes writes.
    pub(crate) fn start(self) -> Mongod {
        let mut mongod = self.prepare();
        mongod.start();
        mongod
    }

    /// Has everything but a running process: its address is known, [`Mongod::start`] starts it.
    pub(crate) fn prepare(self) -> Mongod {
        let temporary = tempfile::tempdir().unwrap();
        let folder = self.folder.unwrap_or_else(|| temporary.path().to_owned());
        let mut args = self.args;
        if self.is_set {
            args.extend(["--replSet", SET, "--oplogSize", "64"].map(OsString::from));
        }
        if self.user.is_some() {
            // Members of a set know each other by this file.
            let key = temporary.path().join("key");
            std::fs::write(&key, "akeythatmembersofasetshare").unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(&key, mode).unwrap();
            if self.is_set {
                args.extend(["--keyFile".into(), key.into_os_string()]);
            } else {
                args.push("--auth".into());
            }
        }
        let members = (0..self.members)
            .map(|number| Member::new(&folder, number, &args, self.behind_proxies))
            .collect();
        Mongod {
            members,
            is_set: self.is_set,
            user: self.user,
            is_initiated: false,
            _temporary: temporary,
        }
    }
}

/// One process of a server.
pub(crate) struct Member {
    pub(crate) process: Process,
    port: Port,
    proxy: Option<Proxy>,
}

impl Member {
    fn new(folder: &Path, number: usize, args: &[OsString], behind_proxy: bool) -> Self {
        let port = Port::take();
        let data = folder.join(format!("member{number}"));
        std::fs::create_dir_all(&data).unwrap();
        let mut all: Vec<OsString> = ["--bind_ip", "127.0.0.1", "--port"].map(Into::into).into();
        all.push(port.number.to_string().into());
        all.extend(["--dbpath".into(), data.into_os_string()]);
        all.extend(
            ["--nounixsocket", "--quiet", "--wiredTigerCacheSizeGB", "0.25", "--setParameter"]
                .map(OsString::from),
        );
        all.push("diagnosticDataCollectionEnabled=false".into());
        all.extend(args.iter().cloned());
        let log = folder.join(format!("member{number}.log"));
        let process = Process::new(program("MONGOD", "mongod", INSTALL), all, &log);
        let proxy = behind_proxy.then(|| Proxy::to(&port.address()));
        Self { process, port, proxy }
    }

    /// Where it listens, whatever is in front of it.
    pub(crate) fn direct_address(&self) -> String {
        self.port.address()
    }

    /// Where clients reach it.
    pub(crate) fn address(&self) -> String {
        self.proxy.as_ref().map_or_else(|| self.port.address(), Proxy::address)
    }
}

/// A MongoDB: one process, or a replica set of some.
pub(crate) struct Mongod {
    pub(crate) members: Vec<Member>,
    is_set: bool,
    user: Option<(String, String)>,
    is_initiated: bool,
    _temporary: TempDir,
}

impl Mongod {
    /// A single server that is no replica set.
    pub(crate) fn standalone() -> Options {
        Options { is_set: false, ..Self::set(1) }
    }

    /// A replica set of so many members.
    pub(crate) fn set(members: usize) -> Options {
        Options {
            members,
            is_set: true,
            user: None,
            behind_proxies: false,
            folder: None,
            args: Vec::new(),
        }
    }

    /// The connection string for the daemon: every member, the user, the database.
    pub(crate) fn uri(&self) -> String {
        let user = self.user.as_ref().map(|(name, password)| format!("{name}:{password}@"));
        let addresses: Vec<String> = self.members.iter().map(Member::address).collect();
        let mut options = vec!["serverSelectionTimeoutMS=2000"];
        options.push(if self.is_set { "replicaSet=rs0" } else { "directConnection=true" });
        if self.user.is_some() {
            options.push("authSource=admin");
        }
        format!(
            "mongodb://{}{}/{DATABASE}?{}",
            user.unwrap_or_default(),
            addresses.join(","),
            options.join("&")
        )
    }

    /// Starts every member that does not run, and waits until writes are taken and every member has
    /// all there is: one that is still being filled can neither vote nor take over, and a primary
    /// that is lost meanwhile has no successor.
    pub(crate) fn start(&mut self) {
        for member in &mut self.members {
            if !member.process.is_running() {
                member.process.start();
            }
        }
        for number in 0..self.members.len() {
            self.wait_for_answer(number);
        }
        if !self.is_initiated {
            self.initiate();
        }
        self.wait_for_primary();
        for number in 0..self.members.len() {
            eventually("a member has all there is", || {
                let hello = self.hello(number)?;
                let is = |what: &str| hello.get_bool(what).unwrap_or(false);
                (is("isWritablePrimary") || is("secondary")).then_some(())
            });
        }
    }

    /// SIGTERM to all.
    pub(crate) fn stop(&mut self) {
        self.members.iter_mut().for_each(|member| member.process.stop());
    }

    /// kill -9 of all.
    pub(crate) fn kill(&mut self) {
        self.members.iter_mut().for_each(|member| member.process.kill());
    }

    /// SIGSTOP to all.
    pub(crate) fn freeze(&mut self) {
        self.members.iter_mut().for_each(|member| member.process.freeze());
    }

    /// SIGCONT to all.
    pub(crate) fn thaw(&mut self) {
        self.members.iter_mut().for_each(|member| member.process.thaw());
    }

    /// The proxy in front of a member.
    pub(crate) fn proxy(&self, member: usize) -> &Proxy {
        self.members[member].proxy.as_ref().expect("it was started behind_proxies")
    }

    /// Which member takes writes, if one does.
    pub(crate) fn primary(&self) -> Option<usize> {
        (0..self.members.len()).find(|number| {
            let hello = self.hello(*number);
            hello.is_some_and(|hello| hello.get_bool("isWritablePrimary").unwrap_or(false))
        })
    }

    fn hello(&self, member: usize) -> Option<Document> {
        self.try_command(member, doc! {"hello": 1}).ok()
    }

    /// Waits for a member that takes writes.
    pub(crate) fn wait_for_primary(&self) -> usize {
        eventually("a primary", || self.primary())
    }

    /// Has the primary give up its place for some seconds; which member that was.
    pub(crate) fn step_down(&self, seconds: i32) -> usize {
        let force = self.members.len() == 1;
        let command = doc! {
            "replSetStepDown": seconds, "secondaryCatchUpPeriodSecs": seconds / 2, "force": force,
        };
        // It refuses while no other member has caught up.
        eventually("the primary steps down", || {
            let primary = self.primary()?;
            self.try_command(primary, command.clone()).ok().map(|_| primary)
        })
    }

    /// Has commands of these names answered by an error of this code, until [`Mongod::heal`].
    /// 14031: the disk is full; 10107: not the primary; 13: not authorised.
    pub(crate) fn fail(&self, commands: &[&str], code: i32) {
        self.fail_point(&doc! {"failCommands": commands, "errorCode": code});
    }

    /// The same for commands on one collection alone.
    pub(crate) fn fail_on(&self, collection: &str, commands: &[&str], code: i32) {
        let namespace = format!("{DATABASE}.{collection}");
        let data = doc! {"failCommands": commands, "errorCode": code, "namespace": namespace};
        self.fail_point(&data);
    }

    /// Has connections closed when commands of these names come.
    pub(crate) fn cut(&self, commands: &[&str]) {
        self.fail_point(&doc! {"failCommands": commands, "closeConnection": true});
    }

    /// Ends [`Mongod::fail`] and [`Mongod::cut`].
    pub(crate) fn heal(&self) {
        let command = doc! {"configureFailPoint": "failCommand", "mode": "off"};
        (0..self.members.len()).for_each(|number| drop(self.try_command(number, command.clone())));
    }

    fn fail_point(&self, data: &Document) {
        let command =
            doc! {"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data.clone()};
        for number in 0..self.members.len() {
            self.try_command(number, command.clone()).unwrap();
        }
    }

    /// Runs something with the daemon's database, through a client of our own.
    pub(crate) fn with<T, F, R>(&self, run: F) -> T
    where
        F: FnOnce(Database) -> R + Send + 'static,
        R: Future<Output = T> + Send,
        T: Send + 'static,
    {
        let uri = self.uri();
        wait(async move {
            let client = Client::with_uri_str(uri).await.unwrap();
            let made = run(client.database(DATABASE)).await;
            client.shutdown().await;
            made
        })
    }

    /// Every `_id` of a collection of text ids, in order.
    pub(crate) fn ids(&self, collection: &'static str) -> Vec<String> {
        let documents = self.find(collection, doc! {}, doc! {"_id": 1});
        let text = |document: Document| document.get_str("_id").unwrap().to_owned();
        documents.into_iter().map(text).collect()
    }

    /// The documents that match, ordered by `_id`, with these fields (all: an empty document).
    pub(crate) fn find(
        &self,
        collection: &'static str,
        filter: Document,
        fields: Document,
    ) -> Vec<Document> {
        use futures_util::TryStreamExt as _;
        self.with(async move |database| {
            let documents = database.collection::<Document>(collection);
            let found = documents.find(filter).projection(fields).sort(doc! {"_id": 1});
            found.batch_size(10_000).await.unwrap().try_collect().await.unwrap()
        })
    }

    /// Runs a command on `admin` of one member, past any proxy.
    pub(crate) fn try_command(
        &self,
        member: usize,
        command: Document,
    ) -> mongodb::error::Result<Document> {
        let user = self.user.as_ref().filter(|_| self.is_initiated);
        let user = user.map(|(name, password)| format!("{name}:{password}@"));
        let uri = format!(
            "mongodb://{}{}/?directConnection=true&serverSelectionTimeoutMS=2000\
             &connectTimeoutMS=2000",
            user.unwrap_or_default(),
            self.members[member].port.address()
        );
        wait(async move {
            let client = Client::with_uri_str(uri).await?;
            let answer = client.database("admin").run_command(command).await;
            client.shutdown().await;
            answer
        })
    }

    fn wait_for_answer(&mut self, member: usize) {
        eventually("mongod answers", || {
            let process = &mut self.members[member].process;
            assert!(process.is_running(), "mongod ended: {}", process.last_words());
            self.try_command(member, doc! {"hello": 1}).ok()
        });
    }

    fn initiate(&mut self) {
        if self.is_set {
            let members = self.members.iter().enumerate();
            let members: Vec<Bson> = members
                .map(|(id, member)| doc! {"_id": id as i32, "host": member.address()}.into())
                .collect();
            let settings = doc! {"electionTimeoutMillis": 2_000, "heartbeatIntervalMillis": 500};
            let config = doc! {"_id": SET, "members": members, "settings": settings};
            self.try_command(0, doc! {"replSetInitiate": config}).unwrap();
        }
        let primary = self.wait_for_primary();
        if let Some((name, password)) = &self.user {
            let command = doc! {"createUser": name, "pwd": password, "roles": ["root"]};
            self.try_command(primary, command).unwrap();
        }
        self.is_initiated = true;
    }
}

/// Waits for a future of the driver, from any thread.
pub(crate) fn wait<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().unwrap()
    });
    let (done, result) = std::sync::mpsc::sync_channel(1);
    runtime.spawn(async move { drop(done.send(future.await)) });
    result.recv().expect("the driver's task panicked")
}
