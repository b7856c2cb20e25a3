//! Who must stop, in which order, and how long each may take.
