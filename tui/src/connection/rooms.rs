//! The rooms a connection is in: puts deltas onto the snapshots they belong to, and remembers the
//! tick each room reached, so that a new connection resumes after it. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use pulseboard::wire::merge_patch;
use pulseboard::wire::server::{Aggregate, Delta, Snapshot};
use serde_json::Value;

use crate::event::Frame;

/// The rooms of one dashboard.
#[derive(Debug, Default)]
pub struct Rooms {
    rooms: BTreeMap<String, Room>,
}

#[derive(Debug)]
struct Room {
    window: Arc<str>,
    /// The newest tick shown; what `since` says after a loss.
    tick: Option<i64>,
    /// The aggregate the next delta applies to; none until this connection's snapshot came.
    aggregate: Option<Value>,
}

/// A delta that does not follow on what is held: only a new subscription helps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutOfStep {
    /// The room.
    pub room: String,
}

impl Rooms {
    /// Joins these windows, forgetting others; ticks already reached are kept. Returns the rooms
    /// and the `since` to subscribe with.
    pub fn join(&mut self, windows: &[String]) -> (Vec<String>, BTreeMap<String, i64>) {
        let names: Vec<String> = windows.iter().map(|window| format!("window:{window}")).collect();
        self.rooms.retain(|name, _| names.contains(name));
        for (name, window) in names.iter().zip(windows) {
            let room = self.rooms.entry(name.clone()).or_insert_with(|| Room {
                window: window.as_str().into(),
                tick: None,
                aggregate: None,
            });
            room.aggregate = None;
        }
        let since =
            self.rooms.iter().filter_map(|(name, room)| Some((name.clone(), room.tick?))).collect();
        (names, since)
    }

    /// Forgets every tick reached: what comes now is another view. Whether there were any.
    pub fn forget(&mut self) -> bool {
        let known = self.rooms.values().any(|room| room.tick.is_some());
        for room in self.rooms.values_mut() {
            (room.tick, room.aggregate) = (None, None);
        }
        known
    }

    /// The `since` of one room, to subscribe to it anew.
    pub fn rejoin(&mut self, name: &str) -> BTreeMap<String, i64> {
        let Some(room) = self.rooms.get_mut(name) else { return BTreeMap::new() };
        room.aggregate = None;
        room.tick.map(|tick| (name.to_owned(), tick)).into_iter().collect()
    }

    /// Takes a snapshot; `None` for a room nobody asked for.
    pub fn snapshot(&mut self, snapshot: Snapshot) -> Option<Frame> {
        let room = self.rooms.get_mut(&snapshot.room)?;
        room.tick = Some(snapshot.tick);
        room.aggregate = serde_json::to_value(&snapshot.aggregate).ok();
        Some(Frame {
            window: room.window.clone(),
            tick: snapshot.tick,
            aggregate: snapshot.aggregate,
            history: snapshot.history,
            corrections: snapshot.corrections,
            lagged: snapshot.lagged,
        })
    }

    /// Takes a delta; `None` for one before its snapshot or of no room of ours.
    pub fn delta(&mut self, delta: Delta) -> Result<Option<Frame>, OutOfStep> {
        let Some(room) = self.rooms.get_mut(&delta.room) else { return Ok(None) };
        let Some(held) = room.aggregate.as_mut() else { return Ok(None) };
        let out_of_step = OutOfStep { room: delta.room };
        if room.tick != Some(delta.base) {
            return Err(out_of_step);
        }
        merge_patch(held, &delta.aggregate);
        let Ok(aggregate) = serde_json::from_value::<Aggregate>(held.clone()) else {
            return Err(out_of_step);
        };
        room.tick = Some(delta.tick);
        Ok(Some(Frame {
            window: room.window.clone(),
            tick: delta.tick,
            aggregate,
            history: None,
            corrections: delta.corrections,
            lagged: 0,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn aggregate(tick: i64) -> Value {
        json!({
            "window": "5s", "tick": tick, "from": (tick - 4) * 1000, "to": (tick + 1) * 1000,
            "events": 10, "eventsPerSecond": 2.0, "activeUsers": 3, "activeSessions": 3,
            "errors": 1, "errorRate": 0.1, "statusClasses": {"2xx": 10}, "types": {},
            "topRoutes": [], "otherRoutes": {"routes": 0, "events": 0, "errors": 0},
            "late": 0, "skewed": 0, "behindMs": 0, "nodes": {"reporting": 1, "expected": 1}
        })
    }

    fn snapshot(tick: i64) -> Snapshot {
        let value = json!({"room": "window:5s", "tick": tick, "aggregate": aggregate(tick)});
        serde_json::from_value(value).unwrap()
    }

    fn delta(base: i64, patch: Value) -> Delta {
        Delta {
            room: "window:5s".into(),
            tick: base + 1,
            base,
            aggregate: patch,
            corrections: None,
        }
    }

    #[test]
    fn a_delta_lands_on_its_snapshot_and_takes_away_what_is_null() {
        let mut rooms = Rooms::default();
        rooms.join(&["5s".into()]);
        rooms.snapshot(snapshot(100)).unwrap();
        let patch = json!({"tick": 101, "events": 0, "errors": 0, "errorRate": null,
            "statusClasses": {"2xx": null}});
        let frame = rooms.delta(delta(100, patch)).unwrap().unwrap();
        assert_eq!((frame.tick, frame.aggregate.events), (101, 0));
        assert_eq!(frame.aggregate.error_rate, None);
        assert!(frame.aggregate.status_classes.is_empty());
        assert_eq!(frame.aggregate.active_users, 3);
    }

    #[test]
    fn a_delta_that_does_not_follow_asks_for_a_new_subscription_since_the_tick_held() {
        let mut rooms = Rooms::default();
        rooms.join(&["5s".into()]);
        rooms.snapshot(snapshot(100)).unwrap();
        let lost = rooms.delta(delta(101, json!({}))).unwrap_err();
        assert_eq!(lost.room, "window:5s");
        assert_eq!(rooms.rejoin(&lost.room), BTreeMap::from([("window:5s".to_owned(), 100)]));
        assert!(rooms.delta(delta(100, json!({}))).unwrap().is_none(), "none before the snapshot");
    }

    #[test]
    fn a_new_connection_resumes_after_the_tick_reached() {
        let mut rooms = Rooms::default();
        let (names, since) = rooms.join(&["1s".into(), "5s".into()]);
        assert_eq!((names.len(), since.len()), (2, 0));
        rooms.snapshot(snapshot(100)).unwrap();
        rooms.delta(delta(100, json!({"tick": 101}))).unwrap().unwrap();
        let (_, since) = rooms.join(&["1s".into(), "5s".into()]);
        assert_eq!(since, BTreeMap::from([("window:5s".to_owned(), 101)]));
    }
}
