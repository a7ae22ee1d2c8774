//! `Config::max_code_bytes`: what a module's functions do when there is no room for their code.

mod common;

use std::thread;

use common::{call, modes_with};
use vm_engine::{CodeError, Engine, Instance, Module, Store, Translation};

const FUNCTIONS: i32 = 40;

/// Functions `f0` to `f39` that add their number to their parameter, by way of a loop with as many turns.
fn text() -> String {
    let function = |n: i32| {
        format!(
            r#"(func (export "f{n}") (param i32) (result i32) (local i32)
                (local.set 1 (i32.const {n}))
                block
                    (br_if 0 (i32.eqz (local.get 1)))
                    loop
                        (local.set 0 (i32.add (local.get 0) (i32.const 1)))
                        (local.set 1 (i32.sub (local.get 1) (i32.const 1)))
                        (br_if 0 (local.get 1))
                    end
                end
                local.get 0)"#
        )
    };
    let functions: String = (0..FUNCTIONS).map(function).collect();
    format!("(module {functions})")
}

fn instance(engine: &Engine) -> (Store<()>, Module, Instance) {
    let module = Module::new(engine, text()).unwrap();
    let mut store = Store::new(engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    (store, module, instance)
}

/// An engine for each mode, whose number is given, and the code that all functions take after a call each.
fn needed() -> Vec<u64> {
    let sizes = modes_with(|_| {}).into_iter().map(|engine| {
        let (mut store, module, instance) = instance(&engine);
        for n in 0..FUNCTIONS {
            let _: i32 = call(&mut store, instance, &format!("f{n}"), 1).unwrap();
        }
        module.code_size().code_bytes
    });
    sizes.collect()
}

#[test]
fn a_call_that_finds_no_room_is_an_error_and_the_others_go_on() {
    for (mode, needed) in needed().into_iter().enumerate() {
        let engine = modes_with(|config| {
            config.max_code_bytes(needed / 2);
        })
        .swap_remove(mode);
        let (mut store, module, instance) = instance(&engine);
        let mut call = |n: i32| call::<_, _, i32>(&mut store, instance, &format!("f{n}"), 100);
        let first_refused = (0..FUNCTIONS).find(|n| match call(*n) {
            Ok(sum) => {
                assert_eq!(sum, 100 + n);
                false
            }
            Err(_) => true,
        });
        let refused = first_refused.expect("half of the code is not all of it");
        assert!(refused > 5, "{refused}");
        for _ in 0..3 {
            let error = call(refused).unwrap_err().to_string();
            assert!(
                error.contains(&format!("function {refused} has no code")),
                "{error}"
            );
            assert!(
                error.contains(&format!("max_code_bytes = {}", needed / 2)),
                "{error}"
            );
        }
        for n in 0..refused {
            assert_eq!(call(n).unwrap(), 100 + n);
        }
        assert!(module.code_size().code_bytes <= needed / 2);
    }
}

#[test]
fn threads_that_share_a_module_find_the_same_functions_refused() {
    for (mode, needed) in needed().into_iter().enumerate() {
        let limit = needed / 2;
        let engine = modes_with(|config| {
            config.max_code_bytes(limit);
        })
        .swap_remove(mode);
        let module = Module::new(&engine, text()).unwrap();
        // Functions become hot meanwhile, and none for which there was room is refused later.
        let refused = |first: i32| -> Vec<i32> {
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[]).unwrap();
            let mut refused = Vec::new();
            for turn in 0..30 {
                for n in (0..FUNCTIONS).map(|n| (n + first) % FUNCTIONS) {
                    match call::<_, _, i32>(&mut store, instance, &format!("f{n}"), turn) {
                        Ok(sum) => {
                            assert_eq!(sum, turn + n);
                            assert!(!refused.contains(&n), "f{n} is refused, and then not");
                        }
                        Err(error) => {
                            let error = error.downcast::<CodeError>().unwrap();
                            assert!(
                                matches!(error, CodeError::TooMuch { func, .. } if func == n as u32)
                            );
                            assert!(turn == 0 || refused.contains(&n), "f{n} is refused later");
                            if turn == 0 {
                                refused.push(n);
                            }
                        }
                    }
                }
            }
            refused.sort_unstable();
            refused
        };
        let refused = &refused;
        let found: Vec<Vec<i32>> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|n| scope.spawn(move || refused(n * 10)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert!(!found[0].is_empty() && found[0].len() < FUNCTIONS as usize - 5);
        assert!(found.iter().all(|other| *other == found[0]), "{found:?}");
        assert!(module.code_size().code_bytes <= limit);
    }
}

#[test]
fn eager_translation_that_finds_no_room_is_an_error() {
    for translation in [Translation::Eager, Translation::ParallelEager] {
        for (mode, needed) in needed().into_iter().enumerate() {
            let engine = modes_with(|config| {
                config.translation(translation).max_code_bytes(needed / 4);
            })
            .swap_remove(mode);
            let error = Module::new(&engine, text()).unwrap_err().to_string();
            assert!(error.contains("max_code_bytes"), "{error}");
        }
    }
}

#[test]
fn a_function_that_is_hot_but_finds_no_room_goes_on_in_the_code_that_it_has() {
    // Of one function that is called often and has a loop, with all the limits between none of its code and all of it.
    let name = format!("f{}", FUNCTIONS - 1);
    let run = |store: &mut Store<()>, instance| -> vm_engine::Result<()> {
        for n in 0..50 {
            let sum: i32 = call(&mut *store, instance, &name, n)?;
            assert_eq!(sum, n + FUNCTIONS - 1);
        }
        Ok(())
    };
    let mut tiers = Vec::new();
    for mode in 0..modes_with(|_| {}).len() {
        let mut sizes = Vec::new();
        let mut refused = 0;
        for limit in (0..6000).step_by(100) {
            let engine = modes_with(|config| {
                config.max_code_bytes(limit);
            })
            .swap_remove(mode);
            let (mut store, module, instance) = instance(&engine);
            match run(&mut store, instance) {
                Ok(()) => sizes.push(module.code_size().code_bytes),
                Err(error) => {
                    assert!(sizes.is_empty(), "{limit}: {error}");
                    refused += 1;
                }
            }
        }
        assert!(refused > 0);
        sizes.dedup();
        assert!(sizes.is_sorted(), "{sizes:?}");
        tiers.push(sizes.len());
    }
    // Optimized code alone, if it is less than baseline code; baseline code; both.
    assert!(
        tiers.iter().all(|count| (1..=3).contains(count)),
        "{tiers:?}"
    );
    assert!(
        tiers.len() == 1 || tiers.iter().any(|count| *count > 1),
        "{tiers:?}"
    );
}
