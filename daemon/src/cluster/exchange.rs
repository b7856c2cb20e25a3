//! Ticks on their way: ours to Redis, those of peers from it, and what was missed in between.
//!
//! A tick is published, and kept in Redis for [`KEPT_MS`] under its node's name with an index of
//! revisions beside it. Publishing may lose messages: a jump in the sequence, a sign of life that
//! knows of more, a new subscription or a new peer lead to reading that index, and what is missing
//! is read then. Everything is absolute, so that what comes twice or late does no harm.

use std::collections::BTreeSet;
use std::hash::Hasher as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pulseboard::sketch::DecodeError;
use pulseboard::tick::TickSummary;
use redis::{Cmd, Value, cmd};

use super::Shared;
use super::heart::Standing;
use super::inbox::Verdict;
use super::link::{Call, Link, Script};
use super::messages::{self, Message, Refusal, Sender, Told};
use super::outbox::{self, Outgoing};
use super::subscriber::{Heard, Subscriber};
use crate::aggregate::Counted;

/// How long a tick is kept in Redis.
const KEPT_MS: i64 = 430_000;
/// Ticks sent together, and about how many bytes of them.
const SENT_TOGETHER: usize = 64;
const BYTES_TOGETHER: usize = 4 << 20;
/// The pause after sending failed.
const AGAIN: Duration = Duration::from_millis(200);
/// Ticks read together.
const READ_TOGETHER: usize = 32;
/// A peer is caught up with this often at most: its messages may be on their way.
const FILL_PAUSE: Duration = Duration::from_millis(100);

/// KEYS: tick, index. ARGV: message, tick, revision, kept_ms, oldest tick, channel.
const TELL: &str = r"
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[4])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
if redis.call('HLEN', KEYS[2]) > 700 then
  for _, tick in ipairs(redis.call('HKEYS', KEYS[2])) do
    if tonumber(tick) < tonumber(ARGV[5]) then
      redis.call('HDEL', KEYS[2], tick)
    end
  end
end
redis.call('PEXPIRE', KEYS[2], ARGV[4])
redis.call('PUBLISH', ARGV[6], ARGV[1])
return 1
";

/// What all instances listen to.
pub(super) fn channel(link: &Link) -> String {
    link.key("ticks")
}

/// Where the ticks of a node's view are kept: the index, and what begins each tick's key.
fn place(link: &Link, node: &str, view: &str) -> String {
    // Sixteen digits for a filter of up to a kilobyte; the message itself holds the whole.
    let mut hasher = siphasher::sip::SipHasher13::new();
    hasher.write(view.as_bytes());
    link.key(&format!("{{{node}}}:{:016x}", hasher.finish()))
}

/// Sends what is told, and again what Redis did not take.
pub(super) async fn tell(shared: Arc<Shared>) {
    let script = Script::new(TELL);
    let mut stop = shared.link.stopping();
    loop {
        tokio::select! {
            () = shared.tell.notified() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        flush(&shared, &script).await;
    }
}

/// Sends what is to be sent once more, at the end. Whether all of it was.
pub(super) async fn tell_rest(shared: &Arc<Shared>) -> bool {
    flush(shared, &Script::new(TELL)).await
}

async fn flush(shared: &Arc<Shared>, script: &Script) -> bool {
    // The task that tells and the end of it all must not send at the same time.
    let _turn = shared.sending.lock().await;
    loop {
        encode(shared).await;
        if shared.health.lock().standing != Standing::Member || !shared.link.is_up() {
            return false;
        }
        let outgoing = shared.outbox.lock().unsent(SENT_TOGETHER, BYTES_TOGETHER);
        if outgoing.is_empty() {
            return true;
        }
        if !send(shared, script, &outgoing).await {
            tokio::time::sleep(AGAIN).await;
            // The next sign of life leads here again.
            return false;
        }
    }
}

/// Encodes what waits for it, off the runtime's threads.
async fn encode(shared: &Arc<Shared>) {
    let waiting = shared.outbox.lock().unencoded();
    if waiting.is_empty() {
        return;
    }
    let there = Arc::clone(shared);
    let encoded = tokio::task::spawn_blocking(move || {
        for (view, Counted { tick, revision, summary }) in waiting {
            let bytes = outbox::encode(&summary);
            there.outbox.lock().encoded(&view, tick, revision, bytes.into());
        }
    });
    // A panic there was reported by its thread.
    let _ = encoded.await;
}

async fn send(shared: &Shared, script: &Script, outgoing: &[Outgoing]) -> bool {
    let link = &shared.link;
    let channel = channel(link).into_bytes();
    let calls: Vec<Call> = outgoing
        .iter()
        .map(|Outgoing { view, tick, revision, summary }| {
            let told = Told {
                sequence: shared.sequence.fetch_add(1, Ordering::Relaxed) + 1,
                view: Arc::clone(view),
                tick: *tick,
                revision: *revision,
                summary: Arc::clone(summary),
            };
            let place = place(link, &shared.own.node, view);
            let args = vec![
                messages::encode(&shared.own, &Message::Told(told)),
                tick.to_string().into_bytes(),
                revision.to_string().into_bytes(),
                KEPT_MS.to_string().into_bytes(),
                (tick - KEPT_MS / 1_000).to_string().into_bytes(),
                channel.clone(),
            ];
            Call { keys: vec![format!("{place}:{tick}").into_bytes(), place.into_bytes()], args }
        })
        .collect();
    let Ok(answers) = link.scripts(script, &calls).await else { return false };
    let now_ms = shared.clock.now_ms();
    let mut is_all = true;
    for (outgoing, answer) in outgoing.iter().zip(answers) {
        match answer {
            Ok(_) => {
                shared.outbox.lock().sent(outgoing);
                shared.counters.sent.fetch_add(1, Ordering::Relaxed);
                let delay_ms = now_ms - (outgoing.tick + 1) * 1_000;
                if outgoing.view.is_empty() && delay_ms < 5_000 {
                    let secs = delay_ms.max(0) as f64 / 1e3;
                    metrics::histogram!("pulseboard_cluster_publish_seconds").record(secs);
                }
            }
            Err(error) => {
                is_all = false;
                shared.refused_by_redis(&error);
            }
        }
    }
    is_all
}

/// Hears what peers say.
pub(super) async fn listen(shared: Arc<Shared>, mut subscriber: Subscriber) {
    while let Some(heard) = subscriber.next().await {
        let bytes = match heard {
            Heard::Anew => {
                shared.fill_all();
                continue;
            }
            Heard::Message(bytes) => bytes,
        };
        match messages::decode(&bytes) {
            Ok((sender, _)) if sender.node == shared.own.node => {}
            Ok((sender, Message::Told(told))) => {
                shared.counters.received.fetch_add(1, Ordering::Relaxed);
                // What is not followed is a gap later, and read from Redis then. Only members are
                // listened to: their number is bounded.
                let is_member = shared.members.lock().get(&sender.node).is_some();
                if !is_member || shared.health.lock().standing != Standing::Member {
                    continue;
                }
                let (node, incarnation) = (&sender.node, sender.incarnation);
                let is_gap = shared.inbox.lock().follow(node, incarnation, told.sequence);
                if is_gap {
                    shared.gap(node);
                }
                take_in(&shared, sender, told).await;
            }
            Ok((sender, Message::Leave)) => shared.members.lock().leave(&sender),
            Ok((_, Message::Beat(_))) => {}
            Err(refusal) => shared.refused(&refusal),
        }
    }
}

/// Decodes a peer's count, off the runtime's threads, and lays it ready for the aggregator.
async fn take_in(shared: &Arc<Shared>, sender: Sender, told: Told) {
    let now_tick = shared.now_tick();
    let of = (told.tick, told.revision);
    let verdict = shared.inbox.lock().would_take(&sender.node, &told.view, of, now_tick);
    if verdict != Verdict::Taken {
        return shared.passed(&sender.node, verdict);
    }
    let there = Arc::clone(shared);
    let decoded = tokio::task::spawn_blocking(move || {
        let mut names = there.names.lock();
        let summary = TickSummary::decode(&told.summary, &mut names);
        drop(names);
        match summary {
            Ok(summary) => {
                let (tick, revision) = (told.tick, told.revision);
                let counted = Counted { tick, revision, summary: Arc::new(summary) };
                let bytes = told.summary.len();
                let mut inbox = there.inbox.lock();
                let verdict = inbox.take_in(&sender.node, &told.view, counted, bytes, now_tick);
                drop(inbox);
                there.passed(&sender.node, verdict);
            }
            Err(DecodeError::Newer { found, known }) => {
                there.newer_summary(&sender, found, known);
            }
            Err(error) => there.refused(&Refusal::from(error)),
        }
    });
    // A panic there was reported by its thread.
    let _ = decoded.await;
}

/// Reads what was missed.
pub(super) async fn fill(shared: Arc<Shared>) {
    let mut stop = shared.link.stopping();
    loop {
        tokio::select! {
            () = shared.fill_now.notified() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        tokio::time::sleep(FILL_PAUSE).await;
        let nodes: BTreeSet<Arc<str>> = std::mem::take(&mut *shared.to_fill.lock());
        for node in nodes {
            if fill_from(&shared, &node).await.is_none() {
                // It is tried again with the next sign of life.
                shared.to_fill.lock().insert(node);
            }
        }
    }
}

/// Reads what is missing of a peer. `None` when Redis did not answer.
async fn fill_from(shared: &Arc<Shared>, node: &Arc<str>) -> Option<()> {
    let Some(peer) = shared.members.lock().get(node).cloned() else { return Some(()) };
    if shared.health.lock().standing != Standing::Member {
        return None;
    }
    if shared.is_ahead(&peer) {
        return Some(());
    }
    let views = shared.inbox.lock().views();
    let indices: Vec<Cmd> = views
        .iter()
        .map(|view| {
            let mut read = cmd("HGETALL");
            read.arg(place(&shared.link, node, view));
            read
        })
        .collect();
    let answers = shared.link.pipeline(&indices).await.ok()?;
    for (view, answer) in views.iter().zip(answers) {
        let index: Vec<(i64, u64)> = redis::from_redis_value(answer.ok()?).ok()?;
        let missing = shared.inbox.lock().missing(node, view, &index, shared.now_tick());
        let place = place(&shared.link, node, view);
        for ticks in missing.chunks(READ_TOGETHER) {
            read(shared, node, view, &place, ticks).await?;
        }
    }
    let sequence = peer.beat.sequence;
    shared.inbox.lock().caught_up(node, peer.sender.incarnation, sequence);
    Some(())
}

async fn read(
    shared: &Arc<Shared>,
    node: &Arc<str>,
    view: &str,
    place: &str,
    ticks: &[i64],
) -> Option<()> {
    let reads: Vec<Cmd> = ticks
        .iter()
        .map(|tick| {
            let mut read = cmd("GET");
            read.arg(format!("{place}:{tick}"));
            read
        })
        .collect();
    for answer in shared.link.pipeline(&reads).await.ok()? {
        let Value::BulkString(bytes) = answer.ok()? else { continue };
        match messages::decode(&bytes) {
            Ok((sender, Message::Told(told))) if sender.node == *node && *told.view == *view => {
                shared.counters.filled.fetch_add(1, Ordering::Relaxed);
                take_in(shared, sender, told).await;
            }
            Ok(_) => shared.refused(&Refusal::Damaged("it is not what its key says")),
            Err(refusal) => shared.refused(&refusal),
        }
    }
    Some(())
}
