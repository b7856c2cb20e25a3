//! The Pulseboard daemon: ingest -> journal -> aggregate -> store -> broadcast.
//!
//! A library so that tests and benchmarks can build its stages one by one; the binary in `main.rs`
//! only reads the command line and runs [`app`]. Stages meet in [`app`] and nowhere else.

pub mod aggregate;
pub mod api;
pub mod app;
pub mod auth;
pub mod broadcast;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod gate;
pub mod ingest;
pub mod journal;
pub mod rate_limit;
pub mod server;
pub mod shutdown;
pub mod store;
