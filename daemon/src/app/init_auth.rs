//! `pulseboardd --init-auth`: makes a secret and the first two tokens, and says what to do with
//! them.
//!
//! Overwrites nothing and asks nothing of a daemon that runs. Prints through `main`; the text is
//! the one place where a token is shown.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use pulseboard::claims::Claims;

use super::{StartError, data_dir};
use crate::auth::{mint, new_secret};
use crate::clock::Clock;
use crate::config::{ConfigError, Loaded};

/// How long the first tokens last.
const TOKEN_DAYS: i64 = 90;

/// Makes the secret; what to print. `loaded` was read without the secrets its files hold.
pub fn init_auth(loaded: &Loaded) -> Result<String, StartError> {
    let place = Place::of(loaded).map_err(|error| StartError::Refused(error.to_string()))?;
    let secret = new_secret().map_err(|error| {
        StartError::Failed(format!("the system gives no random numbers: {error}"))
    })?;
    if !place.named {
        data_dir::make(loaded.config.general.data_dir()).map_err(|error| {
            let path = loaded.config.general.data_dir().display();
            StartError::Refused(format!("data_dir: {path} cannot be made: {error}"))
        })?;
    }
    write_new(&place.path, &secret).map_err(|error| place.refused(&error))?;
    let path = fs::canonicalize(&place.path).unwrap_or_else(|_| place.path.clone());
    Ok(said(loaded, &place, &path, &secret))
}

/// Where the secret goes.
struct Place {
    path: PathBuf,
    /// Whether `auth.secret_file` names it; else it is where the daemon looks by itself.
    named: bool,
}

impl Place {
    fn of(loaded: &Loaded) -> Result<Self, ConfigError> {
        let auth = &loaded.config.auth;
        if auth.secret.is_some() {
            let problem = "it holds a secret already, which tokens can be minted with; take it \
                           away first to have another made";
            return Err(loaded.refusal("auth.secret", problem));
        }
        if auth.public_key_file.is_some() {
            let problem = "tokens are checked with a public key, so that whoever has its private \
                           key mints them; take it away first to have a secret made";
            return Err(loaded.refusal("auth.public_key_file", problem));
        }
        Ok(match &auth.secret_file {
            Some(path) => Self { path: path.clone(), named: true },
            None => Self { path: loaded.secret_in_data_dir(), named: false },
        })
    }

    fn refused(&self, error: &io::Error) -> StartError {
        let path = self.path.display();
        if error.kind() == io::ErrorKind::AlreadyExists {
            return StartError::Failed(format!(
                "{path} is there already and is left as it is; mint tokens from it with \
                 `PULSEBOARD_AUTH__SECRET_FILE={path} pulseboard token --scope read`, or remove it \
                 first to have another made, which ends every token of the old one"
            ));
        }
        let key = if self.named { "auth.secret_file" } else { "data_dir" };
        StartError::Refused(format!("{key}: {path} cannot be written: {error}"))
    }
}

/// Writes a file that only its owner may read, in full or not at all.
fn write_new(path: &Path, secret: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = writeln!(file, "{secret}").and_then(|()| file.sync_all());
    if let Err(error) = written {
        // Half a secret would be taken for a short one.
        let _ = fs::remove_file(path);
        return Err(error);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn said(loaded: &Loaded, place: &Place, path: &Path, secret: &str) -> String {
    let config = &loaded.config;
    let now = Clock::system().now_ms() / 1_000;
    let exp = now + TOKEN_DAYS * 86_400;
    let token = |sub: &str, scope: &str| {
        let claims = Claims {
            sub: sub.to_owned(),
            scope: scope.to_owned(),
            iat: now,
            exp,
            iss: config.auth.iss.clone(),
            aud: config.auth.aud.clone(),
            rate: None,
            site: None,
        };
        mint(&claims, secret.as_bytes())
    };
    let (read, ingest) = (token("dashboard", "read"), token("sender", "ingest"));
    let until = jiff::Timestamp::from_second(exp)
        .map_or_else(|_| format!("{TOKEN_DAYS} days"), |end| end.strftime("%Y-%m-%d").to_string());
    let path = path.display();
    let next = if place.named {
        "The daemon takes it at its next start: auth.secret_file names it already. A running one\n\
         with another secret takes it on SIGHUP.\n"
            .to_owned()
    } else {
        format!(
            "The daemon takes it by itself at its next start, since it lies in the data directory.\n\
             To keep it elsewhere, move the file and say where in the configuration:\n\n\
             \x20 [auth]\n  secret_file = \"{path}\"\n"
        )
    };
    let url = url(config.server.bind);
    format!(
        "A new secret is in {path}, for your eyes only (0600). Whoever reads it can mint tokens.\n\n\
         {next}\n\
         To watch (scope read, until {until}):\n\n  {read}\n\n\
         To send events (scope ingest, until {until}):\n\n  {ingest}\n\n\
         Once the daemon runs, try:\n\n\
         \x20 curl {url}/api/events -H 'Content-Type: application/json' \\\n\
         \x20   -d '{{\"type\":\"page_view\",\"route\":\"/hello\"}}' \\\n\
         \x20   -H 'Authorization: Bearer {ingest}'\n\n\
         \x20 PULSEBOARD_TOKEN={read} pulseboard --url {url}\n\n\
         More tokens: PULSEBOARD_AUTH__SECRET_FILE={path} pulseboard token --scope \"read ingest\"\n"
    )
}

/// Where to reach a daemon that listens there.
fn url(bind: SocketAddr) -> String {
    if bind.ip().is_unspecified() {
        format!("http://127.0.0.1:{}", bind.port())
    } else {
        format!("http://{bind}")
    }
}
