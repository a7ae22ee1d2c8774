//! A direct interpreter of WebAssembly, independent of the translation: an operand stack and
//! structured control, nothing clever.

mod exceptions;
mod steps;

use super::{Outcome, State, Trap, Value, numeric};
use exceptions::Caught;
use std::collections::HashMap;
use steps::{Names, Step, name};
use vm_translate::{FuelCosts, Module, Op};
use wasmparser::{BlockType, MemArg, MemArgTarget, Operator, Parser, Payload, TryTable};

pub struct Oracle<'a> {
    module: &'a Module,
    bodies: Vec<Body<'a>>,
    canonical_nans: bool,
    state: State,
    /// Of every block that is open, the exception that it has caught, if it is at a `catch`.
    caught: Vec<Option<u32>>,
    /// How many blocks further out an exception goes before any catches it: it has been delegated.
    delegated: Option<u32>,
    pub trapped_at: Option<u32>,
}

struct Body<'a> {
    locals: Vec<Value>,
    /// With their offsets, and what each costs.
    code: Vec<(Step<'a>, u32, u32)>,
    /// For each block's start, its else or first clause (or end) and its end.
    ends: HashMap<usize, (usize, usize)>,
    /// For each `try`, where its clauses are.
    clauses: HashMap<usize, Vec<usize>>,
}

/// How a sequence of instructions was left.
enum Exit {
    Fallthrough,
    Branch(u32),
    /// By a call that takes the function's place.
    Tail(u32, Vec<Value>),
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
            let mut open: Vec<(usize, Option<usize>)> = Vec::new();
            let mut clauses: HashMap<usize, Vec<usize>> = HashMap::new();
            let mut ends = HashMap::new();
            for (at, (op, ..)) in code.iter().enumerate() {
                let Step::Other(op) = op else { continue };
                match op {
                    Operator::Block { .. }
                    | Operator::Loop { .. }
                    | Operator::If { .. }
                    | Operator::TryTable { .. }
                    | Operator::Try { .. } => {
                        open.push((at, None));
                    }
                    Operator::Else => open.last_mut().unwrap().1 = Some(at),
                    Operator::Catch { .. } | Operator::CatchAll => {
                        let (start, first) = open.last_mut().unwrap();
                        first.get_or_insert(at);
                        clauses.entry(*start).or_default().push(at);
                    }
                    Operator::End | Operator::Delegate { .. } => {
                        if let Some((start, else_)) = open.pop() {
                            ends.insert(start, (else_.unwrap_or(at), at));
                        }
                    }
                    _ => {}
                }
            }
            bodies.push(Body {
                locals,
                code,
                ends,
                clauses,
            });
        }
    }
    let mut oracle = Oracle {
        module,
        bodies,
        canonical_nans,
        state: State::new(module),
        caught: Vec::new(),
        delegated: None,
        trapped_at: None,
    };
    let result = oracle.call(func, args.to_vec());
    (oracle.state.outcome(result), oracle.trapped_at)
}

impl Oracle<'_> {
    fn call(&mut self, func: u32, args: Vec<Value>) -> Result<Vec<Value>, Trap> {
        let (mut func, mut locals) = (func, args);
        loop {
            let ty = self.module.func_type(func);
            let Some(defined) = func.checked_sub(self.module.imported_funcs()) else {
                return self.state.host(func, &locals, ty);
            };
            let body = &self.bodies[defined as usize];
            locals.extend(&body.locals);
            let len = body.code.len();
            let mut stack = Vec::new();
            let exit = self.sequence(defined as usize, 0, len, &mut locals, &mut stack);
            // Nobody delegates to blocks of the caller.
            self.delegated = None;
            match exit? {
                Exit::Tail(callee, args) => (func, locals) = (callee, args),
                Exit::Fallthrough | Exit::Branch(_) => {
                    let results = ty.results().len();
                    return Ok(stack.split_off(stack.len() - results));
                }
            }
        }
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
                | Operator::If { blockty }
                | Operator::Try { blockty }
                | Operator::TryTable {
                    try_table: TryTable { ty: blockty, .. },
                } => {
                    let opens = at;
                    let (else_, close) = self.bodies[body].ends[&at];
                    let (mut from, mut to) = (at + 1, close);
                    if let Operator::Try { .. } = op {
                        to = else_;
                    }
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
                    let mut caught = None;
                    loop {
                        self.caught.push(caught);
                        let exit = self.sequence(body, from, to, locals, stack);
                        self.caught.pop();
                        let exit = match exit {
                            Err(Trap::Thrown(number)) => {
                                let is_clause = caught.is_some();
                                let found = self.catch(body, opens, is_clause, number);
                                let found = found.ok_or(Trap::Thrown(number))?;
                                stack.truncate(height);
                                match found {
                                    Caught::Goes(values, label) => {
                                        stack.extend(values);
                                        return Ok(Exit::Branch(label));
                                    }
                                    Caught::Clause(values, range) => {
                                        stack.extend(values);
                                        (from, to) = (range.start, range.end);
                                        caught = Some(number);
                                        continue;
                                    }
                                }
                            }
                            exit => exit?,
                        };
                        if let (Exit::Fallthrough, true) = (&exit, from <= to) {
                            // The `else` or the `end` behind it, unless the condition leads behind that.
                            self.state.fuel += u64::from(self.bodies[body].code[to].2);
                        }
                        let (again, keep) = match (exit, &op) {
                            (Exit::Branch(0), Operator::Loop { .. }) => (true, params),
                            (Exit::Branch(0) | Exit::Fallthrough, _) => (false, results),
                            (Exit::Branch(depth), _) => return Ok(Exit::Branch(depth - 1)),
                            (exit @ Exit::Tail(..), _) => return Ok(exit),
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
                    Some(Exit::Tail(func, args))
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
                    Some(Exit::Tail(function_index, args))
                }
                Operator::ReturnCallIndirect {
                    type_index,
                    table_index,
                } => {
                    let func = self.indirect(table_index, type_index, stack.pop().unwrap());
                    let func = self.at(offset, func)?;
                    let params = self.module.func_type(func).params().len();
                    let args = stack.split_off(stack.len() - params);
                    Some(Exit::Tail(func, args))
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
            Operator::Throw { tag_index } => {
                let params = self.module.tag_type(tag_index).params().len();
                let values = stack.split_off(stack.len() - params);
                return Err(self.state.throw(tag_index, values));
            }
            Operator::ThrowRef => return Err(self.state.throw_ref(stack.pop().unwrap())),
            Operator::Rethrow { relative_depth } => {
                let label = self.caught.len() - 1 - relative_depth as usize;
                let number = self.caught[label].expect("it is at a clause");
                return Err(Trap::Thrown(number));
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
