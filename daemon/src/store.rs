//! Where frames, ticks and rollups are kept.
