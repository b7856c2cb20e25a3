//! The settings as text: the example file, and what holds and where it came from.
//!
//! Never shows a secret. Called for `--print-config`, and by the test that keeps
//! `config/pulseboard.toml` equal to the defaults.

use std::fmt::Write as _;

use super::keys::{self, SECTIONS};
use super::layers::Values;
use super::raw::Raw;

/// The example file: every key at its default, its documentation above it.
pub(super) fn example() -> String {
    let mut text = String::from(
        "# Pulseboard's settings, each at its default. Copy what you change to ./pulseboard.toml or\n\
         # /etc/pulseboard/pulseboard.toml. An environment variable wins over this file, a flag over both:\n\
         # server.bind is PULSEBOARD_SERVER__BIND, data_dir is PULSEBOARD__DATA_DIR.\n\
         # `pulseboardd --print-config` shows what holds and where it came from.\n\
         # SIGHUP (systemctl reload) has these read again without dropping a socket:\n",
    );
    for live in keys::LIVE {
        writeln!(text, "#   {live}").expect("a String takes every write");
    }
    let fixed = keys::FIXED_LIMITS.join(" and ");
    writeln!(text, "#   everything in [limits], but not {fixed}")
        .expect("a String takes every write");
    for section in SECTIONS {
        text.push('\n');
        comment(&mut text, section.docs);
        match section.name.strip_suffix('.') {
            Some(name) => writeln!(text, "[{name}]\n"),
            None => writeln!(text),
        }
        .expect("a String takes every write");
        for key in section.keys {
            let name = key.name.strip_prefix(section.name).unwrap_or(key.name);
            comment(&mut text, key.docs);
            writeln!(text, "{name} = {}", (key.toml)(key.default))
                .expect("a String takes every write");
        }
    }
    text
}

fn comment(text: &mut String, docs: &[&str]) {
    for line in docs {
        text.push('#');
        text.push_str(line);
        text.push('\n');
    }
}

/// A line for each key: its value as TOML, and where it came from as a comment.
pub(super) fn effective(values: &Values) -> String {
    let rows: Vec<(String, String)> = keys::all()
        .map(|key| {
            let (raw, source) = values.of(key);
            let hidden = key.secret && raw != Raw::Text(String::new());
            let shown = if hidden { "\"***\"".to_owned() } else { raw.to_string() };
            (format!("{} = {shown}", key.name), source.to_string())
        })
        .collect();
    let width = rows.iter().map(|(value, _)| value.chars().count()).max().unwrap_or(0);
    rows.iter().fold(String::new(), |mut text, (value, source)| {
        writeln!(text, "{value:width$}  # {source}").expect("a String takes every write");
        text
    })
}
