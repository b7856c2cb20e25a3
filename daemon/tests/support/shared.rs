//! For scenarios with a MongoDB, a Redis, or several daemons: declared beside `support`, as
//! `#[path = "../support/shared.rs"] mod shared;`, by those that need it, since the driver takes its
//! time to compile and to link.

#![allow(dead_code, reason = "each scenario uses its part")]

pub(crate) mod cluster;
pub(crate) mod mongod;
pub(crate) mod proxy;
pub(crate) mod redis;
pub(crate) mod server;
