//! x
include!(concat!(env!("OUT_DIR"), "/generated.rs"));
core::arch::global_asm!(include_str!(concat!(env!("OUT_DIR"), "/handlers.s")), options(raw));
