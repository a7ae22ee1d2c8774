//! The predicate for accesses without a check, against what a reservation contains.

use proptest::prelude::*;
use vm_memory::{Layout, LayoutError, MAX_ACCESS_BYTES, host_page_size};

const GIB: u64 = 1 << 30;
const WIDTHS: [u32; 5] = [1, 2, 4, 8, 16];

/// One past the last byte that an access can touch, whatever its index.
fn farthest(offset: u64, width: u32) -> u128 {
    u128::from(u32::MAX) + u128::from(offset) + u128::from(width)
}

/// Bytes from the base to the end of the reservation.
fn reach(layout: Layout) -> u128 {
    u128::from(layout.reservation_bytes() - layout.base_offset())
}

#[test]
fn the_full_layout_needs_no_check_at_any_offset() {
    for width in WIDTHS {
        for offset in [
            0,
            1,
            4095,
            65535,
            2 * GIB - 1,
            2 * GIB,
            4 * GIB - 2,
            u64::from(u32::MAX),
        ] {
            assert!(Layout::FULL.unchecked(offset, width), "{offset} {width}");
            assert!(farthest(offset, width) <= reach(Layout::FULL));
        }
    }
}

#[test]
fn offsets_that_no_32_bit_memory_has_need_a_check() {
    for width in WIDTHS {
        for offset in [4 * GIB + 17, 1 << 40, u64::MAX - 1, u64::MAX] {
            assert!(!Layout::FULL.unchecked(offset, width), "{offset} {width}");
        }
    }
}

#[test]
fn the_full_layout_reserves_what_it_promises() {
    let page = host_page_size() as u64;
    let bytes = Layout::FULL.reservation_bytes();
    assert!(bytes >= 8 * GIB + page + u64::from(MAX_ACCESS_BYTES) + Layout::FULL.base_offset());
    assert!(bytes <= 8 * GIB + 3 * page);
}

#[test]
fn a_small_guard_covers_small_offsets_only() {
    let layout = Layout::with_guard(65536).unwrap();
    for width in WIDTHS {
        // An access at the last index ends `offset + width - 1` bytes past 4 GiB.
        let last = 65536 + 1 - u64::from(width);
        assert!(layout.unchecked(0, width));
        assert!(layout.unchecked(last, width));
        assert!(!layout.unchecked(last + 1, width));
        assert!(!layout.unchecked(u64::from(u32::MAX), width));
    }
}

#[test]
fn without_a_guard_only_what_an_index_alone_reaches_is_unchecked() {
    let layout = Layout::with_guard(0).unwrap();
    assert!(layout.unchecked(0, 1));
    assert!(!layout.unchecked(1, 1));
    assert!(!layout.unchecked(0, 2));
}

#[test]
fn a_guard_that_no_access_can_reach_is_refused() {
    let largest = Layout::FULL.guard_bytes();
    assert_eq!(Layout::with_guard(largest), Ok(Layout::FULL));
    for guard_bytes in [largest + 1, u64::MAX] {
        assert_eq!(
            Layout::with_guard(guard_bytes),
            Err(LayoutError::GuardTooLarge { guard_bytes })
        );
    }
}

#[test]
fn a_front_guard_moves_the_base_and_changes_no_answer() {
    let layout = Layout::FULL.with_front_guard(1 << 31);
    assert_eq!(layout.base_offset(), 2 * GIB);
    assert_eq!(reach(layout), reach(Layout::FULL));
    assert!(layout.unchecked(u64::from(u32::MAX), 16));
}

fn guards() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..=Layout::FULL.guard_bytes(),
        0..=65536u64,
        Layout::FULL.guard_bytes() - 65536..=Layout::FULL.guard_bytes(),
    ]
}

fn offsets() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), any::<u32>().prop_map(u64::from), 0..=65536u64]
}

proptest! {
    #[test]
    fn what_needs_no_check_stays_in_the_reservation(
        guard in guards(),
        front in any::<u32>(),
        offset in offsets(),
        near in -20i64..20,
        width in prop::sample::select(&WIDTHS[..]),
    ) {
        let layout = Layout::with_guard(guard).unwrap().with_front_guard(front);
        for offset in [offset, guard.saturating_add_signed(near)] {
            let inside = farthest(offset, width) <= (1u128 << 32) + u128::from(guard);
            prop_assert_eq!(layout.unchecked(offset, width), inside);
            if inside {
                prop_assert!(farthest(offset, width) <= reach(layout));
            }
        }
    }

    #[test]
    fn reservations_are_whole_host_pages_with_a_guard_on_both_sides(
        guard in guards(),
        front in any::<u32>(),
    ) {
        let page = host_page_size() as u64;
        let layout = Layout::with_guard(guard).unwrap().with_front_guard(front);
        prop_assert!(layout.base_offset() >= page && layout.base_offset() >= u64::from(front));
        prop_assert!(reach(layout) >= u128::from((1 << 32) + guard + page));
        prop_assert!(layout.base_offset().is_multiple_of(page));
        prop_assert!(layout.reservation_bytes().is_multiple_of(page));
    }
}
