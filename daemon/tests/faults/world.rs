//! Everything that runs in a round: servers, daemons, and what can be asked of them together.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use mongodb::bson::{Document, doc};
use serde_json::Value;

use super::check::until_none;
use super::fault::Fault;
use super::load::Load;
use crate::shared::cluster::Cluster;
use crate::shared::mongod::Mongod;
use crate::shared::redis::Redis;
use crate::support::eventually;

/// The journals' bound where a round fills them: the smallest there is.
const SPOOL_BYTES: &str = "64 MiB";

pub(crate) struct World {
    pub(crate) cluster: Cluster,
    mongod: Option<Mongod>,
    redis: Option<Redis>,
    disk: Option<SmallDisk>,
}

impl World {
    /// Starts what faults need: daemons on their own stores, over a MongoDB, or that and a Redis.
    pub(crate) fn start(faults: &[Fault], daemons: usize, over_mongod: bool) -> Self {
        let has = |fault: Fault| faults.contains(&fault);
        let disk = has(Fault::MongodDiskFull).then(SmallDisk::mount);
        let mongod = over_mongod.then(|| {
            let members = faults.iter().map(|fault| fault.members()).max();
            let mut options = Mongod::set(members.expect("there is a fault"));
            if has(Fault::MongodCut) {
                options = options.behind_proxies();
            }
            if has(Fault::MongodRefusesWrites) {
                options = options.fail_points();
            }
            if let Some(disk) = &disk {
                options = options.folder(&disk.folder);
            }
            if has(Fault::MongodAbsent) { options.prepare() } else { options.start() }
        });
        let start_redis =
            if has(Fault::RedisCut) { Redis::start_behind_proxy } else { Redis::start };
        let redis = (daemons > 1).then(start_redis);
        let mut settings: Vec<(&str, String)> = Vec::new();
        if let Some(mongod) = &mongod {
            settings.push(("PULSEBOARD_STORE__KIND", "mongodb".to_owned()));
            settings.push(("PULSEBOARD_STORE__MONGODB__URI", mongod.uri()));
        }
        if let Some(redis) = &redis {
            settings.push(("PULSEBOARD_CLUSTER__REDIS_URL", redis.url()));
        }
        if has(Fault::MongodLongAway) {
            settings.push(("PULSEBOARD_LIMITS__SPOOL_BYTES", SPOOL_BYTES.to_owned()));
        }
        let settings: Vec<(&str, &str)> =
            settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Self { cluster: Cluster::start(daemons, &settings), mongod, redis, disk }
    }

    pub(crate) fn mongod(&self) -> Option<&Mongod> {
        self.mongod.as_ref()
    }

    pub(crate) fn mongod_mut(&mut self) -> &mut Mongod {
        self.mongod.as_mut().expect("the fault needs one")
    }

    pub(crate) fn redis_mut(&mut self) -> &mut Redis {
        self.redis.as_mut().expect("the fault needs one")
    }

    /// Has the load go on with the other daemons, where there are any.
    pub(crate) fn go_on_without(&self, load: &Load, events: usize) {
        if self.cluster.len() > 1 {
            load.wait_for_more(events);
        }
    }

    /// Waits until every daemon has refused events because its journal is full, and has shown that
    /// live numbers are read all the same.
    pub(crate) fn wait_for_spool_full(&self, load: &Load) {
        eventually("clients are told spool_full", || load.retries().get("spool_full").copied());
        let daemon = self.cluster.daemon(0);
        eventually("readiness is 503", || {
            (daemon.get("/health/ready").status == 503).then_some(())
        });
        let answer = daemon.get("/api/aggregates?window=1s");
        assert_eq!(answer.status, 200, "live numbers are read: {}", answer.text());
    }

    /// Takes all room on MongoDB's disk.
    pub(crate) fn fill_disk(&self) {
        self.disk.as_ref().expect("the fault has one").fill();
    }

    /// Gives it back.
    pub(crate) fn free_disk(&self) {
        self.disk.as_ref().expect("the fault has one").free();
    }

    /// Waits until every daemon is ready and has nothing more to write.
    pub(crate) fn settle(&self) {
        for number in 0..self.cluster.len() {
            let daemon = self.cluster.daemon(number);
            until_none(&format!("daemon {number} does not recover"), || {
                let ready = daemon.get("/health/ready").json();
                let lag = daemon.metric("pulseboard_store_lag_events");
                // With a store of its own an instance among others stays degraded: it says so.
                let is_ready = ready["status"] == "ready" || self.mongod.is_none();
                let is_over = is_ready && lag == 0.0;
                (!is_over).then(|| format!("lag {lag} events, {ready}\n{}", daemon.stderr()))
            });
        }
    }

    /// The event ids that are stored, each once.
    pub(crate) fn stored_ids(&self) -> BTreeSet<String> {
        let mut ids = BTreeSet::new();
        if let Some(mongod) = &self.mongod {
            for id in mongod.ids("events") {
                let id = id.strip_prefix("default/").expect("ids start with the site");
                assert!(ids.insert(id.to_owned()), "{id} is stored twice");
            }
            return ids;
        }
        let daemon = self.cluster.daemon(0);
        let mut cursor = String::new();
        loop {
            let page = daemon.get(&format!("/api/events?limit=1000{cursor}")).json();
            for event in page["events"].as_array().unwrap() {
                let id = event["eventId"].as_str().unwrap().to_owned();
                assert!(ids.insert(id.clone()), "{id} is stored twice");
            }
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return ids,
            }
        }
    }

    /// The 60 s documents of all nodes.
    pub(crate) fn minutes(&self) -> Vec<Document> {
        let mongod = self.mongod.as_ref().expect("a round over MongoDB");
        mongod.find("aggregates", doc! {"window": "60s"}, doc! {})
    }

    /// An answer of a daemon as JSON; it must be 200.
    pub(crate) fn get(&self, number: usize, path: &str) -> Value {
        let answer = self.cluster.daemon(number).get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }
}

/// A file system that fills up soon. Taking one needs the right to mount.
struct SmallDisk {
    folder: PathBuf,
    _mount_point: tempfile::TempDir,
}

impl SmallDisk {
    fn mount() -> Self {
        let mount_point = tempfile::tempdir().unwrap();
        let folder = mount_point.path().to_owned();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=600m", "none"]).arg(&folder);
        assert!(command.status().unwrap().success(), "this round needs the right to mount");
        Self { folder, _mount_point: mount_point }
    }

    fn fill(&self) {
        let mut file = std::fs::File::create(self.folder.join("ballast")).unwrap();
        let chunk = vec![0; 1 << 20];
        while std::io::Write::write_all(&mut file, &chunk).is_ok() {}
    }

    fn free(&self) {
        std::fs::remove_file(self.folder.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.folder).status();
    }
}
