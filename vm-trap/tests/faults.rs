//! Which faults are the guest's, and what is known of them.

#![cfg(all(unix, any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]

mod common;

use common::*;
use vm_trap::{Activation, RegionClass, TrapCode, install};

fn ready() {
    register();
    install().expect("supported here");
}

#[test]
fn an_access_inside_is_no_fault() {
    in_child("an_access_inside_is_no_fault", || {
        ready();
        let pages = Pages::new();
        let regions = pages.regions(RegionClass::Memory);
        assert_eq!(guest_load(&regions, pages.readable()), Ok(7));
        assert_eq!(guest_load(&regions, pages.guard() - 1), Ok(7));
    });
}

#[test]
fn a_fault_is_described() {
    in_child("a_fault_is_described", || {
        ready();
        let pages = Pages::new();
        let regions = pages.regions(RegionClass::Memory);
        let activation = Activation::new(landing_pad_pc(), &regions);
        let marker = 0x0123_4567_89ab_cdef;
        // SAFETY: as in `guest_load`.
        let byte = unsafe { activation.enter(|| load_byte(pages.guard() + 5, marker)) };
        assert_eq!(byte, FAULTED);
        let fault = activation.fault().expect("there was one");
        assert_eq!(fault.code, TrapCode::MemoryOutOfBounds);
        assert_eq!(fault.pc, site_pc());
        assert_eq!(fault.address, pages.guard() + 5);
        assert_eq!(fault.gpr[MARKER], marker);
        assert!(!activation.is_armed());

        // The same activation can be used again.
        // SAFETY: as in `guest_load`.
        let byte = unsafe { activation.enter(|| load_byte(pages.readable(), marker)) };
        assert_eq!(byte, 7);
        assert_eq!(activation.take_fault(), None);
    });
}

#[test]
fn a_fault_on_a_stack_is_exhaustion() {
    in_child("a_fault_on_a_stack_is_exhaustion", || {
        ready();
        let pages = Pages::new();
        let regions = pages.regions(RegionClass::Stack);
        let fault = guest_load(&regions, pages.guard()).expect_err("it is the guard");
        assert_eq!(fault.code, TrapCode::StackOverflow);
    });
}
