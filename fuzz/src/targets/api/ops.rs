//! What a case does, and how it comes of a fuzzer's bytes.
//!
//! Numbers are mostly those at which something changes: the ends of memories and tables, what still fits and what just
//! does not, the first and the last frame. With numbers that are all equally likely nearly every access and growth
//! fails, and what a success leaves behind is never looked at.

use arbitrary::{Arbitrary, Result, Unstructured};

use super::{ELEMENTS, FRAMES, OPS, PAGES, TIMES};

/// Something that an embedder does. Numbers of stores and instances are taken modulo how many there are.
#[derive(Clone, Debug)]
pub(super) enum Op {
    /// A new store, with limits or without; at most [`STORES`](super::STORES) live at a time.
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

/// Which instance to make.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) enum New {
    /// One with memory, table and global of its own.
    Own,
    /// One with those of another instance.
    Sharing(u8),
}

/// A call of a guest's function, and what the host answers when it is asked meanwhile: in this order, and then with one
/// more than it was asked.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) instance: u8,
    pub(super) function: Function,
    pub(super) answers: Vec<Answer>,
}

/// An exported function and its arguments: see `guest.wat`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Function {
    Add(i64),
    Load(u32),
    Store(u32, u32),
    Fill(u32, u8, u16),
    Grow(u8),
    GrowTable(u8),
    Through(u8, i64),
    Ask {
        /// From so many frames further in.
        frames: u8,
        number: i64,
        /// So many times.
        times: u8,
    },
    Spin(u8),
    Divide(i32, i8),
    Stop,
    Dive,
}

/// What a host function does.
#[derive(Clone, Debug)]
pub(super) enum Answer {
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

/// Operations until the bytes are used up: a store with an instance, and what comes then.
pub(super) fn ops(u: &mut Unstructured<'_>) -> Vec<Op> {
    let mut ops = vec![
        Op::Store { limited: false },
        Op::Instance {
            store: 0,
            new: New::Own,
        },
    ];
    while ops.len() < OPS && !u.is_empty() {
        ops.extend(Op::arbitrary(u));
    }
    ops
}

impl Arbitrary<'_> for Op {
    /// Calls are the most frequent ones, and stores live for some time.
    fn arbitrary(u: &mut Unstructured<'_>) -> Result<Op> {
        let store = u.arbitrary()?;
        let instance = u.arbitrary()?;
        Ok(match u.int_in_range(0..=31)? {
            0..=14 => Op::Call {
                store,
                call: u.arbitrary()?,
                thread: u.ratio(1, 8)?,
            },
            15..=18 => Op::Instance {
                store,
                new: u.arbitrary()?,
            },
            19..=20 => Op::Grow {
                store,
                instance,
                pages: pages(u)?,
            },
            21..=22 => Op::GrowTable {
                store,
                instance,
                elements: elements(u)?,
            },
            23..=25 => Op::SetElement {
                store,
                instance,
                index: index(u)?,
                function: match u.ratio(3, 4)? {
                    true => Some(u.arbitrary()?),
                    false => None,
                },
            },
            26 => Op::SetGlobal {
                store,
                instance,
                value: u.arbitrary()?,
            },
            27..=28 => Op::Write {
                store,
                instance,
                address: address(u)?,
                value: u.arbitrary()?,
            },
            29 => Op::Stray {
                store,
                other: u.arbitrary()?,
                instance,
            },
            30 => Op::Store {
                limited: u.arbitrary()?,
            },
            _ => match u.ratio(3, 4)? {
                true => Op::Drop { store },
                false => Op::Replace,
            },
        })
    }
}

impl Arbitrary<'_> for Call {
    fn arbitrary(u: &mut Unstructured<'_>) -> Result<Call> {
        let instance = u.arbitrary()?;
        let function = u.arbitrary()?;
        let mut answers = Vec::new();
        // As many as it asks, or fewer; others are asked of nobody.
        if let Function::Ask { times, .. } = function {
            for _ in 0..times {
                if u.ratio(7, 8)? {
                    answers.push(u.arbitrary()?);
                }
            }
        }
        Ok(Call {
            instance,
            function,
            answers,
        })
    }
}

impl Arbitrary<'_> for Function {
    fn arbitrary(u: &mut Unstructured<'_>) -> Result<Function> {
        Ok(match u.int_in_range(0..=31)? {
            0..=2 => Function::Add(u.arbitrary()?),
            3..=5 => Function::Load(address(u)?),
            6..=8 => Function::Store(address(u)?, u.arbitrary()?),
            9..=12 => Function::Fill(address(u)?, u.arbitrary()?, length(u)?),
            13..=14 => Function::Grow(pages(u)?),
            15..=16 => Function::GrowTable(elements(u)?),
            17..=20 => Function::Through(index(u)?, u.arbitrary()?),
            21..=26 => Function::Ask {
                frames: match u.int_in_range(0..=3)? {
                    0 => 0,
                    1 => FRAMES - 1,
                    _ => u.int_in_range(0..=FRAMES - 1)?,
                },
                number: u.arbitrary()?,
                times: u.int_in_range(0..=TIMES)?,
            },
            27 => Function::Spin(u.arbitrary()?),
            28..=29 => Function::Divide(
                match u.ratio(1, 2)? {
                    true => i32::MIN,
                    false => u.arbitrary()?,
                },
                match u.ratio(1, 2)? {
                    true => u.int_in_range(-1..=1)?,
                    false => u.arbitrary()?,
                },
            ),
            30 => Function::Stop,
            _ => Function::Dive,
        })
    }
}

impl Arbitrary<'_> for Answer {
    fn arbitrary(u: &mut Unstructured<'_>) -> Result<Answer> {
        Ok(match u.int_in_range(0..=15)? {
            0..=3 => Answer::Number(u.arbitrary()?),
            4 => Answer::Error,
            5 => Answer::Panic,
            6..=9 => Answer::Call {
                call: u.arbitrary()?,
                goes_on: u.arbitrary()?,
            },
            10..=11 => Answer::Grow(pages(u)?),
            12 => Answer::SetGlobal(u.arbitrary()?),
            13 => Answer::Instance(u.arbitrary()?),
            _ => Answer::OtherStore(u.arbitrary()?),
        })
    }
}

/// An address: near the end of a page, where memories end, mostly; or near zero, or anywhere.
fn address(u: &mut Unstructured<'_>) -> Result<u32> {
    let off = |u: &mut Unstructured<'_>| match u.int_in_range(0..=3)? {
        0 => Ok(0),
        1 | 2 => u.int_in_range(-5i32..=1),
        _ => u.int_in_range(-128..=127),
    };
    Ok(match u.int_in_range(0..=7)? {
        0 => u.int_in_range(0..=255)?,
        // As a memory starts.
        1..=3 => (1u32 << 16).wrapping_add_signed(off(u)?),
        4..=6 => (u.int_in_range(0..=PAGES.0)? << 16).wrapping_add_signed(off(u)?),
        _ => u.arbitrary()?,
    })
}

/// How much to fill: nothing, little, or anything.
fn length(u: &mut Unstructured<'_>) -> Result<u16> {
    match u.int_in_range(0..=3)? {
        0 => Ok(0),
        1 | 2 => u.int_in_range(1..=16),
        _ => u.arbitrary(),
    }
}

/// How many pages to grow by: up to one more than ever fit, mostly.
fn pages(u: &mut Unstructured<'_>) -> Result<u8> {
    mostly(u, PAGES.0)
}

/// How many elements to grow by, likewise.
fn elements(u: &mut Unstructured<'_>) -> Result<u8> {
    mostly(u, ELEMENTS.0 / 2)
}

/// An element of a table: those that it starts with, and then up to the first that never is.
fn index(u: &mut Unstructured<'_>) -> Result<u8> {
    match u.ratio(1, 2)? {
        true => u.int_in_range(0..=3),
        false => mostly(u, ELEMENTS.0),
    }
}

/// A number up to a limit, or now and then any.
fn mostly(u: &mut Unstructured<'_>, most: u32) -> Result<u8> {
    match u.ratio(15, 16)? {
        true => u.int_in_range(0..=most as u8),
        false => u.arbitrary(),
    }
}
