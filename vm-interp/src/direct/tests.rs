//! Every handler of the shape table against the semantics of its operators.
//!
//! The keys of the table are decoded, so a new shape is tested by being in the table. Each runs
//! in a program of its own: registers are loaded from slots, the cell under test runs, registers
//! are stored back.

use std::collections::HashMap;
use std::sync::atomic::AtomicPtr;

use vm_translate::op::Effect;
use vm_translate::shape::{SetSymbol, ShapeKey, Symbol};
use vm_translate::{Op, StoreOp, Ty};
use vm_trap::TrapCode;

use super::fixed::{Fixed, PINNED_FLOATS, PINNED_INTS};
use super::operands::{cell_bytes, operand_bytes};
use super::{fixed_handler, handler, run, shapes};
use crate::context::{Context, FuncObject, Runtime, TableCell};
use crate::semantics;

/// Operand sets that each handler runs with.
const ROUNDS: usize = 4;

/// Values whose corners operators are known by.
const INTS: [u64; 24] = [
    0,
    1,
    2,
    7,
    31,
    32,
    33,
    63,
    64,
    65,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_ffff_fffe,
    0xffff_ffff_ffff_ffff,
];

const FLOATS: [f64; 22] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    1.5,
    2.5,
    -3.5,
    1e-310,
    f64::MIN_POSITIVE,
    f64::MAX,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
    2_147_483_647.0,
    -2_147_483_648.9,
    2_147_483_648.0,
    4_294_967_295.5,
    9_223_372_036_854_775_808.0,
    -9_223_372_036_854_775_808.0,
    1.844_674_407_370_955_2e19,
    -0.9,
];

/// Not a good source of randomness, but the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 33) as usize % limit
    }

    /// Bits of a value of the type: of a vector all of them, of anything else a slot's.
    fn value(&mut self, ty: Ty) -> u128 {
        if ty == Ty::V128 {
            // Lanes of one width, each with a corner of its own.
            let lane = [Ty::I32, Ty::I64, Ty::F32, Ty::F64][self.below(4)];
            return match lane {
                Ty::I64 | Ty::F64 => self.word(lane) as u128 | (self.word(lane) as u128) << 64,
                _ => (0..4).fold(0, |all, n| all | (self.word(lane) as u128) << (32 * n)),
            };
        }
        self.word(ty).into()
    }

    fn word(&mut self, ty: Ty) -> u64 {
        let edge = self.below(4) != 0;
        match ty {
            Ty::I32 if edge => u64::from(INTS[self.below(INTS.len())] as u32),
            Ty::I64 if edge => INTS[self.below(INTS.len())],
            Ty::F32 if edge => u64::from((FLOATS[self.below(FLOATS.len())] as f32).to_bits()),
            Ty::F64 if edge => FLOATS[self.below(FLOATS.len())].to_bits(),
            Ty::I32 | Ty::F32 => u64::from(self.next() as u32),
            Ty::I64 | Ty::F64 | Ty::V128 => self.next(),
        }
    }
}

#[derive(Debug)]
enum Tree {
    Leaf(Symbol, Ty),
    Op(Op, Vec<Tree>),
}

/// Reads a key back into its root and trees.
struct Reader {
    symbols: Vec<Symbol>,
    next: usize,
}

impl Reader {
    fn take(&mut self) -> Symbol {
        self.next += 1;
        self.symbols[self.next - 1]
    }

    fn tree(&mut self, ty: Ty) -> Tree {
        match self.take() {
            Symbol::Op(op) => Tree::Op(op, op.params().iter().map(|ty| self.tree(*ty)).collect()),
            leaf => Tree::Leaf(leaf, ty),
        }
    }
}

fn symbols_by_number() -> HashMap<u16, Symbol> {
    let mut all = vec![
        Symbol::Slot,
        Symbol::Const32,
        Symbol::Const64,
        Symbol::GlobalSet,
        Symbol::GlobalSetFloat,
        Symbol::GlobalSetVector,
        Symbol::Vector,
        Symbol::Set(SetSymbol::Vector),
        Symbol::BrIf,
        Symbol::BrUnless,
        Symbol::BrTable,
        Symbol::CallIndirect,
        Symbol::Return,
        Symbol::Set(SetSymbol::Slot),
    ];
    for n in 0..Symbol::MAX_REGISTERS {
        all.extend([
            Symbol::Int(n),
            Symbol::Float(n),
            Symbol::Set(SetSymbol::Int(n)),
            Symbol::Set(SetSymbol::Float(n)),
        ]);
    }
    all.extend(StoreOp::ALL.iter().copied().map(Symbol::Store));
    all.extend(Op::ALL.iter().copied().map(Symbol::Op));
    all.into_iter().map(|s| (s.number(), s)).collect()
}

const MEMORY: usize = 2048;
/// What the leaves of addresses are below, so that their sums are inside.
const ADDRESSES: u64 = 512;
const SLOTS: usize = 128;
/// Slots of the test program: registers before, registers after, operands, the result, marks.
const BEFORE: usize = 8;
const AFTER: usize = 32;
const OPERANDS: usize = 56;
const RESULT: usize = 70;
const MARK: usize = 78;
const CALLEE: usize = 80;

const INT_REGISTERS: usize = PINNED_INTS as usize + 1;
const FLOAT_REGISTERS: usize = PINNED_FLOATS as usize + 1;

/// What guest code can see, laid out as executors expect it.
struct World {
    slots: Vec<u64>,
    memory: Vec<u8>,
    global: Box<[u64; 2]>,
    /// The context and the words behind it: a global, a table.
    context: Vec<u64>,
    _runtime: Box<Runtime>,
    _table: Box<(TableCell, [u64; 2])>,
    _function: Box<(FuncObject, [u64; 2])>,
}

const GLOBAL_AT: u32 = size_of::<Context>() as u32;
const TABLE_AT: u32 = GLOBAL_AT + 8;
const TYPE_ID: u32 = 77;

impl World {
    fn new() -> World {
        let mut memory = vec![0; MEMORY];
        let mut global = Box::new([0; 2]);
        let mut runtime = Box::new(Runtime {
            exit_ip: std::ptr::null(),
            exit_frame: std::ptr::null_mut(),
            exit_context: std::ptr::null_mut(),
            machine: std::ptr::null_mut(),
            regions: std::ptr::null_mut(),
        });
        let mut context = vec![0u64; size_of::<Context>() / 8 + 2];
        let head = Context {
            memory_base: memory.as_mut_ptr(),
            memory_len: MEMORY as u64,
            stack_limit: std::ptr::null_mut(),
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
        // SAFETY: the vector has room for a context and two words.
        unsafe { context.as_mut_ptr().cast::<Context>().write(head) };
        context[GLOBAL_AT as usize / 8] = &raw mut *global as u64;
        context[TABLE_AT as usize / 8] = &raw const table.0 as u64;
        World {
            slots: vec![0; SLOTS],
            memory,
            global,
            context,
            _runtime: runtime,
            _table: table,
            _function: function,
        }
    }

    /// Runs cells to their exit; answers the status.
    fn run(&mut self, cells: &[u64]) -> u32 {
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
            )
        }
    }
}

/// Cells being written.
#[derive(Default)]
struct Program(Vec<u8>);

impl Program {
    fn cell(&mut self, handler: u64, operands: &[u8]) {
        let start = self.0.len();
        self.0.extend_from_slice(&handler.to_ne_bytes());
        self.0.extend_from_slice(operands);
        let bytes = cell_bytes(operands.len() as u32) as usize;
        self.0.resize(start + bytes, 0);
    }

    fn set(&mut self, to: Symbol, from: Symbol, operand: u32) {
        let key = ShapeKey::new().with(to).and_then(|key| key.with(from));
        let number = key.and_then(shapes::find).expect("moves are always there");
        self.cell(handler(number.handler), &operand.to_ne_bytes());
    }

    fn words(self) -> Vec<u64> {
        let words = self.0.chunks_exact(8);
        words
            .map(|word| u64::from_ne_bytes(word.try_into().expect("eight bytes")))
            .collect()
    }
}

fn slot(n: usize) -> u32 {
    8 * n as u32
}

/// One shape with operands.
struct Case<'a> {
    world: &'a mut World,
    random: &'a mut Random,
    operands: Vec<u8>,
    next_slot: usize,
    /// Registers that addresses are computed from.
    addresses: Vec<Symbol>,
    /// Whether an unchecked access would be outside: such a case cannot be run.
    outside: bool,
    /// What the roots so far have done.
    expected: Expected,
}

/// What the world looks like after the roots of a shape.
struct Expected {
    /// The places that were set, each with its type and value.
    places: HashMap<Place, (Kind, u128)>,
    memory: Vec<u8>,
    global: (Kind, u128),
    /// The number of the mark that a branch leads to.
    mark: u64,
    /// The status, if it is not 0.
    trap: Option<u32>,
}

/// A place that a root sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    Slot(usize),
    Int(u8),
    Float(u8),
    Vector(usize),
}

/// How values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Bit by bit.
    Bits64,
    Bits128,
    /// Float by float: one NaN is as good as another.
    F32,
    F64,
    F32x4,
    F64x2,
}

impl Kind {
    fn of(tree: &Tree) -> Kind {
        let (ty, name) = match tree {
            Tree::Leaf(_, ty) => (*ty, ""),
            Tree::Op(op, _) => (op.result(), op.name()),
        };
        match ty {
            Ty::I32 | Ty::I64 => Kind::Bits64,
            Ty::F32 => Kind::F32,
            Ty::F64 => Kind::F64,
            Ty::V128 if name.starts_with("f32x4") => Kind::F32x4,
            Ty::V128 if name.starts_with("f64x2") => Kind::F64x2,
            Ty::V128 => Kind::Bits128,
        }
    }
}

impl Case<'_> {
    fn put(&mut self, operand: u32) {
        self.operands.extend_from_slice(&operand.to_ne_bytes());
    }

    /// Chooses the operands of a tree and answers its value.
    fn tree(&mut self, tree: &Tree, address: bool) -> Result<u128, TrapCode> {
        match tree {
            Tree::Leaf(symbol, ty) => {
                let value = self.random.value(*ty);
                let address = address || self.addresses.contains(symbol);
                let value = if address {
                    value % u128::from(ADDRESSES)
                } else {
                    value
                };
                Ok(self.leaf(*symbol, *ty, value))
            }
            Tree::Op(op, operands) => {
                let immediate = match op.effect() {
                    Effect::Load { .. } => {
                        let offset = self.random.below(64) as u32;
                        self.put(offset);
                        offset
                    }
                    Effect::Global => {
                        self.put(GLOBAL_AT);
                        0
                    }
                    _ if op.has_lane() => {
                        // Every shape has as many lanes as its name says.
                        let shape = op.name().split('.').next().unwrap_or("");
                        let lanes = shape.split('x').nth(1).and_then(|n| n.parse().ok());
                        let lane = self.random.below(lanes.expect("a number of lanes")) as u32;
                        self.put(lane);
                        lane
                    }
                    _ => 0,
                };
                let loads = matches!(op.effect(), Effect::Load { .. });
                // What is added to an address is one too; what is loaded from one is not.
                let address = loads || (address && *op == Op::I32Add);
                let values: Vec<_> = operands
                    .iter()
                    .map(|tree| self.tree(tree, address))
                    .collect();
                let mut words = [0; 3];
                for (word, value) in words.iter_mut().zip(values) {
                    *word = value?;
                }
                match op.effect() {
                    Effect::Load { width, unchecked } => {
                        let at = words[0] as usize + immediate as usize;
                        if at + width as usize <= MEMORY {
                            return Ok(self.loaded(*op, at, width as usize));
                        }
                        self.outside |= unchecked;
                        Err(TrapCode::MemoryOutOfBounds)
                    }
                    Effect::Global if op.is_vector() => Ok(self.expected.global.1),
                    Effect::Global => Ok(u128::from(self.expected.global.1 as u64)),
                    _ => match semantics::vectors::eval(*op, words, immediate as usize) {
                        Some(vector) => Ok(vector),
                        None => {
                            let [a, b, c] = words.map(|word| word as u64);
                            semantics::eval(*op, a, b, c).map(u128::from)
                        }
                    },
                }
            }
        }
    }

    fn loaded(&self, op: Op, at: usize, width: usize) -> u128 {
        let mut bytes = [0; 16];
        bytes[..width].copy_from_slice(&self.expected.memory[at..][..width]);
        let value = u128::from_le_bytes(bytes);
        if op.name().trim_end_matches(".unchecked").ends_with("_s") {
            let shift = 64 - 8 * width as u32;
            let signed = (((value as u64) << shift) as i64 >> shift) as u64;
            return match op.result() {
                Ty::I32 => u128::from(signed as u32),
                _ => signed.into(),
            };
        }
        value
    }

    /// Puts a value where the leaf reads it. A register that an earlier leaf has filled keeps
    /// its value: answers what will be read.
    fn leaf(&mut self, symbol: Symbol, ty: Ty, value: u128) -> u128 {
        match symbol {
            Symbol::Slot => {
                self.put(slot(self.next_slot));
                self.world.slots[self.next_slot] = value as u64;
                self.next_slot += 1;
                value
            }
            Symbol::Vector => {
                self.put(slot(self.next_slot));
                self.world.slots[self.next_slot] = value as u64;
                self.world.slots[self.next_slot + 1] = (value >> 64) as u64;
                self.next_slot += 2;
                value
            }
            Symbol::Const32 => {
                self.put(value as u32);
                match ty {
                    Ty::I64 => (value as u32 as i32 as i64 as u64).into(),
                    _ => (value as u32).into(),
                }
            }
            Symbol::Const64 => {
                self.operands
                    .extend_from_slice(&(value as u64).to_ne_bytes());
                value
            }
            Symbol::Int(_) | Symbol::Float(_) => {
                let place = match symbol {
                    Symbol::Int(n) => Place::Int(n),
                    Symbol::Float(n) => Place::Float(n),
                    _ => unreachable!(),
                };
                if let Some((_, value)) = self.expected.places.get(&place) {
                    return *value;
                }
                let at = BEFORE
                    + match symbol {
                        Symbol::Int(n) => usize::from(n),
                        Symbol::Float(n) => INT_REGISTERS + usize::from(n),
                        _ => unreachable!(),
                    };
                // Not chosen yet: registers start with this mark.
                if self.world.slots[at] == UNSET {
                    self.world.slots[at] = value as u64;
                }
                self.world.slots[at].into()
            }
            other => panic!("{other:?} is not a leaf"),
        }
    }
}

/// What registers hold that the shape does not read: no operand chosen here is the same.
const UNSET: u64 = 0x0000_0000_0bad_5eed;

fn same(kind: Kind, a: u128, b: u128) -> bool {
    let narrow = |n: u32| {
        let (a, b) = ((a >> (32 * n)) as u32, (b >> (32 * n)) as u32);
        a == b || (f32::from_bits(a).is_nan() && f32::from_bits(b).is_nan())
    };
    let wide = |n: u32| {
        let (a, b) = ((a >> (64 * n)) as u64, (b >> (64 * n)) as u64);
        a == b || (f64::from_bits(a).is_nan() && f64::from_bits(b).is_nan())
    };
    match kind {
        Kind::Bits64 => a as u64 == b as u64,
        Kind::Bits128 => a == b,
        Kind::F32 => narrow(0),
        Kind::F64 => wide(0),
        Kind::F32x4 => (0..4).all(narrow),
        Kind::F64x2 => (0..2).all(wide),
    }
}

/// A root and its trees.
type RootTrees = (Symbol, Vec<Tree>);

fn is_root(symbol: Symbol) -> bool {
    !matches!(
        symbol,
        Symbol::Slot
            | Symbol::Const32
            | Symbol::Const64
            | Symbol::Int(_)
            | Symbol::Float(_)
            | Symbol::Vector
            | Symbol::Op(_)
    )
}

#[test]
fn every_handler_agrees_with_the_semantics() {
    let names = symbols_by_number();
    let mut world = World::new();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    world.memory.fill_with(|| random.next() as u8);
    let mut tested = 0;
    for (n, key) in shapes::keys() {
        let bits = key.bits();
        let symbols = (0..key.symbols())
            .map(|n| names[&((bits >> (10 * n)) as u16 & 1023)])
            .collect();
        let mut reader = Reader { symbols, next: 0 };
        let mut roots: Vec<RootTrees> = Vec::new();
        while reader.next < reader.symbols.len() {
            let root = reader.take();
            assert!(is_root(root), "{root:?} in {:?}", reader.symbols);
            let types = match root {
                Symbol::Set(SetSymbol::Float(_)) | Symbol::GlobalSetFloat => vec![Ty::F64],
                Symbol::Set(SetSymbol::Vector) | Symbol::GlobalSetVector => vec![Ty::V128],
                Symbol::Set(_) | Symbol::GlobalSet => vec![Ty::I64],
                Symbol::Store(op) => vec![Ty::I32, op.value()],
                _ => vec![Ty::I32],
            };
            let trees = types.iter().map(|ty| reader.tree(*ty)).collect();
            roots.push((root, trees));
        }
        let run = (0..100 * ROUNDS)
            .filter(|_| check(&mut world, &mut random, n, &roots))
            .take(ROUNDS);
        assert_eq!(run.count(), ROUNDS, "{roots:?} is never inside memory");
        tested += 1;
    }
    assert_eq!(tested + super::FIXED, super::HANDLERS);
}

impl Case<'_> {
    /// Chooses the operands of a root and does what it should do.
    fn root(&mut self, n: usize, (root, trees): &RootTrees) {
        let mut offset = 0;
        match root {
            Symbol::Set(SetSymbol::Slot | SetSymbol::Vector) => self.put(slot(RESULT + 2 * n)),
            Symbol::Store(_) => {
                offset = self.random.below(64);
                self.put(offset as u32);
            }
            Symbol::GlobalSet | Symbol::GlobalSetFloat | Symbol::GlobalSetVector => {
                self.put(GLOBAL_AT);
            }
            // The target is filled in when the cell's size is known.
            Symbol::BrIf | Symbol::BrUnless => self.put(0),
            Symbol::BrTable => self.put(2),
            Symbol::CallIndirect => {
                self.put(TABLE_AT);
                self.put(TYPE_ID);
                self.put(slot(CALLEE));
            }
            _ => {}
        }
        let mut values = Vec::new();
        for (n, tree) in trees.iter().enumerate() {
            let address = match root {
                Symbol::Store(_) => n == 0,
                Symbol::Set(SetSymbol::Int(n)) => self.addresses.contains(&Symbol::Int(*n)),
                _ => false,
            };
            match self.tree(tree, address) {
                Ok(value) => values.push(value),
                Err(code) => {
                    self.expected.trap.get_or_insert(code as u32);
                    values.push(0);
                }
            }
        }
        if self.expected.trap.is_some() {
            return;
        }
        let kind = Kind::of(&trees[0]);
        let truth = values[0] as u32 != 0;
        match *root {
            Symbol::Set(place) => {
                let place = match place {
                    SetSymbol::Slot => Place::Slot(RESULT + 2 * n),
                    SetSymbol::Vector => Place::Vector(RESULT + 2 * n),
                    SetSymbol::Int(n) => Place::Int(n),
                    SetSymbol::Float(n) => Place::Float(n),
                };
                self.expected.places.insert(place, (kind, values[0]));
            }
            Symbol::Store(op) => {
                let width = op.width() as usize;
                let at = values[0] as usize + offset;
                if at + width > MEMORY {
                    self.outside |= op.unchecked();
                    self.expected.trap = Some(TrapCode::MemoryOutOfBounds as u32);
                    return;
                }
                self.expected.memory[at..][..width]
                    .copy_from_slice(&values[1].to_le_bytes()[..width]);
            }
            Symbol::GlobalSet | Symbol::GlobalSetFloat | Symbol::GlobalSetVector => {
                self.expected.global = (kind, values[0]);
            }
            Symbol::BrIf => self.expected.mark = 1 + u64::from(truth),
            Symbol::BrUnless => self.expected.mark = 1 + u64::from(!truth),
            Symbol::BrTable => {
                self.expected.mark = match values[0] as u32 {
                    0 => 2,
                    1 => 3,
                    _ => 1,
                };
            }
            Symbol::CallIndirect => {
                self.expected.trap = match values[0] {
                    0 => None,
                    1 => Some(TrapCode::UninitializedElement as u32),
                    _ => Some(TrapCode::UndefinedElement as u32),
                };
            }
            other => panic!("{other:?} is not tested"),
        }
    }
}

/// Runs a shape with operands by chance, unless they lead outside of memory; answers whether.
fn check(world: &mut World, random: &mut Random, number: usize, roots: &[RootTrees]) -> bool {
    world.slots.fill(0);
    world.slots[BEFORE..][..INT_REGISTERS + FLOAT_REGISTERS].fill(UNSET);
    *world.global = [random.next(), random.next()];
    let expected = Expected {
        places: HashMap::new(),
        memory: world.memory.clone(),
        global: (Kind::Bits128, pair(*world.global)),
        mark: 0,
        trap: None,
    };
    let mut case = Case {
        world,
        random,
        operands: Vec::new(),
        next_slot: OPERANDS,
        addresses: address_registers(roots),
        outside: false,
        expected,
    };
    for (n, root) in roots.iter().enumerate() {
        // A trap ends the cell; the operands of what follows it are still there.
        case.root(n, root);
    }
    if case.outside {
        return false;
    }
    let (mut operands, expected) = (case.operands, case.expected);
    let last = roots.last().expect("a shape has a root").0;

    // Registers before, the cell, registers after.
    let mut program = Program::default();
    for n in 0..INT_REGISTERS {
        let to = Symbol::Set(SetSymbol::Int(n as u8));
        program.set(to, Symbol::Slot, slot(BEFORE + n));
    }
    for n in 0..FLOAT_REGISTERS {
        let to = Symbol::Set(SetSymbol::Float(n as u8));
        program.set(to, Symbol::Slot, slot(BEFORE + INT_REGISTERS + n));
    }
    let bytes = cell_bytes(operands.len() as u32);
    // Behind the cell stand three marks: each a constant to a slot, then all registers to theirs.
    let marks: Vec<Program> = (1..=3).map(mark).collect();
    let table_bytes = if last == Symbol::BrTable { 16 } else { 0 };
    let restore_bytes = if last == Symbol::CallIndirect { 16 } else { 0 };
    let target = |n: usize| {
        let before: usize = marks[..n].iter().map(|mark| mark.0.len()).sum();
        bytes + table_bytes + restore_bytes + before as u32
    };
    if matches!(last, Symbol::BrIf | Symbol::BrUnless) {
        // The last root's own operand stands behind those of the roots before.
        let at: u32 = roots[..roots.len() - 1].iter().map(root_bytes).sum();
        operands[at as usize..][..4].copy_from_slice(&target(1).to_ne_bytes());
    }
    program.cell(handler(number), &operands);
    if last == Symbol::BrTable {
        for n in [1, 2, 0, 0] {
            program.0.extend_from_slice(&target(n).to_ne_bytes());
        }
    }
    if last == Symbol::CallIndirect {
        let frame = slot(CALLEE).to_ne_bytes();
        program.cell(fixed_handler(Fixed::Restore), &frame);
    }
    for mark in marks {
        program.0.extend(mark.0);
    }

    let before = world.slots.clone();
    let status = world.run(&program.words());
    let what = || format!("{roots:?} from {:x?}", &before[BEFORE..RESULT]);
    assert_eq!(status, expected.trap.unwrap_or(0), "{}", what());
    if status != 0 {
        return true;
    }
    for n in 0..INT_REGISTERS + FLOAT_REGISTERS {
        let place = match n.checked_sub(INT_REGISTERS) {
            None => Place::Int(n as u8),
            Some(n) => Place::Float(n as u8),
        };
        let (ty, value) = match expected.places.get(&place) {
            Some(set) => *set,
            None => (Kind::Bits64, world.slots[BEFORE + n].into()),
        };
        let got = world.slots[AFTER + n].into();
        assert!(
            same(ty, got, value),
            "{place:?} is {got:#x}, not {value:#x}: {}",
            what()
        );
    }
    for (place, (ty, value)) in &expected.places {
        let got = match *place {
            Place::Slot(n) => Some(world.slots[n].into()),
            Place::Vector(n) => Some(pair([world.slots[n], world.slots[n + 1]])),
            Place::Int(_) | Place::Float(_) => None,
        };
        if let Some(got) = got {
            assert!(
                same(*ty, got, *value),
                "{place:?} is {got:#x}, not {value:#x}: {}",
                what()
            );
        }
    }
    let (ty, global) = expected.global;
    let got = pair(*world.global);
    assert!(same(ty, got, global), "global: {}", what());
    assert_eq!(world.slots[MARK], expected.mark.max(1), "mark: {}", what());
    assert!(world.memory == expected.memory, "memory: {}", what());
    true
}

/// The registers among the leaves of the addresses of a shape.
fn address_registers(roots: &[RootTrees]) -> Vec<Symbol> {
    fn walk(tree: &Tree, address: bool, found: &mut Vec<Symbol>) {
        match tree {
            Tree::Leaf(symbol @ Symbol::Int(_), _) if address => found.push(*symbol),
            Tree::Leaf(..) => {}
            Tree::Op(op, operands) => {
                let address = address || matches!(op.effect(), Effect::Load { .. });
                operands.iter().for_each(|tree| walk(tree, address, found));
            }
        }
    }
    let mut found = Vec::new();
    for (root, trees) in roots {
        for (n, tree) in trees.iter().enumerate() {
            let address = matches!(root, Symbol::Store(_)) && n == 0;
            walk(tree, address, &mut found);
        }
    }
    found
}

fn pair([low, high]: [u64; 2]) -> u128 {
    u128::from(low) | u128::from(high) << 64
}

/// Cells that set the mark and leave with all registers stored.
fn mark(number: u32) -> Program {
    let mut program = Program::default();
    let key = ShapeKey::new()
        .with(Symbol::Set(SetSymbol::Slot))
        .and_then(|key| key.with(Symbol::Const32));
    let constant = key.and_then(shapes::find).expect("moves are always there");
    let operands = [slot(MARK).to_ne_bytes(), number.to_ne_bytes()].concat();
    program.cell(handler(constant.handler), &operands);
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

/// Bytes of a root's operands and those of its trees.
fn root_bytes((root, trees): &RootTrees) -> u32 {
    fn tree_bytes(tree: &Tree) -> u32 {
        match tree {
            Tree::Leaf(symbol, _) => operand_bytes(*symbol),
            Tree::Op(op, operands) => {
                operand_bytes(Symbol::Op(*op)) + operands.iter().map(tree_bytes).sum::<u32>()
            }
        }
    }
    operand_bytes(*root) + trees.iter().map(tree_bytes).sum::<u32>()
}

#[test]
fn the_generator_knows_the_numbers_of_trap_codes() {
    // `build/main.rs` cannot depend on vm-trap's enum by name without building it twice.
    let codes = [
        (TrapCode::Unreachable, 1),
        (TrapCode::MemoryOutOfBounds, 2),
        (TrapCode::UndefinedElement, 4),
        (TrapCode::UninitializedElement, 5),
        (TrapCode::IndirectCallTypeMismatch, 6),
        (TrapCode::IntegerDivideByZero, 7),
        (TrapCode::IntegerOverflow, 8),
        (TrapCode::InvalidConversionToInteger, 9),
        (TrapCode::StackOverflow, 10),
    ];
    for (code, number) in codes {
        assert_eq!(code as u32, number);
    }
}
