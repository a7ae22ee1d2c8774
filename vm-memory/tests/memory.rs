//! Geometry and limits of linear memories, case by case.

use vm_memory::{
    GrowError, InvalidMemoryType, Layout, LinearMemory, MemoryError, MemoryType, NotGuardable,
    WASM_PAGE_SIZE, copy,
};

mod common;

const MAX_PAGES: u64 = 65536;

fn memory64(minimum: u64, maximum: Option<u64>) -> MemoryType {
    MemoryType {
        memory64: true,
        ..MemoryType::new(minimum, maximum)
    }
}

fn byte_pages(minimum: u64, maximum: Option<u64>) -> MemoryType {
    MemoryType {
        page_size_log2: 0,
        ..MemoryType::new(minimum, maximum)
    }
}

/// A memory of each kind that this host can have.
fn of_each_kind(ty: &MemoryType) -> Vec<LinearMemory> {
    let mut memories = vec![LinearMemory::new_bounded(ty).unwrap()];
    if cfg!(all(
        target_os = "linux",
        target_pointer_width = "64",
        not(miri)
    )) {
        memories.push(LinearMemory::new_guarded(ty, Layout::FULL).unwrap());
    }
    memories
}

#[test]
fn a_memory_of_no_pages_has_no_bytes() {
    for mut memory in of_each_kind(&MemoryType::new(0, Some(0))) {
        assert_eq!((memory.pages(), memory.byte_len()), (0, 0));
        assert!(memory.data().is_empty());
        assert!(!memory.base_ptr().is_null());
        assert_eq!(memory.read(0, &mut []), Ok(()));
        assert_eq!(memory.fill(0, 0, 1), Ok(()));
        assert!(memory.fill(1, 0, 1).is_err());
        assert!(memory.write(0, &[1]).is_err());
        assert_eq!(memory.grow(0), Ok(0));
        assert!(matches!(
            memory.grow(1),
            Err(GrowError::PastMaximum {
                pages: 0,
                delta: 1,
                limit: 0
            })
        ));
    }
}

#[test]
fn a_memory_of_no_pages_can_grow() {
    for mut memory in of_each_kind(&MemoryType::new(0, None)) {
        assert_eq!(memory.grow(2), Ok(0));
        memory.write(2 * WASM_PAGE_SIZE - 1, &[7]).unwrap();
        assert_eq!(memory.pages(), 2);
    }
}

#[test]
fn the_declared_maximum_may_be_larger_than_an_index_reaches() {
    for mut memory in of_each_kind(&MemoryType::new(1, Some(u64::MAX))) {
        assert!(matches!(
            memory.grow(MAX_PAGES),
            Err(GrowError::PastMaximum {
                limit: MAX_PAGES,
                ..
            })
        ));
        assert_eq!(memory.grow(1), Ok(1));
    }
}

#[test]
fn types_that_no_module_has_are_refused() {
    let refused = |ty: MemoryType| match LinearMemory::new_bounded(&ty) {
        Err(MemoryError::InvalidType(error)) => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(
        refused(MemoryType::new(2, Some(1))),
        InvalidMemoryType::MinimumPastMaximum { .. }
    ));
    assert!(matches!(
        refused(MemoryType::new(MAX_PAGES + 1, None)),
        InvalidMemoryType::MinimumPastIndex {
            limit: MAX_PAGES,
            ..
        }
    ));
    assert!(matches!(
        refused(memory64((1 << 48) + 1, None)),
        InvalidMemoryType::MinimumPastIndex { .. }
    ));
    for log2 in [1, 12, 15, 17, 63, 64, 255] {
        let ty = MemoryType {
            page_size_log2: log2,
            ..MemoryType::new(0, None)
        };
        assert_eq!(refused(ty), InvalidMemoryType::PageSize { log2 });
    }
}

#[test]
fn what_a_page_fault_cannot_check_is_never_guarded() {
    let refused = |ty: MemoryType| match LinearMemory::new_guarded(&ty, Layout::FULL) {
        Err(MemoryError::NotGuardable(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(memory64(1, None)), NotGuardable::Memory64);
    assert_eq!(refused(memory64(1, Some(65537))), NotGuardable::Memory64);
    // Even when the size happens to be whole host pages: it can grow by a byte.
    assert!(matches!(
        refused(byte_pages(65536, Some(65536))),
        NotGuardable::PageSize { page_size: 1, .. }
    ));
}

#[test]
fn sizes_that_no_host_has_are_errors() {
    assert!(matches!(
        LinearMemory::new_bounded(&memory64(1 << 47, None)),
        Err(MemoryError::Allocate { bytes }) if bytes == 1 << 63
    ));
    assert!(matches!(
        LinearMemory::new_bounded(&memory64(1 << 48, None)),
        Err(MemoryError::Allocate { .. })
    ));
    let mut memory = LinearMemory::new_bounded(&memory64(1, None)).unwrap();
    memory.write(0, b"kept").unwrap();
    for delta in [(1 << 47) - 1, (1 << 48) - 1] {
        assert!(matches!(
            memory.grow(delta),
            Err(GrowError::AddressSpace { .. })
        ));
    }
    if cfg!(all(target_pointer_width = "64", not(miri))) {
        // Fits a pointer, but no host's address space: 2^62 bytes.
        assert!(matches!(
            memory.grow(1 << 46),
            Err(GrowError::HostMemory { source: None, .. })
        ));
    }
    assert!(matches!(
        memory.grow(u64::MAX),
        Err(GrowError::PastMaximum { .. })
    ));
    assert_eq!(memory.pages(), 1);
    assert_eq!(memory.slice(0, 4).unwrap(), b"kept");
}

#[test]
fn a_copy_that_does_not_fit_one_side_changes_neither() {
    for mut dst in of_each_kind(&MemoryType::new(1, None)) {
        for mut src in of_each_kind(&MemoryType::new(2, None)) {
            src.fill(0, 2 * WASM_PAGE_SIZE, 9).unwrap();
            assert!(copy(&mut dst, 1, &src, 0, WASM_PAGE_SIZE).is_err());
            assert!(copy(&mut dst, 0, &src, WASM_PAGE_SIZE + 1, WASM_PAGE_SIZE).is_err());
            assert!(dst.data().iter().all(|byte| *byte == 0));
            copy(
                &mut dst,
                WASM_PAGE_SIZE - 1,
                &src,
                2 * WASM_PAGE_SIZE - 1,
                1,
            )
            .unwrap();
            assert_eq!(dst.data().last(), Some(&9));
            dst.fill(0, WASM_PAGE_SIZE, 0).unwrap();
        }
    }
}

#[test]
fn memories_can_move_between_threads_and_be_read_from_several() {
    for mut memory in of_each_kind(&MemoryType::new(1, None)) {
        memory = std::thread::spawn(move || {
            memory.write(10, &[42]).unwrap();
            memory
        })
        .join()
        .unwrap();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| assert_eq!(memory.slice(10, 1).unwrap(), [42]));
            }
        });
    }
}

#[cfg(all(target_os = "linux", target_pointer_width = "64", not(miri)))]
mod guarded {
    use super::*;
    use crate::common::{assert_exactly_accessible, in_child};
    use std::os::unix::process::ExitStatusExt;

    fn layouts() -> [Layout; 3] {
        [
            Layout::FULL,
            Layout::with_guard(0).unwrap(),
            Layout::with_guard(1 << 20)
                .unwrap()
                .with_front_guard(1 << 31),
        ]
    }

    #[test]
    fn exactly_the_memory_is_accessible_at_every_size() {
        for layout in layouts() {
            for minimum in [0, 1, 2, MAX_PAGES / 2, MAX_PAGES - 1, MAX_PAGES] {
                let ty = MemoryType::new(minimum, None);
                let mut memory = LinearMemory::new_guarded(&ty, layout).unwrap();
                let range = memory.reservation().unwrap();
                let base = memory.base_ptr();
                assert_eq!(range.len() as u64, layout.reservation_bytes());
                assert_eq!(base.addr() - range.start, layout.base_offset() as usize);
                assert_eq!(memory.byte_len(), minimum * WASM_PAGE_SIZE);
                assert_exactly_accessible(&memory);

                let left = MAX_PAGES - minimum;
                if left > 0 {
                    assert_eq!(memory.grow(1), Ok(minimum));
                    assert_exactly_accessible(&memory);
                    assert_eq!(memory.grow(left - 1), Ok(minimum + 1));
                    assert_exactly_accessible(&memory);
                }
                assert!(memory.grow(1).is_err());
                assert_eq!(memory.byte_len(), 1 << 32);
                assert_eq!(memory.base_ptr(), base);

                // Both ends of the largest memory there is.
                memory.write(0, &[1]).unwrap();
                memory.write((1 << 32) - 1, &[2]).unwrap();
                assert!(memory.write(1 << 32, &[3]).is_err());
                assert_eq!(memory.slice((1 << 32) - 2, 2).unwrap(), [0, 2]);
            }
        }
    }

    /// Whether reading one byte at an address, given relative to the base of a memory of one page,
    /// ends a process by SIGSEGV.
    fn faults(name: &str, address: fn(&LinearMemory) -> usize) -> bool {
        let output = in_child(name, || {
            let memory =
                LinearMemory::new_guarded(&MemoryType::new(1, None), Layout::FULL).unwrap();
            let distance = address(&memory) as isize - memory.base_ptr() as isize;
            // SAFETY: the address lies in the memory's reservation, so this either reads a byte or
            // faults; a fault ends this process, which exists for nothing else.
            unsafe { memory.base_ptr().wrapping_offset(distance).read_volatile() };
        });
        output.status.signal() == Some(libc::SIGSEGV)
    }

    #[test]
    fn the_last_byte_does_not_fault() {
        assert!(!faults("guarded::the_last_byte_does_not_fault", |memory| {
            memory.base_ptr().addr() + WASM_PAGE_SIZE as usize - 1
        }));
    }

    #[test]
    fn the_first_byte_past_the_end_faults() {
        assert!(faults(
            "guarded::the_first_byte_past_the_end_faults",
            |memory| memory.base_ptr().addr() + WASM_PAGE_SIZE as usize
        ));
    }

    #[test]
    fn the_byte_before_the_base_faults() {
        assert!(faults(
            "guarded::the_byte_before_the_base_faults",
            |memory| memory.base_ptr().addr() - 1
        ));
    }

    #[test]
    fn the_farthest_access_faults() {
        assert!(faults("guarded::the_farthest_access_faults", |memory| {
            // The last byte of the widest access at the largest index and offset.
            memory.base_ptr().addr() + 2 * u32::MAX as usize + 15
        }));
    }

    #[test]
    fn dropped_memories_give_their_address_space_back() {
        // More reservations than a 47-bit address space has room for, one after the other.
        for _ in 0..20_000 {
            let ty = MemoryType::new(1, None);
            drop(LinearMemory::new_guarded(&ty, Layout::FULL).unwrap());
        }
    }
}
