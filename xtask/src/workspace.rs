//! Where things are: the repository, its target directory, the programs built into it.
//!
//! Runs nothing. Used by every command.

use std::env;
use std::path::{Path, PathBuf};

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().expect("xtask lies in the repository").to_owned()
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// A program that `cargo build` made.
pub(crate) fn program(name: &str) -> PathBuf {
    target().join("debug").join(name)
}

/// The browser dashboard's folder.
pub(crate) fn web() -> PathBuf {
    root().join("web")
}

/// Whether this is a continuous-integration run, where nothing may be skipped.
pub(crate) fn is_ci() -> bool {
    env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}
