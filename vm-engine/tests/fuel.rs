//! Fuel: what programs consume, exactly and in every mode, and what happens where it runs out.

mod common;

use std::num::NonZero;

use common::{call, modes, modes_with};
use vm_engine::{
    Caller, ConfigError, Engine, FuelCosts, Func, Instance, Linker, Module, Store, Translation,
    Trap,
};

/// An engine for each mode, with code made at first calls and before.
fn engines_with(costs: &FuelCosts) -> Vec<Engine> {
    let all = [Translation::Lazy, Translation::Eager].map(|translation| {
        modes_with(|config| {
            config.consume_fuel(true).fuel_costs(costs.clone());
            config.translation(translation);
        })
    });
    all.into_iter().flatten().collect()
}

fn engines() -> Vec<Engine> {
    engines_with(&FuelCosts::default())
}

/// A store with so much fuel, and an instance.
fn world(engine: &Engine, text: &str, fuel: u64) -> (Store<()>, Instance) {
    let module = Module::new(engine, text).unwrap();
    let mut store = Store::new(engine, ());
    store.set_fuel(fuel).unwrap();
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    (store, instance)
}

const PLENTY: u64 = 1 << 40;

/// What calls of an export consume, one after the other.
fn consumed(engine: &Engine, text: &str, params: &[i32]) -> Vec<u64> {
    let (mut store, instance) = world(engine, text, PLENTY);
    let func = (instance.get_typed_func::<i32, ()>(&mut store, "f")).unwrap();
    let consumed = params.iter().map(|param| {
        let before = store.get_fuel().unwrap();
        let _ = func.call(&mut store, *param);
        before - store.get_fuel().unwrap()
    });
    consumed.collect()
}

#[test]
fn operators_cost_one_and_structure_nothing() {
    // Each with what it costs for 0, 1 and 5.
    let cases = [
        ("", [0, 0, 0]),
        ("nop (block (block nop)) (drop (local.get 0))", [1, 1, 1]),
        (
            "(local.set 0 (i32.add (local.get 0) (i32.const 1)))",
            [4, 4, 4],
        ),
        ("(if (local.get 0) (then (drop (i32.const 1))))", [2, 3, 3]),
        (
            "(if (local.get 0) (then (drop (i32.const 1))) (else (drop (i32.eqz (i32.const 1)))))",
            [4, 3, 3],
        ),
        // What comes behind a branch that is taken is not paid for.
        (
            "(block (br_if 0 (local.get 0)) (drop (i32.const 1)) (drop (i32.const 1))) (drop (i32.const 2))",
            [5, 3, 3],
        ),
        (
            "(br_if 0 (local.get 0)) (return) (drop (i32.const 1))",
            [2, 2, 2],
        ),
        // Six operators a turn.
        (
            "(loop (br_if 0 (local.tee 0 (i32.add (local.get 0) (i32.const -1)))))",
            [u64::MAX, 5, 25],
        ),
        (
            "(block (block (block (br_table 0 1 2 (local.get 0))) (drop (i32.const 1)) (br 1)) \
               (drop (i32.const 1)) (drop (i32.const 1))) (drop (i32.const 1))",
            [5, 5, 3],
        ),
        // Of a piece in which something traps all of it.
        (
            "(drop (i32.div_u (i32.const 6) (local.get 0))) (drop (i32.const 1)) (drop (i32.const 1))",
            [5, 5, 5],
        ),
        (
            "(drop (i32.const 1)) unreachable (drop (i32.const 1))",
            [1, 1, 1],
        ),
        (
            "(call $g (local.get 0)) (call $g (i32.const 0))",
            [8, 10, 10],
        ),
        (
            "(call_indirect (param i32) (local.get 0) (i32.const 0)) (drop (i32.const 0))",
            [6, 8, 8],
        ),
    ];
    for engine in engines() {
        for (body, expected) in &cases {
            let text = format!(
                "(module (table funcref (elem $g))
                   (func $g (param i32) (if (local.get 0) (then (drop (i32.eqz (i32.const 1))))))
                   (func (export \"f\") (param i32) {body}))"
            );
            let endless = expected[0] == u64::MAX;
            let params = if endless { &[1, 5][..] } else { &[0, 1, 5] };
            // Again and again, so that tiers change.
            let params = params.repeat(8);
            let found = consumed(&engine, &text, &params);
            let expected = expected[usize::from(endless)..].repeat(8);
            assert_eq!(
                found,
                expected,
                "{body} with {params:?}, {}",
                engine.strategy()
            );
        }
    }
}

#[test]
fn costs_can_be_chosen() {
    let mut costs = FuelCosts::uniform(0);
    costs.set_operator("I32Mul", 10).unwrap();
    costs.set_operator("End", 3).unwrap();
    costs.set_operator("Return", 100).unwrap();
    let text = "(module (func (export \"f\") (param i32)
      (block (block (br_if 0 (local.get 0)) (br 1)) (drop (i32.mul (local.get 0) (local.get 0))) (return))
      (drop (i32.mul (local.get 0) (local.get 0)))))";
    for engine in engines_with(&costs) {
        let found = consumed(&engine, text, &[0, 1, 0, 1]);
        assert_eq!(found, [13, 110, 13, 110], "{}", engine.strategy());
    }
    let error = costs.set_operator("i32.mul", 1).unwrap_err();
    assert!(error.to_string().contains("i32.mul"), "{error}");
}

#[test]
fn bulk_operations_cost_what_they_do() {
    let mut costs = FuelCosts::uniform(0);
    costs.set_bytes_per_unit(NonZero::new(16).unwrap());
    let text = r#"(module
      (memory (export "m") 1 3) (table $t 10 100 funcref)
      (data $d "0123456789012345678901234567890123456789") (elem $e func 0 0 0 0 0 0 0 0)
      (func)
      (func (export "fill") (param i32) (memory.fill (i32.const 0) (i32.const 1) (local.get 0)))
      (func (export "copy") (param i32) (memory.copy (i32.const 0) (i32.const 1) (local.get 0)))
      (func (export "init") (param i32) (memory.init $d (i32.const 0) (i32.const 0) (local.get 0)))
      (func (export "grow") (param i32) (drop (memory.grow (local.get 0))))
      (func (export "table.fill") (param i32) (table.fill $t (i32.const 0) (ref.null func) (local.get 0)))
      (func (export "table.copy") (param i32) (table.copy $t $t (i32.const 0) (i32.const 0) (local.get 0)))
      (func (export "table.init") (param i32) (table.init $t $e (i32.const 0) (i32.const 0) (local.get 0)))
      (func (export "table.grow") (param i32) (drop (table.grow $t (ref.null func) (local.get 0)))))"#;
    // What is out of bounds, or does not grow, costs nothing.
    let cases: [(&str, i32, u64); 18] = [
        ("fill", 15, 0),
        ("fill", 160, 10),
        ("fill", 65537, 0),
        ("copy", 65535, 4095),
        ("copy", 65536, 0),
        ("init", 32, 2),
        ("init", 41, 0),
        ("grow", 0, 0),
        ("grow", 2, 8192),
        ("grow", 1, 0),
        ("table.fill", 10, 5),
        ("table.fill", 11, 0),
        ("table.copy", 3, 1),
        ("table.copy", 11, 0),
        ("table.init", 8, 4),
        ("table.init", 9, 0),
        ("table.grow", 90, 45),
        ("table.grow", 1, 0),
    ];
    for engine in engines_with(&costs) {
        let (mut store, instance) = world(&engine, text, PLENTY);
        let mut left = PLENTY;
        for (name, param, expected) in cases {
            let _ = call::<_, i32, ()>(&mut store, instance, name, param);
            left -= expected;
            let found = store.get_fuel().unwrap();
            assert_eq!(found, left, "{name} {param}, {}", engine.strategy());
        }
        // With less than it needs, nothing is done.
        store.set_fuel(9).unwrap();
        let error = call::<_, i32, ()>(&mut store, instance, "fill", 160).unwrap_err();
        assert_eq!(error.trap(), Some(Trap::OutOfFuel));
        assert_eq!(store.get_fuel().unwrap(), 9);
    }
}

#[test]
fn a_guest_stops_where_it_has_no_fuel_left_and_goes_on_with_more() {
    let text = r#"(module
      (global (export "g") (mut i32) (i32.const 0))
      (func $deep (param i32)
        (global.set 0 (i32.add (global.get 0) (i32.const 1)))
        (call $deep (local.get 0)))
      (func (export "loop") (param i32)
        (loop
          (global.set 0 (i32.add (global.get 0) (i32.const 1)))
          (br 0)))
      (func (export "deep") (param i32) (call $deep (local.get 0))))"#;
    for engine in engines() {
        let (mut store, instance) = world(&engine, text, 0);
        let turns = |store: &mut Store<()>| {
            let global = instance.get_global(&mut *store, "g").unwrap();
            global.get(&mut *store).unwrap_i32()
        };
        // Five operators a turn.
        for (fuel, expected) in [(0, 0), (4, 0), (5, 1), (5003, 1001), (7, 1002)] {
            store.set_fuel(fuel).unwrap();
            let error = call::<_, i32, ()>(&mut store, instance, "loop", 0).unwrap_err();
            assert_eq!(error.trap(), Some(Trap::OutOfFuel), "{error}");
            assert_eq!(turns(&mut store), expected, "{}", engine.strategy());
            assert_eq!(store.get_fuel().unwrap(), fuel % 5);
        }
        store.set_fuel(2 + 6 * 100 + 5).unwrap();
        let error = call::<_, i32, ()>(&mut store, instance, "deep", 0).unwrap_err();
        assert_eq!(error.trap(), Some(Trap::OutOfFuel));
        assert_eq!(turns(&mut store), 1102);
        assert_eq!(store.get_fuel().unwrap(), 5);
        // Where it has happened.
        let frames = error.backtrace();
        assert_eq!(frames.map(|trace| trace.frames().len()), Some(102));
    }
}

#[test]
fn host_functions_see_and_set_what_is_left() {
    for engine in engines() {
        let mut linker = Linker::<Vec<u64>>::new(&engine);
        let host = |mut caller: Caller<'_, Vec<u64>>, fuel: i64| {
            let left = caller.get_fuel().unwrap();
            caller.data_mut().push(left);
            caller.set_fuel(fuel as u64).unwrap();
        };
        linker.func_wrap("h", "f", host).unwrap();
        let text = r#"(module
          (import "h" "f" (func $f (param i64)))
          (func (export "g")
            (call $f (i64.const 1000))
            (call $f (i64.const 12))
            (loop (br 0))))"#;
        let module = Module::new(&engine, text).unwrap();
        let mut store = Store::new(&engine, Vec::new());
        store.set_fuel(100).unwrap();
        let instance = linker.instantiate(&mut store, &module).unwrap();
        let error = call::<_, (), ()>(&mut store, instance, "g", ()).unwrap_err();
        assert_eq!(error.trap(), Some(Trap::OutOfFuel));
        // A call does not end a piece.
        assert_eq!(store.data()[..], [96, 1000]);
        assert_eq!(store.get_fuel().unwrap(), 0);
    }
}

#[test]
fn a_start_function_consumes_fuel() {
    let text = "(module (start 0) (func (drop (i32.const 0)) (drop (i32.const 0))))";
    for engine in engines() {
        let module = Module::new(&engine, text).unwrap();
        let mut store = Store::new(&engine, ());
        let error = Instance::new(&mut store, &module, &[]).unwrap_err();
        assert_eq!(error.trap(), Some(Trap::OutOfFuel));
        store.set_fuel(3).unwrap();
        Instance::new(&mut store, &module, &[]).unwrap();
        assert_eq!(store.get_fuel().unwrap(), 1);
    }
}

#[test]
fn stores_have_fuel_of_their_own_and_instances_share_a_stores() {
    let text = r#"(module (import "a" "f" (func $f (param i32))) (func (export "f") (param i32) (call $f (local.get 0))))"#;
    for engine in engines() {
        let (mut store, callee) = world(
            &engine,
            "(module (func (export \"f\") (param i32) nop (drop (i32.const 1))))",
            10,
        );
        let (other, _) = world(&engine, "(module)", 77);
        let module = Module::new(&engine, text).unwrap();
        let func: Func = callee.get_func(&mut store, "f").unwrap();
        let caller = Instance::new(&mut store, &module, &[func.into()]).unwrap();
        call::<_, i32, ()>(&mut store, caller, "f", 1).unwrap();
        assert_eq!(store.get_fuel().unwrap(), 10 - 3);
        assert_eq!(other.get_fuel().unwrap(), 77);
    }
}

#[test]
fn without_fuel_in_the_engine_there_is_none_in_the_store() {
    for engine in modes() {
        let mut store = Store::new(&engine, ());
        for error in [
            store.set_fuel(1).unwrap_err(),
            store.get_fuel().unwrap_err(),
        ] {
            assert!(matches!(error.downcast_ref(), Some(ConfigError::NoFuel)));
        }
    }
}
