//! References to functions as machines know them: by which safe caller ever, a guest gets none of another type than it relies on.

mod common;

use common::{World, modes};
use vm_interp::{EntityError, HostClosure, Raw, TrapCode, Val};
use vm_translate::{
    FuncType, GlobalType, HeapType, RefType, RegisteredType, TableType, TypeId, ValType,
};

const GUEST: &str = r#"(module
    (type $t (func (param i32) (result i32)))
    (import "host" "give" (func $give (result (ref null $t))))
    (func $f (export "f") (type $t) (i32.add (local.get 0) (i32.const 1)))
    (func $g (export "g") (param i64))
    (func (export "call") (param (ref null $t) i32) (result i32)
        (call_ref $t (local.get 1) (local.get 0)))
    (func (export "certain") (param (ref $t) i32) (result i32)
        (call_ref $t (local.get 1) (local.get 0)))
    (func (export "tail") (param (ref null $t) i32) (result i32)
        (return_call_ref $t (local.get 1) (local.get 0)))
    (func (export "given") (param i32) (result i32)
        (call_ref $t (local.get 0) (call $give))))"#;

fn concrete(nullable: bool, id: TypeId) -> RefType {
    RefType::new(nullable, HeapType::Concrete(id))
}

#[test]
fn guests_are_given_references_of_their_types_only() {
    for mode in modes() {
        let mut world = World::new(mode);
        let unary = RegisteredType::new(&common::ty("i32", "i32"));
        let answer = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
        let given = answer.clone();
        let give = FuncType::new([], [concrete(true, unary.id()).into()]);
        world.define_host("give", give, move |_, _, slots| {
            slots[0] = Raw::from(given.load(std::sync::atomic::Ordering::Relaxed));
            Ok(())
        });
        let id = world.instantiate(GUEST);
        let (f, g) = (world.func(id, "f"), world.func(id, "g"));
        assert!(*world.machine.func_type(f) == unary);
        let reference = |func| Val::FuncRef(Some(func));
        for _ in 0..5 {
            for name in ["call", "certain", "tail"] {
                let args = [reference(f), Val::I32(4)];
                assert_eq!(world.call(id, name, &args).unwrap(), [Val::I32(5)]);
                assert!(world.call(id, name, &[reference(g), Val::I32(4)]).is_err());
            }
            let null = [Val::FuncRef(None), Val::I32(4)];
            for name in ["call", "tail"] {
                assert_eq!(world.trap(id, name, &null).code, TrapCode::NullReference);
            }
            assert!(world.call(id, "certain", &null).is_err());

            let mut give = |value: Val| {
                let bits = world.machine.to_raw(&value).bits();
                answer.store(bits, std::sync::atomic::Ordering::Relaxed);
                world.call_i32(id, "given", &[7])
            };
            assert_eq!(give(reference(f)).unwrap(), 8);
            assert!(give(reference(g)).is_err());
            assert!(give(Val::FuncRef(None)).is_err());
            // No address of a function at all.
            answer.store(0x1234, std::sync::atomic::Ordering::Relaxed);
            assert!(world.call_i32(id, "given", &[7]).is_err());
        }
    }
}

#[test]
fn tables_and_globals_hold_their_types() {
    for mode in modes() {
        let mut world = World::new(mode);
        let nothing = || HostClosure::new(|_, _, _| Ok(()));
        let machine = &mut world.machine;
        let ty = RegisteredType::new(&common::ty("i32 i32 f32 i32", "f64 i64"));
        let (id, number) = (ty.id(), ty.number());
        let func = machine.add_host_func(ty.clone(), nothing());
        let other = machine.add_host_func(common::ty("", ""), nothing());
        let table = TableType {
            element: concrete(false, id),
            minimum: 1,
            maximum: None,
            table64: false,
        };
        let global = GlobalType {
            content: concrete(true, id).into(),
            mutable: true,
        };
        assert!(machine.add_table(table, Val::FuncRef(None)).is_err());
        let table = machine.add_table(table, Val::FuncRef(Some(func))).unwrap();
        let global = machine.add_global(global, Val::FuncRef(None)).unwrap();
        // Nobody else holds the type, and its number is not given to another.
        drop(ty);
        let many: Vec<_> = (1..100)
            .map(|n| RegisteredType::new(&FuncType::new(vec![ValType::F32; n + 500], [])))
            .collect();
        assert!(many.iter().all(|ty| ty.number() != number));
        for wrong in [Val::FuncRef(Some(other)), Val::FuncRef(None)] {
            let refused = machine.table_set(table, 0, wrong);
            assert!(
                matches!(refused, Err(EntityError::Type { .. })),
                "{refused:?}"
            );
            assert!(machine.table_grow(table, 1, wrong).is_err());
            assert!(machine.table_fill(table, wrong).is_err());
        }
        assert!(
            machine
                .global_set(global, Val::FuncRef(Some(other)))
                .is_err()
        );
        machine
            .global_set(global, Val::FuncRef(Some(func)))
            .unwrap();
        assert_eq!(machine.global_get(global), Val::FuncRef(Some(func)));
        assert_eq!(machine.table_get(table, 0), Some(Val::FuncRef(Some(func))));
    }
}
