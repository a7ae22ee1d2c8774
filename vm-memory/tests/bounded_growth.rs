//! Growth of bounded memories that touches and copies nothing, with all address space that one likes and with
//! little. What is resident belongs to a whole process, and limits hold for one.
#![cfg(all(target_os = "linux", target_pointer_width = "64", not(miri)))]

use std::collections::BTreeMap;

use common::{passes_in_child, set_limit, status};
use proptest::prelude::*;
use vm_memory::faults::FailingHost;
use vm_memory::{GrowError, LinearMemory, MemoryType, WASM_PAGE_SIZE};

mod common;

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

fn bounded(minimum: u64, maximum: Option<u64>) -> LinearMemory {
    LinearMemory::new_bounded(&MemoryType::new(minimum, maximum)).unwrap()
}

/// Grows page by page to the end that the type or the host sets; returns how often the base has moved.
fn grow_to_the_end(memory: &mut LinearMemory) -> u32 {
    let mut moves = 0;
    loop {
        let base = memory.base_ptr();
        match memory.grow(1) {
            Ok(_) => moves += u32::from(memory.base_ptr() != base),
            Err(_) => return moves,
        }
    }
}

#[test]
fn growing_by_single_pages_touches_nothing() {
    passes_in_child("growing_by_single_pages_touches_nothing", || {
        for minimum in [0, 1, 17] {
            let mut memory = bounded(minimum, None);
            // Once the memory is no longer a small one on the heap, it stays where it is.
            assert!(grow_to_the_end(&mut memory) <= 4);
            assert_eq!(memory.pages(), 65536);
            memory.write(4 * GIB - 4, b"last").unwrap();
            assert_eq!(memory.slice(2 * GIB, 4).unwrap(), [0; 4]);
        }
        assert!(status("VmHWM") < 24 * MIB, "{}", status("VmHWM"));
    });
}

#[test]
fn growing_touches_nothing_where_address_space_is_limited() {
    passes_in_child(
        "growing_touches_nothing_where_address_space_is_limited",
        || {
            set_limit(libc::RLIMIT_AS, 2 * GIB);
            let mut memory = bounded(1, None);
            memory.write(60000, b"kept").unwrap();
            assert!(grow_to_the_end(&mut memory) <= 30);
            // All but what the rest of the process takes.
            assert!(
                memory.byte_len() > 2 * GIB - 256 * MIB,
                "{}",
                memory.byte_len()
            );
            assert_eq!(memory.slice(60000, 4).unwrap(), b"kept");
            let last = memory.byte_len() - 4;
            memory.write(last, b"last").unwrap();
            assert!(status("VmHWM") < 24 * MIB, "{}", status("VmHWM"));
        },
    );
}

/// Address space that has been limited is for the whole process.
#[test]
fn no_room_is_reserved_where_address_space_is_limited() {
    passes_in_child("no_room_is_reserved_where_address_space_is_limited", || {
        set_limit(libc::RLIMIT_AS, 64 * GIB);
        let before = status("VmSize");
        let memories: Vec<_> = (0..8).map(|_| bounded(160, None)).collect();
        let each = (status("VmSize") - before) / 8;
        assert!((10 * MIB..11 * MIB).contains(&each), "{each}");
        drop(memories);
    });
}

#[test]
fn memories_that_cannot_grow_reserve_nothing_more() {
    passes_in_child("memories_that_cannot_grow_reserve_nothing_more", || {
        let before = status("VmSize");
        let memories = [bounded(160, Some(160)), bounded(160, Some(320))];
        let size = status("VmSize") - before;
        assert!((30 * MIB..31 * MIB).contains(&size), "{size}");
        drop(memories);
        assert!(status("VmSize") < before + MIB);
    });
}

#[test]
fn a_limit_on_writable_memory_stops_growth_where_it_is() {
    passes_in_child(
        "a_limit_on_writable_memory_stops_growth_where_it_is",
        || {
            set_limit(libc::RLIMIT_DATA, GIB);
            let mut memory = bounded(17, None);
            memory.write(1000, b"kept").unwrap();
            grow_to_the_end(&mut memory);
            let pages = memory.pages();
            assert!(memory.byte_len() > GIB - 64 * MIB, "{}", memory.byte_len());
            // Refused as often as one likes, and nothing has changed.
            for _ in 0..100 {
                assert!(matches!(
                    memory.grow(1),
                    Err(GrowError::HostMemory {
                        bytes: 65536,
                        source: Some(_)
                    })
                ));
            }
            assert_eq!(memory.pages(), pages);
            assert_eq!(memory.slice(1000, 4).unwrap(), b"kept");
            memory.write(memory.byte_len() - 4, b"last").unwrap();
        },
    );
}

#[test]
fn memories_of_64_bits_outgrow_their_room() {
    passes_in_child("memories_of_64_bits_outgrow_their_room", || {
        let ty = MemoryType {
            memory64: true,
            ..MemoryType::new(20, None)
        };
        let mut memory = LinearMemory::new_bounded(&ty).unwrap();
        let mut written = Vec::new();
        for gib in 1..12 {
            let at = memory.byte_len() - 4;
            memory.write(at, &[gib; 4]).unwrap();
            written.push((at, gib));
            memory.grow(GIB / WASM_PAGE_SIZE).unwrap();
            for (at, gib) in &written {
                assert_eq!(memory.slice(*at, 4).unwrap(), [*gib; 4]);
                assert_eq!(memory.slice(at + 4, 4).unwrap(), [0; 4]);
            }
        }
        assert!(status("VmHWM") < 24 * MIB, "{}", status("VmHWM"));
    });
}

/// What has happened to a large memory of which little is written.
#[derive(Clone, Debug)]
enum Op {
    Grow(u64),
    /// A byte at a share of the memory's length, moved by a little.
    Write(f64, i64, u8),
    Read(f64, i64),
}

fn ops() -> impl Strategy<Value = Op> {
    let deltas = prop_oneof![0u64..4, 1u64..300, 1u64..30_000, Just(u64::MAX)];
    prop_oneof![
        3 => deltas.prop_map(Op::Grow),
        3 => (0.0..=1.0, -9i64..9, any::<u8>()).prop_map(|(at, by, byte)| Op::Write(at, by, byte)),
        2 => (0.0..=1.0, -9i64..9).prop_map(|(at, by)| Op::Read(at, by)),
    ]
}

/// Runs operations on a memory and on what it should be. Growth may be refused if the host is made to refuse.
fn run(ty: &MemoryType, ops: &[Op], host: Option<&FailingHost>) -> Result<(), TestCaseError> {
    let mut memory = match LinearMemory::new_bounded(ty) {
        Ok(memory) => memory,
        Err(_) => {
            prop_assert!(host.is_some_and(|host| host.failed().is_some()));
            return Ok(());
        }
    };
    let limit = ty.limit_pages();
    let mut pages = ty.minimum;
    let mut written = BTreeMap::new();
    let place =
        |share: f64, by: i64, len: u64| ((len as f64 * share) as u64).saturating_add_signed(by);
    for op in ops {
        let len = pages * ty.page_size();
        match *op {
            Op::Grow(delta) => match memory.grow(delta) {
                Ok(before) => {
                    prop_assert_eq!(before, pages);
                    pages += delta;
                    prop_assert!(pages <= limit);
                }
                Err(GrowError::PastMaximum { .. }) => {
                    prop_assert!(pages.checked_add(delta).is_none_or(|sum| sum > limit));
                }
                Err(GrowError::AddressSpace { bytes }) => {
                    prop_assert!(bytes > isize::MAX as u64 && delta > u64::MAX / 2);
                }
                Err(error) => {
                    let made_to = host.is_some_and(|host| host.failed().is_some());
                    prop_assert!(made_to, "{}", error);
                }
            },
            Op::Write(share, by, byte) => {
                let at = place(share, by, len);
                prop_assert_eq!(memory.write(at, &[byte]).is_ok(), at < len);
                if at < len {
                    written.insert(at, byte);
                }
            }
            Op::Read(share, by) => {
                let at = place(share, by, len);
                let byte = memory.slice(at, 1).ok().map(|bytes| bytes[0]);
                let expected = (at < len).then(|| written.get(&at).copied().unwrap_or(0));
                prop_assert_eq!(byte, expected);
            }
        }
        prop_assert_eq!(
            (memory.pages(), memory.byte_len()),
            (pages, pages * ty.page_size())
        );
        for (at, byte) in &written {
            prop_assert_eq!(memory.slice(*at, 1).unwrap(), [*byte]);
        }
        if pages > 0 {
            // The last byte is there, and zero unless written.
            let last = memory.byte_len() - 1;
            let byte = written.get(&last).copied().unwrap_or(0);
            prop_assert_eq!(memory.slice(last, 1).unwrap(), [byte]);
        }
    }
    Ok(())
}

fn types() -> impl Strategy<Value = MemoryType> {
    let sizes = prop_oneof![0u64..40, 0u64..3000];
    (
        sizes,
        prop::option::of(0u64..60_000),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(minimum, more, memory64, bytes)| MemoryType {
            memory64,
            page_size_log2: if bytes { 0 } else { 16 },
            ..MemoryType::new(minimum, more.map(|more| minimum + more))
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn large_memories_behave_like_sparse_ones(
        ty in types(),
        ops in prop::collection::vec(ops(), 0..60),
    ) {
        run(&ty, &ops, None)?;
    }

    #[test]
    fn growth_that_is_refused_changes_nothing(
        ty in types(),
        ops in prop::collection::vec(ops(), 0..60),
        first in 1u64..20,
        all_after in any::<bool>(),
    ) {
        let plan = if all_after { FailingHost::from_nth } else { FailingHost::nth };
        let host = plan(first);
        run(&ty, &ops, Some(&host))?;
    }
}

#[test]
fn large_memories_behave_like_sparse_ones_where_address_space_is_limited() {
    const NAME: &str = "large_memories_behave_like_sparse_ones_where_address_space_is_limited";
    passes_in_child(NAME, || {
        set_limit(libc::RLIMIT_AS, 1 << 40);
        let config = ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        proptest!(config, |(ty in types(), ops in prop::collection::vec(ops(), 0..60))| {
            run(&ty, &ops, None)?;
        });
    });
}
