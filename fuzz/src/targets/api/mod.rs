//! `api`: sequences of what an embedder can do, by a model of what has to come of it, in every mode.

mod model;
mod real;

use std::fmt::Write as _;

use arbitrary::{Arbitrary, Unstructured};

use crate::counts::Counts;
use crate::modes;
use crate::targets::Finding;

/// Something that an embedder does. Numbers of stores and instances are taken modulo how many there are.
#[derive(Arbitrary, Clone, Debug)]
enum Op {
    /// A new store, with limits or without; at most [`STORES`] live at a time.
    Store {
        limited: bool,
    },
    /// A new instance in a store.
    Instance {
        store: u8,
        new: New,
    },
    /// A call of an export, perhaps on another thread.
    Call {
        store: u8,
        call: Call,
        thread: bool,
    },
    /// What the host does with exports.
    Grow {
        store: u8,
        instance: u8,
        pages: u8,
    },
    GrowTable {
        store: u8,
        instance: u8,
        elements: u8,
    },
    /// Sets an element to null or a function of another instance.
    SetElement {
        store: u8,
        instance: u8,
        index: u8,
        function: Option<u8>,
    },
    SetGlobal {
        store: u8,
        instance: u8,
        value: i64,
    },
    Write {
        store: u8,
        instance: u8,
        address: u32,
        value: u32,
    },
    /// Hands something of one store's to another.
    Stray {
        store: u8,
        other: u8,
        instance: u8,
    },
    /// Drops a store.
    Drop {
        store: u8,
    },
    /// Drops the engine and the modules: what comes later is of new ones; stores go on.
    Replace,
}

/// How many operations there are at most.
const OPS: usize = 100;
/// How many stores live at a time.
const STORES: usize = 4;
/// How many instances a store has at most, unless it is limited.
const INSTANCES: usize = 12;

/// Which instance to make.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum New {
    /// One with memory, table and global of its own.
    Own,
    /// One with those of another instance.
    Sharing(u8),
}

/// A call of a guest's function, and what the host answers when it is asked meanwhile: in this order, and then with one
/// more than it was asked.
#[derive(Arbitrary, Clone, Debug)]
struct Call {
    instance: u8,
    function: Function,
    answers: Vec<Answer>,
}

/// An exported function and its arguments: see `guest.wat`.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Function {
    Add(i64),
    Load(Address),
    Store(Address, u32),
    Fill(Address, u8, u16),
    Grow(u8),
    GrowTable(u8),
    Through(u8, i64),
    /// From so many frames further in, so many times.
    Ask(u8, i64, u8),
    Spin(u8),
    Divide(i32, i8),
    Stop,
    Dive,
}

/// An address: near zero, near the end of a page, or anywhere.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Address {
    Low(u8),
    Edge(u8, i8),
    Any(u32),
}

impl Address {
    fn get(self) -> u32 {
        match self {
            Address::Low(at) => at.into(),
            Address::Edge(page, off) => (u32::from(page % 5) << 16).wrapping_add_signed(off.into()),
            Address::Any(at) => at,
        }
    }
}

/// What a host function does.
#[derive(Arbitrary, Clone, Debug)]
enum Answer {
    /// Says a number.
    Number(i64),
    /// Ends the guest.
    Error,
    /// Panics.
    Panic,
    /// Calls a guest of this store, and says what it said; or, if that failed, fails as well or says -1.
    Call { call: Box<Call>, goes_on: bool },
    /// Grows the memory of who asks.
    Grow(u8),
    /// Sets the global of who asks.
    SetGlobal(i64),
    /// Makes an instance in this store.
    Instance(New),
    /// Makes a store with an instance and calls that; says what it said, or -1.
    OtherStore(Box<Call>),
}

/// The most calls and stores of answers, one inside the other.
const DEPTH: usize = 6;
/// How many frames `ask` has at most: all of them are recorded.
const FRAMES: u8 = 12;
/// How often it asks at most.
const TIMES: u8 = 4;

/// What a memory may have, in pages, and what it has in limited stores.
const PAGES: (u32, u32) = (4, 2);
/// What a table may have, in elements, and what it has in limited stores.
const ELEMENTS: (u32, u32) = (12, 6);
/// How many instances limited stores may have.
const LIMITED_INSTANCES: usize = 3;

/// What a call came to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// It returned; functions without results say 0.
    Value(i64),
    /// It trapped, with so many frames of guests.
    Trap(vm_engine::Trap, usize),
    /// The guest's stack was used up. How many frames there were is the engine's own affair.
    Exhausted,
    /// The host's error, with so many frames of guests.
    Error(usize),
    /// The host's panic.
    Panic,
}

/// The body of the target.
///
/// # Errors
///
/// Where a mode does something else than the model.
pub fn run(data: &[u8], counts: &mut Counts) -> Result<(), Finding> {
    let ops = ops(&mut Unstructured::new(data));
    let listed = || {
        let mut text = String::new();
        for (at, op) in ops.iter().enumerate() {
            let _ = writeln!(text, "{at}: {op:?}");
        }
        vec![("ops", text.into_bytes()), ("bin", data.to_vec())]
    };
    let modes = modes::all().map_err(|error| Finding {
        text: format!("{error:#}"),
        files: Vec::new(),
    })?;
    for mode in modes {
        real::play(mode, &ops, counts).map_err(|text| Finding {
            text: format!("{}: {text}", mode.name),
            files: listed(),
        })?;
    }
    counts.add("operations", ops.len() as u64);
    Ok(())
}

/// Operations until the bytes are used up. Calls are the most frequent ones, and stores live for some time.
fn ops(u: &mut Unstructured<'_>) -> Vec<Op> {
    let mut ops = vec![
        Op::Store { limited: false },
        Op::Instance {
            store: 0,
            new: New::Own,
        },
    ];
    while ops.len() < OPS && !u.is_empty() {
        let op = match u.int_in_range(0..=31) {
            Ok(0..=15) => call(u),
            Ok(16..=18) => instance(u),
            _ => Op::arbitrary(u),
        };
        ops.extend(op);
    }
    ops
}

fn call(u: &mut Unstructured<'_>) -> arbitrary::Result<Op> {
    Ok(Op::Call {
        store: u.arbitrary()?,
        call: u.arbitrary()?,
        thread: u.ratio(1, 8)?,
    })
}

fn instance(u: &mut Unstructured<'_>) -> arbitrary::Result<Op> {
    Ok(Op::Instance {
        store: u.arbitrary()?,
        new: u.arbitrary()?,
    })
}
