//! Two daemons with one node's id: a data directory was copied.

use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

use crate::scene::Scene;
use crate::shared::mongod::Mongod;
use crate::support::eventually;

fn signal(scene: &Scene, signal: Signal) {
    let pid = Pid::from_raw(scene.daemon().pid() as i32).expect("a child has a pid");
    kill_process(pid, signal).unwrap();
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn the_second_daemon_with_a_nodes_id_says_so_and_writes_nothing_until_the_first_is_gone() {
    let mut scene = Scene::new(Mongod::standalone().start());
    scene.wait_store("ok");
    scene.post(400);
    scene.all_is_there();
    let copied = tempfile::tempdir().unwrap();
    // As it is at one moment: files come and go while it runs.
    signal(&scene, Signal::STOP);
    copy(scene.dir.path(), copied.path());
    signal(&scene, Signal::CONT);
    let second = scene.another(copied.path());
    let detail = eventually("the second says so", || {
        let store = second.get("/health/ready").json()["checks"]["store"].clone();
        let detail = store["detail"].as_str().unwrap().to_owned();
        (store["status"] == "degraded" && detail.contains("NODE")).then_some(detail)
    });
    assert!(detail.contains(&copied.path().join("NODE").display().to_string()), "{detail}");
    let ids: Vec<String> = (0..200).map(|number| format!("second-{number}")).collect();
    assert!(crate::scene::post(second.address, &ids));
    // The first goes on as if nothing were; nothing of the second is there.
    scene.post(400);
    scene.all_is_there();
    assert_eq!(scene.wait_store("ok").split(';').next(), Some("mongodb"));
    let lines = second.stderr().lines().filter(|line| line.contains("ERROR")).count();
    assert_eq!(lines, 1, "{}", second.stderr());
    assert_eq!(scene.daemon.take().unwrap().terminate(), Some(0));
    eventually("the second takes over", || {
        (second.metric("pulseboard_store_lag_events") == 0.0).then_some(())
    });
    assert_eq!(scene.mongod.ids("events").len(), 1_000);
}
