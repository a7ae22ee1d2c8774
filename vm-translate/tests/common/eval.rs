//! An evaluator of the IR: slow, plain, and suspicious. Whatever the IR does not promise holds
//! garbage here: slots of frames, upper halves of f32 slots, temporaries after calls.

use super::{Outcome, PAGE, State, Trap, numeric};
use vm_translate::ir::{FRAME_HEADER, Inst, Node, Place, Root, RuntimeOp, Slot};
use vm_translate::{Effect, Function, Module, Registers, Ty};

pub struct Eval<'a> {
    module: &'a Module,
    functions: &'a [Function],
    registers: Registers,
    state: State,
    slots: Vec<u64>,
    ints: [u64; 16],
    floats: [u64; 16],
    garbage: u64,
    steps: u64,
    /// The offset of the instruction that trapped, if only one part of it can trap.
    pub trapped_at: Option<u32>,
}

/// Runs a function. `functions` are the module's defined functions, in order.
pub fn run(
    module: &Module,
    functions: &[Function],
    registers: Registers,
    func: u32,
    args: &[u64],
) -> (Outcome, Option<u32>) {
    let mut eval = Eval {
        module,
        functions,
        registers,
        state: State::new(module),
        slots: vec![0; 100_000],
        ints: [0; 16],
        floats: [0; 16],
        garbage: 0xbad0_0000_0000_0000,
        steps: 0,
        trapped_at: None,
    };
    eval.spoil_temps();
    let start = FRAME_HEADER as usize;
    eval.slots[start..start + args.len()].copy_from_slice(args);
    let result = eval.call(func, 0).map(|()| {
        let types = module.func_type(func).results();
        let slots = &eval.slots[start..];
        slots
            .iter()
            .zip(types)
            .map(|(bits, ty)| clean(*bits, ty.ty()))
            .collect()
    });
    (eval.state.outcome(result), eval.trapped_at)
}

/// The programs here are made of numbers; those of the engine's tests have vectors.
const NO_VECTORS: &str = "programs of these tests have no vectors";

/// A value as the specification has it.
fn clean(bits: u64, ty: Ty) -> u64 {
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
        Ty::I64 | Ty::F64 => bits,
        Ty::V128 => panic!("{NO_VECTORS}"),
    }
}

impl Eval<'_> {
    fn garbage(&mut self) -> u64 {
        self.garbage += 1;
        self.garbage
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
            let args: Vec<u64> = ty
                .params()
                .iter()
                .zip(&self.slots[start..])
                .map(|(ty, bits)| clean(*bits, ty.ty()))
                .collect();
            let results = self.state.host(func, &args, ty);
            self.slots[start..start + results.len()].copy_from_slice(&results);
            self.spoil_temps();
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
        let saves = frame + function.saves() as usize;
        for (n, pin) in function.pins().iter().enumerate() {
            self.slots[saves + n] = self.read(pin.place, frame);
            let value = pin
                .parameter
                .map_or(0, |slot| self.slots[frame + slot as usize]);
            self.write(pin.place, frame, value);
        }
        self.body(function, frame)?;
        for (n, pin) in function.pins().iter().enumerate() {
            let saved = self.slots[saves + n];
            self.write(pin.place, frame, saved);
        }
        let results = function.result_slots() as usize;
        self.spoil(frame, start);
        self.spoil(start + results, frame + function.frame_slots() as usize);
        self.spoil_temps();
        Ok(())
    }

    fn read(&self, place: Place, frame: usize) -> u64 {
        match place {
            Place::Slot(slot) => self.slots[frame + slot as usize],
            Place::Int(n) => self.ints[n as usize],
            Place::Float(n) => self.floats[n as usize],
            Place::Vector(_) => panic!("{NO_VECTORS}"),
        }
    }

    fn write(&mut self, place: Place, frame: usize, value: u64) {
        match place {
            Place::Slot(slot) => self.slots[frame + slot as usize] = value,
            Place::Int(n) => self.ints[n as usize] = value,
            Place::Float(n) => self.floats[n as usize] = value,
            Place::Vector(_) => panic!("{NO_VECTORS}"),
        }
    }

    fn body(&mut self, function: &Function, frame: usize) -> Result<(), Trap> {
        let mut next = 0;
        loop {
            self.steps += 1;
            assert!(self.steps < 3_000_000, "the program does not end");
            let inst = &function.insts()[next];
            let target = |label: u32| function.labels()[label as usize] as usize;
            next += 1;
            match self.inst(function, inst, frame) {
                Ok(Flow::Next) => {}
                Ok(Flow::To(label)) => next = target(label),
                Ok(Flow::Return) => return Ok(()),
                Err(trap) => {
                    // Only the innermost instruction knows.
                    let call = matches!(
                        inst.root,
                        Root::Call { .. } | Root::CallImport { .. } | Root::CallIndirect { .. }
                    );
                    let mut traps = function
                        .nodes(inst)
                        .iter()
                        .filter(|node| matches!(node, Node::Op(op, _) if op.may_trap()))
                        .count();
                    traps += usize::from(matches!(inst.root, Root::Store { .. }));
                    if !call && traps <= 1 {
                        self.trapped_at = Some(inst.offset);
                    }
                    return Err(trap);
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
                    _ => Ty::I64,
                };
                let f32_result = matches!(nodes[0], Node::Op(op, _) if op.result() == Ty::F32);
                let mut value = self.tree(&mut nodes, ty, frame)?;
                if f32_result {
                    value |= self.garbage() << 32;
                }
                self.write(place, frame, value);
                Flow::Next
            }
            Root::Store { op, offset } => {
                let address = self.tree(&mut nodes, Ty::I32, frame)?;
                let value = self.tree(&mut nodes, op.value(), frame)?;
                self.state.store(address, offset, op.width(), value)?;
                Flow::Next
            }
            Root::GlobalSet { global, .. } => {
                let value = self.tree(&mut nodes, Ty::I64, frame)?;
                let ty = self.module.globals()[global as usize].content.ty();
                self.state.globals[global as usize] = clean(value, ty);
                Flow::Next
            }
            Root::Br(label) => Flow::To(label),
            Root::BrIf(label) | Root::BrUnless(label) => {
                let value = self.tree(&mut nodes, Ty::I32, frame)?;
                if (value != 0) == matches!(inst.root, Root::BrIf(_)) {
                    Flow::To(label)
                } else {
                    Flow::Next
                }
            }
            Root::BrTable { first, count } => {
                let value = self.tree(&mut nodes, Ty::I32, frame)?;
                let at = u64::from(first) + value.min(u64::from(count) - 1);
                Flow::To(function.tables()[at as usize])
            }
            Root::Return => Flow::Return,
            Root::Unreachable => return Err(Trap::Unreachable),
            Root::Call { func, base } | Root::CallImport { func, base } => {
                self.call(func, frame + base as usize)?;
                Flow::Next
            }
            Root::CallIndirect { ty, base, .. } => {
                let index = self.tree(&mut nodes, Ty::I32, frame)?;
                let entry = self.state.table.get(index as usize);
                let func = entry
                    .ok_or(Trap::TableOutOfBounds)?
                    .ok_or(Trap::NullFunction)?;
                if *self.module.func_type(func) != self.module.types()[ty as usize] {
                    return Err(Trap::BadSignature);
                }
                self.call(func, frame + base as usize)?;
                Flow::Next
            }
            Root::MemoryLoad { .. }
            | Root::MemoryStore { .. }
            | Root::ReturnCall { .. }
            | Root::ReturnCallImport { .. }
            | Root::ReturnCallIndirect { .. } => panic!("not among what the tests use"),
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
        let arg = |n: usize| self.slots[at + n];
        let result = match op {
            RuntimeOp::MemorySize => (self.state.memory.len() / PAGE) as u64,
            RuntimeOp::MemoryGrow => self.state.grow(clean(arg(0), Ty::I32)),
            RuntimeOp::MemoryFill => {
                let args = [0, 1, 2].map(|n| clean(arg(n), Ty::I32));
                self.state.fill(args[0], args[1], args[2])?;
                return Ok(());
            }
            RuntimeOp::MemoryCopy => {
                let args = [0, 1, 2].map(|n| clean(arg(n), Ty::I32));
                self.state.copy(args[0], args[1], args[2])?;
                return Ok(());
            }
            RuntimeOp::RefFunc => u64::from(imm[0]) + 1,
            RuntimeOp::TableSize => self.state.table.len() as u64,
            _ => panic!("{} is not among what the tests use", op.name()),
        };
        self.slots[at] = result;
        Ok(())
    }

    fn tree(&mut self, nodes: &mut &[Node], ty: Ty, frame: usize) -> Result<u64, Trap> {
        let node = nodes[0];
        *nodes = &nodes[1..];
        match node {
            Node::Const(bits) => Ok(bits),
            Node::Place(place) => Ok(clean(self.read(place, frame), ty)),
            Node::Op(op, immediate) => {
                let mut args = Vec::new();
                for ty in op.params() {
                    args.push(clean(self.tree(nodes, *ty, frame)?, *ty));
                }
                match op.effect() {
                    Effect::Load { width, .. } => Ok(numeric::extend(
                        op,
                        self.state.load(args[0], immediate, width)?,
                    )),
                    Effect::Global => Ok(self.state.globals[immediate as usize]),
                    _ => numeric::apply(op, &args),
                }
            }
        }
    }
}

enum Flow {
    Next,
    To(u32),
    Return,
}
