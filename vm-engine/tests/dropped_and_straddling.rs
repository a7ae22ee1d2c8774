//! A load whose value nobody uses still traps, and a store that crosses the end writes nothing.

mod common;

use std::fmt::Write as _;

use common::accesses::{LANES, LOADS, Load, STORES, VECTOR_LOADS, joined};
use common::{call, modes_with};
use vm_engine::{Engine, Instance, Module, Store, Trap};

const PAGE: usize = 65536;

fn engines() -> Vec<Engine> {
    modes_with(|config| {
        config.wasm_simd(true);
    })
}

fn instantiate(engine: &Engine, text: &str) -> (Store<()>, Instance) {
    eprintln!("{}", engine.strategy());
    let module = Module::new(engine, text).unwrap();
    let mut store = Store::new(engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    (store, instance)
}

/// A constant of this type, for operators that take two.
fn one(ty: &str) -> &'static str {
    match ty {
        "i32" => "(i32.const 1)",
        "i64" => "(i64.const 1)",
        "f32" => "(f32.const 1)",
        "f64" => "(f64.const 1)",
        _ => "(v128.const i64x2 1 1)",
    }
}

/// Bodies that use the load's value in such a way that it makes no difference.
fn unused(load: &str, ty: &str) -> Vec<String> {
    let one = one(ty);
    let add = if ty == "v128" {
        "i64x2.add".into()
    } else {
        format!("{ty}.add")
    };
    let mut bodies = vec![
        format!("(drop {load})"),
        // A local that nobody reads, and one that is set again at once.
        format!("(local.set $value {load})"),
        format!("(local.set $value {load}) (local.set $value {one})"),
        format!("(drop (local.tee $value {load}))"),
        // Dropped with the operators on it, also those that could do without the operand.
        format!("(drop ({add} {load} {one}))"),
        format!("(drop ({add} {one} {load}))"),
        format!("(drop (select {load} {one} (i32.const 0)))"),
        format!("(drop (select {one} {load} (i32.const 1)))"),
        // Left over at a branch and at a return.
        format!("(block {load} (br 0))"),
        format!("{load} (return)"),
        // Dropped much later, after effects that must not come first.
        format!("{load} (global.set $done (i32.const 1)) (drop)"),
        format!("{load} (i32.store (i32.const 0) (i32.const -1)) (drop)"),
    ];
    if ty == "i32" || ty == "i64" {
        bodies.extend([
            format!("(drop ({ty}.mul {load} ({ty}.const 0)))"),
            format!("(drop ({ty}.and ({ty}.const 0) {load}))"),
            format!("(drop ({ty}.eqz {load}))"),
            format!("(if ({ty}.eqz {load}) (then) (else))"),
        ]);
    }
    bodies
}

#[test]
fn a_load_whose_value_is_unused_traps() {
    let mut text = String::from(
        r#"(module
          (memory (export "memory") 1)
          (global $done (export "done") (mut i32) (i32.const 0))"#,
    );
    let mut names = Vec::new();
    let vector_lanes = LANES.map(|(suffix, width)| (format!("v128.load{suffix}_lane"), width));
    let loads = LOADS
        .iter()
        .chain(&VECTOR_LOADS)
        .map(|load: &Load| (load.name.to_owned(), load.width, load.result, ""))
        .chain(vector_lanes.map(|(name, width)| (name, width, "v128", "0")));
    for (name, width, result, lane) in loads {
        let operand = if lane.is_empty() { "" } else { one("v128") };
        let load = format!("({name} {lane} (local.get 0) {operand})");
        for (number, body) in unused(&load, result).iter().enumerate() {
            writeln!(
                text,
                "(func (export \"{name} {number}\") (param i32) (local $value {result}) {body})"
            )
            .unwrap();
            names.push((
                format!("{name} {number}: {body}"),
                format!("{name} {number}"),
                width,
            ));
        }
    }
    text += ")";
    for engine in engines() {
        let (mut store, instance) = instantiate(&engine, &text);
        let memory = instance.get_memory(&mut store, "memory").unwrap();
        let done = instance.get_global(&mut store, "done").unwrap();
        for (case, name, width) in &names {
            for outside in [PAGE - width + 1, PAGE, u32::MAX as usize] {
                let address = outside as u32;
                let error =
                    call::<_, u32, ()>(&mut store, instance, name, address).expect_err(case);
                assert_eq!(error.trap(), Some(Trap::MemoryOutOfBounds), "{case}");
                // What stands after the load has not happened.
                assert_eq!(done.get(&mut store).unwrap_i32(), 0, "{case}");
                assert_eq!(memory.data(&store)[..4], [0; 4], "{case}");
            }
            // The last bytes can be loaded, and what follows happens.
            let last = (PAGE - width) as u32;
            call::<_, u32, ()>(&mut store, instance, name, last).expect(case);
            done.set(&mut store, 0i32.into()).unwrap();
            memory.write(&mut store, 0, &[0; 4]).unwrap();
        }
    }
}

/// Two things that trap in one expression: the first in program order does.
#[test]
fn an_unused_load_traps_in_its_turn() {
    let text = r#"
    (module
      (memory 1)
      (func (export "load first") (param i32)
        (drop (i32.div_u (i32.load (i32.const -1)) (local.get 0))))
      (func (export "division first") (param i32)
        (drop (i32.div_u (i32.const 1) (local.get 0)))
        (drop (i32.load (i32.const -1))))
      (func (export "division inside") (param i32)
        (drop (i32.load (i32.sub (i32.div_u (i32.const 1) (local.get 0)) (i32.const 2)))))
      (func (export "load before unreachable")
        (i32.load (i32.const -1)) (unreachable))
      (func (export "load and then a call") (param i32)
        (i32.load (i32.const -1)) (call $trap) (drop))
      (func $trap unreachable))"#;
    for engine in engines() {
        let (mut store, instance) = instantiate(&engine, text);
        for (name, trap) in [
            ("load first", Trap::MemoryOutOfBounds),
            ("division first", Trap::IntegerDivideByZero),
            ("division inside", Trap::IntegerDivideByZero),
            ("load and then a call", Trap::MemoryOutOfBounds),
        ] {
            let error = call::<_, i32, ()>(&mut store, instance, name, 0).unwrap_err();
            assert_eq!(error.trap(), Some(trap), "{name}");
        }
        let error = call::<_, i32, ()>(&mut store, instance, "division inside", 1).unwrap_err();
        assert_eq!(error.trap(), Some(Trap::MemoryOutOfBounds));
        let name = "load before unreachable";
        let error = call::<_, (), ()>(&mut store, instance, name, ()).unwrap_err();
        assert_eq!(error.trap(), Some(Trap::MemoryOutOfBounds));
    }
}

#[test]
fn a_store_that_crosses_the_end_changes_nothing() {
    let mut text = String::from("(module (memory (export \"memory\") 1 3)");
    let mut stores: Vec<(String, usize)> = Vec::new();
    for store in STORES {
        let value = joined(store.value, "(i64.const -1)", "(i64.const -1)");
        let name = store.name;
        writeln!(
            text,
            "(func (export \"{name}\") (param i32) ({name} (local.get 0) {value}))"
        )
        .unwrap();
        stores.push((name.to_owned(), store.width));
    }
    let ones = "(v128.const i64x2 -1 -1)";
    text += "(func (export \"v128.store\") (param i32) \
             (v128.store (local.get 0) (v128.const i64x2 -1 -1)))";
    stores.push(("v128.store".into(), 16));
    for (suffix, width) in LANES {
        let name = format!("v128.store{suffix}_lane");
        writeln!(
            text,
            "(func (export \"{name}\") (param i32) ({name} 0 (local.get 0) {ones}))"
        )
        .unwrap();
        stores.push((name, width));
    }
    text += ")";
    for engine in engines() {
        let (mut store, instance) = instantiate(&engine, &text);
        let memory = instance.get_memory(&mut store, "memory").unwrap();
        // The bytes past the end are another page's before the memory has grown, and this one's after.
        for pages in 1..=3 {
            let len = pages * PAGE;
            for (name, width) in &stores {
                for inside in 0..*width {
                    let address = (len - inside) as u32;
                    let error =
                        call::<_, u32, ()>(&mut store, instance, name, address).unwrap_err();
                    assert_eq!(error.trap(), Some(Trap::MemoryOutOfBounds), "{name}");
                    assert!(
                        memory.data(&store).iter().all(|byte| *byte == 0),
                        "{name} with {inside} bytes inside"
                    );
                }
                let address = (len - width) as u32;
                call::<_, u32, ()>(&mut store, instance, name, address).unwrap();
                assert_eq!(memory.data(&store)[len - width..], vec![0xff; *width]);
                memory.data_mut(&mut store)[len - width..].fill(0);
            }
            // What the stores would have written past the end is not there either.
            if memory.grow(&mut store, 1).is_ok() {
                assert!(memory.data(&store).iter().all(|byte| *byte == 0));
            } else {
                assert_eq!(pages, 3);
            }
        }
    }
}
