//! Several instances over Redis: who is there, what each counted, and which ids are taken.
//!
//! The only module that names redis. It decides nothing about numbers: the aggregator joins what is
//! heard, ingest asks for claims. Without `cluster.redis_url` nothing of it runs. Redis being gone
//! never stops an instance: it goes on with its own numbers and says so. Started by `app`.

mod address;
mod connect;
pub mod link;
mod problem;
pub mod subscriber;

pub use address::{Address, AddressError};
pub use link::{Link, LinkError, LinkSettings, LinkSettingsError, State};
pub use subscriber::{Heard, Listening, Subscriber};
