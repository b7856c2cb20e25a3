//! Bodies that are not what they say: packed ones, and those that are no events.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{EVENT, JSON, bad_json, created, ingest, post, read};
use crate::client::Request;
use crate::harness::{Edge, Expect};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn packed(bytes: impl AsRef<[u8]>) -> Request {
    post(bytes).header("Content-Encoding", "gzip")
}

#[test]
fn bodies_that_are_packed() {
    let mut edge = Edge::start(&[]);
    let bomb = |mib: usize| gzip(&vec![b' '; mib << 20]);
    let too_large = Expect::problem(413, "body_too_large");
    let bad_gzip = Expect::problem(400, "bad_gzip");
    edge.rest("gzip", &packed(gzip(EVENT.as_bytes())), &created());
    edge.rest("a bomb of 200 MiB", &packed(bomb(200)), &too_large);
    edge.rest("a bomb in a bomb is unpacked once", &packed(gzip(&bomb(64))), &bad_json());
    let mut members = gzip(&EVENT.as_bytes()[..9]);
    members.extend(gzip(&EVENT.as_bytes()[9..]));
    edge.rest("two members are one body", &packed(&members), &created());
    let many: Vec<u8> = (0..9).flat_map(|_| bomb(1)).collect();
    edge.rest("nine members of a MiB", &packed(many), &too_large);
    let whole = gzip(EVENT.as_bytes());
    edge.rest("a truncated one", &packed(&whole[..whole.len() - 4]), &bad_gzip);
    edge.rest("a truncated header", &packed(&whole[..5]), &bad_gzip);
    let mut wrong = whole.clone();
    *wrong.last_mut().unwrap() ^= 1;
    edge.rest("a wrong length at the end", &packed(&wrong), &bad_gzip);
    let mut wrong = whole.clone();
    let crc = wrong.len() - 6;
    wrong[crc] ^= 1;
    edge.rest("a wrong checksum", &packed(&wrong), &bad_gzip);
    edge.rest("what is not gzip", &packed(EVENT), &bad_gzip);
    edge.rest("nothing at all", &packed(""), &bad_gzip);
    let tail = [&whole[..], b"tail"].concat();
    edge.rest("something after it", &packed(tail), &bad_gzip);
    for coding in ["br", "deflate", "zstd", "gzip, gzip", "gzip;q=1", "x"] {
        let request = post(&whole).header("Content-Encoding", coding);
        let expect = Expect::problem(415, "unsupported_encoding").header("accept-encoding", "gzip");
        edge.rest(&format!("the coding {coding:?}"), &request, &expect);
    }
    let twice = packed(&whole).header("Content-Encoding", "gzip");
    edge.rest("the coding twice", &twice, &Expect::problem(415, "unsupported_encoding"));
    edge.finish();
}

#[test]
fn bodies_that_are_no_events() {
    let mut edge = Edge::start(&[]);
    let with = |field: &str| format!(r#"{{"type":"t","route":"/a",{field}}}"#);
    let deep = |open: &str, close: &str| open.repeat(100_000) + &close.repeat(100_000);
    let refused = |code: &'static str| Expect::problem(400, code);
    let items_refused = Expect::status(400).header("content-type", JSON);
    let rows: Vec<(&str, Vec<u8>, Expect)> = vec![
        ("arrays 100,000 deep", deep("[", "]").into(), items_refused.clone()),
        ("objects 100,000 deep", deep("{\"a\":", "").into(), refused("event_too_large")),
        (
            "props of arrays 7,000 deep",
            with(&format!("\"props\":{{\"a\":{}{}}}", "[".repeat(7_000), "]".repeat(7_000))).into(),
            refused("too_deep"),
        ),
        ("a lone surrogate", with(r#""userId":"\ud800""#).into(), refused("bad_text")),
        (
            "a surrogate the wrong way",
            with(r#""userId":"\udc00\ud800""#).into(),
            refused("bad_text"),
        ),
        ("a raw NUL", with("\"userId\":\"a\u{0}b\"").into(), bad_json()),
        ("a raw line feed in a text", with("\"userId\":\"a\nb\"").into(), bad_json()),
        ("an endless number", with("\"latencyMs\":1e999").into(), refused("bad_number")),
        (
            "a number of 10,000 digits",
            with(&format!("\"status\":{}", "9".repeat(10_000))).into(),
            refused("bad_number"),
        ),
        ("a latency past any", with("\"latencyMs\":1e308").into(), refused("bad_latency")),
        ("NaN", with("\"latencyMs\":NaN").into(), bad_json()),
        ("a duplicate key", with(r#""type":"u""#).into(), refused("duplicate_field")),
        ("a trailing comma", br#"{"type":"t","route":"/a",}"#.to_vec(), bad_json()),
        ("a comment", br#"{"type":"t",/**/"route":"/a"}"#.to_vec(), bad_json()),
        ("two objects", format!("{EVENT}{EVENT}").into(), bad_json()),
        ("half an object", EVENT.as_bytes()[..20].to_vec(), bad_json()),
        ("nothing", Vec::new(), bad_json()),
        ("null", b"null".to_vec(), bad_json()),
        ("a text", b"\"event\"".to_vec(), bad_json()),
        ("an empty array", b"[]".to_vec(), refused("empty_batch")),
        ("two byte order marks", format!("\u{feff}\u{feff}{EVENT}").into(), bad_json()),
        ("UTF-16", EVENT.encode_utf16().flat_map(u16::to_le_bytes).collect(), bad_json()),
        ("invalid UTF-8", b"{\"type\":\"\xff\",\"route\":\"/a\"}".to_vec(), bad_json()),
        ("an overlong slash", b"{\"type\":\"\xc0\xaf\",\"route\":\"/a\"}".to_vec(), bad_json()),
        ("a prototype", with(r#""__proto__":{}"#).into(), refused("unknown_field")),
        (
            "10,001 events",
            format!("[{}{EVENT}]", format!("{EVENT},").repeat(10_000)).into(),
            Expect::problem(413, "too_many_events"),
        ),
        ("8 MiB and one byte", vec![b' '; (8 << 20) + 1], Expect::problem(413, "body_too_large")),
    ];
    for (name, body, expect) in rows {
        edge.rest(name, &post(body), &expect);
    }
    edge.rest("a byte order mark", &post(format!("\u{feff}{EVENT}")), &created());
    edge.rest("an escaped NUL is a text", &post(with(r#""userId":"a\u0000b""#)), &created());
    let other = |kind: &str| Request::post(kind, EVENT).bearer(&ingest());
    let unsupported = Expect::problem(415, "unsupported_media_type").header("accept", JSON);
    for kind in ["application/xml", "application/x-www-form-urlencoded", "json", ""] {
        edge.rest(&format!("the type {kind:?}"), &other(kind), &unsupported);
    }
    let keyed = |key: &str| post(EVENT).header("Idempotency-Key", key);
    edge.rest("a long key", &keyed(&"k".repeat(257)), &refused("bad_idempotency_key"));
    edge.rest("an empty key", &keyed(""), &refused("bad_idempotency_key"));
    let asked = |query: &str| {
        Request::new("POST", &format!("/api/events?{query}"))
            .header("Content-Type", JSON)
            .bearer(&ingest())
            .body(EVENT)
    };
    let no_admin = Expect::problem(403, "wrong_scope").header(
        "www-authenticate",
        "Bearer realm=\"pulseboard\", error=\"insufficient_scope\", scope=\"admin\"",
    );
    edge.rest("an import", &asked("import=true"), &no_admin);
    edge.rest("an import in disguise", &asked("%69mport=%74rue"), &no_admin);
    edge.rest(
        "an import twice",
        &asked("import=false&import=true"),
        &Expect::problem(422, "repeated_parameter"),
    );
    edge.rest("half an import", &asked("import=yes"), &Expect::problem(422, "bad_flag"));
    edge.rest("an unknown parameter", &asked("x=1"), &Expect::problem(422, "unknown_parameter"));
    let named = Request::get("/api/nothing").bearer(&read()).header("X-Request-Id", "mine");
    edge.row("a request id of the client's is not taken over", |edge| {
        let answer = named.send(edge.address()).ok_or("no answer")?;
        match answer.header("x-request-id") {
            Some(id) if id.len() == 16 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    edge.finish();
}
