//! One handler of the table with operands: what it should do, and whether it does.

use std::collections::HashMap;
use std::ops::Range;

use vm_translate::op::Effect;
use vm_translate::shape::{SetSymbol, Symbol};
use vm_translate::{Op, Ty};
use vm_trap::TrapCode;

use super::super::fixed::Fixed;
use super::super::operands::{LOOP_HEAD_SLOT, cell_bytes, has_target};
use super::super::{fixed_handler, shapes};
use super::shape::{RootTrees, Tree, address_registers, operators};
use super::values::{Corners, Kind, Random, payloads, result, same};
use super::world::*;
use crate::context::{FRAME_CALLER, FRAME_RETURN};

/// One shape with operands.
struct Case<'a> {
    world: &'a mut World,
    random: &'a mut Random,
    corners: &'a Corners,
    operands: Vec<u8>,
    next_slot: usize,
    /// Registers that addresses are computed from.
    addresses: Vec<Symbol>,
    /// Whether an unchecked access would be outside: such a case cannot be run.
    outside: bool,
    /// The memory that accesses so far have read or written.
    touched: Vec<Range<usize>>,
    /// How many branches there have been.
    branches: usize,
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
    /// Whether a branch has been taken: what follows it is not done.
    left: bool,
    /// What stores have written: where, and how it is compared.
    stored: Vec<(Range<usize>, Kind)>,
    /// Whether floating-point arithmetic had a NaN to work on that was not canonical.
    payloads: bool,
    /// The status, if it is not 0.
    trap: Option<u32>,
}

/// What a leaf's value is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Any,
    Address,
    /// The indices of a shuffle, of which validation allows only those below 32.
    Indices,
    /// A reference to the function of the world, or null.
    Reference,
}

/// A place that a root sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    Slot(usize),
    Int(u8),
    Float(u8),
    Vector(usize),
}

impl Case<'_> {
    fn put(&mut self, operand: u32) {
        self.operands.extend_from_slice(&operand.to_ne_bytes());
    }

    /// Chooses the operands of a tree and answers its value.
    fn tree(&mut self, tree: &Tree, used: Use) -> Result<u128, TrapCode> {
        match tree {
            Tree::Leaf(symbol, ty) => {
                let value = self.random.value(*ty, self.corners);
                let value = match used {
                    Use::Any if !self.addresses.contains(symbol) => value,
                    Use::Any | Use::Address => value % u128::from(ADDRESSES),
                    Use::Indices => value & u128::from_ne_bytes([31; 16]),
                    // No constant is a reference.
                    Use::Reference
                        if *symbol == Symbol::Slot || matches!(symbol, Symbol::Int(_)) =>
                    {
                        u128::from(self.world.reference()) * u128::from(self.random.below(2) > 0)
                    }
                    Use::Reference => 0,
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
                let values: Vec<_> = operands
                    .iter()
                    .enumerate()
                    .map(|(n, tree)| {
                        let used = match (op, used) {
                            (Op::I8x16Shuffle, _) if n == 2 => Use::Indices,
                            (Op::V128Const, Use::Indices) => Use::Indices,
                            (Op::I32Add, Use::Address) => Use::Address,
                            (Op::Select, Use::Address) if n < 2 => Use::Address,
                            _ if loads => Use::Address,
                            _ => Use::Any,
                        };
                        self.tree(tree, used)
                    })
                    .collect();
                let mut words = [0; 3];
                for (word, value) in words.iter_mut().zip(values) {
                    *word = value?;
                }
                self.expected.payloads |= payloads(*op, &words);
                match op.effect() {
                    Effect::Load { width, unchecked } => {
                        let Ok(address) = u32::try_from(words[0]) else {
                            // A choice of any 64 bits, which no translation takes for an address.
                            self.outside = true;
                            return Err(TrapCode::MemoryOutOfBounds);
                        };
                        let at = address as usize + immediate as usize;
                        let range = at..at + width as usize;
                        if range.end <= MEMORY {
                            if used == Use::Address && width == 4 {
                                self.put_address(range.clone());
                            }
                            self.touched.push(range);
                            return Ok(self.loaded(*op, at, width as usize));
                        }
                        self.outside |= unchecked;
                        Err(TrapCode::MemoryOutOfBounds)
                    }
                    Effect::Global if op.is_vector() => Ok(self.expected.global.1),
                    Effect::Global => Ok(u128::from(self.expected.global.1 as u64)),
                    _ => result(*op, words, immediate as usize),
                }
            }
        }
    }

    /// Leaves an address where one will be loaded from, unless the cell has been there before:
    /// by chance alone, a load from where another says would hardly ever be inside memory.
    fn put_address(&mut self, range: Range<usize>) {
        let apart = |other: &Range<usize>| other.end <= range.start || range.end <= other.start;
        if self.touched.iter().all(apart) {
            let address = self.random.below(ADDRESSES as usize) as u32;
            for memory in [&mut self.world.memory[..], &mut self.expected.memory[..]] {
                memory[range.clone()].copy_from_slice(&address.to_le_bytes());
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
            Symbol::Br | Symbol::BrIf | Symbol::BrUnless => self.branches += 1,
            Symbol::Call => {
                self.branches += 1;
                self.put(slot(CALLEE));
            }
            Symbol::Return(ints) => {
                self.put(slot(SAVED));
                for n in 0..usize::from(*ints) {
                    self.world.slots[SAVED + n] = self.random.next();
                }
            }
            Symbol::BrTable => self.put(2),
            Symbol::CallIndirect => {
                self.put(TABLE_AT);
                self.put(TYPE_ID);
                self.put(slot(CALLEE));
            }
            Symbol::CallRef => self.put(slot(CALLEE)),
            _ => {}
        }
        let mut values = Vec::new();
        for (n, tree) in trees.iter().enumerate() {
            let address = match root {
                Symbol::Store(_) => n == 0,
                Symbol::Set(SetSymbol::Int(n)) => self.addresses.contains(&Symbol::Int(*n)),
                _ => false,
            };
            let used = match root {
                Symbol::CallRef => Use::Reference,
                _ if address => Use::Address,
                _ => Use::Any,
            };
            match self.tree(tree, used) {
                Ok(value) => values.push(value),
                Err(code) => {
                    if !self.expected.left {
                        self.expected.trap.get_or_insert(code as u32);
                    }
                    values.push(0);
                }
            }
        }
        if self.expected.left || self.expected.trap.is_some() {
            return;
        }
        match *root {
            Symbol::Br => {
                self.expected.left = true;
                self.expected.mark = 1 + branch_mark(self.branches - 1) as u64;
                return;
            }
            Symbol::Loop => {
                self.expected.left = true;
                self.expected.mark = 1 + LOOP_MARK as u64;
                return;
            }
            // The callee returns at once.
            Symbol::Call => return,
            Symbol::Return(ints) => {
                for n in 0..ints {
                    let saved = self.world.slots[SAVED + usize::from(n)];
                    let place = Place::Int(n);
                    (self.expected.places).insert(place, (Kind::Bits64, saved.into()));
                }
                return;
            }
            _ => {}
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
                let stored = at..at + width;
                let kind = Kind::of(&trees[1]);
                // Bytes of a NaN, of which some are open, are not for another store to split.
                let apart = |(other, _): &(Range<usize>, Kind)| {
                    other.end <= stored.start || stored.end <= other.start
                };
                self.outside |= !self.expected.stored.iter().all(apart);
                self.touched.push(stored.clone());
                self.expected.stored.push((stored, kind));
            }
            Symbol::GlobalSet | Symbol::GlobalSetFloat | Symbol::GlobalSetVector => {
                self.expected.global = (kind, values[0]);
            }
            Symbol::BrIf | Symbol::BrUnless => {
                if truth == (*root == Symbol::BrIf) {
                    self.expected.left = true;
                    self.expected.mark = 1 + branch_mark(self.branches - 1) as u64;
                }
            }
            Symbol::LoopIf | Symbol::LoopUnless => {
                if truth == (*root == Symbol::LoopIf) {
                    self.expected.left = true;
                    self.expected.mark = 1 + LOOP_MARK as u64;
                }
            }
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
            Symbol::CallRef => {
                let is_null = values[0] == 0;
                self.expected.trap = is_null.then_some(TrapCode::NullReference as u32);
            }
            other => panic!("{other:?} is not tested"),
        }
    }
}

/// The mark that the branch with this number in a cell leads to: the first has its own, so that another
/// branch does not pass for it.
fn branch_mark(nth: usize) -> usize {
    1 + nth.min(1)
}

/// The mark that the head of the loop is.
const LOOP_MARK: usize = 3;

/// Runs handlers, each in the world that the one before has left.
pub(super) struct Tester {
    world: World,
    random: Random,
    corners: Corners,
}

impl Tester {
    pub(super) fn new() -> Tester {
        let mut world = World::new();
        let mut random = Random::new();
        world.memory.fill_with(|| random.next() as u8);
        Tester {
            world,
            random,
            corners: Corners::new(),
        }
    }

    /// Runs a shape with operands by chance, unless they lead outside of memory; answers whether.
    pub(super) fn check(&mut self, handler: u32, roots: &[RootTrees]) -> bool {
        let (world, random) = (&mut self.world, &mut self.random);
        world.slots.fill(0);
        world.slots[BEFORE..][..INT_REGISTERS + FLOAT_REGISTERS].fill(UNSET);
        // Half of the time it may be an address: stacks of compiled programs go down from a global.
        let global = match random.next() % 2 {
            0 => random.next() % MEMORY as u64,
            _ => random.next(),
        };
        *world.global = [global, random.next()];
        let expected = Expected {
            places: HashMap::new(),
            memory: world.memory.clone(),
            global: (Kind::Bits128, pair(*world.global)),
            mark: 0,
            left: false,
            stored: Vec::new(),
            payloads: false,
            trap: None,
        };
        let is_branch = |(root, _): &&RootTrees| has_target(*root);
        let branches = roots.iter().filter(is_branch).count();
        let mut case = Case {
            world,
            random,
            corners: &self.corners,
            // Targets stand first. They are filled in when the cell's size is known.
            operands: vec![0; 8 * branches],
            next_slot: OPERANDS,
            addresses: address_registers(roots),
            outside: false,
            touched: Vec::new(),
            branches: 0,
            expected,
        };
        for (n, root) in roots.iter().enumerate() {
            // A trap or a branch ends the cell; the operands of what follows it are still there.
            case.root(n, root);
        }
        // Which of two payloads a NaN gets is open, and an operator behind may tell them apart by
        // more than the payload. Cells of one operator are tested with them.
        let operators: usize = roots.iter().map(|(_, trees)| operators(trees)).sum();
        if case.outside || (case.expected.payloads && operators > 1) {
            return false;
        }
        let (mut operands, mut expected) = (case.operands, case.expected);
        let last = roots.last().expect("a shape has a root").0;

        // Registers before, the cell, registers after.
        let mut program = registers_before();
        let bytes = cell_bytes(operands.len() as u32);
        // Behind the cell stand four marks: each a constant to a slot, then all registers to theirs.
        let marks: Vec<Program> = (1..=4).map(mark).collect();
        let table_bytes = if last == Symbol::BrTable { 32 } else { 0 };
        let calls = matches!(last, Symbol::CallIndirect | Symbol::CallRef);
        let restore_bytes = if calls { 16 } else { 0 };
        let start = program.bytes.len();
        let target = |n: usize| {
            let before: usize = marks[..n].iter().map(|mark| mark.bytes.len()).sum();
            let cells = bytes + table_bytes + restore_bytes;
            (start + cells as usize + before) as u64
        };
        for (nth, operand) in operands.chunks_exact_mut(8).take(branches).enumerate() {
            if last == Symbol::Call && nth == branches - 1 {
                operand.copy_from_slice(&world.callee().to_ne_bytes());
                continue;
            }
            program.targets.push(start + 8 * (1 + nth));
            operand.copy_from_slice(&target(branch_mark(nth)).to_ne_bytes());
        }
        program.cell(shapes::address(handler), &operands);
        if last == Symbol::BrTable {
            for n in [1, 2, 0, 0] {
                program.targets.push(program.bytes.len());
                program.bytes.extend_from_slice(&target(n).to_ne_bytes());
            }
        }
        if calls {
            let frame = slot(CALLEE).to_ne_bytes();
            program.cell(fixed_handler(Fixed::Restore), &frame);
        }
        let (first, head) = (target(0) / 8, target(LOOP_MARK) / 8);
        for mark in marks {
            program.bytes.extend(mark.bytes);
        }
        let program = program.words();
        world.slots[LOOP_HEAD_SLOT as usize] = &raw const program[head as usize] as u64;
        // What returns goes on behind its cell, in the same frame.
        world.slots[FRAME_RETURN] = &raw const program[first as usize] as u64;
        world.slots[FRAME_CALLER] = world.slots.as_ptr() as u64;

        let before = world.slots.clone();
        let status = world.run(&program);
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
                same(ty, expected.payloads, got, value),
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
                    same(*ty, expected.payloads, got, *value),
                    "{place:?} is {got:#x}, not {value:#x}: {}",
                    what()
                );
            }
        }
        let (ty, global) = expected.global;
        let got = pair(*world.global);
        assert!(
            same(ty, expected.payloads, got, global),
            "global: {}",
            what()
        );
        assert_eq!(world.slots[MARK], expected.mark.max(1), "mark: {}", what());
        for (at, kind) in expected.stored {
            let bytes = |memory: &[u8]| {
                let mut bytes = [0; 16];
                bytes[..at.len()].copy_from_slice(&memory[at.clone()]);
                u128::from_le_bytes(bytes)
            };
            let (got, stored) = (bytes(&world.memory), bytes(&expected.memory));
            assert!(
                same(kind, expected.payloads, got, stored),
                "{got:#x} is stored, not {stored:#x}: {}",
                what()
            );
            expected.memory[at.clone()].copy_from_slice(&world.memory[at]);
        }
        assert!(world.memory == expected.memory, "memory: {}", what());
        true
    }
}
