//! Handlers that no shape describes: entry, return, calls and the ways out.
//!
//! They come first in the list of handlers, in the order of [`Fixed::all`]. The generator and the
//! encoder share this file.

use vm_translate::{AtomicKind, Effect, Op, StoreOp};

use crate::shapes::REGISTERS;

/// The most integer registers that a function pins.
pub(crate) const PINNED_INTS: u8 = REGISTERS.pinned_ints;
/// The most float registers that a function pins.
pub(crate) const PINNED_FLOATS: u8 = REGISTERS.pinned_floats;

/// A handler with a template of its own. Operands are given in the order of the cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fixed {
    /// Leaves guest mode: the first frame of the run has returned.
    Exit,
    /// Goes on with a run that has stopped: with the registers and the cell that the runtime has.
    Resume,
    /// Calls a host function, as if it were a function's first cell.
    Host,
    /// Translates the function and enters it. Operands: the module's code (8), the function (4).
    Resolve,
    /// Counts a turn of a loop in baseline code, the last of them into optimized code. Operands: the
    /// module's code (8), the function (4), the loop's number (4), how many turns are left (8).
    Turn,
    /// Branches. Operand: the address of the target's cell (8).
    Br,
    /// Enters a loop: notes in the frame's header that it begins with the next cell.
    EnterLoop,
    /// Branches to where the loop begins that was entered last.
    Loop,
    /// Copies slots. Operands: the first one to read (4), the first one to write (4), how many (4).
    Copy {
        /// Whether from the last one down: the operands are the last slots then.
        down: bool,
    },
    /// Takes fuel. Operand: how much (4).
    ConsumeFuel,
    /// Looks whether the deadline in epochs has come.
    CheckEpoch,
    /// Counts a call that begins.
    EnterCall,
    /// Counts a call that ends.
    LeaveCall,
    /// Traps with the code `unreachable`.
    Unreachable,
    /// Ends the run because a reference is null.
    NullReference,
    /// Adds one to the word at an address. Operand: the address (8).
    Count,
    /// Calls a function of the module. Operands: its first cell (8), the callee's frame (4).
    Call,
    /// Calls an imported function. Operands: its place in the context (4), the callee's frame
    /// (4). A [`Fixed::Restore`] follows.
    CallImport,
    /// Takes the context back after a call that may have changed it. Operand: the callee's
    /// frame (4).
    Restore,
    /// Calls a [`crate::context::RuntimeFn`]. Operands: the function (8), the slots (4), two
    /// immediates (4 each).
    Runtime,
    /// The same for an operation on memory 0 that does a few bytes itself.
    Bulk(Bulk),
    /// The pages of memory 0, which is not shared. Operands: the result's slot (4), the power of two that a page's
    /// bytes are (4).
    MemorySize,
    /// Computes an operator that has no template, slots to slot. Operands: the operator (4), the
    /// destination (4), three sources (4 each; what is not used is 0), the operator's immediate
    /// (4).
    Evaluate,
    /// Loads by a memory's cell. Operands: the memory's place in the context (4), the slot of the
    /// address and of the value (4), the offset (8).
    MemoryLoad(Op),
    /// Stores by a memory's cell. Operands: the memory's place in the context (4), the slot of
    /// the address, which the value follows (4), the offset (8).
    MemoryStore(StoreOp),
    /// An atomic access of so many bytes. Operands: the memory's place in the context (4), the slot of the address, which
    /// the other operands follow and the result replaces (4), the offset (8).
    Atomic {
        /// What it does.
        kind: AtomicKind,
        /// Bytes accessed.
        width: u32,
        /// Whether it is one of memory 0 that relies on the guard; else it goes by the memory's cell.
        unchecked: bool,
    },
    /// Orders accesses before and after.
    Fence,
    /// Calls a [`crate::context::WaitFn`]. Operands: the function (8), the slots (4), the memory (4), the offset (8).
    Wait,
    /// 128-bit arithmetic on the 64-bit words of the slots from the operand (4) up.
    Wide(Wide),
    /// Enters a function. Operands: the frame's bytes (4), where registers are saved (4), the
    /// first slot to zero (4), how many (4), then the slots of the pinned parameters (4 each).
    Enter {
        /// Whether the end of the stack is checked by touching the frame's last slot, relying on
        /// the stack's guard; else by comparing with the stack's limit.
        touch: bool,
        /// Whether there are slots to zero.
        zero: bool,
        /// Pinned integer registers.
        ints: u8,
        /// How many of these, the first ones, are parameters; the others start as zero.
        params: u8,
    },
    /// Saves and sets pinned float registers. Operands: where they are saved (4), then the slots
    /// of the pinned parameters (4 each).
    EnterFloats {
        /// Pinned float registers.
        floats: u8,
        /// How many of these, the first ones, are parameters.
        params: u8,
    },
    /// Restores pinned float registers before a return. Operand: where they are saved (4).
    RestoreFloats {
        /// Pinned float registers.
        floats: u8,
    },
    /// Restores pinned integer registers and returns. Operand: where they are saved (4).
    Return {
        /// Pinned integer registers.
        ints: u8,
    },
    /// Restores pinned integer registers and enters another function of the module in the same
    /// frame. Operands: its first cell (8), where registers are saved (4), the first argument
    /// (4), how many (4).
    ReturnCall {
        /// Pinned integer registers.
        ints: u8,
    },
    /// The same with an imported function. Operands: its place in the context (4), where
    /// registers are saved (4), the first argument (4), how many (4), the number of results (4).
    ReturnCallImport {
        /// Pinned integer registers.
        ints: u8,
    },
    /// The same with an element of a table. Operands: the table's place in the context (4), then
    /// as before, then the type's number (4), the slot of the index (4).
    ReturnCallIndirect {
        /// Pinned integer registers.
        ints: u8,
    },
    /// The same with the function of a reference. Operands: the slot of the reference (4), then as for an imported function.
    ReturnCallRef {
        /// Pinned integer registers.
        ints: u8,
    },
    /// Where a tail call that changed the context returns to, if it replaced a call that does
    /// not take the context back: does so, moves the results down and returns.
    Adapter,
    /// Sets the first result and returns. Operands: where registers are saved (4), then the
    /// value's, if it has one (4).
    ReturnValue {
        /// Pinned integer registers to restore.
        ints: u8,
        /// What is returned.
        value: Returned,
    },
}

/// An operation on a range of memory 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bulk {
    Copy,
    Fill,
}

/// An operation of the proposal wide-arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wide {
    Add,
    Sub,
    /// Of 64 bits signed to 128.
    MulS,
    /// Of 64 bits unsigned to 128.
    MulU,
}

/// The value that a [`Fixed::ReturnValue`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Returned {
    /// A slot's.
    Slot,
    /// A constant in 32 bits, sign-extended.
    Const,
    /// An integer register's.
    Int(u8),
    /// A float register's.
    Float(u8),
}

impl Fixed {
    /// All of them, in the order of their numbers.
    pub(crate) fn all() -> Vec<Fixed> {
        let mut all = vec![
            Fixed::Exit,
            Fixed::Resume,
            Fixed::Host,
            Fixed::Resolve,
            Fixed::Turn,
            Fixed::Br,
            Fixed::EnterLoop,
            Fixed::Loop,
            Fixed::Copy { down: false },
            Fixed::Copy { down: true },
            Fixed::ConsumeFuel,
            Fixed::CheckEpoch,
            Fixed::EnterCall,
            Fixed::LeaveCall,
            Fixed::Unreachable,
            Fixed::NullReference,
            Fixed::Count,
            Fixed::Call,
            Fixed::CallImport,
            Fixed::Restore,
            Fixed::Runtime,
            Fixed::Bulk(Bulk::Copy),
            Fixed::Bulk(Bulk::Fill),
            Fixed::MemorySize,
            Fixed::Evaluate,
            Fixed::Adapter,
            Fixed::Fence,
            Fixed::Wait,
        ];
        let checked = |op: &Op| {
            let load = matches!(
                op.effect(),
                Effect::Load {
                    unchecked: false,
                    ..
                }
            );
            load
        };
        let loads = Op::ALL.iter().copied().filter(checked);
        all.extend(loads.map(Fixed::MemoryLoad));
        let stores = StoreOp::ALL.iter().copied();
        let stores = stores.filter(|op| !op.unchecked());
        all.extend(stores.map(Fixed::MemoryStore));
        for kind in AtomicKind::ACCESSES {
            for width in [1, 2, 4, 8] {
                for unchecked in [false, true] {
                    all.push(Fixed::Atomic {
                        kind,
                        width,
                        unchecked,
                    });
                }
            }
        }
        all.extend([Wide::Add, Wide::Sub, Wide::MulS, Wide::MulU].map(Fixed::Wide));
        for touch in [false, true] {
            for zero in [false, true] {
                for ints in 0..=PINNED_INTS {
                    for params in 0..=ints {
                        all.push(Fixed::Enter {
                            touch,
                            zero,
                            ints,
                            params,
                        });
                    }
                }
            }
        }
        for floats in 1..=PINNED_FLOATS {
            for params in 0..=floats {
                all.push(Fixed::EnterFloats { floats, params });
            }
            all.push(Fixed::RestoreFloats { floats });
        }
        for ints in 0..=PINNED_INTS {
            all.push(Fixed::Return { ints });
            all.push(Fixed::ReturnCall { ints });
            all.push(Fixed::ReturnCallImport { ints });
            all.push(Fixed::ReturnCallIndirect { ints });
            all.push(Fixed::ReturnCallRef { ints });
            let mut value = |value| all.push(Fixed::ReturnValue { ints, value });
            value(Returned::Slot);
            value(Returned::Const);
            // One temporary of each kind is numbered after the pinned ones.
            (0..=PINNED_INTS).for_each(|n| value(Returned::Int(n)));
            (0..=PINNED_FLOATS).for_each(|n| value(Returned::Float(n)));
        }
        all
    }
}
