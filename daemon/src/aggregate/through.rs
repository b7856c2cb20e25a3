//! The read side through a filter: the same questions as [`Views`] answers, of what a filter lets
//! through. Live ones are answered by the filter's view where it is open, the others from the
//! events themselves. All of it may read the journal: call it where blocking is allowed.

use std::sync::Arc;
use std::time::Duration;

use pulseboard::filter::Filter;
use pulseboard::window::{RouteSort, Routes};
use pulseboard::wire::server::Aggregate;

use super::joined::SETTLE_SECS;
use super::open_views::OpenViews;
use super::scan::{self, ScanError};
use super::source::Events;
use super::view::View;
use super::views::{AtError, RangeError, RangeHistory, Views};

/// How long a question waits for a view that is opened for it.
const FILLED_WITHIN: Duration = Duration::from_secs(5);

/// Why the routes of a live window are not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoutesError {
    /// No window of that name.
    #[error("there is no such window")]
    UnknownWindow,
    /// They would have to be counted.
    #[error(transparent)]
    Scan(#[from] ScanError),
}

/// See the module; made by [`Views::through`].
pub struct Through<'a> {
    pub(super) views: &'a Views,
    pub(super) filter: &'a Filter,
    /// Whose events are counted; the journal's unless told.
    pub(super) events: Option<&'a dyn Events>,
}

impl<'a> Through<'a> {
    /// Counts these events rather than the journal's.
    #[must_use]
    pub fn counting(self, events: Option<&'a dyn Events>) -> Self {
        Self { events, ..self }
    }

    fn scan<T>(&self, scan: impl FnOnce(scan::Asked<'_>) -> T) -> T {
        let shared = &*self.views.0;
        let journaled = scan::Journaled(&*shared.past);
        scan((shared, self.events.unwrap_or(&journaled)))
    }

    /// As [`Views::at`].
    pub fn at(&self, window: &str, tick: i64) -> Result<Aggregate, AtError> {
        let shared = &self.views.0;
        let whole = self.views.at(window, tick)?;
        if self.filter.is_empty() {
            return Ok(whole);
        }
        let index = shared.window(window).ok_or(AtError::UnknownWindow)?;
        let secs = shared.settings.windows_secs[index];
        let is_recent = shared.latest.load().tick - tick < SETTLE_SECS;
        let view = match self.events {
            // Without peers a view has what was counted here alone; the store's events are all.
            Some(_) if !shared.peers.is_cluster() => None,
            _ if is_recent => self.view(),
            _ => shared.open.find(self.filter),
        };
        match view.and_then(|view| view.at(index, secs, tick)) {
            Some(aggregate) => Ok(aggregate),
            None => self.scan(|asked| scan::at(asked, self.filter, (secs, tick))),
        }
    }

    /// The filter's view where it is open. Among peers it is opened, where there is room for it: what
    /// they counted is in none of our events.
    fn view(&self) -> Option<Arc<View>> {
        let shared = &self.views.0;
        if !shared.peers.is_cluster() {
            return shared.open.find(self.filter);
        }
        let watch = OpenViews::watch(shared, self.filter.clone()).ok()?;
        watch.wait_filled(FILLED_WITHIN).ok()?;
        Some(Arc::clone(&watch.view))
    }

    /// As [`Views::window_routes`].
    pub fn window_routes(
        &self,
        window: &str,
        sort: RouteSort,
        limit: usize,
    ) -> Result<Routes, RoutesError> {
        let shared = &self.views.0;
        let index = shared.window(window).ok_or(RoutesError::UnknownWindow)?;
        let secs = shared.settings.windows_secs[index];
        if self.filter.is_empty() {
            let routes = self.views.window_routes(window, sort, limit);
            return routes.map_err(|_| RoutesError::UnknownWindow);
        }
        if let Some(routes) = self.view().and_then(|view| view.routes(secs, sort, limit)) {
            return Ok(routes);
        }
        let tick = shared.latest.load().tick;
        let (filter, span) = (self.filter, (secs, tick));
        Ok(self.scan(|asked| scan::window_routes(asked, filter, span, sort, limit))?)
    }

    /// As [`Views::range_routes`], as far as events are kept.
    pub fn range_routes(
        &self,
        from_ms: i64,
        to_ms: i64,
        sort: RouteSort,
        limit: usize,
    ) -> Result<Routes, RangeError> {
        if self.filter.is_empty() {
            return self.views.range_routes(from_ms, to_ms, sort, limit);
        }
        let (filter, range_ms) = (self.filter, (from_ms, to_ms));
        self.scan(|asked| scan::routes(asked, filter, range_ms, sort, limit))
    }

    /// As [`Views::range_history`], as far as events are kept.
    pub fn range_history(
        &self,
        from_ms: i64,
        to_ms: i64,
        step_secs: Option<u32>,
    ) -> Result<RangeHistory, RangeError> {
        if self.filter.is_empty() {
            return self.views.range_history(from_ms, to_ms, step_secs);
        }
        let (filter, range_ms) = (self.filter, (from_ms, to_ms));
        self.scan(|asked| scan::history(asked, filter, range_ms, step_secs))
    }
}
