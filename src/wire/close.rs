//! Close codes of the socket and what each asks of a client. Only [`POLICY`] means: do not come
//! back without a new token.

/// The client said goodbye.
pub const BYE: u16 = 1000;
/// The daemon is shutting down for good.
pub const GOING_AWAY: u16 = 1001;
/// Broken framing or a message that is not of the protocol.
pub const PROTOCOL: u16 = 1002;
/// A binary message; the protocol is text.
pub const UNSUPPORTED: u16 = 1003;
/// A text message that is not UTF-8.
pub const NOT_UTF8: u16 = 1007;
/// Bad or expired token, or none within 10 s.
pub const POLICY: u16 = 1008;
/// A frame over the limit.
pub const TOO_BIG: u16 = 1009;
/// The daemon's own fault.
pub const INTERNAL: u16 = 1011;
/// The daemon restarts: come back soon.
pub const RESTART: u16 = 1012;
/// The daemon cannot serve this now: come back later.
pub const TRY_LATER: u16 = 1013;
/// The client read nothing for 30 s.
pub const TOO_SLOW: u16 = 3008;
/// The client did not answer a ping.
pub const NO_PONG: u16 = 3012;

/// Whether a client may come back with the token it has.
pub fn may_return(code: u16) -> bool {
    code != POLICY
}
