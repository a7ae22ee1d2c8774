//! Parsing and validation.

use vm_translate::{
    ConstOp, DataMode, ElemMode, Error, ExternKind, ExternType, Features, FuncType, HeapType,
    Module, PlainShapes, RefType, TranslateOptions, ValType, missing_features,
};

mod common;

fn parse(text: &str) -> Result<Module, Error> {
    Module::new(wat::parse_str(text).unwrap(), &Features::default())
}

const EVERYTHING: &str = r#"
(module $everything
  (type $t (func (param i32 i64) (result f32)))
  (import "a" "f" (func $f (type $t)))
  (import "a" "t" (table 1 2 funcref))
  (import "a" "m" (memory 1 65536))
  (import "a" "g" (global $g i32))
  (table $e 3 externref)
  (global $h (mut i64) (i64.const -5))
  (global f64 (f64.const 0.5))
  (global i32 (global.get $g))
  (func $main (export "main") (param f64) (result i32 i32)
    (drop (call $f (i32.const 1) (i64.const 2)))
    (i32.const 1) (i32.const 2))
  (func $start (drop (ref.func $main)))
  (start $start)
  (elem (i32.const 0) $main $f)
  (elem funcref (ref.func $main) (ref.null func))
  (elem declare func $main)
  (elem (table $e) (i32.const 1) externref (ref.null extern))
  (data (i32.const 4) "active")
  (data "passive")
  (export "h" (global $h))
  (export "e" (table $e)))"#;

#[test]
fn every_section_is_read() {
    let module = parse(EVERYTHING).unwrap();
    assert_eq!(module.name(), Some("everything"));
    let t = FuncType::new([ValType::I32, ValType::I64], [ValType::F32]);
    assert_eq!(*module.types()[0], t);
    assert_eq!(t.to_string(), "(i32, i64) -> (f32)");

    let names: Vec<_> = module
        .imports()
        .iter()
        .map(|i| (&*i.module, &*i.name))
        .collect();
    assert_eq!(names, [("a", "f"), ("a", "t"), ("a", "m"), ("a", "g")]);
    assert_eq!(module.imports()[0].ty, ExternType::Func(t.into()));
    assert_eq!(module.imports()[2].ty.kind(), ExternKind::Memory);

    assert_eq!((module.func_count(), module.imported_funcs()), (3, 1));
    assert_eq!(module.func_type(1).results().len(), 2);
    assert_eq!(module.func_type_index(0), 0);
    assert_eq!(module.func_name(1), Some("main"));
    assert_eq!(module.func_name(9), None);
    assert_eq!(module.start(), Some(2));

    assert_eq!((module.tables().len(), module.imported_tables()), (2, 1));
    assert_eq!(module.tables()[0].maximum, Some(2));
    assert_eq!(module.tables()[1].element, RefType::EXTERNREF);
    assert_eq!(
        (
            module.table_init(0),
            module.table_init(1),
            module.table_init(2)
        ),
        (None, None, None)
    );

    assert_eq!(
        (module.memories().len(), module.imported_memories()),
        (1, 1)
    );
    let memory = module.memories()[0];
    assert_eq!(
        (memory.minimum, memory.maximum, memory.page_size_log2),
        (1, Some(65536), 16)
    );

    assert_eq!((module.globals().len(), module.imported_globals()), (4, 1));
    assert!(module.globals()[1].mutable && !module.globals()[2].mutable);
    assert_eq!(module.global_init(0), None);
    assert_eq!(module.global_init(1).unwrap().ops(), [ConstOp::I64(-5)]);
    assert_eq!(
        module.global_init(2).unwrap().ops(),
        [ConstOp::F64(0.5_f64.to_bits())]
    );
    assert_eq!(
        module.global_init(3).unwrap().ops(),
        [ConstOp::GlobalGet(0)]
    );

    let [active, passive] = module.data_segments() else {
        panic!("two data segments");
    };
    assert_eq!(
        (module.data(active), module.data(passive)),
        (&b"active"[..], &b"passive"[..])
    );
    assert_eq!(passive.mode, DataMode::Passive);
    match &active.mode {
        DataMode::Active { memory: 0, offset } => assert_eq!(offset.ops(), [ConstOp::I32(4)]),
        other => panic!("{other:?}"),
    }

    let segments = module.elem_segments();
    assert_eq!(segments.len(), 4);
    let items =
        |n: usize| -> Vec<_> { segments[n].items.iter().map(|item| item.ops()[0]).collect() };
    assert_eq!(items(0), [ConstOp::RefFunc(1), ConstOp::RefFunc(0)]);
    assert_eq!(
        items(1),
        [ConstOp::RefFunc(1), ConstOp::RefNull(HeapType::Func)]
    );
    assert!(matches!(
        segments[0].mode,
        ElemMode::Active { table: 0, .. }
    ));
    assert_eq!(segments[1].mode, ElemMode::Passive);
    assert_eq!(segments[2].mode, ElemMode::Declared);
    assert!(matches!(
        segments[3].mode,
        ElemMode::Active { table: 1, .. }
    ));
    assert_eq!(segments[3].ty, RefType::EXTERNREF);

    let exports: Vec<_> = module
        .exports()
        .iter()
        .map(|e| (&*e.name, e.kind, e.index))
        .collect();
    assert_eq!(
        exports,
        [
            ("main", ExternKind::Func, 1),
            ("h", ExternKind::Global, 1),
            ("e", ExternKind::Table, 1)
        ]
    );
}

#[test]
fn functions_without_a_body_are_not_translated() {
    let module = parse(EVERYTHING).unwrap();
    let options = TranslateOptions::new(&PlainShapes);
    for func in [0, 3, u32::MAX] {
        assert_eq!(
            module.translate(func, &options).err(),
            Some(Error::NoBody { func })
        );
    }
}

#[test]
fn items_of_segments_are_those_that_are_written() {
    let module = parse(
        r#"(module
            (import "a" "f" (global funcref)) (import "a" "e" (global externref))
            (elem func 1 0 1)
            (elem funcref (ref.null func) (ref.func 1) (ref.null func))
            (elem funcref (ref.func 1) (ref.null func) (global.get 0) (ref.func 0) (ref.null func))
            (elem funcref (global.get 0))
            (elem externref (ref.null extern) (global.get 1) (ref.null extern))
            (elem externref (ref.null extern))
            (elem funcref)
            (func) (func))"#,
    )
    .unwrap();
    let (func, null) = (ConstOp::RefFunc, ConstOp::RefNull);
    let (get, f, e) = (ConstOp::GlobalGet, HeapType::Func, HeapType::Extern);
    let expected: [&[ConstOp]; 7] = [
        &[func(1), func(0), func(1)],
        &[null(f), func(1), null(f)],
        &[func(1), null(f), get(0), func(0), null(f)],
        &[get(0)],
        &[null(e), get(1), null(e)],
        &[null(e)],
        &[],
    ];
    for (segment, expected) in module.elem_segments().iter().zip(expected) {
        let found: Vec<_> = segment
            .items
            .iter()
            .map(|item| item.ops().to_vec())
            .collect();
        let expected: Vec<_> = expected.iter().map(|op| vec![*op]).collect();
        assert_eq!(found, expected);
        assert_eq!(segment.items.len(), expected.len());
        assert_eq!(segment.items.is_empty(), expected.is_empty());
    }
}

#[test]
fn errors_say_where() {
    let text = "(module (func (result i32) (i64.const 1)))";
    let error = parse(text).unwrap_err();
    assert!(error.offset().is_some_and(|offset| offset > 8), "{error}");
    assert!(error.to_string().contains("type mismatch"), "{error}");
    assert_eq!(error.missing_feature(), None);

    let error = Module::new(*b"hello, world", &Features::default()).unwrap_err();
    assert_eq!(error.offset(), Some(0), "{error}");
}

#[test]
fn errors_name_the_proposal_that_is_missing() {
    for (text, proposal) in [
        (
            "(module (type $f (func)) (type (cont $f)))",
            "stack-switching",
        ),
        ("(module (type (struct)))", "gc"),
    ] {
        let bytes = wat::parse_str(text).unwrap();
        assert!(parse(text).is_err(), "{text}");
        assert_eq!(
            missing_features(&bytes, &Features::default()),
            [proposal],
            "{text}"
        );
    }
    let bytes = wat::parse_str("(module (func (result i32) (i64.const 1)))").unwrap();
    assert!(missing_features(&bytes, &Features::default()).is_empty());
}

#[test]
fn proposals_can_be_turned_off() {
    for (text, proposal) in [
        (
            "(module (func (param i32) (result i32) (i32.extend8_s (local.get 0))))",
            "sign-extension",
        ),
        (
            "(module (func (result i32 i32) (i32.const 1) (i32.const 2)))",
            "multi-value",
        ),
        (
            "(module (memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0))))",
            "bulk-memory",
        ),
        (
            "(module (global i32 (i32.add (i32.const 1) (i32.const 2))))",
            "extended-const",
        ),
        ("(module (func (param externref)))", "reference-types"),
        ("(module (func (return_call 0)))", "tail-call"),
        ("(module (memory 1) (memory 1))", "multi-memory"),
        ("(module (memory i64 1))", "memory64"),
        ("(module (memory 1 1 shared))", "threads"),
        (
            "(module (memory 1) (func (drop (i32.atomic.load (i32.const 0)))))",
            "threads",
        ),
        ("(module (table i64 1 funcref))", "memory64"),
        ("(module (memory 1 (pagesize 1)))", "custom-page-sizes"),
        (
            "(module (func (param i64) (result i64 i64)
                (i64.mul_wide_u (local.get 0) (local.get 0))))",
            "wide-arithmetic",
        ),
        ("(module (func (drop (v128.const i64x2 0 0))))", "simd"),
        (
            "(module (func (param v128) (result v128)
               (i8x16.relaxed_swizzle (local.get 0) (local.get 0))))",
            "relaxed-simd",
        ),
        (
            "(module (func (drop (i32.trunc_sat_f32_s (f32.const 0)))))",
            "saturating-float-to-int",
        ),
        (
            "(module (import \"a\" \"g\" (global (mut i32))))",
            "mutable-global",
        ),
    ] {
        let bytes = wat::parse_str(text).unwrap();
        assert!(Module::new(bytes.clone(), &Features::default()).is_ok());
        let mut features = Features::default();
        features.set(proposal, false).unwrap();
        let error = Module::new(bytes.clone(), &features).unwrap_err();
        let error = error.with_missing_features(&bytes, &features);
        assert_eq!(error.missing_feature(), Some(proposal), "{error}");
        assert!(error.to_string().contains(proposal), "{error}");
        assert_eq!(missing_features(&bytes, &features), [proposal], "{error}");
    }
}

#[test]
fn proposals_that_the_validator_does_not_name_are_looked_for_on_demand() {
    // The index of a table in two bytes where one would do, in a function after one that is valid and maybe before one
    // that is not.
    let call = r#"\00\41\00\11\00\80\00\0b"#;
    let simd = r#"\00\fd\0c\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\1a\0b"#;
    for (last, proposals) in [
        (r"\00\01\0b", "reference-types"),
        (simd, "reference-types, simd"),
        (r"\00\1a\0b", ""),
    ] {
        let bodies = [r"\00\01\0b", call, last];
        let sized = bodies.map(|body| format!(r"\{:02x}{body}", body.len() / 3));
        let text = format!(
            r#"(module binary "\00asm\01\00\00\00" "\01\04\01\60\00\00" "\03\04\03\00\00\00"
                "\04\04\01\70\00\01" "\0a\{:02x}\03{}")"#,
            sized.concat().len() / 3 + 1,
            sized.concat(),
        );
        let bytes = wat::parse_str(text).unwrap();
        let mut features = Features::default();
        for proposal in ["reference-types", "simd"] {
            features.set(proposal, false).unwrap();
        }
        let error = Module::new(bytes.clone(), &features).unwrap_err();
        assert_eq!(error.missing_feature(), None, "{error}");
        let named = error.clone().with_missing_features(&bytes, &features);
        assert_eq!(named.missing_feature().unwrap_or_default(), proposals);
        assert_eq!(named.offset(), error.offset());
    }
    // An error that names one is not looked into.
    let bytes = wat::parse_str("(module (memory 1 1 shared) (tag) (func (result i32)))").unwrap();
    let mut features = Features::default();
    features.set("threads", false).unwrap();
    let error = Module::new(bytes.clone(), &features).unwrap_err();
    assert_eq!(error.missing_feature(), Some("threads"));
    let named = error.clone().with_missing_features(&bytes, &features);
    assert_eq!(named, error);
}

/// Where the sections of a well-formed module end.
fn section_ends(bytes: &[u8]) -> Vec<usize> {
    let payloads = wasmparser::Parser::new(0).parse_all(bytes);
    let sections = payloads.filter_map(|payload| payload.unwrap().as_section());
    sections.map(|(_, range)| range.end as usize).collect()
}

/// Every prefix of a module is refused with an offset, unless it ends where a section does: then it
/// may be a module by itself.
fn refuses_truncations(name: &str, bytes: &[u8]) {
    let ends = section_ends(bytes);
    for len in 0..bytes.len() {
        match Module::new(&bytes[..len], &Features::default()) {
            Ok(_) => assert!(
                len == 8 || ends.contains(&len),
                "{name}: {len} bytes are taken"
            ),
            Err(error) => {
                let offset = error.offset().unwrap_or(u64::MAX);
                assert!(offset <= len as u64, "{name} at {len}: {error}");
            }
        }
    }
}

#[test]
fn every_truncation_is_an_error_with_an_offset() {
    refuses_truncations("everything", &wat::parse_str(EVERYTHING).unwrap());
    let modules = common::programs::in_tree();
    assert!(modules.len() >= 10, "the programs are missing");
    for path in modules {
        refuses_truncations(&path.display().to_string(), &std::fs::read(&path).unwrap());
    }
}

#[test]
fn a_section_that_ends_early_is_an_error_with_an_offset() {
    // The section's own size is that of what is left, so its content is read up to its end.
    let bytes = wat::parse_str(EVERYTHING).unwrap();
    let mut start = 8;
    for end in section_ends(&bytes) {
        // All sections here are below 128 bytes: their sizes are one byte.
        assert!(end - start - 2 < 128);
        for len in 0..end - start - 2 {
            let mut cut = bytes[..start + 2 + len].to_vec();
            cut[start + 1] = len as u8;
            if let Err(error) = Module::new(cut.clone(), &Features::default()) {
                let offset = error.offset().unwrap_or(u64::MAX);
                assert!(offset <= cut.len() as u64, "{start:#x}, {len}: {error}");
            } else {
                // Only a custom section may be anything.
                assert_eq!(bytes[start], 0, "{start:#x}, {len}");
            }
        }
        start = end;
    }
}

#[test]
fn changed_bytes_never_panic() {
    let bytes = wat::parse_str(EVERYTHING).unwrap();
    let options = TranslateOptions::new(&PlainShapes);
    let mut valid = 0;
    for at in 0..bytes.len() {
        for change in [1, 0x40, 0x80, 0xff] {
            let mut bytes = bytes.clone();
            bytes[at] ^= change;
            let Ok(module) = Module::new(bytes, &Features::default()) else {
                continue;
            };
            valid += 1;
            for func in module.imported_funcs()..module.func_count() {
                module.translate(func, &options).unwrap();
            }
        }
    }
    assert!(valid > 0);
}

#[test]
fn a_malformed_name_section_is_ignored() {
    let mut bytes = wat::parse_str("(module (func $f))").unwrap();
    let section = bytes
        .windows(4)
        .position(|window| window == b"name")
        .unwrap();
    // The first subsection now is longer than the section.
    bytes[section + 5] = 0x7f;
    let module = Module::new(bytes, &Features::default()).unwrap();
    assert_eq!(module.func_name(0), None);
    let [error] = &module.custom_section_errors()[..] else {
        panic!("{:?}", module.custom_section_errors());
    };
    assert_eq!(error.section, "name");
    assert!(error.offset > section as u64, "{error}");
}

#[test]
fn branch_hints_are_read() {
    let text = r#"(module
      (func (param i32))
      (func (param i32)
        local.get 0
        (@metadata.code.branch_hint "\01") if nop end
        (block
          local.get 0
          (@metadata.code.branch_hint "\00") br_if 0)))"#;
    let module = parse(text).unwrap();
    assert_eq!(module.custom_section_errors(), []);
    assert_eq!(module.branch_hints(0), []);
    let hints = module.branch_hints(1);
    let taken: Vec<_> = hints.iter().map(|hint| hint.taken).collect();
    assert_eq!(taken, [true, false]);
    let opcodes: Vec<_> = hints
        .iter()
        .map(|hint| module.bytes()[hint.offset as usize])
        .collect();
    assert_eq!(opcodes, [0x04, 0x0d]);
}

#[test]
fn malformed_branch_hints_are_ignored() {
    // Function 0, whose body is: no locals, local.get 0, if, end, end.
    let hints = |bytes: &[u8]| {
        let escaped: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let text = format!(
            r#"(module
              (@custom "metadata.code.branch_hint" (before code) "{escaped}")
              (func (param i32) local.get 0 if end))"#
        );
        parse(&text).unwrap()
    };
    let good = hints(&[1, 0, 1, 3, 1, 1]);
    assert_eq!(good.custom_section_errors(), []);
    assert_eq!(good.branch_hints(0).len(), 1);
    let bad: [(&str, &[u8]); 8] = [
        ("nothing", &[]),
        ("shorter than it says", &[2, 0, 1, 3, 1, 1]),
        ("no such function", &[1, 7, 1, 3, 1, 1]),
        ("no instruction", &[1, 0, 1, 2, 1, 1]),
        ("another instruction", &[1, 0, 1, 1, 1, 1]),
        ("two for one", &[1, 0, 2, 3, 1, 1, 3, 1, 0]),
        ("neither likely nor unlikely", &[1, 0, 1, 3, 1, 2]),
        (
            "beyond all bytes",
            &[1, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 1],
        ),
    ];
    for (what, bytes) in bad {
        let module = hints(bytes);
        assert_eq!(module.branch_hints(0), [], "{what}");
        let [error] = &module.custom_section_errors()[..] else {
            panic!("{what}: {:?}", module.custom_section_errors());
        };
        assert_eq!(error.section, "metadata.code.branch_hint", "{what}");
    }
}

#[test]
fn a_small_module_cannot_ask_for_a_huge_operand_stack() {
    let results = vec!["i32"; 1000].join(" ");
    let calls = "(call $many) ".repeat(1100);
    let text = format!(
        "(module (import \"a\" \"b\" (func $many (result {results}))) (func {calls} unreachable))"
    );
    assert!(matches!(parse(&text), Err(Error::Limit { .. })));
}

#[test]
fn many_locals_and_deep_nesting_are_fine() {
    let locals = vec!["i64"; 49_999].join(" ");
    let blocks = 10_000;
    let text = format!(
        "(module (func (param i32) (local {locals}) {} (local.set 49999 (i64.const 1)) {}))",
        "(block (br_if 0 (local.get 0)) ".repeat(blocks),
        ")".repeat(blocks),
    );
    let module = parse(&text).unwrap();
    let options = TranslateOptions::new(&PlainShapes);
    let function = module.translate(0, &options).unwrap();
    assert!(function.frame_slots() >= 50_000);
    vm_translate::check(&module, &function, &PlainShapes).unwrap();
}

/// Modules with many types are first validated without references to types.
#[test]
fn many_types_and_references_to_them() {
    let many: String = (0..1200)
        .map(|n| {
            let digit = |place: u32| ["i32", "i64", "f32", "f64"][(n >> (2 * place)) % 4];
            let params: Vec<&str> = (0..6).map(digit).collect();
            format!("(type (func (param {})))", params.join(" "))
        })
        .collect();
    let parse = |rest: &str, features: &Features| {
        let bytes = wat::parse_str(format!("(module {many} {rest})")).unwrap();
        Module::new(bytes, features)
    };
    for rest in [
        // In a body only, in a table, in a group, as an exception.
        "(type $f (func)) (func (param (ref $f)) (call_ref $f (local.get 0)))",
        "(type $f (func)) (elem declare func $g) (func $g (type $f)) (table 1 (ref null $f))",
        "(rec (type $a (func (result (ref null $b)))) (type $b (func (param (ref $a)))))",
        "(tag) (func (throw 0))",
        "",
    ] {
        let module = parse(rest, &Features::default());
        let types = module
            .unwrap_or_else(|e| panic!("{rest}: {e}"))
            .types()
            .len();
        assert!(types >= 1200, "{rest}");
    }
    let mut without = Features::default();
    without.set("function-references", false).unwrap();
    let error = parse("(type $f (func)) (func (param (ref $f)))", &without).unwrap_err();
    assert!(error.to_string().contains("function"), "{error}");
    // What is wrong is said as of any other module.
    let wrong = "(type $f (func)) (func (param (ref $f)) (i32.add (i32.const 1)) drop)";
    let error = parse(wrong, &Features::default()).unwrap_err();
    assert!(error.to_string().contains("type mismatch"), "{error}");
}
