//! The loop.
//!
//! # What it relies on
//!
//! The code it runs was made by [`encode`](super::encode) from IR of a validated body, so: tokens
//! are tokens, distances lead to tokens of the same function, slots are inside the frame, whose size
//! has been compared with the stack's limit on entry, and offsets are those of the context's words.
//! Values have the types that validation gave them: references are null or those of the machine.
//! Contexts, and what they point to, live as long as the machine, which lives as long as the run.

use std::sync::atomic::{AtomicPtr, Ordering, fence};

use vm_translate::ir::{FRAME_HEADER, TAIL_ADAPTER};
use vm_translate::{AtomicOp, Op};
use vm_trap::TrapCode;

use super::access;
use super::atomic;
use super::encode::HEADER;
use super::tokens::{Token, with_tokens};
use super::wide;
use crate::context::{
    Context, FRAME_CALLER, FRAME_CONTEXT, FRAME_RETURN, FuncObject, HostCode, MemoryCell, Runtime,
    TableCell, Word,
};
use crate::executor::Back;
use crate::machine::{self, World};
use crate::semantics;

/// Where the first function of a run returns to.
static FINISH: [Token; 1] = [Token::Finish];

/// Where a tail call that changed the context returns to, if it replaces a call that did not.
static ADAPTER: [Token; 1] = [Token::ReturnAdapter];

/// Where the first frame of a run returns to.
pub(super) fn finish() -> *const u8 {
    FINISH.as_ptr().cast()
}

/// The code of a function, translated now if it has not been.
///
/// # Safety
///
/// In a run, with the context of an instance of the run's machine; no reference to the machine is
/// alive.
#[cold]
#[inline(never)]
unsafe fn resolve(context: *mut Context, func: u32) -> Result<*const u32, u32> {
    // SAFETY: the caller's promise.
    let resolved = unsafe { World::code_of(context) }
        .executor()
        .translate(func);
    resolved
        .map(|entry| entry.cast_const().cast())
        // SAFETY: as above; contexts live as long as the machine.
        .map_err(|error| unsafe { machine::fail((*context).runtime, error.into()) })
}

/// Executes a [`Token::Vector`].
///
/// # Safety
///
/// `ip` points to the token, and `fp` to the frame that its slots are in.
unsafe fn evaluate(fp: *mut Word, ip: *const u32) {
    // SAFETY: the caller's promise; the encoder says truly which values have two slots.
    unsafe {
        let [_, to, op, lane, vectors, a, b, c] = *ip.cast::<[u32; 8]>();
        let mut n = 0;
        let operands = [a, b, c].map(|slot| {
            let slot = fp.add(slot as usize);
            n += 1;
            match vectors >> (n - 1) & 1 {
                0 => u128::from(*slot),
                _ => u128::from(*slot) | u128::from(*slot.add(1)) << 64,
            }
        });
        let Some(op) = Op::from_number(op as u16) else {
            unreachable!("the encoder writes operators only")
        };
        let value = semantics::vectors::eval(op, operands, lane as usize);
        let to = fp.add(to as usize);
        *to = value as u64;
        if vectors & 8 != 0 {
            *to.add(1) = (value >> 64) as u64;
        }
    }
}

/// Where a run goes on after the host function that was called at this token, in this frame: the next token that
/// is done, and its frame.
///
/// # Safety
///
/// A run has stopped at the token, with this frame, because a host function returned an error.
pub(super) unsafe fn after_host_call(ip: *const u32, frame: *mut Word) -> (*const u8, *mut Word) {
    // SAFETY: the caller's promise. The token is a call in the caller's frame, which a `RestoreContext` follows that is not
    // done; there is none if the frame is the host function's own, whose header says where to go on.
    unsafe {
        let words = match ip.cast::<Token>().as_ref() {
            Some(Token::CallImport) => CALL_IMPORT_WORDS,
            Some(Token::CallIndirect) => CALL_INDIRECT_WORDS,
            Some(Token::CallRef) => CALL_REF_WORDS,
            _ => {
                let back = frame.add(FRAME_RETURN).cast::<*const u8>().read();
                return (back, frame.add(FRAME_CALLER).cast::<*mut Word>().read());
            }
        };
        (ip.add(words + RESTORE_WORDS).cast(), frame)
    }
}

const CALL_IMPORT_WORDS: usize = 3;
const CALL_INDIRECT_WORDS: usize = 5;
const CALL_REF_WORDS: usize = 3;
/// Of the token behind a call that takes the context back.
pub(super) const RESTORE_WORDS: usize = 2;

/// What there is at a token that a function with this context returns to, in a frame.
///
/// # Safety
///
/// Both are from a header of a frame of a run, whose context this is.
pub(super) unsafe fn goes_back(ip: *const u32, frame: *mut Word, context: *mut Context) -> Back {
    // SAFETY: the caller's promise. A header that says whose context is to be restored has it.
    unsafe {
        let context_in =
            |header: *mut Word| header.add(FRAME_CONTEXT).cast::<*mut Context>().read();
        match *ip.cast::<Token>() {
            Token::Finish => Back::End,
            Token::ReturnAdapter => Back::Adapter(context_in(frame)),
            Token::RestoreContext => Back::Frame(context_in(frame.add(*ip.add(1) as usize))),
            _ => Back::Frame(context),
        }
    }
}

/// How much fuel the token takes, if it does.
///
/// # Safety
///
/// A run has stopped at the token.
pub(super) unsafe fn fuel_required(ip: *const u32) -> Option<u64> {
    // SAFETY: the caller's promise.
    unsafe { matches!(*ip.cast(), Token::ConsumeFuel).then(|| (*ip.add(1)).into()) }
}

/// Bytes that an access reads or writes.
trait Bytes: Copy {
    unsafe fn read(from: *const u8) -> u64;
    unsafe fn write(to: *mut u8, value: u64);
}

macro_rules! bytes {
    ($($ty:ty)*) => {$(
        impl Bytes for $ty {
            #[inline(always)]
            unsafe fn read(from: *const u8) -> u64 {
                // SAFETY: the caller has checked that the bytes are in the memory.
                <$ty>::from_le(unsafe { from.cast::<$ty>().read_unaligned() }).into()
            }

            #[inline(always)]
            unsafe fn write(to: *mut u8, value: u64) {
                // SAFETY: as above.
                unsafe { to.cast::<$ty>().write_unaligned((value as $ty).to_le()) }
            }
        }
    )*};
}

bytes!(u8 u16 u32 u64);

macro_rules! define_run {
    (
        unary { $($unary:ident $unary_fn:ident;)* }
        unary_traps { $($unary_trap:ident $unary_trap_fn:ident;)* }
        binary { $($binary:ident $binary_imm:ident $binary_fn:ident;)* }
        binary_high { $($high:ident $high_imm:ident $high_fn:ident;)* }
        binary_traps { $($binary_trap:ident $binary_trap_imm:ident $binary_trap_fn:ident;)* }
        loads { $($load:ident $load_at:ident $load_fn:ident $load_ty:ident;)* }
        stores { $($store:ident $store_imm:ident $store_at:ident $store_imm_at:ident $store_ty:ident;)* }
        branches { $($branch:ident $br:ident $br_imm:ident $br_fn:ident;)* }
        float_branches { $($float:ident $float_br:ident $float_not:ident $float_fn:ident;)* }
    ) => {
        /// [`Executor::run`](crate::executor::Executor::run); without a function,
        /// [`Executor::resume`](crate::executor::Executor::resume).
        ///
        /// # Safety
        ///
        /// As there.
        pub(super) unsafe fn run(
            runtime: *mut Runtime,
            func: Option<*const FuncObject>,
            frame: *mut Word,
        ) -> u32 {
            // SAFETY: for the whole function, see "What it relies on" above, and the caller's
            // promises.
            unsafe {
                let asked_to_end = &*(*runtime).asked_to_end;
                let mut context: *mut Context = match func {
                    Some(func) => (*func).context,
                    None => (*runtime).exit_context,
                };
                let mut fp: *mut Word = frame;
                // The word of the token that is being executed.
                let mut ip: *const u32 = FINISH.as_ptr().cast();
                let mut memory: *mut u8;
                let mut memory_len: u64;

                /// Leaves the loop, at the token that is being executed or at `$ip`.
                macro_rules! exit {
                    ($status:expr) => {
                        exit!($status, ip)
                    };
                    ($status:expr, $ip:expr) => {{
                        (*runtime).exit_ip = $ip.cast();
                        (*runtime).exit_frame = fp;
                        (*runtime).exit_context = context;
                        return $status;
                    }};
                }
                macro_rules! trap {
                    ($code:expr) => {
                        exit!(u32::from($code.as_u8()))
                    };
                }
                /// Takes up what may have changed: after the host had control, or in another
                /// context.
                macro_rules! reload {
                    () => {
                        memory = (*context).memory_base;
                        memory_len = (*context).memory_len;
                    };
                }
                /// The nth word after the token.
                macro_rules! word {
                    ($n:literal) => {
                        *ip.add($n)
                    };
                }
                macro_rules! slot {
                    ($n:literal) => {
                        *fp.add(word!($n) as usize)
                    };
                }
                /// The two slots of a vector.
                macro_rules! vector {
                    ($n:literal) => {
                        fp.add(word!($n) as usize).cast::<[Word; 2]>()
                    };
                }
                macro_rules! signed {
                    ($n:literal) => {
                        i64::from(word!($n) as i32) as u64
                    };
                }
                macro_rules! next {
                    ($words:literal) => {
                        ip = ip.add($words)
                    };
                }
                /// Ends the run if someone has asked for it.
                macro_rules! look {
                    () => {
                        if asked_to_end.load(Ordering::Relaxed) {
                            trap!(TrapCode::Interrupt);
                        }
                    };
                }
                /// Branches by the distance in the nth word. Back, or to itself, is to a loop: every turn looks.
                macro_rules! branch {
                    ($n:literal) => {{
                        let distance = word!($n) as i32;
                        if distance <= 0 {
                            look!();
                        }
                        ip = ip.offset(distance as isize);
                    }};
                }
                /// Branches by the distance in the nth word, or goes on behind it.
                macro_rules! branch_if {
                    ($condition:expr, $n:literal) => {
                        if $condition {
                            branch!($n);
                        } else {
                            ip = ip.add($n + 1);
                        }
                    };
                }
                /// The address of an access of a type at `$index + $offset`, both below 2³², if it
                /// is inside the memory.
                macro_rules! address {
                    ($ty:ty, $index:expr, $offset:expr) => {{
                        let start = u64::from($index as u32) + u64::from($offset);
                        if start + size_of::<$ty>() as u64 > memory_len {
                            trap!(TrapCode::MemoryOutOfBounds);
                        }
                        memory.add(start as usize)
                    }};
                }
                /// Enters code at `$entry` with the frame `$frame`, whose header is there.
                macro_rules! enter_frame {
                    ($entry:expr, $frame:expr) => {{
                        let (entry, frame): (*const u32, *mut Word) = ($entry, $frame);
                        look!();
                        let free = (*context).stack_limit.addr() - frame.addr();
                        let [slots, zero_from, zero_to] = *entry.cast::<[u32; HEADER]>();
                        if (free as u64) < u64::from(slots) * size_of::<Word>() as u64 {
                            trap!(TrapCode::StackOverflow);
                        }
                        for slot in zero_from..zero_to {
                            frame.add(slot as usize).write(0);
                        }
                        fp = frame;
                        ip = entry.add(HEADER);
                    }};
                }
                /// Enters code at `$entry` with the frame `$frame`, to return to `$return`.
                macro_rules! enter {
                    ($entry:expr, $frame:expr, $return:expr) => {{
                        let (entry, frame): (*const u32, *mut Word) = ($entry, $frame);
                        // The caller's frame reaches to the end of the arguments.
                        frame.add(FRAME_RETURN).cast::<*const u32>().write($return);
                        frame.add(FRAME_CALLER).cast::<*mut Word>().write(fp);
                        enter_frame!(entry, frame);
                    }};
                }
                macro_rules! leave {
                    () => {
                        ip = fp.add(FRAME_RETURN).cast::<*const u32>().read();
                        fp = fp.add(FRAME_CALLER).cast::<*mut Word>().read();
                    };
                }
                /// Moves the arguments of a tail call to where the callee expects them.
                macro_rules! move_arguments {
                    ($frame:expr) => {{
                        let first = fp.add(word!(1) as usize);
                        let to: *mut Word = $frame;
                        to.add(FRAME_HEADER as usize).copy_from(first, word!(2) as usize);
                    }};
                }
                /// The code of a function object with the context `$callee`.
                macro_rules! entry_of {
                    ($object:expr, $callee:expr) => {{
                        let object: *const FuncObject = $object;
                        let mut entry = (*object).entry.load(Ordering::Acquire).cast_const();
                        if entry.is_null() {
                            entry = match resolve($callee, (*object).index) {
                                Ok(entry) => entry.cast(),
                                Err(status) => exit!(status),
                            };
                            (*object).entry.store(entry.cast_mut(), Ordering::Release);
                        }
                        entry.cast::<u32>()
                    }};
                }
                /// Calls the host function of an object.
                macro_rules! host_call {
                    ($object:expr, $slots:expr) => {{
                        // Of a host function, that is `HostCode`, which never changes.
                        let code = (*$object).entry.load(Ordering::Relaxed);
                        let code = code.cast_const().cast::<HostCode>();
                        ((*code).call)(context, code, $slots)
                    }};
                }
                /// Returns what a function object returns.
                macro_rules! return_call_object {
                    ($object:expr) => {{
                        let object: *const FuncObject = $object;
                        let callee = (*object).context;
                        if callee.is_null() {
                            move_arguments!(fp);
                            let slots = fp.add(FRAME_HEADER as usize);
                            let status = host_call!(object, slots);
                            if status != 0 {
                                // The frame is the host function's, which is at none of the guest's
                                // instructions; who called it is in the header.
                                exit!(status, std::ptr::null::<u32>());
                            }
                            reload!();
                            leave!();
                        } else {
                            let entry = entry_of!(object, callee);
                            let back = fp.add(FRAME_RETURN).cast::<*const Token>().read();
                            let restores = matches!(
                                *back,
                                Token::Finish | Token::RestoreContext | Token::ReturnAdapter
                            );
                            let mut frame = fp;
                            if callee != context && !restores {
                                // The caller does not expect another context, so it is put back
                                // on the way. That way does it for all tail calls to come.
                                frame = fp.add(TAIL_ADAPTER as usize);
                                move_arguments!(frame);
                                fp.add(FRAME_CONTEXT).cast::<*mut Context>().write(context);
                                fp.add(FRAME_HEADER as usize).write(word!(3).into());
                                let adapter = ADAPTER.as_ptr();
                                frame.add(FRAME_RETURN).cast::<*const Token>().write(adapter);
                                frame.add(FRAME_CALLER).cast::<*mut Word>().write(fp);
                                // For backtraces.
                                frame.add(FRAME_CONTEXT).cast::<*mut Context>().write(context);
                            } else {
                                move_arguments!(frame);
                            }
                            enter_frame!(entry, frame);
                            context = callee;
                            reload!();
                        }
                    }};
                }
                /// The object of the function at `$index` of a table, if it has the type.
                macro_rules! element {
                    ($index:expr, $table:expr, $ty:expr) => {{
                        let index = u64::from($index as u32);
                        let table = context.byte_add($table as usize);
                        let table = table.cast::<*const TableCell>().read();
                        if index >= (*table).len {
                            trap!(TrapCode::UndefinedElement);
                        }
                        let element = *(*table).elements.add(index as usize);
                        if element == 0 {
                            trap!(TrapCode::UninitializedElement);
                        }
                        let object: *const FuncObject =
                            std::ptr::with_exposed_provenance(element as usize);
                        if (*object).type_id != $ty {
                            trap!(TrapCode::IndirectCallTypeMismatch);
                        }
                        object
                    }};
                }
                /// The object that a reference refers to.
                macro_rules! referent {
                    ($reference:expr) => {{
                        let reference = $reference;
                        if reference == 0 {
                            trap!(TrapCode::NullReference);
                        }
                        let object: *const FuncObject =
                            std::ptr::with_exposed_provenance(reference as usize);
                        object
                    }};
                }
                /// Calls through a function object, from an instruction of so many words that a
                /// `RestoreContext` follows.
                macro_rules! call_object {
                    ($object:expr, $frame:expr, $words:expr) => {{
                        let (object, frame): (*const FuncObject, *mut Word) = ($object, $frame);
                        let callee = (*object).context;
                        if callee.is_null() {
                            let slots = frame.add(FRAME_HEADER as usize);
                            let status = host_call!(object, slots);
                            if status != 0 {
                                exit!(status);
                            }
                            reload!();
                            ip = ip.add($words + RESTORE_WORDS);
                        } else {
                            let entry = entry_of!(object, callee);
                            frame.add(FRAME_CONTEXT).cast::<*mut Context>().write(context);
                            enter!(entry, frame, ip.add($words));
                            context = callee;
                            reload!();
                        }
                    }};
                }

                match func {
                    Some(func) => {
                        let entry = match resolve(context, (*func).index) {
                            Ok(entry) => entry,
                            Err(status) => exit!(status),
                        };
                        // The first frame has no caller, which `call` has written.
                        frame.add(FRAME_RETURN).cast::<*const u32>().write(ip);
                        enter_frame!(entry, frame);
                    }
                    None => {
                        ip = (*runtime).exit_ip.cast();
                        look!();
                    }
                }
                reload!();

                loop {
                    match *ip.cast::<Token>() {
                        Token::Finish => return 0,
                        Token::RestoreContext => {
                            let header = fp.add(word!(1) as usize);
                            context = header.add(FRAME_CONTEXT).cast::<*mut Context>().read();
                            reload!();
                            next!(2);
                        }
                        Token::Unreachable => trap!(TrapCode::Unreachable),
                        Token::NullReference => trap!(TrapCode::NullReference),
                        Token::Br => branch!(1),
                        Token::BrIf => branch_if!(slot!(1) as u32 != 0, 2),
                        Token::BrUnless => branch_if!(slot!(1) as u32 == 0, 2),
                        Token::BrAnd => branch_if!((slot!(1) & slot!(2)) as u32 != 0, 3),
                        Token::BrAndImm => branch_if!(slot!(1) as u32 & word!(2) != 0, 3),
                        Token::BrNand => branch_if!((slot!(1) & slot!(2)) as u32 == 0, 3),
                        Token::BrNandImm => branch_if!(slot!(1) as u32 & word!(2) == 0, 3),
                        Token::BrTable => {
                            let target = (slot!(1) as u32).min(word!(2) - 1);
                            let distance = *ip.add(3 + target as usize) as i32;
                            if distance <= 0 {
                                look!();
                            }
                            ip = ip.offset(distance as isize);
                        }
                        Token::Return => {
                            leave!();
                        }
                        Token::Call => {
                            let cell = wide::read(ip.add(3)) as usize;
                            let cell: *const AtomicPtr<u8> =
                                std::ptr::with_exposed_provenance(cell);
                            let mut entry: *const u32 = (*cell).load(Ordering::Acquire).cast();
                            if entry.is_null() {
                                entry = match resolve(context, word!(2)) {
                                    Ok(entry) => entry,
                                    Err(status) => exit!(status),
                                };
                            }
                            enter!(entry, fp.add(word!(1) as usize), ip.add(5));
                        }
                        Token::CallImport => {
                            let object = context.byte_add(word!(2) as usize);
                            let object = object.cast::<*const FuncObject>().read();
                            call_object!(object, fp.add(word!(1) as usize), CALL_IMPORT_WORDS);
                        }
                        Token::CallIndirect => {
                            let object = element!(slot!(1), word!(3), word!(4));
                            call_object!(object, fp.add(word!(2) as usize), CALL_INDIRECT_WORDS);
                        }
                        Token::ReturnCall => {
                            let cell = wide::read(ip.add(4)) as usize;
                            let cell: *const AtomicPtr<u8> =
                                std::ptr::with_exposed_provenance(cell);
                            let mut entry: *const u32 = (*cell).load(Ordering::Acquire).cast();
                            if entry.is_null() {
                                entry = match resolve(context, word!(3)) {
                                    Ok(entry) => entry,
                                    Err(status) => exit!(status),
                                };
                            }
                            move_arguments!(fp);
                            enter_frame!(entry, fp);
                        }
                        Token::ReturnCallImport => {
                            let object = context.byte_add(word!(4) as usize);
                            return_call_object!(object.cast::<*const FuncObject>().read());
                        }
                        Token::ReturnCallIndirect => {
                            let index = *fp.add((word!(1) + word!(2)) as usize);
                            return_call_object!(element!(index, word!(4), word!(5)));
                        }
                        Token::CallRef => {
                            let object = referent!(slot!(1));
                            call_object!(object, fp.add(word!(2) as usize), CALL_REF_WORDS);
                        }
                        Token::ReturnCallRef => {
                            let reference = *fp.add((word!(1) + word!(2)) as usize);
                            return_call_object!(referent!(reference));
                        }
                        Token::ReturnAdapter => {
                            context = fp.add(FRAME_CONTEXT).cast::<*mut Context>().read();
                            reload!();
                            let slots = fp.add(FRAME_HEADER as usize);
                            let results = slots.read() as usize;
                            slots.copy_from(slots.add(TAIL_ADAPTER as usize), results);
                            leave!();
                        }
                        Token::MemoryLoad => {
                            let cell = context.byte_add(word!(2) as usize);
                            let cell = cell.cast::<*const MemoryCell>().read();
                            let offset = wide::read(ip.add(4));
                            match access::load(cell, word!(3), slot!(1), offset) {
                                Ok(value) => slot!(1) = value,
                                Err(code) => trap!(code),
                            }
                            next!(6);
                        }
                        Token::MemoryStore => {
                            let cell = context.byte_add(word!(2) as usize);
                            let cell = cell.cast::<*const MemoryCell>().read();
                            let offset = wide::read(ip.add(4));
                            let value = *fp.add(word!(1) as usize + 1);
                            let stored = access::store(cell, word!(3), slot!(1), offset, value);
                            if let Err(code) = stored {
                                trap!(code);
                            }
                            next!(6);
                        }
                        Token::SharedLoad => {
                            let cell = context.byte_add(word!(2) as usize);
                            let cell = cell.cast::<*const MemoryCell>().read();
                            let offset = wide::read(ip.add(4));
                            match access::load_shared(cell, word!(3), slot!(1), offset) {
                                Ok(value) => slot!(1) = value,
                                Err(code) => trap!(code),
                            }
                            next!(6);
                        }
                        Token::SharedStore => {
                            let cell = context.byte_add(word!(2) as usize);
                            let cell = cell.cast::<*const MemoryCell>().read();
                            let offset = wide::read(ip.add(4));
                            let value = *fp.add(word!(1) as usize + 1);
                            let stored =
                                access::store_shared(cell, word!(3), slot!(1), offset, value);
                            if let Err(code) = stored {
                                trap!(code);
                            }
                            next!(6);
                        }
                        Token::Atomic => {
                            let cell = context.byte_add(word!(3) as usize);
                            let cell = cell.cast::<*const MemoryCell>().read();
                            let slots = fp.add(word!(1) as usize);
                            let offset = wide::read(ip.add(4));
                            if let Err(code) = atomic::access(cell, word!(2), slots, offset) {
                                trap!(code);
                            }
                            next!(6);
                        }
                        Token::Fence => {
                            fence(Ordering::SeqCst);
                            next!(1);
                        }
                        Token::Wait => {
                            let op = AtomicOp::ALL[word!(2) as usize];
                            let slots = fp.add(word!(1) as usize);
                            let wait = machine::wait_function(op);
                            let status = wait(context, slots, word!(3), word!(4), word!(5));
                            if status != 0 {
                                exit!(status);
                            }
                            reload!();
                            next!(6);
                        }
                        Token::Runtime => {
                            let function = machine::RUNTIME[word!(2) as usize];
                            let slots = fp.add(word!(1) as usize);
                            let status = function(context, slots, word!(3), word!(4));
                            if status != 0 {
                                exit!(status);
                            }
                            reload!();
                            next!(5);
                        }
                        Token::Copy => {
                            slot!(1) = slot!(2);
                            next!(3);
                        }
                        Token::Const => {
                            slot!(1) = word!(2).into();
                            next!(3);
                        }
                        Token::ConstSigned => {
                            slot!(1) = signed!(2);
                            next!(3);
                        }
                        Token::Const64 => {
                            slot!(1) = wide::read(ip.add(2));
                            next!(4);
                        }
                        Token::GlobalGet => {
                            let cell = context.byte_add(word!(2) as usize);
                            slot!(1) = *cell.cast::<*mut Word>().read();
                            next!(3);
                        }
                        Token::GlobalSet => {
                            let cell = context.byte_add(word!(2) as usize);
                            *cell.cast::<*mut Word>().read() = slot!(1);
                            next!(3);
                        }
                        Token::Select => {
                            slot!(1) = semantics::select(slot!(2), slot!(3), slot!(4));
                            next!(5);
                        }
                        Token::CopyVector => {
                            vector!(1).write(vector!(2).read());
                            next!(3);
                        }
                        Token::CopySlots => {
                            let (to, from) = (word!(1) as usize, word!(2) as usize);
                            fp.add(to).copy_from(fp.add(from), word!(3) as usize);
                            next!(4);
                        }
                        Token::ConsumeFuel => {
                            match (*runtime).fuel.checked_sub(word!(1).into()) {
                                Some(left) => (*runtime).fuel = left,
                                None => trap!(TrapCode::OutOfFuel),
                            }
                            next!(2);
                        }
                        Token::EnterCall => {
                            match (*runtime).calls_left.checked_sub(1) {
                                Some(left) => (*runtime).calls_left = left,
                                None => trap!(TrapCode::StackOverflow),
                            }
                            next!(1);
                        }
                        Token::LeaveCall => {
                            (*runtime).calls_left += 1;
                            next!(1);
                        }
                        Token::CheckEpoch => {
                            if machine::is_epoch_over(context) {
                                let status = machine::epoch_deadline(context);
                                if status != 0 {
                                    exit!(status);
                                }
                            }
                            next!(1);
                        }
                        Token::GlobalGetVector => {
                            let cell = context.byte_add(word!(2) as usize);
                            *vector!(1) = *cell.cast::<*mut [Word; 2]>().read();
                            next!(3);
                        }
                        Token::GlobalSetVector => {
                            let cell = context.byte_add(word!(2) as usize);
                            *cell.cast::<*mut [Word; 2]>().read() = *vector!(1);
                            next!(3);
                        }
                        Token::V128Load => {
                            let from = address!([Word; 2], slot!(2), word!(3));
                            let words = from.cast::<[Word; 2]>().read_unaligned();
                            *vector!(1) = words.map(u64::from_le);
                            next!(4);
                        }
                        Token::V128LoadAt => {
                            let from = address!([Word; 2], word!(2), 0u32);
                            let words = from.cast::<[Word; 2]>().read_unaligned();
                            *vector!(1) = words.map(u64::from_le);
                            next!(3);
                        }
                        Token::V128Store => {
                            let to = address!([Word; 2], slot!(1), word!(3));
                            let words = (*vector!(2)).map(u64::to_le);
                            to.cast::<[Word; 2]>().write_unaligned(words);
                            next!(4);
                        }
                        Token::V128StoreAt => {
                            let to = address!([Word; 2], word!(1), 0u32);
                            let words = (*vector!(2)).map(u64::to_le);
                            to.cast::<[Word; 2]>().write_unaligned(words);
                            next!(3);
                        }
                        Token::Vector => {
                            evaluate(fp, ip);
                            next!(8);
                        }
                        $(Token::$unary => {
                            slot!(1) = semantics::$unary_fn(slot!(2));
                            next!(3);
                        })*
                        $(Token::$unary_trap => match semantics::$unary_trap_fn(slot!(2)) {
                            Ok(value) => {
                                slot!(1) = value;
                                next!(3);
                            }
                            Err(code) => trap!(code),
                        },)*
                        $(
                            Token::$binary => {
                                slot!(1) = semantics::$binary_fn(slot!(2), slot!(3));
                                next!(4);
                            }
                            Token::$binary_imm => {
                                slot!(1) = semantics::$binary_fn(slot!(2), signed!(3));
                                next!(4);
                            }
                        )*
                        $(
                            Token::$high => {
                                slot!(1) = semantics::$high_fn(slot!(2), slot!(3));
                                next!(4);
                            }
                            Token::$high_imm => {
                                let high = u64::from(word!(3)) << 32;
                                slot!(1) = semantics::$high_fn(slot!(2), high);
                                next!(4);
                            }
                        )*
                        $(
                            Token::$binary_trap => {
                                match semantics::$binary_trap_fn(slot!(2), slot!(3)) {
                                    Ok(value) => {
                                        slot!(1) = value;
                                        next!(4);
                                    }
                                    Err(code) => trap!(code),
                                }
                            }
                            Token::$binary_trap_imm => {
                                match semantics::$binary_trap_fn(slot!(2), signed!(3)) {
                                    Ok(value) => {
                                        slot!(1) = value;
                                        next!(4);
                                    }
                                    Err(code) => trap!(code),
                                }
                            }
                        )*
                        $(
                            Token::$load => {
                                let from = address!($load_ty, slot!(2), word!(3));
                                slot!(1) = semantics::$load_fn(<$load_ty>::read(from));
                                next!(4);
                            }
                            Token::$load_at => {
                                let from = address!($load_ty, word!(2), 0u32);
                                slot!(1) = semantics::$load_fn(<$load_ty>::read(from));
                                next!(3);
                            }
                        )*
                        $(
                            Token::$store => {
                                let to = address!($store_ty, slot!(1), word!(3));
                                <$store_ty>::write(to, slot!(2));
                                next!(4);
                            }
                            Token::$store_imm => {
                                let to = address!($store_ty, slot!(1), word!(3));
                                <$store_ty>::write(to, signed!(2));
                                next!(4);
                            }
                            Token::$store_at => {
                                let to = address!($store_ty, word!(1), 0u32);
                                <$store_ty>::write(to, slot!(2));
                                next!(3);
                            }
                            Token::$store_imm_at => {
                                let to = address!($store_ty, word!(1), 0u32);
                                <$store_ty>::write(to, signed!(2));
                                next!(3);
                            }
                        )*
                        $(
                            Token::$br => {
                                branch_if!(semantics::$br_fn(slot!(1), slot!(2)) != 0, 3)
                            }
                            Token::$br_imm => {
                                branch_if!(semantics::$br_fn(slot!(1), signed!(2)) != 0, 3)
                            }
                        )*
                        $(
                            Token::$float_br => {
                                branch_if!(semantics::$float_fn(slot!(1), slot!(2)) != 0, 3)
                            }
                            Token::$float_not => {
                                branch_if!(semantics::$float_fn(slot!(1), slot!(2)) == 0, 3)
                            }
                        )*
                    }
                }
            }
        }
    };
}

with_tokens!(define_run);
