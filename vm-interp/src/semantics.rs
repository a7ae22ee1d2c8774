//! Semantics
