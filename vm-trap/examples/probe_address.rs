//! Reads bytes of this process at any address, and says so where there is none:
//!
//! ```text
//! $ cargo run --example probe_address -- 0 0x7fffffffe000
//! ```
//!
//! Without arguments it probes an address of its own and the lowest one.
//!
//! A guest of one instruction shows all that a user of the crate has to do:
//! text with an access site, a landing pad, regions, an activation.

use std::process::ExitCode;

#[cfg(all(
    any(target_os = "linux", target_os = "macos"),
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod probe {
    use std::arch::naked_asm;
    use std::error::Error;
    use std::sync::OnceLock;

    use vm_trap::{AccessSites, Activation, Region, RegionClass, RegionSet};

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

    /// The byte at `address`, if there is one that this process may read.
    pub(crate) fn read_byte(address: usize) -> Result<Option<u8>, Box<dyn Error>> {
        // On x86-64 an address with other upper bits than these is no address:
        // using it is a general protection fault, of which the kernel does not
        // say where it was.
        if cfg!(target_arch = "x86_64")
            && (address << 16).cast_signed() >> 16 != address.cast_signed()
        {
            return Ok(None);
        }

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
        vm_trap::install()?;

        // This guest may touch every address. A fault at any other instruction
        // is still not its.
        let mut regions = RegionSet::new();
        regions.insert(Region {
            range: 0..usize::MAX,
            class: RegionClass::Memory,
        })?;
        let activation = Activation::new(landing_pad as *const () as usize, &regions);
        // SAFETY: the landing pad returns from `load_byte`, and the regions
        // stay as they are meanwhile.
        let byte = unsafe { activation.enter(|| load_byte(address)) };
        Ok(match activation.take_fault() {
            None => Some(u8::try_from(byte)?),
            Some(_) => None,
        })
    }
}

#[cfg(not(all(
    any(target_os = "linux", target_os = "macos"),
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
mod probe {
    /// There are no handlers here: says why.
    pub(crate) fn read_byte(_: usize) -> Result<Option<u8>, Box<dyn std::error::Error>> {
        vm_trap::availability()?;
        Ok(None)
    }
}

fn parse(text: &str) -> Option<usize> {
    match text.strip_prefix("0x") {
        Some(digits) => usize::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let answer = 42u8;
    let addresses: Option<Vec<usize>> = if arguments.is_empty() {
        Some(vec![&raw const answer as usize, 0])
    } else {
        arguments.iter().map(|text| parse(text)).collect()
    };
    let Some(addresses) = addresses else {
        eprintln!("usage: probe_address [ADDRESS]...   (decimal, or hexadecimal after 0x)");
        return ExitCode::from(2);
    };
    for address in addresses {
        match probe::read_byte(address) {
            Ok(Some(byte)) => println!("{address:#x}: {byte:#04x}"),
            Ok(None) => println!("{address:#x}: not readable"),
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
