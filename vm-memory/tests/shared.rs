//! Memories that threads share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::Waker;
use std::time::Duration;

use vm_memory::{
    AtomicError, Expected, InvalidMemoryType, Layout, LinearMemory, MemoryError, MemoryType,
    SharedMemory, Ticks, WaitResult, Waiter, copy,
};

const PAGE: u64 = 65_536;

/// One with guards, where the host has them, and one without.
fn kinds(ty: &MemoryType) -> Vec<SharedMemory> {
    let mut kinds = vec![SharedMemory::new_bounded(ty).unwrap()];
    match SharedMemory::new_guarded(ty, Layout::FULL) {
        Ok(memory) => kinds.push(memory),
        Err(error) => eprintln!("not tested with guards: {error}"),
    }
    kinds
}

#[test]
fn a_memory_grows_in_place_up_to_its_maximum() {
    for memory in kinds(&MemoryType::new(1, Some(3))) {
        let base = memory.base_ptr();
        assert_eq!(memory.byte_len(), PAGE);
        memory.write(PAGE - 2, &[1, 2]).unwrap();
        assert!(memory.write(PAGE - 1, &[1, 2]).is_err());
        assert_eq!(memory.grow(0).unwrap(), 1);
        assert_eq!(memory.grow(2).unwrap(), 1);
        assert!(memory.grow(1).is_err());
        assert_eq!((memory.pages(), memory.base_ptr()), (3, base));
        let mut bytes = [9; 4];
        memory.read(PAGE - 2, &mut bytes).unwrap();
        assert_eq!(bytes, [1, 2, 0, 0]);
        memory.write(3 * PAGE - 1, &[7]).unwrap();
        assert!(memory.read(3 * PAGE - 1, &mut [0; 2]).is_err());
        assert!(memory.read(u64::MAX, &mut [0; 2]).is_err());
        assert_eq!(memory.data().len() as u64, 3 * PAGE);
        let extent = memory.extent();
        assert_eq!(extent.base, base);
        assert_eq!(extent.len.load(Ordering::Relaxed), 3 * PAGE);
    }
}

#[test]
fn pages_of_one_byte_are_as_many_as_there_are() {
    let ty = MemoryType {
        page_size_log2: 0,
        ..MemoryType::new(5, Some(10_000))
    };
    let memory = SharedMemory::new_bounded(&ty).unwrap();
    memory.write(4, &[1]).unwrap();
    assert!(memory.write(5, &[1]).is_err());
    assert_eq!(memory.grow(9000).unwrap(), 5);
    memory.write(9004, &[1]).unwrap();
    assert!(memory.write(9005, &[1]).is_err());
    assert!(memory.grow(996).is_err());
}

#[test]
fn types_without_a_maximum_are_refused() {
    for refused in [
        SharedMemory::new_bounded(&MemoryType::new(1, None)),
        SharedMemory::new_guarded(&MemoryType::new(1, None), Layout::FULL),
    ] {
        assert!(matches!(
            refused,
            Err(MemoryError::InvalidType(
                InvalidMemoryType::SharedWithoutMaximum
            ))
        ));
    }
    let huge = MemoryType {
        memory64: true,
        ..MemoryType::new(0, Some(1 << 48))
    };
    assert!(SharedMemory::new_bounded(&huge).is_err());
}

#[test]
fn no_bytes_are_lent_and_copies_are_made_as_of_any_other() {
    let ty = MemoryType::new(1, Some(1));
    for shared in kinds(&ty) {
        let mut memory = LinearMemory::Shared(shared.clone());
        assert!(memory.data().is_empty() && memory.data_mut().is_empty());
        assert!(memory.slice(0, 1).is_err() && memory.slice_mut(0, 1).is_err());
        assert_eq!(memory.byte_len(), PAGE);
        memory.write(10, b"abcdef").unwrap();
        memory.copy_within(12, 10, 6).unwrap();
        memory.fill(10, 2, b'x').unwrap();
        let mut plain = LinearMemory::new_bounded(&ty).unwrap();
        copy(&mut plain, 3, &memory, 10, 8).unwrap();
        assert_eq!(plain.slice(0, 12).unwrap(), b"\0\0\0xxabcdef\0");
        copy(&mut memory, 100, &plain, 3, 8).unwrap();
        let mut other = LinearMemory::Shared(kinds(&ty).remove(0));
        copy(&mut other, 200, &memory, 100, 8).unwrap();
        let mut bytes = [0; 8];
        other.read(200, &mut bytes).unwrap();
        assert_eq!(&bytes, b"xxabcdef");
        for (to, from) in [(PAGE - 7, 0), (0, PAGE - 7)] {
            assert!(copy(&mut other, to, &memory, from, 8).is_err());
            assert!(copy(&mut memory, to, &plain, from, 8).is_err());
            assert!(copy(&mut plain, to, &memory, from, 8).is_err());
        }
        assert!(shared.same(&shared.clone()));
        assert!(!shared.same(&kinds(&ty).remove(0)));
    }
}

#[test]
fn waiting_and_waking() {
    for memory in kinds(&MemoryType::new(1, Some(1))) {
        let moment = Some(Duration::from_micros(1));
        assert_eq!(memory.atomic_wait32(0, 1, None), Ok(WaitResult::Mismatch));
        assert_eq!(memory.atomic_wait64(0, 0, moment), Ok(WaitResult::TimedOut));
        let (address, width) = (2, 4);
        let unaligned = AtomicError::Unaligned { address, width };
        assert_eq!(memory.atomic_notify(2, 1), Err(unaligned));
        assert_eq!(memory.atomic_wait32(2, 0, moment), Err(unaligned));
        assert!(matches!(
            memory.atomic_wait64(PAGE, 0, moment),
            Err(AtomicError::OutOfBounds(_))
        ));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert_eq!(memory.atomic_wait32(8, 0, None), Ok(WaitResult::Ok)));
            }
            let mut woken = 0;
            while woken < 4 {
                assert_eq!(memory.atomic_notify(8, 0), Ok(0));
                let now = memory.atomic_notify(8, 3).unwrap();
                assert!(now <= 3);
                woken += now;
            }
        });
        assert_eq!(memory.atomic_notify(8, 9), Ok(0));
    }
}

#[test]
fn a_wait_can_be_stopped() {
    let memory = SharedMemory::new_bounded(&MemoryType::new(1, Some(1))).unwrap();
    let expected = Expected::U32(0);
    // Before it begins, in the middle, and by who is asked again and again.
    let waiter = Arc::new(Waiter::new());
    Waker::from(Arc::clone(&waiter)).wake();
    assert_eq!(memory.wait(0, expected, None, &waiter, None), Ok(None));
    let waiter = Arc::new(Waiter::new());
    std::thread::scope(|scope| {
        scope.spawn(|| assert_eq!(memory.wait(0, expected, None, &waiter, None), Ok(None)));
        std::thread::sleep(Duration::from_millis(2));
        Waker::from(Arc::clone(&waiter)).wake();
    });
    let mut left = 3;
    let ticks = Ticks {
        every: Duration::from_micros(10),
        goes_on: &mut || {
            left -= 1;
            left > 0
        },
    };
    let waiter = Arc::new(Waiter::new());
    assert_eq!(
        memory.wait(0, expected, None, &waiter, Some(ticks)),
        Ok(None)
    );
    assert_eq!(left, 0);
    assert_eq!(memory.atomic_notify(0, 1), Ok(0));
}

/// Whatever comes first, a wake that was counted has woken somebody, and who was not woken was not counted.
#[test]
fn wakes_that_race_with_stops_and_time_outs_are_counted_right() {
    let memory = SharedMemory::new_bounded(&MemoryType::new(1, Some(1))).unwrap();
    let (woken, done) = (AtomicU32::new(0), AtomicBool::new(false));
    let rounds = if cfg!(miri) { 20 } else { 2000 };
    std::thread::scope(|scope| {
        let waits: Vec<_> = (0..3_u64)
            .map(|thread| {
                let (memory, woken) = (&memory, &woken);
                scope.spawn(move || {
                    for n in 0..rounds {
                        let timeout = Some(Duration::from_nanos((n * 7 + thread * 13) % 4000));
                        let waiter = Arc::new(Waiter::new());
                        let waker = Waker::from(Arc::clone(&waiter));
                        let result = std::thread::scope(|scope| {
                            if n % 3 == 0 {
                                scope.spawn(move || waker.wake());
                            }
                            memory.wait(64, Expected::U64(0), timeout, &waiter, None)
                        });
                        if result == Ok(Some(WaitResult::Ok)) {
                            woken.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                })
            })
            .collect();
        let wakes = scope.spawn(|| {
            let mut counted = 0;
            while !done.load(Ordering::Relaxed) {
                counted += memory.atomic_notify(64, 2).unwrap();
                std::thread::yield_now();
            }
            counted
        });
        for wait in waits {
            wait.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        assert_eq!(wakes.join().unwrap(), woken.load(Ordering::Relaxed));
    });
}

#[test]
fn what_threads_copy_at_the_same_time_is_of_one_or_the_other() {
    let memory = SharedMemory::new_bounded(&MemoryType::new(1, Some(40))).unwrap();
    let rounds = if cfg!(miri) { 5 } else { 500 };
    std::thread::scope(|scope| {
        for value in [0x11, 0xee] {
            let memory = &memory;
            scope.spawn(move || {
                for n in 0..rounds {
                    memory.write(n % 9, &[value; 100]).unwrap();
                    memory.fill(2000 - n % 9, 100, value).unwrap();
                    memory.copy_within(1000 + n % 7, n % 5, 100).unwrap();
                    let mut bytes = [0; 64];
                    memory.read(1010, &mut bytes).unwrap();
                    assert!(bytes.iter().all(|byte| matches!(byte, 0 | 0x11 | 0xee)));
                }
            });
        }
        scope.spawn(|| while memory.grow(1).is_ok() {});
    });
    assert_eq!(memory.pages(), 40);
}

/// Of everything a fixed amount, on threads that are joined one by one: what `.ci/valgrind` has Helgrind look at.
#[test]
fn a_crowd_waits_wakes_stops_and_grows() {
    const WAITS: u64 = if cfg!(miri) { 5 } else { 100 };
    let memory = SharedMemory::new_bounded(&MemoryType::new(1, Some(1 + WAITS))).unwrap();
    let waits = (0..3_u64).map(|thread| {
        let waiters: Vec<_> = (0..WAITS).map(|_| Arc::new(Waiter::new())).collect();
        let (memory, stopped) = (memory.clone(), waiters.clone());
        let waits = std::thread::spawn(move || {
            let mut woken = 0;
            for (n, waiter) in (0..).zip(&waiters) {
                let timeout = Some(Duration::from_micros((n * 7 + thread * 13) % 40));
                let result = memory.wait(64, Expected::U64(0), timeout, waiter, None);
                woken += u32::from(result == Ok(Some(WaitResult::Ok)));
            }
            woken
        });
        // Some of them before they wait, some in the middle.
        let stops = std::thread::spawn(move || {
            for waiter in stopped.into_iter().step_by(3) {
                Waker::from(waiter).wake();
                std::thread::yield_now();
            }
        });
        (waits, stops)
    });
    let waits: Vec<_> = waits.collect();
    let wakes = [1, 2].map(|most| {
        let memory = memory.clone();
        std::thread::spawn(move || {
            let mut woken = 0;
            for _ in 0..WAITS {
                woken += memory.atomic_notify(64, most).unwrap();
                std::thread::yield_now();
            }
            woken
        })
    });
    let grows = [0, 1].map(|_| {
        let memory = memory.clone();
        std::thread::spawn(move || {
            for _ in 0..WAITS / 2 {
                let before = memory.grow(1).unwrap();
                assert!(memory.byte_len() > before * PAGE);
                memory.write((before + 1) * PAGE - 8, &[1; 8]).unwrap();
            }
        })
    });
    let mut woken = 0;
    for (waits, stops) in waits {
        woken += waits.join().unwrap();
        stops.join().unwrap();
    }
    let counted: u32 = wakes.map(|wakes| wakes.join().unwrap()).iter().sum();
    for grows in grows {
        grows.join().unwrap();
    }
    assert_eq!(woken, counted);
    assert_eq!(memory.pages(), 1 + WAITS / 2 * 2);
    assert_eq!(memory.atomic_notify(64, 9), Ok(0));
}
