//! A tick's final frame as bytes: what is kept of each window for rewinding. Some 20 bytes for an
//! idle tick, a few hundred with ten routes. The numbers of its history point come first, so that
//! loading a history reads no further.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Point;
use super::render::{classes, ratio};
use crate::limits::SUMMARY_VERSION;
use crate::sketch::{DecodeError, Reader, Writer};
use crate::wire::server::{Aggregate, Latency, Nodes, OtherRoutes, RouteRow};

/// The bytes of a final frame. `behindMs` is not kept, as nothing final is behind, and neither are
/// notices: they are about now.
pub fn encode_frame(frame: &Aggregate) -> Vec<u8> {
    let mut writer = Writer::default();
    let point = Point::of(frame);
    writer.byte(SUMMARY_VERSION);
    writer.unsigned(point.events);
    writer.unsigned(point.active_users);
    writer.unsigned(point.errors);
    point.classes.iter().for_each(|count| writer.unsigned(*count));
    writer.byte(u8::from(point.latency.is_some()));
    point.latency.iter().flatten().for_each(|ms| writer.float(*ms));
    if let Some(latency) = frame.latency_ms {
        writer.unsigned(latency.count);
        writer.float(latency.max);
    }
    writer.unsigned(frame.active_sessions);
    writer.unsigned(frame.types.len() as u64);
    for (kind, count) in &frame.types {
        writer.blob(kind.as_bytes());
        writer.unsigned(*count);
    }
    writer.unsigned(frame.top_routes.len() as u64);
    for row in &frame.top_routes {
        writer.blob(row.route.as_bytes());
        writer.unsigned(row.events);
        writer.unsigned(row.errors);
        writer.float(row.p95.unwrap_or(f64::NAN));
    }
    writer.unsigned(frame.other_routes.routes);
    writer.unsigned(frame.other_routes.events);
    writer.unsigned(frame.other_routes.errors);
    writer.unsigned(frame.late);
    writer.unsigned(frame.skewed);
    writer.byte(u8::from(frame.last_event_at.is_some()));
    writer.signed(frame.last_event_at.unwrap_or(0));
    writer.unsigned(u64::from(frame.nodes.reporting));
    writer.unsigned(u64::from(frame.nodes.expected));
    writer.into_bytes()
}

/// The history point of a final frame.
pub fn decode_point(bytes: &[u8]) -> Result<Point, DecodeError> {
    point(&mut Reader::new(bytes))
}

/// The final frame of the window of `secs` at `tick`.
pub fn decode_frame(bytes: &[u8], secs: u32, tick: i64) -> Result<Aggregate, DecodeError> {
    let mut reader = Reader::new(bytes);
    let point = point(&mut reader)?;
    let latency_ms = match point.latency {
        None => None,
        Some([p50, p95, p99]) => {
            Some(Latency { count: reader.unsigned()?, p50, p95, p99, max: reader.float()? })
        }
    };
    let active_sessions = reader.unsigned()?;
    let mut types = BTreeMap::new();
    for _ in 0..reader.count(2)? {
        types.insert(text(reader.blob()?)?.to_owned(), reader.unsigned()?);
    }
    let mut top_routes = Vec::new();
    for _ in 0..reader.count(11)? {
        let route: Arc<str> = text(reader.blob()?)?.into();
        let (events, errors, p95) = (reader.unsigned()?, reader.unsigned()?, reader.float()?);
        let error_rate = ratio(errors, events).unwrap_or(0.0);
        let p95 = (!p95.is_nan()).then_some(p95);
        top_routes.push(RouteRow { route, events, errors, error_rate, p95 });
    }
    let frame = Aggregate {
        window: format!("{secs}s"),
        tick,
        from: (tick - i64::from(secs) + 1) * 1_000,
        to: (tick + 1) * 1_000,
        events: point.events,
        events_per_second: point.events as f64 / f64::from(secs),
        active_users: point.active_users,
        active_sessions,
        errors: point.errors,
        error_rate: ratio(point.errors, point.events),
        status_classes: classes(&point.classes),
        types,
        latency_ms,
        top_routes,
        other_routes: OtherRoutes {
            routes: reader.unsigned()?,
            events: reader.unsigned()?,
            errors: reader.unsigned()?,
        },
        late: reader.unsigned()?,
        skewed: reader.unsigned()?,
        last_event_at: match (reader.byte()?, reader.signed()?) {
            (0, _) => None,
            (_, ms) => Some(ms),
        },
        behind_ms: 0,
        nodes: Nodes { reporting: reader.unsigned32()?, expected: reader.unsigned32()? },
        notices: Vec::new(),
    };
    if reader.is_done() { Ok(frame) } else { Err(DecodeError::Damaged("end")) }
}

fn point(reader: &mut Reader<'_>) -> Result<Point, DecodeError> {
    reader.version(SUMMARY_VERSION)?;
    let (events, active_users) = (reader.unsigned()?, reader.unsigned()?);
    let errors = reader.unsigned()?;
    let mut classes = [0; 5];
    for count in &mut classes {
        *count = reader.unsigned()?;
    }
    let latency = match reader.byte()? {
        0 => None,
        _ => Some([reader.float()?, reader.float()?, reader.float()?]),
    };
    Ok(Point { events, active_users, errors, classes, latency })
}

fn text(bytes: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(bytes).map_err(|_| DecodeError::Damaged("text"))
}
