//! How a batch goes to a daemon, and what came of it. A transport that fails is an answer too.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use super::stream::Event;
use crate::support::try_parse;

/// A daemon that says nothing for so long is taken for gone; the client turns to another.
const PATIENCE: Duration = Duration::from_secs(4);

/// What a daemon made of a batch.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Every event has a verdict: accepted or a duplicate, unless it is in this list of indices and
    /// codes.
    Judged(Vec<(usize, String)>),
    /// Refused as a whole for now, with the code.
    Busy(String),
    /// Nothing, or half an answer: each event may be stored or not.
    NoAnswer(String),
}

/// A socket, and to whom.
pub(crate) struct Open {
    to: SocketAddr,
    socket: WebSocket<TcpStream>,
}

/// One way of sending, as a client has it.
pub(crate) enum Sender {
    /// `application/json`: one event, or an array.
    Json,
    /// NDJSON.
    Lines,
    /// Publishes on a socket that stays open.
    Socket(Option<Box<Open>>),
}

impl Sender {
    pub(crate) fn send(&mut self, to: SocketAddr, events: &[&Event]) -> Outcome {
        match self {
            Self::Json => {
                let values: Vec<&Value> = events.iter().map(|event| &event.value).collect();
                let body = match values.as_slice() {
                    [one] => one.to_string(),
                    many => json!(many).to_string(),
                };
                post(to, "application/json", &body)
            }
            Self::Lines => {
                let lines: Vec<String> =
                    events.iter().map(|event| event.value.to_string()).collect();
                post(to, "application/x-ndjson", &lines.join("\n"))
            }
            Self::Socket(open) => publish(open, to, events),
        }
    }
}

fn post(to: SocketAddr, content_type: &str, body: &str) -> Outcome {
    let exchange = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let head = format!(
            "POST /api/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + body).as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    };
    let answer = match exchange() {
        Ok(answer) => answer,
        Err(error) => return Outcome::NoAnswer(error.to_string()),
    };
    let Some(answer) = try_parse(&answer) else {
        return Outcome::NoAnswer("no HTTP".to_owned());
    };
    let Ok(body) = serde_json::from_slice::<Value>(&answer.body) else {
        return Outcome::NoAnswer("half an answer".to_owned());
    };
    let is_batch = body.get("rejectedTotal").is_some();
    match answer.status {
        200 | 201 | 400 if is_batch => Outcome::Judged(rejected(&body)),
        200 | 201 => Outcome::Judged(Vec::new()),
        503 => Outcome::Busy(code(&body)),
        // What is told for an item is told as the answer when there is one item.
        _ => Outcome::Judged(vec![(0, code(&body))]),
    }
}

fn publish(open: &mut Option<Box<Open>>, to: SocketAddr, events: &[&Event]) -> Outcome {
    let done = exchange_on_socket(open, to, events);
    done.unwrap_or_else(|error| {
        *open = None;
        Outcome::NoAnswer(error)
    })
}

fn exchange_on_socket(
    open: &mut Option<Box<Open>>,
    to: SocketAddr,
    events: &[&Event],
) -> Result<Outcome, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    if open.as_ref().is_none_or(|open| open.to != to) {
        let stream = TcpStream::connect_timeout(&to, PATIENCE).map_err(|error| text(&error))?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(|error| text(&error))?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(|error| text(&error))?;
        let url = format!("ws://{to}/ws");
        let (socket, _) = tungstenite::client(url, stream).map_err(|error| text(&error))?;
        *open = Some(Box::new(Open { to, socket }));
    }
    let socket = &mut open.as_mut().expect("it was opened above").socket;
    let values: Vec<&Value> = events.iter().map(|event| &event.value).collect();
    let message = json!({"op": "publish", "id": 1, "events": values}).to_string();
    socket.send(Message::text(message)).map_err(|error| text(&error))?;
    loop {
        let Message::Text(message) = socket.read().map_err(|error| text(&error))? else {
            continue;
        };
        let message: Value = serde_json::from_str(&message).map_err(|error| text(&error))?;
        match message["op"].as_str() {
            Some("ack") => return Ok(Outcome::Judged(rejected(&message))),
            Some("error") => return Ok(Outcome::Busy(code(&message))),
            _ => {}
        }
    }
}

fn rejected(body: &Value) -> Vec<(usize, String)> {
    let items = body["rejected"].as_array().cloned().unwrap_or_default();
    items.iter().map(|item| (item["index"].as_u64().unwrap() as usize, code(item))).collect()
}

fn code(body: &Value) -> String {
    body["code"].as_str().unwrap_or("without a code").to_owned()
}
