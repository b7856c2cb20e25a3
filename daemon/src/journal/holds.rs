//! What is durable and not yet for readers to see: appends that wait for another decision after
//! their sync, and the watermark that the first of them holds back.
//!
//! Readers see what lies below the watermark. A held append is let go by its caller, in any order;
//! the watermark passes it when everything before has been let go too, so that readers never see a
//! gap close behind them. Without held appends the watermark is the durable end. What is let go for
//! good holds it back too, until it is durable how far readers see. As many entries as there are
//! held appends, which the bytes ingest has in work bound. Knows nothing of why something is held;
//! used by the hand-off, and through [`Hold`] by whoever appended.

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
    /// Spans let go that wait to be noted.
    to_note: usize,
}

/// How something is let go.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LetGo {
    /// Readers see it no sooner than that is durable.
    pub(super) for_good: bool,
    /// Somebody waits until they do.
    pub(super) watched: bool,
}

struct Span {
    first_seq: u64,
    end_seq: u64,
    let_go: bool,
    /// Let go for good, which is not durable yet.
    to_note: bool,
    /// Who waits for readers to see it.
    waiting: Option<oneshot::Sender<()>>,
}

impl Holds {
    /// Holds what is appended as `first_seq..end_seq`: after all that is held.
    pub(super) fn add(&mut self, first_seq: u64, end_seq: u64) {
        let span = Span { first_seq, end_seq, let_go: false, to_note: false, waiting: None };
        self.spans.push_back(span);
    }

    /// The same for what is let go for good from the start.
    pub(super) fn add_for_good(&mut self, first_seq: u64, end_seq: u64) {
        let span = Span { first_seq, end_seq, let_go: true, to_note: true, waiting: None };
        self.spans.push_back(span);
        self.to_note += 1;
    }

    /// Lets the span that begins at `first_seq` go. Returns what resolves once the watermark has
    /// passed it; `None` when it has, or when nobody waits for that.
    pub(super) fn let_go(&mut self, first_seq: u64, how: LetGo) -> Option<oneshot::Receiver<()>> {
        let LetGo { for_good, watched } = how;
        let index = self.find(first_seq)?;
        let span = &mut self.spans[index];
        (span.let_go, span.to_note) = (true, for_good);
        self.to_note += usize::from(for_good);
        if index == 0 && !for_good {
            self.pass();
            return None;
        }
        watched.then(|| {
            let (waiting, passed) = oneshot::channel();
            self.spans[index].waiting = Some(waiting);
            passed
        })
    }

    /// How far the watermark of a journal that is durable up to `durable_seq` would come if that
    /// were noted; `None` when nothing waits for it.
    pub(super) fn to_note(&self, durable_seq: u64) -> Option<u64> {
        if self.to_note == 0 {
            return None;
        }
        let mut waits = false;
        for span in &self.spans {
            if !span.let_go {
                return waits.then_some(span.first_seq);
            }
            waits |= span.to_note;
        }
        waits.then_some(durable_seq)
    }

    /// It is durable that readers see up to `seq`.
    pub(super) fn noted(&mut self, seq: u64) {
        for span in self.spans.iter_mut().take_while(|span| span.end_seq <= seq) {
            self.to_note -= usize::from(std::mem::take(&mut span.to_note));
        }
        self.pass();
    }

    fn pass(&mut self) {
        while self.spans.front().is_some_and(|span| span.let_go && !span.to_note) {
            if let Some(waiting) = self.spans.pop_front().and_then(|span| span.waiting) {
                // Who hung up meanwhile is not there to be told.
                let _ = waiting.send(());
            }
        }
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
    pub fn let_go(self) -> Seen {
        Seen(self.let_all_go(LetGo { for_good: false, watched: true }))
    }

    /// The same, once it is durable as well that they do: no start decides about them again.
    pub fn let_go_for_good(self) -> Seen {
        Seen(self.let_all_go(LetGo { for_good: true, watched: true }))
    }

    /// The same as either, for whoever does not wait until readers see them.
    pub fn release(self, for_good: bool) {
        self.let_all_go(LetGo { for_good, watched: false });
    }

    fn let_all_go(mut self, how: LetGo) -> Option<oneshot::Receiver<()>> {
        let passed = self.shared.let_go(self.first_seq, how);
        self.end_seq = self.first_seq;
        passed
    }

    /// Lets go of what lies below `seq`, and goes on holding the rest. Returns whether there is
    /// a rest.
    pub(super) fn let_go_below(&mut self, seq: u64) -> bool {
        if self.first_seq == self.end_seq {
            return false;
        }
        if seq >= self.end_seq {
            let _ = self.shared.let_go(self.first_seq, LetGo::default());
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
            let _ = self.shared.let_go(self.first_seq, LetGo::default());
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

    const WATCHED: LetGo = LetGo { for_good: false, watched: true };

    #[test]
    fn the_watermark_stands_at_the_first_span_held_and_passes_in_order() {
        let mut holds = Holds::default();
        assert_eq!(holds.watermark(7), 7);
        holds.add(3, 5);
        holds.add(5, 6);
        holds.add(9, 12);
        assert_eq!(holds.watermark(20), 3);
        let mut second = holds.let_go(5, WATCHED).unwrap();
        assert_eq!(holds.watermark(20), 3, "the one before is still held");
        assert!(second.try_recv().is_err());
        assert!(holds.let_go(3, WATCHED).is_none());
        assert_eq!((second.try_recv(), holds.watermark(20)), (Ok(()), 9));
        holds.let_go_below(9, 11);
        assert_eq!(holds.watermark(20), 11);
        assert!(holds.let_go(9, WATCHED).is_none(), "it begins at 11 now");
        assert!(holds.let_go(11, WATCHED).is_none());
        assert_eq!(holds.watermark(20), 20);
    }

    #[test]
    fn what_is_let_go_for_good_is_passed_when_that_is_noted_and_takes_along_what_it_held_back() {
        let mut holds = Holds::default();
        holds.add(3, 5);
        holds.add(5, 6);
        holds.add(8, 9);
        let mut second = holds.let_go(5, LetGo { for_good: true, ..WATCHED }).unwrap();
        assert_eq!(holds.to_note(20), None, "the first is held");
        assert!(holds.let_go(3, WATCHED).is_none());
        assert_eq!((holds.watermark(20), holds.to_note(20)), (5, Some(8)));
        assert!(second.try_recv().is_err());
        holds.noted(8);
        assert_eq!((second.try_recv(), holds.watermark(20), holds.to_note(20)), (Ok(()), 8, None));
        holds.add_for_good(9, 12);
        assert!(holds.let_go(8, WATCHED).is_none());
        assert_eq!((holds.watermark(20), holds.to_note(20)), (9, Some(20)));
        holds.noted(20);
        assert!(holds.is_empty());
    }
}
