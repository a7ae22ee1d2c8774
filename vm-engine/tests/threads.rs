//! Memories that threads share: each thread has a store and an instance of its own.

mod common;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant as Time};

use common::threads::{few, instance, read};
use common::{call, modes, modes_with};
use vm_engine::{
    Bounds, Engine, Instance, Linker, Memory, MemoryType, Module, SharedMemory, Store, Trap,
    WaitResult,
};

const MUTEX: &str = r#"(module
  (import "env" "memory" (memory 1 200 shared))
  ;; A mutex at 0: 0 is free, 1 is locked, 2 is locked and somebody may wait. What it guards is at 8 and beyond the page's middle.
  (func $lock
    (local i32)
    (if (i32.eqz (i32.atomic.rmw.cmpxchg (i32.const 0) (i32.const 0) (i32.const 1)))
      (then (return)))
    (loop $again
      (if (i32.eqz (i32.atomic.rmw.xchg (i32.const 0) (i32.const 2))) (then (return)))
      (drop (memory.atomic.wait32 (i32.const 0) (i32.const 2) (i64.const -1)))
      (br $again)))
  (func $unlock
    (if (i32.eq (i32.atomic.rmw.xchg (i32.const 0) (i32.const 0)) (i32.const 2))
      (then (drop (memory.atomic.notify (i32.const 0) (i32.const 1))))))
  (func (export "locked") (param i32)
    (loop
      (call $lock)
      (i64.store (i32.const 8) (i64.add (i64.load (i32.const 8)) (i64.const 1)))
      (f64.store (i32.const 32771) (f64.add (f64.load (i32.const 32771)) (f64.const 1)))
      (call $unlock)
      (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
  ;; Every width and every operation, in cells of which each has the bytes of its width.
  (func (export "atomics") (param i32)
    (loop
      (drop (i32.atomic.rmw8.add_u (i32.const 64) (i32.const 3)))
      (drop (i64.atomic.rmw16.add_u (i32.const 66) (i64.const 257)))
      (drop (i32.atomic.rmw.add (i32.const 68) (i32.const 0x10001)))
      (drop (i64.atomic.rmw.add (i32.const 72) (i64.const 0x100000001)))
      (drop (i64.atomic.rmw8.sub_u (i32.const 80) (i64.const 5)))
      (drop (i32.atomic.rmw16.sub_u (i32.const 82) (i32.const 7)))
      (drop (i64.atomic.rmw32.sub_u (i32.const 84) (i64.const 9)))
      (drop (i64.atomic.rmw.sub (i32.const 88) (i64.const 11)))
      (drop (i32.atomic.rmw8.xor_u (i32.const 96) (i32.const 0xff)))
      (drop (i32.atomic.rmw16.xor_u (i32.const 98) (i32.const 0xf0f0)))
      (drop (i64.atomic.rmw32.xor_u (i32.const 100) (i64.const 0x12345678)))
      (drop (i64.atomic.rmw.xor (i32.const 104) (i64.const 0x123456789abcdef)))
      (drop (i32.atomic.rmw.or (i32.const 112) (local.get 0)))
      (drop (i64.atomic.rmw32.and_u (i32.const 116) (i64.extend_i32_s (i32.sub (i32.const -1) (local.get 0)))))
      (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
  ;; Grows by a page and writes to the end of what is there then, which others may see grow further.
  (func (export "grow") (result i32)
    (local i32)
    (local.set 0 (memory.grow (i32.const 1)))
    (if (i32.ne (local.get 0) (i32.const -1))
      (then (i32.atomic.store
        (i32.add (i32.mul (local.get 0) (i32.const 65536)) (i32.const 65532)) (local.get 0))))
    (local.get 0))
  (func (export "last") (param i32) (result i32)
    (i32.load (i32.add (i32.mul (local.get 0) (i32.const 65536)) (i32.const 65532))))
  (func (export "size") (result i32) (memory.size))
  (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
  (func (export "atomic_load") (param i32) (result i32) (i32.atomic.load offset=4 (local.get 0)))
  (func (export "wait32") (param i32 i32 i64) (result i32)
    (memory.atomic.wait32 (local.get 0) (local.get 1) (local.get 2)))
  (func (export "wait64") (param i32 i64 i64) (result i32)
    (memory.atomic.wait64 (local.get 0) (local.get 1) (local.get 2)))
  (func (export "notify") (param i32 i32) (result i32)
    (memory.atomic.notify (local.get 0) (local.get 1)))
  (func (export "fill") (param i32 i32 i32)
    (memory.fill (local.get 0) (local.get 1) (local.get 2)))
  (func (export "copy") (param i32 i32 i32)
    (memory.copy (local.get 0) (local.get 1) (local.get 2)))
  (func (export "init") (param i32)
    (memory.init $d (local.get 0) (i32.const 1) (i32.const 3)))
  (data $d "abcde")
  (func (export "vector") (param i32 i32) (result i64)
    (v128.store align=1 (local.get 0) (i64x2.splat (i64.const 0x1122334455667788)))
    (i64x2.extract_lane 1 (v128.load align=1 (local.get 1))))
  (func (export "narrow") (param i32) (result i64)
    (i32.store8 (local.get 0) (i32.const 0x81))
    (i32.store16 offset=1 (local.get 0) (i32.const 0x9192))
    (i64.store32 offset=3 (local.get 0) (i64.const 0xa1a2a3a4))
    (i64.store offset=7 (local.get 0) (i64.const -2))
    (i64.add
      (i64.add (i64.load8_s (local.get 0)) (i64.load16_s offset=1 (local.get 0)))
      (i64.add (i64.load32_s offset=3 (local.get 0)) (i64.load offset=7 (local.get 0))))))"#;

/// A memory of an engine and a module that imports it.
fn world(engine: &Engine) -> (Module, SharedMemory) {
    let module = Module::new(engine, MUTEX).unwrap();
    let memory = SharedMemory::new(engine, MemoryType::shared(1, 200)).unwrap();
    (module, memory)
}

#[test]
fn one_thread_sees_what_it_does_in_every_mode() {
    for engine in modes() {
        let (module, memory) = world(&engine);
        let (mut store, instance) = instance(&module, &memory);
        assert_eq!(memory.bounds(), engine.strategy().bounds);
        assert_eq!(instance.bounds(&store), engine.strategy().bounds);
        let mut narrow = |at: i32| call::<_, _, i64>(&mut store, instance, "narrow", at).unwrap();
        let expected =
            (0x81_u8 as i8 as i64) + (0x9192_u16 as i16 as i64) + (0xa1a2_a3a4_u32 as i32 as i64)
                - 2;
        for at in [0, 1, 2, 3, 5, 8, 60_000] {
            assert_eq!(narrow(at), expected, "at {at}");
        }
        assert_eq!(
            call::<_, _, i64>(&mut store, instance, "vector", (17, 17)).unwrap(),
            0x1122_3344_5566_7788
        );
        call::<_, _, ()>(&mut store, instance, "fill", (100, 0x2a, 5000)).unwrap();
        call::<_, _, ()>(&mut store, instance, "copy", (103, 99, 4000)).unwrap();
        call::<_, _, ()>(&mut store, instance, "init", 99).unwrap();
        assert_eq!(
            read::<8>(&memory, 97),
            [0, 0, b'b', b'c', b'd', 0x2a, 0, 0x2a],
            "{}",
            engine.strategy()
        );
        for (name, params) in [("fill", (65_530, 1, 7)), ("copy", (0, 65_530, 7))] {
            let error = call::<_, _, ()>(&mut store, instance, name, params).unwrap_err();
            assert_eq!(error.trap(), Some(Trap::MemoryOutOfBounds));
        }
        for (name, at, trap) in [
            ("load", 65_533, Trap::MemoryOutOfBounds),
            ("load", -4, Trap::MemoryOutOfBounds),
            ("atomic_load", 65_532, Trap::MemoryOutOfBounds),
            ("atomic_load", -4, Trap::MemoryOutOfBounds),
            ("atomic_load", 2, Trap::UnalignedAtomic),
        ] {
            let error = call::<_, _, i32>(&mut store, instance, name, at).unwrap_err();
            assert_eq!(error.trap(), Some(trap), "{name} at {at}");
        }
        assert_eq!(
            call::<_, _, i32>(&mut store, instance, "grow", ()).unwrap(),
            1
        );
        assert_eq!(
            call::<_, _, i32>(&mut store, instance, "last", 1).unwrap(),
            1
        );
        assert_eq!(memory.size(), 2);
    }
}

#[test]
fn waits_end_as_they_should() {
    for engine in modes() {
        let (module, memory) = world(&engine);
        let (mut store, instance) = instance(&module, &memory);
        let mut wait32 = |at: i32, expected: i32, timeout: i64| {
            call::<_, _, i32>(&mut store, instance, "wait32", (at, expected, timeout))
                .map_err(|error| error.trap())
        };
        assert_eq!(wait32(64, 1, -1), Ok(1));
        assert_eq!(wait32(64, 0, 0), Ok(2));
        assert_eq!(wait32(64, 0, 1_000_000), Ok(2));
        assert_eq!(wait32(65, 0, 0), Err(Some(Trap::UnalignedAtomic)));
        assert_eq!(wait32(65_536, 0, 0), Err(Some(Trap::MemoryOutOfBounds)));
        let mut wait64 = |at: i32, expected: i64, timeout: i64| {
            call::<_, _, i32>(&mut store, instance, "wait64", (at, expected, timeout))
                .map_err(|error| error.trap())
        };
        memory.write(72, &(1_u64 << 40).to_le_bytes()).unwrap();
        assert_eq!(wait64(72, 0, -1), Ok(1));
        assert_eq!(wait64(72, 1 << 40, 1), Ok(2));
        assert_eq!(wait64(76, 0, 0), Err(Some(Trap::UnalignedAtomic)));
        let mut notify = |at: i32| {
            call::<_, _, i32>(&mut store, instance, "notify", (at, -1))
                .map_err(|error| error.trap())
        };
        assert_eq!(notify(64), Ok(0));
        assert_eq!(notify(66), Err(Some(Trap::UnalignedAtomic)));
        assert_eq!(notify(65_536), Err(Some(Trap::MemoryOutOfBounds)));
        assert_eq!(
            memory.atomic_wait32(64, 0, Some(Duration::from_micros(1))),
            Ok(WaitResult::TimedOut)
        );
        assert_eq!(memory.atomic_wait64(64, 1, None), Ok(WaitResult::Mismatch));
        assert_eq!(
            memory.atomic_wait64(68, 1, None),
            Err(Trap::UnalignedAtomic)
        );
        assert_eq!(
            memory.atomic_notify(1 << 20, 1),
            Err(Trap::MemoryOutOfBounds)
        );
    }
}

/// Some count under a mutex, some by atomics alone; some grow the memory meanwhile, and some trap.
#[test]
fn sixty_four_threads_use_one_memory() {
    const THREADS: u32 = 64;
    let turns = few(2000);
    for engine in modes() {
        let (module, memory) = world(&engine);
        let grown = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (module, memory, grown) = (&module, &memory, &grown);
                scope.spawn(move || {
                    let (mut store, instance) = instance(module, memory);
                    let store = &mut store;
                    match thread % 4 {
                        0 | 1 => call::<_, _, ()>(store, instance, "locked", turns as i32).unwrap(),
                        2 => call::<_, _, ()>(store, instance, "atomics", turns as i32).unwrap(),
                        _ => {
                            for n in 0..12 {
                                let before =
                                    call::<_, _, i32>(store, instance, "grow", ()).unwrap();
                                if before >= 0 {
                                    grown.fetch_add(1, Ordering::Relaxed);
                                    let last = call::<_, _, i32>(store, instance, "last", before);
                                    assert_eq!(last.unwrap(), before);
                                }
                                let (name, trap) = match n % 2 {
                                    0 => ("atomic_load", Trap::UnalignedAtomic),
                                    _ => ("load", Trap::MemoryOutOfBounds),
                                };
                                let at = 200 * 65_536 + n % 2 + 1;
                                let error =
                                    call::<_, _, i32>(store, instance, name, at).unwrap_err();
                                assert_eq!(error.trap(), Some(trap));
                            }
                        }
                    }
                });
            }
        });
        assert_eq!(memory.size(), 1 + u64::from(grown.load(Ordering::Relaxed)));
        let total = u64::from(THREADS / 2 * turns);
        assert_eq!(u64::from_le_bytes(read(&memory, 8)), total);
        assert_eq!(f64::from_le_bytes(read(&memory, 32_771)), total as f64);
        let adds = u64::from(THREADS / 4 * turns);
        let low = |value: u64, bytes: usize| value.to_le_bytes()[..bytes].to_vec();
        let mut expected = Vec::new();
        expected.extend(low(adds * 3, 1));
        expected.extend([0]);
        expected.extend(low(adds * 257, 2));
        expected.extend(low(adds * 0x10001, 4));
        expected.extend(low(adds * 0x1_0000_0001, 8));
        expected.extend(low((adds * 5).wrapping_neg(), 1));
        expected.extend([0]);
        expected.extend(low((adds * 7).wrapping_neg(), 2));
        expected.extend(low((adds * 9).wrapping_neg(), 4));
        expected.extend(low((adds * 11).wrapping_neg(), 8));
        // An even number of times.
        expected.extend([0; 16]);
        let ors = (1..=turns).fold(0, |all, n| all | n);
        expected.extend(ors.to_le_bytes());
        expected.extend([0; 4]);
        assert_eq!(
            read::<56>(&memory, 64).to_vec(),
            expected,
            "{}",
            engine.strategy()
        );
    }
}

/// Each waits for its turn at a place of its own, and passes it on.
#[test]
fn a_ring_of_waiting_threads_turns() {
    const THREADS: u32 = 8;
    let rounds = few(400);
    const RING: &str = r#"(module
      (import "env" "memory" (memory 1 1 shared))
      (func (export "run") (param $me i32) (param $next i32) (param $rounds i32)
        (loop $round
          (block $mine
            (loop $wait
              (br_if $mine (i32.atomic.rmw.cmpxchg (local.get $me) (i32.const 1) (i32.const 0)))
              (drop (memory.atomic.wait32 (local.get $me) (i32.const 0) (i64.const -1)))
              (br $wait)))
          (i64.store (i32.const 0) (i64.add (i64.load (i32.const 0)) (i64.const 1)))
          (i32.atomic.store (local.get $next) (i32.const 1))
          (drop (memory.atomic.notify (local.get $next) (i32.const 1)))
          (br_if $round (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1)))))))"#;
    for engine in modes() {
        let module = Module::new(&engine, RING).unwrap();
        let memory = SharedMemory::new(&engine, MemoryType::shared(1, 1)).unwrap();
        memory.write(64, &1_u32.to_le_bytes()).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (module, memory) = (&module, &memory);
                scope.spawn(move || {
                    let (mut store, instance) = instance(module, memory);
                    let at = |thread: u32| 64 * (1 + (thread % THREADS) as i32);
                    let params = (at(thread), at(thread + 1), rounds as i32);
                    call::<_, _, ()>(&mut store, instance, "run", params).unwrap();
                });
            }
        });
        let count = u64::from_le_bytes(read(&memory, 0));
        assert_eq!(count, u64::from(THREADS * rounds));
    }
}

#[test]
fn who_waits_is_woken_by_the_host_an_interrupt_or_an_epoch() {
    for engine in modes_with(|config| {
        config.epoch_interruption(true);
    }) {
        let (module, memory) = world(&engine);
        let started = Time::now();
        let waits = |expected: Result<i32, Trap>, then: &dyn Fn(vm_engine::InterruptHandle)| {
            let (mut store, instance) = instance(&module, &memory);
            store.set_epoch_deadline(1);
            let handle = store.interrupt_handle().unwrap();
            let done = AtomicBool::new(false);
            std::thread::scope(|scope| {
                let waiter = scope.spawn(|| {
                    let result =
                        call::<_, _, i32>(&mut store, instance, "wait32", (128, 0, -1_i64));
                    done.store(true, Ordering::Relaxed);
                    result.map_err(|error| error.trap().unwrap())
                });
                while !done.load(Ordering::Relaxed) {
                    then(handle.clone());
                    std::thread::sleep(Duration::from_micros(200));
                }
                assert_eq!(waiter.join().unwrap(), expected);
            });
        };
        waits(Ok(0), &|_| {
            memory.atomic_notify(128, 1).unwrap();
        });
        waits(Err(Trap::Interrupt), &|handle| {
            handle.interrupt();
        });
        waits(Err(Trap::Interrupt), &|_| engine.increment_epoch());
        // Nobody has waited for ever.
        assert!(started.elapsed() < Duration::from_secs(60));
    }
}

#[test]
fn a_notification_is_for_as_many_as_it_says_and_counts_them() {
    let engine = Engine::default();
    let (module, memory) = world(&engine);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let (mut store, instance) = instance(&module, &memory);
                let result = call::<_, _, i32>(&mut store, instance, "wait32", (256, 0, -1_i64));
                assert_eq!(result.unwrap(), 0);
            });
        }
        let mut woken = 0;
        while woken < 6 {
            let now = memory.atomic_notify(256, 4).unwrap();
            assert!(now <= 4);
            // Nobody waits anywhere else.
            assert_eq!(memory.atomic_notify(260, u32::MAX), Ok(0));
            woken += now;
            std::thread::yield_now();
        }
        assert_eq!(memory.atomic_notify(256, u32::MAX), Ok(0));
    });
}

#[test]
fn the_same_memory_is_the_same_in_every_instance_of_a_store() {
    for engine in modes() {
        let (module, memory) = world(&engine);
        let (mut store, first) = instance(&module, &memory);
        let second = Instance::new(&mut store, &module, &[memory.clone().into()]).unwrap();
        call::<_, _, ()>(&mut store, first, "fill", (300, 7, 4)).unwrap();
        assert_eq!(
            call::<_, _, i32>(&mut store, second, "load", 300).unwrap(),
            0x0707_0707
        );
        assert_eq!(call::<_, _, i32>(&mut store, first, "grow", ()).unwrap(), 1);
        assert_eq!(
            call::<_, _, i32>(&mut store, second, "size", ()).unwrap(),
            2
        );
    }
}

#[test]
fn an_instance_can_have_a_shared_memory_of_its_own_and_give_it_to_others() {
    let text = r#"(module (memory (export "memory") 1 3 shared) (data (i32.const 4) "\01\02\03\04")
      (func (export "load") (result i32) (i32.load (i32.const 4))))"#;
    for engine in modes() {
        let owner = Module::new(&engine, text).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &owner, &[]).unwrap();
        assert_eq!(
            call::<_, _, i32>(&mut store, instance, "load", ()).unwrap(),
            0x0403_0201
        );
        assert!(instance.get_memory(&mut store, "memory").is_none());
        let memory = instance.get_shared_memory(&mut store, "memory").unwrap();
        assert_eq!(memory.ty().to_string(), "shared memory of 1 to 3 pages");
        let error = instance.snapshot(&store).unwrap_err().to_string();
        assert!(error.contains("a shared memory of its own"), "{error}");
        let error = instance.reset(&mut store).unwrap_err().to_string();
        assert!(error.contains("a shared memory of its own"), "{error}");

        let text = r#"(module (import "m" "memory" (memory 1 3 shared))
          (func (export "grow") (result i32) (memory.grow (i32.const 2))))"#;
        let user = Module::new(&engine, text).unwrap();
        let mut other = Store::new(&engine, ());
        let mut linker = Linker::new(&engine);
        linker
            .define(&mut other, "m", "memory", memory.clone())
            .unwrap();
        let user = linker.instantiate(&mut other, &user).unwrap();
        assert_eq!(call::<_, _, i32>(&mut other, user, "grow", ()).unwrap(), 1);
        assert_eq!(call::<_, _, i32>(&mut other, user, "grow", ()).unwrap(), -1);
        drop((store, other));
        assert_eq!(memory.size(), 3);
        assert_eq!(memory.data_size(), 3 * 65_536);
        assert_eq!(read::<4>(&memory, 4), [1, 2, 3, 4]);
        memory.write(3 * 65_536 - 1, &[9]).unwrap();
        assert!(memory.write(3 * 65_536 - 1, &[9, 9]).is_err());
        assert!(memory.grow(1).is_err());
    }
}

#[test]
fn kinds_of_memories_do_not_mix() {
    for engine in modes() {
        let (module, _) = world(&engine);
        let mut store = Store::new(&engine, ());
        let plain = Memory::new(&mut store, MemoryType::new(1, Some(200))).unwrap();
        let error = Instance::new(&mut store, &module, &[plain.into()]).unwrap_err();
        assert!(error.to_string().contains("shared"), "{error}");
        let wants = r#"(module (import "env" "memory" (memory 1 200)))"#;
        let wants = Module::new(&engine, wants).unwrap();
        let shared = SharedMemory::new(&engine, MemoryType::shared(1, 200)).unwrap();
        let error = Instance::new(&mut store, &wants, &[shared.into()]).unwrap_err();
        assert!(error.to_string().contains("shared"), "{error}");
        let error = Memory::new(&mut store, MemoryType::shared(1, 2)).unwrap_err();
        assert!(error.to_string().contains("SharedMemory::new"), "{error}");
        let error = SharedMemory::new(&engine, MemoryType::new(1, Some(2))).unwrap_err();
        assert!(error.to_string().contains("MemoryType::shared"), "{error}");
    }
}

/// A memory without guards goes to an engine that has guards: its instance is checked by code.
#[test]
fn a_memory_without_guards_is_checked_by_code() {
    let mut config = vm_engine::Config::new();
    config.bounds(Bounds::Software);
    let software = Engine::new(&config).unwrap();
    let memory = SharedMemory::new(&software, MemoryType::shared(1, 200)).unwrap();
    let engine = Engine::default();
    let module = Module::new(&engine, MUTEX).unwrap();
    let (mut store, instance) = instance(&module, &memory);
    assert_eq!(instance.bounds(&store), Bounds::Software);
    let error = call::<_, _, i32>(&mut store, instance, "load", 65_536).unwrap_err();
    assert_eq!(error.trap(), Some(Trap::MemoryOutOfBounds));
    memory.grow(1).unwrap();
    assert_eq!(
        call::<_, _, i32>(&mut store, instance, "load", 65_536).unwrap(),
        0
    );
}

#[test]
fn atomics_can_be_switched_off() {
    for engine in modes_with(|config| {
        config.wasm_threads(false);
    }) {
        for text in [
            "(module (memory 1 1 shared))",
            "(module (memory 1) (func (drop (i32.atomic.load (i32.const 0)))))",
        ] {
            let error = Module::new(&engine, text).unwrap_err().to_string();
            assert!(error.contains("threads"), "{error}");
        }
    }
}
