//! Hostile HTTP: origins, lengths and chunks, paths and hosts, times, bodies that are not what they
//! say. What hyper refuses before there is a request is answered by its bare 400, 414 or 431.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::client::Request;
use crate::harness::{Edge, Expect};
use crate::support::{token, try_parse};

mod bodies;

const JSON: &str = "application/json";
const EVENT: &str = r#"{"type":"hostile","route":"/x"}"#;
const SHOP: &str = "https://shop.example.org";

fn ingest() -> String {
    token::good("hostile", "ingest")
}

fn read() -> String {
    token::good("hostile", "read")
}

fn post(body: impl AsRef<[u8]>) -> Request {
    Request::post(JSON, body).bearer(&ingest())
}

/// `POST /api/events` with these lines after the usual ones, and these bytes as they are.
fn raw_post(lines: &str, body: impl AsRef<[u8]>) -> Request {
    let mut bytes = format!(
        "POST /api/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {JSON}\
         \r\nAuthorization: Bearer {}\r\n{lines}\r\n",
        ingest()
    )
    .into_bytes();
    bytes.extend_from_slice(body.as_ref());
    Request::raw(bytes)
}

fn raw(text: impl AsRef<str>) -> Request {
    Request::raw(text.as_ref().as_bytes())
}

fn chunked(body: &str) -> Request {
    raw_post("Transfer-Encoding: chunked\r\n", body)
}

fn bare(status: u16) -> Expect {
    Expect::status(status).header("content-length", "0")
}

fn created() -> Expect {
    Expect::status(201)
}

fn bad_json() -> Expect {
    Expect::problem(400, "bad_json").header("x-request-id", "")
}

#[test]
fn pages_of_other_origins() {
    let mut edge = Edge::start(&[("PULSEBOARD_SERVER__ALLOWED_ORIGINS", SHOP)]);
    let preflight = |origin: &str| {
        Request::new("OPTIONS", "/api/events")
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "POST")
            .header("Access-Control-Request-Headers", "authorization,content-type")
    };
    let may = Expect::status(204)
        .header("access-control-allow-origin", SHOP)
        .header("access-control-allow-methods", "GET, HEAD, POST")
        .header("access-control-allow-headers", "Authorization, Content-Type")
        .header("vary", "Origin")
        .without("access-control-allow-credentials");
    edge.rest("a listed page asks", &preflight(SHOP), &may);
    let page = Expect::status(201)
        .header("access-control-allow-origin", SHOP)
        .header("access-control-expose-headers", "RateLimit, RateLimit-Policy, Retry-After, ETag")
        .header("vary", "Origin");
    edge.rest("a listed page posts", &post(EVENT).header("Origin", SHOP), &page);
    let seen = Expect::problem(401, "unauthorized").header("access-control-allow-origin", SHOP);
    let nameless = Request::post(JSON, EVENT).header("Origin", SHOP);
    edge.rest("a listed page is told why it may not", &nameless, &seen);
    let beacon = Request::new("POST", &format!("/api/events?token={}", ingest()))
        .header("Content-Type", "text/plain;charset=UTF-8")
        .header("Origin", SHOP)
        .body(EVENT);
    edge.rest("a listed page's beacon", &beacon, &page);
    let may_not = Expect::problem(403, "origin_not_allowed").without("access-control-allow-origin");
    for origin in [
        "https://evil.example.org",
        "null",
        "",
        "*",
        "http://shop.example.org",
        "https://shop.example.org:444",
        "https://shop.example.org.evil.net",
        "https://xshop.example.org",
        "https://shop.example.orgx",
        "https://shop.example.org@evil.net",
        "https://evil.net/https://shop.example.org",
        "https://shop.example.org, https://evil.net",
    ] {
        edge.rest(&format!("{origin:?} asks"), &preflight(origin), &may_not);
    }
    edge.rest("two origins ask", &preflight(SHOP).header("Origin", SHOP), &may_not);
    let unread =
        Expect::status(200).without("access-control-allow-origin").header("vary", "Origin");
    let foreign = Request::get("/api/aggregates?window=1s")
        .bearer(&read())
        .header("Origin", "https://evil.example.org");
    edge.rest("a foreign page reads, and its browser keeps it from it", &foreign, &unread);
    edge.finish();
}

#[test]
fn without_a_key_only_this_machine_and_only_its_own_pages() {
    let mut edge = Edge::with_settings_and_no_neighbour(&[]);
    let post = |host: &str, lines: &str| {
        raw(format!(
            "POST /api/events HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{lines}\
             Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{EVENT}",
            EVENT.len()
        ))
    };
    edge.rest("a program", &post("localhost", ""), &created());
    let own = post("localhost:3000", "Origin: http://localhost:3000\r\n");
    edge.rest("the daemon's own page", &own, &created());
    for origin in ["https://evil.example.org", "null", "http://localhost:8080"] {
        let page = post("localhost:3000", &format!("Origin: {origin}\r\n"));
        edge.rest(origin, &page, &Expect::problem(403, "origin_not_allowed"));
    }
    let local = Expect::problem(403, "dev_mode_is_local");
    for host in ["evil.example.org", "localhost.evil.example.org", "127.0.0.1.evil.net", ""] {
        edge.rest(&format!("the Host {host:?}"), &post(host, ""), &local);
    }
    for header in ["X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1", "Via: 1.1 x"] {
        edge.rest(header, &post("localhost", &format!("{header}\r\n")), &local);
    }
    let absolute =
        raw("GET http://evil.example.org/api/aggregates HTTP/1.1\r\nHost: localhost\r\n\
         Connection: close\r\n\r\n");
    edge.rest("another name in the target", &absolute, &local);
    edge.finish();
}

#[test]
fn lengths_and_chunks() {
    let mut edge = Edge::start(&[]);
    let body = |length: &str| raw_post(&format!("Content-Length: {length}\r\n"), EVENT);
    let exact = EVENT.len().to_string();
    edge.rest("a length", &body(&exact), &created());
    for length in [
        "+31",
        "-1",
        "0x1f",
        "31 ",
        "31.0",
        "3 1",
        "1e1",
        "31, 31",
        "99999999999999999999",
        "18446744073709551616",
        "\u{661}",
        "",
    ] {
        let expect = if length == "31 " { created() } else { bare(400) };
        edge.rest(&format!("the length {length:?}"), &body(length), &expect);
    }
    edge.rest("8 GiB announced", &body("8589934592"), &Expect::problem(413, "body_too_large"));
    let lengths = |first: &str, second: &str| {
        raw_post(&format!("Content-Length: {first}\r\nContent-Length: {second}\r\n"), EVENT)
    };
    let asks = |length: &str| format!("Content-Length: {length}\r\nExpect: 100-continue\r\n");
    let asks_first = raw_post(&asks("8589934592"), "");
    let too_large = Expect::problem(413, "body_too_large");
    edge.rest("8 GiB, asked first, is not told to go on", &asks_first, &too_large);
    let nameless = raw(format!(
        "POST /api/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{}\r\n",
        asks("1000")
    ));
    edge.rest("nor is who has no token", &nameless, &Expect::problem(401, "unauthorized"));
    edge.rest("one length twice", &lengths(&exact, &exact), &created());
    edge.rest("two lengths", &lengths(&exact, "5"), &bare(400));
    let whole = format!("{:x}\r\n{EVENT}\r\n0\r\n\r\n", EVENT.len());
    edge.rest("chunks", &chunked(&whole), &created());
    for (name, lines) in [
        (
            "a length, then chunks",
            format!("Content-Length: {exact}\r\nTransfer-Encoding: chunked\r\n"),
        ),
        ("chunks, then a length", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n".to_owned()),
    ] {
        // RFC 9112, section 6.1: the chunks are the body.
        edge.rest(name, &raw_post(&lines, &whole), &created());
    }
    let bad = Expect::problem(400, "incomplete_body");
    for (name, text) in [
        ("a chunk size that is no number", "zz\r\nx\r\n0\r\n\r\n".to_owned()),
        ("a negative chunk size", "-1\r\nx\r\n0\r\n\r\n".to_owned()),
        ("a chunk size over 64 bits", format!("1{}\r\nx\r\n0\r\n\r\n", "0".repeat(16))),
        ("a chunk longer than it says", "2\r\nxxxx\r\n0\r\n\r\n".to_owned()),
        ("an endless chunk extension", format!("1f;{}\r\n", "x".repeat(64 * 1024))),
        ("endless trailers", format!("0\r\n{}\r\n\r\n", "X: y\r\n".repeat(20_000))),
    ] {
        edge.rest(name, &chunked(&text), &bad);
    }
    let extended = format!("{:x};name=\"value\"\r\n{EVENT}\r\n0\r\nX-Sum: 1\r\n\r\n", EVENT.len());
    edge.rest("a chunk extension and a trailer", &chunked(&extended), &created());
    for coding in ["gzip", "xchunked", "chunked, gzip", "identity", "\u{b}chunked"] {
        let request = raw_post(&format!("Transfer-Encoding: {coding}\r\n"), &whole);
        edge.rest(&format!("the transfer coding {coding:?}"), &request, &bare(400));
    }
    let spaced = raw_post("Transfer-Encoding : chunked\r\n", &whole);
    edge.rest("a space before a colon", &spaced, &bare(400));
    let folded = raw_post(&format!("X: y\r\n z\r\nContent-Length: {exact}\r\n"), EVENT);
    edge.rest("a folded header", &folded, &bare(400));
    let old = raw_post("Transfer-Encoding: chunked\r\n", &whole);
    let old = String::from_utf8(old.bytes(edge.address())).unwrap();
    edge.rest("chunks over HTTP/1.0", &raw(old.replacen("1.1", "1.0", 1)), &bare(400));
    let smuggled = format!("0\r\n\r\nGET /api/aggregates HTTP/1.1\r\nHost: x\r\n\r\n{EVENT}");
    edge.rest("a request inside a body is a body", &post(&smuggled), &bad_json());
    edge.finish();
}

#[test]
fn bodies_that_never_end() {
    let mut edge = Edge::start(&[]);
    for (name, head) in [
        ("a body that stops short", "Content-Length: 1000\r\n"),
        ("chunks that stop short", "Transfer-Encoding: chunked\r\n"),
    ] {
        edge.row(name, |edge| {
            let request = raw_post(head, if head.starts_with('C') { "{" } else { "5\r\n{" });
            let mut stream = TcpStream::connect(edge.address()).unwrap();
            stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
            stream.write_all(&request.bytes(edge.address())).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let mut bytes = Vec::new();
            let _ = stream.read_to_end(&mut bytes);
            Expect::problem(400, "incomplete_body").check(try_parse(&bytes).as_ref())
        });
    }
    edge.finish();
}

#[test]
fn clients_that_take_their_time() {
    let mut edge = Edge::start(&[
        ("PULSEBOARD_LIMITS__HEADER_TIMEOUT", "1s"),
        ("PULSEBOARD_LIMITS__BODY_TIMEOUT", "1s"),
    ]);
    let closed = Expect::closed();
    edge.rest("headers that stop", &raw("GET /health HTTP/1.1\r\nHost: x\r\n"), &closed);
    edge.rest("half a request line", &raw("GET /heal"), &closed);
    let slow = Expect::problem(408, "body_timeout").header("connection", "close");
    edge.rest("a body that stops", &raw_post("Content-Length: 100\r\n", "{"), &slow);
    edge.rest("chunks that stop", &chunked("1\r\n{\r\n"), &slow);
    for (name, head, expect) in [
        ("headers byte by byte", "GET /health HTTP/1.1\r\nHost: x\r\nX: ".to_owned(), closed),
        (
            "a body byte by byte",
            String::from_utf8(raw_post("Content-Length: 500\r\n", "").bytes(edge.address()))
                .unwrap(),
            slow,
        ),
    ] {
        edge.row(name, |edge| {
            let mut stream = TcpStream::connect(edge.address()).unwrap();
            stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            stream.write_all(head.as_bytes()).unwrap();
            let mut bytes = Vec::new();
            for _ in 0..400 {
                let mut some = [0; 4096];
                match stream.read(&mut some) {
                    Ok(0) => break,
                    Ok(read) => bytes.extend_from_slice(&some[..read]),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                        let _ = stream.write_all(b"x");
                    }
                    Err(_) => break,
                }
            }
            expect.check(try_parse(&bytes).as_ref())
        });
    }
    edge.finish();
}

#[test]
fn sizes_of_what_comes_before_the_body() {
    let mut edge = Edge::start(&[]);
    let header = |bytes: usize| {
        Request::get("/api/aggregates?window=1s")
            .bearer(&read())
            .header("X-Big", &"x".repeat(bytes))
    };
    edge.rest("15 KiB of headers", &header(15 * 1024), &Expect::status(200));
    let too_large = Expect::problem(431, "headers_too_large");
    edge.rest("17 KiB of headers", &header(17 * 1024), &too_large);
    edge.rest("a megabyte of headers", &header(1 << 20), &bare(431));
    let mut many = Request::get("/health");
    for n in 0..200 {
        many = many.header(&format!("X-{n}"), "y");
    }
    edge.rest("200 headers", &many, &bare(431));
    let target = |bytes: usize| Request::get(&format!("/health?{}", "x".repeat(bytes)));
    edge.rest("a URI of 8,000 bytes", &target(8_000), &Expect::status(200));
    edge.rest("a URI over 8 KiB", &target(8_192), &Expect::problem(414, "uri_too_long"));
    edge.rest("a URI over 64 KiB", &target(70_000), &bare(414));
    edge.finish();
}

#[test]
fn methods_paths_and_hosts() {
    let mut edge = Edge::start(&[]);
    let (read, not_there) = (read(), Expect::problem(404, "not_found"));
    let asked = |method: &str, target: &str| Request::new(method, target).bearer(&read);
    let not_allowed =
        |allow: &str| Expect::problem(405, "method_not_allowed").header("allow", allow);
    for method in ["TRACE", "PUT", "DELETE", "PATCH", "BREW", "get"] {
        let allowed = not_allowed("GET, HEAD, OPTIONS, POST");
        edge.rest(method, &asked(method, "/api/events"), &allowed);
    }
    edge.rest("DELETE /", &asked("DELETE", "/"), &not_allowed("GET, HEAD, OPTIONS"));
    edge.rest(
        "POST /api/history",
        &asked("POST", "/api/history"),
        &not_allowed("GET, HEAD, OPTIONS"),
    );
    edge.rest("POST /ws", &asked("POST", "/ws"), &not_allowed("GET, HEAD, OPTIONS"));
    let told = |allow: &str| Expect::status(204).header("allow", allow);
    edge.rest("OPTIONS /ws", &asked("OPTIONS", "/ws"), &told("GET, HEAD, OPTIONS"));
    edge.rest("OPTIONS", &asked("OPTIONS", "/api/events"), &told("GET, HEAD, OPTIONS, POST"));
    let connect = raw("CONNECT evil.example.org:443 HTTP/1.1\r\nHost: evil.example.org:443\r\n\
         Connection: close\r\n\r\n");
    edge.rest("CONNECT", &connect, &Expect::problem(405, "method_not_allowed"));
    edge.rest("OPTIONS *", &asked("OPTIONS", "*"), &told("GET, HEAD, OPTIONS"));
    for path in [
        "//api/aggregates",
        "/./api/aggregates",
        "/x/../api/aggregates",
        "/%61pi/aggregates",
        "/api%2faggregates",
        "/API/aggregates",
        "/..%2f..%2fetc/passwd",
        "/assets/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/health/../api/aggregates",
        "/%00",
    ] {
        edge.rest(path, &Request::get(path), &not_there);
    }
    let needs_token = Expect::problem(401, "unauthorized");
    for path in
        ["/api/../health", "/api/aggregates/", "/api/aggregates;x=y", "/api//aggregates", "/api/"]
    {
        edge.rest(&format!("{path} for anyone"), &Request::get(path), &needs_token);
        edge.rest(&format!("{path} for a reader"), &asked("GET", path), &not_there);
    }
    edge.rest(
        "an absolute target",
        &asked("GET", "http://x/api/aggregates?window=1s"),
        &Expect::status(200),
    );
    let absolute = Request::get("http://x/health/../api/aggregates");
    edge.rest("an absolute target, without a token", &absolute, &not_there);
    let hosts =
        |lines: &str| raw(format!("GET /health HTTP/1.1\r\n{lines}Connection: close\r\n\r\n"));
    let bad_host = Expect::problem(400, "bad_host").header("connection", "close");
    edge.rest("no Host", &hosts(""), &bad_host);
    edge.rest("two Hosts", &hosts("Host: a\r\nHost: a\r\n"), &bad_host);
    edge.rest("any Host, since there are tokens", &hosts("Host: x/@\r\n"), &Expect::status(200));
    edge.rest("HTTP/1.0 without Host", &raw("GET /health HTTP/1.0\r\n\r\n"), &Expect::status(200));
    for (name, text) in [
        ("HTTP/0.9", "GET /health\r\n\r\n"),
        ("HTTP/1.2", "GET /health HTTP/1.2\r\nHost: x\r\n\r\n"),
        ("HTTP/3", "GET /health HTTP/3\r\nHost: x\r\n\r\n"),
        ("no HTTP", "\u{1}\u{2}\u{3}\r\n\r\n"),
        ("a TLS hello", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\r\n\r\n"),
        ("a target with spaces", "GET /health /api HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("a NUL in a header", "GET /health HTTP/1.1\r\nHost: x\r\nX: a\u{0}b\r\n\r\n"),
        ("a header without a name", "GET /health HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n"),
        ("a header with a space in its name", "GET /health HTTP/1.1\r\nHo st: x\r\n\r\n"),
        ("a lone CR", "GET /health HTTP/1.1\r\nHost: x\rX: y\r\n\r\n"),
    ] {
        edge.rest(name, &raw(text), &bare(400));
    }
    let h2 = raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    edge.rest("an HTTP/2 preface", &h2, &Expect::closed());
    let h2c =
        Request::get("/health").header("Connection", "close, Upgrade").header("Upgrade", "h2c");
    edge.rest("an upgrade to h2c is passed over", &h2c, &Expect::status(200));
    edge.finish();
}
