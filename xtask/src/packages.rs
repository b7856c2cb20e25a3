//! What the machine must have: found on the PATH, named with the package that brings it, and on a
//! Debian machine where we are root and may, installed.
//!
//! Installs only for `cargo xtask test` and `cluster`; the other commands say what to install.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use crate::run::{self, plainly};
use crate::workspace;

/// The oldest Node.js that Vite runs on.
const NODE_MIN: (u32, u32) = (20, 19);

/// A program on the PATH.
pub(crate) fn which(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// A C compiler builds SQLite.
pub(crate) fn need_compiler() -> anyhow::Result<()> {
    if ["cc", "gcc", "clang"].iter().any(|name| which(name).is_some()) {
        return Ok(());
    }
    bail!("a C compiler is missing: {}", how_to_get("build-essential", "xcode-select --install"))
}

/// Node.js and npm build the browser dashboard.
pub(crate) fn need_node() -> anyhow::Result<()> {
    let get = how_to_get("nodejs npm", "brew install node");
    if which("npm").is_none() {
        bail!("npm is missing: {get}, or get Node.js from nodejs.org");
    }
    let version =
        output("node", &["--version"]).with_context(|| format!("Node.js is missing: {get}"))?;
    let mut parts =
        version.trim_start_matches('v').split('.').map(|part| part.parse().unwrap_or(0));
    let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if found < NODE_MIN {
        let (major, minor) = NODE_MIN;
        bail!("Node.js {version} is too old; {major}.{minor} or newer is needed, from nodejs.org");
    }
    Ok(())
}

fn how_to_get(debian: &str, macos: &str) -> String {
    if cfg!(target_os = "macos") {
        return macos.to_owned();
    }
    let sudo = if is_root() { "" } else { "sudo " };
    format!("{sudo}apt-get install {debian}")
}

/// A real Chromium for the browser tests, installed where we may.
pub(crate) fn chromium() -> anyhow::Result<PathBuf> {
    let find = || {
        let named = env::var_os("CHROMIUM").map(PathBuf::from).filter(|path| path.is_file());
        let usual = Path::new("/usr/bin/chromium");
        named.or_else(|| usual.is_file().then(|| usual.to_owned())).or_else(|| which("chromium"))
    };
    if let Some(path) = find() {
        return Ok(path);
    }
    apt_install(&["chromium"])?;
    find().context("chromium was installed and is not there")
}

/// Whether a small file system may be mounted, tried with one: a full disk takes it. Not every
/// machine allows it, containers rarely do.
pub(crate) fn may_mount() -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("there is no folder for temporary files")?;
    let quiet = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).arg(folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if !quiet("mount", &["-t", "tmpfs", "-o", "size=64k", "none"]) {
        bail!("this machine does not let us mount a file system");
    }
    quiet("umount", &["--lazy"]);
    Ok(())
}

/// `jq`, which a recipe in docs/recipes uses.
pub(crate) fn jq() -> anyhow::Result<()> {
    which("jq").map_or_else(|| apt_install(&["jq"]), |_| Ok(()))
}

/// `openssl`, which makes certificates to try things with.
pub(crate) fn openssl() -> anyhow::Result<()> {
    which("openssl").map_or_else(|| apt_install(&["openssl"]), |_| Ok(()))
}

/// A package of PyPI: what a program imports of it, and how pip is asked for it.
pub(crate) type PythonPackage = (&'static str, &'static str);

/// What tests use: clients of sockets and of MongoDB that are not ours, and `schemathesis`, which
/// holds the API's description against its answers.
pub(crate) const TESTS: &[PythonPackage] = &[
    ("websockets.sync.client", "websockets>=13"),
    ("schemathesis", "schemathesis>=4.32,<5"),
    PYMONGO,
    ("yaml", "pyyaml>=6"),
];

/// A client of MongoDB.
pub(crate) const PYMONGO: PythonPackage = ("pymongo", "pymongo>=4.6,<5");

/// A folder whose `python3` has these packages, with their programs beside it: the machine's own, or
/// one under target/.
pub(crate) fn python(wanted: &[PythonPackage]) -> anyhow::Result<PathBuf> {
    let modules: Vec<&str> = wanted.iter().map(|(module, _)| *module).collect();
    let has_them = |python: &Path| {
        let mut command = Command::new(python);
        command.args(["-c", &format!("import {}", modules.join(", "))]).stderr(Stdio::null());
        let beside =
            !modules.contains(&"schemathesis") || python.with_file_name("schemathesis").is_file();
        beside && command.status().is_ok_and(|status| status.success())
    };
    let venv = workspace::target().join("python");
    let own = venv.join("bin/python3");
    if let Some(found) =
        which("python3").into_iter().chain([own.clone()]).find(|path| has_them(path))
    {
        return Ok(found.parent().expect("a file has a folder").to_owned());
    }
    let make = || {
        let mut command = Command::new("python3");
        plainly(command.args(["-m", "venv", "--clear"]).arg(&venv))
    };
    if which("python3").is_none() || make().is_err() {
        apt_install(&["python3", "python3-venv", "python3-pip"])?;
        make()?;
    }
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    let packages = wanted.iter().map(|(_, package)| package);
    plainly(run::command(&own, &pip, &workspace::root()).args(packages))?;
    Ok(own.parent().expect("a file has a folder").to_owned())
}

/// The PATH with a folder in front.
pub(crate) fn path_with(folder: &Path) -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(env::split_paths(&path));
    env::join_paths(folders).unwrap_or(path)
}

/// Installs Debian packages when we are root; else says what to type.
pub(crate) fn apt_install(packages: &[&str]) -> anyhow::Result<()> {
    let list = packages.join(" ");
    if !is_root() || which("apt-get").is_none() {
        bail!("missing: {}", how_to_get(&list, &format!("brew install {list}")));
    }
    eprintln!("installing {list}");
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").arg("-qq").args(arguments);
        plainly(command.stdout(Stdio::null()))
    };
    let install: Vec<&str> =
        ["install", "--yes", "--no-install-recommends"].iter().chain(packages).copied().collect();
    if apt(&install).is_ok() {
        return Ok(());
    }
    apt(&["update"])?;
    apt(&install)
}

/// `systemd-analyze`, which judges the service's unit.
pub(crate) fn systemd_analyze() -> anyhow::Result<PathBuf> {
    if which("systemd-analyze").is_none() {
        apt_install(&["systemd"])?;
    }
    which("systemd-analyze").context("systemd was installed and has no systemd-analyze")
}

/// Unpacks a Debian package into a folder, without installing it.
pub(crate) fn apt_unpack(package: &str, into: &Path) -> anyhow::Result<()> {
    if which("apt-get").is_none() || which("dpkg-deb").is_none() {
        bail!("missing: {package}, and without apt-get it cannot be fetched");
    }
    eprintln!("fetching {package}");
    let fetched = tempfile::tempdir()?;
    let download = || {
        let mut apt = run::command("apt-get", &["-qq", "download", package], fetched.path());
        // It warns that root need not drop its rights to write here.
        plainly(apt.stderr(Stdio::null()))
    };
    if download().is_err() {
        if is_root() {
            plainly(&mut run::command("apt-get", &["-qq", "update"], fetched.path()))?;
        }
        download().with_context(|| format!("try: sudo apt-get update, or install {package}"))?;
    }
    let file = std::fs::read_dir(fetched.path())?.next().context("nothing was fetched")??;
    let mut unpack = run::command("dpkg-deb", &["--extract"], fetched.path());
    plainly(unpack.arg(file.path()).arg(into))
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// What a program prints, without its last newline.
pub(crate) fn output(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program).args(arguments).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        bail!("{program} failed ({})", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}
