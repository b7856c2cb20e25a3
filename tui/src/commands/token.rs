//! `pulseboard token`: mints a token with the daemon's secret and prints it alone on stdout; what it
//! is for goes to stderr. Talks to no daemon, writes no file, and keeps nothing.

mod secret;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use pulseboard::claims::{Claims, Scope, Scopes};
use pulseboard::validate;

use crate::clock;
use crate::commands::say;

use secret::Secret;
pub use secret::SecretError;

const DAY_SECS: u64 = 86_400;
/// Ten years: past that, mint a new one.
const TTL_SECS_MAX: u64 = 3_650 * DAY_SECS;
const SUB_BYTES_MAX: usize = 128;

const EXAMPLES: &str = "\
Examples:
  export PULSEBOARD_AUTH__SECRET_FILE=/etc/pulseboard/secret
  pulseboard token --scope read > token               for a dashboard: --token-file token
  pulseboard token --scope ingest --sub shop --site shop --rate 2000 --ttl 365d
  pulseboard token --new-secret > secret              a secret for the daemon, for a start

Without a secret it takes auth.secret of the daemon's usual data directory, where
pulseboardd --init-auth writes one.";

/// What `token` takes.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What it allows: read, ingest, admin (which includes both), or several: "read ingest"
    #[arg(long, value_name = "SCOPES", value_parser = parse_scopes, required_unless_present = "new_secret")]
    pub scope: Option<Scopes>,
    /// Whose it is; rates are counted by it [default: a new name]
    #[arg(long, value_name = "NAME", value_parser = parse_sub)]
    pub sub: Option<String>,
    /// How long it holds, like 12h, 90d or 52w, at most ten years
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = parse_ttl)]
    pub ttl: Duration,
    /// Events a second it may send, in place of the daemon's limits
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000_000))]
    pub rate: Option<u32>,
    /// The one site it may write and see
    #[arg(long, value_name = "SITE", value_parser = parse_site)]
    pub site: Option<String>,
    /// Who mints it, where the daemon has auth.iss, or PULSEBOARD_AUTH__ISS
    #[arg(long, value_name = "NAME", env = "PULSEBOARD_AUTH__ISS", hide_env = true)]
    pub iss: Option<String>,
    /// Whom it is for, where the daemon has auth.aud, or PULSEBOARD_AUTH__AUD
    #[arg(long, value_name = "NAME", env = "PULSEBOARD_AUTH__AUD", hide_env = true)]
    pub aud: Option<String>,
    /// Print a new secret for the daemon instead
    #[arg(long, conflicts_with_all = ["scope", "sub", "rate", "site"])]
    pub new_secret: bool,
}

/// Prints a token, or a secret.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    if args.new_secret {
        say::line(format_args!("{}", secret::new()?));
        say::aside(format_args!(
            "a new secret of 256 bits; keep it in a file only the daemon can read (chmod 600) and \
             name that as auth.secret_file"
        ));
        return Ok(ExitCode::SUCCESS);
    }
    let secret = Secret::find(|name| std::env::var_os(name))?;
    if let Some(warning) = secret.warning() {
        say::aside(format_args!("warning: {warning}"));
    }
    let claims = claims(args, clock::unix_ms() / 1_000);
    let token = sign(&claims, &secret)?;
    say::line(format_args!("{token}"));
    say::aside(format_args!("{}", sentence(&claims, secret.origin())));
    Ok(ExitCode::SUCCESS)
}

fn claims(args: Args, now_secs: i64) -> Claims {
    let scopes = args.scope.unwrap_or_default();
    let is_set = |text: &String| !text.is_empty();
    Claims {
        // Two tokens of one name share their rates, so each gets its own unless asked otherwise.
        sub: args.sub.unwrap_or_else(|| {
            let scopes = scopes.to_string().replace(' ', "-");
            format!("{scopes}-{:08x}", rand::random::<u32>())
        }),
        scope: scopes.to_string(),
        iat: now_secs,
        exp: now_secs + args.ttl.as_secs() as i64,
        iss: args.iss.filter(is_set),
        aud: args.aud.filter(is_set),
        rate: args.rate,
        site: args.site,
    }
}

fn sign(claims: &Claims, secret: &Secret) -> anyhow::Result<String> {
    let key = EncodingKey::from_secret(secret.expose());
    encode(&Header::new(Algorithm::HS256), claims, &key).context("could not sign the token")
}

/// For whom, what, until when.
fn sentence(claims: &Claims, signed_with: &str) -> String {
    let until = jiff::Timestamp::from_second(claims.exp).map_or_else(
        |_| claims.exp.to_string(),
        |at| at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
    );
    let mut text = format!("for {}, to {}", claims.sub, claims.scope.replace(' ', " and "));
    if let Some(site) = &claims.site {
        text = format!("{text} site {site} alone");
    }
    if let Some(rate) = claims.rate {
        text = format!("{text}, up to {} a second", say::counted(rate.into(), "event"));
    }
    format!(
        "{text}, until {until} ({}); signed with {signed_with}",
        lasting((claims.exp - claims.iat).unsigned_abs())
    )
}

/// `90 d`, `12 h`, `30 min`, `45 s`.
fn lasting(secs: u64) -> String {
    match secs {
        _ if secs.is_multiple_of(DAY_SECS) => format!("{} d", say::count(secs / DAY_SECS)),
        _ if secs.is_multiple_of(3_600) => format!("{} h", say::count(secs / 3_600)),
        _ if secs.is_multiple_of(60) => format!("{} min", say::count(secs / 60)),
        _ => format!("{} s", say::count(secs)),
    }
}

fn parse_scopes(text: &str) -> Result<Scopes, String> {
    let known = || Scope::ALL.map(Scope::as_str).join(", ");
    let one = |word: &str| {
        let scope = Scope::ALL.into_iter().find(|scope| scope.as_str() == word);
        scope.ok_or_else(|| format!("\"{word}\" is no scope; there are {}", known()))
    };
    let words = text.split([' ', ',', '\t']).filter(|word| !word.is_empty());
    let scopes = words.map(one).collect::<Result<Scopes, _>>()?;
    if scopes.is_empty() { Err(format!("name at least one of {}", known())) } else { Ok(scopes) }
}

fn parse_sub(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > SUB_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(format!("a name of 1 to {SUB_BYTES_MAX} bytes, without control characters"));
    }
    Ok(text.to_owned())
}

fn parse_site(text: &str) -> Result<String, String> {
    validate::site(text, None)
        .map(|()| text.to_owned())
        .map_err(|_| "1 to 64 of a-z 0-9 . _ -".to_owned())
}

fn parse_ttl(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let unit_secs = match &text[digits.len()..] {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "d" => DAY_SECS,
        "w" => 7 * DAY_SECS,
        _ => return Err("write it like 30m, 12h, 90d or 52w".to_owned()),
    };
    let number: u64 =
        digits.parse().map_err(|_| "write it like 30m, 12h, 90d or 52w".to_owned())?;
    let secs = number.saturating_mul(unit_secs);
    if (1..=TTL_SECS_MAX).contains(&secs) {
        Ok(Duration::from_secs(secs))
    } else {
        Err("more than nothing, and at most ten years (3650d)".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::token::Token;

    fn args(more: &[&str]) -> Result<Args, clap::Error> {
        let cli = Cli::try_parse_from([&["pulseboard", "token"], more].concat())?;
        match cli.command {
            Some(Command::Token(args)) => Ok(args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_token_carries_what_was_asked_for() {
        let args = args(&[
            "--scope",
            "ingest,read",
            "--sub",
            "shop",
            "--ttl",
            "12h",
            "--rate",
            "2000",
            "--site",
            "shop",
            "--iss",
            "me",
            "--aud",
            "",
        ]);
        let claims = claims(args.unwrap(), 1_000);
        let expected = Claims {
            sub: "shop".into(),
            scope: "read ingest".into(),
            iat: 1_000,
            exp: 44_200,
            iss: Some("me".into()),
            aud: None,
            rate: Some(2_000),
            site: Some("shop".into()),
        };
        assert_eq!(claims, expected);
        assert_eq!(
            sentence(&claims, "PULSEBOARD_AUTH__SECRET"),
            "for shop, to read and ingest site shop alone, up to 2,000 events a second, until \
             1970-01-01 12:16 UTC (12 h); signed with PULSEBOARD_AUTH__SECRET"
        );
        let secret = Secret::given("0123456789abcdef0123456789abcdef").unwrap();
        let token = sign(&claims, &secret).unwrap();
        let says = Token::read(&token, "--token").unwrap().unwrap().says().unwrap();
        assert_eq!((says.subject.as_str(), says.expires_ms), ("shop", Some(44_200_000)));
    }

    #[test]
    fn each_wrong_value_names_its_flag_and_what_to_write() {
        for (flag, value, said) in [
            ("--scope", "write", "\"write\" is no scope; there are read, ingest, admin"),
            ("--scope", " ", "name at least one of"),
            ("--ttl", "soon", "write it like 30m"),
            ("--ttl", "90", "write it like 30m"),
            ("--ttl", "0d", "at most ten years"),
            ("--ttl", "99999999999999999999w", "write it like"),
            ("--ttl", "4000d", "at most ten years"),
            ("--site", "Shop!", "a-z 0-9 . _ -"),
            ("--rate", "0", "1..=1000000000"),
            ("--rate", "-3", "--rate"),
            ("--sub", "", "1 to 128 bytes"),
        ] {
            let scope = if flag == "--scope" { vec![] } else { vec!["--scope", "read"] };
            let given = format!("{flag}={value}");
            let error = args(&[&scope[..], &[given.as_str()]].concat()).unwrap_err();
            let text = error.to_string();
            assert_eq!(error.exit_code(), 2);
            assert!(text.contains(flag) && text.contains(said), "{flag} {value}: {text}");
        }
        assert!(args(&[]).unwrap_err().to_string().contains("--scope"));
        assert!(args(&["--new-secret", "--scope", "read"]).is_err());
    }

    #[test]
    fn tokens_without_a_name_do_not_share_one() {
        let name = || claims(args(&["--scope", "read"]).unwrap(), 0).sub;
        let (one, other) = (name(), name());
        assert!(one.starts_with("read-") && one != other, "{one} {other}");
    }

    #[test]
    fn the_help_fits_a_screen() {
        let help = args(&["--help"]).unwrap_err().to_string();
        assert!(help.lines().count() <= 36, "{help}");
        assert!(help.contains("Examples:"));
    }
}
