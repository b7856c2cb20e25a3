//! Sockets as somebody hostile uses them: upgrade requests, tokens, frames and messages.

mod floods;
mod framing;
mod messages;
mod tokens;
mod upgrade;

use crate::support::token;

fn reader() -> String {
    token::good("mallory", "read")
}

fn sender() -> String {
    token::good("mallory", "ingest")
}
