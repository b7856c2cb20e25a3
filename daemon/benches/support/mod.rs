//! What the benchmarks share: bodies with fresh ids, a raw HTTP driver, the daemon as a process,
//! and a server that only reads and parses.

#![allow(dead_code, reason = "each benchmark uses its part")]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run should say so at once")]

pub(crate) mod body;
pub(crate) mod ceiling;
pub(crate) mod http;
pub(crate) mod process;
pub(crate) mod redis;

/// The machine, as every result names it.
pub(crate) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: u64 = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|word| word.parse().ok())
        .unwrap_or(0);
    format!("{cores} cores, {} GiB", (kib + (1 << 19)) >> 20)
}

/// The value at a share of a sorted list.
pub(crate) fn quantile(sorted: &[u64], share: f64) -> u64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(0)
}

/// How long each measurement runs: `PULSEBOARD_BENCH_SECONDS`, or 5.
pub(crate) fn seconds() -> u64 {
    std::env::var("PULSEBOARD_BENCH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5)
}
