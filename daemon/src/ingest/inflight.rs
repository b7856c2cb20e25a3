//! The bound on bytes being worked on, `limits.inflight_bytes`: one for all ways in, from the first
//! byte of a body until its events are on disk. When it is full a call is refused with `busy`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::IngestError;

/// The bound. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Inflight {
    used: Arc<AtomicUsize>,
    bytes_max: usize,
}

/// A share of it, given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    of: Inflight,
    bytes: usize,
}

impl Inflight {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { used: Arc::default(), bytes_max }
    }

    /// A share of nothing yet.
    pub(super) fn share(&self) -> Share {
        Share { of: self.clone(), bytes: 0 }
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

impl Share {
    /// Takes `bytes` more. A call that is alone is always given what it asks for, or it never
    /// could be taken; what one call may be has a bound of its own.
    pub fn grow(&mut self, bytes: usize) -> Result<(), IngestError> {
        let before = self.of.used.fetch_add(bytes, Ordering::Relaxed);
        if before > self.bytes && before + bytes > self.of.bytes_max {
            self.of.used.fetch_sub(bytes, Ordering::Relaxed);
            return Err(IngestError::Busy);
        }
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_shares_together_have_one_bound() {
        let inflight = Inflight::new(100);
        let (mut one, mut other) = (inflight.share(), inflight.share());
        one.grow(60).unwrap();
        assert_eq!(other.grow(41), Err(IngestError::Busy));
        other.grow(40).unwrap();
        assert_eq!(one.grow(1), Err(IngestError::Busy));
        drop(other);
        assert_eq!(inflight.used(), 60);
        one.grow(500).expect("a call that is alone is taken");
        assert_eq!(inflight.share().grow(1), Err(IngestError::Busy));
        drop(one);
        assert_eq!(inflight.used(), 0);
    }
}
