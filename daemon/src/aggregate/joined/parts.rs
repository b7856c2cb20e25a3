//! What each instance counted of one tick.

use std::sync::Arc;

use pulseboard::tick::TickSummary;

/// What a peer said.
struct Part {
    node: Arc<str>,
    revision: u64,
    summary: Arc<TickSummary>,
    bytes: usize,
}

/// A tick's parts.
#[derive(Default)]
pub(super) struct Parts {
    /// This node's; none where it was not up.
    pub(super) own: Option<Arc<TickSummary>>,
    /// Of each peer the newest revision.
    heard: Vec<Part>,
    /// Instances there were when the tick was framed; 0 before.
    pub(super) expected: u32,
}

impl Parts {
    /// How many are in it.
    pub(super) fn reporting(&self) -> u32 {
        u32::from(self.own.is_some()) + self.heard.len() as u32
    }

    /// Whether a peer's part of a revision is news.
    pub(super) fn is_news(&self, node: &str, revision: u64) -> bool {
        let mine = self.heard.iter().find(|part| *part.node == *node);
        mine.is_none_or(|mine| mine.revision < revision)
    }

    /// Whether a peer's part can be taken in, there being `peers_max` at most.
    pub(super) fn has_room_for(&self, node: &str, peers_max: usize) -> bool {
        self.heard.len() < peers_max || self.heard.iter().any(|part| *part.node == *node)
    }

    /// Sets a peer's part. Bytes that went for it.
    pub(super) fn set(
        &mut self,
        node: Arc<str>,
        revision: u64,
        summary: Arc<TickSummary>,
        bytes: usize,
    ) -> usize {
        let part = Part { node, revision, summary, bytes };
        if let Some(mine) = self.heard.iter_mut().find(|mine| mine.node == part.node) {
            return std::mem::replace(mine, part).bytes;
        }
        self.heard.push(part);
        0
    }

    /// Bytes of what was heard, about.
    pub(super) fn heard_bytes(&self) -> usize {
        self.heard.iter().map(|part| part.bytes).sum()
    }

    /// Rows of routes in all parts.
    pub(super) fn rows(&self) -> usize {
        self.each().map(|summary| summary.routes.rows().len()).sum()
    }

    /// All parts in one: `None` when nobody was up. One part alone is shared, not copied.
    pub(super) fn merged(&self) -> Option<Arc<TickSummary>> {
        let largest = self.each().max_by_key(|summary| summary.routes.rows().len())?;
        let mut sum = Arc::clone(largest);
        for summary in self.each().filter(|summary| !Arc::ptr_eq(summary, largest)) {
            if summary.totals.events > 0 || summary.totals.late > 0 {
                Arc::make_mut(&mut sum).merge(summary);
            }
        }
        Some(sum)
    }

    fn each(&self) -> impl Iterator<Item = &Arc<TickSummary>> {
        self.own.iter().chain(self.heard.iter().map(|part| &part.summary))
    }
}
