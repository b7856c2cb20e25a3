//! The listener and the HTTP connections: accept, the limits of a connection, upgrade, shutdown.
//!
//! It hands every request, with the [`Peer`] it came from in its extensions, to the one router that
//! the app built, after the [`fence`] and the limits on URI and header block. It knows no route and
//! no stage. A connection is counted from accept until its socket closes, upgraded or not; past
//! [`Limits::connections`] none is accepted until one ends.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;

mod connection;
mod discard;
pub mod fence;
mod limits;
pub mod origin;
mod refusal;
mod request_id;
pub mod rlimit;

pub use discard::discard;
pub use limits::{Limits, Live};
pub use refusal::refusal;

use limits::Slot;

/// How long the accept loop rests when the system has no descriptor left.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// Connections the system may hold that we did not accept yet.
const BACKLOG: u32 = 4_096;

/// What holds for every connection.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether the [`fence`] stands: no key configured, everyone here may do everything.
    pub dev_mode: bool,
    /// What may change while it serves.
    pub limits: Live,
    /// How long requests that are being answered may take once shutdown began.
    pub drain: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { dev_mode: true, limits: Live::default(), drain: Duration::from_secs(5) }
    }
}

/// Who is at the other end of a connection; in the extensions of every request.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// Keeps the connection counted; a socket that was upgraded holds on to it.
    pub hold: Arc<Hold>,
}

/// A connection's place among those that may be open, and in the count of those that are.
pub struct Hold {
    _slot: Slot,
    open: metrics::Gauge,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.open.decrement(1.0);
    }
}

impl std::fmt::Debug for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hold")
    }
}

/// Whose request it was, as the gate found out behind proxies; in the extensions of its answer, for
/// the log.
#[derive(Clone, Copy, Debug)]
pub struct Client(pub IpAddr);

/// Why the daemon cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else listens there.
    #[error(
        "{0} is in use: another pulseboardd, or another program, listens there; \
         stop it, or choose another address with --bind"
    )]
    InUse(SocketAddr),
    /// The system refused.
    #[error("cannot listen on {0}: {1}")]
    Refused(SocketAddr, io::Error),
}

impl BindError {
    fn of(address: SocketAddr, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::InUse(address),
            _ => Self::Refused(address, error),
        }
    }
}

/// An address that is ours, and at which nobody is heard yet.
pub struct Reserved {
    socket: TcpSocket,
    address: SocketAddr,
}

/// Takes `address`, without listening there; port 0 takes a free one.
pub fn reserve(address: SocketAddr) -> Result<Reserved, BindError> {
    let reserve = || -> io::Result<TcpSocket> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(socket)
    };
    let socket = reserve().map_err(|error| BindError::of(address, error))?;
    Ok(Reserved { socket, address })
}

impl Reserved {
    /// Listens there. Needs to run inside the runtime.
    pub fn listen(self) -> Result<TcpListener, BindError> {
        self.socket.listen(BACKLOG).map_err(|error| BindError::of(self.address, error))
    }
}

/// Listens on `address`; port 0 takes a free one. Needs to run inside the runtime.
pub fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    reserve(address)?.listen()
}

/// How the last requests ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were open when shutdown began and ended in time.
    pub finished: usize,
    /// Connections that were cut off when [`Settings::drain`] was over.
    pub cut: usize,
}

/// Serves connections until `shutdown` resolves, then stops accepting, lets requests that are being
/// answered end, and cuts off what is left after [`Settings::drain`]. Upgraded sockets are not
/// waited for: the hub closes those.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    settings: Settings,
    shutdown: impl Future<Output = ()>,
) -> Drained {
    let (stop, stopping) = watch::channel(false);
    let settings = Arc::new(settings);
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = accept(&listener, &settings.limits) => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let stopping = stopping.clone();
                let (router, settings) = (router.clone(), settings.clone());
                connections.spawn(connection::run(stream, peer, router, settings, stopping));
            }
            Err(error) => {
                // Out of descriptors, or a peer that left before it was accepted: neither is a
                // reason to stop listening.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
    }
    drop(listener);
    // A receiver may be gone already; then there is nobody to tell.
    let _ = stop.send(true);
    let open = connections.len();
    let drained = tokio::time::timeout(settings.drain, async {
        while connections.join_next().await.is_some() {}
    });
    let cut = if drained.await.is_ok() { 0 } else { connections.len() };
    connections.shutdown().await;
    Drained { finished: open - cut, cut }
}

async fn accept(
    listener: &TcpListener,
    limits: &Live,
) -> io::Result<(tokio::net::TcpStream, Peer)> {
    let (stream, address) = loop {
        tokio::select! {
            accepted = listener.accept(), if limits.has_room() => break accepted?,
            () = limits.changed() => {}
        }
    };
    let slot = limits.take();
    let open = metrics::gauge!("pulseboard_connections");
    open.increment(1.0);
    metrics::counter!("pulseboard_connections_total").increment(1);
    Ok((stream, Peer { address, hold: Arc::new(Hold { _slot: slot, open }) }))
}
