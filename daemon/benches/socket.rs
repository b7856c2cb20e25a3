//! Publishing over sockets: one event a frame, 32 sockets, 32 frames in flight each. Prints
//! acknowledged events a second, and the ratio to the parse-only HTTP ceiling of one event a
//! request in the same run.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run should say so at once")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use support::body::{Template, ndjson, post};
use support::http::drive;
use support::process::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SOCKETS: u32 = 32;
const IN_FLIGHT: usize = 32;
const WANTED: f64 = 80_000.0;

fn main() {
    if std::env::args().any(|argument| argument == "--ceiling") {
        return support::ceiling::serve();
    }
    let mut rounds: Vec<(f64, f64)> = (0..3).map(|_| round()).collect();
    rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (acknowledged, ceiling) = rounds[1];
    println!("publishing over sockets ({}), acknowledged events/s", support::machine());
    println!(
        "  one event a frame, {SOCKETS} sockets, {IN_FLIGHT} in flight each: {acknowledged:.0} \
         (wanted {WANTED:.0}); {:.2} of parse-only HTTP at 128 connections ({ceiling:.0})",
        acknowledged / ceiling
    );
}

fn round() -> (f64, f64) {
    let server = Server::ceiling();
    let request = |salt| post(&ndjson(1, salt), "application/json");
    let ceiling = drive(server.address, 128, 1, request, support::seconds(), 0).events_per_second;
    drop(server);
    let folder = tempfile::tempdir().unwrap();
    let daemon = Server::daemon(folder.path(), &[("PULSEBOARD_DEDUPE__MAX_IDS", "200000000")]);
    (publish(daemon.address), ceiling)
}

fn publish(address: SocketAddr) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let acknowledged = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    runtime.block_on(async {
        for socket in 0..SOCKETS {
            let (acknowledged, stop) = (Arc::clone(&acknowledged), Arc::clone(&stop));
            tokio::spawn(async move { session(address, socket, &acknowledged, &stop).await });
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let before = acknowledged.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(support::seconds())).await;
        let done = acknowledged.load(Ordering::Relaxed) - before;
        stop.store(true, Ordering::Relaxed);
        done as f64 / support::seconds() as f64
    })
}

async fn session(address: SocketAddr, salt: u32, acknowledged: &AtomicU64, stop: &AtomicBool) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let upgrade = format!(
        "GET /ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
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
