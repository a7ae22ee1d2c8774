//! With little address space, automatic engines do without guard pages and say why; explicit ones
//! fail with an error that says why. Each case runs in a process of its own, of which a shell has lowered
//! the limit, or which has the kernel refuse requests.
#![cfg(all(unix, target_pointer_width = "64"))]

mod common;

use common::process::{after, alone};
use vm_engine::{Bounds, Config, ConfigError, Engine, Instance, Module, Store, Threading, Trap};

/// Runs the body in a process of its own under a limit on address space in KiB.
fn limited(test: &str, kib: u64, body: impl FnOnce()) {
    after(&format!("ulimit -v {kib}"), test, body);
}

/// `RLIMIT_AS` as on many shared hosts.
const TWO_GIB: u64 = 2 << 20;

fn direct_is_available() -> bool {
    let mut config = Config::new();
    config.threading(Threading::Direct).bounds(Bounds::Software);
    Engine::new(&config).is_ok()
}

#[test]
fn automatic_engines_work_and_name_the_limit() {
    limited("automatic_engines_work_and_name_the_limit", TWO_GIB, || {
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
    });
}

#[test]
fn explicit_guards_are_refused_with_the_limit() {
    limited(
        "explicit_guards_are_refused_with_the_limit",
        TWO_GIB,
        || {
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
        },
    );
}

/// Room for one guarded memory, not for two: the engine prefers guards, but the second instance
/// has to do without.
#[test]
fn an_instance_that_gets_no_guards_is_checked_in_software_and_says_so() {
    const ROOM: u64 = 13_000_000;
    const NAME: &str = "an_instance_that_gets_no_guards_is_checked_in_software_and_says_so";
    limited(NAME, ROOM, || {
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
    });
}

/// Linux limits the number of mappings. When none is left, neither memories nor the guests' stack
/// can have guards, but an automatic engine does without. (With an allocator that needs no mappings:
/// glibc's extends the heap then.)
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn a_store_that_gets_no_mappings_does_without_guards_and_says_so() {
    const NAME: &str = "a_store_that_gets_no_mappings_does_without_guards_and_says_so";
    alone(NAME, || {
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
    });
}

/// A kernel that refuses requests for memory as one does that counts every promised page, by a filter on
/// this thread's system calls. (The setting itself, `vm.overcommit_memory`, is the whole machine's, which
/// no test may change.)
#[cfg(target_os = "linux")]
mod refusals {
    use std::mem::offset_of;

    /// What is refused.
    pub(crate) enum Refused {
        /// Mappings of 4 GiB and more.
        Reservations,
        /// Access to a MiB and more of what is mapped already.
        Commits,
    }

    fn load(offset: usize) -> libc::sock_filter {
        let code = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
        libc::sock_filter {
            code,
            jt: 0,
            jf: 0,
            k: offset as u32,
        }
    }

    /// Goes on if the comparison holds, else skips `otherwise` instructions.
    fn unless(comparison: u32, value: u32, otherwise: u8) -> libc::sock_filter {
        libc::sock_filter {
            code: (libc::BPF_JMP | comparison | libc::BPF_K) as u16,
            jt: 0,
            jf: otherwise,
            k: value,
        }
    }

    fn answer(value: u32) -> libc::sock_filter {
        libc::sock_filter {
            code: (libc::BPF_RET | libc::BPF_K) as u16,
            jt: 0,
            jf: 0,
            k: value,
        }
    }

    /// From now on, until the process ends. See seccomp(2).
    pub(crate) fn begin(refused: Refused) {
        let number = offset_of!(libc::seccomp_data, nr);
        // The lower half of an argument stands first.
        let argument = |n: usize| offset_of!(libc::seccomp_data, args) + 8 * n;
        let (call, at, least) = match refused {
            Refused::Reservations => (libc::SYS_mmap, argument(1) + 4, 1),
            Refused::Commits => (libc::SYS_mprotect, argument(1), 1 << 20),
        };
        let mut filter = [
            load(number),
            unless(libc::BPF_JEQ, call as u32, 3),
            load(at),
            unless(libc::BPF_JGE, least, 1),
            answer(libc::SECCOMP_RET_ERRNO | libc::ENOMEM as u32),
            answer(libc::SECCOMP_RET_ALLOW),
        ];
        let program = libc::sock_fprog {
            len: filter.len() as u16,
            filter: filter.as_mut_ptr(),
        };
        // SAFETY: the kernel copies the program.
        unsafe {
            assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
            let mode = libc::SECCOMP_MODE_FILTER;
            assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, mode, &program), 0);
        }
    }
}

#[cfg(all(target_os = "linux", target_endian = "little"))]
#[test]
fn refused_reservations_are_done_without_or_reported() {
    alone("refused_reservations_are_done_without_or_reported", || {
        // One engine from before, which has chosen guards.
        let earlier = Engine::new(&Config::new()).unwrap();
        refusals::begin(refusals::Refused::Reservations);
        let later = Engine::new(&Config::new()).unwrap();
        assert_eq!(later.strategy().bounds, Bounds::Software);
        for engine in [&earlier, &later] {
            let text = r#"
            (memory 1)
            (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
            (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))"#;
            let module = Module::new(engine, text).unwrap();
            let mut store = Store::new(engine, ());
            let instance = Instance::new(&mut store, &module, &[]).unwrap();
            assert_eq!(instance.bounds(&store), Bounds::Software);
            if engine.strategy().bounds == Bounds::Guarded {
                let note = instance.bounds_note(&store).unwrap();
                assert!(note.contains("the operating system refused it"), "{note}");
            }
            for pages in 1..5 {
                let load = |store: &mut Store<()>, at: i32| {
                    common::call::<_, i32, i32>(store, instance, "load", at)
                };
                assert_eq!(load(&mut store, pages * 65536 - 4).unwrap(), 0);
                let error = load(&mut store, pages * 65536 - 3).unwrap_err();
                assert_eq!(error.trap(), Some(Trap::MemoryOutOfBounds));
                let grown = common::call::<_, i32, i32>(&mut store, instance, "grow", 1);
                assert_eq!(grown.unwrap(), pages);
            }
        }
        if direct_is_available() {
            let text = later.strategy().to_string();
            assert!(text.contains("the operating system refused it"), "{text}");
            let mut config = Config::new();
            config.bounds(Bounds::Guarded);
            let error = Engine::new(&config).unwrap_err();
            assert!(
                matches!(error.downcast_ref(), Some(ConfigError::Guarded { .. })),
                "{error}"
            );
        }
    });
}

#[cfg(all(target_os = "linux", target_endian = "little"))]
#[test]
fn a_growth_that_is_refused_is_the_guests_to_handle() {
    alone("a_growth_that_is_refused_is_the_guests_to_handle", || {
        if !direct_is_available() {
            return;
        }
        let mut config = Config::new();
        config.bounds(Bounds::Guarded);
        let engine = Engine::new(&config).unwrap();
        let text = r#"
        (memory 1)
        (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
        (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))"#;
        let module = Module::new(&engine, text).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        refusals::begin(refusals::Refused::Commits);
        let mut pages = 1;
        for (delta, granted) in [
            (1, true),
            (16, false),
            (100, false),
            (15, true),
            (16, false),
        ] {
            let grown = common::call::<_, i32, i32>(&mut store, instance, "grow", delta).unwrap();
            assert_eq!(grown, if granted { pages } else { -1 }, "{delta}");
            pages += if granted { delta } else { 0 };
            let mut load = |at| common::call::<_, i32, i32>(&mut store, instance, "load", at);
            assert_eq!(load(pages * 65536 - 4).unwrap(), 0);
            let error = load(pages * 65536 - 3).unwrap_err();
            assert_eq!(error.trap(), Some(Trap::MemoryOutOfBounds));
        }
    });
}
