//! The handlers that no shape describes: entry, return, calls and the ways out.
//!
//! The places of their operands are those that [`Fixed`] lists.

use crate::asm::*;
use crate::bulk;
use crate::fixed::{Fixed, Returned, Wide};
use crate::operators::extend;
use crate::templates::{LOOP_HEAD, call_object, check_reference, table_function};
use vm_translate::ir::{FRAME_HEADER, TAIL_ADAPTER};
use vm_translate::{AtomicKind, Effect, Ty};

/// The offset of the stack's limit in a context.
const STACK_LIMIT: i32 = 16;
/// The offset in a context of the machine's part that executors use, and offsets in that.
const RUNTIME: i32 = 24;
const EXIT_IP: i32 = 0;
const FUEL: i32 = 24;
const EPOCH: i32 = 32;
const EPOCH_DEADLINE: i32 = 40;
const CALLS_LEFT: i32 = 48;
/// The offset of a frame's first slot after the header.
const FIRST_SLOT: i32 = 8 * FRAME_HEADER as i32;

/// Where a run that stops leaves its registers in the machine's part.
const REGISTERS: i32 = 56;

/// The integer registers for values, and where each is in the machine's part when a run stops.
pub(crate) fn saved_ints() -> impl Iterator<Item = (u8, i32)> {
    (0..INTS).map(|n| (n, REGISTERS + 8 * i32::from(n)))
}

/// The same of floats.
pub(crate) fn saved_floats() -> impl Iterator<Item = (u8, i32)> {
    (0..FLOATS).map(|n| (n, REGISTERS + 8 * i32::from(INTS + n)))
}

const INTS: u8 = crate::shapes::REGISTERS.pinned_ints + crate::shapes::REGISTERS.temp_ints;
const FLOATS: u8 = crate::shapes::REGISTERS.pinned_floats + crate::shapes::REGISTERS.temp_floats;

/// `dst` = the address of the slot whose offset is the operand.
pub(crate) fn slot_address(asm: &mut impl Assembler, dst: Reg, operand: u32) {
    asm.load(Width::W32, dst, Src::Mem(Mem::Operand(operand)));
    asm.alu(Alu::Add, Width::W64, dst, Src::Reg(Reg::Frame));
}

/// Returns to where the frame's header says.
pub(crate) fn leave_frame(asm: &mut impl Assembler) {
    asm.load(Width::W64, Reg::Ip, Src::Mem(Mem::At(Reg::Frame, 0)));
    asm.load(Width::W64, Reg::Frame, Src::Mem(Mem::At(Reg::Frame, 8)));
    asm.dispatch_here();
}

/// Ends the run if a called function answered anything but 0.
fn check_status(asm: &mut impl Assembler) {
    asm.test(Width::W32, Reg::S0);
    asm.exit_if(Cond::Ne, Exit::Status);
}

/// Takes so many of the caller's registers back from the slots whose first the operand says.
pub(crate) fn restore_ints(asm: &mut impl Assembler, ints: u8, operand: u32) {
    if ints > 0 {
        slot_address(asm, Reg::S0, operand);
        for n in 0..ints {
            let saved = Src::Mem(Mem::At(Reg::S0, 8 * i32::from(n)));
            asm.load(Width::W64, Reg::Value(n), saved);
        }
    }
}

/// Puts the slot of an access by a memory's cell into [`Reg::S0`] and the place of its bytes, which
/// are inside the memory, into [`Reg::S1`].
fn memory_address(asm: &mut impl Assembler, width: u32) {
    let (slot, cell, end, address) = (Reg::S0, Reg::S1, Reg::S2, Reg::Address);
    slot_address(asm, slot, 12);
    asm.load(Width::W64, address, Src::Mem(Mem::At(slot, 0)));
    let offset = Src::Mem(Mem::Operand(16));
    asm.alu(Alu::Add, Width::W64, address, offset);
    // The sum is below its part if it has wrapped around.
    asm.compare(Width::W64, address, offset);
    asm.exit_if(Cond::LtU, Exit::MemoryOutOfBounds);
    check_end(asm, cell, end, width);
    asm.load(Width::W64, cell, Src::Mem(Mem::At(cell, 0)));
    asm.alu(Alu::Add, Width::W64, cell, Src::Reg(address));
}

/// Checks that so many bytes from [`Reg::Address`] on are inside the memory whose place in the context is the first operand.
/// Its cell goes into a register, `end` is another.
fn check_end(asm: &mut impl Assembler, cell: Reg, end: Reg, width: u32) {
    let address = Reg::Address;
    asm.address_of(end, Mem::At(address, width as i32));
    asm.compare(Width::W64, end, Src::Reg(address));
    asm.exit_if(Cond::LtU, Exit::MemoryOutOfBounds);
    asm.load(Width::W32, cell, Src::Mem(Mem::Operand(8)));
    asm.load(Width::W64, cell, Src::Mem(Mem::ContextWord(cell)));
    asm.compare(Width::W64, end, Src::Mem(Mem::At(cell, 8)));
    asm.exit_if(Cond::GtU, Exit::MemoryOutOfBounds);
}

/// Puts the slot of an atomic access into [`Reg::S1`], and answers where its bytes are, which are aligned: inside the memory, or
/// where its guard finds out whether they are. Uses [`Reg::Address`].
fn atomic_place(asm: &mut impl Assembler, width: u32, unchecked: bool) -> Mem {
    let (slot, cell, end, address) = (Reg::S1, Reg::S0, Reg::S2, Reg::Address);
    slot_address(asm, slot, 12);
    asm.load(Width::W64, address, Src::Mem(Mem::At(slot, 0)));
    let offset = Src::Mem(Mem::Operand(16));
    asm.alu(Alu::Add, Width::W64, address, offset);
    // Memories begin at a multiple of 8, and a sum that wraps around has the low bits of one that does not.
    if width > 1 {
        asm.test_bits(address, width as u8 - 1);
        asm.exit_if(Cond::Ne, Exit::UnalignedAtomic);
    }
    if unchecked {
        return Mem::Guest(address);
    }
    asm.compare(Width::W64, address, offset);
    asm.exit_if(Cond::LtU, Exit::MemoryOutOfBounds);
    check_end(asm, cell, end, width);
    asm.alu(Alu::Add, Width::W64, address, Src::Mem(Mem::At(cell, 0)));
    Mem::At(address, 0)
}

/// Copies [`Reg::Address`] words from [`Reg::S0`] on to [`Reg::S1`] on, the next ones of which are so many bytes further.
fn copy_words(asm: &mut impl Assembler, step: i32) {
    let (from, to, left, word) = (Reg::S0, Reg::S1, Reg::Address, Reg::S2);
    let (again, done) = (asm.new_label(), asm.new_label());
    asm.test(Width::W64, left);
    asm.jump_if(Cond::Eq, done);
    asm.bind(again);
    asm.load(Width::W64, word, Src::Mem(Mem::At(from, 0)));
    asm.store(Width::W64, Mem::At(to, 0), word);
    asm.address_of(from, Mem::At(from, step));
    asm.address_of(to, Mem::At(to, step));
    asm.address_of(left, Mem::At(left, -1));
    asm.test(Width::W64, left);
    asm.jump_if(Cond::Ne, again);
    asm.bind(done);
}

/// Moves the arguments of a tail call, which the operands from `first` on describe, to where the
/// callee expects them.
fn move_arguments(asm: &mut impl Assembler, first: u32) {
    slot_address(asm, Reg::S0, first);
    asm.address_of(Reg::S1, Mem::At(Reg::Frame, FIRST_SLOT));
    asm.load(Width::W32, Reg::Address, Src::Mem(Mem::Operand(first + 4)));
    copy_words(asm, 8);
}

/// Enters the function object in [`Reg::Address`] in the same frame. The cell is one of
/// [`Fixed::ReturnCallImport`], [`Fixed::ReturnCallIndirect`] or [`Fixed::ReturnCallRef`].
fn return_call_object(asm: &mut impl Assembler, ints: u8) {
    let func = Reg::Address;
    let (stays, changes) = (asm.new_label(), asm.new_label());
    restore_ints(asm, ints, 12);
    asm.load(Width::W64, Reg::S1, Src::Mem(Mem::At(func, 8)));
    asm.compare(Width::W64, Reg::S1, Src::Reg(Reg::Context));
    asm.jump_if(Cond::Eq, stays);
    // A host function has no context of its own: it runs in its caller's.
    asm.test(Width::W64, Reg::S1);
    asm.jump_if(Cond::Ne, changes);
    asm.bind(stays);
    // Moving takes all scratch registers; no temporary is alive at a call.
    let object = Reg::Value(crate::fixed::PINNED_INTS);
    asm.load(Width::W64, object, Src::Reg(func));
    move_arguments(asm, 16);
    asm.load(Width::W64, func, Src::Reg(object));
    asm.load(Width::W64, Reg::Ip, Src::Mem(Mem::At(func, 0)));
    asm.dispatch_here();

    asm.bind(changes);
    let arguments = [Reg::Context, Reg::Frame, Reg::Ip, func];
    asm.call(Callee::TailCall, &arguments, &[]);
    asm.load(Width::W64, Reg::Frame, Src::Reg(Reg::S0));
    asm.load(Width::W64, func, Src::Reg(Reg::S1));
    asm.load(Width::W64, Reg::Context, Src::Mem(Mem::At(func, 8)));
    asm.load(Width::W64, Reg::Memory, Src::Mem(Mem::At(Reg::Context, 0)));
    asm.load(Width::W64, Reg::Ip, Src::Mem(Mem::At(func, 0)));
    asm.dispatch_here();
}

/// Writes the handler; [`Fixed::Exit`] is the machine's own.
pub(crate) fn emit(asm: &mut impl Assembler, fixed: Fixed) {
    match fixed {
        Fixed::Exit => {}
        Fixed::Resume => {
            let runtime = Reg::S0;
            asm.load(
                Width::W64,
                runtime,
                Src::Mem(Mem::At(Reg::Context, RUNTIME)),
            );
            for (n, at) in saved_ints() {
                asm.load(Width::W64, Reg::Value(n), Src::Mem(Mem::At(runtime, at)));
            }
            for (n, at) in saved_floats() {
                let saved = FloatSrc::Mem(Mem::At(runtime, at));
                asm.float_load(Width::W64, Float::Value(n), saved);
            }
            asm.load(Width::W64, Reg::Ip, Src::Mem(Mem::At(runtime, EXIT_IP)));
            asm.dispatch_here();
        }
        Fixed::Host => {
            asm.address_of(Reg::S0, Mem::At(Reg::Frame, FIRST_SLOT));
            asm.call(Callee::Host, &[Reg::Context, Reg::Ip, Reg::S0], &[]);
            check_status(asm);
            leave_frame(asm);
        }
        Fixed::Resolve => {
            let arguments = [Reg::Context, Reg::Frame, Reg::Ip, Reg::Address];
            asm.call(Callee::Resolve, &arguments, &[]);
            asm.test(Width::W64, Reg::S0);
            asm.exit_if(Cond::Eq, Exit::Host);
            asm.load(Width::W64, Reg::Ip, Src::Reg(Reg::S0));
            asm.dispatch_here();
        }
        Fixed::Turn => {
            let (left, hot) = (Reg::S0, asm.new_label());
            asm.load(Width::W64, left, Src::Mem(Mem::Operand(24)));
            asm.address_of(left, Mem::At(left, -1));
            asm.store(Width::W64, Mem::At(Reg::Ip, 24), left);
            asm.test(Width::W64, left);
            asm.jump_if(Cond::Eq, hot);
            asm.dispatch(32);

            asm.bind(hot);
            let arguments = [Reg::Context, Reg::Frame, Reg::Ip];
            asm.call(Callee::Continue, &arguments, &[]);
            asm.load(Width::W64, Reg::Ip, Src::Reg(Reg::S0));
            asm.dispatch_here();
        }
        Fixed::Br => asm.branch(8),
        Fixed::EnterLoop => {
            let bytes = crate::operands::cell_bytes(0);
            asm.address_of(Reg::S0, Mem::At(Reg::Ip, bytes as i32));
            asm.store(Width::W64, LOOP_HEAD, Reg::S0);
            asm.dispatch(bytes);
        }
        Fixed::Loop => asm.branch_to(LOOP_HEAD),
        Fixed::Copy { down } => {
            slot_address(asm, Reg::S0, 8);
            slot_address(asm, Reg::S1, 12);
            asm.load(Width::W32, Reg::Address, Src::Mem(Mem::Operand(16)));
            copy_words(asm, if down { -8 } else { 8 });
            asm.dispatch(crate::operands::cell_bytes(12));
        }
        Fixed::ConsumeFuel => {
            let (runtime, cost, left) = (Reg::S0, Reg::S1, Reg::S2);
            asm.load(
                Width::W64,
                runtime,
                Src::Mem(Mem::At(Reg::Context, RUNTIME)),
            );
            asm.load(Width::W32, cost, Src::Mem(Mem::Operand(8)));
            asm.load(Width::W64, left, Src::Mem(Mem::At(runtime, FUEL)));
            asm.alu(Alu::Sub, Width::W64, left, Src::Reg(cost));
            // Below its part: it has wrapped around.
            asm.exit_if(Cond::LtU, Exit::OutOfFuel);
            asm.store(Width::W64, Mem::At(runtime, FUEL), left);
            asm.dispatch(crate::operands::cell_bytes(4));
        }
        Fixed::EnterCall | Fixed::LeaveCall => {
            let (runtime, left) = (Reg::S0, Reg::S1);
            asm.load(
                Width::W64,
                runtime,
                Src::Mem(Mem::At(Reg::Context, RUNTIME)),
            );
            asm.load(Width::W64, left, Src::Mem(Mem::At(runtime, CALLS_LEFT)));
            if fixed == Fixed::EnterCall {
                asm.test(Width::W64, left);
                asm.exit_if(Cond::Eq, Exit::StackOverflow);
                asm.address_of(left, Mem::At(left, -1));
            } else {
                asm.address_of(left, Mem::At(left, 1));
            }
            asm.store(Width::W64, Mem::At(runtime, CALLS_LEFT), left);
            asm.dispatch(crate::operands::cell_bytes(0));
        }
        Fixed::CheckEpoch => {
            let (runtime, epoch, over) = (Reg::S0, Reg::S1, asm.new_label());
            let bytes = crate::operands::cell_bytes(0);
            asm.load(
                Width::W64,
                runtime,
                Src::Mem(Mem::At(Reg::Context, RUNTIME)),
            );
            asm.load(Width::W64, epoch, Src::Mem(Mem::At(runtime, EPOCH)));
            asm.load(Width::W64, epoch, Src::Mem(Mem::At(epoch, 0)));
            asm.compare(
                Width::W64,
                epoch,
                Src::Mem(Mem::At(runtime, EPOCH_DEADLINE)),
            );
            asm.jump_if(Cond::GeU, over);
            asm.dispatch(bytes);

            asm.bind(over);
            asm.call(Callee::EpochDeadline, &[Reg::Context], &[]);
            check_status(asm);
            asm.dispatch(bytes);
        }
        Fixed::Unreachable => asm.exit(Exit::Unreachable),
        Fixed::NullReference => asm.exit(Exit::NullReference),
        Fixed::Count => {
            let (address, count) = (Reg::Address, Reg::S0);
            asm.load(Width::W64, address, Src::Mem(Mem::Operand(8)));
            asm.load(Width::W64, count, Src::Mem(Mem::At(address, 0)));
            asm.address_of(count, Mem::At(count, 1));
            asm.store(Width::W64, Mem::At(address, 0), count);
            asm.dispatch(16);
        }
        Fixed::Call => {
            let target = Reg::Address;
            let callee = Reg::S0;
            asm.load(Width::W64, target, Src::Mem(Mem::Operand(8)));
            slot_address(asm, callee, 16);
            asm.store(Width::W64, Mem::At(callee, 8), Reg::Frame);
            asm.address_of(Reg::S1, Mem::At(Reg::Ip, 24));
            asm.store(Width::W64, Mem::At(callee, 0), Reg::S1);
            asm.load(Width::W64, Reg::Frame, Src::Reg(callee));
            asm.load(Width::W64, Reg::Ip, Src::Reg(target));
            asm.dispatch_here();
        }
        Fixed::CallImport => {
            let (func, bytes) = (Reg::Address, 16);
            let host = asm.new_label();
            asm.load(Width::W32, func, Src::Mem(Mem::Operand(8)));
            asm.load(Width::W64, func, Src::Mem(Mem::ContextWord(func)));
            asm.load(Width::W64, Reg::S1, Src::Mem(Mem::At(func, 8)));
            asm.test(Width::W64, Reg::S1);
            asm.jump_if(Cond::Eq, host);
            call_object(asm, 12, bytes);

            // A host function has no context. It is called from the caller's frame, without one
            // of its own, and leaves the context as it is.
            asm.bind(host);
            let (code, slots) = (Reg::S2, Reg::S0);
            asm.load(Width::W64, code, Src::Mem(Mem::At(func, 0)));
            slot_address(asm, slots, 12);
            asm.address_of(slots, Mem::At(slots, FIRST_SLOT));
            asm.call(Callee::Host, &[Reg::Context, code, slots], &[]);
            check_status(asm);
            asm.dispatch(bytes + crate::operands::cell_bytes(4));
        }
        Fixed::Restore => {
            slot_address(asm, Reg::S0, 8);
            asm.load(Width::W64, Reg::Context, Src::Mem(Mem::At(Reg::S0, 16)));
            asm.load(Width::W64, Reg::Memory, Src::Mem(Mem::At(Reg::Context, 0)));
            asm.dispatch(16);
        }
        Fixed::Runtime | Fixed::Bulk(_) => {
            slot_address(asm, Reg::S0, 16);
            if let Fixed::Bulk(bulk) = fixed {
                bulk::emit(asm, bulk, 32);
                slot_address(asm, Reg::S0, 16);
            }
            asm.call(Callee::Operand(8), &[Reg::Context, Reg::S0], &[20, 24]);
            check_status(asm);
            asm.dispatch(32);
        }
        Fixed::MemorySize => {
            slot_address(asm, Reg::S0, 8);
            bulk::size(asm, 12);
            asm.dispatch(16);
        }
        Fixed::Evaluate => {
            asm.call(Callee::Evaluate, &[Reg::Frame, Reg::Ip], &[]);
            check_status(asm);
            asm.dispatch(32);
        }
        Fixed::Enter {
            touch,
            zero,
            ints,
            params,
        } => {
            slot_address(asm, Reg::S0, 8);
            if touch {
                let last = Src::Mem(Mem::At(Reg::S0, -8));
                asm.load(Width::W32, Reg::S1, last);
            } else {
                let limit = Src::Mem(Mem::At(Reg::Context, STACK_LIMIT));
                asm.compare(Width::W64, Reg::S0, limit);
                asm.exit_if(Cond::GtU, Exit::StackOverflow);
            }
            if ints > 0 {
                slot_address(asm, Reg::S0, 12);
                for n in 0..ints {
                    asm.store(
                        Width::W64,
                        Mem::At(Reg::S0, 8 * i32::from(n)),
                        Reg::Value(n),
                    );
                }
            }
            if zero {
                let (slot, left) = (Reg::Address, Reg::S1);
                slot_address(asm, slot, 16);
                asm.load(Width::W32, left, Src::Mem(Mem::Operand(20)));
                asm.zero(Reg::S0);
                let again = asm.new_label();
                asm.bind(again);
                asm.store(Width::W64, Mem::At(slot, 0), Reg::S0);
                asm.address_of(slot, Mem::At(slot, 8));
                asm.address_of(left, Mem::At(left, -1));
                asm.test(Width::W32, left);
                asm.jump_if(Cond::Ne, again);
            }
            for n in 0..ints {
                if n < params {
                    let offset = Src::Mem(Mem::Operand(24 + 4 * u32::from(n)));
                    asm.load(Width::W32, Reg::Address, offset);
                    let slot = Src::Mem(Mem::Slot(Reg::Address));
                    asm.load(Width::W64, Reg::Value(n), slot);
                } else {
                    asm.zero(Reg::Value(n));
                }
            }
            asm.dispatch(crate::operands::cell_bytes(16 + 4 * u32::from(params)));
        }
        Fixed::EnterFloats { floats, params } => {
            slot_address(asm, Reg::S0, 8);
            asm.zero(Reg::S1);
            for n in 0..floats {
                let saved = Mem::At(Reg::S0, 8 * i32::from(n));
                asm.float_store(Width::W64, saved, Float::Value(n));
                if n < params {
                    let offset = Src::Mem(Mem::Operand(12 + 4 * u32::from(n)));
                    asm.load(Width::W32, Reg::Address, offset);
                    let slot = FloatSrc::Mem(Mem::Slot(Reg::Address));
                    asm.float_load(Width::W64, Float::Value(n), slot);
                } else {
                    asm.float_from_bits(Width::W64, Float::Value(n), Reg::S1);
                }
            }
            asm.dispatch(crate::operands::cell_bytes(4 + 4 * u32::from(params)));
        }
        Fixed::RestoreFloats { floats } => {
            slot_address(asm, Reg::S0, 8);
            for n in 0..floats {
                let saved = FloatSrc::Mem(Mem::At(Reg::S0, 8 * i32::from(n)));
                asm.float_load(Width::W64, Float::Value(n), saved);
            }
            asm.dispatch(16);
        }
        Fixed::Return { ints } => {
            restore_ints(asm, ints, 8);
            leave_frame(asm);
        }
        Fixed::MemoryLoad(op) => {
            let Effect::Load { width, .. } = op.effect() else {
                panic!("{op} is no load")
            };
            memory_address(asm, width);
            if op.result() == Ty::V128 {
                asm.vector_load(Float::S0, Mem::At(Reg::S1, 0));
                asm.vector_store(Mem::At(Reg::S0, 0), Float::S0);
                return asm.dispatch(24);
            }
            let value = Reg::S2;
            asm.load_extend(extend(op, width), value, Mem::At(Reg::S1, 0));
            asm.store(Width::W64, Mem::At(Reg::S0, 0), value);
            asm.dispatch(24);
        }
        Fixed::MemoryStore(op) => {
            memory_address(asm, op.width());
            if op.value() == Ty::V128 {
                asm.vector_load(Float::S0, Mem::At(Reg::S0, 8));
                asm.vector_store(Mem::At(Reg::S1, 0), Float::S0);
                return asm.dispatch(24);
            }
            let value = Reg::S2;
            asm.load(Width::W64, value, Src::Mem(Mem::At(Reg::S0, 8)));
            asm.store_narrow(op.width(), Mem::At(Reg::S1, 0), value);
            asm.dispatch(24);
        }
        Fixed::Atomic {
            kind,
            width,
            unchecked,
        } => {
            let place = atomic_place(asm, width, unchecked);
            let operand = |n| Src::Mem(Mem::At(Reg::S1, 8 * n));
            asm.atomic(kind, width, place, operand(1), operand(2));
            if kind != AtomicKind::Store {
                asm.store(Width::W64, Mem::At(Reg::S1, 0), Reg::S0);
            }
            asm.dispatch(24);
        }
        Fixed::Fence => {
            asm.fence();
            asm.dispatch(crate::operands::cell_bytes(0));
        }
        Fixed::Wait => {
            slot_address(asm, Reg::S0, 16);
            asm.call(Callee::Operand(8), &[Reg::Context, Reg::S0], &[20, 24, 28]);
            check_status(asm);
            asm.dispatch(32);
        }
        Fixed::Wide(wide) => {
            let slots = Reg::Address;
            let at = |n| Mem::At(slots, 8 * n);
            slot_address(asm, slots, 8);
            asm.load(Width::W64, Reg::S0, Src::Mem(at(0)));
            let (low, high) = match wide {
                Wide::Add => (Alu::Add, Alu::AddCarry),
                Wide::Sub => (Alu::Sub, Alu::SubBorrow),
                Wide::MulS | Wide::MulU => {
                    asm.mul_wide(wide == Wide::MulS, Src::Mem(at(1)));
                    asm.store(Width::W64, at(0), Reg::S0);
                    asm.store(Width::W64, at(1), Reg::S1);
                    return asm.dispatch(16);
                }
            };
            asm.load(Width::W64, Reg::S1, Src::Mem(at(1)));
            asm.alu(low, Width::W64, Reg::S0, Src::Mem(at(2)));
            asm.alu(high, Width::W64, Reg::S1, Src::Mem(at(3)));
            asm.store(Width::W64, at(0), Reg::S0);
            asm.store(Width::W64, at(1), Reg::S1);
            asm.dispatch(16);
        }
        Fixed::ReturnCall { ints } => {
            restore_ints(asm, ints, 16);
            move_arguments(asm, 20);
            // A stub patches this cell: it finds the word by its address, which is odd so that
            // it cannot be an object's.
            asm.address_of(Reg::Address, Mem::At(Reg::Ip, 9));
            asm.load(Width::W64, Reg::Ip, Src::Mem(Mem::Operand(8)));
            asm.dispatch_here();
        }
        Fixed::ReturnCallImport { ints } => {
            asm.load(Width::W32, Reg::Address, Src::Mem(Mem::Operand(8)));
            let func = Src::Mem(Mem::ContextWord(Reg::Address));
            asm.load(Width::W64, Reg::Address, func);
            return_call_object(asm, ints);
        }
        Fixed::ReturnCallIndirect { ints } => {
            slot_address(asm, Reg::S0, 32);
            asm.load(Width::W32, Reg::S0, Src::Mem(Mem::At(Reg::S0, 0)));
            table_function(asm, Reg::S0, 8, 28);
            return_call_object(asm, ints);
        }
        Fixed::ReturnCallRef { ints } => {
            slot_address(asm, Reg::S0, 8);
            asm.load(Width::W64, Reg::Address, Src::Mem(Mem::At(Reg::S0, 0)));
            check_reference(asm);
            return_call_object(asm, ints);
        }
        Fixed::Adapter => {
            let context = Src::Mem(Mem::At(Reg::Frame, 16));
            asm.load(Width::W64, Reg::Context, context);
            asm.load(Width::W64, Reg::Memory, Src::Mem(Mem::At(Reg::Context, 0)));
            let results = Src::Mem(Mem::At(Reg::Frame, FIRST_SLOT));
            asm.load(Width::W64, Reg::Address, results);
            let first = FIRST_SLOT + 8 * TAIL_ADAPTER as i32;
            asm.address_of(Reg::S0, Mem::At(Reg::Frame, first));
            asm.address_of(Reg::S1, Mem::At(Reg::Frame, FIRST_SLOT));
            copy_words(asm, 8);
            leave_frame(asm);
        }
        Fixed::ReturnValue { ints, value } => {
            let result = Mem::At(Reg::Frame, FIRST_SLOT);
            match value {
                Returned::Slot => {
                    asm.load(Width::W32, Reg::Address, Src::Mem(Mem::Operand(12)));
                    let slot = Src::Mem(Mem::Slot(Reg::Address));
                    asm.load(Width::W64, Reg::Address, slot);
                    asm.store(Width::W64, result, Reg::Address);
                }
                Returned::Const => {
                    asm.load_signed32(Reg::Address, Mem::Operand(12));
                    asm.store(Width::W64, result, Reg::Address);
                }
                Returned::Int(n) => asm.store(Width::W64, result, Reg::Value(n)),
                Returned::Float(n) => asm.float_store(Width::W64, result, Float::Value(n)),
            }
            restore_ints(asm, ints, 8);
            leave_frame(asm);
        }
    }
}
