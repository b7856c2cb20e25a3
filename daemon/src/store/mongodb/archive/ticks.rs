//! The seconds of all instances as they are stored, one by one: for who joins them itself.

use std::sync::Arc;

use pulseboard::tick::{Names, RouteTable, TickSummary, Totals};

use super::super::buckets::read_bucket;
use super::super::queries::{self, Part};
use super::{Archive, ArchiveError};

/// Documents that come at a time.
const BATCH: u32 = 200;

impl Archive {
    /// This node's id.
    pub fn node(&self) -> &Arc<str> {
        &self.0.own.node
    }

    /// Gives what each node counted in each second of `from..to` (ticks), in order of time: node,
    /// tick, revision, counts. What cannot be read is left out, and said.
    pub fn ticks(
        &self,
        range: (i64, i64),
        with_routes: bool,
        visit: &mut dyn FnMut(Arc<str>, i64, u64, TickSummary),
    ) -> Result<(), ArchiveError> {
        let part = if with_routes { Part::Whole } else { Part::Totals };
        let find = queries::Find { batch_size: BATCH, ..queries::buckets(1, range, part) };
        let (mut names, mut nodes) = (Names::default(), Vec::<Arc<str>>::new());
        self.find(find, Some(self.until()))?.each(|document| {
            let stored = match read_bucket(document) {
                Ok(stored) => stored,
                Err(error) => {
                    tracing::debug!(%error, "a document in the store is no bucket");
                    return Ok(());
                }
            };
            let node = nodes.iter().find(|node| ***node == *stored.node).map(Arc::clone);
            let node = node.unwrap_or_else(|| {
                nodes.push(stored.node.into());
                stored.node.into()
            });
            let mut routes = RouteTable::default();
            let totals = Totals::decode(stored.summary, &mut names).and_then(|totals| {
                if with_routes {
                    routes.merge_encoded(stored.routes, &mut names)?;
                }
                Ok(totals)
            });
            match totals {
                Ok(totals) => {
                    visit(node, stored.tick, stored.revision, TickSummary { totals, routes });
                }
                Err(error) => {
                    let tick = stored.tick;
                    tracing::warn!(
                        tick,
                        %node,
                        "a bucket in the store cannot be read and is left out: {error}"
                    );
                }
            }
            Ok(())
        })
    }
}
