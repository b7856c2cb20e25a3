//! The signals the daemon hears: those that end it, and the one that has it read its settings
//! again. Decides nothing about what follows; that is [`crate::app`]'s.

use std::fmt;
use std::io::{self, IsTerminal as _};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What asks the daemon to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// SIGTERM: the service manager.
    Terminate,
    /// SIGINT: a person at the terminal.
    Interrupt,
    /// The terminal it was started from was closed.
    TerminalGone,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
            Self::TerminalGone => "terminal closed",
        })
    }
}

/// The signals that end it, heard from the moment this is made.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Starts to listen. Needs to run inside the runtime.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the first of them.
    pub async fn first(mut self) -> Stop {
        tokio::select! {
            _ = self.terminate.recv() => Stop::Terminate,
            _ = self.interrupt.recv() => Stop::Interrupt,
        }
    }
}

/// What a SIGHUP means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hangup {
    /// The settings are to be read again.
    Reload,
    /// What it always meant: the terminal is gone, and whoever watched with it.
    TerminalGone,
}

/// SIGHUP, heard from the moment this is made. Several that come close together are one.
#[derive(Debug)]
pub struct Hangups {
    signal: Signal,
    at_terminal: bool,
}

impl Hangups {
    /// Starts to listen. Needs to run inside the runtime.
    pub fn listen() -> io::Result<Self> {
        let at_terminal = io::stderr().is_terminal();
        Ok(Self { signal: signal(SignalKind::hangup())?, at_terminal })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> Hangup {
        if self.signal.recv().await.is_none() {
            return std::future::pending().await;
        }
        // A terminal that was closed no longer is one.
        if self.at_terminal && !io::stderr().is_terminal() {
            Hangup::TerminalGone
        } else {
            Hangup::Reload
        }
    }
}
