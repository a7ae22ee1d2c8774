//! `Instance::reset` and `InstancePre`, in every mode.

mod common;

use common::{call, modes, modes_with};
use vm_engine::{
    Caller, Config, Engine, Extern, Instance, Linker, Memory, MemoryType, Module,
    PoolingAllocationConfig, Ref, Store, StoreLimits, StoreLimitsBuilder, Trap,
};

/// Everything that an instance can change, and what it starts with.
const ALL: &str = r#"(module
  (import "h" "log" (func $log (param i32)))
  (memory (export "memory") 1 5)
  (memory $second (export "second") 2)
  (table $t (export "table") 4 20 funcref)
  (global $g (export "global") (mut i64) (i64.const 7))
  (global $f (mut f64) (f64.const 1.5))
  (global $r (mut funcref) (ref.func $one))
  (data (i32.const 100) "first")
  (data $passive "passive data")
  (elem (table $t) (i32.const 1) func $one $two)
  (elem $more funcref (ref.func $two) (ref.null func))
  (start $start)
  (func $start (call $log (i32.const 1)) (global.set $f (f64.const 2.5)))
  (func $one (result i32) (i32.const 1))
  (func $two (result i32) (i32.const 2))
  (func (export "change") (result i32)
    (i64.store (i32.const 96) (i64.const -1))
    (i32.store $second (i32.const 70000) (i32.const 5))
    (drop (memory.grow (i32.const 2)))
    (i32.store (i32.const 190000) (i32.const 9))
    (memory.init $passive (i32.const 0) (i32.const 0) (i32.const 7))
    (data.drop $passive)
    (drop (table.grow $t (ref.func $two) (i32.const 3)))
    (table.init $t $more (i32.const 0) (i32.const 0) (i32.const 2))
    (elem.drop $more)
    (table.set $t (i32.const 2) (ref.null func))
    (global.set $g (i64.const 8))
    (global.set $f (f64.const 3))
    (global.set $r (ref.null func))
    (memory.size))
  ;; What a fresh instance answers with.
  (func (export "digest") (result i32 i32 i64 f64 i32 i32 i32)
    (memory.size) (table.size $t) (global.get $g) (global.get $f) (ref.is_null (global.get $r))
    (call_indirect (result i32) (i32.const 1))
    (call_indirect (result i32) (i32.const 2)))
  (func (export "passive") (memory.init $passive (i32.const 200) (i32.const 0) (i32.const 12)))
  (func (export "more") (table.init $t $more (i32.const 0) (i32.const 0) (i32.const 2)))
  (func (export "indirect") (param i32) (result i32) (call_indirect (result i32) (local.get 0))))"#;

type Digest = (i32, i32, i64, f64, i32, i32, i32);

fn linker(engine: &Engine) -> Linker<Vec<i32>> {
    let mut linker = Linker::new(engine);
    let log = |mut caller: Caller<'_, Vec<i32>>, n: i32| caller.data_mut().push(n);
    linker.func_wrap("h", "log", log).unwrap();
    linker
}

/// All that can be seen of an instance of [`ALL`].
fn seen(store: &mut Store<Vec<i32>>, instance: Instance) -> (Digest, Vec<u8>, Vec<u8>, Vec<bool>) {
    let digest = call(&mut *store, instance, "digest", ()).unwrap();
    let bytes = |store: &mut Store<Vec<i32>>, name: &str| {
        instance
            .get_memory(&mut *store, name)
            .unwrap()
            .data(&*store)
            .to_vec()
    };
    let (memory, second) = (bytes(store, "memory"), bytes(store, "second"));
    let table = instance.get_table(&mut *store, "table").unwrap();
    let nulls = (0..table.size(&*store))
        .map(|n| matches!(table.get(&mut *store, n), Some(Ref::Func(None))));
    (digest, memory, second, nulls.collect())
}

fn engines() -> Vec<Engine> {
    let mut engines = modes();
    let pooled = modes_with(|config| {
        // What does not allocate in slots is as before.
        let mut pool = PoolingAllocationConfig::new();
        pool.total_memories(10).total_stacks(10);
        let mut own = config.clone();
        own.allocation_strategy(pool);
        if Engine::new(&own).is_ok() {
            *config = own;
        }
    });
    engines.extend(pooled);
    engines
}

#[test]
fn an_instance_that_is_reset_is_as_new() {
    for engine in engines() {
        let module = Module::new(&engine, ALL).unwrap();
        let mut store = Store::new(&engine, Vec::new());
        let instance = linker(&engine).instantiate(&mut store, &module).unwrap();
        let fresh = seen(&mut store, instance);
        assert_eq!(fresh.0, (1, 4, 7, 2.5, 0, 1, 2));
        assert_eq!(&fresh.1[100..105], b"first");
        let exports = ["memory", "second", "table", "global"];
        let before = exports.map(|name| instance.get_export(&mut store, name).unwrap());
        // Again and again, so that tiers change.
        for round in 0..10 {
            let pages: i32 = call(&mut store, instance, "change", ()).unwrap();
            assert_eq!(pages, 3);
            let error = call::<_, (), ()>(&mut store, instance, "passive", ()).unwrap_err();
            assert_eq!(error.trap(), Some(Trap::MemoryOutOfBounds));
            assert_ne!(seen_changed(&mut store, instance), 7);
            instance.reset(&mut store).unwrap();
            assert_eq!(
                seen(&mut store, instance),
                fresh,
                "round {round} {}",
                engine.strategy()
            );
            assert_eq!(store.data()[..], vec![1; round + 2]);
            // The segments are back, and the table ends where it did.
            call::<_, (), ()>(&mut store, instance, "passive", ()).unwrap();
            call::<_, (), ()>(&mut store, instance, "more", ()).unwrap();
            let error = call::<_, i32, i32>(&mut store, instance, "indirect", 5).unwrap_err();
            assert_eq!(error.trap(), Some(Trap::UndefinedElement));
        }
        for (name, before) in exports.into_iter().zip(before) {
            let after = instance.get_export(&mut store, name).unwrap();
            assert_eq!(format!("{before:?}"), format!("{after:?}"));
        }
    }
}

fn seen_changed(store: &mut Store<Vec<i32>>, instance: Instance) -> i64 {
    instance
        .get_global(&mut *store, "global")
        .unwrap()
        .get(&mut *store)
        .unwrap_i64()
}

/// What is not an instance's own stays, and who uses what is its own sees it reset.
#[test]
fn imports_stay_and_importers_see_it() {
    let owner = r#"(module
      (import "h" "shared" (memory $shared 1))
      (memory $own (export "own") 1 9)
      (data (memory $shared) (i32.const 8) "again")
      (func (export "grow") (drop (memory.grow $own (i32.const 3)))
        (i32.store $own (i32.const 200000) (i32.const 77))
        (i32.store $shared (i32.const 0) (i32.const 5)) (i32.store $shared (i32.const 8) (i32.const 0))))"#;
    let user = r#"(module
      (import "o" "own" (memory 1))
      (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
      (func (export "size") (result i32) (memory.size)))"#;
    for engine in modes() {
        let mut store = Store::new(&engine, ());
        let shared = Memory::new(&mut store, MemoryType::new(1, None)).unwrap();
        let module = Module::new(&engine, owner).unwrap();
        let owner = Instance::new(&mut store, &module, &[shared.into()]).unwrap();
        let own = owner.get_memory(&mut store, "own").unwrap();
        let module = Module::new(&engine, user).unwrap();
        let user = Instance::new(&mut store, &module, &[own.into()]).unwrap();
        call::<_, (), ()>(&mut store, owner, "grow", ()).unwrap();
        assert_eq!(
            call::<_, i32, i32>(&mut store, user, "load", 200_000).unwrap(),
            77
        );
        owner.reset(&mut store).unwrap();
        assert_eq!(call::<_, (), i32>(&mut store, user, "size", ()).unwrap(), 1);
        let error = call::<_, i32, i32>(&mut store, user, "load", 200_000).unwrap_err();
        assert_eq!(
            error.trap(),
            Some(Trap::MemoryOutOfBounds),
            "{}",
            engine.strategy()
        );
        assert_eq!(
            call::<_, i32, i32>(&mut store, user, "load", 65_532).unwrap(),
            0
        );
        assert_eq!(shared.data(&store)[0], 5);
        assert_eq!(&shared.data(&store)[8..13], b"again");
    }
}

/// A host function may reset the guest that calls it.
#[test]
fn a_guest_can_be_reset_in_the_middle_of_a_call() {
    let text = r#"(module
      (import "h" "reset" (func $reset))
      (memory (export "memory") 1 4) (global $g (mut i32) (i32.const 3))
      (func (export "f") (result i32 i32 i32)
        (drop (memory.grow (i32.const 3)))
        (i32.store (i32.const 4) (i32.const 9)) (global.set $g (i32.const 4))
        (i32.store (i32.const 200000) (i32.const 1))
        (call $reset)
        (i32.load (i32.const 4)) (global.get $g) (memory.size))
      (func (export "past") (result i32)
        (drop (memory.grow (i32.const 3)))
        (i32.store (i32.const 200000) (i32.const 1))
        (call $reset)
        (i32.load (i32.const 200000))))"#;
    for engine in modes() {
        let mut linker = Linker::<Option<Instance>>::new(&engine);
        let reset = |mut caller: Caller<'_, Option<Instance>>| {
            let instance = caller.data().unwrap();
            instance.reset(&mut caller)
        };
        linker.func_wrap("h", "reset", reset).unwrap();
        let module = Module::new(&engine, text).unwrap();
        let mut store = Store::new(&engine, None);
        let instance = linker.instantiate(&mut store, &module).unwrap();
        *store.data_mut() = Some(instance);
        for _ in 0..5 {
            let result: (i32, i32, i32) = call(&mut store, instance, "f", ()).unwrap();
            assert_eq!(result, (0, 3, 1), "{}", engine.strategy());
            let error = call::<_, (), i32>(&mut store, instance, "past", ()).unwrap_err();
            assert_eq!(
                error.trap(),
                Some(Trap::MemoryOutOfBounds),
                "{}",
                engine.strategy()
            );
            instance.reset(&mut store).unwrap();
        }
    }
}

#[test]
fn what_a_start_function_does_when_it_traps_stays() {
    let text = r#"(module
      (import "h" "log" (func $log (param i32)))
      (global $g (export "global") (mut i64) (i64.const 1))
      (start $start)
      (func $start (call $log (i32.const 0)) (global.set $g (i64.const 2)))
      (func (export "set") (global.set $g (i64.const 3))))"#;
    for engine in modes() {
        let mut linker = Linker::<bool>::new(&engine);
        let log = |caller: Caller<'_, bool>, _: i32| match caller.data() {
            true => Err(vm_engine::Error::msg("not again")),
            false => Ok(()),
        };
        linker.func_wrap("h", "log", log).unwrap();
        let module = Module::new(&engine, text).unwrap();
        let mut store = Store::new(&engine, false);
        let instance = linker.instantiate(&mut store, &module).unwrap();
        call::<_, (), ()>(&mut store, instance, "set", ()).unwrap();
        *store.data_mut() = true;
        let error = instance.reset(&mut store).unwrap_err();
        assert!(error.to_string().contains("not again"), "{error}");
        let global = instance.get_global(&mut store, "global").unwrap();
        assert_eq!(global.get(&mut store).unwrap_i64(), 1);
    }
}

#[test]
fn resets_take_nothing_more_of_limits_and_pools() {
    let limits: StoreLimits = StoreLimitsBuilder::new()
        .memories(1)
        .tables(1)
        .instances(1)
        .build();
    let text = "(module (memory 1) (table 1 funcref))";
    let mut pool = PoolingAllocationConfig::new();
    pool.total_memories(2).total_stacks(1);
    let mut config = Config::new();
    config.allocation_strategy(pool);
    let pooled = Engine::new(&config).ok();
    for engine in modes().into_iter().chain(pooled) {
        let module = Module::new(&engine, text).unwrap();
        let mut store = Store::new(&engine, limits.clone());
        store.limiter(|limits| limits);
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        for _ in 0..1000 {
            instance.reset(&mut store).unwrap();
        }
    }
}

#[test]
fn imports_are_found_once() {
    for engine in modes() {
        let mut linker = linker(&engine);
        let module = Module::new(&engine, ALL).unwrap();
        let pre = linker.instantiate_pre(&module).unwrap();
        // What is defined later makes no difference.
        linker.allow_shadowing(true);
        linker
            .func_wrap("h", "log", |n: i32| assert!(n < 0, "not this one"))
            .unwrap();
        for _ in 0..3 {
            let mut store = Store::new(&engine, Vec::new());
            let one = pre.instantiate(&mut store).unwrap();
            let two = pre.clone().instantiate(&mut store).unwrap();
            assert_eq!(store.data()[..], [1, 1]);
            assert_eq!(seen(&mut store, one), seen(&mut store, two));
        }
        let unknown = Module::new(&engine, "(module (import \"h\" \"nothing\" (func)))").unwrap();
        assert!(linker.instantiate_pre(&unknown).is_err());
        let wrong = Module::new(
            &engine,
            "(module (import \"h\" \"log\" (func (param f64))))",
        )
        .unwrap();
        assert!(linker.instantiate_pre(&wrong).is_err());
    }
}

#[test]
fn what_lives_in_a_store_is_checked_there() {
    for engine in modes() {
        let mut store = Store::new(&engine, ());
        let memory = Memory::new(&mut store, MemoryType::new(1, None)).unwrap();
        let mut linker = Linker::<()>::new(&engine);
        linker
            .define(&store, "h", "m", Extern::Memory(memory))
            .unwrap();
        let module = Module::new(&engine, "(module (import \"h\" \"m\" (memory 1)))").unwrap();
        let pre = linker.instantiate_pre(&module).unwrap();
        pre.instantiate(&mut store).unwrap();
        let mut other = Store::new(&engine, ());
        let error = pre.instantiate(&mut other).unwrap_err();
        assert!(error.is::<vm_engine::WrongStore>(), "{error}");
    }
}
