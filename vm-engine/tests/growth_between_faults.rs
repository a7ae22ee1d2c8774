//! `memory.grow` between faults, in one memory, in several, and in one that two instances share: what
//! faulted a moment ago is an access after the memory has grown, and the next page faults.

mod common;

use common::{call, in_each_mode, modes};
use vm_engine::{
    Caller, Extern, Instance, Linker, Memory, MemoryType, Module, Result, Store, Trap,
};

const PAGE: u32 = 65536;

const GUEST: &str = r#"
(module
  (memory (export "memory") 0 200)
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "size") (result i32) (memory.size))
  (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
  (func (export "store") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
  ;; Both sides of a growth in one function: the base must be right after it.
  (func (export "around") (param i32) (result i32)
    (i32.store (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 4)) (i32.const 41))
    (drop (memory.grow (i32.const 1)))
    (i32.store (local.get 0) (i32.const 1))
    (i32.add
      (i32.load (local.get 0))
      (i32.load (i32.sub (local.get 0) (i32.const 4))))))"#;

fn trap<T: std::fmt::Debug>(result: Result<T>) -> Option<Trap> {
    result.unwrap_err().trap()
}

/// The word at `at` cannot be accessed at all.
fn faults(store: &mut Store<()>, instance: Instance, at: u32) {
    let load = call::<_, u32, i32>(store, instance, "load", at);
    assert_eq!(trap(load), Some(Trap::MemoryOutOfBounds), "{at:#x}");
    let write = call::<_, _, ()>(store, instance, "store", (at, -1));
    assert_eq!(trap(write), Some(Trap::MemoryOutOfBounds), "{at:#x}");
}

#[test]
fn the_boundary_moves_with_each_growth() {
    in_each_mode(GUEST, |store, instance| {
        for pages in 0..100 {
            let len = pages * PAGE;
            for at in [len, len + 4096, len + PAGE, len.wrapping_sub(3), u32::MAX] {
                faults(store, instance, at);
            }
            let before: u32 = call(store, instance, "grow", 1u32).unwrap();
            assert_eq!(before, pages);
            // New pages are zero, old ones as they were.
            for at in [len, len + PAGE - 4] {
                assert_eq!(call::<_, _, i32>(store, instance, "load", at).unwrap(), 0);
                call::<_, _, ()>(store, instance, "store", (at, at)).unwrap();
            }
            for old in [0, len / 2 / PAGE * PAGE, len] {
                assert_eq!(
                    call::<_, _, u32>(store, instance, "load", old).unwrap(),
                    old
                );
            }
        }
        // Growth that fails changes nothing.
        for delta in [101, u32::MAX] {
            assert_eq!(
                call::<_, _, i32>(store, instance, "grow", delta).unwrap(),
                -1
            );
            assert_eq!(
                call::<_, (), u32>(store, instance, "size", ()).unwrap(),
                100
            );
            faults(store, instance, 100 * PAGE);
        }
        assert_eq!(
            call::<_, _, u32>(store, instance, "grow", 100u32).unwrap(),
            100
        );
        call::<_, _, ()>(store, instance, "store", (200 * PAGE - 4, 1)).unwrap();
        faults(store, instance, 200 * PAGE - 3);
    });
}

#[test]
fn a_function_that_grows_the_memory_uses_it_at_once() {
    in_each_mode(GUEST, |store, instance| {
        call::<_, _, u32>(store, instance, "grow", 1u32).unwrap();
        for pages in 1..50 {
            let end = pages * PAGE;
            assert_eq!(
                call::<_, _, i32>(store, instance, "around", end).unwrap(),
                42
            );
            // Beyond the new page, too: the growth stays, the store does not happen.
            faults(store, instance, end + PAGE);
        }
        let around = call::<_, _, i32>(store, instance, "around", 51 * PAGE);
        assert_eq!(trap(around), Some(Trap::MemoryOutOfBounds));
        assert_eq!(call::<_, (), u32>(store, instance, "size", ()).unwrap(), 51);
    });
}

#[test]
fn the_host_grows_the_memory_between_and_inside_calls() {
    let text = r#"
    (module
      (import "host" "grow" (func $grow))
      (memory (export "memory") 1)
      (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
      (func (export "run") (param i32) (result i32)
        (i32.store (i32.const 65532) (i32.const 7))
        (call $grow)
        (i32.store (local.get 0) (i32.const 35))
        (i32.add (i32.load (local.get 0)) (i32.load (i32.const 65532)))))"#;
    for engine in modes() {
        let module = Module::new(&engine, text).unwrap();
        let mut linker = Linker::new(&engine);
        linker
            .func_wrap("host", "grow", |mut caller: Caller<'_, ()>| -> Result<()> {
                let memory = caller.get_export("memory").and_then(Extern::into_memory);
                memory.expect("it is exported").grow(&mut caller, 1)?;
                Ok(())
            })
            .unwrap();
        let mut store = Store::new(&engine, ());
        let instance = linker.instantiate(&mut store, &module).unwrap();
        let memory = instance.get_memory(&mut store, "memory").unwrap();
        for round in 0..20 {
            let pages = 1 + 3 * round;
            assert_eq!(memory.size(&store), u64::from(pages));
            let end = pages * PAGE;
            // Inside a call: the page that the host function adds is there when it returns.
            let run = call::<_, u32, i32>(&mut store, instance, "run", end);
            assert_eq!(run.unwrap(), 42);
            // Beyond what it adds; what it has added stays.
            let run = call::<_, u32, i32>(&mut store, instance, "run", end + 2 * PAGE);
            assert_eq!(trap(run), Some(Trap::MemoryOutOfBounds));
            // Between calls.
            let load = |store: &mut Store<()>| {
                call::<_, u32, i32>(store, instance, "load", end + 2 * PAGE)
            };
            assert_eq!(trap(load(&mut store)), Some(Trap::MemoryOutOfBounds));
            memory.grow(&mut store, 1).unwrap();
            assert_eq!(load(&mut store).unwrap(), 0);
        }
    }
}

#[test]
fn each_of_several_memories_grows_and_faults_for_itself() {
    let mut text = String::from("(module");
    for memory in 0..3 {
        text += &format!(
            r#"
            (memory (export "memory{memory}") 1 9)
            (func (export "load{memory}") (param i32) (result i32)
              (i32.load {memory} (local.get 0)))
            (func (export "store{memory}") (param i32 i32)
              (i32.store {memory} (local.get 0) (local.get 1)))
            (func (export "grow{memory}") (result i32) (memory.grow {memory} (i32.const 1)))"#
        );
    }
    text += ")";
    in_each_mode(&text, |store, instance| {
        let mut pages = [1u32; 3];
        // In an order that meets every combination of sizes next to each other.
        for turn in [0, 1, 2, 2, 1, 0, 0, 2, 1, 1, 0, 2] {
            for (memory, pages) in pages.iter().enumerate() {
                let (load, write) = (format!("load{memory}"), format!("store{memory}"));
                let end = pages * PAGE;
                for at in [end, end - 3, end + PAGE, u32::MAX] {
                    let result = call::<_, u32, i32>(store, instance, &load, at);
                    assert_eq!(trap(result), Some(Trap::MemoryOutOfBounds));
                    let result = call::<_, _, ()>(store, instance, &write, (at, -1));
                    assert_eq!(trap(result), Some(Trap::MemoryOutOfBounds));
                }
                let value = memory as u32 * 1000 + pages;
                call::<_, _, ()>(store, instance, &write, (end - 4, value)).unwrap();
            }
            for (memory, pages) in pages.iter().enumerate() {
                let load = format!("load{memory}");
                let loaded: u32 = call(store, instance, &load, pages * PAGE - 4).unwrap();
                assert_eq!(loaded, memory as u32 * 1000 + pages);
            }
            let before: u32 = call(store, instance, &format!("grow{turn}"), ()).unwrap();
            assert_eq!(before, pages[turn]);
            pages[turn] += 1;
        }
    });
}

/// Two instances, of different modules, share a memory of the host's: whoever grows it, all see it.
#[test]
fn a_shared_memory_that_either_instance_grows() {
    let imports = GUEST.replace(
        r#"(memory (export "memory") 0 200)"#,
        r#"(import "" "" (memory 1 200))"#,
    );
    // The other one has a function more, and reaches the memory through a re-export.
    let other = imports.replace(
        r#"(import "" "" (memory 1 200))"#,
        r#"(import "" "" (memory 1 200)) (func (export "other"))"#,
    );
    for engine in modes() {
        let mut store = Store::new(&engine, ());
        let memory = Memory::new(&mut store, MemoryType::new(1, Some(200))).unwrap();
        let instances = [imports.as_str(), other.as_str()].map(|text| {
            let module = Module::new(&engine, text).unwrap();
            Instance::new(&mut store, &module, &[Extern::from(memory)]).unwrap()
        });
        for pages in 1..60u32 {
            let end = pages * PAGE;
            for instance in instances {
                for at in [end, end - 3, u32::MAX] {
                    faults(&mut store, instance, at);
                }
            }
            let [grower, other] = match pages % 3 {
                0 => instances,
                _ => [instances[1], instances[0]],
            };
            if pages % 3 == 1 {
                memory.grow(&mut store, 1).unwrap();
            } else {
                let before: u32 = call(&mut store, grower, "grow", 1u32).unwrap();
                assert_eq!(before, pages);
            }
            call::<_, _, ()>(&mut store, other, "store", (end, pages)).unwrap();
            let loaded: u32 = call(&mut store, grower, "load", end).unwrap();
            assert_eq!(loaded, pages);
            assert_eq!(memory.size(&store), u64::from(pages + 1));
        }
    }
}
