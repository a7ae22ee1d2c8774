//! Every access, at every kind of place, with every kind of index, in every mode: the same result,
//! the same trap, the same memory byte for byte. What is right is computed here, so a mistake that
//! all modes share shows as well.

mod common;

use std::fmt::Write as _;

use common::accesses::{LANES, LOADS, STORES, VECTOR_LOADS, halves, joined};
use common::modes_with;
use vm_engine::{
    Bounds, Config, Engine, Instance, Layout, Memory, Module, Threading, Trap, TypedFunc,
};

const PAGE: u64 = 65536;

/// Offsets in the instruction: none, small ones, those around a page and around what fits 31 and 32
/// bits.
const OFFSETS: [u64; 8] = [
    0,
    3,
    PAGE - 1,
    PAGE,
    PAGE + 16,
    0x7fff_ffff,
    0x8000_0000,
    u32::MAX as u64,
];

/// How a function computes its index from three parameters: its expression, and the parameters that
/// make it a given index. All but the first have bits that must not reach the address.
type Index = (&'static str, fn(u32) -> (u32, u32, u64));

const INDICES: [Index; 7] = [
    ("(local.get 0)", |i| (i, 0, 0)),
    ("(i32.add (local.get 0) (local.get 1))", |i| {
        (i.wrapping_sub(0x9abc_def1), 0x9abc_def1, 0)
    }),
    ("(i32.sub (local.get 0) (local.get 1))", |i| {
        (i.wrapping_add(0x9abc_def1), 0x9abc_def1, 0)
    }),
    ("(i32.add (local.get 0) (i32.const -16))", |i| {
        (i.wrapping_add(16), 0, 0)
    }),
    ("(i32.xor (local.get 0) (i32.const -1))", |i| (!i, 0, 0)),
    ("(i32.rotl (local.get 0) (i32.const 9))", |i| {
        (i.rotate_right(9), 0, 0)
    }),
    ("(i32.wrap_i64 (local.get 2))", |i| {
        (0, 0, u64::from(i) | 0xffff_ffff_0000_0000)
    }),
];

/// Where an access of `width` bytes may start, in a memory of `len` bytes: inside, the last bytes,
/// every way to straddle the end, the first byte outside, and far outside.
fn places(width: u64, len: u64) -> Vec<u64> {
    const FOUR_GIB: u64 = 1 << 32;
    let mut places = vec![0, 1, PAGE - 1, PAGE, len / 2 + 1];
    places.extend((0..=width + 1).map(|back| len.wrapping_sub(back)));
    places.extend([
        len + 1,
        len + 4095,
        len + 4096,
        2 * len + PAGE,
        FOUR_GIB - width,
        FOUR_GIB - 1,
        FOUR_GIB,
        // The largest index and the largest offset.
        2 * u64::from(u32::MAX),
    ]);
    places.retain(|place| *place <= 2 * u64::from(u32::MAX));
    places.sort_unstable();
    places.dedup();
    places
}

/// Every mode; and guards so small that the offset decides whether an access is checked by code.
fn engines() -> Vec<Engine> {
    let mut engines = modes_with(|config| {
        config.wasm_simd(true);
    });
    let is_guarded = |engine: &Engine| engine.strategy().bounds == Bounds::Guarded;
    if engines.iter().any(is_guarded) {
        let mut config = Config::new();
        config.threading(Threading::Direct).bounds(Bounds::Guarded);
        config.wasm_simd(true);
        config.memory_layout(Layout::with_guard(PAGE).unwrap());
        engines.push(Engine::new(&config).unwrap());
    }
    engines
}

/// A byte of the memory that nothing has stored to.
fn pattern(at: usize) -> u8 {
    (at as u8).wrapping_mul(0x6d) ^ (at >> 8) as u8 ^ 0xa5
}

struct Guest {
    store: vm_engine::Store<()>,
    instance: Instance,
    memory: Memory,
    /// What the memory must hold.
    model: Vec<u8>,
}

impl Guest {
    fn new(engine: &Engine, functions: &str, pages: u64) -> Guest {
        eprintln!("{}, {pages} pages", engine.strategy());
        let text = format!("(module (memory (export \"memory\") 0 9) {functions})");
        let module = Module::new(engine, text).unwrap();
        let mut store = vm_engine::Store::new(engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let memory = instance.get_memory(&mut store, "memory").unwrap();
        // One by one: what faulted before must not, after the memory has grown.
        for _ in 0..pages {
            memory.grow(&mut store, 1).unwrap();
        }
        let model: Vec<u8> = (0..(pages * PAGE) as usize).map(pattern).collect();
        memory.write(&mut store, 0, &model).unwrap();
        Guest {
            store,
            instance,
            memory,
            model,
        }
    }

    fn check_memory(&self, case: &str) {
        assert!(self.memory.data(&self.store) == self.model, "{case}");
    }
}

/// For each offset, index expression and place: the function's name, its parameters and the place.
fn for_each_place(
    name: &str,
    width: usize,
    len: usize,
    mut check: impl FnMut(&str, (u32, u32, u64), u64),
) {
    for offset in OFFSETS {
        for (number, (_, parameters)) in INDICES.iter().enumerate() {
            for place in places(width as u64, len as u64) {
                let Some(index) = place.checked_sub(offset) else {
                    continue;
                };
                let Ok(index) = u32::try_from(index) else {
                    continue;
                };
                check(
                    &format!("{name} {offset} {number}"),
                    parameters(index),
                    place,
                );
            }
        }
    }
}

/// A function for each offset and index expression. `body` is given the access's immediate and its
/// index.
fn functions(name: &str, signature: &str, body: impl Fn(&str, &str) -> String) -> String {
    let mut text = String::new();
    for offset in OFFSETS {
        for (number, (index, _)) in INDICES.iter().enumerate() {
            let body = body(&format!("offset={offset}"), index);
            writeln!(
                text,
                "(func (export \"{name} {offset} {number}\") {signature} {body})"
            )
            .unwrap();
        }
    }
    text
}

const LOAD_SIGNATURE: &str = "(param i32 i32 i64) (result i64 i64) (local $vector v128)";
const STORE_SIGNATURE: &str = "(param i32 i32 i64 i64 i64)";

/// What a lane is loaded into, and the value that is stored.
const VALUE: u128 = 0x8192_a3b4_c5d6_e7f8_090a_1b2c_3d4e_5f60;

/// Name, bytes, and the result's bits.
type LoadCase = (String, usize, Box<dyn Fn(&[u8]) -> u128>);

/// Loads by these functions give the value of the bytes, or trap.
fn check_loads(text: &str, loads: &[LoadCase]) {
    for engine in engines() {
        for pages in [0, 1, 2] {
            let mut guest = Guest::new(&engine, text, pages);
            for (name, width, value) in loads {
                let len = guest.model.len();
                for_each_place(name, *width, len, |function, parameters, place| {
                    let case = format!("{function} at {place:#x} of {len:#x}");
                    let load: TypedFunc<(u32, u32, u64), (u64, u64)> = guest
                        .instance
                        .get_typed_func(&mut guest.store, function)
                        .unwrap();
                    let result = load.call(&mut guest.store, parameters);
                    let place = usize::try_from(place).unwrap();
                    match guest.model.get(place..place + width) {
                        Some(bytes) => {
                            let (low, high) = result.unwrap_or_else(|e| panic!("{case}: {e}"));
                            let loaded = u128::from(high) << 64 | u128::from(low);
                            assert_eq!(loaded, value(bytes), "{case}");
                        }
                        None => {
                            let error = result.expect_err(&case);
                            assert_eq!(error.trap(), Some(Trap::MemoryOutOfBounds), "{case}");
                        }
                    }
                });
                guest.check_memory(name);
            }
        }
    }
}

/// Stores by these functions write exactly their bytes, or nothing at all and trap.
fn check_stores(text: &str, stores: &[(String, usize)]) {
    for engine in engines() {
        for pages in [0, 1, 2] {
            let mut guest = Guest::new(&engine, text, pages);
            for (name, width) in stores {
                let len = guest.model.len();
                for_each_place(name, *width, len, |function, (a, b, c), place| {
                    let case = format!("{function} at {place:#x} of {len:#x}");
                    let store: TypedFunc<(u32, u32, u64, u64, u64), ()> = guest
                        .instance
                        .get_typed_func(&mut guest.store, function)
                        .unwrap();
                    let (low, high) = (VALUE as u64, (VALUE >> 64) as u64);
                    let result = store.call(&mut guest.store, (a, b, c, low, high));
                    let place = usize::try_from(place).unwrap();
                    if place + width <= len {
                        result.unwrap_or_else(|e| panic!("{case}: {e}"));
                        let bytes = &VALUE.to_le_bytes()[..*width];
                        guest.model[place..place + width].copy_from_slice(bytes);
                        guest.check_memory(&case);
                        // As it was, for those that follow.
                        for at in place..place + width {
                            guest.model[at] = pattern(at);
                        }
                        let restored = &guest.model[place..place + width];
                        guest
                            .memory
                            .write(&mut guest.store, place, restored)
                            .unwrap();
                    } else {
                        let error = result.expect_err(&case);
                        assert_eq!(error.trap(), Some(Trap::MemoryOutOfBounds), "{case}");
                        guest.check_memory(&case);
                    }
                });
            }
        }
    }
}

#[test]
fn loads_of_numbers() {
    let mut text = String::new();
    let mut cases: Vec<LoadCase> = Vec::new();
    for load in LOADS {
        text += &functions(load.name, LOAD_SIGNATURE, |immediate, index| {
            halves(load.result, &format!("({} {immediate} {index})", load.name))
        });
        cases.push((load.name.to_owned(), load.width, Box::new(load.value)));
    }
    check_loads(&text, &cases);
}

#[test]
fn loads_of_vectors_and_lanes() {
    let mut text = String::new();
    let mut cases: Vec<LoadCase> = Vec::new();
    for load in VECTOR_LOADS {
        text += &functions(load.name, LOAD_SIGNATURE, |immediate, index| {
            halves("v128", &format!("({} {immediate} {index})", load.name))
        });
        cases.push((load.name.to_owned(), load.width, Box::new(load.value)));
    }
    let vector = format!(
        "(v128.const i64x2 {} {})",
        VALUE as u64,
        (VALUE >> 64) as u64
    );
    for (suffix, width) in LANES {
        let name = format!("v128.load{suffix}_lane");
        text += &functions(&name, LOAD_SIGNATURE, |immediate, index| {
            halves("v128", &format!("({name} {immediate} 0 {index} {vector})"))
        });
        let value = move |bytes: &[u8]| {
            let mut all = VALUE.to_le_bytes();
            all[..width].copy_from_slice(bytes);
            u128::from_le_bytes(all)
        };
        cases.push((name, width, Box::new(value)));
    }
    check_loads(&text, &cases);
}

#[test]
fn stores_of_numbers() {
    let mut text = String::new();
    let mut cases = Vec::new();
    for store in STORES {
        let value = joined(store.value, "(local.get 3)", "(local.get 4)");
        text += &functions(store.name, STORE_SIGNATURE, |immediate, index| {
            format!("({} {immediate} {index} {value})", store.name)
        });
        cases.push((store.name.to_owned(), store.width));
    }
    check_stores(&text, &cases);
}

#[test]
fn stores_of_constants() {
    let mut text = String::new();
    let mut cases = Vec::new();
    for store in STORES {
        let name = format!("{} of a constant", store.name);
        let constant = match store.value {
            "i32" => format!("(i32.const {})", VALUE as u32),
            "i64" => format!("(i64.const {})", VALUE as u64),
            "f32" => format!("(f32.reinterpret_i32 (i32.const {}))", VALUE as u32),
            _ => format!("(f64.reinterpret_i64 (i64.const {}))", VALUE as u64),
        };
        text += &functions(&name, STORE_SIGNATURE, |immediate, index| {
            format!("({} {immediate} {index} {constant})", store.name)
        });
        cases.push((name, store.width));
    }
    check_stores(&text, &cases);
}

#[test]
fn stores_of_vectors_and_lanes() {
    let value = joined("v128", "(local.get 3)", "(local.get 4)");
    let mut text = functions("v128.store", STORE_SIGNATURE, |immediate, index| {
        format!("(v128.store {immediate} {index} {value})")
    });
    let mut cases = vec![("v128.store".to_owned(), 16)];
    for (suffix, width) in LANES {
        let name = format!("v128.store{suffix}_lane");
        text += &functions(&name, STORE_SIGNATURE, |immediate, index| {
            format!("({name} {immediate} 0 {index} {value})")
        });
        cases.push((name, width));
    }
    check_stores(&text, &cases);
}

/// Indices that the translator knows: another form of access.
#[test]
fn constant_indices() {
    let len = PAGE;
    let mut text = String::new();
    let mut cases = Vec::new();
    for load in LOADS {
        for place in places(load.width as u64, len) {
            for offset in OFFSETS {
                let Some(Ok(index)) = place.checked_sub(offset).map(u32::try_from) else {
                    continue;
                };
                let name = format!("{} {offset} {index}", load.name);
                let access = format!("({} offset={offset} (i32.const {index}))", load.name);
                let body = halves(load.result, &access);
                writeln!(text, "(func (export \"{name}\") (result i64 i64) {body})").unwrap();
                cases.push((name, load.width, load.value, place as usize));
            }
        }
    }
    for engine in engines() {
        let mut guest = Guest::new(&engine, &text, 1);
        for (name, width, value, place) in &cases {
            let load: TypedFunc<(), (u64, u64)> = guest
                .instance
                .get_typed_func(&mut guest.store, name)
                .unwrap();
            let result = load.call(&mut guest.store, ());
            match guest.model.get(*place..place + width) {
                Some(bytes) => {
                    let loaded = u128::from(result.unwrap_or_else(|e| panic!("{name}: {e}")).0);
                    assert_eq!(loaded, value(bytes), "{name}");
                }
                None => {
                    let error = result.expect_err(name);
                    assert_eq!(error.trap(), Some(Trap::MemoryOutOfBounds), "{name}");
                }
            }
        }
    }
}
