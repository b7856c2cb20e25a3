//! Questions about ids on their way to Redis: gathered, asked in rounds, and answered.
//!
//! A few rounds are on their way at a time; what comes meanwhile waits for the next and goes with
//! it, many calls in one. Bounded by ids; past it the answer is "nobody to ask". The script does
//! all that must happen at once, and answers with the exceptions alone. In a Redis Cluster ids are
//! spread over 64 tags, a call each; elsewhere a call takes up to [`CALL_IDS`] of any.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use redis::{RedisResult, Value};
use tokio::sync::{Notify, oneshot};

use super::{Claimant, NODE_BYTES, PENDING_MS, TROUBLED_FOR};
use crate::cluster::link::{Call, Link, Script};
use crate::ingest::Away;
use crate::ingest::claims::UNCLAIMED;

/// Rounds on their way at a time: Redis works on one while another is made.
const ROUNDS: usize = 3;
/// Ids of a round, about; a larger question goes alone.
const ROUND_IDS: usize = 8_192;
/// Ids of one call of the script, at most: it keeps others waiting for less than a millisecond.
const CALL_IDS: usize = 512;
/// Ids that wait, at most.
const WAITING_IDS: usize = 1 << 20;
/// Tags that ids are spread over.
const TAGS: usize = 64;

/// `ARGV`: what to do, the owner's lasting part, the value to write, for how many ms. The value of
/// a claim is `p` or `c`, for pending and confirmed, and its owner. Answers with twice the index
/// (from 0) of each id that is another's, and 1 more where it is confirmed. An id that this
/// instance confirmed itself and has forgotten since is as good as another's. Who confirms first
/// has the id, over whoever's pending claim: its event is durable, and the other one learns of it
/// at its own confirmation. So nobody waits here for what another is at.
const SCRIPT: &str = r"
local what, me, value, ms, out = ARGV[1], ARGV[2], ARGV[3], ARGV[4], {}
for i = 1, #KEYS do
  local key = KEYS[i]
  if what == 'claim' then
    if not redis.call('SET', key, value, 'PX', ms, 'NX') then
      local was = redis.call('GET', key)
      local confirmed = string.byte(was) == 99
      if confirmed then
        out[#out + 1] = 2 * i - 1
      elseif string.sub(was, 2, 7) ~= me then
        out[#out + 1] = 2 * i - 2
      else
        redis.call('SET', key, value, 'PX', ms)
      end
    end
  else
    local was = redis.call('GET', key)
    local mine = was and string.sub(was, 2, 7) == me
    local pending = was and string.byte(was) == 112
    if what == 'confirm' then
      if mine or pending or not was then
        redis.call('SET', key, value, 'PX', ms)
      else
        out[#out + 1] = 2 * i - 1
      end
    elseif mine and pending then
      redis.call('DEL', key)
    end
  end
end
return out
";

/// What is to be done with ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Claim those that are free.
    Claim,
    /// Keep those that no other instance has confirmed.
    Confirm,
    /// Give up those that are ours and not confirmed.
    Abandon,
}

/// Why an id is not ours, or not known to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Pending,
    Taken,
    /// The server that would know did not answer; others did, about other ids.
    Away,
}

/// The places of ids that are not ours, or not known to be.
pub(super) type Exceptions = Vec<(u32, Verdict)>;

struct Question {
    kind: Kind,
    ids: Arc<[u128]>,
    answer: Option<oneshot::Sender<Result<Exceptions, Away>>>,
}

/// What waits to be asked.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    news: Notify,
    script: Script,
    is_cluster: bool,
    prefix: String,
}

#[derive(Default)]
struct Waiting {
    questions: VecDeque<Question>,
    ids: usize,
}

/// Calls of one round, and whose ids they hold: question and place, by call and key.
#[derive(Default)]
struct Round {
    calls: Vec<Call>,
    origins: Vec<Vec<(u32, u32)>>,
}

impl Queue {
    pub(super) fn new(link: &Link) -> Self {
        Self {
            waiting: Mutex::default(),
            news: Notify::new(),
            script: Script::new(SCRIPT),
            is_cluster: link.is_cluster(),
            prefix: link.key(""),
        }
    }

    fn push(&self, question: Question) -> Result<(), Away> {
        let mut waiting = self.waiting.lock();
        if waiting.ids > 0 && waiting.ids + question.ids.len() > WAITING_IDS {
            return Err(Away);
        }
        waiting.ids += question.ids.len();
        waiting.questions.push_back(question);
        drop(waiting);
        self.news.notify_one();
        Ok(())
    }

    /// The questions of one round; waits for the first.
    async fn take(&self) -> Vec<Question> {
        loop {
            let questions = self.gathered();
            if !questions.is_empty() {
                return questions;
            }
            self.news.notified().await;
        }
    }

    fn gathered(&self) -> Vec<Question> {
        let mut waiting = self.waiting.lock();
        let (mut questions, mut ids) = (Vec::new(), 0);
        while let Some(next) = waiting.questions.front() {
            if ids > 0 && ids + next.ids.len() > ROUND_IDS {
                break;
            }
            ids += next.ids.len();
            waiting.ids -= next.ids.len();
            questions.extend(waiting.questions.pop_front());
        }
        if !waiting.questions.is_empty() {
            self.news.notify_one();
        }
        questions
    }

    fn key(&self, id: u128) -> Vec<u8> {
        let mut key = Vec::with_capacity(self.prefix.len() + 4 + 16);
        key.extend_from_slice(self.prefix.as_bytes());
        if self.is_cluster {
            let tag = tag(id) as u8;
            key.extend_from_slice(&[b'{', b'0' + tag, b'}']);
        }
        key.extend_from_slice(&id.to_be_bytes());
        key
    }
}

fn tag(id: u128) -> usize {
    (id >> 64) as usize % TAGS
}

impl Claimant {
    pub(super) fn start_rounds(&self) {
        for _ in 0..ROUNDS {
            let this = self.clone();
            tokio::spawn(async move {
                loop {
                    let questions = this.0.queue.take().await;
                    this.round(questions).await;
                }
            });
        }
    }

    /// Asks, and waits for the answer.
    pub(super) async fn ask(&self, kind: Kind, ids: Arc<[u128]>) -> Result<Exceptions, Away> {
        if !self.is_up() {
            return Err(Away);
        }
        let (answer, answered) = oneshot::channel();
        self.0.queue.push(Question { kind, ids, answer: Some(answer) })?;
        answered.await.unwrap_or(Err(Away))
    }

    /// The same where no answer is needed; what cannot be said now is not said.
    pub(super) fn tell(&self, kind: Kind, ids: Arc<[u128]>) {
        if self.is_up() {
            let _ = self.0.queue.push(Question { kind, ids, answer: None });
        }
    }

    async fn round(&self, questions: Vec<Question>) {
        let started = self.0.clock.elapsed();
        // Who hung up before anything was asked wants nothing claimed.
        let wanted = |question: &Question| match (&question.answer, question.kind) {
            (Some(answer), Kind::Claim) => !answer.is_closed(),
            _ => true,
        };
        let questions: Vec<Question> = questions.into_iter().filter(wanted).collect();
        let round = self.prepare(&questions);
        let answers = match round.calls.as_slice() {
            [] => Ok(Vec::new()),
            calls => self.0.link.scripts(&self.0.queue.script, calls).await,
        };
        let mut verdicts: Vec<Result<Exceptions, Away>> =
            questions.iter().map(|_| Ok(Vec::new())).collect();
        match answers {
            Ok(answers) => {
                for (answer, origins) in answers.into_iter().zip(&round.origins) {
                    self.take_in(answer, origins, &mut verdicts);
                }
            }
            Err(_) => verdicts.iter_mut().for_each(|verdict| *verdict = Err(Away)),
        }
        let took = self.0.clock.elapsed().saturating_sub(started);
        metrics::histogram!("pulseboard_claims_seconds").record(took.as_secs_f64());
        for (question, verdict) in questions.into_iter().zip(verdicts) {
            if let Some(answer) = question.answer {
                // Who hung up meanwhile is not there to be told.
                let _ = answer.send(verdict);
            }
        }
    }

    fn prepare(&self, questions: &[Question]) -> Round {
        let mut round = Round::default();
        for kind in [Kind::Claim, Kind::Confirm, Kind::Abandon] {
            let ids = questions.iter().filter(|question| question.kind == kind);
            let ids = ids.flat_map(|question| question.ids.iter());
            let ids = ids.filter(|id| **id != UNCLAIMED).count() as u64;
            if ids == 0 {
                continue;
            }
            let args = self.args(kind, ids);
            let lanes = if self.0.queue.is_cluster { TAGS } else { 1 };
            let mut lanes: Vec<(Call, Vec<(u32, u32)>)> = vec![Default::default(); lanes];
            for (at, question) in questions.iter().enumerate().filter(|(_, q)| q.kind == kind) {
                for (place, id) in question.ids.iter().enumerate() {
                    if *id == UNCLAIMED {
                        continue;
                    }
                    let lane = tag(*id) % lanes.len();
                    let (call, origins) = &mut lanes[lane];
                    call.keys.push(self.0.queue.key(*id));
                    origins.push((at as u32, place as u32));
                    if origins.len() == CALL_IDS {
                        round.push(std::mem::take(&mut lanes[lane]), &args);
                    }
                }
            }
            for lane in lanes.into_iter().filter(|(_, origins)| !origins.is_empty()) {
                round.push(lane, &args);
            }
        }
        round
    }

    fn args(&self, kind: Kind, ids: u64) -> Vec<Vec<u8>> {
        let value = |state: u8| [&[state], self.0.owner.as_slice()].concat();
        let (what, value, ms) = match kind {
            Kind::Claim => ("claim", value(b'p'), PENDING_MS),
            Kind::Confirm => {
                let now = self.0.clock.elapsed();
                ("confirm", value(b'c'), self.0.held.lock().take(ids, now).as_millis() as u64)
            }
            Kind::Abandon => ("abandon", Vec::new(), 0),
        };
        let me = self.0.owner[..NODE_BYTES].to_vec();
        vec![what.into(), me, value, ms.to_string().into()]
    }
}

impl Round {
    fn push(&mut self, (mut call, origins): (Call, Vec<(u32, u32)>), args: &[Vec<u8>]) {
        call.args = args.to_vec();
        self.calls.push(call);
        self.origins.push(origins);
    }
}

impl Claimant {
    /// Hands the answer of one call to the questions whose ids it was about.
    fn take_in(
        &self,
        answer: RedisResult<Value>,
        origins: &[(u32, u32)],
        verdicts: &mut [Result<Exceptions, Away>],
    ) {
        let mut verdict = |(question, place): &(u32, u32), verdict| {
            if let Ok(verdicts) = &mut verdicts[*question as usize] {
                verdicts.push((*place, verdict));
            }
        };
        let exceptions = match answer {
            Ok(Value::Array(exceptions)) => exceptions,
            other => {
                let why = match other {
                    Ok(_) => "its answer is not one".to_owned(),
                    Err(error) => self.0.link.words(&error),
                };
                self.note_trouble(&why);
                for origin in origins {
                    verdict(origin, Verdict::Away);
                }
                return;
            }
        };
        for exception in exceptions {
            let Value::Int(code) = exception else { continue };
            let Some(origin) = origins.get(code as usize / 2) else { continue };
            verdict(origin, if code % 2 == 1 { Verdict::Taken } else { Verdict::Pending });
        }
    }

    /// Says it once while it lasts: there are many calls a second.
    fn note_trouble(&self, why: &str) {
        let now = self.0.clock.elapsed();
        let before = self.0.trouble.lock().replace((now, why.to_owned()));
        if before.is_none_or(|(at, _)| now.saturating_sub(at) >= TROUBLED_FOR) {
            tracing::warn!("{}: {why}; ids go unclaimed", self.0.link.setting());
        }
    }
}
