//! How long answers take, by method, endpoint and status class.
//!
//! A table of atomic counters of fixed size: an answer costs a few additions, and nothing a client
//! sends makes a label of its own. The layer around everything records.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};

/// Its name.
pub(super) const NAME: &str = "pulseboard_http_request_seconds";

/// Upper bounds of the buckets, ms, and as Prometheus writes them.
const BUCKETS: [(u64, &str); 12] = [
    (1, "0.001"),
    (2, "0.002"),
    (5, "0.005"),
    (10, "0.01"),
    (25, "0.025"),
    (50, "0.05"),
    (100, "0.1"),
    (250, "0.25"),
    (500, "0.5"),
    (1_000, "1"),
    (2_500, "2.5"),
    (10_000, "10"),
];

const METHODS: [&str; 4] = ["GET", "HEAD", "POST", "other"];
const ENDPOINTS: [&str; 12] = [
    "/api/events",
    "/api/export",
    "/api/aggregates",
    "/api/history",
    "/api/routes",
    "/api/openapi.json",
    "/health",
    "/health/ready",
    "/metrics",
    "/ws",
    "assets",
    "unknown",
];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The table. About 80 KiB.
pub struct Requests(Box<[Cell]>);

#[derive(Default)]
struct Cell {
    buckets: [AtomicU64; BUCKETS.len() + 1],
    sum_us: AtomicU64,
}

impl Default for Requests {
    fn default() -> Self {
        let cells = METHODS.len() * ENDPOINTS.len() * CLASSES.len();
        Self((0..cells).map(|_| Cell::default()).collect())
    }
}

/// Which row of the table a request is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    method: usize,
    endpoint: usize,
}

impl Place {
    /// Where a request belongs.
    pub fn of(method: &Method, path: &str) -> Self {
        let method = METHODS.iter().position(|name| *name == method.as_str());
        let endpoint = ENDPOINTS.iter().position(|name| *name == path).unwrap_or_else(|| {
            let ours = path.starts_with("/api/") || path.starts_with("/health/");
            ENDPOINTS.len() - if ours { 1 } else { 2 }
        });
        Self { method: method.unwrap_or(METHODS.len() - 1), endpoint }
    }
}

impl Requests {
    /// Counts an answer.
    pub fn record(&self, place: Place, status: StatusCode, took: Duration) {
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        let row = place.method * ENDPOINTS.len() + place.endpoint;
        let cell = &self.0[row * CLASSES.len() + class];
        let took_us = took.as_micros() as u64;
        let bucket = BUCKETS.partition_point(|(ms, _)| ms * 1_000 < took_us);
        cell.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        cell.sum_us.fetch_add(took_us, Ordering::Relaxed);
    }

    /// Adds the histogram to `text`; rows that nothing was counted in are left out.
    pub(super) fn render(&self, text: &mut String) {
        let help = super::names::help(NAME);
        let _ = write!(text, "# HELP {NAME} {help}\n# TYPE {NAME} histogram\n");
        for (index, cell) in self.0.iter().enumerate() {
            let (row, class) = (index / CLASSES.len(), CLASSES[index % CLASSES.len()]);
            let (method, endpoint) =
                (METHODS[row / ENDPOINTS.len()], ENDPOINTS[row % ENDPOINTS.len()]);
            let labels = format!("method=\"{method}\",endpoint=\"{endpoint}\",status=\"{class}\"");
            cell.render(&labels, text);
        }
        text.push('\n');
    }
}

impl Cell {
    fn render(&self, labels: &str, text: &mut String) {
        let counts: Vec<u64> =
            self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        if total == 0 {
            return;
        }
        let mut below = 0;
        let bounds = BUCKETS.iter().map(|(_, bound)| *bound).chain(["+Inf"]);
        for (bound, count) in bounds.zip(counts) {
            below += count;
            let _ = writeln!(text, "{NAME}_bucket{{{labels},le=\"{bound}\"}} {below}");
        }
        let sum = self.sum_us.load(Ordering::Relaxed) as f64 / 1e6;
        let _ = writeln!(text, "{NAME}_sum{{{labels}}} {sum}");
        let _ = writeln!(text, "{NAME}_count{{{labels}}} {total}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_make_up_gets_no_label_of_its_own() {
        let endpoint = |path| ENDPOINTS[Place::of(&Method::GET, path).endpoint];
        assert_eq!(endpoint("/api/events"), "/api/events");
        assert_eq!(endpoint("/api/events/7"), "unknown");
        assert_eq!(endpoint("/health/x"), "unknown");
        assert_eq!(endpoint("/assets/index-1.js"), "assets");
        assert_eq!(endpoint("/"), "assets");
        let brew = Method::from_bytes(b"BREW").unwrap();
        assert_eq!(METHODS[Place::of(&brew, "/").method], "other");
    }

    #[test]
    fn an_answer_is_counted_in_every_bucket_that_holds_it() {
        let requests = Requests::default();
        let place = Place::of(&Method::GET, "/api/routes");
        for ms in [1, 3, 90_000] {
            requests.record(place, StatusCode::OK, Duration::from_millis(ms));
        }
        requests.record(place, StatusCode::UNAUTHORIZED, Duration::ZERO);
        let mut text = String::new();
        requests.render(&mut text);
        let count = |status: &str, le: &str| {
            let name = format!(
                "{NAME}_bucket{{method=\"GET\",endpoint=\"/api/routes\",status=\"{status}\",\
                 le=\"{le}\"}} "
            );
            let line = text.lines().find_map(|line| line.strip_prefix(&name));
            line.map(|count| count.parse::<u64>().unwrap())
        };
        assert_eq!(count("2xx", "0.001"), Some(1));
        assert_eq!(count("2xx", "0.002"), Some(1));
        assert_eq!(count("2xx", "0.005"), Some(2));
        assert_eq!(count("2xx", "10"), Some(2));
        assert_eq!(count("2xx", "+Inf"), Some(3));
        assert_eq!(count("4xx", "0.001"), Some(1));
        assert_eq!(count("5xx", "+Inf"), None);
        assert!(
            text.contains("_sum{method=\"GET\",endpoint=\"/api/routes\",status=\"2xx\"} 90.004")
        );
    }
}
