//! The ways to give an engine a module.

use vm_engine::{Engine, Module, ModuleError};

const TEXT: &str = "(module (func (export \"f\")))";

#[test]
fn every_way_takes_the_same_modules() {
    let engine = Engine::default();
    let binary = wat::parse_str(TEXT).unwrap();
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("modules-module");
    for bytes in [&binary[..], TEXT.as_bytes()] {
        std::fs::write(&file, bytes).unwrap();
        for module in [
            Module::new(&engine, bytes),
            Module::from_vec(&engine, bytes.to_vec()),
            Module::from_file(&engine, &file),
        ] {
            let module = module.unwrap();
            assert_eq!(module.binary(), binary);
            assert!(module.get_export("f").is_some());
        }
    }
    assert!(Module::from_binary(&engine, TEXT.as_bytes()).is_err());
    for bytes in [&b""[..], b"\0asm", b"\xff\xff", b"(module"] {
        std::fs::write(&file, bytes).unwrap();
        for result in [
            Module::new(&engine, bytes),
            Module::from_vec(&engine, bytes.to_vec()),
            Module::from_file(&engine, &file),
        ] {
            match result {
                Err(error) => assert!(error.is::<ModuleError>(), "{error}"),
                // No text is text: of an empty module.
                Ok(module) => assert!(bytes.is_empty() && module.function_count() == 0),
            }
        }
    }
}

#[test]
fn bytes_that_are_given_away_are_not_copied() {
    let engine = Engine::default();
    let bytes = wat::parse_str(TEXT).unwrap();
    let place = bytes.as_ptr();
    let module = Module::from_vec(&engine, bytes).unwrap();
    assert_eq!(module.binary().as_ptr(), place);
}
