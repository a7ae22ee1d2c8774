//! How a shape becomes a handler: trees of operators into registers, then the root.
//!
//! Every operator of a tree is evaluated in program order, left before right, into a register
//! that its parent names. Leaves are read as late as possible; a register that a shape sets is
//! written early only if nothing reads it afterwards.

use vm_translate::shape::{SetSymbol, Symbol};
use vm_translate::{Effect, Op, StoreOp, Ty};

use crate::asm::*;
use crate::operands::{HANDLER_BYTES, cell_bytes, operand_bytes};
use crate::table::{RootShape, Shape, Tree};

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
        let at = self.next;
        self.next += operand_bytes(symbol);
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
}

type Done = Result<(), NoTemplate>;

/// Writes the handler of a shape.
pub(crate) fn emit<A: Assembler>(asm: &mut A, shape: &Shape) -> Done {
    let mut places = Places {
        next: HANDLER_BYTES,
    };
    let roots: Vec<_> = shape
        .roots
        .iter()
        .map(|root| {
            let at = places.take(root.root);
            let values: Vec<_> = root.trees.iter().map(|tree| places.value(tree)).collect();
            (root, at, values)
        })
        .collect();
    let bytes = cell_bytes(places.next - HANDLER_BYTES);
    let mut templates = Templates {
        asm,
        free: vec![Reg::S2, Reg::S1, Reg::S0],
        free_floats: vec![Float::S1, Float::S0],
    };
    let last = roots.len() - 1;
    for (n, (root, at, values)) in roots.iter().enumerate() {
        templates.root(root, *at, values, bytes)?;
        let dispatches = matches!(
            root.root,
            Symbol::BrIf | Symbol::BrUnless | Symbol::BrTable | Symbol::CallIndirect
        );
        match (n == last, dispatches) {
            (true, false) => templates.asm.dispatch(bytes),
            (false, true) => return Err(NoTemplate("a branch before another root".into())),
            _ => {}
        }
    }
    Ok(())
}

fn width(ty: Ty) -> Width {
    match ty {
        Ty::I32 | Ty::F32 => Width::W32,
        Ty::I64 | Ty::F64 => Width::W64,
    }
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

    /// A tree as the second operand of an instruction: a leaf as it is, anything else in a
    /// scratch register, which the caller gives back.
    fn operand(&mut self, value: &Value, ty: Ty) -> Result<(Src, Option<Reg>), NoTemplate> {
        match value {
            Value::Leaf { symbol, at } => Ok((self.leaf(*symbol, *at, ty)?, None)),
            Value::Op { .. } => {
                let reg = self.take()?;
                self.int(value, ty, reg)?;
                Ok((Src::Reg(reg), Some(reg)))
            }
        }
    }

    fn release(&mut self, reg: Option<Reg>) {
        if let Some(reg) = reg {
            self.give(reg);
        }
    }

    /// A tree as a register: a leaf register as it is, anything else in a scratch register,
    /// which the caller gives back.
    fn register(&mut self, value: &Value, ty: Ty) -> Result<(Reg, Option<Reg>), NoTemplate> {
        if let Value::Leaf {
            symbol: Symbol::Int(n),
            ..
        } = value
        {
            return Ok((Reg::Value(*n), None));
        }
        let reg = self.take()?;
        self.int(value, ty, reg)?;
        Ok((reg, Some(reg)))
    }

    /// Evaluates a tree of the integer kind into a register.
    fn int(&mut self, value: &Value, ty: Ty, into: Reg) -> Done {
        let (op, at, operands) = match value {
            Value::Leaf { symbol, at } => {
                if *symbol == Symbol::Const32 && ty == Ty::I64 {
                    self.asm.load_signed32(into, Mem::Operand(*at));
                    return Ok(());
                }
                let src = self.leaf(*symbol, *at, ty)?;
                self.asm.load(width(ty), into, src);
                return Ok(());
            }
            Value::Op { op, at, operands } => (*op, *at, &operands[..]),
        };
        let w = width(op.result());
        if let Some(alu) = alu(op) {
            self.int(&operands[0], op.params()[0], into)?;
            let (src, held) = self.operand(&operands[1], op.params()[1])?;
            self.asm.alu(alu, w, into, src);
            self.release(held);
        } else if let Some(shift) = shift(op) {
            self.int(&operands[0], op.params()[0], into)?;
            // The count's low bits count: the low half of whatever it is will do.
            let (src, held) = self.operand(&operands[1], Ty::I32)?;
            self.asm.shift(shift, w, into, src);
            self.release(held);
        } else if let Some(unary) = unary(op) {
            self.int(&operands[0], op.params()[0], into)?;
            self.asm.unary(unary, w, into, into);
        } else if let Some(div) = div(op) {
            let ty = op.params()[0];
            let [
                Value::Leaf { symbol, at },
                Value::Leaf {
                    symbol: divisor,
                    at: divisor_at,
                },
            ] = operands
            else {
                return Err(NoTemplate(format!("{op} of trees")));
            };
            let ours = |reg| into == reg || self.free.contains(&reg);
            if !(ours(Reg::S0) && ours(Reg::S1) && ours(Reg::S2)) {
                return Err(NoTemplate(format!("{op} inside a tree")));
            }
            // Division has registers of its own, so the dividend waits in the one that is left.
            let dividend = match symbol {
                Symbol::Int(n) => Reg::Value(*n),
                _ => {
                    let src = self.leaf(*symbol, *at, ty)?;
                    self.asm.load(w, Reg::S2, src);
                    Reg::S2
                }
            };
            let divisor = self.leaf(*divisor, *divisor_at, ty)?;
            self.asm.div(div, w, into, Src::Reg(dividend), divisor);
        } else if comparison(op) {
            let condition = self.condition(op, operands)?;
            match condition {
                Condition::Int(cond) => self.asm.set_condition(cond, into),
                Condition::Float(cond, w, a, b) => {
                    self.asm.float_set_condition(cond, w, a, b, into);
                }
            }
        } else if let Effect::Load { width, unchecked } = op.effect() {
            let address = self.address(&operands[0], at, width, unchecked)?;
            self.asm
                .load_extend(extend(op, width), into, Mem::Guest(address));
        } else {
            match op {
                Op::GlobalGet => {
                    let place = Src::Mem(Mem::Operand(at));
                    self.asm.load(Width::W32, Reg::Address, place);
                    let cell = Src::Mem(Mem::ContextWord(Reg::Address));
                    self.asm.load(Width::W64, Reg::Address, cell);
                    let value = Src::Mem(Mem::At(Reg::Address, 0));
                    self.asm.load(Width::W64, into, value);
                }
                Op::Select => {
                    self.int(&operands[0], Ty::I64, into)?;
                    let (other, held) = self.register(&operands[1], Ty::I64)?;
                    match self.truth(&operands[2])? {
                        Condition::Int(cond) => {
                            self.asm.move_unless(cond, Width::W64, into, other);
                        }
                        Condition::Float(cond, w, a, b) => {
                            let (first, second) = (self.asm.new_label(), self.asm.new_label());
                            self.asm.float_jump_unless(cond, w, a, b, second);
                            self.asm.jump_always(first);
                            self.asm.bind(second);
                            self.asm.load(Width::W64, into, Src::Reg(other));
                            self.asm.bind(first);
                        }
                    }
                    self.release(held);
                }
                // An i32's upper half is zero already, whoever made it.
                Op::I64ExtendI32U => self.int(&operands[0], Ty::I32, into)?,
                Op::I32WrapI64 => {
                    if let Value::Op { .. } = operands[0] {
                        self.int(&operands[0], Ty::I64, into)?;
                        self.asm.load(Width::W32, into, Src::Reg(into));
                    } else {
                        self.int(&operands[0], Ty::I32, into)?;
                    }
                }
                Op::I32ReinterpretF32 | Op::I64ReinterpretF64 => {
                    let ty = op.params()[0];
                    let (float, held) = self.float_register(&operands[0], ty)?;
                    self.asm.float_to_bits(w, into, float);
                    self.release_float(held);
                }
                _ => {
                    let Some((to, signed)) = truncation(op) else {
                        return Err(NoTemplate(format!("no template for {op}")));
                    };
                    let ty = op.params()[0];
                    let (float, held) = self.float_register(&operands[0], ty)?;
                    self.asm.float_to_int(to, signed, into, width(ty), float);
                    self.release_float(held);
                }
            }
        }
        Ok(())
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
        let offset = Src::Mem(Mem::Operand(at));
        if let Value::Leaf {
            symbol: Symbol::Int(n),
            ..
        } = value
        {
            self.asm.load(Width::W32, Reg::Address, offset);
            let index = Src::Reg(Reg::Value(*n));
            self.asm.alu(Alu::Add, Width::W64, Reg::Address, index);
        } else {
            let index = self.take()?;
            self.int(value, Ty::I32, index)?;
            self.asm.load(Width::W32, Reg::Address, offset);
            self.asm
                .alu(Alu::Add, Width::W64, Reg::Address, Src::Reg(index));
            self.give(index);
        }
        if !unchecked {
            let end = self.take()?;
            let width = bytes as i32;
            self.asm.address_of(end, Mem::At(Reg::Address, width));
            let len = Src::Mem(Mem::At(Reg::Context, MEMORY_LEN));
            self.asm.compare(Width::W64, end, len);
            self.asm.exit_if(Cond::GtU, Exit::MemoryOutOfBounds);
            self.give(end);
        }
        Ok(Reg::Address)
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
                let (reg, held) = self.register(value, Ty::I32)?;
                self.asm.test(Width::W32, reg);
                self.release(held);
                Ok(Condition::Int(Cond::Ne))
            }
        }
    }

    fn release_float(&mut self, float: Option<Float>) {
        if let Some(float) = float {
            self.give_float(float);
        }
    }

    /// A tree of the float kind as a register, like [`Templates::register`].
    fn float_register(
        &mut self,
        value: &Value,
        ty: Ty,
    ) -> Result<(Float, Option<Float>), NoTemplate> {
        if let Value::Leaf {
            symbol: Symbol::Float(n),
            ..
        } = value
        {
            return Ok((Float::Value(*n), None));
        }
        let float = self.take_float()?;
        self.float(value, ty, float)?;
        Ok((float, Some(float)))
    }

    /// A tree of the float kind as an operand, like [`Templates::operand`].
    fn float_operand(
        &mut self,
        value: &Value,
        ty: Ty,
    ) -> Result<(FloatSrc, Option<Float>), NoTemplate> {
        match value {
            Value::Leaf {
                symbol: Symbol::Slot,
                at,
            } => Ok((FloatSrc::Mem(self.slot(*at)), None)),
            Value::Leaf {
                symbol: Symbol::Const32 | Symbol::Const64,
                at,
            } => Ok((FloatSrc::Mem(Mem::Operand(*at)), None)),
            _ => {
                let (float, held) = self.float_register(value, ty)?;
                Ok((FloatSrc::Reg(float), held))
            }
        }
    }

    /// Evaluates a tree of the float kind into a register.
    fn float(&mut self, value: &Value, ty: Ty, into: Float) -> Done {
        let (op, at, operands) = match value {
            Value::Leaf { .. } => {
                if let Value::Leaf {
                    symbol: Symbol::Float(n),
                    ..
                } = value
                {
                    let from = FloatSrc::Reg(Float::Value(*n));
                    self.asm.float_load(width(ty), into, from);
                } else {
                    let (src, _) = self.float_operand(value, ty)?;
                    self.asm.float_load(width(ty), into, src);
                }
                return Ok(());
            }
            Value::Op { op, at, operands } => (*op, *at, &operands[..]),
        };
        let w = width(op.result());
        if let Some(alu) = float_alu(op) {
            self.float(&operands[0], ty, into)?;
            let (src, held) = self.float_operand(&operands[1], ty)?;
            self.asm.float_alu(alu, w, into, src);
            self.release_float(held);
        } else if let Some(unary) = float_unary(op) {
            let (src, held) = self.float_operand(&operands[0], ty)?;
            self.asm.float_unary(unary, w, into, src);
            self.release_float(held);
        } else if let Effect::Load { width, unchecked } = op.effect() {
            let address = self.address(&operands[0], at, width, unchecked)?;
            let from = FloatSrc::Mem(Mem::Guest(address));
            self.asm.float_load(w, into, from);
        } else {
            match op {
                Op::GlobalGetFloat => {
                    let place = Src::Mem(Mem::Operand(at));
                    self.asm.load(Width::W32, Reg::Address, place);
                    let cell = Src::Mem(Mem::ContextWord(Reg::Address));
                    self.asm.load(Width::W64, Reg::Address, cell);
                    let value = FloatSrc::Mem(Mem::At(Reg::Address, 0));
                    self.asm.float_load(Width::W64, into, value);
                }
                Op::SelectFloat => {
                    self.float(&operands[0], Ty::F64, into)?;
                    let (other, held) = self.float_register(&operands[1], Ty::F64)?;
                    let (first, second) = (self.asm.new_label(), self.asm.new_label());
                    match self.truth(&operands[2])? {
                        Condition::Int(cond) => self.asm.jump_if(cond, first),
                        Condition::Float(cond, w, a, b) => {
                            self.asm.float_jump_unless(cond, w, a, b, second);
                            self.asm.jump_always(first);
                        }
                    }
                    self.asm.bind(second);
                    let other = FloatSrc::Reg(other);
                    self.asm.float_load(Width::W64, into, other);
                    self.asm.bind(first);
                    self.release_float(held);
                }
                Op::F32ReinterpretI32 | Op::F64ReinterpretI64 => {
                    let (reg, held) = self.register(&operands[0], op.params()[0])?;
                    self.asm.float_from_bits(w, into, reg);
                    self.release(held);
                }
                Op::F32DemoteF64 | Op::F64PromoteF32 => {
                    let (src, held) = self.float_operand(&operands[0], op.params()[0])?;
                    self.asm.float_resize(w, into, src);
                    self.release_float(held);
                }
                _ => {
                    let Some(signed) = conversion(op) else {
                        return Err(NoTemplate(format!("no template for {op}")));
                    };
                    let ty = op.params()[0];
                    let (reg, held) = self.register(&operands[0], ty)?;
                    // An unsigned 32-bit integer is a 64-bit one: its upper half is zero.
                    let from = if signed { width(ty) } else { Width::W64 };
                    self.asm.float_from_int(w, into, from, reg);
                    self.release(held);
                }
            }
        }
        Ok(())
    }

    fn root(&mut self, root: &RootShape, at: u32, values: &[Value], bytes: u32) -> Done {
        match root.root {
            Symbol::Set(place) => self.set(place, at, &root.trees[0], &values[0]),
            Symbol::Store(op) => self.store(op, at, &values[0], &values[1]),
            Symbol::GlobalSet => {
                let (reg, held) = self.register(&values[0], Ty::I64)?;
                self.global_cell(at);
                self.asm.store(Width::W64, Mem::At(Reg::Address, 0), reg);
                self.release(held);
                Ok(())
            }
            Symbol::GlobalSetFloat => {
                let (float, held) = self.float_register(&values[0], Ty::F64)?;
                self.global_cell(at);
                self.asm
                    .float_store(Width::W64, Mem::At(Reg::Address, 0), float);
                self.release_float(held);
                Ok(())
            }
            Symbol::BrIf => self.branch(&values[0], true, at, bytes),
            Symbol::BrUnless => self.branch(&values[0], false, at, bytes),
            Symbol::BrTable => self.branch_table(&values[0], at, bytes),
            Symbol::CallIndirect => self.call_indirect(&values[0], at, bytes),
            other => Err(NoTemplate(format!("{other:?} as a root"))),
        }
    }

    fn global_cell(&mut self, at: u32) {
        let place = Src::Mem(Mem::Operand(at));
        self.asm.load(Width::W32, Reg::Address, place);
        let cell = Src::Mem(Mem::ContextWord(Reg::Address));
        self.asm.load(Width::W64, Reg::Address, cell);
    }

    fn set(&mut self, place: SetSymbol, at: u32, tree: &Tree, value: &Value) -> Done {
        let ty = match tree {
            Tree::Op(op, _) => op.result(),
            Tree::Leaf(_) if matches!(place, SetSymbol::Float(_)) => Ty::F64,
            Tree::Leaf(Symbol::Float(_)) => Ty::F64,
            Tree::Leaf(_) => Ty::I64,
        };
        match place {
            SetSymbol::Slot if ty.is_float() => {
                let (float, held) = self.float_register(value, ty)?;
                let slot = self.slot(at);
                // All of the slot is written, so that a later 64-bit read finds one store.
                self.asm.float_store(Width::W64, slot, float);
                self.release_float(held);
            }
            SetSymbol::Slot => {
                let (reg, held) = self.register(value, ty)?;
                let slot = self.slot(at);
                self.asm.store(Width::W64, slot, reg);
                self.release(held);
            }
            SetSymbol::Int(n) => {
                let register = Reg::Value(n);
                if read_late(tree, Symbol::Int(n)) {
                    let reg = self.take()?;
                    self.int(value, ty, reg)?;
                    self.asm.load(Width::W64, register, Src::Reg(reg));
                    self.give(reg);
                } else {
                    self.int(value, ty, register)?;
                }
            }
            SetSymbol::Float(n) => {
                let register = Float::Value(n);
                if read_late(tree, Symbol::Float(n)) {
                    let float = self.take_float()?;
                    self.float(value, ty, float)?;
                    self.asm
                        .float_load(Width::W64, register, FloatSrc::Reg(float));
                    self.give_float(float);
                } else {
                    self.float(value, ty, register)?;
                }
            }
        }
        Ok(())
    }

    fn store(&mut self, op: StoreOp, at: u32, address: &Value, value: &Value) -> Done {
        // What the address is computed from comes first, then the value, then the address:
        // `Address` lives too shortly to wait for the value.
        let (index, held_index) = match address {
            Value::Op { .. } => {
                let (reg, held) = self.register(address, Ty::I32)?;
                (
                    Value::Leaf {
                        symbol: Symbol::Slot,
                        at: 0,
                    },
                    Some((reg, held)),
                )
            }
            Value::Leaf { symbol, at } => (
                Value::Leaf {
                    symbol: *symbol,
                    at: *at,
                },
                None,
            ),
        };
        let float = match value {
            Value::Op { op, .. } => op.result().is_float(),
            Value::Leaf { symbol, .. } => matches!(symbol, Symbol::Float(_)),
        };
        if float {
            let (float, held) = self.float_register(value, op.value())?;
            let address = self.store_address(&index, held_index, at, op)?;
            self.asm
                .float_store(width(op.value()), Mem::Guest(address), float);
            self.release_float(held);
        } else {
            // A float in a slot or a constant is moved as bits.
            let ty = match op.value() {
                Ty::F32 => Ty::I32,
                Ty::F64 => Ty::I64,
                ty => ty,
            };
            let (reg, held) = self.register(value, ty)?;
            let address = self.store_address(&index, held_index, at, op)?;
            self.asm.store_narrow(op.width(), Mem::Guest(address), reg);
            self.release(held);
        }
        if let Some((_, held)) = held_index {
            self.release(held);
        }
        Ok(())
    }

    fn store_address(
        &mut self,
        index: &Value,
        held: Option<(Reg, Option<Reg>)>,
        at: u32,
        op: StoreOp,
    ) -> Result<Reg, NoTemplate> {
        let Some((reg, _)) = held else {
            return self.address(index, at, op.width(), op.unchecked());
        };
        let offset = Src::Mem(Mem::Operand(at));
        self.asm.load(Width::W32, Reg::Address, offset);
        self.asm
            .alu(Alu::Add, Width::W64, Reg::Address, Src::Reg(reg));
        if !op.unchecked() {
            // The index is not needed any more.
            self.asm
                .address_of(reg, Mem::At(Reg::Address, op.width() as i32));
            let len = Src::Mem(Mem::At(Reg::Context, MEMORY_LEN));
            self.asm.compare(Width::W64, reg, len);
            self.asm.exit_if(Cond::GtU, Exit::MemoryOutOfBounds);
        }
        Ok(Reg::Address)
    }

    /// Two separate dispatches, so that each successor is predicted on its own.
    fn branch(&mut self, value: &Value, when: bool, at: u32, bytes: u32) -> Done {
        let stay = self.asm.new_label();
        match (self.truth(value)?, when) {
            (Condition::Int(cond), true) => self.asm.jump_if(cond.negated(), stay),
            (Condition::Int(cond), false) => self.asm.jump_if(cond, stay),
            (Condition::Float(cond, w, a, b), true) => {
                self.asm.float_jump_unless(cond, w, a, b, stay);
            }
            (Condition::Float(cond, w, a, b), false) => {
                let take = self.asm.new_label();
                self.asm.float_jump_unless(cond, w, a, b, take);
                self.asm.jump_always(stay);
                self.asm.bind(take);
            }
        }
        self.asm.branch(at);
        self.asm.bind(stay);
        self.asm.dispatch(bytes);
        Ok(())
    }

    /// The targets follow the cell, 4 bytes each, the default last.
    fn branch_table(&mut self, value: &Value, at: u32, bytes: u32) -> Done {
        let index = self.take()?;
        self.int(value, Ty::I32, index)?;
        let last = Src::Mem(Mem::Operand(at));
        self.asm.load(Width::W32, Reg::Address, last);
        self.asm.compare(Width::W32, index, Src::Reg(Reg::Address));
        self.asm
            .move_unless(Cond::LtU, Width::W32, index, Reg::Address);
        self.asm.table_entry(Reg::Address, index);
        self.asm.branch_by(Mem::At(Reg::Address, bytes as i32));
        self.give(index);
        Ok(())
    }

    fn call_indirect(&mut self, value: &Value, at: u32, bytes: u32) -> Done {
        let index = self.take()?;
        self.int(value, Ty::I32, index)?;
        table_function(self.asm, index, at, at + 4);
        self.give(index);
        call_object(self.asm, at + 8, bytes);
        Ok(())
    }
}

/// The offset of the length of memory 0 in a context.
const MEMORY_LEN: i32 = 8;
/// The offset of the type's number in a function object.
const FUNC_TYPE: i32 = 16;

/// Puts the function object at `index` of a table into [`Reg::Address`]. The operands are the
/// table's place in the context and the number of the type that the function has to have.
pub(crate) fn table_function<A: Assembler>(asm: &mut A, index: Reg, table: u32, ty: u32) {
    let func = Reg::Address;
    asm.load(Width::W32, func, Src::Mem(Mem::Operand(table)));
    asm.load(Width::W64, func, Src::Mem(Mem::ContextWord(func)));
    asm.compare(Width::W64, index, Src::Mem(Mem::At(func, 8)));
    asm.exit_if(Cond::GeU, Exit::UndefinedElement);
    asm.table_element(func, index);
    asm.test(Width::W64, func);
    asm.exit_if(Cond::Eq, Exit::UninitializedElement);
    asm.load(Width::W32, index, Src::Mem(Mem::Operand(ty)));
    asm.compare(Width::W32, index, Src::Mem(Mem::At(func, FUNC_TYPE)));
    asm.exit_if(Cond::Ne, Exit::TypeMismatch);
}

/// Calls the function object in [`Reg::Address`]: the callee's frame is at the operand `frame`.
/// The cell, of `bytes` bytes, is followed by one that takes the context back; a call that stays
/// in its context returns behind that.
pub(crate) fn call_object<A: Assembler>(asm: &mut A, frame: u32, bytes: u32) {
    let (stays, changes) = (asm.new_label(), asm.new_label());
    let func = Reg::Address;
    let callee = Reg::S0;
    asm.load(Width::W32, callee, Src::Mem(Mem::Operand(frame)));
    asm.alu(Alu::Add, Width::W64, callee, Src::Reg(Reg::Frame));
    asm.store(Width::W64, Mem::At(callee, 8), Reg::Frame);
    asm.store(Width::W64, Mem::At(callee, 16), Reg::Context);
    asm.load(Width::W64, Reg::S1, Src::Mem(Mem::At(func, 8)));
    asm.compare(Width::W64, Reg::S1, Src::Reg(Reg::Context));
    asm.jump_if(Cond::Ne, changes);
    asm.bind(stays);
    let restore = cell_bytes(4);
    asm.address_of(Reg::S1, Mem::At(Reg::Ip, (bytes + restore) as i32));
    asm.store(Width::W64, Mem::At(callee, 0), Reg::S1);
    asm.load(Width::W64, Reg::Frame, Src::Reg(callee));
    asm.load(Width::W64, Reg::Ip, Src::Mem(Mem::At(func, 0)));
    asm.dispatch_here();

    asm.bind(changes);
    // A host function has no context of its own: it runs in its caller's.
    asm.test(Width::W64, Reg::S1);
    asm.jump_if(Cond::Eq, stays);
    asm.load(Width::W64, Reg::Context, Src::Reg(Reg::S1));
    asm.load(Width::W64, Reg::Memory, Src::Mem(Mem::At(Reg::Context, 0)));
    asm.address_of(Reg::S1, Mem::At(Reg::Ip, bytes as i32));
    asm.store(Width::W64, Mem::At(callee, 0), Reg::S1);
    asm.load(Width::W64, Reg::Frame, Src::Reg(callee));
    asm.load(Width::W64, Reg::Ip, Src::Mem(Mem::At(func, 0)));
    asm.dispatch_here();
}

/// Whether `register` is read after the tree's first leaf: setting it early would be seen.
fn read_late(tree: &Tree, register: Symbol) -> bool {
    match tree {
        Tree::Leaf(_) => false,
        Tree::Op(op, operands) => {
            // A division and a comparison read both operands before they write.
            if div(*op).is_some() || comparison(*op) {
                return false;
            }
            operands.split_first().is_some_and(|(first, rest)| {
                read_late(first, register) || rest.iter().any(|tree| tree.has_leaf(register))
            })
        }
    }
}

fn alu(op: Op) -> Option<Alu> {
    Some(match op {
        Op::I32Add | Op::I64Add => Alu::Add,
        Op::I32Sub | Op::I64Sub => Alu::Sub,
        Op::I32Mul | Op::I64Mul => Alu::Mul,
        Op::I32And | Op::I64And => Alu::And,
        Op::I32Or | Op::I64Or => Alu::Or,
        Op::I32Xor | Op::I64Xor => Alu::Xor,
        _ => return None,
    })
}

fn shift(op: Op) -> Option<Shift> {
    Some(match op {
        Op::I32Shl | Op::I64Shl => Shift::Shl,
        Op::I32ShrS | Op::I64ShrS => Shift::ShrS,
        Op::I32ShrU | Op::I64ShrU => Shift::ShrU,
        Op::I32Rotl | Op::I64Rotl => Shift::Rotl,
        Op::I32Rotr | Op::I64Rotr => Shift::Rotr,
        _ => return None,
    })
}

fn unary(op: Op) -> Option<Unary> {
    Some(match op {
        Op::I32Clz | Op::I64Clz => Unary::Clz,
        Op::I32Ctz | Op::I64Ctz => Unary::Ctz,
        Op::I32Popcnt | Op::I64Popcnt => Unary::Popcnt,
        Op::I32Extend8S | Op::I64Extend8S => Unary::Extend8,
        Op::I32Extend16S | Op::I64Extend16S => Unary::Extend16,
        Op::I64Extend32S | Op::I64ExtendI32S => Unary::Extend32,
        _ => return None,
    })
}

fn div(op: Op) -> Option<Div> {
    Some(match op {
        Op::I32DivS | Op::I64DivS => Div::DivS,
        Op::I32DivU | Op::I64DivU => Div::DivU,
        Op::I32RemS | Op::I64RemS => Div::RemS,
        Op::I32RemU | Op::I64RemU => Div::RemU,
        _ => return None,
    })
}

fn int_condition(op: Op) -> Option<Cond> {
    Some(match op {
        Op::I32Eq | Op::I64Eq => Cond::Eq,
        Op::I32Ne | Op::I64Ne => Cond::Ne,
        Op::I32LtS | Op::I64LtS => Cond::LtS,
        Op::I32LtU | Op::I64LtU => Cond::LtU,
        Op::I32GtS | Op::I64GtS => Cond::GtS,
        Op::I32GtU | Op::I64GtU => Cond::GtU,
        Op::I32LeS | Op::I64LeS => Cond::LeS,
        Op::I32LeU | Op::I64LeU => Cond::LeU,
        Op::I32GeS | Op::I64GeS => Cond::GeS,
        Op::I32GeU | Op::I64GeU => Cond::GeU,
        _ => return None,
    })
}

fn float_condition(op: Op) -> Option<FloatCond> {
    Some(match op {
        Op::F32Eq | Op::F64Eq => FloatCond::Eq,
        Op::F32Ne | Op::F64Ne => FloatCond::Ne,
        Op::F32Lt | Op::F64Lt => FloatCond::Lt,
        Op::F32Gt | Op::F64Gt => FloatCond::Gt,
        Op::F32Le | Op::F64Le => FloatCond::Le,
        Op::F32Ge | Op::F64Ge => FloatCond::Ge,
        _ => return None,
    })
}

fn comparison(op: Op) -> bool {
    matches!(op, Op::I32Eqz | Op::I64Eqz)
        || int_condition(op).is_some()
        || float_condition(op).is_some()
}

fn float_alu(op: Op) -> Option<FloatAlu> {
    Some(match op {
        Op::F32Add | Op::F64Add => FloatAlu::Add,
        Op::F32Sub | Op::F64Sub => FloatAlu::Sub,
        Op::F32Mul | Op::F64Mul => FloatAlu::Mul,
        Op::F32Div | Op::F64Div => FloatAlu::Div,
        Op::F32Min | Op::F64Min => FloatAlu::Min,
        Op::F32Max | Op::F64Max => FloatAlu::Max,
        Op::F32Copysign | Op::F64Copysign => FloatAlu::Copysign,
        _ => return None,
    })
}

fn float_unary(op: Op) -> Option<FloatUnary> {
    Some(match op {
        Op::F32Abs | Op::F64Abs => FloatUnary::Abs,
        Op::F32Neg | Op::F64Neg => FloatUnary::Neg,
        Op::F32Sqrt | Op::F64Sqrt => FloatUnary::Sqrt,
        Op::F32Ceil | Op::F64Ceil => FloatUnary::Ceil,
        Op::F32Floor | Op::F64Floor => FloatUnary::Floor,
        Op::F32Trunc | Op::F64Trunc => FloatUnary::Trunc,
        Op::F32Nearest | Op::F64Nearest => FloatUnary::Nearest,
        _ => return None,
    })
}

/// Whether a conversion from an integer is of a signed one; unsigned 64 bits have no template.
fn conversion(op: Op) -> Option<bool> {
    Some(match op {
        Op::F32ConvertI32S | Op::F64ConvertI32S | Op::F32ConvertI64S | Op::F64ConvertI64S => true,
        Op::F32ConvertI32U | Op::F64ConvertI32U => false,
        _ => return None,
    })
}

/// The width of a trapping conversion to an integer and whether it is signed.
fn truncation(op: Op) -> Option<(Width, bool)> {
    Some(match op {
        Op::I32TruncF32S | Op::I32TruncF64S => (Width::W32, true),
        Op::I32TruncF32U | Op::I32TruncF64U => (Width::W32, false),
        Op::I64TruncF32S | Op::I64TruncF64S => (Width::W64, true),
        _ => return None,
    })
}

/// How a load's bytes become a value, read off its name.
fn extend(op: Op, bytes: u32) -> Extend {
    let name = op.name().trim_end_matches(".unchecked");
    Extend {
        bytes,
        signed: name.ends_with("_s"),
        to: width(op.result()),
    }
}
