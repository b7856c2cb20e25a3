//! A TCP proxy between a daemon and a server of its, for the ways a network fails: slow, frozen,
//! cut in the middle of a message, or refusing.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::Duration;

/// Bytes moved at a time.
const CHUNK_BYTES: usize = 16 << 10;

/// What becomes of bytes.
#[derive(Clone, Copy, Debug)]
enum Mode {
    Pass,
    /// Connections stay, nothing moves.
    Freeze,
    /// Each chunk waits so long before it goes on.
    Delay(Duration),
    /// Connections are closed as they come.
    Refuse,
}

/// Changes what a server answers.
type Rewrite = Box<dyn Fn(&mut Vec<u8>) + Send + Sync>;

/// What all connections share.
struct Shared {
    to: String,
    rewrite: Option<Rewrite>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    mode: Mode,
    /// Bytes from clients until all connections are cut, in the middle of whatever it is.
    cut_after_bytes: Option<usize>,
    /// Grows with each cut: connections of an earlier round are closed.
    round: u64,
    /// Connections that are open, and some that were.
    pairs: Vec<Weak<Pair>>,
    cuts: u64,
    moved_bytes: u64,
    is_over: bool,
}

/// A connection: the client's side and the server's.
struct Pair {
    client: TcpStream,
    server: TcpStream,
    /// Of [`State::round`].
    round: u64,
}

impl Pair {
    fn close(&self) {
        let _ = (self.client.shutdown(Shutdown::Both), self.server.shutdown(Shutdown::Both));
    }
}

/// A running proxy. Its connections are closed when it is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Listens on a free port and connects whoever comes to an address, there or not.
    pub(crate) fn to(address: &str) -> Self {
        Self::new(address, None)
    }

    /// One that changes what the server answers, a chunk at a time: a server of another version,
    /// another clock.
    pub(crate) fn rewriting(
        address: &str,
        rewrite: impl Fn(&mut Vec<u8>) + Send + Sync + 'static,
    ) -> Self {
        Self::new(address, Some(Box::new(rewrite)))
    }

    fn new(address: &str, rewrite: Option<Rewrite>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let state = State {
            mode: Mode::Pass,
            cut_after_bytes: None,
            round: 0,
            pairs: Vec::new(),
            cuts: 0,
            moved_bytes: 0,
            is_over: false,
        };
        let (state, changed) = (Mutex::new(state), Condvar::new());
        let shared = Arc::new(Shared { to: address.to_owned(), rewrite, state, changed });
        let proxy = Self { address: listener.local_addr().unwrap(), shared: Arc::clone(&shared) };
        std::thread::spawn(move || accept(&listener, &shared));
        proxy
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Everything moves again.
    pub(crate) fn pass(&self) {
        self.set(Mode::Pass);
    }

    /// Nothing moves; connections stay open and new ones are accepted.
    pub(crate) fn freeze(&self) {
        self.set(Mode::Freeze);
    }

    pub(crate) fn delay(&self, delay: Duration) {
        self.set(Mode::Delay(delay));
    }

    /// Cuts what there is, and closes new connections at once.
    pub(crate) fn refuse(&self) {
        self.set(Mode::Refuse);
        self.cut();
    }

    /// Cuts every connection now; new ones pass.
    pub(crate) fn cut(&self) {
        self.shared.cut(&mut self.shared.state.lock().unwrap());
    }

    /// Cuts every connection when clients have sent so many bytes more; new ones pass.
    pub(crate) fn cut_after(&self, bytes: usize) {
        self.shared.state.lock().unwrap().cut_after_bytes = Some(bytes);
    }

    /// How often connections were cut.
    pub(crate) fn cuts(&self) -> u64 {
        self.shared.state.lock().unwrap().cuts
    }

    /// Bytes that clients have sent through.
    pub(crate) fn moved_bytes(&self) -> u64 {
        self.shared.state.lock().unwrap().moved_bytes
    }

    fn set(&self, mode: Mode) {
        self.shared.state.lock().unwrap().mode = mode;
        self.shared.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock().unwrap();
        state.is_over = true;
        self.shared.cut(&mut state);
        drop(state);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn cut(&self, state: &mut State) {
        state.round += 1;
        state.cuts += 1;
        state.cut_after_bytes = None;
        state.pairs.drain(..).filter_map(|pair| pair.upgrade()).for_each(|pair| pair.close());
        self.changed.notify_all();
    }

    /// Waits while nothing may move. How many of these bytes may go on, and whether all is cut then;
    /// nothing: it was cut meanwhile.
    fn admit(&self, round: u64, bytes: usize, from_client: bool) -> Option<(usize, bool)> {
        let state = self.state.lock().unwrap();
        let frozen = |state: &mut State| matches!(state.mode, Mode::Freeze) && state.round == round;
        let mut state = self.changed.wait_while(state, frozen).unwrap();
        if let Mode::Delay(delay) = state.mode {
            drop(state);
            std::thread::sleep(delay);
            state = self.state.lock().unwrap();
        }
        if state.round != round {
            return None;
        }
        if !from_client {
            return Some((bytes, false));
        }
        state.moved_bytes += bytes as u64;
        match &mut state.cut_after_bytes {
            Some(left) if bytes >= *left => Some((*left, true)),
            Some(left) => {
                *left -= bytes;
                Some((bytes, false))
            }
            None => Some((bytes, false)),
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming().map_while(Result::ok) {
        let mut state = shared.state.lock().unwrap();
        if state.is_over {
            return;
        }
        if matches!(state.mode, Mode::Refuse) {
            continue;
        }
        let Ok(server) = TcpStream::connect(&shared.to) else { continue };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let pair = Arc::new(Pair { client, server, round: state.round });
        state.pairs.retain(|pair| pair.strong_count() > 0);
        state.pairs.push(Arc::downgrade(&pair));
        drop(state);
        for from_client in [true, false] {
            let (shared, pair) = (Arc::clone(shared), Arc::clone(&pair));
            std::thread::spawn(move || carry(&shared, &pair, from_client));
        }
    }
}

fn carry(shared: &Shared, pair: &Pair, from_client: bool) {
    let (mut from, mut to) = (&pair.client, &pair.server);
    if !from_client {
        std::mem::swap(&mut from, &mut to);
    }
    let mut buffer = vec![0; CHUNK_BYTES];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let Some((admitted, cuts)) = shared.admit(pair.round, read, from_client) else { break };
        let mut chunk = buffer[..admitted].to_vec();
        if let Some(rewrite) = &shared.rewrite
            && !from_client
        {
            rewrite(&mut chunk);
        }
        if to.write_all(&chunk).is_err() {
            break;
        }
        if cuts {
            // What was let through arrives; the rest never does.
            let mut state = shared.state.lock().unwrap();
            if state.round == pair.round {
                shared.cut(&mut state);
            }
            break;
        }
    }
    pair.close();
}
