//! Modules that are made to cost much: little of the binary format that asks for much work or memory, if each of its
//! instructions costs as much as what it names.

use wasm_encoder::{
    BlockType, CodeSection, ElementSection, Elements, ExportKind, ExportSection, Function,
    FunctionSection, InstructionSink, MemorySection, MemoryType, Module, RefType, TableSection,
    TableType, TypeSection, ValType,
};

use crate::bench::figures::large;

/// Parameters or results: the most that engines take.
pub(super) const VALUES: usize = 1000;

/// Bytes of a module of usual code and of one of code that cannot be reached.
const LARGE_BYTES: u32 = 7_000_000;

/// The index of the type `(i32) -> (i32)`.
const RUN: u32 = 0;
/// That of `() -> (i32 …)`.
const RESULTS: u32 = 1;
/// That of `(i32 …) -> (i32 …)`.
const BOTH: u32 = 2;

/// A module whose export `run: (i32) -> i32` answers its argument.
#[derive(Default)]
struct Made {
    types: TypeSection,
    functions: FunctionSection,
    tables: TableSection,
    memories: MemorySection,
    elements: ElementSection,
    code: CodeSection,
}

impl Made {
    fn new() -> Made {
        let mut made = Made::default();
        let many = [ValType::I32; VALUES];
        made.types.ty().function([ValType::I32], [ValType::I32]);
        made.types.ty().function([], many);
        made.types.ty().function(many, many);
        made
    }

    /// Adds a function without locals of its own.
    fn function(&mut self, ty: u32, body: impl FnOnce(&mut InstructionSink<'_>)) {
        let mut function = Function::new([]);
        let mut out = function.instructions();
        body(&mut out);
        out.end();
        self.functions.function(ty);
        self.code.function(&function);
    }

    /// The module, whose first function is `run`.
    fn finish(self) -> Vec<u8> {
        let mut exports = ExportSection::new();
        exports.export("run", ExportKind::Func, 0);
        let mut module = Module::new();
        module.section(&self.types);
        module.section(&self.functions);
        module.section(&self.tables);
        module.section(&self.memories);
        module.section(&exports);
        module.section(&self.elements);
        module.section(&self.code);
        module.finish()
    }
}

/// One that `run` alone makes up.
fn run(body: impl FnOnce(&mut InstructionSink<'_>)) -> Vec<u8> {
    let mut made = Made::new();
    made.function(RUN, |out| {
        body(out);
        out.local_get(0);
    });
    made.finish()
}

fn push_values(out: &mut InstructionSink<'_>) {
    for n in 0..VALUES {
        out.i32_const(n as i32 % 64);
    }
}

fn drop_values(out: &mut InstructionSink<'_>) {
    for _ in 0..VALUES {
        out.drop();
    }
}

/// Code like a compiler's.
pub(super) fn usual(scale: u32) -> Vec<u8> {
    let bytes_a_function = 500;
    large::module(LARGE_BYTES / bytes_a_function / scale)
}

/// The same, but the last function leaves no result.
pub(super) fn invalid(scale: u32) -> Vec<u8> {
    let mut module = usual(scale);
    // `local.get 0` before the `end`; nothing comes after the code.
    let at = module.len() - 3;
    assert_eq!(module[at..], [0x20, 0, 0x0b]);
    module[at..at + 2].fill(0x01);
    module
}

/// Code that cannot be reached, and sets a local that there is not at its end.
pub(super) fn invalid_unreachable(scale: u32) -> Vec<u8> {
    run(|out| {
        out.unreachable();
        for _ in 0..LARGE_BYTES / scale {
            out.drop();
        }
        out.local_set(1);
    })
}

/// Conditional branches that take many values to another height: from where they are all taken, or each from a
/// height of its own.
pub(super) fn branches(count: u32, heights: bool) -> Vec<u8> {
    run(|out| {
        out.block(BlockType::FunctionType(RESULTS)).i32_const(0);
        push_values(out);
        for _ in 0..count {
            if heights {
                out.local_get(0);
            }
            out.local_get(0).br_if(0);
        }
        out.br(0).end();
        drop_values(out);
    })
}

/// Branch tables, so many, with as many targets, of different blocks, that each take many values.
pub(super) fn branch_tables(tables: u32, targets: u32) -> Vec<u8> {
    run(|out| {
        for _ in 0..targets {
            out.block(BlockType::FunctionType(RESULTS));
        }
        push_values(out);
        for _ in 0..tables {
            out.local_get(0).if_(BlockType::FunctionType(BOTH));
            out.local_get(0).local_get(0);
            out.br_table(1..targets, 1).end();
        }
        for _ in 0..targets {
            out.end();
        }
        drop_values(out);
    })
}

/// Blocks, loops and conditionals in each other, whose parameters are many.
pub(super) fn nested(depth: u32) -> Vec<u8> {
    run(|out| {
        push_values(out);
        let both = BlockType::FunctionType(BOTH);
        for level in 0..depth {
            match level % 3 {
                0 => out.block(both),
                1 => out.loop_(both),
                _ => out.local_get(0).if_(both),
            };
        }
        for _ in 0..depth {
            out.end();
        }
        drop_values(out);
    })
}

/// Calls with many arguments, each from a height of its own. None is done.
pub(super) fn calls(count: u32) -> Vec<u8> {
    let mut made = Made::new();
    made.function(RUN, |out| {
        out.block(BlockType::Empty).local_get(0).br_if(0);
        push_values(out);
        for _ in 0..count {
            out.call(1).local_get(0);
        }
        out.unreachable().end().local_get(0);
    });
    made.function(BOTH, |out| {
        (0..VALUES as u32).for_each(|n| {
            out.local_get(n);
        });
    });
    made.finish()
}

/// Functions that do nothing, all of one type.
pub(super) fn functions(count: u32) -> Vec<u8> {
    let mut made = Made::new();
    made.function(RUN, |out| {
        out.local_get(0);
    });
    for _ in 1..count {
        made.function(RUN, |out| {
            out.local_get(0);
        });
    }
    made.finish()
}

/// Types that nothing uses, each another.
pub(super) fn types(count: u32) -> Vec<u8> {
    let mut made = Made::new();
    let kinds = [ValType::I32, ValType::I64, ValType::F32, ValType::F64];
    for n in 0..count {
        // Its digits, and a last one so that none begins like another.
        let params = (0..10).map(|digit| kinds[(n >> (2 * digit)) as usize % kinds.len()]);
        made.types.ty().function(params, [ValType::I32]);
    }
    made.function(RUN, |out| {
        out.local_get(0);
    });
    made.finish()
}

/// Functions with about as many locals as engines take.
pub(super) fn locals(count: u32) -> Vec<u8> {
    let mut made = Made::new();
    for n in 0..count {
        let locals = if n == 0 { 0 } else { 30_000 };
        let mut function = Function::new([(locals, ValType::I32)]);
        function.instructions().local_get(0).end();
        made.functions.function(RUN);
        made.code.function(&function);
    }
    made.finish()
}

/// Tables of so many elements, of which one is used of each.
pub(super) fn tables(count: u32, elements: u32) -> Vec<u8> {
    let mut made = Made::new();
    for _ in 0..count {
        made.tables.table(TableType {
            element_type: RefType::FUNCREF,
            table64: false,
            minimum: elements.into(),
            maximum: None,
            shared: false,
        });
    }
    made.function(RUN, |out| {
        for table in 0..count {
            let last = elements.cast_signed() - 1;
            out.i32_const(last).ref_func(0).table_set(table);
        }
        out.local_get(0);
    });
    let declared = Elements::Functions(vec![0].into());
    made.elements.declared(declared);
    made.finish()
}

/// A memory that grows by a page, so many times.
pub(super) fn growths(count: u32) -> Vec<u8> {
    let mut made = Made::new();
    made.memories.memory(MemoryType {
        minimum: 0,
        maximum: Some(65_536),
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    let mut function = Function::new([(1, ValType::I32)]);
    let mut out = function.instructions();
    out.i32_const(count.cast_signed()).local_set(1);
    out.loop_(BlockType::Empty);
    out.i32_const(1).memory_grow(0).drop();
    out.local_get(1).i32_const(1).i32_sub().local_tee(1);
    out.br_if(0).end().local_get(0).end();
    made.functions.function(RUN);
    made.code.function(&function);
    made.finish()
}
