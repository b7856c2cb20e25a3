//! The domain of Pulseboard: events and how they are read, ticks and windows and how they merge,
//! filters, access-log formats, and the wire protocol between the daemon and whoever watches.
//!
//! Nothing in here does I/O, reads a clock or knows an async runtime: time arrives as an argument,
//! bytes as slices. The daemon and the terminal both build on it and never on each other.
//!
//! Modules stand in data-path order: [`limits`], [`event`], [`validate`], [`route`], [`decode`],
//! then [`sketch`], [`tick`], [`window`], [`rollup`], then [`filter`], [`wire`], [`accesslog`]; [`claims`] says what a token holds.

#![warn(missing_docs)]

pub mod accesslog;
pub mod claims;
pub mod decode;
pub mod event;
pub mod filter;
pub mod limits;
pub mod rollup;
pub mod route;
pub mod sketch;
pub mod tick;
pub mod validate;
pub mod window;
pub mod wire;
