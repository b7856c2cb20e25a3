//! Events and aggregates on their way from a real daemon into a real MongoDB that goes away, freezes,
//! fails over, refuses and breaks connections: at the end everything acknowledged is there once.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on has failed")]

mod ages;
mod aggregates;
mod duplicates;
mod frozen;
mod identity;
mod outages;
mod restarts;
mod scene;
#[path = "../support/shared.rs"]
mod shared;
mod spool;
#[path = "../support/mod.rs"]
mod support;
