//! The register IR: what a function body becomes.
//!
//! A function is a list of [`Inst`]s. Each has a [`Root`], which is what it does (set a place,
//! store, branch, call …), and most have a tree of operators that computes the value the root
//! needs. The leaves of a tree are frame slots, registers and constants.
//!
//! # Frames
//!
//! A frame is a run of 8-byte slots on the value stack, numbered from the frame pointer:
//!
//! | slots | what |
//! | --- | --- |
//! | 0 .. [`FRAME_HEADER`] | the executor's: return address, caller's frame, caller's context, head of a loop |
//! | then | parameters; the results are returned in the same place, from the first slot on |
//! | then | the other locals |
//! | then | where the caller's values of the registers used here are saved |
//! | then | the operand stack, and at its top the frames of callees |
//!
//! A callee's frame starts at slot `base` of its caller: the arguments stand at
//! `base + FRAME_HEADER` and up, and so do the results after it has returned.

use std::ops::Range;

use crate::ValType;
use crate::atomic::AtomicOp;
use crate::op::{Op, StoreOp, Ty};
use crate::shape::{Found, ShapeKey, Traps};
use crate::site::Sites;

pub use crate::handlers::{Catch, Handlers, Region};

/// Slots at the start of a frame that belong to the executor.
pub const FRAME_HEADER: u32 = 4;

/// Slots that a tail call to another instance may put between the header of the frame that it
/// replaces and the callee's frame: the header itself and one more. Frames have room for them.
pub const TAIL_ADAPTER: u32 = FRAME_HEADER + 1;

/// A slot's number, counted from the frame pointer.
pub type Slot = u32;

/// An index into [`Function::labels`].
pub type Label = u32;

/// Where a value can be put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A slot of the frame.
    Slot(Slot),
    /// An integer register.
    Int(u8),
    /// A float register.
    Float(u8),
    /// Two slots of the frame, from this one on, that hold a vector.
    Vector(Slot),
}

impl Place {
    /// The place of a value of this type that stands in slots from `slot` on.
    pub const fn in_slots(slot: Slot, ty: Ty) -> Place {
        match ty {
            Ty::V128 => Place::Vector(slot),
            _ => Place::Slot(slot),
        }
    }

    /// The slots that it is, if it is not a register.
    pub const fn slots(self) -> Option<Range<Slot>> {
        match self {
            Place::Slot(slot) => Some(slot..slot + 1),
            Place::Vector(slot) => Some(slot..slot + 2),
            Place::Int(_) | Place::Float(_) => None,
        }
    }
}

/// A node of a tree, in prefix order: an operator is followed by its operands' trees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Node {
    /// An operator, with its immediate: the offset of a load, the index of a global, the number
    /// of a vector's lane, else 0.
    Op(Op, u64),
    /// The value at a place.
    Place(Place),
    /// A constant, as the bits a slot would hold (an i32 is zero-extended).
    Const(u64),
}

/// What an instruction does. `tree` means the instruction's nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Root {
    /// Puts the tree's value into a place.
    Set(Place),
    /// Copies the values of adjacent slots to other adjacent ones: first all are read, and then written.
    Copy {
        /// The first slot to read.
        from: Slot,
        /// The first slot to write.
        to: Slot,
        /// How many: at least one.
        count: u32,
    },
    /// Stores to memory 0. Two trees: the address, then the value.
    Store {
        /// Which store.
        op: StoreOp,
        /// Added to the address without wrapping.
        offset: u64,
    },
    /// Loads from a memory that is not memory 0 or has 64-bit addresses, always checked: the address is in a slot, and
    /// the value replaces it.
    MemoryLoad {
        /// Which load, in its checked form.
        op: Op,
        /// The memory's index.
        memory: u32,
        /// Added to the address without wrapping.
        offset: u64,
        /// The slot.
        base: Slot,
    },
    /// Stores to a memory that is not memory 0 or has 64-bit addresses, always checked: the address is in a slot, the
    /// value in the next one.
    MemoryStore {
        /// Which store, in its checked form.
        op: StoreOp,
        /// The memory's index.
        memory: u32,
        /// Added to the address without wrapping.
        offset: u64,
        /// The slot of the address.
        base: Slot,
    },
    /// An atomic instruction, on a memory of any kind. Its operands stand in the slots from `base` up; its result, if it
    /// has one, replaces the first of them.
    Atomic {
        /// Which instruction.
        op: AtomicOp,
        /// The memory's index; 0 if it accesses none.
        memory: u32,
        /// Added to the address without wrapping.
        offset: u64,
        /// The slot of the address.
        base: Slot,
        /// Whether it relies on the memory's guard instead of comparing. Only of accesses of memory 0 with 32-bit
        /// addresses.
        unchecked: bool,
    },
    /// Sets a global. One tree.
    GlobalSet {
        /// Its index.
        global: u32,
        /// The type of its value, as far as places tell types apart: [`Ty::I64`], [`Ty::F64`] or
        /// [`Ty::V128`].
        kind: Ty,
    },
    /// Takes fuel for what comes next, up to the next such instruction; the run ends, with nothing taken, if there is less. Only
    /// where it is asked for, see [`Additions`](crate::Additions).
    ConsumeFuel {
        /// How much: not 0.
        cost: u32,
    },
    /// Looks whether the deadline in epochs has come: at the beginning of functions and loops, where no temporary
    /// registers are in use. Only where it is asked for, see [`Additions`](crate::Additions).
    CheckEpoch,
    /// Counts a call of the function, at its beginning; the run ends if that is one too many inside the others. Only where it is
    /// asked for, see [`Additions`](crate::Additions).
    EnterCall,
    /// Takes it back, right before the function returns or another takes its place.
    LeaveCall,
    /// Branches.
    Br(Label),
    /// Branches if the tree's i32 value is not zero.
    BrIf(Label),
    /// Branches if the tree's i32 value is zero.
    BrUnless(Label),
    /// Notes that a loop begins with the next instruction. Only where the executor wants it, see
    /// [`Shapes::keeps_heads`](crate::Shapes::keeps_heads), and only of loops without others inside.
    EnterLoop,
    /// Branches back to where the loop begins that was entered last. The label stands there, right
    /// behind its [`Root::EnterLoop`].
    Loop(Label),
    /// The same if the tree's i32 value is not zero.
    LoopIf(Label),
    /// The same if the tree's i32 value is zero.
    LoopUnless(Label),
    /// Branches to one of [`Function::tables`]`[first..first + count]`, chosen by the tree's i32
    /// value; to the last of them if it is out of range. The tree is a leaf.
    BrTable {
        /// Index of the first label.
        first: u32,
        /// How many, the default included: at least one.
        count: u32,
    },
    /// Returns. The results stand in the frame's first slots after the header.
    Return,
    /// Traps.
    Unreachable,
    /// Traps because a reference is null.
    NullReference,
    /// Calls a function of the same module.
    Call {
        /// The function's index.
        func: u32,
        /// The slot where the callee's frame starts.
        base: Slot,
    },
    /// Calls an imported function.
    CallImport {
        /// The function's index.
        func: u32,
        /// The slot where the callee's frame starts.
        base: Slot,
    },
    /// Calls through a table. The tree is a leaf, the element's index.
    CallIndirect {
        /// The table's index.
        table: u32,
        /// The index of the function type expected.
        ty: u32,
        /// The slot where the callee's frame starts.
        base: Slot,
    },
    /// Calls the function that a reference refers to, which is of the type or null. The tree is a leaf, the reference.
    CallRef {
        /// The index of the function's type.
        ty: u32,
        /// The slot where the callee's frame starts.
        base: Slot,
    },
    /// Returns what a function of the same module returns that is called in place of this one,
    /// in its frame. The arguments stand where those of a call do, and are moved.
    ReturnCall {
        /// The function's index.
        func: u32,
        /// The slot that the arguments stand [`FRAME_HEADER`] slots above.
        base: Slot,
        /// How many slots the arguments take.
        args: u32,
    },
    /// The same for an imported function.
    ReturnCallImport {
        /// The function's index.
        func: u32,
        /// The slot that the arguments stand [`FRAME_HEADER`] slots above.
        base: Slot,
        /// How many slots the arguments take.
        args: u32,
    },
    /// The same through a table. The element's index stands in the slot after the arguments.
    ReturnCallIndirect {
        /// The table's index.
        table: u32,
        /// The index of the function type expected.
        ty: u32,
        /// The slot that the arguments stand [`FRAME_HEADER`] slots above.
        base: Slot,
        /// How many slots the arguments take, without the index.
        args: u32,
    },
    /// The same with the function that a reference refers to. The reference stands in the slot after the arguments.
    ReturnCallRef {
        /// The index of the function's type.
        ty: u32,
        /// The slot that the arguments stand [`FRAME_HEADER`] slots above.
        base: Slot,
        /// How many slots the arguments take, without the reference.
        args: u32,
    },
    /// Calls the executor's own function for a rare operation. Its operands stand in the slots
    /// from `base` up; its results, if any, replace the first of them.
    Runtime {
        /// Which operation.
        op: RuntimeOp,
        /// The slot of the first operand or of the result.
        base: Slot,
        /// The operation's immediates, in the order of the text format; 0 where it has none.
        imm: [u32; 2],
    },
}

/// Operations that are rare enough to be ordinary functions of the executor.
///
/// Operands and results are those of the instruction in the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum RuntimeOp {
    /// `memory.size`; immediate: memory.
    MemorySize,
    /// `memory.grow`; immediate: memory.
    MemoryGrow,
    /// `memory.fill`; immediate: memory.
    MemoryFill,
    /// `memory.copy`; immediates: destination memory, source memory.
    MemoryCopy,
    /// `memory.init`; immediates: data segment, memory.
    MemoryInit,
    /// `data.drop`; immediate: data segment.
    DataDrop,
    /// `table.get`; immediate: table.
    TableGet,
    /// `table.set`; immediate: table.
    TableSet,
    /// `table.size`; immediate: table.
    TableSize,
    /// `table.grow`; immediate: table.
    TableGrow,
    /// `table.fill`; immediate: table.
    TableFill,
    /// `table.copy`; immediates: destination table, source table.
    TableCopy,
    /// `table.init`; immediates: element segment, table.
    TableInit,
    /// `elem.drop`; immediate: element segment.
    ElemDrop,
    /// `ref.func`; immediate: function.
    RefFunc,
    /// `i64.add128`: two results.
    I64Add128,
    /// `i64.sub128`: two results.
    I64Sub128,
    /// `i64.mul_wide_s`: two results.
    I64MulWideS,
    /// `i64.mul_wide_u`: two results.
    I64MulWideU,
    /// Of a 64-bit index of a table, the 32-bit one that is as good: the greatest if it is
    /// beyond 32 bits, since no table has such an element.
    ClampIndex,
    /// The function at a 32-bit index of a table, as a reference, if it is there and of a type or a subtype of it; else it
    /// traps as `call_indirect` does. Immediates: table, type.
    TableFunction,
    /// `throw`; immediate: tag. Goes on where the exception is caught.
    Throw,
    /// `throw_ref`, and `rethrow`. Goes on where the exception is caught.
    ThrowRef,
}

impl RuntimeOp {
    /// Whether it takes fuel of its own where code consumes some, by the size of what it does.
    pub const fn takes_fuel(self) -> bool {
        matches!(
            self,
            RuntimeOp::MemoryGrow
                | RuntimeOp::MemoryFill
                | RuntimeOp::MemoryCopy
                | RuntimeOp::MemoryInit
                | RuntimeOp::TableGrow
                | RuntimeOp::TableFill
                | RuntimeOp::TableCopy
                | RuntimeOp::TableInit
        )
    }

    /// Every operation, in the order of its number.
    pub const ALL: &'static [RuntimeOp] = &[
        RuntimeOp::MemorySize,
        RuntimeOp::MemoryGrow,
        RuntimeOp::MemoryFill,
        RuntimeOp::MemoryCopy,
        RuntimeOp::MemoryInit,
        RuntimeOp::DataDrop,
        RuntimeOp::TableGet,
        RuntimeOp::TableSet,
        RuntimeOp::TableSize,
        RuntimeOp::TableGrow,
        RuntimeOp::TableFill,
        RuntimeOp::TableCopy,
        RuntimeOp::TableInit,
        RuntimeOp::ElemDrop,
        RuntimeOp::RefFunc,
        RuntimeOp::I64Add128,
        RuntimeOp::I64Sub128,
        RuntimeOp::I64MulWideS,
        RuntimeOp::I64MulWideU,
        RuntimeOp::ClampIndex,
        RuntimeOp::TableFunction,
        RuntimeOp::Throw,
        RuntimeOp::ThrowRef,
    ];

    /// Whether what comes next is never done.
    pub const fn leaves(self) -> bool {
        matches!(self, RuntimeOp::Throw | RuntimeOp::ThrowRef)
    }

    /// The instruction's name in the text format.
    pub const fn name(self) -> &'static str {
        match self {
            RuntimeOp::MemorySize => "memory.size",
            RuntimeOp::MemoryGrow => "memory.grow",
            RuntimeOp::MemoryFill => "memory.fill",
            RuntimeOp::MemoryCopy => "memory.copy",
            RuntimeOp::MemoryInit => "memory.init",
            RuntimeOp::DataDrop => "data.drop",
            RuntimeOp::TableGet => "table.get",
            RuntimeOp::TableSet => "table.set",
            RuntimeOp::TableSize => "table.size",
            RuntimeOp::TableGrow => "table.grow",
            RuntimeOp::TableFill => "table.fill",
            RuntimeOp::TableCopy => "table.copy",
            RuntimeOp::TableInit => "table.init",
            RuntimeOp::ElemDrop => "elem.drop",
            RuntimeOp::RefFunc => "ref.func",
            RuntimeOp::I64Add128 => "i64.add128",
            RuntimeOp::I64Sub128 => "i64.sub128",
            RuntimeOp::I64MulWideS => "i64.mul_wide_s",
            RuntimeOp::I64MulWideU => "i64.mul_wide_u",
            RuntimeOp::ClampIndex => "clamp_index",
            RuntimeOp::TableFunction => "table_function",
            RuntimeOp::Throw => "throw",
            RuntimeOp::ThrowRef => "throw_ref",
        }
    }
}

/// One instruction.
#[derive(Clone, Copy, Debug)]
pub struct Inst {
    /// What it does.
    pub root: Root,
    /// Where its trees start in [`Function::nodes`].
    pub(crate) first_node: u32,
    /// How many nodes its trees have together.
    pub(crate) node_count: u32,
    /// Its shape's key; without symbols if it has none.
    pub(crate) key: ShapeKey,
    /// What the executor has said there is for the shape.
    pub(crate) found: Found,
    /// How it can end a run.
    pub(crate) traps: Traps,
    /// The offset in the module's bytes of the WebAssembly instruction it stands for; of one that
    /// may trap, where it stands for several: [`Function::trap_offsets`] has those of all that may.
    pub offset: u32,
}

impl Inst {
    /// Its shape's key; without symbols if it has none.
    pub fn key(&self) -> ShapeKey {
        self.key
    }

    /// What the [`Shapes`](crate::Shapes) that the function was translated for have said of its
    /// shape; [`Found::UNKNOWN`] if they were not asked.
    pub fn found(&self) -> Found {
        self.found
    }

    /// How it can end a run.
    pub fn traps(&self) -> Traps {
        self.traps
    }
}

/// A local that lives in a register for the whole function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The register.
    pub place: Place,
    /// The local's index.
    pub local: u32,
    /// The slot that holds its first value, if it is a parameter; else it starts as zero.
    pub parameter: Option<Slot>,
}

/// A translated function.
///
/// Only `Module::translate` makes one, from a body that has been
/// validated: executors rely on that.
#[derive(Clone, Debug)]
pub struct Function {
    pub(crate) index: u32,
    pub(crate) param_slots: u32,
    pub(crate) result_slots: u32,
    pub(crate) zeroed: Range<Slot>,
    pub(crate) saves: Slot,
    pub(crate) saved_ints: u8,
    pub(crate) saved_floats: u8,
    pub(crate) frame_slots: u32,
    pub(crate) pins: Vec<Pin>,
    /// Which locals are vectors, those that are adjacent together.
    pub(crate) vectors: Vec<Range<u32>>,
    pub(crate) insts: Vec<Inst>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) labels: Vec<u32>,
    pub(crate) tables: Vec<Label>,
    pub(crate) loops: Vec<LoopHead>,
    pub(crate) trap_sites: Vec<TrapSite>,
    pub(crate) sites: Sites,
    pub(crate) handlers: Handlers,
    pub(crate) start_offset: u32,
}

/// What may trap in an instruction in which more than one thing may.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TrapSite {
    /// The index of the instruction.
    pub(crate) inst: u32,
    /// The offset in the module's bytes of what may trap.
    pub(crate) offset: u32,
}

/// Where locals of these types live, in their order, in a function that has some of them pinned.
pub fn places_of_locals(types: &[ValType], pins: &[Pin]) -> Vec<Place> {
    let mut slot = FRAME_HEADER;
    let place = |(local, ty): (usize, &ValType)| {
        let own = Place::in_slots(slot, ty.ty());
        let pin = pins.iter().find(|pin| pin.local as usize == local);
        // A parameter has a slot even if it lives in a register.
        if pin.is_none_or(|pin| pin.parameter.is_some()) {
            slot += ty.slots();
        }
        pin.map_or(own, |pin| pin.place)
    };
    types.iter().enumerate().map(place).collect()
}

/// Where a loop begins that is entered with nothing on the operand stack: there every value is in its local's
/// place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoopHead {
    /// The index of the instruction that its first turn begins with.
    pub inst: u32,
    /// The offset in the module's bytes of its `loop`.
    pub offset: u32,
}

impl Function {
    /// The function's index in its module.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Slots that the parameters take, from [`FRAME_HEADER`] on.
    pub fn param_slots(&self) -> u32 {
        self.param_slots
    }

    /// Slots that the results take, from [`FRAME_HEADER`] on.
    pub fn result_slots(&self) -> u32 {
        self.result_slots
    }

    /// The slots of locals that must be zero on entry.
    pub fn zeroed(&self) -> Range<Slot> {
        self.zeroed.clone()
    }

    /// The slots where entry saves the registers that the function changes:
    /// [`Function::saved_ints`] and then [`Function::saved_floats`], one each.
    pub fn saves(&self) -> Range<Slot> {
        let saved = Slot::from(self.saved_ints) + Slot::from(self.saved_floats);
        self.saves..self.saves + saved
    }

    /// How many integer registers, from the first on, are to be saved: those that hold locals, and
    /// those after them that are temporary here.
    pub fn saved_ints(&self) -> u8 {
        self.saved_ints
    }

    /// How many float registers, from the first on, are to be saved.
    pub fn saved_floats(&self) -> u8 {
        self.saved_floats
    }

    /// Slots in the frame, header included, up to the end of the arguments (and of the results)
    /// of every callee.
    pub fn frame_slots(&self) -> u32 {
        self.frame_slots
    }

    /// The locals that live in registers: integers first, by register number, then floats.
    pub fn pins(&self) -> &[Pin] {
        &self.pins
    }

    /// Whether a place is a register in which a local lives.
    pub fn is_pinned(&self, place: Place) -> bool {
        self.pins.iter().any(|pin| pin.place == place)
    }

    /// Where the locals live, in their order.
    pub fn local_places(&self) -> impl Iterator<Item = Place> + '_ {
        let mut slot = FRAME_HEADER;
        let mut vectors = self.vectors.iter().peekable();
        (0..).map_while(move |local| {
            let pin = self.pins.iter().find(|pin| pin.local == local);
            // A parameter has a slot even if it lives in a register.
            if pin.is_some_and(|pin| pin.parameter.is_none()) {
                return pin.map(|pin| pin.place);
            }
            while vectors.next_if(|vectors| vectors.end <= local).is_some() {}
            let is_vector = (vectors.peek()).is_some_and(|vectors| vectors.contains(&local));
            let ty = if is_vector { Ty::V128 } else { Ty::I64 };
            let own = Place::in_slots(slot, ty);
            let within = slot < self.zeroed.end;
            slot += ty.slots();
            within.then_some(pin.map_or(own, |pin| pin.place))
        })
    }

    /// Where runs can stop and go on, if that was asked for (see [`Additions`](crate::Additions)).
    pub fn sites(&self) -> &Sites {
        &self.sites
    }

    /// The instructions.
    pub fn insts(&self) -> &[Inst] {
        &self.insts
    }

    /// The nodes of an instruction's trees, in prefix order.
    #[inline]
    pub fn nodes(&self, inst: &Inst) -> &[Node] {
        &self.nodes[inst.first_node as usize..][..inst.node_count as usize]
    }

    /// For each label, the index of the instruction it stands before. It may be one past the
    /// last only for labels that nothing branches to.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// Whether a label stands where a loop begins that is entered: right behind its [`Root::EnterLoop`].
    pub fn is_entered(&self, label: Label) -> bool {
        let head = self.labels[label as usize] as usize;
        (head.checked_sub(1)).is_some_and(|before| self.insts[before].root == Root::EnterLoop)
    }

    /// The labels of all branch tables.
    pub fn tables(&self) -> &[Label] {
        &self.tables
    }

    /// The offsets in the module's bytes of what may trap in an instruction, given by its index, in the order
    /// in which it happens: operators in the order of their operands, which come before them, then the root.
    /// Of an instruction in which at most one thing may trap it is [`Inst::offset`].
    pub fn trap_offsets(&self, inst: usize) -> impl Iterator<Item = u32> {
        let Inst { traps, offset, .. } = self.insts[inst];
        let several = match traps.count() {
            0 | 1 => &[][..],
            count => {
                let first = (self.trap_sites).partition_point(|site| (site.inst as usize) < inst);
                let end = self.trap_sites.len().min(first + usize::from(count));
                &self.trap_sites[first..end]
            }
        };
        let one = several.is_empty().then_some(offset);
        one.into_iter()
            .chain(several.iter().map(|site| site.offset))
    }

    /// Where loops begin that are entered with nothing on the operand stack, in the order of their offsets.
    pub fn loops(&self) -> &[LoopHead] {
        &self.loops
    }

    /// Where the function catches exceptions: positions are indices of instructions.
    pub fn handlers(&self) -> &Handlers {
        &self.handlers
    }

    /// Every label that an instruction branches to, as often as it does, and those of clauses that catch exceptions.
    pub fn branches(&self) -> impl Iterator<Item = Label> + '_ {
        let catches = self.handlers.catches().map(|catch| catch.label);
        let branches = self.insts.iter().flat_map(|inst| {
            let (label, table) = match inst.root {
                Root::Br(label)
                | Root::BrIf(label)
                | Root::BrUnless(label)
                | Root::Loop(label)
                | Root::LoopIf(label)
                | Root::LoopUnless(label) => (Some(label), &[][..]),
                Root::BrTable { first, count } => {
                    (None, &self.tables[first as usize..][..count as usize])
                }
                _ => (None, &[][..]),
            };
            label.into_iter().chain(table.iter().copied())
        });
        branches.chain(catches)
    }

    /// The offset in the module's bytes where the function's body starts.
    pub fn start_offset(&self) -> u32 {
        self.start_offset
    }
}

/// The type that a leaf is read as: by the operator above it, or by the root.
///
/// Calls `f` with every node of the trees in prefix order and the type its context wants.
/// `roots` are the types the root wants, one a tree.
pub fn with_types(nodes: &[Node], roots: &[Ty], mut f: impl FnMut(&Node, Ty)) {
    each_typed(nodes, |node| node, roots, |_, node, ty| f(node, ty));
}

/// The same for anything that has a node; `f` also gets the index.
pub(crate) fn each_typed<T>(
    items: &[T],
    node: impl Fn(&T) -> &Node,
    roots: &[Ty],
    mut f: impl FnMut(usize, &T, Ty),
) {
    // Every operand that is open is a tree yet to come, so there are no more than nodes.
    let mut few = [Ty::I64; 24];
    let mut many = Vec::new();
    let wanted = if items.len() <= few.len() {
        &mut few[..]
    } else {
        many.resize(items.len(), Ty::I64);
        &mut many[..]
    };
    let mut open = 0;
    let want = |wanted: &mut [Ty], open: &mut usize, types: &[Ty]| {
        for ty in types.iter().rev() {
            if let Some(slot) = wanted.get_mut(*open) {
                *slot = *ty;
                *open += 1;
            }
        }
    };
    want(wanted, &mut open, roots);
    for (index, item) in items.iter().enumerate() {
        open = open.saturating_sub(1);
        f(index, item, wanted[open]);
        if let Node::Op(op, _) = node(item) {
            want(wanted, &mut open, op.params());
        }
    }
}

impl Root {
    /// Whether what is done next may be something else than the next instruction.
    pub fn branches(&self) -> bool {
        match self {
            Root::Br(_)
            | Root::BrIf(_)
            | Root::BrUnless(_)
            | Root::BrTable { .. }
            | Root::Loop(_)
            | Root::LoopIf(_)
            | Root::LoopUnless(_)
            | Root::Return
            | Root::Unreachable
            | Root::NullReference
            | Root::ReturnCall { .. }
            | Root::ReturnCallImport { .. }
            | Root::ReturnCallIndirect { .. }
            | Root::ReturnCallRef { .. } => true,
            Root::Runtime { op, .. } => op.leaves(),
            Root::ConsumeFuel { .. }
            | Root::CheckEpoch
            | Root::EnterCall
            | Root::LeaveCall
            | Root::EnterLoop
            | Root::Set(_)
            | Root::Copy { .. }
            | Root::Store { .. }
            | Root::GlobalSet { .. }
            | Root::Call { .. }
            | Root::CallImport { .. }
            | Root::CallIndirect { .. }
            | Root::CallRef { .. }
            | Root::MemoryLoad { .. }
            | Root::MemoryStore { .. }
            | Root::Atomic { .. } => false,
        }
    }

    /// Whether it branches on a condition, and else goes on with the next instruction.
    #[inline]
    pub const fn is_conditional(&self) -> bool {
        matches!(
            self,
            Root::BrIf(_) | Root::BrUnless(_) | Root::LoopIf(_) | Root::LoopUnless(_)
        )
    }

    /// The types of the trees that the root takes. A set moves 64 bits whatever they mean.
    #[inline]
    pub fn operands(&self) -> &'static [Ty] {
        match self {
            Root::Set(Place::Vector(_)) | Root::GlobalSet { kind: Ty::V128, .. } => &[Ty::V128],
            Root::Set(Place::Float(_)) | Root::GlobalSet { kind: Ty::F64, .. } => &[Ty::F64],
            Root::Set(_) | Root::GlobalSet { .. } | Root::CallRef { .. } => &[Ty::I64],
            Root::Store { op, .. } => match op.value() {
                Ty::I32 => &[Ty::I32, Ty::I32],
                Ty::I64 => &[Ty::I32, Ty::I64],
                Ty::F32 => &[Ty::I32, Ty::F32],
                Ty::F64 => &[Ty::I32, Ty::F64],
                Ty::V128 => &[Ty::I32, Ty::V128],
            },
            Root::BrIf(_)
            | Root::BrUnless(_)
            | Root::LoopIf(_)
            | Root::LoopUnless(_)
            | Root::BrTable { .. }
            | Root::CallIndirect { .. } => &[Ty::I32],
            Root::Copy { .. }
            | Root::MemoryLoad { .. }
            | Root::MemoryStore { .. }
            | Root::Atomic { .. }
            | Root::ConsumeFuel { .. }
            | Root::CheckEpoch
            | Root::EnterCall
            | Root::LeaveCall
            | Root::Br(_)
            | Root::EnterLoop
            | Root::Loop(_)
            | Root::Return
            | Root::Unreachable
            | Root::NullReference
            | Root::Call { .. }
            | Root::CallImport { .. }
            | Root::ReturnCall { .. }
            | Root::ReturnCallImport { .. }
            | Root::ReturnCallIndirect { .. }
            | Root::ReturnCallRef { .. }
            | Root::Runtime { .. } => &[],
        }
    }
}
