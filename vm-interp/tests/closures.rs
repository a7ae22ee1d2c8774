//! Host functions that are closures.

mod common;

use std::sync::Arc;

use common::{World, func, modes, ty};
use vm_interp::{CallError, InvalidCall, Raw};

#[test]
fn closures_know_what_they_have_captured_and_who_calls() {
    for mode in modes() {
        let mut world = World::new(mode);
        let added = Arc::new(());
        let captured = Arc::clone(&added);
        let add = world.define_host(
            "add",
            ty("i32 i32", "i32"),
            move |machine, caller, slots| {
                machine
                    .host_mut()
                    .log
                    .push(caller.map_or(-1, |id| id.number().into()));
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
        world.machine.call(f, &mut slots).unwrap();
        assert_eq!(slots[0].i32(), (3 + 20 + 2) + 3 + 2 + 18);
        let mut slots = [Raw::from(1), Raw::from(2)];
        world.machine.call(add, &mut slots).unwrap();
        assert_eq!(slots[0].i32(), 5);
        let caller = i64::from(id.number());
        assert_eq!(world.log(), [caller, caller, -1]);
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
            world.define_host("clobber", ty("", ""), |machine, caller, _| {
                // Another guest's function uses registers of its own.
                let clobber = func(machine, caller.unwrap(), "clobber");
                Ok(machine.call(clobber, &mut [])?)
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
            world.machine.call(f, &mut slots).unwrap();
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
        world.define_host("narrow", ty("", "i32"), |_, _, slots| {
            slots[0] = Raw::from(u64::MAX);
            Ok(())
        });
        world.define_host("several", ty("", "i64 i32"), |_, _, slots| {
            slots.fill(Raw::from(u64::MAX));
            Ok(())
        });
        world.define_host("forged", ty("", "funcref"), |_, _, slots| {
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
            world.machine.call(func, &mut slots).unwrap();
            assert_eq!(slots[0].i64(), expected, "{mode:?} {name}");
        }
        let forged = world.func(id, "forged");
        match world.machine.call(forged, &mut []) {
            Err(CallError::Host { error, frames }) => {
                let error = error.downcast_ref::<InvalidCall>().unwrap();
                assert_eq!(*error, InvalidCall::UnknownReference { index: 0 });
                assert_eq!(frames.len(), 1);
            }
            other => panic!("{other:?}"),
        }
    }
}
