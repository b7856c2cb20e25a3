//! The edge as somebody hostile meets it: tables of rows, each one request or one socket with its
//! exact answer, and beside each an innocent neighbour who must miss no tick and lose no event.
//!
//! A row that fails is reported with all the others at the end of its table. To add rows: start an
//! [`harness::Edge`], call `rest`, `socket` or `row` for each, and `finish`.

#![allow(dead_code, reason = "each table uses its part")]
#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on has failed")]

#[path = "../support/mod.rs"]
mod support;

mod client;
mod harness;
mod limits;
mod neighbour;
mod reload;
mod rest;
mod sockets;
mod spoofed;
mod tokens;
