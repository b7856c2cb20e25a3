//! What is durable and not yet for readers to see: appends that wait for another decision after
//! their sync, and the watermark that the first of them holds back.
//!
//! Readers see what lies below the watermark. A held append is let go by its caller, in any order;
//! the watermark passes it when everything before has been let go too, so that readers never see a
//! gap close behind them. Without held appends the watermark is the durable end. As many entries
//! as there are held appends, which the bytes ingest has in work bound. Knows nothing of why
//! something is held; used by the hand-off, and through [`Hold`] by whoever appended.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use super::queue::Shared;

/// The held spans of a journal, in order of sequence.
#[derive(Default)]
pub(super) struct Holds {
    spans: VecDeque<Span>,
}

struct Span {
    first_seq: u64,
    end_seq: u64,
    let_go: bool,
    /// Who waits for readers to see it.
    waiting: Option<oneshot::Sender<()>>,
}

impl Holds {
    /// Holds what is appended as `first_seq..end_seq`: after all that is held.
    pub(super) fn add(&mut self, first_seq: u64, end_seq: u64) {
        let span = Span { first_seq, end_seq, let_go: false, waiting: None };
        self.spans.push_back(span);
    }

    /// Lets the span that begins at `first_seq` go. Returns what resolves once the watermark has
    /// passed it; `None` when it has.
    pub(super) fn let_go(&mut self, first_seq: u64) -> Option<oneshot::Receiver<()>> {
        let index = self.find(first_seq)?;
        self.spans[index].let_go = true;
        if index > 0 {
            let (waiting, passed) = oneshot::channel();
            self.spans[index].waiting = Some(waiting);
            return Some(passed);
        }
        while self.spans.front().is_some_and(|span| span.let_go) {
            if let Some(waiting) = self.spans.pop_front().and_then(|span| span.waiting) {
                // Who hung up meanwhile is not there to be told.
                let _ = waiting.send(());
            }
        }
        None
    }

    /// Lets the part below `seq` of the span that begins at `first_seq` go, not all of it.
    pub(super) fn let_go_below(&mut self, first_seq: u64, seq: u64) {
        if let Some(index) = self.find(first_seq) {
            let span = &mut self.spans[index];
            span.first_seq = seq.clamp(span.first_seq, span.end_seq - 1);
        }
    }

    /// Whether nothing is held.
    pub(super) fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The sequence readers may see up to, of a journal that is durable up to `durable_seq`.
    pub(super) fn watermark(&self, durable_seq: u64) -> u64 {
        self.spans.front().map_or(durable_seq, |span| span.first_seq)
    }

    /// Nobody will pass any more: who waits is told.
    pub(super) fn close(&mut self) {
        self.spans.iter_mut().for_each(|span| span.waiting = None);
    }

    fn find(&self, first_seq: u64) -> Option<usize> {
        self.spans.binary_search_by_key(&first_seq, |span| span.first_seq).ok()
    }
}

/// Durable events that no reader sees before they are let go. Dropping it lets them go, unless the
/// journal is closed: then they stay unseen until it is opened again.
pub struct Hold {
    shared: Arc<Shared>,
    first_seq: u64,
    end_seq: u64,
}

/// Resolves when readers see what was let go, or never will because the journal is closed.
pub struct Seen(Option<oneshot::Receiver<()>>);

impl Hold {
    pub(super) fn new(shared: &Arc<Shared>, first_seq: u64, end_seq: u64) -> Self {
        Self { shared: Arc::clone(shared), first_seq, end_seq }
    }

    /// The sequence of the first event held.
    pub fn first_seq(&self) -> u64 {
        self.first_seq
    }

    /// The sequence after the last.
    pub fn end_seq(&self) -> u64 {
        self.end_seq
    }

    /// Lets readers see the events, once everything before them is let go too.
    pub fn let_go(mut self) -> Seen {
        let passed = self.shared.handoff.let_go(self.first_seq);
        self.end_seq = self.first_seq;
        Seen(passed)
    }

    /// Lets go of what lies below `seq`, and goes on holding the rest. Returns whether there is
    /// a rest.
    pub(super) fn let_go_below(&mut self, seq: u64) -> bool {
        if self.first_seq == self.end_seq {
            return false;
        }
        if seq >= self.end_seq {
            let _ = self.shared.handoff.let_go(self.first_seq);
            self.first_seq = self.end_seq;
            return false;
        }
        if seq > self.first_seq {
            self.shared.handoff.let_go_below(self.first_seq, seq);
            self.first_seq = seq;
        }
        true
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.first_seq < self.end_seq {
            self.shared.counters.holds_dropped.fetch_add(1, Ordering::Relaxed);
            let _ = self.shared.handoff.let_go(self.first_seq);
        }
    }
}

impl Future for Seen {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Some(passed) => Pin::new(passed).poll(context).map(|_| ()),
            None => Poll::Ready(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watermark_stands_at_the_first_span_held_and_passes_in_order() {
        let mut holds = Holds::default();
        assert_eq!(holds.watermark(7), 7);
        holds.add(3, 5);
        holds.add(5, 6);
        holds.add(9, 12);
        assert_eq!(holds.watermark(20), 3);
        let mut second = holds.let_go(5).unwrap();
        assert_eq!(holds.watermark(20), 3, "the one before is still held");
        assert!(second.try_recv().is_err());
        assert!(holds.let_go(3).is_none());
        assert_eq!((second.try_recv(), holds.watermark(20)), (Ok(()), 9));
        holds.let_go_below(9, 11);
        assert_eq!(holds.watermark(20), 11);
        assert!(holds.let_go(9).is_none(), "it begins at 11 now");
        assert!(holds.let_go(11).is_none());
        assert_eq!(holds.watermark(20), 20);
    }
}
