//! The registry: every setting there is, once. A row gives its name, kind, default, bounds, flag
//! and documentation; the typed [`Config`], the example file, `--print-config`, the command line
//! and every refusal come from it.
//!
//! A row's default is written as in an environment variable. `later` marks a setting whose feature
//! is not in this build: anything but its default is refused at the start, never ignored.

use std::net::SocketAddr;

use pulseboard::route::PATTERNS_MAX;
use pulseboard::validate::EVENT_BYTES_MAX;

use super::ConfigError;
use super::layers::Values;
use super::raw::Raw;
use super::types::{LogFormat, LogLevel, Network, Origin, RoutePattern, StoreKind, Window};
use super::value::{
    Bounds, Bytes, Count, File, Hidden, List, Optional, OptionalTime, Parsed, Setting, Switch,
    Text, Time, Word,
};

/// One row of the registry, without its type.
pub(super) struct Key {
    /// The dotted name, such as `limits.batch_events`.
    pub(super) name: &'static str,
    /// What it is for, a line each.
    pub(super) docs: &'static [&'static str],
    /// The default, as an environment variable would hold it.
    pub(super) default: &'static str,
    /// The default as it stands in the example file.
    pub(super) toml: fn(&str) -> Raw,
    /// Bounds of a number, a size, a duration in ms, or the number of a list's entries.
    pub(super) bounds: Bounds,
    /// Whether the value must never be shown.
    pub(super) secret: bool,
    /// The flag that sets it, and its value's name in the help.
    pub(super) flag: Option<(&'static str, &'static str)>,
    /// What is missing in this build for it to have an effect.
    pub(super) later: Option<&'static str>,
    /// Checks a value, for layers that a later one overrides.
    pub(super) check: fn(&Raw, &Bounds) -> Result<(), String>,
}

/// One table of the file.
pub(super) struct Section {
    /// Its name in the file; empty for the keys above the first table.
    pub(super) name: &'static str,
    pub(super) docs: &'static [&'static str],
    pub(super) keys: &'static [Key],
}

macro_rules! sections {
    ($(
        $(#[doc = $section_doc:literal])+
        $section:ident: $Section:ident in $path:literal {
            $(
                $(#[doc = $doc:literal])+
                $key:ident: $Kind:ty = $default:literal
                    $([$bounds:expr])? $(flag $flag:literal $value:literal)? $(later $later:literal)?;
            )+
        }
    )+) => {
        $(
            $(#[doc = $section_doc])+
            #[derive(Clone, Debug)]
            pub struct $Section {
                $($(#[doc = $doc])+ pub $key: <$Kind as Setting>::Value,)+
            }

            impl $Section {
                fn read(values: &Values) -> Result<Self, ConfigError> {
                    Ok(Self { $($key: values.get::<$Kind>(concat!($path, stringify!($key)))?,)+ })
                }
            }
        )+

        /// Every setting, checked. What no layer set stands at its default.
        #[derive(Clone, Debug)]
        pub struct Config {
            $($(#[doc = $section_doc])+ pub $section: $Section,)+
        }

        impl Config {
            pub(super) fn read(values: &Values) -> Result<Self, ConfigError> {
                Ok(Self { $($section: $Section::read(values)?,)+ })
            }
        }

        /// The registry, in the order of the example file.
        pub(super) const SECTIONS: &[Section] = &[$(Section {
            name: $path,
            docs: &[$($section_doc),+],
            keys: &[$(Key {
                name: concat!($path, stringify!($key)),
                docs: &[$($doc),+],
                default: $default,
                toml: <$Kind as Setting>::toml,
                bounds: sections!(@bounds $($bounds)?),
                secret: <$Kind as Setting>::SECRET,
                flag: sections!(@flag $($flag $value)?),
                later: sections!(@later $($later)?),
                check: |raw, bounds| <$Kind as Setting>::read(raw, bounds).map(drop),
            },)+],
        },)+];
    };
    (@bounds) => { 0..=u64::MAX };
    (@bounds $bounds:expr) => { $bounds };
    (@flag) => { None };
    (@flag $flag:literal $value:literal) => { Some(($flag, $value)) };
    (@later) => { None };
    (@later $later:literal) => { Some($later) };
}

/// Looks a key up by its dotted name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    all().find(|key| key.name == name)
}

/// Keys that take effect when SIGHUP has them read again, beside limits.
pub(super) const LIVE: [&str; 10] = [
    "server.public_url",
    "server.allowed_origins",
    "server.trusted_proxies",
    "auth.secret",
    "auth.secret_file",
    "auth.public_key_file",
    "auth.iss",
    "auth.aud",
    "auth.allow_query_token",
    "metrics.public",
];

/// Limits that do not take effect: ticks are counted under them.
pub(super) const FIXED_LIMITS: [&str; 1] = ["limits.routes"];

/// Keys that say whose tokens are good.
pub(super) const ABOUT_KEYS: [&str; 5] =
    ["auth.secret", "auth.secret_file", "auth.public_key_file", "auth.iss", "auth.aud"];

/// Whether a key takes effect when SIGHUP has it read again.
pub(super) fn is_live(name: &str) -> bool {
    LIVE.contains(&name) || name.starts_with("limits.") && !FIXED_LIMITS.contains(&name)
}

/// Every key, in the order of the example file.
pub(super) fn all() -> impl Iterator<Item = &'static Key> + Clone {
    SECTIONS.iter().flat_map(|section| section.keys)
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;
const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;
const DAY: u64 = 24 * HOUR;
const BILLION: u64 = 1_000_000_000;

sections! {
    /// What the daemon is as a whole.
    general: General in "" {
        /// Where events, aggregates and secrets are kept. Empty: $STATE_DIRECTORY, which systemd
        /// sets, else ./pulseboard-data.
        data_dir: File = "" flag "data-dir" "DIR";
        /// The sliding windows everyone can watch: 1 to 8 lengths in whole seconds, up to an hour.
        windows: List<Window> = "1s, 5s, 60s" [1..=8];
        /// How long after a tick's end its frame leaves, ms: the time events have to arrive in it.
        frame_grace_ms: Count = "250" [0..=5_000];
    }

    /// Where the daemon listens, and who may talk to it.
    server: Server in "server." {
        /// Address and port; port 0 takes a free one. Beyond this machine only with a key.
        bind: Parsed<SocketAddr> = "127.0.0.1:3000" flag "bind" "ADDR:PORT";
        /// The origin people open, when it differs from the address above: behind a proxy.
        public_url: Optional<Origin> = "";
        /// Other origins whose pages may call the daemon.
        allowed_origins: List<Origin> = "" [0..=100];
        /// Proxies whose X-Forwarded-For counts: addresses or networks, such as 10.0.0.0/8.
        trusted_proxies: List<Network> = "" [0..=100];
    }

    /// This instance among others.
    node: Node in "node." {
        /// Its name in frames and metrics. Empty: the host's name.
        name: Text = "";
    }

    /// Where events and aggregates are kept.
    store: Store in "store." {
        /// embedded: in the data directory. mongodb: shared, with the journal in front of it.
        kind: Word<StoreKind> = "embedded" flag "store" "embedded|mongodb";
        /// How long changes of one aggregate gather before they are written to MongoDB, ms.
        debounce_ms: Count = "800" [0..=60_000];
    }

    /// The shared store.
    mongodb: Mongodb in "store.mongodb." {
        /// Connection string; the database is the one it names, else pulseboard.
        uri: Hidden = "" flag "mongodb-uri" "URI";
        /// A file that holds the connection string, so that its password is in no other place.
        uri_file: File = "";
        /// Most connections at a time.
        max_pool: Count = "16" [1..=1_000];
    }

    /// Several instances behind a load balancer.
    cluster: Cluster in "cluster." {
        /// Redis 6.0 or later, through which instances exchange ticks. Empty: this instance is alone.
        /// redis://[[user]:password@]host[:port][/database], redis+cluster://host,host or
        /// redis+sentinel://host,host/primary; with TLS rediss in the place of redis.
        redis_url: Hidden = "" flag "redis-url" "URL";
        /// A file that holds the address, so that its password is in no other place.
        redis_url_file: File = "";
        /// A PEM file with the authorities that sign Redis's certificate. Empty: those of the system.
        redis_ca_file: File = "";
        /// A PEM file with our certificate, where Redis asks its clients for one.
        redis_cert_file: File = "";
        /// A PEM file with that certificate's key.
        redis_key_file: File = "";
        /// Begins every key and channel in Redis: clusters that share one Redis differ in it.
        redis_prefix: Text = "pulseboard";
        /// Ids of events this instance holds claimed in Redis at a time, at most; about 180 bytes of
        /// Redis's memory each. When half are held, ids are claimed for a shorter time.
        claims_max: Count = "10000000" [1..=BILLION];
    }

    /// Who may write and read. Without a key: dev mode, everyone on this machine may do everything.
    auth: Auth in "auth." {
        /// The HS256 secret, 32 bytes or more.
        secret: Hidden = "";
        /// A file that holds the secret; the line end after it does not count. Without any key the
        /// file auth.secret in the data directory is taken, where pulseboardd --init-auth writes it.
        /// A relative name of any *_file is first looked for in $CREDENTIALS_DIRECTORY (systemd).
        secret_file: File = "";
        /// A PEM file with the public key for RS256, ES256 or EdDSA.
        public_key_file: File = "";
        /// The issuer a token must name (iss). Empty: any, or none.
        iss: Text = "";
        /// The audience a token must name (aud). Empty: any, or none.
        aud: Text = "";
        /// Whether /ws takes ?token=, which proxies tend to log.
        allow_query_token: Switch = "false";
    }

    /// What one client may ask for, and what all may together.
    limits: Limits in "limits." {
        /// REST calls a minute, by subject with a token, else by address. Not in dev mode.
        api_per_minute: Count = "100" [1..=1_000_000];
        /// Events a second of an ingest token without a rate of its own. Not in dev mode.
        ingest_events_per_second: Count = "10000" [1..=BILLION];
        /// Events a second of a socket whose token has no rate of its own. Not in dev mode.
        socket_events_per_second: Count = "50" [1..=BILLION];
        /// Events a socket may send at once after a rest. Not in dev mode.
        socket_events_burst: Count = "100" [1..=BILLION];
        /// One event as JSON.
        event_bytes: Bytes = "16 KiB" [256..=EVENT_BYTES_MAX as u64];
        /// A socket frame from a client that may only watch.
        frame_bytes: Bytes = "16 KiB" [KIB..=MIB];
        /// A socket frame from a client that may send events.
        publish_bytes: Bytes = "1 MiB" [KIB..=64 * MIB];
        /// A REST body, as sent and as unpacked.
        body_bytes: Bytes = "8 MiB" [KIB..=KIB * MIB];
        /// Bodies being worked on, all together. Past it: 503 busy.
        inflight_bytes: Bytes = "128 MiB" [MIB..=TIB];
        /// Events in one call.
        batch_events: Count = "10000" [1..=1_000_000];
        /// Time for a request's headers. A change holds for new connections.
        header_timeout: Time = "10s" [SECOND..=HOUR];
        /// Time for a request's body.
        body_timeout: Time = "30s" [SECOND..=HOUR];
        /// A request's header block.
        header_bytes: Bytes = "16 KiB" [8 * KIB..=MIB];
        /// A request's target.
        uri_bytes: Bytes = "8 KiB" [256..=60 * KIB];
        /// Connections of all kinds.
        connections: Count = "20000" [1..=1_000_000];
        /// Sockets.
        sockets: Count = "10000" [1..=1_000_000];
        /// Sockets from one address.
        sockets_per_address: Count = "1000" [1..=1_000_000];
        /// Publishes of a socket that are not yet acknowledged. Past it, its reading pauses.
        socket_inflight: Count = "64" [1..=100_000];
        /// Rooms of a socket.
        rooms_per_socket: Count = "32" [1..=1_000];
        /// Filtered views, all together.
        views: Count = "64" [0..=10_000];
        /// Routes a tick tells apart. The rest is counted under other routes.
        routes: Count = "20000" [1..=1_000_000];
        /// Events that wait in the journal for a shared store. Past it: 503 spool_full.
        spool_bytes: Bytes = "8 GiB" [MIB..=1024 * TIB];
    }

    /// How an event's age is judged.
    late: Late in "late." {
        /// Up to this age an event counts in the tick of its own time, else in its minute.
        live_age: Time = "60s" [SECOND..=60 * SECOND] later "a choice of ages";
        /// How far ahead of the daemon's clock an event may be.
        ahead: Time = "5m" [0..=HOUR] later "a choice of ages";
    }

    /// How repeated events are recognised.
    dedupe: Dedupe in "dedupe." {
        /// How long an event's id is remembered, and how old an event may be.
        horizon: Time = "24h" [65 * SECOND..=DAY];
        /// Ids remembered at most; each takes about 24 bytes. When full the horizon shortens.
        max_ids: Count = "10000000" [1_000..=BILLION];
    }

    /// How routes are grouped.
    routes: Routes in "routes." {
        /// Whether segments that are numbers, UUIDs or long hex become :id.
        normalise: Switch = "true";
        /// Templates tried first, such as /users/:name/files: a :segment stands for any one.
        patterns: List<RoutePattern> = "" [0..=PATTERNS_MAX as u64];
    }

    /// How long data is kept.
    retention: Retention in "retention." {
        /// Days raw events are kept.
        events_days: Count = "7" [1..=36_500];
        /// Disk the raw events may take. Past it the oldest go.
        max_bytes: Bytes = "20 GiB" [64 * MIB..=1024 * TIB];
        /// Days minute aggregates are kept in MongoDB; 0 keeps them for ever.
        aggregates_days: Count = "0" [0..=36_500];
    }

    /// What arrives by import.
    import: Import in "import." {
        /// Oldest event an import may bring. Empty: any age.
        max_age: OptionalTime = "" [SECOND..=u64::MAX];
    }

    /// The daemon's own numbers.
    metrics: Metrics in "metrics." {
        /// Whether /metrics needs no token.
        public: Switch = "false";
    }

    /// The log, on stderr.
    log: Log in "log." {
        /// error, warn, info, debug or trace.
        level: Word<LogLevel> = "info" flag "log-level" "LEVEL";
        /// text for people, json for machines.
        format: Word<LogFormat> = "text" flag "log-format" "text|json";
    }
}

impl General {
    /// The data directory, as it was resolved from the layers and the environment.
    pub fn data_dir(&self) -> &std::path::Path {
        self.data_dir.as_deref().expect("loading fills an empty data_dir")
    }
}
