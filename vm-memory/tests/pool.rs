//! Pools: what a memory or stack from a slot looks like, first and after reuse.
#![cfg(all(target_os = "linux", target_pointer_width = "64", not(miri)))]

use std::collections::HashSet;
use std::sync::Barrier;

use common::{assert_exactly_accessible, assert_mapped, mappings, passes_in_child};
use vm_memory::faults::FailingHost;
use vm_memory::{
    HostLimit, Layout, LinearMemory, MemoryError, MemoryImage, MemoryType, Pool, PoolConfig,
    StackPool, WASM_PAGE_SIZE, host_page_size,
};

mod common;

const PAGE: u64 = WASM_PAGE_SIZE;

fn layouts() -> [Layout; 3] {
    [
        Layout::FULL,
        Layout::with_guard(65536).unwrap(),
        Layout::FULL.with_front_guard(2 << 30),
    ]
}

/// Pools of all kinds with so many slots.
fn pools(slots: u32) -> Vec<Pool> {
    let mut pools = Vec::new();
    for layout in layouts() {
        for keep in [0, 5000, 65536, 1 << 20] {
            let config = PoolConfig::new(slots, layout).keep_resident(keep);
            pools.push(Pool::new(config).unwrap());
        }
    }
    pools
}

fn memory(pool: &Pool, minimum: u64, image: Option<&MemoryImage>) -> LinearMemory {
    LinearMemory::new_pooled(&MemoryType::new(minimum, None), pool, image).unwrap()
}

/// Everything that a new memory must be, whoever had its slot before.
fn assert_new(memory: &LinearMemory, pool: &Pool, minimum: u64, start: &[u8]) {
    let layout = pool.config().layout();
    assert_eq!(memory.pages(), minimum);
    assert_eq!(memory.byte_len(), minimum * PAGE);
    assert_eq!(memory.layout(), Some(layout));
    let range = memory.reservation().unwrap();
    assert_eq!(range.len() as u64, layout.reservation_bytes());
    assert_eq!(
        (memory.base_ptr().addr() - range.start) as u64,
        layout.base_offset()
    );
    let slots = pool.addresses();
    assert!(slots.start <= range.start && range.end <= slots.end);
    assert_exactly_accessible(memory);
    let (head, tail) = memory.data().split_at(start.len());
    assert!(head == start && all(tail, 0));
}

/// Whether all bytes are the same. Quick without optimisation, too.
fn all(bytes: &[u8], byte: u8) -> bool {
    let piece = [byte; 4096];
    bytes
        .chunks(4096)
        .all(|chunk| chunk == &piece[..chunk.len()])
}

#[test]
fn slots_do_not_overlap_and_every_memory_has_guards_on_both_sides() {
    for pool in pools(5) {
        let memories: Vec<_> = (0..5).map(|pages| memory(&pool, pages, None)).collect();
        let mut ranges: Vec<_> = memories.iter().map(|m| m.reservation().unwrap()).collect();
        ranges.sort_by_key(|range| range.start);
        assert!(ranges.is_sorted_by(|a, b| a.end <= b.start));
        for (memory, pages) in memories.iter().zip(0..) {
            assert_new(memory, &pool, pages, &[]);
        }
    }
}

#[test]
fn geometry_and_contents_are_new_after_every_kind_of_reuse() {
    for pool in pools(1) {
        let base = memory(&pool, 0, None).base_ptr();
        // Every size before every other.
        let sizes = [0, 1, 2, 3, 17, 1, 0, 17, 0, 3, 1, 2, 0, 2, 1, 1, 17, 17, 0];
        for minimum in sizes {
            let mut memory = memory(&pool, minimum, None);
            assert_eq!(memory.base_ptr(), base);
            assert_new(&memory, &pool, minimum, &[]);
            memory.data_mut().fill(0xA5);
            assert_eq!(memory.grow(2), Ok(minimum));
            assert_exactly_accessible(&memory);
            let old = (minimum * PAGE) as usize;
            assert!(all(&memory.data()[old..], 0));
            memory.data_mut().fill(0x5A);
            assert_eq!(pool.in_use(), 1);
        }
        assert_eq!(pool.in_use(), 0);
    }
}

#[test]
fn a_memory_of_the_largest_size_fits_its_slot() {
    for pool in pools(2) {
        for _ in 0..2 {
            let mut grown = memory(&pool, 0, None);
            assert_eq!(grown.grow(65536), Ok(0));
            assert!(grown.grow(1).is_err());
            let mut whole = memory(&pool, 65536, None);
            assert!(whole.grow(1).is_err());
            for memory in [&mut grown, &mut whole] {
                assert_exactly_accessible(memory);
                for offset in [0, 1 << 31, (1 << 32) - 4] {
                    assert_eq!(memory.slice(offset, 4).unwrap(), [0; 4]);
                    memory.write(offset, &[1, 2, 3, 4]).unwrap();
                }
            }
        }
        assert_new(&memory(&pool, 1, None), &pool, 1, &[]);
    }
}

#[test]
fn an_image_is_there_at_the_start_and_gone_for_the_next() {
    let one = MemoryImage::new(&[(0, b"one"), (4095, b"across a page")]).unwrap();
    let two = MemoryImage::new(&[(70000, b"far"), (3, b"near"), (3, b"later")]).unwrap();
    let none = MemoryImage::new(&[]).unwrap();
    let mut first = vec![0; 8192];
    first[..3].copy_from_slice(b"one");
    first[4095..4108].copy_from_slice(b"across a page");
    let mut second = vec![0; 73728];
    second[3..8].copy_from_slice(b"later");
    second[70000..70003].copy_from_slice(b"far");
    assert_eq!(one.byte_len(), 8192);
    assert_eq!(two.byte_len(), 73728);
    assert_eq!(none.byte_len(), 0);

    let images = [
        (None, &[][..], 0),
        (Some(&one), &first[..], 1),
        (Some(&two), &second[..], 2),
        (Some(&none), &[][..], 0),
    ];
    for pool in pools(1) {
        for (image, start, least) in images {
            for (next_image, next_start, next_least) in images {
                for (minimum, next) in [(least, next_least), (3, next_least), (least, 3)] {
                    let mut used = memory(&pool, minimum, image);
                    assert_new(&used, &pool, minimum, start);
                    used.data_mut().fill(0xA5);
                    used.grow(1).unwrap();
                    used.data_mut().fill(0x5A);
                    drop(used);
                    let again = memory(&pool, next, next_image);
                    assert_new(&again, &pool, next, next_start);
                }
            }
        }
    }
}

#[test]
fn memories_that_share_an_image_do_not_see_each_others_writes() {
    let image = MemoryImage::new(&[(10, &[7; 100_000])]).unwrap();
    let pool = Pool::new(PoolConfig::new(3, Layout::FULL)).unwrap();
    let ty = MemoryType::new(2, None);
    let mut one = memory(&pool, 2, Some(&image));
    let mut other = memory(&pool, 2, Some(&image));
    let mut own = LinearMemory::Guarded(
        vm_memory::GuardedMemory::with_image(&ty, Layout::FULL, &image).unwrap(),
    );
    assert_exactly_accessible(&own);
    for (memory, byte) in [(&mut one, 1), (&mut other, 2), (&mut own, 3)] {
        assert_eq!(memory.slice(8, 4).unwrap(), [0, 0, 7, 7]);
        memory.fill(0, 50_000, byte).unwrap();
    }
    for (memory, byte) in [(&one, 1), (&other, 2), (&own, 3)] {
        assert!(all(memory.slice(0, 50_000).unwrap(), byte));
        assert!(
            memory
                .slice(50_000, 50_010)
                .unwrap()
                .iter()
                .all(|b| *b == 7)
        );
    }
    // The image outlives its handle, and its mappings outlive both.
    drop(image);
    assert_eq!(one.slice(60_000, 1).unwrap(), [7]);
}

#[test]
fn an_image_that_does_not_fit_is_refused_and_costs_no_slot() {
    let image = MemoryImage::new(&[(65536, b"x")]).unwrap();
    let pool = Pool::new(PoolConfig::new(1, Layout::FULL)).unwrap();
    let ty = MemoryType::new(1, None);
    let refused = MemoryError::ImageTooLarge {
        image: 65536 + host_page_size() as u64,
        memory: 65536,
    };
    assert_eq!(pool.memory(&ty, Some(&image)).unwrap_err(), refused);
    assert_eq!(pool.in_use(), 0);
    assert!(MemoryImage::new(&[(u64::MAX, b"xy")]).is_err());
    assert!(MemoryImage::new(&[(1 << 62, b"xy")]).is_err());
    assert_new(&memory(&pool, 1, None), &pool, 1, &[]);
}

#[test]
fn a_full_pool_says_so_and_goes_on_when_something_comes_back() {
    let pool = Pool::new(PoolConfig::new(2, Layout::FULL)).unwrap();
    let first = memory(&pool, 1, None);
    let _second = memory(&pool, 1, None);
    let refused = pool.memory(&MemoryType::new(1, None), None).unwrap_err();
    assert_eq!(refused, MemoryError::PoolFull { slots: 2 });
    assert!(refused.to_string().contains("all 2 slots"), "{refused}");
    drop(first);
    memory(&pool, 1, None);

    let empty = Pool::new(PoolConfig::new(0, Layout::FULL)).unwrap();
    let refused = empty.memory(&MemoryType::new(1, None), None).unwrap_err();
    assert_eq!(refused, MemoryError::PoolFull { slots: 0 });
}

#[test]
fn what_no_guard_can_check_is_refused() {
    let pool = Pool::new(PoolConfig::new(1, Layout::FULL)).unwrap();
    for ty in [
        MemoryType {
            memory64: true,
            ..MemoryType::new(1, None)
        },
        MemoryType {
            page_size_log2: 0,
            ..MemoryType::new(1, None)
        },
    ] {
        assert!(matches!(
            pool.memory(&ty, None),
            Err(MemoryError::NotGuardable(_))
        ));
    }
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_memory_keeps_its_pool_alive() {
    // In a process of its own: what is unmapped, another thread may get.
    passes_in_child("a_memory_keeps_its_pool_alive", || {
        let pool = Pool::new(PoolConfig::new(2, Layout::FULL)).unwrap();
        let all = pool.addresses();
        let mut kept = memory(&pool, 1, None);
        drop(pool);
        kept.write(0, b"kept").unwrap();
        assert_exactly_accessible(&kept);
        drop(kept);
        assert_eq!(mappings(all), []);
    });
}

/// The point of a pool.
#[test]
fn reuse_at_the_same_size_asks_nothing_of_the_host() {
    let image = MemoryImage::new(&[(0, &[1; 70_000])]).unwrap();
    let config = PoolConfig::new(4, Layout::FULL).keep_resident(65536);
    let pool = Pool::new(config).unwrap();
    let stacks = StackPool::new(4, 1 << 20, 65536).unwrap();
    drop((memory(&pool, 1, None), memory(&pool, 2, Some(&image))));
    drop(stacks.stack().unwrap());
    for _ in 0..10 {
        let host = FailingHost::from_nth(1);
        let plain = memory(&pool, 1, None);
        let with_image = memory(&pool, 2, Some(&image));
        let stack = stacks.stack().unwrap();
        assert_eq!(host.requests(), 0);
        drop(plain);
        assert_eq!(
            host.requests(),
            0,
            "a page kept resident is cleared in place"
        );
        drop(host);
        let host = FailingHost::nth(0);
        drop((with_image, stack));
        assert_eq!(host.requests(), 2, "one request drops what was written");
    }
}

#[test]
fn unused_slots_cost_no_mappings_and_used_ones_two() {
    let count = |pool: &Pool| {
        let range = pool.addresses();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let inside = |line: &&str| {
            let start = line.split('-').next().unwrap();
            range.contains(&usize::from_str_radix(start, 16).unwrap())
        };
        maps.lines().filter(inside).count()
    };
    let pool = Pool::new(PoolConfig::new(1000, Layout::FULL)).unwrap();
    assert!(count(&pool) <= 1);
    let memories: Vec<_> = (0..1000).map(|_| memory(&pool, 1, None)).collect();
    assert!(count(&pool) <= 2001);
    drop(memories);
    assert!(count(&pool) <= 2001);
}

#[test]
fn pools_larger_than_the_host_allows_are_refused_with_the_limit() {
    let refused = Pool::new(PoolConfig::new(40_000, Layout::FULL)).unwrap_err();
    assert!(
        matches!(
            refused,
            MemoryError::Reserve {
                limit: HostLimit::AddressSpan { .. },
                ..
            }
        ),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("smaller layout"), "{refused}");
    assert!(Pool::new(PoolConfig::new(u32::MAX, Layout::FULL)).is_err());

    let limit: u64 = std::fs::read_to_string("/proc/sys/vm/max_map_count")
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let slots = u32::try_from(limit / 2 + 1).unwrap();
    let refused = StackPool::new(slots, 4096, 4096).unwrap_err();
    assert!(
        matches!(refused, MemoryError::PoolMappings { limit: named, .. } if named == limit),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("vm.max_map_count"));
    assert!(StackPool::new(1, usize::MAX, 1).is_err());
    assert!(StackPool::new(u32::MAX, usize::MAX, usize::MAX).is_err());
}

#[test]
fn pooled_stacks_lie_between_guards_and_come_back_empty() {
    let page = host_page_size();
    let pool = StackPool::new(3, 3 * page, 2 * page).unwrap();
    let mut seen = HashSet::new();
    for round in 0..3 {
        let stacks: Vec<_> = (0..3).map(|_| pool.stack().unwrap()).collect();
        assert_eq!(pool.in_use(), 3);
        let full = MemoryError::PoolFull { slots: 3 };
        assert_eq!(pool.stack().unwrap_err(), full);
        for stack in &stacks {
            assert_eq!(stack.len_bytes(), 3 * page);
            let start = stack.base().addr();
            let guard = stack.guard().unwrap();
            assert_eq!(guard, start + 3 * page..start + 5 * page);
            assert_mapped(
                start - 2 * page..guard.end,
                &[(2 * page, "---p"), (3 * page, "rw-p"), (2 * page, "---p")],
            );
            assert_eq!(seen.insert(start), round == 0);
            for slot in 0..stack.slots() {
                // SAFETY: a usable slot of a stack that nothing else uses.
                unsafe {
                    assert_eq!(stack.base().add(slot).read(), 0);
                    stack.base().add(slot).write(u64::MAX);
                }
            }
        }
    }
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn threads_that_take_and_give_back_never_share_a_slot() {
    const THREADS: u8 = 8;
    let rounds = if cfg!(debug_assertions) { 200 } else { 2000 };
    // Fewer slots than threads, so that some are refused.
    let pool = Pool::new(PoolConfig::new(6, Layout::FULL).keep_resident(65536)).unwrap();
    let image = MemoryImage::new(&[(0, &[9; 10])]).unwrap();
    let start = Barrier::new(THREADS.into());
    std::thread::scope(|scope| {
        for thread in 1..=THREADS {
            let (pool, image, start) = (&pool, &image, &start);
            scope.spawn(move || {
                start.wait();
                let mut refused = 0;
                for round in 0..rounds {
                    let image = (round % 2 == 0).then_some(image);
                    let pages = u64::from(thread % 3) + 1;
                    let ty = MemoryType::new(pages, None);
                    let mut memory = match LinearMemory::new_pooled(&ty, pool, image) {
                        Ok(memory) => memory,
                        Err(MemoryError::PoolFull { .. }) => {
                            refused += 1;
                            continue;
                        }
                        Err(error) => panic!("{error}"),
                    };
                    let first = if image.is_some() { 9 } else { 0 };
                    assert_eq!(memory.data()[0], first);
                    assert!(all(&memory.data()[10..], 0));
                    memory.data_mut().fill(thread);
                    memory.grow(1).unwrap();
                    std::thread::yield_now();
                    let (old, new) = memory.data().split_at((pages * PAGE) as usize);
                    assert!(all(old, thread));
                    assert!(all(new, 0));
                }
                refused
            });
        }
    });
    assert_eq!(pool.in_use(), 0);
    assert_eq!(pool.capacity(), 6);
}
