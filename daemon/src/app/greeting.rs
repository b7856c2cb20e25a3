//! What the daemon says of itself when it starts: on stderr what it found and what to run next, on
//! stdout, once it is ready, where it listens.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::api::assets;
use crate::config::LogFormat;

/// Of a daemon without a key.
const DEV_MODE: &str = "dev mode: everyone on this machine may do everything; pulseboardd \
                        --init-auth makes a key";

/// What was found at start.
#[derive(Debug)]
pub(super) struct Greeting {
    /// Absolute.
    pub(super) data_dir: PathBuf,
    /// Events in the journal.
    pub(super) events: u64,
    /// Age of the oldest of them, ms.
    pub(super) oldest_age_ms: Option<i64>,
    /// Bytes of a torn tail that were cut.
    pub(super) cut_bytes: u64,
    /// Blocks set aside as damaged.
    pub(super) damaged_blocks: usize,
    /// Where events and aggregates are kept.
    pub(super) store: &'static str,
    /// How tokens are checked; `None` in dev mode.
    pub(super) tokens: Option<Tokens>,
}

/// How tokens are checked.
#[derive(Debug)]
pub(super) struct Tokens {
    /// `HS256` and the like.
    pub(super) algorithm: &'static str,
    /// The file with the secret or the public key; `None` for a secret that stands in the settings.
    pub(super) file: Option<PathBuf>,
}

impl Tokens {
    fn said(&self) -> String {
        let Self { algorithm, file } = self;
        match file {
            Some(file) => format!("tokens, {algorithm} with {}", file.display()),
            None => format!("tokens, {algorithm} with auth.secret"),
        }
    }

    /// How to mint one; with a key pair that is the business of whoever has the private key.
    fn minting(&self) -> String {
        match (self.algorithm, &self.file) {
            // A copy that systemd made for the daemon alone; the file it was made from is its own.
            ("HS256", Some(file)) if file.starts_with("/run/credentials") => {
                "  mint    pulseboard token --scope \"read ingest\", as root, with \
                 PULSEBOARD_AUTH__SECRET_FILE\n          naming the file that the unit's \
                 LoadCredential names\n"
                    .to_owned()
            }
            ("HS256", Some(file)) => format!(
                "  mint    PULSEBOARD_AUTH__SECRET_FILE={} pulseboard token --scope \"read ingest\"\n",
                file.display()
            ),
            ("HS256", None) => {
                "  mint    PULSEBOARD_AUTH__SECRET=… pulseboard token --scope \"read ingest\"\n"
                    .to_owned()
            }
            _ => String::new(),
        }
    }
}

impl Greeting {
    /// Prints it: for people on stderr, or where the log is for machines as one event of it.
    pub(super) fn print(&self, address: SocketAddr, format: LogFormat) {
        let url = format!("http://{address}");
        match format {
            // Nobody reading is no reason not to run.
            LogFormat::Text => drop(std::io::stderr().write_all(self.text(&url).as_bytes())),
            LogFormat::Json => tracing::info!(
                version = env!("CARGO_PKG_VERSION"),
                data_dir = %self.data_dir.display(),
                events = self.events,
                cut_bytes = self.cut_bytes,
                damaged_blocks = self.damaged_blocks,
                store = self.store,
                auth = self.tokens.as_ref().map_or("dev mode", |tokens| tokens.algorithm),
                url,
                "started"
            ),
        }
        let _ = writeln!(std::io::stdout(), "listening on {url}");
        let _ = std::io::stdout().flush();
    }

    fn text(&self, url: &str) -> String {
        let mut text = String::new();
        let found = match (self.events, self.oldest_age_ms) {
            (0, _) | (_, None) => "fresh".to_owned(),
            (events, Some(age_ms)) => format!("{} events, {}", count(events), age(age_ms)),
        };
        let page = if assets::built() { "" } else { " (the page is not in this build)" };
        let auth = self.tokens.as_ref().map_or_else(|| DEV_MODE.to_owned(), Tokens::said);
        let _ = write!(
            text,
            "pulseboardd {}\n  data    {} ({found})\n  store   {}\n  auth    {auth}\n",
            env!("CARGO_PKG_VERSION"),
            self.data_dir.display(),
            self.store,
        );
        if self.cut_bytes > 0 {
            let _ = writeln!(
                text,
                "  journal {} bytes of an unfinished write were cut; nothing acknowledged was in them",
                self.cut_bytes
            );
        }
        if self.damaged_blocks > 0 {
            let _ = writeln!(
                text,
                "  journal {} damaged blocks are set aside; the rest is readable",
                self.damaged_blocks
            );
        }
        let header = match self.tokens {
            Some(_) => " -H \"Authorization: Bearer $TOKEN\"",
            None => "",
        };
        let _ = write!(
            text,
            "  watch   pulseboard --url {url}, or open {url} in a browser{page}\n  try     curl {url}\
             /api/events{header} -H 'Content-Type: application/json' -d '{{\"type\":\"page_view\",\
             \"route\":\"/hello\"}}'\n",
        );
        text.push_str(&self.tokens.as_ref().map_or_else(String::new, Tokens::minting));
        text
    }
}

/// `950`, `1.2 k`, `3.4 M`.
fn count(number: u64) -> String {
    let number = number as f64;
    match number {
        n if n < 1e3 => format!("{n}"),
        n if n < 1e6 => format!("{:.1} k", n / 1e3),
        n if n < 1e9 => format!("{:.1} M", n / 1e6),
        n => format!("{:.1} G", n / 1e9),
    }
}

/// `40 s`, `5 min`, `3 h`, `3 d`.
fn age(age_ms: i64) -> String {
    match age_ms / 1_000 {
        secs if secs < 120 => format!("{} s", secs.max(0)),
        secs if secs < 7_200 => format!("{} min", secs / 60),
        secs if secs < 172_800 => format!("{} h", secs / 3_600),
        secs => format!("{} d", secs / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_ages_are_said_as_people_say_them() {
        assert_eq!([count(950), count(1_200_000)], ["950", "1.2 M"]);
        assert_eq!([age(40_000), age(3 * 86_400_000)], ["40 s", "3 d"]);
    }
}
