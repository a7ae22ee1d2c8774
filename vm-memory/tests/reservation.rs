//! Reservations and value stacks: what is accessible when, and what the pages contain.
#![cfg(all(target_os = "linux", target_pointer_width = "64", not(miri)))]

use std::os::unix::process::ExitStatusExt;

use common::{assert_mapped, in_child};
use vm_memory::{MemoryError, Protection, Reservation, ValueStack, host_page_size};

mod common;

fn reserve(pages: usize) -> Reservation {
    Reservation::new(pages * host_page_size()).unwrap()
}

/// A byte of a committed page.
fn peek(reservation: &Reservation, offset: usize) -> u8 {
    // SAFETY: the tests call this for committed pages of a reservation that they borrow.
    unsafe { reservation.base().add(offset).read_volatile() }
}

fn poke(reservation: &mut Reservation, offset: usize, byte: u8) {
    // SAFETY: the tests call this for committed pages of a reservation that they own.
    unsafe { reservation.base().add(offset).write_volatile(byte) }
}

/// Pages of a range that are in memory now (mincore(2)).
fn resident(range: std::ops::Range<usize>) -> usize {
    let mut pages = vec![0u8; range.len() / host_page_size()];
    let start = std::ptr::with_exposed_provenance_mut(range.start);
    // SAFETY: the vector has a byte for every page of the range, and the call only reports on it.
    let result = unsafe { libc::mincore(start, range.len(), pages.as_mut_ptr()) };
    assert_eq!(result, 0);
    pages.iter().filter(|page| **page & 1 != 0).count()
}

#[test]
fn a_reservation_starts_inaccessible() {
    let page = host_page_size();
    let reservation = reserve(8);
    assert_eq!(reservation.len(), 8 * page);
    assert_eq!(
        reservation.addresses().start,
        reservation.base().addr().get()
    );
    assert_mapped(reservation.addresses(), &[(8 * page, "---p")]);
}

#[test]
fn committing_and_protecting_affect_exactly_their_range() {
    let page = host_page_size();
    let mut reservation = reserve(8);
    reservation.commit(2 * page, 3 * page).unwrap();
    assert_mapped(
        reservation.addresses(),
        &[(2 * page, "---p"), (3 * page, "rw-p"), (3 * page, "---p")],
    );
    reservation
        .protect(3 * page, page, Protection::Read)
        .unwrap();
    reservation
        .protect(4 * page, page, Protection::None)
        .unwrap();
    assert_mapped(
        reservation.addresses(),
        &[
            (2 * page, "---p"),
            (page, "rw-p"),
            (page, "r--p"),
            (4 * page, "---p"),
        ],
    );
    reservation.decommit(0, 8 * page).unwrap();
    assert_mapped(reservation.addresses(), &[(8 * page, "---p")]);
}

#[test]
fn protection_keeps_contents_and_decommit_does_not() {
    let page = host_page_size();
    let mut reservation = reserve(4);
    reservation.commit(0, 4 * page).unwrap();
    for index in 0..4 {
        assert_eq!(peek(&reservation, index * page), 0);
        poke(&mut reservation, index * page, 1 + index as u8);
    }
    reservation.protect(page, page, Protection::None).unwrap();
    reservation.commit(page, page).unwrap();
    assert_eq!(peek(&reservation, page), 2);

    reservation.decommit(page, 2 * page).unwrap();
    let middle = reservation.addresses().start + page;
    assert_eq!(resident(middle..middle + 2 * page), 0);
    reservation.commit(page, 2 * page).unwrap();
    let seen: Vec<u8> = (0..4)
        .map(|index| peek(&reservation, index * page))
        .collect();
    assert_eq!(seen, [1, 0, 0, 4]);
}

#[test]
fn ranges_that_do_not_fit_are_refused_and_change_nothing() {
    let page = host_page_size();
    let mut reservation = reserve(4);
    let outside = [
        (0, 5 * page),
        (4 * page, page),
        (usize::MAX - page + 1, page),
        (usize::MAX - page + 1, 2 * page),
    ];
    for (offset, len) in outside {
        let expected = Err(MemoryError::OutsideReservation {
            offset,
            len,
            reserved: 4 * page,
        });
        assert_eq!(reservation.commit(offset, len), expected);
        assert_eq!(reservation.decommit(offset, len), expected);
        assert_eq!(reservation.protect(offset, len, Protection::Read), expected);
    }
    for (offset, len) in [(1, page), (0, 1), (page, page + 1)] {
        let expected = Err(MemoryError::Misaligned { offset, len, page });
        assert_eq!(reservation.commit(offset, len), expected);
        assert_eq!(reservation.decommit(offset, len), expected);
    }
    assert_mapped(reservation.addresses(), &[(4 * page, "---p")]);
    for offset in [0, page, 4 * page] {
        assert_eq!(reservation.commit(offset, 0), Ok(()));
    }
    assert_mapped(reservation.addresses(), &[(4 * page, "---p")]);
}

#[test]
fn lengths_that_no_reservation_has_are_refused() {
    for len in [0, 1, host_page_size() + 1] {
        assert!(matches!(
            Reservation::new(len),
            Err(MemoryError::Misaligned { .. })
        ));
    }
    assert!(matches!(
        Reservation::new(1 << 62),
        Err(MemoryError::Reserve { bytes, .. }) if bytes == 1 << 62
    ));
}

#[test]
fn a_guarded_stack_lies_between_guards() {
    let page = host_page_size();
    let stack = ValueStack::guarded(3 * page + 1, 1).unwrap();
    assert_eq!(stack.len_bytes(), 4 * page);
    assert_eq!(stack.slots(), page / 2);
    assert_eq!(stack.limit().addr() - stack.base().addr(), 4 * page);
    let guard = stack.guard().unwrap();
    assert_eq!(guard, stack.limit().addr()..stack.limit().addr() + page);
    let around = stack.base().addr() - page..guard.end;
    assert_mapped(
        around,
        &[(page, "---p"), (4 * page, "rw-p"), (page, "---p")],
    );
}

#[test]
fn the_smallest_guarded_stack_is_a_page() {
    let stack = ValueStack::guarded(0, 0).unwrap();
    assert_eq!(stack.len_bytes(), host_page_size());
    assert_eq!(stack.guard().unwrap().len(), host_page_size());
}

#[test]
fn stacks_of_impossible_size_are_errors() {
    assert!(ValueStack::guarded(usize::MAX, 0).is_err());
    assert!(ValueStack::guarded(0, usize::MAX).is_err());
    assert!(ValueStack::guarded(usize::MAX, usize::MAX).is_err());
    assert!(ValueStack::plain(usize::MAX).is_err());
    assert!(ValueStack::plain(1 << 62).is_err());
}

#[test]
fn a_stack_costs_only_what_is_touched() {
    for stack in [
        ValueStack::guarded(1 << 30, 65536).unwrap(),
        ValueStack::plain(1 << 30).unwrap(),
    ] {
        // SAFETY: first and last slot of a stack that nothing else uses.
        unsafe {
            assert_eq!(stack.base().read(), 0);
            stack.base().write(1);
            stack.limit().sub(1).write(2);
        }
        let page = host_page_size();
        let inner = stack.base().addr().next_multiple_of(page)..stack.limit().addr() / page * page;
        // Two pages, each of which may come as a huge one.
        assert!(resident(inner.clone()) <= inner.len() / page / 100);
    }
}

#[test]
fn the_slot_past_a_guarded_stack_faults() {
    let output = in_child("the_slot_past_a_guarded_stack_faults", || {
        let stack = ValueStack::guarded(65536, 4096).unwrap();
        // SAFETY: the address lies in the stack's own guard, so this faults; that ends this process,
        // which exists for nothing else.
        unsafe { stack.limit().write_volatile(1) };
    });
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV));
}
