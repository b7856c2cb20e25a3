//! Where frames, ticks and rollups are kept.
//!
//! Everything in here can be made again from the journal, as far as that reaches back: a store is
//! a position in the journal and what came of the events up to it, committed together.

pub mod drain;
pub mod embedded;
pub mod mongodb;
