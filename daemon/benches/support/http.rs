//! A closed-loop HTTP driver: each connection sends a request, reads its answer, sends the next.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::body::Template;

/// What a run reached.
pub(crate) struct Reached {
    pub(crate) events_per_second: f64,
    /// Latencies of answers, ascending, in microseconds.
    pub(crate) latencies_us: Vec<u64>,
}

/// Posts for `seconds` over `connections` connections; every answer must begin with `expect`.
pub(crate) fn drive(
    address: SocketAddr,
    connections: u32,
    events_per_request: usize,
    request: impl Fn(u32) -> Template,
    seconds: u64,
    salt: u64,
) -> Reached {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let requests = Arc::new(AtomicU64::new(0));
    runtime.block_on(async {
        let mut tasks = Vec::new();
        for connection in 0..connections {
            let mut template = request(connection);
            let (stop, requests) = (Arc::clone(&stop), Arc::clone(&requests));
            tasks.push(tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.set_nodelay(true).unwrap();
                let mut next = salt * 1_000_000_000;
                let mut latencies_us = Vec::new();
                let mut answer = vec![0; 8192];
                while !stop.load(Ordering::Relaxed) {
                    template.renew(&mut next);
                    let sent = Instant::now();
                    stream.write_all(&template.bytes).await.unwrap();
                    read_answer(&mut stream, &mut answer).await;
                    latencies_us.push(sent.elapsed().as_micros() as u64);
                    requests.fetch_add(1, Ordering::Relaxed);
                }
                latencies_us
            }));
        }
        // The first half second warms up connections, tables and caches.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let before = requests.load(Ordering::Relaxed);
        let started = Instant::now();
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let done = requests.load(Ordering::Relaxed) - before;
        let took = started.elapsed().as_secs_f64();
        stop.store(true, Ordering::Relaxed);
        let mut latencies_us = Vec::new();
        for task in tasks {
            latencies_us.extend(task.await.unwrap());
        }
        latencies_us.sort_unstable();
        Reached { events_per_second: done as f64 * events_per_request as f64 / took, latencies_us }
    })
}

async fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await.unwrap();
        assert!(read > 0, "the server closed the connection");
        filled += read;
        let text = &buffer[..filled];
        let Some(end) = find(text, b"\r\n\r\n") else { continue };
        assert!(text.starts_with(b"HTTP/1.1 20"), "{}", String::from_utf8_lossy(text));
        let head = std::str::from_utf8(&text[..end]).unwrap().to_ascii_lowercase();
        let length: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .map_or(0, |value| value.trim().parse().unwrap());
        if filled >= end + 4 + length {
            return;
        }
    }
}

fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len()).position(|window| window == needle)
}
