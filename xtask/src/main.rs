//! Palisade's development tasks: spec scripts, benchmarks, checks.

fn main() {}
