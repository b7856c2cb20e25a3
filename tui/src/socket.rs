//! Opens the daemon's socket: upgrade, subprotocol, token, and sizes that are ours rather than the
//! library's. Reads and writes no message; the dashboard and the tools do.

use std::time::Duration;

use http::HeaderValue;
use http::header::{AUTHORIZATION, RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL};
use pulseboard::wire;
use thiserror::Error;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::dial::{self, DialError};
use crate::target::Target;
use crate::tls::Stream;
use crate::token::Token;

/// Upgrading takes this long at most.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest message taken: 3,600 ticks of history with every column are under 1 MiB.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// What may wait to be written before a write fails.
const WRITE_BYTES_MAX: usize = 4 << 20;

/// An open socket.
pub type Socket = WebSocketStream<Stream>;

/// Why a socket could not be had. Each is a clause that can follow "because".
#[derive(Debug, Error)]
pub enum OpenError {
    /// There is no way to it.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The daemon refused, and would again: a token is missing or bad, or the mode forbids it.
    #[error("{}", .0.reason)]
    Denied(Denial),
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

/// A refusal that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// As a clause.
    pub reason: String,
    /// Whether another token would help.
    pub about_token: bool,
}

/// Whether a code of the daemon's says that the token is missing, bad, or for something else.
pub fn is_about_token(code: &str) -> bool {
    code.starts_with("token_") || matches!(code, "unauthorized" | "wrong_scope" | "wrong_site")
}

/// Opens `/ws` of a daemon, with this token.
pub async fn open(target: &Target, token: Option<&Token>) -> Result<Socket, OpenError> {
    let stream = dial::dial(target).await?;
    let not_ours = |error: tungstenite::Error| OpenError::NotADaemon(error.to_string());
    let mut request = target.socket().into_client_request().map_err(not_ours)?;
    let headers = request.headers_mut();
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(wire::SUBPROTOCOL));
    if let Some(token) = token {
        headers.insert(AUTHORIZATION, token.bearer());
    }
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
        .max_write_buffer_size(WRITE_BYTES_MAX);
    let upgrade = client_async_with_config(request, stream, Some(config));
    match timeout(PATIENCE, upgrade).await.map_err(|_| DialError::Timeout)? {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::Error::Http(response)) => Err(refusal(&response)),
        Err(tungstenite::Error::Io(error)) => Err(DialError::Connect(error).into()),
        Err(tungstenite::Error::HttpFormat(_) | tungstenite::Error::Protocol(_)) => {
            Err(OpenError::Refused { reason: dial::no_http(target).to_owned(), retry_after: None })
        }
        Err(error) => Err(not_ours(error)),
    }
}

/// Reads an answer that is no upgrade.
fn refusal(response: &http::Response<Option<Vec<u8>>>) -> OpenError {
    let status = response.status();
    let body = response.body().as_deref().unwrap_or_default();
    if let Some(reason) = dial::stranger(status, response.headers(), body) {
        return OpenError::NotADaemon(reason);
    }
    let problem: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let text = |key: &str| problem.as_ref()?.get(key)?.as_str().map(str::to_owned);
    let reason =
        text("detail").or_else(|| text("title")).unwrap_or_else(|| format!("it answered {status}"));
    match status.as_u16() {
        401 | 403 => OpenError::Denied(Denial {
            about_token: status == 401 || text("code").is_some_and(|code| is_about_token(&code)),
            reason,
        }),
        429 | 500 | 502..=504 => {
            let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            let retry_after = seconds.and_then(|text| text.parse().ok()).map(Duration::from_secs);
            OpenError::Refused { reason, retry_after }
        }
        _ => OpenError::NotADaemon(format!("it answered {status} to /ws")),
    }
}
