//! The wire protocol `pulseboard.v1`, written once: what clients say ([`client`]), what the daemon
//! says ([`server`]), and with which codes a socket closes ([`close`]).
//!
//! Holds types and their JSON, never a socket. TypeScript types are generated from here
//! (`web/src/wire/generated.ts`); a test fails when they drift.

pub mod client;
pub mod close;
mod history;
pub mod server;
#[cfg(test)]
mod typescript;

/// The subprotocol name offered in the upgrade; none offered counts as this one.
pub const SUBPROTOCOL: &str = "pulseboard.v1";
/// `protocol` in the welcome.
pub const PROTOCOL: u32 = 1;

/// Applies a JSON merge patch (RFC 7396) to `target`: what a client does with a delta.
pub fn merge_patch(target: &mut serde_json::Value, patch: &serde_json::Value) {
    use serde_json::Value;
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(target) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge_patch(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// The merge patch (RFC 7396) that turns `from` into `to`; `None` when they are equal. Arrays are
/// replaced whole. Neither side may hold nulls: the protocol has none.
pub fn diff(from: &serde_json::Value, to: &serde_json::Value) -> Option<serde_json::Value> {
    use serde_json::{Map, Value};
    if from == to {
        return None;
    }
    let (Value::Object(from), Value::Object(to)) = (from, to) else { return Some(to.clone()) };
    let mut patch = Map::new();
    for (key, value) in to {
        match from.get(key) {
            None => {
                patch.insert(key.clone(), value.clone());
            }
            Some(old) => {
                if let Some(inner) = diff(old, value) {
                    patch.insert(key.clone(), inner);
                }
            }
        }
    }
    for key in from.keys().filter(|key| !to.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    Some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_diff_applied_gives_the_new_value() {
        let from = json!({"a": 1, "b": {"x": 1, "y": 2}, "gone": {"z": 1}, "rows": [1, 2]});
        let to = json!({"a": 1, "b": {"x": 1, "y": 3, "w": {}}, "rows": [2], "new": {"k": "v"}});
        let patch = diff(&from, &to).unwrap();
        assert_eq!(patch.get("a"), None, "what did not change is not sent");
        let mut target = from;
        merge_patch(&mut target, &patch);
        assert_eq!(target, to);
        assert_eq!(diff(&target, &to), None);
    }
}
