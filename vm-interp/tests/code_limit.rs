//! The limit for the code that a module may become: what is counted, and by several threads.

mod common;

use std::num::NonZero;
use std::sync::Arc;

use common::{Mode, modes};
use vm_interp::{Code, CodeError, CodeOptions};
use vm_translate::{Features, Module};

/// Functions of different sizes, of which the last ones have names.
const FUNCTIONS: usize = 60;

fn module() -> Arc<Module> {
    let function = |n: usize| {
        let body = "(local.set 0 (i32.mul (local.get 0) (i32.const 7)))".repeat(n % 7 + 1);
        let name = if n >= 30 {
            format!("$f{n}")
        } else {
            String::new()
        };
        format!(
            "(func {name} (param i32) (result i32) {body} loop local.get 0 br_if 0 end local.get 0)"
        )
    };
    let functions: String = (0..FUNCTIONS).map(function).collect();
    let bytes = wat::parse_str(format!("(module {functions})")).unwrap();
    Arc::new(Module::new(bytes, &Features::default()).unwrap())
}

fn code(module: &Arc<Module>, mode: Mode, limit: u64) -> Arc<Code> {
    let options = CodeOptions {
        max_code_bytes: Some(limit),
        ..mode.options()
    };
    Code::new(module.clone(), options).unwrap()
}

/// The least limit with which all functions can be translated.
fn least(module: &Arc<Module>, mode: Mode) -> u64 {
    let (mut too_little, mut enough) = (0, 1 << 20);
    code(module, mode, enough).translate_all().unwrap();
    while enough - too_little > 1 {
        let limit = (too_little + enough) / 2;
        match code(module, mode, limit).translate_all() {
            Ok(()) => enough = limit,
            Err(_) => too_little = limit,
        }
    }
    enough
}

#[test]
fn the_function_that_exceeds_it_is_named_with_the_option() {
    let module = module();
    for mode in modes() {
        let least = least(&module, mode);
        let code = code(&module, mode, least - 1);
        let error = code.translate_all().unwrap_err();
        let text = error.to_string();
        match error {
            CodeError::TooMuch {
                func,
                name,
                bytes,
                used,
                limit,
            } => {
                // Where it has no baseline code for lack of room, a function gets optimized code if that is less.
                assert!(func as usize >= FUNCTIONS - 7, "{text}");
                assert_eq!(limit, least - 1);
                assert!(used <= limit && used + bytes > limit, "{text}");
                assert!(text.contains("max_code_bytes"), "{text}");
                assert_eq!(name.as_deref(), Some(&*format!("f{func}")));
                assert!(
                    text.contains(&format!("function {func} \"f{func}\" ")),
                    "{text}"
                );
            }
            other => panic!("{other}"),
        }
        // More than the code counts: its tables do.
        let bytes = code.size().code_bytes;
        assert!(bytes < least && bytes > least / 4, "{bytes} of {least}");
    }
}

#[test]
fn functions_that_several_threads_translate_count_once() {
    let module = module();
    let threads = NonZero::new(4).unwrap();
    for mode in modes() {
        let least = least(&module, mode);
        for _ in 0..20 {
            code(&module, mode, least)
                .translate_all_on(threads)
                .unwrap();
            assert!(
                code(&module, mode, least / 2)
                    .translate_all_on(threads)
                    .is_err()
            );
        }
        // All of them, at once.
        let shared = code(&module, mode, least);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| shared.translate_all().unwrap());
            }
        });
    }
}

#[test]
fn the_default_is_in_proportion_to_the_module() {
    let module = module();
    for mode in modes() {
        let code = Code::new(module.clone(), mode.options()).unwrap();
        code.translate_all().unwrap();
        let size = code.size();
        assert!(size.code_bytes < 20 * size.wasm_bytes, "{size:?}");
    }
}
