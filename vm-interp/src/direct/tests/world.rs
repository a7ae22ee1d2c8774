//! A world for cells to run in: a frame, a memory, a context, all laid out as executors expect.

use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64};

use vm_translate::shape::{SetSymbol, ShapeKey, Symbol};

use super::super::fixed::{Fixed, PINNED_FLOATS, PINNED_INTS};
use super::super::operands::cell_bytes;
use super::super::{fixed_handler, run, shapes};
use crate::context::{Context, FuncObject, MemoryCell, REGISTERS, Runtime, TableCell};

pub(super) const MEMORY: usize = 2048;
/// What the leaves of addresses are below, so that their sums are inside.
pub(super) const ADDRESSES: u64 = 512;
pub(super) const SLOTS: usize = 128;
/// Slots of the test program: registers before, registers after, operands, the result, marks.
pub(super) const BEFORE: usize = 8;
pub(super) const AFTER: usize = 32;
pub(super) const OPERANDS: usize = 56;
pub(super) const RESULT: usize = 70;
pub(super) const MARK: usize = 78;
pub(super) const CALLEE: usize = 80;
/// Slots that no other part of a test program uses.
pub(super) const SAVED: usize = 84;

pub(super) const INT_REGISTERS: usize = PINNED_INTS as usize + 1;
pub(super) const FLOAT_REGISTERS: usize = PINNED_FLOATS as usize + 1;

/// What guest code can see, laid out as executors expect it.
pub(super) struct World {
    pub(super) slots: Vec<u64>,
    pub(super) memory: Vec<u8>,
    pub(super) global: Box<[u64; 2]>,
    /// The context and the words behind it: a global, a table, a memory.
    pub(super) context: Vec<u64>,
    pub(super) runtime: Box<Runtime>,
    table: Box<(TableCell, [u64; 2])>,
    _cell: Box<MemoryCell>,
    function: Box<(FuncObject, [u64; 2])>,
}

pub(super) const GLOBAL_AT: u32 = size_of::<Context>() as u32;
pub(super) const TABLE_AT: u32 = GLOBAL_AT + 8;
pub(super) const MEMORY_AT: u32 = TABLE_AT + 8;
pub(super) const TYPE_ID: u32 = 77;

/// Nobody asks a run of a test to end.
static NOT_ASKED: AtomicBool = AtomicBool::new(false);

/// The epoch of the tests.
pub(super) static EPOCH: AtomicU64 = AtomicU64::new(7);

impl World {
    pub(super) fn new() -> World {
        let mut slots = vec![0; SLOTS];
        let mut memory = vec![0; MEMORY];
        let mut global = Box::new([0; 2]);
        let mut runtime = Box::new(Runtime {
            exit_ip: std::ptr::null(),
            exit_frame: std::ptr::null_mut(),
            exit_context: std::ptr::null_mut(),
            registers: [0; REGISTERS],
            host_code: std::ptr::null(),
            host_slots: std::ptr::null_mut(),
            fuel: 0,
            epoch: &EPOCH,
            epoch_deadline: 0,
            calls_left: 0,
            machine: std::ptr::null_mut(),
            world: std::ptr::null_mut(),
            regions: std::ptr::null_mut(),
            asked_to_end: &NOT_ASKED,
        });
        let mut context = vec![0u64; size_of::<Context>() / 8 + 3];
        let head = Context {
            memory_base: memory.as_mut_ptr(),
            memory_len: MEMORY as u64,
            stack_limit: slots.as_mut_ptr_range().end,
            runtime: &mut *runtime,
            instance: 0,
        };
        // The callee of indirect calls returns at once.
        let mut function = Box::new((
            FuncObject {
                entry: AtomicPtr::new(std::ptr::null_mut()),
                context: context.as_mut_ptr().cast(),
                type_id: TYPE_ID,
                index: 0,
                id: 0,
            },
            [fixed_handler(Fixed::Return { ints: 0 }), 0],
        ));
        let code = function.1.as_ptr().cast::<u8>().cast_mut();
        function.0.entry = AtomicPtr::new(code);
        let mut table = Box::new((
            TableCell {
                elements: std::ptr::null_mut(),
                len: 2,
            },
            [&raw const function.0 as u64, 0],
        ));
        table.0.elements = table.1.as_mut_ptr();
        // SAFETY: the vector has room for a context and three words.
        unsafe { context.as_mut_ptr().cast::<Context>().write(head) };
        context[GLOBAL_AT as usize / 8] = &raw mut *global as u64;
        context[TABLE_AT as usize / 8] = &raw const table.0 as u64;
        let cell = Box::new(MemoryCell {
            base: memory.as_mut_ptr(),
            len: (MEMORY as u64).into(),
        });
        context[MEMORY_AT as usize / 8] = &raw const *cell as u64;
        World {
            slots,
            memory,
            global,
            context,
            runtime,
            table,
            _cell: cell,
            function,
        }
    }

    /// A reference to the function that the table has.
    pub(super) fn reference(&self) -> u64 {
        self.table.1[0]
    }

    /// The first cell of the function that the table has.
    pub(super) fn callee(&self) -> u64 {
        self.function.1.as_ptr() as u64
    }

    /// Runs cells to their exit; answers the status.
    pub(super) fn run(&mut self, cells: &[u64]) -> u32 {
        let mut flag = 0;
        // SAFETY: the cells are made by this file from the shapes of the table, with operands
        // inside of this world.
        unsafe {
            run::palisade_enter(
                cells.as_ptr().cast(),
                self.slots.as_mut_ptr(),
                self.context.as_mut_ptr().cast(),
                std::ptr::null(),
                &mut flag,
                &NOT_ASKED,
            )
        }
    }
}

/// Cells being written.
#[derive(Default)]
pub(super) struct Program {
    pub(super) bytes: Vec<u8>,
    /// Where targets of branches stand: so far they are byte offsets from the start.
    pub(super) targets: Vec<usize>,
}

impl Program {
    pub(super) fn cell(&mut self, handler: u64, operands: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&handler.to_ne_bytes());
        self.bytes.extend_from_slice(operands);
        let bytes = cell_bytes(operands.len() as u32) as usize;
        self.bytes.resize(start + bytes, 0);
    }

    pub(super) fn set(&mut self, to: Symbol, from: Symbol, operand: u32) {
        let key = ShapeKey::new().with(to).and_then(|key| key.with(from));
        let found = key.and_then(shapes::find).expect("moves are always there");
        self.cell(shapes::address(found.handler), &operand.to_ne_bytes());
    }

    pub(super) fn words(self) -> Vec<u64> {
        let words = self.bytes.chunks_exact(8);
        let mut words: Vec<u64> = words
            .map(|word| u64::from_ne_bytes(word.try_into().expect("eight bytes")))
            .collect();
        let start = words.as_ptr() as u64;
        for target in self.targets {
            words[target / 8] += start;
        }
        words
    }
}

pub(super) fn slot(n: usize) -> u32 {
    8 * n as u32
}

/// What registers hold that the shape does not read: no operand chosen here is the same.
pub(super) const UNSET: u64 = 0x0000_0000_0bad_5eed;

pub(super) fn pair([low, high]: [u64; 2]) -> u128 {
    u128::from(low) | u128::from(high) << 64
}

/// Cells that load all registers from where the test keeps what they are before.
pub(super) fn registers_before() -> Program {
    let mut program = Program::default();
    for n in 0..INT_REGISTERS {
        let to = Symbol::Set(SetSymbol::Int(n as u8));
        program.set(to, Symbol::Slot, slot(BEFORE + n));
    }
    for n in 0..FLOAT_REGISTERS {
        let to = Symbol::Set(SetSymbol::Float(n as u8));
        program.set(to, Symbol::Slot, slot(BEFORE + INT_REGISTERS + n));
    }
    program
}

/// Cells that set the mark and leave with all registers stored.
pub(super) fn mark(number: u32) -> Program {
    let mut program = Program::default();
    let key = ShapeKey::new()
        .with(Symbol::Set(SetSymbol::Slot))
        .and_then(|key| key.with(Symbol::Const32));
    let constant = key.and_then(shapes::find).expect("moves are always there");
    let operands = [slot(MARK).to_ne_bytes(), number.to_ne_bytes()].concat();
    program.cell(shapes::address(constant.handler), &operands);
    for n in 0..INT_REGISTERS {
        let to = Symbol::Set(SetSymbol::Slot);
        program.set(to, Symbol::Int(n as u8), slot(AFTER + n));
    }
    for n in 0..FLOAT_REGISTERS {
        let to = Symbol::Set(SetSymbol::Slot);
        program.set(to, Symbol::Float(n as u8), slot(AFTER + INT_REGISTERS + n));
    }
    program.cell(fixed_handler(Fixed::Exit), &[]);
    program
}
