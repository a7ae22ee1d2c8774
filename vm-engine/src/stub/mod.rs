//! Stand-ins for the layers below, until they have landed: signatures only.
#![allow(dead_code, missing_docs, unreachable_pub, unused_variables)]
pub mod vm_interp;
pub mod vm_translate;
