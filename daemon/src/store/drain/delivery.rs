//! One batch on its way to the store: sent again until every document in it is there, or is set
//! aside because the store takes others and not it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use mongodb::bson::RawDocumentBuf;
use tokio::sync::watch;

use super::Shared;
use super::board::{What, add, get};
use super::lease::{Permit, permitted};
use super::puller::Batch;
use super::sink::{Answer, Failure, NEVER, Unfit};

/// The first and the longest pause after a failure.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// A document that was refused this often for what it is, while others were taken, is set aside.
/// What is refused for another reason is sent again for ever: a disk that is nearly full takes
/// small batches and refuses large ones.
const ATTEMPTS: u32 = 3;

/// What became of a batch.
#[derive(Debug, Default)]
pub(super) struct Delivered {
    pub from_seq: u64,
    pub end_seq: u64,
    pub bytes: usize,
    /// Ticks of events that were there already as others' or as older ones: what was counted of
    /// them is too much.
    pub foreign: Vec<i64>,
}

/// Delivers a batch. Never gives up, and never sends while nothing may be written.
pub(super) async fn deliver(
    shared: Arc<Shared>,
    mut permit: watch::Receiver<Permit>,
    batch: Batch,
) -> Delivered {
    let mut delivery = Delivery {
        shared,
        refusals: HashMap::new(),
        foreign: Vec::new(),
        pause: PAUSE.0,
        documents: Arc::clone(&batch.documents),
        places: batch.places,
    };
    // Parts to be sent, each a list of places in the batch.
    let mut parts = VecDeque::from([(0..batch.documents.len() as u32).collect::<Vec<_>>()]);
    while let Some(part) = parts.pop_front() {
        if part.is_empty() {
            continue;
        }
        permitted(&mut permit).await;
        parts.extend(delivery.send(part).await);
    }
    Delivered {
        from_seq: batch.from_seq,
        end_seq: batch.end_seq,
        bytes: batch.bytes,
        foreign: delivery.foreign,
    }
}

struct Delivery {
    shared: Arc<Shared>,
    documents: Arc<Vec<RawDocumentBuf>>,
    places: Vec<(u64, i64)>,
    /// How often a document was refused, and how many others had been taken at the first time.
    refusals: HashMap<u32, (u32, u64)>,
    foreign: Vec<i64>,
    pause: Duration,
}

impl Delivery {
    /// Sends a part; gives what is to be sent again.
    async fn send(&mut self, part: Vec<u32>) -> Vec<Vec<u32>> {
        let started = self.shared.clock.elapsed();
        let insert = self.shared.sink.insert(Arc::clone(&self.documents), part.clone());
        let answer = self.shared.calls.run(insert).await;
        let took = self.shared.clock.elapsed().saturating_sub(started);
        let answered = match answer {
            Ok(answer) => self.sort_out(&part, answer).await,
            Err(failure) => Err(failure),
        };
        metrics::histogram!("pulseboard_store_write_seconds").record(took.as_secs_f64());
        match answered {
            Ok(again) if again.is_empty() => {
                add(&self.shared.board.event_batches, 1);
                self.shared.succeeded(What::Events);
                self.pause = PAUSE.0;
                Vec::new()
            }
            Ok(again) => {
                self.rest().await;
                vec![again]
            }
            Err(Failure::Malformed(_)) if part.len() > 1 => {
                let (first, second) = part.split_at(part.len() / 2);
                vec![first.to_vec(), second.to_vec()]
            }
            Err(Failure::Malformed(message)) => {
                let unfit = Unfit { index: part[0], code: NEVER[0], message };
                let accepted = get(&self.shared.board.accepted);
                let again = self.refused(vec![unfit], accepted).await;
                if again.is_empty() { Vec::new() } else { vec![again] }
            }
            Err(failure) => {
                self.shared.failed(What::Events, &failure);
                self.rest().await;
                vec![part]
            }
        }
    }

    /// Looks at what was there already and at what was refused; gives what is to be sent again.
    async fn sort_out(&mut self, part: &[u32], answer: Answer) -> Result<Vec<u32>, Failure> {
        let taken = part.len() - answer.duplicates.len() - answer.unfit.len();
        let mut again = self.look_up(&answer.duplicates).await?;
        let before = get(&self.shared.board.accepted);
        add(&self.shared.board.accepted, (taken + answer.duplicates.len()) as u64);
        again.extend(self.refused(answer.unfit, before).await);
        Ok(again)
    }

    /// Tells our own earlier attempts from others' events. One that is gone by now is sent again.
    async fn look_up(&mut self, duplicates: &[u32]) -> Result<Vec<u32>, Failure> {
        if duplicates.is_empty() {
            return Ok(Vec::new());
        }
        let id = |index: u32| self.documents[index as usize].get_str("_id").unwrap_or_default();
        let ids = duplicates.iter().map(|index| id(*index).to_owned()).collect();
        let owners = self.shared.calls.run(self.shared.sink.owners(ids)).await?;
        let mut again = Vec::new();
        let (mut own, mut foreign) = (0, Vec::new());
        for index in duplicates {
            let (seq, tick) = self.places[*index as usize];
            match owners.get(id(*index)) {
                Some(owner) if *owner.node == *self.shared.settings.node && owner.seq == seq => {
                    own += 1;
                }
                Some(_) => foreign.push(tick),
                None => again.push(*index),
            }
        }
        add(&self.shared.board.own_duplicates, own);
        add(&self.shared.board.foreign_duplicates, foreign.len() as u64);
        self.foreign.append(&mut foreign);
        Ok(again)
    }

    /// Sets aside what will not be taken; gives what is to be sent again. `before` is how many
    /// documents had been taken when this part was sent.
    async fn refused(&mut self, unfit: Vec<Unfit>, before: u64) -> Vec<u32> {
        let mut again = Vec::new();
        for unfit in unfit {
            let (is_about_it, is_for_ever) = (unfit.is_about_it(), unfit.is_for_ever());
            let Unfit { index, code, message } = unfit;
            let accepted = get(&self.shared.board.accepted);
            let (attempts, then) = self.refusals.entry(index).or_insert((0, before));
            *attempts += 1;
            let others_are_taken = accepted > *then;
            let hopeless =
                is_for_ever || (is_about_it && *attempts >= ATTEMPTS && others_are_taken);
            if !(hopeless && self.set_aside(index, code, &message).await) {
                self.shared.failed(What::Events, &Failure::Refused(message));
                again.push(index);
            }
        }
        again
    }

    async fn set_aside(&self, index: u32, code: i32, message: &str) -> bool {
        let (aside, documents) = (self.shared.aside.clone(), Arc::clone(&self.documents));
        let put = move || aside.put(documents[index as usize].as_bytes());
        let put = tokio::task::spawn_blocking(put).await;
        match put.map_err(std::io::Error::other).flatten() {
            Ok(()) => {
                add(&self.shared.board.set_aside, 1);
                tracing::error!(
                    seq = self.places[index as usize].0,
                    code,
                    file = %self.shared.aside.path().display(),
                    "MongoDB refuses an event and takes others; it is set aside: {message}"
                );
                true
            }
            Err(error) => {
                tracing::error!(%error, "an event MongoDB refuses cannot be set aside; draining waits");
                false
            }
        }
    }

    async fn rest(&mut self) {
        let jitter = 0.75 + rand::random::<f64>() / 2.0;
        tokio::time::sleep(self.pause.mul_f64(jitter)).await;
        self.pause = (self.pause * 2).min(PAUSE.1);
    }
}

#[cfg(test)]
mod tests {
    use super::super::board::add;
    use super::super::tests::Scene;
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_there_is_no_room_for_is_sent_again_however_many_others_are_taken() {
        let scene = Scene::idle();
        let shared = scene.drain.shared();
        let mut delivery = Delivery {
            shared: Arc::clone(&shared),
            refusals: HashMap::new(),
            foreign: Vec::new(),
            pause: PAUSE.0,
            documents: Arc::new(vec![RawDocumentBuf::new(); 3]),
            places: vec![(1, 0), (2, 0), (3, 0)],
        };
        for _ in 0..1_000 {
            let before = get(&shared.board.accepted);
            add(&shared.board.accepted, 100);
            let refused = [(0, 8), (1, 14_031), (2, 112)];
            let refused = refused.map(|(index, code)| {
                let message = "no space left on device".to_owned();
                Unfit { index, code, message }
            });
            assert_eq!(delivery.refused(refused.into(), before).await, [0, 1, 2]);
        }
        assert_eq!(get(&shared.board.set_aside), 0);
    }
}
