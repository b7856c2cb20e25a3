//! A way to Redis on which the confirmation of ids can be kept back: what an instance does between
//! its sync and its confirmation can then be made to last, and to end there.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use crate::support::eventually;

/// What a round of confirmations has in it, as it is sent.
const CONFIRM: &[u8] = b"\r\nconfirm\r\n";

/// A running gate: everything passes, until it is told otherwise.
pub(crate) struct Gate {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    to: String,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// From the next confirmation on, what a client sends waits.
    closed: bool,
    waiting: usize,
    /// Grows with each cut: what waited then never arrives.
    round: u64,
    open: Vec<TcpStream>,
    is_over: bool,
}

impl Gate {
    /// Leads to a Redis of this URL.
    pub(crate) fn to(url: &str) -> Self {
        let to = url.strip_prefix("redis://").expect("a URL of Redis").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { to, state: Mutex::default(), changed: Condvar::new() });
        let of_all = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, &of_all));
        Self { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Lets no confirmation through from now on, nor what its connection sends after it.
    pub(crate) fn close(&self) {
        self.shared.state.lock().unwrap().closed = true;
    }

    /// Waits until there is one to be let through.
    pub(crate) fn until_one_waits(&self) {
        eventually("a confirmation waits", || {
            (self.shared.state.lock().unwrap().waiting > 0).then_some(())
        });
    }

    /// Lets through what waits, and everything again.
    pub(crate) fn open(&self) {
        self.shared.state.lock().unwrap().closed = false;
        self.shared.changed.notify_all();
    }

    /// What waits never arrives, as when its sender is gone; what comes passes.
    pub(crate) fn cut(&self) {
        let mut state = self.shared.state.lock().unwrap();
        state.closed = false;
        self.shared.cut(&mut state);
    }
}

impl Drop for Gate {
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
        for stream in state.open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.changed.notify_all();
    }

    /// Waits while a confirmation may not pass; whether it ever may.
    fn passes(&self, round: u64) -> bool {
        let mut state = self.state.lock().unwrap();
        state.waiting += 1;
        let waits = |state: &mut State| state.closed && state.round == round;
        let mut state = self.changed.wait_while(state, waits).unwrap();
        state.waiting -= 1;
        state.round == round
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming().map_while(Result::ok) {
        let mut state = shared.state.lock().unwrap();
        if state.is_over {
            return;
        }
        let Ok(server) = TcpStream::connect(&shared.to) else { continue };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let ends = [&client, &server].map(|stream| stream.try_clone().unwrap());
        state.open.extend(ends);
        let round = state.round;
        drop(state);
        let (to_client, from_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || carry(from_server, to_client, |_| true));
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            // The end of what went before: a confirmation may come in two pieces.
            let mut tail: Vec<u8> = Vec::new();
            carry(client, server, |chunk| {
                tail.extend_from_slice(chunk);
                let confirms = tail.windows(CONFIRM.len()).any(|part| part == CONFIRM);
                tail.drain(..tail.len().saturating_sub(CONFIRM.len() - 1));
                let closed = shared.state.lock().unwrap().closed;
                !(confirms && closed) || shared.passes(round)
            });
        });
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, mut passes: impl FnMut(&[u8]) -> bool) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if !passes(&buffer[..read]) || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
