//! What carries ticks between the instances of a test: loses, keeps back and repeats what it is told
//! to. What was said last is kept, as in Redis, for whoever missed it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use pulseboard::filter::Filter;
use pulseboard::tick::{Names, TickSummary};
use pulseboard::wire::server::Nodes;

use super::harness::START;
use crate::aggregate::{Counted, Heard, Peers, Standing};

/// What becomes of a message to one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Arrives,
    Twice,
    /// Arrives when everything does.
    Waits,
    Lost,
}

#[derive(Default)]
struct Inside {
    members: BTreeSet<usize>,
    fates: Vec<Fate>,
    next_fate: usize,
    waiting: Vec<(usize, Arc<str>, Heard)>,
    heard: HashMap<(usize, String), Vec<Heard>>,
    kept: BTreeMap<(String, i64, usize), Counted>,
    watched: BTreeMap<String, (Filter, BTreeSet<usize>)>,
    /// They reach nobody.
    cut: BTreeSet<usize>,
    /// What nodes say to have written to the shared store, where it is not everything.
    written: HashMap<usize, i64>,
    told: usize,
}

/// See the module.
#[derive(Clone, Default)]
pub(super) struct Bus(Arc<Mutex<Inside>>);

impl Bus {
    pub(super) fn seat(&self, node: usize) -> Arc<dyn Peers> {
        self.0.lock().members.insert(node);
        Arc::new(Seat { bus: self.clone(), node })
    }

    /// Messages to come meet these fates, in turn.
    pub(super) fn set_fates(&self, fates: &[Fate]) {
        self.0.lock().fates = fates.to_vec();
    }

    /// What waits arrives, in the opposite order.
    pub(super) fn release(&self) {
        let mut inside = self.0.lock();
        let waiting = std::mem::take(&mut inside.waiting);
        for (to, key, heard) in waiting.into_iter().rev() {
            inside.heard.entry((to, key.to_string())).or_default().push(heard);
        }
    }

    /// Everybody hears again what everybody said last.
    pub(super) fn fill(&self) {
        self.release();
        let mut inside = self.0.lock();
        let kept: Vec<_> =
            inside.kept.iter().map(|(at, said)| (at.clone(), said.clone())).collect();
        let members = inside.members.clone();
        for ((key, _, from), counted) in kept {
            for to in members.iter().filter(|to| **to != from) {
                let heard = Heard { node: name(from), counted: counted.clone() };
                inside.heard.entry((*to, key.clone())).or_default().push(heard);
            }
        }
    }

    /// A node is no longer a member.
    pub(super) fn leave(&self, node: usize) {
        self.0.lock().members.remove(&node);
    }

    /// A node is a member again.
    pub(super) fn join(&self, node: usize) {
        self.0.lock().members.insert(node);
    }

    /// A node hears nobody, and nobody it.
    pub(super) fn cut(&self, node: usize) {
        self.0.lock().cut.insert(node);
    }

    /// All hear each other again.
    pub(super) fn mend(&self) {
        self.0.lock().cut.clear();
    }

    /// What was said of ticks before that one is no longer kept.
    pub(super) fn forget_before(&self, tick: i64) {
        let mut inside = self.0.lock();
        inside.kept.retain(|(_, kept, _), _| *kept >= tick);
        inside.waiting.retain(|(_, _, heard)| heard.counted.tick >= tick);
        let heard = inside.heard.values_mut();
        heard.for_each(|heard| heard.retain(|heard| heard.counted.tick >= tick));
    }

    /// A node says to have written what it counted up to a tick.
    pub(super) fn has_written(&self, node: usize, upto: i64) {
        self.0.lock().written.insert(node, upto);
    }

    /// Ticks that were told in all.
    pub(super) fn told(&self) -> usize {
        self.0.lock().told
    }
}

struct Seat {
    bus: Bus,
    node: usize,
}

pub(super) fn name(node: usize) -> Arc<str> {
    format!("{node:012x}").into()
}

/// What a peer makes of it.
fn carried(counted: &Counted) -> Counted {
    let bytes = counted.summary.encode();
    let summary = TickSummary::decode(&bytes, &mut Names::default()).unwrap();
    Counted { summary: Arc::new(summary), ..*counted }
}

impl Peers for Seat {
    fn is_cluster(&self) -> bool {
        true
    }

    fn tell(&self, key: &Arc<str>, ticks: Vec<Counted>) {
        let mut inside = self.bus.0.lock();
        let members = inside.members.clone();
        for counted in ticks {
            let counted = carried(&counted);
            inside.told += 1;
            let is_cut = |node: &usize| inside.cut.contains(node);
            let reached: Vec<usize> =
                members.iter().copied().filter(|to| *to != self.node).collect();
            let reached = reached.into_iter().filter(|to| !is_cut(to) && !is_cut(&self.node));
            for to in reached.collect::<Vec<_>>() {
                let heard = Heard { node: name(self.node), counted: counted.clone() };
                let nth = inside.next_fate;
                inside.next_fate += 1;
                let fates = inside.fates.len().max(1);
                let fate = inside.fates.get(nth % fates).copied().unwrap_or(Fate::Arrives);
                let inbox = (to, key.to_string());
                match fate {
                    Fate::Arrives => inside.heard.entry(inbox).or_default().push(heard),
                    Fate::Twice => {
                        inside.heard.entry(inbox).or_default().extend([heard.clone(), heard]);
                    }
                    Fate::Waits => inside.waiting.push((to, Arc::clone(key), heard)),
                    Fate::Lost => {}
                }
            }
            if inside.cut.contains(&self.node) {
                continue;
            }
            let at = (key.to_string(), counted.tick, self.node);
            let is_news = |kept: &Counted| kept.revision <= counted.revision;
            if inside.kept.get(&at).is_none_or(is_news) {
                inside.kept.insert(at, counted);
            }
        }
    }

    fn take_heard(&self, key: &str) -> Vec<Heard> {
        self.bus.0.lock().heard.remove(&(self.node, key.to_owned())).unwrap_or_default()
    }

    fn nodes(&self, _: i64) -> Nodes {
        let members = self.bus.0.lock().members.len() as u32;
        Nodes { reporting: members, expected: members }
    }

    fn standings(&self) -> Vec<Standing> {
        let inside = self.bus.0.lock();
        let is_there = |node: &usize| *node != self.node && !inside.cut.contains(node);
        let there = inside.members.iter().copied().filter(is_there);
        let there = there.filter(|_| !inside.cut.contains(&self.node));
        let standing = |node| {
            let written_upto = inside.written.get(&node).copied().or(Some(i64::MAX));
            Standing { node: name(node), first_tick: START, written_upto }
        };
        there.map(standing).collect()
    }

    fn begun(&self, key: &str) {
        let mut inside = self.bus.0.lock();
        let of = |((view, _, from), counted): (&(String, i64, usize), &Counted)| {
            (view == key && *from != self.node)
                .then(|| Heard { node: name(*from), counted: counted.clone() })
        };
        let again: Vec<Heard> = inside.kept.iter().filter_map(of).collect();
        inside.heard.insert((self.node, key.to_owned()), again);
    }

    fn opened(&self, filter: &Filter) {
        let mut inside = self.bus.0.lock();
        let watched = inside.watched.entry(filter.to_string());
        watched.or_insert_with(|| (filter.clone(), BTreeSet::new())).1.insert(self.node);
    }

    fn closed(&self, key: &str) {
        if let Some((_, by)) = self.bus.0.lock().watched.get_mut(key) {
            by.remove(&self.node);
        }
    }

    fn wanted(&self) -> Vec<Filter> {
        let inside = self.bus.0.lock();
        let others = |by: &BTreeSet<usize>| by.iter().any(|node| *node != self.node);
        let wanted = inside.watched.values().filter(|(_, by)| others(by));
        wanted.map(|(filter, _)| filter.clone()).collect()
    }
}
