//! The durable heart: append-only segments of checksummed blocks, group commit, recovery.
