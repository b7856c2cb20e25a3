//! `pulseboard completions`.

use std::process::ExitCode;

use crate::target::Target;

/// What it takes.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs it.
#[allow(clippy::unused_async, reason = "the shape every command has")]
pub async fn run(_args: Args, _target: &Target) -> anyhow::Result<ExitCode> {
    anyhow::bail!("completions is not in this build")
}
