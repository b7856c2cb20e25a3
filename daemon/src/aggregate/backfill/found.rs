//! One chunk of seconds as all instances counted them, made points of.
//!
//! Of this node the local count stands beside the stored one, and the fuller is taken: what was not
//! written yet is in it. Reads the local store too; takes the state's lock for moments.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pulseboard::tick::TickSummary;
use pulseboard::window::{Point, Ticks};
use pulseboard::wire::server::Nodes;

use super::{StoredTick, StoredTicks};
use crate::aggregate::buckets::buckets;
use crate::aggregate::joined::ToFill;
use crate::aggregate::peers::{Counted, Heard, Standing};
use crate::aggregate::shared::Shared;
use crate::aggregate::state::{Found, FoundPoint};

/// What was read.
#[derive(Default)]
struct Read {
    ticks: Ticks,
    /// Who counted something in a tick.
    nodes: BTreeMap<i64, BTreeSet<Arc<str>>>,
    /// This node's, as it is stored.
    own: BTreeMap<i64, TickSummary>,
    heard: Vec<Heard>,
}

/// Reads what was asked for. Up to `written` every peer has written what it counted.
pub(super) fn read(
    shared: &Shared,
    store: &dyn StoredTicks,
    asked: &ToFill,
    standings: &[Standing],
    written: i64,
) -> Result<Found, String> {
    let mut read = Read::default();
    let (first, last) = (*asked.ticks.start(), *asked.ticks.end());
    store.each((asked.from, last + 1), asked.with_routes, &mut |stored| {
        let StoredTick { node, tick, revision, summary } = stored;
        if node == *store.node() {
            read.own.insert(tick, summary);
        } else if tick <= asked.settled {
            read.ticks.change(tick).merge(&summary);
            read.nodes.entry(tick).or_default().insert(node);
        } else {
            read.nodes.entry(tick).or_default().insert(Arc::clone(&node));
            let summary = Arc::new(summary);
            read.heard.push(Heard { node, counted: Counted { tick, revision, summary } });
        }
    })?;
    add_own(shared, store.node(), asked, &mut read)?;
    let mut found = Found {
        heard: std::mem::take(&mut read.heard),
        members: 1 + standings.len() as u32,
        written,
        ..Found::default()
    };
    for tick in first..=last {
        let was_up = (tick > asked.began).then(|| store.node());
        let (nodes, idle) = nodes_at(&read, was_up, standings, tick);
        if tick > asked.settled {
            // Who has written everything and has nothing of it counted nothing.
            let counted = || Counted { tick, revision: 0, summary: Arc::default() };
            found.heard.extend(idle.into_iter().map(|node| Heard { node, counted: counted() }));
        } else if nodes.reporting > 0 {
            let secs = shared.settings.windows_secs.iter();
            let points = secs.map(|secs| Point::at(&mut read.ticks, *secs, tick)).collect();
            found.points.push(FoundPoint { tick, nodes, points });
        }
    }
    if asked.with_routes {
        let sums = read.ticks.range(asked.from..=asked.settled);
        found.sums = sums.map(|(tick, sum)| (tick, Arc::clone(sum))).collect();
    }
    Ok(found)
}

/// Adds what this node counted.
fn add_own(
    shared: &Shared,
    node: &Arc<str>,
    asked: &ToFill,
    read: &mut Read,
) -> Result<(), String> {
    let upto = (*asked.ticks.end()).min(asked.settled);
    let mut wanted: Vec<(u32, i64)> = (asked.from..=upto).map(|tick| (1, tick)).collect();
    while !wanted.is_empty() {
        let some = buckets(shared, &wanted).map_err(|error| error.to_string())?;
        wanted.drain(..some.len().max(1).min(wanted.len()));
        for here in some {
            let stored = read.own.remove(&here.start);
            let stored = stored.filter(|stored| stored.totals.events > here.summary.totals.events);
            let own = stored.map_or(here.summary, Arc::new);
            if own.totals.events > 0 || own.totals.late > 0 {
                read.ticks.change(here.start).merge(&own);
                read.nodes.entry(here.start).or_default().insert(Arc::clone(node));
            }
        }
    }
    Ok(())
}

/// Whose counts are in a tick, and who was there; and of these the peers that counted nothing in it.
/// `own`: this node, if it was up.
fn nodes_at(
    read: &Read,
    own: Option<&Arc<str>>,
    standings: &[Standing],
    tick: i64,
) -> (Nodes, Vec<Arc<str>>) {
    let mut reporting = read.nodes.get(&tick).cloned().unwrap_or_default();
    reporting.extend(own.cloned());
    let there = standings.iter().filter(|peer| peer.first_tick <= tick);
    let mut expected = reporting.clone();
    let mut idle = Vec::new();
    for peer in there {
        expected.insert(Arc::clone(&peer.node));
        let has_written = peer.written_upto.is_some_and(|written| written >= tick);
        if has_written && reporting.insert(Arc::clone(&peer.node)) {
            idle.push(Arc::clone(&peer.node));
        }
    }
    let (reporting, expected) = (reporting.len() as u32, expected.len() as u32);
    let nodes = Nodes { reporting, expected };
    (nodes, idle)
}
