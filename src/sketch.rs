//! Summaries that merge: distinct counts ([`Distinct`]) and latency distributions
//! ([`LatencyBins`], and [`SparseBins`] where there are many).
//!
//! A sketch knows its own values only; what is counted in it, and over which time, is the business
//! of [`crate::tick`] and what is built on that. Merging is associative and commutative, and the
//! empty sketch is its identity. Every serialised form carries a version; a newer one is refused.

mod bytes;
mod distinct;
mod latency;
mod sparse;

pub use bytes::{DecodeError, Reader, Writer};
pub use distinct::{Distinct, DistinctUnion};
pub use latency::{LatencyBins, bin_of, value_of};
pub use sparse::SparseBins;
