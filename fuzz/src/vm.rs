//! What the oracle and every mode of Palisade are to the comparison: something that plays a script.

use vm_engine::{Trap, ValType};

use crate::script::Script;
use crate::value::Value;

/// Memories may not become larger than this, in bytes, in either engine.
pub const MEMORY_LIMIT: usize = 8 << 16;
/// Tables may not become larger than this, in elements, in either engine.
pub const TABLE_LIMIT: usize = 2000;
/// The guest's stack, in bytes, in either engine: so large that what it can hold takes more [fuel](FUEL) than there is.
pub const STACK: usize = 64 << 20;
/// How much the oracle lets a call do, in instructions: what takes longer is not compared.
pub const FUEL: u64 = 200_000;

/// An instance that has been made, with its store.
pub trait Vm {
    /// Calls the export of that number.
    ///
    /// # Errors
    ///
    /// Why the guest stopped.
    fn call(
        &mut self,
        export: usize,
        args: &[Value],
        results: &[ValType],
    ) -> Result<Vec<Value>, Stop>;

    /// What can be seen from outside.
    fn state(&mut self) -> State;

    /// What the last call took, in instructions, if that is counted.
    fn fuel(&self) -> u64 {
        0
    }
}

/// Why a guest stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A trap, and the frames, innermost first: as far as both engines record them.
    Trap(Trap, Vec<Frame>),
    /// The host's own error, and the frames.
    Host(Vec<Frame>),
    /// An exception that nobody has caught: the export that its tag is, if it is one, and its values.
    Exception(Option<usize>, Vec<Value>),
    /// The stack was used up: engines differ in when, and in what has happened until then.
    StackOverflow,
    /// The oracle ran out of fuel.
    OutOfFuel,
    /// An instance that cannot be made for another reason than a trap: in words that need not be the same.
    Refused(String),
}

impl Stop {
    /// Whether it is the same end; with `places`, at the same place.
    pub fn is_like(&self, other: &Stop, places: bool) -> bool {
        let same = |ours: &[Frame], theirs: &[Frame]| match places {
            true => ours == theirs,
            false => {
                let functions = |frames: &[Frame]| -> Vec<u32> {
                    frames.iter().map(|frame| frame.function).collect()
                };
                functions(ours) == functions(theirs)
            }
        };
        match (self, other) {
            (Stop::Trap(trap, frames), Stop::Trap(other, others)) => {
                trap == other && same(frames, others)
            }
            (Stop::Host(frames), Stop::Host(others)) => same(frames, others),
            (Stop::Refused(_), Stop::Refused(_)) => true,
            (this, other) => this == other,
        }
    }
}

/// A guest's active call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The function's index.
    pub function: u32,
    /// Where it was in the module, in bytes.
    pub offset: usize,
}

/// How many frames are compared.
pub const FRAMES: usize = 16;

/// What an instance's exports are at the moment, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Of every export that is no function.
    pub exports: Vec<Contents>,
    /// What the host was told: the number of calls, and their digest.
    pub heard: (u64, u64),
}

/// The contents of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contents {
    /// A global's value.
    Global(Value),
    /// A table's elements.
    Table(Vec<Value>),
    /// A memory's size in bytes, and a digest of each of its parts of [`PART`] bytes.
    Memory(usize, Vec<u64>),
}

/// What a memory is compared by, in bytes.
pub const PART: usize = 4096;

impl Contents {
    /// Of a memory with these bytes.
    pub fn of_memory(bytes: &[u8]) -> Contents {
        Contents::Memory(bytes.len(), bytes.chunks(PART).map(digest).collect())
    }
}

/// Not for anyone with ill intent: it has to be quick.
fn digest(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut lanes = [0x9e37_79b9_7f4a_7c15u64; 4];
    for (at, word) in words.iter().enumerate() {
        let lane = &mut lanes[at % 4];
        *lane = (*lane ^ u64::from_le_bytes(*word))
            .wrapping_mul(0x2545_f491_4f6c_dd1d)
            .rotate_left(23);
    }
    let rest = rest.iter().map(|byte| u64::from(*byte));
    lanes.into_iter().chain(rest).fold(0, |sum, word| {
        (sum ^ word)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(31)
    })
}

/// A call, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Results, or why there are none.
    pub result: Result<Vec<Value>, Stop>,
    /// Everything, afterwards.
    pub state: State,
}

/// Plays a script, as far as `most` calls and as far as the outcome of a call is the same everywhere.
pub fn play(vm: &mut dyn Vm, script: &Script, most: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    for call in script.calls.iter().take(most) {
        let result = vm.call(call.export, &call.args, &call.results);
        let ends = matches!(result, Err(Stop::StackOverflow | Stop::OutOfFuel));
        steps.push(Step {
            result,
            state: vm.state(),
        });
        if ends {
            break;
        }
    }
    steps
}
