//! Reads bytes of this process at any address, and says so where there is none:
//!
//! ```text
//! $ cargo run --example probe_address -- 0 0x7fffffffe000
//! ```
//!
//! Without arguments it probes an address of its own and the lowest one.
//!
//! The guest, of one instruction, is in `guest/mod.rs`.

use std::process::ExitCode;

#[cfg(all(
    any(target_os = "linux", target_os = "macos"),
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod guest;

#[cfg(all(
    any(target_os = "linux", target_os = "macos"),
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod probe {
    use std::error::Error;

    use super::guest;

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

        guest::register()?;
        vm_trap::install()?;
        // This guest may touch every address. A fault at any other instruction
        // is still not its.
        Ok(guest::load(0..usize::MAX, address)?.ok())
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
