//! Initial data of many small segments: the same whether it is mapped or copied, in every mode.

mod common;

use std::fmt::Write as _;

use common::modes_with;
use vm_engine::{Instance, Module, Store};

const PAGES: usize = 4;
const SEGMENTS: usize = 60_000;

/// A module with so many segments of a byte or a few, in no order, of which many overlap; and what its memory then holds.
fn module() -> (String, Vec<u8>) {
    let mut text = format!("(module (memory (export \"memory\") {PAGES})\n");
    let mut expected = vec![0; PAGES << 16];
    let mut state = 1_u32;
    let mut random = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    for n in 0..SEGMENTS {
        // Some reach into the next page, and a page is left alone.
        let len = if n % 100 == 0 { 1 + random(5000) } else { 1 };
        let offset = random((PAGES << 16) - len);
        let byte = 1 + n as u8 % 255;
        if (offset..offset + len).any(|at| at >> 12 == 7) {
            continue;
        }
        let bytes = format!("\\{byte:02x}").repeat(len);
        let _ = writeln!(text, "(data (i32.const {offset}) \"{bytes}\")");
        expected[offset..offset + len].fill(byte);
    }
    text.push(')');
    (text, expected)
}

#[test]
fn many_small_segments_are_as_if_copied_one_by_one() {
    let (text, expected) = module();
    let binary = wat::parse_str(text).unwrap();
    for image in [true, false] {
        for engine in modes_with(|config| {
            config.memory_init_cow(image);
        }) {
            let module = Module::new(&engine, &binary).unwrap();
            for _ in 0..2 {
                let mut store = Store::new(&engine, ());
                let instance = Instance::new(&mut store, &module, &[]).unwrap();
                let memory = instance.get_memory(&mut store, "memory").unwrap();
                assert!(
                    memory.data(&store) == expected,
                    "image: {image}, {}",
                    engine.strategy()
                );
                memory
                    .write(&mut store, 0, b"what others do not see")
                    .unwrap();
            }
        }
    }
}
