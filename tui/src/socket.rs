//! Opens the daemon's socket: TCP, upgrade, subprotocol, token, and sizes that are ours rather than
//! the library's. Reads and writes no message; the dashboard and the tools do.

use std::io;
use std::time::Duration;

use http::HeaderValue;
use http::header::{AUTHORIZATION, RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL};
use pulseboard::wire;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::target::Target;

/// Connecting and upgrading take this long at most, each.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest message taken: 3,600 ticks of history with every column are under 1 MiB.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// What may wait to be written before a write fails.
const WRITE_BYTES_MAX: usize = 4 << 20;

/// An open socket.
pub type Socket = WebSocketStream<TcpStream>;

/// Why a socket could not be had. Each is a clause that can follow "because".
#[derive(Debug, Error)]
pub enum OpenError {
    /// The name or the address did not answer.
    #[error("{}", plain(.0))]
    Connect(io::Error),
    /// No answer in time.
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Timeout,
    /// The daemon refused, and would again: a token is missing or bad, or the mode forbids it.
    #[error("{0}")]
    Denied(String),
    /// The daemon refused for now.
    #[error("{reason}")]
    Refused {
        /// As a clause.
        reason: String,
        /// When it asks us back.
        retry_after: Option<Duration>,
    },
    /// Something else listens there.
    #[error("what answers there is not a Pulseboard daemon ({0})")]
    NotADaemon(String),
}

/// Opens `/ws` of a daemon.
pub async fn open(target: &Target) -> Result<Socket, OpenError> {
    let address = (target.host(), target.port());
    let stream = timeout(PATIENCE, TcpStream::connect(address))
        .await
        .map_err(|_| OpenError::Timeout)?
        .map_err(OpenError::Connect)?;
    // Small frames should leave at once; where the option cannot be set they leave a little later.
    let _ = stream.set_nodelay(true);
    let not_ours = |error: tungstenite::Error| OpenError::NotADaemon(error.to_string());
    let mut request = target.socket().into_client_request().map_err(not_ours)?;
    let headers = request.headers_mut();
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(wire::SUBPROTOCOL));
    if let Some(token) = target.token() {
        let mut bearer = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| OpenError::Denied("the token cannot stand in a header".to_owned()))?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
    }
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
        .max_write_buffer_size(WRITE_BYTES_MAX);
    let upgrade = client_async_with_config(request, stream, Some(config));
    match timeout(PATIENCE, upgrade).await.map_err(|_| OpenError::Timeout)? {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::Error::Http(response)) => Err(refusal(&response)),
        Err(tungstenite::Error::Io(error)) => Err(OpenError::Connect(error)),
        Err(error) => Err(not_ours(error)),
    }
}

/// Reads an answer that is no upgrade.
fn refusal(response: &http::Response<Option<Vec<u8>>>) -> OpenError {
    let status = response.status();
    let problem: Option<serde_json::Value> =
        response.body().as_deref().and_then(|body| serde_json::from_slice(body).ok());
    let text = |key: &str| problem.as_ref()?.get(key)?.as_str().map(str::to_owned);
    let reason =
        text("detail").or_else(|| text("title")).unwrap_or_else(|| format!("it answered {status}"));
    match status.as_u16() {
        401 | 403 => OpenError::Denied(reason),
        429 | 500 | 502..=504 => {
            let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            let retry_after = seconds.and_then(|text| text.parse().ok()).map(Duration::from_secs);
            OpenError::Refused { reason, retry_after }
        }
        _ => OpenError::NotADaemon(format!("it answered {status} to /ws")),
    }
}

/// An operating system's error without its number.
pub fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "connection reset".to_owned(),
        io::ErrorKind::UnexpectedEof => "connection closed".to_owned(),
        _ => {
            let text = error.to_string();
            let end = text.find(" (os error").unwrap_or(text.len());
            text[..end].to_lowercase()
        }
    }
}
