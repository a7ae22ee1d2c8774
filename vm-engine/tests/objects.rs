//! Memories, tables and globals through the API, shared with guests.

mod common;

use common::{call, in_each_mode, modes};
use vm_engine::{
    Engine, ExternRef, Func, Global, GlobalError, GlobalType, Instance, LimitError, Memory,
    MemoryType, Module, Mutability, Ref, RefType, Store, StoreLimits, StoreLimitsBuilder, Table,
    TableError, TableType, Trap, TypeError, Val, ValType,
};

const MEMORY: &str = r#"
(module
  (memory (export "memory") 1 4)
  (data (i32.const 8) "data")
  (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
  (func (export "store") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "size") (result i32) (memory.size)))"#;

#[test]
fn host_and_guest_see_the_same_memory() {
    in_each_mode(MEMORY, |store, instance| {
        let memory = instance.get_memory(&mut *store, "memory").unwrap();
        assert_eq!(memory.ty(&*store), MemoryType::new(1, Some(4)));
        assert_eq!(&memory.data(&*store)[8..12], b"data");
        call::<_, _, ()>(store, instance, "store", (100, 0x0403_0201)).unwrap();
        assert_eq!(memory.data(&*store)[100..104], [1, 2, 3, 4]);
        memory.data_mut(&mut *store)[200] = 5;
        assert_eq!(
            call::<_, i32, i32>(store, instance, "load", 200).unwrap(),
            5
        );
        memory.write(&mut *store, 65532, &[1, 0, 0, 0]).unwrap();
        assert_eq!(
            call::<_, i32, i32>(store, instance, "load", 65532).unwrap(),
            1
        );
        memory.write(&mut *store, 65533, &[0; 4]).unwrap_err();
        memory.read(&*store, usize::MAX, &mut [0; 4]).unwrap_err();
    });
}

#[test]
fn memory_grows_from_both_sides() {
    in_each_mode(MEMORY, |store, instance| {
        let memory = instance.get_memory(&mut *store, "memory").unwrap();
        let load =
            |store: &mut Store<()>, at: u32| call::<_, u32, i32>(store, instance, "load", at);
        assert_eq!(
            load(store, 65536).unwrap_err().trap(),
            Some(Trap::MemoryOutOfBounds)
        );
        assert_eq!(memory.grow(&mut *store, 1).unwrap(), 1);
        assert_eq!(load(store, 65536).unwrap(), 0);
        assert_eq!(call::<_, i32, i32>(store, instance, "grow", 1).unwrap(), 2);
        assert_eq!(memory.size(&*store), 3);
        assert_eq!(memory.data_size(&*store), 3 * 65536);
        assert_eq!(memory.data(&*store).len(), 3 * 65536);
        assert_eq!(load(store, 3 * 65536 - 4).unwrap(), 0);
        assert_eq!(
            load(store, 3 * 65536 - 3).unwrap_err().trap(),
            Some(Trap::MemoryOutOfBounds)
        );
        assert_eq!(call::<_, i32, i32>(store, instance, "grow", 2).unwrap(), -1);
        memory.grow(&mut *store, 2).unwrap_err();
        assert_eq!(call::<_, (), i32>(store, instance, "size", ()).unwrap(), 3);
        assert_eq!(memory.ty(&*store), MemoryType::new(3, Some(4)));
    });
}

#[test]
fn instances_share_an_imported_memory_also_when_it_grows() {
    let text = r#"
    (module
      (import "" "m" (memory 1))
      (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
      (func (export "store") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
      (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"#;
    for engine in modes() {
        let mut store = Store::new(&engine, ());
        let memory = Memory::new(&mut store, MemoryType::new(1, None)).unwrap();
        let module = Module::new(&engine, text).unwrap();
        let a = Instance::new(&mut store, &module, &[memory.into()]).unwrap();
        let b = Instance::new(&mut store, &module, &[memory.into()]).unwrap();
        assert_eq!(a.bounds(&store), engine.strategy().bounds);
        assert_eq!(call::<_, i32, i32>(&mut store, a, "grow", 100).unwrap(), 1);
        call::<_, _, ()>(&mut store, a, "store", (100 * 65536, 77)).unwrap();
        assert_eq!(
            call::<_, i32, i32>(&mut store, b, "load", 100 * 65536).unwrap(),
            77
        );
        assert!(call::<_, i32, i32>(&mut store, b, "load", 101 * 65536).is_err());
    }
}

#[test]
fn globals_are_shared_and_typed() {
    let text = r#"
    (module
      (import "" "g" (global $g (mut i64)))
      (import "" "c" (global $c f32))
      (global (export "own") (mut externref) (ref.null extern))
      (global $self (export "self") funcref (ref.func $get))
      (global (export "copy") f32 (global.get $c))
      (func $get (export "get") (result i64) (global.get $g))
      (func (export "set") (param i64) (global.set $g (local.get 0))))"#;
    for engine in modes() {
        let mut store = Store::new(&engine, ());
        let var = GlobalType::new(ValType::I64, Mutability::Var);
        let g = Global::new(&mut store, var.clone(), Val::I64(1 << 40)).unwrap();
        let constant = GlobalType::new(ValType::F32, Mutability::Const);
        let c = Global::new(&mut store, constant.clone(), Val::from(1.5f32)).unwrap();
        assert!(
            Global::new(&mut store, var, Val::I32(0))
                .unwrap_err()
                .is::<TypeError>()
        );
        let module = Module::new(&engine, text).unwrap();
        let instance = Instance::new(&mut store, &module, &[g.into(), c.into()]).unwrap();
        assert_eq!(
            call::<_, (), i64>(&mut store, instance, "get", ()).unwrap(),
            1 << 40
        );
        call::<_, i64, ()>(&mut store, instance, "set", -3).unwrap();
        assert_eq!(g.get(&mut store).unwrap_i64(), -3);
        g.set(&mut store, Val::I64(9)).unwrap();
        assert_eq!(
            call::<_, (), i64>(&mut store, instance, "get", ()).unwrap(),
            9
        );
        assert!(
            g.set(&mut store, Val::I32(9))
                .unwrap_err()
                .is::<TypeError>()
        );
        assert!(
            c.set(&mut store, Val::from(0f32))
                .unwrap_err()
                .is::<GlobalError>()
        );
        assert_eq!(c.ty(&store), constant);
        let copy = instance.get_global(&mut store, "copy").unwrap();
        assert_eq!(copy.get(&mut store).unwrap_f32(), 1.5);

        let own = instance.get_global(&mut store, "own").unwrap();
        assert!(own.get(&mut store).unwrap_extern_ref().is_none());
        let value = ExternRef::new(&mut store, 'x').unwrap();
        own.set(&mut store, value.into()).unwrap();
        assert_eq!(own.get(&mut store).unwrap_extern_ref(), Some(value));

        let this = instance.get_global(&mut store, "self").unwrap();
        let get = this.get(&mut store).unwrap_func_ref().unwrap();
        assert_eq!(get, instance.get_func(&mut store, "get").unwrap());
    }
}

#[test]
fn tables_are_shared_and_typed() {
    let text = r#"
    (module
      (table (export "t") 2 5 funcref)
      (elem (i32.const 0) $one)
      (func $one (export "one") (result i32) (i32.const 1))
      (func (export "call") (param i32) (result i32) (call_indirect (result i32) (local.get 0)))
      (func (export "grow") (param i32) (result i32)
        (table.grow (ref.func $one) (local.get 0))))"#;
    in_each_mode(text, |store, instance| {
        let at = |store: &mut Store<()>, i: i32| call::<_, i32, i32>(store, instance, "call", i);
        let table = instance.get_table(&mut *store, "t").unwrap();
        assert_eq!(
            table.ty(&*store),
            TableType::new(RefType::FUNCREF, 2, Some(5))
        );
        assert_eq!(at(store, 0).unwrap(), 1);
        assert_eq!(
            at(store, 1).unwrap_err().trap(),
            Some(Trap::UninitializedElement)
        );
        assert_eq!(
            at(store, 2).unwrap_err().trap(),
            Some(Trap::UndefinedElement)
        );
        assert_eq!(
            at(store, -1).unwrap_err().trap(),
            Some(Trap::UndefinedElement)
        );
        let two = Func::wrap(&mut *store, || 2i32);
        table.set(&mut *store, 1, two.into()).unwrap();
        assert_eq!(at(store, 1).unwrap(), 2);
        let other = Func::wrap(&mut *store, || 2i64);
        table.set(&mut *store, 0, other.into()).unwrap();
        assert_eq!(
            at(store, 0).unwrap_err().trap(),
            Some(Trap::IndirectCallTypeMismatch)
        );

        assert_eq!(table.grow(&mut *store, 1, two.into()).unwrap(), 2);
        assert_eq!(at(store, 2).unwrap(), 2);
        assert_eq!(call::<_, i32, i32>(store, instance, "grow", 2).unwrap(), 3);
        assert_eq!(table.size(&*store), 5);
        assert_eq!(at(store, 4).unwrap(), 1);
        assert_eq!(call::<_, i32, i32>(store, instance, "grow", 1).unwrap(), -1);
        let error = table.grow(&mut *store, 1, two.into()).unwrap_err();
        assert!(matches!(
            error.downcast_ref(),
            Some(TableError::Grow { size: 5, delta: 1 })
        ));
        let error = table.set(&mut *store, 5, two.into()).unwrap_err();
        assert!(matches!(
            error.downcast_ref(),
            Some(TableError::OutOfBounds { index: 5, size: 5 })
        ));
        assert!(table.get(&mut *store, 5).is_none());
        assert!(table.get(&mut *store, u64::MAX).is_none());
        let error = table.set(&mut *store, 0, Ref::Extern(None)).unwrap_err();
        assert!(error.is::<TypeError>());
        table
            .set(&mut *store, 0, Ref::null(RefType::FUNCREF))
            .unwrap();
        assert!(table.get(&mut *store, 0).unwrap().is_null());
    });
}

#[test]
fn a_table_of_host_values() {
    let mut store = Store::new(&Engine::default(), ());
    let ty = TableType::new(RefType::EXTERNREF, 2, None);
    let value = ExternRef::new(&mut store, 5u8).unwrap();
    let table = Table::new(&mut store, ty.clone(), value.into()).unwrap();
    let got = table.get(&mut store, 1).unwrap().as_extern().unwrap();
    assert_eq!(got, Some(value));
    *value
        .data_mut(&mut store)
        .unwrap()
        .downcast_mut::<u8>()
        .unwrap() += 1;
    assert_eq!(value.data(&store).unwrap().downcast_ref::<u8>(), Some(&6));
    assert!(Table::new(&mut store, ty, Ref::Func(None)).is_err());
}

#[test]
fn limits_of_a_store_hold_for_guests_and_the_host() {
    let text = r#"
    (module
      (memory (export "memory") 1)
      (table (export "table") 1 funcref)
      (func (export "grow memory") (param i32) (result i32) (memory.grow (local.get 0)))
      (func (export "grow table") (param i32) (result i32)
        (table.grow (ref.null func) (local.get 0))))"#;
    for engine in modes() {
        let limits: StoreLimits = StoreLimitsBuilder::new()
            .memory_size(2 * 65536)
            .table_elements(3)
            .build();
        let mut store = Store::new(&engine, limits);
        store.limiter(|limits| limits);
        let module = Module::new(&engine, text).unwrap();
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        for (name, can) in [("grow memory", 1), ("grow table", 2)] {
            assert_eq!(
                call::<_, i32, i32>(&mut store, instance, name, can + 1).unwrap(),
                -1
            );
            assert_eq!(
                call::<_, i32, i32>(&mut store, instance, name, can).unwrap(),
                1
            );
        }
        let memory = instance.get_memory(&mut store, "memory").unwrap();
        assert!(memory.grow(&mut store, 1).unwrap_err().is::<LimitError>());
        let table = instance.get_table(&mut store, "table").unwrap();
        assert!(
            table
                .grow(&mut store, 1, Ref::Func(None))
                .unwrap_err()
                .is::<LimitError>()
        );
        for too_large in ["(memory 3)", "(table 4 funcref)"] {
            let module = Module::new(&engine, too_large).unwrap();
            let error = Instance::new(&mut store, &module, &[]).unwrap_err();
            assert!(error.is::<LimitError>(), "{error}");
        }
    }
}

#[test]
fn a_memory_of_no_pages_has_no_bytes() {
    let text = r#"
    (module
      (memory (export "m") 0)
      (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0))))"#;
    in_each_mode(text, |store, instance| {
        for at in [0, 1, 65535, -1] {
            let error = call::<_, i32, i32>(store, instance, "load", at).unwrap_err();
            assert_eq!(error.trap(), Some(Trap::MemoryOutOfBounds));
        }
        let memory = instance.get_memory(&mut *store, "m").unwrap();
        assert!(memory.data(&*store).is_empty());
        memory.grow(&mut *store, 1).unwrap();
        assert_eq!(
            call::<_, i32, i32>(store, instance, "load", 65535).unwrap(),
            0
        );
    });
}
