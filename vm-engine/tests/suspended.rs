//! Snapshots of calls that wait: taken in one mode, restored in another, for every pair of modes; and with bytes that are not what
//! anyone has written.

mod common;

use common::modes_with;
use vm_engine::{
    Caller, Config, Engine, Error, ExnRef, ExnRefPre, ExnType, ExternRef, FuncType, Instance,
    Linker, Module, ResumableCall, Snapshot, SnapshotError, Store, Tag, TagType,
    TypedResumableCall, UpdateDeadline, Val,
};

/// Programs whose function `run` takes a number, and some turns for each. What it answers depends on all of its values.
const PROGRAMS: &[(&str, &str)] = &[
    (
        "recursion",
        r#"(module (func $fib (export "run") (param i32) (result i64)
          (if (result i64) (i32.lt_u (local.get 0) (i32.const 2))
            (then (i64.extend_i32_u (local.get 0)))
            (else (i64.add
              (call $fib (i32.sub (local.get 0) (i32.const 1)))
              (call $fib (i32.sub (local.get 0) (i32.const 2))))))))"#,
    ),
    (
        "loops with operands below, one in the other",
        r#"(module (memory 1)
          (func (export "run") (param i32) (result i64) (local i32 i32 i64)
            (i64.const 7)
            (i32.mul (local.get 0) (local.get 0))
            (loop $out
              (local.set 2 (local.get 0))
              (loop $in
                (local.set 3 (i64.add (i64.mul (local.get 3) (i64.const 31))
                  (i64.extend_i32_u (i32.xor (local.get 1) (local.get 2)))))
                (i64.store (i32.and (i32.wrap_i64 (local.get 3)) (i32.const 0xff8)) (local.get 3))
                (br_if $in (local.tee 2 (i32.sub (local.get 2) (i32.const 1)))))
              (br_if $out (i32.lt_u (local.tee 1 (i32.add (local.get 1) (i32.const 1))) (i32.const 9))))
            (i64.extend_i32_u)
            (i64.add)
            (i64.add (local.get 3))))"#,
    ),
    (
        "floats in registers, across frames",
        r#"(module
          (func $f (param f64 f32 i32) (result f64) (local f64 f32 i32)
            (local.set 3 (f64.add (local.get 0) (f64.const 0.5)))
            (local.set 4 (f32.mul (local.get 1) (f32.const 1.25)))
            (local.set 5 (local.get 2))
            (loop
              (local.set 3 (f64.add (f64.mul (local.get 3) (local.get 0)) (f64.promote_f32 (local.get 4))))
              (local.set 4 (f32.sub (local.get 4) (f32.const 0.125)))
              (br_if 0 (local.tee 5 (i32.sub (local.get 5) (i32.const 1)))))
            (if (i32.gt_u (local.get 2) (i32.const 1))
              (then (local.set 3 (f64.sub (local.get 3)
                (call $f (local.get 3) (local.get 4) (i32.sub (local.get 2) (i32.const 1)))))))
            (f64.add (local.get 3) (f64.promote_f32 (local.get 4))))
          (func (export "run") (param i32) (result i64) (local f64 f32)
            (local.set 1 (f64.const 0.75)) (local.set 2 (f32.const -3))
            (i64.add
              (i64.reinterpret_f64 (call $f (local.get 1) (local.get 2) (local.get 0)))
              (i64.reinterpret_f64 (f64.add (local.get 1) (f64.promote_f32 (local.get 2)))))))"#,
    ),
    (
        "vectors",
        r#"(module
          (func $v (param v128 i32) (result v128 i32) (local v128)
            (local.set 2 (i32x4.add (local.get 0) (i32x4.splat (local.get 1))))
            (if (local.get 1)
              (then
                (call $v (local.get 2) (i32.sub (local.get 1) (i32.const 1)))
                (local.set 1)
                (local.set 2 (v128.xor (local.get 2)))))
            (i32x4.mul (local.get 2) (v128.const i32x4 3 5 7 9))
            (i32.add (local.get 1) (i32.const 3)))
          (func (export "run") (param i32) (result i64) (local v128)
            (v128.const i64x2 11 13)
            (call $v (v128.not (local.get 1)) (local.get 0))
            (local.set 0)
            (v128.xor)
            (local.set 1)
            (i64.add (i64.extend_i32_u (local.get 0))
              (i64.mul (i64x2.extract_lane 0 (local.get 1)) (i64x2.extract_lane 1 (local.get 1))))))"#,
    ),
    (
        "indirect and tail calls, several values, blocks with operands",
        r#"(module
          (type $t (func (param i32 i64) (result i64 i32)))
          (table funcref (elem $a $b $c))
          (func $a (type $t) (i64.add (local.get 1) (i64.const 3)) (i32.add (local.get 0) (i32.const 1)))
          (func $b (type $t)
            (if (i32.eqz (local.get 0)) (then (return (local.get 1) (i32.const 5))))
            (return_call_indirect (type $t) (i32.sub (local.get 0) (i32.const 1))
              (i64.mul (local.get 1) (i64.const 3)) (i32.rem_u (local.get 0) (i32.const 3))))
          (func $c (type $t)
            (local.get 1)
            (local.get 0)
            (block (param i64 i32) (result i32 i64)
              (call $a (i64.extend_i32_u (local.get 0)))
              (local.set 0)
              (local.set 1 (i64.add))
              (local.get 0)
              (local.get 1)
              (br_if 0 (i32.and (local.get 0) (i32.const 1)))
              (i64.add (i64.const 5)))
            (local.set 1)
            (local.set 0)
            (return_call $a (local.get 0) (local.get 1)))
          (func (export "run") (param i32) (result i64) (local i64 i32 funcref)
            (local.set 3 (table.get (i32.const 1)))
            (loop
              (i64.const 17)
              (call_indirect (type $t) (local.get 0) (local.get 1) (i32.rem_u (local.get 0) (i32.const 3)))
              (local.set 2)
              (i64.add)
              (local.set 1 (i64.xor (i64.extend_i32_u (local.get 2))))
              (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
            (table.set (i32.const 0) (local.get 3))
            (i64.add (local.get 1) (i64.extend_i32_u (ref.is_null (table.get (i32.const 0)))))))"#,
    ),
    (
        "bulk operations",
        r#"(module (memory 1 9) (table $t 3 90 funcref) (data $d "some bytes") (elem $e func $f $f)
          (func $f)
          (func (export "run") (param i32) (result i64) (local i64)
            (i64.const 5)
            (loop
              (memory.fill (i32.const 100) (local.get 0) (i32.mul (local.get 0) (i32.const 50)))
              (memory.copy (i32.const 120) (i32.const 90) (i32.mul (local.get 0) (i32.const 40)))
              (memory.init $d (i32.mul (local.get 0) (i32.const 7)) (i32.const 1) (i32.const 8))
              (i64.extend_i32_u (memory.grow (i32.and (local.get 0) (i32.const 1))))
              (i64.extend_i32_u (table.grow $t (ref.func $f) (i32.const 2)))
              (table.init $t $e (i32.const 1) (i32.const 0) (i32.const 2))
              (table.fill $t (i32.const 2) (ref.null func) (i32.const 1))
              (table.copy (i32.const 0) (i32.const 1) (i32.const 2))
              (local.set 1 (i64.add (i64.add) (i64.mul (local.get 1) (i64.const 3))))
              (local.set 1 (i64.add (local.get 1) (i64.load (i32.const 128))))
              (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
            (i64.add (local.get 1))))"#,
    ),
    (
        "references and many locals",
        r#"(module
          (table 4 funcref)
          (type $n (func (result i32)))
          (func $one (type $n) (i32.const 1))
          (func $two (type $n) (i32.const 2))
          (elem declare func $one $two)
          (func $choose (param funcref funcref i32 externref) (result funcref)
            (select (result funcref) (local.get 0) (local.get 1) (local.get 2)))
          (func (export "run") (param i32) (result i64)
            (local i32 i32 i32 i32 i32 i32 i32 i32 i64 i64 i64 f64 f64 f32 f32 f64 f64 f64 funcref i64)
            (local.set 19 (ref.func $one))
            (local.set 12 (f64.const 1.5))
            (loop
              (local.set 1 (i32.add (local.get 8) (local.get 0)))
              (local.set 2 (i32.xor (local.get 1) (local.get 7)))
              (local.set 3 (i32.mul (local.get 2) (i32.const 77)))
              (local.set 4 (i32.add (local.get 3) (local.get 6)))
              (local.set 5 (i32.rotl (local.get 4) (i32.const 3)))
              (local.set 6 (i32.sub (local.get 5) (local.get 2)))
              (local.set 7 (i32.add (local.get 6) (local.get 1)))
              (local.set 8 (i32.xor (local.get 7) (local.get 3)))
              (local.set 9 (i64.add (local.get 10) (i64.extend_i32_u (local.get 8))))
              (local.set 10 (i64.mul (local.get 9) (i64.const 13)))
              (local.set 11 (i64.sub (local.get 10) (local.get 9)))
              (local.set 13 (f64.add (local.get 12) (f64.const 0.25)))
              (local.set 12 (f64.mul (local.get 13) (f64.const 1.0625)))
              (local.set 14 (f32.demote_f64 (local.get 12)))
              (local.set 16 (f64.promote_f32 (local.get 14)))
              (local.set 17 (f64.sub (local.get 16) (local.get 18)))
              (local.set 18 (f64.add (local.get 17) (local.get 13)))
              (local.set 19 (call $choose (local.get 19) (ref.func $two)
                (i32.and (local.get 8) (i32.const 1)) (ref.null extern)))
              (table.set (i32.const 3) (local.get 19))
              (local.set 20 (i64.add (i64.mul (local.get 20) (i64.const 3))
                (i64.extend_i32_u (call_indirect (type $n) (i32.const 3)))))
              (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
            (i64.xor (local.get 20)
              (i64.add (i64.reinterpret_f64 (local.get 18)) (i64.add (local.get 11)
                (i64.extend_i32_u (local.get 8)))))))"#,
    ),
    (
        "exceptions in locals, on the operand stack and in each other",
        r#"(module
          (tag $plain (param i32 i64))
          (tag $holding (param exnref f64 exnref))
          (func $spin (param i32)
            (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
          (func $down (param i32 i32) (local i64)
            (local.set 2 (i64.mul (i64.extend_i32_u (local.get 0)) (i64.const 77)))
            (call $spin (i32.add (local.get 1) (i32.const 1)))
            (if (i32.eqz (local.get 1)) (then (throw $plain (local.get 0) (local.get 2))))
            (call $down (local.get 0) (i32.sub (local.get 1) (i32.const 1))))
          (func $wrap (param i32) (local exnref)
            (block $caught (result i32 i64 exnref)
              (try_table (catch_ref $plain $caught) (call $down (local.get 0) (i32.and (local.get 0) (i32.const 3))))
              (unreachable))
            (local.set 1)
            (drop)
            (drop)
            (call $spin (i32.const 4))
            ;; Twice the same, which it stays.
            (throw $holding (local.get 1) (f64.convert_i32_u (local.get 0)) (local.get 1)))
          (func (export "run") (param i32) (result i64) (local exnref f64 i64 exnref)
            (loop $round
              (block $caught (result exnref f64 exnref exnref)
                (try_table (catch_ref $holding $caught) (call $wrap (local.get 0)))
                (unreachable))
              (local.set 1)
              (local.set 4)
              (local.set 2)
              (call $spin (i32.const 3))
              (block $again (param exnref) (result i32 i64)
                (try_table (param exnref) (catch $plain $again) (throw_ref))
                (unreachable))
              (local.set 3 (i64.add (i64.mul (local.get 3) (i64.const 31))))
              (i64.extend_i32_u)
              (local.set 3 (i64.xor (local.get 3)))
              (block $outer (result exnref f64 exnref)
                (try_table (catch $holding $outer) (catch_all $round) (throw_ref (local.get 1)))
                (unreachable))
              (call $spin (i32.const 2))
              (drop)
              (i64.reinterpret_f64)
              (local.set 3 (i64.add (local.get 3)))
              (drop)
              (block $last
                (try_table (catch_all $last) (throw_ref (local.get 4))))
              (br_if $round (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
            (local.get 3)))"#,
    ),
    (
        "older clauses inside of each other, which throw on what they have caught",
        r#"(module
          (tag $plain (param i32))
          (tag $other (param i64 i32))
          (func $spin (param i32)
            (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
          (func $throw (param i32)
            (call $spin (i32.const 3))
            (if (i32.and (local.get 0) (i32.const 1)) (then (throw $plain (local.get 0))))
            (throw $other (i64.extend_i32_u (local.get 0)) (i32.const 9)))
          (func $inner (param i32) (result i64)
            try (result i64)
              (call $throw (local.get 0))
              (i64.const 0)
            catch $plain
              (call $spin (i32.const 4))
              try (param i32) (result i64)
                (drop)
                (call $throw (i32.add (local.get 0) (i32.const 1)))
                (i64.const 1)
              catch $other
                (call $spin (i32.const 5))
                (local.set 0)
                (if (i64.eqz (i64.rem_u (i64.const 3))) (then (rethrow 1)))
                (rethrow 1)
              end
            catch_all
              (call $spin (i32.const 2))
              (i64.const 5)
              (call $spin (i32.const 2))
              (rethrow 0)
            end)
          (func (export "run") (param i32) (result i64) (local i64)
            (loop $round
              try (result i64)
                (call $inner (local.get 0))
              catch $plain
                (call $spin (i32.const 2))
                (i64.extend_i32_u)
              catch $other
                (i64.extend_i32_u)
                (i64.add)
                (call $spin (i32.const 3))
              end
              (local.set 1 (i64.add (i64.mul (local.get 1) (i64.const 17))))
              (br_if $round (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
            (local.get 1)))"#,
    ),
];

fn engines_with(configure: impl Fn(&mut Config)) -> Vec<Engine> {
    modes_with(|config| {
        config
            .wasm_simd(true)
            .wasm_tail_call(true)
            .wasm_legacy_exceptions(true);
        config.suspended_snapshots(true);
        configure(config);
    })
}

fn instance<T: 'static>(store: &mut Store<T>, linker: &Linker<T>, text: &str) -> Instance {
    let module =
        Module::new(store.engine(), text).unwrap_or_else(|error| panic!("{error}: {text}"));
    linker.instantiate(&mut *store, &module).unwrap()
}

/// What a program answers, and the fuel that it takes.
fn uninterrupted(engine: &Engine, text: &str, n: i32) -> (i64, u64) {
    let mut store = Store::new(engine, ());
    let instance = instance(&mut store, &Linker::new(engine), text);
    store.set_fuel(u64::MAX).unwrap();
    let run = instance
        .get_typed_func::<i32, i64>(&mut store, "run")
        .unwrap();
    let answer = run.call(&mut store, n).unwrap();
    (answer, u64::MAX - store.get_fuel().unwrap())
}

/// The bytes of a program that has stopped after so much fuel or less, and how much is left of it.
fn stopped(engine: &Engine, text: &str, n: i32, fuel: u64) -> (Vec<u8>, u64) {
    let mut store = Store::new(engine, ());
    let instance = instance(&mut store, &Linker::new(engine), text);
    store.set_fuel(fuel).unwrap();
    let run = instance
        .get_typed_func::<i32, i64>(&mut store, "run")
        .unwrap();
    let TypedResumableCall::OutOfFuel(call) = run.call_resumable(&mut store, n).unwrap() else {
        panic!("{fuel} is too much");
    };
    let snapshot = call
        .snapshot(&store)
        .unwrap_or_else(|error| panic!("{}, {fuel}: {error}: {text}", engine.strategy()));
    assert!(snapshot.is_suspended());
    assert_eq!(snapshot.fuel(), Some(store.get_fuel().unwrap()));
    (snapshot.to_bytes(), store.get_fuel().unwrap())
}

/// Goes on with a program, and stops it again after so much fuel. Answers its result or its bytes, and the fuel that
/// it has taken.
fn go_on(engine: &Engine, text: &str, bytes: &[u8], fuel: u64) -> (Result<i64, Vec<u8>>, u64) {
    let snapshot = Snapshot::from_bytes(bytes).unwrap();
    let module = Module::new(engine, text).unwrap();
    let mut store = Store::new(engine, ());
    let pre = Linker::new(engine).instantiate_pre(&module).unwrap();
    let (_, call) = pre
        .restore_typed_call::<i64>(&mut store, &snapshot)
        .unwrap();
    let TypedResumableCall::OutOfFuel(call) = call else {
        panic!("it has stopped for want of fuel");
    };
    let fuel = fuel + call.required_fuel();
    store.set_fuel(fuel).unwrap();
    let end = match call.resume(&mut store).unwrap() {
        TypedResumableCall::Finished(answer) => Ok(answer),
        TypedResumableCall::OutOfFuel(call) => Err(call.snapshot(&store).unwrap().to_bytes()),
        _ => panic!("there is nothing else to stop for"),
    };
    (end, fuel - store.get_fuel().unwrap())
}

#[test]
fn a_call_that_waits_for_fuel_goes_on_in_every_other_mode() {
    let engines = engines_with(|config| {
        config.consume_fuel(true).max_call_depth(Some(1000));
    });
    for (name, text) in PROGRAMS {
        let (answer, all) = uninterrupted(&engines[0], text, 9);
        // Every point of the shorter ones.
        let step = (all / 37).max(1);
        for fuel in (0..all).step_by(step as usize) {
            let mut snapshots = Vec::new();
            for from in &engines {
                let (bytes, left) = stopped(from, text, 9, fuel);
                for to in &engines {
                    let (end, used) = go_on(to, text, &bytes, all);
                    let what = format!("{name}, {fuel}: {} {}", from.strategy(), to.strategy());
                    assert_eq!(end, Ok(answer), "{what}");
                    assert_eq!(used + fuel - left, all, "{what}");
                }
                snapshots.push(bytes);
            }
            // What is written does not depend on the mode either.
            assert!(
                snapshots.iter().all(|bytes| *bytes == snapshots[0]),
                "{name}, {fuel}"
            );
        }
    }
}

#[test]
fn a_call_goes_from_mode_to_mode_again_and_again() {
    let engines = engines_with(|config| {
        config.consume_fuel(true);
    });
    for (name, text) in PROGRAMS {
        let (answer, all) = uninterrupted(&engines[0], text, 7);
        let part = all / 20 + 70;
        let (mut bytes, _) = stopped(&engines[0], text, 7, part.min(all - 1));
        let mut moves = 0;
        let end = loop {
            moves += 1;
            let engine = &engines[moves % engines.len()];
            match go_on(engine, text, &bytes, part + 700).0 {
                Ok(answer) => break answer,
                Err(next) => bytes = next,
            }
            assert!(moves < 100, "{name} comes to no end");
        };
        assert_eq!(end, answer, "{name}");
    }
}

/// Functions that ask the host in every way that there is, with values in all kinds of places.
const ASKS: &str = r#"(module
  (import "host" "ask" (func $ask (param i32) (result i32)))
  (import "host" "double" (func $double (param i64) (result i64)))
  (type $t (func (param i32) (result i32)))
  (table funcref (elem $ask $tail $indirect))
  (func $tail (type $t) (return_call $ask (i32.add (local.get 0) (i32.const 100))))
  (func $indirect (type $t) (return_call_indirect (type $t) (local.get 0) (i32.const 0)))
  (func $deep (param i32 f64) (result f64) (local f64 i32)
    (local.set 2 (f64.mul (local.get 1) (f64.const 1.5)))
    (loop
      (local.set 3 (i32.add (local.get 3) (i32.const 1)))
      (local.set 2 (f64.add (local.get 2) (f64.convert_i32_s (call $ask (local.get 3)))))
      (br_if 0 (i32.lt_u (local.get 3) (i32.const 3))))
    (if (local.get 0)
      (then (local.set 2 (f64.sub (local.get 2)
        (call $deep (i32.sub (local.get 0) (i32.const 1)) (local.get 2))))))
    (local.get 2))
  (func (export "run") (param i32) (result i64) (local i32)
    (i64.const 3)
    (local.set 1 (call $ask (local.get 0)))
    (i64.extend_i32_s (call_indirect (type $t) (local.get 1) (i32.const 0)))
    (i64.extend_i32_s (call_indirect (type $t) (local.get 1) (i32.const 1)))
    (i64.extend_i32_s (call_ref $t (local.get 0) (ref.func $indirect)))
    (i64.extend_i32_s (call $tail (local.get 1)))
    (i64.trunc_f64_s (call $deep (i32.const 3) (f64.const 0.5)))
    (i64.add) (i64.mul) (i64.xor) (i64.sub) (i64.add))
  (func (export "tail") (param i32) (result i64)
    (return_call $wide (local.get 0)))
  (func $wide (param i32) (result i64)
    (drop (call $ask (local.get 0)))
    (return_call $double (i64.extend_i32_u (local.get 0)))))"#;

/// The host of these tests, whose functions all fail, after they have noted what they are asked.
fn host(engine: &Engine) -> Linker<Vec<i64>> {
    let mut linker = Linker::new(engine);
    let ask = |mut caller: Caller<'_, Vec<i64>>, x: i32| -> vm_engine::Result<i32> {
        caller.data_mut().push(x.into());
        Err(Error::msg("not yet"))
    };
    linker.func_wrap("host", "ask", ask).unwrap();
    let double = |mut caller: Caller<'_, Vec<i64>>, x: i64| -> vm_engine::Result<i64> {
        caller.data_mut().push(x);
        Err(Error::msg("nor this"))
    };
    linker.func_wrap("host", "double", double).unwrap();
    linker
}

/// Runs a function, with an answer to everything that it asks, in the store or each time in one of the next engine's. Answers
/// what it returns and all that it has asked.
fn ask(engines: &[Engine], moves: bool, name: &str) -> (i64, Vec<i64>) {
    let mut at = 0;
    let linker = host(&engines[at]);
    let mut store = Store::new(&engines[at], Vec::new());
    let made = instance(&mut store, &linker, ASKS);
    let func = made.get_func(&mut store, name).unwrap();
    let mut results = [Val::I64(0)];
    let mut call = func
        .call_resumable(&mut store, &[Val::I32(21)], &mut results)
        .unwrap();
    loop {
        let mut stopped = match call {
            ResumableCall::Finished => return (results[0].unwrap_i64(), store.into_data()),
            ResumableCall::HostTrap(stopped) => stopped,
            other => panic!("{other:?}"),
        };
        if moves {
            let bytes = stopped.snapshot(&store).unwrap().to_bytes();
            let said = stopped.host_error().to_string();
            let asked = store.into_data();
            at = (at + 1) % engines.len();
            let linker = host(&engines[at]);
            let module = Module::new(&engines[at], ASKS).unwrap();
            store = Store::new(&engines[at], asked);
            let pre = linker.instantiate_pre(&module).unwrap();
            let snapshot = Snapshot::from_bytes(&bytes).unwrap();
            let (_, call) = pre.restore_call(&mut store, &snapshot).unwrap();
            let ResumableCall::HostTrap(restored) = call else {
                panic!("it waits for the host");
            };
            assert_eq!(restored.host_error().to_string(), said);
            assert_eq!(restored.host_func_type().results().len(), 1);
            stopped = restored;
        }
        let asked = *store.data().last().unwrap();
        let answer = match stopped.host_error().to_string().as_str() {
            "not yet" => Val::I32(asked as i32 * 3 + 1),
            _ => Val::I64(asked * 2),
        };
        call = stopped.resume(&mut store, &[answer], &mut results).unwrap();
    }
}

#[test]
fn a_call_that_waits_for_the_host_goes_on_in_every_other_mode() {
    let mut engines = engines_with(|_| {});
    for name in ["run", "tail"] {
        let expected = ask(&engines, false, name);
        for _ in 0..engines.len() {
            assert_eq!(ask(&engines, true, name), expected, "{name}");
            engines.rotate_left(1);
        }
    }
}

#[test]
fn a_call_that_has_stopped_at_a_deadline_goes_on_in_every_other_mode() {
    const TICKS: &str = r#"(module
      (import "host" "tick" (func $tick))
      (func $f (param i64) (result i64) (local i64)
        (i64.const 5)
        (loop
          (local.set 1 (i64.add (i64.mul (local.get 1) (i64.const 31)) (local.get 0)))
          (call $tick)
          (br_if 0 (i64.ne (local.tee 0 (i64.sub (local.get 0) (i64.const 1))) (i64.const 0))))
        (i64.add (local.get 1)))
      (func (export "run") (param i64) (result i64)
        (call $tick)
        (i64.xor (call $f (local.get 0)) (local.get 0))))"#;
    let engines = engines_with(|config| {
        config.epoch_interruption(true);
    });
    let linker = |engine: &Engine| {
        let mut linker = Linker::new(engine);
        let ticking = engine.clone();
        linker
            .func_wrap("host", "tick", move || ticking.increment_epoch())
            .unwrap();
        linker
    };
    let store = |engine: &Engine| {
        let mut store = Store::new(engine, ());
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|()| Ok(UpdateDeadline::Suspend(1)));
        store
    };
    let mut ends = Vec::new();
    for first in 0..engines.len() {
        let mut at = first;
        let mut here = store(&engines[at]);
        let made = instance(&mut here, &linker(&engines[at]), TICKS);
        let run = made.get_typed_func::<i64, i64>(&mut here, "run").unwrap();
        let mut call = run.call_resumable(&mut here, 12).unwrap();
        let mut stops = 0;
        ends.push(loop {
            match call {
                TypedResumableCall::Finished(answer) => break (answer, stops),
                TypedResumableCall::EpochDeadline(stopped) => {
                    stops += 1;
                    let bytes = stopped.snapshot(&here).unwrap().to_bytes();
                    at = (at + 1) % engines.len();
                    here = store(&engines[at]);
                    let module = Module::new(&engines[at], TICKS).unwrap();
                    let pre = linker(&engines[at]).instantiate_pre(&module).unwrap();
                    let snapshot = Snapshot::from_bytes(&bytes).unwrap();
                    let (_, restored) = pre.restore_typed_call(&mut here, &snapshot).unwrap();
                    let TypedResumableCall::EpochDeadline(restored) = restored else {
                        panic!("it has stopped at a deadline");
                    };
                    call = restored.resume(&mut here).unwrap();
                }
                other => panic!("{other:?}"),
            }
        });
    }
    // At the beginning of `$f`, and at every turn but the first.
    assert_eq!(ends[0].1, 12);
    assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
}

/// Why a snapshot cannot be.
fn reason<T>(result: vm_engine::Result<T>) -> SnapshotError {
    match result {
        Ok(_) => panic!("it can"),
        Err(error) => match error.downcast_ref::<SnapshotError>() {
            Some(reason) => reason.clone(),
            None => panic!("{error}"),
        },
    }
}

#[test]
fn what_cannot_be_says_why() {
    let (_, fib) = PROGRAMS[0];
    let all = |config: &mut Config| {
        config.consume_fuel(true);
    };
    let bytes = stopped(&engines_with(all)[0], fib, 20, 5000).0;
    let snapshot = Snapshot::from_bytes(&bytes).unwrap();
    let restored = |engine: &Engine, text: &str| {
        let module = Module::new(engine, text).unwrap();
        let pre = Linker::new(engine).instantiate_pre(&module).unwrap();
        let mut store = Store::new(engine, ());
        pre.restore_typed_call::<i64>(&mut store, &snapshot)
            .map(drop)
    };
    for engine in engines_with(|_| {}) {
        let setting = "Config::consume_fuel(true)";
        assert_eq!(
            reason(restored(&engine, fib)),
            SnapshotError::Config { setting }
        );
    }
    for engine in modes_with(all) {
        let setting = "Config::suspended_snapshots(true)";
        assert_eq!(
            reason(restored(&engine, fib)),
            SnapshotError::Config { setting }
        );
        // Nor can one be taken.
        let mut store = Store::new(&engine, ());
        let made = instance(&mut store, &Linker::new(&engine), fib);
        let run = made.get_typed_func::<i32, i64>(&mut store, "run").unwrap();
        store.set_fuel(100).unwrap();
        let TypedResumableCall::OutOfFuel(call) = run.call_resumable(&mut store, 20).unwrap()
        else {
            panic!("that is not enough");
        };
        assert_eq!(
            reason(call.snapshot(&store)),
            SnapshotError::Config { setting }
        );
    }
    for engine in engines_with(all) {
        let other = restored(
            &engine,
            r#"(module (func (export "run") (param i32) (result i64) (i64.const 0)))"#,
        );
        assert_eq!(reason(other), SnapshotError::OtherModule);
        let module = Module::new(&engine, fib).unwrap();
        let pre = Linker::new(&engine).instantiate_pre(&module).unwrap();
        let mut store = Store::new(&engine, ());
        // Results of other types, and a store of other limits.
        let error = pre
            .restore_typed_call::<i32>(&mut store, &snapshot)
            .unwrap_err();
        assert!(error.to_string().contains("i64"), "{error}");
        // The instance alone.
        let made = pre.restore(&mut store, &snapshot).unwrap();
        let between = made.snapshot(&store).unwrap();
        assert!(!between.is_suspended());
        let none = pre.restore_call(&mut store, &between).map(drop);
        assert_eq!(reason(none), SnapshotError::NotSuspended);
    }
    for engine in engines_with(|config| {
        config.consume_fuel(true).max_call_depth(Some(3));
    }) {
        assert!(matches!(
            reason(restored(&engine, fib)),
            SnapshotError::NoRoom { .. }
        ));
    }
    for engine in engines_with(|config| {
        config.consume_fuel(true).max_wasm_stack(4096);
    }) {
        // It is twenty deep at most.
        let deep = stopped(&engines_with(all)[0], DEEP, 600, 3000).0;
        let snapshot = Snapshot::from_bytes(&deep).unwrap();
        let module = Module::new(&engine, DEEP).unwrap();
        let pre = Linker::new(&engine).instantiate_pre(&module).unwrap();
        let mut store = Store::new(&engine, ());
        let result = pre.restore_call(&mut store, &snapshot).map(drop);
        assert!(matches!(reason(result), SnapshotError::NoRoom { .. }));
    }
}

/// As deep as it is told.
const DEEP: &str = r#"(module (func $f (export "run") (param i32) (result i64)
  (if (result i64) (local.get 0)
    (then (i64.add (i64.const 1) (call $f (i32.sub (local.get 0) (i32.const 1)))))
    (else (loop (br 0)) (unreachable)))))"#;

#[test]
fn other_instances_and_values_of_the_hosts_are_in_the_way() {
    for engine in engines_with(|_| {}) {
        let linker = host(&engine);
        let mut store = Store::new(&engine, Vec::new());
        let inner = instance(
            &mut store,
            &linker,
            r#"(module (import "host" "ask" (func $ask (param i32) (result i32)))
              (func (export "f") (param i32) (result i32) (i32.add (call $ask (local.get 0)) (i32.const 1)))
              (func (export "g") (param i32) (result i32) (return_call $ask (local.get 0))))"#,
        );
        let mut around = host(&engine);
        around.instance(&mut store, "inner", inner).unwrap();
        let outer = instance(
            &mut store,
            &around,
            r#"(module (import "inner" "f" (func $f (param i32) (result i32)))
              (import "inner" "g" (func $g (param i32) (result i32)))
              (import "host" "ask" (func $ask (param i32) (result i32)))
              (func (export "calls") (param i32) (result i32) (i32.mul (call $f (local.get 0)) (i32.const 2)))
              (func (export "calls_tail") (param i32) (result i32) (i32.mul (call $g (local.get 0)) (i32.const 2)))
              (func $t (param i32) (result i32) (return_call $f (local.get 0)))
              (func (export "adapts") (param i32) (result i32) (i32.mul (call $t (local.get 0)) (i32.const 2)))
              (func (export "leaves") (param i32) (result i32) (return_call $f (local.get 0)))
              (func (export "external") (param externref) (result i32) (call $ask (ref.is_null (local.get 0))))
              (func (export "thrown") (param exnref) (result i32) (call $ask (ref.is_null (local.get 0))))
              (func (export "foreign") (param funcref) (result i32) (call $ask (ref.is_null (local.get 0)))))"#,
        );
        let mut stop = |name: &str, param: Val| {
            let func = outer.get_func(&mut store, name).unwrap();
            let call = func
                .call_resumable(&mut store, &[param], &mut [Val::I32(0)])
                .unwrap();
            let ResumableCall::HostTrap(call) = call else {
                panic!("it asks");
            };
            call.snapshot(&store).map(drop)
        };
        for name in ["calls", "adapts", "leaves"] {
            let result = stop(name, Val::I32(1));
            assert_eq!(reason(result), SnapshotError::OtherInstance, "{name}");
        }
        // That one's frame has gone.
        stop("calls_tail", Val::I32(1)).unwrap();
        stop("external", Val::ExternRef(None)).unwrap();
        stop("foreign", Val::FuncRef(None)).unwrap();
        let own = outer.get_func(&mut store, "calls").unwrap();
        let theirs = inner.get_func(&mut store, "f").unwrap();
        let private = instance(&mut store, &linker, r#"(module (func (export "f")))"#);
        let private = private.get_func(&mut store, "f").unwrap();
        let external = ExternRef::new(&mut store, 7).unwrap();
        let ty = TagType::new(FuncType::new([], []));
        let tag = Tag::new(&mut store, &ty);
        let ty = ExnType::from_tag_type(&ty).unwrap();
        let allocator = ExnRefPre::new(&mut store, ty);
        let thrown = ExnRef::new(&mut store, &allocator, &tag, &[]).unwrap();
        let mut stop = |name: &str, param: Val| {
            let func = outer.get_func(&mut store, name).unwrap();
            let call = func
                .call_resumable(&mut store, &[param], &mut [Val::I32(0)])
                .unwrap();
            let ResumableCall::HostTrap(call) = call else {
                panic!("it asks");
            };
            call.snapshot(&store).map(drop)
        };
        stop("foreign", Val::FuncRef(Some(own))).unwrap();
        // It is imported.
        stop("foreign", Val::FuncRef(Some(theirs))).unwrap();
        let what = "frame";
        let result = stop("foreign", Val::FuncRef(Some(private)));
        assert_eq!(reason(result), SnapshotError::Reference { what });
        let result = stop("external", Val::ExternRef(Some(external)));
        assert_eq!(reason(result), SnapshotError::Reference { what });
        let result = stop("thrown", Val::ExnRef(Some(thrown)));
        assert_eq!(reason(result), SnapshotError::Reference { what });
    }
}

#[test]
fn bytes_that_nobody_has_written_do_no_harm() {
    let engines = engines_with(|config| {
        config.consume_fuel(true);
    });
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |limit: usize| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) % limit as u64) as usize
    };
    let (mut malformed, mut refused, mut ran) = (0, 0, 0);
    for (_, text) in PROGRAMS {
        let (_, all) = uninterrupted(&engines[0], text, 9);
        let modules: Vec<_> = engines
            .iter()
            .map(|engine| Module::new(engine, text).unwrap())
            .collect();
        for _ in 0..120 {
            let fuel = random(all as usize) as u64;
            let (mut bytes, _) = stopped(&engines[random(engines.len())], text, 9, fuel);
            // The call stands at the end.
            let frames = bytes.len().min(600);
            for _ in 0..=random(3) {
                let at = bytes.len() - 1 - random(frames);
                bytes[at] = match random(4) {
                    0 => bytes[at] ^ 1 << random(8),
                    1 => bytes[at].wrapping_add(1),
                    2 => bytes[bytes.len() - 1 - random(frames)],
                    _ => random(256) as u8,
                };
            }
            let Ok(snapshot) = Snapshot::from_bytes(&bytes) else {
                malformed += 1;
                continue;
            };
            for (engine, module) in engines.iter().zip(&modules) {
                let mut store = Store::new(engine, ());
                let pre = Linker::new(engine).instantiate_pre(module).unwrap();
                match pre.restore_typed_call::<i64>(&mut store, &snapshot) {
                    Ok((_, TypedResumableCall::OutOfFuel(call))) => {
                        store.set_fuel(100_000).unwrap();
                        // It comes to some end.
                        let _ = call.resume(&mut store);
                        ran += 1;
                    }
                    Ok((_, TypedResumableCall::HostTrap(call))) => {
                        store.set_fuel(100_000).unwrap();
                        let _ = call.resume(&mut store, &[Val::I64(1)]);
                        ran += 1;
                    }
                    Ok(_) => panic!("these engines stop for nothing else"),
                    Err(_) => refused += 1,
                }
            }
        }
    }
    // All of it happens.
    assert!(
        malformed > 20 && refused > 200 && ran > 200,
        "{malformed} {refused} {ran}"
    );
}
