//! Made-up traffic that looks like a shop's: sessions of visitors who come back, a few routes that
//! take most requests, latencies with a long tail, a share of errors, and on request a [`story`].
//!
//! Pure: the same seed and the same calls give the same events. It reads no clock (elapsed time is
//! an argument), sends nothing, and holds a bounded number of sessions. Called by `load` and by the
//! dashboard's demo key.

mod catalogue;
mod random;
pub mod story;

use std::io::Write as _;
use std::ops::Range;

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use self::catalogue::{Kind, Route};

/// Sessions under way at once, at most.
const SESSIONS_MAX: u32 = 4_096;
/// Events of a session, on average.
const SESSION_EVENTS_MEAN: f64 = 12.0;
/// How much the popular routes and the busy visitors stand out: the exponents of their power laws.
const ROUTE_SKEW: f64 = 1.05;
const USER_SKEW: f64 = 0.8;
/// Of the events that are errors, those that a browser reports and not a server.
const CLIENT_ERROR_SHARE: f64 = 0.15;

/// What the traffic is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Profile {
    /// Distinct visitors, at least 1.
    pub users: u32,
    /// Distinct routes, as the daemon normalises them; at least 1.
    pub routes: u32,
    /// Share of events that are errors, 0..1.
    pub error_rate: f64,
    /// Whether one route at a time has its error spells (see [`story`]).
    pub story: bool,
}

impl Default for Profile {
    fn default() -> Self {
        Self { users: 5_000, routes: 40, error_rate: 0.01, story: false }
    }
}

/// Makes one event after the other.
#[derive(Debug)]
pub struct Generator {
    rng: SmallRng,
    profile: Profile,
    routes: Vec<Route>,
    sessions: Vec<Session>,
    sessions_begun: u64,
    events_made: u64,
    seed: u64,
}

#[derive(Clone, Copy, Debug)]
struct Session {
    user: u32,
    number: u64,
    events_left: u32,
    device: &'static str,
    country: &'static str,
}

/// One event, to be written with [`Event::write_json`].
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// Unique for each seed.
    pub id: EventId,
    /// `type`.
    pub kind: &'static str,
    /// `/product/`, say, when an id goes with it.
    pub route: &'a str,
    /// Written behind the route: what a daemon normalises to `:id`.
    pub route_id: Option<u32>,
    /// The visitor. One in three is not signed in and has a client and a session alone.
    pub user: u32,
    /// The session.
    pub session: u64,
    /// HTTP status, where a server answered.
    pub status: Option<u16>,
    /// In tenths of a ms, where a server answered.
    pub latency_tenths: Option<u32>,
    /// The visitor's device, among props.
    pub device: &'static str,
    /// The visitor's country, among props.
    pub country: &'static str,
}

/// 32 lowercase hexadecimal digits, so that an id in a prepared body can be replaced in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventId {
    /// Tells this run from others.
    pub run: u64,
    /// Counts within the run.
    pub number: u64,
}

impl EventId {
    /// Length as text.
    pub const LEN: usize = 32;

    /// The id as text.
    pub fn to_text(self) -> [u8; Self::LEN] {
        let mut text = [0; Self::LEN];
        let value = u128::from(self.run) << 64 | u128::from(self.number);
        for (at, digit) in text.iter_mut().enumerate() {
            let nibble = (value >> (124 - 4 * at)) as u8 & 0xf;
            *digit = if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
        }
        text
    }
}

impl Generator {
    /// Traffic of its own for each seed.
    pub fn new(seed: u64, profile: Profile) -> Self {
        let profile = Profile {
            users: profile.users.max(1),
            routes: profile.routes.max(1),
            error_rate: profile.error_rate.clamp(0.0, 1.0),
            ..profile
        };
        let mut generator = Self {
            rng: SmallRng::seed_from_u64(seed),
            profile,
            routes: catalogue::routes(profile.routes),
            sessions: Vec::new(),
            sessions_begun: 0,
            events_made: 0,
            seed,
        };
        let sessions = profile.users.div_ceil(4).clamp(1, SESSIONS_MAX);
        generator.sessions = (0..sessions).map(|_| generator.begin_session()).collect();
        generator
    }

    /// The next event. `elapsed_ms` is the time since the traffic began; it moves the story alone.
    pub fn next_event(&mut self, elapsed_ms: u64) -> Event<'_> {
        let id = self.next_id();
        let session = self.visit();
        let rank = random::skewed(&mut self.rng, self.routes.len() as u32, ROUTE_SKEW) as usize;
        let route = &self.routes[rank];
        let spell =
            story::spell(elapsed_ms).filter(|spell| self.profile.story && spell.hits(&route.path));
        let error_rate = spell.map_or(self.profile.error_rate, |spell| spell.error_rate);
        let rng = &mut self.rng;
        let is_error = rng.random_bool(error_rate);
        let mut kind = match route.kind {
            Kind::Api => "api_call",
            Kind::Page if rng.random_bool(0.2) => "click",
            Kind::Page => "page_view",
            Kind::Purchase => "purchase",
        };
        let mut status = (kind != "click").then(|| random::of(rng, success_statuses(route.kind)));
        if is_error {
            if rng.random_bool(CLIENT_ERROR_SHARE) {
                kind = "error";
                status = None;
            } else {
                kind = if kind == "click" { "page_view" } else { kind };
                status = Some(random::of(rng, &[(60, 500), (15, 502), (20, 503), (5, 504)]));
            }
        }
        let slower = spell.map_or(1.0, |spell| spell.slower) * if is_error { 2.0 } else { 1.0 };
        let latency_tenths = status.is_some().then(|| {
            let ms = random::log_normal(rng, route.median_ms * slower, route.spread);
            (ms * 10.0).clamp(1.0, 600_000.0) as u32
        });
        Event {
            id,
            kind,
            route: &route.path,
            route_id: route.has_id.then(|| random::skewed(rng, 2_000, 0.6) + 1_000),
            user: session.user,
            session: session.number,
            status,
            latency_tenths,
            device: session.device,
            country: session.country,
        }
    }

    /// The next event's id alone: for a body that is sent again with other ids.
    pub fn next_id(&mut self) -> EventId {
        self.events_made += 1;
        EventId { run: self.seed, number: self.events_made }
    }

    /// Picks one of the sessions under way; one that is over makes place for a new one.
    fn visit(&mut self) -> Session {
        let at = self.rng.random_range(0..self.sessions.len());
        if self.sessions[at].events_left == 0 {
            self.sessions[at] = self.begin_session();
        }
        self.sessions[at].events_left -= 1;
        self.sessions[at]
    }

    fn begin_session(&mut self) -> Session {
        self.sessions_begun += 1;
        let rng = &mut self.rng;
        let more = -rng.random::<f64>().max(1e-9).ln() * (SESSION_EVENTS_MEAN - 1.0);
        Session {
            user: random::skewed(rng, self.profile.users, USER_SKEW),
            number: self.sessions_begun,
            events_left: 1 + more as u32,
            device: random::of(rng, &[(48, "desktop"), (44, "mobile"), (8, "tablet")]),
            country: random::of(
                rng,
                &[
                    (30, "US"),
                    (18, "DE"),
                    (12, "FR"),
                    (10, "GB"),
                    (10, "BR"),
                    (10, "IN"),
                    (10, "JP"),
                ],
            ),
        }
    }
}

impl Event<'_> {
    /// Appends the event as one JSON object; gives the place of its id's digits in `out`.
    pub fn write_json(&self, out: &mut Vec<u8>) -> Range<usize> {
        out.extend_from_slice(b"{\"eventId\":\"");
        let id_at = out.len();
        out.extend_from_slice(&self.id.to_text());
        out.extend_from_slice(b"\",\"type\":\"");
        out.extend_from_slice(self.kind.as_bytes());
        out.extend_from_slice(b"\",\"route\":\"");
        out.extend_from_slice(self.route.as_bytes());
        if let Some(id) = self.route_id {
            put(out, format_args!("{id}"));
        }
        out.push(b'"');
        if self.is_signed_in() {
            put(out, format_args!(",\"userId\":\"user-{}\"", self.user));
        }
        put(out, format_args!(",\"sessionId\":\"session-{}\"", self.session));
        put(out, format_args!(",\"clientId\":\"client-{}\"", self.user));
        if let Some(status) = self.status {
            put(out, format_args!(",\"status\":{status}"));
        }
        if let Some(tenths) = self.latency_tenths {
            put(out, format_args!(",\"latencyMs\":{}.{}", tenths / 10, tenths % 10));
        }
        put(
            out,
            format_args!(
                ",\"props\":{{\"device\":\"{}\",\"country\":\"{}\"}}}}",
                self.device, self.country
            ),
        );
        id_at..id_at + EventId::LEN
    }

    fn is_signed_in(&self) -> bool {
        !self.user.is_multiple_of(3)
    }
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes every write");
}

/// What a route answers when all is well, with weights.
fn success_statuses(kind: Kind) -> &'static [(u32, u16)] {
    match kind {
        Kind::Page => &[(900, 200), (50, 304), (20, 302), (25, 404), (5, 403)],
        Kind::Api => &[(905, 200), (40, 204), (20, 400), (15, 401), (15, 404), (5, 429)],
        Kind::Purchase => &[(960, 201), (40, 409)],
    }
}

#[cfg(test)]
mod tests;
