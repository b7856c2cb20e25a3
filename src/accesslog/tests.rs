//! Lines of real logs and of hostile ones, and the reference data line by line.

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

const COMBINED: &str = r#"83.149.9.216 - - [17/May/2015:10:05:03 +0000] "GET /a/b.png HTTP/1.1" 200 203023 "http://s.com/x" "Mozilla/5.0 (X11)""#;

fn entry(line: &str) -> Entry<'_> {
    parse(line.as_bytes()).unwrap_or_else(|error| panic!("{error}: {line}"))
}

fn with_request(request: &str) -> String {
    format!("h - - [17/May/2015:10:05:03 +0000] \"{request}\" 200 5")
}

#[test]
fn a_combined_line_gives_every_field() {
    let expected = Entry {
        client: "83.149.9.216".into(),
        time_ms: 1_431_857_103_000,
        method: Some("GET".into()),
        target: "/a/b.png".into(),
        status: Some(200),
        bytes: Some(203_023),
        referer: Some("http://s.com/x".into()),
        agent: Some("Mozilla/5.0 (X11)".into()),
    };
    assert_eq!(entry(COMBINED), expected);
}

#[test]
fn a_common_line_has_no_referer_and_no_agent() {
    let line = r#"gate.nasa.gov - frank [01/Aug/1995:00:00:01 -0400] "HEAD / HTTP/1.0" 304 -"#;
    let entry = entry(line);
    assert_eq!((&*entry.client, entry.method.as_deref()), ("gate.nasa.gov", Some("HEAD")));
    assert_eq!((entry.status, entry.bytes), (Some(304), None));
    assert_eq!((entry.referer, entry.agent), (None, None));
    assert_eq!(entry.time_ms, 807_249_601_000);
}

#[test]
fn a_line_without_its_last_quote_counts() {
    let line = COMBINED.trim_end_matches('"');
    assert_eq!(entry(line).agent.as_deref(), Some("Mozilla/5.0 (X11)"));
}

#[test]
fn a_request_without_a_target_is_its_own_route() {
    for (request, route) in [
        ("-", "-"),
        ("", "-"),
        ("GET", "GET"),
        ("GET HTTP/1.0", "GET HTTP/1.0"),
        (r"\x16\x03\x01\x02", r"\x16\x03\x01\x02"),
        (r"\x16\x03 \x01", r"\x16\x03 \x01"),
    ] {
        let line = with_request(request);
        let entry = entry(&line);
        assert_eq!((entry.method, &*entry.target), (None, route), "{request}");
    }
}

#[test]
fn a_target_keeps_its_query_its_spaces_and_its_quotes() {
    for (request, target) in [
        ("GET /a?b=c HTTP/1.1", "/a?b=c"),
        ("GET /a b c HTTP/1.1", "/a b c"),
        ("GET /no-protocol", "/no-protocol"),
        (r#"GET /say\"hi\" HTTP/1.1"#, "/say\"hi\""),
        (r#"GET /say"hi" HTTP/1.1"#, "/say\"hi\""),
        (r"GET /back\\slash HTTP/1.1", r"/back\slash"),
        (r"GET /\yahoo.com HTTP/1.0", r"/\yahoo.com"),
        ("OPTIONS * HTTP/1.1", "*"),
        ("GET http://other.org/ HTTP/1.0", "http://other.org/"),
        (r#"GET /\" 500 1 HTTP/1.1"#, "/\" 500 1"),
        (r"GET /lone\", r"/lone\"),
    ] {
        let line = with_request(request);
        let entry = entry(&line);
        assert_eq!(&*entry.target, target, "{request}");
        assert_eq!(entry.status, Some(200), "{request}");
    }
}

#[test]
fn any_host_and_any_user_will_do() {
    for (start, client) in [
        ("2001:db8::1 - -", "2001:db8::1"),
        ("::ffff:10.0.0.1 - -", "::ffff:10.0.0.1"),
        ("www-d1.proxy.aol.com - -", "www-d1.proxy.aol.com"),
        ("10.0.0.1 - john smith", "10.0.0.1"),
        ("10.0.0.1 - [admin]", "10.0.0.1"),
    ] {
        let line = format!("{start} [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.0\" 200 1");
        assert_eq!(&*entry(&line).client, client);
    }
}

#[test]
fn a_status_outside_of_http_is_absent_and_the_line_counts() {
    for status in ["-", "000", "999", "65536000"] {
        let line = format!("h - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.0\" {status} 7");
        assert_eq!((entry(&line).status, entry(&line).bytes), (None, Some(7)), "{status}");
    }
}

#[test]
fn bytes_that_are_not_utf8_are_replaced() {
    let mut line = with_request("GET /caf").into_bytes();
    let at = line.windows(4).position(|four| four == b"/caf").unwrap() + 4;
    line.insert(at, 0xe9);
    assert_eq!(&*parse(&line).unwrap().target, "/caf\u{fffd}");
}

#[test]
fn fields_after_the_agent_are_ignored() {
    let line = format!("{COMBINED} \"10.1.1.1\" rt=0.004");
    assert_eq!(entry(&line), entry(COMBINED));
}

#[test]
fn what_is_missing_is_named() {
    for (line, error) in [
        ("", LineError::Empty),
        ("  \r\n", LineError::Empty),
        ("word", LineError::NoTime),
        ("# Fields: date time", LineError::NoTime),
        ("h - - [yesterday] \"GET / HTTP/1.0\" 200 1", LineError::BadTime),
        ("h - - [17/May/2015:10:05:03 +0000] GET / 200 1", LineError::NoRequest),
        ("h - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.0\"", LineError::NoStatus),
        ("h - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.0 200 1", LineError::NoStatus),
    ] {
        assert_eq!(parse(line.as_bytes()), Err(error), "{line}");
    }
}

#[test]
fn the_format_is_that_of_most_lines() {
    let common = with_request("GET / HTTP/1.0");
    let event = r#"{"type":"page_view","route":"/"}"#;
    let of = |lines: &[&str]| detect(lines.iter().map(|line| line.as_bytes()));
    assert_eq!(of(&["garbage", COMBINED, COMBINED, &common]), Some(Format::Combined));
    assert_eq!(of(&[&common, COMBINED, &common]), Some(Format::Common));
    assert_eq!(of(&[event, "{", event]), Some(Format::Ndjson));
    assert_eq!(of(&["{", "host logname time"]), None);
    assert_eq!(of(&[]), None);
}

#[test]
fn real_traffic_is_read_to_the_last_line() {
    let Some(data) = data("apache-combined-2015") else { return };
    let log = std::fs::read(data.join("access.log")).unwrap();
    let facts: serde_json::Value =
        serde_json::from_slice(&std::fs::read(data.join("facts.json")).unwrap()).unwrap();
    let facts = &facts["facts"];
    let lines: Vec<_> = log.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    assert_eq!(detect(lines.iter().take(20).copied()), Some(Format::Combined));
    let entries: Vec<_> = lines.iter().map(|line| parse(line).unwrap()).collect();

    let distinct = |field: &dyn Fn(&Entry<'_>) -> String| {
        entries.iter().map(field).collect::<std::collections::BTreeSet<_>>().len()
    };
    let count = |wanted: &dyn Fn(&Entry<'_>) -> bool| entries.iter().filter(|e| wanted(e)).count();
    assert_eq!(entries.len(), facts["lines"]);
    assert_eq!(distinct(&|e| e.client.to_string()), facts["distinct_clients"]);
    assert_eq!(distinct(&|e| e.target.to_string()), facts["distinct_routes_raw_target"]);
    assert_eq!(
        distinct(&|e| e.agent.clone().unwrap_or_default().to_string()),
        facts["distinct_user_agents"]
    );
    assert_eq!(entries.iter().filter_map(|e| e.bytes).sum::<u64>(), facts["response_bytes_sum"]);
    assert_eq!(count(&|e| e.bytes.is_none()), facts["response_bytes_dash"]);
    for (code, expected) in facts["status_codes"].as_object().unwrap() {
        assert_eq!(count(&|e| e.status == code.parse().ok()), *expected, "{code}");
    }
    for (method, expected) in facts["methods"].as_object().unwrap() {
        assert_eq!(count(&|e| e.method.as_deref() == Some(method)), *expected, "{method}");
    }
    for (day, expected) in facts["per_day_utc"].as_object().unwrap() {
        let from = format!("{day}T00:00:00Z").parse::<jiff::Timestamp>().unwrap().as_millisecond();
        let within = |e: &Entry<'_>| (from..from + 86_400_000).contains(&e.time_ms);
        assert_eq!(count(&within), *expected, "{day}");
    }
}

/// A folder of the reference data: `PULSEBOARD_DATA`, else beside the repository. Where it is
/// missing the test says so, and fails under CI.
fn data(name: &str) -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("PULSEBOARD_DATA").map_or_else(beside, PathBuf::from).join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(std::env::var_os("CI").is_none(), "no reference data at {}", folder.display());
    eprintln!("skipped: no reference data at {}", folder.display());
    None
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(line in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&line);
        let _ = detect([&*line]);
    }

    #[test]
    fn a_damaged_line_is_refused_or_read_never_fatal(
        at in 0..COMBINED.len(),
        replacement in proptest::collection::vec(any::<u8>(), 0..6),
        cut in 0..COMBINED.len(),
    ) {
        let mut line = COMBINED.as_bytes().to_vec();
        line.splice(at..=at, replacement);
        line.truncate(line.len().min(cut + 40));
        if let Ok(entry) = parse(&line) {
            prop_assert!(!entry.target.is_empty() && !entry.client.is_empty());
        }
    }

    #[test]
    fn what_a_server_escapes_is_read_back(
        path in "/[a-z\"\\\\ ]{0,20}[a-z]",
        agent in "[a-z\"\\\\]{1,20}",
        time_secs in 0..4_000_000_000i64,
    ) {
        prop_assume!(agent != "-");
        let escape = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let time = jiff::Timestamp::from_second(time_secs).unwrap().strftime("%d/%b/%Y:%H:%M:%S");
        let line = format!(
            "h - - [{time} +0000] \"GET {} HTTP/1.1\" 200 1 \"-\" \"{}\"",
            escape(&path),
            escape(&agent),
        );
        let entry = entry(&line);
        prop_assert_eq!(&*entry.target, &*path);
        prop_assert_eq!(entry.agent.as_deref(), Some(&*agent));
        prop_assert_eq!(entry.time_ms, time_secs * 1_000);
    }
}
