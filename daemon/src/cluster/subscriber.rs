//! Hears what is published: a connection of its own, which is watched over and made again.
//!
//! Publishing is at most once, so whoever listens must see gaps and fill them: [`Heard::Anew`] says
//! that what was published before may have been missed. Messages wait in a bounded queue; what does
//! not fit is dropped and counted, which is a gap like any other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, Value, cmd};
use tokio::sync::{Notify, mpsc};

use super::connect::OnPush;
use super::link::Link;
use super::problem::Problem;

/// How often the connection is asked for a sign of life.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The pause before connecting again, ms: from, and at most so much more by chance.
const AGAIN_MS: (u64, u64) = (200, 600);

/// What a listener is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// From now on messages are heard; before, some may have been missed.
    Anew,
    /// A message.
    Message(Vec<u8>),
}

/// The listening end of some channels.
pub struct Subscriber {
    messages: mpsc::Receiver<Heard>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Messages that found the queue full.
    dropped: AtomicU64,
    is_subscribed: AtomicBool,
}

/// How it stands with listening, for whoever tells.
#[derive(Clone)]
pub struct Listening(Arc<Shared>);

impl Listening {
    /// Whether messages are heard.
    pub fn is_subscribed(&self) -> bool {
        self.0.is_subscribed.load(Ordering::Relaxed)
    }

    /// Messages that found the queue full.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }
}

impl Subscriber {
    /// Listens to channels (whole names); at most `waiting_max` messages wait.
    pub fn open(link: &Link, channels: Vec<String>, waiting_max: usize) -> Self {
        let (sender, messages) = mpsc::channel(waiting_max);
        let shared = Arc::new(Shared::default());
        let (link, there) = (link.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            let mut stop = link.stopping();
            tokio::select! {
                () = keep(&link, &channels, &sender, &there) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
            there.is_subscribed.store(false, Ordering::Relaxed);
        });
        Self { messages, shared }
    }

    /// How it stands.
    pub fn listening(&self) -> Listening {
        Listening(Arc::clone(&self.shared))
    }

    /// The next message; `None` when the link was stopped.
    pub async fn next(&mut self) -> Option<Heard> {
        self.messages.recv().await
    }
}

/// Subscribes, and again, until nobody listens.
async fn keep(link: &Link, channels: &[String], to: &mpsc::Sender<Heard>, shared: &Arc<Shared>) {
    let mut said = None;
    for attempt in 0.. {
        if to.is_closed() {
            return;
        }
        match subscribe(link, channels, to, shared, attempt).await {
            Ok((connection, gone)) => {
                said = None;
                if to.send(Heard::Anew).await.is_err() {
                    return;
                }
                shared.is_subscribed.store(true, Ordering::Relaxed);
                until_broken(connection, &gone).await;
                shared.is_subscribed.store(false, Ordering::Relaxed);
            }
            Err(problem) => {
                // Where the link is away too, it says so.
                if link.is_up() && said.as_ref() != Some(&problem) {
                    let (Problem::Down(why) | Problem::Refused(why)) = &problem;
                    tracing::warn!("{}: messages cannot be listened to: {why}", link.setting());
                    said = Some(problem);
                }
            }
        }
        let pause_ms = AGAIN_MS.0 + rand::random_range(0..AGAIN_MS.1);
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    }
}

async fn subscribe(
    link: &Link,
    channels: &[String],
    to: &mpsc::Sender<Heard>,
    shared: &Arc<Shared>,
    attempt: usize,
) -> Result<(MultiplexedConnection, Arc<Notify>), Problem> {
    let (to, there) = (to.clone(), Arc::clone(shared));
    let gone = Arc::new(Notify::new());
    let went = Arc::clone(&gone);
    let push: OnPush = Arc::new(move |info: PushInfo| match info.kind {
        PushKind::Message => {
            // Of a channel's message the last part is what was published.
            if let Some(Value::BulkString(bytes)) = info.data.into_iter().next_back()
                && to.try_send(Heard::Message(bytes)).is_err()
            {
                there.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
        PushKind::Disconnection => went.notify_one(),
        _ => {}
    });
    let mut connection = link.reach().listen(push, attempt).await?;
    connection.subscribe(channels).await.map_err(|error| link.reach().problem(&error))?;
    Ok((connection, gone))
}

async fn until_broken(mut connection: MultiplexedConnection, gone: &Notify) {
    loop {
        if tokio::time::timeout(LOOK_EVERY, gone.notified()).await.is_ok() {
            return;
        }
        let ping: redis::RedisResult<Value> = cmd("PING").query_async(&mut connection).await;
        if ping.is_err() {
            return;
        }
    }
}
