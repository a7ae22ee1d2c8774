//! What the tests share: shape sets, an evaluator of the IR, an interpreter of WebAssembly to
//! compare it with, and a generator of programs.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]

pub mod compare;
pub mod eval;
pub mod generate;
pub mod numeric;
pub mod oracle;
pub mod programs;
pub mod shapes;

use vm_translate::{AtomicKind, AtomicOp, FuncType, Ty, ValType};

/// Why a run ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trap {
    Unreachable,
    DivideByZero,
    Overflow,
    BadConversion,
    MemoryOutOfBounds,
    TableOutOfBounds,
    NullFunction,
    NullReference,
    BadSignature,
    OutOfFuel,
    UnalignedAtomic,
    ExpectedSharedMemory,
    /// The exception of this number, which nobody has caught.
    Thrown(u32),
}

/// An exception, which a reference refers to by its number and one.
#[derive(Clone, Debug, PartialEq)]
pub struct Exception {
    pub tag: u32,
    pub values: Vec<Value>,
}

/// The value of a constant expression over numbers and functions.
fn constant(expr: &vm_translate::ConstExpr) -> Value {
    use vm_translate::ConstOp;
    let mut stack: Vec<u64> = Vec::new();
    for op in expr.ops() {
        let value = match *op {
            ConstOp::I32(value) => u64::from(value as u32),
            ConstOp::I64(value) => value as u64,
            ConstOp::F32(bits) => bits.into(),
            ConstOp::F64(bits) => bits,
            ConstOp::V128(bits) => return bits,
            ConstOp::RefFunc(func) => u64::from(func) + 1,
            ConstOp::RefNull(_) => 0,
            ConstOp::I32Add | ConstOp::I32Sub | ConstOp::I32Mul => {
                let (b, a) = (stack.pop().unwrap() as u32, stack.pop().unwrap() as u32);
                u64::from(match *op {
                    ConstOp::I32Add => a.wrapping_add(b),
                    ConstOp::I32Sub => a.wrapping_sub(b),
                    _ => a.wrapping_mul(b),
                })
            }
            ConstOp::I64Add | ConstOp::I64Sub | ConstOp::I64Mul => {
                let (b, a) = (stack.pop().unwrap(), stack.pop().unwrap());
                match *op {
                    ConstOp::I64Add => a.wrapping_add(b),
                    ConstOp::I64Sub => a.wrapping_sub(b),
                    _ => a.wrapping_mul(b),
                }
            }
            _ => panic!("not among what the tests use"),
        };
        stack.push(value);
    }
    stack[0].into()
}

/// A run's outcome, and what it left behind.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub result: Result<Vec<Value>, Trap>,
    pub memories: Vec<Vec<u8>>,
    pub globals: Vec<Value>,
    /// The arguments of every call of the host, in order.
    pub host_calls: Vec<Vec<Value>>,
    /// Those that have been thrown, in order.
    pub exceptions: Vec<Exception>,
    /// How much fuel has been taken.
    pub fuel: u64,
}

/// A value's bits: of a number, what is above them is zero.
pub type Value = u128;

/// The state that both interpreters work on.
pub struct State {
    pub memories: Vec<Vec<u8>>,
    /// Of every memory, whether its addresses have 64 bits.
    pub memory64: Vec<bool>,
    pub globals: Vec<Value>,
    pub tables: Vec<Vec<Option<u32>>>,
    /// The values of exceptions with tag 0, if that is an import: the host throws some.
    thrown_by_host: Option<Vec<ValType>>,
    pub host_calls: Vec<Vec<Value>>,
    pub exceptions: Vec<Exception>,
    pub fuel: u64,
}

pub const PAGE: usize = 65536;
pub const MAX_PAGES: usize = 3;

impl State {
    pub fn new(module: &vm_translate::Module) -> State {
        let pages = module.memories().iter().map(|ty| ty.minimum as usize);
        let globals = 0..module.globals().len() as u32;
        let sizes = module.tables().iter().map(|ty| ty.minimum as usize);
        let mut tables: Vec<Vec<Option<u32>>> = sizes.map(|size| vec![None; size]).collect();
        for segment in module.elem_segments() {
            if let vm_translate::ElemMode::Active { table, offset } = &segment.mode {
                let start = constant(offset) as usize;
                for (at, item) in segment.items.iter().enumerate() {
                    tables[*table as usize][start + at] = (constant(&item) as u32).checked_sub(1);
                }
            }
        }
        let mut memories: Vec<Vec<u8>> = pages.map(|pages| vec![0; pages * PAGE]).collect();
        for segment in module.data_segments() {
            if let vm_translate::DataMode::Active { memory, offset } = &segment.mode {
                let start = constant(offset) as usize;
                let bytes = &module.bytes()[segment.bytes.clone()];
                memories[*memory as usize][start..][..bytes.len()].copy_from_slice(bytes);
            }
        }
        State {
            memories,
            memory64: module.memories().iter().map(|ty| ty.memory64).collect(),
            globals: globals
                .map(|global| constant(module.global_init(global).unwrap()))
                .collect(),
            tables,
            thrown_by_host: (module.imported_tags() > 0)
                .then(|| module.tag_type(0).params().to_vec()),
            host_calls: Vec::new(),
            exceptions: Vec::new(),
            fuel: 0,
        }
    }

    pub fn load(
        &self,
        memory: u32,
        address: Value,
        offset: u64,
        width: u32,
    ) -> Result<Value, Trap> {
        let range = self.range(memory, address, offset, width.into())?;
        let mut bytes = [0; 16];
        bytes[..width as usize].copy_from_slice(&self.memories[memory as usize][range]);
        Ok(Value::from_le_bytes(bytes))
    }

    pub fn store(
        &mut self,
        memory: u32,
        address: Value,
        offset: u64,
        width: u32,
        value: Value,
    ) -> Result<(), Trap> {
        let range = self.range(memory, address, offset, width.into())?;
        let bytes = &value.to_le_bytes()[..width as usize];
        self.memories[memory as usize][range].copy_from_slice(bytes);
        Ok(())
    }

    fn range(
        &self,
        memory: u32,
        address: Value,
        offset: u64,
        width: u64,
    ) -> Result<std::ops::Range<usize>, Trap> {
        let most = if self.memory64[memory as usize] {
            u64::MAX
        } else {
            u32::MAX.into()
        };
        assert!(address <= most.into(), "an address has dirty upper bits");
        let start = address + Value::from(offset);
        let end = start + Value::from(width);
        if end > self.memories[memory as usize].len() as Value {
            return Err(Trap::MemoryOutOfBounds);
        }
        Ok(start as usize..end as usize)
    }

    /// An atomic instruction of the only thread, on a memory that is not shared, with the operands behind the address. Its
    /// result is of no meaning if the instruction has none.
    pub fn atomic(
        &mut self,
        op: AtomicOp,
        memory: u32,
        address: Value,
        offset: u64,
        operands: &[Value],
    ) -> Result<Value, Trap> {
        let width = op.width();
        match op.kind() {
            AtomicKind::Fence => return Ok(0),
            AtomicKind::Wait => return Err(Trap::ExpectedSharedMemory),
            _ => {}
        }
        let at = address + Value::from(offset);
        if !at.is_multiple_of(width.into()) {
            return Err(Trap::UnalignedAtomic);
        }
        let found = self.load(memory, address, offset, width)?;
        if op.kind() == AtomicKind::Notify {
            return Ok(0);
        }
        let operand = |n: usize| operands.get(n).map_or(0, |value| *value as u64);
        let new = numeric::atomic(op, found as u64, [operand(0), operand(1)]);
        self.store(memory, address, offset, width, new.into())?;
        Ok(found)
    }

    pub fn size(&self, memory: u32) -> Value {
        (self.memories[memory as usize].len() / PAGE) as Value
    }

    pub fn grow(&mut self, memory: u32, pages: Value) -> Value {
        let old = self.size(memory);
        match old.checked_add(pages) {
            Some(new) if new <= MAX_PAGES as Value => {
                self.memories[memory as usize].resize(new as usize * PAGE, 0);
                old
            }
            _ if self.memory64[memory as usize] => u64::MAX.into(),
            _ => u32::MAX.into(),
        }
    }

    pub fn fill(&mut self, memory: u32, [address, value, len]: [Value; 3]) -> Result<(), Trap> {
        let range = self.range(memory, address, 0, len as u64)?;
        self.memories[memory as usize][range].fill(value as u8);
        Ok(())
    }

    pub fn copy(&mut self, to: u32, from: u32, args: [Value; 3]) -> Result<(), Trap> {
        let len = args[2] as u64;
        let (target, source) = (
            self.range(to, args[0], 0, len)?,
            self.range(from, args[1], 0, len)?,
        );
        let bytes = self.memories[from as usize][source].to_vec();
        self.memories[to as usize][target].copy_from_slice(&bytes);
        Ok(())
    }

    /// A new exception is thrown.
    pub fn throw(&mut self, tag: u32, values: Vec<Value>) -> Trap {
        let number = self.exceptions.len() as u32;
        self.exceptions.push(Exception { tag, values });
        Trap::Thrown(number)
    }

    /// What a reference refers to is thrown.
    pub fn throw_ref(&mut self, reference: Value) -> Trap {
        match reference.checked_sub(1) {
            Some(number) => Trap::Thrown(number as u32),
            None => Trap::NullReference,
        }
    }

    /// What the host answers: depends on all it was ever told, so that the order of calls shows. Now and then it throws
    /// an exception instead.
    pub fn host(&mut self, func: u32, args: &[Value], ty: &FuncType) -> Result<Vec<Value>, Trap> {
        let mut call = vec![func.into()];
        call.extend_from_slice(args);
        self.host_calls.push(call);
        let mix = self.host_calls.len() as u64 * 0x9e37_79b9;
        let mix = args
            .iter()
            .fold(mix, |mix, arg| mix.wrapping_add(*arg as u64));
        let answer = |ty: &ValType| match ty.ty() {
            // Of exceptions it has none to give.
            _ if matches!(ty, ValType::Ref(_)) => 0,
            Ty::I32 => Value::from(mix as u32),
            Ty::I64 => mix.into(),
            Ty::F32 => (mix as i32 as f32).to_bits().into(),
            Ty::F64 => (mix as i64 as f64).to_bits().into(),
            Ty::V128 => Value::from(mix) << 64 | Value::from(!mix),
        };
        if let Some(types) = &self.thrown_by_host
            && mix.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 60 == 0
        {
            let values = types.iter().map(answer).collect();
            return Err(self.throw(0, values));
        }
        Ok(ty.results().iter().map(answer).collect())
    }

    pub fn outcome(self, result: Result<Vec<Value>, Trap>) -> Outcome {
        Outcome {
            result,
            memories: self.memories,
            globals: self.globals,
            host_calls: self.host_calls,
            exceptions: self.exceptions,
            fuel: self.fuel,
        }
    }
}
