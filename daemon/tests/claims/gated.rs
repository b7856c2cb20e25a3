//! Daemons that are stopped exactly between the sync of an event and the confirmation of its id: who
//! has the event in the end, what is shown of it, and that it is counted once.

use std::net::SocketAddr;
use std::thread::JoinHandle;

use serde_json::Value;

use crate::daemons::{JSON, event, forget_pending, keep_pending, post, ready, stored};
use crate::gate::Gate;
use crate::shared::cluster::Cluster;
use crate::shared::mongod::Mongod;
use crate::shared::redis::Redis;
use crate::support::{Answer, eventually};

const URL: &str = "PULSEBOARD_CLUSTER__REDIS_URL";

/// Daemons of which each reaches Redis through a gate of its own.
struct Gated {
    redis: Redis,
    cluster: Cluster,
    gates: Vec<Gate>,
}

impl Gated {
    fn start(daemons: usize) -> Self {
        Self::start_with(daemons, &[])
    }

    fn start_with(daemons: usize, settings: &[(&str, &str)]) -> Self {
        let redis = Redis::start();
        let gates: Vec<Gate> = (0..daemons).map(|_| Gate::to(&redis.url())).collect();
        let mut gated = Self { cluster: Cluster::prepare(daemons, settings), redis, gates };
        (0..daemons).for_each(|number| gated.restart(number));
        gated
    }

    fn restart(&mut self, number: usize) {
        self.cluster.set(URL, &self.gates[number].url());
        self.cluster.restart(number);
        ready(&self.cluster, number);
    }

    fn address(&self, number: usize) -> SocketAddr {
        self.cluster.addresses()[number]
    }

    /// Sends it these ids, and waits until it is to confirm them and cannot.
    fn sent_and_not_confirmed(&self, number: usize, ids: &[&str]) -> JoinHandle<Option<Answer>> {
        self.gates[number].close();
        let (address, body) = (self.address(number), body(ids));
        let sender = std::thread::spawn(move || post(address, JSON, &body));
        self.gates[number].until_one_waits();
        sender
    }

    /// kill -9 before its confirmation has left it; the claim it had runs out.
    fn kill_before_confirming(&mut self, number: usize) {
        self.cluster.kill(number);
        self.gates[number].cut();
        forget_pending(&self.redis);
    }

    fn metric(&self, number: usize, name: &str) -> f64 {
        self.cluster.daemon(number).metric(name)
    }

    /// Ids of a daemon's events, once it has decided about all of them.
    fn stored(&self, number: usize) -> Vec<String> {
        eventually("everything stored is seen", || {
            (self.metric(number, "pulseboard_journal_held_events") == 0.0).then_some(())
        });
        let mut ids = stored(&self.cluster, number);
        ids.sort_unstable();
        ids
    }

    /// Waits until a daemon counts so many events in minutes, over REST.
    fn counts(&self, number: usize, events: u64) {
        let path = "/api/history?from=-30m&to=now&step=60s&filter=route=/r";
        let mut last = 0;
        let counted = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually("it counts", || {
                let history = self.cluster.daemon(number).get(path).json();
                let columns = history["history"]["events"].as_array()?.clone();
                last = columns.iter().filter_map(Value::as_u64).sum();
                (last == events).then_some(())
            });
        }));
        assert!(counted.is_ok(), "{number} counts {last}, not {events}");
    }
}

fn body(ids: &[&str]) -> String {
    let events: Vec<String> = ids.iter().map(|id| event(id)).collect();
    format!("[{}]", events.join(","))
}

/// How many were accepted, and how many were known, of an answer to several.
fn verdicts(answer: &Answer) -> (u64, u64) {
    let answer = answer.json();
    (answer["accepted"].as_u64().unwrap(), answer["duplicates"].as_u64().unwrap())
}

#[test]
fn a_loser_that_was_killed_hides_what_another_took_and_still_does_after_the_next_kill_9() {
    let mut gated = Gated::start(2);
    let before = gated.cluster.daemon(0).post(JSON, body(&["before"]));
    assert_eq!(verdicts(&before), (1, 0));
    // A machine that is busy for a second makes it go on unconfirmed, which is another story; then
    // the ids of another round tell it.
    let (round, ids) = (0..20)
        .find_map(|round| {
            let ids = ["0", "1", "2"].map(|at| format!("lost{round}.{at}"));
            let each = [ids[0].as_str(), ids[1].as_str(), ids[2].as_str()];
            let sender = gated.sent_and_not_confirmed(0, &each);
            gated.kill_before_confirming(0);
            let told = sender.join().unwrap();
            if told.is_none() {
                return Some((round, ids));
            }
            gated.restart(0);
            None
        })
        .expect("it was killed in time");
    let unasked = 3 * round;
    // The other one takes the second of them.
    let other = gated.cluster.daemon(1).post(JSON, body(&[&ids[1]]));
    assert_eq!(verdicts(&other), (1, 0));

    for _ in 0..2 {
        gated.restart(0);
        let kept = gated.stored(0);
        assert_eq!(kept.len() as u64, 3 + unasked, "{kept:?}");
        assert!(kept.contains(&ids[0]) && kept.contains(&ids[2]) && !kept.contains(&ids[1]));
        assert_eq!(gated.stored(1), [ids[1].as_str()]);
        gated.counts(0, 3 + unasked);
        gated.counts(1, 1);
        for number in 0..2 {
            let each = [ids[0].as_str(), ids[1].as_str(), ids[2].as_str()];
            let again = gated.cluster.daemon(number).post(JSON, body(&each));
            assert_eq!(verdicts(&again), (0, 3), "each is known to both");
        }
        gated.gates[0].cut();
        gated.cluster.kill(0);
    }
}

#[test]
fn a_loser_that_goes_on_answers_duplicate_and_its_neighbours_are_accepted() {
    let gated = Gated::start(2);
    let mut both = 0;
    let lost = (0..20).find(|round| {
        let ids = ["0", "1", "2"].map(|at| format!("late{round}.{at}"));
        let sender = gated.sent_and_not_confirmed(0, &[&ids[0], &ids[1], &ids[2]]);
        // As after half a minute in which it stood still.
        forget_pending(&gated.redis);
        let other = gated.cluster.daemon(1).post(JSON, body(&[&ids[1]]));
        assert_eq!(verdicts(&other), (1, 0));
        gated.gates[0].open();
        let answer = sender.join().unwrap().unwrap();
        if verdicts(&answer) == (2, 1) {
            return true;
        }
        // A second went by: it took Redis for gone, and both have it, as is written down.
        assert_eq!(verdicts(&answer), (3, 0));
        both += 1;
        ready(&gated.cluster, 0);
        false
    });
    let lost = lost.expect("the machine is never so busy twenty times in a row");
    assert!(gated.metric(0, "pulseboard_tombstones_total") >= 1.0);
    let kept = gated.stored(0);
    assert_eq!(kept.len(), 3 * both + 2);
    assert!(!kept.contains(&format!("late{lost}.1")), "{kept:?}");
    assert_eq!(gated.stored(1).len(), both + 1);
    gated.counts(0, 3 * both as u64 + 2);
    gated.counts(1, both as u64 + 1);
}

#[test]
fn what_was_counted_with_nobody_to_ask_is_not_taken_back_by_the_next_start() {
    let mongod = Mongod::set(1).start();
    let settings =
        [("PULSEBOARD_STORE__KIND", "mongodb"), ("PULSEBOARD_STORE__MONGODB__URI", &mongod.uri())];
    let mut gated = Gated::start_with(2, &settings);
    let is_stored = |id: &str| mongod.ids("events").contains(&format!("default/{id}"));
    // Redis is gone for it between the sync and the confirmation, and it goes on.
    let sender = gated.sent_and_not_confirmed(0, &["counted"]);
    assert_eq!(verdicts(&sender.join().unwrap().unwrap()), (1, 0));
    eventually("it is in MongoDB", || is_stored("counted").then_some(()));
    // Nothing was written since. Another one, whom nobody told, takes the same id.
    gated.kill_before_confirming(0);
    assert_eq!(verdicts(&gated.cluster.daemon(1).post(JSON, body(&["counted"]))), (1, 0));
    gated.restart(0);
    eventually("both have asked", || {
        let conflicts = |number| gated.metric(number, "pulseboard_claims_conflicts_total");
        (conflicts(0) + conflicts(1) >= 1.0).then_some(())
    });
    assert_eq!(gated.metric(0, "pulseboard_tombstones_total"), 0.0);
    // One document, and counted once, by everybody who is asked.
    gated.counts(0, 1);
    gated.counts(1, 1);
    assert!(is_stored("counted"));
}

#[test]
fn an_id_that_another_was_killed_with_before_it_confirmed_holds_up_nobody() {
    let mut gated = Gated::start(2);
    let first = gated.sent_and_not_confirmed(0, &["x"]);
    forget_pending(&gated.redis);
    let second = gated.sent_and_not_confirmed(1, &["x"]);
    // However long that claim may last.
    keep_pending(&gated.redis);
    gated.cluster.kill(1);
    gated.gates[1].cut();
    assert!(second.join().unwrap().is_none_or(|answer| answer.status != 200));
    gated.gates[0].open();
    assert_eq!(verdicts(&first.join().unwrap().unwrap()), (1, 0));
    ready(&gated.cluster, 0);
    assert_eq!(verdicts(&gated.cluster.daemon(0).post(JSON, body(&["y"]))), (1, 0));
    assert_eq!(gated.stored(0), ["x", "y"]);
    gated.restart(1);
    assert!(gated.stored(1).is_empty(), "what it had written is another's");
    gated.counts(0, 2);
    gated.counts(1, 0);
}
