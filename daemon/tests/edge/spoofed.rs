//! A million addresses behind a trusted proxy, each of which asks once: memory stays flat, and nobody
//! who has a token notices. (Whoever has none and comes new while there is no room is told to wait:
//! the tests of the table say so.)
//!
//! The requests are pipelined, so that a daemon with all its checks on gets through them.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::client::Request;
use crate::harness::{Edge, Expect};
use crate::support::token;

const ADDRESSES: u32 = 1_000_000;
const CONNECTIONS: u32 = 4;
/// Requests on their way at a time, of one connection.
const PIPELINED: u32 = 100;
/// What 65,536 buckets and some buffers take, and room for a machine that frees late.
const GROWTH_MAX_BYTES: f64 = 24e6;

#[test]
fn a_million_addresses_leave_memory_flat() {
    // So few calls that each address is remembered for ten seconds: more than there is room for.
    let mut edge = Edge::start(&[
        ("PULSEBOARD_SERVER__TRUSTED_PROXIES", "127.0.0.1"),
        ("PULSEBOARD_LIMITS__API_PER_MINUTE", "6"),
    ]);
    let figure = |edge: &Edge, name: &str| {
        let request = Request::get("/metrics").bearer(&token::good("figures", "read"));
        let answer = request.header("Accept", "application/json").send(edge.address());
        answer.expect("an answer").json()[name].as_f64().expect("a figure")
    };
    let resident = |edge: &Edge| figure(edge, "pulseboard_resident_memory_bytes");
    edge.row("the first ten thousand", |edge| ask(edge, 0..10_000));
    let before = resident(&edge);
    edge.row("the others", |edge| ask(edge, 10_000..ADDRESSES));
    edge.row("memory", |edge| {
        let growth = resident(edge) - before;
        if growth < GROWTH_MAX_BYTES { Ok(()) } else { Err(format!("grew by {growth} bytes")) }
    });
    let good = Request::get("/api/aggregates?window=1s").bearer(&token::good("reader", "read"));
    edge.rest("a good token", &good, &Expect::status(200));
    edge.finish();
}

/// Asks once from each of these addresses, without a token.
fn ask(edge: &Edge, addresses: std::ops::Range<u32>) -> Result<(), String> {
    let address = edge.address();
    let share = addresses.len() as u32 / CONNECTIONS;
    let tasks: Vec<_> = (0..CONNECTIONS)
        .map(|connection| {
            let first = addresses.start + connection * share;
            std::thread::spawn(move || {
                let stream = TcpStream::connect(address).unwrap();
                stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
                let mut stream = BufReader::new(stream);
                let mut requests = Vec::new();
                for from in (first..first + share).step_by(PIPELINED as usize) {
                    requests.clear();
                    for n in from..from + PIPELINED {
                        let [a, b, c] = [n >> 16, n >> 8, n].map(|part| part & 0xff);
                        let lines = format!(
                            "GET /api/events HTTP/1.1\r\nHost: x\r\n\
                             X-Forwarded-For: 10.{a}.{b}.{c}\r\n\r\n"
                        );
                        requests.extend_from_slice(lines.as_bytes());
                    }
                    stream.get_mut().write_all(&requests).map_err(|error| error.to_string())?;
                    for _ in 0..PIPELINED {
                        answer(&mut stream)?;
                    }
                }
                Ok(())
            })
        })
        .collect();
    tasks.into_iter().try_for_each(|task| task.join().unwrap())
}

/// Reads one answer: 401, or 429 where there is no bucket left to begin with.
fn answer(stream: &mut BufReader<TcpStream>) -> Result<(), String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).map_err(|error| error.to_string())?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    if !head.starts_with("http/1.1 401") && !head.starts_with("http/1.1 429") {
        return Err(head);
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length = length.and_then(|length| length.trim().parse().ok()).ok_or("no length")?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).map_err(|error| error.to_string())
}
