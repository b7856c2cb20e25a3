//! Decides about tokens: the keys of now, and the tokens they have verified already.
//!
//! Its clones share one state, so that a reload reaches everyone at once. Reads no file; the app
//! brings the keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use super::remembered::Remembered;
use super::{Denied, Grant, Keys, token};
use crate::clock::Clock;

/// Decides about tokens. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Authority(Arc<Mode>);

#[derive(Debug)]
enum Mode {
    Dev(Arc<Grant>),
    Tokens { now: ArcSwap<Epoch>, version: AtomicU64, clock: Clock },
}

/// The keys of one time. Tokens they verified are forgotten together with them.
#[derive(Debug)]
struct Epoch {
    keys: Keys,
    remembered: Remembered,
}

/// Why keys were not taken at a reload: sockets and requests let in without a token cannot be asked
/// for one afterwards, nor should an open daemon appear because a line was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModeChange {
    /// Keys came.
    #[error("going from dev mode to tokens needs a restart")]
    ToTokens,
    /// Keys went.
    #[error("going from tokens to dev mode needs a restart")]
    ToDev,
}

impl Authority {
    /// No key: everyone on this machine may do everything.
    pub fn dev() -> Self {
        Self(Arc::new(Mode::Dev(Arc::new(Grant::dev()))))
    }

    /// Tokens of these keys are taken, and nothing without one.
    pub fn tokens(keys: Keys, clock: Clock) -> Self {
        let now = ArcSwap::from_pointee(Epoch { keys, remembered: Remembered::default() });
        Self(Arc::new(Mode::Tokens { now, version: AtomicU64::new(1), clock }))
    }

    /// The grant everyone has without a token; `None` when a key is configured.
    pub fn open_to_all(&self) -> Option<&Arc<Grant>> {
        match &*self.0 {
            Mode::Dev(grant) => Some(grant),
            Mode::Tokens { .. } => None,
        }
    }

    /// The algorithm tokens are signed with, `HS256` and the like; `None` in dev mode.
    pub fn algorithm(&self) -> Option<&'static str> {
        match &*self.0 {
            Mode::Dev(_) => None,
            Mode::Tokens { now, .. } => Some(now.load().keys.key.algorithm_name()),
        }
    }

    /// Checks a token. In dev mode every one is as good as none: it gets the grant of all.
    ///
    /// A token that was verified is remembered until it expires; what is refused is not.
    pub fn verify(&self, token: &str) -> Result<Arc<Grant>, Denied> {
        let (now, clock) = match &*self.0 {
            Mode::Dev(grant) => return Ok(Arc::clone(grant)),
            Mode::Tokens { now, clock, .. } => (now.load(), clock),
        };
        let now_ms = clock.now_ms();
        if let Some(grant) = now.remembered.find(token, now_ms) {
            return Ok(grant);
        }
        let grant = Arc::new(token::verify(&now.keys, token, now_ms)?);
        now.remembered.keep(token.into(), &grant, now_ms);
        Ok(grant)
    }

    /// Counts the times that keys, or what is asked of a token, changed. Who holds a grant of an
    /// earlier version has its token verified again.
    pub fn version(&self) -> u64 {
        match &*self.0 {
            Mode::Dev(_) => 0,
            Mode::Tokens { version, .. } => version.load(Ordering::Acquire),
        }
    }

    /// Takes other keys in place of those of now; `Ok(false)`: they are the same.
    pub fn reload(&self, keys: Option<Keys>) -> Result<bool, ModeChange> {
        match (&*self.0, keys) {
            (Mode::Dev(_), None) => Ok(false),
            (Mode::Dev(_), Some(_)) => Err(ModeChange::ToTokens),
            (Mode::Tokens { .. }, None) => Err(ModeChange::ToDev),
            (Mode::Tokens { now, version, .. }, Some(keys)) => {
                if now.load().keys == keys {
                    return Ok(false);
                }
                now.store(Arc::new(Epoch { keys, remembered: Remembered::default() }));
                version.fetch_add(1, Ordering::AcqRel);
                Ok(true)
            }
        }
    }
}
