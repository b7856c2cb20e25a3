//! Publishing over sockets: one event a frame, 32 sockets, 32 frames in flight each. Prints
//! acknowledged events a second, and the ratio to the parse-only HTTP ceiling of one event a
//! request in the same run; then what tokens cost: a daemon with a key against one in dev mode, in
//! turns. Rates swing on a busy machine; the daemon's processor time an event swings less.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run should say so at once")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use pulseboard::claims::Claims;
use pulseboardd::auth;
use pulseboardd::clock::Clock;
use support::body::{Template, ndjson, post};
use support::http::drive;
use support::process::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SOCKETS: u32 = 32;
const IN_FLIGHT: usize = 32;
const WANTED: f64 = 80_000.0;
/// Of the rate in dev mode, with tokens.
const RATIO: f64 = 0.95;
const ROUNDS: usize = 3;
const SECRET: &str = "a secret of benchmarks that nobody else has";

fn main() {
    if std::env::args().any(|argument| argument == "--ceiling") {
        return support::ceiling::serve();
    }
    let (mut dev, mut ceilings, mut rates, mut costs) = (vec![], vec![], vec![], vec![]);
    let token = token();
    for _ in 0..ROUNDS {
        ceilings.push(ceiling());
        let without = publish(None);
        let with = publish(Some(&token));
        rates.push(with.events_per_second / without.events_per_second);
        costs.push(with.cpu_us / without.cpu_us);
        dev.push(without.events_per_second);
    }
    let (acknowledged, ceiling) = (median(dev), median(ceilings));
    println!("publishing over sockets ({}), acknowledged events/s", support::machine());
    println!(
        "  one event a frame, {SOCKETS} sockets, {IN_FLIGHT} in flight each: {acknowledged:.0} \
         (wanted {WANTED:.0}); {:.2} of parse-only HTTP at 128 connections ({ceiling:.0})",
        acknowledged / ceiling
    );
    println!(
        "  with tokens against dev mode: {:.3} of the rate (wanted {RATIO:.2}), {:.3} of the \
         processor time an event",
        median(rates),
        median(costs)
    );
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

fn ceiling() -> f64 {
    let server = Server::ceiling();
    let request = |salt| post(&ndjson(1, salt), "application/json");
    drive(server.address, 128, 1, request, support::seconds(), 0).events_per_second
}

fn token() -> String {
    let now = Clock::system().now_ms() / 1_000;
    let claims = Claims {
        sub: "bench".to_owned(),
        scope: "ingest".to_owned(),
        iat: now,
        exp: now + 3_600,
        iss: None,
        aud: None,
        rate: Some(1_000_000_000),
        site: None,
    };
    auth::mint(&claims, SECRET.as_bytes())
}

struct Reached {
    events_per_second: f64,
    /// Of the daemon, an event.
    cpu_us: f64,
}

/// Publishes to a daemon of its own: with a key and this token, or in dev mode.
fn publish(token: Option<&str>) -> Reached {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = vec![("PULSEBOARD_DEDUPE__MAX_IDS", "200000000")];
    let mut header = String::new();
    if let Some(token) = token {
        settings.push(("PULSEBOARD_AUTH__SECRET", SECRET));
        header = format!("Authorization: Bearer {token}\r\n");
    }
    let daemon = Server::daemon(folder.path(), &settings);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let acknowledged = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    runtime.block_on(async {
        for socket in 0..SOCKETS {
            let (acknowledged, stop) = (Arc::clone(&acknowledged), Arc::clone(&stop));
            let (address, header) = (daemon.address, header.clone());
            tokio::spawn(
                async move { session(address, &header, socket, &acknowledged, &stop).await },
            );
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let (before, cpu_before) = (acknowledged.load(Ordering::Relaxed), daemon.cpu_seconds());
        tokio::time::sleep(Duration::from_secs(support::seconds())).await;
        let done = (acknowledged.load(Ordering::Relaxed) - before) as f64;
        let cpu_us = (daemon.cpu_seconds() - cpu_before) * 1e6 / done;
        stop.store(true, Ordering::Relaxed);
        Reached { events_per_second: done / support::seconds() as f64, cpu_us }
    })
}

async fn session(
    address: SocketAddr,
    header: &str,
    salt: u32,
    acknowledged: &AtomicU64,
    stop: &AtomicBool,
) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let upgrade = format!(
        "GET /ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{header}\r\n"
    );
    stream.write_all(upgrade.as_bytes()).await.unwrap();
    let mut buffer = vec![0; 256 * 1024];
    let mut filled = 0;
    let mut frame = frame(salt);
    let mut next = 0;
    let mut upgraded = false;
    let mut out = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let read = stream.read(&mut buffer[filled..]).await.unwrap();
        assert!(read > 0, "the daemon closed the socket");
        filled += read;
        let mut from = 0;
        if !upgraded {
            let Some(end) = buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n") else {
                continue;
            };
            upgraded = true;
            from = end + 4;
            for _ in 0..IN_FLIGHT {
                frame.renew(&mut next);
                out.extend_from_slice(&frame.bytes);
            }
        }
        while let Some((start, end)) = message(&buffer[from..filled]) {
            let text = &buffer[from + start..from + end];
            if text.starts_with(b"{\"op\":\"ack\",\"id\":1,\"accepted\":1,") {
                acknowledged.fetch_add(1, Ordering::Relaxed);
                frame.renew(&mut next);
                out.extend_from_slice(&frame.bytes);
            } else {
                // Neither refused nor taken for one that was there before.
                assert!(
                    text.starts_with(b"{\"op\":\"welcome\""),
                    "{}",
                    String::from_utf8_lossy(text)
                );
            }
            from += end;
        }
        buffer.copy_within(from..filled, 0);
        filled -= from;
        stream.write_all(&out).await.unwrap();
        out.clear();
    }
}

/// A publish of one event as a client's frame, masked with zeros.
fn frame(salt: u32) -> Template {
    let payload = ndjson(1, salt).wrapped(b"{\"op\":\"publish\",\"id\":1,\"events\":[", b"]}");
    let length = payload.bytes.len();
    let mut head = vec![0x81];
    if length < 126 {
        head.push(0x80 | length as u8);
    } else {
        head.push(0x80 | 0x7e);
        head.extend_from_slice(&(length as u16).to_be_bytes());
    }
    head.extend_from_slice(&[0; 4]);
    payload.wrapped(&head, b"")
}

/// Where the payload of the first whole frame of a server lies.
fn message(bytes: &[u8]) -> Option<(usize, usize)> {
    let (start, length) = match bytes.get(1)? & 0x7f {
        126 => (4, u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?) as usize),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize),
        short => (2, short as usize),
    };
    (bytes.len() >= start + length).then_some((start, start + length))
}
