//! Connections and sockets as clients meet them: a real listener, real TCP, clients of a library
//! and clients that write their own bytes. Numbers come from a feed made up here.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod client;
mod daemon;
mod feed;
mod filtered;
mod framing;
mod handshake;
mod http;
mod life;
mod messages;
mod publishing;
mod renewal;
mod rooms;
mod slow;
mod tokens;
