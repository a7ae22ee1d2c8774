//! How a shape becomes a handler: trees of operators into registers, then the root.
//!
//! Every operator of a tree is evaluated in program order, left before right, into a register
//! that its parent names. Leaves are read as late as possible; a register that a shape sets is
//! written early only if nothing reads it afterwards. What can end the run is numbered in the order in which it is
//! done, which is that of `vm_translate::Function::trap_offsets`.

use vm_translate::shape::Symbol;
use vm_translate::{Op, Ty};

use crate::asm::*;
use crate::operands::{HANDLER_BYTES, TARGET_BYTES, cell_bytes, has_target, operand_bytes};
use crate::operators::*;
use vm_translate::shape::table::{Shape, Tree};

mod floats;
mod ints;
mod roots;
mod vectors;

pub(crate) use roots::{LOOP_HEAD, call_object, check_reference, table_function};

/// A tree whose operands have their places in the cell.
enum Value {
    Leaf {
        symbol: Symbol,
        at: u32,
    },
    Op {
        op: Op,
        /// Where its immediate stands, if it has one.
        at: u32,
        operands: Vec<Value>,
    },
}

/// Gives every symbol its place, in the order of `operands.rs`.
struct Places {
    next: u32,
}

impl Places {
    fn take(&mut self, symbol: Symbol) -> u32 {
        self.take_bytes(operand_bytes(symbol))
    }

    fn take_bytes(&mut self, bytes: u32) -> u32 {
        let at = self.next;
        self.next += bytes;
        at
    }

    fn value(&mut self, tree: &Tree) -> Value {
        match tree {
            Tree::Leaf(symbol) => Value::Leaf {
                symbol: *symbol,
                at: self.take(*symbol),
            },
            Tree::Op(op, operands) => {
                let at = self.take(Symbol::Op(*op));
                Value::Op {
                    op: *op,
                    at,
                    operands: operands.iter().map(|tree| self.value(tree)).collect(),
                }
            }
        }
    }
}

/// Where the operands stand that a root has of its own.
#[derive(Clone, Copy)]
pub(crate) struct RootPlaces {
    /// The address of a cell, if it has one.
    target: u32,
    /// The others.
    own: u32,
}

/// Why a shape has no handler: the table asks for more than templates can do.
#[derive(Debug)]
pub(crate) struct NoTemplate(pub(crate) String);

/// What a comparison compares, see [`Templates::condition`].
enum Condition {
    Int(Cond),
    Float(FloatCond, Width, Float, Float),
}

pub(crate) struct Templates<'a, A> {
    asm: &'a mut A,
    free: Vec<Reg>,
    free_floats: Vec<Float>,
    free_vectors: Vec<Float>,
    /// Branches that leave before the last root: where each jumps to, and where its target stands.
    leaving: Vec<(Label, Mem)>,
}

type Done = Result<(), NoTemplate>;

/// Writes the handler of a shape.
pub(crate) fn emit<A: Assembler>(asm: &mut A, shape: &Shape) -> Done {
    let mut places = Places {
        next: HANDLER_BYTES,
    };
    let targets: Vec<u32> = (shape.roots.iter())
        .filter(|root| has_target(root.root))
        .map(|_| places.take_bytes(TARGET_BYTES))
        .collect();
    let mut targets = targets.into_iter();
    let roots: Vec<_> = shape
        .roots
        .iter()
        .map(|root| {
            let (target, bytes) = match has_target(root.root) {
                true => (targets.next(), operand_bytes(root.root) - TARGET_BYTES),
                false => (None, operand_bytes(root.root)),
            };
            let at = RootPlaces {
                target: target.unwrap_or_default(),
                own: places.take_bytes(bytes),
            };
            let values: Vec<_> = root.trees.iter().map(|tree| places.value(tree)).collect();
            (root, at, values)
        })
        .collect();
    let bytes = cell_bytes(places.next - HANDLER_BYTES);
    let mut templates = Templates {
        asm,
        free: vec![Reg::S2, Reg::S1, Reg::S0],
        free_floats: vec![Float::S1, Float::S0],
        free_vectors: (0..VECTORS).rev().map(Float::Vector).collect(),
        leaving: Vec::new(),
    };
    let last = roots.len() - 1;
    for (n, (root, at, values)) in roots.iter().enumerate() {
        match (root.root, n == last) {
            (Symbol::BrIf, false) => templates.leave(&values[0], true, Mem::Operand(at.target))?,
            (Symbol::BrUnless, false) => {
                templates.leave(&values[0], false, Mem::Operand(at.target))?
            }
            (Symbol::LoopIf, false) => templates.leave(&values[0], true, LOOP_HEAD)?,
            (Symbol::LoopUnless, false) => templates.leave(&values[0], false, LOOP_HEAD)?,
            (other, false) if other.ends_cell() => {
                return Err(NoTemplate(format!("{:?} before another root", root.root)));
            }
            _ => templates.root(root, *at, values, bytes)?,
        }
    }
    if !dispatches(roots[last].0.root) {
        templates.asm.dispatch(bytes);
    }
    for (label, at) in std::mem::take(&mut templates.leaving) {
        templates.asm.bind(label);
        templates.asm.branch_to(at);
    }
    Ok(())
}

/// Whether a root goes on with the next cell by itself, where it is the last.
fn dispatches(root: Symbol) -> bool {
    root.is_conditional() || root.ends_cell()
}

impl<A: Assembler> Templates<'_, A> {
    fn take(&mut self) -> Result<Reg, NoTemplate> {
        self.free
            .pop()
            .ok_or_else(|| NoTemplate("too many values at once".into()))
    }

    fn give(&mut self, reg: Reg) {
        self.free.push(reg);
    }

    fn take_float(&mut self) -> Result<Float, NoTemplate> {
        self.free_floats
            .pop()
            .ok_or_else(|| NoTemplate("too many float values at once".into()))
    }

    fn give_float(&mut self, float: Float) {
        self.free_floats.push(float);
    }

    fn release(&mut self, reg: Option<Reg>) {
        if let Some(reg) = reg {
            self.give(reg);
        }
    }

    fn release_float(&mut self, float: Option<Float>) {
        if let Some(float) = float {
            self.give_float(float);
        }
    }

    /// A slot's value, by way of its offset in [`Reg::Address`].
    fn slot(&mut self, at: u32) -> Mem {
        let offset = Src::Mem(Mem::Operand(at));
        self.asm.load(Width::W32, Reg::Address, offset);
        Mem::Slot(Reg::Address)
    }

    /// A leaf as an operand. May use [`Reg::Address`].
    fn leaf(&mut self, symbol: Symbol, at: u32, ty: Ty) -> Result<Src, NoTemplate> {
        Ok(match (symbol, width(ty)) {
            (Symbol::Int(n), _) => Src::Reg(Reg::Value(n)),
            (Symbol::Slot, _) => Src::Mem(self.slot(at)),
            (Symbol::Const32, Width::W64) if ty == Ty::I64 => {
                self.asm.load_signed32(Reg::Address, Mem::Operand(at));
                Src::Reg(Reg::Address)
            }
            (Symbol::Const32 | Symbol::Const64, _) => Src::Mem(Mem::Operand(at)),
            (other, _) => return Err(NoTemplate(format!("{other:?} as an integer"))),
        })
    }

    /// The condition that a tree's i32 value is not zero.
    fn truth(&mut self, value: &Value) -> Result<Condition, NoTemplate> {
        match value {
            Value::Op { op, operands, .. } if comparison(*op) => self.condition(*op, operands),
            Value::Op {
                op: Op::I32And,
                operands,
                ..
            } => {
                let reg = self.take()?;
                self.int(&operands[0], Ty::I32, reg)?;
                let (src, held) = self.operand(&operands[1], Ty::I32)?;
                self.asm.alu(Alu::And, Width::W32, reg, src);
                self.release(held);
                self.give(reg);
                Ok(Condition::Int(Cond::Ne))
            }
            _ => {
                if let Value::Op { op, operands, .. } = value
                    && let Some(cond) = self.vector_test(*op, operands)?
                {
                    return Ok(Condition::Int(cond));
                }
                let (reg, held) = self.register(value, Ty::I32)?;
                self.asm.test(Width::W32, reg);
                self.release(held);
                Ok(Condition::Int(Cond::Ne))
            }
        }
    }

    /// Evaluates a comparison up to its condition. Float operands stay in their registers.
    fn condition(&mut self, op: Op, operands: &[Value]) -> Result<Condition, NoTemplate> {
        let ty = op.params()[0];
        let w = width(ty);
        if let Some(cond) = float_condition(op) {
            let (a, held_a) = self.float_register(&operands[0], ty)?;
            let (b, held_b) = self.float_register(&operands[1], ty)?;
            self.release_float(held_b);
            self.release_float(held_a);
            return Ok(Condition::Float(cond, w, a, b));
        }
        if matches!(op, Op::I32Eqz | Op::I64Eqz) {
            let (reg, held) = self.register(&operands[0], ty)?;
            self.asm.test(w, reg);
            self.release(held);
            return Ok(Condition::Int(Cond::Eq));
        }
        let cond = int_condition(op).ok_or_else(|| NoTemplate(format!("no condition for {op}")))?;
        let (a, held_a) = self.register(&operands[0], ty)?;
        let (b, held_b) = self.operand(&operands[1], ty)?;
        self.asm.compare(w, a, b);
        self.release(held_b);
        self.release(held_a);
        Ok(Condition::Int(cond))
    }

    /// The address of an access, in [`Reg::Address`]: the tree's value plus the offset at `at`,
    /// compared with the memory's length if the access is checked.
    fn address(
        &mut self,
        value: &Value,
        at: u32,
        bytes: u32,
        unchecked: bool,
    ) -> Result<Reg, NoTemplate> {
        let (index, held) = self.register(value, Ty::I32)?;
        self.add_offset(index, at);
        // Checking takes a register too.
        self.release(held);
        self.check(bytes, unchecked)
    }

    /// The same from an index in a register.
    fn address_from(
        &mut self,
        index: Reg,
        at: u32,
        bytes: u32,
        unchecked: bool,
    ) -> Result<Reg, NoTemplate> {
        self.add_offset(index, at);
        self.check(bytes, unchecked)
    }

    /// The sum of an index and the offset at `at`, in [`Reg::Address`].
    fn add_offset(&mut self, index: Reg, at: u32) {
        let offset = Src::Mem(Mem::Operand(at));
        self.asm.load(Width::W32, Reg::Address, offset);
        let index = Src::Reg(index);
        self.asm.alu(Alu::Add, Width::W64, Reg::Address, index);
    }

    /// Compares the end of the access at [`Reg::Address`] with the memory's length, unless it needs
    /// no check.
    fn check(&mut self, bytes: u32, unchecked: bool) -> Result<Reg, NoTemplate> {
        let address = Reg::Address;
        self.asm.trap_site(unchecked);
        if !unchecked {
            let end = self.take()?;
            self.asm.address_of(end, Mem::At(address, bytes as i32));
            let len = Src::Mem(Mem::At(Reg::Context, MEMORY_LEN));
            self.asm.compare(Width::W64, end, len);
            self.asm.exit_if(Cond::GtU, Exit::MemoryOutOfBounds);
            self.give(end);
        }
        Ok(address)
    }

    /// The address of a global's value, in [`Reg::Address`].
    fn global(&mut self, at: u32) -> Mem {
        let address = Reg::Address;
        self.asm
            .load(Width::W32, address, Src::Mem(Mem::Operand(at)));
        let cell = Src::Mem(Mem::ContextWord(address));
        self.asm.load(Width::W64, address, cell);
        Mem::At(address, 0)
    }
}

/// The offset of the length of memory 0 in a context.
const MEMORY_LEN: i32 = 8;
