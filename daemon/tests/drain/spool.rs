//! The journal while MongoDB is away for long: it fills up to its bound, refuses, and recovers.

use crate::scene::{Scene, send};
use crate::shared::mongod::Mongod;
use crate::support::eventually;

#[test]
fn a_spool_that_is_full_refuses_events_and_takes_them_again_when_it_is_drained() {
    let settings = [("PULSEBOARD_LIMITS__SPOOL_BYTES", "1 MiB")];
    let mut scene = Scene::with(Mongod::standalone().prepare(), &settings);
    let refusal = eventually("the spool is full", || {
        let ids = scene.next_ids();
        let answer = send(scene.daemon().address, &ids).unwrap();
        if answer.status == 200 {
            scene.acknowledged.extend(ids);
            return None;
        }
        Some(answer)
    });
    assert_eq!(refusal.status, 503);
    assert_eq!(refusal.json()["code"], "spool_full");
    assert!(refusal.header("Retry-After").is_some());
    let waiting = scene.daemon().metric("pulseboard_store_lag_bytes");
    assert!((1_048_576.0..2_000_000.0).contains(&waiting), "{waiting}");
    let ready = scene.daemon().get("/health/ready");
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json()["checks"]["journal"]["status"], "failed");
    // Reading goes on.
    assert!(scene.daemon().aggregate("60s")["events"].as_u64().unwrap() > 1_000);
    scene.mongod.start();
    eventually("it takes events again", || {
        (scene.daemon().get("/health/ready").status == 200).then_some(())
    });
    scene.post(400);
    scene.all_is_there();
}

#[test]
fn a_larger_spool_takes_effect_at_a_reload() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pulseboard.toml");
    std::fs::write(&file, "[limits]\nspool_bytes = \"1 MiB\"\n").unwrap();
    let mongod = Mongod::standalone().prepare();
    let mut command = crate::support::command(dir.path());
    command.arg("--config").arg(&file);
    command.env("PULSEBOARD_STORE__KIND", "mongodb");
    command.env("PULSEBOARD_STORE__MONGODB__URI", mongod.uri());
    let daemon = crate::support::Daemon::spawn(command);
    let mut posted = 0;
    let mut next = || {
        posted += 1;
        let ids: Vec<String> = (0..500).map(|number| format!("e{posted}-{number}")).collect();
        send(daemon.address, &ids).unwrap().status
    };
    eventually("the spool is full", || (next() == 503).then_some(()));
    std::fs::write(&file, "[limits]\nspool_bytes = \"8 MiB\"\n").unwrap();
    daemon.hang_up();
    eventually("it takes events again", || (next() == 200).then_some(()));
}
