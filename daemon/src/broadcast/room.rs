//! Rooms and what each has to say at a tick: the delta, ready to send, and snapshots, encoded when
//! first asked for and shared by everyone who asks the same.
//!
//! Sends nothing and knows no session. The hub makes a [`TickSet`] each tick; shards and sessions
//! read it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use pulseboard::wire::server::{Aggregate, History};
use serde_json::Value;

use super::feed::{Frames, HistorySlice, WindowFrame};
use super::wire_frame;

/// What a client asked to join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RoomName {
    /// The window at this place of the settings' list.
    Window(usize),
    /// A room of the protocol that this build does not serve.
    NotAvailable,
    /// No room.
    Unknown,
}

/// Finds the room a client wrote.
pub(super) fn parse(name: &str, windows: &[Arc<str>]) -> RoomName {
    let (base, filter) = match name.split_once('?') {
        Some((base, filter)) => (base, Some(filter)),
        None => (name, None),
    };
    match (base, base.strip_prefix("window:")) {
        ("tail" | "system", _) => RoomName::NotAvailable,
        (_, Some(window)) => match windows.iter().position(|known| **known == *window) {
            Some(index) if filter.is_none() => RoomName::Window(index),
            Some(_) => RoomName::NotAvailable,
            None => RoomName::Unknown,
        },
        _ => RoomName::Unknown,
    }
}

/// All rooms at one tick.
pub(super) struct TickSet {
    /// Counts the sets of this hub, from 1: what a session stands at.
    pub(super) seq: u64,
    /// The tick.
    pub(super) tick: i64,
    /// One a window, in the order of the settings.
    pub(super) rooms: Vec<Option<RoomFrame>>,
    /// Bytes of the snapshots kept, and how many may be.
    cached_bytes: AtomicUsize,
    cached_bytes_max: usize,
}

/// A room at one tick.
pub(super) struct RoomFrame {
    /// `window:5s`.
    name: Arc<str>,
    aggregate: Arc<Aggregate>,
    value: Value,
    text: OnceLock<String>,
    /// The frame for who stands at the tick before; `None` when there was no frame for it.
    pub(super) delta: Option<Bytes>,
    /// Snapshots by the tick the client holds, complete but for `lagged` and `id`.
    snapshots: Mutex<HashMap<Option<i64>, Bytes>>,
}

impl TickSet {
    /// Encodes a tick; `before` is the set of the frame before it.
    pub(super) fn encode(
        before: Option<&TickSet>,
        tick: i64,
        windows: &[Arc<str>],
        frames: &[WindowFrame],
        cached_bytes_max: usize,
    ) -> Self {
        let rooms = windows.iter().enumerate().map(|(index, window)| {
            let frame = frames.iter().find(|frame| frame.window == *window)?;
            let before = before
                .filter(|before| before.tick == tick - 1)
                .and_then(|before| before.rooms.get(index)?.as_ref());
            RoomFrame::encode(before, tick, frame)
        });
        Self {
            seq: before.map_or(0, |before| before.seq) + 1,
            tick,
            rooms: rooms.collect(),
            cached_bytes: AtomicUsize::new(0),
            cached_bytes_max,
        }
    }

    /// The room's frame.
    pub(super) fn room(&self, index: usize) -> Option<&RoomFrame> {
        self.rooms.get(index)?.as_ref()
    }

    /// The pieces of a snapshot frame: header, what is shared, and what is this session's own.
    pub(super) fn snapshot(
        &self,
        room: &RoomFrame,
        since: Option<i64>,
        lagged: u64,
        frames: Option<&dyn Frames>,
    ) -> [Bytes; 3] {
        // A client may say anything; what it says lies in our past, or it misses nothing.
        let since = since.map(|since| since.clamp(0, self.tick));
        let body = self.body(room, since, frames);
        let end = Bytes::from(format!(",\"lagged\":{lagged}}}"));
        let mut header = BytesMut::with_capacity(wire_frame::HEADER_BYTES_MAX);
        wire_frame::put_text_header(&mut header, body.len() + end.len());
        [header.freeze(), body, end]
    }

    /// The shared part of a snapshot. Encoding happens under the room's lock, so that many who ask
    /// for the same wait for one; past the bound it is encoded for each and not kept.
    fn body(&self, room: &RoomFrame, since: Option<i64>, frames: Option<&dyn Frames>) -> Bytes {
        let mut kept = room.snapshots.lock();
        if let Some(body) = kept.get(&since) {
            return body.clone();
        }
        if self.cached_bytes.load(Ordering::Relaxed) >= self.cached_bytes_max {
            drop(kept);
            return room.encode_body(self.tick, since, frames);
        }
        let body = room.encode_body(self.tick, since, frames);
        self.cached_bytes.fetch_add(body.len(), Ordering::Relaxed);
        kept.insert(since, body.clone());
        body
    }
}

impl RoomFrame {
    fn encode(before: Option<&RoomFrame>, tick: i64, frame: &WindowFrame) -> Option<Self> {
        let value = match serde_json::to_value(&*frame.aggregate) {
            Ok(value) => value,
            Err(error) => {
                tracing::error!(%error, window = %frame.window, "an aggregate cannot be encoded");
                return None;
            }
        };
        let name: Arc<str> = match before {
            Some(before) => before.name.clone(),
            None => format!("window:{}", frame.window).into(),
        };
        let delta = before.map(|before| {
            let patch = pulseboard::wire::diff(&before.value, &value)
                .unwrap_or_else(|| Value::Object(serde_json::Map::new()));
            let base = tick - 1;
            let mut text = format!(
                "{{\"op\":\"delta\",\"room\":{},\"tick\":{tick},\"base\":{base},\"aggregate\":{patch}",
                quoted(&name)
            );
            if let Some(corrections) = frame.corrections.as_deref().filter(|c| !c.tick.is_empty()) {
                text.push_str(",\"corrections\":");
                push_json(&mut text, corrections);
            }
            text.push('}');
            wire_frame::text(text.as_bytes())
        });
        Some(Self {
            name,
            aggregate: frame.aggregate.clone(),
            value,
            text: OnceLock::new(),
            delta,
            snapshots: Mutex::default(),
        })
    }

    fn encode_body(&self, tick: i64, since: Option<i64>, frames: Option<&dyn Frames>) -> Bytes {
        let window = self.name.strip_prefix("window:").unwrap_or(&self.name);
        let slice = frames.and_then(|frames| frames.history(window, since)).unwrap_or_default();
        let HistorySlice { mut history, corrections } = slice;
        settle(&mut history, &self.aggregate, since);
        let aggregate = self.text.get_or_init(|| self.value.to_string());
        let mut text = format!(
            "{{\"op\":\"snapshot\",\"room\":{},\"tick\":{tick},\"aggregate\":{aggregate}",
            quoted(&self.name)
        );
        if let Some(from) = history.tick.first() {
            text.push_str(",\"history\":");
            push_json(&mut text, &history);
            text.push_str(",\"historyFrom\":");
            push_json(&mut text, from);
        }
        if let Some(corrections) = corrections.filter(|corrections| !corrections.tick.is_empty()) {
            text.push_str(",\"corrections\":");
            push_json(&mut text, &corrections);
        }
        Bytes::from(text)
    }
}

/// Makes a history end exactly where the snapshot stands: the aggregator may have gone on since
/// the frame, and the entry of the frame's own tick equals the frame.
fn settle(history: &mut History, aggregate: &Aggregate, since: Option<i64>) {
    let keep = history.tick.partition_point(|tick| *tick < aggregate.tick);
    history.tick.truncate(keep);
    history.events.truncate(keep);
    history.active_users.truncate(keep);
    history.errors.truncate(keep);
    history.p50.truncate(keep);
    history.p95.truncate(keep);
    history.p99.truncate(keep);
    for column in history.status_classes.values_mut() {
        column.truncate(keep);
    }
    if since.is_some_and(|since| since >= aggregate.tick) {
        return;
    }
    for class in aggregate.status_classes.keys() {
        // A class that did not occur before was measured all the same where anything was.
        let measured = || history.events.iter().map(|events| events.map(|_| 0)).collect();
        history.status_classes.entry(class.clone()).or_insert_with(measured);
    }
    for (class, column) in &mut history.status_classes {
        column.push(Some(aggregate.status_classes.get(class).copied().unwrap_or(0)));
    }
    history.tick.push(aggregate.tick);
    history.events.push(Some(aggregate.events));
    history.active_users.push(Some(aggregate.active_users));
    history.errors.push(Some(aggregate.errors));
    let latency = aggregate.latency_ms;
    history.p50.push(latency.map(|latency| latency.p50));
    history.p95.push(latency.map(|latency| latency.p95));
    history.p99.push(latency.map(|latency| latency.p99));
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn push_json(text: &mut String, value: &impl serde::Serialize) {
    text.push_str(&serde_json::to_string(value).expect("history has string keys only"));
}
