//! The compose files name only what there is: settings the daemon takes, files that are there or that
//! the script beside them makes, networks and volumes of their own; and no password stands in them.
//!
//! No engine is needed: Python reads the YAML, and the daemon itself judges its settings.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on has failed")]

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value};
use tempfile::TempDir;

/// A compose file in a copy of its folder, where the script has made the secrets.
struct Compose {
    folder: TempDir,
    file: Value,
}

impl Compose {
    fn read(name: &str, kind: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/container");
        for entry in std::fs::read_dir(&from).unwrap() {
            let entry = entry.unwrap();
            // Not the secrets of whoever runs the tests.
            if entry.file_type().unwrap().is_file() {
                std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
            }
        }
        let made = Command::new(folder.path().join("secrets.sh")).arg(kind).status().unwrap();
        assert!(made.success());
        let script =
            "import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)";
        let mut python = Command::new("python3");
        let output = python.args(["-c", script]).arg(folder.path().join(name)).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self { folder, file: serde_json::from_slice(&output.stdout).unwrap() }
    }

    fn services(&self) -> &Map<String, Value> {
        self.file["services"].as_object().unwrap()
    }

    /// Services of our own image.
    fn daemons(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.services().iter().filter(|(_, service)| service["image"] == "pulseboard")
    }

    /// Names a top-level section defines.
    fn defined(&self, section: &str) -> BTreeSet<&str> {
        self.file[section].as_object().unwrap().keys().map(String::as_str).collect()
    }

    /// A path beside the file.
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// The texts of a list.
fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().map(|text| text.as_str().unwrap()).collect()
}

fn both() -> [Compose; 2] {
    [Compose::read("compose.yml", "simple"), Compose::read("compose.cluster.yml", "cluster")]
}

#[test]
fn every_daemon_takes_the_settings_it_is_given() {
    for compose in both() {
        let mut daemons = 0;
        for (name, service) in compose.daemons() {
            let data = tempfile::tempdir().unwrap();
            let mut command = support::plain();
            command.current_dir(data.path()).arg("--print-config");
            // As the image has them.
            command.env("PULSEBOARD_SERVER__BIND", "0.0.0.0:3000");
            command.env("PULSEBOARD__DATA_DIR", data.path());
            for (key, value) in service["environment"].as_object().unwrap() {
                let secrets = compose.path("secrets").display().to_string();
                let value = value.as_str().unwrap().replace("/run/secrets", &secrets);
                command.env(key, value.replace("${PUBLIC_URL:-}", ""));
            }
            let output = command.output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{name}: {said}");
            daemons += 1;
        }
        assert!(daemons == 1 || daemons == 3);
    }
}

#[test]
fn secrets_mounts_networks_and_volumes_are_there() {
    for compose in both() {
        for (name, service) in compose.services() {
            let secrets = compose.defined("secrets");
            for secret in texts(&service["secrets"]) {
                assert!(secrets.contains(secret), "{name}: no secret {secret}");
                let file = compose.file["secrets"][secret]["file"].as_str().unwrap();
                assert!(compose.path(file).is_file(), "{file}: secrets.sh does not make it");
            }
            for network in texts(&service["networks"]) {
                assert!(compose.defined("networks").contains(network), "{name}: {network}");
            }
            for volume in texts(&service["volumes"]) {
                let source = volume.split(':').next().unwrap();
                let there = if source.starts_with("./") {
                    compose.path(source).is_file() && volume.ends_with(":ro")
                } else {
                    compose.defined("volumes").contains(source)
                };
                assert!(there, "{name}: {volume}");
            }
            // What a command or a setting reads of secrets is given to that service.
            let said = service.to_string();
            for (at, start) in said.match_indices("/run/secrets/") {
                let rest = &said[at + start.len()..];
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap();
                let wanted = &rest[..end];
                assert!(texts(&service["secrets"]).contains(&wanted), "{name}: {wanted}");
            }
        }
    }
}

#[test]
fn only_the_front_can_be_reached_and_from_this_machine_alone() {
    for compose in both() {
        assert_eq!(compose.file["networks"]["back"]["internal"], true);
        let mut published = 0;
        for (name, service) in compose.services() {
            let ports = texts(&service["ports"]);
            published += ports.len();
            assert!(ports.iter().all(|port| port.starts_with("127.0.0.1:")), "{name}: {ports:?}");
            let is_ours = service["image"] == "pulseboard" || name == "balancer";
            let networks = texts(&service["networks"]);
            assert!(is_ours || !networks.contains(&"front"), "{name}: {networks:?}");
            // A host name that the balancer or a connection string uses is a service.
            if let Some(host) = service["hostname"].as_str() {
                assert_eq!(host, name);
            }
        }
        assert_eq!(published, 1);
    }
}

#[test]
fn all_of_it_starts_again_says_whether_it_is_well_and_has_time_to_stop() {
    for compose in both() {
        for (name, service) in compose.services() {
            if name == "mongodb-users" {
                assert_eq!(service["restart"], "on-failure");
                continue;
            }
            assert_eq!(service["restart"], "unless-stopped", "{name}");
            let grace = service["stop_grace_period"].as_str().unwrap();
            let seconds: u32 = grace.strip_suffix('s').unwrap().parse().unwrap();
            // The daemon promises 10 s.
            assert!(seconds >= 15, "{name}");
            assert!(name == "balancer" || service["healthcheck"]["test"].is_array(), "{name}");
        }
    }
}

#[test]
fn no_password_stands_in_a_compose_file_and_each_is_another() {
    let [one, other] = both();
    let secret = |compose: &Compose, name: &str| {
        std::fs::read_to_string(compose.path("secrets").join(name)).unwrap()
    };
    for name in ["auth.secret", "mongodb.key", "mongodb.admin", "mongodb.pulseboard"] {
        assert_eq!(secret(&one, name).trim().len(), 64, "{name}");
        assert_ne!(secret(&one, name), secret(&other, name), "{name} is random");
    }
    let password = secret(&other, "mongodb.pulseboard");
    assert!(secret(&other, "mongodb.uri").contains(&format!(":{}@", password.trim())));
    let members = "@mongodb1:27017,mongodb2:27017,mongodb3:27017/";
    assert!(secret(&other, "mongodb.uri").contains(members));
    assert!(secret(&one, "mongodb.uri").contains("@mongodb:27017/"));
    for compose in [&one, &other] {
        let text = compose.file.to_string().to_lowercase();
        assert!(!text.contains("password\":"), "{text}");
        for (name, service) in compose.services() {
            for (key, value) in service["environment"].as_object().into_iter().flatten() {
                let is_file = key.ends_with("_FILE") && value.as_str().unwrap().starts_with('/');
                let about_secrets = ["SECRET_FILE", "URI", "URL_FILE", "PASSWORD"]
                    .iter()
                    .any(|word| key.contains(word));
                assert!(!about_secrets || is_file, "{name}: {key}={value}");
            }
        }
    }
    // A second run keeps what is there.
    let before = secret(&other, "mongodb.uri");
    let again = Command::new(other.path("secrets.sh")).arg("cluster").status().unwrap();
    assert!(again.success());
    assert_eq!(secret(&other, "mongodb.uri"), before);
}

#[test]
fn the_balancer_of_the_containers_is_the_one_for_machines_but_for_names_and_tls() {
    let settings = |path: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config").join(path);
        let text = std::fs::read_to_string(path).unwrap();
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        lines.filter(|line| !line.is_empty()).map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let machines = settings("haproxy/pulseboard.cfg");
    let containers = settings("container/haproxy.cfg");
    let differs = |line: &&String| {
        !["ssl-default", "bind ", "server instance", "http-request set-header", "default-server"]
            .iter()
            .any(|start| line.starts_with(start))
    };
    let missing: Vec<_> = machines.difference(&containers).filter(differs).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let compose = Compose::read("compose.cluster.yml", "cluster");
    let servers: Vec<&String> =
        containers.iter().filter(|line| line.starts_with("server ")).collect();
    assert_eq!(servers.len(), 3);
    for (line, (name, _)) in servers.iter().zip(compose.daemons()) {
        assert!(line.ends_with(&format!("{name}:3000")), "{line}");
    }
}
