//! Signs of life: once a second this instance says that it is there, and hears who else is.
//!
//! One script in Redis does it at once for all: it notes us, unless another incarnation of our id
//! lives; forgets who was silent for a minute and views nobody watches; and gives back who is there,
//! what is watched, and what time Redis has. Who finds its id taken says so and publishes nothing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Shared;
use super::link::{Call, Script};
use super::members::{GONE_AFTER, Noted};
use super::messages::{self, Beat, Message, Refusal};

/// How often.
const EVERY: Duration = Duration::from_secs(1);
/// A sign of life of another incarnation is waited out for so long: it may have been killed.
const RIVAL_FOR_MS: i64 = 3_000;
/// How long a view is wanted after it was last said to be.
const VIEW_FOR_MS: i64 = 15_000;
/// Measurements of Redis's clock to choose the best of.
const MEASURED: usize = 5;
/// A gap between two beats that was our own: we were frozen, or deaf.
const OWN_GAP: Duration = Duration::from_secs(3);

/// KEYS: nodes, views. ARGV: id, incarnation, beat, gone_ms, rival_ms, view_ms, filters...
/// A node is noted as "at incarnation message"; incarnation 0 is a goodbye.
const BEAT: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local rival = 0
local noted = redis.call('HGET', KEYS[1], ARGV[1])
if noted then
  local at, incarnation = string.match(noted, '^(%d+) (%d+) ')
  if at and incarnation ~= '0' and incarnation ~= ARGV[2] and now - at < tonumber(ARGV[5]) then
    rival = at
  end
end
if rival == 0 then
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now) .. ' ' .. ARGV[2] .. ' ' .. ARGV[3])
  for number = 7, #ARGV do
    redis.call('ZADD', KEYS[2], now, ARGV[number])
  end
end
local nodes = redis.call('HGETALL', KEYS[1])
for number = 2, #nodes, 2 do
  local at = string.match(nodes[number], '^(%d+) ')
  if not at or now - at > tonumber(ARGV[4]) then
    redis.call('HDEL', KEYS[1], nodes[number - 1])
  end
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - ARGV[6])
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -1001)
redis.call('PEXPIRE', KEYS[1], 2 * ARGV[4])
redis.call('PEXPIRE', KEYS[2], 2 * ARGV[4])
return {string.format('%.0f', now), tostring(rival), nodes, redis.call('ZREVRANGE', KEYS[2], 0, 999)}
";

/// KEYS: nodes. ARGV: id, incarnation, goodbye.
const LEAVE: &str = r"
local noted = redis.call('HGET', KEYS[1], ARGV[1])
if noted and string.match(noted, '^%d+ (%d+) ') == ARGV[2] then
  local time = redis.call('TIME')
  local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
  redis.call('HSET', KEYS[1], ARGV[1], now .. ' 0 ' .. ARGV[3])
end
return 1
";

/// Where we stand with our own id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    /// Not noted in Redis yet.
    #[default]
    Outside,
    /// Another incarnation may live; we wait until it would have said so.
    Waiting {
        /// Its last sign of life, by Redis's clock.
        at_ms: i64,
    },
    /// We are noted, and speak.
    Member,
    /// Another daemon lives under our id.
    Taken {
        /// Its last sign of life, by Redis's clock.
        at_ms: i64,
    },
}

/// What is known about our clock.
#[derive(Debug, Default)]
pub(super) struct OwnClock {
    /// How far it is ahead of Redis's, and half of what the question took, ms.
    measured: VecDeque<(i64, i64)>,
}

impl OwnClock {
    fn measure(&mut self, before_ms: i64, redis_ms: i64, after_ms: i64) {
        let round_ms = (after_ms - before_ms).max(0);
        self.measured.push_back((before_ms + round_ms / 2 - redis_ms, round_ms / 2 + 1));
        while self.measured.len() > MEASURED {
            self.measured.pop_front();
        }
    }

    /// How far it is ahead of Redis's, ms, and how far that may be wrong.
    pub(super) fn ahead_ms(&self) -> Option<(i64, i64)> {
        let newest = self.measured.back()?;
        let best = self.measured.iter().min_by_key(|(_, unsure_ms)| *unsure_ms)?;
        // A clock that was set since is not what it was.
        let is_same = (best.0 - newest.0).abs() <= best.1 + newest.1;
        Some(if is_same { *best } else { *newest })
    }

    fn forget(&mut self) {
        self.measured.clear();
    }
}

/// Beats until the link is stopped.
pub(super) async fn beat(shared: Arc<Shared>) {
    let script = Script::new(BEAT);
    let mut stop = shared.link.stopping();
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut state = shared.link.state();
    let mut last: Option<Duration> = None;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shared.beat_now.notified() => {}
            changed = state.changed() => if changed.is_err() { return },
            _ = stop.wait_for(|stop| *stop) => return,
        }
        if !state.borrow_and_update().is_up() {
            let mut health = shared.health.lock();
            health.clock.forget();
            if health.standing == Standing::Member {
                health.standing = Standing::Outside;
            }
            continue;
        }
        if once(&shared, &script, last).await {
            last = Some(shared.clock.elapsed());
        }
    }
}

/// What the script gives back: Redis's time, a rival's last sign of life, nodes, views.
type Answer = (i64, i64, Vec<Vec<u8>>, Vec<String>);

/// One beat. Whether Redis answered it.
async fn once(shared: &Shared, script: &Script, last: Option<Duration>) -> bool {
    let before_ms = shared.clock.now_ms();
    let call = call(shared, before_ms);
    let Ok(mut answers) = shared.link.scripts(script, &[call]).await else { return false };
    let after_ms = shared.clock.now_ms();
    let answer = answers.swap_remove(0).and_then(|v| Ok(redis::from_redis_value::<Answer>(v)?));
    let (redis_ms, rival_ms, nodes, views) = match answer {
        Ok(answer) => answer,
        Err(error) => {
            shared.refused_by_redis(&error);
            return false;
        }
    };
    let was_member = shared.health.lock().standing == Standing::Member;
    shared.health.lock().redis_refuses = None;
    let standing = judge(shared, rival_ms);
    shared.health.lock().clock.measure(before_ms, redis_ms, after_ms);
    let noted = nodes.chunks_exact(2).filter_map(|pair| noted(shared, &pair[0], &pair[1]));
    let noted: Vec<Noted> = noted.collect();
    let now = shared.clock.elapsed();
    let new = {
        let mut members = shared.members.lock();
        if let Some(gap) = last.and_then(|last| now.checked_sub(last)).filter(|gap| *gap > OWN_GAP)
        {
            members.was_deaf(gap);
        }
        members.take(noted, redis_ms, now)
    };
    shared.health.lock().newer.retain(|_, newer| now.saturating_sub(newer.seen_at) < GONE_AFTER);
    {
        let mut watched = shared.watched.lock();
        watched.take(&views);
        let mut inbox = shared.inbox.lock();
        inbox.retain(|view| watched.is_open(view));
        let opened = watched.wanted().iter().filter(|f| inbox.open(&f.to_string())).count();
        drop(inbox);
        if opened > 0 {
            shared.fill_all();
        }
    }
    if standing == Standing::Member {
        if !was_member {
            shared.fill_all();
        }
        shared.look_for_gaps(new);
        shared.tell.notify_one();
    }
    true
}

fn call(shared: &Shared, wall_ms: i64) -> Call {
    let health = shared.health.lock();
    let beat = Beat {
        version: env!("CARGO_PKG_VERSION").into(),
        wall_ms,
        ahead_ms: health.clock.ahead_ms().map(|(ahead_ms, _)| ahead_ms),
        sequence: shared.sequence.load(Ordering::Relaxed),
        first_tick: health.first_tick.unwrap_or(wall_ms.div_euclid(1_000) + 1),
        written_upto: health.written_upto,
    };
    drop(health);
    let text = |number: i64| number.to_string().into_bytes();
    let mut args = vec![
        shared.own.node.as_bytes().to_vec(),
        shared.own.incarnation.to_string().into_bytes(),
        messages::encode(&shared.own, &Message::Beat(beat)),
        text(GONE_AFTER.as_millis() as i64),
        text(RIVAL_FOR_MS),
        text(VIEW_FOR_MS),
    ];
    args.extend(shared.watched.lock().here().iter().map(|view| view.as_bytes().to_vec()));
    Call { keys: vec![nodes_key(shared), shared.link.key("{life}:views").into_bytes()], args }
}

fn nodes_key(shared: &Shared) -> Vec<u8> {
    shared.link.key("{life}:nodes").into_bytes()
}

/// What follows from another incarnation's last sign of life; 0 when there is none.
fn judge(shared: &Shared, rival_ms: i64) -> Standing {
    let mut health = shared.health.lock();
    let before = health.standing;
    let standing = match before {
        _ if rival_ms == 0 => Standing::Member,
        Standing::Waiting { at_ms } if at_ms == rival_ms => before,
        Standing::Outside => Standing::Waiting { at_ms: rival_ms },
        // It was seen alive a second time, or we were here first.
        _ => Standing::Taken { at_ms: rival_ms },
    };
    health.standing = standing;
    match (before, standing) {
        (Standing::Member, Standing::Member) => {}
        (_, Standing::Member) => {
            let now_tick = shared.clock.now_ms().div_euclid(1_000);
            health.first_tick.get_or_insert(now_tick + 1);
            shared.outbox.lock().send_again();
            tracing::info!(node = %shared.own.node, "this instance is one of the cluster");
        }
        (Standing::Taken { .. }, _) => {}
        (_, Standing::Taken { .. }) => {
            tracing::error!("{}", super::status::taken(&shared.own.node));
        }
        _ => {}
    }
    standing
}

/// A node as Redis has it; `None` for us, and for what cannot be read.
fn noted(shared: &Shared, node: &[u8], value: &[u8]) -> Option<Noted> {
    if node == shared.own.node.as_bytes() {
        return None;
    }
    let mut parts = value.splitn(3, |byte| *byte == b' ');
    let at_ms = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
    let message = parts.nth(1)?;
    match messages::decode(message) {
        Ok((sender, Message::Beat(beat))) => Some(Noted { at_ms, sender, beat: Some(beat) }),
        Ok((sender, Message::Leave)) => Some(Noted { at_ms, sender, beat: None }),
        Err(refusal @ Refusal::Newer { .. }) => {
            shared.refused(&refusal);
            None
        }
        Ok((_, Message::Told(_))) | Err(Refusal::Damaged(_)) => None,
    }
}

/// Says goodbye: this instance stops counting at once.
pub(super) async fn leave(shared: &Shared) {
    if shared.health.lock().standing != Standing::Member {
        return;
    }
    let goodbye = messages::encode(&shared.own, &Message::Leave);
    let args = vec![
        shared.own.node.as_bytes().to_vec(),
        shared.own.incarnation.to_string().into_bytes(),
        goodbye.clone(),
    ];
    let call = Call { keys: vec![nodes_key(shared)], args };
    // It is found out within a minute if this does not get through.
    let _ = shared.link.scripts(&Script::new(LEAVE), &[call]).await;
    let mut publish = redis::cmd("PUBLISH");
    publish.arg(super::exchange::channel(&shared.link)).arg(goodbye);
    let _ = shared.link.pipeline(&[publish]).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_question_tells_most_about_the_clock() {
        let mut clock = OwnClock::default();
        assert_eq!(clock.ahead_ms(), None);
        clock.measure(1_000, 900, 1_400);
        assert_eq!(clock.ahead_ms(), Some((300, 201)));
        clock.measure(2_000, 1_990, 2_004);
        clock.measure(3_000, 3_150, 3_400);
        assert_eq!(clock.ahead_ms(), Some((12, 3)));
        // It was set 10 s ahead.
        clock.measure(14_000, 3_990, 14_100);
        assert_eq!(clock.ahead_ms(), Some((10_060, 51)));
    }
}
