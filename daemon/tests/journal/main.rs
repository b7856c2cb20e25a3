//! The journal against disks that fail in every way a disk can: through its public API, on a fake
//! disk that loses power, tears and reorders what was not synced, runs full or fails a sync, and
//! on the real one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod basics;
mod crash;
mod damage;
mod fake_disk;
mod full_disk;
mod held;
mod retention;
mod support;
