//! The event table of the contract, refusal by refusal, and the shapes bodies come in.

use proptest::prelude::*;

use super::*;
use crate::event::Class;
use crate::route::Normaliser;

pub(super) const NOW_MS: i64 = 1_763_884_800_000;

pub(super) fn rules(routes: &Normaliser) -> Rules<'_> {
    Rules {
        arrival_ms: NOW_MS,
        horizon_ms: crate::limits::HORIZON_MS,
        import: false,
        import_age_ms_max: None,
        site: None,
        routes,
        event_bytes: crate::limits::EVENT_BYTES,
        batch_events: crate::limits::BATCH_EVENTS,
    }
}

fn normaliser() -> Normaliser {
    Normaliser::default()
}

pub(super) fn read_json(body: &[u8]) -> (Decoded, Result<Report, DecodeError>) {
    let (routes, mut out) = (normaliser(), Decoded::default());
    let report = json(body, &rules(&routes), &mut out);
    (out, report)
}

fn read_ndjson(body: &[u8]) -> (Decoded, Result<Report, DecodeError>) {
    let (routes, mut out) = (normaliser(), Decoded::default());
    let report = ndjson(body, &rules(&routes), &mut out);
    (out, report)
}

/// `{"index","code","message","field"}` of the one refusal of a one-event body, whichever way the
/// event comes.
fn refusal(event: &str) -> (String, String, String) {
    let whole = read_json(event.as_bytes()).1.unwrap_or_else(|error| panic!("{event}: {error}"));
    let array = format!(r#"[{{"type":"a","route":"/"}},{event},{{"type":"a","route":"/"}}]"#);
    let (in_array, report) = read_json(array.as_bytes());
    let report = report.unwrap_or_else(|error| panic!("{event}: {error}"));
    assert_eq!((in_array.batch.len(), in_array.places), (2, vec![0, 2]), "{event}");
    let lines = format!("{event}\n{{\"type\":\"a\",\"route\":\"/\"}}");
    let (in_lines, lines_report) = read_ndjson(lines.as_bytes());
    assert_eq!(in_lines.batch.len(), 1, "{event}");
    let [single] = whole.refusals.listed() else { panic!("{event} was taken") };
    let [item] = report.refusals.listed() else { panic!("{event} was taken in an array") };
    let lines_report = lines_report.expect("lines are never refused as a whole");
    assert_eq!(lines_report.refusals.listed(), std::slice::from_ref(single), "{event}");
    assert_eq!((item.index, single.index), (1, 0), "{event}");
    assert_eq!((&item.code, &item.message), (&single.code, &single.message), "{event}");
    (single.code.clone(), single.field.clone().unwrap_or_default(), single.message.clone())
}

#[test]
fn every_rule_of_the_event_table_has_its_answer() {
    let text = |bytes: usize| "x".repeat(bytes);
    let with = |extra: &str| format!(r#"{{"type":"a","route":"/",{extra}}}"#);
    let cases: Vec<(String, &str, &str, String)> = vec![
        ("{}".into(), "missing_field", "type", "`type` is required: a string of 1 to 64 bytes".into()),
        (r#"{"type":"a"}"#.into(), "missing_field", "route", "`route` is required: a string of 1 to 512 bytes".into()),
        (r#"{"route":"/"}"#.into(), "missing_field", "type", "`type` is required: a string of 1 to 64 bytes".into()),
        (with(r#""user_id":"a""#), "unknown_field", "user_id", "`user_id` is unknown; did you mean `userId`? extras go in `props`".into()),
        (with(r#""colour":[{"a":[1,null]}]"#), "unknown_field", "colour", "`colour` is unknown; extras go in `props`".into()),
        (with(r#""type":"b""#), "duplicate_field", "type", "`type` is there twice".into()),
        (with(r#""eventId":7"#), "wrong_type", "eventId", "`eventId` must be a string of 1 to 128 bytes, not a number".into()),
        (with(r#""eventId":"""#), "empty", "eventId", "`eventId` is empty: it must be a string of 1 to 128 bytes".into()),
        (with(&format!(r#""eventId":"{}""#, text(129))), "too_long", "eventId", "`eventId` is 129 bytes long: at most 128".into()),
        (with(&format!(r#""userId":"{}""#, "é".repeat(65))), "too_long", "userId", "`userId` is 130 bytes long: at most 128".into()),
        (with(r#""sessionId":null"#), "wrong_type", "sessionId", "`sessionId` must be a string of 1 to 128 bytes, not null; leave it out instead".into()),
        (with(r#""clientId":{"a":1}"#), "wrong_type", "clientId", "`clientId` must be a string of 1 to 128 bytes, not an object".into()),
        (r#"{"type":"","route":"/"}"#.into(), "empty", "type", "`type` is empty: it must be a string of 1 to 64 bytes".into()),
        (format!(r#"{{"type":"{}","route":"/"}}"#, text(65)), "too_long", "type", "`type` is 65 bytes long: at most 64".into()),
        (r#"{"type":true,"route":"/"}"#.into(), "wrong_type", "type", "`type` must be a string of 1 to 64 bytes, not a boolean".into()),
        (r#"{"type":"a","route":["/"]}"#.into(), "wrong_type", "route", "`route` must be a string of 1 to 512 bytes, not an array".into()),
        (r#"{"type":"a","route":"?x=1"}"#.into(), "empty", "route", "`route` is empty once its query is cut: it must be a string of 1 to 512 bytes".into()),
        (format!(r#"{{"type":"a","route":"/{}?q"}}"#, text(512)), "route_too_long", "route", "`route` is 513 bytes long without its query: at most 512".into()),
        (with(r#""timestamp":true"#), "wrong_type", "timestamp", "`timestamp` must be Unix milliseconds or an RFC 3339 string, not a boolean".into()),
        (with(r#""timestamp":"yesterday""#), "bad_timestamp", "timestamp", "`timestamp` must be Unix milliseconds or an RFC 3339 string, not `yesterday`".into()),
        (with(r#""timestamp":"1763884800000""#), "bad_timestamp", "timestamp", "`timestamp` must be Unix milliseconds or an RFC 3339 string, not `1763884800000`".into()),
        (with(r#""timestamp":1763884800000.5"#), "bad_timestamp", "timestamp", "`timestamp` must be Unix milliseconds or an RFC 3339 string, not 1763884800000.5".into()),
        (with(r#""timestamp":1763884800"#), "timestamp_in_seconds", "timestamp", "`timestamp` 1763884800 looks like seconds; it must be in milliseconds: 1763884800000".into()),
        (with(r#""timestamp":1763884800.25"#), "timestamp_in_seconds", "timestamp", "`timestamp` 1763884800.25 looks like seconds; it must be in milliseconds: 1763884800250".into()),
        (with(r#""timestamp":1763798399999"#), "too_old", "timestamp", "`timestamp` is 24h old: events of the last 24h are taken, older ones with ?import=true".into()),
        (with(r#""timestamp":-5"#), "too_old", "timestamp", "`timestamp` is 20415d 8h old: events of the last 24h are taken, older ones with ?import=true".into()),
        (with(r#""timestamp":1763885100001"#), "too_far_ahead", "timestamp", "`timestamp` is 5m ahead of the daemon's clock: at most 5m".into()),
        (with(r#""timestamp":1763884800000000"#), "too_far_ahead", "timestamp", "`timestamp` is 20394918d ahead of the daemon's clock: at most 5m; it looks like micro- or nanoseconds, and must be milliseconds".into()),
        (with(r#""status":"200""#), "wrong_type", "status", "`status` must be an integer from 100 to 599, not a string".into()),
        (with(r#""status":99"#), "bad_status", "status", "`status` must be an integer from 100 to 599, not 99".into()),
        (with(r#""status":600"#), "bad_status", "status", "`status` must be an integer from 100 to 599, not 600".into()),
        (with(r#""status":200.5"#), "bad_status", "status", "`status` must be an integer from 100 to 599, not 200.5".into()),
        (with(r#""status":-200"#), "bad_status", "status", "`status` must be an integer from 100 to 599, not -200".into()),
        (with(r#""error":1"#), "wrong_type", "error", "`error` must be true or false, not a number".into()),
        (with(r#""error":"true""#), "wrong_type", "error", "`error` must be true or false, not a string".into()),
        (with(r#""latencyMs":-1"#), "bad_latency", "latencyMs", "`latencyMs` must be a number from 0 to 86400000, not -1".into()),
        (with(r#""latencyMs":86400000.5"#), "bad_latency", "latencyMs", "`latencyMs` must be a number from 0 to 86400000, not 86400000.5".into()),
        (with(r#""latencyMs":"43""#), "wrong_type", "latencyMs", "`latencyMs` must be a number from 0 to 86400000, not a string".into()),
        (with(r#""latencyMs":1e999"#), "bad_number", "", "a number is beyond what a 64-bit floating point can hold".into()),
        (with(r#""site":"Shop""#), "bad_site", "site", "`site` must be a string of 1 to 64 of a-z 0-9 . _ -, not `Shop`".into()),
        (with(r#""site":"""#), "bad_site", "site", "`site` must be a string of 1 to 64 of a-z 0-9 . _ -, not ``".into()),
        (with(&format!(r#""site":"{}""#, text(65))), "bad_site", "site", format!("`site` must be a string of 1 to 64 of a-z 0-9 . _ -, not `{}…`", text(40))),
        (with(r#""props":"x""#), "wrong_type", "props", "`props` must be an object of strings, numbers and booleans, not a string".into()),
        (with(r#""props":[]"#), "wrong_type", "props", "`props` must be an object of strings, numbers and booleans, not an array".into()),
        (with(r#""props":{"plan":null}"#), "props_not_scalar", "props.plan", "`props.plan` must be a string, a number or a boolean, not null".into()),
        (with(r#""props":{"a":1,"b":{"c":[1]}}"#), "props_not_scalar", "props.b", "`props.b` must be a string, a number or a boolean, not an object".into()),
        (with(r#""props":{"a":[]}"#), "props_not_scalar", "props.a", "`props.a` must be a string, a number or a boolean, not an array".into()),
        (with(r#""props":{"a":1,"\u0061":2}"#), "props_duplicate_key", "props", "the key `a` is in `props` twice".into()),
        (with(r#""props":{"":1}"#), "props_key_length", "props", "the key `` of `props` is 0 bytes long: it must be 1 to 64".into()),
        (with(&format!(r#""props":{{"{}":1}}"#, text(65))), "props_key_length", "props", format!("the key `{}…` of `props` is 65 bytes long: it must be 1 to 64", text(40))),
        (
            with(&format!(r#""props":{{{}}}"#, (0..33).map(|n| format!(r#""k{n}":{n}"#)).collect::<Vec<_>>().join(","))),
            "props_too_many", "props", "`props` has more than 32 entries".into(),
        ),
        (with(r#""userId":"\ud800""#), "bad_text", "", "a text has half of a surrogate pair, which is no character".into()),
        (with(r#""userId":"\udc00\ud800""#), "bad_text", "", "a text has half of a surrogate pair, which is no character".into()),
        (with(&format!(r#""props":{{"a":"{}"}}"#, text(16_400))), "event_too_large", "", "the event is 16441 bytes of JSON: at most 16384".into()),
        (with(&format!(r#""x":{}1{}"#, "[".repeat(5_000), "]".repeat(5_000))), "too_deep", "", "values are nested more than 32 deep".into()),
    ];
    for (event, code, field, message) in cases {
        assert_eq!(refusal(&event), (code.to_owned(), field.to_owned(), message), "{event}");
    }
}

#[test]
fn the_first_thing_wrong_in_the_text_is_what_is_named() {
    let (code, field, _) = refusal(r#"{"status":1,"user_id":"x","latencyMs":-1}"#);
    assert_eq!((code.as_str(), field.as_str()), ("bad_status", "status"));
}

#[test]
fn what_fits_is_taken_as_it_is() {
    let event = format!(
        r#"{{"eventId":"{id}","type":"{kind}","route":"/{route}?{query}","timestamp":1763884799000,
            "userId":"{id}","sessionId":"{id}","clientId":"{id}","status":599,"error":false,
            "latencyMs":86400000,"site":"a-z.0_9","props":{{}}}}"#,
        id = "é".repeat(64),
        kind = "x".repeat(64),
        route = "y".repeat(511),
        query = "z".repeat(2_000),
    );
    let (out, report) = read_json(event.as_bytes());
    assert_eq!(report.map(|report| (report.rows, report.refusals.total())), Ok((0..1, 0)));
    let taken = out.batch.get(0);
    assert_eq!((taken.route().len(), taken.event_id().len()), (512, 128));
    assert_eq!((taken.row().timestamp_ms, taken.row().class), (NOW_MS - 1_000, Class::Live));
    assert_eq!((taken.status(), taken.latency_ms()), (Some(599), Some(86_400_000.0)));
    assert_eq!((taken.row().error, taken.site(), taken.props()), (Some(false), "a-z.0_9", None));
}

#[test]
fn whole_numbers_may_be_written_with_a_point() {
    let event = br#"{"type":"a","route":"/","status":2.0e2,"timestamp":1763884799000.0}"#;
    let (out, _) = read_json(event);
    assert_eq!(out.batch.rows()[0].status, 200);
    assert_eq!(out.batch.rows()[0].timestamp_ms, 1_763_884_799_000);
}

#[test]
fn an_event_with_the_least_gets_the_defaults() {
    let (out, _) = read_json(br#"{"type":"a","route":"/"}"#);
    let event = out.batch.get(0);
    assert_eq!((event.site(), event.event_id(), event.actor()), ("default", "", None));
    assert_eq!((event.status(), event.latency_ms(), event.row().error), (None, None, None));
    assert_eq!((event.row().timestamp_ms, event.row().arrival_ms), (NOW_MS, NOW_MS));
}

#[test]
fn age_decides_the_class() {
    let class = |age_ms: i64, import: bool, max: Option<i64>| {
        let (routes, mut out) = (normaliser(), Decoded::default());
        let rules = Rules { import, import_age_ms_max: max, ..rules(&routes) };
        let body = format!(r#"{{"type":"a","route":"/","timestamp":{}}}"#, NOW_MS - age_ms);
        json(body.as_bytes(), &rules, &mut out).expect("JSON");
        out.batch.rows().first().map(|row| row.class)
    };
    let day_ms = 86_400_000;
    assert_eq!(class(0, false, None), Some(Class::Live));
    assert_eq!(class(-300_000, false, None), Some(Class::Live));
    assert_eq!(class(60_000, false, None), Some(Class::Live));
    assert_eq!(class(60_001, false, None), Some(Class::Late));
    assert_eq!(class(day_ms, false, None), Some(Class::Late));
    assert_eq!(class(day_ms + 1, false, None), None);
    assert_eq!(class(0, true, None), Some(Class::Import));
    assert_eq!(class(10_000 * day_ms, true, None), Some(Class::Import));
    assert_eq!(class(2 * day_ms, true, Some(day_ms)), None);
    assert_eq!(class(-300_001, true, None), None);
    assert_eq!(class(i64::MAX / 4, true, None), None);
}

#[test]
fn texts_keep_every_character_there_is() {
    let body = r#"{"type":"a\u0000b","route":"/\u001b[31m\"\\\/é\ud83d\ude00","userId":"\t"}"#;
    let (out, _) = read_json(body.as_bytes());
    let event = out.batch.get(0);
    assert_eq!(event.kind(), "a\0b");
    assert_eq!(event.route(), "/\u{1b}[31m\"\\/é😀");
    assert_eq!(event.user_id(), Some("\t"));
}

#[test]
fn props_are_kept_as_compact_json() {
    let body = r#"{"type":"a","route":"/","props": { "s" : "x\n\"é\u0001\u00e9" , "n":-0.5, "i": 9007199254740993,
        "big":123456789012345678901234567890, "t":true,"f" :false, "k\"":"\/", "e":1E5, "z":-0 }}"#;
    let (out, _) = read_json(body.as_bytes());
    assert_eq!(
        out.batch.get(0).props(),
        Some(
            r#"{"s":"x\n\"é\u0001é","n":-0.5,"i":9007199254740993,"big":1.2345678901234568e29,"t":true,"f":false,"k\"":"/","e":100000.0,"z":0.0}"#
        )
    );
}

#[test]
fn the_tokens_site_holds_for_its_events() {
    let (routes, mut out) = (normaliser(), Decoded::default());
    let rules = Rules { site: Some("shop"), ..rules(&routes) };
    let body = br#"[{"type":"a","route":"/"},{"type":"a","route":"/","site":"shop"},{"type":"a","route":"/","site":"blog"}]"#;
    let report = json(body, &rules, &mut out).expect("JSON");
    assert_eq!(out.batch.iter().map(|event| event.site()).collect::<Vec<_>>(), ["shop", "shop"]);
    let refused = &report.refusals.listed()[0];
    assert_eq!((refused.index, refused.code.as_str()), (2, "wrong_site"));
    assert_eq!(refused.message, "this token sends events of site `shop`, not of `blog`");
}

#[test]
fn a_body_that_is_not_json_is_refused_as_a_whole_with_the_place() {
    let event = r#"{"type":"a","route":"/"}"#;
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"".to_vec(), "the body is empty: it must be a JSON object or an array of them"),
        (b" \n".to_vec(), "the body is empty: it must be a JSON object or an array of them"),
        (b"5".to_vec(), "the body is neither a JSON object nor an array of them"),
        (b"hello".to_vec(), "the body is neither a JSON object nor an array of them"),
        (
            format!("[{event},{event}").into(),
            "the body is not JSON: EOF while parsing a list at line 1 column 50",
        ),
        (format!("[{event},]").into(), "the body is not JSON: trailing comma at line 1 column 27"),
        (
            format!("[{event}\n{event}]").into(),
            "the body is not JSON: expected `,` or `]` at line 2 column 1",
        ),
        (
            format!("[{event}] x").into(),
            "the body is not JSON: trailing characters at line 1 column 28",
        ),
        (format!("{event}{event}").into(), "not JSON: trailing characters at line 1 column 25"),
        (
            b"{\"type\":\"a\",\"route\":NaN}".to_vec(),
            "not JSON: expected value at line 1 column 21",
        ),
        (
            b"{\"type\":\"a\nb\"}".to_vec(),
            "not JSON: control character (\\u0000-\\u001F) found while parsing a string at line 1 column 10",
        ),
        (b"{\"type\":\"\xff\"}".to_vec(), "the body is not valid UTF-8 from byte 9 on"),
        (b"[\"".to_vec(), "the body is not JSON: EOF while parsing a string at line 1 column 2"),
    ];
    for (body, message) in cases {
        let shown = String::from_utf8_lossy(&body).into_owned();
        let (out, report) = read_json(&body);
        assert_eq!(report.map(|_| ()), Err(DecodeError::Malformed(message.into())), "{shown}");
        assert!(out.batch.is_empty() && out.places.is_empty(), "{shown}");
    }
}

#[test]
fn depth_costs_no_stack() {
    for open in ["[", "{\"a\":", "[{\"a\":", "{\"type\":[", "[{\"props\":{\"a\":["] {
        let body = open.repeat(100_000);
        match read_json(body.as_bytes()).1 {
            Ok(report) => assert_eq!(report.refusals.listed()[0].code, "event_too_large", "{open}"),
            Err(error) => assert!(error.to_string().contains("EOF"), "{open}: {error}"),
        }
        let lines = read_ndjson(body.as_bytes()).1.expect("lines");
        assert_eq!(lines.refusals.total(), 1);
    }
    let closed = format!("[{}{}]", "[".repeat(100_000), "]".repeat(100_000));
    let (_, report) = read_json(closed.as_bytes());
    let refusals = report.expect("it is JSON").refusals;
    assert_eq!(refusals.listed()[0].code, "event_too_large");
}

#[test]
fn a_broken_line_is_one_refused_item_among_good_ones() {
    let body = b"\xef\xbb\xbf{\"type\":\"a\",\"route\":\"/1\"}\r\n\
        \r\n  \t\n\
        {\"type\":\"a\",\"route\":\n\
        {\"type\":\"\xff\",\"route\":\"/\"}\n\
        [{\"type\":\"a\",\"route\":\"/\"}]\n\
        null\n\
        {\"type\":\"a\",\"route\":\"/\"} x\n\
        {\"type\":\"b\",\"route\":\"/a b\"}";
    let (out, report) = read_ndjson(body);
    let report = report.expect("lines are not refused as a whole");
    assert_eq!(out.places, [0, 6]);
    assert_eq!(out.batch.iter().map(|event| event.kind()).collect::<Vec<_>>(), ["a", "b"]);
    let refused: Vec<_> = report
        .refusals
        .listed()
        .iter()
        .map(|refused| (refused.index, refused.code.as_str(), refused.message.as_str()))
        .collect();
    assert_eq!(
        refused,
        [
            (1, "bad_json", "not JSON: EOF while parsing a value at line 1 column 20"),
            (2, "bad_json", "the line is not valid UTF-8 from byte 10 on"),
            (3, "not_an_object", "an event is a JSON object, not an array"),
            (4, "not_an_object", "an event is a JSON object, not null"),
            (5, "bad_json", "not JSON: trailing characters at line 1 column 26"),
        ]
    );
    assert_eq!((report.items, report.single), (7, false));
}

#[test]
fn more_events_than_a_call_may_hold_are_refused_before_they_are_kept() {
    let routes = normaliser();
    let rules = Rules { batch_events: 3, ..rules(&routes) };
    let event = r#"{"type":"a","route":"/"}"#;
    for (count, fits) in [(3, true), (4, false)] {
        let mut out = Decoded::default();
        let array = format!("[{}]", vec![event; count].join(","));
        assert_eq!(json(array.as_bytes(), &rules, &mut out).is_ok(), fits);
        assert_eq!(out.batch.len(), if fits { 3 } else { 0 });
        let mut out = Decoded::default();
        let lines = vec![event; count].join("\n") + "\n\n";
        assert_eq!(ndjson(lines.as_bytes(), &rules, &mut out).is_ok(), fits);
        assert_eq!(out.batch.len(), if fits { 3 } else { 0 });
    }
}

#[test]
fn an_oversized_item_of_an_array_is_found_wherever_its_bytes_are() {
    let small = r#"{"type":"a","route":"/"}"#.to_owned();
    let space = " ".repeat(17_000);
    let long = "x".repeat(17_000);
    let large = [
        format!(r#"{{{space}"type":"a","route":"/"}}"#),
        format!(r#"{{"type":"a","route":"/"{space}}}"#),
        format!(r#"{{"type":"a","route":"/?{long}"}}"#),
        format!(r#"{{"t\u0079pe":"a","route":"/?{long}"}}"#),
        format!("{{{space}}}"),
        format!("\"{long}\""),
    ];
    for large in large {
        for place in 0..3 {
            let mut items = vec![small.clone(); 2];
            items.insert(place, large.clone());
            let (out, report) = read_json(format!("[{}]", items.join(" , ")).as_bytes());
            let report = report.expect("JSON");
            assert_eq!(out.batch.len(), 2, "{} at {place}", &large[..20]);
            let refused = &report.refusals.listed()[0];
            assert_eq!((refused.code.as_str(), refused.index), ("event_too_large", place as u64));
        }
    }
    // Space between items is nobody's.
    let apart = [small.as_str(); 3].join(&format!("{space},{space}"));
    assert_eq!(read_json(format!("[{apart}]").as_bytes()).0.batch.len(), 3);
}

#[test]
fn calls_are_added_to_one_batch_and_a_malformed_one_leaves_no_trace() {
    let (routes, mut out) = (normaliser(), Decoded::default());
    let rules = rules(&routes);
    let first = json(br#"[{"type":"a","route":"/"},5]"#, &rules, &mut out).expect("JSON");
    let text_len = out.batch.text_len();
    assert!(json(br#"[{"type":"b","route":"/"},]"#, &rules, &mut out).is_err());
    assert_eq!((out.batch.len(), out.batch.text_len()), (1, text_len));
    let second = ndjson(b"{\"type\":\"c\",\"route\":\"/\"}\n", &rules, &mut out).expect("lines");
    assert_eq!((first.rows, second.rows, out.places), (0..1, 1..2, vec![0, 0]));
}

proptest! {
    #[test]
    fn an_array_is_malformed_exactly_where_another_parser_says_so(
        changes in proptest::collection::vec((0..400_usize, "[\\[\\]{}\",:\\\\0-9eE.+\\-ntu é\u{1}]"), 0..4),
    ) {
        let mut body = r#"[{"type":"a","route":"/x","timestamp":1763884799000,"status":200,"latencyMs":1.5e1,
            "error":false,"props":{"a":"b\\n\\u00e9","n":-0.5}}, {"type":"b","route":"/","userId":"\\ud83d\\ude00"},
            {"type":"c","route":"/y?z","site":"s","eventId":"x","sessionId":"y","clientId":null}]"#.to_owned();
        for (at, text) in changes {
            let at = body.floor_char_boundary(at);
            let Some(old) = body[at..].chars().next() else { continue };
            body.replace_range(at..at + old.len_utf8(), &text);
        }
        let body = body.trim_matches(JSON_SPACE);
        if body.starts_with('[') {
            let valid = serde_json::from_str::<serde::de::IgnoredAny>(body);
            let (out, report) = read_json(body.as_bytes());
            prop_assert_eq!(report.is_ok(), valid.is_ok(), "{} {:?} {:?}", body, report, valid);
            if let Ok(report) = report {
                let events = report.items - report.refusals.total() as usize;
                prop_assert_eq!(out.batch.len(), events);
            }
            // The same through the second look alone.
            let (routes, mut again) = (normaliser(), Decoded::default());
            let report = careful::array(body, &rules(&routes), &mut again);
            prop_assert_eq!(report.is_ok(), valid.is_ok());
            let fields = |out: &Decoded| out.batch.iter().map(|event| {
                (event.kind().to_owned(), event.route().to_owned(), event.props().map(str::to_owned))
            }).collect::<Vec<_>>();
            prop_assert_eq!(fields(&out), fields(&again));
        }
        // Whatever it is, it is answered, and lines are never refused as a whole.
        prop_assert!(read_ndjson(body.as_bytes()).1.is_ok());
        let _ = read_json(body.as_bytes());
    }

    #[test]
    fn no_bytes_make_the_decoder_stumble(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_json(&body);
        prop_assert!(read_ndjson(&body).1.is_ok());
    }
}
