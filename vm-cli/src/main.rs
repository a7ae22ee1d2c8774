//! The palisade command: runs and inspects WebAssembly programs.

fn main() {}
