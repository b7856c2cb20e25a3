//! What the system knows of this process and its disk. Zero where it does not say: these figures
//! are for looking at, and nothing is decided by them.

use std::fmt::Write as _;
use std::path::Path;

/// The disk a directory is on.
pub(super) struct Disk {
    /// What we may still write.
    pub(super) free_bytes: u64,
    /// All of it.
    pub(super) size_bytes: u64,
}

/// The disk `path` is on.
pub(super) fn disk(path: &Path) -> Option<Disk> {
    let disk = rustix::fs::statvfs(path).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    Some(Disk { free_bytes: bytes(disk.f_bavail), size_bytes: bytes(disk.f_blocks) })
}

/// Resident memory as the kernel counts it.
pub(super) fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages: Option<u64> =
        pages.and_then(|text| text.split_whitespace().nth(1).and_then(|word| word.parse().ok()));
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}

/// Adds the processor time to `text`. The recorder's counters are whole numbers, and seconds would
/// be too coarse.
pub(super) fn render_cpu(text: &mut String) {
    const NAME: &str = "pulseboard_cpu_seconds_total";
    let help = super::names::help(NAME);
    let seconds = cpu_seconds();
    let _ = write!(text, "# HELP {NAME} {help}\n# TYPE {NAME} counter\n{NAME} {seconds}\n\n");
}

/// Processor time taken, of ours and of the kernel for us, s.
fn cpu_seconds() -> f64 {
    // proc(5): utime and stime are the 14th and 15th, in ticks.
    let ticks: u64 = [14, 15].into_iter().map(stat).sum();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// Threads.
pub(super) fn threads() -> u64 {
    stat(20)
}

/// A field of /proc/self/stat, counted from 1. The second holds the program's name in parentheses,
/// which may hold anything.
fn stat(number: usize) -> u64 {
    let Ok(text) = std::fs::read_to_string("/proc/self/stat") else { return 0 };
    let after = text.rsplit_once(')').map_or("", |(_, after)| after);
    after.split_whitespace().nth(number - 3).and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// Open files, sockets and pipes.
pub(super) fn open_files() -> u64 {
    // One of them is the directory being read.
    std::fs::read_dir("/proc/self/fd").map_or(0, |files| files.count().saturating_sub(1) as u64)
}

/// How many there may be.
pub(super) fn open_files_max() -> u64 {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_system_says_what_we_ask() {
        assert!(resident_bytes() > 1 << 20);
        assert!(threads() >= 1);
        assert!(open_files() >= 3 && open_files() < open_files_max());
        let here = disk(Path::new("/")).unwrap();
        assert!(here.free_bytes <= here.size_bytes && here.size_bytes > 0);
        let before = cpu_seconds();
        let mut sum = 0_u64;
        while cpu_seconds() <= before {
            sum = (0..100_000).fold(sum, |sum, number| sum.rotate_left(3) ^ number);
        }
        assert!(cpu_seconds() > before, "{sum}");
    }
}
