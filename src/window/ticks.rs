//! The ticks that windows are made of, and the distinct counts over any span of them.
//!
//! Ticks nobody was up for are absent. Distinct counts over a span are unions of whole blocks of 5
//! ticks, made when first needed and dropped when one of their ticks changes, and of single ticks
//! at both ends. Summaries are shared: whoever holds a copy of the pointers reads them as they were.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeInclusive};
use std::sync::Arc;

use crate::sketch::{Distinct, DistinctUnion};
use crate::tick::TickSummary;

/// Ticks in a block.
const BLOCK: i64 = 5;

#[derive(Clone, Debug)]
struct Block {
    users: Distinct,
    sessions: Distinct,
}

/// Summaries by tick.
#[derive(Clone, Debug, Default)]
pub struct Ticks {
    ticks: BTreeMap<i64, Arc<TickSummary>>,
    blocks: BTreeMap<i64, Block>,
}

impl Ticks {
    /// A tick's summary; `None` where nobody was up.
    pub fn get(&self, tick: i64) -> Option<&Arc<TickSummary>> {
        self.ticks.get(&tick)
    }

    /// A tick's summary, to change it: made when there is none, copied when somebody reads it.
    pub fn change(&mut self, tick: i64) -> &mut TickSummary {
        self.blocks.remove(&tick.div_euclid(BLOCK));
        Arc::make_mut(self.ticks.entry(tick).or_default())
    }

    /// Sets a tick's summary.
    pub fn insert(&mut self, tick: i64, summary: Arc<TickSummary>) {
        self.blocks.remove(&tick.div_euclid(BLOCK));
        self.ticks.insert(tick, summary);
    }

    /// Ticks of a span, ascending, without gaps.
    pub fn range(
        &self,
        span: RangeInclusive<i64>,
    ) -> impl DoubleEndedIterator<Item = (i64, &Arc<TickSummary>)> {
        // `BTreeMap::range` panics on a range that ends before it starts.
        let end =
            (Bound::Included(*span.start()), Bound::Excluded((*span.end() + 1).max(*span.start())));
        self.ticks.range(end).map(|(tick, summary)| (*tick, summary))
    }

    /// A copy of the pointers of a span.
    #[must_use]
    pub fn span(&self, span: RangeInclusive<i64>) -> Self {
        let ticks = self.range(span).map(|(tick, summary)| (tick, Arc::clone(summary))).collect();
        Self { ticks, blocks: BTreeMap::new() }
    }

    /// Forgets what is before `tick`.
    pub fn forget_before(&mut self, tick: i64) {
        while let Some(entry) = self.ticks.first_entry().filter(|entry| *entry.key() < tick) {
            entry.remove();
        }
        self.blocks = self.blocks.split_off(&tick.div_euclid(BLOCK));
    }

    /// Forgets what is after `tick`.
    pub fn forget_after(&mut self, tick: i64) {
        self.ticks.split_off(&(tick + 1));
        self.blocks.split_off(&tick.div_euclid(BLOCK));
    }

    /// Distinct actors and sessions over a span.
    pub fn distinct(&mut self, span: RangeInclusive<i64>) -> (u64, u64) {
        let (first, last) = (*span.start(), *span.end());
        if first == last {
            let totals = self.get(first).map(|summary| &summary.totals);
            return totals.map_or((0, 0), |t| (t.users.count(), t.sessions.count()));
        }
        let (mut users, mut sessions) = (DistinctUnion::default(), DistinctUnion::default());
        self.each_part(span, |one, other| {
            users.add(one);
            sessions.add(other);
        });
        (users.count(), sessions.count())
    }

    /// Distinct actors over a span.
    pub(super) fn distinct_users(&mut self, span: RangeInclusive<i64>) -> u64 {
        let mut users = DistinctUnion::default();
        self.each_part(span, |one, _| users.add(one));
        users.count()
    }

    /// Gives the users and sessions of the blocks and ticks that make up a span.
    fn each_part(&mut self, span: RangeInclusive<i64>, mut give: impl FnMut(&Distinct, &Distinct)) {
        let (mut tick, last) = (*span.start(), *span.end());
        while tick <= last {
            let block = tick.div_euclid(BLOCK);
            if tick == block * BLOCK && tick + BLOCK - 1 <= last {
                let block = self.block(block);
                give(&block.users, &block.sessions);
                tick += BLOCK;
                continue;
            }
            if let Some(summary) = self.ticks.get(&tick) {
                give(&summary.totals.users, &summary.totals.sessions);
            }
            tick += 1;
        }
    }

    fn block(&mut self, block: i64) -> &Block {
        let ticks = &self.ticks;
        self.blocks.entry(block).or_insert_with(|| {
            let (mut users, mut sessions) = (DistinctUnion::default(), DistinctUnion::default());
            for (_, summary) in ticks.range(block * BLOCK..(block + 1) * BLOCK) {
                users.add(&summary.totals.users);
                sessions.add(&summary.totals.sessions);
            }
            Block { users: users.to_distinct(), sessions: sessions.to_distinct() }
        })
    }
}
