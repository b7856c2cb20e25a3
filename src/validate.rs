//! The rules of the contract's event table: what each field may hold, and the stable code and
//! sentence a refusal answers with.
//!
//! It looks at one value at a time and keeps nothing; where values come from and where they go is
//! [`crate::decode`]'s. [`Code::ALL`] is the one table of codes, which answers, metrics and the
//! API's description share.

mod refusal;
mod time;

use std::fmt;

use crate::limits;
use crate::route::Normaliser;

pub use refusal::{Refusal, Refusals};
pub(crate) use refusal::{missing, shown, unknown, wrong_type};
pub use time::{Time, class_of};

/// Why an item was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// A line of NDJSON that is not JSON.
    BadJson,
    /// An item that is not an object.
    NotAnObject,
    /// A text with half of a surrogate pair, which no UTF-8 text can hold.
    BadText,
    /// A number beyond what a double can hold.
    BadNumber,
    /// Values nested deeper than any event can be.
    TooDeep,
    /// An event of more JSON than `limits.event_bytes`.
    EventTooLarge,
    /// `type` or `route` is not there.
    MissingField,
    /// A field no event has.
    UnknownField,
    /// The same field twice.
    DuplicateField,
    /// A value of another JSON type than the field's; null too.
    WrongType,
    /// An empty string.
    Empty,
    /// A text longer than its field allows.
    TooLong,
    /// A route of over 512 bytes without its query.
    RouteTooLong,
    /// A site with other characters than `[a-z0-9._-]`, or not 1 to 64 of them.
    BadSite,
    /// A site that is not the token's.
    WrongSite,
    /// A timestamp that is neither whole milliseconds nor RFC 3339.
    BadTimestamp,
    /// A number that is a time in seconds.
    TimestampInSeconds,
    /// A timestamp before the horizon.
    TooOld,
    /// A timestamp more than 5 minutes ahead.
    TooFarAhead,
    /// A status outside 100 to 599, or not whole.
    BadStatus,
    /// A latency outside a day.
    BadLatency,
    /// More than 32 entries of props.
    PropsTooMany,
    /// A key of props that is empty or longer than 64 bytes.
    PropsKeyLength,
    /// The same key of props twice.
    PropsDuplicateKey,
    /// A value of props that is no string, number or boolean.
    PropsNotScalar,
    /// An id that another instance is just taking.
    ClaimPending,
}

impl Code {
    /// Every code, with the rule it stands for.
    pub const ALL: [(Code, &'static str); 26] = [
        (Code::BadJson, "a line must be one JSON object"),
        (Code::NotAnObject, "an event is a JSON object"),
        (Code::BadText, "a text must be valid Unicode, without half surrogate pairs"),
        (Code::BadNumber, "a number must fit a 64-bit floating point number"),
        (Code::TooDeep, "values must not be nested more than 32 deep"),
        (Code::EventTooLarge, "one event is at most limits.event_bytes of JSON"),
        (Code::MissingField, "type and route are required"),
        (Code::UnknownField, "only the fields of the event table; extras go in props"),
        (Code::DuplicateField, "each field at most once"),
        (Code::WrongType, "each field has one JSON type; null is none of them"),
        (Code::Empty, "no text may be empty"),
        (Code::TooLong, "type at most 64 bytes; eventId, userId, sessionId, clientId at most 128"),
        (Code::RouteTooLong, "route at most 512 bytes without query and fragment"),
        (Code::BadSite, "site is 1 to 64 of a-z 0-9 . _ -"),
        (Code::WrongSite, "a token restricted to a site sends events of that site"),
        (Code::BadTimestamp, "timestamp is whole Unix milliseconds or RFC 3339"),
        (Code::TimestampInSeconds, "timestamp is in milliseconds, not seconds"),
        (Code::TooOld, "timestamp is at most the dedupe horizon old"),
        (Code::TooFarAhead, "timestamp is at most 5 minutes ahead of the daemon's clock"),
        (Code::BadStatus, "status is an integer from 100 to 599"),
        (Code::BadLatency, "latencyMs is a number from 0 to 86400000"),
        (Code::PropsTooMany, "props has at most 32 entries"),
        (Code::PropsKeyLength, "a key of props is 1 to 64 bytes"),
        (Code::PropsDuplicateKey, "each key of props at most once"),
        (Code::PropsNotScalar, "a value of props is a string, a number or a boolean"),
        (Code::ClaimPending, "an id is taken by one instance at a time: send it again in a second"),
    ];

    /// How many codes there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The code as answers carry it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Code::BadJson => "bad_json",
            Code::NotAnObject => "not_an_object",
            Code::BadText => "bad_text",
            Code::BadNumber => "bad_number",
            Code::TooDeep => "too_deep",
            Code::EventTooLarge => "event_too_large",
            Code::MissingField => "missing_field",
            Code::UnknownField => "unknown_field",
            Code::DuplicateField => "duplicate_field",
            Code::WrongType => "wrong_type",
            Code::Empty => "empty",
            Code::TooLong => "too_long",
            Code::RouteTooLong => "route_too_long",
            Code::BadSite => "bad_site",
            Code::WrongSite => "wrong_site",
            Code::BadTimestamp => "bad_timestamp",
            Code::TimestampInSeconds => "timestamp_in_seconds",
            Code::TooOld => "too_old",
            Code::TooFarAhead => "too_far_ahead",
            Code::BadStatus => "bad_status",
            Code::BadLatency => "bad_latency",
            Code::PropsTooMany => "props_too_many",
            Code::PropsKeyLength => "props_key_length",
            Code::PropsDuplicateKey => "props_duplicate_key",
            Code::PropsNotScalar => "props_not_scalar",
            Code::ClaimPending => "claim_pending",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A field of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Field {
    /// `eventId`.
    EventId,
    /// `type`.
    Type,
    /// `route`.
    Route,
    /// `timestamp`.
    Timestamp,
    /// `userId`.
    UserId,
    /// `sessionId`.
    SessionId,
    /// `clientId`.
    ClientId,
    /// `status`.
    Status,
    /// `error`.
    Error,
    /// `latencyMs`.
    LatencyMs,
    /// `site`.
    Site,
    /// `props`.
    Props,
}

impl Field {
    /// Every field, in the order of the event table.
    pub const ALL: [Field; 12] = [
        Field::EventId,
        Field::Type,
        Field::Route,
        Field::Timestamp,
        Field::UserId,
        Field::SessionId,
        Field::ClientId,
        Field::Status,
        Field::Error,
        Field::LatencyMs,
        Field::Site,
        Field::Props,
    ];

    /// The field of a key; `None` for one no event has.
    pub fn of(key: &str) -> Option<Self> {
        Some(match key {
            "eventId" => Field::EventId,
            "type" => Field::Type,
            "route" => Field::Route,
            "timestamp" => Field::Timestamp,
            "userId" => Field::UserId,
            "sessionId" => Field::SessionId,
            "clientId" => Field::ClientId,
            "status" => Field::Status,
            "error" => Field::Error,
            "latencyMs" => Field::LatencyMs,
            "site" => Field::Site,
            "props" => Field::Props,
            _ => return None,
        })
    }

    /// Its key.
    pub fn name(self) -> &'static str {
        match self {
            Field::EventId => "eventId",
            Field::Type => "type",
            Field::Route => "route",
            Field::Timestamp => "timestamp",
            Field::UserId => "userId",
            Field::SessionId => "sessionId",
            Field::ClientId => "clientId",
            Field::Status => "status",
            Field::Error => "error",
            Field::LatencyMs => "latencyMs",
            Field::Site => "site",
            Field::Props => "props",
        }
    }

    /// What it holds, as messages say it: "`status` must be …".
    pub fn expects(self) -> &'static str {
        match self {
            Field::EventId | Field::UserId | Field::SessionId | Field::ClientId => {
                "a string of 1 to 128 bytes"
            }
            Field::Type => "a string of 1 to 64 bytes",
            Field::Route => "a string of 1 to 512 bytes",
            Field::Timestamp => "Unix milliseconds or an RFC 3339 string",
            Field::Status => "an integer from 100 to 599",
            Field::Error => "true or false",
            Field::LatencyMs => "a number from 0 to 86400000",
            Field::Site => "a string of 1 to 64 of a-z 0-9 . _ -",
            Field::Props => "an object of strings, numbers and booleans",
        }
    }

    /// The most bytes of a text field; `None` for fields that are not bounded that way.
    pub fn bytes_max(self) -> Option<usize> {
        match self {
            Field::EventId | Field::UserId | Field::SessionId | Field::ClientId => {
                Some(limits::ID_BYTES)
            }
            Field::Type => Some(limits::TYPE_BYTES),
            Field::Route => Some(limits::ROUTE_BYTES),
            _ => None,
        }
    }
}

/// What holds for the events of one call.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// When the call arrived, Unix ms.
    pub arrival_ms: i64,
    /// How old an event may be, ms: the dedupe horizon.
    pub horizon_ms: i64,
    /// Whether this is an import: events of any age, into stored history only.
    pub import: bool,
    /// How old an imported event may be, ms; `None`: any age.
    pub import_age_ms_max: Option<i64>,
    /// The site of the caller's token; `None`: any site, `default` where an event names none.
    pub site: Option<&'a str>,
    /// How routes are brought to their stored form.
    pub routes: &'a Normaliser,
    /// Largest event, in bytes of JSON; at most [`EVENT_BYTES_MAX`].
    pub event_bytes: usize,
    /// Most events in one call.
    pub batch_events: usize,
}

/// The largest value of [`Rules::event_bytes`]: no text of an event outgrows what its place in an
/// [`crate::event::EventBatch`] can say.
pub const EVENT_BYTES_MAX: usize = 60 * 1024;

/// The site of events that name none and whose token has none.
pub const DEFAULT_SITE: &str = "default";

/// Checks the text of `eventId`, `type`, `userId`, `sessionId`, `clientId`, or of `route` after
/// its query was cut.
pub fn text(field: Field, value: &str) -> Result<(), Refusal> {
    match field.bytes_max() {
        _ if value.is_empty() => Err(refusal::empty(field)),
        Some(max) if value.len() > max => Err(refusal::too_long(field, value.len(), max)),
        _ => Ok(()),
    }
}

/// Checks `site` against its alphabet and the token's site.
pub fn site(value: &str, token_site: Option<&str>) -> Result<(), Refusal> {
    let fits = (1..=limits::SITE_BYTES).contains(&value.len())
        && value.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'));
    match token_site {
        _ if !fits => Err(refusal::bad_site(value)),
        Some(site) if site != value => Err(refusal::wrong_site(value, site)),
        _ => Ok(()),
    }
}

/// A status from the number sent.
pub fn status(value: f64) -> Result<u16, Refusal> {
    if value.fract() == 0.0 && (100.0..=599.0).contains(&value) {
        Ok(value as u16)
    } else {
        Err(refusal::bad_status(value))
    }
}

/// A latency from the number sent, ms.
pub fn latency_ms(value: f64) -> Result<f64, Refusal> {
    if (0.0..=limits::LATENCY_MS_MAX).contains(&value) {
        Ok(value.abs())
    } else {
        Err(refusal::bad_latency(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_codes_has_each_code_once_in_order() {
        for (index, (code, rule)) in Code::ALL.iter().enumerate() {
            assert_eq!(*code as usize, index, "{code}");
            assert!(!rule.is_empty());
            assert!(code.as_str().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        }
    }

    #[test]
    fn a_field_is_found_by_its_own_name() {
        for (index, field) in Field::ALL.into_iter().enumerate() {
            assert_eq!((Field::of(field.name()), field as usize), (Some(field), index));
        }
        assert_eq!(Field::of("user_id"), None);
    }

    #[test]
    fn a_negative_zero_latency_is_zero() {
        assert!(latency_ms(-0.0).expect("in range").is_sign_positive());
    }
}
