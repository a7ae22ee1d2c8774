//! Shapes: what an executor can do in one step.
//!
//! A shape is an instruction without its immediates: the root, the operators and the kinds of
//! the leaves. Translation asks the executor's [`Shapes`] before it builds a tree, so it never
//! makes an instruction that the executor has no handler for.

mod cells;
pub mod table;

use std::fmt;

#[cfg(doc)]
use crate::ir::Inst;
use crate::ir::{Node, Place, Root};
use crate::op::{Effect, Op, StoreOp, Ty};

pub use cells::{Cells, Found, Next, Traps, traps};

/// The registers that an executor offers.
///
/// Of each kind the first `pinned` hold locals for a whole function and are preserved by calls;
/// the `temps` numbered after them hold values between instructions, and no longer than to the
/// next label or call. What a function does not need for locals may be temporary in it, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registers {
    /// Integer registers for locals.
    pub pinned_ints: u8,
    /// Integer registers for values between instructions.
    pub temp_ints: u8,
    /// Float registers for locals.
    pub pinned_floats: u8,
    /// Float registers for values between instructions.
    pub temp_floats: u8,
}

impl Registers {
    /// No registers: everything lives in slots.
    pub const NONE: Registers = Registers {
        pinned_ints: 0,
        temp_ints: 0,
        pinned_floats: 0,
        temp_floats: 0,
    };
}

/// The shapes that an executor offers.
///
/// # What must be there
///
/// Translation falls back from what is missing to smaller shapes: it computes subtrees into
/// temporaries, and moves leaves into slots. It ends because these are always there:
///
/// - a set of any place from any place of its kind or slot, and from any constant;
/// - a set of a slot from every operator over slots, and of two slots from every operator over
///   slots whose value is a vector;
/// - every store of slots, vectors included; a global's set from a slot;
/// - a branch (both senses), a branch table and an indirect call on a slot.
pub trait Shapes {
    /// Whether the shape is there.
    fn contains(&self, key: ShapeKey) -> bool;

    /// What there is for the shape, if it is there. Instructions keep it, see [`Inst::found`].
    fn find(&self, key: ShapeKey) -> Option<Found> {
        self.contains(key).then_some(Found::UNKNOWN)
    }

    /// Whether the tree stands in some shape: whether it is worth keeping pending. Its key has no
    /// root. It does no harm, but to speed, if a tree that is in none now and then seems to be.
    fn grows(&self, tree: ShapeKey) -> bool;

    /// The registers that shapes may name.
    fn registers(&self) -> Registers;

    /// Whether the executor keeps in a frame's header where the innermost loop begins, so that
    /// branches back to it need not say where they lead: then functions have [`Root::EnterLoop`]
    /// and the branches that go with it.
    fn keeps_heads(&self) -> bool {
        false
    }

    /// Whether accesses with 64-bit addresses to a memory that has 4 GiB at most are better done as those with 32-bit addresses, with an
    /// [`Op::I32WrapAddress`] before: with the shapes of these, and with the guard if they are unchecked.
    fn wraps_addresses(&self) -> bool {
        false
    }

    /// From how many values in adjacent slots on one [`Root::Copy`] is better than a [`Root::Set`] each; half as many
    /// where a branch takes them to another height.
    fn least_copy(&self) -> usize {
        LEAST_COPY
    }
}

/// What [`Shapes::least_copy`] usually is: about as many sets take as long as the loop of a copy. There is little code
/// for a branch with fewer values, and the code that compilers make has hardly any with as many.
pub(crate) const LEAST_COPY: usize = 8;

impl<S: Shapes + ?Sized> Shapes for &S {
    fn contains(&self, key: ShapeKey) -> bool {
        (**self).contains(key)
    }

    fn find(&self, key: ShapeKey) -> Option<Found> {
        (**self).find(key)
    }

    fn grows(&self, tree: ShapeKey) -> bool {
        (**self).grows(tree)
    }

    fn registers(&self) -> Registers {
        (**self).registers()
    }

    fn keeps_heads(&self) -> bool {
        (**self).keeps_heads()
    }

    fn wraps_addresses(&self) -> bool {
        (**self).wraps_addresses()
    }

    fn least_copy(&self) -> usize {
        (**self).least_copy()
    }
}

/// One element of a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Symbol {
    /// A leaf in a slot.
    Slot,
    /// A constant in 32 bits, sign-extended where 64 are wanted.
    Const32,
    /// A constant in 64 bits.
    Const64,
    /// A leaf in an integer register.
    Int(u8),
    /// A leaf in a float register.
    Float(u8),
    /// A vector in two slots.
    Vector,
    /// An operator.
    Op(Op),
    /// A root that sets a place.
    Set(SetSymbol),
    /// A root that stores.
    Store(StoreOp),
    /// A root that sets a global of the integer kind.
    GlobalSet,
    /// A root that sets a global of the float kind.
    GlobalSetFloat,
    /// A root that sets a global that holds a vector.
    GlobalSetVector,
    /// A root that branches on a value other than zero.
    BrIf,
    /// A root that branches on zero.
    BrUnless,
    /// A root that branches on a value other than zero to where its loop begins.
    LoopIf,
    /// A root that branches on zero to where its loop begins.
    LoopUnless,
    /// A root that branches by a table.
    BrTable,
    /// A root that calls through a table.
    CallIndirect,
    /// A root that calls by a reference.
    CallRef,
    /// A root that branches always.
    Br,
    /// A root that goes back always to where its loop begins.
    Loop,
    /// A root that calls a function of the module.
    Call,
    /// A root that returns, and takes so many integer registers of the caller's back and no others.
    Return(u8),
}

/// The place that a [`Symbol::Set`] sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SetSymbol {
    /// Any slot.
    Slot,
    /// An integer register.
    Int(u8),
    /// A float register.
    Float(u8),
    /// Any two slots, for a vector.
    Vector,
}

impl SetSymbol {
    /// That of a place.
    #[inline]
    pub(crate) const fn of(place: Place) -> SetSymbol {
        match place {
            Place::Slot(_) => SetSymbol::Slot,
            Place::Int(n) => SetSymbol::Int(n),
            Place::Float(n) => SetSymbol::Float(n),
            Place::Vector(_) => SetSymbol::Vector,
        }
    }
}

impl Symbol {
    /// Registers of a kind that symbols can tell apart.
    pub const MAX_REGISTERS: u8 = 16;

    /// The number of the first return's symbol. Those of returns end at [`Self::FIRST_STORE`].
    const FIRST_RETURN: u16 = 86;

    /// The number of the first store's symbol. Those of stores end at [`Self::FIRST_OPERATOR`].
    const FIRST_STORE: u16 = 96;

    /// The number of the first operator's symbol. No other symbol's is greater.
    const FIRST_OPERATOR: u16 = 160;

    /// The symbol's number: not zero, below 1024.
    #[inline]
    pub const fn number(self) -> u16 {
        match self {
            Symbol::Slot => 1,
            Symbol::Const32 => 2,
            Symbol::Const64 => 3,
            Symbol::GlobalSet => 4,
            Symbol::GlobalSetFloat => 5,
            Symbol::BrIf => 6,
            Symbol::BrUnless => 7,
            Symbol::BrTable => 8,
            Symbol::CallIndirect => 9,
            Symbol::Set(SetSymbol::Slot) => 11,
            Symbol::Set(SetSymbol::Vector) => 12,
            Symbol::Vector => 13,
            Symbol::GlobalSetVector => 14,
            Symbol::LoopIf => 80,
            Symbol::LoopUnless => 81,
            Symbol::CallRef => 82,
            Symbol::Loop => 83,
            Symbol::Call => 84,
            Symbol::Br => 85,
            Symbol::Return(ints) => Self::FIRST_RETURN + ints as u16,
            Symbol::Int(n) => 16 + n as u16,
            Symbol::Float(n) => 32 + n as u16,
            Symbol::Set(SetSymbol::Int(n)) => 48 + n as u16,
            Symbol::Set(SetSymbol::Float(n)) => 64 + n as u16,
            Symbol::Store(op) => Self::FIRST_STORE + op as u16,
            Symbol::Op(op) => Self::FIRST_OPERATOR + op as u16,
        }
    }

    /// The number of the symbol of a leaf that is a place. No branch depends on which it is: that would
    /// be hard to foresee, and translation asks for most instructions.
    #[inline]
    pub(crate) const fn place_number(place: Place) -> u16 {
        let first = match place {
            Place::Slot(_) => Symbol::Slot.number(),
            Place::Int(_) => Symbol::Int(0).number(),
            Place::Float(_) => Symbol::Float(0).number(),
            Place::Vector(_) => Symbol::Vector.number(),
        };
        first + Symbol::register(place)
    }

    /// The same of the symbol of a root that sets a place.
    #[inline]
    pub(crate) const fn set_number(place: Place) -> u16 {
        let first = match place {
            Place::Slot(_) => Symbol::Set(SetSymbol::Slot).number(),
            Place::Int(_) => Symbol::Set(SetSymbol::Int(0)).number(),
            Place::Float(_) => Symbol::Set(SetSymbol::Float(0)).number(),
            Place::Vector(_) => Symbol::Set(SetSymbol::Vector).number(),
        };
        first + Symbol::register(place)
    }

    /// Which register a place is. 0 if it is none.
    #[inline]
    const fn register(place: Place) -> u16 {
        match place {
            Place::Int(n) | Place::Float(n) => n as u16,
            Place::Slot(_) | Place::Vector(_) => 0,
        }
    }

    /// The number of a root's symbol, see [`Symbol::root`].
    #[inline(always)]
    pub fn root_number(root: &Root) -> Option<u16> {
        match root {
            Root::Set(place) => Some(Symbol::set_number(*place)),
            root => Symbol::root(root).map(Symbol::number),
        }
    }

    /// The symbol with this number, if there is one.
    #[inline]
    pub fn from_number(number: u16) -> Option<Symbol> {
        let register = |first: u16| (number - first) as u8;
        Some(match number {
            1 => Symbol::Slot,
            2 => Symbol::Const32,
            3 => Symbol::Const64,
            4 => Symbol::GlobalSet,
            5 => Symbol::GlobalSetFloat,
            6 => Symbol::BrIf,
            7 => Symbol::BrUnless,
            8 => Symbol::BrTable,
            9 => Symbol::CallIndirect,
            11 => Symbol::Set(SetSymbol::Slot),
            12 => Symbol::Set(SetSymbol::Vector),
            13 => Symbol::Vector,
            14 => Symbol::GlobalSetVector,
            16..32 => Symbol::Int(register(16)),
            32..48 => Symbol::Float(register(32)),
            48..64 => Symbol::Set(SetSymbol::Int(register(48))),
            64..80 => Symbol::Set(SetSymbol::Float(register(64))),
            80 => Symbol::LoopIf,
            81 => Symbol::LoopUnless,
            82 => Symbol::CallRef,
            83 => Symbol::Loop,
            84 => Symbol::Call,
            85 => Symbol::Br,
            Self::FIRST_RETURN..Self::FIRST_STORE => Symbol::Return(register(Self::FIRST_RETURN)),
            Self::FIRST_STORE..Self::FIRST_OPERATOR => {
                Symbol::Store(*StoreOp::ALL.get(usize::from(number - Self::FIRST_STORE))?)
            }
            Self::FIRST_OPERATOR.. => Symbol::Op(Op::from_number(number - Self::FIRST_OPERATOR)?),
            _ => return None,
        })
    }

    /// Whether it is a root that branches on a condition, and else goes on with the next one.
    pub const fn is_conditional(self) -> bool {
        matches!(
            self,
            Symbol::BrIf | Symbol::BrUnless | Symbol::LoopIf | Symbol::LoopUnless
        )
    }

    /// Whether it is a root that goes on elsewhere, whatever it finds: none can follow it in a cell. A call is one, as its callee
    /// returns behind the cell.
    pub const fn ends_cell(self) -> bool {
        matches!(
            self,
            Symbol::BrTable
                | Symbol::CallIndirect
                | Symbol::CallRef
                | Symbol::Br
                | Symbol::Loop
                | Symbol::Call
                | Symbol::Return(_)
        )
    }

    /// That of a root which returns and takes so many integer registers back.
    pub const fn returning(ints: u8) -> Option<Symbol> {
        match (ints as u16) < Self::FIRST_STORE - Self::FIRST_RETURN {
            true => Some(Symbol::Return(ints)),
            false => None,
        }
    }

    /// How many trees it takes if it is a root.
    pub fn root_operands(self) -> Option<usize> {
        Some(match self {
            Symbol::Store(_) => 2,
            Symbol::Br | Symbol::Loop | Symbol::Call | Symbol::Return(_) => 0,
            Symbol::Set(_)
            | Symbol::GlobalSet
            | Symbol::GlobalSetFloat
            | Symbol::GlobalSetVector
            | Symbol::BrIf
            | Symbol::BrUnless
            | Symbol::LoopIf
            | Symbol::LoopUnless
            | Symbol::BrTable
            | Symbol::CallIndirect
            | Symbol::CallRef => 1,
            Symbol::Slot
            | Symbol::Const32
            | Symbol::Const64
            | Symbol::Int(_)
            | Symbol::Float(_)
            | Symbol::Vector
            | Symbol::Op(_) => return None,
        })
    }

    /// The symbol of a constant that is read as `ty`.
    #[inline]
    pub fn constant(bits: u64, ty: Ty) -> Symbol {
        match ty {
            Ty::I32 | Ty::F32 => Symbol::Const32,
            Ty::I64 if bits as i64 == i64::from(bits as i32) => Symbol::Const32,
            // No node is a constant vector: `v128.const` has two operands.
            Ty::I64 | Ty::F64 | Ty::V128 => Symbol::Const64,
        }
    }

    /// The symbol of a leaf that is a place.
    #[inline]
    pub const fn place(place: Place) -> Symbol {
        match place {
            Place::Slot(_) => Symbol::Slot,
            Place::Int(n) => Symbol::Int(n),
            Place::Float(n) => Symbol::Float(n),
            Place::Vector(_) => Symbol::Vector,
        }
    }

    /// The symbol of a node that is read as `ty`.
    #[inline]
    pub fn node(node: &Node, ty: Ty) -> Symbol {
        match *node {
            Node::Op(op, _) => Symbol::Op(op),
            Node::Place(place) => Symbol::place(place),
            Node::Const(bits) => Symbol::constant(bits, ty),
        }
    }

    /// The symbol of a root, or nothing for a root that has no trees to choose a shape by.
    #[inline]
    pub fn root(root: &Root) -> Option<Symbol> {
        Some(match *root {
            Root::Set(place) => Symbol::Set(SetSymbol::of(place)),
            Root::Store { op, .. } => Symbol::Store(op),
            Root::GlobalSet { kind: Ty::V128, .. } => Symbol::GlobalSetVector,
            Root::GlobalSet { kind, .. } if kind.is_float() => Symbol::GlobalSetFloat,
            Root::GlobalSet { .. } => Symbol::GlobalSet,
            Root::BrIf(_) => Symbol::BrIf,
            Root::BrUnless(_) => Symbol::BrUnless,
            Root::LoopIf(_) => Symbol::LoopIf,
            Root::LoopUnless(_) => Symbol::LoopUnless,
            Root::BrTable { .. } => Symbol::BrTable,
            Root::CallIndirect { .. } => Symbol::CallIndirect,
            Root::CallRef { .. } => Symbol::CallRef,
            Root::Br(_) => Symbol::Br,
            Root::Loop(_) => Symbol::Loop,
            Root::Call { .. } => Symbol::Call,
            Root::Copy { .. }
            | Root::ConsumeFuel { .. }
            | Root::CheckEpoch
            | Root::EnterCall
            | Root::LeaveCall
            | Root::EnterLoop
            // What it takes back is known when its function is.
            | Root::Return
            | Root::Unreachable
            | Root::NullReference
            | Root::CallImport { .. }
            | Root::ReturnCall { .. }
            | Root::MemoryLoad { .. }
            | Root::MemoryStore { .. }
            | Root::Atomic { .. }
            | Root::ReturnCallImport { .. }
            | Root::ReturnCallIndirect { .. }
            | Root::ReturnCallRef { .. }
            | Root::Runtime { .. } => return None,
        })
    }
}

/// The symbol as shape tables write it, see [`table`].
impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Symbol::Slot => f.write_str("s"),
            Symbol::Const32 => f.write_str("c"),
            Symbol::Const64 => f.write_str("w"),
            Symbol::Int(n) => write!(f, "%i{n}"),
            Symbol::Float(n) => write!(f, "%f{n}"),
            Symbol::Vector => f.write_str("v"),
            Symbol::Op(op) => write!(f, "{op}"),
            Symbol::Set(SetSymbol::Slot) => f.write_str("set s"),
            Symbol::Set(SetSymbol::Int(n)) => write!(f, "set %i{n}"),
            Symbol::Set(SetSymbol::Float(n)) => write!(f, "set %f{n}"),
            Symbol::Set(SetSymbol::Vector) => f.write_str("set v"),
            Symbol::Store(op) => write!(f, "{op}"),
            Symbol::GlobalSet => f.write_str("global.set"),
            Symbol::GlobalSetFloat => f.write_str("global.set.float"),
            Symbol::GlobalSetVector => f.write_str("global.set.vector"),
            Symbol::BrIf => f.write_str("br_if"),
            Symbol::BrUnless => f.write_str("br_unless"),
            Symbol::LoopIf => f.write_str("loop_if"),
            Symbol::LoopUnless => f.write_str("loop_unless"),
            Symbol::BrTable => f.write_str("br_table"),
            Symbol::CallIndirect => f.write_str("call_indirect"),
            Symbol::CallRef => f.write_str("call_ref"),
            Symbol::Br => f.write_str("br"),
            Symbol::Loop => f.write_str("loop"),
            Symbol::Call => f.write_str("call"),
            Symbol::Return(ints) => write!(f, "return.{ints}"),
        }
    }
}

/// A shape as a number: its symbols in prefix order, ten bits each, the first lowest.
///
/// Several roots that share a handler are one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShapeKey(u128);

impl ShapeKey {
    /// The most symbols that a key can hold.
    pub const MAX_SYMBOLS: u32 = 12;
    const BITS: u32 = 10;

    /// How many numbers there are that a symbol could have.
    pub const NUMBERS: usize = 1 << ShapeKey::BITS;

    /// No symbols.
    pub const fn new() -> ShapeKey {
        ShapeKey(0)
    }

    /// The key's bits.
    pub const fn bits(self) -> u128 {
        self.0
    }

    /// The key with these bits.
    pub const fn from_bits(bits: u128) -> ShapeKey {
        ShapeKey(bits)
    }

    /// How many symbols it has.
    pub const fn symbols(self) -> u32 {
        (u128::BITS - self.0.leading_zeros()).div_ceil(Self::BITS)
    }

    /// The numbers of its symbols in prefix order, and after them 0 as often as wanted.
    #[inline]
    pub fn numbers(self) -> impl Iterator<Item = u16> {
        let mut left = self.0;
        std::iter::repeat_with(move || {
            let number = left as u16 & ((1 << Self::BITS) - 1);
            left >>= Self::BITS;
            number
        })
    }

    /// Its symbols in prefix order.
    pub fn iter(self) -> impl Iterator<Item = Symbol> {
        let count = self.symbols() as usize;
        (self.numbers().take(count)).map_while(Symbol::from_number)
    }

    /// With the symbols of another key behind its own, unless that is too many.
    pub fn then(self, next: ShapeKey) -> Option<ShapeKey> {
        let count = self.symbols();
        (count + next.symbols() <= Self::MAX_SYMBOLS)
            .then(|| ShapeKey(self.0 | next.0 << (count * Self::BITS)))
    }

    /// Its first symbol: a root, if it is a shape's.
    #[inline]
    pub fn first(self) -> Option<Symbol> {
        self.numbers().next().and_then(Symbol::from_number)
    }

    /// The number of the operator that the root's first tree starts with, if it starts with one.
    pub const fn operator(self) -> Option<usize> {
        let number = (self.0 >> Self::BITS) as usize & ((1 << Self::BITS) - 1);
        number.checked_sub(Symbol::FIRST_OPERATOR as usize)
    }

    /// The operator, if the shape sets a slot, or two, to an operator over slots which reads nothing
    /// else: such shapes are always there, see [`Shapes`].
    pub fn slots_operator(self) -> Option<Op> {
        let root = self.first()?;
        if !matches!(root, Symbol::Set(SetSymbol::Slot | SetSymbol::Vector)) {
            return None;
        }
        Op::ALL.get(self.operator()?).copied().filter(|op| {
            let place = match op.result() {
                Ty::V128 => SetSymbol::Vector,
                _ => SetSymbol::Slot,
            };
            let leaves = op.params().iter().map(|ty| match ty {
                Ty::V128 => Symbol::Vector,
                _ => Symbol::Slot,
            });
            let slots = [Symbol::Op(*op)].into_iter().chain(leaves);
            root == Symbol::Set(place)
                && matches!(op.effect(), Effect::Pure | Effect::Traps)
                && slots.eq(self.iter().skip(1))
        })
    }

    /// With one more symbol, unless it is full.
    pub fn with(self, symbol: Symbol) -> Option<ShapeKey> {
        let count = self.symbols();
        (count < Self::MAX_SYMBOLS)
            .then(|| ShapeKey(self.0 | u128::from(symbol.number()) << (count * Self::BITS)))
    }

    /// With a root and its trees; nothing if the root has no shape or the key is full.
    pub fn with_inst(self, root: &Root, nodes: &[Node]) -> Option<ShapeKey> {
        let mut trees = Symbols::default();
        crate::ir::with_types(nodes, root.operands(), |node, ty| {
            trees.push(Symbol::node(node, ty));
        });
        self.then(trees.below(Symbol::root_number(root)?)?)
    }
}

/// The symbols of trees without a root. To put trees together costs the same however large they
/// are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Symbols {
    bits: u128,
    /// How many there are. Of more than fit below a root, `bits` says nothing.
    count: u32,
}

impl Symbols {
    /// The most symbols that fit below a root.
    pub(crate) const MAX: u32 = ShapeKey::MAX_SYMBOLS - 1;

    /// One symbol.
    #[inline]
    pub(crate) fn one(symbol: Symbol) -> Symbols {
        Symbols {
            bits: symbol.number().into(),
            count: 1,
        }
    }

    /// The symbol of a leaf that is a place.
    #[inline]
    pub(crate) fn place(place: Place) -> Symbols {
        Symbols {
            bits: Symbol::place_number(place).into(),
            count: 1,
        }
    }

    /// Symbols by their bits.
    #[inline]
    pub(crate) fn from_bits(bits: u128, count: u32) -> Symbols {
        Symbols { bits, count }
    }

    /// Symbols by their numbers.
    #[inline]
    pub(crate) fn of_numbers(numbers: &[u16]) -> Symbols {
        let count = numbers.len() as u32;
        let bits = match count {
            0..=Symbols::MAX => (numbers.iter().rev()).fold(0, |bits, number| {
                bits << ShapeKey::BITS | u128::from(*number)
            }),
            _ => 0,
        };
        Symbols { bits, count }
    }

    /// Adds a symbol at the end.
    pub(crate) fn push(&mut self, symbol: Symbol) {
        self.append(Symbols::one(symbol));
    }

    /// Adds symbols at the end.
    #[inline]
    pub(crate) fn append(&mut self, next: Symbols) {
        let count = self.count.saturating_add(next.count);
        if count <= Self::MAX {
            self.bits |= next.bits << (self.count * ShapeKey::BITS);
        }
        self.count = count;
    }

    /// Puts another symbol in the place of the first.
    pub(crate) fn set_first(&mut self, symbol: Symbol) {
        self.bits = self.bits >> ShapeKey::BITS << ShapeKey::BITS | u128::from(symbol.number());
    }

    /// Their bits, if they fit below a root.
    #[inline]
    pub(crate) fn bits(self) -> Option<u128> {
        (self.count <= Self::MAX).then_some(self.bits)
    }

    /// The key of the symbols alone, if they fit below a root.
    #[inline]
    pub(crate) fn key(self) -> Option<ShapeKey> {
        self.bits().map(ShapeKey)
    }

    /// The key of the root with these trees, if they fit. The root is given by its symbol's number.
    #[inline]
    pub(crate) fn below(self, root: u16) -> Option<ShapeKey> {
        (self.count <= Self::MAX).then(|| ShapeKey(self.bits << ShapeKey::BITS | u128::from(root)))
    }

    /// The symbols of an operator over one tree.
    #[inline]
    pub(crate) fn unary(op: Op, operand: Symbols) -> Symbols {
        // If these are too many, the bits say nothing.
        Symbols {
            bits: operand.bits << ShapeKey::BITS | u128::from(Symbol::Op(op).number()),
            count: operand.count.saturating_add(1),
        }
    }

    /// The symbols of an operator over two trees.
    #[inline]
    pub(crate) fn binary(op: Op, left: Symbols, right: Symbols) -> Symbols {
        let mut symbols = Symbols::unary(op, left);
        if left.count == 1 {
            // Usual, and a constant distance is quicker.
            if right.count < Self::MAX - 1 {
                symbols.bits |= right.bits << (2 * ShapeKey::BITS);
            }
            symbols.count = right.count.saturating_add(2);
        } else {
            symbols.append(right);
        }
        symbols
    }
}

/// One operator an instruction, all operands in slots or constants, no registers: what a simple
/// executor needs.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainShapes;

impl Shapes for PlainShapes {
    fn contains(&self, key: ShapeKey) -> bool {
        let is_operator = |number: u16| number >= Symbol::FIRST_OPERATOR;
        let stores = Symbol::FIRST_STORE..Symbol::FIRST_OPERATOR;
        let mut numbers = key.numbers().take(key.symbols() as usize);
        let store = numbers.next().is_some_and(|root| stores.contains(&root));
        // The operator, if any, is the first symbol after the root; a store has none.
        let operator = numbers.next().is_some_and(is_operator);
        let another = numbers.any(is_operator);
        !(another || store && operator)
    }

    fn grows(&self, tree: ShapeKey) -> bool {
        tree.iter()
            .skip(1)
            .all(|symbol| !matches!(symbol, Symbol::Op(_)))
    }

    fn registers(&self) -> Registers {
        Registers::NONE
    }
}
