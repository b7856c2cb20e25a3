//! The other end of the sockets: a process of its own with one thread, which reads whatever comes
//! and counts WebSocket frames, as cheaply as it can.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command};

use anyhow::{Context, Result};
use rustix::buffer::spare_capacity;
use rustix::event::epoll;

const ROLE: &str = "PULSEBOARD_BENCH_READER";
const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SUBSCRIBE: &[u8] = br#"{"op":"subscribe","rooms":["window:1s"]}"#;

/// What the sockets are.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// Bare TCP.
    Bare,
    /// Upgraded, and in `window:1s`.
    Subscribed,
}

/// What was received so far.
#[derive(Clone, Copy)]
pub(crate) struct Totals {
    /// WebSocket frames, complete.
    pub(crate) messages: u64,
    /// Bytes of frames, complete or not.
    pub(crate) bytes: u64,
}

/// A reader process, as its parent sees it.
pub(crate) struct Reader {
    child: Child,
    control: TcpStream,
}

impl Reader {
    /// Starts a process that opens `sockets` sockets to `address`.
    pub(crate) fn spawn(kind: Kind, address: SocketAddr, sockets: usize) -> Result<Self> {
        let control = TcpListener::bind("127.0.0.1:0")?;
        let kind = match kind {
            Kind::Bare => "bare",
            Kind::Subscribed => "subscribed",
        };
        let role = format!("{kind} {address} {sockets} {}", control.local_addr()?);
        let child = Command::new(std::env::current_exe()?).env(ROLE, role).spawn()?;
        let (control, _) = control.accept()?;
        control.set_nodelay(true)?;
        Ok(Self { child, control })
    }

    /// Asks what was received so far.
    pub(crate) fn totals(&self) -> Result<Totals> {
        (&self.control).write_all(b"?")?;
        let mut answer = [0; 16];
        (&self.control).read_exact(&mut answer)?;
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |sum, byte| sum << 8 | *byte as u64);
        Ok(Totals { messages: number(&answer[..8]), bytes: number(&answer[8..]) })
    }

    /// Ends the process, and with it its sockets.
    pub(crate) fn end(mut self) {
        // It is ours, and it may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the reader if this process is one.
pub(crate) fn run_if_asked() -> Option<Result<()>> {
    let role = std::env::var(ROLE).ok()?;
    Some(run(&role))
}

fn run(role: &str) -> Result<()> {
    let words: Vec<&str> = role.split(' ').collect();
    let [kind, address, sockets, control] = words[..] else { anyhow::bail!("a broken role") };
    let address: SocketAddr = address.parse()?;
    let mut control = TcpStream::connect(control)?;
    control.set_nodelay(true)?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let watch = |stream: &TcpStream, index: u64| {
        epoll::add(&poll, stream, epoll::EventData::new_u64(index), epoll::EventFlags::IN)
    };
    watch(&control, u64::MAX)?;
    let sockets: usize = sockets.parse()?;
    let mut streams = Vec::with_capacity(sockets);
    for index in 0..sockets {
        let mut stream = TcpStream::connect(address)?;
        let mut progress = Progress::default();
        if kind == "subscribed" {
            stream.set_nodelay(true)?;
            stream.write_all(UPGRADE.as_bytes())?;
            skip_head(&mut stream)?;
            let mut frame = vec![0x81, 0x80 | SUBSCRIBE.len() as u8, 0, 0, 0, 0];
            frame.extend_from_slice(SUBSCRIBE);
            stream.write_all(&frame)?;
            progress = Progress::default();
        }
        stream.set_nonblocking(true)?;
        watch(&stream, index as u64)?;
        streams.push((stream, progress));
    }
    let mut totals = Totals { messages: 0, bytes: 0 };
    let mut buffer = vec![0; 256 * 1024];
    let mut events = Vec::with_capacity(1_024);
    loop {
        events.clear();
        epoll::wait(&poll, spare_capacity(&mut events), None)?;
        for event in &events {
            let index = event.data.u64();
            if index == u64::MAX {
                let asked = control.read(&mut [0; 64]).context("the parent")?;
                if asked == 0 {
                    return Ok(());
                }
                for _ in 0..asked {
                    control.write_all(&totals.messages.to_le_bytes())?;
                    control.write_all(&totals.bytes.to_le_bytes())?;
                }
                continue;
            }
            let (stream, progress) = &mut streams[index as usize];
            match stream.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(bytes) => {
                    totals.bytes += bytes as u64;
                    totals.messages += progress.frames_in(&buffer[..bytes]);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return Ok(()),
            }
        }
    }
}

fn skip_head(stream: &mut TcpStream) -> Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(())
}

/// How far into a frame a socket is.
#[derive(Default)]
struct Progress {
    header: [u8; 10],
    header_bytes: usize,
    payload_left: usize,
}

impl Progress {
    /// Frames that end in `bytes`.
    fn frames_in(&mut self, mut bytes: &[u8]) -> u64 {
        let mut frames = 0;
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let skipped = self.payload_left.min(bytes.len());
                self.payload_left -= skipped;
                bytes = &bytes[skipped..];
                frames += u64::from(self.payload_left == 0);
                continue;
            }
            self.header[self.header_bytes] = bytes[0];
            self.header_bytes += 1;
            bytes = &bytes[1..];
            if let Some(payload) = self.payload() {
                self.header_bytes = 0;
                self.payload_left = payload;
                frames += u64::from(payload == 0);
            }
        }
        frames
    }

    fn payload(&self) -> Option<usize> {
        let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | *byte as usize);
        match (self.header_bytes, self.header[1]) {
            (4, 126) => Some(number(&self.header[2..4])),
            (10, 127) => Some(number(&self.header[2..10])),
            (0 | 1, _) | (_, 126 | 127) => None,
            (_, short) => Some(short as usize),
        }
    }
}
