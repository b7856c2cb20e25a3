//! Events read back as they were stored, whatever they hold.

use proptest::prelude::*;
use pulseboard::event::{Class, EventBatch, Row};

use super::*;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z/0-9]{1,20}",
        "\\PC{1,20}",
        Just("a\u{0}b\n\"\\\u{1f}é🦀".to_owned()),
        Just("$set.x".to_owned()),
    ]
}

fn scalar() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    prop_oneof![
        text().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        (-1e300..1e300f64).prop_map(Value::from),
        prop_oneof![Just(0.0), Just(-0.0), Just(1.0), Just(1e16), Just(5e-324), Just(f64::MAX)]
            .prop_map(Value::from),
    ]
}

type Texts = (String, String, String, String, [Option<String>; 3]);

fn texts() -> impl Strategy<Value = Texts> {
    let some = || proptest::option::of(text());
    (text(), text(), text(), "[a-z0-9._-]{1,64}", [some(), some(), some()])
}

fn numbers() -> impl Strategy<Value = Row> {
    let latency = prop_oneof![Just(f64::NAN), 0.0..86_400_000.0, Just(0.0)];
    let status = prop_oneof![Just(0u16), 100..600u16];
    let class = prop_oneof![Just(Class::Live), Just(Class::Late), Just(Class::Import)];
    let times = (-60_000_000_000_000..250_000_000_000_000i64, 0..5_000_000_000_000i64);
    let error = proptest::option::of(any::<bool>());
    (latency, status, class, times, error).prop_map(
        |(latency_ms, status, class, (timestamp_ms, arrival_ms), error)| Row {
            latency_ms,
            status,
            class,
            timestamp_ms,
            arrival_ms,
            error,
            ..Row::default()
        },
    )
}

fn batch(
    (id, kind, route, site, [user, session, client]): &Texts,
    mut row: Row,
    props: &serde_json::Map<String, serde_json::Value>,
) -> EventBatch {
    let mut batch = EventBatch::default();
    row.event_id = batch.add_text(id);
    row.kind = batch.add_text(kind);
    row.route = batch.add_text(route);
    row.site = batch.add_text(site);
    let mut some = |text: &Option<String>| text.as_deref().map(|text| batch.add_text(text));
    row.user_id = some(user).unwrap_or_default();
    row.session_id = some(session).unwrap_or_default();
    row.client_id = some(client).unwrap_or_default();
    if !props.is_empty() {
        row.props = batch.add_text(&serde_json::to_string(props).unwrap());
    }
    batch.push(row);
    batch
}

proptest! {
    #[test]
    fn an_event_reads_back_as_it_was_stored(
        texts in texts(),
        row in numbers(),
        props in proptest::collection::btree_map(text(), scalar(), 0..6),
        seq in 0..i64::MAX as u64,
    ) {
        let props = props.into_iter().collect();
        let stored = batch(&texts, row, &props);
        let event = stored.get(0);
        let document = event_document(&event, Place { node: "00c0ffee0000", seq });
        let id = document.get_str("_id").unwrap();
        prop_assert_eq!(id, format!("{}/{}", event.site(), event.event_id()));

        let mut read = EventBatch::default();
        read.add_text("something before");
        let place = read_event(&document, &mut read).unwrap();
        prop_assert_eq!(place, Place { node: "00c0ffee0000", seq });
        let back = read.get(0);
        prop_assert_eq!(back.event_id(), event.event_id());
        prop_assert_eq!(back.kind(), event.kind());
        prop_assert_eq!(back.route(), event.route());
        prop_assert_eq!(back.site(), event.site());
        prop_assert_eq!(back.user_id(), event.user_id());
        prop_assert_eq!(back.session_id(), event.session_id());
        prop_assert_eq!(back.client_id(), event.client_id());
        prop_assert_eq!(back.status(), event.status());
        prop_assert_eq!(back.row().error, event.row().error);
        prop_assert_eq!(back.row().class, event.row().class);
        prop_assert_eq!(back.row().timestamp_ms, event.row().timestamp_ms);
        prop_assert_eq!(back.row().arrival_ms, event.row().arrival_ms);
        prop_assert_eq!(
            back.latency_ms().map(f64::to_bits), event.latency_ms().map(f64::to_bits)
        );
        let parsed = |text: Option<&str>| text.map(|text| {
            sonic_rs::from_str::<serde_json::Map<String, serde_json::Value>>(text).unwrap()
        });
        prop_assert_eq!(parsed(back.props()), parsed(event.props()));
    }
}

#[test]
fn numbers_keep_their_kind_and_props_their_order() {
    let json = r#"{"z":1,"a":1.0,"m":-0.5,"u":18446744073709551615,"l":-9223372036854775808,"t":true,"s":"é"}"#;
    let document = props::to_document(json).unwrap();
    assert_eq!(props::to_text(&document).unwrap(), json);
}

#[test]
fn a_document_that_is_no_event_leaves_the_batch_as_it_was() {
    let stored = batch(
        &("id".into(), "t".into(), "/r".into(), "s".into(), [None, None, None]),
        Row::default(),
        &serde_json::Map::new(),
    );
    let whole = event_document(&stored.get(0), Place { node: "n", seq: 1 });
    let whole = mongodb::bson::Document::try_from(&whole).unwrap();
    for missing in ["eventId", "type", "route", "site", "timestamp", "storedAt"] {
        let mut less = whole.clone();
        less.remove(missing);
        let less = mongodb::bson::RawDocumentBuf::try_from(&less).unwrap();
        let mut read = EventBatch::default();
        assert_eq!(read_event(&less, &mut read), Err(DocumentError::Field(missing)));
        assert_eq!((read.len(), read.text_len()), (0, 0));
    }
    let mut odd = whole;
    odd.insert("status", "200");
    let odd = mongodb::bson::RawDocumentBuf::try_from(&odd).unwrap();
    let mut read = EventBatch::default();
    assert_eq!(read_event(&odd, &mut read), Err(DocumentError::Field("status")));
}
