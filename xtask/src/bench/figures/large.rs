//! A large module, made from a seed: the same bytes every time.
//!
//! Functions look like a compiler's for a program with structures and loops: locals of several types,
//! loads and stores with offsets, conditions, loops, calls of earlier functions.

use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, ExportKind, ExportSection, Function, FunctionSection,
    GlobalSection, GlobalType, InstructionSink, MemArg, MemArgTarget, MemorySection, MemoryType,
    Module, TypeSection, ValType,
};

/// Functions of a module of about three million bytes.
pub(in crate::bench) const FUNCTIONS: u32 = 6000;

/// Locals of each type; the first of i32 is the parameter.
const LOCALS: u32 = 4;

/// A module of so many functions. Its export `run: (i32) -> i32` answers its argument and calls nothing; the other
/// functions are there to be loaded.
pub(in crate::bench) fn module(count: u32) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([ValType::I32], [ValType::I32]);
    let mut functions = FunctionSection::new();
    let mut code = CodeSection::new();
    let mut random = Random(0x1234_5678_9abc_def0);
    for index in 0..count {
        functions.function(0);
        code.function(&function(&mut random, index));
    }
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: 2,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    let mut globals = GlobalSection::new();
    let stack_pointer = GlobalType {
        val_type: ValType::I32,
        mutable: true,
        shared: false,
    };
    globals.global(stack_pointer, &ConstExpr::i32_const(65_536));
    let mut exports = ExportSection::new();
    exports.export("run", ExportKind::Func, 0);
    Module::new()
        .section(&types)
        .section(&functions)
        .section(&memories)
        .section(&globals)
        .section(&exports)
        .section(&code)
        .clone()
        .finish()
}

/// Splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        let high = (z ^ z >> 31) >> 32;
        ((high * u64::from(bound)) >> 32) as u32
    }
}

fn function(random: &mut Random, index: u32) -> Function {
    let locals = [
        (LOCALS - 1, ValType::I32),
        (LOCALS, ValType::I64),
        (LOCALS, ValType::F64),
    ];
    let mut function = Function::new(locals);
    if index > 0 {
        let mut body = Body {
            random,
            index,
            out: function.instructions(),
        };
        body.statements(14, 0);
    }
    function.instructions().local_get(0).end();
    function
}

/// Writes the body of one function.
struct Body<'a> {
    random: &'a mut Random,
    /// The function's; only earlier ones are called.
    index: u32,
    out: InstructionSink<'a>,
}

impl Body<'_> {
    fn local(&mut self, ty: ValType) -> u32 {
        let first = match ty {
            ValType::I64 => LOCALS,
            ValType::F64 => 2 * LOCALS,
            _ => 0,
        };
        first + self.random.below(LOCALS)
    }

    fn statements(&mut self, count: u32, depth: u32) {
        for _ in 0..count {
            self.statement(depth);
        }
    }

    fn statement(&mut self, depth: u32) {
        let kinds = if depth < 3 { 12 } else { 9 };
        match self.random.below(kinds) {
            0..4 => {
                let ty = self.ty();
                let local = self.local(ty);
                self.expression(ty, 3);
                self.out.local_set(local);
            }
            4..7 => self.store(),
            7 => {
                let callee = self.random.below(self.index);
                let local = self.local(ValType::I32);
                self.expression(ValType::I32, 2);
                self.out.call(callee).local_set(local);
            }
            8 => {
                self.out.global_get(0).i32_const(16).i32_sub();
                let local = self.local(ValType::I32);
                self.out.local_tee(local).global_set(0);
            }
            9 => {
                self.expression(ValType::I32, 2);
                self.out.if_(BlockType::Empty);
                self.statements(2, depth + 1);
                if self.random.below(2) == 0 {
                    self.out.else_();
                    self.statements(2, depth + 1);
                }
                self.out.end();
            }
            10 => {
                let counter = self.local(ValType::I32);
                self.out.loop_(BlockType::Empty);
                self.statements(3, depth + 1);
                self.out.local_get(counter).i32_const(-1).i32_add();
                self.out.local_tee(counter).br_if(0).end();
            }
            _ => {
                self.out.block(BlockType::Empty);
                self.statements(1, depth + 1);
                self.expression(ValType::I32, 2);
                self.out.br_if(0);
                self.statements(2, depth + 1);
                self.out.end();
            }
        }
    }

    fn ty(&mut self) -> ValType {
        match self.random.below(6) {
            0 => ValType::I64,
            1 => ValType::F64,
            _ => ValType::I32,
        }
    }

    fn place(&mut self, ty: ValType) -> MemArg {
        let align = if ty == ValType::I32 { 2 } else { 3 };
        MemArg {
            offset: u64::from(self.random.below(64) << align),
            align,
            target: MemArgTarget::Memory(0),
            ordering: None,
        }
    }

    fn store(&mut self) {
        let ty = self.ty();
        let base = self.local(ValType::I32);
        self.out.local_get(base);
        self.expression(ty, 2);
        let place = self.place(ty);
        match ty {
            ValType::I64 => self.out.i64_store(place),
            ValType::F64 => self.out.f64_store(place),
            _ => self.out.i32_store(place),
        };
    }

    /// Leaves a value of the type on the operand stack.
    fn expression(&mut self, ty: ValType, depth: u32) {
        if depth == 0 || self.random.below(4) == 0 {
            let local = self.local(ty);
            let constant = self.random.below(1000);
            match (self.random.below(3), ty) {
                (0, ValType::I64) => self.out.i64_const(constant.into()),
                (0, ValType::F64) => self.out.f64_const(f64::from(constant).into()),
                (0, _) => self.out.i32_const(constant.cast_signed()),
                _ => self.out.local_get(local),
            };
            return;
        }
        let choice = self.random.below(10);
        if choice < 3 {
            let base = self.local(ValType::I32);
            let place = self.place(ty);
            self.out.local_get(base);
            match ty {
                ValType::I64 => self.out.i64_load(place),
                ValType::F64 => self.out.f64_load(place),
                _ if choice == 0 => self.out.i32_load8_u(MemArg { align: 0, ..place }),
                _ => self.out.i32_load(place),
            };
            return;
        }
        self.expression(ty, depth - 1);
        self.expression(ty, depth - 1);
        match ty {
            ValType::I64 => match choice {
                3..6 => self.out.i64_add(),
                6 | 7 => self.out.i64_xor(),
                8 => self.out.i64_mul(),
                _ => self.out.i64_shr_u(),
            },
            ValType::F64 => match choice {
                3..7 => self.out.f64_add(),
                7 | 8 => self.out.f64_mul(),
                _ => self.out.f64_sub(),
            },
            _ => match choice {
                3 | 4 => self.out.i32_add(),
                5 => self.out.i32_and(),
                6 => self.out.i32_shl(),
                7 => self.out.i32_lt_u(),
                8 => self.out.i32_eq(),
                _ => self.out.i32_sub(),
            },
        };
    }
}

#[cfg(test)]
mod tests {
    use vm_translate::Features;

    #[test]
    fn it_is_valid_large_and_always_the_same() {
        let bytes = super::module(super::FUNCTIONS);
        assert!(
            (1_000_000..5_000_000).contains(&bytes.len()),
            "{}",
            bytes.len()
        );
        let module = vm_translate::Module::new(&bytes[..], &Features::default());
        assert!(module.is_ok(), "{module:?}");
        assert!(bytes == super::module(super::FUNCTIONS));
    }
}
