//! `GET /api/openapi.json`: the API as OpenAPI 3.1, written from the [`super::endpoints`] table and
//! the types that answers are made of. Made once, at the first call.

mod schemas;

use std::sync::OnceLock;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use self::schemas::Schemas;
use super::accept;
use super::endpoints::{ALL, Answer, Endpoint, Kind, Parameter, Shape, Verb, common};
use crate::gate::Access;

/// A filter expression: terms joined by spaces.
const FILTER: &str = concat!(
    "^ *(((route|type|site|userId|sessionId|clientId)=",
    r#"("([^"\\*]|\\.)+"|[^ 	
"\\*]+)\*?"#,
    "|status=([1-5][0-9]{2}|[1-5]xx)|error=(true|false))( +|$))*$"
);

/// The document with its tag.
struct Document {
    json: Bytes,
    etag: HeaderValue,
}

fn document() -> &'static Document {
    static DOCUMENT: OnceLock<Document> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let json = serde_json::to_vec(&write()).expect("a document is plain data");
        // Weak: an answer may be packed on its way.
        let etag = format!("W/\"{:08x}-{:x}\"", crc32c::crc32c(&json), json.len());
        let etag = HeaderValue::try_from(etag).expect("a tag is of hexadecimal digits");
        Document { json: json.into(), etag }
    })
}

/// Answers with the document, or 304 to a client that has it.
pub fn serve(request: &HeaderMap) -> Response {
    let document = document();
    let mut headers = HeaderMap::new();
    headers.insert(header::ETAG, document.etag.clone());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if accept::has_already(request, document.etag.to_str().unwrap_or_default()) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    (headers, document.json.clone()).into_response()
}

/// The whole document.
pub fn write() -> Value {
    let mut schemas = Schemas::new();
    let mut paths = Map::new();
    for endpoint in ALL {
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        let method = match endpoint.method {
            Verb::Get => "get",
            Verb::Post => "post",
        };
        path[method] = operation(endpoint, &mut schemas);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Pulseboard",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Real-time analytics: events in, live numbers out.",
            "description": "Errors are problem documents (RFC 9457) with a stable `code`. GET \
                answers HEAD too, OPTIONS says what a path allows, any other method is 405 with \
                `Allow`. Answers are packed (gzip, br) for clients that accept it. In dev mode, \
                without a key configured, no token is needed.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "Claims exp, sub, scope (ingest, read, admin); `pulseboard \
                        token` mints one.",
                },
                "queryToken": {
                    "type": "apiKey",
                    "in": "query",
                    "name": "token",
                    "description": "Only where events are sent, and only a token whose one scope \
                        is ingest.",
                },
            },
            "schemas": schemas.finish(),
        },
    })
}

fn operation(endpoint: &Endpoint, schemas: &mut Schemas) -> Value {
    let mut operation = json!({
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "parameters": endpoint.parameters.iter().filter(|parameter| parameter.name != "token")
            .map(parameter).collect::<Vec<_>>(),
        "responses": responses(endpoint, schemas),
        "security": security(endpoint.access),
    });
    if !endpoint.detail.is_empty() {
        operation["description"] = endpoint.detail.into();
    }
    if !endpoint.body.is_empty() {
        let content = content(endpoint.body, &[], schemas);
        operation["requestBody"] = json!({"required": true, "content": content});
    }
    operation
}

/// Who may; an empty requirement is: nobody has to show anything.
fn security(access: Access) -> Value {
    match access {
        Access::Free => json!([]),
        Access::Anyone | Access::Socket => json!([{}, {"bearer": []}]),
        Access::Read | Access::ReadAll => json!([{"bearer": ["read"]}]),
        Access::Ingest => json!([{"bearer": ["ingest"]}, {"queryToken": ["ingest"]}]),
    }
}

fn parameter(parameter: &Parameter) -> Value {
    json!({
        "name": parameter.name,
        "in": if parameter.in_header { "header" } else { "query" },
        "required": parameter.required,
        "description": parameter.help,
        "schema": kind(parameter.kind),
    })
}

fn kind(kind: Kind) -> Value {
    match kind {
        Kind::Text(bytes) => json!({"type": "string", "minLength": 1, "maxLength": bytes}),
        Kind::Pattern(pattern) => json!({"type": "string", "pattern": pattern}),
        Kind::Filter => json!({
            "type": "string",
            "maxLength": pulseboard::filter::EXPR_BYTES,
            "pattern": FILTER,
            "examples": ["route=/checkout status=5xx", "type=click userId=\"a b\""],
        }),
        Kind::Time => json!({
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": 253_402_300_799_999_i64},
                {"type": "string", "format": "date-time"},
                {"const": "now"},
                {"type": "string", "pattern": "^-[0-9]{1,9}(ms|s|m|h|d)$"},
            ],
            "examples": ["-15m", "now", "2026-01-31T09:00:00Z", 1_769_850_000_000_i64],
        }),
        Kind::Number(min, max, default) => {
            let mut schema = json!({"type": "integer", "minimum": min, "maximum": max});
            if let Some(default) = default {
                schema["default"] = default.into();
            }
            schema
        }
        Kind::OneOf(values) => json!({"type": "string", "enum": values}),
        Kind::Flag => json!({"type": "boolean", "default": false}),
        Kind::Span => json!({
            "type": "string",
            "pattern": "^[1-9][0-9]{0,5}(s|m|h|d)$",
            "examples": ["10s", "5m", "1h", "1d"],
        }),
    }
}

/// Every answer by its status: those of one status together.
fn responses(endpoint: &Endpoint, schemas: &mut Schemas) -> Value {
    let mut by_status: Map<String, Value> = Map::new();
    let answers: Vec<&Answer> = endpoint.answers.iter().chain(common(endpoint.access)).collect();
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    statuses.dedup();
    for status in statuses {
        let same: Vec<&&Answer> = answers.iter().filter(|answer| answer.status == status).collect();
        let help: Vec<&str> = same.iter().map(|answer| answer.help).collect();
        let codes: Vec<&str> = same.iter().flat_map(|answer| answer.codes).copied().collect();
        let mut shapes: Vec<(&'static str, Shape)> = Vec::new();
        for entry in same.iter().flat_map(|answer| answer.content) {
            if !shapes.contains(entry) {
                shapes.push(*entry);
            }
        }
        let mut response = json!({
            "description": help.join(" Or: "),
            "headers": headers(&same),
        });
        if !shapes.is_empty() {
            response["content"] = content(&shapes, &codes, schemas);
        }
        by_status.insert(status.to_string(), response);
    }
    Value::Object(by_status)
}

/// A header is required when each answer of the status always has it.
fn headers(answers: &[&&Answer]) -> Value {
    let mut headers = Map::new();
    for (name, _, help) in answers.iter().flat_map(|answer| answer.headers) {
        let always = answers
            .iter()
            .all(|answer| answer.headers.iter().any(|(other, always, _)| other == name && *always));
        let schema = json!({"type": "string"});
        let header = json!({"description": help, "required": always, "schema": schema});
        headers.insert((*name).to_owned(), header);
    }
    Value::Object(headers)
}

fn content(shapes: &[(&'static str, Shape)], codes: &[&str], schemas: &mut Schemas) -> Value {
    let mut content: Map<String, Value> = Map::new();
    for (media_type, shape) in shapes {
        let schema = schemas.of(*shape, codes);
        match content.get_mut(*media_type) {
            None => {
                content.insert((*media_type).to_owned(), json!({"schema": schema}));
            }
            Some(other) => {
                let first = other["schema"].take();
                *other = json!({"schema": {"oneOf": [first, schema]}});
            }
        }
    }
    Value::Object(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every `$ref` under a value.
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(to)) = map.get("$ref") {
                    found.push(to.clone());
                }
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = write();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 30, "{found:?}");
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    #[test]
    fn a_field_without_a_value_is_absent_and_never_null() {
        let document = write();
        let aggregate = &document["components"]["schemas"]["Aggregate"];
        assert_eq!(aggregate["properties"]["errorRate"]["type"], "number");
        let required = aggregate["required"].as_array().unwrap();
        assert!(required.contains(&"events".into()) && !required.contains(&"errorRate".into()));
        let page = &document["components"]["schemas"]["Page"];
        assert!(page["required"].as_array().unwrap().contains(&"next".into()));
        assert_eq!(page["properties"]["next"]["type"], json!(["string", "null"]));
        let history = &document["components"]["schemas"]["History"];
        assert_eq!(history["properties"]["events"]["items"]["type"], json!(["integer", "null"]));
    }

    #[test]
    fn refusals_list_their_codes_and_tokens_are_asked_for_by_scope() {
        let document = write();
        let list = &document["paths"]["/api/events"]["get"];
        let problem = &list["responses"]["422"]["content"]["application/problem+json"]["schema"];
        let codes = problem["allOf"][1]["properties"]["code"]["enum"].as_array().unwrap();
        assert!(codes.contains(&"bad_cursor".into()), "{problem}");
        assert_eq!(list["security"], json!([{"bearer": ["read"]}]));
        assert_eq!(document["paths"]["/health"]["get"]["security"], json!([]));
        let challenge = &list["responses"]["401"]["headers"]["WWW-Authenticate"];
        assert_eq!(challenge["required"], true);
    }

    #[test]
    fn a_client_that_has_it_gets_no_second_copy() {
        let first = serve(&HeaderMap::new());
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
        assert_eq!(serve(&headers).status(), StatusCode::NOT_MODIFIED);
    }
}
