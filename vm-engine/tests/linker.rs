//! Linking: names, types, and what is said when they do not fit.

mod common;

use common::{call, modes};
use vm_engine::{
    Caller, Engine, Extern, ExternType, FuncType, Global, GlobalType, Instance, LinkError, Linker,
    Memory, MemoryType, Module, Mutability, Ref, RefType, Store, Table, TableType, Val, ValType,
};

#[test]
fn a_missing_import_is_named_with_its_type() {
    let engine = Engine::default();
    let linker = Linker::<()>::new(&engine);
    let mut store = Store::new(&engine, ());
    for (import, expected) in [
        (
            r#"(import "env" "f" (func (param i32) (result f64)))"#,
            "unknown import: `env::f` has not been defined; the module expects a function (i32) -> (f64)",
        ),
        (
            r#"(import "env" "f" (memory 1 2))"#,
            "unknown import: `env::f` has not been defined; the module expects a memory of 1 to 2 pages",
        ),
        (
            r#"(import "env" "f" (table 1 funcref))"#,
            "unknown import: `env::f` has not been defined; the module expects a table of 1 or more funcref",
        ),
        (
            r#"(import "env" "f" (global (mut i64)))"#,
            "unknown import: `env::f` has not been defined; the module expects a global mut i64",
        ),
    ] {
        let module = Module::new(&engine, import).unwrap();
        let error = linker.instantiate(&mut store, &module).unwrap_err();
        assert!(matches!(
            error.downcast_ref(),
            Some(LinkError::UnknownImport { .. })
        ));
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn an_import_of_another_type_is_named_with_both_types() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    linker.func_wrap("env", "f", |_: i32| 0i64).unwrap();
    let memory = Memory::new(&mut store, MemoryType::new(1, None)).unwrap();
    linker.define(&store, "env", "m", memory).unwrap();
    for (import, expected) in [
        (
            r#"(import "env" "f" (func (param i64)))"#,
            "incompatible import type for `env::f`: the module expects a function (i64) -> (), found a function (i32) -> (i64)",
        ),
        (
            r#"(import "env" "f" (global i32))"#,
            "incompatible import type for `env::f`: the module expects a global i32, found a function (i32) -> (i64)",
        ),
        (
            r#"(import "env" "m" (memory 2))"#,
            "incompatible import type for `env::m`: the module expects a memory of 2 or more pages, found a memory of 1 or more pages",
        ),
    ] {
        let module = Module::new(&engine, import).unwrap();
        let error = linker.instantiate(&mut store, &module).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    // A memory that has grown fits.
    memory.grow(&mut store, 1).unwrap();
    let module = Module::new(&engine, r#"(import "env" "m" (memory 2))"#).unwrap();
    linker.instantiate(&mut store, &module).unwrap();
}

#[test]
fn the_number_of_imports_is_checked() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let module = Module::new(&engine, r#"(import "" "" (global i32))"#).unwrap();
    let error = Instance::new(&mut store, &module, &[]).unwrap_err();
    assert_eq!(
        error.downcast_ref(),
        Some(&LinkError::ImportCount {
            expected: 1,
            found: 0
        })
    );
}

#[test]
fn a_name_can_be_defined_once_unless_shadowing_is_allowed() {
    for engine in modes() {
        let mut linker = Linker::<()>::new(&engine);
        linker.func_wrap("m", "f", || 1i32).unwrap();
        let error = linker.func_wrap("m", "f", || 2i32).unwrap_err();
        assert!(matches!(
            error.downcast_ref(),
            Some(LinkError::Duplicate { .. })
        ));
        linker.allow_shadowing(true);
        linker.func_wrap("m", "f", || 3i32).unwrap();
        let mut store = Store::new(&engine, ());
        let func = linker
            .get(&mut store, "m", "f")
            .unwrap()
            .into_func()
            .unwrap();
        assert_eq!(
            func.typed::<(), i32>(&store)
                .unwrap()
                .call(&mut store, ())
                .unwrap(),
            3
        );
        assert!(linker.get(&mut store, "m", "g").is_none());
    }
}

#[test]
fn instances_are_linked_by_their_exports() {
    for engine in modes() {
        let mut store = Store::new(&engine, ());
        let mut linker = Linker::new(&engine);
        let a = Module::new(
            &engine,
            r#"(module
                (memory (export "mem") 1)
                (global (export "g") (mut i32) (i32.const 1))
                (table (export "t") 2 funcref)
                (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0))))"#,
        )
        .unwrap();
        linker.module(&mut store, "a", &a).unwrap();
        let b = Module::new(
            &engine,
            r#"(module
                (import "a" "mem" (memory 1))
                (import "a" "g" (global $g (mut i32)))
                (import "a" "t" (table 1 funcref))
                (import "a" "load" (func $load (param i32) (result i32)))
                (elem (i32.const 1) $inc)
                (data (i32.const 5) "*")
                (func $inc (result i32)
                  (global.set $g (i32.add (global.get $g) (i32.const 1))) (global.get $g))
                (func (export "run") (result i32 i32)
                  (call $load (i32.const 5))
                  (call_indirect (result i32) (i32.const 1))))"#,
        )
        .unwrap();
        let instance = linker.instantiate(&mut store, &b).unwrap();
        let results: (i32, i32) = call(&mut store, instance, "run", ()).unwrap();
        assert_eq!(results, (42, 2));
        // The other instance's table has the function now.
        let table = linker
            .get(&mut store, "a", "t")
            .unwrap()
            .into_table()
            .unwrap();
        let Some(Ref::Func(Some(inc))) = table.get(&mut store, 1) else {
            panic!("the segment was copied into the table");
        };
        assert_eq!(
            inc.typed::<(), i32>(&store)
                .unwrap()
                .call(&mut store, ())
                .unwrap(),
            3
        );

        linker.alias_module("a", "b").unwrap();
        linker.alias("a", "load", "c", "read").unwrap();
        assert!(linker.get(&mut store, "b", "mem").is_some());
        assert!(linker.get(&mut store, "c", "read").is_some());
        assert!(linker.alias_module("none", "x").is_err());
        assert!(linker.alias("a", "none", "x", "y").is_err());
    }
}

#[test]
fn one_linker_serves_many_stores_and_instances() {
    for engine in modes() {
        let mut linker = Linker::<u32>::new(&engine);
        linker
            .func_wrap("h", "count", |mut caller: Caller<'_, u32>| {
                *caller.data_mut() += 1;
            })
            .unwrap();
        let module = Module::new(
            &engine,
            r#"(import "h" "count" (func $f)) (func (export "run") (call $f))"#,
        )
        .unwrap();
        for _ in 0..3 {
            let mut store = Store::new(&engine, 0);
            for _ in 0..5 {
                let instance = linker.instantiate(&mut store, &module).unwrap();
                call::<_, (), ()>(&mut store, instance, "run", ()).unwrap();
            }
            assert_eq!(*store.data(), 5);
        }
    }
}

#[test]
fn unknown_functions_can_be_left_to_fail_when_called() {
    for engine in modes() {
        let module = Module::new(
            &engine,
            r#"(import "h" "gone" (func $f)) (func (export "run") (call $f)) (func (export "ok"))"#,
        )
        .unwrap();
        let mut linker = Linker::new(&engine);
        linker.define_unknown_imports_as_traps(&module).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = linker.instantiate(&mut store, &module).unwrap();
        call::<_, (), ()>(&mut store, instance, "ok", ()).unwrap();
        let error = call::<_, (), ()>(&mut store, instance, "run", ()).unwrap_err();
        assert!(error.to_string().contains("`h::gone`"), "{error}");
    }
}

#[test]
fn a_module_tells_its_imports_and_exports() {
    let engine = Engine::default();
    let module = Module::new(
        &engine,
        r#"(module $named
            (import "a" "f" (func (param i32)))
            (import "b" "g" (global i64))
            (table (export "t") 1 3 externref)
            (memory (export "m") 2)
            (func (export "h") (result f32) (f32.const 0)))"#,
    )
    .unwrap();
    assert_eq!(module.name(), Some("named"));
    let imports: Vec<_> = module
        .imports()
        .map(|import| {
            (
                import.module().to_owned(),
                import.name().to_owned(),
                import.ty(),
            )
        })
        .collect();
    let f = ExternType::Func(FuncType::new([ValType::I32], []));
    let g = ExternType::Global(GlobalType::new(ValType::I64, Mutability::Const));
    assert_eq!(
        imports,
        [("a".into(), "f".into(), f), ("b".into(), "g".into(), g)]
    );
    let exports: Vec<_> = module
        .exports()
        .map(|export| (export.name().to_owned(), export.ty()))
        .collect();
    assert_eq!(
        exports,
        [
            (
                "t".into(),
                TableType::new(RefType::EXTERNREF, 1, Some(3)).into()
            ),
            ("m".into(), MemoryType::new(2, None).into()),
            ("h".into(), FuncType::new([], [ValType::F32]).into()),
        ]
    );
    assert_eq!(
        module.get_export("m"),
        Some(MemoryType::new(2, None).into())
    );
    assert_eq!(module.get_export("none"), None);
}

#[test]
fn an_instance_lists_its_exports_in_order() {
    for engine in modes() {
        let mut store = Store::new(&engine, ());
        let global = Global::new(
            &mut store,
            GlobalType::new(ValType::I32, Mutability::Var),
            Val::I32(4),
        )
        .unwrap();
        let table = Table::new(
            &mut store,
            TableType::new(RefType::FUNCREF, 1, None),
            Ref::Func(None),
        )
        .unwrap();
        let module = Module::new(
            &engine,
            r#"(module
                (import "" "g" (global (mut i32)))
                (import "" "t" (table 1 funcref))
                (export "x" (table 0))
                (export "a" (global 0))
                (func (export "m")))"#,
        )
        .unwrap();
        let instance = Instance::new(
            &mut store,
            &module,
            &[Extern::Global(global), Extern::Table(table)],
        )
        .unwrap();
        let names: Vec<_> = instance
            .exports(&mut store)
            .map(|e| e.name().to_owned())
            .collect();
        assert_eq!(names, ["x", "a", "m"]);
        assert_eq!(instance.get_global(&mut store, "a"), Some(global));
        assert_eq!(instance.get_table(&mut store, "x"), Some(table));
        assert!(instance.get_global(&mut store, "x").is_none());
    }
}
