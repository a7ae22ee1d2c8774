//! Palisade's embedding API: Config, Engine, Module, Store, Linker, Instance, Func.
