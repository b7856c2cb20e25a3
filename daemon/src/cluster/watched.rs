//! Which filtered views are watched, here and by peers.
//!
//! What is watched here is said with every sign of life, and forgotten in Redis when that stops.
//! At most `views_max` filters of peers are counted for them, the ones said last. Does no I/O.

use std::collections::BTreeMap;
use std::sync::Arc;

use pulseboard::filter::Filter;

/// Reads a filter's canonical text.
pub type ReadFilter = Arc<dyn Fn(&str) -> Option<Filter> + Send + Sync>;

/// See the module.
pub(super) struct Watched {
    read: ReadFilter,
    views_max: usize,
    here: BTreeMap<Arc<str>, Filter>,
    anywhere: BTreeMap<Arc<str>, Filter>,
}

impl Watched {
    pub(super) fn new(read: ReadFilter, views_max: usize) -> Self {
        Self { read, views_max, here: BTreeMap::new(), anywhere: BTreeMap::new() }
    }

    pub(super) fn opened(&mut self, filter: &Filter) {
        self.here.insert(filter.to_string().into(), filter.clone());
    }

    pub(super) fn closed(&mut self, view: &str) {
        self.here.remove(view);
    }

    /// What is watched here, as text.
    pub(super) fn here(&self) -> Vec<Arc<str>> {
        self.here.keys().cloned().collect()
    }

    /// Takes in what Redis knows to be watched, the newest first.
    pub(super) fn take(&mut self, views: &[String]) {
        let mut anywhere = BTreeMap::new();
        for view in views.iter().take(self.views_max) {
            let known = self.anywhere.remove(view.as_str()).or_else(|| (self.read)(view));
            // A filter that reads otherwise here would be another view.
            if let Some(filter) = known.filter(|filter| filter.to_string() == *view) {
                anywhere.insert(view.as_str().into(), filter);
            }
        }
        self.anywhere = anywhere;
    }

    /// What is watched anywhere.
    pub(super) fn wanted(&self) -> Vec<Filter> {
        self.anywhere.values().cloned().collect()
    }

    pub(super) fn is_open(&self, view: &str) -> bool {
        self.here.contains_key(view) || self.anywhere.contains_key(view)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulseboard::route::Normaliser;

    fn watched(views_max: usize) -> Watched {
        let normaliser = Normaliser::new::<&str>(true, &[]).unwrap();
        Watched::new(Arc::new(move |text| Filter::parse(text, &normaliser).ok()), views_max)
    }

    #[test]
    fn filters_of_peers_are_counted_as_long_as_they_are_said() {
        let mut watched = watched(2);
        let texts =
            ["route=/users/:id".to_owned(), "status=5xx".to_owned(), "error=true".to_owned()];
        watched.take(&texts);
        let wanted: Vec<String> = watched.wanted().iter().map(ToString::to_string).collect();
        assert_eq!(wanted, texts[..2]);
        watched.take(&texts[1..2]);
        assert!(watched.is_open("status=5xx") && !watched.is_open("route=/users/:id"));
        watched.take(&["status=".to_owned(), "what=ever".to_owned()]);
        assert!(watched.wanted().is_empty());
    }
}
