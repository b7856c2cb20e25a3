//! The tools against a real daemon: what they send must be there, exactly, whatever happens.
//!
//! The daemon is that of `PULSEBOARDD`, else `pulseboardd` beside our own binary; build it first
//! with `cargo build -p pulseboardd`.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

mod daemon;
mod export;
mod figures;
mod http;
mod kill;
mod real_input;
mod tokens;
mod tools;
