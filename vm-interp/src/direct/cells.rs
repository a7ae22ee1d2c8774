//! Writing cells: a handler's address and its operands.

use vm_translate::ir::{FRAME_HEADER, Label, Node, Place, Root, RuntimeOp, Slot};
use vm_translate::shape::{ShapeKey, Symbol};
use vm_translate::{AtomicKind, Op, Sites};

use super::fixed::{Bulk, Fixed, Wide};
use super::operands::operand_bytes;
use super::simple::Simple;
use super::words::Words;
use super::{fixed_handler, shapes};
use crate::context::ContextLayout;
use crate::handlers::HandlerTable;
use crate::machine::{RUNTIME, wait_function};
use crate::profile::CellProfile;
use crate::registers::SavedRegisters;

/// What encoding needs to know of the module.
pub(super) struct Surroundings<'a> {
    pub(super) layout: ContextLayout,
    /// Numbers of the module's types.
    pub(super) type_ids: &'a [u32],
    /// Whether the value stack's guard checks that a frame fits.
    pub(super) guarded_stack: bool,
    /// Whether operations consume fuel by what they do, which the machine counts.
    pub(super) metered: bool,
    /// The power of two that a page of memory 0 is, if contexts have its length: if it is not shared.
    pub(super) page_size_log2: Option<u32>,
    /// The first cell of a function.
    pub(super) entry: &'a dyn Fn(u32) -> u64,
}

/// A loop of baseline code that counts its turns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turning {
    /// The offset of its `loop` in the module.
    pub(super) offset: u32,
    /// The word where its [`Fixed::Turn`] starts.
    pub(super) cell: u32,
}

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
    /// Branches whose targets are filled in when all cells have their places.
    branches: Vec<Branch>,
    /// The words that hold byte offsets of cells, to which the address of the first word is to be added.
    pub(super) relocations: Vec<usize>,
    /// Of optimized code, where frames of baseline code go on: of each loop the offset of its `loop` in the
    /// module, and where its cells start.
    pub(super) entries: Vec<(u32, u32)>,
    /// Of baseline code, its loops.
    pub(super) loops: Vec<Turning>,
    /// Where runs can stop, if that was asked for.
    pub(super) sites: Sites,
    /// Where exceptions are caught, if they are.
    pub(super) handlers: Option<Box<HandlerTable>>,
    /// Where registers are saved.
    pub(super) saved: SavedRegisters,
    /// While encoding: where each instruction's cell starts.
    pub(super) starts: Vec<u32>,
    /// While encoding baseline code: the labels of branch tables.
    pub(super) tables: Vec<Label>,
}

impl Cells {
    /// Forgets what has been written, with room for about so many instructions.
    pub(super) fn clear(&mut self, insts: usize) {
        self.words.clear((insts + ENTRY_CELLS) * USUAL_CELL_WORDS);
        self.offsets.clear();
        self.offsets.reserve(insts);
        self.counters.clear();
        self.cells.clear();
        self.branches.clear();
        self.relocations.clear();
        self.entries.clear();
        self.loops.clear();
        self.sites.clear();
        self.handlers = None;
        self.saved = SavedRegisters::default();
        self.starts.clear();
        self.tables.clear();
    }

    /// Fills in where branches lead, told where a label's cell starts.
    pub(super) fn fill_branches(&mut self, position: impl Fn(Label) -> u32) {
        for Branch { word, label } in self.branches.drain(..) {
            self.words.fill(8 * word, position(label).into());
            self.relocations.push(word);
        }
    }
}

/// About what an instruction's cell takes, for a first guess of a function's size.
const USUAL_CELL_WORDS: usize = 3;

/// About how many such cells make a frame.
const ENTRY_CELLS: usize = 4;

/// Which limit a function is beyond.
pub(super) struct TooLarge(pub(super) &'static str);

/// An operand that is filled in when all cells have their places.
#[derive(Debug)]
struct Branch {
    /// Where the operand stands, in words.
    word: usize,
    /// Where it leads.
    label: Label,
}

/// What cells say of a function's frame.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Frame {
    /// Where registers are saved.
    pub(super) saves: Slot,
    /// Pinned registers of each kind.
    pub(super) ints: u8,
    pub(super) floats: u8,
    pub(super) result_slots: u32,
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

/// Writes the cells of a function.
pub(super) struct Writer<'a> {
    pub(super) around: &'a Surroundings<'a>,
    pub(super) out: &'a mut Cells,
    pub(super) frame: Frame,
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

pub(super) fn slot_bytes(slot: Slot) -> u32 {
    slot * 8
}

impl Writer<'_> {
    #[inline]
    pub(super) fn put(&mut self, word: u64) {
        self.out.words.put(word);
    }

    #[inline]
    pub(super) fn put32(&mut self, half: u32) {
        self.out.words.put32(half);
    }

    /// Where the next operand goes to, in bytes.
    #[inline]
    pub(super) fn at(&self) -> usize {
        self.out.words.at()
    }

    #[inline]
    pub(super) fn put_slot(&mut self, slot: Slot) {
        self.put32(slot_bytes(slot));
    }

    /// Writes where a branch leads, which is filled in later.
    #[inline]
    pub(super) fn put_label(&mut self, label: Label) {
        let word = self.at() / 8;
        self.out.branches.push(Branch { word, label });
        self.put(0);
    }

    /// Writes where a branch leads, a byte offset, which is known.
    pub(super) fn put_target(&mut self, target: u32) {
        self.out.relocations.push(self.at() / 8);
        self.put(target.into());
    }

    /// Ends a cell: the next one starts with a word of its own. `operands.rs` says the same to the
    /// generator of handlers.
    #[inline]
    pub(super) fn pad(&mut self) {
        self.out.words.pad();
    }

    /// Says which place in the module the cell that starts here stands for, from the site with
    /// this number on: see [`super::run::site`].
    #[inline]
    pub(super) fn note(&mut self, site: u32, offset: u32) {
        let at = self.at() as u32;
        self.out.offsets.push((at + site, offset));
    }

    pub(super) fn fixed(&mut self, fixed: Fixed) {
        self.put(fixed_handler(fixed));
    }

    /// Says whether the cells are few enough for their offsets.
    pub(super) fn check_size(&self) -> Result<(), TooLarge> {
        match self.at() > i32::MAX as usize {
            true => Err(TooLarge("its threaded code")),
            false => Ok(()),
        }
    }

    /// Writes the cell of an instruction that has no shape, or none that there is a handler for.
    pub(super) fn single(&mut self, root: &Root, nodes: &[Node]) {
        match *root {
            Root::Br(label) => {
                self.fixed(Fixed::Br);
                self.put_label(label);
            }
            // The cell of the loop's first instruction comes next.
            Root::EnterLoop => self.fixed(Fixed::EnterLoop),
            Root::Loop(_) => self.fixed(Fixed::Loop),
            Root::Copy { from, to, count } => {
                // Where they overlap, what is still to be read is not written over.
                let down = to > from;
                let first = if down { count - 1 } else { 0 };
                self.fixed(Fixed::Copy { down });
                self.put_slot(from + first);
                self.put_slot(to + first);
                self.put32(count);
            }
            Root::ConsumeFuel { cost } => {
                self.fixed(Fixed::ConsumeFuel);
                self.put32(cost);
                self.pad();
            }
            Root::CheckEpoch => self.fixed(Fixed::CheckEpoch),
            Root::EnterCall => self.fixed(Fixed::EnterCall),
            Root::LeaveCall => self.fixed(Fixed::LeaveCall),
            Root::Unreachable => self.fixed(Fixed::Unreachable),
            Root::NullReference => self.fixed(Fixed::NullReference),
            Root::Return => {
                self.restore_floats();
                self.fixed(Fixed::Return {
                    ints: self.frame.ints,
                });
                self.put_slot(self.frame.saves);
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
            Root::Atomic {
                op,
                memory,
                offset,
                base,
                unchecked,
            } => match op.kind() {
                AtomicKind::Fence => self.fixed(Fixed::Fence),
                AtomicKind::Notify | AtomicKind::Wait => {
                    self.fixed(Fixed::Wait);
                    self.put(wait_function(op) as usize as u64);
                    self.put_slot(base);
                    self.put32(memory);
                    self.put(offset);
                }
                kind => {
                    self.fixed(Fixed::Atomic {
                        kind,
                        width: op.width(),
                        unchecked,
                    });
                    self.put32(self.around.layout.memory(memory));
                    self.put_slot(base);
                    self.put(offset);
                }
            },
            Root::ReturnCall { func, base, args } => {
                self.restore_floats();
                self.fixed(Fixed::ReturnCall {
                    ints: self.frame.ints,
                });
                self.put((self.around.entry)(func));
                self.put_slot(self.frame.saves);
                self.put_slot(base + FRAME_HEADER);
                self.put32(args);
                self.pad();
                return;
            }
            Root::ReturnCallImport { func, base, args } => {
                self.restore_floats();
                self.fixed(Fixed::ReturnCallImport {
                    ints: self.frame.ints,
                });
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
                self.fixed(Fixed::ReturnCallIndirect {
                    ints: self.frame.ints,
                });
                self.put32(self.around.layout.table(table));
                self.tail_operands(base, args);
                self.put32(self.around.type_ids[ty as usize]);
                self.put_slot(base + FRAME_HEADER + args);
                self.pad();
                return;
            }
            Root::ReturnCallRef { base, args, .. } => {
                self.restore_floats();
                self.fixed(Fixed::ReturnCallRef {
                    ints: self.frame.ints,
                });
                self.put_slot(base + FRAME_HEADER + args);
                self.tail_operands(base, args);
                self.pad();
                return;
            }
            Root::Runtime { op, base, .. } if let Some(wide) = wide(op) => {
                self.fixed(Fixed::Wide(wide));
                self.put_slot(base);
            }
            Root::Runtime {
                op: RuntimeOp::MemorySize,
                base,
                imm: [0, _],
            } if let Some(page) = self.around.page_size_log2 => {
                self.fixed(Fixed::MemorySize);
                self.put_slot(base);
                self.put32(page);
            }
            Root::Runtime { op, base, imm } => {
                let metered = self.around.metered;
                self.fixed(match (op, imm) {
                    (RuntimeOp::MemoryCopy, [0, 0]) if !metered => Fixed::Bulk(Bulk::Copy),
                    (RuntimeOp::MemoryFill, [0, _]) if !metered => Fixed::Bulk(Bulk::Fill),
                    _ => Fixed::Runtime,
                });
                self.put(RUNTIME[op as usize] as usize as u64);
                self.put_slot(base);
                self.put32(imm[0]);
                self.put32(imm[1]);
            }
            _ => self.evaluated(root, nodes),
        }
        self.pad();
    }

    /// What [`super::calls::tail_call`] reads.
    fn tail_operands(&mut self, base: Slot, args: u32) {
        self.put_slot(self.frame.saves);
        self.put_slot(base + FRAME_HEADER);
        self.put32(args);
        self.put32(self.frame.result_slots);
    }

    /// The cell behind a call that may have changed the context.
    pub(super) fn restore_context(&mut self, base: Slot) {
        self.fixed(Fixed::Restore);
        self.put_slot(base);
        self.pad();
    }

    /// Writes the cell of a handler.
    pub(super) fn handler<'f>(
        &mut self,
        handler: u32,
        roots: impl Iterator<Item = (&'f Root, &'f [Node], ShapeKey)> + Clone,
    ) {
        self.put(shapes::address(handler));
        for (root, ..) in roots.clone() {
            match root {
                Root::Br(label) | Root::BrIf(label) | Root::BrUnless(label) => {
                    self.put_label(*label)
                }
                Root::Call { func, .. } => self.put((self.around.entry)(*func)),
                _ => {}
            }
        }
        for (root, nodes, key) in roots {
            let (operands, count) = self.root_operands(root);
            (operands[..count].iter()).for_each(|operand| self.put32(*operand));
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

    /// The operands that a root has of its own, the last of them zero if there are fewer, and how many there are.
    #[inline(always)]
    fn root_operands(&self, root: &Root) -> ([u32; 3], usize) {
        let layout = self.around.layout;
        let one = |operand| ([operand, 0, 0], 1);
        match *root {
            Root::Set(Place::Slot(slot) | Place::Vector(slot)) => one(slot_bytes(slot)),
            // A 32-bit memory has no offset beyond 32 bits.
            Root::Store { offset, .. } => one(offset as u32),
            Root::GlobalSet { global, .. } => one(layout.global(global)),
            Root::BrTable { count, .. } => one(count - 1),
            Root::CallIndirect { table, ty, base } => {
                let ty = self.around.type_ids[ty as usize];
                ([layout.table(table), ty, slot_bytes(base)], 3)
            }
            Root::Call { base, .. } | Root::CallRef { base, .. } => one(slot_bytes(base)),
            Root::Return => one(slot_bytes(self.frame.saves)),
            _ => ([0; 3], 0),
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

    /// Writes the cell of a handler of a simple shape.
    #[inline(always)]
    pub(super) fn simple(&mut self, simple: Simple, root: &Root, nodes: &[Node]) {
        let (operands, count) = self.root_operands(root);
        let operator = match nodes {
            [operator @ Node::Op(op, _), ..] => {
                let bytes = OPERAND_BYTES[usize::from(Symbol::Op(*op).number())];
                Some((self.operand(operator), bytes))
            }
            _ => None,
        };
        let word = self.at() / 8;
        let Cells {
            words, branches, ..
        } = &mut *self.out;
        // There is room: it grows as needed.
        let Some(mut cell) = words.cell() else {
            return;
        };
        cell.put(shapes::address(simple.handler()), 8);
        if let Root::BrIf(label) | Root::BrUnless(label) = *root {
            let word = word + 1;
            branches.push(Branch { word, label });
            cell.put(0, 8);
        }
        (operands[..count].iter()).for_each(|operand| cell.put((*operand).into(), 4));
        let mut leaves = nodes;
        if let Some((operand, bytes)) = operator {
            cell.put(operand, bytes);
            leaves = &nodes[1..];
        }
        for (leaf, bytes) in leaves.iter().zip(simple.leaf_bytes()) {
            let operand = match *leaf {
                Node::Place(Place::Slot(slot) | Place::Vector(slot)) => slot_bytes(slot).into(),
                Node::Const(bits) => bits,
                _ => 0,
            };
            cell.put(operand, bytes);
        }
        cell.end();
    }
}
