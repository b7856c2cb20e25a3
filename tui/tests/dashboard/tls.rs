//! Over TLS: the socket and REST behind an authority of their own, and one sentence for each way a
//! certificate or an address can be wrong.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use http::HeaderValue;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use pulseboard_tui::connection;
use pulseboard_tui::event::Feed;
use pulseboard_tui::target::Target;
use pulseboard_tui::token::Source;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use crate::fixture::{NOW, WINDOWS, aggregate};

const PATIENCE: Duration = Duration::from_secs(20);

/// A server with a certificate for `localhost`, signed by an authority whose file is `ca`.
struct Server {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    ca: PathBuf,
    _folder: TempDir,
}

impl Server {
    async fn start(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap());
        let authority = authority.unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, authority.pem()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            acceptor: TlsAcceptor::from(Arc::new(config)),
            ca,
            _folder: folder,
        }
    }

    fn url(&self, scheme: &str, host: &str) -> String {
        format!("{scheme}://{host}:{}", self.listener.local_addr().unwrap().port())
    }

    async fn accept(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let (stream, _) = timeout(PATIENCE, self.listener.accept()).await.unwrap()?;
        self.acceptor.accept(stream).await
    }
}

fn once(url: &str, more: &[&str]) -> tokio::task::JoinHandle<Output> {
    let child = Command::new(env!("CARGO_BIN_EXE_pulseboard"))
        .args(["--once", "--json", "--url", url])
        .args(more)
        .env_remove("SSL_CERT_FILE")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    tokio::task::spawn_blocking(|| child.wait_with_output().unwrap())
}

/// Answers one request over TLS with a snapshot; gives the request.
async fn answer(server: &Server) -> String {
    let mut stream = server.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        assert!(stream.read_buf(&mut request).await.unwrap() > 0);
    }
    let body = json!({"room": "window:5s", "tick": NOW, "aggregate": aggregate("5s", NOW)});
    let body = body.to_string();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all([head, body].concat().as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    String::from_utf8(request).unwrap()
}

#[tokio::test]
async fn a_snapshot_comes_over_https_from_an_authority_that_was_named() {
    let server = Server::start(|_| {}).await;
    let ca = server.ca.to_str().unwrap();
    let url = format!("{}/board", server.url("https", "localhost"));
    let output = once(&url, &["--ca-file", ca, "--token", "abc.def.ghi"]);
    let request = answer(&server).await;
    assert!(request.starts_with("GET /board/api/aggregates?window=5s HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("authorization: Bearer abc.def.ghi\r\n"), "{request}");
    let output = output.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let snapshot: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(snapshot["tick"], NOW);
}

#[tokio::test]
async fn the_dashboard_is_live_over_wss() {
    let server = Server::start(|_| {}).await;
    let target = Target::parse(&server.url("wss", "localhost"), Source::None).unwrap();
    let mut handle = connection::start(target.trusting(&server.ca).unwrap());
    let stream = server.accept().await.unwrap();
    let echo = |_: &Request, mut response: Response| {
        let name = HeaderValue::from_static(pulseboard::wire::SUBPROTOCOL);
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, name);
        Ok(response)
    };
    let mut socket = accept_hdr_async(stream, echo).await.unwrap();
    let welcome = json!({"op": "welcome", "protocol": 1, "node": "n", "tick": NOW,
        "windows": WINDOWS, "auth": "dev", "scope": "read ingest admin",
        "limits": {"publishBytes": 1 << 20, "rooms": 32}});
    socket.send(Message::text(welcome.to_string())).await.unwrap();
    let subscribe = timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap();
    assert!(subscribe.to_text().unwrap().contains("subscribe"));
    let welcomed = async {
        loop {
            match handle.feed.recv().await.unwrap() {
                Feed::Welcome(_) => return,
                Feed::Waiting { reason, .. } => panic!("{reason}"),
                _ => {}
            }
        }
    };
    timeout(PATIENCE, welcomed).await.unwrap();
}

#[tokio::test]
async fn each_wrong_certificate_has_its_sentence() {
    let unnamed = Server::start(|_| {}).await;
    let elsewhere = Server::start(|params| {
        params.subject_alt_names =
            CertificateParams::new(vec!["board.example".to_owned()]).unwrap().subject_alt_names;
    })
    .await;
    let old = Server::start(|params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    })
    .await;
    for (server, named, said) in [
        (&unnamed, false, "an authority this machine does not know"),
        (&elsewhere, true, "is for board.example, not for localhost"),
        (&old, true, "expired on 2021-01-01"),
    ] {
        let url = server.url("https", "localhost");
        let ca = server.ca.to_str().unwrap();
        let naming = ["--ca-file", ca];
        let output = once(&url, if named { &naming } else { &[] });
        assert!(server.accept().await.is_err(), "the handshake must not succeed");
        let output = output.await.unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(error.starts_with(&format!("error: no secure connection to {url}")), "{error}");
        assert!(error.contains(said) && error.lines().count() == 1, "{error}");
    }
}

#[tokio::test]
async fn the_wrong_scheme_is_told_which_one_to_write() {
    let server = Server::start(|_| {}).await;
    let output = once(&server.url("http", "localhost"), &[]);
    assert!(server.accept().await.is_err());
    let error = String::from_utf8(output.await.unwrap().stderr).unwrap();
    assert!(error.contains("write https:// in --url"), "{error}");

    // A plain server answers what it takes for a bad request.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let output = once(&format!("https://localhost:{port}"), &[]);
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    let error = String::from_utf8(output.await.unwrap().stderr).unwrap();
    assert!(error.contains("write http:// in --url"), "{error}");
}
