//! Which faults are the guest's, and what is known of them.

#![cfg(all(
    any(target_os = "linux", target_os = "macos"),
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(miri)
))]

mod common;

use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use common::*;
use vm_trap::{Activation, RegionClass, RegionSet, TrapCode, install, uninstall};

#[cfg(target_os = "linux")]
const GUARD_SIGNAL: i32 = libc::SIGSEGV;
#[cfg(target_os = "macos")]
const GUARD_SIGNAL: i32 = libc::SIGBUS;

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
        let byte = unsafe {
            activation.enter(|| {
                let byte = load_byte(pages.guard() + 5, marker);
                assert!(!activation.is_armed(), "a fault disarms");
                byte
            })
        };
        assert_eq!(byte, FAULTED);
        let fault = activation.fault().expect("there was one");
        assert_eq!(fault.code, TrapCode::MemoryOutOfBounds);
        assert_eq!(fault.pc, site_pc());
        assert_eq!(fault.address, pages.guard() + 5);
        assert_eq!(fault.gpr[MARKER], marker);
        assert!(!activation.is_armed());

        // The same activation can be used again, and forgets the old fault.
        // SAFETY: as in `guest_load`.
        let byte = unsafe { activation.enter(|| load_byte(pages.readable(), marker)) };
        assert_eq!(byte, 7);
        assert_eq!(activation.take_fault(), None);
    });
}

#[test]
fn the_last_byte_of_a_region_is_inside_it() {
    in_child("the_last_byte_of_a_region_is_inside_it", || {
        ready();
        let pages = Pages::new();
        let regions = pages.regions(RegionClass::Memory);
        let last = pages.range().end - 1;
        let fault = guest_load(&regions, last).expect_err("it is in the guard");
        assert_eq!(fault.address, last);
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

#[test]
fn entering_arms_and_leaving_restores() {
    in_child("entering_arms_and_leaving_restores", || {
        ready();
        let activation = Activation::new(landing_pad_pc(), ptr::null());
        assert!(!activation.is_armed());
        // SAFETY: no guest runs.
        unsafe {
            activation.enter(|| {
                assert!(activation.is_armed());
                activation.disarm();
                assert!(!activation.is_armed());
                activation.arm();
                assert!(activation.is_armed());
            });
        }
        assert!(!activation.is_armed());
        // The documented offset is where the flag is.
        activation.arm();
        // SAFETY: a byte of the activation.
        let flag = unsafe {
            ptr::from_ref(&activation)
                .cast::<u8>()
                .add(Activation::ARMED_OFFSET)
                .read_volatile()
        };
        assert_eq!(flag, 1);
    });
}

#[test]
fn each_fault_ends_its_own_activation() {
    in_child("each_fault_ends_its_own_activation", || {
        ready();
        let (outer_pages, inner_pages) = (Pages::new(), Pages::new());
        let outer_regions = outer_pages.regions(RegionClass::Memory);
        let inner_regions = inner_pages.regions(RegionClass::Memory);
        let outer = Activation::new(landing_pad_pc(), &outer_regions);
        // SAFETY: as in `guest_load`.
        let byte = unsafe {
            outer.enter(|| {
                assert_eq!(load_byte(outer_pages.readable(), 0), 7);
                // A host function that calls a guest again, three times.
                outer.disarm();
                for offset in 0..3 {
                    let address = inner_pages.guard() + offset;
                    let fault = guest_load(&inner_regions, address).expect_err("the guard");
                    assert_eq!(fault.address, address);
                    assert_eq!(outer.fault(), None);
                    assert!(!outer.is_armed());
                }
                outer.arm();
                load_byte(outer_pages.guard(), 0)
            })
        };
        assert_eq!(byte, FAULTED);
        assert_eq!(
            outer.fault().map(|fault| fault.address),
            Some(outer_pages.guard())
        );
    });
}

#[test]
fn a_panic_leaves_the_activation() {
    in_child("a_panic_leaves_the_activation", || {
        ready();
        let pages = Pages::new();
        let regions = pages.regions(RegionClass::Memory);
        let outer = Activation::new(landing_pad_pc(), &regions);
        // SAFETY: as in `guest_load`.
        let byte = unsafe {
            outer.enter(|| {
                let inner = Activation::new(landing_pad_pc(), &regions);
                let result = catch_unwind(AssertUnwindSafe(|| {
                    inner.enter(|| -> u64 { panic!("in a host function") })
                }));
                assert!(result.is_err());
                assert!(!inner.is_armed());
                // The outer activation is the innermost again, armed as before.
                load_byte(pages.guard(), 0)
            })
        };
        assert_eq!(byte, FAULTED);
        assert!(outer.fault().is_some());
        uninstall().expect("no activation is left");
    });
}

#[test]
fn an_address_outside_the_regions_is_not_ours() {
    dies_in_child(
        "an_address_outside_the_regions_is_not_ours",
        GUARD_SIGNAL,
        || {
            ready();
            let (pages, others) = (Pages::new(), Pages::new());
            let regions = pages.regions(RegionClass::Memory);
            let _ = guest_load(&regions, others.guard());
        },
    );
}

#[test]
fn an_address_of_the_outer_activation_is_not_the_inner_ones() {
    dies_in_child(
        "an_address_of_the_outer_activation_is_not_the_inner_ones",
        GUARD_SIGNAL,
        || {
            ready();
            let (outer_pages, inner_pages) = (Pages::new(), Pages::new());
            let outer_regions = outer_pages.regions(RegionClass::Memory);
            let inner_regions = inner_pages.regions(RegionClass::Memory);
            let outer = Activation::new(landing_pad_pc(), &outer_regions);
            // SAFETY: as in `guest_load`.
            let _ = unsafe { outer.enter(|| guest_load(&inner_regions, outer_pages.guard())) };
        },
    );
}

#[test]
fn a_removed_region_is_not_ours() {
    dies_in_child("a_removed_region_is_not_ours", GUARD_SIGNAL, || {
        ready();
        let pages = Pages::new();
        let mut regions = pages.regions(RegionClass::Memory);
        assert!(guest_load(&regions, pages.guard()).is_err());
        regions.remove(&pages.range()).expect("it was there");
        let _ = guest_load(&regions, pages.guard());
    });
}

#[test]
fn without_regions_no_fault_is_ours() {
    dies_in_child("without_regions_no_fault_is_ours", GUARD_SIGNAL, || {
        ready();
        let pages = Pages::new();
        let activation = Activation::new(landing_pad_pc(), ptr::null::<RegionSet>());
        // SAFETY: as in `guest_load`.
        unsafe { activation.enter(|| load_byte(pages.guard(), 0)) };
    });
}

#[test]
fn a_pc_outside_the_sites_is_not_ours() {
    dies_in_child("a_pc_outside_the_sites_is_not_ours", GUARD_SIGNAL, || {
        ready();
        let pages = Pages::new();
        let regions = pages.regions(RegionClass::Memory);
        let activation = Activation::new(landing_pad_pc(), &regions);
        // SAFETY: as in `guest_load`.
        unsafe { activation.enter(|| load_byte_unregistered(pages.guard())) };
    });
}

#[test]
fn a_class_that_the_site_does_not_have_is_not_ours() {
    dies_in_child(
        "a_class_that_the_site_does_not_have_is_not_ours",
        GUARD_SIGNAL,
        || {
            register_for(RegionClass::Memory);
            install().expect("supported here");
            let pages = Pages::new();
            let regions = pages.regions(RegionClass::Stack);
            let _ = guest_load(&regions, pages.guard());
        },
    );
}

#[test]
fn a_disarmed_activation_claims_nothing() {
    dies_in_child("a_disarmed_activation_claims_nothing", GUARD_SIGNAL, || {
        ready();
        let pages = Pages::new();
        let regions = pages.regions(RegionClass::Memory);
        let activation = Activation::new(landing_pad_pc(), &regions);
        // SAFETY: as in `guest_load`.
        unsafe {
            activation.enter(|| {
                activation.disarm();
                load_byte(pages.guard(), 0)
            })
        };
    });
}

#[test]
fn a_site_outside_any_activation_is_not_ours() {
    dies_in_child(
        "a_site_outside_any_activation_is_not_ours",
        GUARD_SIGNAL,
        || {
            ready();
            let pages = Pages::new();
            let regions = pages.regions(RegionClass::Memory);
            assert!(guest_load(&regions, pages.guard()).is_err());
            // SAFETY: it is the end of this process.
            unsafe { load_byte(pages.guard(), 0) };
        },
    );
}

#[test]
fn a_null_dereference_in_a_host_function_ends_the_process() {
    dies_in_child(
        "a_null_dereference_in_a_host_function_ends_the_process",
        libc::SIGSEGV,
        || {
            ready();
            let pages = Pages::new();
            let regions = pages.regions(RegionClass::Memory);
            let activation = Activation::new(landing_pad_pc(), &regions);
            // SAFETY: as in `guest_load`.
            unsafe {
                activation.enter(|| {
                    activation.disarm();
                    host_load(black_box(0))
                })
            };
        },
    );
}

/// On x86-64 such an address is a general protection fault, for which the
/// kernel gives no address. (aarch64 ignores the upper bits.)
#[cfg(target_arch = "x86_64")]
#[test]
fn a_non_canonical_address_is_not_ours() {
    dies_in_child("a_non_canonical_address_is_not_ours", libc::SIGSEGV, || {
        ready();
        let pages = Pages::new();
        let regions = pages.regions(RegionClass::Memory);
        let _ = guest_load(&regions, pages.guard() ^ (1 << 62));
    });
}
