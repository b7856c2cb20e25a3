//! Rooms and what each has to say at a tick: the delta, ready to send, and snapshots, encoded when
//! first asked for and shared by everyone who asks the same.
//!
//! Sends nothing and knows no session. The hub makes a [`TickSet`] each tick, and one for each view
//! that is watched; shards and sessions read it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use pulseboard::wire::server::{Aggregate, History};
use serde_json::Value;

use super::feed::{Histories, HistorySlice, WindowFrame};
use super::wire_frame;

/// What a client asked to join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RoomName<'a> {
    /// The window at this place of the settings' list, and the filter expression after it.
    Window(usize, Option<&'a str>),
    /// A room of the protocol that this build does not serve.
    NotAvailable,
    /// No room.
    Unknown,
}

/// Finds the room a client wrote.
pub(super) fn parse<'a>(name: &'a str, windows: &[Arc<str>]) -> RoomName<'a> {
    let (base, query) = match name.split_once('?') {
        Some((base, query)) => (base, Some(query)),
        None => (name, None),
    };
    if matches!(base, "tail" | "system") {
        return RoomName::NotAvailable;
    }
    let window = base.strip_prefix("window:");
    let index = window.and_then(|window| windows.iter().position(|known| **known == *window));
    let filter = query.map(|query| query.strip_prefix("filter="));
    match (index, filter) {
        (Some(index), None) => RoomName::Window(index, None),
        (Some(index), Some(Some(filter))) => RoomName::Window(index, Some(filter)),
        _ => RoomName::Unknown,
    }
}

/// All rooms of a view at one tick; the view of everything is one.
pub(super) struct TickSet {
    /// Counts the sets of this view, from 1: what a session stands at.
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
    pub(super) delta: Option<Delta>,
    /// Snapshots by the tick the client holds, from behind the room's name to before `lagged`.
    snapshots: Mutex<HashMap<Option<i64>, Bytes>>,
}

/// A delta, encoded once for everyone.
pub(super) struct Delta {
    /// The frame as the room's plain name has it.
    whole: Bytes,
    /// The message from behind the room's name on, for who wrote the name otherwise.
    rest: Bytes,
}

impl Delta {
    /// The pieces of the frame, under the name a client wrote.
    pub(super) fn pieces(&self, written: Option<&str>) -> [Bytes; 2] {
        match written {
            None => [self.whole.clone(), Bytes::new()],
            Some(name) => [beginning("delta", name, self.rest.len()), self.rest.clone()],
        }
    }
}

/// The header of a text frame, and its message up to the room's name; `rest` bytes follow.
fn beginning(op: &str, room: &str, rest: usize) -> Bytes {
    let text = format!("{{\"op\":\"{op}\",\"room\":{}", quoted(room));
    let mut frame = BytesMut::with_capacity(wire_frame::HEADER_BYTES_MAX + text.len());
    wire_frame::put_text_header(&mut frame, text.len() + rest);
    frame.extend_from_slice(text.as_bytes());
    frame.freeze()
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

    /// The pieces of a snapshot frame: what is this session's own, what is shared, and its end.
    /// `written` is the room's name where the client wrote it otherwise.
    pub(super) fn snapshot(
        &self,
        room: &RoomFrame,
        written: Option<&str>,
        since: Option<i64>,
        lagged: u64,
        histories: Option<&dyn Histories>,
    ) -> [Bytes; 3] {
        let body = self.prepare(room, since, histories);
        let end = Bytes::from(format!(",\"lagged\":{lagged}}}"));
        let name = written.unwrap_or(&room.name);
        [beginning("snapshot", name, body.len() + end.len()), body, end]
    }

    /// Encodes the shared part of a snapshot, unless that was done.
    pub(super) fn prepare(
        &self,
        room: &RoomFrame,
        since: Option<i64>,
        histories: Option<&dyn Histories>,
    ) -> Bytes {
        // A client may say anything; what it says lies in our past, or it misses nothing.
        let since = since.map(|since| since.clamp(0, self.tick));
        self.body(room, since, histories)
    }

    /// The shared part of a snapshot. Encoding happens under the room's lock, so that many who ask
    /// for the same wait for one; past the bound it is encoded for each and not kept.
    fn body(
        &self,
        room: &RoomFrame,
        since: Option<i64>,
        histories: Option<&dyn Histories>,
    ) -> Bytes {
        let mut kept = room.snapshots.lock();
        if let Some(body) = kept.get(&since) {
            return body.clone();
        }
        if self.cached_bytes.load(Ordering::Relaxed) >= self.cached_bytes_max {
            drop(kept);
            return room.encode_body(self.tick, since, histories);
        }
        let body = room.encode_body(self.tick, since, histories);
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
            let mut text = format!(",\"tick\":{tick},\"base\":{base},\"aggregate\":{patch}");
            if let Some(corrections) = frame.corrections.as_deref().filter(|c| !c.tick.is_empty()) {
                text.push_str(",\"corrections\":");
                push_json(&mut text, corrections);
            }
            text.push('}');
            let rest = Bytes::from(text);
            let begin = beginning("delta", &name, rest.len());
            Delta { whole: [begin, rest.clone()].concat().into(), rest }
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

    fn encode_body(
        &self,
        tick: i64,
        since: Option<i64>,
        histories: Option<&dyn Histories>,
    ) -> Bytes {
        let window = self.name.strip_prefix("window:").unwrap_or(&self.name);
        let slice = histories.and_then(|histories| histories.history(window, since, tick));
        let slice = slice.unwrap_or_default();
        let HistorySlice { mut history, corrections } = slice;
        settle(&mut history, &self.aggregate, since);
        let aggregate = self.text.get_or_init(|| self.value.to_string());
        let mut text = format!(",\"tick\":{tick},\"aggregate\":{aggregate}");
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
