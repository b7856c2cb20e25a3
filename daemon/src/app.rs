//! Builds the stages, starts them in order, and drains them in order. The only place where they
//! meet; a stage knows the next one as a narrow handle.
//!
//! Start: lock the data directory, take the port, recover the journal, rebuild dedupe, open the
//! store, count what it has not counted yet, then serve. Stop: no new connections, close sockets,
//! finish requests, sync the journal, commit the store.

pub mod data_dir;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;

use self::data_dir::DataDir;
use crate::config::Config;

/// Why the daemon did not start, or ended.
#[derive(Debug, Error)]
pub enum StartError {
    /// The settings or the data directory do not allow it: exit code 2, nothing was touched.
    #[error("{0}")]
    Refused(String),
    /// The machine does not allow it: exit code 1.
    #[error("{0}")]
    Failed(String),
}

impl StartError {
    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_) => 2,
            Self::Failed(_) => 1,
        }
    }
}
