//! A direct interpreter of WebAssembly, independent of the translation: an operand stack and
//! structured control, nothing clever.

use super::{Outcome, State, Trap, Value, numeric};
use std::collections::HashMap;
use vm_translate::{Module, Op};
use wasmparser::{BlockType, MemArg, MemArgTarget, Operator, Parser, Payload};

pub struct Oracle<'a> {
    module: &'a Module,
    bodies: Vec<Body<'a>>,
    state: State,
    pub trapped_at: Option<u32>,
}

struct Body<'a> {
    locals: Vec<Value>,
    code: Vec<(Operator<'a>, u32)>,
    /// For each block's start, its else (or end) and its end.
    ends: HashMap<usize, (usize, usize)>,
}

/// How a sequence of instructions was left.
enum Exit {
    Fallthrough,
    Branch(u32),
}

pub fn run(module: &Module, func: u32, args: &[Value]) -> (Outcome, Option<u32>) {
    let mut bodies = Vec::new();
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
                .map(|op| op.map(|(op, offset)| (op, offset as u32)).unwrap())
                .collect();
            let mut open = Vec::new();
            let mut ends = HashMap::new();
            for (at, (op, _)) in code.iter().enumerate() {
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

    fn indirect(&self, type_index: u32, index: Value) -> Result<u32, Trap> {
        let entry = self.state.table.get(index as usize);
        let func = entry
            .ok_or(Trap::TableOutOfBounds)?
            .ok_or(Trap::NullFunction)?;
        if *self.module.func_type(func) != self.module.types()[type_index as usize] {
            return Err(Trap::BadSignature);
        }
        Ok(func)
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
            let (op, offset) = self.bodies[body].code[at].clone();
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
                            from = if else_ == close { close } else { else_ + 1 };
                        }
                    }
                    at = close + 1;
                    let (params, results) = self.arity(blockty);
                    let height = stack.len() - params;
                    loop {
                        let exit = self.sequence(body, from, to, locals, stack)?;
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
                Operator::ReturnCallIndirect { type_index, .. } => {
                    let func = self.indirect(type_index, stack.pop().unwrap())?;
                    let params = self.module.func_type(func).params().len();
                    let args = stack.split_off(stack.len() - params);
                    stack.extend(self.call(func, args)?);
                    Some(Exit::Branch(u32::MAX / 2))
                }
                _ => {
                    if let Err(trap) = self.simple(&op, locals, stack) {
                        let call =
                            matches!(op, Operator::Call { .. } | Operator::CallIndirect { .. });
                        if !call {
                            self.trapped_at = Some(offset);
                        }
                        return Err(trap);
                    }
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

    fn simple(
        &mut self,
        op: &Operator<'_>,
        locals: &mut [Value],
        stack: &mut Vec<Value>,
    ) -> Result<(), Trap> {
        macro_rules! numeric {
            ($($name:ident)*) => {
                match op { $(Operator::$name => Some(Op::$name),)* _ => None }
            };
        }
        macro_rules! loads {
            ($($name:ident $width:literal)*) => {
                match op { $(Operator::$name { memarg } => Some((Op::$name, *memarg, $width)),)* _ => None }
            };
        }
        macro_rules! stores {
            ($($name:ident $width:literal)*) => {
                match op { $(Operator::$name { memarg } => Some((*memarg, $width)),)* _ => None }
            };
        }
        let n = numeric! {
            I32Eqz I32Eq I32Ne I32LtS I32LtU I32GtS I32GtU I32LeS I32LeU I32GeS I32GeU
            I32Clz I32Ctz I32Popcnt I32Add I32Sub I32Mul I32DivS I32DivU I32RemS I32RemU
            I32And I32Or I32Xor I32Shl I32ShrS I32ShrU I32Rotl I32Rotr
            I64Eqz I64Eq I64Ne I64LtS I64LtU I64GtS I64GtU I64LeS I64LeU I64GeS I64GeU
            I64Clz I64Ctz I64Popcnt I64Add I64Sub I64Mul I64DivS I64DivU I64RemS I64RemU
            I64And I64Or I64Xor I64Shl I64ShrS I64ShrU I64Rotl I64Rotr
            F32Eq F32Lt F64Eq F64Lt F32Neg F32Add F32Sub F32Mul F32Div
            F64Neg F64Add F64Sub F64Mul F64Div I32WrapI64 I64ExtendI32S I64ExtendI32U
            I32TruncF64S I32TruncF32S F32ConvertI32S F64ConvertI32S F64ConvertI64S
            F32DemoteF64 F64PromoteF32 I32ReinterpretF32 F32ReinterpretI32 I64ReinterpretF64
            F64ReinterpretI64 I32Extend8S I32Extend16S I64Extend8S I64Extend16S I64Extend32S
            Select
            V128Not V128And V128AndNot V128Or V128Xor V128Bitselect V128AnyTrue I32x4AllTrue
            I8x16Bitmask I8x16Splat I16x8Splat I32x4Splat I64x2Splat I8x16Add I16x8Sub I32x4Add
            I32x4Mul I64x2Add I64x2Sub I8x16Eq I32x4LtS I32x4GtS I32x4Shl I32x4ShrU I64x2ShrS
            I16x8ExtendLowI8x16U I64x2ExtendLowI32x4S
        };
        if let Some(op) = n {
            let args = stack.split_off(stack.len() - op.params().len());
            // One instruction selects numbers and vectors alike.
            stack.push(match op {
                Op::Select => args[if args[2] != 0 { 0 } else { 1 }],
                op => numeric::apply(op, &args, 0)?,
            });
            return Ok(());
        }
        let l = loads! {
            I32Load 4 I64Load 8 F32Load 4 F64Load 8 I32Load8S 1 I32Load8U 1 I32Load16S 2
            I32Load16U 2 I64Load8S 1 I64Load8U 1 I64Load16S 2 I64Load16U 2 I64Load32S 4
            I64Load32U 4 V128Load 16
        };
        if let Some((op, memarg, width)) = l {
            let bits = self.load(memarg, width, stack)?;
            stack.push(numeric::extend(op, bits));
            return Ok(());
        }
        let s = stores! {
            I32Store 4 I64Store 8 F32Store 4 F64Store 8 I32Store8 1 I32Store16 2 I64Store8 1
            I64Store16 2 I64Store32 4 V128Store 16
        };
        if let Some((memarg, width)) = s {
            let value = stack.pop().unwrap();
            return self.store(memarg, width, value, stack);
        }
        match *op {
            Operator::Nop | Operator::End | Operator::Else => {}
            Operator::Unreachable => return Err(Trap::Unreachable),
            Operator::Drop => {
                stack.pop().unwrap();
            }
            Operator::TypedSelect { .. } => {
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
            Operator::I32x4ExtractLane { lane } => lane_of(Op::I32x4ExtractLane, lane, stack),
            Operator::I64x2ExtractLane { lane } => lane_of(Op::I64x2ExtractLane, lane, stack),
            Operator::I8x16ExtractLaneS { lane } => lane_of(Op::I8x16ExtractLaneS, lane, stack),
            Operator::I16x8ExtractLaneU { lane } => lane_of(Op::I16x8ExtractLaneU, lane, stack),
            Operator::I8x16ReplaceLane { lane } => lane_of(Op::I8x16ReplaceLane, lane, stack),
            Operator::I32x4ReplaceLane { lane } => lane_of(Op::I32x4ReplaceLane, lane, stack),
            Operator::I64x2ReplaceLane { lane } => lane_of(Op::I64x2ReplaceLane, lane, stack),
            Operator::V128Load32Splat { memarg } => {
                let value = self.load(memarg, 4, stack)?;
                stack.push(numeric::apply(Op::I32x4Splat, &[value], 0)?);
            }
            Operator::V128Load64Zero { memarg } => {
                let value = self.load(memarg, 8, stack)?;
                stack.push(value);
            }
            Operator::V128Load8x8U { memarg } => {
                let value = self.load(memarg, 8, stack)?;
                stack.push(numeric::apply(Op::I16x8ExtendLowI8x16U, &[value], 0)?);
            }
            Operator::V128Load16Lane { memarg, lane } => {
                let vector = stack.pop().unwrap();
                let value = self.load(memarg, 2, stack)?;
                let args = [vector, value];
                stack.push(numeric::apply(Op::I16x8ReplaceLane, &args, lane.into())?);
            }
            Operator::V128Store32Lane { memarg, lane } => {
                let vector = stack.pop().unwrap();
                return self.store(memarg, 4, vector >> (32 * lane), stack);
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
            Operator::TableSize { .. } => stack.push(self.state.table.len() as Value),
            Operator::Call { function_index } => {
                let params = self.module.func_type(function_index).params().len();
                let args = stack.split_off(stack.len() - params);
                stack.extend(self.call(function_index, args)?);
            }
            Operator::CallIndirect { type_index, .. } => {
                let func = self.indirect(type_index, stack.pop().unwrap())?;
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

fn lane_of(op: Op, lane: u8, stack: &mut Vec<Value>) {
    let args = stack.split_off(stack.len() - op.params().len());
    stack.push(numeric::apply(op, &args, lane.into()).unwrap());
}
