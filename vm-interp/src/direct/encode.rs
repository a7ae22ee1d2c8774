//! From the IR to cells.
//!
//! One pass over the instructions: each becomes one cell, or shares one with its successor where
//! a handler does both. Branches are filled in at the end.

use std::ops::Range;

use vm_translate::ir::{FRAME_HEADER, Inst, Label, Node, Pin, Place, Root, RuntimeOp, Slot};
use vm_translate::shape::{Cells as Runs, Found, Next, ShapeKey, Symbol, Traps};
use vm_translate::{Function, Op};

use super::fixed::{Fixed, Returned, Wide};
use super::operands::operand_bytes;
use super::tiers::pinned_slot;
use super::words::Words;
use super::{fixed_handler, shapes};
use crate::context::ContextLayout;
use crate::machine::{RUNTIME, STACK_GUARD_BYTES};
use crate::profile::CellProfile;

/// What encoding needs to know of the module.
pub(super) struct Surroundings<'a> {
    pub(super) layout: ContextLayout,
    /// Numbers of the module's types.
    pub(super) type_ids: &'a [u32],
    /// Whether the value stack's guard checks that a frame fits.
    pub(super) guarded_stack: bool,
    /// Whether to count how often instructions run.
    pub(super) count: bool,
    /// Which code it is to be.
    pub(super) tier: Tier,
    /// The first cell of a function.
    pub(super) entry: &'a dyn Fn(u32) -> u64,
}

/// What is to be encoded for the way from baseline to optimized code.
#[derive(Clone, Copy, Debug)]
pub(super) enum Tier {
    /// Loops count their turns.
    Baseline {
        /// The address of the module's code.
        code: u64,
        /// After so many turns it is asked for better.
        turns: u64,
    },
    /// There is nothing better.
    Optimized {
        /// Whether frames of baseline code go on in loops of this.
        continues: bool,
    },
}

/// About what an instruction's cell takes, for a first guess of a function's size.
const USUAL_CELL_WORDS: usize = 3;

/// About how many such cells make a frame.
const ENTRY_CELLS: usize = 4;

/// A function's cells, in memory that is used for one function after the other.
#[derive(Debug, Default)]
pub(super) struct Cells {
    pub(super) words: Words,
    /// The byte offset of every instruction's cell and the offset of its WebAssembly instruction.
    pub(super) offsets: Vec<(u32, u32)>,
    /// If instructions are counted, where the counters' addresses are to be, in bytes, and the
    /// instruction from which on each counts.
    pub(super) counters: Vec<(usize, usize)>,
    /// If instructions are counted, which of them each cell does. No count yet.
    pub(super) cells: Vec<CellProfile>,
    /// The words that are targets of branches: they hold byte offsets, to which the address of the
    /// first word is to be added.
    pub(super) branches: Vec<Branch>,
    /// Where frames of baseline code go on: of each loop the offset of its `loop` in the module, and where its
    /// cells start.
    pub(super) entries: Vec<(u32, u32)>,
    /// While encoding: where each instruction's cell starts.
    starts: Vec<u32>,
}

/// Bytes of the operand of a node, by the number of the node's symbol.
static OPERAND_BYTES: [u8; ShapeKey::NUMBERS] = {
    let mut bytes = [0; ShapeKey::NUMBERS];
    let leaves = [
        Symbol::Slot,
        Symbol::Vector,
        Symbol::Const32,
        Symbol::Const64,
    ];
    let mut n = 0;
    while n < leaves.len() {
        bytes[leaves[n].number() as usize] = operand_bytes(leaves[n]) as u8;
        n += 1;
    }
    let mut n = 0;
    while n < Op::ALL.len() {
        let symbol = Symbol::Op(Op::ALL[n]);
        bytes[symbol.number() as usize] = operand_bytes(symbol) as u8;
        n += 1;
    }
    bytes
};

/// Which limit a function is beyond.
pub(super) struct TooLarge(pub(super) &'static str);

/// Encodes a function. What was in the cells is forgotten.
pub(super) fn encode(
    function: &Function,
    around: &Surroundings<'_>,
    cells: &mut Cells,
) -> Result<(), TooLarge> {
    // Slot offsets are 32-bit operands.
    if u64::from(function.frame_slots()) * 8 > i32::MAX as u64 {
        return Err(TooLarge("its frame"));
    }
    (cells.words).clear((function.insts().len() + ENTRY_CELLS) * USUAL_CELL_WORDS);
    cells.offsets.clear();
    cells.counters.clear();
    cells.cells.clear();
    cells.branches.clear();
    cells.entries.clear();
    cells.starts.clear();
    cells.starts.reserve(function.insts().len());
    let mut encoder = Encoder {
        function,
        around,
        out: cells,
        ints: 0,
        floats: 0,
    };
    let runs = match around.count {
        true => Runs::of_blocks(function),
        false => Runs::new(function),
    };
    encoder.enter();
    let insts = function.insts();
    let turns = match around.tier {
        Tier::Baseline { code, turns } => Some((code, turns)),
        Tier::Optimized { .. } => None,
    };
    let mut loops = function.loops().iter().zip(0..).peekable();
    let mut n = 0;
    while n < insts.len() {
        let cell = encoder.at();
        if around.count && (n == 0 || runs.is_labelled(n)) {
            encoder.count(n);
        }
        // Of loops that begin together one is enough. One that begins inside a cell has no second turn.
        let mut begins = None;
        while let Some((head, number)) = loops.next_if(|(head, _)| head.inst as usize <= n) {
            begins = (head.inst as usize == n).then_some(number);
        }
        if let (Some((code, turns)), Some(number)) = (turns, begins) {
            encoder.turn(code, number, turns);
        }
        let sets_result = matches!(insts[n].root, Root::Set(Place::Slot(FRAME_HEADER)));
        let end = if sets_result
            && matches!(insts.get(n + 1), Some(next) if matches!(next.root, Root::Return))
            && !runs.is_labelled(n + 1)
            && encoder.return_value(&insts[n])
        {
            n + 2
        } else if let Some(handler) = alone(&insts[n]) {
            // The usual case.
            let inst = &insts[n];
            encoder.note(0, inst.offset);
            let root = (&inst.root, function.nodes(inst), inst.key());
            encoder.handler(handler, std::iter::once(root));
            n + 1
        } else if let Some((run, handler)) = runs.at(n, shapes::find) {
            encoder.shape(handler, &insts[run.clone()]);
            run.end
        } else {
            encoder.note(0, insts[n].offset);
            encoder.single(&insts[n]);
            n + 1
        };
        if around.count {
            let shape = runs.key(n..end);
            let (insts, count) = (n..end, 0);
            encoder.out.cells.push(CellProfile {
                insts,
                shape,
                count,
            });
        }
        // Nothing branches to those after the first: they have no cell of their own.
        for _ in n..end {
            encoder.out.starts.push(cell as u32);
        }
        n = end;
    }
    if let Tier::Optimized { continues: true } = around.tier {
        encoder.continuations(&runs);
    }
    encoder.finish()
}

/// The handler of an instruction that cannot share its cell and whose cell is all that it needs.
#[inline]
fn alone(inst: &Inst) -> Option<u32> {
    let found = inst.found();
    let simple = matches!(
        inst.root,
        Root::Set(_) | Root::Store { .. } | Root::GlobalSet { .. }
    ) || inst.root.is_conditional();
    (simple && found.next == Next::NONE && found != Found::OTHERWISE).then_some(found.handler)
}

/// An operand that is filled in when all cells have their places.
#[derive(Debug)]
pub(super) struct Branch {
    /// Where the operand stands, in words.
    pub(super) word: usize,
    /// The index of the instruction whose cell is to stand there.
    inst: u32,
}

struct Encoder<'a> {
    function: &'a Function,
    around: &'a Surroundings<'a>,
    out: &'a mut Cells,
    /// Pinned registers of each kind.
    ints: u8,
    floats: u8,
}

/// The handler of its own that an operation has, if it has one.
fn wide(op: RuntimeOp) -> Option<Wide> {
    match op {
        RuntimeOp::I64Add128 => Some(Wide::Add),
        RuntimeOp::I64Sub128 => Some(Wide::Sub),
        RuntimeOp::I64MulWideS => Some(Wide::MulS),
        RuntimeOp::I64MulWideU => Some(Wide::MulU),
        _ => None,
    }
}

fn slot_bytes(slot: Slot) -> u32 {
    slot * 8
}

impl Encoder<'_> {
    #[inline]
    fn put(&mut self, word: u64) {
        self.out.words.put(word);
    }

    #[inline]
    fn put32(&mut self, half: u32) {
        self.out.words.put32(half);
    }

    /// Where the next operand goes to, in bytes.
    #[inline]
    fn at(&self) -> usize {
        self.out.words.at()
    }

    fn put_slot(&mut self, slot: Slot) {
        self.put32(slot_bytes(slot));
    }

    fn put_label(&mut self, label: Label) {
        self.put_target(self.function.labels()[label as usize]);
    }

    fn put_target(&mut self, inst: u32) {
        let word = self.at() / 8;
        self.out.branches.push(Branch { word, inst });
        self.put(0);
    }

    /// Ends a cell: the next one starts with a word of its own. `operands.rs` says the same to the
    /// generator of handlers.
    #[inline]
    fn pad(&mut self) {
        self.out.words.pad();
    }

    /// Says which place in the module the cell that starts here stands for, from the site with
    /// this number on: see [`super::run::site`].
    fn note(&mut self, site: u32, offset: u32) {
        let at = self.at() as u32;
        self.out.offsets.push((at + site, offset));
    }

    fn fixed(&mut self, fixed: Fixed) {
        self.put(fixed_handler(fixed));
    }

    /// Counts from here on.
    fn count(&mut self, inst: usize) {
        self.fixed(Fixed::Count);
        let at = self.at();
        self.out.counters.push((at, inst));
        self.put(0);
    }

    /// Counts a turn of a loop, given by its number.
    fn turn(&mut self, code: u64, number: u32, turns: u64) {
        self.fixed(Fixed::Turn);
        self.put(code);
        self.put32(self.function.index());
        self.put32(number);
        self.put(turns);
    }

    /// The cells where frames of baseline code go on, for each loop.
    fn continuations(&mut self, runs: &Runs<'_>) {
        let function = self.function;
        for head in function.loops() {
            let inst = head.inst as usize;
            let enters = function.insts().get(inst).map(|inst| inst.root) == Some(Root::EnterLoop);
            // Otherwise the loop has no cell of its own; and it has no second turn.
            if !enters && !runs.is_labelled(inst) {
                continue;
            }
            let start = self.at() as u32;
            self.out.entries.push((head.offset, start));
            self.note(0, head.offset);
            self.frame(0..0, |pin, _| Some(pinned_slot(function, pin)));
            self.fixed(Fixed::Br);
            self.put_target(head.inst);
        }
    }

    /// The cells that make a frame.
    fn enter(&mut self) {
        let function = self.function;
        self.note(0, function.start_offset());
        (self.ints, self.floats) = (function.saved_ints(), function.saved_floats());
        self.frame(function.zeroed(), |_, pin| pin.parameter);
    }

    /// The cells that check for room, save registers, zero slots, and give every pinned local the value in
    /// the slot that `from` says, or zero.
    fn frame(&mut self, zeroed: Range<Slot>, from: impl Fn(usize, &Pin) -> Option<Slot>) {
        let function = self.function;
        let kind = |float: bool| {
            let pins = function.pins().iter().enumerate();
            let pins = pins.map(|(n, pin)| (pin.place, from(n, pin)));
            pins.filter(move |(place, _)| matches!(place, Place::Float(_)) == float)
        };
        let leading = |float| kind(float).map_while(|(_, slot)| slot).collect::<Vec<_>>();

        let frame_bytes = slot_bytes(function.frame_slots());
        let params = leading(false);
        self.fixed(Fixed::Enter {
            touch: self.around.guarded_stack && frame_bytes as usize <= STACK_GUARD_BYTES,
            zero: !zeroed.is_empty(),
            ints: self.ints,
            params: params.len() as u8,
        });
        self.put32(frame_bytes);
        self.put_slot(function.saves().start);
        self.put_slot(zeroed.start);
        self.put32(zeroed.len() as u32);
        params.iter().for_each(|slot| self.put_slot(*slot));
        self.pad();

        if self.floats > 0 {
            let params = leading(true);
            self.fixed(Fixed::EnterFloats {
                floats: self.floats,
                params: params.len() as u8,
            });
            self.put_slot(function.saves().start + u32::from(self.ints));
            params.iter().for_each(|slot| self.put_slot(*slot));
            self.pad();
        }
        // Entry sets parameters only up to the first pin that is none.
        for float in [false, true] {
            for (place, slot) in kind(float).skip_while(|(_, slot)| slot.is_some()) {
                if let Some(slot) = slot {
                    let (root, from) = (Root::Set(place), [Node::Place(Place::Slot(slot))]);
                    // The shapes promise a set of any place from a slot.
                    let key = ShapeKey::new().with_inst(&root, &from);
                    if let Some(key) = key
                        && let Some(found) = shapes::find(key)
                    {
                        let roots = [(&root, &from[..], key)].into_iter();
                        self.handler(found.handler, roots);
                    }
                }
            }
        }
    }

    /// Encodes a set of the first result and the return behind it, if there is a handler for both.
    fn return_value(&mut self, set: &Inst) -> bool {
        let &[leaf] = self.function.nodes(set) else {
            return false;
        };
        let (value, operand) = match leaf {
            Node::Place(Place::Slot(slot)) => (Returned::Slot, Some(slot_bytes(slot))),
            Node::Place(Place::Int(n)) => (Returned::Int(n), None),
            // Float registers are restored before the result is set.
            Node::Place(Place::Float(n)) if self.floats == 0 => (Returned::Float(n), None),
            Node::Const(bits) if bits as i64 == i64::from(bits as i32) => {
                (Returned::Const, Some(bits as u32))
            }
            _ => return false,
        };
        self.note(0, set.offset);
        self.restore_floats();
        self.fixed(Fixed::ReturnValue {
            ints: self.ints,
            value,
        });
        self.put_slot(self.function.saves().start);
        if let Some(operand) = operand {
            self.put32(operand);
        }
        self.pad();
        true
    }

    fn restore_floats(&mut self) {
        if self.floats > 0 {
            self.fixed(Fixed::RestoreFloats {
                floats: self.floats,
            });
            self.put_slot(self.function.saves().start + u32::from(self.ints));
            self.pad();
        }
    }

    fn single(&mut self, inst: &Inst) {
        let nodes = self.function.nodes(inst);
        match inst.root {
            Root::Br(label) => {
                self.fixed(Fixed::Br);
                self.put_label(label);
            }
            // The cell of the loop's first instruction comes next.
            Root::EnterLoop => self.fixed(Fixed::EnterLoop),
            Root::Loop(_) => self.fixed(Fixed::Loop),
            Root::Unreachable => self.fixed(Fixed::Unreachable),
            Root::Return => {
                self.restore_floats();
                self.fixed(Fixed::Return { ints: self.ints });
                self.put_slot(self.function.saves().start);
                self.pad();
            }
            Root::Call { func, base } => {
                self.fixed(Fixed::Call);
                self.put((self.around.entry)(func));
                self.put_slot(base);
            }
            Root::CallImport { func, base } => {
                self.fixed(Fixed::CallImport);
                self.put32(self.around.layout.function(func));
                self.put_slot(base);
                self.restore_context(base);
            }
            Root::MemoryLoad {
                op,
                memory,
                offset,
                base,
            } => {
                self.fixed(Fixed::MemoryLoad(op));
                self.put32(self.around.layout.memory(memory));
                self.put_slot(base);
                self.put(offset);
            }
            Root::MemoryStore {
                op,
                memory,
                offset,
                base,
            } => {
                self.fixed(Fixed::MemoryStore(op));
                self.put32(self.around.layout.memory(memory));
                self.put_slot(base);
                self.put(offset);
            }
            Root::ReturnCall { func, base, args } => {
                self.restore_floats();
                self.fixed(Fixed::ReturnCall { ints: self.ints });
                self.put((self.around.entry)(func));
                self.put_slot(self.function.saves().start);
                self.put_slot(base + FRAME_HEADER);
                self.put32(args);
                self.pad();
                return;
            }
            Root::ReturnCallImport { func, base, args } => {
                self.restore_floats();
                self.fixed(Fixed::ReturnCallImport { ints: self.ints });
                self.put32(self.around.layout.function(func));
                self.tail_operands(base, args);
                self.pad();
                return;
            }
            Root::ReturnCallIndirect {
                table,
                ty,
                base,
                args,
            } => {
                self.restore_floats();
                self.fixed(Fixed::ReturnCallIndirect { ints: self.ints });
                self.put32(self.around.layout.table(table));
                self.tail_operands(base, args);
                self.put32(self.around.type_ids[ty as usize]);
                self.put_slot(base + FRAME_HEADER + args);
                self.pad();
                return;
            }
            Root::Runtime { op, base, .. } if let Some(wide) = wide(op) => {
                self.fixed(Fixed::Wide(wide));
                self.put_slot(base);
            }
            Root::Runtime { op, base, imm } => {
                self.fixed(Fixed::Runtime);
                self.put(RUNTIME[op as usize] as usize as u64);
                self.put_slot(base);
                self.put32(imm[0]);
                self.put32(imm[1]);
            }
            _ => self.evaluated(&inst.root, nodes),
        }
        self.pad();
    }

    /// What [`super::calls::tail_call`] reads.
    fn tail_operands(&mut self, base: Slot, args: u32) {
        self.put_slot(self.function.saves().start);
        self.put_slot(base + FRAME_HEADER);
        self.put32(args);
        self.put32(self.function.result_slots());
    }

    /// The cell behind a call that may have changed the context.
    fn restore_context(&mut self, base: Slot) {
        self.fixed(Fixed::Restore);
        self.put_slot(base);
        self.pad();
    }

    /// Encodes the cell of a handler that does these instructions.
    fn shape(&mut self, handler: u32, insts: &[Inst]) {
        let function = self.function;
        let cell = self.at();
        let mut sites = 0;
        for inst in insts {
            match inst.traps() {
                Traps::Never => {}
                Traps::ByFault(count) => {
                    self.note(sites, inst.offset);
                    sites += u32::from(count);
                }
                Traps::Otherwise => self.note(sites, inst.offset),
            }
        }
        if (self.out.offsets.last()).is_none_or(|(noted, _)| (*noted as usize) < cell) {
            self.note(0, insts[0].offset);
        }
        let roots = insts.iter();
        let roots = roots.map(|inst| (&inst.root, function.nodes(inst), inst.key()));
        self.handler(handler, roots);
        match insts.last().map(|inst| inst.root) {
            Some(Root::BrTable { first, count }) => {
                let table = first as usize..(first + count) as usize;
                for label in &function.tables()[table] {
                    self.put_label(*label);
                }
            }
            Some(Root::CallIndirect { base, .. }) => self.restore_context(base),
            _ => {}
        }
    }

    /// Writes the cell of a handler.
    fn handler<'f>(
        &mut self,
        handler: u32,
        roots: impl Iterator<Item = (&'f Root, &'f [Node], ShapeKey)> + Clone,
    ) {
        self.put(shapes::address(handler));
        for (root, ..) in roots.clone() {
            if let Root::BrIf(label) | Root::BrUnless(label) = root {
                self.put_label(*label);
            }
        }
        for (root, nodes, key) in roots {
            self.root_operands(root);
            let mut symbols = key.numbers();
            symbols.next();
            for (node, symbol) in nodes.iter().zip(symbols) {
                let bytes = OPERAND_BYTES[usize::from(symbol)];
                let operand = self.operand(node);
                self.out.words.put_bytes(operand, bytes);
            }
        }
        self.pad();
    }

    fn root_operands(&mut self, root: &Root) {
        let layout = self.around.layout;
        match *root {
            Root::Set(Place::Slot(slot) | Place::Vector(slot)) => self.put_slot(slot),
            // A 32-bit memory has no offset beyond 32 bits.
            Root::Store { offset, .. } => self.put32(offset as u32),
            Root::GlobalSet { global, .. } => self.put32(layout.global(global)),
            Root::BrTable { count, .. } => self.put32(count - 1),
            Root::CallIndirect { table, ty, base } => {
                self.put32(layout.table(table));
                self.put32(self.around.type_ids[ty as usize]);
                self.put_slot(base);
            }
            _ => {}
        }
    }

    /// A node's operand. How many bytes of it there are, if any, the node's symbol in its shape says.
    #[inline]
    fn operand(&self, node: &Node) -> u64 {
        if let Node::Op(Op::GlobalGet | Op::GlobalGetFloat | Op::GlobalGetVector, global) = *node {
            return self.around.layout.global(global as u32).into();
        }
        match *node {
            Node::Op(_, bits) | Node::Const(bits) => bits,
            Node::Place(Place::Slot(slot) | Place::Vector(slot)) => slot_bytes(slot).into(),
            Node::Place(_) => 0,
        }
    }

    /// Encodes an operator over slots that has no handler of its own.
    fn evaluated(&mut self, root: &Root, nodes: &[Node]) {
        let (
            Root::Set(Place::Slot(to) | Place::Vector(to)),
            Some((Node::Op(op, immediate), leaves)),
        ) = (root, nodes.split_first())
        else {
            unreachable!("translation asks which shapes there are: {root:?} {nodes:?}");
        };
        self.fixed(Fixed::Evaluate);
        self.put32(*op as u32);
        self.put_slot(*to);
        for n in 0..3 {
            match leaves.get(n) {
                Some(Node::Place(Place::Slot(slot) | Place::Vector(slot))) => {
                    self.put_slot(*slot);
                }
                _ => self.put32(0),
            }
        }
        self.put32(*immediate as u32);
    }

    fn finish(self) -> Result<(), TooLarge> {
        if self.at() > i32::MAX as usize {
            return Err(TooLarge("its threaded code"));
        }
        for branch in &self.out.branches {
            let to = self.out.starts[branch.inst as usize];
            self.out.words.fill(8 * branch.word, to.into());
        }
        Ok(())
    }
}
