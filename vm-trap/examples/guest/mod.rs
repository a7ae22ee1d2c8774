//! A guest of one instruction, and what it takes to run it: text with an access site, a landing pad,
//! regions, an activation. Shared by the examples.

use std::arch::naked_asm;
use std::error::Error;
use std::ops::Range;
use std::sync::OnceLock;

use vm_trap::{AccessSites, Activation, Fault, Region, RegionClass, RegionSet};

/// Loads the byte at `address`. Its first instruction is the access site.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
unsafe extern "C" fn load_byte(address: usize) -> u64 {
    naked_asm!("movzx eax, byte ptr [rdi]", "ret")
}

/// Loads the byte at `address`. Its first instruction is the access site.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
unsafe extern "C" fn load_byte(address: usize) -> u64 {
    naked_asm!("ldrb w0, [x0]", "ret")
}

/// Where the thread continues if it faults. The function keeps no frame and
/// changes no register but its result's: returning from it is enough.
#[unsafe(naked)]
unsafe extern "C" fn landing_pad() {
    naked_asm!("ret")
}

/// Tells vm-trap which instruction may fault.
pub(crate) fn register() -> Result<(), Box<dyn Error>> {
    static SITES: OnceLock<[AccessSites; 1]> = OnceLock::new();
    let sites = SITES.get_or_init(|| {
        let start = load_byte as *const () as usize;
        [AccessSites {
            text: start..start + 1,
            class: RegionClass::Memory,
        }]
    });
    // SAFETY: at that instruction, returning is all that is left to do.
    unsafe { vm_trap::register_sites(sites)? };
    Ok(())
}

/// Has the guest load the byte at `address`, where it may touch the addresses
/// `own`. The inner error is its fault.
pub(crate) fn load(
    own: Range<usize>,
    address: usize,
) -> Result<Result<u8, Box<Fault>>, Box<dyn Error>> {
    let mut regions = RegionSet::new();
    regions.insert(Region {
        range: own,
        class: RegionClass::Memory,
    })?;
    let activation = Activation::new(landing_pad as *const () as usize, &regions);
    // SAFETY: the landing pad returns from `load_byte`, and the regions stay
    // as they are meanwhile.
    let byte = unsafe { activation.enter(|| load_byte(address)) };
    match activation.take_fault() {
        None => Ok(Ok(u8::try_from(byte)?)),
        Some(fault) => Ok(Err(Box::new(fault))),
    }
}
