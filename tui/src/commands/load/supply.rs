//! Where the senders get their batches: from a pace, which makes as many events as are due, or
//! from a press of their own, which makes them as fast as they are taken.
//!
//! The press prints from prepared text: it replaces ids in place and writes each text anew after a
//! few uses, so that the driver costs little beside what it measures.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Stopped;
use crate::commands::traffic::{EventId, Generator, Profile, story};

/// How often the pace makes what is due.
const STEP: Duration = Duration::from_millis(10);
/// When the daemon is slower than the pace, at most this much is caught up on, seconds.
const DEBT_SECS: f64 = 1.0;
/// Batches made ahead of the senders.
const BATCHES_AHEAD: usize = 64;
/// Events all presses together keep prepared.
const PREPARED_EVENTS: usize = 65_536;
/// A prepared text is written anew after so many uses.
const USES: u32 = 8;

/// Event objects, joined as asked for.
pub(super) struct Batch {
    pub(super) text: Vec<u8>,
    pub(super) events: u32,
}

impl Batch {
    /// The first `most` events and the rest, of a batch joined by commas.
    pub(super) fn split_commas(self, most: u32) -> (Self, Option<Self>) {
        if self.events <= most {
            return (self, None);
        }
        let array = [b"[", &self.text[..], b"]"].concat();
        let Ok(events) = serde_json::from_slice::<Vec<&RawValue>>(&array) else {
            return (self, None);
        };
        let (first, rest) = events.split_at(most.max(1) as usize);
        let joined = |events: &[&RawValue]| {
            let texts: Vec<&str> = events.iter().map(|event| event.get()).collect();
            Self { text: texts.join(",").into_bytes(), events: events.len() as u32 }
        };
        (joined(first), Some(joined(rest)))
    }
}

/// What stands between two events.
#[derive(Clone, Copy, Debug)]
pub(super) enum Joint {
    /// NDJSON.
    LineFeed = b'\n' as isize,
    /// A JSON array, whose brackets are the sender's to write.
    Comma = b',' as isize,
}

/// One sender's source of batches.
pub(super) enum Supply {
    Pace(Pace),
    Press(Box<Press>),
}

/// One sender's end of the queue that the pace fills.
#[derive(Clone)]
pub(super) struct Pace {
    queue: Arc<Mutex<mpsc::Receiver<Batch>>>,
    batch_events: u32,
    joint: Joint,
}

impl Supply {
    /// The next batch; none after the end. Safe to drop while it waits.
    pub(super) async fn next(&mut self) -> Option<Batch> {
        match self {
            Self::Pace(pace) => pace.next().await,
            Self::Press(press) => Some(press.print()),
        }
    }
}

impl Pace {
    /// What is due. Where senders are slower than the pace, what has gathered goes in one batch.
    async fn next(&self) -> Option<Batch> {
        let mut queue = self.queue.lock().await;
        let mut batch = queue.recv().await?;
        while batch.events + chunk_events(self.batch_events) <= self.batch_events {
            let Ok(more) = queue.try_recv() else { break };
            batch.text.push(self.joint as u8);
            batch.text.extend_from_slice(&more.text);
            batch.events += more.events;
        }
        Some(batch)
    }
}

/// What the pace queues at once: a part of a batch, so that several can be joined into one.
fn chunk_events(batch_events: u32) -> u32 {
    batch_events.div_ceil(8)
}

/// Makes events at a rate, until it is stopped.
pub(super) fn pace(
    mut generator: Generator,
    events_per_second: f64,
    with_story: bool,
    batch_events: u32,
    joint: Joint,
    mut stopped: Stopped,
) -> Pace {
    let (out, queue) = mpsc::channel(BATCHES_AHEAD);
    tokio::spawn(async move {
        let began = Instant::now();
        let mut last = began;
        let mut owed = 0.0;
        let mut steps = interval(STEP);
        steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stopped.wait() => return,
                _ = steps.tick() => {}
            }
            let now = Instant::now();
            let elapsed_ms = (now - began).as_millis() as u64;
            let factor = if with_story { story::rate_factor(elapsed_ms) } else { 1.0 };
            let rate = events_per_second * factor;
            owed += rate * (now - last).as_secs_f64();
            owed = owed.min((rate * DEBT_SECS).max(1.0));
            last = now;
            while owed >= 1.0 {
                let events = (owed as u32).min(chunk_events(batch_events));
                owed -= f64::from(events);
                let mut text = Vec::with_capacity(events as usize * 256);
                for _ in 0..events {
                    if !text.is_empty() {
                        text.push(joint as u8);
                    }
                    generator.next_event(elapsed_ms).write_json(&mut text);
                }
                tokio::select! {
                    biased;
                    () = stopped.wait() => return,
                    sent = out.send(Batch { text, events }) => if sent.is_err() { return },
                }
            }
        }
    });
    Pace { queue: Arc::new(Mutex::new(queue)), batch_events, joint }
}

/// Prints batches from prepared text.
pub(super) struct Press {
    generator: Generator,
    plates: Vec<Plate>,
    next: usize,
    batch_events: u32,
    joint: Joint,
}

/// A prepared text, and where its ids stand.
struct Plate {
    text: Vec<u8>,
    ids: Vec<Range<usize>>,
    uses_left: u32,
}

impl Press {
    /// One of `presses` that work at once.
    pub(super) fn new(
        seed: u64,
        profile: Profile,
        batch_events: u32,
        joint: Joint,
        presses: u32,
    ) -> Self {
        let plates = PREPARED_EVENTS / batch_events as usize / presses as usize;
        let empty = || Plate { text: Vec::new(), ids: Vec::new(), uses_left: 0 };
        Self {
            generator: Generator::new(seed, profile),
            plates: (0..plates.max(2)).map(|_| empty()).collect(),
            next: 0,
            batch_events,
            joint,
        }
    }

    /// The next batch; every event in it has an id that was never used.
    pub(super) fn print(&mut self) -> Batch {
        let at = self.next;
        self.next = (at + 1) % self.plates.len();
        let plate = &mut self.plates[at];
        if plate.uses_left == 0 {
            plate.uses_left = USES;
            plate.text.clear();
            plate.ids.clear();
            for _ in 0..self.batch_events {
                if !plate.text.is_empty() {
                    plate.text.push(self.joint as u8);
                }
                plate.ids.push(self.generator.next_event(0).write_json(&mut plate.text));
            }
        } else {
            for at in &plate.ids {
                let id: [u8; EventId::LEN] = self.generator.next_id().to_text();
                plate.text[at.clone()].copy_from_slice(&id);
            }
        }
        plate.uses_left -= 1;
        Batch { text: plate.text.clone(), events: self.batch_events }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use pulseboard::wire::client::EventInput;

    use super::*;

    #[test]
    fn a_press_never_prints_an_id_twice() {
        let mut press = Press::new(1, Profile::default(), 1_000, Joint::LineFeed, 16);
        let mut ids = HashSet::new();
        for _ in 0..50 {
            let batch = press.print();
            let text = String::from_utf8(batch.text).unwrap();
            for line in text.lines() {
                let event: EventInput = serde_json::from_str(line).unwrap();
                assert!(ids.insert(event.event_id.unwrap()));
            }
        }
        assert_eq!(ids.len(), 50_000);
    }

    #[test]
    fn commas_make_an_array() {
        let mut press = Press::new(1, Profile::default(), 3, Joint::Comma, 1);
        let text = String::from_utf8(press.print().text).unwrap();
        let events: Vec<EventInput> = serde_json::from_str(&format!("[{text}]")).unwrap();
        assert_eq!(events.len(), 3);
    }

    #[test]
    fn a_batch_of_commas_splits_between_events() {
        let mut press = Press::new(1, Profile::default(), 5, Joint::Comma, 1);
        let (first, rest) = press.print().split_commas(2);
        let rest = rest.unwrap();
        assert_eq!((first.events, rest.events), (2, 3));
        for (batch, count) in [(first, 2), (rest, 3)] {
            let text = String::from_utf8(batch.text).unwrap();
            let events: Vec<EventInput> = serde_json::from_str(&format!("[{text}]")).unwrap();
            assert_eq!(events.len(), count);
        }
        assert!(press.print().split_commas(5).1.is_none());
    }
}
