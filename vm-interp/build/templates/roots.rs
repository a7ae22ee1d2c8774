//! What roots do with the values of their trees.

use vm_translate::shape::{SetSymbol, Symbol};
use vm_translate::{Op, StoreOp, Ty};

use super::{Condition, Done, NoTemplate, RootPlaces, Templates, Value};
use crate::asm::*;
use crate::control::{leave_frame, restore_ints, slot_address};
use crate::operands::{LOOP_HEAD_SLOT, cell_bytes};
use crate::operators::*;
use vm_translate::shape::table::{RootShape, Tree};

/// The offset of the type's number in a function object.
const FUNC_TYPE: i32 = 16;
/// Where the loop begins that was entered last. A branch there does not wait for the cell that it is
/// in, as one with its target in the cell does: turns of the loop overlap.
pub(crate) const LOOP_HEAD: Mem = Mem::At(Reg::Frame, 8 * LOOP_HEAD_SLOT);

impl<A: Assembler> Templates<'_, A> {
    pub(super) fn root(
        &mut self,
        root: &RootShape,
        places: RootPlaces,
        values: &[Value],
        bytes: u32,
    ) -> Done {
        let at = places.own;
        let target = Mem::Operand(places.target);
        match root.root {
            Symbol::Set(place) => self.set(place, at, &root.trees[0], &values[0]),
            Symbol::Store(op) => self.store(op, at, &values[0], &values[1]),
            Symbol::GlobalSet => {
                let (reg, held) = self.register(&values[0], Ty::I64)?;
                let cell = self.global(at);
                self.asm.store(Width::W64, cell, reg);
                self.release(held);
                Ok(())
            }
            Symbol::GlobalSetFloat => {
                let (float, held) = self.float_register(&values[0], Ty::F64)?;
                let cell = self.global(at);
                self.asm.float_store(Width::W64, cell, float);
                self.release_float(held);
                Ok(())
            }
            Symbol::GlobalSetVector => {
                self.vector(&values[0], Float::S0)?;
                let cell = self.global(at);
                self.asm.vector_store(cell, Float::S0);
                Ok(())
            }
            Symbol::BrIf => self.branch(&values[0], true, target, bytes),
            Symbol::BrUnless => self.branch(&values[0], false, target, bytes),
            Symbol::LoopIf => self.branch(&values[0], true, LOOP_HEAD, bytes),
            Symbol::LoopUnless => self.branch(&values[0], false, LOOP_HEAD, bytes),
            Symbol::BrTable => self.branch_table(&values[0], at, bytes),
            Symbol::CallIndirect => self.call_indirect(&values[0], at, bytes),
            Symbol::CallRef => self.call_ref(&values[0], at, bytes),
            Symbol::Br => {
                self.asm.branch_to(target);
                Ok(())
            }
            Symbol::Loop => {
                self.asm.branch_to(LOOP_HEAD);
                Ok(())
            }
            Symbol::Call => {
                self.call(places, bytes);
                Ok(())
            }
            Symbol::Return(ints) => {
                restore_ints(self.asm, ints, at);
                leave_frame(self.asm);
                Ok(())
            }
            other => Err(NoTemplate(format!("{other:?} as a root"))),
        }
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
                if let Some((alu, op, other)) = onto(tree, value, Symbol::Int(n)) {
                    let (src, held) = self.operand(other, op.result())?;
                    self.asm.alu(alu, width(op.result()), register, src);
                    self.release(held);
                } else if read_late(tree, Symbol::Int(n)) {
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
            SetSymbol::Vector => {
                self.vector(value, Float::S0)?;
                let slots = self.slot(at);
                self.asm.vector_store(slots, Float::S0);
            }
        }
        Ok(())
    }

    fn store(&mut self, op: StoreOp, at: u32, address: &Value, value: &Value) -> Done {
        // The address's operators come before the value's. Its sum with the offset comes last:
        // `Address` lives too shortly to wait for the value.
        let index = match address {
            Value::Op { .. } => Some(self.register(address, Ty::I32)?),
            Value::Leaf { .. } => None,
        };
        let float = match value {
            Value::Op { op, .. } => op.result().is_float(),
            Value::Leaf { symbol, .. } => matches!(symbol, Symbol::Float(_)),
        };
        if op.value() == Ty::V128 {
            self.vector(value, Float::S0)?;
            let to = self.store_address(op, at, address, index)?;
            self.asm.vector_store(to, Float::S0);
        } else if float {
            let (float, held) = self.float_register(value, op.value())?;
            let to = self.store_address(op, at, address, index)?;
            self.asm.float_store(width(op.value()), to, float);
            self.release_float(held);
        } else {
            // A float in a slot or a constant is moved as bits.
            let ty = match op.value() {
                Ty::F32 => Ty::I32,
                Ty::F64 => Ty::I64,
                ty => ty,
            };
            let (reg, held) = self.register(value, ty)?;
            let to = self.store_address(op, at, address, index)?;
            self.asm.store_narrow(op.width(), to, reg);
            self.release(held);
        }
        if let Some((_, held)) = index {
            self.release(held);
        }
        Ok(())
    }

    fn store_address(
        &mut self,
        op: StoreOp,
        at: u32,
        address: &Value,
        index: Option<(Reg, Option<Reg>)>,
    ) -> Result<Mem, NoTemplate> {
        let address = match index {
            Some((index, _)) => self.address_from(index, at, op.width(), op.unchecked())?,
            None => self.address(address, at, op.width(), op.unchecked())?,
        };
        Ok(Mem::Guest(address))
    }

    /// Two separate dispatches, so that each successor is predicted on its own.
    fn branch(&mut self, value: &Value, when: bool, target: Mem, bytes: u32) -> Done {
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
        self.asm.branch_to(target);
        self.asm.bind(stay);
        self.asm.dispatch(bytes);
        Ok(())
    }

    /// A branch that other roots follow: they are what is done if it is not taken. Its own dispatch comes
    /// behind theirs.
    pub(super) fn leave(&mut self, value: &Value, when: bool, target: Mem) -> Done {
        let take = self.asm.new_label();
        match (self.truth(value)?, when) {
            (Condition::Int(cond), true) => self.asm.jump_if(cond, take),
            (Condition::Int(cond), false) => self.asm.jump_if(cond.negated(), take),
            (Condition::Float(cond, w, a, b), true) => {
                let stay = self.asm.new_label();
                self.asm.float_jump_unless(cond, w, a, b, stay);
                self.asm.jump_always(take);
                self.asm.bind(stay);
            }
            (Condition::Float(cond, w, a, b), false) => {
                self.asm.float_jump_unless(cond, w, a, b, take);
            }
        }
        self.leaving.push((take, target));
        Ok(())
    }

    /// The targets follow the cell, a word each, the default last.
    fn branch_table(&mut self, value: &Value, at: u32, bytes: u32) -> Done {
        let index = self.take()?;
        self.int(value, Ty::I32, index)?;
        let last = Src::Mem(Mem::Operand(at));
        self.asm.load(Width::W32, Reg::Address, last);
        self.asm.compare(Width::W32, index, Src::Reg(Reg::Address));
        self.asm
            .move_unless(Cond::LtU, Width::W32, index, Reg::Address);
        self.asm.table_entry(Reg::Address, index);
        self.asm.branch_to(Mem::At(Reg::Address, bytes as i32));
        self.give(index);
        Ok(())
    }

    /// A stub finds the word that it patches by its address, which is odd so that it cannot be an object's.
    fn call(&mut self, places: RootPlaces, bytes: u32) {
        let (callee, target) = (Reg::S0, places.target);
        slot_address(self.asm, callee, places.own);
        self.asm.store(Width::W64, Mem::At(callee, 8), Reg::Frame);
        let asm = &mut *self.asm;
        asm.address_of(Reg::S1, Mem::At(Reg::Ip, bytes as i32));
        asm.store(Width::W64, Mem::At(callee, 0), Reg::S1);
        asm.address_of(Reg::Address, Mem::At(Reg::Ip, target as i32 + 1));
        asm.load(Width::W64, Reg::Frame, Src::Reg(callee));
        asm.load(Width::W64, Reg::Ip, Src::Mem(Mem::Operand(target)));
        asm.dispatch_here();
    }

    fn call_indirect(&mut self, value: &Value, at: u32, bytes: u32) -> Done {
        let index = self.take()?;
        self.int(value, Ty::I32, index)?;
        self.asm.trap_site(false);
        table_function(self.asm, index, at, at + 4);
        self.give(index);
        call_object(self.asm, at + 8, bytes);
        Ok(())
    }

    fn call_ref(&mut self, value: &Value, at: u32, bytes: u32) -> Done {
        let reference = self.take()?;
        self.int(value, Ty::I64, reference)?;
        self.asm.load(Width::W64, Reg::Address, Src::Reg(reference));
        self.give(reference);
        self.asm.trap_site(false);
        check_reference(self.asm);
        call_object(self.asm, at, bytes);
        Ok(())
    }
}

/// Ends the run if the reference in [`Reg::Address`] is null.
pub(crate) fn check_reference<A: Assembler>(asm: &mut A) {
    asm.test(Width::W64, Reg::Address);
    asm.exit_if(Cond::Eq, Exit::NullReference);
}

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

/// If the tree is an operation whose operands may change places, and `register` is the second of them and is
/// not in the first: the operation and its first operand, to be done onto the register.
fn onto<'v>(tree: &Tree, value: &'v Value, register: Symbol) -> Option<(Alu, Op, &'v Value)> {
    let (Tree::Op(op, trees), Value::Op { operands, .. }) = (tree, value) else {
        return None;
    };
    let [first, Tree::Leaf(second)] = &trees[..] else {
        return None;
    };
    let alu = alu(*op).filter(|_| op.mirrored() == Some(*op))?;
    (*second == register && !first.has_leaf(register)).then(|| (alu, *op, &operands[0]))
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
