//! What an engine does not allow modules to have.

use vm_engine::{Config, Engine, Module, ModuleError, ModuleLimits};

fn refused(config: &Config, text: &str) -> vm_engine::Error {
    let engine = Engine::new(config).unwrap();
    let bytes = wat::parse_str(text).unwrap();
    let error = Module::validate(&engine, &bytes).unwrap_err();
    let again = Module::new(&engine, &bytes).unwrap_err();
    assert_eq!(error.to_string(), again.to_string());
    error
}

fn taken(config: &Config, text: &str) {
    Module::new(&Engine::new(config).unwrap(), text).unwrap();
}

#[test]
fn floats_can_be_refused_wherever_they_are() {
    let mut config = Config::new();
    config.floats(false);
    for text in [
        "(module (func (param f32)))",
        "(module (func (result f64) unreachable))",
        "(module (func (local f32)))",
        "(module (func (drop (f64.const 1))))",
        "(module (func (drop (f32.convert_i32_s (i32.const 1)))))",
        "(module (global f32 (f32.const 1)))",
        "(module (import \"h\" \"g\" (global f64)))",
        "(module (memory 1) (func (drop (f64.load (i32.const 1)))))",
        "(module (func (param v128) (result v128) (f32x4.add (local.get 0) (local.get 0))))",
    ] {
        let error = refused(&config, text);
        assert!(error.to_string().contains("float"), "{text}: {error}");
        taken(&Config::new(), text);
    }
    taken(
        &config,
        "(module (func (param v128 i64) (result v128) (i32x4.add (local.get 0) (local.get 0))))",
    );
}

#[test]
fn start_functions_can_be_refused() {
    let text = "(module (func) (start 0))";
    let mut config = Config::new();
    taken(&config, text);
    config.allow_start_fn(false);
    taken(&config, "(module (func))");
    let error = refused(&config, text);
    assert!(matches!(
        error.downcast_ref(),
        Some(ModuleError::StartFunction)
    ));
}

#[test]
fn everything_can_be_counted() {
    let none = ModuleLimits::default();
    let one = Some(1);
    let cases: [(ModuleLimits, &str, &str, &str); 8] = [
        (
            ModuleLimits {
                functions: one,
                ..none
            },
            "functions",
            "(func)",
            "(import \"h\" \"f\" (func))",
        ),
        (
            ModuleLimits {
                globals: one,
                ..none
            },
            "globals",
            "(global i32 (i32.const 1))",
            "(import \"h\" \"f\" (global i32))",
        ),
        (
            ModuleLimits {
                tables: one,
                ..none
            },
            "tables",
            "(table 1 funcref)",
            "(import \"h\" \"f\" (table 1 funcref))",
        ),
        (
            ModuleLimits {
                memories: one,
                ..none
            },
            "memories",
            "(memory 1)",
            "(import \"h\" \"f\" (memory 1))",
        ),
        (
            ModuleLimits {
                element_segments: one,
                ..none
            },
            "element segments",
            "(elem funcref)",
            "",
        ),
        (
            ModuleLimits {
                data_segments: one,
                ..none
            },
            "data segments",
            "(data)",
            "",
        ),
        (
            ModuleLimits {
                params: one,
                ..none
            },
            "parameters",
            "(type (func (param i32)))",
            "",
        ),
        (
            ModuleLimits {
                results: one,
                ..none
            },
            "results",
            "(type (func (result i32)))",
            "",
        ),
    ];
    for (limits, what, item, import) in cases {
        let mut config = Config::new();
        config.module_limits(limits);
        taken(&config, &format!("(module {import} {item})"));
        let text = match what {
            "parameters" => "(module (type (func (param i32 i32))))".to_owned(),
            "results" => "(module (type (func (result i32 i32))))".to_owned(),
            _ => format!("(module {import} {item} {item})"),
        };
        let error = refused(&config, &text);
        assert!(error.to_string().contains(what), "{what}: {error}");
        assert!(matches!(
            error.downcast_ref(),
            Some(ModuleError::TooMany {
                found: 2,
                limit: 1,
                ..
            })
        ));
    }
}

#[test]
fn very_many_very_small_functions_can_be_refused() {
    let mut config = Config::new();
    config.module_limits(ModuleLimits::strict());
    taken(&config, &format!("(module {})", "(func)".repeat(1000)));
    let error = refused(&config, &format!("(module {})", "(func)".repeat(1001)));
    assert!(matches!(
        error.downcast_ref(),
        Some(ModuleError::SmallFunctions {
            functions: 1001,
            ..
        })
    ));
    let body = format!("(func {})", "(drop (i32.const 1))".repeat(20));
    taken(&config, &format!("(module {})", body.repeat(1001)));
}
