//! Calling guest functions: with Rust types, with values, and wrongly.

mod common;

use common::{call, in_each_mode, modes, modes_with};
use vm_engine::{
    Engine, Func, FuncType, Instance, Module, Store, Translation, Trap, TypeError, Val, ValType,
    WrongStore,
};

const ARITHMETIC: &str = r#"
(module
  (func (export "add") (param i32 i32) (result i32)
    (i32.add (local.get 0) (local.get 1)))
  (func (export "wide") (param i64 f32 f64) (result f64 f32 i64)
    (local.get 2) (local.get 1) (local.get 0))
  (func (export "nothing"))
  (func (export "fib") (param i32) (result i64)
    (if (result i64) (i32.lt_u (local.get 0) (i32.const 2))
      (then (i64.extend_i32_u (local.get 0)))
      (else
        (i64.add
          (call 3 (i32.sub (local.get 0) (i32.const 1)))
          (call 3 (i32.sub (local.get 0) (i32.const 2)))))))
  (func (export "many")
    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)
    (result i32 i32)
    (local.get 19) (local.get 0)))
"#;

#[test]
fn typed_calls_pass_every_number_type() {
    in_each_mode(ARITHMETIC, |store, instance| {
        let add = instance
            .get_typed_func::<(i32, i32), i32>(&mut *store, "add")
            .unwrap();
        assert_eq!(add.call(&mut *store, (40, 2)).unwrap(), 42);
        assert_eq!(add.call(&mut *store, (i32::MAX, 1)).unwrap(), i32::MIN);
        let unsigned = instance
            .get_typed_func::<(u32, u32), u32>(&mut *store, "add")
            .unwrap();
        assert_eq!(unsigned.call(&mut *store, (u32::MAX, 2)).unwrap(), 1);
        let (a, b, c): (f64, f32, i64) =
            call(store, instance, "wide", (-1i64, 1.5f32, 2.5f64)).unwrap();
        assert_eq!((a, b, c), (2.5, 1.5, -1));
        let (_, _, c): (f64, f32, u64) =
            call(store, instance, "wide", (u64::MAX, 0f32, 0f64)).unwrap();
        assert_eq!(c, u64::MAX);
        call::<_, (), ()>(store, instance, "nothing", ()).unwrap();
        assert_eq!(
            call::<_, i32, i64>(store, instance, "fib", 20).unwrap(),
            6765
        );
        assert_eq!(
            call::<_, (i32,), (i64,)>(store, instance, "fib", (10,)).unwrap(),
            (55,)
        );
    });
}

#[test]
fn calls_with_values_do_the_same() {
    in_each_mode(ARITHMETIC, |store, instance| {
        let wide = instance.get_func(&mut *store, "wide").unwrap();
        let mut results = [Val::I32(0), Val::I32(0), Val::I32(0)];
        // A signalling NaN keeps its bits.
        let params = [Val::I64(-5), Val::F32(0x7fa0_0001), Val::F64(1)];
        wide.call(&mut *store, &params, &mut results).unwrap();
        assert!(matches!(
            results,
            [Val::F64(1), Val::F32(0x7fa0_0001), Val::I64(-5)]
        ));

        let many = instance.get_func(&mut *store, "many").unwrap();
        let params: Vec<Val> = (0..20).map(Val::I32).collect();
        let mut results = [Val::I64(0), Val::I64(0)];
        many.call(&mut *store, &params, &mut results).unwrap();
        assert!(matches!(results, [Val::I32(19), Val::I32(0)]));
    });
}

#[test]
fn arguments_that_do_not_fit_are_named() {
    in_each_mode(ARITHMETIC, |store, instance| {
        let add = instance.get_func(&mut *store, "add").unwrap();
        let ty = FuncType::new([ValType::I32, ValType::I32], [ValType::I32]);
        assert_eq!(add.ty(&*store), ty);
        let mut result = [Val::I32(0)];
        let error = add
            .call(&mut *store, &[Val::I32(1)], &mut result)
            .unwrap_err();
        assert_eq!(
            error.downcast_ref(),
            Some(&TypeError::ParamCount {
                expected: 2,
                found: 1,
                ty: ty.clone()
            })
        );
        assert_eq!(
            error.to_string(),
            "the function takes 2 arguments ((i32, i32) -> (i32)), but 1 were given"
        );
        let error = add
            .call(&mut *store, &[Val::I32(1), Val::I64(1)], &mut result)
            .unwrap_err();
        assert_eq!(
            error.downcast_ref(),
            Some(&TypeError::Param {
                index: 1,
                expected: ValType::I32,
                found: ValType::I64,
                ty: ty.clone()
            })
        );
        let error = add
            .call(&mut *store, &[Val::I32(1), Val::I32(1)], &mut [])
            .unwrap_err();
        assert_eq!(
            error.downcast_ref(),
            Some(&TypeError::ResultCount {
                expected: 1,
                found: 0,
                ty
            })
        );
    });
}

#[test]
fn a_typed_function_must_have_that_type() {
    in_each_mode(ARITHMETIC, |store, instance| {
        for error in [
            instance
                .get_typed_func::<i32, i32>(&mut *store, "add")
                .unwrap_err(),
            instance
                .get_typed_func::<(i32, i32), ()>(&mut *store, "add")
                .unwrap_err(),
            instance
                .get_typed_func::<(i32, i64), i32>(&mut *store, "add")
                .unwrap_err(),
        ] {
            assert!(matches!(
                error.downcast_ref(),
                Some(TypeError::Typed { .. })
            ));
            assert!(error.to_string().contains("(i32, i32) -> (i32)"), "{error}");
        }
        let error = instance
            .get_typed_func::<(), ()>(&mut *store, "none")
            .unwrap_err();
        assert!(error.to_string().contains("`none`"), "{error}");
    });
}

#[test]
fn objects_of_another_store_are_refused() {
    for engine in modes() {
        let module = Module::new(&engine, ARITHMETIC).unwrap();
        let mut a = Store::new(&engine, ());
        let mut b = Store::new(&engine, ());
        let instance = Instance::new(&mut a, &module, &[]).unwrap();
        let add = instance.get_func(&mut a, "add").unwrap();
        let typed = add.typed::<(i32, i32), i32>(&a).unwrap();
        for error in [
            typed.call(&mut b, (1, 2)).unwrap_err(),
            add.call(&mut b, &[], &mut []).unwrap_err(),
            add.typed::<(i32, i32), i32>(&b).unwrap_err(),
        ] {
            assert!(error.is::<WrongStore>(), "{error}");
        }
        let importer = Module::new(
            &engine,
            r#"(import "" "" (func (param i32 i32) (result i32)))"#,
        )
        .unwrap();
        let error = Instance::new(&mut b, &importer, &[add.into()]).unwrap_err();
        assert!(error.is::<WrongStore>(), "{error}");
    }
}

#[test]
fn modules_of_another_engine_are_refused() {
    let (a, b) = (Engine::default(), Engine::default());
    let module = Module::new(&a, "(module)").unwrap();
    let error = Instance::new(Store::new(&b, ()), &module, &[]).unwrap_err();
    assert!(error.to_string().contains("different engines"), "{error}");
}

#[test]
fn eager_translation_gives_the_same_results() {
    for translation in [Translation::Eager, Translation::ParallelEager] {
        for engine in modes_with(|config| {
            config.translation(translation);
        }) {
            let module = Module::new(&engine, ARITHMETIC).unwrap();
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[]).unwrap();
            assert_eq!(
                call::<_, i32, i64>(&mut store, instance, "fib", 15).unwrap(),
                610
            );
        }
    }
}

#[test]
fn lazy_translation_makes_code_for_what_has_run_and_eager_translation_for_all() {
    // More functions than a thread takes at once, each calling the one before.
    let mut text = String::from(r#"(module (func $f0 (export "first") (result i32) i32.const 1)"#);
    for n in 1..100 {
        let export = if n == 99 { r#"(export "last")"# } else { "" };
        let body = format!("call $f{} i32.const {n} i32.add", n - 1);
        text += &format!("(func $f{n} {export} (result i32) {body})");
    }
    text += ")";
    let mut sizes = Vec::new();
    for translation in [
        Translation::Lazy,
        Translation::Eager,
        Translation::ParallelEager,
    ] {
        let engines = modes_with(|config| {
            config.translation(translation);
        });
        for (mode, engine) in engines.into_iter().enumerate() {
            let module = Module::new(&engine, &text).unwrap();
            let before = module.code_size();
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[]).unwrap();
            assert_eq!(
                call::<_, (), i32>(&mut store, instance, "first", ()).unwrap(),
                1
            );
            if translation == Translation::Lazy {
                assert_eq!(before.functions, 0);
                assert_eq!(module.code_size().functions, 1);
            } else {
                assert_eq!(before.functions, 100);
            }
            let sum = 1 + (1..100).sum::<i32>();
            assert_eq!(
                call::<_, (), i32>(&mut store, instance, "last", ()).unwrap(),
                sum
            );
            let after = module.code_size();
            assert_eq!(after.functions, 100);
            assert!(after.code_bytes > 0);
            sizes.push((mode, after));
        }
    }
    for (mode, size) in &sizes {
        for (other, other_size) in &sizes {
            assert!(
                mode != other || size == other_size,
                "{size:?} {other_size:?}"
            );
        }
    }
}

#[test]
fn one_module_serves_many_threads() {
    for engine in modes() {
        let module = Module::new(&engine, ARITHMETIC).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let mut store = Store::new(&engine, ());
                    let instance = Instance::new(&mut store, &module, &[]).unwrap();
                    assert_eq!(
                        call::<_, i32, i64>(&mut store, instance, "fib", 16).unwrap(),
                        987
                    );
                });
            }
        });
    }
}

#[test]
fn the_stack_is_as_large_as_was_asked_for() {
    let text = r#"
        (func $down (export "down") (param i32)
          (if (local.get 0) (then (call $down (i32.sub (local.get 0) (i32.const 1))))))"#;
    for (bytes, deep, too_deep) in [(1 << 16, 100, 100_000), (32 << 20, 100_000, 10_000_000)] {
        for engine in modes_with(|config| {
            config.max_wasm_stack(bytes);
        }) {
            let module = Module::new(&engine, text).unwrap();
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[]).unwrap();
            call::<_, i32, ()>(&mut store, instance, "down", deep).unwrap();
            let error = call::<_, i32, ()>(&mut store, instance, "down", too_deep).unwrap_err();
            assert_eq!(error.trap(), Some(Trap::StackOverflow), "{error}");
            call::<_, i32, ()>(&mut store, instance, "down", deep).unwrap();
        }
    }
}

#[test]
fn a_stack_of_no_use_is_no_danger() {
    for engine in modes_with(|config| {
        config.max_wasm_stack(0);
    }) {
        let module = Module::new(&engine, ARITHMETIC).unwrap();
        // A host page, perhaps.
        let Ok(mut store) = Store::try_new(&engine, ()) else {
            continue;
        };
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let error = call::<_, i32, i64>(&mut store, instance, "fib", 1000).unwrap_err();
        assert_eq!(error.trap(), Some(Trap::StackOverflow));
    }
    for engine in modes_with(|config| {
        config.max_wasm_stack(usize::MAX);
    }) {
        assert!(Store::try_new(&engine, ()).is_err());
    }
}

#[test]
fn a_host_function_can_be_called_by_the_host() {
    for engine in modes() {
        let mut store = Store::new(&engine, 5i32);
        let func = Func::wrap(&mut store, |caller: vm_engine::Caller<'_, i32>, x: i32| {
            x + *caller.data()
        });
        assert_eq!(
            func.typed::<i32, i32>(&store)
                .unwrap()
                .call(&mut store, 2)
                .unwrap(),
            7
        );
    }
}
