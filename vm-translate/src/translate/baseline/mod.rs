//! The baseline tier: code that is made quickly, for functions that may never run often.
//!
//! An operator is an instruction, and every value has a slot: no trees, no registers, no look ahead, and few
//! different shapes. What stands on the operand stack without an instruction
//! of its own is a local or a constant, and a comparison goes into the branch on it.
//!
//! Where a loop begins the operand stack is empty, so that all values are in their locals' slots, and whoever
//! runs the code can go over to better code there. Bodies of which that is not true have no baseline code.
//!
//! What comes out goes to a [`BaselineSink`], instruction by instruction, so that an executor can write its code
//! at once, and no instruction is read again. Only the one that came last is held back: what comes next may
//! want its value elsewhere.
//!
//! | module | what |
//! | --- | --- |
//! | `sink` | what takes the code |
//! | `values` | the operand stack, and instructions over what is on it |
//! | `last` | the instruction that is held back |
//! | `control` | blocks, branches, returns |
//! | `moves` | many values at once |
//! | `calls` | calls and rare operations |
//! | `atomics` | atomic instructions |
//! | `vectors` | instructions on vectors |
//! | `sites` | where runs can stop and go on later |
//! | `exceptions` | throwing and catching |
//! | `listed` | the code as IR |

mod atomics;
mod calls;
mod control;
mod exceptions;
mod last;
mod listed;
mod moves;
mod sink;
mod sites;
mod values;
mod vectors;

use std::collections::HashMap;

use wasmparser::Operator;

use crate::atomic::atomic;
use crate::ir::{FRAME_HEADER, Handlers, Label, Root, RuntimeOp, Slot};
use crate::op::{Op, StoreOp, Ty};
use crate::{Error, Module, PointKind};

use super::check_limits;
use super::code::{Code, Kind, Step};
use super::labels::Labels;
use super::local_types::LocalTypes;
use super::metering::{Additions, Pieces};
use super::operators::{self, Unchecked, memory, numeric};
use super::runtime::{Reach, operation, reach};
use super::vectors::Vectors as _;

use control::{Block, Frame};
use last::Last;
pub use sink::{BaselineFrame, BaselineSink};
use values::{Entry, Value};

/// What translations leave for the next one.
#[derive(Debug, Default)]
struct Kept {
    locals: LocalTypes,
    stack: Vec<Entry>,
    frames: Vec<Frame>,
    labels: Vec<u32>,
    handlers: Handlers,
    pieces: Pieces,
}

/// Whether a body can be translated this way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    More,
    Done,
    Unsupported,
}

struct Baseline<'a, K: BaselineSink> {
    module: &'a Module,
    unchecked: Unchecked<'a>,
    additions: Additions<'a>,
    pieces: Pieces,
    /// See [`BaselineSink::least_copy`].
    least_copy: usize,
    /// Ways to blocks, given by their numbers, for many operands that start in a slot.
    ways: HashMap<(u32, Slot), Label>,
    /// How many blocks have begun.
    blocks: u32,
    locals: LocalTypes,
    stack: Vec<Entry>,
    /// So many entries from the first on are in their homes.
    settled: usize,
    /// So many are what they were when a site was noted last.
    noted: usize,
    /// The home of the lowest entry.
    base: Slot,
    frames: Vec<Frame>,
    /// Their positions are as the sink counts.
    labels: Labels,
    /// So are these.
    handlers: Handlers,
    /// One past the highest slot used.
    slots: Slot,
    /// How many instructions there are.
    insts: usize,
    last: Last<K::Found>,
    sink: &'a mut K,
    /// Offset of the WebAssembly instruction at hand.
    offset: u32,
    /// How many blocks deep we are in code that cannot be reached, if we are.
    unreachable: Option<u32>,
}

/// Makes baseline code, in memory that earlier translations have left.
#[derive(Debug, Default)]
pub struct BaselineTranslator(Kept);

impl BaselineTranslator {
    /// Translates the body of a function, given by its index, into a sink. Answers no if it has no baseline
    /// code; then what the sink has got is of no use. `unchecked` and `additions` are those of
    /// [`TranslateOptions`](crate::TranslateOptions).
    ///
    /// # Errors
    ///
    /// Those of [`Module::translate`].
    pub fn translate<K: BaselineSink>(
        &mut self,
        module: &Module,
        func: u32,
        unchecked: Option<&dyn Fn(u64, u32) -> bool>,
        additions: Additions<'_>,
        sink: &mut K,
    ) -> Result<bool, Error> {
        let body = module.function_body(func)?;
        let ty = module.func_type(func);
        self.0.locals.read(ty, &body)?;
        let end = self.0.locals.end();
        let base = end.max(FRAME_HEADER + ty.result_slots());
        let Kept {
            locals,
            mut stack,
            mut frames,
            labels,
            mut handlers,
            mut pieces,
        } = std::mem::take(&mut self.0);
        stack.clear();
        frames.clear();
        handlers.clear();
        frames.push(Frame::function(module.func_type_index(func)));
        let offset = module.func_offset(func);
        pieces.look(&body, additions)?;
        sink.begin(&BaselineFrame {
            func,
            offset,
            zeroed: FRAME_HEADER + ty.param_slots()..end,
            base,
            result_slots: ty.result_slots(),
            size: module.func_size(func),
        });
        let mut baseline = Baseline {
            module,
            unchecked: Unchecked(unchecked),
            additions,
            pieces,
            // One may be put elsewhere by what computes it.
            least_copy: sink.least_copy().max(2),
            ways: HashMap::new(),
            blocks: 0,
            locals,
            stack,
            settled: 0,
            noted: 0,
            base,
            frames,
            labels: Labels::reuse(labels),
            handlers,
            slots: base,
            insts: 0,
            last: Last::NOTHING,
            sink,
            offset,
            unreachable: None,
        };
        if additions.call_depth {
            baseline.plain(Root::EnterCall);
        }
        baseline.check_epoch();
        let mut code = Code::new(&body)?;
        let outcome = loop {
            match baseline.instruction(&mut code)? {
                Outcome::More => {}
                outcome => break outcome,
            }
        };
        baseline.flush();
        baseline.check_limits()?;
        let done = outcome == Outcome::Done;
        if done {
            baseline.pieces.check_passed();
            let Baseline {
                slots,
                labels,
                handlers,
                sink,
                ..
            } = &mut baseline;
            sink.finish(*slots, labels.positions(), handlers);
        }
        self.0 = Kept {
            locals: baseline.locals,
            stack: baseline.stack,
            frames: baseline.frames,
            labels: baseline.labels.into_positions(),
            handlers: baseline.handlers,
            pieces: baseline.pieces,
        };
        Ok(done)
    }
}

impl<K: BaselineSink> Baseline<'_, K> {
    #[inline(always)]
    fn instruction(&mut self, code: &mut Code<'_>) -> Result<Outcome, Error> {
        self.offset = code.offset();
        if self.unreachable.is_some() {
            return self.skip(code);
        }
        if self.offset == self.pieces.next() {
            let cost = self.pieces.charge();
            self.can_stop(PointKind::Fuel);
            self.plain(Root::ConsumeFuel { cost });
        }
        let Some(kind) = code.kind() else {
            return Ok(Outcome::Done);
        };
        match kind {
            Kind::Numeric(op) => self.numeric(op),
            Kind::LocalGet => {
                let local = code.unsigned() as u32;
                self.push(
                    Value::Local(self.locals.slot(local)),
                    self.locals.get(local),
                );
            }
            Kind::LocalSet => {
                let local = self.locals.slot(code.unsigned() as u32);
                let top = self.pop();
                self.before_set(local);
                self.put(top, local);
            }
            Kind::LocalTee => {
                let local = self.locals.slot(code.unsigned() as u32);
                let top = self.pop();
                self.before_set(local);
                self.put(top, local);
                let value = match top.value {
                    Value::Const(_) => top.value,
                    _ => Value::Local(local),
                };
                self.push(value, top.ty);
            }
            Kind::I32Const => {
                let value = code.signed() as u32;
                self.push(Value::Const(value.into()), Ty::I32);
            }
            Kind::I64Const => {
                let value = code.signed() as u64;
                self.push(Value::Const(value), Ty::I64);
            }
            Kind::Load(op) => match code.access() {
                Some(offset) => self.load(op, 0, offset),
                None => return self.other(code),
            },
            Kind::Store(op) => match code.access() {
                Some(offset) => self.store(op, 0, offset),
                None => return self.other(code),
            },
            Kind::End => self.end(),
            Kind::Other => return self.other(code),
        }
        Ok(Outcome::More)
    }

    fn other(&mut self, code: &mut Code<'_>) -> Result<Outcome, Error> {
        let outcome = self.operator(&code.operator()?)?;
        self.check_limits()?;
        Ok(outcome)
    }

    fn skip(&mut self, code: &mut Code<'_>) -> Result<Outcome, Error> {
        let depth = self.unreachable.unwrap_or(0);
        match code.next() {
            Some(Step::End) if depth == 0 => self.end(),
            Some(Step::End) => self.unreachable = Some(depth - 1),
            Some(Step::Other) => match code.operator()? {
                Operator::Block { .. }
                | Operator::Loop { .. }
                | Operator::If { .. }
                | Operator::TryTable { .. }
                | Operator::Try { .. } => {
                    self.unreachable = Some(depth + 1);
                }
                Operator::Else if depth == 0 => self.else_(),
                Operator::Catch { tag_index } if depth == 0 => self.catch(Some(tag_index)),
                Operator::CatchAll if depth == 0 => self.catch(None),
                Operator::Delegate { relative_depth } if depth == 0 => {
                    self.delegate(relative_depth);
                }
                Operator::Delegate { .. } => self.unreachable = Some(depth - 1),
                _ => {}
            },
            Some(_) => {}
            None => return Ok(Outcome::Done),
        }
        Ok(Outcome::More)
    }

    fn operator(&mut self, operator: &Operator<'_>) -> Result<Outcome, Error> {
        match *operator {
            Operator::Nop => {}
            Operator::Unreachable => {
                self.plain(Root::Unreachable);
                self.unreachable = Some(0);
            }
            Operator::Block { blockty } => {
                let (height, base) = self.enter(blockty);
                self.open(Block::Plain, blockty, height, base);
            }
            Operator::Loop { blockty } => {
                // Where control may go over to a better translation nothing is on the stack.
                if !self.stack.is_empty() {
                    return Ok(Outcome::Unsupported);
                }
                let start = self.here();
                self.sink.loop_begins(self.offset);
                self.open(Block::Loop(start), blockty, 0, self.base);
                self.check_epoch();
            }
            Operator::If { blockty } => {
                let condition = self.condition();
                let (height, base) = self.enter(blockty);
                let label = self.labels.new_label();
                self.branch_on(condition, false, label);
                self.open(Block::If(label), blockty, height, base);
            }
            Operator::Else => self.else_(),
            Operator::Br { relative_depth } => self.br(relative_depth),
            Operator::BrIf { relative_depth } => self.br_if(relative_depth),
            Operator::BrTable { ref targets } => self.br_table(targets)?,
            Operator::Return => self.br(self.frames.len() as u32 - 1),
            Operator::Call { function_index } => self.call(function_index),
            Operator::CallIndirect {
                type_index,
                table_index,
            } => self.call_indirect(table_index, type_index),
            Operator::ReturnCall { function_index } => self.return_call(function_index),
            Operator::ReturnCallIndirect {
                type_index,
                table_index,
            } => self.return_call_indirect(table_index, type_index),

            Operator::CallRef { type_index } => self.call_ref(type_index),
            Operator::ReturnCallRef { type_index } => self.return_call_ref(type_index),
            Operator::BrOnNull { relative_depth } => self.br_on_null(relative_depth),
            Operator::BrOnNonNull { relative_depth } => self.br_on_non_null(relative_depth),
            Operator::RefAsNonNull => self.ref_as_non_null(),

            Operator::TryTable { ref try_table } => self.try_table(try_table),
            Operator::Throw { tag_index } => self.throw(tag_index),
            Operator::ThrowRef => self.leave_by(RuntimeOp::ThrowRef, 1, 0),
            Operator::Try { blockty } => self.try_(blockty),
            Operator::Catch { tag_index } => self.catch(Some(tag_index)),
            Operator::CatchAll => self.catch(None),
            Operator::Delegate { relative_depth } => self.delegate(relative_depth),
            Operator::Rethrow { relative_depth } => self.rethrow(relative_depth),

            Operator::Drop => {
                self.pop();
            }
            Operator::Select | Operator::TypedSelect { .. } => {
                let ty = self.stack[self.stack.len() - 2].ty;
                let op = match ty {
                    Ty::V128 => Op::SelectVector,
                    ty if ty.is_float() => Op::SelectFloat,
                    _ => Op::Select,
                };
                self.apply(op, 0);
                if let Some(top) = self.stack.last_mut() {
                    top.ty = ty;
                }
            }
            Operator::GlobalGet { global_index } => {
                let ty = self.module.globals()[global_index as usize].content.ty();
                let op = match ty {
                    Ty::V128 => Op::GlobalGetVector,
                    ty if ty.is_float() => Op::GlobalGetFloat,
                    _ => Op::GlobalGet,
                };
                self.apply(op, global_index.into());
                if let Some(top) = self.stack.last_mut() {
                    top.ty = ty;
                }
            }
            Operator::GlobalSet { global_index } => {
                let top = self.pop();
                let kind = match top.ty {
                    Ty::V128 => Ty::V128,
                    ty if ty.is_float() => Ty::F64,
                    _ => Ty::I64,
                };
                let root = Root::GlobalSet {
                    global: global_index,
                    kind,
                };
                self.emit(root, &mut [top]);
            }

            Operator::F32Const { value } => {
                self.push(Value::Const(value.bits().into()), Ty::F32);
            }
            Operator::F64Const { value } => self.push(Value::Const(value.bits()), Ty::F64),
            Operator::RefNull { .. } => self.push(Value::Const(0), Ty::I64),
            Operator::RefIsNull => self.numeric(Op::I64Eqz),

            ref other => return Ok(self.rare(other)),
        }
        Ok(Outcome::More)
    }

    /// A function or a loop begins here.
    fn check_epoch(&mut self) {
        if self.additions.epochs {
            self.can_stop(PointKind::Epoch);
            self.plain(Root::CheckEpoch);
        }
    }

    fn rare(&mut self, operator: &Operator<'_>) -> Outcome {
        if let Some(op) = numeric(operator) {
            self.numeric(op);
        } else if let Some(operation) = operation(self.module, operator) {
            self.runtime(&operation);
        } else if let Some((op, memarg)) = operators::load(operator) {
            self.load(op, memory(memarg), memarg.offset);
        } else if let Some((op, memarg)) = operators::store(operator) {
            self.store(op, memory(memarg), memarg.offset);
        } else if let Some((op, access)) = atomic(operator) {
            self.atomic(op, access);
        } else if !self.vector(operator) {
            return Outcome::Unsupported;
        }
        Outcome::More
    }

    fn load(&mut self, op: Op, memory: u32, offset: u64) {
        let width = op.bytes_read();
        if reach(self.module, self.unchecked, memory, offset, width) != Reach::Direct {
            return self.memory_load(op, memory, offset);
        }
        self.apply(self.unchecked.load(op, offset), offset);
    }

    fn store(&mut self, op: StoreOp, memory: u32, offset: u64) {
        let width = op.width();
        if reach(self.module, self.unchecked, memory, offset, width) != Reach::Direct {
            return self.memory_store(op, memory, offset);
        }
        let op = self.unchecked.store(op, offset);
        let root = Root::Store { op, offset };
        let first = self.stack.len() - 2;
        let mut operands = [self.stack[first], self.stack[first + 1]];
        self.truncate(first);
        self.emit(root, &mut operands);
    }

    fn check_limits(&self) -> Result<(), Error> {
        let slots = self.slots.max(self.next_home(self.stack.len()));
        check_limits(slots, self.insts, self.offset)
    }
}
