//! Several real daemons over one real Redis.
