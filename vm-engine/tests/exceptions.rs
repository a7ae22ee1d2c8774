//! Exceptions that guests throw and catch, across functions, instances and tiers.

mod common;

use common::{call, in_each_mode, modes, modes_with};
use vm_engine::{
    AsContextMut, Caller, Engine, ExnRef, ExnRefPre, ExnType, Extern, FuncType, Instance, Linker,
    Module, Result, RootScope, Store, Tag, TagType, ThrownException, Trap, Val, ValType,
};

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

const REFERENCES: &str = r#"(module
  (import "host" "see" (func $see (param exnref) (result exnref)))
  (tag $t (export "t") (param i32 f64))
  (tag $other (export "other") (param exnref))
  (global $kept (export "kept") (mut exnref) (ref.null exn))
  (table $table (export "table") 2 exnref)
  (func $throw (param i32) (throw $t (local.get 0) (f64.const 0.25)))
  (func (export "throw") (param i32) (call $throw (local.get 0)))
  (func $catch (param i32) (result exnref)
    (block $h (result i32 f64 exnref)
      (try_table (catch_ref $t $h) (call $throw (local.get 0)))
      (unreachable))
    (local.set 0 (i32.const 0))
    (global.set $kept)
    (drop) (drop)
    (global.get $kept))
  (func (export "again") (param i32) (result i32) (local $e exnref)
    (local.set $e (call $see (call $catch (local.get 0))))
    (block $h (result i32 f64)
      (try_table (catch $t $h) (throw_ref (local.get $e)))
      (unreachable))
    (drop))
  (func (export "all") (param i32) (result exnref)
    (block $h (result exnref)
      (try_table (catch_all_ref $h) (call $throw (local.get 0)))
      (unreachable)))
  (func (export "null") (throw_ref (ref.null exn)))
  (func (export "nested") (param i32) (throw $other (call $catch (local.get 0))))
  (func (export "chain") (param $n i32) (result i32) (local $e exnref) (local $i i32)
    (loop $l
      (local.set $e
        (block $h (result exnref)
          (try_table (catch_all_ref $h) (throw $other (local.get $e)))
          (unreachable)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $l (i32.lt_u (local.get $i) (local.get $n))))
    (local.get $i))
  (func (export "many") (param $n i32) (result i32) (local $i i32)
    (loop $l
      (table.set $table (i32.and (local.get $i) (i32.const 1)) (call $catch (local.get $i)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $l (i32.lt_u (local.get $i) (local.get $n))))
    (block $h (result i32 f64)
      (try_table (catch $t $h) (throw_ref (table.get $table (i32.const 0))))
      (unreachable))
    (drop)))"#;

fn with_references(engine: &Engine) -> (Store<Vec<i32>>, Instance) {
    let mut store = Store::new(engine, Vec::new());
    let mut linker = Linker::new(engine);
    let see = |mut caller: Caller<'_, Vec<i32>>, exception: Option<ExnRef>| {
        if let Some(exception) = exception {
            let value = exception.field(&mut caller, 0)?.unwrap_i32();
            caller.data_mut().push(value);
        }
        Ok::<_, vm_engine::Error>(exception)
    };
    linker.func_wrap("host", "see", see).unwrap();
    let module = Module::new(engine, REFERENCES).unwrap();
    let instance = linker.instantiate(&mut store, &module).unwrap();
    (store, instance)
}

#[test]
fn references_to_exceptions_go_through_globals_tables_and_hosts() {
    for engine in modes() {
        let (mut store, instance) = with_references(&engine);
        for n in 0..5 {
            assert_eq!(
                call::<_, _, i32>(&mut store, instance, "again", n).unwrap(),
                n
            );
        }
        assert_eq!(*store.data(), [0, 1, 2, 3, 4]);
        let all: Option<ExnRef> = call(&mut store, instance, "all", 7).unwrap();
        let all = all.unwrap();
        let tag = instance.get_tag(&mut store, "t").unwrap();
        assert!(Tag::eq(&all.tag(&mut store).unwrap(), &tag, &store));
        let fields: Vec<_> = all.fields(&mut store).unwrap().collect();
        assert_eq!(fields[0].unwrap_i32(), 7);
        assert_eq!(fields[1].unwrap_f64(), 0.25);
        let error = call::<_, _, ()>(&mut store, instance, "null", ()).unwrap_err();
        assert_eq!(error.trap(), Some(Trap::NullReference));
        // What nobody catches is pending, and can be looked into, also if another is in it.
        let error = call::<_, _, ()>(&mut store, instance, "nested", 8).unwrap_err();
        assert!(error.is::<ThrownException>() && store.has_pending_exception());
        let outer = store.take_pending_exception().unwrap();
        assert!(!store.has_pending_exception());
        let inner = outer
            .field(&mut store, 0)
            .unwrap()
            .unwrap_exn_ref()
            .unwrap();
        assert_eq!(inner.field(&mut store, 0).unwrap().unwrap_i32(), 8);
    }
}

#[test]
fn exceptions_that_nobody_has_are_given_back() {
    for engine in modes() {
        let (mut store, instance) = with_references(&engine);
        // Of exceptions that were all kept, the last would be too many.
        let n = 800_000;
        let last: i32 = call(&mut store, instance, "many", n).unwrap();
        assert_eq!(last, n - 2);
        // One that holds one that holds one: they are kept, up to a limit, and go without recursion.
        let chain = call::<_, _, i32>(&mut store, instance, "chain", 200_000);
        assert_eq!(chain.unwrap(), 200_000);
        let error = call::<_, _, i32>(&mut store, instance, "chain", 5_000_000).unwrap_err();
        assert_eq!(error.trap(), Some(Trap::AllocationTooLarge));
        let last: i32 = call(&mut store, instance, "many", 10_000).unwrap();
        assert_eq!(last, 9_998);
    }
}

#[test]
fn a_scope_lets_go_of_what_was_got_in_it() {
    for engine in modes() {
        let (mut store, instance) = with_references(&engine);
        let gone = {
            let mut scope = RootScope::new(&mut store);
            let all = instance.get_typed_func::<i32, Option<ExnRef>>(&mut scope, "all");
            let exception = all.unwrap().call(&mut scope, 3).unwrap().unwrap();
            assert_eq!(exception.field(&mut scope, 0).unwrap().unwrap_i32(), 3);
            exception
        };
        assert!(gone.field(&mut store, 0).is_err());
        assert!(
            store
                .throw::<()>(gone)
                .unwrap_err()
                .downcast::<ThrownException>()
                .is_err()
        );
    }
}

#[test]
fn hosts_throw_what_guests_catch() {
    let guest = r#"(module
      (import "host" "t" (tag $t (param i64 v128)))
      (import "host" "throw" (func $throw))
      (func (export "f") (result i64) (local v128)
        (block $h (result i64 v128)
          (try_table (catch $t $h) (call $throw))
          (unreachable))
        (local.set 0)
        (i64.add (i64x2.extract_lane 1 (local.get 0)))))"#;
    for engine in modes() {
        let mut store = Store::new(&engine, ());
        let ty = TagType::new(FuncType::new([ValType::I64, ValType::V128], []));
        let tag = Tag::new(&mut store, &ty);
        assert_eq!(tag.ty(&store), ty);
        let mut linker = Linker::new(&engine);
        linker.define(&store, "host", "t", tag).unwrap();
        let throw = move |mut caller: Caller<'_, ()>| -> Result<()> {
            let allocator = ExnRefPre::new(&mut caller, ExnType::from_tag_type(&ty)?);
            let values = [Val::I64(40), Val::V128((2_u128 << 64).into())];
            let exception = ExnRef::new(&mut caller, &allocator, &tag, &values)?;
            caller.as_context_mut().throw(exception)
        };
        linker.func_wrap("host", "throw", throw).unwrap();
        let module = Module::new(&engine, guest).unwrap();
        let instance = linker.instantiate(&mut store, &module).unwrap();
        for _ in 0..4 {
            assert_eq!(
                call::<_, _, i64>(&mut store, instance, "f", ()).unwrap(),
                42
            );
        }
    }
}

#[test]
fn the_older_instructions_are_off_unless_asked_for() {
    // (try (do (throw $t)) (catch $t))
    let text = r#"(module (tag $t)
      (func (export "f") (result i32)
        try (result i32) throw $t catch $t i32.const 5 end))"#;
    for engine in modes() {
        assert!(Module::new(&engine, text).is_err());
    }
    for engine in modes_with(|config| {
        config.wasm_legacy_exceptions(true);
    }) {
        let module = Module::new(&engine, text).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        for _ in 0..4 {
            assert_eq!(call::<_, _, i32>(&mut store, instance, "f", ()).unwrap(), 5);
        }
    }
}

#[test]
fn calls_that_are_thrown_through_no_longer_count() {
    let text = r#"(module
      (tag $t)
      (func $deep (param i32)
        (if (i32.eqz (local.get 0)) (then (throw $t)))
        (call $deep (i32.sub (local.get 0) (i32.const 1))))
      (func (export "f") (param $n i32) (result i32) (local $i i32)
        (loop $l
          (block $h (try_table (catch $t $h) (call $deep (i32.const 50))))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $l (i32.lt_u (local.get $i) (local.get $n))))
        (local.get $i)))"#;
    for engine in modes_with(|config| {
        config.max_call_depth(Some(60));
    }) {
        let module = Module::new(&engine, text).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        assert_eq!(
            call::<_, _, i32>(&mut store, instance, "f", 100).unwrap(),
            100
        );
    }
}

/// Of an asynchronous host function, through a call in place of another and without.
#[test]
fn asynchronous_host_functions_throw_too() {
    use std::future::Future as _;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    let guest = r#"(module
      (import "host" "throw" (func $throw (param i32)))
      (tag $t (export "t") (param i32))
      (func $tail (param i32) (return_call $throw (local.get 0)))
      (func (export "f") (param i32) (result i32)
        (block $h (result i32)
          (try_table (catch $t $h)
            (if (i32.and (local.get 0) (i32.const 1))
              (then (call $throw (local.get 0)))
              (else (call $tail (local.get 0)))))
          (i32.const -1))))"#;
    for engine in modes() {
        let mut store = Store::new(&engine, ());
        let mut linker = Linker::new(&engine);
        let throw = linker.func_wrap_async(
            "host",
            "throw",
            |mut caller: Caller<'_, ()>, (x,): (i32,)| {
                let throwing = async move {
                    let tag = caller.get_export("t").and_then(Extern::into_tag).unwrap();
                    let ty = ExnType::from_tag_type(&tag.ty(&caller))?;
                    let allocator = ExnRefPre::new(&mut caller, ty);
                    let exception = ExnRef::new(&mut caller, &allocator, &tag, &[Val::I32(x)])?;
                    caller.as_context_mut().throw::<()>(exception)
                };
                Box::new(throwing)
            },
        );
        throw.unwrap();
        let module = Module::new(&engine, guest).unwrap();
        let mut call = async |n: i32| {
            let instance = linker.instantiate_async(&mut store, &module).await?;
            let f = instance.get_typed_func::<i32, i32>(&mut store, "f")?;
            f.call_async(&mut store, n).await
        };
        for n in 5..9 {
            let mut called = pin!(call(n));
            let got = loop {
                let mut context = Context::from_waker(Waker::noop());
                if let Poll::Ready(got) = called.as_mut().poll(&mut context) {
                    break got;
                }
            };
            assert_eq!(got.unwrap(), n);
        }
    }
}
