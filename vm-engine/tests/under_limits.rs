//! With little address space, automatic engines do without guard pages and say why; explicit ones
//! fail with an error that says why. Each case runs in a process of its own, started by a shell that
//! lowers the limit.
#![cfg(all(unix, target_pointer_width = "64"))]

mod common;

use std::process::Command;

use vm_engine::{Bounds, Config, ConfigError, Engine, Instance, Module, Store, Threading, Trap};

/// Set in the process with the limit.
const CHILD: &str = "VM_ENGINE_UNDER_LIMIT";

/// Runs a test of this file again under a limit on address space in KiB. Returns whether this is
/// that run.
fn limited(test: &str, kib: u64) -> bool {
    alone(test, &format!("ulimit -v {kib}"))
}

/// Runs a test of this file again in a process of its own, after a shell command. Returns whether
/// this is that run.
fn alone(test: &str, first: &str) -> bool {
    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    let output = Command::new("sh")
        .arg("-c")
        .arg(format!(r#"{first} && exec "$0" "$@""#))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    false
}

fn direct_is_available() -> bool {
    let mut config = Config::new();
    config.threading(Threading::Direct).bounds(Bounds::Software);
    Engine::new(&config).is_ok()
}

#[test]
fn automatic_engines_work_and_name_the_limit() {
    if !limited("automatic_engines_work_and_name_the_limit", 4_000_000) {
        return;
    }
    let engine = Engine::new(&Config::new()).unwrap();
    assert_eq!(engine.strategy().bounds, Bounds::Software);
    if direct_is_available() {
        assert_eq!(engine.strategy().threading, Threading::Direct);
        let text = engine.strategy().to_string();
        assert!(text.contains("ulimit -v"), "{text}");
    }
    let module = Module::new(
        &engine,
        r#"(memory 1) (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))"#,
    )
    .unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let load = instance
        .get_typed_func::<i32, i32>(&mut store, "load")
        .unwrap();
    assert_eq!(load.call(&mut store, 0).unwrap(), 0);
    let error = load.call(&mut store, 65533).unwrap_err();
    assert_eq!(error.trap(), Some(Trap::MemoryOutOfBounds));
}

#[test]
fn explicit_guards_are_refused_with_the_limit() {
    if !limited("explicit_guards_are_refused_with_the_limit", 4_000_000) {
        return;
    }
    let mut config = Config::new();
    config.bounds(Bounds::Guarded);
    let error = Engine::new(&config).unwrap_err();
    if direct_is_available() {
        assert!(
            matches!(error.downcast_ref(), Some(ConfigError::Guarded { .. })),
            "{error}"
        );
        assert!(error.to_string().contains("ulimit -v"), "{error}");
    } else {
        assert!(matches!(
            error.downcast_ref(),
            Some(ConfigError::GuardedNeedsDirect { .. })
        ));
    }
}

/// Room for one guarded memory, not for two: the engine prefers guards, but the second instance
/// has to do without.
#[test]
fn an_instance_that_gets_no_guards_is_checked_in_software_and_says_so() {
    const ROOM: u64 = 13_000_000;
    if !limited(
        "an_instance_that_gets_no_guards_is_checked_in_software_and_says_so",
        ROOM,
    ) {
        return;
    }
    if !direct_is_available() {
        return;
    }
    let text = r#"
    (module
      (memory (export "memory") 1)
      (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
      (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"#;
    let engine = Engine::new(&Config::new()).unwrap();
    assert_eq!(engine.strategy().bounds, Bounds::Guarded);
    let module = Module::new(&engine, text).unwrap();
    let mut store = Store::new(&engine, ());
    let first = Instance::new(&mut store, &module, &[]).unwrap();
    let second = Instance::new(&mut store, &module, &[]).unwrap();
    assert_eq!(first.bounds(&store), Bounds::Guarded);
    assert_eq!(first.bounds_note(&store), None);
    assert_eq!(second.bounds(&store), Bounds::Software);
    let note = second.bounds_note(&store).unwrap();
    assert!(note.contains("ulimit -v"), "{note}");
    for instance in [first, second, first] {
        let load = |store: &mut Store<()>, at: i32| {
            common::call::<_, i32, i32>(store, instance, "load", at)
        };
        let pages = instance
            .get_memory(&mut store, "memory")
            .unwrap()
            .size(&store) as i32;
        assert_eq!(load(&mut store, pages * 65536 - 4).unwrap(), 0);
        for at in [pages * 65536 - 3, -1] {
            let error = load(&mut store, at).unwrap_err();
            assert_eq!(error.trap(), Some(Trap::MemoryOutOfBounds));
        }
        assert_eq!(
            common::call::<_, i32, i32>(&mut store, instance, "grow", 1).unwrap(),
            pages
        );
        assert_eq!(load(&mut store, pages * 65536).unwrap(), 0);
    }

    // A module that imports the memory without guards is checked, too.
    let importer = Module::new(
        &engine,
        r#"(import "" "" (memory 1))
           (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))"#,
    )
    .unwrap();
    let memory = second.get_memory(&mut store, "memory").unwrap();
    let third = Instance::new(&mut store, &importer, &[memory.into()]).unwrap();
    assert_eq!(third.bounds(&store), Bounds::Software);
    assert!(third.bounds_note(&store).unwrap().contains("imports"));
    assert!(common::call::<_, i32, i32>(&mut store, third, "load", -1).is_err());

    // Asked for explicitly, guards are never given up silently.
    let mut config = Config::new();
    config.bounds(Bounds::Guarded);
    drop(store);
    let engine = Engine::new(&config).unwrap();
    let module = Module::new(&engine, text).unwrap();
    let mut store = Store::new(&engine, ());
    Instance::new(&mut store, &module, &[]).unwrap();
    let error = Instance::new(&mut store, &module, &[]).unwrap_err();
    assert!(error.is::<vm_engine::InstantiateError>(), "{error}");
    assert!(error.to_string().contains("ulimit -v"), "{error}");
}

/// Linux limits the number of mappings. When none is left, neither memories nor the guests' stack
/// can have guards, but an automatic engine does without. (With an allocator that needs no mappings:
/// glibc's extends the heap then.)
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn a_store_that_gets_no_mappings_does_without_guards_and_says_so() {
    if !alone(
        "a_store_that_gets_no_mappings_does_without_guards_and_says_so",
        "true",
    ) {
        return;
    }
    if !direct_is_available() {
        return;
    }
    let engine = Engine::new(&Config::new()).unwrap();
    assert_eq!(engine.strategy().bounds, Bounds::Guarded);
    let module = Module::new(
        &engine,
        r#"(memory 1) (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))"#,
    )
    .unwrap();

    // Every page that differs from its neighbours is a mapping.
    let page = vm_memory::host_page_size();
    let mut hoard = vm_memory::Reservation::new(page << 20).unwrap();
    let taken = (0..1 << 19)
        .take_while(|i| hoard.commit(2 * i * page, page).is_ok())
        .count();
    if taken == 1 << 19 {
        eprintln!("not tested: this host allows over a million mappings");
        return;
    }
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    assert_eq!(instance.bounds(&store), Bounds::Software);
    let note = instance.bounds_note(&store).unwrap().to_owned();
    let load = instance
        .get_typed_func::<i32, i32>(&mut store, "load")
        .unwrap();
    assert_eq!(load.call(&mut store, 65532).unwrap(), 0);
    let error = load.call(&mut store, 65533).unwrap_err();
    assert_eq!(error.trap(), Some(Trap::MemoryOutOfBounds));
    drop(hoard);
    assert!(note.contains("vm.max_map_count"), "{note}");
}
