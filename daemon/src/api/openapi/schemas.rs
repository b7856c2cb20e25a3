//! The JSON Schemas of what is sent and answered: of Rust's types where there are some, written out
//! where an answer is put together by hand.

use pulseboard::limits;
use pulseboard::validate::Field;
use pulseboard::wire::server::{Rejection, Snapshot, StoredEvent};
use schemars::generate::{Contract, SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use crate::api::endpoints::{EVENT_CODES, Shape};
use crate::api::events::Page;
use crate::api::health::{Alive, Readiness};
use crate::api::windows::{HistoryAnswer, RoutesAnswer};

/// Where schemas gather.
pub(super) struct Schemas {
    generator: SchemaGenerator,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.contract = Contract::Serialize;
            settings.meta_schema = None;
        });
        Self { generator: settings.into_generator() }
    }

    /// The schema of a shape, by reference where it has a name.
    pub(super) fn of(&mut self, shape: Shape, codes: &[&str]) -> Value {
        let generator = &mut self.generator;
        match shape {
            Shape::Nothing => json!({}),
            Shape::Text | Shape::StoredEvents => {
                if shape == Shape::StoredEvents {
                    generator.subschema_for::<StoredEvent>();
                }
                json!({"type": "string"})
            }
            Shape::Events => named("Events"),
            Shape::Verdict => named("Verdict"),
            Shape::Verdicts => {
                generator.subschema_for::<Rejection>();
                named("Verdicts")
            }
            Shape::Page => generator.subschema_for::<Page>().to_value(),
            Shape::Snapshot => generator.subschema_for::<Snapshot>().to_value(),
            Shape::History => generator.subschema_for::<HistoryAnswer>().to_value(),
            Shape::Routes => generator.subschema_for::<RoutesAnswer>().to_value(),
            Shape::Alive => generator.subschema_for::<Alive>().to_value(),
            Shape::Readiness => generator.subschema_for::<Readiness>().to_value(),
            Shape::Metrics => json!({
                "type": "object",
                "additionalProperties": {"type": "number"},
                "description": "By name, or by name and labels as Prometheus writes them.",
            }),
            Shape::OpenApi => json!({"type": "object", "required": ["openapi", "paths"]}),
            Shape::Problem => json!({
                "allOf": [named("Problem"), {"properties": {"code": {"enum": codes}}}],
            }),
        }
    }

    /// Every schema with a name.
    pub(super) fn finish(mut self) -> Value {
        let mut schemas = self.generator.take_definitions(true);
        schemas.values_mut().for_each(without_nulls);
        if let Some(code) = schemas.get_mut("Rejection").map(|schema| &mut schema["properties"]) {
            code["code"]["enum"] = EVENT_CODES.as_slice().into();
        }
        for (name, schema) in by_hand() {
            schemas.insert(name.to_owned(), schema);
        }
        Value::Object(schemas)
    }
}

fn named(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// A field that need not be there is left out when it has no value: takes the null out of it.
fn without_nulls(schema: &mut Value) {
    let required: Vec<Value> = schema["required"].as_array().cloned().unwrap_or_default();
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    let optional = properties.iter_mut().filter(|(name, _)| !required.contains(&json!(name)));
    for (_, property) in optional {
        if let Some(types) = property["type"].as_array() {
            let mut others = types.iter().filter(|name| **name != "null");
            property["type"] = others.next().cloned().unwrap_or_default();
        }
        if let Some(mut either) = property["anyOf"].as_array().cloned() {
            either.retain(|schema| schema["type"] != "null");
            if let [only] = either.as_slice() {
                let mut only = only.clone();
                if let Some(help) = property.get("description") {
                    only["description"] = help.clone();
                }
                *property = only;
            }
        }
        if let Some(property) = property.as_object_mut() {
            property.retain(|_, value| !value.is_null());
        }
    }
}

fn by_hand() -> [(&'static str, Value); 5] {
    let problem = json!({
        "type": "object",
        "description": "RFC 9457.",
        "required": ["type", "title", "status", "code", "detail"],
        "properties": {
            "type": {"const": "about:blank"},
            "title": {"type": "string"},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "code": {"type": "string", "pattern": "^[a-z][a-z_]*$"},
            "detail": {"type": "string", "minLength": 1},
            "field": {"type": "string", "description": "The field or parameter at fault."},
        },
    });
    let verdict = json!({
        "type": "object",
        "required": ["eventId", "status", "route", "tick"],
        "additionalProperties": false,
        "properties": {
            "eventId": {"type": "string"},
            "status": {"enum": ["accepted", "duplicate"]},
            "route": {"type": "string", "description": "As stored."},
            "tick": {"type": "integer", "description": "The second it counts in, Unix time."},
        },
    });
    let count = json!({"type": "integer", "minimum": 0});
    let verdicts = json!({
        "type": "object",
        "required": ["accepted", "duplicates", "rejected", "rejectedTotal", "durable"],
        "additionalProperties": false,
        "properties": {
            "accepted": count,
            "duplicates": count,
            "rejected": {
                "type": "array",
                "maxItems": limits::REJECTIONS_LISTED,
                "items": named("Rejection"),
            },
            "rejectedTotal": count,
            "durable": {"const": true, "description": "What was accepted is on disk."},
        },
    });
    let events = json!({
        "oneOf": [
            named("Event"),
            {"type": "array", "items": named("Event"), "minItems": 1, "maxItems": 10_000},
        ],
    });
    [
        ("Problem", problem),
        ("Verdict", verdict),
        ("Verdicts", verdicts),
        ("Events", events),
        ("Event", event()),
    ]
}

/// An event as it is sent. Lengths are of UTF-8 in bytes; JSON Schema counts characters, so that
/// what it lets through may still be too long.
fn event() -> Value {
    let mut properties = Map::new();
    for field in Field::ALL {
        let text = |bytes: usize| json!({"type": "string", "minLength": 1, "maxLength": bytes});
        let schema = match field {
            Field::EventId | Field::UserId | Field::SessionId | Field::ClientId => text(128),
            Field::Type => text(64),
            Field::Route => text(limits::ROUTE_BYTES),
            Field::Site => json!({"type": "string", "pattern": "^[a-z0-9._-]{1,64}$"}),
            Field::Timestamp => json!({
                "anyOf": [{"type": "integer"}, {"type": "string", "format": "date-time"}],
                "description": "Unix ms or RFC 3339; the arrival when left out.",
            }),
            Field::Status => json!({"type": "integer", "minimum": 100, "maximum": 599}),
            Field::Error => json!({"type": "boolean"}),
            Field::LatencyMs => json!({"type": "number", "minimum": 0, "maximum": 86_400_000}),
            Field::Props => json!({
                "type": "object",
                "maxProperties": 32,
                "propertyNames": {"minLength": 1, "maxLength": 64},
                "additionalProperties": {"type": ["string", "number", "boolean"]},
            }),
        };
        properties.insert(field.name().to_owned(), schema);
    }
    json!({
        "type": "object",
        "required": ["type", "route"],
        "additionalProperties": false,
        "properties": properties,
    })
}
