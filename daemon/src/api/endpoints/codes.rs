//! The codes of problem documents: stable, snake_case, the same everywhere.

use pulseboard::validate::Code;

/// Codes that are not an event's own.
const OTHERS: &[&str] = &[
    // 400
    "bad_gzip",
    "bad_host",
    "bad_idempotency_key",
    "empty_batch",
    "incomplete_body",
    "malformed_query",
    "several_tokens",
    "subprotocol_missing",
    "unknown_subprotocol",
    "websocket_key",
    // 401
    "query_token_not_allowed",
    "query_token_off",
    "token_algorithm",
    "token_audience",
    "token_claim_invalid",
    "token_claim_missing",
    "token_expired",
    "token_issuer",
    "token_malformed",
    "token_not_yet_valid",
    "token_signature",
    "unauthorized",
    // 403
    "dev_mode_is_local",
    "origin_not_allowed",
    "wrong_scope",
    // 404, 405, 408, 413, 414, 415, 426, 429, 431
    "not_found",
    "method_not_allowed",
    "body_timeout",
    "body_too_large",
    "too_many_events",
    "uri_too_long",
    "unsupported_encoding",
    "unsupported_media_type",
    "upgrade_required",
    "websocket_version",
    "batch_exceeds_burst",
    "rate_limited",
    "too_many_sockets_of_address",
    "headers_too_large",
    // 422
    "bad_cursor",
    "bad_filter",
    "bad_flag",
    "bad_format",
    "bad_number",
    "bad_sort",
    "bad_step",
    "bad_time",
    "conflicting_parameters",
    "empty_span",
    "events_not_kept",
    "missing_parameter",
    "repeated_parameter",
    "step_too_fine",
    "tick_ahead",
    "tick_gap",
    "tick_too_old",
    "too_many_points",
    "too_much_to_read",
    "unknown_parameter",
    "unknown_window",
    // 500, 503
    "internal",
    "store_unreadable",
    "busy",
    "dedupe_full",
    "disk_full",
    "shutting_down",
    "spool_full",
    "stopping",
    "store_unavailable",
    "too_many_sockets",
    "too_many_views",
    "view_filling",
];

/// The codes an event can be refused with.
pub const EVENT_CODES: [&str; Code::COUNT] = {
    let mut codes = [""; Code::COUNT];
    let mut index = 0;
    while index < Code::COUNT {
        codes[index] = Code::ALL[index].0.as_str();
        index += 1;
    }
    codes
};

/// Whether a problem document may carry this code.
pub fn is_known(code: &str) -> bool {
    OTHERS.contains(&code) || EVENT_CODES.contains(&code)
}
