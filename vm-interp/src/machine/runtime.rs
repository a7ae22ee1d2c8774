//! Rare operations as functions that executors call. Specification: "Execution", "Instructions".
//!
//! Each checks everything first, then cannot fail.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use vm_memory::{GrowError, OutOfBounds};
use vm_translate::ir::RuntimeOp;
use vm_trap::{Interrupt, TrapCode};

use crate::context::{Context, Runtime, RuntimeFn, Word};
use crate::machine::call::end_run;
use crate::machine::exceptions::ThrownException;
use crate::machine::host::{HostError, Questions};
use crate::machine::instance::Instance;
use crate::machine::{Pending, World};
use crate::value::{InstanceId, MemoryId, TableId, TagId, Val};

/// The functions, by the number of their [`RuntimeOp`].
///
/// # Safety
///
/// To be called in a run, with the context of the instance that executes the operation, the
/// immediates that validation has accepted for its module, and the operands at `slots`. Nothing
/// above the operands on the value stack is in use.
pub(crate) static RUNTIME: [RuntimeFn; RuntimeOp::ALL.len()] = [
    memory_size,
    memory_grow,
    memory_fill,
    memory_copy,
    memory_init,
    data_drop,
    table_get,
    table_set,
    table_size,
    table_grow,
    table_fill,
    table_copy,
    table_init,
    elem_drop,
    ref_func,
    i64_add128,
    i64_sub128,
    i64_mul_wide_s,
    i64_mul_wide_u,
    clamp_index,
    table_function,
    throw,
    throw_ref,
];

/// The answer of `memory.grow` and `table.grow` when they fail: -1 of the type of indices.
fn failed(wide: bool) -> Word {
    if wide { Word::MAX } else { u32::MAX.into() }
}

/// The most operands of an operation.
const MAX_OPERANDS: usize = 4;

/// `start .. start + len`, if it lies in `0 .. size`.
pub(crate) fn range(start: u64, len: u64, size: u64) -> Option<Range<usize>> {
    let end = start.checked_add(len).filter(|end| *end <= size)?;
    // Both are at most `size`, the length of something in memory.
    Some(start as usize..end as usize)
}

/// Long operations look after so many bytes whether the run has been asked to end: some tenths of a millisecond, most of
/// it for pages that are touched the first time.
const PIECE: u64 = 1 << 20;

/// Does an operation on `len` bytes in pieces, given as parts of `0 .. len` in order. Answers a status.
///
/// That all of it can be done has been checked before; an error of a piece can therefore not come.
fn in_pieces(
    interrupt: &Interrupt,
    len: u64,
    mut piece: impl FnMut(Range<u64>) -> Result<(), OutOfBounds>,
) -> u32 {
    let mut done = 0;
    loop {
        let next = len.min(done + PIECE);
        if piece(done..next).is_err() {
            return TrapCode::MemoryOutOfBounds.as_u8().into();
        }
        if next == len {
            return 0;
        }
        done = next;
        if interrupt.is_pending() {
            return TrapCode::Interrupt.as_u8().into();
        }
    }
}

fn status(result: Result<(), TrapCode>) -> u32 {
    match result {
        Ok(()) => 0,
        Err(code) => code.as_u8().into(),
    }
}

/// What an operation acts on.
pub(super) struct Scope<'a> {
    pub(super) world: &'a mut World,
    /// The number of the instance that executes it.
    pub(super) instance: usize,
}

impl Scope<'_> {
    /// # Safety
    ///
    /// As for [`RUNTIME`]; no other reference to the world is in use as long as this is.
    pub(super) unsafe fn new<'a>(context: *mut Context) -> Scope<'a> {
        // SAFETY: contexts live as long as the machine, and the run's world is lent to what
        // the executor calls.
        unsafe {
            Scope {
                world: &mut *World::from_erased((*(*context).runtime).world),
                instance: (*context).instance as usize,
            }
        }
    }

    fn id(&self) -> InstanceId {
        InstanceId(self.instance as u32)
    }

    fn instance(&self) -> &Instance {
        &self.world.instances[self.instance]
    }

    fn tag_id(&self, tag: u32) -> TagId {
        self.instance().tags[tag as usize]
    }

    pub(super) fn memory_id(&self, memory: u32) -> MemoryId {
        self.instance().memories[memory as usize]
    }

    fn table_id(&self, table: u32) -> TableId {
        self.instance().tables[table as usize]
    }

    /// Takes the fuel for an operation on so many bytes, which it may begin then.
    fn consume_fuel(&mut self, bytes: u64) -> Result<(), TrapCode> {
        self.world.consume_fuel(self.instance, bytes)
    }

    /// The same for elements of tables.
    fn consume_fuel_for_elements(&mut self, elements: u64) -> Result<(), TrapCode> {
        self.consume_fuel(elements.saturating_mul(size_of::<Word>() as u64))
    }
}

/// An operand; one of 32 bits has a clear upper half.
///
/// # Safety
///
/// As for [`RUNTIME`]; the operation has at least `n + 1` operands or results.
pub(super) unsafe fn operand(slots: *mut Word, n: usize) -> Word {
    debug_assert!(n < MAX_OPERANDS);
    // SAFETY: the caller's promise; the value stack is initialised.
    unsafe { slots.add(n).read() }
}

/// Asks the host. If the host answers with an error or panics, the run has to end with the
/// status.
///
/// # Safety
///
/// As for [`RUNTIME`]; no reference to the machine is in use. The question is asked of the machine that it
/// is given.
pub(super) unsafe fn ask<R>(
    context: *mut Context,
    question: impl FnOnce(&Questions, *mut ()) -> Result<R, HostError>,
) -> Result<R, u32> {
    // SAFETY: the caller's promise; contexts live as long as the machine.
    unsafe {
        let runtime: *mut Runtime = (*context).runtime;
        let questions = (*World::from_erased((*runtime).world)).questions;
        let machine = (*runtime).machine;
        match catch_unwind(AssertUnwindSafe(|| question(questions, machine))) {
            Ok(answer) => answer.map_err(|error| end_run(runtime, Pending::Error(error))),
            Err(payload) => Err(end_run(runtime, Pending::Panic(payload))),
        }
    }
}

unsafe extern "C" fn memory_size(
    context: *mut Context,
    slots: *mut Word,
    memory: u32,
    _: u32,
) -> u32 {
    // SAFETY: the caller keeps the promises of `RUNTIME`.
    unsafe {
        let scope = Scope::new(context);
        let id = scope.memory_id(memory);
        slots.write(scope.world.memories[id.index()].linear.pages());
    }
    0
}

unsafe extern "C" fn memory_grow(
    context: *mut Context,
    slots: *mut Word,
    memory: u32,
    _: u32,
) -> u32 {
    // SAFETY: the caller keeps the promises of `RUNTIME`; the scope ends before the host is asked.
    unsafe {
        let delta = operand(slots, 0);
        let mut scope = Scope::new(context);
        let id = scope.memory_id(memory);
        let linear = &scope.world.memories[id.index()].linear;
        let ty = *linear.ty();
        let failed = failed(ty.memory64);
        let (current, pages) = (linear.byte_len(), linear.pages());
        let limit = ty.limit_pages();
        let desired = pages.checked_add(delta).filter(|p| *p <= limit);
        let grown = match desired.and_then(|pages| ty.bytes(pages)) {
            Some(desired) => {
                if let Err(code) = scope.consume_fuel(desired - current) {
                    return code.as_u8().into();
                }
                let maximum = ty.maximum.and_then(|pages| ty.bytes(pages));
                let allowed = ask(context, |host, machine| {
                    (host.memory_growing)(machine, current, desired, maximum)
                });
                match allowed {
                    Ok(true) => Scope::new(context).world.memories[id.index()].grow(delta),
                    Ok(false) => {
                        slots.write(failed);
                        return 0;
                    }
                    Err(status) => return status,
                }
            }
            None => Err(GrowError::PastMaximum {
                pages,
                delta,
                limit,
            }),
        };
        match grown {
            Ok(before) => slots.write(before),
            Err(error) => {
                slots.write(failed);
                let told = ask(context, |host, machine| {
                    (host.memory_grow_failed)(machine, error)
                });
                return told.err().unwrap_or(0);
            }
        }
    }
    0
}

unsafe extern "C" fn memory_fill(
    context: *mut Context,
    slots: *mut Word,
    memory: u32,
    _: u32,
) -> u32 {
    // SAFETY: the caller keeps the promises of `RUNTIME`.
    unsafe {
        let (dst, byte, len) = (
            operand(slots, 0),
            operand(slots, 1) as u8,
            operand(slots, 2),
        );
        let mut scope = Scope::new(context);
        let id = scope.memory_id(memory);
        let size = scope.world.memories[id.index()].linear.byte_len();
        if range(dst, len, size).is_none() {
            return TrapCode::MemoryOutOfBounds.as_u8().into();
        }
        if let Err(code) = scope.consume_fuel(len) {
            return code.as_u8().into();
        }
        let linear = &mut scope.world.memories[id.index()].linear;
        in_pieces(&scope.world.interrupt, len, |piece| {
            linear.fill(dst + piece.start, piece.end - piece.start, byte)
        })
    }
}

unsafe extern "C" fn memory_copy(
    context: *mut Context,
    slots: *mut Word,
    dst_memory: u32,
    src_memory: u32,
) -> u32 {
    // SAFETY: the caller keeps the promises of `RUNTIME`.
    unsafe {
        let (dst, src, len) = (operand(slots, 0), operand(slots, 1), operand(slots, 2));
        let mut scope = Scope::new(context);
        let to = scope.memory_id(dst_memory).index();
        let from = scope.memory_id(src_memory).index();
        let memories = &scope.world.memories;
        let size = |memory: usize| memories[memory].linear.byte_len();
        if range(dst, len, size(to)).is_none() || range(src, len, size(from)).is_none() {
            return TrapCode::MemoryOutOfBounds.as_u8().into();
        }
        if let Err(code) = scope.consume_fuel(len) {
            return code.as_u8().into();
        }
        let memories = &mut scope.world.memories;
        // Within one memory, what is still to be read is not written before: from the end, if it moves up.
        let backwards = to == from && dst > src;
        in_pieces(&scope.world.interrupt, len, |piece| {
            let len_of_piece = piece.end - piece.start;
            let at = if backwards {
                len - piece.end
            } else {
                piece.start
            };
            // Nearly always it is one memory.
            if to == from {
                let linear = &mut memories[to].linear;
                return linear.copy_within(dst + at, src + at, len_of_piece);
            }
            let [to, from] = memories
                .get_disjoint_mut([to, from])
                .expect("two memories of the world");
            vm_memory::copy(
                &mut to.linear,
                dst + at,
                &from.linear,
                src + at,
                len_of_piece,
            )
        })
    }
}

unsafe extern "C" fn memory_init(
    context: *mut Context,
    slots: *mut Word,
    segment: u32,
    memory: u32,
) -> u32 {
    // SAFETY: the caller keeps the promises of `RUNTIME`.
    unsafe {
        let (dst, src, len) = (operand(slots, 0), operand(slots, 1), operand(slots, 2));
        let mut scope = Scope::new(context);
        let id = scope.id();
        let size = scope.world.memories[scope.memory_id(memory).index()]
            .linear
            .byte_len();
        let initial = scope.instance().data(segment).len() as u64;
        if range(dst, len, size).is_some()
            && range(src, len, initial).is_some()
            && let Err(code) = scope.consume_fuel(len)
        {
            return code.as_u8().into();
        }
        status(scope.world.memory_init(id, memory, segment, dst, src, len))
    }
}

unsafe extern "C" fn data_drop(context: *mut Context, _: *mut Word, segment: u32, _: u32) -> u32 {
    // SAFETY: the caller keeps the promises of `RUNTIME`.
    let scope = unsafe { Scope::new(context) };
    scope.world.instances[scope.instance].drop_data(segment);
    0
}

unsafe extern "C" fn table_get(context: *mut Context, slots: *mut Word, table: u32, _: u32) -> u32 {
    // SAFETY: the caller keeps the promises of `RUNTIME`.
    unsafe {
        let index = operand(slots, 0);
        let scope = Scope::new(context);
        let id = scope.table_id(table);
        match scope.world.tables[id.index()]
            .elements()
            .get(index as usize)
        {
            Some(word) => slots.write(*word),
            None => return TrapCode::TableOutOfBounds.as_u8().into(),
        }
    }
    0
}

unsafe extern "C" fn table_set(context: *mut Context, slots: *mut Word, table: u32, _: u32) -> u32 {
    // SAFETY: the caller keeps the promises of `RUNTIME`; validation has checked the value's type.
    unsafe {
        let (index, word) = (operand(slots, 0), operand(slots, 1));
        let scope = Scope::new(context);
        let id = scope.table_id(table);
        let elements = scope.world.tables[id.index()].elements_mut();
        match elements.get_mut(index as usize) {
            Some(element) => *element = word,
            None => return TrapCode::TableOutOfBounds.as_u8().into(),
        }
    }
    0
}

unsafe extern "C" fn table_size(
    context: *mut Context,
    slots: *mut Word,
    table: u32,
    _: u32,
) -> u32 {
    // SAFETY: the caller keeps the promises of `RUNTIME`.
    unsafe {
        let scope = Scope::new(context);
        let id = scope.table_id(table);
        slots.write(scope.world.tables[id.index()].len());
    }
    0
}

unsafe extern "C" fn table_grow(
    context: *mut Context,
    slots: *mut Word,
    table: u32,
    _: u32,
) -> u32 {
    // SAFETY: the caller keeps the promises of `RUNTIME`; the scope ends before the host is asked;
    // validation has checked the value's type.
    unsafe {
        let (init, delta) = (operand(slots, 0), operand(slots, 1));
        let mut scope = Scope::new(context);
        let id = scope.table_id(table);
        let table = &scope.world.tables[id.index()];
        let failed = failed(table.ty.table64);
        let (current, maximum) = (table.len(), table.ty.maximum);
        let grown = match table.grown(delta) {
            Ok(desired) => {
                if let Err(code) = scope.consume_fuel_for_elements(delta) {
                    return code.as_u8().into();
                }
                let allowed = ask(context, |host, machine| {
                    (host.table_growing)(machine, current, desired, maximum)
                });
                match allowed {
                    Ok(true) => Scope::new(context).world.tables[id.index()].grow(delta, init),
                    Ok(false) => {
                        slots.write(failed);
                        return 0;
                    }
                    Err(status) => return status,
                }
            }
            Err(error) => Err(error),
        };
        match grown {
            Ok(before) => slots.write(before),
            Err(error) => {
                slots.write(failed);
                let told = ask(context, |host, machine| {
                    (host.table_grow_failed)(machine, error)
                });
                return told.err().unwrap_or(0);
            }
        }
    }
    0
}

unsafe extern "C" fn table_fill(
    context: *mut Context,
    slots: *mut Word,
    table: u32,
    _: u32,
) -> u32 {
    // SAFETY: the caller keeps the promises of `RUNTIME`; validation has checked the value's type.
    unsafe {
        let (start, word, len) = (operand(slots, 0), operand(slots, 1), operand(slots, 2));
        let mut scope = Scope::new(context);
        let id = scope.table_id(table);
        let size = scope.world.tables[id.index()].len();
        let Some(range) = range(start, len, size) else {
            return TrapCode::TableOutOfBounds.as_u8().into();
        };
        if let Err(code) = scope.consume_fuel_for_elements(len) {
            return code.as_u8().into();
        }
        scope.world.tables[id.index()].elements_mut()[range].fill(word);
    }
    0
}

unsafe extern "C" fn table_copy(
    context: *mut Context,
    slots: *mut Word,
    dst_table: u32,
    src_table: u32,
) -> u32 {
    // SAFETY: the caller keeps the promises of `RUNTIME`; validation has checked that the tables
    // have the same type of elements.
    unsafe {
        let (dst, src, len) = (operand(slots, 0), operand(slots, 1), operand(slots, 2));
        let mut scope = Scope::new(context);
        let to = scope.table_id(dst_table).index();
        let from = scope.table_id(src_table).index();
        let tables = &scope.world.tables;
        let dst = range(dst, len, tables[to].len());
        let src = range(src, len, tables[from].len());
        let (Some(dst), Some(src)) = (dst, src) else {
            return TrapCode::TableOutOfBounds.as_u8().into();
        };
        if let Err(code) = scope.consume_fuel_for_elements(len) {
            return code.as_u8().into();
        }
        let tables = &mut scope.world.tables;
        match tables.get_disjoint_mut([to, from]) {
            Ok([to, from]) => to.elements_mut()[dst].copy_from_slice(&from.elements()[src]),
            // The same table.
            Err(_) => tables[to].elements_mut().copy_within(src, dst.start),
        }
    }
    0
}

unsafe extern "C" fn table_init(
    context: *mut Context,
    slots: *mut Word,
    segment: u32,
    table: u32,
) -> u32 {
    // SAFETY: the caller keeps the promises of `RUNTIME`.
    unsafe {
        let (dst, src, len) = (operand(slots, 0), operand(slots, 1), operand(slots, 2));
        let mut scope = Scope::new(context);
        let id = scope.id();
        let size = scope.world.tables[scope.table_id(table).index()].len();
        let items = scope.instance().elements.get(segment as usize);
        let items = items.map_or(0, |items| items.len() as u64);
        if range(dst, len, size).is_some()
            && range(src, len, items).is_some()
            && let Err(code) = scope.consume_fuel_for_elements(len)
        {
            return code.as_u8().into();
        }
        status(scope.world.table_init(id, table, segment, dst, src, len))
    }
}

unsafe extern "C" fn elem_drop(context: *mut Context, _: *mut Word, segment: u32, _: u32) -> u32 {
    // SAFETY: the caller keeps the promises of `RUNTIME`.
    let scope = unsafe { Scope::new(context) };
    scope.world.instances[scope.instance].drop_elements(segment);
    0
}

unsafe extern "C" fn ref_func(context: *mut Context, slots: *mut Word, func: u32, _: u32) -> u32 {
    // SAFETY: the caller keeps the promises of `RUNTIME`.
    unsafe {
        let scope = Scope::new(context);
        let id = scope.id();
        let function = scope.world.instance_func(id, func);
        let value = Val::FuncRef(Some(function));
        slots.write(scope.world.to_raw(&value).0);
    }
    0
}

/// Computes a number of 128 bits from operands of 64 bits, low halves first.
///
/// # Safety
///
/// As for [`RUNTIME`]; the operation has `N` operands.
unsafe fn wide<const N: usize>(slots: *mut Word, compute: impl FnOnce([u64; N]) -> u128) -> u32 {
    // SAFETY: the caller's promise; there are at least two operands, where the results go.
    unsafe {
        let operands = std::array::from_fn(|n| operand(slots, n));
        let value = compute(operands);
        slots.write(value as u64);
        slots.add(1).write((value >> 64) as u64);
    }
    0
}

fn join(low: u64, high: u64) -> u128 {
    u128::from(low) | u128::from(high) << 64
}

unsafe extern "C" fn i64_add128(_: *mut Context, slots: *mut Word, _: u32, _: u32) -> u32 {
    // SAFETY: the caller keeps the promises of `RUNTIME`.
    unsafe { wide(slots, |[a, b, c, d]| join(a, b).wrapping_add(join(c, d))) }
}

unsafe extern "C" fn i64_sub128(_: *mut Context, slots: *mut Word, _: u32, _: u32) -> u32 {
    // SAFETY: the caller keeps the promises of `RUNTIME`.
    unsafe { wide(slots, |[a, b, c, d]| join(a, b).wrapping_sub(join(c, d))) }
}

unsafe extern "C" fn i64_mul_wide_s(_: *mut Context, slots: *mut Word, _: u32, _: u32) -> u32 {
    let signed = |word: u64| i128::from(word as i64);
    // SAFETY: the caller keeps the promises of `RUNTIME`. A product of 64 bits each fits.
    unsafe { wide(slots, |[a, b]| (signed(a) * signed(b)) as u128) }
}

unsafe extern "C" fn i64_mul_wide_u(_: *mut Context, slots: *mut Word, _: u32, _: u32) -> u32 {
    // SAFETY: the caller keeps the promises of `RUNTIME`. A product of 64 bits each fits.
    unsafe { wide(slots, |[a, b]| u128::from(a) * u128::from(b)) }
}

unsafe extern "C" fn table_function(
    context: *mut Context,
    slots: *mut Word,
    table: u32,
    ty: u32,
) -> u32 {
    // SAFETY: the caller keeps the promises of `RUNTIME`; the scope's world is the only one in use.
    unsafe {
        let index = operand(slots, 0);
        let scope = Scope::new(context);
        let id = scope.table_id(table);
        let elements = scope.world.tables[id.index()].elements();
        let word = match elements.get(index as usize) {
            None => return TrapCode::UndefinedElement.as_u8().into(),
            Some(0) => return TrapCode::UninitializedElement.as_u8().into(),
            Some(word) => *word,
        };
        let expected = scope.instance().code.module().types()[ty as usize].id();
        if !scope.world.is_func_of(word, expected) {
            return TrapCode::IndirectCallTypeMismatch.as_u8().into();
        }
        slots.write(word);
    }
    0
}

unsafe extern "C" fn clamp_index(_: *mut Context, slots: *mut Word, _: u32, _: u32) -> u32 {
    // SAFETY: the caller keeps the promises of `RUNTIME`.
    unsafe { slots.write(operand(slots, 0).min(u32::MAX.into())) };
    0
}

unsafe extern "C" fn throw(context: *mut Context, slots: *mut Word, tag: u32, _: u32) -> u32 {
    // SAFETY: the caller keeps the promises of `RUNTIME`: the values are in as many slots as the tag's type says.
    unsafe {
        let scope = Scope::new(context);
        let tag = scope.tag_id(tag);
        let count = scope.world.tag_type(tag).param_slots() as usize;
        let words = std::slice::from_raw_parts(slots, count);
        match scope.world.exception(tag, words.into()) {
            Ok(exception) => {
                scope.world.guest_throws(exception);
                end_run((*context).runtime, Pending::Error(ThrownException.into()))
            }
            Err(code) => code.as_u8().into(),
        }
    }
}

unsafe extern "C" fn throw_ref(context: *mut Context, slots: *mut Word, _: u32, _: u32) -> u32 {
    // SAFETY: the caller keeps the promises of `RUNTIME`.
    unsafe {
        let word = operand(slots, 0);
        let scope = Scope::new(context);
        // Validation has checked the type: what is no reference to an exception is null.
        match scope.world.exception_at(word) {
            Some(exception) => {
                scope.world.guest_throws(exception);
                end_run((*context).runtime, Pending::Error(ThrownException.into()))
            }
            None => TrapCode::NullReference.as_u8().into(),
        }
    }
}
