//! Somebody with a dashboard open: keeps every frame of a room with the nodes it tells of.

use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pulseboard::wire;
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

/// One frame, its deltas applied.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) tick: i64,
    /// `reporting` and `expected`.
    pub(crate) nodes: (u64, u64),
    pub(crate) lagged: u64,
}

/// A watcher at work; it goes away with its test.
pub(crate) struct Watcher(Arc<Mutex<Vec<Frame>>>);

impl Watcher {
    pub(crate) fn start(address: SocketAddr, room: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let (mut socket, _) = tungstenite::client(format!("ws://{address}/ws"), stream).unwrap();
        let subscribe = json!({"op": "subscribe", "rooms": [room]}).to_string();
        socket.send(Message::text(subscribe)).unwrap();
        let frames = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&frames);
        std::thread::spawn(move || watch(&mut socket, &kept));
        Self(frames)
    }

    pub(crate) fn frames(&self) -> Vec<Frame> {
        self.0.lock().unwrap().clone()
    }

    /// What the newest frame says of the nodes.
    pub(crate) fn nodes(&self) -> Option<(u64, u64)> {
        self.0.lock().unwrap().last().map(|frame| frame.nodes)
    }
}

fn watch(socket: &mut WebSocket<TcpStream>, frames: &Mutex<Vec<Frame>>) {
    let mut aggregate = Value::Null;
    while let Ok(message) = socket.read() {
        let Message::Text(text) = message else { continue };
        let message: Value = serde_json::from_str(&text).unwrap();
        match message["op"].as_str() {
            Some("snapshot") => aggregate = message["aggregate"].clone(),
            Some("delta") => wire::merge_patch(&mut aggregate, &message["aggregate"]),
            _ => continue,
        }
        let nodes = &aggregate["nodes"];
        let count = |name: &str| nodes[name].as_u64().unwrap();
        frames.lock().unwrap().push(Frame {
            tick: message["tick"].as_i64().unwrap(),
            nodes: (count("reporting"), count("expected")),
            lagged: message["lagged"].as_u64().unwrap_or(0),
        });
    }
}
