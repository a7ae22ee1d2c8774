//! A direct interpreter of WebAssembly, independent of the translation: an operand stack and
//! structured control, nothing clever.

use super::{Outcome, State, Trap, Value, numeric};
use std::collections::HashMap;
use vm_translate::{AtomicOp, Effect, FuelCosts, Module, Op, StoreOp};
use wasmparser::{BlockType, MemArg, MemArgTarget, Operator, Parser, Payload};

pub struct Oracle<'a> {
    module: &'a Module,
    bodies: Vec<Body<'a>>,
    canonical_nans: bool,
    state: State,
    pub trapped_at: Option<u32>,
}

struct Body<'a> {
    locals: Vec<Value>,
    /// With their offsets, and what each costs.
    code: Vec<(Step<'a>, u32, u32)>,
    /// For each block's start, its else (or end) and its end.
    ends: HashMap<usize, (usize, usize)>,
}

/// An instruction.
#[derive(Clone)]
enum Step<'a> {
    Numeric(Op),
    /// With the number of a lane.
    Lane(Op, u8),
    /// Of so many bytes.
    Load(Op, MemArg, u32),
    /// Of so many bytes.
    Store(MemArg, u32),
    /// A load of so many bytes, of which an operator makes a vector.
    Into(Op, MemArg, u32),
    /// A load of so many bytes into the lane of a vector.
    LoadLane(Op, MemArg, u32, u8),
    /// A store of the lane of a vector, of so many bytes.
    StoreLane(MemArg, u32, u8),
    /// With the place that it accesses, if it does.
    Atomic(AtomicOp, Option<MemArg>),
    Other(Operator<'a>),
}

/// Relaxed instructions that in the deterministic profile are the same as others.
const RELAXED: &[(&str, Op)] = &[
    ("I8x16RelaxedSwizzle", Op::I8x16Swizzle),
    ("I32x4RelaxedTruncF32x4S", Op::I32x4TruncSatF32x4S),
    ("I32x4RelaxedTruncF32x4U", Op::I32x4TruncSatF32x4U),
    ("I32x4RelaxedTruncF64x2SZero", Op::I32x4TruncSatF64x2SZero),
    ("I32x4RelaxedTruncF64x2UZero", Op::I32x4TruncSatF64x2UZero),
    ("I8x16RelaxedLaneselect", Op::V128Bitselect),
    ("I16x8RelaxedLaneselect", Op::V128Bitselect),
    ("I32x4RelaxedLaneselect", Op::V128Bitselect),
    ("I64x2RelaxedLaneselect", Op::V128Bitselect),
    ("F32x4RelaxedMin", Op::F32x4Min),
    ("F32x4RelaxedMax", Op::F32x4Max),
    ("F64x2RelaxedMin", Op::F64x2Min),
    ("F64x2RelaxedMax", Op::F64x2Max),
    ("I16x8RelaxedQ15mulrS", Op::I16x8Q15MulrSatS),
];

/// Operators, loads and stores, by the names that they share with instructions.
struct Names {
    ops: HashMap<String, Op>,
    stores: HashMap<String, StoreOp>,
    atomics: HashMap<String, AtomicOp>,
}

impl Names {
    fn new() -> Names {
        let of_op = |op: &Op| (format!("{op:?}"), *op);
        let relaxed = RELAXED.iter().map(|(name, op)| ((*name).to_owned(), *op));
        Names {
            ops: Op::ALL.iter().map(of_op).chain(relaxed).collect(),
            stores: (StoreOp::ALL.iter().map(|op| (format!("{op:?}"), *op))).collect(),
            atomics: (AtomicOp::ALL.iter().map(|op| (format!("{op:?}"), *op))).collect(),
        }
    }

    fn step<'a>(&self, operator: Operator<'a>) -> Step<'a> {
        match operator {
            Operator::V128Load8Splat { memarg } => Step::Into(Op::I8x16Splat, memarg, 1),
            Operator::V128Load16Splat { memarg } => Step::Into(Op::I16x8Splat, memarg, 2),
            Operator::V128Load32Splat { memarg } => Step::Into(Op::I32x4Splat, memarg, 4),
            Operator::V128Load64Splat { memarg } => Step::Into(Op::I64x2Splat, memarg, 8),
            Operator::V128Load32Zero { memarg } => Step::Into(Op::V128FromI64, memarg, 4),
            Operator::V128Load64Zero { memarg } => Step::Into(Op::V128FromI64, memarg, 8),
            Operator::V128Load8x8S { memarg } => Step::Into(Op::I16x8ExtendLowI8x16S, memarg, 8),
            Operator::V128Load8x8U { memarg } => Step::Into(Op::I16x8ExtendLowI8x16U, memarg, 8),
            Operator::V128Load16x4S { memarg } => Step::Into(Op::I32x4ExtendLowI16x8S, memarg, 8),
            Operator::V128Load16x4U { memarg } => Step::Into(Op::I32x4ExtendLowI16x8U, memarg, 8),
            Operator::V128Load32x2S { memarg } => Step::Into(Op::I64x2ExtendLowI32x4S, memarg, 8),
            Operator::V128Load32x2U { memarg } => Step::Into(Op::I64x2ExtendLowI32x4U, memarg, 8),
            Operator::V128Load8Lane { memarg, lane } => {
                Step::LoadLane(Op::I8x16ReplaceLane, memarg, 1, lane)
            }
            Operator::V128Load16Lane { memarg, lane } => {
                Step::LoadLane(Op::I16x8ReplaceLane, memarg, 2, lane)
            }
            Operator::V128Load32Lane { memarg, lane } => {
                Step::LoadLane(Op::I32x4ReplaceLane, memarg, 4, lane)
            }
            Operator::V128Load64Lane { memarg, lane } => {
                Step::LoadLane(Op::I64x2ReplaceLane, memarg, 8, lane)
            }
            Operator::V128Store8Lane { memarg, lane } => Step::StoreLane(memarg, 1, lane),
            Operator::V128Store16Lane { memarg, lane } => Step::StoreLane(memarg, 2, lane),
            Operator::V128Store32Lane { memarg, lane } => Step::StoreLane(memarg, 4, lane),
            Operator::V128Store64Lane { memarg, lane } => Step::StoreLane(memarg, 8, lane),
            operator => self.named(operator),
        }
    }

    fn named<'a>(&self, operator: Operator<'a>) -> Step<'a> {
        let text = format!("{operator:?}");
        let name = &*name(&operator);
        let access = |operator: &Operator<'a>| {
            let mut memarg = None;
            macro_rules! find {
                ($($name:ident)*) => {
                    match operator { $(Operator::$name { memarg: arg } => memarg = Some(*arg),)* _ => {} }
                };
            }
            find! {
                I32Load I64Load F32Load F64Load I32Load8S I32Load8U I32Load16S I32Load16U I64Load8S
                I64Load8U I64Load16S I64Load16U I64Load32S I64Load32U V128Load I32Store I64Store
                F32Store F64Store I32Store8 I32Store16 I64Store8 I64Store16 I64Store32 V128Store
            }
            memarg.expect("an access has an address")
        };
        if let Some(store) = self.stores.get(name) {
            return Step::Store(access(&operator), store.width());
        }
        if let Some(op) = self.atomics.get(name) {
            return Step::Atomic(*op, atomic_access(&operator));
        }
        match self.ops.get(name) {
            // Their operands are not those of the instruction of that name.
            None | Some(Op::V128Const | Op::I8x16Shuffle | Op::Select | Op::GlobalGet) => {
                Step::Other(operator)
            }
            Some(op) if op.has_lane() => {
                let at = text.find("lane: ").expect("a lane has a number") + "lane: ".len();
                let lane = text[at..].trim_end_matches([' ', '}']);
                Step::Lane(*op, lane.parse().unwrap())
            }
            Some(op) => match op.effect() {
                Effect::Load { width, .. } => Step::Load(*op, access(&operator), width),
                _ => Step::Numeric(*op),
            },
        }
    }
}

/// The name of an instruction.
fn name(operator: &Operator<'_>) -> String {
    let text = format!("{operator:?}");
    let name = text.split([' ', ',']).next();
    name.unwrap_or_default().to_owned()
}

/// How a sequence of instructions was left.
enum Exit {
    Fallthrough,
    Branch(u32),
}

/// Of what the run has consumed, it counts each operator as it is executed.
pub fn run(
    module: &Module,
    costs: &FuelCosts,
    canonical_nans: bool,
    func: u32,
    args: &[Value],
) -> (Outcome, Option<u32>) {
    let mut bodies = Vec::new();
    let names = Names::new();
    for payload in Parser::new(0).parse_all(module.bytes()) {
        if let Payload::CodeSectionEntry(body) = payload.unwrap() {
            let mut locals = Vec::new();
            for group in body.get_locals_reader().unwrap() {
                locals.extend(std::iter::repeat_n(0, group.unwrap().0 as usize));
            }
            let code: Vec<_> = body
                .get_operators_reader()
                .unwrap()
                .into_iter_with_offsets()
                .map(|op| op.unwrap())
                .map(|(op, offset)| {
                    let cost = costs.operator(&name(&op)).unwrap();
                    (names.step(op), offset as u32, cost)
                })
                .collect();
            let mut open = Vec::new();
            let mut ends = HashMap::new();
            for (at, (op, ..)) in code.iter().enumerate() {
                let Step::Other(op) = op else { continue };
                match op {
                    Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => {
                        open.push((at, None));
                    }
                    Operator::Else => open.last_mut().unwrap().1 = Some(at),
                    Operator::End => {
                        if let Some((start, else_)) = open.pop() {
                            ends.insert(start, (else_.unwrap_or(at), at));
                        }
                    }
                    _ => {}
                }
            }
            bodies.push(Body { locals, code, ends });
        }
    }
    let mut oracle = Oracle {
        module,
        bodies,
        canonical_nans,
        state: State::new(module),
        trapped_at: None,
    };
    let result = oracle.call(func, args.to_vec());
    (oracle.state.outcome(result), oracle.trapped_at)
}

impl Oracle<'_> {
    fn call(&mut self, func: u32, args: Vec<Value>) -> Result<Vec<Value>, Trap> {
        let ty = self.module.func_type(func);
        let Some(defined) = func.checked_sub(self.module.imported_funcs()) else {
            return Ok(self.state.host(func, &args, ty));
        };
        let body = &self.bodies[defined as usize];
        let mut locals = args;
        locals.extend(&body.locals);
        let len = body.code.len();
        let mut stack = Vec::new();
        self.sequence(defined as usize, 0, len, &mut locals, &mut stack)?;
        let results = ty.results().len();
        Ok(stack.split_off(stack.len() - results))
    }

    fn indirect(&self, table: u32, type_index: u32, index: Value) -> Result<u32, Trap> {
        let entry = self.state.tables[table as usize].get(index as usize);
        let func = entry
            .ok_or(Trap::TableOutOfBounds)?
            .ok_or(Trap::NullFunction)?;
        let ty = self.module.types()[type_index as usize].id();
        if !self.module.func_type(func).is_subtype_of(ty) {
            return Err(Trap::BadSignature);
        }
        Ok(func)
    }

    /// The function that a reference refers to.
    fn referent(reference: Value) -> Result<u32, Trap> {
        let func = reference.checked_sub(1).ok_or(Trap::NullReference)?;
        Ok(func as u32)
    }

    /// Notes where it trapped, if it did and nothing that it called has said so.
    fn at<T>(&mut self, offset: u32, result: Result<T, Trap>) -> Result<T, Trap> {
        if result.is_err() {
            self.trapped_at.get_or_insert(offset);
        }
        result
    }

    fn arity(&self, ty: BlockType) -> (usize, usize) {
        match ty {
            BlockType::Empty => (0, 0),
            BlockType::Type(_) => (0, 1),
            BlockType::FuncType(index) => {
                let ty = &self.module.types()[index as usize];
                (ty.params().len(), ty.results().len())
            }
        }
    }

    fn sequence(
        &mut self,
        body: usize,
        start: usize,
        end: usize,
        locals: &mut [Value],
        stack: &mut Vec<Value>,
    ) -> Result<Exit, Trap> {
        let mut at = start;
        while at < end {
            let (step, offset, cost) = self.bodies[body].code[at].clone();
            self.state.fuel += u64::from(cost);
            let op = match step {
                Step::Other(op) => op,
                step => {
                    let result = self.computes(&step, stack);
                    self.at(offset, result)?;
                    at += 1;
                    continue;
                }
            };
            let nested = match op {
                Operator::Block { blockty }
                | Operator::Loop { blockty }
                | Operator::If { blockty } => {
                    let (else_, close) = self.bodies[body].ends[&at];
                    let (mut from, mut to) = (at + 1, close);
                    if let Operator::If { .. } = op {
                        if stack.pop().unwrap() != 0 {
                            to = else_;
                        } else {
                            from = if else_ == close { close + 1 } else { else_ + 1 };
                        }
                    }
                    at = close + 1;
                    let (params, results) = self.arity(blockty);
                    let height = stack.len() - params;
                    loop {
                        let exit = self.sequence(body, from, to, locals, stack)?;
                        if let (Exit::Fallthrough, true) = (&exit, from <= to) {
                            // The `else` or the `end` behind it, unless the condition leads behind that.
                            self.state.fuel += u64::from(self.bodies[body].code[to].2);
                        }
                        let (again, keep) = match (exit, &op) {
                            (Exit::Branch(0), Operator::Loop { .. }) => (true, params),
                            (Exit::Branch(0) | Exit::Fallthrough, _) => (false, results),
                            (Exit::Branch(depth), _) => return Ok(Exit::Branch(depth - 1)),
                        };
                        let kept = stack.split_off(stack.len() - keep);
                        stack.truncate(height);
                        stack.extend(kept);
                        if !again {
                            break;
                        }
                    }
                    continue;
                }
                Operator::Br { relative_depth } => Some(Exit::Branch(relative_depth)),
                Operator::BrIf { relative_depth } => {
                    (stack.pop().unwrap() != 0).then_some(Exit::Branch(relative_depth))
                }
                Operator::BrOnNull { relative_depth } => {
                    let is_null = *stack.last().unwrap() == 0;
                    is_null.then(|| {
                        stack.pop();
                        Exit::Branch(relative_depth)
                    })
                }
                Operator::BrOnNonNull { relative_depth } => match stack.last() {
                    Some(0) => {
                        stack.pop();
                        None
                    }
                    _ => Some(Exit::Branch(relative_depth)),
                },
                Operator::ReturnCallRef { .. } => {
                    let func = Oracle::referent(stack.pop().unwrap());
                    let func = self.at(offset, func)?;
                    let params = self.module.func_type(func).params().len();
                    let args = stack.split_off(stack.len() - params);
                    stack.extend(self.call(func, args)?);
                    Some(Exit::Branch(u32::MAX / 2))
                }
                Operator::BrTable { ref targets } => {
                    let index = stack.pop().unwrap();
                    let depth = targets.targets().nth(index as usize);
                    Some(Exit::Branch(
                        depth.map_or(targets.default(), Result::unwrap),
                    ))
                }
                Operator::Return => Some(Exit::Branch(u32::MAX / 2)),
                Operator::ReturnCall { function_index } => {
                    let params = self.module.func_type(function_index).params().len();
                    let args = stack.split_off(stack.len() - params);
                    stack.extend(self.call(function_index, args)?);
                    Some(Exit::Branch(u32::MAX / 2))
                }
                Operator::ReturnCallIndirect {
                    type_index,
                    table_index,
                } => {
                    let func = self.indirect(table_index, type_index, stack.pop().unwrap());
                    let func = self.at(offset, func)?;
                    let params = self.module.func_type(func).params().len();
                    let args = stack.split_off(stack.len() - params);
                    stack.extend(self.call(func, args)?);
                    Some(Exit::Branch(u32::MAX / 2))
                }
                _ => {
                    let result = self.simple(&op, locals, stack);
                    self.at(offset, result)?;
                    None
                }
            };
            if let Some(exit) = nested {
                return Ok(exit);
            }
            at += 1;
        }
        Ok(Exit::Fallthrough)
    }

    /// An instruction that touches the operands and memory only.
    fn computes(&mut self, step: &Step<'_>, stack: &mut Vec<Value>) -> Result<(), Trap> {
        let value = match *step {
            Step::Numeric(op) => {
                let args = stack.split_off(stack.len() - op.params().len());
                let value = numeric::apply(op, &args, 0)?;
                match op.canonical().filter(|_| self.canonical_nans) {
                    Some(canonical) => numeric::apply(canonical, &[value], 0)?,
                    None => value,
                }
            }
            Step::Lane(op, lane) => {
                let args = stack.split_off(stack.len() - op.params().len());
                numeric::apply(op, &args, lane.into())?
            }
            Step::Load(op, memarg, width) => {
                let bits = self.load(memarg, width, stack)?;
                numeric::extend(op, bits)
            }
            Step::Into(op, memarg, width) => {
                let bits = self.load(memarg, width, stack)?;
                numeric::apply(op, &[bits], 0)?
            }
            Step::LoadLane(op, memarg, width, lane) => {
                let vector = stack.pop().unwrap();
                let bits = self.load(memarg, width, stack)?;
                numeric::apply(op, &[vector, bits], lane.into())?
            }
            Step::Store(memarg, width) => {
                let value = stack.pop().unwrap();
                return self.store(memarg, width, value, stack);
            }
            Step::StoreLane(memarg, width, lane) => {
                let vector = stack.pop().unwrap();
                let value = vector >> (8 * width * u32::from(lane));
                return self.store(memarg, width, value, stack);
            }
            Step::Atomic(op, memarg) => {
                let operands = stack.split_off(stack.len() - op.params().len());
                let (index, address, offset) = match memarg {
                    Some(memarg) => (memory(memarg), stack.pop().unwrap(), memarg.offset),
                    None => (0, 0, 0),
                };
                let value = (self.state).atomic(op, index, address, offset, &operands)?;
                match op.result() {
                    Some(_) => value,
                    None => return Ok(()),
                }
            }
            Step::Other(_) => panic!("it does more than that"),
        };
        stack.push(value);
        Ok(())
    }

    fn simple(
        &mut self,
        op: &Operator<'_>,
        locals: &mut [Value],
        stack: &mut Vec<Value>,
    ) -> Result<(), Trap> {
        match *op {
            Operator::Nop | Operator::End | Operator::Else => {}
            Operator::Unreachable => return Err(Trap::Unreachable),
            Operator::Drop => {
                stack.pop().unwrap();
            }
            Operator::Select | Operator::TypedSelect { .. } => {
                let args = stack.split_off(stack.len() - 3);
                stack.push(if args[2] != 0 { args[0] } else { args[1] });
            }
            Operator::LocalGet { local_index } => stack.push(locals[local_index as usize]),
            Operator::LocalSet { local_index } => {
                locals[local_index as usize] = stack.pop().unwrap();
            }
            Operator::LocalTee { local_index } => {
                locals[local_index as usize] = *stack.last().unwrap();
            }
            Operator::GlobalGet { global_index } => {
                stack.push(self.state.globals[global_index as usize]);
            }
            Operator::GlobalSet { global_index } => {
                self.state.globals[global_index as usize] = stack.pop().unwrap();
            }
            Operator::I32Const { value } => stack.push((value as u32).into()),
            Operator::I64Const { value } => stack.push((value as u64).into()),
            Operator::F32Const { value } => stack.push(value.bits().into()),
            Operator::F64Const { value } => stack.push(value.bits().into()),
            Operator::V128Const { value } => stack.push(Value::from_le_bytes(*value.bytes())),
            Operator::I8x16Shuffle { lanes } => {
                let mut args = stack.split_off(stack.len() - 2);
                args.push(Value::from_le_bytes(lanes));
                stack.push(numeric::apply(Op::I8x16Shuffle, &args, 0)?);
            }
            Operator::I64Add128 | Operator::I64Sub128 => {
                let args = stack.split_off(stack.len() - 4);
                let (a, b) = (args[0] | args[1] << 64, args[2] | args[3] << 64);
                let sum = match op {
                    Operator::I64Add128 => a.wrapping_add(b),
                    _ => a.wrapping_sub(b),
                };
                stack.extend([Value::from(sum as u64), sum >> 64]);
            }
            Operator::I64MulWideU => {
                let args = stack.split_off(stack.len() - 2);
                let product = args[0] * args[1];
                stack.extend([Value::from(product as u64), product >> 64]);
            }
            Operator::I64MulWideS => {
                let args = stack.split_off(stack.len() - 2);
                let [a, b] = [args[0], args[1]].map(|arg| i128::from(arg as u64 as i64));
                let product = (a * b) as Value;
                stack.extend([Value::from(product as u64), product >> 64]);
            }
            Operator::RefNull { .. } => stack.push(0),
            Operator::RefFunc { function_index } => stack.push(Value::from(function_index) + 1),
            Operator::RefIsNull => {
                let value = stack.pop().unwrap();
                stack.push(Value::from(value == 0));
            }
            Operator::RefAsNonNull => {
                if *stack.last().unwrap() == 0 {
                    return Err(Trap::NullReference);
                }
            }
            Operator::CallRef { .. } => {
                let func = Oracle::referent(stack.pop().unwrap())?;
                let params = self.module.func_type(func).params().len();
                let args = stack.split_off(stack.len() - params);
                stack.extend(self.call(func, args)?);
            }
            Operator::MemorySize { mem } => stack.push(self.state.size(mem)),
            Operator::MemoryGrow { mem } => {
                let pages = stack.pop().unwrap();
                stack.push(self.state.grow(mem, pages));
            }
            Operator::MemoryFill { mem } => {
                let args = stack.split_off(stack.len() - 3);
                self.state.fill(mem, [args[0], args[1], args[2]])?;
            }
            Operator::MemoryCopy { dst_mem, src_mem } => {
                let args = stack.split_off(stack.len() - 3);
                let args = [args[0], args[1], args[2]];
                self.state.copy(dst_mem, src_mem, args)?;
            }
            Operator::Call { function_index } => {
                let params = self.module.func_type(function_index).params().len();
                let args = stack.split_off(stack.len() - params);
                stack.extend(self.call(function_index, args)?);
            }
            Operator::CallIndirect {
                type_index,
                table_index,
            } => {
                let func = self.indirect(table_index, type_index, stack.pop().unwrap())?;
                let params = self.module.func_type(func).params().len();
                let args = stack.split_off(stack.len() - params);
                stack.extend(self.call(func, args)?);
            }
            ref other => panic!("{other:?} is not among what the tests use"),
        }
        Ok(())
    }

    fn load(&self, memarg: MemArg, width: u32, stack: &mut Vec<Value>) -> Result<Value, Trap> {
        let address = stack.pop().unwrap();
        self.state
            .load(memory(memarg), address, memarg.offset, width)
    }

    fn store(
        &mut self,
        memarg: MemArg,
        width: u32,
        value: Value,
        stack: &mut Vec<Value>,
    ) -> Result<(), Trap> {
        let address = stack.pop().unwrap();
        self.state
            .store(memory(memarg), address, memarg.offset, width, value)
    }
}

fn memory(memarg: MemArg) -> u32 {
    match memarg.target {
        MemArgTarget::Memory(index) => index,
        MemArgTarget::Array(_) => panic!("there are no arrays"),
    }
}

/// Where an atomic instruction accesses memory, if it does.
fn atomic_access(operator: &Operator<'_>) -> Option<MemArg> {
    macro_rules! find {
        ($($name:ident)*) => {
            match operator {
                $(Operator::$name { memarg } => Some(*memarg),)*
                _ => None,
            }
        };
    }
    find! {
        MemoryAtomicNotify MemoryAtomicWait32 MemoryAtomicWait64 I32AtomicLoad I32AtomicLoad8U
        I32AtomicLoad16U I32AtomicStore I32AtomicStore8 I32AtomicStore16 I32AtomicRmwAdd
        I32AtomicRmw8AddU I32AtomicRmw16AddU I32AtomicRmwSub I32AtomicRmw8SubU
        I32AtomicRmw16SubU I32AtomicRmwAnd I32AtomicRmw8AndU I32AtomicRmw16AndU I32AtomicRmwOr
        I32AtomicRmw8OrU I32AtomicRmw16OrU I32AtomicRmwXor I32AtomicRmw8XorU I32AtomicRmw16XorU
        I32AtomicRmwXchg I32AtomicRmw8XchgU I32AtomicRmw16XchgU I32AtomicRmwCmpxchg
        I32AtomicRmw8CmpxchgU I32AtomicRmw16CmpxchgU I64AtomicLoad I64AtomicLoad8U
        I64AtomicLoad16U I64AtomicLoad32U I64AtomicStore I64AtomicStore8 I64AtomicStore16
        I64AtomicStore32 I64AtomicRmwAdd I64AtomicRmw8AddU I64AtomicRmw16AddU I64AtomicRmw32AddU
        I64AtomicRmwSub I64AtomicRmw8SubU I64AtomicRmw16SubU I64AtomicRmw32SubU I64AtomicRmwAnd
        I64AtomicRmw8AndU I64AtomicRmw16AndU I64AtomicRmw32AndU I64AtomicRmwOr I64AtomicRmw8OrU
        I64AtomicRmw16OrU I64AtomicRmw32OrU I64AtomicRmwXor I64AtomicRmw8XorU I64AtomicRmw16XorU
        I64AtomicRmw32XorU I64AtomicRmwXchg I64AtomicRmw8XchgU I64AtomicRmw16XchgU
        I64AtomicRmw32XchgU I64AtomicRmwCmpxchg I64AtomicRmw8CmpxchgU I64AtomicRmw16CmpxchgU
        I64AtomicRmw32CmpxchgU
    }
}
