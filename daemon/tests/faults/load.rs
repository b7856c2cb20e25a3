//! Clients that send until they are told to stop, to any daemon that answers, and again when one did
//! not: with an exact account of what was promised for each event.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rand::Rng as _;

use super::sender::{Outcome, Sender};
use super::stream::{Event, Stream};
use crate::support::eventually;

/// How long clients go on asking about events without a verdict after the last was made. A claim of
/// an instance that died holds for 30 s.
const AFTER: Duration = Duration::from_secs(75);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// How much, and of what kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) seed: u64,
    pub(crate) clients: usize,
    /// Most events of one batch.
    pub(crate) batch: usize,
    /// Between two batches of a client.
    pub(crate) pace: Duration,
    /// Bytes of noise in each event.
    pub(crate) padding: usize,
}

impl Shape {
    pub(crate) fn of(seed: u64) -> Self {
        Self { seed, clients: 4, batch: 40, pace: Duration::from_millis(60), padding: 0 }
    }
}

/// What was promised.
#[derive(Default)]
pub(crate) struct Account {
    /// Accepted, or said to be a duplicate of what was accepted.
    pub(crate) acknowledged: BTreeMap<String, Event>,
    /// Sent, and never answered.
    pub(crate) in_doubt: BTreeMap<String, Event>,
    /// Refused for good, with the code.
    pub(crate) refused: BTreeMap<String, String>,
    /// How often each reason to try again was met.
    pub(crate) retries: BTreeMap<String, u64>,
}

struct Shared {
    addresses: Vec<SocketAddr>,
    account: Mutex<Account>,
    acknowledged: AtomicUsize,
    stops: AtomicBool,
}

/// Clients at work.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    pub(crate) fn start(addresses: Vec<SocketAddr>, shape: Shape) -> Self {
        let shared = Arc::new(Shared {
            addresses,
            account: Mutex::default(),
            acknowledged: AtomicUsize::new(0),
            stops: AtomicBool::new(false),
        });
        let clients = (0..shape.clients)
            .map(|number| {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || Client::new(number, shape).run(&shared, shape))
            })
            .collect();
        Self { shared, clients }
    }

    /// Events acknowledged so far.
    pub(crate) fn acknowledged(&self) -> usize {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until so many more have been acknowledged.
    pub(crate) fn wait_for_more(&self, events: usize) {
        let until = self.acknowledged() + events;
        eventually("more events are acknowledged", || (self.acknowledged() >= until).then_some(()));
    }

    /// The codes and errors clients have met so far.
    pub(crate) fn retries(&self) -> BTreeMap<String, u64> {
        self.shared.account.lock().unwrap().retries.clone()
    }

    /// No more events; waits until all that were made have a verdict, or none can be had.
    pub(crate) fn stop(self) -> Account {
        self.shared.stops.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().unwrap();
        }
        std::mem::take(&mut self.shared.account.lock().unwrap())
    }
}

struct Client {
    number: usize,
    sender: Sender,
    stream: Stream,
}

impl Client {
    fn new(number: usize, shape: Shape) -> Self {
        let sender = match number % 4 {
            0 => Sender::Lines,
            1 => Sender::Socket(None),
            _ => Sender::Json,
        };
        Self { number, sender, stream: Stream::new(shape.seed, number, shape.padding) }
    }

    fn run(&mut self, shared: &Shared, shape: Shape) {
        while !shared.stops.load(Ordering::Relaxed) {
            // Every fourth client sends events one by one.
            let most = if self.number % 4 == 3 { 1 } else { shape.batch };
            let len = self.stream.random().random_range(1..=most);
            let batch = self.stream.batch(len);
            let random = self.stream.random();
            let (is_twice_at_once, is_again) = (random.random_bool(0.1), random.random_bool(0.15));
            if is_twice_at_once {
                self.settle_twice(shared, &batch);
            }
            let again = is_again.then(|| batch.clone());
            self.settle(shared, batch);
            // A client that lost its answer.
            if let Some(batch) = again {
                self.settle(shared, batch);
            }
            std::thread::sleep(shape.pace);
        }
    }

    /// Sends a batch to two daemons at the same time, once; what either took is acknowledged.
    fn settle_twice(&mut self, shared: &Shared, batch: &[Event]) {
        let events: Vec<&Event> = batch.iter().collect();
        let mut to = || self.stream.random().random_range(0..shared.addresses.len());
        let (first, second) = (shared.addresses[to()], shared.addresses[to()]);
        let sender = &mut self.sender;
        let outcomes = std::thread::scope(|scope| {
            let other = scope.spawn(|| Sender::Lines.send(second, &events));
            [sender.send(first, &events), other.join().unwrap()]
        });
        let mut account = shared.account.lock().unwrap();
        for outcome in outcomes {
            let Outcome::Judged(rejected) = outcome else { continue };
            for (index, event) in batch.iter().enumerate() {
                if rejected.iter().all(|(refused, _)| *refused != index) {
                    account.acknowledged.insert(event.id.clone(), event.clone());
                }
            }
            for (_, code) in rejected {
                *account.retries.entry(code).or_default() += 1;
            }
        }
    }

    /// Sends a batch until each event has a verdict.
    fn settle(&mut self, shared: &Shared, batch: Vec<Event>) {
        let mut left = batch;
        let mut is_in_doubt = false;
        let mut stopped = None;
        loop {
            let to = self.stream.random().random_range(0..shared.addresses.len());
            let events: Vec<&Event> = left.iter().collect();
            let outcome = self.sender.send(shared.addresses[to], &events);
            let mut account = shared.account.lock().unwrap();
            match outcome {
                Outcome::Judged(rejected) => {
                    let rejected: BTreeMap<usize, String> = rejected.into_iter().collect();
                    let judged = std::mem::take(&mut left);
                    for (index, event) in judged.into_iter().enumerate() {
                        match rejected.get(&index).map(String::as_str) {
                            None => {
                                shared.acknowledged.fetch_add(1, Ordering::Relaxed);
                                account.acknowledged.insert(event.id.clone(), event);
                            }
                            Some("claim_pending" | "busy") => {
                                *account.retries.entry("claim_pending".to_owned()).or_default() +=
                                    1;
                                left.push(event);
                            }
                            Some(code) => {
                                account.refused.insert(event.id, code.to_owned());
                            }
                        }
                    }
                }
                Outcome::Busy(code) => *account.retries.entry(code).or_default() += 1,
                Outcome::NoAnswer(error) => {
                    is_in_doubt = true;
                    *account.retries.entry(error).or_default() += 1;
                }
            }
            if left.is_empty() {
                return;
            }
            if shared.stops.load(Ordering::Relaxed) {
                let stopped = *stopped.get_or_insert_with(Instant::now);
                if stopped.elapsed() > AFTER {
                    for event in left {
                        if is_in_doubt {
                            account.in_doubt.insert(event.id.clone(), event);
                        } else {
                            account.refused.insert(event.id, "never taken".to_owned());
                        }
                    }
                    return;
                }
            }
            drop(account);
            std::thread::sleep(PAUSE);
        }
    }
}
