//! The proposal function-references, and of the proposal gc what is of functions' types: in every mode.

mod common;

use common::{call, in_each_mode, modes, modes_with};
use vm_engine::{
    Config, Engine, Extern, Finality, Func, FuncType, Global, GlobalType, HeapType, Instance,
    Linker, Module, Mutability, Ref, RefType, Snapshot, Store, Table, TableType, Trap, TypeError,
    Val, ValType,
};

const CALLS: &str = r#"(module
  (type $unary (func (param i32) (result i32)))
  (type $many (func (param i64 i32 f64 v128 i32) (result f64 i32 v128)))
  (table $t 3 (ref null $unary))
  (table $filled 4 10 (ref $unary) (ref.func $triple))
  (elem (table $t) (i32.const 0) (ref null $unary) (ref.func $double) (ref.null $unary) (ref.func $triple))
  (elem declare func $sum)
  (global $g (mut (ref $unary)) (ref.func $double))
  (func $double (type $unary) (i32.mul (local.get 0) (i32.const 2)))
  (func $triple (type $unary) (i32.mul (local.get 0) (i32.const 3)))
  (func $sum (type $many)
    (f64.add (local.get 2) (f64.convert_i64_s (local.get 0)))
    (i32.sub (local.get 1) (local.get 4))
    (i64x2.add (local.get 3) (local.get 3)))
  ;; Of an element.
  (func (export "element") (param i32 i32) (result i32)
    (call_ref $unary (local.get 0) (table.get $t (local.get 1))))
  (func (export "filled") (param i32 i32) (result i32)
    (call_ref $unary (local.get 0) (table.get $filled (local.get 1))))
  (func (export "global") (param i32) (result i32)
    (global.set $g (ref.func $triple))
    (call_ref $unary (call_ref $unary (local.get 0) (ref.func $double)) (global.get $g)))
  (func (export "tail") (param i32 i32) (result i32)
    (return_call_ref $unary (local.get 0) (table.get $t (local.get 1))))
  (func (export "many") (result f64 i32 i64)
    (local $v v128)
    (call_ref $many (i64.const 40) (i32.const 9) (f64.const 0.5) (v128.const i64x2 3 4) (i32.const 2) (ref.func $sum))
    (local.set $v) (i64x2.extract_lane 1 (local.get $v)))
  ;; Applies a function so often: the reference is in a register of a loop that becomes hot.
  (func (export "often") (param $n i32) (param $which i32) (result i32)
    (local $f (ref null $unary)) (local $x i32)
    (local.set $f (table.get $t (local.get $which)))
    (local.set $x (i32.const 1))
    (loop $again
      (local.set $x (i32.rem_u (call_ref $unary (local.get $x) (local.get $f)) (i32.const 1000003)))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $x))
  (func (export "null_or") (param i32 i32) (result i32)
    (block $null (result i32)
      (call_ref $unary (i32.const 100) (i32.const 7) (table.get $t (local.get 0))
        (br_on_null $null) (drop) (drop) (ref.func $double))
      (return)))
  (func (export "is") (param i32) (result i32)
    (i32.const 5)
    (block $is (result (ref $unary))
      (br_on_non_null $is (table.get $t (local.get 0)))
      (return (i32.const -1)))
    (call_ref $unary))
  (func (export "as") (param i32)
    (drop (ref.as_non_null (table.get $t (local.get 0)))))
  ;; A local that admits no null.
  (func (export "local") (param i32) (result i32)
    (local $f (ref $unary))
    (local.set $f (ref.func $double))
    (call_ref $unary (local.get 0) (local.get $f))))"#;

#[test]
fn references_are_called_and_asked_whether_they_are_null() {
    in_each_mode(CALLS, |store, instance| {
        for _ in 0..6 {
            let mut element = |name, n: i32| call::<_, _, i32>(store, instance, name, (21i32, n));
            for name in ["element", "tail"] {
                assert_eq!(element(name, 0).unwrap(), 42, "{name}");
                assert_eq!(element(name, 2).unwrap(), 63, "{name}");
                let error = element(name, 1).unwrap_err();
                assert_eq!(error.trap(), Some(Trap::NullReference), "{name}");
            }
            assert_eq!(element("filled", 3).unwrap(), 63);
            assert_eq!(
                call::<_, _, i32>(store, instance, "global", 5i32).unwrap(),
                30
            );
            let many: (f64, i32, i64) = call(store, instance, "many", ()).unwrap();
            assert_eq!(many, (40.5, 7, 8));
            let expected = |factor: u64| (0..40).fold(1, |x, _| x * factor % 1_000_003) as i32;
            for (which, factor) in [(0i32, 2), (2, 3)] {
                let often: i32 = call(store, instance, "often", (40i32, which)).unwrap();
                assert_eq!(often, expected(factor));
            }
            let error = call::<_, _, i32>(store, instance, "often", (2i32, 1i32)).unwrap_err();
            assert_eq!(error.trap(), Some(Trap::NullReference));
            let mut is = |n: i32| call::<_, _, i32>(store, instance, "is", n).unwrap();
            assert_eq!([is(0), is(1), is(2)], [10, -1, 15]);
            call::<_, _, ()>(store, instance, "as", 0i32).unwrap();
            let error = call::<_, _, ()>(store, instance, "as", 1i32).unwrap_err();
            assert_eq!(error.trap(), Some(Trap::NullReference));
            assert_eq!(
                call::<_, _, i32>(store, instance, "local", 4i32).unwrap(),
                8
            );
        }
    });
}

/// Functions of types of which one is below the other, in a table of any.
const SUBTYPES: &str = r#"(module
  (type $top (sub (func (result i32))))
  (type $middle (sub $top (func (result i32))))
  (type $bottom (sub final $middle (func (result i32))))
  (type $other (sub (func (result i32))))
  (type $final (func (result i32)))
  (rec (type $a (func (param (ref null $b)) (result i32))) (type $b (func (param (ref null $a)) (result i32))))
  (table $t funcref (elem $f_top $f_middle $f_bottom $f_final))
  (func $f_top (type $top) (i32.const 1))
  (func $f_middle (type $middle) (i32.const 2))
  (func $f_bottom (type $bottom) (i32.const 3))
  (func $f_final (type $final) (i32.const 4))
  (func $f_a (type $a) (i32.const 5))
  (func $f_b (type $b) (call_ref $a (ref.null $b) (ref.as_non_null (local.get 0))))
  (elem declare func $f_a $f_b)
  (func (export "top") (param i32) (result i32) (call_indirect $t (type $top) (local.get 0)))
  (func (export "middle") (param i32) (result i32) (call_indirect $t (type $middle) (local.get 0)))
  (func (export "bottom") (param i32) (result i32) (return_call_indirect $t (type $bottom) (local.get 0)))
  (func (export "tail") (param i32) (result i32) (return_call_indirect $t (type $middle) (local.get 0)))
  (func (export "final") (param i32) (result i32) (call_indirect $t (type $final) (local.get 0)))
  (func (export "each_other") (result i32) (call_ref $b (ref.func $f_a) (ref.func $f_b))))"#;

#[test]
fn indirect_calls_find_subtypes() {
    in_each_mode(SUBTYPES, |store, instance| {
        let expected: [(&str, [Option<i32>; 4]); 5] = [
            ("top", [Some(1), Some(2), Some(3), None]),
            ("middle", [None, Some(2), Some(3), None]),
            ("bottom", [None, None, Some(3), None]),
            ("tail", [None, Some(2), Some(3), None]),
            ("final", [None, None, None, Some(4)]),
        ];
        for _ in 0..5 {
            for (name, answers) in expected {
                for (n, answer) in (0i32..).zip(answers) {
                    let found = call::<_, _, i32>(store, instance, name, n);
                    match answer {
                        Some(answer) => assert_eq!(found.unwrap(), answer, "{name} {n}"),
                        None => assert_eq!(
                            found.unwrap_err().trap(),
                            Some(Trap::IndirectCallTypeMismatch),
                            "{name} {n}"
                        ),
                    }
                }
                let beyond = call::<_, _, i32>(store, instance, name, 4i32).unwrap_err();
                assert_eq!(beyond.trap(), Some(Trap::UndefinedElement));
            }
            let each_other: i32 = call(store, instance, "each_other", ()).unwrap();
            assert_eq!(each_other, 5);
        }
    });
}

fn unary() -> FuncType {
    FuncType::new([ValType::I32], [ValType::I32])
}

fn reference(is_nullable: bool, ty: &FuncType) -> RefType {
    RefType::new(is_nullable, HeapType::ConcreteFunc(ty.clone()))
}

#[test]
fn types_are_the_same_for_modules_and_hosts() {
    let module = Module::new(&Engine::default(), SUBTYPES).unwrap();
    let ty = module.get_export("top").unwrap();
    assert_eq!(ty.func(), Some(&unary()));
    let module = Module::new(
        &Engine::default(),
        r#"(module
          (type $top (sub (func (param i32) (result funcref))))
          (type $sub (sub final $top (func (param i32) (result (ref $top)))))
          (import "" "f" (func (type $sub)))
          (import "" "t" (table 1 (ref null $top)))
          (import "" "g" (global (ref null nofunc))))"#,
    )
    .unwrap();
    let types: Vec<_> = module.imports().map(|import| import.ty()).collect();
    let sub = types[0].func().unwrap();
    let top = sub.supertype().unwrap();
    assert_eq!(
        (sub.finality(), top.finality()),
        (Finality::Final, Finality::NonFinal)
    );
    assert!(sub.matches(&top) && !top.matches(sub) && top.supertype().is_none());
    let define = |finality, above: Option<&FuncType>, result: ValType| {
        FuncType::with_finality_and_supertype(finality, above, [ValType::I32], [result])
    };
    let own_top = define(Finality::NonFinal, None, ValType::FUNCREF).unwrap();
    assert_eq!(own_top, top);
    let result = ValType::Ref(reference(false, &top));
    assert_eq!(
        define(Finality::Final, Some(&top), result.clone()).unwrap(),
        *sub
    );
    assert_eq!(sub.result(0), Some(result));
    let wrong = define(Finality::Final, Some(&top), ValType::EXTERNREF).unwrap_err();
    assert!(matches!(
        wrong.downcast_ref(),
        Some(TypeError::Supertype { .. })
    ));
    assert!(define(Finality::Final, Some(sub), ValType::FUNCREF).is_err());
    assert_eq!(types[1].table().unwrap().element(), &reference(true, &top));
    assert_eq!(types[2].global().unwrap().content(), &ValType::NULLFUNCREF);
    assert_eq!(
        reference(true, &unary()).to_string(),
        "(ref null (func (param i32) (result i32)))"
    );
    assert!(
        HeapType::NoFunc.matches(&top.clone().into())
            && !HeapType::NoFunc.matches(&HeapType::Extern)
    );
    assert_eq!(HeapType::from(top).top(), HeapType::Func);
    // The names of earlier versions.
    assert!(matches!(ValType::FUNCREF, ValType::FuncRef) && RefType::Func == RefType::FUNCREF);
    assert!(Val::default_for_ty(&reference(false, &unary()).into()).is_none());
}

#[test]
fn hosts_give_values_of_the_right_types_only() {
    for engine in modes() {
        let mut store = Store::new(&engine, ());
        let add = Func::wrap(&mut store, |x: i32| x + 1);
        let other = Func::wrap(&mut store, |x: i64| x);
        assert_eq!(add.ty(&store), unary());

        let ty = TableType::new(reference(false, &unary()), 2, Some(5));
        assert!(Table::new(&mut store, ty.clone(), Ref::Func(None)).is_err());
        assert!(Table::new(&mut store, ty.clone(), other.into()).is_err());
        let table = Table::new(&mut store, ty, add.into()).unwrap();
        assert!(table.set(&mut store, 0, add.into()).is_ok());
        for wrong in [Ref::Func(None), other.into(), Ref::Extern(None)] {
            assert!(
                !wrong
                    .matches_ty(&store, &reference(false, &unary()))
                    .unwrap()
            );
            let error = table.set(&mut store, 0, wrong).unwrap_err();
            assert!(error.is::<TypeError>(), "{error}");
            assert!(
                table
                    .grow(&mut store, 1, wrong)
                    .unwrap_err()
                    .is::<TypeError>()
            );
        }
        assert_eq!(table.grow(&mut store, 1, add.into()).unwrap(), 2);

        let ty = GlobalType::new(reference(true, &unary()).into(), Mutability::Var);
        let global = Global::new(&mut store, ty, Val::FuncRef(None)).unwrap();
        global.set(&mut store, add.into()).unwrap();
        let error = global.set(&mut store, other.into()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the global has values of type (ref null (func (param i32) (result i32))), \
             not (ref (func (param i64) (result i64)))"
        );

        let module = Module::new(
            &engine,
            r#"(module
              (type $t (func (param i32) (result i32)))
              (import "" "give" (func $give (result (ref null $t))))
              (func (export "call") (param (ref $t) i32) (result i32) (call_ref $t (local.get 1) (local.get 0)))
              (func (export "pass") (param (ref null $t)) (result (ref null $t)) (local.get 0))
              (func (export "given") (result i32) (call_ref $t (i32.const 9) (call $give))))"#,
        )
        .unwrap();
        for (given, expected) in [
            (Some(add), Ok(10)),
            (None, Err(true)),
            (Some(other), Err(false)),
        ] {
            let ty = FuncType::new([], [reference(true, &unary()).into()]);
            let give = Func::new(&mut store, ty, move |_, _, results| {
                results[0] = Val::FuncRef(given);
                Ok(())
            });
            let instance = Instance::new(&mut store, &module, &[give.into()]).unwrap();
            let func = instance.get_func(&mut store, "call").unwrap();
            let mut result = [Val::I32(0)];
            func.call(&mut store, &[add.into(), Val::I32(1)], &mut result)
                .unwrap();
            assert_eq!(result[0].unwrap_i32(), 2);
            for wrong in [Val::FuncRef(None), other.into(), Val::I32(0)] {
                let error = func
                    .call(&mut store, &[wrong, Val::I32(1)], &mut result)
                    .unwrap_err();
                assert!(error.is::<TypeError>(), "{error}");
            }
            // A function's type is asked for when it is called.
            let pass = instance.get_typed_func::<Option<Func>, Option<Func>>(&mut store, "pass");
            let pass = pass.unwrap();
            assert_eq!(pass.call(&mut store, Some(add)).unwrap(), Some(add));
            assert!(pass.call(&mut store, None).unwrap().is_none());
            assert!(pass.call(&mut store, Some(other)).is_err());
            let given = call::<_, _, i32>(&mut store, instance, "given", ());
            match expected {
                Ok(answer) => assert_eq!(given.unwrap(), answer),
                Err(is_trap) => {
                    let error = given.unwrap_err();
                    assert_eq!(
                        error.trap() == Some(Trap::NullReference),
                        is_trap,
                        "{error}"
                    );
                    assert_eq!(error.is::<TypeError>(), !is_trap, "{error}");
                }
            }
        }
    }
}

#[test]
fn imports_may_be_subtypes() {
    const EXPORTS: &str = r#"(module
      (type $top (sub (func)))
      (type $sub (sub $top (func)))
      (func (export "sub") (type $sub))
      (func (export "top") (type $top))
      (func $f (type $sub))
      (elem declare func $f)
      (global (export "constant") (ref $sub) (ref.func $f))
      (global (export "variable") (mut (ref $sub)) (ref.func $f))
      (table (export "table") 1 (ref null $sub)))"#;
    for engine in modes() {
        let mut store = Store::new(&engine, ());
        let module = Module::new(&engine, EXPORTS).unwrap();
        let mut linker = Linker::new(&engine);
        linker.module(&mut store, "m", &module).unwrap();
        let mut links = |import: &str| {
            let text = format!(
                "(module (type $plain (func)) (type $top (sub (func))) (type $sub (sub $top (func))) (import {import}))"
            );
            let module = Module::new(&engine, text).unwrap();
            linker.instantiate(&mut store, &module).is_ok()
        };
        assert!(links(r#""m" "sub" (func (type $top))"#));
        assert!(links(r#""m" "sub" (func (type $sub))"#));
        assert!(!links(r#""m" "top" (func (type $sub))"#));
        assert!(!links(r#""m" "sub" (func (type $plain))"#));
        assert!(links(r#""m" "constant" (global (ref null $top))"#));
        assert!(links(r#""m" "constant" (global funcref)"#));
        assert!(!links(r#""m" "constant" (global externref)"#));
        assert!(links(r#""m" "variable" (global (mut (ref $sub)))"#));
        assert!(!links(r#""m" "variable" (global (mut (ref null $sub)))"#));
        assert!(links(r#""m" "table" (table 1 (ref null $sub))"#));
        assert!(!links(r#""m" "table" (table 1 (ref null $top))"#));
    }
}

/// Tables and globals of typed references, some of which have no null.
const KEPT: &str = r#"(module
  (type $t (func (result i32)))
  (table $t 1 9 (ref $t) (ref.func $one))
  (table $n 2 (ref null $t))
  (global $g (mut (ref $t)) (ref.func $one))
  (elem declare func $two)
  (func $one (type $t) (i32.const 1))
  (func $two (type $t) (i32.const 2))
  (func (export "change")
    (drop (table.grow $t (ref.func $two) (i32.const 2)))
    (table.set $n (i32.const 1) (ref.func $two))
    (global.set $g (ref.func $two)))
  (func (export "sum") (result i32)
    (i32.add (i32.mul (i32.const 100) (table.size $t))
      (i32.add (call_ref $t (table.get $t (i32.sub (table.size $t) (i32.const 1))))
        (i32.add (i32.mul (i32.const 10) (call_ref $t (global.get $g)))
          (ref.is_null (table.get $n (i32.const 1))))))))"#;

#[test]
fn instances_are_reset_and_restored_with_their_references() {
    let mut snapshot = None;
    for engine in modes() {
        let module = Module::new(&engine, KEPT).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let sum = |store: &mut Store<()>| call::<_, _, i32>(store, instance, "sum", ()).unwrap();
        assert_eq!(sum(&mut store), 112);
        call::<_, _, ()>(&mut store, instance, "change", ()).unwrap();
        assert_eq!(sum(&mut store), 322);
        let bytes = instance.snapshot(&store).unwrap().to_bytes();
        instance.reset(&mut store).unwrap();
        assert_eq!(sum(&mut store), 112);
        let first = snapshot.get_or_insert(bytes);
        let snapshot = Snapshot::from_bytes(first).unwrap();
        instance.restore(&mut store, &snapshot).unwrap();
        assert_eq!(sum(&mut store), 322);
    }
}

/// A snapshot may say anything: what it says of a table that has no null, or not such functions, is refused.
#[test]
fn snapshots_with_references_of_other_types_are_refused() {
    let engine = Engine::default();
    let of = |element: &str| {
        let text = format!(
            r#"(module (type $t (func)) (type $u (func (param i32)))
              (table (export "t") 1 {element}) (func $a (type $t)) (func $b (type $u)) (elem declare func $a $b))"#
        );
        let module = Module::new(&engine, text).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        (
            instance.snapshot(&store).unwrap().to_bytes(),
            store,
            instance,
        )
    };
    // The same but for the fingerprint of the module, which comes before the rest.
    let (typed, mut store, instance) = of("(ref $t) (ref.func $a)");
    let mut refused = 0;
    for at in 0..typed.len() {
        for byte in [0, 1, 2, 3] {
            let mut changed = typed.clone();
            changed[at] = byte;
            let Ok(snapshot) = Snapshot::from_bytes(&changed) else {
                continue;
            };
            if instance.restore(&mut store, &snapshot).is_err() {
                refused += 1;
                continue;
            }
            let table = instance.get_table(&mut store, "t").unwrap();
            let Some(Ref::Func(Some(func))) = table.get(&mut store, 0) else {
                panic!("byte {at} made it null");
            };
            assert_eq!(func.ty(&store), FuncType::new([], []));
        }
    }
    assert!(refused > 0);
}

#[test]
fn the_proposal_can_be_switched_off() {
    for (text, needs) in [
        ("(module (type $t (func)) (func (param (ref $t))))", true),
        ("(module (func (param (ref func))))", true),
        ("(module (rec (type (func)) (type (func))))", true),
        ("(module (type (sub (func))))", true),
        ("(module (func (param (ref null nofunc))))", true),
        ("(module (table 1 funcref (ref.null func)))", true),
        (
            "(module (func (result funcref) (ref.as_non_null (ref.null func))))",
            true,
        ),
        ("(module (func (param funcref)))", false),
    ] {
        Module::new(&Engine::default(), text).unwrap();
        let engine = Engine::new(Config::new().wasm_function_references(false)).unwrap();
        match Module::new(&engine, text) {
            Ok(_) => assert!(!needs, "{text}"),
            Err(error) => {
                let error = format!("{error:#}");
                assert!(
                    needs && error.contains("`function-references`"),
                    "{text}: {error}"
                );
                assert!(error.contains("switched off"), "{error}");
            }
        }
    }
}

#[test]
fn objects_of_the_proposal_gc_are_refused_by_its_name() {
    for text in [
        "(module (type (struct)))",
        "(module (type (array i32)))",
        "(module (func (local anyref)))",
        "(module (func (drop (ref.null any))))",
        "(module (func (param funcref) (result i32) (ref.test (ref func) (local.get 0))))",
        "(module (func (drop (block (result eqref) (unreachable)))))",
        "(module (func (param i31ref)))",
        "(module (func (result i32) (i31.get_s (ref.i31 (i32.const 1)))))",
        "(module (global anyref (ref.null any)))",
        "(module (table 1 structref))",
        "(module (import \"\" \"\" (global arrayref)))",
        "(module (global externref (extern.convert_any (ref.null any))))",
    ] {
        for engine in modes_with(|_| {}) {
            let error = Module::new(&engine, text).map(drop).unwrap_err();
            let error = format!("{error:#}");
            assert!(
                error.contains("`gc`, which is not supported"),
                "{text}: {error}"
            );
        }
    }
}

/// A function of another instance has its context, also if it is called by a reference, or in the place of another.
#[test]
fn references_lead_to_other_instances_and_to_hosts() {
    const OTHER: &str = r#"(module
      (type $t (func (param i32) (result i32)))
      (global $n (mut i32) (i32.const 7))
      (memory 1) (data (i32.const 0) "\05")
      (func $f (export "f") (type $t)
        (global.set $n (i32.add (global.get $n) (i32.const 1)))
        (i32.add (i32.add (local.get 0) (global.get $n)) (i32.load8_u (i32.const 0)))))"#;
    const CALLER: &str = r#"(module
      (type $t (func (param i32) (result i32)))
      (memory 1) (data (i32.const 0) "\40")
      (func (export "call") (param (ref null $t) i32) (result i32)
        (i32.add (call_ref $t (local.get 1) (local.get 0)) (i32.load8_u (i32.const 0))))
      (func (export "tail") (param (ref null $t) i32) (result i32)
        (return_call_ref $t (local.get 1) (local.get 0))))"#;
    for engine in modes() {
        let mut store = Store::new(&engine, ());
        let mut instance = |text| {
            let module = Module::new(&engine, text).unwrap();
            Instance::new(&mut store, &module, &[]).unwrap()
        };
        let (other, caller) = (instance(OTHER), instance(CALLER));
        let f = other.get_func(&mut store, "f").unwrap();
        let host = Func::wrap(&mut store, |n: i32| n * 2);
        for n in 0..6 {
            let mut by = |name, func: Func| {
                let args = (Some(func), 100i32);
                call::<_, _, i32>(&mut store, caller, name, args).unwrap()
            };
            assert_eq!(by("call", f), 100 + 8 + 2 * n + 5 + 64);
            assert_eq!(by("tail", f), 100 + 9 + 2 * n + 5);
            assert_eq!(by("call", host), 264);
            assert_eq!(by("tail", host), 200);
        }
    }
}

#[test]
fn exports_have_their_types() {
    let engine = Engine::default();
    let module = Module::new(&engine, CALLS).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let Some(Extern::Func(func)) = instance.get_export(&mut store, "element") else {
        panic!("no function");
    };
    assert_eq!(
        func.ty(&store),
        FuncType::new([ValType::I32, ValType::I32], [ValType::I32])
    );
}
