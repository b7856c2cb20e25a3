//! Demo traffic for a daemon in dev mode: about thirty events a second with the daily shape and the
//! error spells of [`story`], made by the same generator as `pulseboard load`. Pure; the connection
//! sends what this makes.

use serde_json::value::RawValue;

use super::DEMO_EVERY;
use crate::commands::traffic::{Generator, Profile, story};

/// Mean events a second: a picture that moves, and a load no laptop notices.
const EVENTS_PER_SECOND: f64 = 30.0;

/// A stream of batches.
#[derive(Debug)]
pub struct Traffic {
    generator: Generator,
    elapsed_ms: u64,
    /// The part of an event that did not fit the last batch.
    owed: f64,
    rest_ms: u64,
}

impl Traffic {
    /// Its own visitors for each seed.
    pub fn new(seed: u64) -> Self {
        let profile = Profile { users: 400, routes: 14, error_rate: 0.008, story: true };
        Self { generator: Generator::new(seed, profile), elapsed_ms: 0, owed: 0.0, rest_ms: 0 }
    }

    /// Sends nothing for a while: the daemon asked for a pause.
    pub fn rest(&mut self, pause_ms: u64) {
        self.rest_ms = self.rest_ms.max(pause_ms);
    }

    /// The events of the next quarter second as a JSON array; none while it rests or when none fall
    /// into it.
    pub fn batch(&mut self) -> Option<Box<RawValue>> {
        let step_ms = DEMO_EVERY.as_millis() as u64;
        self.elapsed_ms += step_ms;
        if self.rest_ms > 0 {
            self.rest_ms = self.rest_ms.saturating_sub(step_ms);
            return None;
        }
        let rate = EVENTS_PER_SECOND * story::rate_factor(self.elapsed_ms);
        self.owed += rate * step_ms as f64 / 1_000.0;
        let count = self.owed.floor();
        self.owed -= count;
        let mut json = vec![b'['];
        for _ in 0..count as u64 {
            if json.len() > 1 {
                json.push(b',');
            }
            self.generator.next_event(self.elapsed_ms).write_json(&mut json);
        }
        json.push(b']');
        let text = String::from_utf8(json).ok()?;
        if count > 0.0 { RawValue::from_string(text).ok() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulseboard::wire::client::EventInput;

    #[test]
    fn every_batch_is_an_array_of_events_small_enough_for_any_socket() {
        let mut traffic = Traffic::new(7);
        let mut events = 0;
        for _ in 0..240 {
            let Some(batch) = traffic.batch() else { continue };
            assert!(batch.get().len() < 16 << 10, "{} bytes", batch.get().len());
            events += serde_json::from_str::<Vec<EventInput>>(batch.get()).unwrap().len();
        }
        assert!((600..=6_000).contains(&events), "{events} events in a minute");
    }

    #[test]
    fn it_rests_as_long_as_it_is_asked_to() {
        let mut traffic = Traffic::new(7);
        traffic.rest(1_000);
        for _ in 0..4 {
            assert!(traffic.batch().is_none());
        }
        assert!((0..8).any(|_| traffic.batch().is_some()));
    }
}
