//! The events of a round: made from its seed, each with its own id and time, so that what must be
//! stored and counted is known to the last one.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::support::now_ms;

/// An event as it is sent, whenever and wherever it is sent again.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) value: Value,
}

/// One client's events.
pub(crate) struct Stream {
    random: StdRng,
    name: String,
    count: u64,
    /// Bytes of noise in each event: to fill a disk.
    padding: usize,
}

impl Stream {
    pub(crate) fn new(seed: u64, client: usize, padding: usize) -> Self {
        let random = StdRng::seed_from_u64(seed.wrapping_mul(1_000).wrapping_add(client as u64));
        Self { random, name: format!("r{seed}-c{client}"), count: 0, padding }
    }

    /// The client's own chance, for what it does beside events.
    pub(crate) fn random(&mut self) -> &mut StdRng {
        &mut self.random
    }

    pub(crate) fn batch(&mut self, len: usize) -> Vec<Event> {
        (0..len).map(|_| self.event()).collect()
    }

    fn event(&mut self) -> Event {
        self.count += 1;
        let id = format!("{}-{}", self.name, self.count);
        let random = &mut self.random;
        let status = match random.random_range(0..100) {
            0..90 => 200,
            90..94 => 304,
            94..98 => 404,
            _ => 500,
        };
        let kind = ["page_view", "click", "error"][random.random_range(0..20_usize) / 9];
        // A few routes have most of the traffic; some events come a little late.
        let route = random.random_range(0..40_u32).min(random.random_range(0..40));
        let late_ms = if random.random_bool(0.1) { random.random_range(0..3_000) } else { 0 };
        let mut value = json!({
            "eventId": id, "type": kind, "route": format!("/route-{route}"), "status": status,
            "timestamp": now_ms() - late_ms, "userId": format!("u{}", random.random_range(0..500)),
            "sessionId": format!("s{}", random.random_range(0..900)),
            "latencyMs": f64::from(random.random_range(1..40_000)) / 16.0,
        });
        if self.padding > 0 {
            let noise: String =
                (0..self.padding).map(|_| char::from(random.random_range(b'!'..b'['))).collect();
            value["props"] = json!({ "noise": noise });
        }
        Event { id, value }
    }
}
