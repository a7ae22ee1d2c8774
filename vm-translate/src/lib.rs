//! Validates WebAssembly and translates it to Palisade's register IR, with checked and unchecked memory accesses.
