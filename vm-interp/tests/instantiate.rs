//! What instantiation and the entities refuse, so that no safe caller can break a machine.

mod common;

use common::{Extern, World, modes, ty};
use vm_interp::{
    Code, CodeError, CodeOptions, Entities, EntityError, FuncId, HostClosure, InstantiateError,
    Threading, Val,
};
use vm_memory::{Layout, LinearMemory};
use vm_translate::{
    ExternKind, FuncType, GlobalType, HeapType, MemoryType, RefType, TableType, ValType,
};

const WAT: &str = r#"(module
    (import "e" "f" (func (param i32) (result i64)))
    (import "e" "t" (table 2 5 funcref))
    (import "e" "m" (memory 1 3))
    (import "e" "g" (global (mut f32))))"#;

/// Adds a host function of a type, which nobody calls.
fn add_nothing(world: &mut World, ty: FuncType) -> FuncId {
    let nothing = HostClosure::new(|_, _, _| Ok(()));
    world.machine.add_host_func(ty, nothing)
}

/// Entities that match the module.
fn entities(world: &mut World) -> Entities {
    let table = TableType {
        element: RefType::FUNCREF,
        minimum: 3,
        maximum: Some(5),
        table64: false,
    };
    let memory = memory_type(2, Some(2));
    let global = GlobalType {
        content: ValType::F32,
        mutable: true,
    };
    Entities {
        functions: vec![add_nothing(world, ty("i32", "i64"))],
        tables: vec![world.machine.add_table(table, Val::FuncRef(None)).unwrap()],
        memories: vec![world.add_memory(&memory)],
        globals: vec![world.machine.add_global(global, Val::F32(0)).unwrap()],
        ..Entities::default()
    }
}

fn memory_type(minimum: u64, maximum: Option<u64>) -> MemoryType {
    MemoryType {
        minimum,
        maximum,
        page_size_log2: 16,
        memory64: false,
        shared: false,
    }
}

fn mismatch(result: Result<vm_interp::InstanceId, InstantiateError>, expected: ExternKind) {
    match result {
        Err(InstantiateError::Mismatch { kind, index: 0, .. }) => assert_eq!(kind, expected),
        other => panic!("{other:?}"),
    }
}

#[test]
fn entities_have_to_match_the_module() {
    for mode in modes() {
        let mut world = World::new(mode);
        let code = world.code(WAT);
        let good = entities(&mut world);
        world.machine.instantiate(&code, good.clone()).unwrap();

        let func = add_nothing(&mut world, ty("i32", "i32"));
        let wrong = Entities {
            functions: vec![func],
            ..good.clone()
        };
        mismatch(world.machine.instantiate(&code, wrong), ExternKind::Func);

        for (element, minimum, maximum) in [
            (RefType::EXTERNREF, 3, Some(5)),
            (RefType::FUNCREF, 1, Some(5)),
            (RefType::FUNCREF, 3, Some(6)),
            (RefType::FUNCREF, 3, None),
        ] {
            let ty = TableType {
                element,
                minimum,
                maximum,
                table64: false,
            };
            let table = world
                .machine
                .add_table(ty, Val::zero(element.into()))
                .unwrap();
            let wrong = Entities {
                tables: vec![table],
                ..good.clone()
            };
            mismatch(world.machine.instantiate(&code, wrong), ExternKind::Table);
        }
        for (minimum, maximum) in [(0, Some(3)), (1, Some(4)), (1, None)] {
            let memory = world.add_memory(&memory_type(minimum, maximum));
            let wrong = Entities {
                memories: vec![memory],
                ..good.clone()
            };
            mismatch(world.machine.instantiate(&code, wrong), ExternKind::Memory);
        }
        for (content, mutable) in [(ValType::F64, true), (ValType::F32, false)] {
            let ty = GlobalType { content, mutable };
            let global = world.machine.add_global(ty, Val::zero(content)).unwrap();
            let wrong = Entities {
                globals: vec![global],
                ..good.clone()
            };
            mismatch(world.machine.instantiate(&code, wrong), ExternKind::Global);
        }
    }
}

#[test]
fn entities_have_to_be_there() {
    for mode in modes() {
        let mut world = World::new(mode);
        let code = world.code(WAT);
        let good = entities(&mut world);
        let mut empty = World::new(mode);
        match empty.machine.instantiate(&code, good.clone()) {
            Err(InstantiateError::Unknown {
                kind: ExternKind::Func,
                index: 0,
            }) => {}
            other => panic!("{other:?}"),
        }
        for (wrong, expected) in [
            (
                Entities {
                    functions: vec![],
                    ..good.clone()
                },
                ExternKind::Func,
            ),
            (
                Entities {
                    tables: vec![],
                    ..good.clone()
                },
                ExternKind::Table,
            ),
            (
                Entities {
                    memories: vec![],
                    ..good.clone()
                },
                ExternKind::Memory,
            ),
            (
                Entities {
                    globals: vec![],
                    ..good.clone()
                },
                ExternKind::Global,
            ),
        ] {
            match world.machine.instantiate(&code, wrong) {
                Err(InstantiateError::Count {
                    kind,
                    expected: 1,
                    got: 0,
                }) => {
                    assert_eq!(kind, expected);
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn limits_are_compared_with_the_size_of_now() {
    for mode in modes() {
        let mut world = World::new(mode);
        let memory = world.add_memory(&memory_type(0, Some(3)));
        world.define("e", "m", Extern::Memory(memory));
        let code = world.code(r#"(module (import "e" "m" (memory 2 3)))"#);
        let entities = || Entities {
            memories: vec![memory],
            ..Default::default()
        };
        mismatch(
            world.machine.instantiate(&code, entities()),
            ExternKind::Memory,
        );
        world.machine.grow_memory(memory, 2).unwrap();
        world.machine.instantiate(&code, entities()).unwrap();
    }
}

#[test]
fn code_that_relies_on_a_guard_needs_one() {
    for mode in modes().into_iter().filter(|mode| mode.guarded) {
        let mut world = World::new(mode);
        let code = world.code(r#"(module (memory 1 2))"#);
        let ty = vm_memory::MemoryType::new(1, Some(2));
        let small = Layout::with_guard(1 << 20).unwrap();
        for memory in [
            LinearMemory::new_bounded(&ty).unwrap(),
            LinearMemory::new_guarded(&ty, small).unwrap(),
        ] {
            let memory = world.machine.add_memory(memory);
            let entities = Entities {
                memories: vec![memory],
                ..Default::default()
            };
            mismatch(
                world.machine.instantiate(&code, entities),
                ExternKind::Memory,
            );
        }
    }
}

#[test]
fn token_code_never_relies_on_a_guard() {
    let world = World::new(modes()[0]);
    let module = world.code("(module)").module().clone();
    let options = CodeOptions {
        unchecked: Some(Layout::FULL),
        ..CodeOptions::new(Threading::Token)
    };
    match Code::new(module, options) {
        Err(CodeError::TokenUnchecked) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn values_have_to_be_of_the_right_type() {
    for mode in modes() {
        let mut world = World::new(mode);
        let machine = &mut world.machine;
        let constant = GlobalType {
            content: ValType::I32,
            mutable: false,
        };
        let wrong = EntityError::Type {
            expected: ValType::I32,
            got: ValType::I64,
        };
        assert_eq!(machine.add_global(constant, Val::I64(0)), Err(wrong));
        let global = machine.add_global(constant, Val::I32(5)).unwrap();
        assert_eq!(
            machine.global_set(global, Val::I32(6)),
            Err(EntityError::Immutable)
        );
        assert_eq!(machine.global_get(global), Val::I32(5));

        let ty = TableType {
            element: RefType::FUNCREF,
            minimum: 2,
            maximum: Some(4),
            table64: false,
        };
        let table = machine.add_table(ty, Val::FuncRef(None)).unwrap();
        let wrong = EntityError::Type {
            expected: ValType::FUNCREF,
            got: RefType::new(true, HeapType::NoExtern).into(),
        };
        assert_eq!(
            machine.table_set(table, 0, Val::ExternRef(None)),
            Err(wrong)
        );
        let past = EntityError::TableIndex { index: 2, len: 2 };
        assert_eq!(machine.table_set(table, 2, Val::FuncRef(None)), Err(past));
        let large = EntityError::TableSize { elements: 5 };
        assert_eq!(machine.table_grow(table, 3, Val::FuncRef(None)), Err(large));

        let mut other = World::new(mode);
        let foreign = add_nothing(&mut other, common::ty("", ""));
        let unknown = EntityError::UnknownFunction { func: 0 };
        let result = world
            .machine
            .table_set(table, 0, Val::FuncRef(Some(foreign)));
        assert_eq!(result, Err(unknown));
    }
}

#[test]
fn element_segments_take_what_the_module_says() {
    for mode in modes() {
        let mut world = World::new(mode);
        let code = world.code(
            r#"(module
                (import "" "g" (global $g funcref))
                (table 2 funcref)
                (func $f) (func $h)
                (elem funcref (ref.func $f) (global.get $g))
                (elem funcref (ref.null func) (ref.func $h)))"#,
        );
        let module = code.module();
        let null = Val::FuncRef(None);
        let table = world.machine.add_table(module.tables()[0], null).unwrap();
        let global = world.machine.add_global(module.globals()[0], null).unwrap();
        let entities = Entities {
            tables: vec![table],
            globals: vec![global],
            ..Default::default()
        };
        let id = world.machine.instantiate(&code, entities).unwrap();
        let mut func = |index| Val::FuncRef(Some(world.machine.instance_func(id, index)));
        let (f, h) = (func(0), func(1));
        for (segment, values) in [
            (0, &[][..]),
            (0, &[f]),
            (0, &[f, Val::ExternRef(None)]),
            (0, &[f, null, null]),
            // It has no expressions: all of its items are references.
            (1, &[null, h]),
            (2, &[]),
        ] {
            let result = world.machine.elem_init(id, segment, values);
            assert!(
                matches!(result, Err(InstantiateError::Elements { .. })),
                "{segment}: {values:?}"
            );
        }
        for (segment, values, expected) in [(0, &[f, h][..], [f, h]), (1, &[], [null, h])] {
            world.machine.elem_init(id, segment, values).unwrap();
            world.machine.table_init(id, 0, segment, 0, 0, 2).unwrap();
            for (index, item) in (0..).zip(expected) {
                assert_eq!(world.machine.table_get(table, index), Some(item));
            }
        }
    }
}
