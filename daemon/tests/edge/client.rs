//! Clients that send exactly the bytes they are told to: HTTP requests, and a WebSocket that makes
//! its frames itself.

use std::io::{BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::support::{Answer, try_parse};

/// Long enough for a loaded machine; nothing waits this long unless it fails.
const PATIENCE: Duration = Duration::from_mins(1);

/// A request. Host, Content-Length and `Connection: close` are added unless they are given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    raw: Option<Vec<u8>>,
}

impl Request {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        Self { line: format!("{method} {target} HTTP/1.1"), ..Self::default() }
    }

    pub(crate) fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// Posts events.
    pub(crate) fn post(content_type: &str, body: impl AsRef<[u8]>) -> Self {
        Self::new("POST", "/api/events").header("Content-Type", content_type).body(body)
    }

    /// Exactly these bytes.
    pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { raw: Some(bytes.into()), ..Self::default() }
    }

    /// One more header line; a name may come several times.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    fn names(&self, name: &str) -> bool {
        self.headers.iter().any(|(found, _)| found.eq_ignore_ascii_case(name))
    }

    pub(crate) fn bytes(&self, host: SocketAddr) -> Vec<u8> {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let mut lines = vec![self.line.clone()];
        if !self.names("host") {
            lines.push(format!("Host: {host}"));
        }
        if !self.names("connection") {
            lines.push("Connection: close".to_owned());
        }
        let has_body = !self.body.is_empty() || self.line.starts_with("POST ");
        if has_body && !self.names("content-length") && !self.names("transfer-encoding") {
            lines.push(format!("Content-Length: {}", self.body.len()));
        }
        lines.extend(self.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        let mut bytes = lines.join("\r\n").into_bytes();
        bytes.extend_from_slice(b"\r\n\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Sends it and reads to the end of the connection; `None` when that ended without an answer.
    pub(crate) fn send(&self, to: SocketAddr) -> Option<Answer> {
        let mut stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        // A server may answer and close before it has read everything.
        let _ = stream.write_all(&self.bytes(to));
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        try_parse(&bytes)
    }
}

/// How a socket is asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dial {
    query: String,
    headers: Vec<(String, String)>,
}

impl Dial {
    /// Says nothing of who it is.
    pub(crate) fn plain() -> Self {
        Self::default()
    }

    pub(crate) fn bearer(token: &str) -> Self {
        Self::plain().header("Authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn subprotocol(token: &str) -> Self {
        Self::plain().header("Sec-WebSocket-Protocol", &format!("pulseboard.v1, bearer.{token}"))
    }

    pub(crate) fn query(token: &str) -> Self {
        Self { query: format!("?token={token}"), headers: Vec::new() }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn request(&self) -> Request {
        let mut request = Request::get(&format!("/ws{}", self.query))
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request
    }

    /// A socket, or the answer it was refused with.
    pub(crate) fn open(&self, to: SocketAddr) -> Result<Socket, Answer> {
        let mut stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&self.request().bytes(to)).unwrap();
        let mut stream = BufReader::new(stream);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a whole head");
            head.push(byte[0]);
        }
        if head.starts_with(b"HTTP/1.1 101 ") {
            return Ok(Socket { stream });
        }
        // The connection may stay open: nothing more is asked of it.
        let head_text = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let length = head_text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
        stream.read_exact(&mut body).expect("a whole answer");
        Err(try_parse(&[head, body].concat()).expect("an answer"))
    }
}

/// What comes over a socket.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Heard {
    Message(Value),
    /// A close frame: code, if there is one, and reason.
    Close(Option<u16>, String),
    /// The connection ended without one.
    Gone,
    /// Nothing for a minute.
    Silence,
}

/// An open socket.
pub(crate) struct Socket {
    stream: BufReader<TcpStream>,
}

impl Socket {
    /// Sends a text message.
    pub(crate) fn say(&mut self, text: &str) {
        self.bytes(&frame(0x81, text.as_bytes()));
    }

    /// Sends bytes as they are. A daemon that has hung up already is found out by listening.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.get_mut().write_all(bytes);
    }

    /// Hangs up without a word.
    pub(crate) fn hang_up(&self) {
        let _ = self.stream.get_ref().shutdown(Shutdown::Both);
    }

    /// A handle that can hang up while another thread listens.
    pub(crate) fn handle(&self) -> TcpStream {
        self.stream.get_ref().try_clone().unwrap()
    }

    /// The next message, pings answered on the way.
    pub(crate) fn hear(&mut self) -> Heard {
        loop {
            let (first, payload) = match self.frame() {
                Ok(frame) => frame,
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    return Heard::Silence;
                }
                Err(_) => return Heard::Gone,
            };
            match first & 0x0f {
                0x1 => return Heard::Message(serde_json::from_slice(&payload).unwrap()),
                0x8 => {
                    let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                    let reason = String::from_utf8_lossy(payload.get(2..).unwrap_or_default());
                    return Heard::Close(code, reason.into_owned());
                }
                0x9 => self.bytes(&frame(0x8a, &payload)),
                _ => {}
            }
        }
    }

    /// The next message of this `op`; frames and whatever else comes before are passed over.
    pub(crate) fn hear_op(&mut self, op: &str) -> Heard {
        loop {
            match self.hear() {
                Heard::Message(message) if message["op"] != op => {}
                heard => return heard,
            }
        }
    }

    fn frame(&mut self) -> std::io::Result<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head)?;
        let length = match head[1] {
            126 => {
                let mut length = [0; 2];
                self.stream.read_exact(&mut length)?;
                u16::from_be_bytes(length) as usize
            }
            127 => {
                let mut length = [0; 8];
                self.stream.read_exact(&mut length)?;
                u64::from_be_bytes(length) as usize
            }
            short => short as usize,
        };
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload)?;
        Ok((head[0], payload))
    }
}

/// A masked frame: `first` is FIN, reserved bits and opcode.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..126 => bytes.push(0x80 | short as u8),
        medium @ 126..65_536 => {
            bytes.push(0xfe);
            bytes.extend((medium as u16).to_be_bytes());
        }
        long => {
            bytes.push(0xff);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    let mask = [0x12, 0x34, 0x56, 0x78];
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}
