//! The bound on bytes being worked on, `limits.inflight_bytes`: one for all ways in, from the first
//! byte of a body until its events are on disk. When it is full a call is refused with `busy`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::IngestError;

/// The bound. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Inflight(Arc<Bytes>);

#[derive(Debug)]
struct Bytes {
    used: AtomicUsize,
    max: AtomicUsize,
}

/// A share of it, given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    of: Inflight,
    bytes: usize,
}

impl Inflight {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Bytes { used: AtomicUsize::new(0), max: AtomicUsize::new(bytes_max) }))
    }

    /// Sets another bound. What is being worked on goes on.
    pub(super) fn bound(&self, bytes_max: usize) {
        self.0.max.store(bytes_max, Ordering::Relaxed);
    }

    /// A share of nothing yet.
    pub(super) fn share(&self) -> Share {
        Share { of: self.clone(), bytes: 0 }
    }

    pub(super) fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }
}

impl Share {
    /// Takes `bytes` more. A call that is alone is always given what it asks for, or it never
    /// could be taken; what one call may be has a bound of its own.
    pub fn grow(&mut self, bytes: usize) -> Result<(), IngestError> {
        let Inflight(of) = &self.of;
        let before = of.used.fetch_add(bytes, Ordering::Relaxed);
        if before > self.bytes && before + bytes > of.max.load(Ordering::Relaxed) {
            of.used.fetch_sub(bytes, Ordering::Relaxed);
            return Err(IngestError::Busy);
        }
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.0.used.fetch_sub(self.bytes, Ordering::Relaxed);
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
        inflight.bound(601);
        inflight.share().grow(1).expect("the bound was raised");
        drop(one);
        assert_eq!(inflight.used(), 0);
    }
}
