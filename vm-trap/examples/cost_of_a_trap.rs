//! What a trap costs: entering a guest, faulting, and coming back, against the same without a fault.
//!
//! ```text
//! $ cargo run --release --example cost_of_a_trap
//! ```

#[cfg(all(
    any(target_os = "linux", target_os = "macos"),
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod guest;

#[cfg(all(
    any(target_os = "linux", target_os = "macos"),
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod cost {
    use std::error::Error;
    use std::time::Instant;

    use super::guest;

    /// The median over several batches of the nanoseconds for one call.
    fn nanoseconds(
        mut call: impl FnMut() -> Result<(), Box<dyn Error>>,
    ) -> Result<f64, Box<dyn Error>> {
        const BATCH: u32 = 20_000;
        let mut batches = Vec::new();
        for _ in 0..15 {
            let start = Instant::now();
            for _ in 0..BATCH {
                call()?;
            }
            batches.push(start.elapsed().as_nanos() as f64 / f64::from(BATCH));
        }
        batches.sort_by(f64::total_cmp);
        Ok(batches[batches.len() / 2])
    }

    pub(crate) fn run() -> Result<(), Box<dyn Error>> {
        guest::register()?;
        vm_trap::install()?;
        vm_trap::prepare_thread()?;
        let byte = 7u8;
        let there = &raw const byte as usize;
        // No page is ever mapped at the lowest addresses.
        let nothing = 0x100..0x200;

        let plain = nanoseconds(|| match guest::load(nothing.clone(), there)? {
            Ok(7) => Ok(()),
            other => Err(format!("{other:?} was loaded").into()),
        })?;
        let trapped = nanoseconds(|| match guest::load(nothing.clone(), 0x123)? {
            Err(fault) if fault.address == 0x123 => Ok(()),
            other => Err(format!("{other:?} was loaded").into()),
        })?;
        println!("enter, load, return: {plain:.0} ns");
        println!("enter, fault, return: {trapped:.0} ns");

        let first = Instant::now();
        let known = vm_trap::native_stack::remaining();
        let first = first.elapsed().as_nanos();
        let again = nanoseconds(|| {
            std::hint::black_box(vm_trap::native_stack::remaining());
            Ok(())
        })?;
        println!(
            "what is left of the stack: {again:.1} ns, the first time {first} ns ({known:?} bytes)"
        );
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    #[cfg(all(
        any(target_os = "linux", target_os = "macos"),
        any(target_arch = "x86_64", target_arch = "aarch64")
    ))]
    cost::run()?;
    #[cfg(not(all(
        any(target_os = "linux", target_os = "macos"),
        any(target_arch = "x86_64", target_arch = "aarch64")
    )))]
    vm_trap::availability()?;
    Ok(())
}
