//! Snapshots: an instance between calls, in another store, mode and engine.

mod common;

use common::{call, modes, modes_with};
use vm_engine::{
    Engine, ExternRef, Instance, LimitError, Linker, Module, Snapshot, SnapshotError, Store,
    StoreLimits, StoreLimitsBuilder, Val,
};

/// A program that changes everything that it has, depending on everything that it has.
const PROGRAM: &str = r#"(module
  (import "h" "f" (func $host (param i32) (result i32)))
  (memory (export "memory") 1 9)
  (memory $second 1)
  (table $t (export "table") 3 20 funcref)
  (table $nothing 2 externref)
  (global $i (mut i32) (i32.const 1))
  (global $l (mut i64) (i64.const 2))
  (global $f (mut f32) (f32.const 3))
  (global $d (mut f64) (f64.const 4))
  (global $v (mut v128) (v128.const i64x2 5 6))
  (global $r (mut funcref) (ref.null func))
  (global $e externref (ref.null extern))
  (data (i32.const 0) "start")
  (data $passive "passive")
  (elem (i32.const 0) func $add $host)
  (elem $more func $mul $add)
  (start $start)
  (func $start (global.set $i (call $host (i32.const 1000))))
  (type $t (func (param i32) (result i32)))
  (func $add (type $t) (i32.add (local.get 0) (global.get $i)))
  (func $mul (type $t) (i32.mul (local.get 0) (i32.const 3)))
  ;; Another state for every number; what it answers depends on all that came before.
  (func (export "step") (param $n i32) (result i32)
    (global.set $i (i32.add (i32.mul (global.get $i) (i32.const 31)) (local.get $n)))
    (global.set $l (i64.add (global.get $l) (i64.extend_i32_u (global.get $i))))
    (global.set $f (f32.add (global.get $f) (f32.convert_i32_u (local.get $n))))
    (global.set $d (f64.mul (global.get $d) (f64.const 1.5)))
    (global.set $v (i32x4.add (global.get $v) (i32x4.splat (global.get $i))))
    (if (i32.eqz (i32.rem_u (local.get $n) (i32.const 3)))
      (then (drop (memory.grow (i32.const 1)))
            (global.set $r (ref.func $mul))
            (drop (table.grow $t (ref.func $add) (i32.const 2)))))
    (if (i32.eqz (i32.rem_u (local.get $n) (i32.const 4)))
      (then (data.drop $passive) (table.set $t (i32.const 2) (ref.func $host))))
    (if (i32.eq (local.get $n) (i32.const 5))
      (then (table.init $t $more (i32.const 0) (i32.const 0) (i32.const 2)) (elem.drop $more)))
    (i32.store (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 8)) (global.get $i))
    (i32.store $second (i32.and (global.get $i) (i32.const 0xfff0)) (local.get $n))
    (i32.add
      (call_indirect $t (type $t) (local.get $n) (i32.rem_u (local.get $n) (i32.const 2)))
      (i32.add
        (i32.load $second (i32.and (i32.wrap_i64 (global.get $l)) (i32.const 0xfff0)))
        (i32.add (table.size $t)
          (i32.add (i32x4.extract_lane 2 (global.get $v)) (i32.trunc_f64_s (global.get $d)))))))
  (func (export "passive") (memory.init $passive (i32.const 0) (i32.const 0) (i32.const 7)))
  (func $declared) (elem declare func $mul))"#;

fn engines() -> Vec<Engine> {
    modes_with(|config| {
        config.wasm_simd(true);
    })
}

fn linker(engine: &Engine) -> Linker<u32> {
    let mut linker = Linker::new(engine);
    linker
        .func_wrap(
            "h",
            "f",
            |mut caller: vm_engine::Caller<'_, u32>, n: i32| {
                *caller.data_mut() += 1;
                n ^ 0x55
            },
        )
        .unwrap();
    linker
}

fn world(engine: &Engine) -> (Store<u32>, Instance) {
    let module = Module::new(engine, PROGRAM).unwrap();
    let mut store = Store::new(engine, 0);
    let instance = linker(engine).instantiate(&mut store, &module).unwrap();
    (store, instance)
}

fn steps(store: &mut Store<u32>, instance: Instance, numbers: std::ops::Range<i32>) -> Vec<i32> {
    let step = instance
        .get_typed_func::<i32, i32>(&mut *store, "step")
        .unwrap();
    numbers
        .map(|n| step.call(&mut *store, n).unwrap())
        .collect()
}

#[test]
fn an_instance_goes_on_elsewhere_as_it_would_have_here() {
    let engines = engines();
    for (n, engine) in engines.iter().enumerate() {
        for stop in [0, 1, 4, 7, 15] {
            let (mut store, instance) = world(engine);
            steps(&mut store, instance, 0..stop);
            let bytes = instance.snapshot(&store).unwrap().to_bytes();
            let expected = steps(&mut store, instance, stop..20);
            let ended = instance.snapshot(&store).unwrap();
            let passive = call::<_, (), ()>(&mut store, instance, "passive", ()).is_ok();

            // In a new instance, in another mode, whose start function does not run.
            let other = &engines[(n + 1) % engines.len()];
            let module = Module::new(other, PROGRAM).unwrap();
            let pre = linker(other).instantiate_pre(&module).unwrap();
            let mut there = Store::new(other, 0);
            let snapshot = Snapshot::from_bytes(&bytes).unwrap();
            let restored = pre.restore(&mut there, &snapshot).unwrap();
            assert_eq!(*there.data(), 0);
            assert_eq!(restored.snapshot(&there).unwrap(), snapshot);
            let what = format!("from {} to {}, {stop}", engine.strategy(), other.strategy());
            assert_eq!(steps(&mut there, restored, stop..20), expected, "{what}");
            assert_eq!(restored.snapshot(&there).unwrap(), ended, "{what}");
            assert_eq!(
                call::<_, (), ()>(&mut there, restored, "passive", ()).is_ok(),
                passive
            );

            // And in the same one, after it has gone on.
            instance.restore(&mut store, &snapshot).unwrap();
            assert_eq!(steps(&mut store, instance, stop..20), expected, "{what}");
        }
    }
}

#[test]
fn what_cannot_be_named_has_no_snapshot() {
    for engine in modes() {
        let module = Module::new(
            &engine,
            r#"(module
              (table (export "funcs") 1 funcref) (table (export "externs") 1 externref)
              (global (export "func") (mut funcref) (ref.null func))
              (func (export "own")))"#,
        )
        .unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let other = Instance::new(&mut store, &module, &[]).unwrap();
        let own = instance.get_func(&mut store, "own").unwrap();
        let foreign = other.get_func(&mut store, "own").unwrap();
        let global = instance.get_global(&mut store, "func").unwrap();
        let funcs = instance.get_table(&mut store, "funcs").unwrap();
        let externs = instance.get_table(&mut store, "externs").unwrap();
        let reference = |store: &Store<()>| {
            let error = instance.snapshot(store).unwrap_err();
            assert!(
                matches!(error.downcast_ref(), Some(SnapshotError::Reference { .. })),
                "{error}"
            );
        };
        global.set(&mut store, Val::FuncRef(Some(own))).unwrap();
        funcs
            .set(&mut store, 0, vm_engine::Ref::Func(Some(own)))
            .unwrap();
        instance.snapshot(&store).unwrap();
        global.set(&mut store, Val::FuncRef(Some(foreign))).unwrap();
        reference(&store);
        global.set(&mut store, Val::FuncRef(None)).unwrap();
        funcs
            .set(&mut store, 0, vm_engine::Ref::Func(Some(foreign)))
            .unwrap();
        reference(&store);
        funcs
            .set(&mut store, 0, vm_engine::Ref::Func(None))
            .unwrap();
        let value = ExternRef::new(&mut store, 7_u32).unwrap();
        externs
            .set(&mut store, 0, vm_engine::Ref::Extern(Some(value)))
            .unwrap();
        reference(&store);
        externs
            .set(&mut store, 0, vm_engine::Ref::Extern(None))
            .unwrap();
        instance.snapshot(&store).unwrap();
    }
}

#[test]
fn snapshots_of_anything_else_are_refused() {
    for engine in engines() {
        let (mut store, instance) = world(&engine);
        steps(&mut store, instance, 0..8);
        let snapshot = instance.snapshot(&store).unwrap();
        let bytes = snapshot.to_bytes();
        // Another module, even if it has the same of everything.
        let module = Module::new(&engine, PROGRAM.replace("i32.const 31", "i32.const 33")).unwrap();
        let pre = linker(&engine).instantiate_pre(&module).unwrap();
        let error = pre
            .restore(&mut Store::new(&engine, 0), &snapshot)
            .unwrap_err();
        assert!(
            matches!(error.downcast_ref(), Some(SnapshotError::OtherModule)),
            "{error}"
        );
        // Another version's.
        let mut other = bytes.clone();
        other[0] = 9;
        let error = Snapshot::from_bytes(&other).unwrap_err();
        assert!(
            matches!(
                error.downcast_ref(),
                Some(SnapshotError::Format { format: 9 })
            ),
            "{error}"
        );
        for bytes in [&b""[..], b"\x01", &bytes[..bytes.len() / 2], &[0xff; 100]] {
            assert!(Snapshot::from_bytes(bytes).is_err());
        }
    }
}

/// Whatever the bytes are, the worst that comes of them is an error, or an instance of other contents.
#[test]
fn damaged_snapshots_do_no_harm() {
    let mut random = 88_172_645_463_325_252_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random as usize
    };
    for engine in engines() {
        let (mut store, instance) = world(&engine);
        steps(&mut store, instance, 0..8);
        let bytes = instance.snapshot(&store).unwrap().to_bytes();
        let mut restored = 0;
        for _ in 0..300 {
            let mut damaged = bytes.clone();
            for _ in 0..1 + next() % 3 {
                // Near the beginning or the end, where all that is not memory stands.
                let at = next() % 120;
                let at = if next() % 2 == 0 {
                    at
                } else {
                    damaged.len() - 1 - at
                };
                damaged[at] = next() as u8;
            }
            let Ok(snapshot) = Snapshot::from_bytes(&damaged) else {
                continue;
            };
            if instance.restore(&mut store, &snapshot).is_ok() {
                restored += 1;
                let step = instance
                    .get_typed_func::<i32, i32>(&mut store, "step")
                    .unwrap();
                for n in 0..6 {
                    let _ = step.call(&mut store, n);
                }
            }
        }
        assert!(restored > 10, "{restored}");
    }
}

#[test]
fn limits_hold_for_what_is_restored() {
    for engine in engines() {
        let (mut store, instance) = world(&engine);
        steps(&mut store, instance, 0..8);
        let snapshot = instance.snapshot(&store).unwrap();
        let module = Module::new(&engine, PROGRAM).unwrap();
        for limits in [
            StoreLimitsBuilder::new().memory_size(2 << 16).build(),
            StoreLimitsBuilder::new().table_elements(4).build(),
        ] {
            let mut linker = Linker::<StoreLimits>::new(&engine);
            linker.func_wrap("h", "f", |n: i32| n).unwrap();
            let pre = linker.instantiate_pre(&module).unwrap();
            let mut store = Store::new(&engine, limits);
            store.limiter(|limits| limits);
            let error = pre.restore(&mut store, &snapshot).unwrap_err();
            assert!(error.is::<LimitError>(), "{error}");
        }
    }
}
