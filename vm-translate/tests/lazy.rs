//! Modules whose bodies are validated when something is made of them: the same errors as at once, only later.

use vm_translate::{
    Additions, Error, Features, FuelCosts, Function, Module, PlainShapes, Point, PointKind,
    TranslateOptions,
};
use wasmparser::{Parser, Payload};

fn lazy(bytes: &[u8], features: &Features) -> Module {
    Module::with_bodies_unvalidated(bytes, features).unwrap()
}

/// What validation at once says, with what is missing.
fn at_once(bytes: &[u8], features: &Features) -> Result<(), Error> {
    match Module::new(bytes, features) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.with_missing_features(bytes, features)),
    }
}

/// What each way to make something of a function ends with.
fn ways(module: &Module, func: u32) -> Vec<Result<(), Error>> {
    let plain = TranslateOptions::new(&PlainShapes);
    let costs = FuelCosts::default();
    let metered = TranslateOptions {
        additions: Additions {
            fuel: Some(&costs),
            epochs: true,
            sites: true,
            ..Additions::default()
        },
        ..plain
    };
    let point = Point {
        offset: module.func_offset(func),
        kind: PointKind::Epoch,
    };
    vec![
        module.translate(func, &plain).map(drop),
        module.translate(func, &metered).map(drop),
        module.translate_baseline(func, &plain).map(drop),
        module.frame_types([(func, point, 0)]).map(drop),
        module.validate_body(func),
    ]
}

/// The bodies of a module in the text format, as ranges of its bytes.
fn bodies(module: &[u8]) -> Vec<std::ops::Range<usize>> {
    let payloads = Parser::new(0).parse_all(module);
    let bodies = payloads.filter_map(|payload| match payload.unwrap() {
        Payload::CodeSectionEntry(body) => Some(body.range()),
        _ => None,
    });
    bodies
        .map(|range| range.start as usize..range.end as usize)
        .collect()
}

const DAMAGES: [fn(u8) -> u8; 8] = [
    |_| 0x00,
    |_| 0x0b,
    |_| 0x10,
    |_| 0x20,
    |_| 0xd2,
    |_| 0xff,
    |byte| byte ^ 0x01,
    |byte| byte ^ 0x40,
];

#[test]
fn of_damaged_bodies_translation_says_what_validation_says_at_once() {
    let features = Features::default();
    let texts = [
        include_str!("golden/control.wat"),
        include_str!("golden/memory.wat"),
        include_str!("golden/calls.wat"),
    ];
    let (mut valid, mut invalid) = (0, 0);
    for text in texts {
        let module = wat::parse_str(text).unwrap();
        let imported = lazy(&module, &features).imported_funcs();
        for (func, range) in (imported..).zip(bodies(&module)) {
            for at in range {
                for damage in DAMAGES {
                    let mut damaged = module.clone();
                    damaged[at] = damage(damaged[at]);
                    let expected = at_once(&damaged, &features);
                    let parsed = lazy(&damaged, &features);
                    for other in (imported..parsed.func_count()).filter(|other| *other != func) {
                        assert_eq!(parsed.validate_body(other), Ok(()));
                    }
                    for (way, found) in ways(&parsed, func).into_iter().enumerate() {
                        assert_eq!(found, expected, "{func} with {at} damaged, {way}");
                    }
                    // And again.
                    assert_eq!(parsed.validate_body(func), expected);
                    valid += u32::from(expected.is_ok());
                    invalid += u32::from(expected.is_err());
                }
            }
        }
    }
    assert!(valid > 100 && invalid > 1000, "{valid} {invalid}");
}

#[test]
fn code_is_the_same() {
    let features = Features::default();
    for text in [
        include_str!("golden/control.wat"),
        include_str!("golden/memory.wat"),
        include_str!("golden/calls.wat"),
    ] {
        let bytes = wat::parse_str(text).unwrap();
        let (module, later) = (
            Module::new(&bytes[..], &features).unwrap(),
            lazy(&bytes, &features),
        );
        let options = TranslateOptions::new(&PlainShapes);
        for func in module.imported_funcs()..module.func_count() {
            let listing = |of: &Module, function: Function| function.listing(of).to_string();
            assert_eq!(
                listing(&module, module.translate(func, &options).unwrap()),
                listing(&later, later.translate(func, &options).unwrap())
            );
        }
    }
}

#[test]
fn what_is_no_body_is_validated_at_once() {
    for text in [
        "(module (func) (export \"a\" (func 1)))",
        "(module (func) (global i32 (i64.const 0)))",
        "(module (func) (memory 1) (data (i64.const 0) \"\"))",
        "(module (func) (start 3))",
    ] {
        let bytes = wat::parse_str(text).unwrap();
        let features = Features::default();
        let found = Module::with_bodies_unvalidated(&bytes[..], &features);
        let expected = Module::new(&bytes[..], &features).map(drop);
        assert!(expected.is_err());
        assert_eq!(found.map(drop), expected, "{text}");
    }
    // A body that is cut short takes everything behind it along.
    let bytes = wat::parse_str("(module (func (drop (i32.const 1000000))))").unwrap();
    for len in 0..bytes.len() {
        let cut = &bytes[..len];
        let features = Features::default();
        let found = Module::with_bodies_unvalidated(cut, &features).map(drop);
        assert_eq!(found, Module::new(cut, &features).map(drop), "{len}");
    }
}

#[test]
fn bodies_see_what_other_sections_declare() {
    let text = r#"(module
        (memory 1)
        (func $declared) (func $not)
        (elem declare func $declared)
        (data $passive "abc")
        (func (drop (ref.func $declared)))
        (func (drop (ref.func $not)))
        (func (memory.init $passive (i32.const 0) (i32.const 0) (i32.const 0)))
        (func (data.drop 1)))"#;
    let bytes = wat::parse_str(text).unwrap();
    let module = lazy(&bytes, &Features::default());
    let message = |func| match module.validate_body(func) {
        Err(Error::Invalid { message, .. }) => Some(message),
        Ok(()) => None,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(message(2), None);
    assert_eq!(message(3).as_deref(), Some("undeclared function reference"));
    assert_eq!(message(4), None);
    assert!(message(5).unwrap().contains("unknown data segment"));
}

#[test]
fn functions_without_a_body_have_none() {
    let bytes = wat::parse_str("(module (import \"a\" \"b\" (func)) (func))").unwrap();
    let module = lazy(&bytes, &Features::default());
    let options = TranslateOptions::new(&PlainShapes);
    for func in [0, 2, u32::MAX] {
        let none = Error::NoBody { func };
        assert_eq!(module.validate_body(func), Err(none.clone()));
        assert_eq!(
            module.translate(func, &options).map(drop),
            Err(none.clone())
        );
    }
    assert_eq!(module.func_size(1), 2);
}

#[test]
fn errors_name_the_proposals_that_a_body_needs() {
    let mut features = Features::default();
    for name in [
        "simd",
        "relaxed-simd",
        "bulk-memory",
        "sign-extension",
        "saturating-float-to-int",
    ] {
        features.set(name, false).unwrap();
    }
    for (body, missing) in [
        (
            "(drop (i32.extend8_s (i32.const 0)))",
            Some("sign-extension"),
        ),
        (
            "(local v128) (memory.fill (i32.const 0) (i32.const 0) (i32.const 0))",
            Some("simd"),
        ),
        (
            "(drop (i32.trunc_sat_f32_s (f32.const 0)))",
            Some("saturating-float-to-int"),
        ),
        ("(drop (ref.i31 (i32.const 0)))", Some("gc")),
        // Not even with all of them.
        ("(drop)", None),
        ("(drop) (drop (v128.const i64x2 0 0))", None),
    ] {
        let text = format!("(module (memory 1) (func nop) (func {body}) (func nop))");
        let bytes = wat::parse_str(text).unwrap();
        let expected = at_once(&bytes, &features);
        let module = lazy(&bytes, &features);
        for found in ways(&module, 1) {
            assert_eq!(found, expected, "{body}");
            let error = found.unwrap_err();
            let found = error.missing_feature();
            assert!(found.is_some() == missing.is_some(), "{error}");
            assert!(
                found.is_none_or(|found| found.contains(missing.unwrap())),
                "{error}"
            );
        }
    }
}

/// Modules with many types are first parsed without references to types, which bodies may have nevertheless.
#[test]
fn bodies_of_modules_with_many_types_may_refer_to_them() {
    let types: String = (0..1200)
        .map(|n| {
            let params = "i32 ".repeat(n % 30) + &"f64 ".repeat(n / 30);
            format!("(type (func (param {params})))")
        })
        .collect();
    let text = format!(
        "(module {types}
            (func $f) (elem declare func $f)
            (func (local (ref null 7)) (drop (local.get 0)))
            (func (drop (ref.null 1100)))
            (func (drop (ref.null 1300)))
            (func (drop (i64.add (i32.const 0) (i64.const 0))))
            (func (call_ref 0 (ref.func $f))))"
    );
    let bytes = wat::parse_str(text).unwrap();
    let features = Features::default();
    let module = lazy(&bytes, &features);
    for func in [0, 1, 2, 5] {
        let found = ways(&module, func);
        assert!(found.iter().all(Result::is_ok), "{func}: {found:?}");
    }
    for (func, what) in [(3, "unknown type"), (4, "type mismatch")] {
        for found in ways(&module, func) {
            let error = found.unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }
    // What the first of them says is what validation at once says of the module.
    assert_eq!(
        module.validate_body(3),
        Module::new(&bytes[..], &features).map(drop)
    );
}

#[test]
fn threads_that_ask_for_the_same_body_find_the_same() {
    let text = "(module (func) (func (drop (i32.const 1))) (func (drop)) (func (result i32)))";
    let bytes = wat::parse_str(text).unwrap();
    let module = lazy(&bytes, &Features::default());
    let found: Vec<Vec<_>> = std::thread::scope(|scope| {
        let work = || (0..4).map(|func| module.validate_body(func)).collect();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(found.iter().all(|other| *other == found[0]));
    let valid: Vec<bool> = found[0].iter().map(Result::is_ok).collect();
    assert_eq!(valid, [true, true, false, false]);
}

#[test]
fn hints_are_looked_for_in_valid_bodies_only() {
    let hinted = |body: &str| {
        let text = format!(
            r#"(module (func (param i32)
                (block (@metadata.code.branch_hint "\01") (br_if 0 (local.get 0)) {body})))"#
        );
        lazy(&wat::parse_str(text).unwrap(), &Features::default())
    };
    let module = hinted("");
    assert_eq!(module.branch_hints(0).len(), 1);
    assert_eq!(module.custom_section_errors(), []);
    let module = hinted("drop");
    let problems = module.custom_section_errors();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].message.contains("invalid module"));
    assert_eq!(module.branch_hints(0), []);
}

/// Whatever is damaged, and wherever: what is refused at once is refused later, and the other way round.
#[test]
fn a_damaged_module_is_valid_if_it_is_and_all_of_its_bodies_are() {
    let features = Features::default();
    let bytes = wat::parse_str(include_str!("golden/calls.wat")).unwrap();
    let mut only_bodies = 0;
    for at in 0..bytes.len() {
        for damage in DAMAGES {
            let mut damaged = bytes.clone();
            damaged[at] = damage(damaged[at]);
            let expected = Module::new(&damaged[..], &features).map(drop);
            let parsed = Module::with_bodies_unvalidated(&damaged[..], &features);
            let first = parsed.map(|module| {
                let mut own = module.imported_funcs()..module.func_count();
                let options = TranslateOptions::new(&PlainShapes);
                own.find_map(|func| module.translate(func, &options).err())
            });
            match first {
                Err(error) => {
                    // Of an invalid body before, validation at once says that.
                    let expected = expected.unwrap_err();
                    assert!(
                        expected.offset() <= error.offset(),
                        "{at}: {expected}, {error}"
                    );
                }
                Ok(None) => assert_eq!(expected, Ok(()), "{at}"),
                Ok(Some(error)) => {
                    let expected = expected.unwrap_err();
                    let expected = expected.with_missing_features(&damaged, &features);
                    assert_eq!(error.offset(), expected.offset(), "{at}: {error}");
                    only_bodies += 1;
                }
            }
        }
    }
    assert!(only_bodies > 100, "{only_bodies}");
}
