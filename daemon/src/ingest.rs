//! From bytes to acknowledged events: decode, validate, dedupe, journal, verdict.
