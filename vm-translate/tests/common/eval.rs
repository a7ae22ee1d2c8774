//! An evaluator of the IR: slow, plain, and suspicious. Whatever the IR does not promise holds
//! garbage here: slots of frames, upper halves of f32 slots, temporaries after calls.

mod exceptions;

use super::{Outcome, State, Trap, Value, numeric};
use vm_translate::ir::{FRAME_HEADER, Inst, Node, Place, Root, RuntimeOp, Slot};
use vm_translate::{AtomicKind, Effect, Function, Module, Registers, Ty};

/// The slot of the header where this executor keeps the head of a loop: as good as any other.
const LOOP_HEAD: usize = 2;

pub struct Eval<'a> {
    module: &'a Module,
    functions: &'a [Function],
    /// Of those that are in the baseline tier, what they are in the optimized one.
    optimized: &'a [Option<Function>],
    /// How many loops of the baseline tier have begun a turn.
    turns: u64,
    registers: Registers,
    state: State,
    /// How much fuel there is.
    fuel: u64,
    /// How many calls have been entered and not left.
    depth: u64,
    slots: Vec<u64>,
    ints: [u64; 16],
    floats: [u64; 16],
    garbage: u64,
    steps: u64,
    /// How many of the operators and roots of the instruction at hand that may trap have not.
    passed: usize,
    /// The offset of the instruction that trapped.
    pub trapped_at: Option<u32>,
}

/// Runs a function without parameters. `functions` are the module's defined functions, in order.
pub fn run(
    module: &Module,
    functions: &[Function],
    registers: Registers,
    func: u32,
    fuel: u64,
) -> (Outcome, Option<u32>) {
    let optimized = vec![None; functions.len()];
    run_tiers(module, functions, &optimized, registers, func, fuel)
}

/// The same with functions in the baseline tier, of which `optimized` has what they are in the other. Every
/// third turn of their loops goes on there.
pub fn run_tiers(
    module: &Module,
    functions: &[Function],
    optimized: &[Option<Function>],
    registers: Registers,
    func: u32,
    fuel: u64,
) -> (Outcome, Option<u32>) {
    let mut eval = Eval {
        module,
        functions,
        optimized,
        turns: 0,
        registers,
        state: State::new(module),
        fuel,
        depth: 0,
        slots: vec![0; 100_000],
        ints: [0; 16],
        floats: [0; 16],
        garbage: 0xbad0_0000_0000_0000,
        steps: 0,
        passed: 0,
        trapped_at: None,
    };
    eval.spoil_temps();
    let start = FRAME_HEADER as usize;
    let result = eval.call(func, 0).map(|()| {
        let types = module.func_type(func).results();
        eval.values(start, types.iter().map(|ty| ty.ty()))
    });
    (eval.state.outcome(result), eval.trapped_at)
}

/// A value as the specification has it.
fn clean(bits: Value, ty: Ty) -> Value {
    match ty {
        Ty::I32 => {
            assert_eq!(
                bits >> 32,
                0,
                "the upper half of an i32 is dirty: {bits:#x}"
            );
            bits
        }
        Ty::F32 => bits & 0xffff_ffff,
        Ty::I64 | Ty::F64 => bits & Value::from(u64::MAX),
        Ty::V128 => bits,
    }
}

/// How a body ends.
enum End {
    Return,
    /// With a call that takes its place.
    Tail(Tail),
    /// In a loop of the baseline tier, whose offset it is: the other tier goes on.
    Hot(u32),
}

impl Eval<'_> {
    fn garbage(&mut self) -> u64 {
        self.garbage += 1;
        self.garbage
    }

    /// Values of these types in consecutive slots.
    fn values(&self, start: usize, types: impl Iterator<Item = Ty>) -> Vec<Value> {
        let mut at = start;
        types
            .map(|ty| {
                let value = self.get(at, ty);
                at += ty.slots() as usize;
                clean(value, ty)
            })
            .collect()
    }

    fn get(&self, at: usize, ty: Ty) -> Value {
        match ty {
            Ty::V128 => Value::from(self.slots[at]) | Value::from(self.slots[at + 1]) << 64,
            _ => self.slots[at].into(),
        }
    }

    fn put(&mut self, at: usize, ty: Ty, value: Value) {
        self.slots[at] = value as u64;
        if ty == Ty::V128 {
            self.slots[at + 1] = (value >> 64) as u64;
        }
    }

    fn spoil(&mut self, from: usize, to: usize) {
        for slot in from..to {
            self.slots[slot] = self.garbage();
        }
    }

    fn spoil_temps(&mut self) {
        for n in usize::from(self.registers.pinned_ints)..16 {
            self.ints[n] = self.garbage();
        }
        for n in usize::from(self.registers.pinned_floats)..16 {
            self.floats[n] = self.garbage();
        }
    }

    fn call(&mut self, func: u32, frame: usize) -> Result<(), Trap> {
        let start = frame + FRAME_HEADER as usize;
        let Some(defined) = func.checked_sub(self.module.imported_funcs()) else {
            let ty = self.module.func_type(func);
            let args = self.values(start, ty.params().iter().map(|ty| ty.ty()));
            self.spoil_temps();
            let results = self.state.host(func, &args, ty)?;
            let mut at = start;
            for (ty, value) in ty.results().iter().zip(results) {
                self.put(at, ty.ty(), value);
                at += ty.ty().slots() as usize;
            }
            return Ok(());
        };
        let functions = self.functions;
        let function = &functions[defined as usize];
        let params = function.param_slots() as usize;
        self.spoil(frame, start);
        self.spoil(start + params, frame + function.frame_slots() as usize + 8);
        self.spoil_temps();
        for slot in function.zeroed() {
            self.slots[frame + slot as usize] = 0;
        }
        let mut saved = self.save(function, frame);
        for pin in function.pins() {
            let value = pin
                .parameter
                .map_or(0, |slot| self.slots[frame + slot as usize]);
            self.write(pin.place, frame, value.into());
        }
        let outer_depth = self.depth;
        let optimized = self.optimized[defined as usize].as_ref();
        let end = self.bodies(function, optimized, frame, &mut saved);
        if end.is_ok() {
            assert_eq!(
                self.depth, outer_depth,
                "a call is not left as it was entered"
            );
        }
        // It may be left by an exception, whoever catches that.
        self.depth = outer_depth;
        for (slot, register) in saved {
            let value = self.slots[slot];
            self.write(register, frame, value.into());
        }
        let slots = function.frame_slots();
        let end = end.inspect_err(|_| self.spoil(frame, frame + slots as usize))?;
        if let End::Tail(Tail { func, from, args }) = end {
            // In the same frame, of which nothing but the arguments is left.
            self.slots.copy_within(from..from + args, start);
            return self.call(func, frame);
        }
        let results = function.result_slots() as usize;
        self.spoil(frame, start);
        self.spoil(start + results, frame + function.frame_slots() as usize);
        self.spoil_temps();
        Ok(())
    }

    /// Runs a function's body, and that of the other tier from where it goes on there; what has been `saved` is then
    /// what that has.
    fn bodies(
        &mut self,
        function: &Function,
        optimized: Option<&Function>,
        frame: usize,
        saved: &mut Vec<(usize, Place)>,
    ) -> Result<End, Trap> {
        let end = self.body(function, frame, 0, optimized.is_some())?;
        let (End::Hot(offset), Some(better)) = (&end, optimized) else {
            return Ok(end);
        };
        let head = (better.loops().iter()).find(|head| head.offset == *offset);
        let head = head.expect("both tiers have the loop");
        let from = function.local_places();
        let values: Vec<Value> = from.map(|place| self.read(place, frame)).collect();
        // Nothing else of the frame is promised.
        let size = function.frame_slots().max(better.frame_slots());
        let start = frame + FRAME_HEADER as usize;
        self.spoil(start, frame + size as usize + 8);
        *saved = self.save(better, frame);
        for (place, value) in better.local_places().zip(values) {
            self.write(place, frame, value);
        }
        self.body(better, frame, head.inst as usize, false)
    }

    /// Saves the registers that a function changes, and answers where.
    fn save(&mut self, function: &Function, frame: usize) -> Vec<(usize, Place)> {
        let saves = frame + function.saves().start as usize;
        let ints = (0..function.saved_ints()).map(Place::Int);
        let floats = (0..function.saved_floats()).map(Place::Float);
        let saved: Vec<(usize, Place)> = (saves..).zip(ints.chain(floats)).collect();
        for (slot, register) in &saved {
            self.slots[*slot] = self.read(*register, frame) as u64;
        }
        saved
    }

    fn read(&self, place: Place, frame: usize) -> Value {
        match place {
            Place::Slot(slot) => self.slots[frame + slot as usize].into(),
            Place::Int(n) => self.ints[n as usize].into(),
            Place::Float(n) => self.floats[n as usize].into(),
            Place::Vector(slot) => self.get(frame + slot as usize, Ty::V128),
        }
    }

    fn write(&mut self, place: Place, frame: usize, value: Value) {
        match place {
            Place::Slot(slot) => self.put(frame + slot as usize, Ty::I64, value),
            Place::Int(n) => self.ints[n as usize] = value as u64,
            Place::Float(n) => self.floats[n as usize] = value as u64,
            Place::Vector(slot) => self.put(frame + slot as usize, Ty::V128, value),
        }
    }

    /// Runs a body from an instruction on. If it `continues`, it may end where a loop begins a turn.
    fn body(
        &mut self,
        function: &Function,
        frame: usize,
        start: usize,
        continues: bool,
    ) -> Result<End, Trap> {
        let mut next = start;
        loop {
            if continues
                && let Some(head) =
                    (function.loops().iter()).find(|head| head.inst as usize == next)
            {
                self.turns += 1;
                if self.turns.is_multiple_of(3) {
                    return Ok(End::Hot(head.offset));
                }
            }
            self.steps += 1;
            assert!(self.steps < 3_000_000, "the program does not end");
            let inst = &function.insts()[next];
            let target = |label: u32| function.labels()[label as usize] as usize;
            next += 1;
            self.passed = 0;
            match inst.root {
                Root::EnterLoop => self.slots[frame + LOOP_HEAD] = next as u64,
                Root::Loop(label) | Root::LoopIf(label) | Root::LoopUnless(label) => {
                    assert_eq!(self.slots[frame + LOOP_HEAD], target(label) as u64);
                }
                _ => {}
            }
            match self.inst(function, inst, frame) {
                Ok(Flow::Next) => {}
                Ok(Flow::To(label)) => next = target(label),
                Ok(Flow::Return) => return Ok(End::Return),
                Ok(Flow::Tail(tail)) => return Ok(End::Tail(tail)),
                Err(trap) => {
                    let index = next - 1;
                    // Only the innermost instruction knows.
                    if self.trapped_at.is_none() {
                        self.trapped_at = function.trap_offsets(index).nth(self.passed);
                        assert!(self.trapped_at.is_some(), "{inst:?} has trapped nowhere");
                    }
                    let caught = match trap {
                        Trap::Thrown(number) => self.catch(function, index, frame, number),
                        _ => None,
                    };
                    next = target(caught.ok_or(trap)?);
                }
            }
        }
    }

    fn inst(&mut self, function: &Function, inst: &Inst, frame: usize) -> Result<Flow, Trap> {
        let mut nodes = function.nodes(inst);
        Ok(match inst.root {
            Root::Set(place) => {
                let ty = match place {
                    Place::Float(_) => Ty::F64,
                    Place::Vector(_) => Ty::V128,
                    _ => Ty::I64,
                };
                let f32_result = matches!(nodes[0], Node::Op(op, _) if op.result() == Ty::F32);
                let mut value = self.tree(&mut nodes, ty, frame)?;
                if f32_result {
                    value |= Value::from(self.garbage() as u32) << 32;
                }
                self.write(place, frame, value);
                Flow::Next
            }
            Root::Copy { from, to, count } => {
                let from = frame + from as usize;
                let to = frame + to as usize;
                self.slots.copy_within(from..from + count as usize, to);
                Flow::Next
            }
            Root::Store { op, offset } => {
                let address = self.tree(&mut nodes, Ty::I32, frame)?;
                let value = self.tree(&mut nodes, op.value(), frame)?;
                self.state.store(0, address, offset, op.width(), value)?;
                Flow::Next
            }
            Root::GlobalSet { global, kind } => {
                let value = self.tree(&mut nodes, kind, frame)?;
                let ty = self.module.globals()[global as usize].content.ty();
                self.state.globals[global as usize] = clean(value, ty);
                Flow::Next
            }
            Root::ConsumeFuel { cost } => {
                let consumed = self.state.fuel + u64::from(cost);
                if consumed > self.fuel {
                    return Err(Trap::OutOfFuel);
                }
                self.state.fuel = consumed;
                Flow::Next
            }
            Root::EnterCall => {
                self.depth += 1;
                Flow::Next
            }
            Root::LeaveCall => {
                self.depth -= 1;
                Flow::Next
            }
            Root::CheckEpoch => {
                // Whoever has to do with the epoch may use them.
                self.spoil_temps();
                Flow::Next
            }
            Root::EnterLoop => Flow::Next,
            Root::Br(label) | Root::Loop(label) => Flow::To(label),
            Root::BrIf(label)
            | Root::BrUnless(label)
            | Root::LoopIf(label)
            | Root::LoopUnless(label) => {
                let value = self.tree(&mut nodes, Ty::I32, frame)?;
                if (value != 0) == matches!(inst.root, Root::BrIf(_) | Root::LoopIf(_)) {
                    Flow::To(label)
                } else {
                    Flow::Next
                }
            }
            Root::BrTable { first, count } => {
                let value = self.tree(&mut nodes, Ty::I32, frame)?;
                let at = Value::from(first) + value.min(Value::from(count) - 1);
                Flow::To(function.tables()[at as usize])
            }
            Root::Return => Flow::Return,
            Root::Unreachable => return Err(Trap::Unreachable),
            Root::NullReference => return Err(Trap::NullReference),
            Root::Call { func, base } | Root::CallImport { func, base } => {
                self.call(func, frame + base as usize)?;
                Flow::Next
            }
            Root::CallIndirect { table, ty, base } => {
                let index = self.tree(&mut nodes, Ty::I32, frame)?;
                let func = self.indirect(table, ty, index)?;
                self.call(func, frame + base as usize)?;
                Flow::Next
            }
            Root::CallRef { ty, base } => {
                let reference = self.tree(&mut nodes, Ty::I64, frame)?;
                let func = self.referent(ty, reference)?;
                self.call(func, frame + base as usize)?;
                Flow::Next
            }
            Root::ReturnCallRef { ty, base, args } => {
                let from = frame + (base + FRAME_HEADER) as usize;
                let reference = self.get(from + args as usize, Ty::I64);
                Flow::Tail(Tail {
                    func: self.referent(ty, reference)?,
                    from,
                    args: args as usize,
                })
            }
            Root::MemoryLoad {
                op,
                memory,
                offset,
                base,
            } => {
                let Effect::Load { width, .. } = op.effect() else {
                    panic!("{op} is no load")
                };
                let at = frame + base as usize;
                let address = self.get(at, self.address_type(memory));
                let value = self.state.load(memory, address, offset, width)?;
                let mut value = numeric::extend(op, value);
                if op.result() == Ty::F32 {
                    value |= Value::from(self.garbage() as u32) << 32;
                }
                self.put(at, op.result(), value);
                Flow::Next
            }
            Root::MemoryStore {
                op,
                memory,
                offset,
                base,
            } => {
                let at = frame + base as usize;
                let address = self.get(at, self.address_type(memory));
                let value = self.get(at + 1, op.value());
                let width = op.width();
                self.state.store(memory, address, offset, width, value)?;
                Flow::Next
            }
            Root::Atomic {
                op,
                memory,
                offset,
                base,
                unchecked,
            } => {
                let direct = memory == 0 && !self.state.memory64[0];
                assert!(!unchecked || direct && op.kind().is_access());
                let at = frame + base as usize;
                let address = match op.kind() {
                    AtomicKind::Fence => 0,
                    _ => clean(
                        self.get(at, self.address_type(memory)),
                        self.address_type(memory),
                    ),
                };
                let operands: Vec<Value> = (at + 1..)
                    .zip(op.params())
                    .map(|(slot, ty)| clean(self.get(slot, *ty), *ty))
                    .collect();
                let value = self.state.atomic(op, memory, address, offset, &operands)?;
                if let Some(ty) = op.result() {
                    self.put(at, ty, value);
                }
                self.spoil_temps();
                Flow::Next
            }
            Root::ReturnCall { func, base, args } | Root::ReturnCallImport { func, base, args } => {
                Flow::Tail(Tail {
                    func,
                    from: frame + (base + FRAME_HEADER) as usize,
                    args: args as usize,
                })
            }
            Root::ReturnCallIndirect {
                table,
                ty,
                base,
                args,
            } => {
                let from = frame + (base + FRAME_HEADER) as usize;
                let index = clean(self.get(from + args as usize, Ty::I32), Ty::I32);
                Flow::Tail(Tail {
                    func: self.indirect(table, ty, index)?,
                    from,
                    args: args as usize,
                })
            }
            Root::Runtime { op, base, imm } => {
                self.runtime(op, base, imm, frame)?;
                self.spoil_temps();
                Flow::Next
            }
        })
    }

    fn runtime(
        &mut self,
        op: RuntimeOp,
        base: Slot,
        imm: [u32; 2],
        frame: usize,
    ) -> Result<(), Trap> {
        let at = frame + base as usize;
        let address = |n: usize| self.address_type(imm[n]);
        let arg = |n: usize, ty: Ty| clean(self.get(at + n, ty), ty);
        let result = match op {
            RuntimeOp::MemorySize => self.state.size(imm[0]),
            RuntimeOp::MemoryGrow => {
                let pages = arg(0, address(0));
                self.state.grow(imm[0], pages)
            }
            RuntimeOp::MemoryFill => {
                let args = [arg(0, address(0)), arg(1, Ty::I32), arg(2, address(0))];
                return self.state.fill(imm[0], args);
            }
            RuntimeOp::MemoryCopy => {
                let len = match (address(0), address(1)) {
                    (Ty::I64, Ty::I64) => Ty::I64,
                    _ => Ty::I32,
                };
                let args = [arg(0, address(0)), arg(1, address(1)), arg(2, len)];
                return self.state.copy(imm[0], imm[1], args);
            }
            RuntimeOp::Throw => {
                let types = self.module.tag_type(imm[0]).params();
                let values = self.values(at, types.iter().map(|ty| ty.ty()));
                return Err(self.state.throw(imm[0], values));
            }
            RuntimeOp::ThrowRef => return Err(self.state.throw_ref(arg(0, Ty::I64))),
            RuntimeOp::RefFunc => Value::from(imm[0]) + 1,
            RuntimeOp::TableFunction => {
                let index = arg(0, Ty::I32);
                Value::from(self.indirect(imm[0], imm[1], index)?) + 1
            }
            RuntimeOp::ClampIndex => arg(0, Ty::I64).min(u32::MAX.into()),
            RuntimeOp::I64Add128 | RuntimeOp::I64Sub128 => {
                let (a, b) = (self.get(at, Ty::V128), self.get(at + 2, Ty::V128));
                let sum = match op {
                    RuntimeOp::I64Add128 => a.wrapping_add(b),
                    _ => a.wrapping_sub(b),
                };
                self.put(at, Ty::V128, sum);
                return Ok(());
            }
            RuntimeOp::I64MulWideU => {
                let product = arg(0, Ty::I64) * arg(1, Ty::I64);
                self.put(at, Ty::V128, product);
                return Ok(());
            }
            RuntimeOp::I64MulWideS => {
                let [a, b] = [0, 1].map(|n| i128::from(self.slots[at + n] as i64));
                self.put(at, Ty::V128, (a * b) as Value);
                return Ok(());
            }
            _ => panic!("{} is not among what the tests use", op.name()),
        };
        self.put(at, Ty::I64, result);
        Ok(())
    }

    fn address_type(&self, memory: u32) -> Ty {
        match self.state.memory64[memory as usize] {
            true => Ty::I64,
            false => Ty::I32,
        }
    }

    fn indirect(&self, table: u32, ty: u32, index: Value) -> Result<u32, Trap> {
        let entry = self.state.tables[table as usize].get(index as usize);
        let func = entry
            .ok_or(Trap::TableOutOfBounds)?
            .ok_or(Trap::NullFunction)?;
        let ty = self.module.types()[ty as usize].id();
        if !self.module.func_type(func).is_subtype_of(ty) {
            return Err(Trap::BadSignature);
        }
        Ok(func)
    }

    /// The function that a reference refers to, which has to be of a type.
    fn referent(&self, ty: u32, reference: Value) -> Result<u32, Trap> {
        let func = reference.checked_sub(1).ok_or(Trap::NullReference)? as u32;
        let ty = self.module.types()[ty as usize].id();
        assert!(self.module.func_type(func).is_subtype_of(ty));
        Ok(func)
    }

    fn tree(&mut self, nodes: &mut &[Node], ty: Ty, frame: usize) -> Result<Value, Trap> {
        let node = nodes[0];
        *nodes = &nodes[1..];
        match node {
            Node::Const(bits) => Ok(bits.into()),
            Node::Place(place) => Ok(clean(self.read(place, frame), ty)),
            Node::Op(op, immediate) => {
                let mut args = Vec::new();
                for ty in op.params() {
                    args.push(clean(self.tree(nodes, *ty, frame)?, *ty));
                }
                let value = match op.effect() {
                    Effect::Load { width, .. } => {
                        numeric::extend(op, self.state.load(0, args[0], immediate, width)?)
                    }
                    Effect::Global => self.state.globals[immediate as usize],
                    _ => numeric::apply(op, &args, immediate)?,
                };
                self.passed += usize::from(op.may_trap());
                Ok(value)
            }
        }
    }
}

enum Flow {
    Next,
    To(u32),
    Return,
    Tail(Tail),
}

/// A call in the place of the function: the arguments stand in so many slots from one on.
struct Tail {
    func: u32,
    from: usize,
    args: usize,
}
