//! Placeholder until its stages land.
fn main() {}
