//! Parameters, each written once.

use super::{Kind, Parameter};

const fn optional(name: &'static str, kind: Kind, help: &'static str) -> Parameter {
    Parameter { name, required: false, in_header: false, kind, help }
}

const fn required(name: &'static str, kind: Kind, help: &'static str) -> Parameter {
    Parameter { required: true, ..optional(name, kind, help) }
}

const FROM: Parameter = optional("from", Kind::Time, "Only what has this time or a later one.");
const TO: Parameter = optional("to", Kind::Time, "Only what is before this time.");
const FILTER: Parameter = optional(
    "filter",
    Kind::Filter,
    "Terms that must all hold: `field=value`, joined by spaces; fields `route`, `type`, `site`, \
     `status` (`500` or `5xx`), `error`, `userId`, `sessionId`, `clientId`; a `*` at the end of a \
     value makes it a prefix; double quotes around a value with spaces, `\\` escapes.",
);
const WINDOW: &str = "^[1-9][0-9]{0,9}s$";

pub(super) const SEND: &[Parameter] = &[
    optional(
        "import",
        Kind::Flag,
        "Take events of any age into stored history only. Needs the scope admin.",
    ),
    optional(
        "token",
        Kind::Text(4_096),
        "A token whose one scope is ingest, for senders that cannot set a header.",
    ),
    Parameter {
        in_header: true,
        ..optional(
            "Idempotency-Key",
            Kind::Pattern("^[!-~]{1,256}$"),
            "Makes the ids of events without one follow from it, so that a retry is safe.",
        )
    },
];

pub(super) const LIST: &[Parameter] = &[
    FROM,
    TO,
    optional("route", Kind::Text(512), "Only events of this route; with `*` at its end, a prefix."),
    optional("type", Kind::Text(64), "Only events of this type."),
    optional("userId", Kind::Text(128), "Only events of this user."),
    optional("sessionId", Kind::Text(128), "Only events of this session."),
    optional("clientId", Kind::Text(128), "Only events of this client."),
    optional("site", Kind::Pattern("^[a-z0-9._-]{1,64}$"), "Only events of this site."),
    optional("status", Kind::Pattern("^([1-5][0-9]{2}|[1-5]xx)$"), "A status, or a class of them."),
    optional("error", Kind::OneOf(&["true", "false"]), "Only errors, or none."),
    FILTER,
    optional("limit", Kind::Number(1, 1_000, Some(100)), "Events a page."),
    optional("cursor", Kind::Pattern("^b[0-9a-f]{16}$"), "`next` of the page before."),
];

pub(super) const EXPORT: &[Parameter] = &[
    FROM,
    TO,
    FILTER,
    optional(
        "format",
        Kind::OneOf(&["ndjson", "csv"]),
        "How events are written. CSV has a header row, RFC 3339 times and props as JSON; a text \
         that begins with one of `= + - @`, a tab or a line end has a `'` in front.",
    ),
];

pub(super) const AGGREGATE: &[Parameter] = &[
    required("window", Kind::Pattern(WINDOW), "A configured window, like `5s`."),
    FILTER,
    optional(
        "since",
        Kind::Number(0, i64::MAX, None),
        "Send the history of every tick after this one, at most 3,600; else of the last 300.",
    ),
    optional("at", Kind::Number(0, i64::MAX, None), "As it was at this tick, without history."),
];

pub(super) const HISTORY: &[Parameter] = &[
    FROM,
    TO,
    optional("step", Kind::Span, "Length of a bucket; else one that gives 300 to 1,000 points."),
    FILTER,
];

pub(super) const ROUTES: &[Parameter] = &[
    optional("window", Kind::Pattern(WINDOW), "A configured window, or else a span."),
    FROM,
    TO,
    optional("limit", Kind::Number(1, 20_000, Some(50)), "Rows; the rest is in `otherRoutes`."),
    optional(
        "sort",
        Kind::OneOf(&["events", "errors", "p95"]),
        "What the first rows have most of.",
    ),
    FILTER,
];
