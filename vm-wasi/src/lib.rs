//! WASI preview 1 for Palisade, on cap-std.
