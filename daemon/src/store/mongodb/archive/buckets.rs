//! Tumbling buckets, merged over instances: history, tables of routes, windows as they were.
//!
//! Of each bucket of this instance there are two counts, the stored one and the one in memory when
//! it changed since; the one with the higher revision counts. Buckets nothing was counted in are
//! not stored: whether anybody was up then is for the caller to say.

use std::collections::BTreeMap;
use std::sync::Arc;

use pulseboard::rollup::{Buckets, MINUTE, Plan};
use pulseboard::tick::{Names, RouteTable, TickSummary, Totals};
use pulseboard::window::{Around, Ticks, Window};
use pulseboard::wire::server::{Aggregate, History};

use super::super::buckets::{StoredBucket, read_bucket};
use super::super::queries::{self, Part};
use super::{Archive, ArchiveError};
use crate::store::drain::{Bucket, is_whole_minutes, start_of};

/// Routes told apart in one answer; those with the fewest events are counted together past it.
const ROUTES_MAX: usize = 200_000;

/// This instance's buckets that changed since they were written, by first tick.
struct Unwritten(BTreeMap<i64, Bucket>);

impl Unwritten {
    /// Whether a stored bucket counts; it takes the place of ours if it is newer.
    fn gives_way(&mut self, own: &str, stored: &StoredBucket<'_>) -> bool {
        if stored.node != own {
            return true;
        }
        match self.0.get(&stored.tick) {
            // What was counted from stored events leaves out those that are another instance's, which
            // what was counted live does not.
            Some(newer) if newer.revision >= stored.revision && !stored.recounted => false,
            _ => {
                self.0.remove(&stored.tick);
                true
            }
        }
    }

    /// Takes those before a tick, in order.
    fn before(&mut self, tick: i64) -> impl Iterator<Item = (i64, Arc<TickSummary>)> {
        let rest = self.0.split_off(&tick);
        let before = std::mem::replace(&mut self.0, rest);
        before.into_iter().map(|(start, bucket)| (start, bucket.summary))
    }
}

impl Archive {
    /// Tumbling buckets of a plan. `is_real` says by a point's place whether somebody was up for it:
    /// where nobody was and nothing was counted it is null.
    pub fn history(
        &self,
        plan: Plan,
        is_real: &dyn Fn(usize) -> bool,
    ) -> Result<History, ArchiveError> {
        let step = i64::from(plan.step_secs);
        let secs = if is_whole_minutes(plan.step_secs) { MINUTE as u32 } else { 1 };
        let range = (plan.from, plan.to);
        let mut unwritten = self.unwritten(secs, range)?;
        let (mut buckets, mut names) = (Buckets::new(plan), Names::default());
        // Points that somebody was up for, with nothing in them.
        let mut real = (0..plan.points()).filter(|nth| is_real(*nth as usize)).peekable();
        let nothing = Totals::default();
        let mut add = |buckets: &mut Buckets, tick: i64, totals: &Totals| {
            let point = (plan.bucket_of(tick) - plan.from) / step;
            while let Some(nth) = real.next_if(|nth| (*nth as i64) < point) {
                buckets.add(plan.from + nth as i64 * step, &nothing);
            }
            buckets.add(tick, totals);
        };
        self.find(queries::buckets(secs, range, Part::Totals), Some(self.until()))?.each(
            |document| {
                let Some(stored) = read(document) else { return Ok(()) };
                for (start, summary) in unwritten.before(stored.tick) {
                    add(&mut buckets, start, &summary.totals);
                }
                if unwritten.gives_way(&self.0.own.node, &stored)
                    && let Some(totals) = totals(&stored, &mut names)
                {
                    add(&mut buckets, stored.tick, &totals);
                }
                Ok(())
            },
        )?;
        for (start, summary) in unwritten.before(i64::MAX) {
            add(&mut buckets, start, &summary.totals);
        }
        for nth in real {
            buckets.add(plan.from + nth as i64 * step, &nothing);
        }
        Ok(buckets.finish())
    }

    /// The routes of the minutes of `from..to` (ticks).
    pub fn routes(&self, (from, to): (i64, i64)) -> Result<RouteTable, ArchiveError> {
        let secs = MINUTE as u32;
        let range = (start_of(secs, from), to);
        let mut unwritten = self.unwritten(secs, range)?;
        let (mut table, mut names) = (RouteTable::default(), Names::default());
        let bound = |table: &mut RouteTable| {
            if table.rows().len() > 2 * ROUTES_MAX {
                *table = table.bounded(ROUTES_MAX);
            }
        };
        self.find(queries::buckets(secs, range, Part::Routes), Some(self.until()))?.each(
            |document| {
                let Some(stored) = read(document) else { return Ok(()) };
                if unwritten.gives_way(&self.0.own.node, &stored) {
                    add_routes(&stored, &mut table, &mut names);
                    bound(&mut table);
                }
                Ok(())
            },
        )?;
        for (_, summary) in unwritten.before(i64::MAX) {
            table.merge(&summary.routes);
            bound(&mut table);
        }
        Ok(table)
    }

    /// A window of `secs` that ended with a tick, and whether anything was counted in that tick
    /// itself; `None` when nothing was in all of it.
    pub fn at(&self, secs: u32, tick: i64) -> Result<Option<(Aggregate, bool)>, ArchiveError> {
        let range = (tick - i64::from(secs) + 1, tick + 1);
        let mut unwritten = self.unwritten(1, range)?;
        let (mut ticks, mut names) = (Ticks::default(), Names::default());
        self.find(queries::buckets(1, range, Part::Whole), Some(self.until()))?.each(
            |document| {
                let Some(stored) = read(document) else { return Ok(()) };
                if unwritten.gives_way(&self.0.own.node, &stored)
                    && let Some(totals) = totals(&stored, &mut names)
                {
                    let summary = ticks.change(stored.tick);
                    summary.totals.merge(&totals);
                    add_routes(&stored, &mut summary.routes, &mut names);
                }
                Ok(())
            },
        )?;
        for (start, summary) in unwritten.before(i64::MAX) {
            ticks.change(start).merge(&summary);
        }
        if ticks.range(range.0..=tick).next().is_none() {
            return Ok(None);
        }
        let has_tick = ticks.get(tick).is_some();
        let inside = ticks.range(range.0..=tick).filter_map(|(_, one)| one.totals.last_event_ms);
        let last_event_ms = match inside.max() {
            Some(last_ms) => Some(last_ms),
            None => self.last_before(range.0)?,
        };
        let around = Around { last_event_ms, ..Around::default() };
        let window = Window::merged(secs, tick, &ticks).render(&mut ticks, &around);
        Ok(Some((window, has_tick)))
    }

    /// The time of the last event before a tick, within an hour.
    pub fn last_before(&self, tick: i64) -> Result<Option<i64>, ArchiveError> {
        let own = self.unwritten(1, (tick - 3_600, tick))?;
        let mut last_ms = own.0.values().filter_map(|one| one.summary.totals.last_event_ms).max();
        self.find(queries::last_before(tick), Some(self.until()))?.each(|document| {
            let at = document.get_datetime("lastEventAt");
            last_ms = last_ms.max(at.ok().map(mongodb::bson::DateTime::timestamp_millis));
            Ok(())
        })?;
        Ok(last_ms)
    }

    fn unwritten(&self, secs: u32, range: (i64, i64)) -> Result<Unwritten, ArchiveError> {
        let changed = self.0.own.counts.unwritten(secs, range)?;
        Ok(Unwritten(changed.into_iter().map(|bucket| (bucket.start, bucket)).collect()))
    }
}

fn read(document: &mongodb::bson::RawDocument) -> Option<StoredBucket<'_>> {
    let read = read_bucket(document);
    read.inspect_err(|error| tracing::debug!(%error, "a document in the store is no bucket")).ok()
}

/// A summary of a newer version, or a damaged one, is left out, and said.
fn totals(stored: &StoredBucket<'_>, names: &mut Names) -> Option<Totals> {
    Totals::decode(stored.summary, names).inspect_err(|error| unread(stored, error)).ok()
}

fn add_routes(stored: &StoredBucket<'_>, table: &mut RouteTable, names: &mut Names) {
    if let Err(error) = table.merge_encoded(stored.routes, names) {
        unread(stored, &error);
    }
}

fn unread(stored: &StoredBucket<'_>, error: &dyn std::fmt::Display) {
    let (tick, node) = (stored.tick, stored.node);
    tracing::warn!(tick, node, "a bucket in the store cannot be read and is left out: {error}");
}
