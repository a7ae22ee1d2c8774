//! Settings: which are valid, what is chosen, and what the errors say.

mod common;

use vm_engine::{Bounds, Config, ConfigError, Engine, Module, ModuleError, Threading};

#[test]
fn token_threading_with_guards_is_rejected_and_both_settings_are_named() {
    let mut config = Config::new();
    config.threading(Threading::Token).bounds(Bounds::Guarded);
    let error = Engine::new(&config).unwrap_err();
    assert_eq!(
        error.downcast_ref::<ConfigError>(),
        Some(&ConfigError::TokenGuarded)
    );
    let text = error.to_string();
    assert!(text.contains("threading = token"), "{text}");
    assert!(text.contains("bounds = guarded"), "{text}");
}

#[test]
fn token_threading_has_no_profile_and_says_so() {
    let mut config = Config::new();
    config.threading(Threading::Token).profile(true);
    let text = Engine::new(&config).unwrap_err().to_string();
    assert!(text.contains("threading = direct"), "{text}");
    assert!(text.contains("threading = token"), "{text}");
}

#[test]
fn the_defaults_never_fail_and_say_what_they_chose() {
    let engine = Engine::new(&Config::default()).unwrap();
    let strategy = engine.strategy();
    assert_ne!(strategy.threading, Threading::Auto);
    assert_ne!(strategy.bounds, Bounds::Auto);
    assert!(strategy.reasons.len() >= 2);
    let text = strategy.to_string();
    assert!(text.contains(&strategy.threading.to_string()), "{text}");
    assert!(text.contains(&strategy.bounds.to_string()), "{text}");
    for reason in &strategy.reasons {
        assert!(text.contains(reason), "{text}");
    }
}

/// The whole suite runs in such a build, too: `.ci/sanitize`.
#[test]
fn builds_with_a_sanitizer_choose_the_mode_that_it_sees_and_say_so() {
    let strategy = Engine::default().strategy().clone();
    let text = strategy.to_string();
    match vm_interp::sanitizer() {
        None => assert!(!text.contains("sanitizer"), "{text}"),
        Some(name) => {
            assert!(text.contains(&format!("{name} sanitizer")), "{text}");
            assert_eq!(strategy.threading, Threading::Token);
            assert_eq!(strategy.bounds, Bounds::Software);
        }
    }
}

#[test]
fn token_threading_chooses_software_checks() {
    let mut config = Config::new();
    config.threading(Threading::Token);
    let engine = Engine::new(&config).unwrap();
    assert_eq!(engine.strategy().threading, Threading::Token);
    assert_eq!(engine.strategy().bounds, Bounds::Software);
}

#[test]
fn software_checks_are_what_was_asked_for() {
    let mut config = Config::new();
    config.bounds(Bounds::Software);
    let engine = Engine::new(&config).unwrap();
    assert_eq!(engine.strategy().bounds, Bounds::Software);
}

#[test]
fn proposals_that_are_not_implemented_cannot_be_switched_on() {
    let mut config = Config::new();
    config.wasm_gc(false);
    Engine::new(&config).unwrap();
    config.wasm_gc(true);
    let error = Engine::new(&config).unwrap_err().to_string();
    assert!(error.contains("gc"), "{error}");
}

#[test]
fn proposals_that_are_implemented_can_be_switched_off() {
    let sign_extension = "(func (param i32) (result i32) (i32.extend8_s (local.get 0)))";
    let reference_types = "(func (param externref))";
    let multi_value = "(func (result i32 i32) (i32.const 1) (i32.const 2))";
    let bulk_memory = "(memory 1)
        (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0)))";
    let saturating = "(func (param f32) (result i32) (i32.trunc_sat_f32_s (local.get 0)))";
    let mutable_global = r#"(global (export "g") (mut i32) (i32.const 0))"#;
    type Switch = fn(&mut Config, bool) -> &mut Config;
    let switches: [(&str, Switch); 6] = [
        (sign_extension, Config::wasm_sign_extension),
        (reference_types, Config::wasm_reference_types),
        (multi_value, Config::wasm_multi_value),
        (bulk_memory, Config::wasm_bulk_memory),
        (saturating, Config::wasm_saturating_float_to_int),
        (mutable_global, Config::wasm_mutable_global),
    ];
    for (text, switch) in switches {
        let mut config = Config::new();
        // The one that others build on.
        if text != reference_types {
            config.wasm_reference_types(false);
        }
        switch(&mut config, true);
        Module::new(&Engine::new(&config).unwrap(), text).unwrap();
        switch(&mut config, false);
        let error = Module::new(&Engine::new(&config).unwrap(), text).unwrap_err();
        assert!(
            matches!(
                error.downcast_ref::<ModuleError>(),
                Some(ModuleError::Invalid(_))
            ),
            "{error}"
        );
    }
}

#[test]
fn a_module_that_needs_a_proposal_that_is_off_is_rejected_with_its_name() {
    type Switch = fn(&mut Config, bool) -> &mut Config;
    let switches: [(&str, &str, Switch); 9] = [
        (
            "simd",
            "(func (result v128) (v128.const i64x2 1 2))",
            Config::wasm_simd,
        ),
        (
            "relaxed-simd",
            "(func (param v128) (result v128)
               (i8x16.relaxed_swizzle (local.get 0) (local.get 0)))",
            Config::wasm_relaxed_simd,
        ),
        (
            "extended-const",
            "(global i32 (i32.add (i32.const 1) (i32.const 2)))",
            Config::wasm_extended_const,
        ),
        (
            "tail-call",
            "(func $f (return_call $f))",
            Config::wasm_tail_call,
        ),
        (
            "multi-memory",
            "(memory 1) (memory 1)",
            Config::wasm_multi_memory,
        ),
        (
            "custom-page-sizes",
            "(memory 5 (pagesize 1))",
            Config::wasm_custom_page_sizes,
        ),
        ("memory64", "(memory i64 1)", Config::wasm_memory64),
        (
            "function-references",
            "(type $t (func)) (func (param (ref $t)) (call_ref $t (local.get 0)))",
            Config::wasm_function_references,
        ),
        (
            "wide-arithmetic",
            "(func (param i64) (result i64 i64)
                (i64.mul_wide_s (local.get 0) (local.get 0)))",
            Config::wasm_wide_arithmetic,
        ),
    ];
    for (proposal, text, switch) in switches {
        let mut config = Config::new();
        switch(&mut config, true);
        Module::new(&Engine::new(&config).unwrap(), text).unwrap();
        switch(&mut config, false);
        let error = Module::new(&Engine::new(&config).unwrap(), text).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains(proposal), "{text}");
    }
}

#[test]
fn all_modes_exist_where_they_should() {
    let modes = common::modes().len();
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        assert_eq!(modes, common::MODES.len());
    } else {
        assert!(modes >= 1);
    }
}

#[test]
fn handles_and_stores_can_go_to_other_threads() {
    fn send_and_sync<T: Send + Sync>() {}
    send_and_sync::<Engine>();
    send_and_sync::<Module>();
    send_and_sync::<vm_engine::Store<u32>>();
    send_and_sync::<vm_engine::Linker<u32>>();
    send_and_sync::<vm_engine::Instance>();
    send_and_sync::<vm_engine::TypedFunc<(), ()>>();
    send_and_sync::<vm_engine::Error>();
}
