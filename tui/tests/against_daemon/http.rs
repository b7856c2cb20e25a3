//! A plain blocking HTTP client for tests: one connection, answers with a length or in chunks.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// A kept-alive connection.
pub(crate) struct Http {
    address: SocketAddr,
    token: Option<String>,
    stream: Option<BufReader<TcpStream>>,
}

impl Http {
    /// A connection that is opened by the first request.
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, token: None, stream: None }
    }

    /// The same, presenting a token.
    pub(crate) fn with_token(address: SocketAddr, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..Self::new(address) }
    }

    /// The JSON of an answer that must be a 200.
    pub(crate) fn get(&mut self, path: &str) -> Value {
        let (status, body) = self.request("GET", path, "", b"").expect("the daemon answers");
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).expect("answers are JSON")
    }

    /// Posts NDJSON; gives the status and the JSON of the answer, or why there is none.
    pub(crate) fn post_events(&mut self, ndjson: &[u8]) -> io::Result<(u16, Value)> {
        let kind = "Content-Type: application/x-ndjson\r\n";
        let (status, body) = self.request("POST", "/api/events", kind, ndjson)?;
        Ok((status, serde_json::from_slice(&body)?))
    }

    fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> io::Result<(u16, Vec<u8>)> {
        let mut stream = self.stream.take().map_or_else(|| connect(self.address), Ok)?;
        let bearer = self.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n"));
        let bearer = bearer.unwrap_or_default();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{bearer}{headers}Content-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        stream.get_mut().write_all(&[head.as_bytes(), body].concat())?;
        let answer = read_answer(&mut stream)?;
        self.stream = Some(stream);
        Ok(answer)
    }
}

fn connect(address: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    Ok(BufReader::new(stream))
}

fn read_answer(stream: &mut BufReader<TcpStream>) -> io::Result<(u16, Vec<u8>)> {
    let ended = || io::Error::new(io::ErrorKind::UnexpectedEof, "no whole answer");
    let mut line = String::new();
    let (mut status, mut length, mut chunked) = (None, 0, false);
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(ended());
        }
        let text = line.trim_end().to_ascii_lowercase();
        if status.is_none() {
            status = text.split(' ').nth(1).and_then(|code| code.parse().ok());
        } else if text.is_empty() {
            break;
        } else if let Some(value) = text.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(|_| ended())?;
        } else if text.starts_with("transfer-encoding:") {
            chunked = text.ends_with("chunked");
        }
    }
    let mut body = Vec::new();
    if !chunked {
        body.resize(length, 0);
        stream.read_exact(&mut body)?;
    }
    while chunked {
        line.clear();
        stream.read_line(&mut line)?;
        let length = usize::from_str_radix(line.trim(), 16).map_err(|_| ended())?;
        let mut chunk = vec![0; length + 2];
        stream.read_exact(&mut chunk)?;
        body.extend_from_slice(&chunk[..length]);
        chunked = length > 0;
    }
    Ok((status.ok_or_else(ended)?, body))
}
