//! The commands beside the dashboard, one module each: `Args` as clap reads them and
//! `run(args, &target)`. They print what they did, and never draw a screen.

pub mod completions;
pub mod load;
pub mod man;
pub mod replay;
pub mod say;
pub mod traffic;
