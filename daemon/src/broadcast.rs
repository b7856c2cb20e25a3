//! One frame a room a tick, encoded once, to every subscriber; no queue a session.
