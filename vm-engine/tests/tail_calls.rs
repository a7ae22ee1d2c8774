//! Tail calls: constant stack, also where the callee belongs to another instance or to the host.

mod common;

use common::{call, in_each_mode, modes_with};
use vm_engine::{Engine, Extern, Func, Instance, Linker, Module, Store, Trap};

/// Enough that a single byte kept for each call would exhaust the stack of [`engines`].
const CALLS: i64 = if cfg!(debug_assertions) {
    1_000_000
} else {
    100_000_000
};

fn engines() -> Vec<Engine> {
    modes_with(|config| {
        config.max_wasm_stack(64 << 10);
    })
}

fn instance(store: &mut Store<()>, text: &str) -> Instance {
    let module = Module::new(store.engine(), text).unwrap();
    Instance::new(store, &module, &[]).unwrap()
}

#[test]
fn functions_that_call_themselves_and_each_other() {
    let text = r#"
    (module
      (table funcref (elem $even $odd))
      (type $t (func (param i64) (result i64)))
      (func $count (export "count") (param i64 i64) (result i64)
        (if (i64.eqz (local.get 0)) (then (return (local.get 1))))
        (return_call $count
          (i64.sub (local.get 0) (i64.const 1)) (i64.add (local.get 1) (i64.const 3))))
      (func $even (export "even") (type $t)
        (if (i64.eqz (local.get 0)) (then (return (i64.const 44))))
        (return_call_indirect (type $t)
          (i64.sub (local.get 0) (i64.const 1)) (i32.const 1)))
      (func $odd (type $t)
        (if (i64.eqz (local.get 0)) (then (return (i64.const 99))))
        (return_call $even (i64.sub (local.get 0) (i64.const 1)))))"#;
    for engine in engines() {
        let mut store = Store::new(&engine, ());
        let instance = instance(&mut store, text);
        let counted: i64 = call(&mut store, instance, "count", (CALLS, 5i64)).unwrap();
        assert_eq!(counted, 5 + 3 * CALLS);
        let even: i64 = call(&mut store, instance, "even", CALLS).unwrap();
        assert_eq!(even, 44);
        let odd: i64 = call(&mut store, instance, "even", CALLS + 1).unwrap();
        assert_eq!(odd, 99);
    }
}

#[test]
fn the_callee_may_have_more_parameters_and_locals_than_the_caller() {
    let text = r#"
    (module
      (func $many (param i32 i32 i32 i32 i32 i32 i32 i32 i32 f64 f64 f64) (result i32 f64)
        (local i64 i64 i64 i64 f32 f32 i32)
        (i32.add (local.get 0) (i32.add (local.get 8) (local.get 18)))
        (f64.sub (local.get 9) (local.get 11)))
      (func $few (param i32) (result i32 f64)
        (return_call $many
          (local.get 0) (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 4) (i32.const 5)
          (i32.const 6) (i32.const 7) (i32.const 8) (f64.const 9) (f64.const 10)
          (f64.const 0.5)))
      ;; The caller's locals, most of them in registers, survive.
      (func (export "f") (param i32 i64 f64) (result i32 f64 i32 i64 f64)
        (call $few (local.get 0))
        (local.get 0) (local.get 1) (local.get 2)))"#;
    in_each_mode(text, |store, instance| {
        let all: (i32, f64, i32, i64, f64) =
            call(store, instance, "f", (100i32, -7i64, 2.25f64)).unwrap();
        assert_eq!(all, (108, 8.5, 100, -7, 2.25));
    });
}

/// Two instances that call each other: one through an import, the other through a table.
const PING: &str = r#"
(module
  (type $t (func (param i64 i64) (result i64 i64 i64)))
  (import "pong" "pong" (func $pong (type $t)))
  (import "pong" "table" (table 2 funcref))
  (global $mine (mut i64) (i64.const 1000))
  (memory (export "memory") 1)
  (data (i32.const 0) "\2a")
  (func $ping (export "ping") (type $t)
    (global.set $mine (i64.add (global.get $mine) (i64.const 1)))
    (if (i64.eqz (local.get 0))
      (then (return (global.get $mine) (local.get 1) (i64.const 1))))
    (return_call $pong (i64.sub (local.get 0) (i64.const 1)) (local.get 1)))
  (elem (i32.const 1) $ping)
  ;; A call that stays in the instance: what it calls has to come back to this one.
  (func (export "direct") (param i64) (result i64 i64 i64 i64 i32)
    (call $ping (local.get 0) (i64.const 7))
    (global.get $mine) (i32.load8_u (i32.const 0)))
  (func (export "indirect") (param i64) (result i64 i64 i64 i64 i32)
    (call_indirect (type $t) (local.get 0) (i64.const 7) (i32.const 1))
    (global.get $mine) (i32.load8_u (i32.const 0)))
  (func (export "import") (param i64) (result i64 i64 i64 i64 i32)
    (call $pong (local.get 0) (i64.const 7))
    (global.get $mine) (i32.load8_u (i32.const 0)))
  (func (export "trap") (param i64)
    (call $ping (i64.const 1) (local.get 0)) drop drop drop))"#;

const PONG: &str = r#"
(module
  (type $t (func (param i64 i64) (result i64 i64 i64)))
  (table (export "table") 2 funcref)
  (global $mine (mut i64) (i64.const 0))
  (memory 1)
  (func (export "pong") (type $t)
    (global.set $mine (i64.add (global.get $mine) (i64.const 1)))
    (if (i64.lt_s (local.get 1) (i64.const 0)) (then unreachable))
    (if (i64.eqz (local.get 0))
      (then (return (global.get $mine) (local.get 1) (i64.const 2))))
    (return_call_indirect (type $t)
      (i64.sub (local.get 0) (i64.const 1)) (local.get 1) (i32.const 1))))"#;

fn ping(store: &mut Store<()>) -> Instance {
    let mut linker = Linker::new(store.engine());
    let pong = instance(store, PONG);
    linker.instance(&mut *store, "pong", pong).unwrap();
    let module = Module::new(store.engine(), PING).unwrap();
    linker.instantiate(&mut *store, &module).unwrap()
}

#[test]
fn instances_that_call_each_other() {
    let half = CALLS / 2;
    for name in ["direct", "indirect"] {
        for engine in engines() {
            let mut store = Store::new(&engine, ());
            let ping = ping(&mut store);
            let (count, seven, who, mine, byte): (i64, i64, i64, i64, i32) =
                call(&mut store, ping, name, CALLS).unwrap();
            assert_eq!((count, seven, who), (1000 + half + 1, 7, 1), "{name}");
            assert_eq!((mine, byte), (1000 + half + 1, 42), "{name}");
            // The other one is the last, and both go on where they were.
            let (count, seven, who, mine, byte): (i64, i64, i64, i64, i32) =
                call(&mut store, ping, name, CALLS + 1).unwrap();
            assert_eq!((count, seven, who), (half + half + 1, 7, 2), "{name}");
            assert_eq!((mine, byte), (1000 + 2 * (half + 1), 42), "{name}");
        }
    }
    for engine in engines() {
        let mut store = Store::new(&engine, ());
        let ping = ping(&mut store);
        let all: (i64, i64, i64, i64, i32) = call(&mut store, ping, "import", CALLS).unwrap();
        assert_eq!(all, (half + 1, 7, 2, 1000 + half, 42));
        // The first frame of a run is replaced by another instance's.
        let first: (i64, i64, i64) = call(&mut store, ping, "ping", (1i64, 7i64)).unwrap();
        assert_eq!(first, (half + 2, 7, 2));
    }
}

#[test]
fn a_trap_shows_who_is_left() {
    for engine in engines() {
        let mut store = Store::new(&engine, ());
        let ping = ping(&mut store);
        let error = call::<_, i64, ()>(&mut store, ping, "trap", -1).unwrap_err();
        assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::Unreachable));
        let backtrace = error.backtrace().unwrap();
        let functions: Vec<u32> = backtrace.frames().iter().map(|f| f.func_index()).collect();
        // `pong` in place of `ping`, and the caller of `ping`.
        assert_eq!(functions, [0, 5], "{}", engine.strategy());
    }
}

#[test]
fn host_functions_end_a_chain_of_tail_calls() {
    let text = r#"
    (module
      (import "" "host" (func $host (param i64 i64) (result i64)))
      (func $f (param i64) (result i64)
        (return_call $host (local.get 0) (i64.const 5)))
      (table funcref (elem $host))
      (func $g (param i64) (result i64)
        (return_call_indirect (param i64 i64) (result i64)
          (local.get 0) (i64.const 6) (i32.const 0)))
      (func (export "f") (param i64) (result i64 i64)
        (i64.add (call $f (local.get 0)) (call $g (local.get 0))) (local.get 0)))"#;
    for engine in engines() {
        let mut store = Store::new(&engine, ());
        let host = Func::wrap(&mut store, |a: i64, b: i64| a * 100 + b);
        let module = Module::new(&engine, text).unwrap();
        let instance = Instance::new(&mut store, &module, &[Extern::from(host)]).unwrap();
        let results: (i64, i64) = call(&mut store, instance, "f", 3i64).unwrap();
        assert_eq!(results, (305 + 306, 3));
    }
}
