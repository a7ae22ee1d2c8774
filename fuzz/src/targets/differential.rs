//! `differential`: modules of wasm-smith's, in every mode and by the oracle.

use arbitrary::{Result, Unstructured};
use wasm_smith::{Config, InstructionKind, InstructionKinds, MemoryOffsetChoices, Module};

use crate::compare::{self, By, Case};
use crate::counts::Counts;
use crate::rewrite;
use crate::targets::Finding;
use crate::vm::{MEMORY_LIMIT, TABLE_LIMIT};

/// The body of the target.
///
/// # Errors
///
/// The first difference.
pub fn run(data: &[u8], counts: &mut Counts) -> Result<(), Finding> {
    let Ok(case) = case(&mut Unstructured::new(data)) else {
        counts.add("too few bytes", 1);
        return Ok(());
    };
    check(&case, counts)
}

/// Compares, and keeps the module if there is a difference.
///
/// # Errors
///
/// The first difference.
pub fn check(case: &Case, counts: &mut Counts) -> Result<(), Finding> {
    compare::check(case, counts).map_err(|difference| Finding {
        text: format!("seed {}: {difference}", case.seed),
        files: vec![("wasm", case.wasm.clone())],
    })
}

fn case(u: &mut Unstructured<'_>) -> Result<Case> {
    let seed = u.arbitrary()?;
    let config = config(u)?;
    let may_wait = config.threads_enabled;
    let mut wasm = Module::new(config, u)?.to_bytes();
    if may_wait {
        wasm = rewrite::short_waits(&wasm).map_err(|_| arbitrary::Error::IncorrectFormat)?;
    }
    let by = By::Oracle;
    Ok(Case { wasm, seed, by })
}

/// All instructions but those of control.
const STRAIGHT: [InstructionKind; 7] = [
    InstructionKind::Numeric,
    InstructionKind::Vector,
    InstructionKind::Reference,
    InstructionKind::Parametric,
    InstructionKind::Variable,
    InstructionKind::Memory,
    InstructionKind::Table,
];

/// What Palisade has, each proposal in most modules but not in all; small memories and tables, most accesses inside.
pub fn config(u: &mut Unstructured<'_>) -> Result<Config> {
    let mut most = || u.ratio(7, 8);
    let simd = most()?;
    Ok(Config {
        bulk_memory_enabled: most()?,
        extended_const_enabled: most()?,
        multi_value_enabled: most()?,
        reference_types_enabled: most()?,
        saturating_float_to_int_enabled: most()?,
        sign_extension_ops_enabled: most()?,
        simd_enabled: simd,
        relaxed_simd_enabled: simd && most()?,
        tail_call_enabled: most()?,
        memory64_enabled: most()?,
        wide_arithmetic_enabled: most()?,
        allow_floats: most()?,
        exceptions_enabled: most()?,
        custom_page_sizes_enabled: u.ratio(1, 4)?,
        gc_enabled: false,
        threads_enabled: u.ratio(1, 4)?,
        compact_imports_enabled: false,
        export_everything: true,
        // Straight lines, in some: what stands behind a branch is seldom reached.
        allowed_instructions: match u.ratio(1, 3)? {
            true => InstructionKinds::new(&STRAIGHT),
            false => InstructionKinds::all(),
        },
        // Code that goes on, in half of the modules: random addresses are mostly outside.
        disallow_traps: u.ratio(1, 2)?,
        max_types: 12,
        max_type_size: 60,
        max_memories: u.int_in_range(1..=4)?,
        max_tables: u.int_in_range(1..=3)?,
        max_memory32_bytes: MEMORY_LIMIT as u64,
        max_memory64_bytes: MEMORY_LIMIT as u128,
        max_table_elements: TABLE_LIMIT as u64 / 2,
        // Without memory most operators have nothing to do.
        min_memories: u.ratio(7, 8)?.into(),
        min_types: 4,
        min_globals: 2,
        min_funcs: u.int_in_range(2..=8)?,
        max_funcs: 12,
        max_instructions: *u.choose(&[30, 100, 400])?,
        max_imports: u.int_in_range(0..=8)?,
        max_globals: u.int_in_range(2..=10)?,
        max_data_segments: 4,
        max_element_segments: 4,
        max_elements: 20,
        memory_offset_choices: MemoryOffsetChoices(90, 9, 1),
        ..Config::default()
    })
}
