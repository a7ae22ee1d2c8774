//! What the tests share: shape sets, an evaluator of the IR, an interpreter of WebAssembly to
//! compare it with, and a generator of programs.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]

pub mod eval;
pub mod generate;
pub mod numeric;
pub mod oracle;
pub mod programs;
pub mod shapes;

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
    BadSignature,
}

/// A run's outcome, and what it left behind.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub result: Result<Vec<u64>, Trap>,
    pub memory: Vec<u8>,
    pub globals: Vec<u64>,
    /// The arguments of every call of the host, in order.
    pub host_calls: Vec<Vec<u64>>,
}

/// The state that both interpreters work on.
pub struct State {
    pub memory: Vec<u8>,
    pub globals: Vec<u64>,
    pub table: Vec<Option<u32>>,
    pub host_calls: Vec<Vec<u64>>,
}

pub const PAGE: usize = 65536;
pub const MAX_PAGES: usize = 3;

impl State {
    pub fn new(module: &vm_translate::Module) -> State {
        use vm_translate::ConstOp;
        let constant = |expr: &vm_translate::ConstExpr| match expr.ops()[0] {
            ConstOp::I32(value) => u64::from(value as u32),
            ConstOp::I64(value) => value as u64,
            ConstOp::F32(bits) => bits.into(),
            ConstOp::F64(bits) => bits,
            ConstOp::RefFunc(func) => u64::from(func) + 1,
            ConstOp::RefNull(_) => 0,
            _ => panic!("not among what the tests use"),
        };
        let pages = module.memories().first().map_or(0, |ty| ty.minimum);
        let globals = 0..module.globals().len() as u32;
        let size = module.tables().first().map_or(0, |ty| ty.minimum);
        let mut table = vec![None; size as usize];
        for segment in module.elem_segments() {
            if let vm_translate::ElemMode::Active { offset, .. } = &segment.mode {
                let start = constant(offset) as usize;
                for (at, item) in segment.items.iter().enumerate() {
                    table[start + at] = (constant(item) as u32).checked_sub(1);
                }
            }
        }
        State {
            memory: vec![0; pages as usize * PAGE],
            globals: globals
                .map(|global| constant(module.global_init(global).unwrap()))
                .collect(),
            table,
            host_calls: Vec::new(),
        }
    }

    pub fn load(&self, address: u64, offset: u64, width: u32) -> Result<u64, Trap> {
        let start = self.range(address, offset, width.into())?;
        let mut bytes = [0; 8];
        bytes[..width as usize].copy_from_slice(&self.memory[start..start + width as usize]);
        Ok(u64::from_le_bytes(bytes))
    }

    pub fn store(&mut self, address: u64, offset: u64, width: u32, value: u64) -> Result<(), Trap> {
        let start = self.range(address, offset, width.into())?;
        self.memory[start..start + width as usize]
            .copy_from_slice(&value.to_le_bytes()[..width as usize]);
        Ok(())
    }

    fn range(&self, address: u64, offset: u64, width: u64) -> Result<usize, Trap> {
        assert!(
            address <= u32::MAX.into(),
            "an address has dirty upper bits"
        );
        let start = address + offset;
        if start + width > self.memory.len() as u64 {
            return Err(Trap::MemoryOutOfBounds);
        }
        Ok(start as usize)
    }

    pub fn grow(&mut self, pages: u64) -> u64 {
        let old = self.memory.len() / PAGE;
        match old.checked_add(pages as usize) {
            Some(new) if new <= MAX_PAGES => {
                self.memory.resize(new * PAGE, 0);
                old as u64
            }
            _ => u32::MAX.into(),
        }
    }

    pub fn fill(&mut self, address: u64, value: u64, len: u64) -> Result<(), Trap> {
        let start = self.range(address, 0, len)?;
        self.memory[start..start + len as usize].fill(value as u8);
        Ok(())
    }

    pub fn copy(&mut self, to: u64, from: u64, len: u64) -> Result<(), Trap> {
        let (to, from) = (self.range(to, 0, len)?, self.range(from, 0, len)?);
        self.memory.copy_within(from..from + len as usize, to);
        Ok(())
    }

    /// What the host answers: depends on all it was ever told, so that the order of calls shows.
    pub fn host(&mut self, func: u32, args: &[u64], ty: &vm_translate::FuncType) -> Vec<u64> {
        let mut call = vec![func.into()];
        call.extend_from_slice(args);
        self.host_calls.push(call);
        let mix = self.host_calls.len() as u64 * 0x9e37_79b9;
        let mix = args.iter().fold(mix, |mix, arg| mix.wrapping_add(*arg));
        ty.results()
            .iter()
            .map(|ty| match ty.ty() {
                vm_translate::Ty::I32 => mix & 0xffff_ffff,
                vm_translate::Ty::I64 => mix,
                vm_translate::Ty::F32 => u64::from((mix as i32 as f32).to_bits()),
                vm_translate::Ty::F64 => (mix as i64 as f64).to_bits(),
                vm_translate::Ty::V128 => panic!("no vectors in tests"),
            })
            .collect()
    }

    pub fn outcome(self, result: Result<Vec<u64>, Trap>) -> Outcome {
        Outcome {
            result,
            memory: self.memory,
            globals: self.globals,
            host_calls: self.host_calls,
        }
    }
}
