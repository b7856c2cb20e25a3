//! Much of something, and nothing at all: clients that flood, stall or leave.

use std::io::Write as _;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{reader, sender};
use crate::client::{Dial, Heard, Socket, frame};
use crate::harness::{Edge, Meets};

const PING: &[u8] = br#"{"op":"ping"}"#;

fn with_ping_at_the_end(mut flood: Vec<u8>) -> Vec<u8> {
    flood.extend(frame(0x81, PING));
    flood
}

#[test]
fn floods_of_frames_are_read_to_their_end_and_hold_up_nobody() {
    let mut edge = Edge::start(&[]);
    let read = Dial::bearer(&reader());
    for (name, one, count) in [
        ("pings", frame(0x89, b"flood"), 200_000),
        ("empty pings", frame(0x89, b""), 400_000),
        ("pongs nobody asked for", frame(0x8a, b"flood"), 400_000),
        ("messages that are none", frame(0x81, b"{"), 50_000),
        ("empty messages", frame(0x81, b""), 50_000),
    ] {
        let flood = with_ping_at_the_end(one.repeat(count));
        edge.bytes(name, &read, &flood, &Meets::Pong);
    }
    let mut fragments = frame(0x01, b"");
    fragments.extend(frame(0x00, b"").repeat(500_000));
    fragments.extend(frame(0x80, PING));
    edge.bytes("half a million empty fragments", &read, &fragments, &Meets::Pong);
    let subscribe = frame(0x81, br#"{"op":"subscribe","rooms":["window:60s"]}"#);
    let flood = with_ping_at_the_end(subscribe.repeat(2_000));
    edge.bytes("snapshots, over and over", &read, &flood, &Meets::Pong);
    edge.finish();
}

#[test]
fn floods_that_never_end_leave_time_for_everyone_else() {
    let mut edge = Edge::start(&[]);
    let read = Dial::bearer(&reader());
    let workers = std::thread::available_parallelism().map_or(4, usize::from);
    edge.row("more floods at once than there are cores", |edge| {
        let over = Arc::new(AtomicBool::new(false));
        let flooders: Vec<_> = (0..workers * 4)
            .map(|_| {
                let socket = read.open(edge.address()).map_err(|answer| answer.head)?;
                let (mut stream, over) = (socket.handle(), Arc::clone(&over));
                let pongs = frame(0x8a, b"").repeat(20_000);
                Ok(std::thread::spawn(move || {
                    while !over.load(Ordering::Relaxed) && stream.write_all(&pongs).is_ok() {}
                    socket.hang_up();
                }))
            })
            .collect::<Result<_, String>>()?;
        let outcome = (0..5).try_for_each(|_| {
            let mut other = read.open(edge.address()).map_err(|answer| answer.head)?;
            other.say(r#"{"op":"ping"}"#);
            match other.hear_op("pong") {
                Heard::Message(_) => Ok(()),
                heard => Err(format!("expected a pong, heard {heard:?}")),
            }
        });
        over.store(true, Ordering::Relaxed);
        for flooder in flooders {
            flooder.join().unwrap();
        }
        outcome
    });
    edge.finish();
}

/// Writes until the connection takes no more for a moment.
fn fill(socket: &Socket, bytes: &[u8], most: usize) -> Result<usize, String> {
    let mut stream = socket.handle();
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut sent = 0;
    while sent < most {
        match stream.write(bytes) {
            Ok(took) => sent += took,
            Err(_) => return Ok(sent),
        }
    }
    Err(format!("{sent} bytes were taken, and nothing of the answers was read"))
}

#[test]
fn clients_that_stall_or_leave_are_nobodys_trouble() {
    let mut edge = Edge::start(&[]);
    let read = Dial::bearer(&reader());
    let mut stalled = Vec::new();
    for (name, message) in [
        ("asks for snapshots and reads none", r#"{"op":"subscribe","rooms":["window:60s"]}"#),
        ("asks for answers and reads none", r#"{"op":"dance"}"#),
    ] {
        edge.row(name, |edge| {
            let socket = read.open(edge.address()).map_err(|answer| answer.head)?;
            let many = frame(0x81, message.as_bytes()).repeat(500);
            fill(&socket, &many, 256 << 20)?;
            stalled.push(socket);
            Ok(())
        });
    }
    let half = &frame(0x81, PING)[..9];
    for (name, bytes) in [
        ("hangs up half-way, having said nothing", &[][..]),
        ("hangs up half-way in a frame", half),
        ("hangs up half-way in a message", &frame(0x01, b"{\"op\"")),
        ("hangs up half-way after asking", &frame(0x81, b"{\"op\":\"dance\"}")),
    ] {
        edge.row(name, |edge| {
            let mut socket = read.open(edge.address()).map_err(|answer| answer.head)?;
            socket.bytes(bytes);
            socket.handle().shutdown(Shutdown::Write).unwrap();
            loop {
                match socket.hear() {
                    Heard::Message(_) => {}
                    Heard::Gone => return Ok(()),
                    other => return Err(format!("expected the end, heard {other:?}")),
                }
            }
        });
    }
    edge.row("publishes and is gone", |edge| {
        let mut socket = Dial::bearer(&sender()).open(edge.address()).map_err(|a| a.head)?;
        for _ in 0..100 {
            socket.say(r#"{"op":"publish","events":[{"type":"left","route":"/"}]}"#);
        }
        socket.hang_up();
        Ok(())
    });
    edge.row("comes and goes a hundred times", |edge| {
        for _ in 0..100 {
            let socket = read.open(edge.address()).map_err(|answer| answer.head)?;
            socket.hang_up();
        }
        Ok(())
    });
    drop(stalled);
    edge.finish();
}
