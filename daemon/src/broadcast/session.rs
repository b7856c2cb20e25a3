//! A session: one client on one socket, from welcome to close. A task of its own reads and answers;
//! ticks are written by its shard, and by the task where the socket was not ready.
//!
//! What arrives in one read is decoded together, and its publishes go to the journal as one group.
//! The task stops reading while too many publishes are unacknowledged or too much waits to be sent.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use pulseboard::claims::Scope;
use pulseboard::filter::Filter;
use pulseboard::wire::server::{ErrorMessage, ServerMessage, Snapshot, WelcomeLimits};
use tokio::io::{Interest, Ready};

use super::admission::Standing;
use super::feed::Refusal;
use super::hub::{Hub, Place};
use super::member::Member;
use super::message::{self, Request};
use super::protocol::{Ending, Heard, Reader};
use super::rooms::{Asked, Room};
use super::wire_frame;
use diary::Diary;

mod diary;
mod parting;
mod publish;
mod standing;

/// One read of one socket, bytes; the buffer belongs to the thread.
const READ_BYTES: usize = 64 * 1024;

thread_local! {
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

struct Session {
    hub: Arc<Hub>,
    member: Arc<Member>,
    /// Who speaks, and by which token.
    standing: Standing,
    /// Where it comes from, as limits count it.
    address: IpAddr,
    /// The limits its client was told last, and as of which version.
    told: Option<WelcomeLimits>,
    limits_version: u64,
    reader: Reader,
    /// Received, but not decoded: reading was paused in the middle.
    unread: Bytes,
    /// Whether the reader may hold whole messages, or `unread` has some.
    more: bool,
    /// Publishes decoded since the last group left.
    gathered: publish::Gathered,
    /// A rewound snapshot to look up before anything else is decoded.
    lookup: Option<Lookup>,
}

struct Lookup {
    id: Option<u64>,
    room: String,
    window: Arc<str>,
    filter: Filter,
    at: i64,
}

/// Runs a session to its end. `received` came with the upgrade request.
pub(super) async fn run(
    hub: Arc<Hub>,
    member: Arc<Member>,
    received: Bytes,
    standing: Standing,
    place: Place,
) {
    let mut session = Session {
        standing,
        address: place.address(),
        told: None,
        limits_version: hub.limits.version(),
        reader: Reader::new(hub.limits.frame_bytes()),
        hub,
        member,
        more: !received.is_empty(),
        unread: received,
        gathered: publish::Gathered::default(),
        lookup: None,
    };
    let diary = Diary::open(&session.hub.clock, session.address);
    session.begin();
    let ending = session.serve().await;
    diary.close(&session.hub.clock, &session.standing, ending);
    session.launch();
    session.end(ending).await;
    drop(place);
}

impl Session {
    async fn serve(&mut self) -> Ending {
        loop {
            if let Some((code, reason)) = self.member.closing() {
                return Ending::Close(code, reason);
            }
            if let Err(ending) = self.verify_again() {
                return ending;
            }
            self.tell_limits();
            let frames = self.hub.frames().map(|frames| &**frames);
            match self.member.go_on(|| self.hub.newest(), frames) {
                Ok(sent) => self.hub.totals.add(sent),
                Err(_) => return Ending::Gone,
            }
            if let Some(lookup) = self.lookup.take() {
                self.look_up(lookup).await;
            }
            let (blocked, waits) = self.member.with(|out| (out.is_blocked(), out.comes_first()));
            let reads = !waits && !self.is_at_limit();
            if reads && self.more {
                let unread = std::mem::take(&mut self.unread);
                if let Err(ending) = self.decode(&unread, |rest| unread.slice_ref(rest)) {
                    return ending;
                }
                tokio::task::coop::consume_budget().await;
                continue;
            }
            let interest = match (reads, blocked) {
                (true, false) => Some(Interest::READABLE),
                (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
                (false, true) => Some(Interest::WRITABLE),
                (false, false) => None,
            };
            let ready = tokio::select! {
                () = self.member.wake.notified() => Ready::EMPTY,
                ready = ready(&self.member, interest) => match ready {
                    Ok(ready) => ready,
                    Err(_) => return Ending::Gone,
                },
            };
            let readable = ready.is_readable() || ready.is_read_closed() || ready.is_error();
            if reads && readable {
                match self.read() {
                    // A client that never stops sending must not keep a worker from the others.
                    Ok(READ_BYTES) => tokio::task::yield_now().await,
                    Ok(_) => tokio::task::coop::consume_budget().await,
                    Err(ending) => return ending,
                }
            }
        }
    }

    /// Reads once and decodes what came; says how many bytes that were.
    fn read(&mut self) -> Result<usize, Ending> {
        READ.with_borrow_mut(|buffer| match self.member.tcp.try_read(buffer) {
            Ok(0) => Err(Ending::Gone),
            Ok(bytes) => {
                self.member.heard();
                self.decode(&buffer[..bytes], Bytes::copy_from_slice)?;
                Ok(bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(_) => Err(Ending::Gone),
        })
    }

    /// Decodes and answers what was received, as far as the limits allow; keeps the rest.
    fn decode(
        &mut self,
        mut input: &[u8],
        keep: impl FnOnce(&[u8]) -> Bytes,
    ) -> Result<(), Ending> {
        // The limit may have changed since.
        self.reader.limit(self.frame_bytes());
        let mut control = Vec::new();
        let heard = loop {
            match self.reader.next(&mut input, &mut control) {
                Ok(Heard::Text(text)) => {
                    if let Err(ending) = self.answer(&text.into()) {
                        break Err(ending);
                    }
                }
                Ok(Heard::Nothing) => {
                    self.more = false;
                    break Ok(());
                }
                Err(ending) => break Err(ending),
            }
            let full = control.len() > super::outbox::ANSWER_BYTES;
            if full || self.lookup.is_some() || self.is_at_limit() || self.must_write_first() {
                self.more = true;
                self.unread = keep(input);
                break Ok(());
            }
        };
        if !control.is_empty() {
            self.member.send(control.into());
        }
        self.launch();
        heard
    }

    fn is_at_limit(&self) -> bool {
        let inflight = self.member.inflight.load(Ordering::Acquire);
        inflight + self.gathered.len() >= self.hub.limits.socket_inflight()
    }

    fn must_write_first(&self) -> bool {
        self.member.with(|outbox| outbox.comes_first())
    }

    /// Sends the publishes gathered so far on their way.
    fn launch(&mut self) {
        if self.gathered.len() > 0 {
            let gathered = std::mem::take(&mut self.gathered);
            let author = &self.standing.author;
            publish::launch(gathered, self.hub.publish.as_ref(), author, &self.member);
        }
    }

    fn say(&self, message: &ServerMessage) {
        self.member.send(encode(message));
    }

    fn refuse(&self, id: Option<u64>, room: Option<String>, refusal: Refusal) {
        self.say(&error(id, room, refusal));
    }

    fn answer(&mut self, text: &Bytes) -> Result<(), Ending> {
        match message::parse(text) {
            Ok(Request::Publish { id, events }) => match self.may(Scope::Ingest) {
                Ok(()) => self.gathered.push(id, events),
                Err(refusal) => self.refuse(id, None, refusal),
            },
            Ok(Request::Ping { id }) => self.ping(id),
            Ok(Request::Subscribe { rooms, since }) => self.subscribe(rooms, &since),
            Ok(Request::Unsubscribe { rooms }) => self.unsubscribe(rooms),
            Ok(Request::Get { id, room, at }) => self.get(id, room, at),
            Ok(Request::Auth { token }) => return self.authenticate(token),
            Err(misunderstood) => self.refuse(misunderstood.id, None, misunderstood.refusal),
        }
        Ok(())
    }

    fn ping(&self, id: Option<u64>) {
        if self.standing.author.grant.is_nothing() {
            self.refuse(id, None, standing::unauthorized());
        } else {
            self.say(&ServerMessage::Pong { id });
        }
    }

    fn subscribe(&self, rooms: Vec<String>, since: &BTreeMap<String, i64>) {
        let rooms_max = self.hub.limits.rooms_per_socket();
        for (asked, name) in rooms.into_iter().enumerate() {
            let too_many = || {
                Refusal::new(
                    "too_many_rooms",
                    format!("a socket may be in {rooms_max} rooms; leave one first"),
                )
            };
            if asked >= rooms_max {
                // One answer for the rest: a message may not ask for more answers than that.
                return self.refuse(None, Some(name), too_many());
            }
            match self.enter(&name, since.get(&name).copied()) {
                Ok(true) => {}
                Ok(false) => self.refuse(None, Some(name), too_many()),
                Err(refusal) => self.refuse(None, Some(name), refusal),
            }
        }
    }

    /// Joins a room, or asks anew for its snapshot; says whether there was place for it.
    fn enter(&self, name: &str, since: Option<i64>) -> Result<bool, Refusal> {
        let asked = self.room(name)?;
        let rooms_max = self.hub.limits.rooms_per_socket();
        let fits = self.member.with(|outbox| {
            outbox.is_in(asked.window, asked.written.as_deref()) || outbox.rooms() < rooms_max
        });
        if fits {
            let room = self.hub.room(asked)?;
            self.member.with(|outbox| outbox.join(room, since));
        }
        Ok(fits)
    }

    fn unsubscribe(&self, rooms: Vec<String>) {
        for (asked, name) in rooms.into_iter().enumerate() {
            if asked >= self.hub.limits.rooms_per_socket() {
                let refusal = Refusal::new("too_many_rooms", "more rooms than a socket may be in");
                return self.refuse(None, Some(name), refusal);
            }
            match self.room(&name) {
                Ok(room) => {
                    if self.leave(room.window, room.written.as_deref()) {
                        self.say(&ServerMessage::Unsubscribed { room: name });
                    } else {
                        let refusal = Refusal::new("not_subscribed", "not in this room");
                        self.refuse(None, Some(name), refusal);
                    }
                }
                Err(refusal) => self.refuse(None, Some(name), refusal),
            }
        }
    }

    fn get(&mut self, id: Option<u64>, room: String, at: i64) {
        match self.room(&room) {
            Ok(asked) => {
                let window = self.hub.settings.windows[asked.window].clone();
                self.lookup = Some(Lookup { id, room, window, filter: asked.filter, at });
            }
            Err(refusal) => self.refuse(id, Some(room), refusal),
        }
    }

    /// Leaves a room; says whether it was in it.
    fn leave(&self, window: usize, written: Option<&str>) -> bool {
        self.member.with(|outbox| outbox.leave(window, written))
    }

    /// The rooms it is in, as it named them.
    fn rooms(&self) -> Vec<(Room, String)> {
        let windows = &self.hub.settings.windows;
        let name = |room: &Room| match &room.written {
            Some(written) => written.to_string(),
            None => format!("window:{}", windows[room.window]),
        };
        let joined = self.member.with(|outbox| outbox.joined());
        joined.into_iter().map(|room| (room.clone(), name(&room))).collect()
    }

    /// What a room's name means, as far as its token lets it see that.
    fn room(&self, name: &str) -> Result<Asked, Refusal> {
        let system = name == "system";
        self.may(if system { Scope::Admin } else { Scope::Read })?;
        self.hub.find(name, &self.standing.author.grant)
    }

    /// Answers a `get`. Nothing else of this client is decoded meanwhile.
    async fn look_up(&self, lookup: Lookup) {
        let Lookup { id, room, window, filter, at } = lookup;
        let found = match (self.hub.frames().cloned(), self.hub.lookups.acquire().await) {
            (Some(frames), Ok(_turn)) => {
                tokio::task::spawn_blocking(move || frames.at(&window, &filter, at)).await.ok()
            }
            _ => None,
        };
        match found {
            Some(Ok(aggregate)) => self.say(&ServerMessage::Snapshot(Snapshot {
                room,
                tick: aggregate.tick,
                aggregate,
                history: None,
                history_from: None,
                corrections: None,
                lagged: 0,
                id,
            })),
            Some(Err(refusal)) => self.refuse(id, Some(room), refusal),
            None => {
                let refusal = Refusal::new("internal", "the tick could not be looked up");
                self.refuse(id, Some(room), refusal);
            }
        }
    }
}

async fn ready(member: &Member, interest: Option<Interest>) -> io::Result<Ready> {
    match interest {
        Some(interest) => member.tcp.ready(interest).await,
        None => std::future::pending().await,
    }
}

pub(super) fn encode(message: &ServerMessage) -> Bytes {
    wire_frame::text(&serde_json::to_vec(message).expect("messages have string keys only"))
}

pub(super) fn error(id: Option<u64>, room: Option<String>, refusal: Refusal) -> ServerMessage {
    ServerMessage::Error(ErrorMessage {
        id,
        room,
        code: refusal.code.into_owned(),
        message: refusal.message,
        retry_after_ms: refusal.retry_after_ms,
    })
}
