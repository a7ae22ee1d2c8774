//! Hosts that refuse at any point: an error, nothing lost, and everything works afterwards.
#![cfg(all(target_os = "linux", target_pointer_width = "64", not(miri)))]

use std::collections::HashSet;

use common::{assert_exactly_accessible, passes_in_child};
use vm_memory::faults::{FailingHost, Request};
use vm_memory::{
    GuardedMemory, Layout, LinearMemory, MemoryError, MemoryImage, MemoryType, Pool, PoolConfig,
    StackPool, ValueStack, probe,
};

mod common;

const LARGE: u64 = 3;

/// Everything that the crate can be asked for, once. Errors end it early.
fn everything(pools: Option<&(Pool, StackPool)>) -> Result<(), Box<dyn std::error::Error>> {
    let small = Layout::with_guard(65536)?;
    for layout in [Layout::FULL, small] {
        if !probe(layout).is_available() {
            return Err("not available".into());
        }
    }
    let made;
    let (pool, stacks) = match pools {
        Some(pools) => pools,
        None => {
            made = (
                Pool::new(PoolConfig::new(2, Layout::FULL).keep_resident(65536))?,
                StackPool::new(2, 1 << 20, 65536)?,
            );
            &made
        }
    };
    let image = MemoryImage::new(&[(1, b"image"), (65530, b"another")])?;
    let other = MemoryImage::new(&[(0, b"other")])?;
    let ty = MemoryType::new(2, Some(8));
    let large = MemoryType::new(LARGE, None);
    // Each twice, so that slots are used again in another way.
    for _ in 0..2 {
        let memories = [
            LinearMemory::new_bounded(&ty)?,
            LinearMemory::new_guarded(&ty, Layout::FULL)?,
            LinearMemory::Guarded(GuardedMemory::with_image(&ty, small, &image)?),
            LinearMemory::new_pooled(&ty, pool, Some(&image))?,
            LinearMemory::new_pooled(&large, pool, None)?,
        ];
        for mut memory in memories {
            use_memory(&mut memory)?;
        }
        for image in [Some(&other), None, Some(&image)] {
            use_memory(&mut LinearMemory::new_pooled(&ty, pool, image)?)?;
        }
        for stack in [
            ValueStack::plain(65536)?,
            ValueStack::guarded(65536, 1)?,
            stacks.stack()?,
            stacks.stack()?,
        ] {
            // SAFETY: first and last slot of a stack that nothing else uses.
            unsafe {
                assert_eq!((stack.base().read(), stack.limit().sub(1).read()), (0, 0));
                stack.base().write(1);
                stack.limit().sub(1).write(2);
            }
        }
    }
    Ok(())
}

/// Checks a new memory, writes all over it, and grows it. What does not grow is as it was.
fn use_memory(memory: &mut LinearMemory) -> Result<(), Box<dyn std::error::Error>> {
    assert_eq!(memory.slice(100, 1)?, [0]);
    for delta in [1, 2, 3] {
        let pages = memory.pages();
        let last = memory.byte_len() - 1;
        memory.write(100, &[0xA5])?;
        memory.write(last, &[0x5A])?;
        let grown = memory.grow(delta);
        assert_eq!(memory.slice(100, 1)?, [0xA5]);
        assert_eq!(memory.slice(last, 1)?, [0x5A]);
        match grown {
            Ok(before) => assert_eq!((before, memory.pages()), (pages, pages + delta)),
            Err(error) => {
                assert_eq!(memory.pages(), pages);
                return Err(error.into());
            }
        }
        if memory.is_guarded() {
            assert_exactly_accessible(memory);
        } else {
            assert!(
                memory
                    .slice(last + 1, delta * 65536)?
                    .iter()
                    .all(|byte| *byte == 0)
            );
        }
    }
    Ok(())
}

/// Mappings of this process, and its open files.
fn held() -> (usize, usize) {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let ours = maps
        .lines()
        .filter(|line| line.contains("memfd") || line.contains("---p"));
    (
        ours.count(),
        std::fs::read_dir("/proc/self/fd").unwrap().count(),
    )
}

#[test]
fn whichever_request_fails_the_error_is_clean_and_nothing_is_lost() {
    passes_in_child(
        "whichever_request_fails_the_error_is_clean_and_nothing_is_lost",
        || {
            everything(None).unwrap();
            let before = held();
            let mut kinds = HashSet::new();
            for plan in [FailingHost::nth, FailingHost::from_nth] {
                let mut n = 1;
                loop {
                    let host = plan(n);
                    let result = everything(None);
                    let failed = host.failed();
                    drop(host);
                    let Some(request) = failed else {
                        result.unwrap();
                        break;
                    };
                    kinds.insert(request);
                    if let Err(error) = &result {
                        assert!(!error.to_string().is_empty());
                    }
                    assert_eq!(held(), before, "request {n}, {request:?}");
                    n += 1;
                }
                assert!(n > 50, "{n}");
            }
            everything(None).unwrap();
            for kind in [
                Request::Reserve,
                Request::Protect,
                Request::Discard,
                Request::Remap,
                Request::Image,
                Request::Allocate,
            ] {
                assert!(kinds.contains(&kind), "{kind:?} was never asked for");
            }
        },
    );
}

/// The same with pools that live on: after every failure all slots can be had, and are as new.
#[test]
fn whichever_request_fails_pools_stay_usable() {
    for plan in [FailingHost::nth, FailingHost::from_nth] {
        let mut n = 1;
        loop {
            let pools = (
                Pool::new(PoolConfig::new(2, Layout::FULL).keep_resident(65536)).unwrap(),
                StackPool::new(2, 1 << 20, 65536).unwrap(),
            );
            let host = plan(n);
            let result = everything(Some(&pools));
            let failed = host.failed().is_some();
            drop(host);
            assert_eq!((pools.0.in_use(), pools.1.in_use()), (0, 0));
            assert_eq!((pools.0.capacity(), pools.1.capacity()), (2, 2));
            everything(Some(&pools)).unwrap();
            if !failed {
                result.unwrap();
                break;
            }
            n += 1;
        }
        assert!(n > 50, "{n}");
    }
}

#[test]
fn a_slot_that_could_not_be_reset_is_new_when_it_is_used_again() {
    let pool = Pool::new(PoolConfig::new(1, Layout::FULL)).unwrap();
    let image = MemoryImage::new(&[(0, &[7; 70_000])]).unwrap();
    let ty = MemoryType::new(LARGE, None);
    for image in [None, Some(&image)] {
        let mut memory = pool.memory(&ty, image).map(LinearMemory::Guarded).unwrap();
        memory.data_mut().fill(0xA5);
        let host = FailingHost::from_nth(1);
        drop(memory);
        assert_eq!(host.failed(), Some(Request::Discard));
        // Nor can it be used again while the host refuses.
        let refused = pool.memory(&ty, None).unwrap_err();
        assert!(
            matches!(refused, MemoryError::Protect { .. }),
            "{refused:?}"
        );
        drop(host);
        let memory = pool.memory(&ty, None).map(LinearMemory::Guarded).unwrap();
        assert!(memory.data().iter().all(|byte| *byte == 0));
        assert_exactly_accessible(&memory);
    }
    assert_eq!(pool.capacity(), 1);
}

#[test]
fn growth_that_fails_half_way_leaves_the_slot_reusable() {
    let pool = Pool::new(PoolConfig::new(1, Layout::FULL)).unwrap();
    let ty = MemoryType::new(1, None);
    let mut memory = pool.memory(&ty, None).map(LinearMemory::Guarded).unwrap();
    // Both the growth and taking it back.
    let host = FailingHost::from_nth(1);
    assert!(memory.grow(5).is_err());
    assert_eq!(host.requests(), 2);
    drop(host);
    assert_eq!(memory.pages(), 1);
    memory.data_mut().fill(0xA5);
    assert_eq!(memory.grow(7), Ok(1));
    memory.data_mut().fill(0xA5);
    drop(memory);
    let memory = pool.memory(&ty, None).map(LinearMemory::Guarded).unwrap();
    assert!(memory.data().iter().all(|byte| *byte == 0));
    assert_exactly_accessible(&memory);
}

/// From each state of a slot to each other, with every request on the way failing: the next user, of
/// whichever kind, finds the slot as new.
#[test]
fn a_slot_whose_preparation_failed_is_new_when_it_is_used_again() {
    let one = MemoryImage::new(&[(0, &[1; 70_000])]).unwrap();
    let two = MemoryImage::new(&[(0, &[2; 10])]).unwrap();
    let kinds = [
        (2, Some(&one), 1),
        (1, Some(&two), 2),
        (1, None, 0),
        (LARGE, None, 0),
    ];
    let make = |pool: &Pool, (pages, image, _): (u64, Option<&MemoryImage>, u8)| {
        LinearMemory::new_pooled(&MemoryType::new(pages, None), pool, image)
    };
    let mut failures = 0;
    for from in kinds {
        for to in kinds {
            for next in kinds {
                for n in 1.. {
                    let config = PoolConfig::new(1, Layout::FULL).keep_resident(65536);
                    let pool = Pool::new(config).unwrap();
                    make(&pool, from).unwrap().data_mut().fill(0xA5);
                    let host = FailingHost::nth(n);
                    let result = make(&pool, to);
                    let failed = host.failed().is_some();
                    drop(host);
                    if !failed {
                        result.unwrap();
                        break;
                    }
                    failures += 1;
                    assert!(result.is_err());
                    let memory = make(&pool, next).unwrap();
                    assert_exactly_accessible(&memory);
                    assert_eq!(memory.slice(0, 10).unwrap(), [next.2; 10]);
                    let rest = if next.2 == 1 { 70_000 } else { 10 };
                    assert!(memory.data()[rest..].iter().all(|byte| *byte == 0));
                }
            }
        }
    }
    assert!(failures > 50, "{failures}");
}
