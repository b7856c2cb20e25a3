//! The shared store: events and aggregates of all instances in MongoDB.
//!
//! Makes its collections, indexes and validators, turns events into documents and back, and answers
//! what REST asks of stored things. Writes nothing by itself: `drain` does. The only module, with
//! the drain, that names mongodb.
