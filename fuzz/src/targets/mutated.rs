//! `mutated`: valid modules with a few bytes or sections changed. Whatever comes of it, a verdict has to: the
//! validator's, in time and memory that its size explains; and what is accepted has to be translatable.

use std::ops::Range;
use std::sync::OnceLock;
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use cpu_time::ThreadTime;
use peak_alloc::PeakAlloc;
use vm_engine::{Engine, Module};
use vm_translate::Features;
use wasmparser::{Validator, WasmFeatures};

use crate::compare::{self, By, Case};
use crate::counts::Counts;
use crate::modes;
use crate::targets::{Finding, differential};

/// Counts bytes, for the limit on memory.
#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Modules of the tree, from small to large.
const IN_TREE: &[&[u8]] = &[
    include_bytes!("../../../examples/fibonacci.wat"),
    include_bytes!("../../../examples/hello.wasm"),
    include_bytes!("../../../examples/out_of_bounds.wat"),
    include_bytes!("../../../programs/matrix.wasm"),
    include_bytes!("../../../programs/simd.wasm"),
    include_bytes!("../../../programs/corpus/collections-speed.wasm"),
    include_bytes!("../../../programs/corpus/constant-size.wasm"),
    include_bytes!("../../../programs/corpus/documents-speed.wasm"),
    include_bytes!("../../../programs/corpus/fft-size.wasm"),
    include_bytes!("../../../programs/corpus/report-speed.wasm"),
    include_bytes!("../../../vm-translate/tests/golden/calls.wat"),
    include_bytes!("../../../vm-translate/tests/golden/control.wat"),
    include_bytes!("../../../vm-translate/tests/golden/exceptions.wat"),
    include_bytes!("../../../vm-translate/tests/golden/locals.wat"),
    include_bytes!("../../../vm-translate/tests/golden/order.wat"),
    include_bytes!("../../../vm-translate/tests/golden/products.wat"),
    include_bytes!("../../../vm-translate/tests/golden/runtime.wat"),
    include_bytes!("../../../xtask/src/bench/figures/small.wat"),
];

/// What a module may take in memory while it is validated and translated: a little at all events, and so much for each
/// of its bytes.
const MEMORY_AT_LEAST: usize = 16 << 20;
const MEMORY_PER_BYTE: usize = 2000;
/// The same for the processor's time.
const TIME_AT_LEAST: Duration = Duration::from_secs(2);
const TIME_PER_BYTE: Duration = Duration::from_micros(20);

/// Valid modules larger than this are not run, in bytes.
const RUN_AT_MOST: usize = 40_000;

/// The body of the target.
///
/// # Errors
///
/// Another verdict than the validator's; what is accepted but cannot be translated; too much time or memory; and what
/// [`compare::check`] finds of what is accepted.
pub fn run(data: &[u8], counts: &mut Counts) -> std::result::Result<(), Finding> {
    let mut u = Unstructured::new(data);
    let made = seed_and_base(&mut u).and_then(|(seed, mut bytes)| {
        for _ in 0..*u.choose(&[1, 1, 1, 2, 3, 6])? {
            mutate(&mut bytes, &mut u)?;
        }
        Ok((seed, bytes))
    });
    let Ok((seed, bytes)) = made else {
        counts.add("too few bytes", 1);
        return Ok(());
    };
    check(seed, &bytes, counts).map_err(|text| Finding {
        text,
        files: vec![("wasm", bytes)],
    })
}

fn check(seed: u64, bytes: &[u8], counts: &mut Counts) -> std::result::Result<(), String> {
    counts.add("modules", 1);
    // With function-references comes of gc what is of functions' types; what else there is of it is refused by its name.
    let validate = |features| Validator::new_with_features(features).validate_all(bytes);
    let verdict = validate(features() | WasmFeatures::GC);
    let is_whole = validate(features()).is_ok();
    counts.add("valid", is_whole.into());
    let modes = modes::all().map_err(|error| format!("{error:#}"))?;
    for mode in modes {
        let found = load(&mode.engine, bytes).map_err(|text| format!("{}: {text}", mode.name))?;
        let counts = counts.mode(&mode.name);
        match (&verdict, found) {
            (Ok(_), Ok(functions)) => counts.functions += u64::from(functions),
            (Err(_), Err(_)) => {}
            (Ok(_), Err(error)) if !is_whole && error.contains("proposal `gc`") => {}
            (Ok(_), Err(error)) => {
                return Err(format!("{}: refused what is valid: {error}", mode.name));
            }
            (Err(error), Ok(_)) => {
                return Err(format!(
                    "{}: accepted what is not valid: {error}",
                    mode.name
                ));
            }
        }
    }
    if is_whole && bytes.len() <= RUN_AT_MOST {
        counts.add("valid and run", 1);
        let case = Case {
            wasm: bytes.to_vec(),
            seed,
            by: By::Oracle,
        };
        compare::check(&case, counts).map_err(|difference| format!("seed {seed}: {difference}"))?;
    }
    Ok(())
}

/// The number of functions with code, or why the module is refused; an error if that took too much.
fn load(
    engine: &Engine,
    bytes: &[u8],
) -> std::result::Result<std::result::Result<u32, String>, String> {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let start = ThreadTime::now();
    let loaded = Module::new(engine, bytes).map(|module| module.code_size().functions);
    let memory = ALLOCATOR.peak_usage().saturating_sub(before);
    let most = MEMORY_AT_LEAST + MEMORY_PER_BYTE * bytes.len();
    if memory > most {
        return Err(format!(
            "took {memory} bytes of memory for {} bytes, instead of {most} at most",
            bytes.len()
        ));
    }
    let most = TIME_AT_LEAST + TIME_PER_BYTE * bytes.len() as u32;
    let taken = start.elapsed();
    if taken > most {
        return Err(format!(
            "took {:?} for {} bytes, instead of {most:?} at most",
            taken,
            bytes.len()
        ));
    }
    Ok(loaded.map_err(|error| error.to_string()))
}

/// What Palisade's modules may use if nothing is switched on.
fn features() -> WasmFeatures {
    static FEATURES: OnceLock<WasmFeatures> = OnceLock::new();
    *FEATURES.get_or_init(|| {
        let own = Features::default();
        let is_on = |name: &str| own.get(name) == Some(true) || name == "legacy-exceptions";
        let names = Features::names().filter(|name| is_on(name));
        let names = names.map(|name| name.to_uppercase().replace('-', "_"));
        let flags = names
            .map(|name| WasmFeatures::from_name(&name).expect("the validator's names are ours"));
        flags.fold(WasmFeatures::MVP, |all, flag| all | flag)
    })
}

fn seed_and_base(u: &mut Unstructured<'_>) -> Result<(u64, Vec<u8>)> {
    let seed = u.arbitrary()?;
    if u.ratio(1, 3)? {
        let base = u.choose(IN_TREE)?;
        let wasm = wat::parse_bytes(base)
            .expect("the tree's modules are valid")
            .into_owned();
        return Ok((seed, wasm));
    }
    let mut config = differential::config(u)?;
    // What is mutated is not made to wait shortly.
    config.threads_enabled = false;
    // Now and then something that Palisade does not have.
    if u.ratio(1, 6)? {
        config.exceptions_enabled = u.arbitrary()?;
        config.gc_enabled = u.arbitrary()?;
        config.generate_custom_sections = true;
    }
    config.allow_invalid_funcs = u.ratio(1, 6)?;
    Ok((seed, wasm_smith::Module::new(config, u)?.to_bytes()))
}

/// Where sections are: each with its header. Empty if there are none.
fn sections(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut sections = Vec::new();
    let mut at = 8;
    while at < bytes.len() {
        let mut size = 0u64;
        let mut next = at + 1;
        for shift in (0..35).step_by(7) {
            let Some(byte) = bytes.get(next) else {
                return sections;
            };
            next += 1;
            size |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let end = (next as u64 + size).min(bytes.len() as u64) as usize;
        sections.push(at..end);
        at = end;
    }
    sections
}

/// The number of the section with the functions' code.
const CODE: u8 = 10;

/// A stretch of bytes, mostly short.
fn stretch(bytes: &[u8], u: &mut Unstructured<'_>) -> Result<Range<usize>> {
    let start = u.choose_index(bytes.len().max(1))?.min(bytes.len());
    let most = if u.ratio(7, 8)? { 16 } else { 4096 };
    let len = u.int_in_range(1..=most)?.min(bytes.len() - start);
    Ok(start..start + len)
}

fn mutate(bytes: &mut Vec<u8>, u: &mut Unstructured<'_>) -> Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let sections = sections(bytes);
    let section = |u: &mut Unstructured<'_>| match sections.is_empty() {
        true => Ok(0..0),
        false => u.choose(&sections).cloned(),
    };
    // Mostly in code, where one byte often makes another valid module.
    let code = sections.iter().find(|section| bytes[section.start] == CODE);
    let place = |u: &mut Unstructured<'_>| match code {
        Some(code) if u.ratio(3, 4)? => u.int_in_range(code.start..=code.end - 1),
        _ => u.choose_index(bytes.len()),
    };
    match u.int_in_range(0..=11)? {
        // A bit.
        0..=2 => {
            let at = place(u)?;
            bytes[at] ^= 1 << u.int_in_range(0..=7)?;
        }
        // A byte, often one that means something.
        3 | 4 => {
            let at = place(u)?;
            bytes[at] = match u.ratio(1, 2)? {
                true => *u.choose(&[0, 1, 0x0b, 0x40, 0x70, 0x7f, 0x80, 0xfc, 0xfd, 0xff])?,
                false => u.arbitrary()?,
            };
        }
        // A number that is far too large, or is written in more bytes than it needs.
        5 => {
            let at = place(u)?;
            let number: &[u8] = u.choose(&[
                &[0xff, 0xff, 0xff, 0xff, 0x0f][..],
                &[0x80, 0x80, 0x80, 0x00],
                &[0xff, 0x7f],
            ])?;
            bytes.splice(at..at + 1, number.iter().copied());
        }
        // A stretch goes, or is there twice.
        6 => {
            let stretch = stretch(bytes, u)?;
            bytes.drain(stretch);
        }
        7 => {
            let stretch = stretch(bytes, u)?;
            let copy = bytes[stretch.clone()].to_vec();
            bytes.splice(stretch.end..stretch.end, copy);
        }
        // The end is missing.
        8 => bytes.truncate(u.choose_index(bytes.len())?),
        // A section goes, is there twice, or is where another one was.
        9 => {
            let section = section(u)?;
            bytes.drain(section);
        }
        10 => {
            let section = section(u)?;
            let copy = bytes[section.clone()].to_vec();
            bytes.splice(section.end..section.end, copy);
        }
        _ => {
            let (from, to) = (section(u)?, section(u)?);
            let copy = bytes[from].to_vec();
            bytes.splice(to, copy);
        }
    }
    Ok(())
}
