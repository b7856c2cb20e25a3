//! Clients: one of a library, and one that writes its own bytes.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use pulseboard::wire::server::{Aggregate, History};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Long enough for a loaded machine; nothing waits this long unless it fails.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    /// Connects and takes the welcome.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let url = format!("ws://{address}/ws");
        let (socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        let mut client = Self(socket);
        assert_eq!(client.next().await["op"], "welcome");
        client
    }

    /// Connects with more headers; gives the welcome too.
    pub(crate) async fn connect_with(
        address: SocketAddr,
        headers: &[(&'static str, &str)],
    ) -> (Self, Value) {
        let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let (socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
        let mut client = Self(socket);
        let welcome = client.next().await;
        assert_eq!(welcome["op"], "welcome");
        (client, welcome)
    }

    pub(crate) async fn connect_to_rooms(address: SocketAddr, rooms: &[&str]) -> Self {
        let mut client = Self::connect(address).await;
        client.send(json!({"op": "subscribe", "rooms": rooms})).await;
        client
    }

    pub(crate) async fn send(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    async fn message(&mut self) -> Option<Message> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("an answer");
            match message {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(message)) => return Some(message),
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// The next text, as it was sent.
    pub(crate) async fn text(&mut self) -> String {
        match self.message().await {
            Some(Message::Text(text)) => text.to_string(),
            other => panic!("expected a message, got {other:?}"),
        }
    }

    pub(crate) async fn next(&mut self) -> Value {
        serde_json::from_str(&self.text().await).unwrap()
    }

    /// Asks, and takes the answer.
    pub(crate) async fn ask(&mut self, message: Value) -> Value {
        self.send(message).await;
        self.next().await
    }

    /// The close code and its reason.
    pub(crate) async fn goodbye(&mut self) -> Option<(u16, String)> {
        match self.message().await? {
            Message::Close(frame) => {
                frame.map(|frame| (frame.code.into(), frame.reason.to_string()))
            }
            other => panic!("expected an end, got {other:?}"),
        }
    }

    /// The close code; `None` when the connection ended without one. Skips messages before.
    pub(crate) async fn close_code(&mut self) -> Option<u16> {
        loop {
            match self.message().await {
                Some(Message::Close(frame)) => return frame.map(|frame| frame.code.into()),
                Some(_) => {}
                None => return None,
            }
        }
    }

    pub(crate) async fn leave(mut self) {
        let _ = self.0.close(None).await;
        while let Some(Ok(_)) = self.0.next().await {}
    }

    /// Proves that the session goes on.
    pub(crate) async fn is_alive(&mut self) {
        self.send(json!({"op": "ping", "id": 424_242})).await;
        loop {
            let message = self.next().await;
            if message["op"] == "pong" && message["id"] == 424_242 {
                return;
            }
        }
    }
}

/// A room as a client keeps it from what it is sent.
#[derive(Default)]
pub(crate) struct Picture {
    pub(crate) tick: i64,
    pub(crate) aggregate: Value,
    pub(crate) history: std::collections::BTreeMap<i64, Value>,
    pub(crate) lagged: u64,
}

impl Picture {
    /// Applies a message; checks that it follows the one before.
    pub(crate) fn apply(&mut self, message: &Value) {
        let tick = message["tick"].as_i64().unwrap();
        match message["op"].as_str().unwrap() {
            "snapshot" => {
                self.aggregate = message["aggregate"].clone();
                self.lagged += message["lagged"].as_u64().unwrap();
                if let Some(history) = message.get("history") {
                    assert_eq!(message["historyFrom"], history["tick"][0]);
                    let history: History = serde_json::from_value(history.clone()).unwrap();
                    let last = *history.tick.last().unwrap();
                    assert_eq!(last, tick, "history ends where the snapshot stands");
                    for pair in history.tick.windows(2) {
                        assert!(pair[0] < pair[1], "no tick comes twice");
                    }
                    self.overwrite(&history);
                }
            }
            "delta" => {
                assert_eq!(message["base"].as_i64(), Some(tick - 1));
                assert_eq!(self.tick, tick - 1, "a delta follows its base");
                pulseboard::wire::merge_patch(&mut self.aggregate, &message["aggregate"]);
                let aggregate: Aggregate = serde_json::from_value(self.aggregate.clone()).unwrap();
                self.history.insert(tick, entry(&aggregate));
            }
            other => panic!("no frame of a room: {other}"),
        }
        if let Some(corrections) = message.get("corrections") {
            let corrections: History = serde_json::from_value(corrections.clone()).unwrap();
            assert!(corrections.tick.iter().all(|corrected| *corrected < tick));
            self.overwrite(&corrections);
        }
        self.tick = tick;
        assert_eq!(self.aggregate["tick"], tick);
        no_nulls(&self.aggregate);
    }

    fn overwrite(&mut self, columns: &History) {
        for (tick, row) in rows(columns) {
            self.history.insert(tick, row);
        }
    }
}

/// A history as rows; a status class nobody was counted in is as good as absent.
pub(crate) fn rows(history: &History) -> Vec<(i64, Value)> {
    let row = |index: usize| {
        let classes: serde_json::Map<String, Value> = history
            .status_classes
            .iter()
            .filter(|(_, column)| column[index].is_some_and(|count| count > 0))
            .map(|(class, column)| (class.clone(), json!(column[index])))
            .collect();
        json!({
            "events": history.events[index],
            "activeUsers": history.active_users[index],
            "errors": history.errors[index],
            "statusClasses": classes,
            "p50": history.p50[index],
            "p95": history.p95[index],
            "p99": history.p99[index],
        })
    };
    history.tick.iter().enumerate().map(|(index, tick)| (*tick, row(index))).collect()
}

/// The rows of a snapshot's history.
pub(crate) fn rows_of(snapshot: &Value) -> Vec<(i64, Value)> {
    let history = snapshot["history"].clone();
    rows(&serde_json::from_value(history).expect("a snapshot has a history"))
}

fn entry(aggregate: &Aggregate) -> Value {
    let latency = aggregate.latency_ms;
    json!({
        "events": aggregate.events,
        "activeUsers": aggregate.active_users,
        "errors": aggregate.errors,
        "statusClasses": aggregate.status_classes,
        "p50": latency.map(|latency| latency.p50),
        "p95": latency.map(|latency| latency.p95),
        "p99": latency.map(|latency| latency.p99),
    })
}

fn no_nulls(value: &Value) {
    match value {
        Value::Null => panic!("a null"),
        Value::Object(map) => map.values().for_each(no_nulls),
        Value::Array(items) => items.iter().for_each(no_nulls),
        _ => {}
    }
}

/// A client of bare bytes.
pub(crate) struct Raw(pub TcpStream);

pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

impl Raw {
    /// A connection on which nothing was said.
    pub(crate) async fn dial(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// A socket, upgraded, its welcome taken.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let mut raw = Self::dial(address).await;
        raw.write(upgrade(address, "").as_bytes()).await;
        let head = raw.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let (opcode, payload) = raw.frame().await.unwrap();
        assert_eq!(opcode, 0x81);
        assert!(payload.starts_with(br#"{"op":"welcome""#));
        raw
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// Status line and headers of an answer.
    pub(crate) async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = tokio::time::timeout(PATIENCE, self.0.read_u8()).await.expect("an answer");
            head.push(byte.expect("a whole head"));
        }
        String::from_utf8(head).unwrap()
    }

    /// The rest of the connection, as text.
    pub(crate) async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let read = tokio::time::timeout(PATIENCE, self.0.read_to_end(&mut rest));
        let _ = read.await.expect("an end");
        String::from_utf8_lossy(&rest).into_owned()
    }

    /// The next frame: first byte and payload; `None` at the end of the connection.
    pub(crate) async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        tokio::time::timeout(PATIENCE, async {
            let first = self.0.read_u8().await.ok()?;
            let length = match self.0.read_u8().await.ok()? {
                126 => self.0.read_u16().await.ok()? as usize,
                127 => self.0.read_u64().await.ok()? as usize,
                short => short as usize,
            };
            let mut payload = vec![0; length];
            self.0.read_exact(&mut payload).await.ok()?;
            Some((first, payload))
        })
        .await
        .expect("a frame")
    }

    /// The code of the close frame, skipping what comes before it.
    pub(crate) async fn close_code(&mut self) -> Option<u16> {
        loop {
            let (first, payload) = self.frame().await?;
            if first == 0x88 {
                return Some(u16::from_be_bytes([payload[0], payload[1]]));
            }
        }
    }
}

pub(crate) fn upgrade(address: SocketAddr, more: &str) -> String {
    format!(
        "GET /ws HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{more}\r\n"
    )
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
    bytes.extend(payload.iter().enumerate().map(|(index, byte)| byte ^ mask[index % 4]));
    bytes
}
