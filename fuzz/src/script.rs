//! What is done with an instance: calls of its exports with random arguments.

use vm_engine::{ExternType, Module, ValType};

use crate::value::Value;

/// Calls in their order.
#[derive(Clone, Debug)]
pub struct Script {
    /// The seed that it was made from; also the host's.
    pub seed: u64,
    /// The calls.
    pub calls: Vec<Call>,
}

/// A call of an export.
#[derive(Clone, Debug)]
pub struct Call {
    /// The export's number.
    pub export: usize,
    /// The export's name.
    pub name: String,
    /// Arguments.
    pub args: Vec<Value>,
    /// Types of the results.
    pub results: Vec<ValType>,
}

/// How many calls a script has at most.
const CALLS: usize = 40;
/// So many that a function called in a row is hot in every mode.
const ROW: usize = 110;

impl Script {
    /// Calls of a module's exports. Every function is called several times if there is room, so that it is called
    /// once it is hot as well; of some modules one of them very often.
    pub fn new(module: &Module, seed: u64) -> Script {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut functions: Vec<_> = module
            .exports()
            .enumerate()
            .filter_map(|(at, export)| match export.ty() {
                ExternType::Func(ty) => Some((at, export.name().to_owned(), ty)),
                _ => None,
            })
            .collect();
        random.shuffle(&mut functions);
        let mut calls = Vec::new();
        let mut call = |random: &mut fastrand::Rng, at: usize| {
            let (export, name, ty) = &functions[at];
            calls.push(Call {
                export: *export,
                name: name.clone(),
                args: ty.params().map(|ty| Value::random(ty, random)).collect(),
                results: ty.results().collect(),
            });
            calls.len()
        };
        if !functions.is_empty() {
            if random.u8(..16) == 0 {
                let at = random.usize(..functions.len());
                while call(&mut random, at) < ROW {}
            }
            let rounds = random.usize(1..=4);
            for at in (0..rounds).flat_map(|_| 0..functions.len()).take(CALLS) {
                call(&mut random, at);
            }
        }
        Script { seed, calls }
    }
}
