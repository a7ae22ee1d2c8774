//! Hosts that refuse: the error names the limit, and bounded memory still works. Limits hold for a
//! whole process, so every test runs its body in a process of its own.
#![cfg(all(target_os = "linux", target_pointer_width = "64", not(miri)))]

use std::error::Error;

use common::{passes_in_child, set_limit};
use vm_memory::{
    GrowError, GuardSupport, HostLimit, Layout, LinearMemory, MemoryError, MemoryType, Pool,
    PoolConfig, Reservation, StackPool, Unavailable, ValueStack, host_page_size, probe,
};

mod common;

const GIB: u64 = 1 << 30;
const ENOMEM: i32 = libc::ENOMEM;

fn bounded_memory_works() {
    let mut memory = LinearMemory::new_bounded(&MemoryType::new(1, None)).unwrap();
    assert_eq!(memory.grow(1), Ok(1));
    memory.write(65535, &[1, 2]).unwrap();
}

#[test]
fn guards_are_available_without_limits() {
    assert_eq!(probe(Layout::FULL), GuardSupport::Available);
    assert!(probe(Layout::with_guard(0).unwrap()).is_available());
}

#[test]
fn a_limit_on_address_space_is_named() {
    passes_in_child("a_limit_on_address_space_is_named", || {
        set_limit(libc::RLIMIT_AS, 2 * GIB);
        for layout in [Layout::FULL, Layout::with_guard(65536).unwrap()] {
            let refused = LinearMemory::new_guarded(&MemoryType::new(1, None), layout).unwrap_err();
            let MemoryError::Reserve {
                bytes,
                ref limit,
                source: Some(source),
            } = refused
            else {
                panic!("{refused:?}");
            };
            assert_eq!(bytes, layout.reservation_bytes());
            assert_eq!(*limit, HostLimit::AddressSpace { limit: 2 * GIB });
            assert_eq!(source.raw_os_error(), ENOMEM);

            let support = probe(layout);
            let reason = support.reason().unwrap();
            assert_eq!(*reason, Unavailable::Refused(refused.clone()));
            let sentence = reason.to_string();
            for part in ["RLIMIT_AS", "ulimit -v", "2147483648", "bounded memory"] {
                assert!(sentence.contains(part), "{sentence}");
            }
            assert!(refused.source().unwrap().to_string().contains("memory"));
        }
        bounded_memory_works();
        // What fits the limit is still to be had.
        ValueStack::guarded(1 << 20, 1 << 16).unwrap();
        Reservation::new(1 << 20).unwrap();
    });
}

#[test]
fn a_limit_that_leaves_room_for_the_small_layout_only() {
    passes_in_child("a_limit_that_leaves_room_for_the_small_layout_only", || {
        set_limit(libc::RLIMIT_AS, 6 * GIB);
        assert!(!probe(Layout::FULL).is_available());
        let small = Layout::with_guard(65536).unwrap();
        assert!(probe(small).is_available());
        // The second one does not fit beside the first, and says why.
        let first = LinearMemory::new_guarded(&MemoryType::new(1, None), small).unwrap();
        assert!(matches!(
            LinearMemory::new_guarded(&MemoryType::new(1, None), small),
            Err(MemoryError::Reserve {
                limit: HostLimit::AddressSpace { .. },
                ..
            })
        ));
        drop(first);
        assert!(probe(small).is_available());
    });
}

#[test]
fn a_limit_on_writable_memory_is_named_and_stops_growth() {
    passes_in_child(
        "a_limit_on_writable_memory_is_named_and_stops_growth",
        || {
            set_limit(libc::RLIMIT_DATA, GIB);
            let ty = MemoryType::new(1, None);
            let mut memory = LinearMemory::new_guarded(&ty, Layout::FULL).unwrap();
            memory.write(0, b"kept").unwrap();
            let delta = 2 * GIB / 65536;
            let refused = memory.grow(delta).unwrap_err();
            assert!(matches!(
                refused,
                GrowError::HostMemory { bytes, source: Some(source) }
                    if bytes == 2 * GIB && source.raw_os_error() == ENOMEM
            ));
            // Nothing has changed, and smaller growth goes on.
            assert_eq!(memory.pages(), 1);
            common::assert_exactly_accessible(&memory);
            assert_eq!(memory.grow(1), Ok(1));
            assert_eq!(memory.slice(0, 4).unwrap(), b"kept");
            common::assert_exactly_accessible(&memory);

            let large = MemoryType::new(delta, None);
            let refused = LinearMemory::new_guarded(&large, Layout::FULL).unwrap_err();
            assert!(matches!(
                refused,
                MemoryError::Commit {
                    limit: HostLimit::Data { limit: GIB },
                    ..
                }
            ));
            assert!(refused.to_string().contains("RLIMIT_DATA"), "{refused}");
            assert!(matches!(
                ValueStack::guarded(2 << 30, 0),
                Err(MemoryError::Commit { .. })
            ));
            // The heap has the same limit: an error there too, never an abort.
            assert!(matches!(
                LinearMemory::new_bounded(&large),
                Err(MemoryError::Allocate { bytes }) if bytes == 2 * GIB
            ));
            let mut bounded = LinearMemory::new_bounded(&ty).unwrap();
            assert!(matches!(
                bounded.grow(delta),
                Err(GrowError::HostMemory { source: None, .. })
            ));
            assert_eq!(bounded.grow(1), Ok(1));
        },
    );
}

#[test]
fn growth_takes_the_exact_size_when_room_for_more_is_refused() {
    passes_in_child(
        "growth_takes_the_exact_size_when_room_for_more_is_refused",
        || {
            set_limit(libc::RLIMIT_DATA, GIB);
            let pages = GIB * 3 / 8 / 65536;
            let mut memory = LinearMemory::new_bounded(&MemoryType::new(pages, None)).unwrap();
            memory.write(0, b"kept").unwrap();
            // Twice the size is refused beside the old contents; one page more is not.
            assert_eq!(memory.grow(1), Ok(pages));
            assert_eq!(memory.slice(0, 4).unwrap(), b"kept");
        },
    );
}

#[test]
fn a_pool_that_does_not_fit_the_address_space_names_the_limit() {
    passes_in_child(
        "a_pool_that_does_not_fit_the_address_space_names_the_limit",
        || {
            set_limit(libc::RLIMIT_AS, 10 * GIB);
            let small = Layout::with_guard(65536).unwrap();
            Pool::new(PoolConfig::new(1, Layout::FULL)).unwrap();
            Pool::new(PoolConfig::new(2, small)).unwrap();
            for (slots, layout) in [(2, Layout::FULL), (3, small)] {
                let refused = Pool::new(PoolConfig::new(slots, layout)).unwrap_err();
                let MemoryError::Reserve { bytes, limit, .. } = &refused else {
                    panic!("{refused:?}");
                };
                assert_eq!(*bytes, u64::from(slots) * layout.reservation_bytes());
                assert_eq!(*limit, HostLimit::AddressSpace { limit: 10 * GIB });
            }
            assert!(matches!(
                StackPool::new(20, 1 << 30, 65536),
                Err(MemoryError::Reserve {
                    limit: HostLimit::AddressSpace { .. },
                    ..
                })
            ));
        },
    );
}

#[test]
fn a_pool_without_mappings_left_names_the_limit_and_goes_on_later() {
    passes_in_child(
        "a_pool_without_mappings_left_names_the_limit_and_goes_on_later",
        || {
            let pool = Pool::new(PoolConfig::new(8, Layout::FULL)).unwrap();
            let stacks = StackPool::new(8, 65536, 65536).unwrap();
            let ty = MemoryType::new(1, None);
            let mut kept = LinearMemory::new_pooled(&ty, &pool, None).unwrap();
            let page = host_page_size();
            let mut many = Reservation::new(page << 20).unwrap();
            let refused = (0..1 << 20)
                .step_by(2)
                .find(|index| many.commit(index * page, page).is_err());
            assert!(refused.is_some());

            let named = |error: MemoryError| {
                assert!(
                    matches!(
                        error,
                        MemoryError::Commit {
                            limit: HostLimit::Mappings { .. },
                            ..
                        }
                    ),
                    "{error:?}"
                );
            };
            named(pool.memory(&ty, None).unwrap_err());
            named(stacks.stack().unwrap_err());
            // What needs no further mapping goes on.
            assert_eq!(kept.grow(1), Ok(1));
            kept.write(65536, b"kept").unwrap();
            assert_eq!((pool.in_use(), stacks.in_use()), (1, 0));

            drop(many);
            for _ in 0..2 {
                let all: Vec<_> = (0..7).map(|_| pool.memory(&ty, None).unwrap()).collect();
                assert_eq!(pool.in_use(), 8);
                drop(all);
                stacks.stack().unwrap();
            }
            assert_eq!(kept.slice(65536, 4).unwrap(), b"kept");
        },
    );
}

#[test]
fn a_limit_on_mappings_is_named() {
    passes_in_child("a_limit_on_mappings_is_named", || {
        let limit: u64 = std::fs::read_to_string("/proc/sys/vm/max_map_count")
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        let page = host_page_size();
        // Every second page committed: as many mappings as pages.
        let pages = usize::try_from(limit).unwrap() + 2;
        let mut many = Reservation::new(pages * page).unwrap();
        let refused = (0..pages)
            .step_by(2)
            .find_map(|index| many.commit(index * page, page).err())
            .unwrap();
        let MemoryError::Commit {
            limit:
                HostLimit::Mappings {
                    limit: named,
                    in_use,
                },
            ..
        } = refused
        else {
            panic!("{refused:?}");
        };
        assert_eq!(named, limit);
        // The list of mappings has a few that the limit does not count.
        assert!((limit - 3..limit + 8).contains(&in_use), "{in_use}");
        assert!(
            refused.to_string().contains("vm.max_map_count"),
            "{refused}"
        );
        assert!(!probe(Layout::FULL).is_available());

        drop(many);
        assert!(probe(Layout::FULL).is_available());
    });
}
