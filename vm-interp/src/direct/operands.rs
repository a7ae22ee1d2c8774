//! Where the operands of a cell stand.
//!
//! A cell is the handler's address (8 bytes), the targets of its branches, and then, without gaps, the
//! other operands of its roots, each root's own first and then those of its nodes in prefix order; the
//! cell's size is rounded up to 8 bytes. So targets are aligned: a branch waits for its own. The generator of the handlers, the encoder and the tests share this file.

use vm_translate::shape::{SetSymbol, Symbol};

/// Bytes of the handler's address at the start of a cell.
#[allow(
    dead_code,
    reason = "the encoder writes cells without asking for their size"
)]
pub(crate) const HANDLER_BYTES: u32 = 8;

/// The slot of a frame's header that holds the address of the first cell of the loop that the frame
/// has entered last. Translation lets nothing read it before a loop is entered.
#[allow(dead_code, reason = "no handler is written here")]
pub(crate) const LOOP_HEAD_SLOT: i32 = 3;

/// Bytes of the operands that a symbol has of its own. Those of roots the encoder writes by meaning.
pub(crate) const fn operand_bytes(symbol: Symbol) -> u32 {
    match symbol {
        // A slot's offset from the frame pointer in bytes.
        Symbol::Slot | Symbol::Set(SetSymbol::Slot) => 4,
        // The offset of the first of two slots.
        Symbol::Vector | Symbol::Set(SetSymbol::Vector) => 4,
        Symbol::Const32 => 4,
        Symbol::Const64 => 8,
        Symbol::Int(_) | Symbol::Float(_) | Symbol::Set(_) => 0,
        // A load's offset, a global's place in the context, or a lane's number.
        Symbol::Op(op) if op.has_immediate() => 4,
        Symbol::Op(_) => 0,
        // The store's offset.
        Symbol::Store(_) => 4,
        // The global's place in the context.
        Symbol::GlobalSet | Symbol::GlobalSetFloat | Symbol::GlobalSetVector => 4,
        // The address of the target's cell.
        Symbol::Br | Symbol::BrIf | Symbol::BrUnless => 8,
        // The address of the callee's cell, and its frame, see [`has_target`].
        Symbol::Call => 8 + 4,
        // The frame's header has the target.
        Symbol::Loop | Symbol::LoopIf | Symbol::LoopUnless => 0,
        // The number of targets besides the default; the targets follow the cell, a word each.
        Symbol::BrTable => 4,
        // The table's place in the context, the type's number, the callee's frame.
        Symbol::CallIndirect => 12,
        // The callee's frame.
        Symbol::CallRef => 4,
        // Where the saved registers stand.
        Symbol::Return(_) => 4,
    }
}

/// Whether a root has the address of a cell among its operands: it stands before all others, and is eight bytes of them.
#[allow(dead_code, reason = "the encoder knows roots, and no symbols")]
pub(crate) const fn has_target(root: Symbol) -> bool {
    matches!(
        root,
        Symbol::Br | Symbol::BrIf | Symbol::BrUnless | Symbol::Call
    )
}

/// Bytes of such an address.
#[allow(
    dead_code,
    reason = "the encoder writes cells without asking for their size"
)]
pub(crate) const TARGET_BYTES: u32 = 8;

/// The size of a cell with so many bytes of operands.
#[allow(
    dead_code,
    reason = "the encoder writes cells without asking for their size"
)]
pub(crate) fn cell_bytes(operands: u32) -> u32 {
    (HANDLER_BYTES + operands).next_multiple_of(8)
}
