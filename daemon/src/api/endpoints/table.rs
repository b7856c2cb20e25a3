//! The rows.

use super::codes::EVENT_CODES;
use super::{Access, Answer, Endpoint, Id, Shape, Verb, parameters};

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
const PROBLEM: &[(&str, Shape)] = &[("application/problem+json", Shape::Problem)];

type Header = (&'static str, bool, &'static str);
const REQUEST_ID: Header = ("X-Request-Id", true, "The refusal's name in the daemon's log.");
const CHALLENGE: Header = ("WWW-Authenticate", true, "A Bearer challenge (RFC 6750).");
const RETRY_AFTER: Header = ("Retry-After", false, "When to try again, s.");
const RATE: Header = ("RateLimit", false, "What is left: draft-ietf-httpapi-ratelimit-headers.");
const POLICY: Header = ("RateLimit-Policy", false, "What is allowed, likewise.");
const ETAG: Header = ("ETag", true, "For If-None-Match.");
const VARY: Header = ("Vary", true, "What else the answer depends on.");
const OK: &[Header] = &[RATE, POLICY];

const fn answer(
    status: u16,
    content: &'static [(&'static str, Shape)],
    help: &'static str,
) -> Answer {
    Answer { status, help, content, codes: &[], headers: OK }
}

const fn problem(status: u16, codes: &'static [&'static str], help: &'static str) -> Answer {
    Answer { status, help, content: PROBLEM, codes, headers: &[REQUEST_ID, RATE, POLICY] }
}

const fn busy(codes: &'static [&'static str], help: &'static str) -> Answer {
    let headers = &[REQUEST_ID, RETRY_AFTER, RATE, POLICY];
    Answer { headers, ..problem(503, codes, help) }
}

const FENCE: Answer = problem(
    403,
    &["dev_mode_is_local", "origin_not_allowed"],
    "Not from this machine while no key is configured; or a page of another origin.",
);
const HOST: Answer = problem(400, &["bad_host"], "No Host, two of them, or one that is none.");
const LONG: Answer = problem(414, &["uri_too_long"], "Over limits.uri_bytes.");
const LARGE: Answer = problem(431, &["headers_too_large"], "Over limits.header_bytes.");
const FAILED: Answer = problem(500, &["internal"], "Our fault; the daemon's log says why.");
const TOO_MANY: Answer = Answer {
    headers: &[REQUEST_ID, RETRY_AFTER, RATE, POLICY],
    ..problem(429, &["rate_limited"], "Over limits.api_per_minute.")
};
const BAD_TOKEN: Answer = Answer {
    headers: &[REQUEST_ID, CHALLENGE],
    ..problem(
        401,
        &[
            "unauthorized",
            "token_malformed",
            "token_signature",
            "token_algorithm",
            "token_expired",
            "token_not_yet_valid",
            "token_claim_missing",
            "token_claim_invalid",
            "token_issuer",
            "token_audience",
            "query_token_not_allowed",
            "query_token_off",
        ],
        "No token, or one that is not taken.",
    )
};
const MALFORMED: Answer =
    problem(400, &["several_tokens", "malformed_query"], "Not a request that can be read.");
const FORBIDDEN: Answer =
    problem(403, &["wrong_scope", "wrong_site"], "The token does not allow this.");

pub(super) const FREE: &[Answer] = &[FENCE, HOST, LONG, LARGE, FAILED];
pub(super) const ANYONE: &[Answer] =
    &[FENCE, HOST, LONG, LARGE, FAILED, TOO_MANY, BAD_TOKEN, MALFORMED];
pub(super) const SOCKET: &[Answer] = &[FENCE, HOST, LONG, LARGE, FAILED, BAD_TOKEN, MALFORMED];
pub(super) const WITH_TOKEN: &[Answer] =
    &[FENCE, HOST, LONG, LARGE, FAILED, TOO_MANY, BAD_TOKEN, MALFORMED, FORBIDDEN];

/// Every endpoint.
pub static ALL: &[Endpoint] = &[
    Endpoint {
        id: Id::SendEvents,
        method: Verb::Post,
        path: "/api/events",
        name: "sendEvents",
        summary: "Send events",
        detail: "One event, an array of them, or one a line. The answer comes when they are on \
                 disk; an eventId counts once within the dedupe horizon. `Content-Encoding: gzip` \
                 is taken.",
        access: Access::Ingest,
        parameters: parameters::SEND,
        body: &[
            (JSON, Shape::Events),
            ("text/plain", Shape::Text),
            (NDJSON, Shape::Text),
            ("application/ndjson", Shape::Text),
            ("application/jsonl", Shape::Text),
        ],
        answers: &[
            answer(201, &[(JSON, Shape::Verdict)], "One event, new."),
            answer(
                200,
                &[(JSON, Shape::Verdict), (JSON, Shape::Verdicts)],
                "One event that had been taken before; or several, each with its verdict.",
            ),
            Answer {
                content: &[PROBLEM[0], (JSON, Shape::Verdicts)],
                ..problem(400, &EVENT_CODES, "An event that is refused, or all of them.")
            },
            problem(
                400,
                &["empty_batch", "bad_gzip", "incomplete_body", "bad_idempotency_key"],
                "A body that cannot be read.",
            ),
            problem(408, &["body_timeout"], "The body took longer than limits.body_timeout."),
            problem(413, &["body_too_large", "too_many_events"], "Over a limit."),
            problem(
                415,
                &["unsupported_media_type", "unsupported_encoding"],
                "Another type; the sentence names the header to add.",
            ),
            problem(
                422,
                &["unknown_parameter", "repeated_parameter", "bad_flag"],
                "A parameter that is not allowed.",
            ),
            problem(429, &["batch_exceeds_burst"], "More at once than is ever allowed."),
            busy(
                &["busy", "disk_full", "spool_full", "dedupe_full", "stopping"],
                "No events are taken now.",
            ),
        ],
    },
    Endpoint {
        id: Id::ListEvents,
        method: Verb::Get,
        path: "/api/events",
        name: "listEvents",
        summary: "Stored events, newest stored first",
        detail: "A page at a time: pass on `next` as `cursor`.",
        access: Access::Read,
        parameters: parameters::LIST,
        body: &[],
        answers: &[
            answer(200, &[(JSON, Shape::Page)], "A page."),
            problem(
                422,
                &[
                    "unknown_parameter",
                    "repeated_parameter",
                    "bad_time",
                    "bad_number",
                    "bad_filter",
                    "bad_cursor",
                ],
                "A parameter that is not allowed.",
            ),
        ],
    },
    Endpoint {
        id: Id::ExportEvents,
        method: Verb::Get,
        path: "/api/export",
        name: "exportEvents",
        summary: "Every matching event, as a file",
        detail: "Oldest stored first, up to what is stored when the call begins. Sent as it is \
                 read; a transfer that breaks off is not whole, and never looks so. What retention \
                 lets go meanwhile is left out: with `TE: trailers` the trailers \
                 `Pulseboard-Events` and `Pulseboard-Missed` say how many are in the file, and how \
                 many were gone.",
        access: Access::Read,
        parameters: parameters::EXPORT,
        body: &[],
        answers: &[
            Answer {
                headers: &[
                    ("Content-Disposition", true, "The file's name."),
                    VARY,
                    ("Trailer", true, "Pulseboard-Events and Pulseboard-Missed."),
                    RATE,
                    POLICY,
                ],
                ..answer(
                    200,
                    &[(NDJSON, Shape::StoredEvents), ("text/csv", Shape::Text)],
                    "The file.",
                )
            },
            problem(
                422,
                &[
                    "unknown_parameter",
                    "repeated_parameter",
                    "bad_time",
                    "bad_filter",
                    "bad_format",
                    "empty_span",
                ],
                "A parameter that is not allowed.",
            ),
            busy(
                &["busy", "store_unavailable"],
                "Too many exports are under way; or no store answers.",
            ),
        ],
    },
    Endpoint {
        id: Id::ReadAggregate,
        method: Verb::Get,
        path: "/api/aggregates",
        name: "readAggregate",
        summary: "A window's numbers now, or as they were at a tick",
        detail: "The snapshot of the socket's rooms.",
        access: Access::Read,
        parameters: parameters::AGGREGATE,
        body: &[],
        answers: &[
            answer(200, &[(JSON, Shape::Snapshot)], "The snapshot."),
            problem(
                422,
                &[
                    "unknown_parameter",
                    "repeated_parameter",
                    "missing_parameter",
                    "conflicting_parameters",
                    "unknown_window",
                    "bad_number",
                    "bad_filter",
                    "tick_ahead",
                    "tick_gap",
                    "tick_too_old",
                    "too_much_to_read",
                    "events_not_kept",
                ],
                "A parameter that is not allowed.",
            ),
            problem(500, &["store_unreadable"], "What was stored cannot be read."),
            busy(
                &["busy", "store_unavailable", "too_many_views", "view_filling"],
                "Too much at once, or no store answers; ask again.",
            ),
        ],
    },
    Endpoint {
        id: Id::ReadHistory,
        method: Verb::Get,
        path: "/api/history",
        name: "readHistory",
        summary: "Tumbling buckets over a span",
        detail: "Aligned to the step: `from` is rounded down and `to` up; the last hour unless \
                 told. Each event is in exactly one bucket.",
        access: Access::Read,
        parameters: parameters::HISTORY,
        body: &[],
        answers: &[
            answer(200, &[(JSON, Shape::History)], "The buckets."),
            problem(
                422,
                &[
                    "unknown_parameter",
                    "repeated_parameter",
                    "bad_time",
                    "bad_filter",
                    "bad_step",
                    "empty_span",
                    "step_too_fine",
                    "too_many_points",
                    "too_much_to_read",
                    "events_not_kept",
                ],
                "A parameter that is not allowed.",
            ),
            problem(500, &["store_unreadable"], "What was stored cannot be read."),
            busy(
                &["busy", "store_unavailable"],
                "Too much at once, or no store answers; ask again.",
            ),
        ],
    },
    Endpoint {
        id: Id::ListRoutes,
        method: Verb::Get,
        path: "/api/routes",
        name: "listRoutes",
        summary: "Routes of a window or of a span",
        detail: "Give `window`, or a span of `from` and `to`; not both.",
        access: Access::Read,
        parameters: parameters::ROUTES,
        body: &[],
        answers: &[
            answer(200, &[(JSON, Shape::Routes)], "The routes."),
            problem(
                422,
                &[
                    "unknown_parameter",
                    "repeated_parameter",
                    "missing_parameter",
                    "conflicting_parameters",
                    "unknown_window",
                    "bad_time",
                    "bad_number",
                    "bad_sort",
                    "bad_filter",
                    "bad_step",
                    "empty_span",
                    "step_too_fine",
                    "too_many_points",
                    "too_much_to_read",
                    "events_not_kept",
                ],
                "A parameter that is not allowed.",
            ),
            problem(500, &["store_unreadable"], "What was stored cannot be read."),
            busy(
                &["busy", "store_unavailable", "too_many_views", "view_filling"],
                "Too much at once, or no store answers; ask again.",
            ),
        ],
    },
    Endpoint {
        id: Id::DescribeApi,
        method: Verb::Get,
        path: "/api/openapi.json",
        name: "describeApi",
        summary: "This document",
        detail: "",
        access: Access::Anyone,
        parameters: &[],
        body: &[],
        answers: &[
            Answer {
                headers: &[ETAG, VARY, RATE, POLICY],
                ..answer(200, &[(JSON, Shape::OpenApi)], "OpenAPI 3.1.")
            },
            Answer {
                headers: &[ETAG, VARY, RATE, POLICY],
                ..answer(304, &[], "You have it already.")
            },
        ],
    },
    Endpoint {
        id: Id::CheckAlive,
        method: Verb::Get,
        path: "/health",
        name: "checkAlive",
        summary: "Whether the process lives",
        detail: "",
        access: Access::Free,
        parameters: &[],
        body: &[],
        answers: &[Answer { headers: &[], ..answer(200, &[(JSON, Shape::Alive)], "It does.") }],
    },
    Endpoint {
        id: Id::CheckReady,
        method: Verb::Get,
        path: "/health/ready",
        name: "checkReady",
        summary: "Whether events can be taken",
        detail: "`degraded` is worth a look and takes events all the same.",
        access: Access::Free,
        parameters: &[],
        body: &[],
        answers: &[
            Answer { headers: &[], ..answer(200, &[(JSON, Shape::Readiness)], "They can.") },
            Answer {
                headers: &[],
                ..answer(
                    503,
                    &[(JSON, Shape::Readiness)],
                    "Not now: starting, stopping, spool or disk full, no room for ids.",
                )
            },
        ],
    },
    Endpoint {
        id: Id::ReadMetrics,
        method: Verb::Get,
        path: "/metrics",
        name: "readMetrics",
        summary: "The daemon's own figures",
        detail: "Prometheus text, or JSON by `Accept`. They count all sites, so a token of one site \
                 is refused: 403 `wrong_site`. Free of tokens with metrics.public.",
        access: Access::ReadAll,
        parameters: &[],
        body: &[],
        answers: &[Answer {
            headers: &[VARY, RATE, POLICY],
            ..answer(200, &[("text/plain", Shape::Text), (JSON, Shape::Metrics)], "The figures.")
        }],
    },
    Endpoint {
        id: Id::OpenSocket,
        method: Verb::Get,
        path: "/ws",
        name: "openSocket",
        summary: "The live feed: WebSocket, subprotocol pulseboard.v1",
        detail: "A token may come by header, as subprotocol `bearer.<token>`, or in the first \
                 message.",
        access: Access::Socket,
        parameters: &[],
        body: &[],
        answers: &[
            Answer { headers: &[], ..answer(101, &[], "The socket is open.") },
            problem(
                400,
                &["websocket_key", "unknown_subprotocol", "subprotocol_missing"],
                "Not a handshake of RFC 6455.",
            ),
            problem(426, &["upgrade_required", "websocket_version"], "Not an upgrade."),
            problem(
                429,
                &["too_many_sockets_of_address", "rate_limited"],
                "Over limits.sockets_per_address, or too many bad tokens.",
            ),
            busy(&["too_many_sockets", "shutting_down"], "No sockets are taken now."),
        ],
    },
    Endpoint {
        id: Id::OpenPage,
        method: Verb::Get,
        path: "/",
        name: "openPage",
        summary: "The browser dashboard",
        detail: "",
        access: Access::Free,
        parameters: &[],
        body: &[],
        answers: &[
            Answer { headers: &[], ..answer(200, &[("text/html", Shape::Text)], "The page.") },
            Answer { headers: &[], ..answer(304, &[], "You have it already.") },
        ],
    },
];
