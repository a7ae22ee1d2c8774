//! From IR to words: each instruction is a token and its operands, one word each.
//!
//! Slots are numbers relative to the frame; distances of branches are in words, from the start of
//! the branch. What no token takes directly (a wide constant, mostly) is first put into scratch
//! slots above the function's frame, which hold a value only within one IR instruction.

use std::ops::Range;

use vm_translate::ir::{FRAME_HEADER, Inst, Label, Node, Place, Root};
use vm_translate::{AtomicKind, Function, Op, PointKind, Sites, StoreOp, Ty};

use crate::context::ContextLayout;
use crate::handlers::HandlerTable;
use crate::options::CodeError;
use crate::token::execute::RESTORE_WORDS;
use crate::token::tokens::{self, Token};
use crate::token::wide;

/// Words in front of a function's first token: slots in its frame, and the range of slots that
/// start as zero.
pub(super) const HEADER: usize = 3;

/// Slots above the frame for the operands of one operator and its result, which may be a vector.
const SCRATCH: u32 = 5;

/// The scratch slot of an operator's result.
const RESULT: u32 = 3;

/// What the code of a function refers to outside of it.
pub(super) trait Links {
    /// The address of the cell that holds the entry of a function of the module.
    fn cell(&self, func: u32) -> u64;

    /// The number of a type of the module.
    fn type_number(&self, ty: u32) -> u32;

    /// Whether threads share a memory of the module.
    fn is_shared(&self, memory: u32) -> bool;

    /// Where the context's pointers are.
    fn layout(&self) -> &ContextLayout;
}

/// A function's code.
pub(super) struct Encoded {
    /// The header, then the instructions.
    pub(super) words: Vec<u32>,
    /// Where instructions start, and their offsets in the module's bytes; both ascending.
    pub(super) offsets: Vec<(u32, u32)>,
    /// Where every token is, for listings.
    pub(super) starts: Vec<u32>,
    /// Where runs can stop, in bytes.
    pub(super) sites: Sites,
    /// Where exceptions are caught, if they are.
    pub(super) handlers: Option<Box<HandlerTable>>,
}

/// Encodes a function.
pub(super) fn encode(function: &Function, links: &dyn Links) -> Result<Encoded, CodeError> {
    let mut encoder = Encoder {
        function,
        links,
        words: Vec::new(),
        offsets: Vec::new(),
        starts: Vec::new(),
        branches: Vec::new(),
        sites: Sites::default(),
        at: 0,
        handlers: None,
    };
    encoder.function()?;
    Ok(Encoded {
        words: encoder.words,
        offsets: encoder.offsets,
        starts: encoder.starts,
        sites: encoder.sites,
        handlers: encoder.handlers,
    })
}

/// A leaf of a tree.
#[derive(Clone, Copy)]
enum Operand {
    Slot(u32),
    Const(u64),
}

struct Encoder<'a> {
    function: &'a Function,
    links: &'a dyn Links,
    words: Vec<u32>,
    offsets: Vec<(u32, u32)>,
    starts: Vec<u32>,
    /// Words that hold distances to be: where, the start of their branch, to which label.
    branches: Vec<(usize, usize, Label)>,
    sites: Sites,
    /// Where the current token starts.
    at: usize,
    handlers: Option<Box<HandlerTable>>,
}

impl<'a> Encoder<'a> {
    fn limit(&self, what: &'static str) -> CodeError {
        let func = self.function.index();
        CodeError::Limit { func, what }
    }

    fn function(&mut self) -> Result<(), CodeError> {
        let function = self.function;
        let slots = function.frame_slots().checked_add(SCRATCH);
        let slots = slots.ok_or_else(|| self.limit("slots in its frame"))?;
        let Range { start, end } = function.zeroed();
        self.words.extend([slots, start, end]);
        let mut insts = Vec::with_capacity(function.insts().len());
        for inst in function.insts() {
            insts.push(self.words.len());
            self.offsets.push((self.words.len() as u32, inst.offset));
            self.inst(inst)?;
        }
        // Nothing falls off the end of a validated body; should the translator ever disagree, this
        // is where it ends.
        insts.push(self.words.len());
        self.token(Token::Unreachable, &[]);
        // Then every distance fits into an `i32`, and every position in bytes into a `u32`.
        if self.words.len() > i32::MAX as usize / 2 {
            return Err(self.limit("its code"));
        }
        for (word, start, label) in std::mem::take(&mut self.branches) {
            let target = insts[function.labels()[label as usize] as usize];
            self.words[word] = (target as i64 - start as i64) as i32 as u32;
        }
        let position = |inst: u32| (insts[inst as usize] * size_of::<u32>()) as u32;
        let target = |label: Label| position(function.labels()[label as usize]);
        self.handlers = HandlerTable::new(function.handlers(), position, target);
        self.sites.clone_from(function.sites());
        self.sites.locate(|site| {
            let restore = if site.restores { RESTORE_WORDS } else { 0 };
            site.at = match site.point.kind {
                PointKind::Call => position(site.at + 1),
                _ => position(site.at),
            };
            site.back = site.at - (restore * size_of::<u32>()) as u32;
        });
        Ok(())
    }

    fn token(&mut self, token: Token, operands: &[u32]) {
        self.at = self.words.len();
        self.starts.push(self.at as u32);
        self.words.push(token as u32);
        self.words.extend_from_slice(operands);
    }

    /// Appends a distance to the current token.
    fn distance(&mut self, label: Label) {
        self.branches.push((self.words.len(), self.at, label));
        self.words.push(0);
    }

    fn branch(&mut self, token: Token, operands: &[u32], label: Label) {
        self.token(token, operands);
        self.distance(label);
    }

    fn inst(&mut self, inst: &Inst) -> Result<(), CodeError> {
        let nodes = self.function.nodes(inst);
        match inst.root {
            Root::Set(place) => {
                let dst = self.slot(place)?;
                self.tree(dst, nodes)?;
            }
            Root::Copy { from, to, count } => self.token(Token::CopySlots, &[to, from, count]),
            Root::Store { op, offset } => self.store(op, offset, nodes)?,
            Root::GlobalSet { global, kind } => {
                let value = self.value(nodes)?;
                let at = self.links.layout().global(global);
                let token = match kind {
                    Ty::V128 => Token::GlobalSetVector,
                    _ => Token::GlobalSet,
                };
                self.token(token, &[value, at]);
            }
            // Its shapes do not ask for heads of loops to be kept, so these are what others are.
            Root::EnterLoop => {}
            Root::ConsumeFuel { cost } => self.token(Token::ConsumeFuel, &[cost]),
            Root::CheckEpoch => self.token(Token::CheckEpoch, &[]),
            Root::EnterCall => self.token(Token::EnterCall, &[]),
            Root::LeaveCall => self.token(Token::LeaveCall, &[]),
            Root::Br(label) | Root::Loop(label) => self.branch(Token::Br, &[], label),
            Root::BrIf(label) | Root::LoopIf(label) => self.br_if(nodes, true, label)?,
            Root::BrUnless(label) | Root::LoopUnless(label) => self.br_if(nodes, false, label)?,
            Root::BrTable { first, count } => {
                let index = self.value(nodes)?;
                self.token(Token::BrTable, &[index, count]);
                for label in &self.function.tables()[first as usize..][..count as usize] {
                    self.distance(*label);
                }
            }
            Root::Return => self.token(Token::Return, &[]),
            Root::Unreachable => self.token(Token::Unreachable, &[]),
            Root::NullReference => self.token(Token::NullReference, &[]),
            Root::Call { func, base } => {
                let [cell_1, cell_2] = wide::words(self.links.cell(func));
                self.token(Token::Call, &[base, func, cell_1, cell_2]);
            }
            Root::CallImport { func, base } => {
                let at = self.links.layout().function(func);
                self.token(Token::CallImport, &[base, at]);
                self.token(Token::RestoreContext, &[base]);
            }
            Root::CallIndirect { table, ty, base } => {
                let index = self.value(nodes)?;
                let at = self.links.layout().table(table);
                let ty = self.links.type_number(ty);
                self.token(Token::CallIndirect, &[index, base, at, ty]);
                self.token(Token::RestoreContext, &[base]);
            }
            Root::CallRef { base, .. } => {
                let reference = self.value(nodes)?;
                self.token(Token::CallRef, &[reference, base]);
                self.token(Token::RestoreContext, &[base]);
            }
            Root::ReturnCallRef { base, args, .. } => {
                let results = self.function.result_slots();
                let first = base + FRAME_HEADER;
                self.token(Token::ReturnCallRef, &[first, args, results]);
            }
            Root::MemoryLoad {
                op,
                memory,
                offset,
                base,
            } => {
                let at = self.links.layout().memory(memory);
                let token = match self.links.is_shared(memory) {
                    true => Token::SharedLoad,
                    false => Token::MemoryLoad,
                };
                if op == Op::V128Load {
                    // The upper half first: if it is inside, so is the lower one.
                    self.token(Token::Copy, &[base + 1, base]);
                    self.memory_load(token, Op::I64Load, base + 1, at, offset.saturating_add(8));
                    self.memory_load(token, Op::I64Load, base, at, offset);
                } else {
                    self.memory_load(token, op, base, at, offset);
                }
            }
            Root::MemoryStore {
                op,
                memory,
                offset,
                base,
            } => {
                let at = self.links.layout().memory(memory);
                let token = match self.links.is_shared(memory) {
                    true => Token::SharedStore,
                    false => Token::MemoryStore,
                };
                if op == StoreOp::V128Store {
                    let address = self.scratch(0);
                    self.token(Token::Copy, &[address, base]);
                    self.token(Token::Copy, &[address + 1, base + 2]);
                    self.memory_store(
                        token,
                        StoreOp::I64Store,
                        address,
                        at,
                        offset.saturating_add(8),
                    );
                    self.memory_store(token, StoreOp::I64Store, base, at, offset);
                } else {
                    self.memory_store(token, op, base, at, offset);
                }
            }
            Root::Atomic {
                op,
                memory,
                offset,
                base,
                unchecked: _,
            } => match op.kind() {
                AtomicKind::Fence => self.token(Token::Fence, &[]),
                AtomicKind::Notify | AtomicKind::Wait => self.token(
                    Token::Wait,
                    &[
                        base,
                        op as u32,
                        memory,
                        offset as u32,
                        (offset >> 32) as u32,
                    ],
                ),
                _ => {
                    let [offset_1, offset_2] = wide::words(offset);
                    let at = self.links.layout().memory(memory);
                    self.token(Token::Atomic, &[base, op as u32, at, offset_1, offset_2]);
                }
            },
            Root::ReturnCall { func, base, args } => {
                let [cell_1, cell_2] = wide::words(self.links.cell(func));
                let first = base + FRAME_HEADER;
                self.token(Token::ReturnCall, &[first, args, func, cell_1, cell_2]);
            }
            Root::ReturnCallImport { func, base, args } => {
                let at = self.links.layout().function(func);
                let results = self.function.result_slots();
                let first = base + FRAME_HEADER;
                self.token(Token::ReturnCallImport, &[first, args, results, at]);
            }
            Root::ReturnCallIndirect {
                table,
                ty,
                base,
                args,
            } => {
                let at = self.links.layout().table(table);
                let ty = self.links.type_number(ty);
                let results = self.function.result_slots();
                let first = base + FRAME_HEADER;
                self.token(Token::ReturnCallIndirect, &[first, args, results, at, ty]);
            }
            Root::Runtime { op, base, imm } => {
                self.token(Token::Runtime, &[base, op as u32, imm[0], imm[1]]);
            }
        }
        Ok(())
    }

    fn memory_load(&mut self, token: Token, op: Op, base: u32, at: u32, offset: u64) {
        let [offset_1, offset_2] = wide::words(offset);
        self.token(token, &[base, at, op as u32, offset_1, offset_2]);
    }

    fn memory_store(&mut self, token: Token, op: StoreOp, base: u32, at: u32, offset: u64) {
        let [offset_1, offset_2] = wide::words(offset);
        self.token(token, &[base, at, op as u32, offset_1, offset_2]);
    }

    fn slot(&self, place: Place) -> Result<u32, CodeError> {
        match place {
            Place::Slot(slot) | Place::Vector(slot) => Ok(slot),
            Place::Int(_) | Place::Float(_) => Err(self.limit("registers")),
        }
    }

    fn leaf(&self, node: &Node) -> Result<Operand, CodeError> {
        match *node {
            Node::Place(place) => self.slot(place).map(Operand::Slot),
            Node::Const(bits) => Ok(Operand::Const(bits)),
            Node::Op(..) => Err(self.limit("operators in one instruction")),
        }
    }

    fn scratch(&self, n: u32) -> u32 {
        self.function.frame_slots() + n
    }

    fn constant(&mut self, dst: u32, bits: u64) {
        if let Ok(low) = u32::try_from(bits) {
            self.token(Token::Const, &[dst, low]);
        } else if let Some(low) = signed32(bits) {
            self.token(Token::ConstSigned, &[dst, low]);
        } else {
            let [bits_1, bits_2] = wide::words(bits);
            self.token(Token::Const64, &[dst, bits_1, bits_2]);
        }
    }

    /// The slot of an operand: a constant is put into scratch slot `n`.
    fn in_slot(&mut self, operand: Operand, n: u32) -> u32 {
        match operand {
            Operand::Slot(slot) => slot,
            Operand::Const(bits) => {
                let slot = self.scratch(n);
                self.constant(slot, bits);
                slot
            }
        }
    }

    /// The slot of a tree's value.
    fn value(&mut self, nodes: &[Node]) -> Result<u32, CodeError> {
        if let [node] = nodes
            && !matches!(node, Node::Op(..))
        {
            let leaf = self.leaf(node)?;
            return Ok(self.in_slot(leaf, RESULT));
        }
        let dst = self.scratch(RESULT);
        self.tree(dst, nodes)?;
        Ok(dst)
    }

    /// Computes a tree into a slot.
    fn tree(&mut self, dst: u32, nodes: &[Node]) -> Result<(), CodeError> {
        let (op, imm) = match nodes {
            [Node::Op(op, imm), ..] => (*op, *imm),
            [Node::Place(Place::Vector(src))] => {
                self.token(Token::CopyVector, &[dst, *src]);
                return Ok(());
            }
            [node] => {
                match self.leaf(node)? {
                    Operand::Slot(src) => self.token(Token::Copy, &[dst, src]),
                    Operand::Const(bits) => self.constant(dst, bits),
                }
                return Ok(());
            }
            _ => return Err(self.limit("operators in one instruction")),
        };
        if op.is_vector() {
            return self.vector(op, imm, dst, nodes);
        }
        match *self.leaves(nodes)? {
            [] => {
                let at = self.links.layout().global(imm as u32);
                self.token(Token::GlobalGet, &[dst, at]);
            }
            [a] => {
                if let Some(tokens) = tokens::load(op) {
                    return self.load(tokens, dst, a, imm);
                }
                let token = tokens::unary(op).ok_or_else(|| self.limit("operator"))?;
                let a = self.in_slot(a, 0);
                self.token(token, &[dst, a]);
            }
            [a, b] => self.binary(op, dst, a, b)?,
            [a, b, c] => {
                let (a, b, c) = (self.in_slot(a, 0), self.in_slot(b, 1), self.in_slot(c, 2));
                self.token(Token::Select, &[dst, a, b, c]);
            }
            _ => return Err(self.limit("operands of one operator")),
        }
        Ok(())
    }

    /// The leaves of a tree of one operator.
    fn leaves(&self, nodes: &[Node]) -> Result<Vec<Operand>, CodeError> {
        nodes[1..].iter().map(|node| self.leaf(node)).collect()
    }

    /// An operator on vectors: all but a few go through one token.
    fn vector(&mut self, op: Op, imm: u64, dst: u32, nodes: &[Node]) -> Result<(), CodeError> {
        let leaves = self.leaves(nodes)?;
        match (op, &*leaves) {
            (Op::GlobalGetVector, _) => {
                let at = self.links.layout().global(imm as u32);
                self.token(Token::GlobalGetVector, &[dst, at]);
            }
            (Op::V128Load, &[address]) => {
                let tokens = (Token::V128Load, Token::V128LoadAt);
                self.load(tokens, dst, address, imm)?;
            }
            (Op::V128Const, &[Operand::Const(low), Operand::Const(high)]) => {
                self.constant(dst, low);
                self.constant(dst + 1, high);
            }
            (_, leaves) => {
                let mut sources = [0; 3];
                // A bit for each operand that is a vector, and one for the result.
                let mut vectors = u32::from(op.result() == Ty::V128) << 3;
                for ((n, leaf), ty) in (0..).zip(leaves).zip(op.params()) {
                    vectors |= u32::from(*ty == Ty::V128) << n;
                    let source = (sources.get_mut(n as usize))
                        .ok_or_else(|| self.limit("operands of one operator"))?;
                    *source = self.in_slot(*leaf, n);
                }
                let [a, b, c] = sources;
                let op = op as u32;
                self.token(Token::Vector, &[dst, op, imm as u32, vectors, a, b, c]);
            }
        }
        Ok(())
    }

    fn binary(&mut self, op: Op, dst: u32, a: Operand, b: Operand) -> Result<(), CodeError> {
        let (op, a, b) = constant_last(op, a, b);
        let (slots, imm, constant) = if let Some((slots, imm)) = tokens::binary(op) {
            (slots, imm, constant32(op, b))
        } else if let Some((slots, imm)) = tokens::binary_high(op) {
            (slots, imm, constant_high(b))
        } else {
            return Err(self.limit("operator"));
        };
        let a = self.in_slot(a, 0);
        if let Some(constant) = constant {
            self.token(imm, &[dst, a, constant]);
        } else {
            let b = self.in_slot(b, 1);
            self.token(slots, &[dst, a, b]);
        }
        Ok(())
    }

    fn load(
        &mut self,
        (slots, at): (Token, Token),
        dst: u32,
        address: Operand,
        offset: u64,
    ) -> Result<(), CodeError> {
        if let Some(address) = constant_address(address, offset) {
            self.token(at, &[dst, address]);
        } else {
            let offset = u32::try_from(offset).map_err(|_| self.limit("offset of a load"))?;
            let address = self.in_slot(address, 0);
            self.token(slots, &[dst, address, offset]);
        }
        Ok(())
    }

    fn store(&mut self, op: StoreOp, offset: u64, nodes: &[Node]) -> Result<(), CodeError> {
        let [address, value] = nodes else {
            return Err(self.limit("operators in one instruction"));
        };
        let (address, value) = (self.leaf(address)?, self.leaf(value)?);
        if op == StoreOp::V128Store {
            let value = self.in_slot(value, 1);
            if let Some(address) = constant_address(address, offset) {
                self.token(Token::V128StoreAt, &[address, value]);
            } else {
                let offset = u32::try_from(offset).map_err(|_| self.limit("offset of a store"))?;
                let address = self.in_slot(address, 0);
                self.token(Token::V128Store, &[address, value, offset]);
            }
            return Ok(());
        }
        let [slots, imm, at, imm_at] = tokens::store(op).ok_or_else(|| self.limit("store"))?;
        let constant = match value {
            Operand::Const(bits) if op.width() <= 4 => Some(bits as u32),
            Operand::Const(bits) => signed32(bits),
            Operand::Slot(_) => None,
        };
        match (constant_address(address, offset), constant) {
            (Some(address), Some(value)) => self.token(imm_at, &[address, value]),
            (Some(address), None) => {
                let value = self.in_slot(value, 1);
                self.token(at, &[address, value]);
            }
            (None, constant) => {
                let offset = u32::try_from(offset).map_err(|_| self.limit("offset of a store"))?;
                let address = self.in_slot(address, 0);
                if let Some(value) = constant {
                    self.token(imm, &[address, value, offset]);
                } else {
                    let value = self.in_slot(value, 1);
                    self.token(slots, &[address, value, offset]);
                }
            }
        }
        Ok(())
    }

    /// Branches if the tree's value is not zero (`sense`), or if it is.
    fn br_if(&mut self, nodes: &[Node], sense: bool, label: Label) -> Result<(), CodeError> {
        if let [Node::Op(op, _), ..] = nodes {
            match (*op, &*self.leaves(nodes)?) {
                (Op::I32Eqz, &[a]) => {
                    let a = self.in_slot(a, 0);
                    self.branch(
                        if sense { Token::BrUnless } else { Token::BrIf },
                        &[a],
                        label,
                    );
                    return Ok(());
                }
                (Op::I64Eqz, &[a]) => {
                    let op = if sense { Op::I64Eq } else { Op::I64Ne };
                    self.compare(op, a, Operand::Const(0), label);
                    return Ok(());
                }
                (Op::I32And, &[a, b]) => {
                    let tokens = if sense {
                        (Token::BrAnd, Token::BrAndImm)
                    } else {
                        (Token::BrNand, Token::BrNandImm)
                    };
                    self.compare_by(Op::I32And, tokens, a, b, label);
                    return Ok(());
                }
                (op, &[a, b]) if tokens::branch(op).is_some() => {
                    self.compare(
                        if sense {
                            op
                        } else {
                            op.inverted().unwrap_or(op)
                        },
                        a,
                        b,
                        label,
                    );
                    return Ok(());
                }
                (op, &[a, b]) => {
                    if let Some((holds, fails)) = tokens::float_branch(op) {
                        let (a, b) = (self.in_slot(a, 0), self.in_slot(b, 1));
                        self.branch(if sense { holds } else { fails }, &[a, b], label);
                        return Ok(());
                    }
                }
                _ => {}
            }
        }
        let value = self.value(nodes)?;
        self.branch(
            if sense { Token::BrIf } else { Token::BrUnless },
            &[value],
            label,
        );
        Ok(())
    }

    /// Branches if an integer comparison holds.
    fn compare(&mut self, op: Op, a: Operand, b: Operand, label: Label) {
        if let Some(tokens) = tokens::branch(op) {
            self.compare_by(op, tokens, a, b, label);
        }
    }

    fn compare_by(
        &mut self,
        op: Op,
        (slots, imm): (Token, Token),
        a: Operand,
        b: Operand,
        label: Label,
    ) {
        let (swapped, a, b) = constant_last(op, a, b);
        let (slots, imm) = if swapped == op {
            (slots, imm)
        } else {
            tokens::branch(swapped).unwrap_or((slots, imm))
        };
        let a = self.in_slot(a, 0);
        if let Some(constant) = constant32(op, b) {
            self.branch(imm, &[a, constant], label);
        } else {
            let b = self.in_slot(b, 1);
            self.branch(slots, &[a, b], label);
        }
    }
}

/// A constant as 32 bits whose sign extension it is.
fn signed32(bits: u64) -> Option<u32> {
    let low = bits as u32;
    (i64::from(low as i32) as u64 == bits).then_some(low)
}

/// A constant as the last operand of an operator whose tokens sign-extend it.
fn constant32(op: Op, operand: Operand) -> Option<u32> {
    match (operand, op.params()[1]) {
        (Operand::Slot(_), _) | (_, Ty::V128) => None,
        (Operand::Const(bits), Ty::I32 | Ty::F32) => Some(bits as u32),
        (Operand::Const(bits), Ty::I64 | Ty::F64) => signed32(bits),
    }
}

/// A constant as its upper half, if its lower half is zero: as most constants of type `f64` are.
fn constant_high(operand: Operand) -> Option<u32> {
    match operand {
        Operand::Const(bits) if bits as u32 == 0 => Some((bits >> 32) as u32),
        _ => None,
    }
}

/// The effective address of an access, if it is constant and fits.
fn constant_address(address: Operand, offset: u64) -> Option<u32> {
    match address {
        Operand::Const(address) => {
            let address = u64::from(address as u32).checked_add(offset)?;
            u32::try_from(address).ok()
        }
        Operand::Slot(_) => None,
    }
}

/// An operator and its operands, exchanged if the first is a constant, the second is not, and there
/// is an operator that means the same then.
fn constant_last(op: Op, a: Operand, b: Operand) -> (Op, Operand, Operand) {
    match (a, b, mirrored(op)) {
        (Operand::Const(_), Operand::Slot(_), Some(mirrored)) => (mirrored, b, a),
        _ => (op, a, b),
    }
}

/// The operator that gives the same result for exchanged operands. Translation exchanges those of
/// integers only; the constant form of a token does not care which of two NaNs comes first.
fn mirrored(op: Op) -> Option<Op> {
    op.mirrored().or(match op {
        Op::F32Add | Op::F32Mul | Op::F32Eq | Op::F32Ne => Some(op),
        Op::F64Add | Op::F64Mul | Op::F64Eq | Op::F64Ne => Some(op),
        Op::F32Lt => Some(Op::F32Gt),
        Op::F32Gt => Some(Op::F32Lt),
        Op::F32Le => Some(Op::F32Ge),
        Op::F32Ge => Some(Op::F32Le),
        Op::F64Lt => Some(Op::F64Gt),
        Op::F64Gt => Some(Op::F64Lt),
        Op::F64Le => Some(Op::F64Ge),
        Op::F64Ge => Some(Op::F64Le),
        _ => None,
    })
}
