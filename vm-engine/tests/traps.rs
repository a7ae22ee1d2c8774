//! Traps: what is reported, and that everything can be used afterwards.

mod common;

use common::{call, in_each_mode, modes};
use vm_engine::{Instance, Linker, Module, Store, Trap};

const DEEP: &str = r#"
(module $module
  (memory 1)
  (func $load (param i32) (result i32) (i32.load (local.get 0)))
  (func $middle (param i32) (result i32) (i32.add (call $load (local.get 0)) (i32.const 1)))
  (func (export "run") (param i32) (result i32) (call $middle (local.get 0))))"#;

/// The offset in a module's bytes of the one place where an opcode and its operands stand.
fn offset_of(binary: &[u8], code: &[u8]) -> usize {
    let mut places = binary
        .windows(code.len())
        .enumerate()
        .filter(|(_, window)| *window == code);
    let (place, _) = places.next().unwrap();
    assert!(places.next().is_none(), "the code stands in several places");
    place
}

#[test]
fn an_out_of_bounds_load_has_a_backtrace_with_names_and_offsets() {
    let binary = wat::parse_str(DEEP).unwrap();
    // i32.load align=4 offset=0; call 0; call 1.
    let load = offset_of(&binary, &[0x28, 0x02, 0x00]);
    let call_load = offset_of(&binary, &[0x10, 0x00]);
    let call_middle = offset_of(&binary, &[0x10, 0x01]);
    in_each_mode(DEEP, |store, instance| {
        for _ in 0..3 {
            let error = call::<_, i32, i32>(store, instance, "run", 65533).unwrap_err();
            assert_eq!(error.trap(), Some(Trap::MemoryOutOfBounds));
            assert_eq!(error.downcast_ref(), Some(&Trap::MemoryOutOfBounds));
            let frames: Vec<_> = error
                .backtrace()
                .unwrap()
                .frames()
                .iter()
                .map(|frame| (frame.func_index(), frame.func_name(), frame.module_offset()))
                .collect();
            assert_eq!(
                frames,
                [
                    (0, Some("load"), Some(load)),
                    (1, Some("middle"), Some(call_load)),
                    (2, None, Some(call_middle)),
                ]
            );
            assert_eq!(
                error.to_string(),
                format!(
                    "error while executing at wasm backtrace:\n    \
                     0: {load:>#7x} - module!load\n    \
                     1: {call_load:>#7x} - module!middle\n    \
                     2: {call_middle:>#7x} - module!<wasm function 2>\n\
                     caused by: wasm trap: out of bounds memory access"
                )
            );
            assert_eq!(
                call::<_, i32, i32>(store, instance, "run", 65532).unwrap(),
                1
            );
        }
    });
}

#[test]
fn every_trap_of_the_core_language_is_told_apart() {
    let text = r#"
    (module
      (memory 1)
      (table 2 funcref)
      (elem (table 0) (i32.const 0) func $void)
      (func $void)
      (func (export "unreachable") unreachable)
      (func (export "load") (drop (i64.load offset=4294967295 (i32.const -1))))
      (func (export "store") (i64.store (i32.const 65529) (i64.const -1)))
      (func (export "fill") (memory.fill (i32.const 65536) (i32.const 0) (i32.const 1)))
      (func (export "table") (table.set (i32.const 2) (ref.null func)))
      (func (export "undefined") (call_indirect (i32.const 2)))
      (func (export "null") (call_indirect (i32.const 1)))
      (func (export "type") (call_indirect (param i32) (i32.const 1) (i32.const 0)))
      (func (export "divide") (drop (i32.div_s (i32.const 1) (i32.const 0))))
      (func (export "remainder") (drop (i64.rem_u (i64.const 1) (i64.const 0))))
      (func (export "overflow") (drop (i32.div_s (i32.const -2147483648) (i32.const -1))))
      (func (export "large") (drop (i32.trunc_f64_s (f64.const 1e10))))
      (func (export "nan") (drop (i32.trunc_f32_u (f32.const nan))))
      (func $recurse (export "recurse") (call $recurse)))"#;
    in_each_mode(text, |store, instance| {
        for (name, trap) in [
            ("unreachable", Trap::Unreachable),
            ("load", Trap::MemoryOutOfBounds),
            ("store", Trap::MemoryOutOfBounds),
            ("fill", Trap::MemoryOutOfBounds),
            ("table", Trap::TableOutOfBounds),
            ("undefined", Trap::UndefinedElement),
            ("null", Trap::UninitializedElement),
            ("type", Trap::IndirectCallTypeMismatch),
            ("divide", Trap::IntegerDivideByZero),
            ("remainder", Trap::IntegerDivideByZero),
            ("overflow", Trap::IntegerOverflow),
            ("large", Trap::IntegerOverflow),
            ("nan", Trap::InvalidConversionToInteger),
            ("recurse", Trap::StackOverflow),
        ] {
            let error = call::<_, (), ()>(store, instance, name, ()).unwrap_err();
            assert_eq!(error.trap(), Some(trap), "{name}: {error}");
            let frames = error.backtrace().unwrap().frames();
            assert_eq!(
                frames.len() == 1,
                trap != Trap::StackOverflow,
                "{name}: {error}"
            );
        }
    });
}

#[test]
fn a_very_deep_backtrace_is_cut_when_printed() {
    let text = "(module $m (func $recurse (export \"run\") (call $recurse)))";
    in_each_mode(text, |store, instance| {
        let error = call::<_, (), ()>(store, instance, "run", ()).unwrap_err();
        let text = error.to_string();
        let lines = text.lines().count();
        assert!((20..60).contains(&lines), "{lines} lines");
        assert!(text.contains("more frames"), "{text}");
        assert!(
            text.ends_with("caused by: wasm trap: call stack exhausted"),
            "{text}"
        );
    });
}

#[test]
fn what_was_done_before_a_trap_stays_done() {
    let text = r#"
    (module
      (memory (export "m") 1)
      (global (export "g") (mut i32) (i32.const 0))
      (func (export "run")
        (global.set 0 (i32.const 5))
        (i32.store (i32.const 0) (i32.const 6))
        (i64.store (i32.const 65532) (i64.const -1))))"#;
    in_each_mode(text, |store, instance| {
        call::<_, (), ()>(store, instance, "run", ()).unwrap_err();
        let global = instance.get_global(&mut *store, "g").unwrap();
        assert_eq!(global.get(&mut *store).unwrap_i32(), 5);
        let memory = instance.get_memory(&mut *store, "m").unwrap();
        assert_eq!(memory.data(&*store)[0], 6);
        // Not even the part of the last store that would have fitted.
        assert_eq!(memory.data(&*store)[65532..], [0; 4]);
    });
}

#[test]
fn a_trap_at_instantiation_keeps_what_segments_wrote_before() {
    let library = r#"(module (memory (export "m") 1) (table (export "t") 2 funcref)
        (func (export "call") (param i32) (result i32)
          (call_indirect (result i32) (local.get 0))))"#;
    let failing = r#"
    (module
      (import "l" "m" (memory 1))
      (import "l" "t" (table 2 funcref))
      (func $f (result i32) (i32.const 33))
      (elem (i32.const 1) $f)
      (data (i32.const 1) "ab")
      (data (i32.const 65535) "cd"))"#;
    for engine in modes() {
        let mut store = Store::new(&engine, ());
        let mut linker = Linker::new(&engine);
        let library = Module::new(&engine, library).unwrap();
        let library = linker.instantiate(&mut store, &library).unwrap();
        linker.instance(&mut store, "l", library).unwrap();
        let failing = Module::new(&engine, failing).unwrap();
        let error = linker.instantiate(&mut store, &failing).unwrap_err();
        assert_eq!(error.trap(), Some(Trap::MemoryOutOfBounds));
        let memory = library.get_memory(&mut store, "m").unwrap();
        assert_eq!(&memory.data(&store)[..4], b"\0ab\0");
        assert_eq!(memory.data(&store)[65535], 0);
        // The function of the instance that failed lives on in the table.
        assert_eq!(
            call::<_, i32, i32>(&mut store, library, "call", 1).unwrap(),
            33
        );
    }
}

#[test]
fn the_start_function_runs_last_and_may_trap() {
    let good = r#"
    (module
      (memory (export "m") 1)
      (data (i32.const 0) "\07")
      (func $start (i32.store8 (i32.const 1) (i32.load8_u (i32.const 0))))
      (start $start))"#;
    in_each_mode(good, |store, instance| {
        let memory = instance.get_memory(&mut *store, "m").unwrap();
        assert_eq!(memory.data(&*store)[..2], [7, 7]);
    });
    let bad = "(module $bad (func $start unreachable) (start $start))";
    for engine in modes() {
        let module = Module::new(&engine, bad).unwrap();
        let error = Instance::new(Store::new(&engine, ()), &module, &[]).unwrap_err();
        assert_eq!(error.trap(), Some(Trap::Unreachable));
        assert!(error.to_string().contains("bad!start"), "{error}");
    }
}

#[test]
fn frames_of_several_instances_have_their_own_names() {
    let inner = r#"(module $inner (func $crash (export "crash") unreachable))"#;
    let outer = r#"
    (module $outer
      (import "i" "crash" (func $imported))
      (table 1 funcref)
      (elem (i32.const 0) $imported)
      (func $through_import (export "import") (call $imported))
      (func $through_table (export "table") (call_indirect (i32.const 0))))"#;
    for engine in modes() {
        let mut store = Store::new(&engine, ());
        let mut linker = Linker::new(&engine);
        let inner = Module::new(&engine, inner).unwrap();
        linker.module(&mut store, "i", &inner).unwrap();
        let outer = Module::new(&engine, outer).unwrap();
        let outer = linker.instantiate(&mut store, &outer).unwrap();
        for (name, caller) in [("import", "through_import"), ("table", "through_table")] {
            let error = call::<_, (), ()>(&mut store, outer, name, ()).unwrap_err();
            let frames: Vec<_> = error
                .backtrace()
                .unwrap()
                .frames()
                .iter()
                .map(|frame| (frame.module_name().unwrap(), frame.func_name().unwrap()))
                .collect();
            assert_eq!(frames, [("inner", "crash"), ("outer", caller)]);
        }
    }
}
