//! Which calls are on their way to disk, so that a duplicate is not acknowledged before the event
//! it repeats.
//!
//! A call opens a flight before it looks for duplicates and closes it when its own append is
//! decided. Tickets rise by one, so that "all that were open when I looked" is one number. A call
//! closes its own flight before it waits for others: nobody waits while being waited for. One
//! mutex, held for a few instructions; as many entries as there are calls in work, which the bound
//! on bytes in flight limits.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// The flights of one ingest.
#[derive(Debug, Default)]
pub struct Flights {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The ticket of the first entry of `open`.
    base: u64,
    /// From the oldest open flight on: whether each is still open.
    open: VecDeque<bool>,
    /// Who waits for all tickets below a number.
    waiters: Vec<(u64, oneshot::Sender<()>)>,
    /// Flights whose events were taken back.
    failures: u64,
}

/// An open flight; dropping it closes it.
#[derive(Debug)]
pub struct Flight {
    flights: Arc<Flights>,
    ticket: u64,
    /// No other flight was open when this one was.
    alone: bool,
    failures_before: u64,
    failed: bool,
}

/// What a call must wait for before it may take what it found for duplicates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Others {
    /// Every ticket below this one.
    below: u64,
    failures_before: u64,
}

impl Flights {
    /// Opens a flight.
    pub fn open(self: &Arc<Self>) -> Flight {
        let mut state = self.state.lock();
        let ticket = state.base + state.open.len() as u64;
        let alone = state.open.is_empty();
        state.open.push_back(true);
        Flight {
            flights: Arc::clone(self),
            ticket,
            alone,
            failures_before: state.failures,
            failed: false,
        }
    }

    /// How many flights have not been closed, or wait behind one that has not.
    pub fn len(&self) -> usize {
        self.state.lock().open.len()
    }

    /// Whether no flight is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until the flights are closed. Returns whether what was found for a duplicate is one
    /// for certain; `false` when some flight failed meanwhile and it is time to look again.
    pub async fn settled(&self, others: Others) -> bool {
        let closed = {
            let mut state = self.state.lock();
            if state.base >= others.below {
                None
            } else {
                let (sender, closed) = oneshot::channel();
                state.waiters.push((others.below, sender));
                Some(closed)
            }
        };
        if let Some(closed) = closed {
            // The sender is only dropped unused together with the flights themselves.
            let _ = closed.await;
        }
        self.state.lock().failures == others.failures_before
    }

    fn close(&self, ticket: u64, failed: bool) {
        let mut state = self.state.lock();
        state.failures += u64::from(failed);
        let index = (ticket - state.base) as usize;
        if let Some(open) = state.open.get_mut(index) {
            *open = false;
        }
        while state.open.front() == Some(&false) {
            state.open.pop_front();
            state.base += 1;
        }
        let base = state.base;
        for (_, sender) in state.waiters.extract_if(.., |(below, _)| *below <= base) {
            // Who hung up meanwhile is not there to be told.
            let _ = sender.send(());
        }
    }
}

impl Flight {
    /// To be asked right after looking for duplicates: what else may have been in flight then.
    /// `None`: nothing, so that what was found is on disk.
    pub fn others(&self) -> Option<Others> {
        let state = self.flights.state.lock();
        let below = state.base + state.open.len() as u64;
        if self.alone && below == self.ticket + 1 {
            return None;
        }
        Some(Others { below, failures_before: self.failures_before })
    }

    /// Has it closed as failed, later: some of its events were taken back.
    pub fn will_fail(&mut self) {
        self.failed = true;
    }

    /// Closes it, its events having been taken back: who found them must look again.
    pub fn fail(mut self) {
        self.failed = true;
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.flights.close(self.ticket, self.failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(flights: &Arc<Flights>, others: Others) -> Option<bool> {
        use std::task::{Context, Poll, Waker};
        let mut wait = std::pin::pin!(flights.settled(others));
        match wait.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(certain) => Some(certain),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_flight_that_was_alone_waits_for_nobody() {
        let flights = Arc::new(Flights::default());
        assert_eq!(flights.open().others(), None);
        let first = flights.open();
        let second = flights.open();
        assert!(first.others().is_some() && second.others().is_some());
        drop(first);
        assert!(second.others().is_some(), "the first may have closed after the look");
        drop(second);
        assert!(flights.is_empty());
    }

    #[test]
    fn waiting_ends_when_those_open_at_the_look_are_closed_in_any_order() {
        let flights = Arc::new(Flights::default());
        let (a, b, mine) = (flights.open(), flights.open(), flights.open());
        let others = mine.others().unwrap();
        let later = flights.open();
        drop(mine);
        assert_eq!(ready(&flights, others), None);
        drop(b);
        assert_eq!(ready(&flights, others), None);
        drop(a);
        assert_eq!(ready(&flights, others), Some(true), "the later one does not matter");
        drop(later);
    }

    #[test]
    fn a_failure_meanwhile_asks_for_another_look() {
        let flights = Arc::new(Flights::default());
        let (other, mine) = (flights.open(), flights.open());
        let others = mine.others().unwrap();
        drop(mine);
        other.fail();
        assert_eq!(ready(&flights, others), Some(false));
    }

    #[tokio::test]
    async fn a_waiter_that_hung_up_leaves_the_others_waiting_well() {
        let flights = Arc::new(Flights::default());
        let (other, mine) = (flights.open(), flights.open());
        let others = mine.others().unwrap();
        drop(mine);
        let gone = tokio::spawn({
            let flights = Arc::clone(&flights);
            async move { flights.settled(others).await }
        });
        let stays = tokio::spawn({
            let flights = Arc::clone(&flights);
            async move { flights.settled(others).await }
        });
        tokio::task::yield_now().await;
        gone.abort();
        drop(other);
        assert!(stays.await.unwrap());
    }
}
