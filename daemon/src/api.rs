//! What REST answers besides ingest: events, aggregates, history, routes, health, metrics, assets.
