//! Ids count once over several instances: claims against a real redis-server, and real daemons that
//! are sent the same ids, killed and started again.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on has failed")]

#[path = "../support/shared.rs"]
mod shared;
#[path = "../support/mod.rs"]
mod support;

mod claimant;
mod daemons;
mod gate;
mod gated;
