//! TLS for the ways to a daemon: whom it trusts, the handshake, and a stream that is plain or not.
//! Only here is the library named. Never talks before the certificate was checked, and knows no way
//! to leave the check out; [`crate::dial`] calls it.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, Error as RustlsError, RootCertStore, crypto,
};

/// Names of a wrong certificate that a sentence lists.
const NAMES_SHOWN: usize = 4;

/// The authorities whose certificates are taken. Cheap to clone; the system's are read once, when
/// the first connection needs them.
#[derive(Clone, Default)]
pub struct Trust(Arc<OnceLock<TlsConnector>>);

/// Why there is no secure connection. Each is a clause that can follow "because".
#[derive(Debug, Error)]
pub enum TlsError {
    /// The system lists no authority.
    #[error(
        "this machine lists no certificate authorities; install ca-certificates, or name one with \
         --ca-file FILE"
    )]
    NoAuthorities,
    /// The file of authorities cannot be used.
    #[error("--ca-file: {path}: {problem}")]
    CaFile {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The address holds no name a certificate could be for.
    #[error("\"{0}\" is no name a certificate could be for")]
    Name(String),
    /// Signed by someone else.
    #[error(
        "its certificate is signed by an authority this machine does not know; if that is your \
         own, name it with --ca-file FILE"
    )]
    UnknownAuthority,
    /// For another name.
    #[error("its certificate is for {presented}, not for {asked}; use that name in --url")]
    WrongName {
        /// The names it has.
        presented: String,
        /// The one looked for.
        asked: String,
    },
    /// Too old.
    #[error("its certificate expired{0}; it has to be renewed there")]
    Expired(String),
    /// Too new.
    #[error("its certificate holds only{0}; one of the two clocks is wrong")]
    NotYetValid(String),
    /// An authority's own certificate used as a server's.
    #[error(
        "its certificate is an authority's own; the server needs one that this authority signed"
    )]
    Authority,
    /// Any other fault of the certificate.
    #[error("its certificate is not taken: {0}")]
    Certificate(String),
    /// Whoever answers speaks something else.
    #[error("what answers there does not speak TLS; write http:// in --url")]
    NotTls,
    /// It went away during the handshake.
    #[error("it closed the connection in the TLS handshake; a plain daemon wants http:// in --url")]
    Closed,
    /// It broke off, in its own words.
    #[error("the TLS handshake failed: {0}")]
    Other(String),
}

impl Trust {
    /// The authorities in a PEM file, and no others.
    pub fn of_file(path: &Path) -> Result<Self, TlsError> {
        let refuse =
            |problem: String| TlsError::CaFile { path: path.display().to_string(), problem };
        let pem = std::fs::read(path).map_err(|error| refuse(crate::dial::plain(&error)))?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| refuse(error.to_string()))?;
            roots.add(certificate).map_err(|error| refuse(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(refuse("there is no certificate in PEM format in it".to_owned()));
        }
        let trust = Self::default();
        trust.0.get_or_init(|| connector(roots));
        Ok(trust)
    }

    /// The handshake on a fresh connection.
    pub(crate) async fn secure(&self, host: &str, stream: TcpStream) -> Result<Stream, TlsError> {
        let name =
            ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name(host.to_owned()))?;
        let connector = if let Some(connector) = self.0.get() {
            connector
        } else {
            let roots = system_roots()?;
            self.0.get_or_init(|| connector(roots))
        };
        match connector.connect(name, stream).await {
            Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
            Err(error) => Err(explain(&error, host)),
        }
    }
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    // Lists of systems hold a few that nobody can read; what is left of them counts.
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() { Err(TlsError::NoAuthorities) } else { Ok(roots) }
}

fn connector(roots: RootCertStore) -> TlsConnector {
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider knows the versions that are built in")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}

fn explain(error: &io::Error, host: &str) -> TlsError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<RustlsError>());
    match inner {
        Some(RustlsError::InvalidCertificate(fault)) => certificate(fault, host),
        Some(RustlsError::InvalidMessage(_)) => TlsError::NotTls,
        Some(other) => TlsError::Other(other.to_string()),
        None => match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => TlsError::Closed,
            _ => TlsError::Other(crate::dial::plain(error)),
        },
    }
}

fn certificate(fault: &CertificateError, host: &str) -> TlsError {
    match fault {
        CertificateError::UnknownIssuer => TlsError::UnknownAuthority,
        CertificateError::NotValidForName => {
            TlsError::WrongName { presented: "another name".to_owned(), asked: host.to_owned() }
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            TlsError::WrongName { presented: names(presented), asked: host.to_owned() }
        }
        CertificateError::Expired => TlsError::Expired(String::new()),
        CertificateError::ExpiredContext { not_after, .. } => {
            TlsError::Expired(day(" on", *not_after))
        }
        CertificateError::NotValidYet => TlsError::NotYetValid(" from a later day on".to_owned()),
        CertificateError::NotValidYetContext { not_before, .. } => {
            TlsError::NotYetValid(day(" from", *not_before))
        }
        // The library's verifier has no variant of its own for it.
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            TlsError::Authority
        }
        other => TlsError::Certificate(other.to_string()),
    }
}

/// `a.example, b.example`, of names as the library writes them: `DnsName("a.example")`.
fn names(presented: &[String]) -> String {
    let bare = |name: &String| {
        let quoted = name.split('"').nth(1).map(str::to_owned);
        let inside = || name.split(['(', ')']).nth(1).map(str::to_owned);
        quoted.or_else(inside).unwrap_or_else(|| name.clone())
    };
    let mut list: Vec<String> = presented.iter().take(NAMES_SHOWN).map(bare).collect();
    if presented.len() > NAMES_SHOWN {
        list.push(format!("{} more", presented.len() - NAMES_SHOWN));
    }
    if list.is_empty() { "no name at all".to_owned() } else { list.join(", ") }
}

fn day(word: &str, time: UnixTime) -> String {
    jiff::Timestamp::from_second(time.as_secs() as i64)
        .map(|time| format!("{word} {}", time.strftime("%Y-%m-%d %H:%M UTC")))
        .unwrap_or_default()
}

/// A connection to a daemon: plain, or within TLS.
pub enum Stream {
    /// As it is.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, parts),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
