//! What executors share with the machine: the layout of everything that handlers reach by
//! offset. It knows neither of them.
//!
//! Threaded code belongs to a module; what differs between its instances is reached through the
//! [`Context`] of the running instance. All structures here are `repr(C)` because assembly reads
//! them, and all are written only while no guest code of their machine runs, or by functions that
//! guest code calls.

use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64};

use vm_translate::RegisteredType;

/// A word of the value stack, of a global or of a table: a number's bits, a reference, or, in
/// frame headers, an address.
pub(crate) type Word = u64;

/// The fixed head of an instance's context; [`ContextLayout`] says which words follow it.
#[repr(C)]
pub(crate) struct Context {
    /// Where memory 0 starts; dangling if there is none.
    pub(crate) memory_base: *mut u8,
    /// Bytes of memory 0 that are accessible. If threads share it, 0: code for that goes by its cell, or relies on its guard.
    pub(crate) memory_len: u64,
    /// One past the last slot of the value stack that a frame may use.
    pub(crate) stack_limit: *mut Word,
    /// The machine's part that executors use.
    pub(crate) runtime: *mut Runtime,
    /// The instance's number in its machine.
    pub(crate) instance: u32,
}

/// Byte offsets of the words that follow a [`Context`]: pointers to what the instance uses.
///
/// | words | each points to |
/// | --- | --- |
/// | globals | the global's value: one [`Word`], of a vector two |
/// | tables | a [`TableCell`] |
/// | imported functions | a [`FuncObject`] |
/// | memories | a [`MemoryCell`] |
#[derive(Clone, Copy, Debug)]
pub(crate) struct ContextLayout {
    pub(crate) globals: u32,
    pub(crate) tables: u32,
    pub(crate) functions: u32,
    pub(crate) memories: u32,
}

impl ContextLayout {
    /// The layout for a module with so many of each (imported and defined; of functions the
    /// imported ones).
    pub(crate) fn new(
        globals: u32,
        tables: u32,
        functions: u32,
        memories: u32,
    ) -> (ContextLayout, usize) {
        let start = size_of::<Context>() as u32;
        let word = size_of::<Word>() as u32;
        let tables_at = start + globals * word;
        let functions_at = tables_at + tables * word;
        let memories_at = functions_at + functions * word;
        let layout = ContextLayout {
            globals: start,
            tables: tables_at,
            functions: functions_at,
            memories: memories_at,
        };
        (layout, (memories_at + memories * word) as usize)
    }

    pub(crate) fn global(&self, index: u32) -> u32 {
        self.globals + index * size_of::<Word>() as u32
    }

    pub(crate) fn table(&self, index: u32) -> u32 {
        self.tables + index * size_of::<Word>() as u32
    }

    pub(crate) fn memory(&self, index: u32) -> u32 {
        self.memories + index * size_of::<Word>() as u32
    }

    pub(crate) fn function(&self, index: u32) -> u32 {
        self.functions + index * size_of::<Word>() as u32
    }
}

/// A memory as handlers see it that reach it by its index: where its bytes are now, the base first. That of a memory that
/// threads share is the memory's own: its length may grow at any time.
pub(crate) type MemoryCell = vm_memory::Extent;

/// A table as handlers see it: where its elements are now. An element is 0 for null, for
/// functions the address of a [`FuncObject`], for external references a number plus one.
#[repr(C)]
pub(crate) struct TableCell {
    pub(crate) elements: *mut Word,
    pub(crate) len: u64,
}

/// A function that can be called from anywhere: the referent of a funcref.
#[repr(C)]
pub(crate) struct FuncObject {
    /// The executor's code for it: cells or tokens. A function that has not been translated has
    /// code that translates it and puts the real entry here. Of a host function, its [`HostCode`].
    pub(crate) entry: AtomicPtr<u8>,
    /// The context it runs in; null for a host function.
    pub(crate) context: *mut Context,
    /// The number of its type: equal types have equal numbers in the whole process.
    pub(crate) type_id: u32,
    /// Its index in its module; 0 for a host function.
    pub(crate) index: u32,
    /// Its number in its machine.
    pub(crate) id: u32,
}

/// The code of a host function. For the direct executor it starts with a cell, whose handler calls
/// `call`.
#[repr(C)]
pub(crate) struct HostCode {
    pub(crate) cell: u64,
    /// Calls the function for guest code: with the caller's context, this code, and the slots with
    /// the parameters. Answers a status.
    pub(crate) call: unsafe extern "C" fn(*mut Context, *const HostCode, *mut Word) -> u32,
    /// The closure, of the type that `call` knows.
    pub(crate) closure: *const (),
    /// How many slots its parameters or its results take, whatever is more.
    pub(crate) slots: u32,
    /// What is to be checked of its results: one of the constants.
    pub(crate) results: u32,
    /// Its type.
    pub(crate) ty: RegisteredType,
}

impl HostCode {
    /// All results are such that any word will do.
    pub(crate) const RESULTS_AS_THEY_ARE: u32 = 0;
    /// The only result has 32 bits.
    pub(crate) const RESULT_OF_32_BITS: u32 = 1;
    /// Each has to be looked at.
    pub(crate) const RESULTS_OF_THE_TYPE: u32 = 2;
}

/// What a machine and its executors tell each other. One a machine, at a fixed address.
#[repr(C)]
pub(crate) struct Runtime {
    /// Where the run stopped, for backtraces: the address of the cell or token that trapped, plus
    /// the number of the access that did if a cell has several.
    pub(crate) exit_ip: *const u8,
    /// The frame in which it stopped.
    pub(crate) exit_frame: *mut Word,
    /// The context in which it stopped.
    pub(crate) exit_context: *mut Context,
    /// How much fuel is left.
    pub(crate) fuel: u64,
    /// Counts epochs; the machine keeps it.
    pub(crate) epoch: *const AtomicU64,
    /// The epoch in which the host wants to be asked.
    pub(crate) epoch_deadline: u64,
    /// How many more calls may be inside the present one.
    pub(crate) calls_left: u64,
    /// What was in the registers for values where the run stopped, and what is to be in them where one goes on.
    pub(crate) registers: [Word; REGISTERS],
    /// The host function that has returned an error, until its run has ended; else null.
    pub(crate) host_code: *const HostCode,
    /// Where its results would have to be.
    pub(crate) host_slots: *mut Word,
    /// The machine whose run this is, with its host's type forgotten. Only the machine knows what
    /// these two point to.
    pub(crate) machine: *mut (),
    /// The machine's world.
    pub(crate) world: *mut (),
    /// The addresses at which a fault of the machine's guests is a trap.
    pub(crate) regions: *mut vm_trap::RegionSet,
    /// Whether the run has been asked to end. Part of an [`vm_trap::Interrupt`] that lives as long as the machine.
    pub(crate) asked_to_end: *const AtomicBool,
}

/// Registers in which an executor may have values between two instructions: integers, then floats.
pub(crate) const REGISTERS: usize = 13;

/// How many of them are for integers.
pub(crate) const INT_REGISTERS: usize =
    (crate::shapes::REGISTERS.pinned_ints + crate::shapes::REGISTERS.temp_ints) as usize;

/// Frame header, see [`vm_translate::ir`]: where to go on when the function returns.
pub(crate) const FRAME_RETURN: usize = 0;
/// Frame header: the caller's frame; null in the first frame of a run.
pub(crate) const FRAME_CALLER: usize = 1;
/// Frame header: the caller's context. Written only by calls that may change the context.
pub(crate) const FRAME_CONTEXT: usize = 2;

/// Frame header: where the innermost loop begins that has been entered, if the executor keeps it.
pub(crate) const FRAME_LOOP: usize = 3;

/// What functions called by executors answer: 0 to go on, a trap code, or this, when the host
/// returned an error (or panicked) that the machine keeps until the run has ended.
pub(crate) const STATUS_HOST: u32 = 0x100;

/// The run stops here, and goes on later with the same instruction.
pub(crate) const STATUS_SUSPENDED: u32 = 0x101;

/// Waits at a place in memory or wakes who does, on the slots from `slots` up, see
/// [`vm_translate::ir::Root::Atomic`]. The offset is in two halves, the lower one first.
pub(crate) type WaitFn = unsafe extern "C" fn(
    context: *mut Context,
    slots: *mut Word,
    memory: u32,
    offset_1: u32,
    offset_2: u32,
) -> u32;

/// A rare operation on the slots from `slots` up, see [`vm_translate::ir::RuntimeOp`].
pub(crate) type RuntimeFn =
    unsafe extern "C" fn(context: *mut Context, slots: *mut Word, imm0: u32, imm1: u32) -> u32;
