//! What a person who writes settings meets: layers, refusals, the example file, what is printed.

use std::fs;
use std::path::PathBuf;

use super::{Given, Loaded, StoreKind, load};

/// Settings written to a file, in a directory that lasts as long as the value.
struct Written {
    dir: tempfile::TempDir,
}

impl Written {
    fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("pulseboard.toml"), text).unwrap();
        Self { dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("pulseboard.toml")
    }

    fn given(&self) -> Given {
        Given { config: Some(self.path()), ..Given::default() }
    }

    /// The refusal, with the file's own path shortened to its name.
    fn refusal(&self) -> String {
        let error = match load(&self.given()) {
            Ok(loaded) => loaded.may_start().unwrap_err(),
            Err(error) => error,
        };
        error.to_string().replace(&self.path().display().to_string(), "pulseboard.toml")
    }
}

fn variables(pairs: &[(&str, &str)]) -> Given {
    let owned = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Given { environment: owned.collect(), ..Given::default() }
}

fn printed(loaded: &Loaded, key: &str) -> String {
    let text = loaded.print();
    let line = text.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap();
    let (value, source) = line.split_once("  # ").unwrap();
    format!("{} # {source}", value.trim_end())
}

#[test]
fn the_example_file_is_every_default() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../config/pulseboard.toml");
    if std::env::var_os("UPDATE_EXAMPLE").is_some() {
        fs::write(&path, super::example()).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        kept,
        super::example(),
        "config/pulseboard.toml differs from the registry; write it anew with UPDATE_EXAMPLE=1"
    );
    let loaded = load(&Given { config: Some(path), ..Given::default() }).unwrap();
    loaded.may_start().unwrap();
    let defaults = load(&Given::default()).unwrap();
    assert_eq!(format!("{:?}", loaded.config), format!("{:?}", defaults.config));
}

#[test]
fn the_defaults_are_those_of_the_contract() {
    let config = load(&Given::default()).unwrap().config;
    assert_eq!(config.server.bind.to_string(), "127.0.0.1:3000");
    assert_eq!(config.store.kind, StoreKind::Embedded);
    assert_eq!(config.general.data_dir(), "./pulseboard-data");
    let windows: Vec<u32> = config.general.windows.iter().map(|window| window.secs).collect();
    assert_eq!(windows, [1, 5, 60]);
    assert_eq!(config.limits.event_bytes, 16_384);
    assert_eq!(config.limits.batch_events, pulseboard::limits::BATCH_EVENTS);
    assert_eq!(config.limits.body_bytes as usize, pulseboard::limits::BODY_BYTES);
    assert_eq!(config.limits.publish_bytes as usize, pulseboard::limits::PUBLISH_BYTES);
    assert_eq!(config.limits.frame_bytes as usize, pulseboard::limits::FRAME_BYTES);
    assert_eq!(config.limits.routes, pulseboard::limits::ROUTES_PER_TICK);
    assert_eq!(config.limits.rooms_per_socket, pulseboard::limits::ROOMS_PER_SOCKET);
    assert_eq!(config.limits.socket_inflight, pulseboard::limits::SOCKET_INFLIGHT);
    assert_eq!(config.dedupe.horizon.as_millis() as i64, pulseboard::limits::HORIZON_MS);
    assert_eq!(config.late.live_age.as_millis() as i64, pulseboard::limits::LIVE_AGE_MS);
    assert_eq!(config.late.ahead.as_millis() as i64, pulseboard::limits::AHEAD_MS);
    assert_eq!(config.retention.max_bytes, 20 << 30);
    assert_eq!(config.import.max_age, None);
}

#[test]
fn a_later_layer_wins_and_print_config_says_which() {
    let written =
        Written::new("[server]\nbind = \"127.0.0.1:1\"\n[limits]\nroutes = 7\nviews = 64\n");
    let mut given = written.given();
    given.environment = variables(&[
        ("PULSEBOARD_SERVER__BIND", "127.0.0.1:2"),
        ("PULSEBOARD_LIMITS__BATCH_EVENTS", "20_000"),
        ("PULSEBOARD__WINDOWS", "2s, 10s"),
        ("PULSEBOARD_TOKEN", "names without two underscores are not settings"),
        ("PULSEBOARD_URL", "http://127.0.0.1:3000"),
    ])
    .environment;
    given.flags = vec![("server.bind", "bind", "127.0.0.1:3".to_owned())];
    let loaded = load(&given).unwrap();
    loaded.may_start().unwrap();
    let file = written.path().display().to_string();
    assert_eq!(
        printed(&loaded, "server.bind"),
        "server.bind = \"127.0.0.1:3\" # command line, --bind"
    );
    assert_eq!(printed(&loaded, "limits.routes"), format!("limits.routes = 7 # {file}, line 4"));
    assert_eq!(
        printed(&loaded, "windows"),
        "windows = \"2s, 10s\" # environment, PULSEBOARD__WINDOWS"
    );
    assert_eq!(
        printed(&loaded, "limits.event_bytes"),
        "limits.event_bytes = \"16 KiB\" # built-in"
    );
    assert_eq!(loaded.config.server.bind.port(), 3);
    assert_eq!(loaded.config.limits.batch_events, 20_000);
}

#[test]
fn the_data_directory_follows_systemd_unless_it_is_set() {
    let mut given =
        Given { state_directory: Some("/var/lib/pulseboard:/x".into()), ..Given::default() };
    let of = |given: &Given| load(given).unwrap().config.general.data_dir().to_owned();
    assert_eq!(of(&given), PathBuf::from("/var/lib/pulseboard"));
    given.environment = variables(&[("PULSEBOARD__DATA_DIR", "/srv/p")]).environment;
    assert_eq!(of(&given), PathBuf::from("/srv/p"));
}

#[test]
fn a_bad_value_names_key_value_file_and_line() {
    for (text, refusal) in [
        (
            "# comment\n[limits]\n\nbatch_events = \"ten\"\n",
            "limits.batch_events: \"ten\" is not a number (pulseboard.toml, line 4)",
        ),
        (
            "[limits]\nbatch_events = -1",
            "limits.batch_events: -1 is negative (pulseboard.toml, line 2)",
        ),
        (
            "limits.batch_events = 0",
            "limits.batch_events: 0 is too little; at least 1 (pulseboard.toml, line 1)",
        ),
        (
            "[dedupe]\nhorizon = \"10s\"",
            "dedupe.horizon: 10s is too little; at least 65s (pulseboard.toml, line 2)",
        ),
        (
            "[limits]\nheader_timeout = 10",
            "limits.header_timeout: 10 is not a duration such as 500ms, 10s, 5m, 24h or 7d \
             (pulseboard.toml, line 2)",
        ),
        (
            "[server]\nbind = 3000",
            "server.bind: \"3000\" is not an address and port such as 127.0.0.1:3000 \
             (pulseboard.toml, line 2)",
        ),
        (
            "[store]\nkind = \"sqlite\"",
            "store.kind: \"sqlite\" is not one of embedded, mongodb (pulseboard.toml, line 2)",
        ),
        ("windows = []", "windows: too few entries; at least 1 (pulseboard.toml, line 1)"),
        ("windows = [\"5s\", \"5s\"]", "windows: \"5s\" stands twice (pulseboard.toml, line 1)"),
        (
            "[routes]\nnormalise = \"perhaps\"",
            "routes.normalise: \"perhaps\" is not true or false (pulseboard.toml, line 2)",
        ),
        ("data_dir = [\"a\"]", "data_dir: [\"a\"] is not text (pulseboard.toml, line 1)"),
        ("[server.bind]\nport = 1", "server.bind: a table is not text (pulseboard.toml, line 1)"),
    ] {
        assert_eq!(Written::new(text).refusal(), refusal);
    }
}

#[test]
fn a_name_that_would_not_fit_in_a_line_is_refused() {
    let said = "node.name: at most 128 bytes, and no control characters (pulseboard.toml, line 2)";
    for name in ["x".repeat(129), "two\\nlines".to_owned()] {
        assert_eq!(Written::new(&format!("[node]\nname = \"{name}\"\n")).refusal(), said);
    }
}

#[test]
fn an_unknown_key_names_the_one_that_was_meant() {
    for (text, refusal) in [
        (
            "\n[limits]\nbatch_event = 10",
            "limits.batch_event: no such setting; did you mean limits.batch_events? \
             (pulseboard.toml, line 3)",
        ),
        (
            "bind = \"127.0.0.1:1\"",
            "bind: no such setting; did you mean server.bind? (pulseboard.toml, line 1)",
        ),
        ("[weather]\nsunny = true", "weather.sunny: no such setting (pulseboard.toml, line 2)"),
        ("[weather]", "weather: no such setting (pulseboard.toml, line 1)"),
    ] {
        assert_eq!(Written::new(text).refusal(), refusal);
    }
    let error = load(&variables(&[("PULSEBOARD_SERVER__BINT", "127.0.0.1:1")])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "server.bint: no such setting; did you mean server.bind? \
         (environment, PULSEBOARD_SERVER__BINT)"
    );
}

#[test]
fn a_file_that_is_not_toml_is_one_line_with_its_place() {
    let refusal = Written::new("[server]\nbind = \n").refusal();
    assert!(refusal.ends_with("(pulseboard.toml, line 2)"), "{refusal}");
    assert!(!refusal.contains('\n'), "{refusal}");
    let twice = Written::new("[log]\nlevel = \"info\"\nlevel = \"warn\"\n").refusal();
    assert!(twice.ends_with("(pulseboard.toml, line 3)"), "{twice}");
}

#[test]
fn a_named_file_that_is_missing_is_refused_and_a_usual_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing.toml");
    let error = load(&Given { config: Some(missing.clone()), ..Given::default() }).unwrap_err();
    assert!(error.to_string().starts_with("--config: "), "{error}");
    assert!(error.to_string().contains("missing.toml could not be read"), "{error}");
    let usual = Given { usual_files: vec![missing], ..Given::default() };
    assert_eq!(load(&usual).unwrap().file, None);
    let directory = Given { config: Some(dir.path().to_owned()), ..Given::default() };
    assert!(load(&directory).unwrap_err().to_string().ends_with("it is a directory"));
}

#[test]
fn a_secret_comes_from_its_file_and_is_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    fs::write(&file, "0123456789abcdef0123456789abcdef\n").unwrap();
    let file = file.display().to_string();
    let loaded = load(&variables(&[("PULSEBOARD_AUTH__SECRET_FILE", &file)])).unwrap();
    let secret = loaded.config.auth.secret.as_ref().unwrap();
    assert_eq!(secret.expose(), "0123456789abcdef0123456789abcdef");
    assert!(!format!("{loaded:?}").contains("0123"));
    let in_environment =
        variables(&[("PULSEBOARD_AUTH__SECRET", "0123456789abcdef0123456789abcdef")]);
    let loaded_from_it = load(&in_environment).unwrap();
    assert!(!format!("{in_environment:?} {loaded_from_it:?}").contains("0123"));
    assert!(!loaded.print().contains("0123"));
    assert!(printed(&loaded, "auth.secret").starts_with("auth.secret = \"***\" # environment"));

    let both =
        variables(&[("PULSEBOARD_AUTH__SECRET_FILE", &file), ("PULSEBOARD_AUTH__SECRET", "other")]);
    let error = load(&both).unwrap_err().to_string();
    assert!(error.contains("auth.secret_file is set too"), "{error}");
    let missing = variables(&[("PULSEBOARD_AUTH__SECRET_FILE", "/nowhere/secret")]);
    let error = load(&missing).unwrap_err().to_string();
    assert!(error.starts_with("auth.secret_file: /nowhere/secret could not be read"), "{error}");
}

#[test]
fn what_this_build_lacks_is_refused_and_its_default_is_not() {
    for (text, key) in
        [("[late]\nlive_age = \"30s\"", "late.live_age"), ("[late]\nahead = \"1m\"", "late.ahead")]
    {
        let refusal = Written::new(text).refusal();
        assert!(refusal.starts_with(&format!("{key}: not available: ")), "{refusal}");
        assert!(refusal.ends_with("(pulseboard.toml, line 2)"), "{refusal}");
    }
    let same =
        variables(&[("PULSEBOARD_STORE__KIND", "embedded"), ("PULSEBOARD_LIMITS__VIEWS", "64")]);
    load(&same).unwrap().may_start().unwrap();
}

#[test]
fn a_secret_and_a_public_key_are_one_too_many() {
    let refusal = Written::new(
        "[auth]\nsecret = \"0123456789abcdef0123456789abcdef\"\npublic_key_file = \"key.pem\"",
    );
    assert_eq!(
        refusal.refusal(),
        "auth.public_key_file: auth.secret is set too; tokens are checked with one key \
         (pulseboard.toml, line 3)"
    );
}

#[test]
fn a_secret_in_the_data_directory_is_found_unless_a_key_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("auth.secret"), "0123456789abcdef0123456789abcdef\n").unwrap();
    let data_dir = dir.path().display().to_string();
    let loaded = load(&variables(&[("PULSEBOARD__DATA_DIR", &data_dir)])).unwrap();
    assert!(loaded.config.auth.secret.is_some());
    assert!(printed(&loaded, "auth.secret_file").ends_with("# data directory, auth.secret"));
    let named = variables(&[
        ("PULSEBOARD__DATA_DIR", &data_dir),
        ("PULSEBOARD_AUTH__PUBLIC_KEY_FILE", "key.pem"),
    ]);
    assert!(load(&named).unwrap().config.auth.secret.is_none());
}

#[test]
fn a_relative_file_is_taken_from_systemds_credentials_where_it_is_there() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("secret"), "0123456789abcdef0123456789abcdef\n").unwrap();
    let mut given = variables(&[
        ("PULSEBOARD_AUTH__SECRET_FILE", "secret"),
        ("PULSEBOARD_STORE__MONGODB__URI_FILE", "/absolute"),
    ]);
    assert!(load(&given).is_err(), "there is none in the working directory");
    given.environment.pop();
    given.credentials_directory = Some(dir.path().to_owned());
    let loaded = load(&given).unwrap();
    assert!(loaded.config.auth.secret.is_some());
    assert!(printed(&loaded, "auth.secret_file").contains(&dir.path().display().to_string()));
}

#[test]
fn what_takes_effect_without_a_restart_are_keys_there_are() {
    use super::keys::{ABOUT_KEYS, FIXED_LIMITS, LIVE};
    for live in LIVE.iter().chain(&FIXED_LIMITS).chain(&ABOUT_KEYS) {
        assert!(super::keys::find(live).is_some(), "{live}");
    }
    assert!(super::Loaded::is_live("limits.body_bytes"));
    assert!(!super::Loaded::is_live("limits.routes") && !super::Loaded::is_live("log.level"));
}

#[test]
fn what_changed_is_known_by_key_even_for_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    let written = Written::new(&format!(
        "[auth]\nsecret_file = {:?}\n[limits]\nroutes = 7\n",
        file.display().to_string()
    ));
    fs::write(&file, "0123456789abcdef0123456789abcdef\n").unwrap();
    let before = load(&written.given()).unwrap();
    assert!(before.again().unwrap().changed_since(&before).is_empty());
    fs::write(&file, "fedcba9876543210fedcba9876543210\n").unwrap();
    let text = fs::read_to_string(written.path()).unwrap().replace("routes = 7", "routes = 8");
    fs::write(written.path(), text).unwrap();
    let after = before.again().unwrap();
    assert_eq!(after.changed_since(&before), ["auth.secret", "limits.routes"]);
}

#[test]
fn an_address_beyond_this_machine_needs_a_key() {
    for bind in ["0.0.0.0:3000", "[::]:3000", "192.0.2.1:80"] {
        let loaded = load(&variables(&[("PULSEBOARD_SERVER__BIND", bind)])).unwrap();
        let refusal = loaded.may_start().unwrap_err().to_string();
        assert!(
            refusal.starts_with("server.bind: ") && refusal.contains("--init-auth"),
            "{refusal}"
        );
        assert!(refusal.ends_with("(environment, PULSEBOARD_SERVER__BIND)"), "{refusal}");
    }
    for bind in ["127.0.0.1:0", "127.8.8.8:1", "[::1]:3000", "[::ffff:127.0.0.1]:3000"] {
        load(&variables(&[("PULSEBOARD_SERVER__BIND", bind)])).unwrap().may_start().unwrap();
    }
}

#[test]
fn the_command_line_describes_itself_on_one_screen() {
    super::command().debug_assert();
    let help = super::command().render_help().to_string();
    assert!(help.lines().count() <= 40, "{help}");
}
