//! Host functions: parameters and results, nested runs, errors and panics.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};

use common::{Extern, World, func, modes, ty};
use vm_interp::{
    CallError, FuncId, Host, HostClosure, HostError, InstanceId, InvalidCall, MachineConfig, Raw,
    TrapCode, Val,
};

#[test]
fn parameters_and_results() {
    for mode in modes() {
        let mut world = World::new(mode);
        world.define_host(
            "mix",
            ty("i32 i64 f32 f64", "f64 i32 i64"),
            |machine, _, slots| {
                let (a, b) = (slots[0].i32(), slots[1].i64());
                let (c, d) = (slots[2].f32(), slots[3].f64());
                machine.host_mut().log.push(i64::from(a) + b);
                slots[0] = Raw::from(f64::from(c) * d);
                // A host may leave anything in the upper half.
                slots[1] = Raw::from(0xffff_ffff_0000_0000u64 | a as u32 as u64);
                slots[2] = Raw::from(-b);
                Ok(())
            },
        );
        let id = world.instantiate(
            r#"(module
                (import "host" "mix" (func $mix (param i32 i64 f32 f64) (result f64 i32 i64)))
                (memory 1)
                (func (export "run") (result f64 i32 i64)
                    (call $mix (i32.const 7) (i64.const -9) (f32.const 1.5) (f64.const 4)))
                (func (export "address") (param i32) (result i32)
                    (call $mix (local.get 0) (i64.const 0) (f32.const 0) (f64.const 0))
                    (drop) (i32.load) (return))
                (export "mix" (func $mix)))"#,
        );
        let expected = [Val::F64(6.0f64.to_bits()), Val::I32(7), Val::I64(9)];
        assert_eq!(world.call(id, "run", &[]).unwrap(), expected);
        assert_eq!(world.log(), [-2]);
        assert_eq!(world.call_i32(id, "address", &[16]).unwrap(), 0);
        let args = [
            Val::I32(7),
            Val::I64(-9),
            Val::F32(1.5f32.to_bits()),
            Val::F64(4.0f64.to_bits()),
        ];
        assert_eq!(world.call(id, "mix", &args).unwrap(), expected);
    }
}

#[test]
fn a_host_function_knows_its_caller_and_changes_its_memory() {
    for mode in modes() {
        let mut world = World::new(mode);
        world.define_host("poke", ty("i32", ""), |machine, caller, slots| {
            let Some(caller) = caller else {
                machine.host_mut().log.push(-1);
                return Ok(());
            };
            machine.host_mut().log.push(caller.number().into());
            let memory = machine.instance_memory(caller, 0);
            let at = slots[0].i32() as u32;
            machine.memory_mut(memory).write(at.into(), &[77])?;
            Ok(())
        });
        let wat = r#"(module
            (import "host" "poke" (func $poke (param i32)))
            (memory 1)
            (func (export "run") (param i32) (result i32)
                (call $poke (local.get 0))
                (i32.load8_u (local.get 0)))
            (func (export "peek") (param i32) (result i32) (i32.load8_u (local.get 0))))"#;
        let (a, b) = (world.instantiate(wat), world.instantiate(wat));
        assert_eq!(world.call_i32(b, "run", &[5]).unwrap(), 77);
        assert_eq!(world.call_i32(a, "peek", &[5]).unwrap(), 0);
        assert_eq!(world.call_i32(b, "peek", &[5]).unwrap(), 77);
        let Extern::Func(poke) = world.names[&("host".to_owned(), "poke".to_owned())] else {
            panic!()
        };
        world.call_func(poke, &[Val::I32(0)]).unwrap();
        assert_eq!(world.log(), [b.number().into(), -1]);
        // Out of the memory: the host's own error.
        match world.call(b, "run", &[Val::I32(-1)]) {
            Err(CallError::Host { error, .. }) => {
                assert!(error.downcast_ref::<vm_memory::OutOfBounds>().is_some());
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Guest and host call each other down to zero.
const PING_PONG: &str = r#"(module
    (import "host" "pong" (func $pong (param i32) (result i32)))
    (func $ping (export "ping") (param i32) (result i32) (local i64 i64 i64)
        (local.set 1 (i64.const 1)) (local.set 2 (i64.const 2)) (local.set 3 (i64.const 3))
        (if (result i32) (i32.eqz (local.get 0))
            (then (i32.const 0))
            (else
                (i32.add
                    (call $pong (i32.sub (local.get 0) (i32.const 1)))
                    (i32.wrap_i64 (i64.add (local.get 1)
                        (i64.add (local.get 2) (local.get 3)))))))))"#;

fn ping_pong(world: &mut World) -> FuncId {
    world.define_host("pong", ty("i32", "i32"), |machine, caller, slots| {
        let ping = func(machine, caller.unwrap(), "ping");
        let mut inner = [slots[0], Raw::default()];
        machine.call(ping, &mut inner)?;
        slots[0] = Raw::from(inner[0].i32() + 100);
        Ok(())
    });
    let id = world.instantiate(PING_PONG);
    world.func(id, "ping")
}

#[test]
fn runs_nest() {
    for mode in modes() {
        let mut world = World::new(mode);
        let ping = ping_pong(&mut world);
        for n in [0, 1, 2, 50] {
            let result = world.call_func(ping, &[Val::I32(n)]).unwrap();
            assert_eq!(result, [Val::I32(106 * n)]);
        }
    }
}

#[test]
fn nested_runs_without_end_trap() {
    for mode in modes() {
        // Once the value stack ends first, once the native stack's share.
        for stack_bytes in [4 << 10, 64 << 20] {
            let mut world = World::with_stack(mode, stack_bytes);
            let ping = ping_pong(&mut world);
            for _ in 0..3 {
                let error = world.call_func(ping, &[Val::I32(1_000_000)]).unwrap_err();
                // The innermost trap comes out through every level as the host's error.
                let mut error: Box<dyn std::error::Error> = error.into();
                let code = loop {
                    error = match *error.downcast::<CallError>().unwrap() {
                        CallError::Host { error, .. } => error,
                        CallError::Trap(trap) => break trap.code,
                        other => panic!("{other:?}"),
                    };
                };
                assert_eq!(code, TrapCode::StackOverflow);
                assert_eq!(
                    world.call_func(ping, &[Val::I32(2)]).unwrap(),
                    [Val::I32(212)]
                );
            }
        }
    }
}

/// Runs start right above what is in use, so also at every distance from the stack's end: each is done, or is a trap
/// and leaves the frames below alone.
#[test]
fn nested_runs_meet_the_stacks_end_at_every_distance() {
    for mode in modes() {
        for locals in 0..6 {
            let mut world = World::with_stack(mode, 4096);
            world.define_host("nest", ty("i64", "i64"), |machine, caller, slots| {
                let leaf = func(machine, caller.unwrap(), "leaf");
                let mut inner = [slots[0], Raw::from(3i64), Raw::from(4i64)];
                machine.call(leaf, &mut inner)?;
                slots[0] = inner[0];
                Ok(())
            });
            let id = world.instantiate(&format!(
                r#"(module
                    (import "host" "nest" (func $nest (param i64) (result i64)))
                    (memory 0 1)
                    (table 0 1 funcref)
                    (func (export "leaf") (param i64 i64 i64) (result i64)
                        (i64.sub (local.get 0) (i64.mul (local.get 1) (local.get 2))))
                    (func $f (export "f") (param i64) (result i64) (local {})
                        (if (result i64) (i64.eqz (local.get 0))
                            (then
                                (i64.add (call $nest (i64.const 100)) (i64.extend_i32_s
                                    (i32.sub (memory.grow (i32.const 7))
                                        (table.grow (ref.null func) (i32.const 7))))))
                            (else
                                (i64.add (local.get 0)
                                    (call $f (i64.sub (local.get 0) (i64.const 1))))))))"#,
                "i64 ".repeat(locals)
            ));
            let mut overflown = false;
            for depth in 0..200 {
                match world.call(id, "f", &[Val::I64(depth)]) {
                    Ok(results) => {
                        assert!(!overflown, "{mode:?} {locals} {depth}");
                        assert_eq!(results, [Val::I64(88 + depth * (depth + 1) / 2)]);
                    }
                    Err(CallError::Trap(trap)) => {
                        assert_eq!(trap.code, TrapCode::StackOverflow);
                        overflown = true;
                    }
                    Err(CallError::Host { error, .. }) => {
                        let Ok(error) = error.downcast::<CallError>() else {
                            panic!("not the nested run's")
                        };
                        assert!(matches!(&*error, CallError::Trap(trap)
                            if trap.code == TrapCode::StackOverflow));
                        overflown = true;
                    }
                    Err(other) => panic!("{other:?}"),
                }
            }
            assert!(overflown);
        }
    }
}

#[test]
fn traps_in_a_nested_run_can_be_caught_by_the_host() {
    for mode in modes() {
        let mut world = World::new(mode);
        world.define_host("try", ty("i32", "i32"), |machine, caller, slots| {
            let fail = func(machine, caller.unwrap(), "fail");
            let mut inner = [slots[0]];
            let code = match machine.call(fail, &mut inner) {
                Err(CallError::Trap(trap)) => trap.code.as_u8(),
                other => panic!("{other:?}"),
            };
            slots[0] = Raw::from(u32::from(code));
            Ok(())
        });
        let id = world.instantiate(
            r#"(module
                (import "host" "try" (func $try (param i32) (result i32)))
                (memory 1)
                (func (export "fail") (param i32)
                    (drop (i32.load (local.get 0))) (unreachable))
                (func (export "run") (param i32) (result i32)
                    (i32.add
                        (i32.mul (call $try (i32.const -1)) (i32.const 100))
                        (call $try (i32.const 0))))
                (func (export "after") (param i32) (result i32)
                    (drop (call $try (i32.const 0)))
                    (i32.load (local.get 0))))"#,
        );
        let expected = i32::from(TrapCode::MemoryOutOfBounds.as_u8()) * 100
            + i32::from(TrapCode::Unreachable.as_u8());
        assert_eq!(world.call_i32(id, "run", &[0]).unwrap(), expected);
        assert_eq!(world.call_i32(id, "after", &[0]).unwrap(), 0);
        // The outer run still traps by itself after that.
        let trap = world.trap(id, "after", &[Val::I32(65535)]);
        assert_eq!(trap.code, TrapCode::MemoryOutOfBounds);
        assert_eq!(trap.frames.len(), 1);
    }
}

#[derive(Debug, thiserror::Error)]
#[error("exit {0}")]
struct Exit(i32);

#[test]
fn an_error_comes_out_with_the_frames_of_the_guest() {
    for mode in modes() {
        let mut world = World::new(mode);
        world.define_host("exit", ty("i32", ""), |_, _, slots| {
            Err(Exit(slots[0].i32()).into())
        });
        let id = world.instantiate(
            r#"(module
                (type $exit (func (param i32)))
                (import "host" "exit" (func $exit (param i32)))
                (table 1 funcref) (elem (i32.const 0) $exit)
                (func $inner (param i32) (call $exit (local.get 0)) (unreachable))
                (func $outer (export "outer") (param i32) (call $inner (local.get 0)))
                (func $indirect (export "indirect") (param i32)
                    (call_indirect (type $exit) (local.get 0) (i32.const 0))))"#,
        );
        for (name, expected) in [("outer", &[1, 2][..]), ("indirect", &[3])] {
            match world.call(id, name, &[Val::I32(3)]) {
                Err(CallError::Host { error, frames }) => {
                    assert_eq!(error.downcast_ref::<Exit>().unwrap().0, 3);
                    let functions: Vec<_> = frames.iter().map(|frame| frame.func_index).collect();
                    assert_eq!(functions, expected, "{mode:?}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Functions that a host function is called in place of, by name.
const TAIL_CALLS: &str = r#"(module
    (type $exit (func (param i32)))
    (import "host" "exit" (func $exit (param i32)))
    (table 1 funcref) (elem (i32.const 0) $exit)
    (func $direct (export "direct") (param i32) (return_call $exit (local.get 0)))
    (func $indirect (export "indirect") (param i32)
        (return_call_indirect (type $exit) (local.get 0) (i32.const 0)))
    (func $chain (export "chain") (param i32) (return_call $direct (local.get 0)))
    (func $call (export "call") (param i32) (call $direct (local.get 0)) (unreachable))
    (func $call_indirect (export "call_indirect") (param i32)
        (call $indirect (local.get 0)) (unreachable))
    (func $call_chain (export "call_chain") (param i32)
        (call $chain (local.get 0)) (unreachable))
    (func $twice (export "twice") (param i32) (call $call (local.get 0)) (unreachable)))"#;

/// The same from another instance: their names, as there.
const FROM_OUTSIDE: &str = r#"(module
    (import "tail" "direct" (func $direct (param i32)))
    (import "tail" "call" (func $call (param i32)))
    (func $replaced (export "replaced") (param i32) (return_call $direct (local.get 0)))
    (func $kept (export "kept") (param i32) (call $direct (local.get 0)) (unreachable))
    (func $kept_below (export "kept_below") (param i32) (call $replaced (local.get 0)) (unreachable))
    (func $above (export "above") (param i32) (return_call $call (local.get 0)))
    (func $around (export "around") (param i32) (call $above (local.get 0)) (unreachable)))"#;

#[test]
fn of_a_host_function_in_place_of_another_the_frames_come_out_that_are_there() {
    for mode in modes() {
        let mut world = World::new(mode);
        world.define_host("exit", ty("i32", ""), |_, _, slots| {
            Err(Exit(slots[0].i32()).into())
        });
        let inside = world.register("tail", TAIL_CALLS);
        let outside = world.instantiate(FROM_OUTSIDE);
        let cases: [(InstanceId, &str, &[&str]); 12] = [
            (inside, "direct", &[]),
            (inside, "indirect", &[]),
            (inside, "chain", &[]),
            (inside, "call", &["call"]),
            (inside, "call_indirect", &["call_indirect"]),
            (inside, "call_chain", &["call_chain"]),
            (inside, "twice", &["call", "twice"]),
            (outside, "replaced", &[]),
            (outside, "kept", &["kept"]),
            (outside, "kept_below", &["kept_below"]),
            (outside, "above", &["call"]),
            (outside, "around", &["call", "around"]),
        ];
        // Again in the better tier.
        for (id, name, expected) in cases.into_iter().cycle().take(3 * cases.len()) {
            match world.call(id, name, &[Val::I32(3)]) {
                Err(CallError::Host { error, frames }) => {
                    assert_eq!(error.downcast_ref::<Exit>().unwrap().0, 3);
                    let names: Vec<&str> = (frames.iter())
                        .map(|frame| frame.code.module().func_name(frame.func_index).unwrap())
                        .collect();
                    assert_eq!(names, expected, "{mode:?}: {name}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn a_panic_goes_through_the_guest_and_leaves_the_machine_usable() {
    for mode in modes() {
        let mut world = World::new(mode);
        world.define_host("panic", ty("", ""), |_, _, _| panic!("host"));
        world.define_host("nest", ty("", ""), |machine, caller, _| {
            let run = func(machine, caller.unwrap(), "run");
            machine.call(run, &mut [])?;
            Ok(())
        });
        let id = world.instantiate(
            r#"(module
                (import "host" "panic" (func $panic))
                (import "host" "nest" (func $nest))
                (func (export "run") (call $panic))
                (func (export "nested") (call $nest))
                (func (export "fine") (result i32) (i32.const 1)))"#,
        );
        for name in ["run", "nested", "run"] {
            let func = world.func(id, name);
            let outcome = catch_unwind(AssertUnwindSafe(|| world.machine.call(func, &mut [])));
            let payload = outcome.unwrap_err();
            assert_eq!(*payload.downcast::<&str>().unwrap(), "host");
            assert_eq!(world.call_i32(id, "fine", &[]).unwrap(), 1);
        }
    }
}

#[test]
fn references_are_checked_when_they_cross_the_boundary() {
    for mode in modes() {
        let mut world = World::new(mode);
        world.define_host("forge", ty("i64", "funcref"), |_, _, _| Ok(()));
        let id = world.instantiate(
            r#"(module
                (type $f (func (result i32)))
                (import "host" "forge" (func $forge (param i64) (result funcref)))
                (table 1 funcref)
                (func $f (export "f") (type $f) (i32.const 9))
                (func (export "forge") (param i64)
                    (table.set (i32.const 0) (call $forge (local.get 0))))
                (func (export "call") (param funcref) (result i32)
                    (table.set (i32.const 0) (local.get 0))
                    (call_indirect (type $f) (i32.const 0))))"#,
        );
        let f = world.func(id, "f");
        let good = world.machine.to_raw(&Val::FuncRef(Some(f)));
        let callee = world.func(id, "call");
        let mut slots = [good];
        world.machine.call(callee, &mut slots).unwrap();
        assert_eq!(slots[0].i32(), 9);
        for bits in [1, good.bits() + 8, good.bits() - 1, u64::MAX] {
            match world.machine.call(callee, &mut [Raw::from(bits)]) {
                Err(CallError::Invalid(InvalidCall::UnknownReference { index: 0 })) => {}
                other => panic!("{other:?}"),
            }
            // The host answers with what it was given: a number that is no reference.
            let forge = world.func(id, "forge");
            match world.machine.call(forge, &mut [Raw::from(bits)]) {
                Err(CallError::Host { error, .. }) => {
                    let error = error.downcast_ref::<InvalidCall>().unwrap();
                    assert_eq!(*error, InvalidCall::UnknownReference { index: 0 });
                }
                other => panic!("{other:?}"),
            }
        }
        let forge = world.func(id, "forge");
        world.machine.call(forge, &mut [good]).unwrap();
        world.machine.call(forge, &mut [Raw::from(0u64)]).unwrap();
    }
}

#[test]
fn wrong_calls_are_errors() {
    for mode in modes() {
        let mut world = World::new(mode);
        let id = world.instantiate(
            r#"(module (func (export "f") (param i32) (result i32 i32)
                (local.get 0) (local.get 0)))"#,
        );
        let func = world.func(id, "f");
        match world.machine.call(func, &mut [Raw::default()]) {
            Err(CallError::Invalid(InvalidCall::Slots {
                expected: 2,
                got: 1,
                ..
            })) => {}
            other => panic!("{other:?}"),
        }
        // A function of a machine that has more of them.
        let mut other = World::new(mode);
        let foreign = (0..100)
            .map(|_| {
                let nothing = HostClosure::new(|_, _, _| Ok(()));
                other.machine.add_host_func(ty("", ""), nothing)
            })
            .last();
        match world.machine.call(foreign.unwrap(), &mut []) {
            Err(CallError::Invalid(InvalidCall::UnknownFunction { func: 99 })) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// The stack of tests that need no other.
const STACK_BYTES: usize = MachineConfig::DEFAULT_STACK_BYTES;

#[test]
fn the_host_is_asked_about_growth() {
    #[derive(Default)]
    struct Nosy(Vec<(u64, u64, Option<u64>)>);
    impl Host for Nosy {
        fn memory_growing(
            &mut self,
            current: u64,
            desired: u64,
            maximum: Option<u64>,
        ) -> Result<bool, HostError> {
            self.0.push((current, desired, maximum));
            Ok(true)
        }
        fn table_growing(
            &mut self,
            current: u64,
            desired: u64,
            maximum: Option<u64>,
        ) -> Result<bool, HostError> {
            self.0.push((current, desired, maximum));
            Ok(desired < 10)
        }
    }
    for mode in modes() {
        let mut world = World::with_host(mode, STACK_BYTES, Nosy::default());
        let id = world.instantiate(
            r#"(module
                (memory 1 3)
                (table 2 funcref)
                (func (export "memory") (param i32 i32 i32) (result i32)
                    (i32.add (i32.mul (local.get 0) (local.get 1))
                        (i32.add (memory.grow (local.get 2)) (local.get 1))))
                (func (export "table") (param i32) (result i32)
                    (table.grow (ref.null func) (local.get 0))))"#,
        );
        assert_eq!(
            world.call_i32(id, "memory", &[3, 5, 2]).unwrap(),
            15 + 1 + 5
        );
        assert_eq!(world.call_i32(id, "table", &[8]).unwrap(), -1);
        assert_eq!(world.call_i32(id, "table", &[7]).unwrap(), 2);
        let page = 65536;
        assert_eq!(
            world.machine.host().0,
            [
                (page, 3 * page, Some(3 * page)),
                (2, 10, None),
                (2, 9, None)
            ]
        );
    }
}

#[test]
fn growth_that_fails_can_end_the_guest() {
    /// Refuses growth with an error, or only answers a failure with one.
    #[derive(Debug)]
    struct Strict {
        refuse: bool,
        failures: Vec<String>,
    }
    impl Host for Strict {
        fn memory_growing(&mut self, _: u64, _: u64, _: Option<u64>) -> Result<bool, HostError> {
            if self.refuse {
                return Err("no more memory".into());
            }
            Ok(true)
        }
        fn memory_grow_failed(&mut self, error: vm_memory::GrowError) -> Result<(), HostError> {
            self.failures.push(error.to_string());
            Err(error.into())
        }
        fn table_growing(&mut self, _: u64, _: u64, _: Option<u64>) -> Result<bool, HostError> {
            if self.refuse {
                return Err("no more elements".into());
            }
            Ok(true)
        }
        fn table_grow_failed(&mut self, error: vm_interp::EntityError) -> Result<(), HostError> {
            self.failures.push(error.to_string());
            Err(error.into())
        }
    }
    for mode in modes() {
        let host = Strict {
            refuse: true,
            failures: Vec::new(),
        };
        let mut world = World::with_host(mode, STACK_BYTES, host);
        let id = world.instantiate(
            r#"(module
                (memory 1 3)
                (table 2 4 funcref)
                (func (export "memory") (param i32) (result i32) (memory.grow (local.get 0)))
                (func (export "table") (param i32) (result i32)
                    (table.grow (ref.null func) (local.get 0))))"#,
        );
        let funcs = [world.func(id, "memory"), world.func(id, "table")];
        let grow = |world: &mut World<Strict>, func: usize, delta: i32| {
            let mut slots = [Raw::from(delta)];
            let result = world.machine.call(funcs[func], &mut slots);
            match result {
                Ok(()) => Ok(slots[0].i32()),
                Err(CallError::Host { error, frames }) => {
                    assert_eq!(frames.len(), 1);
                    Err(error.to_string())
                }
                Err(other) => panic!("{other}"),
            }
        };
        assert_eq!(grow(&mut world, 0, 1), Err("no more memory".to_owned()));
        assert_eq!(grow(&mut world, 1, 1), Err("no more elements".to_owned()));
        assert!(world.machine.host().failures.is_empty());
        world.machine.host_mut().refuse = false;
        for func in 0..2 {
            let error = grow(&mut world, func, 3).unwrap_err();
            assert_eq!(world.machine.host_mut().failures.pop(), Some(error));
        }
        // Nothing has changed, and what is allowed still happens.
        assert_eq!(grow(&mut world, 0, 2), Ok(1));
        assert_eq!(grow(&mut world, 1, 2), Ok(2));
    }
}
