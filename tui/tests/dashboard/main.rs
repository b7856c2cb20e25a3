//! The dashboard as a person meets it: whole screens, a socket that comes and goes, a real
//! terminal.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
#![allow(
    clippy::result_large_err,
    reason = "the shape of the handshake's callback is the library's"
)]

mod connection;
mod fixture;
mod layers;
mod once;
mod screens;
mod terminal;
mod tls;
mod token_screens;
mod tokens;
mod trouble_screens;
