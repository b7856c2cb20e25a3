//! The other instances, as the aggregator needs to know them: what it counted is told to them, and
//! what they counted is asked for and joined into what is shown.
//!
//! A summary is absolute: a later revision of the same node's tick takes the place of the earlier
//! one. Nothing here waits: who implements it keeps what was said and heard in bounded memory.

use std::sync::Arc;

use pulseboard::filter::Filter;
use pulseboard::tick::TickSummary;
use pulseboard::wire::server::Nodes;

/// One node's count of one tick of one view.
#[derive(Clone, Debug)]
pub struct Counted {
    /// The tick.
    pub tick: i64,
    /// Grows whenever the summary changed; compared only with others of the same node and tick.
    pub revision: u64,
    /// All the node counted in it.
    pub summary: Arc<TickSummary>,
}

/// What a peer said.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Who: a node's id.
    pub node: Arc<str>,
    /// What it counted.
    pub counted: Counted,
}

/// How a peer that is there stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Who: a node's id.
    pub node: Arc<str>,
    /// The first tick it counts as one of all.
    pub first_tick: i64,
    /// What it counted in ticks up to this one is in the shared store; `None` where it does not say.
    pub written_upto: Option<i64>,
}

/// The other instances.
pub trait Peers: Send + Sync {
    /// Whether there can be any: without Redis nothing is told and nothing joined.
    fn is_cluster(&self) -> bool {
        false
    }

    /// Tells the peers what was counted here in the view of `key` ([`super::Watch::key`]; empty for
    /// the view of everything). Called on the aggregator's threads: hands on and returns.
    fn tell(&self, _key: &Arc<str>, _ticks: Vec<Counted>) {}

    /// Takes what the peers said about a view since it was last asked for.
    fn take_heard(&self, _key: &str) -> Vec<Heard> {
        Vec::new()
    }

    /// Of a tick: how many instances, this one too, have said what they counted (or have left), and
    /// how many there are.
    fn nodes(&self, _tick: i64) -> Nodes {
        Nodes { reporting: 1, expected: 1 }
    }

    /// The peers that are there.
    fn standings(&self) -> Vec<Standing> {
        Vec::new()
    }

    /// What was counted here in ticks up to this one is in the shared store: for peers to know.
    fn written(&self, _upto: Option<i64>) {}

    /// A view is watched here: every peer is asked to count it too.
    fn opened(&self, _filter: &Filter) {}

    /// A view begins to be counted here, or begins anew: what was taken of it is gone, and what peers
    /// said of it in the last minutes is to be given again.
    fn begun(&self, _key: &str) {}

    /// A view is no longer watched here.
    fn closed(&self, _key: &str) {}

    /// The views that peers watch, as filters: to be counted here for them.
    fn wanted(&self) -> Vec<Filter> {
        Vec::new()
    }
}

/// There are none.
impl Peers for () {}
