//! Builds the stages, starts and drains them in order. The only place where they meet.
