//! Makes connections: to one server, to a Redis Cluster, to the primary that sentinels name.
//!
//! Every attempt ends within [`REACH_WITHIN`]. Keeps nothing: who asks for a connection watches over
//! it. Used by the link and the subscriber.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::{ConnectionLike as _, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, ConnectionInfo, ErrorKind, Pipeline,
    ProtocolVersion, PushInfo, RedisError, RedisResult, TlsCertificates, Value, cmd,
};

use super::address::{Address, Kind};
use super::problem::Problem;

/// How long one host may take to be connected to.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// How long an answer may take.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// How long all hosts of an address may take together.
const REACH_WITHIN: Duration = Duration::from_secs(3);

/// Who is given what a subscribed connection is pushed. Must not block.
pub(super) type OnPush = Arc<dyn Fn(PushInfo) + Send + Sync>;

/// An address and the certificates to reach it with.
#[derive(Clone, Debug)]
pub(super) struct Reach {
    pub(super) address: Address,
    pub(super) certificates: Option<TlsCertificates>,
}

/// PEM texts.
#[derive(Clone, Default)]
pub(super) struct Pem {
    pub(super) authority: Option<Vec<u8>>,
    /// Ours, and its key.
    pub(super) own: Option<(Vec<u8>, Vec<u8>)>,
}

/// A connection, cheap to clone; its clones share one pipe.
#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Reach {
    pub(super) fn new(address: Address, pem: Pem) -> Self {
        let is_plain = pem.authority.is_none() && pem.own.is_none();
        let certificates = (!is_plain).then_some(TlsCertificates {
            client_tls: pem
                .own
                .map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key }),
            root_cert: pem.authority,
        });
        Self { address, certificates }
    }

    /// Connects for commands.
    pub(super) async fn connect(&self) -> Result<Connection, Problem> {
        let connected = async {
            if self.address.kind == Kind::Cluster {
                return self.cluster().await.map(Connection::Cluster);
            }
            self.server(None, 0).await.map(Connection::One)
        };
        tokio::time::timeout(REACH_WITHIN, connected)
            .await
            .unwrap_or_else(|_| Err(Problem::down("it does not answer")))
    }

    /// Connects to one server that hears what is published to all: any node of a Redis Cluster,
    /// `attempt` says which.
    pub(super) async fn listen(
        &self,
        push: OnPush,
        attempt: usize,
    ) -> Result<MultiplexedConnection, Problem> {
        tokio::time::timeout(REACH_WITHIN, self.server(Some(push), attempt))
            .await
            .unwrap_or_else(|_| Err(Problem::down("it does not answer")))
    }

    async fn server(
        &self,
        push: Option<OnPush>,
        attempt: usize,
    ) -> Result<MultiplexedConnection, Problem> {
        let hosts = &self.address.hosts;
        let host = match &self.address.kind {
            Kind::One => hosts[0].clone(),
            Kind::Cluster => hosts[attempt % hosts.len()].clone(),
            Kind::Sentinel { primary } => self.primary(primary).await?,
        };
        let info = self.address.server(&host).map_err(|error| self.problem(&error))?;
        self.open(info, push).await
    }

    /// Asks one sentinel after the other where the primary is.
    async fn primary(&self, name: &str) -> Result<(String, u16), Problem> {
        let mut problem = Problem::down("no sentinel answers");
        for host in &self.address.hosts {
            match self.ask(host, name).await {
                Ok(found) => return Ok(found),
                // What somebody must change says more than who is away.
                Err(new @ Problem::Refused(_)) => problem = new,
                Err(new) if matches!(problem, Problem::Down(_)) => problem = new,
                Err(_) => {}
            }
        }
        Err(match problem {
            Problem::Down(why) => Problem::Down(format!("no sentinel is reached: {why}")),
            refused @ Problem::Refused(_) => refused,
        })
    }

    async fn ask(&self, host: &(String, u16), name: &str) -> Result<(String, u16), Problem> {
        let info = self.address.sentinel(host).map_err(|error| self.problem(&error))?;
        let mut sentinel = self.open(info, None).await?;
        let mut ask = cmd("SENTINEL");
        ask.arg("get-master-addr-by-name").arg(name);
        let answer: Option<(String, u16)> =
            ask.query_async(&mut sentinel).await.map_err(|error| self.problem(&error))?;
        answer
            .ok_or_else(|| Problem::refused(format!("its sentinels know no primary named {name}")))
    }

    async fn open(
        &self,
        info: ConnectionInfo,
        push: Option<OnPush>,
    ) -> Result<MultiplexedConnection, Problem> {
        let client = match &self.certificates {
            Some(certificates) => Client::build_with_tls(info, certificates.clone()),
            None => Client::open(info),
        };
        let client = client.map_err(|error| self.problem(&error))?;
        let mut config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_WITHIN))
            .set_response_timeout(Some(ANSWER_WITHIN));
        if let Some(push) = push {
            config = config.set_push_sender(move |info: PushInfo| {
                push(info);
                Ok::<(), redis::aio::SendError>(())
            });
        }
        let opened = client.get_multiplexed_async_connection_with_config(&config).await;
        opened.map_err(|error| match self.problem(&error) {
            // A server that does not speak it waits for the rest of a command.
            Problem::Down(why) if self.address.tls && error.is_timeout() => {
                Problem::Down(format!("{why} in TLS"))
            }
            problem => problem,
        })
    }

    async fn cluster(&self) -> Result<ClusterConnection, Problem> {
        let infos: redis::RedisResult<Vec<ConnectionInfo>> =
            self.address.hosts.iter().map(|host| self.address.server(host)).collect();
        let infos = infos.map_err(|error| self.problem(&error))?;
        // Its own words for several hosts that fail say little; the first one's say more.
        if let Err(refused @ Problem::Refused(_)) = self.open(infos[0].clone(), None).await {
            return Err(refused);
        }
        let mut builder = redis::cluster::ClusterClientBuilder::new(infos)
            .use_protocol(ProtocolVersion::RESP3)
            .tcp_settings(redis::io::tcp::TcpSettings::default().set_nodelay(true))
            .connection_timeout(CONNECT_WITHIN)
            .response_timeout(ANSWER_WITHIN)
            .retries(2)
            .min_retry_wait(20)
            .max_retry_wait(100);
        if let Some(certificates) = &self.certificates {
            builder = builder.certs(certificates.clone());
        }
        let client = builder.build().map_err(|error| self.problem(&error))?;
        client.get_async_connection().await.map_err(|error| self.problem(&error))
    }

    /// What an error means.
    pub(super) fn problem(&self, error: &redis::RedisError) -> Problem {
        Problem::of(error, &self.address)
    }
}

impl Connection {
    /// Sends all and waits for all: an answer for each, errors among them. In a Redis Cluster each
    /// goes to the node of its key, and those that do not get through are errors of their own.
    pub(super) async fn all(&self, commands: &[Cmd]) -> RedisResult<Vec<RedisResult<Value>>> {
        match self {
            Self::One(connection) => {
                let mut pipeline = Pipeline::with_capacity(commands.len());
                for command in commands {
                    pipeline.add_command(command.clone());
                }
                pipeline.ignore_errors();
                let mut connection = connection.clone();
                let answers = connection.req_packed_commands(&pipeline, 0, commands.len()).await?;
                Ok(answers.into_iter().map(Value::extract_error).collect())
            }
            Self::Cluster(connection) => {
                let asked = commands.iter().map(|command| {
                    let mut connection = connection.clone();
                    async move { connection.req_packed_command(command).await?.extract_error() }
                });
                // Where none gets through it may still be one node that is away, with the keys of
                // all of them: whether that is the way to Redis, the link finds out by itself.
                Ok(futures_util::future::join_all(asked).await)
            }
        }
    }

    /// Whether it reaches several servers, so that one of them may be away alone.
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }
}

/// Whether an error is about the way to a server, not about what was asked.
pub(super) fn is_away(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_timeout()
        || error.kind() == ErrorKind::ClusterConnectionNotFound
}
