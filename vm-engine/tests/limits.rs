//! Limits of a store: what guests and the host may make and grow.

mod common;

use vm_engine::{
    Error, Instance, LimitError, Memory, MemoryType, Module, Ref, RefType, ResourceLimiter, Result,
    Store, StoreLimits, StoreLimitsBuilder, Table, TableType,
};

const PAGE: usize = 65536;

const GUEST: &str = r#"(module
    (memory (export "memory") 1 5)
    (table (export "table") 2 9 funcref)
    (func (export "memory.grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "table.grow") (param i32) (result i32)
      (table.grow (ref.null func) (local.get 0))))"#;

/// Runs a test in every mode, in stores with these limits.
fn limited(limits: &StoreLimits, test: impl Fn(&mut Store<StoreLimits>, &Module)) {
    for engine in common::modes() {
        let module = Module::new(&engine, GUEST).unwrap();
        let mut store = Store::new(&engine, limits.clone());
        store.limiter(|limits| limits);
        test(&mut store, &module);
    }
}

fn forbidden(error: &Error) -> &str {
    &error
        .downcast_ref::<LimitError>()
        .expect("a limit's error")
        .what
}

#[test]
fn sizes_are_limited_for_guests_and_hosts() {
    let limits = StoreLimitsBuilder::new()
        .memory_size(3 * PAGE)
        .table_elements(4)
        .build();
    limited(&limits, |store, module| {
        let instance = Instance::new(&mut *store, module, &[]).unwrap();
        let memory = instance.get_memory(&mut *store, "memory").unwrap();
        let table = instance.get_table(&mut *store, "table").unwrap();
        for (name, delta, answer) in [
            ("memory.grow", 3, -1),
            ("memory.grow", 1, 1),
            ("memory.grow", 2, -1),
            ("memory.grow", 1, 2),
            ("memory.grow", 1, -1),
            ("memory.grow", 0, 3),
            ("table.grow", 3, -1),
            ("table.grow", 2, 2),
            ("table.grow", 1, -1),
        ] {
            let grown: i32 = common::call(store, instance, name, delta).unwrap();
            assert_eq!(grown, answer, "{name} {delta}");
        }
        let error = memory.grow(&mut *store, 1).unwrap_err();
        assert_eq!(forbidden(&error), "a memory of 262144 bytes");
        let error = table.grow(&mut *store, 1, Ref::Func(None)).unwrap_err();
        assert_eq!(forbidden(&error), "a table of 5 elements");
        assert_eq!((memory.size(&*store), table.size(&*store)), (3, 4));

        let error = Memory::new(&mut *store, MemoryType::new(4, None)).unwrap_err();
        assert_eq!(forbidden(&error), "a memory of 262144 bytes");
        let ty = TableType::new(RefType::FUNCREF, 5, None);
        let error = Table::new(&mut *store, ty, Ref::Func(None)).unwrap_err();
        assert_eq!(forbidden(&error), "a table of 5 elements");
        let large = Module::new(store.engine(), "(memory 4)").unwrap();
        let error = Instance::new(&mut *store, &large, &[]).unwrap_err();
        assert_eq!(forbidden(&error), "a memory of 262144 bytes");
    });
}

#[test]
fn numbers_are_limited() {
    let limits = StoreLimitsBuilder::new()
        .instances(3)
        .tables(2)
        .memories(1)
        .build();
    limited(&limits, |store, module| {
        Instance::new(&mut *store, module, &[]).unwrap();
        let error = Instance::new(&mut *store, module, &[]).unwrap_err();
        assert_eq!(forbidden(&error), "more than 1 memories");
        let error = Memory::new(&mut *store, MemoryType::new(1, None)).unwrap_err();
        assert_eq!(forbidden(&error), "more than 1 memories");
        let tables = Module::new(store.engine(), "(table 1 funcref)").unwrap();
        Instance::new(&mut *store, &tables, &[]).unwrap();
        let error = Instance::new(&mut *store, &tables, &[]).unwrap_err();
        assert_eq!(forbidden(&error), "more than 2 tables");
        let empty = Module::new(store.engine(), "(module)").unwrap();
        Instance::new(&mut *store, &empty, &[]).unwrap();
        let error = Instance::new(&mut *store, &empty, &[]).unwrap_err();
        assert_eq!(forbidden(&error), "more than 3 instances");
    });
}

#[test]
fn without_settings_only_numbers_are_limited() {
    let limits = StoreLimits::default();
    assert_eq!(limits.instances(), vm_engine::DEFAULT_INSTANCE_LIMIT);
    assert_eq!(limits.memories(), vm_engine::DEFAULT_MEMORY_LIMIT);
    assert_eq!(limits.tables(), vm_engine::DEFAULT_TABLE_LIMIT);
    limited(&limits, |store, module| {
        let instance = Instance::new(&mut *store, module, &[]).unwrap();
        for (name, delta, answer) in [
            ("memory.grow", 4, 1),
            ("memory.grow", 1, -1),
            ("table.grow", 7, 2),
            ("table.grow", 1, -1),
        ] {
            let grown: i32 = common::call(store, instance, name, delta).unwrap();
            assert_eq!(grown, answer, "{name} {delta}");
        }
    });
}

#[test]
fn growth_that_fails_can_end_the_guest() {
    let limits = StoreLimitsBuilder::new()
        .memory_size(3 * PAGE)
        .table_elements(4)
        .trap_on_grow_failure(true)
        .build();
    limited(&limits, |store, module| {
        let instance = Instance::new(&mut *store, module, &[]).unwrap();
        let grow = |store: &mut Store<StoreLimits>, name: &str, delta: i32| {
            common::call::<_, i32, i32>(store, instance, name, delta)
        };
        // Past the store's limit.
        let error = grow(store, "memory.grow", 3).unwrap_err();
        assert_eq!(forbidden(&error), "a memory of 262144 bytes");
        assert_eq!(error.backtrace().unwrap().frames().len(), 1);
        let error = grow(store, "table.grow", 3).unwrap_err();
        assert_eq!(forbidden(&error), "a table of 5 elements");
        // Past the type's maximum.
        let error = grow(store, "memory.grow", 5).unwrap_err();
        assert!(error.is::<vm_engine::GrowError>(), "{error}");
        assert!(grow(store, "table.grow", 100).is_err());
        assert!(grow(store, "memory.grow", -1).is_err());
        // The instance goes on.
        assert_eq!(grow(store, "memory.grow", 2).unwrap(), 1);
        assert_eq!(grow(store, "table.grow", 2).unwrap(), 2);
        let memory = instance.get_memory(&mut *store, "memory").unwrap();
        assert!(memory.grow(&mut *store, 1).is_err());
        assert_eq!(memory.size(&*store), 3);
    });
}

/// A limiter of the host's own sees what is wanted, and what became of it.
#[test]
fn a_limiter_hears_of_everything() {
    #[derive(Default)]
    struct Ledger {
        asked: Vec<(&'static str, usize, usize, Option<usize>)>,
        failed: Vec<String>,
    }
    impl ResourceLimiter for Ledger {
        fn memory_growing(&mut self, from: usize, to: usize, most: Option<usize>) -> Result<bool> {
            self.asked.push(("memory", from, to, most));
            Ok(true)
        }
        fn memory_grow_failed(&mut self, error: Error) -> Result<()> {
            self.failed.push(error.to_string());
            Ok(())
        }
        fn table_growing(&mut self, from: usize, to: usize, most: Option<usize>) -> Result<bool> {
            self.asked.push(("table", from, to, most));
            Ok(true)
        }
        fn table_grow_failed(&mut self, error: Error) -> Result<()> {
            self.failed.push(error.to_string());
            Ok(())
        }
    }
    for engine in common::modes() {
        let module = Module::new(&engine, GUEST).unwrap();
        let mut store = Store::new(&engine, Ledger::default());
        store.limiter(|ledger| ledger);
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        for (name, delta, answer) in [
            ("memory.grow", 2, 1),
            ("memory.grow", 3, -1),
            ("table.grow", 3, 2),
            ("table.grow", 5, -1),
        ] {
            let grown: i32 = common::call(&mut store, instance, name, delta).unwrap();
            assert_eq!(grown, answer);
        }
        let most = Some(5 * PAGE);
        assert_eq!(
            store.data().asked,
            [
                ("memory", 0, PAGE, most),
                ("table", 0, 2, Some(9)),
                ("memory", PAGE, 3 * PAGE, most),
                ("table", 2, 5, Some(9)),
            ]
        );
        let failed = &store.data().failed;
        assert_eq!(failed.len(), 2);
        assert!(failed[0].contains("may have 5"), "{failed:?}");
    }
}
