//! Settings in layers: built-in, file, environment, flags; every key of the contract.
