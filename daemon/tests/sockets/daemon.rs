//! A server with a hub and nothing else of the daemon.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::routing::{any, get};
use pulseboardd::auth::Authority;
use pulseboardd::broadcast::{Admission, Hub, Settings};
use pulseboardd::clock::Clock;
use pulseboardd::gate::{self, Gate};
use pulseboardd::ingest::socket::Endpoint;
use pulseboardd::rate_limit::RateLimits;
use pulseboardd::server::origin::Origins;
use pulseboardd::server::{self, Drained};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

use crate::client::PATIENCE;
use crate::feed::{Feed, Sink};

pub(crate) struct Daemon {
    pub(crate) address: SocketAddr,
    pub(crate) hub: Arc<Hub>,
    pub(crate) feed: Arc<Feed>,
    pub(crate) sink: Arc<Sink>,
    /// A permit for each request that reached `/slow` or `/stuck`.
    reached: Arc<Semaphore>,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<Drained>,
}

/// What a test may set otherwise.
pub(crate) struct Setup {
    pub(crate) hub: Settings,
    pub(crate) server: server::Settings,
    pub(crate) origins: Origins,
    pub(crate) sink: Arc<Sink>,
    pub(crate) seed: u64,
    pub(crate) authority: Authority,
    pub(crate) clock: Clock,
    pub(crate) query_token: bool,
}

impl Default for Setup {
    fn default() -> Self {
        let windows: Vec<Arc<str>> = vec!["1s".into(), "5s".into(), "60s".into()];
        Self {
            hub: Settings::new("test", windows),
            server: server::Settings::default(),
            origins: Origins::default(),
            sink: Sink::open(),
            seed: 7,
            authority: Authority::dev(),
            clock: Clock::system(),
            query_token: false,
        }
    }
}

impl Daemon {
    pub(crate) async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    #[allow(clippy::unused_async, reason = "it needs the runtime around it")]
    pub(crate) async fn with(setup: Setup) -> Self {
        let feed = Feed::new(setup.seed, &setup.hub.windows);
        let gate = Gate::new(
            setup.authority,
            RateLimits::default(),
            Origins::default(),
            gate::Settings::default(),
        );
        let admission = Admission { authority: gate.authority.clone(), rates: gate.rates.clone() };
        let hub = Hub::new(setup.sink.clone(), admission, setup.hub, setup.clock);
        hub.attach(feed.clone());
        let endpoint =
            Endpoint::new(hub.clone(), setup.origins).with_query_token(setup.query_token);
        let reached = Arc::new(Semaphore::new(0));
        let (slow, stuck) = (reached.clone(), reached.clone());
        let router = Router::new()
            .route("/ws", any(move |request: Request| async move { endpoint.upgrade(request) }))
            .route("/", get(async || "home"))
            .route(
                "/slow",
                get(async move || {
                    slow.add_permits(1);
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    "slow"
                }),
            )
            .route(
                "/stuck",
                get(async move || {
                    stuck.add_permits(1);
                    std::future::pending::<&str>().await
                }),
            )
            .layer(axum::middleware::from_fn_with_state(gate, gate::layer));
        let listener = server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(server::serve(listener, router, setup.server, async {
            let _ = stopped.await;
        }));
        Self { address, hub, feed, sink: setup.sink, reached, stop: Some(stop), serving }
    }

    /// Frames the next tick.
    pub(crate) fn tick(&self) -> i64 {
        self.feed.tick(&self.hub)
    }

    /// Waits until a request has reached `/slow` or `/stuck`.
    pub(crate) async fn reached(&self) {
        let reached = tokio::time::timeout(PATIENCE, self.reached.acquire());
        reached.await.expect("a request").unwrap().forget();
    }

    /// Waits until every session was offered all ticks so far.
    pub(crate) async fn walked(&self, ticks: u64) {
        while self.hub.walked() < ticks {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until so many sessions are left.
    pub(crate) async fn sockets(&self, count: u64) {
        let wait = async {
            while self.hub.counters().sockets != count {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("sessions come and go");
    }

    pub(crate) async fn stop(&mut self) -> Drained {
        let _ = self.stop.take().unwrap().send(());
        (&mut self.serving).await.unwrap()
    }

    pub(crate) fn begin_stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    pub(crate) async fn stopped(self) -> Drained {
        self.serving.await.unwrap()
    }
}
