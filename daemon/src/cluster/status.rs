//! How the cluster stands, as readiness, both dashboards and the log say it: one sentence that names
//! what to change.

use std::sync::Arc;
use std::time::Duration;

use super::heart::Standing;
use super::link::State;
use super::members::Peer;
use super::{Shared, when};

/// Clocks may differ by this much before it is said, ms.
const CLOCK_OFF_MS: i64 = 1_000;
/// Names in one sentence; the others are counted.
const NAMES_MAX: usize = 3;

/// One check of readiness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Whether all is as it should be.
    pub is_ok: bool,
    /// In a few words; empty where all is well.
    pub brief: String,
    /// A sentence.
    pub detail: String,
}

impl Status {
    fn ok(detail: String) -> Self {
        Self { is_ok: true, brief: String::new(), detail }
    }

    pub(super) fn bad(brief: impl Into<String>, detail: String) -> Self {
        Self { is_ok: false, brief: brief.into(), detail }
    }
}

/// What is said of an id that another daemon lives under.
pub(super) fn taken(node: &str) -> String {
    format!(
        "data_dir: another daemon runs under this one's node id {node}; was the data directory \
         copied? Stop one of them, remove the file NODE from its data directory and start it again; \
         until then this one publishes nothing and shows its own numbers alone"
    )
}

/// How it stands with Redis and the peers.
pub(super) fn cluster(shared: &Shared) -> Status {
    let setting = shared.link.setting();
    let alone = "this instance shows its own numbers alone, and takes events without asking \
                 whether another instance has their ids";
    match &*shared.link.state().borrow() {
        State::Connecting => {
            return Status::bad(
                "Redis not reached",
                format!("{setting}: Redis is not reached yet; {alone}"),
            );
        }
        State::Down { since_ms, reason } => {
            let since = when(*since_ms);
            let detail = format!("{setting}: Redis is gone since {since}: {reason}; {alone}");
            return Status::bad("Redis gone, own numbers only", detail);
        }
        State::Refused { reason, .. } => {
            return Status::bad("Redis refuses", format!("{setting}: {reason}; {alone}"));
        }
        State::Up => {}
    }
    let now = shared.clock.elapsed();
    let health = shared.health.lock();
    if let Some(why) = &health.redis_refuses {
        return Status::bad("Redis refuses", format!("{setting}: {why}; {alone}"));
    }
    match health.standing {
        Standing::Taken { .. } => return Status::bad("node id taken", taken(&shared.own.node)),
        Standing::Outside | Standing::Waiting { .. } => {
            return Status::bad(
                "joining",
                format!("this instance joins the cluster; {alone} meanwhile"),
            );
        }
        Standing::Member => {}
    }
    let newer =
        health.newer.values().max_by_key(|newer| newer.seen_at).map(|newer| newer.text.clone());
    drop(health);
    let members = shared.members.lock();
    let expected = members.peers().count() + 1;
    let silent = members.silent(now);
    let reporting = expected - silent.len();
    let of = format!("{reporting} of {expected}");
    if let Some(newer) = newer {
        return Status::bad("newer instance", newer);
    }
    if !silent.is_empty() {
        let said = |(peer, silence): &(&Peer, Duration)| {
            format!("{} not heard for {} s", shared.name_of(&members, peer), silence.as_secs())
        };
        let detail = format!("{of}: {}", listed(silent.iter().map(said).collect()));
        // How many report stands beside it in both dashboards.
        let brief = match &silent[..] {
            [(peer, _)] => format!("{} not heard", shared.name_of(&members, peer)),
            several => format!("{} instances not heard", several.len()),
        };
        return Status::bad(brief, detail);
    }
    let off: Vec<String> = members
        .peers()
        .filter_map(|peer| {
            let (off_ms, unsure_ms) = shared.apart_ms(peer)?;
            let is_off = off_ms.abs() - unsure_ms > CLOCK_OFF_MS;
            let consequence = if shared.is_ahead(peer) { "; its ticks are left out" } else { "" };
            is_off.then(|| {
                format!(
                    "the clock of {} is {}{consequence}",
                    shared.name_of(&members, peer),
                    apart(-off_ms, "ours")
                )
            })
        })
        .collect();
    if !off.is_empty() {
        return Status::bad("clocks differ", format!("{of} instances; {}", listed(off)));
    }
    if members.refused > 0 && expected > super::members::PEERS_MAX {
        let detail =
            format!("{of} instances, and more than a cluster holds; the others are left out");
        return Status::bad("too many instances", detail);
    }
    drop(members);
    if !shared.listening.is_subscribed() {
        let detail =
            format!("{setting}: messages of peers are not heard at the moment; ticks come late");
        return Status::bad("not listening", detail);
    }
    let own_events = if shared.settings.shares_store {
        ""
    } else {
        "; each instance keeps its own events (store.kind is embedded)"
    };
    Status::ok(format!("{of} instances{own_events}"))
}

/// How our clock stands against Redis's and the peers'; `None` when it is right or nothing is known.
pub(super) fn clock(shared: &Shared) -> Option<Status> {
    let (ahead_ms, unsure_ms) = shared.health.lock().clock.ahead_ms()?;
    let members = shared.members.lock();
    let mut against = Vec::new();
    let mut worst_ms = 0;
    let is_off = |off_ms: i64, unsure_ms: i64| off_ms.abs() - unsure_ms > CLOCK_OFF_MS;
    let redis_is_off = is_off(ahead_ms, unsure_ms);
    if redis_is_off {
        worst_ms = ahead_ms;
        against.push("Redis's".to_owned());
    }
    let mut agree = 0;
    let mut differ = 0;
    for peer in members.peers() {
        match shared.apart_ms(peer) {
            Some((off_ms, unsure_ms)) if is_off(off_ms, unsure_ms) => {
                differ += 1;
                if off_ms.abs() > worst_ms.abs() {
                    worst_ms = off_ms;
                }
                against.push(format!("{}'s", shared.name_of(&members, peer)));
            }
            Some(_) => agree += 1,
            None => {}
        }
    }
    // A peer that differs from all others is the one that is off; the cluster's check names it.
    if !redis_is_off && differ <= agree + 1 {
        return None;
    }
    let brief = format!("clock {} s off", (worst_ms.abs() + 500) / 1_000);
    let mut detail = format!("the clock is {}", apart(worst_ms, &listed(against)));
    if redis_is_off && agree > 0 {
        let others =
            if agree == 1 { "another instance's agrees" } else { "other instances' agree" };
        detail = format!("{detail}; {others} with ours, so it may be Redis's machine that is off");
    } else {
        detail.push_str("; let NTP set it");
    }
    Some(Status::bad(brief, detail))
}

/// `10.0 s ahead of ours`.
fn apart(ahead_ms: i64, whose: &str) -> String {
    let secs = ahead_ms.abs() as f64 / 1_000.0;
    let side = if ahead_ms > 0 { "ahead of" } else { "behind" };
    format!("{secs:.1} s {side} {whose}")
}

fn listed(mut parts: Vec<String>) -> String {
    let more = parts.len().saturating_sub(NAMES_MAX);
    parts.truncate(NAMES_MAX);
    let text = parts.join(", ");
    if more > 0 { format!("{text} and {more} more") } else { text }
}

impl Shared {
    /// A peer's name; with its id where another one has the same name.
    fn name_of(&self, members: &super::members::Members, peer: &Peer) -> String {
        let Peer { sender, .. } = peer;
        let same = members.peers().filter(|other| other.sender.name == sender.name).count();
        if same > 1 || sender.name == self.own.name {
            format!("{} ({})", sender.name, sender.node)
        } else {
            sender.name.to_string()
        }
    }

    /// How far our clock is ahead of a peer's, ms, and how far that may be wrong.
    pub(super) fn apart_ms(&self, peer: &Peer) -> Option<(i64, i64)> {
        let (ahead_ms, unsure_ms) = self.health.lock().clock.ahead_ms()?;
        Some((ahead_ms - peer.beat.ahead_ms?, unsure_ms * 2))
    }

    /// Whether a peer's clock is so far ahead that its ticks have not begun here.
    pub(super) fn is_ahead(&self, peer: &Peer) -> bool {
        self.apart_ms(peer)
            .is_some_and(|(off_ms, unsure_ms)| -off_ms - unsure_ms > 2 * CLOCK_OFF_MS)
    }
}

/// What is said of an instance of a newer build.
pub(super) fn newer(name: &Arc<str>, node: &Arc<str>, what: &str, found: u8, known: u8) -> String {
    format!(
        "{name} ({node}) sends {what} of version {found}, and this build reads up to {known}: it is \
         left out of the numbers here until this instance is upgraded"
    )
}
