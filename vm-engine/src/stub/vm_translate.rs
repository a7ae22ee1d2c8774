use std::ops::Range;
use std::sync::Arc;

#[derive(Clone, Debug, Default)]
pub struct Features;
impl Features {
    pub fn set(&mut self, proposal: &str, enable: bool) -> Result<&mut Features, Error> {
        Ok(self)
    }
}
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValType {
    I32,
    I64,
    F32,
    F64,
    FuncRef,
    ExternRef,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefType {
    Func,
    Extern,
}
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FuncType {
    params: Box<[ValType]>,
    results: Box<[ValType]>,
}
impl FuncType {
    pub fn new(
        params: impl IntoIterator<Item = ValType>,
        results: impl IntoIterator<Item = ValType>,
    ) -> FuncType {
        FuncType {
            params: params.into_iter().collect(),
            results: results.into_iter().collect(),
        }
    }
    pub fn params(&self) -> &[ValType] {
        &self.params
    }
    pub fn results(&self) -> &[ValType] {
        &self.results
    }
}
impl From<RefType> for ValType {
    fn from(ty: RefType) -> ValType {
        match ty {
            RefType::Func => ValType::FuncRef,
            RefType::Extern => ValType::ExternRef,
        }
    }
}
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TableType {
    pub element: RefType,
    pub minimum: u64,
    pub maximum: Option<u64>,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MemoryType {
    pub minimum: u64,
    pub maximum: Option<u64>,
    pub page_size_log2: u8,
    pub memory64: bool,
    pub shared: bool,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GlobalType {
    pub content: ValType,
    pub mutable: bool,
}
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ExternType {
    Func(FuncType),
    Table(TableType),
    Memory(MemoryType),
    Global(GlobalType),
}
pub struct Import {
    pub module: String,
    pub name: String,
    pub ty: ExternType,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExternKind {
    Func,
    Table,
    Memory,
    Global,
}
pub struct Export {
    pub name: String,
    pub kind: ExternKind,
    pub index: u32,
}
pub enum ConstOp {
    I32(i32),
    I64(i64),
    F32(u32),
    F64(u64),
    GlobalGet(u32),
    RefNull(RefType),
    RefFunc(u32),
}
pub struct ConstExpr;
impl ConstExpr {
    pub fn ops(&self) -> &[ConstOp] {
        &[]
    }
}
pub enum DataMode {
    Passive,
    Active { memory: u32, offset: ConstExpr },
}
pub struct DataSegment {
    pub bytes: Range<usize>,
    pub mode: DataMode,
}
pub enum ElemMode {
    Passive,
    Declared,
    Active { table: u32, offset: ConstExpr },
}
pub struct ElemSegment {
    pub ty: RefType,
    pub items: Vec<ConstExpr>,
    pub mode: ElemMode,
}
pub struct Module;
impl Module {
    pub fn new(bytes: impl Into<Arc<[u8]>>, features: &Features) -> Result<Module, Error> {
        unimplemented!()
    }
    pub fn types(&self) -> &[FuncType] {
        unimplemented!()
    }
    pub fn imports(&self) -> &[Import] {
        unimplemented!()
    }
    pub fn exports(&self) -> &[Export] {
        unimplemented!()
    }
    pub fn func_count(&self) -> u32 {
        unimplemented!()
    }
    pub fn imported_funcs(&self) -> u32 {
        unimplemented!()
    }
    pub fn func_type(&self, index: u32) -> &FuncType {
        unimplemented!()
    }
    pub fn tables(&self) -> &[TableType] {
        unimplemented!()
    }
    pub fn memories(&self) -> &[MemoryType] {
        unimplemented!()
    }
    pub fn globals(&self) -> &[GlobalType] {
        unimplemented!()
    }
    pub fn imported_tables(&self) -> u32 {
        unimplemented!()
    }
    pub fn imported_memories(&self) -> u32 {
        unimplemented!()
    }
    pub fn imported_globals(&self) -> u32 {
        unimplemented!()
    }
    pub fn table_init(&self, index: u32) -> Option<&ConstExpr> {
        unimplemented!()
    }
    pub fn global_init(&self, index: u32) -> Option<&ConstExpr> {
        unimplemented!()
    }
    pub fn data_segments(&self) -> &[DataSegment] {
        unimplemented!()
    }
    pub fn elem_segments(&self) -> &[ElemSegment] {
        unimplemented!()
    }
    pub fn start(&self) -> Option<u32> {
        unimplemented!()
    }
    pub fn func_name(&self, index: u32) -> Option<&str> {
        unimplemented!()
    }
    pub fn name(&self) -> Option<&str> {
        unimplemented!()
    }
}
