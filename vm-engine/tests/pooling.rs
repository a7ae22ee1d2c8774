//! Pools, layouts and initial images: what guests see is the same, and nothing of one is left for
//! the next.

mod common;

use vm_engine::{
    Bounds, Config, ConfigError, Engine, Error, InstanceAllocationStrategy, InstantiateError,
    Layout, Memory, MemoryError, MemoryType, Module, PoolingAllocationConfig, Store, StoreConfig,
    Threading, Trap,
};
use vm_engine::{Instance, Result};

fn pool_of(memories: u32, stacks: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_memories(memories).total_stacks(stacks);
    pool
}

fn small_guard() -> Layout {
    Layout::with_guard(65536).unwrap()
}

/// An engine with guarded memories, if this host has them.
fn guarded(configure: impl FnOnce(&mut Config)) -> Option<Engine> {
    let mut config = Config::new();
    config.bounds(Bounds::Guarded);
    configure(&mut config);
    match Engine::new(&config) {
        Ok(engine) => Some(engine),
        Err(error) => {
            let refused = error.downcast_ref::<ConfigError>();
            let absent = matches!(
                refused,
                Some(ConfigError::GuardedNeedsDirect { .. } | ConfigError::Guarded { .. })
            );
            assert!(
                absent && !cfg!(all(target_os = "linux", target_arch = "x86_64")),
                "{error}"
            );
            None
        }
    }
}

/// Stores of every kind there is: mode, layout, allocation.
fn every_store() -> Vec<Store<()>> {
    let mut stores: Vec<_> = common::modes()
        .iter()
        .map(|engine| Store::new(engine, ()))
        .collect();
    let layouts = [
        Layout::FULL,
        small_guard(),
        Layout::FULL.with_front_guard(1 << 20),
    ];
    for layout in layouts {
        for pool in [false, true] {
            let configure = |config: &mut Config| {
                config.memory_layout(layout);
                if pool {
                    config.allocation_strategy(pool_of(4, 2));
                }
            };
            stores.extend(guarded(configure).map(|engine| Store::new(&engine, ())));
            let Some(engine) = guarded(|_| {}) else {
                continue;
            };
            let mut own = StoreConfig::new();
            own.memory_layout(layout);
            if pool {
                own.allocation_strategy(pool_of(4, 2));
            }
            stores.push(Store::with_config(&engine, (), &own).unwrap());
        }
    }
    stores
}

fn load(store: &mut Store<()>, instance: Instance, name: &str, at: u32) -> Result<i32> {
    common::call(store, instance, name, at)
}

fn out_of_bounds(result: Result<i32>) {
    assert_eq!(result.unwrap_err().trap(), Some(Trap::MemoryOutOfBounds));
}

#[test]
fn offsets_on_both_sides_of_the_guard_trap_alike_in_every_layout() {
    let text = r#"(module (memory 1 2)
        (func (export "0") (param i32) (result i32) (i32.load (local.get 0)))
        (func (export "65532") (param i32) (result i32) (i32.load offset=65532 (local.get 0)))
        (func (export "65533") (param i32) (result i32) (i32.load offset=65533 (local.get 0)))
        (func (export "65536") (param i32) (result i32) (i32.load offset=65536 (local.get 0)))
        (func (export "4G") (param i32) (result i32) (i32.load offset=4294967295 (local.get 0)))
        (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"#;
    for mut store in every_store() {
        let module = Module::new(store.engine(), text).unwrap();
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        assert_eq!(instance.bounds(&store), store.strategy().bounds);
        for end in [65536u64, 131072] {
            for (name, offset) in [
                ("0", 0),
                ("65532", 65532),
                ("65533", 65533),
                ("65536", 65536),
            ] {
                let last = (end - 4).checked_sub(offset);
                match last.and_then(|last| u32::try_from(last).ok()) {
                    Some(last) => {
                        assert_eq!(load(&mut store, instance, name, last).unwrap(), 0);
                        out_of_bounds(load(&mut store, instance, name, last + 1));
                    }
                    None => out_of_bounds(load(&mut store, instance, name, 0)),
                }
                out_of_bounds(load(&mut store, instance, name, u32::MAX));
            }
            out_of_bounds(load(&mut store, instance, "4G", 0));
            out_of_bounds(load(&mut store, instance, "4G", u32::MAX));
            // Growth between faults.
            let pages = i32::try_from(end / 65536).unwrap();
            let answer = if pages == 1 { 1 } else { -1 };
            assert_eq!(load(&mut store, instance, "grow", 1).unwrap(), answer);
        }
    }
}

#[test]
fn an_imported_memory_is_shared_by_two_instances_in_every_layout() {
    for mut store in every_store() {
        let module = Module::new(
            store.engine(),
            r#"(import "" "" (memory 1 4))
            (func (export "store") (param i32) (i32.store (local.get 0) (i32.const 77)))
            (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
            (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))"#,
        )
        .unwrap();
        let memory = Memory::new(&mut store, MemoryType::new(1, Some(4))).unwrap();
        let [a, b] = [0, 1].map(|_| Instance::new(&mut store, &module, &[memory.into()]).unwrap());
        assert_eq!(a.bounds(&store), store.strategy().bounds);
        for end in [65536, 131072, 196608u32] {
            common::call::<_, u32, ()>(&mut store, a, "store", end - 4).unwrap();
            assert_eq!(load(&mut store, b, "load", end - 4).unwrap(), 77);
            for instance in [a, b] {
                out_of_bounds(load(&mut store, instance, "load", end - 3));
            }
            // Grown by the one, the other and the host in turn.
            let pages = end / 65536;
            let grown = match pages {
                1 => load(&mut store, a, "grow", 1).unwrap(),
                2 => load(&mut store, b, "grow", 1).unwrap(),
                _ => memory.grow(&mut store, 1).unwrap() as i32,
            };
            assert_eq!(grown, pages as i32);
        }
    }
}

/// A guest that fills its memory, its stack, its table and its globals with what the next must not
/// see.
const LITTERER: &str = r#"(module
    (memory (export "memory") 1)
    (global (export "global") (mut i32) (i32.const 5))
    (data (i32.const 100) "start")
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func $deep (param i32) (result i32)
      (local i64 i64 i64 i64)
      (local.set 1 (i64.const -1))
      (if (result i32) (local.get 0)
        (then (i32.add (call $deep (i32.sub (local.get 0) (i32.const 1)))
                       (i32.wrap_i64 (local.get 2))))
        (else (i32.const 0))))
    (func (export "litter") (result i32)
      (global.set 0 (i32.const 6))
      (memory.fill (i32.const 0) (i32.const 0xA5) (i32.mul (memory.size) (i32.const 65536)))
      (call $deep (i32.const 1000))))"#;

#[test]
fn nothing_of_a_guest_is_left_for_the_next() {
    let Some(engine) = guarded(|config| {
        config.allocation_strategy(pool_of(1, 1));
    }) else {
        return;
    };
    let module = Module::new(&engine, LITTERER).unwrap();
    for round in 0..20 {
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        assert_eq!(instance.bounds(&store), Bounds::Guarded);
        let memory = instance.get_memory(&mut store, "memory").unwrap();
        assert_eq!(memory.size(&store), 1);
        let data = memory.data(&store);
        assert_eq!(&data[100..105], b"start");
        assert!(
            data[..100]
                .iter()
                .chain(&data[105..])
                .all(|byte| *byte == 0)
        );
        let global = instance.get_global(&mut store, "global").unwrap();
        assert_eq!(global.get(&mut store).i32(), Some(5));

        let delta = round % 3;
        assert_eq!(load(&mut store, instance, "grow", delta).unwrap(), 1);
        let data = memory.data(&store);
        assert!(data[65536..].iter().all(|byte| *byte == 0));
        assert_eq!(
            common::call::<_, (), i32>(&mut store, instance, "litter", ()).unwrap(),
            0
        );
    }
}

#[test]
fn a_full_pool_is_an_error_that_says_so_and_goes_on_later() {
    let configure = |bounds: Bounds| {
        move |config: &mut Config| {
            config.bounds(bounds).allocation_strategy(pool_of(2, 2));
        }
    };
    // Also under `Auto`: it is the embedder's own limit.
    for bounds in [Bounds::Guarded, Bounds::Auto] {
        // There, automatic engines have no guards: `config.rs` has the test.
        if bounds == Bounds::Auto && vm_interp::sanitizer().is_some() {
            continue;
        }
        let Some(engine) = guarded(configure(bounds)) else {
            return;
        };
        let module = Module::new(&engine, "(memory 1)").unwrap();
        let mut first = Store::new(&engine, ());
        let mut second = Store::new(&engine, ());
        let refused = Store::try_new(&engine, ()).unwrap_err();
        let full = |error: &Error| {
            matches!(
                error.downcast_ref(),
                Some(MemoryError::PoolFull { slots: 2 })
            )
        };
        assert!(full(&refused), "{refused}");
        Instance::new(&mut first, &module, &[]).unwrap();
        Instance::new(&mut second, &module, &[]).unwrap();
        let refused = Instance::new(&mut second, &module, &[]).unwrap_err();
        assert!(
            matches!(
                refused.downcast_ref(),
                Some(InstantiateError::Memory {
                    reason: MemoryError::PoolFull { slots: 2 },
                    ..
                })
            ),
            "{refused}"
        );
        assert!(refused.to_string().contains("all 2 slots"), "{refused}");
        let refused = Memory::new(&mut second, MemoryType::new(1, None)).unwrap_err();
        assert!(full(&refused), "{refused}");
        drop(first);
        Instance::new(&mut second, &module, &[]).unwrap();
        Store::try_new(&engine, ()).unwrap();
    }
}

#[test]
fn what_was_asked_for_and_cannot_be_had_is_an_error() {
    let ask = |config: &mut Config| Engine::new(config.allocation_strategy(pool_of(1, 1)));
    for (threading, bounds) in [
        (Threading::Auto, Bounds::Software),
        (Threading::Token, Bounds::Software),
        (Threading::Token, Bounds::Auto),
    ] {
        let error = ask(Config::new().threading(threading).bounds(bounds)).unwrap_err();
        assert!(
            matches!(
                error.downcast_ref(),
                Some(ConfigError::PoolNeedsGuards { .. })
            ),
            "{error}"
        );
    }
    let mut config = Config::new();
    let software = Engine::new(config.bounds(Bounds::Software)).unwrap();
    let mut own = StoreConfig::new();
    own.allocation_strategy(pool_of(1, 1));
    let error = Store::with_config(&software, (), &own).unwrap_err();
    assert!(matches!(
        error.downcast_ref(),
        Some(ConfigError::PoolNeedsGuards { .. })
    ));
    let mut own = StoreConfig::new();
    own.memory_layout(small_guard());
    let error = Store::with_config(&software, (), &own).unwrap_err();
    assert!(matches!(
        error.downcast_ref(),
        Some(ConfigError::LayoutNeedsGuards { .. })
    ));
    // What differs from nothing can always be had.
    Store::with_config(&software, (), &StoreConfig::new()).unwrap();

    if guarded(|_| {}).is_none() {
        return;
    }
    let error = Engine::new(Config::new().allocation_strategy(pool_of(u32::MAX, 1))).unwrap_err();
    assert!(
        matches!(error.downcast_ref(), Some(ConfigError::Pool { .. })),
        "{error}"
    );
}

#[test]
fn the_strategy_tells_layout_pool_and_images() {
    let mut config = Config::new();
    config.bounds(Bounds::Software);
    let strategy = Engine::new(&config).unwrap().strategy().clone();
    assert_eq!(strategy.layout, None);
    assert_eq!(strategy.allocation, InstanceAllocationStrategy::OnDemand);
    assert!(!strategy.init_cow);

    let Some(engine) = guarded(|config| {
        config.memory_layout(small_guard()).memory_init_cow(false);
    }) else {
        return;
    };
    let strategy = engine.strategy();
    assert_eq!(strategy.layout, Some(small_guard()));
    assert!(!strategy.init_cow);
    let text = strategy.to_string();
    for part in [
        "65536 of them as guard",
        "asked of the host",
        "copied for every instance",
    ] {
        assert!(text.contains(part), "{text}");
    }

    let mut own = StoreConfig::new();
    own.memory_layout(Layout::FULL)
        .allocation_strategy(pool_of(7, 3));
    let store = Store::with_config(&engine, (), &own).unwrap();
    assert_eq!(store.strategy().layout, Some(Layout::FULL));
    assert_eq!(store.strategy().allocation, pool_of(7, 3).into());
    let text = store.strategy().to_string();
    for part in ["no access needs a check", "pool of 7 and 3"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(Store::new(&engine, ()).strategy(), engine.strategy());

    let Some(engine) = guarded(|config| {
        config.allocation_strategy(pool_of(2, 2));
    }) else {
        return;
    };
    assert_eq!(engine.strategy().init_cow, cfg!(target_os = "linux"));
    assert!(engine.strategy().to_string().contains("pool of 2 and 2"));
    // A store with another layout cannot use the engine's pool.
    let mut own = StoreConfig::new();
    own.memory_layout(small_guard());
    let store = Store::with_config(&engine, (), &own).unwrap();
    assert_eq!(
        store.strategy().allocation,
        InstanceAllocationStrategy::OnDemand
    );
    // And one may leave it alone.
    let mut own = StoreConfig::new();
    own.allocation_strategy(InstanceAllocationStrategy::OnDemand);
    let stores: Vec<_> = (0..4)
        .map(|_| Store::with_config(&engine, (), &own).unwrap())
        .collect();
    assert_eq!(
        stores[3].strategy().allocation,
        InstanceAllocationStrategy::OnDemand
    );
}

/// A module with enough data for an image.
fn with_data(extra: &str) -> String {
    let bytes = "x".repeat(100_000);
    format!(
        r#"(module {extra}
            (memory (export "memory") 3)
            (data (i32.const 10) "{bytes}")
            (data (i32.const 20) "over it")
            (data (i32.const 196600) "last")
            (data $passive "passive")
            (func (export "init") (param i32)
              (memory.init $passive (i32.const 0) (i32.const 0) (local.get 0)))
            (func (export "dropped") (param i32)
              (memory.init 0 (i32.const 0) (i32.const 0) (local.get 0)))
            (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0))))"#
    )
}

fn assert_data(data: &[u8]) {
    assert_eq!(data.len(), 3 * 65536);
    assert!(data[..10].iter().all(|byte| *byte == 0));
    assert!(data[10..20].iter().all(|byte| *byte == b'x'));
    assert_eq!(&data[20..28], b"over itx");
    assert!(data[28..100_010].iter().all(|byte| *byte == b'x'));
    assert!(data[100_010..196_600].iter().all(|byte| *byte == 0));
    assert_eq!(&data[196_600..], b"last\0\0\0\0");
}

#[test]
fn large_initial_data_is_the_same_in_every_kind_of_memory() {
    for mut store in every_store() {
        let module = Module::new(store.engine(), with_data("")).unwrap();
        for _ in 0..2 {
            let instance = Instance::new(&mut store, &module, &[]).unwrap();
            let memory = instance.get_memory(&mut store, "memory").unwrap();
            assert_data(memory.data(&store));
            memory.data_mut(&mut store).fill(0xA5);
            // Active segments are gone, passive ones are not.
            common::call::<_, i32, ()>(&mut store, instance, "init", 7).unwrap();
            assert_eq!(&memory.data(&store)[..8], b"passive\xA5");
            common::call::<_, i32, ()>(&mut store, instance, "dropped", 0).unwrap();
            let error = common::call::<_, i32, ()>(&mut store, instance, "dropped", 1).unwrap_err();
            assert_eq!(error.trap(), Some(Trap::MemoryOutOfBounds));
        }
    }
}

/// In a process of its own: the test looks at all of the process's mappings.
#[cfg(target_os = "linux")]
#[test]
fn large_initial_data_is_mapped_where_it_should_be() {
    common::process::alone(
        "large_initial_data_is_mapped_where_it_should_be",
        large_initial_data_is_mapped,
    );
}

#[cfg(target_os = "linux")]
fn large_initial_data_is_mapped() {
    let Some(engine) = guarded(|_| {}) else {
        return;
    };
    let count = || {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines()
            .filter(|line| line.contains("wasm-memory-image"))
            .count()
    };
    let module = Module::new(&engine, with_data("")).unwrap();
    let mut store = Store::new(&engine, ());
    let before = count();
    for made in 1..4 {
        Instance::new(&mut store, &module, &[]).unwrap();
        assert_eq!(count(), before + made);
    }
    drop(store);
    assert_eq!(count(), before);

    // Not if someone could see the memory before the data is in it, or the data cannot be known.
    let mut store = Store::new(&engine, ());
    for text in [
        // A table that others see.
        with_data(r#"(import "" "table" (table 1 funcref)) (elem (i32.const 0) func 0)"#),
        // An offset from outside.
        with_data(r#"(import "" "offset" (global i32))"#)
            .replace("(data (i32.const 10)", "(data (global.get 0)"),
    ] {
        let module = Module::new(&engine, text).unwrap();
        let import: vm_engine::Extern = if module.imports().next().unwrap().name() == "table" {
            let ty = vm_engine::TableType::new(vm_engine::RefType::FUNCREF, 1, None);
            vm_engine::Table::new(&mut store, ty, vm_engine::Ref::Func(None))
                .unwrap()
                .into()
        } else {
            let ty =
                vm_engine::GlobalType::new(vm_engine::ValType::I32, vm_engine::Mutability::Const);
            vm_engine::Global::new(&mut store, ty, vm_engine::Val::I32(10))
                .unwrap()
                .into()
        };
        let instance = Instance::new(&mut store, &module, &[import]).unwrap();
        let memory = instance.get_memory(&mut store, "memory").unwrap();
        assert_data(memory.data(&store));
    }
    assert_eq!(count(), before);

    // A segment that does not fit traps, after those before it.
    let text = with_data("").replace("(data (i32.const 196600)", "(data (i32.const 196606)");
    let module = Module::new(&engine, text).unwrap();
    let error = Instance::new(&mut store, &module, &[]).unwrap_err();
    assert_eq!(error.trap(), Some(Trap::MemoryOutOfBounds));
    assert_eq!(count(), before);
}
