//! Host functions that are closures.

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use common::{Extern, World, modes, ty};
use vm_interp::{
    CallError, FuncId, Host, HostClosure, HostError, InstanceId, InvalidCall, Machine,
    MachineConfig, Raw, call,
};

/// Adds a closure under a name.
fn define(
    world: &mut World,
    name: &str,
    params: &str,
    results: &str,
    closure: impl Fn(&mut World, Option<InstanceId>, &mut [Raw]) -> Result<(), HostError>
    + Send
    + Sync
    + 'static,
) -> FuncId {
    let closure = HostClosure::new(closure);
    let id = world.machine.add_host_closure(ty(params, results), closure);
    world.define("host", name, Extern::Func(id));
    id
}

#[test]
fn closures_know_what_they_have_captured_and_who_calls() {
    for mode in modes() {
        let mut world = World::new(mode);
        let added = Arc::new(());
        let captured = Arc::clone(&added);
        let add = define(
            &mut world,
            "add",
            "i32 i32",
            "i32",
            move |world, caller, slots| {
                world.log.push(caller.map_or(-1, |id| id.number().into()));
                let sum = slots[0].i32() + slots[1].i32() + Arc::strong_count(&captured) as i32;
                slots[0] = Raw::from(sum);
                Ok(())
            },
        );
        let id = world.instantiate(
            r#"(module
                (import "host" "add" (func $add (param i32 i32) (result i32)))
                (func (export "f") (param i32 f64) (result i32) (local i32 f64)
                    (local.set 2 (call $add (local.get 0) (i32.const 20)))
                    (local.set 3 (f64.add (local.get 1) (f64.const 0.5)))
                    (i32.add (call $add (local.get 2) (local.get 0))
                        (i32.trunc_f64_s (f64.mul (local.get 3) (local.get 1))))))"#,
        );
        let f = world.func(id, "f");
        let mut slots = [Raw::from(3), Raw::from(4.0)];
        call(&mut world, f, &mut slots).unwrap();
        assert_eq!(slots[0].i32(), (3 + 20 + 2) + 3 + 2 + 18);
        let mut slots = [Raw::from(1), Raw::from(2)];
        call(&mut world, add, &mut slots).unwrap();
        assert_eq!(slots[0].i32(), 5);
        let caller = i64::from(id.number());
        assert_eq!(world.log, [caller, caller, -1]);
        drop(world);
        assert_eq!(
            Arc::strong_count(&added),
            1,
            "the machine's end is the closure's"
        );
    }
}

#[test]
fn registers_survive_a_call_whichever_function_makes_it() {
    for mode in modes() {
        for (ints, floats) in (0..8).flat_map(|ints| (0..8).map(move |floats| (ints, floats))) {
            let mut world = World::new(mode);
            define(&mut world, "clobber", "", "", |world, caller, _| {
                // Another guest's function uses registers of its own.
                let clobber = world.func(caller.unwrap(), "clobber");
                Ok(call(world, clobber, &mut [])?)
            });
            let locals = "(local i64)".repeat(ints) + &"(local f64)".repeat(floats);
            let all = 0..ints + floats;
            let value = |n: usize| n as i64 + 1;
            let set = |n: usize| {
                let ty = if n < ints { "i64" } else { "f64" };
                format!("(local.set {n} ({ty}.const {}))", value(n))
            };
            let get = |n: usize| match n < ints {
                true => format!("(i64.add (local.get {n}))"),
                false => format!("(i64.add (i64.trunc_f64_s (local.get {n})))"),
            };
            let (sets, gets): (String, String) = (
                all.clone().map(set).collect(),
                all.clone().map(get).collect(),
            );
            let clobbers: String = (0..8)
                .map(|n| format!("(local.set {n} (i64.const -7))"))
                .collect();
            let id = world.instantiate(&format!(
                r#"(module
                    (import "host" "clobber" (func $clobber))
                    (func (export "f") (result i64) {locals}
                        {sets} (call $clobber) (call $between) (i64.const 0) {gets})
                    (func $between (call $clobber))
                    (func (export "clobber") (local i64 i64 i64 i64 i64 i64 i64 i64) {clobbers}))"#,
            ));
            let f = world.func(id, "f");
            let mut slots = [Raw::default()];
            call(&mut world, f, &mut slots).unwrap();
            assert_eq!(
                slots[0].i64(),
                all.map(value).sum::<i64>(),
                "{mode:?} {ints} {floats}"
            );
        }
    }
}

#[test]
fn results_are_checked_as_those_of_other_host_functions() {
    for mode in modes() {
        let mut world = World::new(mode);
        define(&mut world, "narrow", "", "i32", |_, _, slots| {
            slots[0] = Raw::from(u64::MAX);
            Ok(())
        });
        define(&mut world, "several", "", "i64 i32", |_, _, slots| {
            slots.fill(Raw::from(u64::MAX));
            Ok(())
        });
        define(&mut world, "forged", "", "funcref", |_, _, slots| {
            slots[0] = Raw::from(1u64);
            Ok(())
        });
        let id = world.instantiate(
            r#"(module
                (import "host" "narrow" (func $narrow (result i32)))
                (import "host" "several" (func $several (result i64 i32)))
                (import "host" "forged" (func $forged (result funcref)))
                (memory 1)
                (func (export "narrow") (result i64) (i64.extend_i32_u (call $narrow)))
                (func (export "inside") (result i32)
                    (i32.load8_u (i32.add (call $narrow) (i32.const 1))))
                (func (export "several") (result i64) (local i64)
                    (call $several) (i64.extend_i32_u) (local.set 0) (i64.sub (local.get 0)))
                (func (export "forged") (drop (call $forged))))"#,
        );
        for (name, expected) in [
            ("narrow", 0xffff_ffff),
            ("inside", 0),
            ("several", -0x1_0000_0000),
        ] {
            let func = world.func(id, name);
            let mut slots = [Raw::default()];
            call(&mut world, func, &mut slots).unwrap();
            assert_eq!(slots[0].i64(), expected, "{mode:?} {name}");
        }
        let forged = world.func(id, "forged");
        match call(&mut world, forged, &mut []) {
            Err(CallError::Host { error, frames }) => {
                let error = error.downcast_ref::<InvalidCall>().unwrap();
                assert_eq!(*error, InvalidCall::UnknownReference { index: 0 });
                assert_eq!(frames.len(), 1);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn closures_are_not_called_for_hosts_of_another_type() {
    struct Other(Machine);
    impl Host for Other {
        fn machine(&mut self) -> &mut Machine {
            &mut self.0
        }
    }
    for mode in modes() {
        let mut world = World::new(mode);
        let nothing = define(&mut world, "nothing", "", "", |_, _, _| Ok(()));
        let number = world.machine.add_host_func(ty("", ""), 7);
        let id = world.instantiate(
            r#"(module (import "host" "nothing" (func $nothing))
                (func (export "f") (call $nothing)))"#,
        );
        let f = world.func(id, "f");
        call(&mut world, f, &mut []).unwrap();
        let mut other = Other(world.machine);
        for func in [nothing, f] {
            match call(&mut other, func, &mut []) {
                Err(CallError::Host { error, .. }) => {
                    let error = error.downcast_ref::<InvalidCall>().unwrap();
                    assert!(matches!(error, InvalidCall::WrongHost { .. }), "{error}");
                }
                other => panic!("{other:?}"),
            }
        }
        match call(&mut other, number, &mut []) {
            Err(CallError::Host { error, .. }) => {
                let error = error.downcast_ref::<InvalidCall>().unwrap();
                assert_eq!(*error, InvalidCall::UnknownNumber { number: 7 });
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_closure_outlives_the_machine_that_it_drops() {
    struct Alive(Arc<AtomicBool>);
    impl Drop for Alive {
        fn drop(&mut self) {
            self.0.store(false, Ordering::SeqCst);
        }
    }
    for mode in modes() {
        let (sender, receiver) = mpsc::channel();
        // The closure must never return: the process would end. So its thread never ends.
        std::thread::spawn(move || {
            let mut world = World::new(mode);
            let flag = Arc::new(AtomicBool::new(true));
            let alive = Alive(Arc::clone(&flag));
            define(&mut world, "drop", "", "", move |world, _, _| {
                let other = Machine::new(MachineConfig {
                    threading: mode.threading,
                    guarded_stack: false,
                    stack_bytes: 1 << 16,
                })?;
                drop(std::mem::replace(&mut world.machine, other));
                let _ = sender.send(alive.0.load(Ordering::SeqCst));
                loop {
                    std::thread::park();
                }
            });
            let id = world.instantiate(
                r#"(module (import "host" "drop" (func $drop)) (func (export "f") (call $drop)))"#,
            );
            let f = world.func(id, "f");
            let _ = call(&mut world, f, &mut []);
        });
        assert_eq!(receiver.recv(), Ok(true), "{mode:?}");
    }
}
