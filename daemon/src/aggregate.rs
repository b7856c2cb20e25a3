//! Turns journaled events into ticks, windows and rollups, and frames of them every second.
