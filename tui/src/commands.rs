//! The commands beside the dashboard, one module each: `Args` as clap reads them and
//! `run(args, &target)`. They print what they did, and never draw a screen.

pub mod completions;
mod deliver;
pub mod export;
mod http;
pub mod load;
pub mod man;
mod progress;
pub mod replay;
pub mod say;
mod stop;
pub mod token;
pub mod traffic;
mod waiting;
