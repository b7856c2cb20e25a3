//! The read side through a filter: the same questions as [`Views`] answers, of what a filter lets
//! through. Live ones are answered by the filter's view where it is open, the others from the
//! events themselves. All of it may read the journal: call it where blocking is allowed.

use pulseboard::filter::Filter;
use pulseboard::window::{RouteSort, Routes};
use pulseboard::wire::server::Aggregate;

use super::scan::{self, ScanError};
use super::source::Events;
use super::views::{AtError, RangeError, RangeHistory, Views};

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
        let view = shared.open.find(self.filter);
        match view.and_then(|view| view.at(index, secs, tick)) {
            Some(aggregate) => Ok(aggregate),
            None => self.scan(|asked| scan::at(asked, self.filter, (secs, tick))),
        }
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
        let view = shared.open.find(self.filter);
        if let Some(routes) = view.and_then(|view| view.routes(secs, sort, limit)) {
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
