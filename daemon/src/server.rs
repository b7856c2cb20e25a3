//! The listener and the HTTP connections: accept, limits of a connection, upgrade, shutdown.
