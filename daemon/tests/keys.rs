//! Keys as an operator meets them: which are refused and how, `--init-auth`, and where a secret may
//! lie. The daemon's own command line, from nothing.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on has failed")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::json;
use support::token::{SECRET, Signer, claims, pem};
use support::{Daemon, eventually, plain};

/// Its exit code and the one line it said on stderr.
fn refusal(output: &Output) -> (i32, String) {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(output.stdout.is_empty(), "it never became ready");
    assert_eq!(said.lines().count(), 1, "one line: {said}");
    (output.status.code().unwrap(), said.trim_end().to_owned())
}

/// The daemon in this folder, with this configuration.
fn configured(folder: &Path, toml: &str) -> Command {
    fs::write(folder.join("pulseboard.toml"), toml).unwrap();
    let mut command = plain();
    command.current_dir(folder).args(["--bind", "127.0.0.1:0"]);
    command
}

/// What it says when it is started, which must be what `--check-config` says.
fn refused(folder: &Path, toml: &str) -> String {
    let (code, said) = refusal(&configured(folder, toml).output().unwrap());
    assert_eq!(code, 2, "{said}");
    let checked = configured(folder, toml).arg("--check-config").output().unwrap();
    assert_eq!(refusal(&checked), (2, said.clone()));
    assert!(!folder.join("pulseboard-data").exists(), "nothing is made before");
    said.strip_prefix("error: ").unwrap().to_owned()
}

fn certificate() -> String {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    certified.cert.pem()
}

/// An RSA key too small for anybody to make one: its numbers alone count here.
fn small_rsa() -> String {
    let modulus = [&[0x02, 0x81, 0x80][..], &[0x7f; 128]].concat();
    let numbers = [&modulus[..], &[0x02, 0x03, 1, 0, 1]].concat();
    pem("RSA PUBLIC KEY", &[&[0x30, 0x81, numbers.len() as u8][..], &numbers].concat())
}

fn p384() -> String {
    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    pem("PUBLIC KEY", der.as_ref())
}

#[test]
fn what_is_no_public_key_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let good = Signer::new_es256().public_pem();
    let certificate = certificate();
    let x25519 =
        [&[0x30, 42, 0x30, 5, 0x06, 3, 0x2b, 0x65, 110, 0x03, 33, 0][..], &[7; 32]].concat();
    for (name, content, said) in [
        (
            "private key",
            pem("PRIVATE KEY", &[0x30, 0]),
            "it holds a private key, which the daemon must not have; write the public one with `openssl pkey",
        ),
        ("private key of RSA", pem("RSA PRIVATE KEY", &[0x30, 0]), "it holds a private key"),
        ("private key of EC", pem("EC PRIVATE KEY", &[0x30, 0]), "it holds a private key"),
        (
            "private key that is encrypted",
            pem("ENCRYPTED PRIVATE KEY", &[0x30, 0]),
            "it holds a private key",
        ),
        ("both halves", good.clone() + &pem("PRIVATE KEY", &[0x30, 0]), "it holds a private key"),
        (
            "certificate",
            certificate.clone(),
            "it holds a certificate; write the key of the one that signs with `openssl x509",
        ),
        ("chain", certificate.repeat(3), "it holds a chain of 3 certificates; "),
        ("two keys", good.repeat(2), "it holds 2 PEM blocks; it takes one public key"),
        ("nothing", String::new(), "it holds no PEM block"),
        ("a secret", SECRET.to_owned(), "it holds no PEM block"),
        ("a JWK", r#"{"kty":"RSA","n":"AQAB"}"#.to_owned(), "it holds no PEM block"),
        (
            "P-384",
            p384(),
            "it holds an ECDSA key on P-384; tokens are signed with RSA, ECDSA on P-256, or Ed25519",
        ),
        ("X25519", pem("PUBLIC KEY", &x25519), "it holds an X25519 key, which cannot sign"),
        (
            "RSA of 1023 bits",
            small_rsa(),
            "it holds an RSA key of 1023 bits; it takes 2048 to 8192",
        ),
        ("a request", pem("CERTIFICATE REQUEST", &[0x30, 0]), "it holds a certificate"),
        ("another block", pem("OPENSSH THING", &[0x30, 0]), "it holds a block of OPENSSH THING"),
        (
            "cut off",
            good[..good.len() / 2].to_owned(),
            "its public key cannot be read: the file is damaged",
        ),
        ("no base64", good.replace("MFkw", "MFk*"), "its public key cannot be read"),
    ] {
        let path = folder.path().join("key.pem");
        fs::write(&path, content).unwrap();
        let line = refused(folder.path(), "[auth]\npublic_key_file = \"key.pem\"\n");
        let starts = format!("auth.public_key_file: key.pem: {said}");
        assert!(line.starts_with(&starts), "{name}: {line}");
        assert!(line.ends_with("(./pulseboard.toml, line 2)"), "{name}: {line}");
    }
    let missing = refused(folder.path(), "[auth]\npublic_key_file = \"none.pem\"\n");
    assert!(missing.starts_with("auth.public_key_file: none.pem: could not be read"), "{missing}");
}

#[test]
fn a_public_key_is_taken_as_programs_write_it() {
    let folder = tempfile::tempdir().unwrap();
    let toml = "[auth]\npublic_key_file = \"key.pem\"\n";
    let rsa = Signer::new_rs256();
    let Signer::Rs256(pair) = &rsa else { panic!("RSA") };
    let pkcs1 = pem("RSA PUBLIC KEY", pair.public_key().as_ref());
    let good = rsa.public_pem();
    for (name, content) in [
        ("as it is", good.clone()),
        ("with CR LF", good.replace('\n', "\r\n")),
        ("with text before and after", format!("issued by ann\n{good}\nthe end\n")),
        ("PKCS #1", pkcs1),
        ("Ed25519", Signer::new_eddsa().public_pem()),
        ("P-256", Signer::new_es256().public_pem()),
    ] {
        fs::write(folder.path().join("key.pem"), content).unwrap();
        let output = configured(folder.path(), toml).arg("--check-config").output().unwrap();
        assert!(output.status.success(), "{name}: {output:?}");
    }
}

#[test]
fn secrets_that_are_short_or_not_alone_or_not_secret_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let key = Signer::new_rs256().public_pem();
    fs::write(folder.path().join("key.pem"), &key).unwrap();
    fs::write(folder.path().join("short"), "swordfish\n").unwrap();
    fs::write(folder.path().join("empty"), "\n").unwrap();
    fs::write(folder.path().join("good"), format!("{SECRET}\n")).unwrap();
    fs::write(folder.path().join("bytes"), [0xff; 40]).unwrap();
    for (toml, starts) in [
        ("secret = \"swordfish\"", "auth.secret: 9 bytes are too few to sign with; at least 32"),
        ("secret_file = \"short\"", "auth.secret_file: 9 bytes are too few to sign with"),
        ("secret_file = \"empty\"", "auth.secret_file: empty is empty"),
        (
            "secret_file = \"/dev/zero\"",
            "auth.secret_file: /dev/zero could not be read: it is over",
        ),
        ("public_key_file = \"/dev/zero\"", "auth.public_key_file: /dev/zero: is over 1 MiB"),
        ("secret_file = \"none\"", "auth.secret_file: none could not be read"),
        ("secret_file = \"bytes\"", "auth.secret_file: bytes could not be read: it is not UTF-8"),
        ("secret_file = \"key.pem\"", "auth.secret_file: this is a PEM file, not a secret"),
        ("secret_file = \"good\"\nsecret = \"x\"", "auth.secret: auth.secret_file is set too"),
        (
            "secret_file = \"good\"\npublic_key_file = \"key.pem\"",
            "auth.public_key_file: auth.secret_file is set too; tokens are checked with one key",
        ),
        ("secret = 7", "auth.secret: 1 bytes are too few"),
    ] {
        let line = refused(folder.path(), &format!("[auth]\n{toml}\n"));
        assert!(line.starts_with(starts), "{toml}: {line}");
        assert!(
            line.contains("(./pulseboard.toml, line ") || line.contains("could not be read"),
            "{line}"
        );
        assert!(!line.contains("swordfish"), "{line}");
    }
    for (toml, starts) in [
        ("\"two\\nlines\" = 1", "two lines: no such setting (./pulseboard.toml, line 1)"),
        ("[limits]\napi_per_minute = -1", "limits.api_per_minute: -1 is negative"),
        (
            "[server]\ntrusted_proxies = [\"10.0.0.0/33\"]",
            "server.trusted_proxies: \"10.0.0.0/33\" is not an address or network",
        ),
        (
            "[routes]\npatterns = [\"/a/**/b\"]",
            "routes.patterns: the pattern `/a/**/b` may have `**`",
        ),
        ("[server]\nallowed_origins = [\"*\"]", "server.allowed_origins: \"*\" is not an origin"),
    ] {
        let line = refused(folder.path(), &format!("{toml}\n"));
        assert!(line.starts_with(starts), "{line}");
    }
}

#[test]
fn a_public_address_is_taken_with_a_key_and_refused_without() {
    let folder = tempfile::tempdir().unwrap();
    let bind = |toml: &str| {
        fs::write(folder.path().join("pulseboard.toml"), toml).unwrap();
        let mut command = plain();
        command.current_dir(folder.path()).args(["--bind", "0.0.0.0:0", "--check-config"]);
        command.output().unwrap()
    };
    let (code, said) = refusal(&bind(""));
    assert_eq!(code, 2);
    assert!(said.starts_with("error: server.bind: 0.0.0.0:0 can be reached"), "{said}");
    assert!(said.contains("--init-auth"), "{said}");
    assert!(bind(&format!("auth.secret = {SECRET:?}\n")).status.success());
}

#[test]
fn a_secret_that_everyone_can_read_is_warned_about_and_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    fs::write(&path, SECRET).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let toml = "[auth]\nsecret_file = \"secret\"\n";
    let output = configured(folder.path(), toml).arg("--check-config").output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("warning: auth.secret_file: every user of this machine can read secret"),
        "{said}"
    );
    let daemon = Daemon::spawn(configured(folder.path(), toml));
    eventually("the warning", || daemon.stderr().contains("chmod 600 secret").then_some(()));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let output = configured(folder.path(), toml).arg("--check-config").output().unwrap();
    assert!(!String::from_utf8(output.stdout).unwrap().contains("warning"));
    let toml = format!("[auth]\nsecret = {SECRET:?}\n");
    let mut command = configured(folder.path(), &toml);
    let file = folder.path().join("pulseboard.toml");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let said = String::from_utf8(command.arg("--check-config").output().unwrap().stdout).unwrap();
    assert!(said.contains("warning: auth.secret: every user of this machine can read "), "{said}");
    assert!(!said.contains(SECRET), "{said}");
}

#[test]
fn a_secret_may_come_from_systemds_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let credentials = tempfile::tempdir().unwrap();
    fs::write(credentials.path().join("auth.secret"), SECRET).unwrap();
    let mut command = configured(folder.path(), "[auth]\nsecret_file = \"auth.secret\"\n");
    command.env("CREDENTIALS_DIRECTORY", credentials.path());
    let daemon = Daemon::spawn(command);
    assert_eq!(ask(&daemon, &Signer::secret(SECRET).token(&claims("ann", "read"))), 200);
    assert_eq!(ask(&daemon, ""), 401);
}

/// The status of something that needs a token.
fn ask(daemon: &Daemon, token: &str) -> u16 {
    let head = format!(
        "GET /api/history HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    );
    daemon.send(&head, b"").status
}

/// What `--init-auth` said, and the tokens in it.
fn init_auth(folder: &Path, settings: &[(&str, &str)]) -> (String, Vec<String>) {
    let mut command = plain();
    command.current_dir(folder).arg("--init-auth").envs(settings.iter().copied());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let tokens = said.lines().filter(|line| line.starts_with("  eyJ"));
    (said.clone(), tokens.map(|line| line.trim().to_owned()).collect())
}

#[test]
fn init_auth_then_a_plain_start_is_all_it_takes() {
    let folder = tempfile::tempdir().unwrap();
    let (said, tokens) = init_auth(folder.path(), &[]);
    let path = folder.path().join("pulseboard-data/auth.secret");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let dir = fs::metadata(folder.path().join("pulseboard-data")).unwrap();
    assert_eq!(dir.permissions().mode() & 0o777, 0o700);
    let secret = fs::read_to_string(&path).unwrap();
    assert_eq!(secret.trim().len(), 64);
    assert!(!said.contains(secret.trim()), "the secret itself is not shown");
    assert!(said.contains("curl http://127.0.0.1:3000/api/events"), "{said}");

    let daemon = Daemon::spawn(configured(folder.path(), ""));
    eventually("the greeting", || daemon.stderr().contains("tokens, HS256 with ").then_some(()));
    assert!(!daemon.stderr().contains("dev mode"), "{}", daemon.stderr());
    assert_eq!(ask(&daemon, ""), 401);
    let [read, ingest] = tokens.as_slice() else { panic!("two tokens: {said}") };
    assert_eq!(ask(&daemon, read), 200);
    assert_eq!(ask(&daemon, ingest), 403);
    let event = json!({"type": "page_view", "route": "/hello"}).to_string();
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let post =
        |token: &str| daemon.post_to("/api/events", "application/json", &bearer(token), &event);
    assert_eq!(post(ingest).status, 201);
    assert_eq!(post(read).status, 403);

    let again = plain().current_dir(folder.path()).arg("--init-auth").output().unwrap();
    let (code, line) = refusal(&again);
    assert_eq!(code, 1);
    assert!(line.contains("is there already and is left as it is"), "{line}");
    assert_eq!(fs::read_to_string(&path).unwrap(), secret);
}

#[test]
fn init_auth_writes_where_the_settings_say_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.txt");
    let named = path.display().to_string();
    let iss_and_aud = [
        ("PULSEBOARD_AUTH__SECRET_FILE", named.as_str()),
        ("PULSEBOARD_AUTH__ISS", "ann"),
        ("PULSEBOARD_AUTH__AUD", "pulse"),
    ];
    let (_, tokens) = init_auth(folder.path(), &iss_and_aud);
    assert!(!folder.path().join("pulseboard-data").exists());
    let mut command = configured(folder.path(), "");
    command.envs(iss_and_aud);
    assert_eq!(ask(&Daemon::spawn(command), &tokens[0]), 200, "the tokens name iss and aud");

    for (name, value, starts) in [
        ("PULSEBOARD_AUTH__SECRET", SECRET, "error: auth.secret: it holds a secret already"),
        ("PULSEBOARD_AUTH__PUBLIC_KEY_FILE", "key.pem", "error: auth.public_key_file: tokens are"),
        (
            "PULSEBOARD_AUTH__SECRET_FILE",
            "/proc/none/secret",
            "error: auth.secret_file: /proc/none/secret cannot be written",
        ),
    ] {
        let output =
            plain().current_dir(folder.path()).arg("--init-auth").env(name, value).output();
        let (code, line) = refusal(&output.unwrap());
        assert_eq!(code, 2);
        assert!(line.starts_with(starts), "{line}");
        assert!(!line.contains(SECRET), "{line}");
    }
}
