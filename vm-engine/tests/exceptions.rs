//! Exceptions that guests throw and catch, across functions, instances and tiers.

mod common;

use common::{call, in_each_mode, modes};
use vm_engine::{Caller, Extern, Instance, Linker, Module, Result, Store, ThrownException, Trap};

#[test]
fn a_clause_gets_the_values_and_locals_are_what_they_were() {
    let text = r#"(module
      (tag $a (param i32 i64))
      (func $throw (param i32)
        (if (i32.gt_s (local.get 0) (i32.const 3))
          (then (throw $a (local.get 0) (i64.const 7)))))
      (func (export "f") (param i32) (result i32) (local $x i32)
        (local.set $x (i32.const 100))
        (block $h (result i32 i64)
          (try_table (catch $a $h)
            (local.set $x (i32.const 5))
            (call $throw (local.get 0))
            (local.set $x (i32.const 6)))
          (return (i32.const -1)))
        i32.wrap_i64 i32.add local.get $x i32.add))"#;
    in_each_mode(text, |store, instance| {
        for _ in 0..5 {
            assert_eq!(call::<_, _, i32>(store, instance, "f", 3).unwrap(), -1);
            assert_eq!(
                call::<_, _, i32>(store, instance, "f", 4).unwrap(),
                4 + 7 + 5
            );
        }
    });
}

/// Values of every type, far up through frames with registers of their own, in a loop that changes its tier in the middle.
#[test]
fn registers_are_what_they_were_when_the_call_was_made() {
    let text = r#"(module
      (tag $t (param i32 i64 f32 f64))
      (func $deep (param $n i32) (param $a i64) (param $b f64) (result i64)
        (local $i i32) (local $s i64) (local $f f64)
        (local.set $s (local.get $a))
        (local.set $f (local.get $b))
        (if (i32.eqz (local.get $n))
          (then (throw $t (i32.const 1) (local.get $s) (f32.const 2.5) (local.get $f))))
        (loop $l
          (local.set $s (i64.add (local.get $s) (i64.extend_i32_u (local.get $i))))
          (local.set $f (f64.add (local.get $f) (f64.const 1)))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $l (i32.lt_u (local.get $i) (i32.const 5))))
        (call $deep (i32.sub (local.get $n) (i32.const 1)) (local.get $s) (local.get $f))
        (i64.add (local.get $s)))
      (func (export "run") (param $depth i32) (param $turns i32) (result f64)
        (local $i i32) (local $x i64) (local $y f64) (local $z f64) (local $w i64) (local $f f32)
        (local.set $z (f64.const 1000))
        (local.set $w (i64.const 50000))
        (loop $again
          (block $caught (result i32 i64 f32 f64)
            (try_table (catch $t $caught)
              (local.set $x (call $deep (local.get $depth) (i64.const 3) (f64.const 0.5))))
            (return (f64.const -1)))
          (local.set $y (f64.add (local.get $y)))
          (local.set $f)
          (local.set $y (f64.add (local.get $y) (f64.promote_f32 (local.get $f))))
          (local.set $x (i64.add (local.get $x)))
          (local.set $i (i32.add (local.get $i)))
          (local.set $z (f64.add (local.get $z) (f64.const 1)))
          (local.set $w (i64.add (local.get $w) (i64.const 1)))
          (br_if $again (i32.lt_u (local.get $i) (local.get $turns))))
        (f64.add (f64.add (local.get $y) (f64.convert_i64_s (local.get $x)))
          (f64.add (local.get $z) (f64.convert_i64_s (local.get $w))))))"#;
    in_each_mode(text, |store, instance| {
        for (depth, turns) in [(0, 1), (1, 1), (3, 20), (40, 7)] {
            let (d, t) = (f64::from(depth), f64::from(turns));
            let thrown = 3.0 + 10.0 * d + 0.5 + 5.0 * d + 2.5;
            let expected = t * thrown + 1000.0 + 50000.0 + 2.0 * t;
            let got: f64 = call(store, instance, "run", (depth, turns)).unwrap();
            assert_eq!(got, expected, "{depth} {turns}");
        }
    });
}

#[test]
fn clauses_are_tried_from_the_inside_and_in_their_order() {
    let text = r#"(module
      (tag $a (param i32)) (tag $b) (tag $c)
      (func $throw (param i32)
        (block $2 (block $1 (block $0
          (br_table $0 $1 $2 (local.get 0)))
          (throw $a (i32.const 40)))
          (throw $b))
        (throw $c))
      (func (export "f") (param i32) (result i32)
        (block $outer
          (block $inner (result i32)
            (try_table (catch_all $outer)
              (block $b
                (try_table (catch $b $b) (catch $a $inner) (catch $b $outer)
                  (call $throw (local.get 0)))
                (return (i32.const 1)))
              (return (i32.const 2)))
            (return (i32.const 3)))
          (return))
        (i32.const 4)))"#;
    in_each_mode(text, |store, instance| {
        for (which, expected) in [(0, 40), (1, 2), (2, 4)] {
            for _ in 0..3 {
                let got: i32 = call(store, instance, "f", which).unwrap();
                assert_eq!(got, expected, "{which}");
            }
        }
    });
}

#[test]
fn traps_are_not_caught() {
    let text = r#"(module
      (memory 1)
      (func $trap (param i32) (drop (i32.load (i32.const -1))))
      (func (export "f")
        (block $h
          (try_table (catch_all $h) (call $trap (i32.const 0)))))
      (func (export "g")
        (block $h
          (try_table (catch_all $h) (unreachable)))))"#;
    in_each_mode(text, |store, instance| {
        for _ in 0..3 {
            let error = call::<_, _, ()>(store, instance, "f", ()).unwrap_err();
            assert_eq!(error.trap(), Some(Trap::MemoryOutOfBounds));
            let error = call::<_, _, ()>(store, instance, "g", ()).unwrap_err();
            assert_eq!(error.trap(), Some(Trap::Unreachable));
        }
    });
}

#[test]
fn what_nobody_catches_comes_out_with_its_backtrace() {
    let text = r#"(module
      (tag $a) (tag $b)
      (func $inner (throw $a))
      (func $outer (block $h (try_table (catch $b $h) (call $inner))))
      (func (export "f") (call $outer)))"#;
    in_each_mode(text, |store, instance| {
        for _ in 0..4 {
            let error = call::<_, _, ()>(store, instance, "f", ()).unwrap_err();
            assert!(error.is::<ThrownException>(), "{error}");
            let frames: Vec<_> = (error.backtrace().unwrap().frames().iter())
                .map(|frame| frame.func_index())
                .collect();
            assert_eq!(frames, [0, 1, 2]);
        }
    });
}

const THROWER: &str = r#"(module
  (tag $t (export "t") (param i32))
  (func (export "throw") (param i32) (throw $t (local.get 0)))
  (func $id (export "tail") (param i32) (return_call $go (local.get 0)))
  (func $go (param i32) (throw $t (i32.add (local.get 0) (i32.const 1)))))"#;

#[test]
fn exceptions_cross_instances_whose_tags_are_told_apart_by_identity() {
    let catcher = r#"(module
      (import "a" "t" (tag $t (param i32)))
      (import "a" "throw" (func $throw (param i32)))
      (import "a" "tail" (func $tail (param i32)))
      (tag $own (param i32))
      (table funcref (elem $throw $tail))
      (memory 1)
      (type $sig (func (param i32)))
      (global $g (mut i32) (i32.const 17))
      (func $through (param i32) (return_call $throw (local.get 0)))
      (func $indirect (param i32 i32) (return_call_indirect (type $sig) (local.get 1) (local.get 0)))
      (func (export "f") (param $how i32) (param $x i32) (result i32)
        (i32.store (i32.const 8) (i32.const 1000))
        (block $own (result i32)
          (block $h (result i32)
            (try_table (catch $own $own) (catch $t $h)
              (block $4 (block $3 (block $2 (block $1 (block $0
                (br_table $0 $1 $2 $3 $4 (local.get $how)))
                (call $throw (local.get $x)))
                (call_indirect (type $sig) (local.get $x) (i32.const 1)))
                (call $through (local.get $x)))
                (call $indirect (i32.const 0) (local.get $x)))
                (call $indirect (i32.const 1) (local.get $x)))
            (return (i32.const -1)))
          (i32.add (i32.load (i32.const 8)))
          (i32.add (global.get $g))
          (return))
        (drop)
        (i32.const -2)))"#;
    for engine in modes() {
        let mut store = Store::new(&engine, ());
        let mut linker = Linker::new(&engine);
        let thrower = Module::new(&engine, THROWER).unwrap();
        let other = Instance::new(&mut store, &thrower, &[]).unwrap();
        linker.module(&mut store, "a", &thrower).unwrap();
        let catcher = Module::new(&engine, catcher).unwrap();
        let instance = linker.instantiate(&mut store, &catcher).unwrap();
        for (how, more) in [(0, 0), (1, 1), (2, 0), (3, 0), (4, 1)] {
            for _ in 0..4 {
                let got: i32 = call(&mut store, instance, "f", (how, 20)).unwrap();
                assert_eq!(got, 20 + more + 1000 + 17, "{how}");
            }
        }
        // Another instance of the same module has another tag.
        let tag = Extern::Tag(other.get_tag(&mut store, "t").unwrap());
        let throw = linker.get(&mut store, "a", "throw").unwrap();
        let tail = linker.get(&mut store, "a", "tail").unwrap();
        let mixed = Instance::new(&mut store, &catcher, &[tag, throw, tail]).unwrap();
        let error = call::<_, _, i32>(&mut store, mixed, "f", (0, 20)).unwrap_err();
        assert!(error.is::<ThrownException>());
    }
}

#[test]
fn exceptions_cross_host_functions() {
    let guest = r#"(module
      (import "host" "back" (func $back (param i32)))
      (tag $t (param i32))
      (table funcref (elem $back))
      (func (export "throw") (param i32) (throw $t (local.get 0)))
      (func $tail (param i32) (return_call $back (local.get 0)))
      (func (export "f") (param $how i32) (param $x i32) (result i32)
        (block $h (result i32)
          (try_table (catch $t $h)
            (block $2 (block $1 (block $0
              (br_table $0 $1 $2 (local.get $how)))
              (call $back (local.get $x)) (br 1))
              (call_indirect (param i32) (local.get $x) (i32.const 0)) (br 0))
              (call $tail (local.get $x)))
          (return (i32.const -1)))))"#;
    for engine in modes() {
        let mut store = Store::new(&engine, 0);
        let mut linker = Linker::new(&engine);
        let back = |mut caller: Caller<'_, i32>, x: i32| -> Result<()> {
            let throw = caller.get_export("throw").and_then(Extern::into_func);
            let throw = throw.unwrap().typed::<i32, ()>(&caller)?;
            let result = throw.call(&mut caller, x);
            *caller.data_mut() += 1;
            result
        };
        linker.func_wrap("host", "back", back).unwrap();
        let module = Module::new(&engine, guest).unwrap();
        let instance = linker.instantiate(&mut store, &module).unwrap();
        for how in 0..3 {
            for _ in 0..4 {
                let got: i32 = call(&mut store, instance, "f", (how, 9)).unwrap();
                assert_eq!(got, 9, "{how}");
            }
        }
        assert_eq!(*store.data(), 12);
    }
}

#[test]
fn a_loop_of_throws_can_be_left() {
    let text = r#"(module
      (tag $t)
      (func $throw (throw $t))
      (func (export "count") (param $n i32) (result i32) (local $i i32)
        (loop $l
          (if (i32.ge_u (local.get $i) (local.get $n)) (then (return (local.get $i))))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (try_table (catch $t $l) (call $throw)))
        (i32.const -1)))"#;
    in_each_mode(text, |store, instance| {
        assert_eq!(
            call::<_, _, i32>(store, instance, "count", 10_000).unwrap(),
            10_000
        );
    });
}
