use super::vm_translate::{FuncType, GlobalType, Module, TableType, ValType};
use std::sync::Arc;
use vm_memory::{GrowError, Layout, LinearMemory};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum TrapCode {
    #[error("unreachable")]
    Unreachable = 1,
    #[error("out of bounds memory access")]
    MemoryOutOfBounds = 2,
    #[error("out of bounds table access")]
    TableOutOfBounds = 3,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Threading {
    Direct,
    Token,
}
#[derive(Clone, Debug, thiserror::Error)]
#[error("direct threading is not available")]
pub struct DirectUnavailable;
pub fn direct_availability() -> Result<(), DirectUnavailable> {
    Err(DirectUnavailable)
}
#[derive(Clone, Copy, Debug)]
pub struct CodeOptions {
    pub threading: Threading,
    pub unchecked: Option<Layout>,
}
pub struct Code;
#[derive(Debug, thiserror::Error)]
#[error("code")]
pub struct CodeError;
impl Code {
    pub fn new(module: Arc<Module>, options: CodeOptions) -> Result<Arc<Code>, CodeError> {
        unimplemented!()
    }
    pub fn module(&self) -> &Arc<Module> {
        unimplemented!()
    }
    pub fn options(&self) -> &CodeOptions {
        unimplemented!()
    }
    pub fn translate_all(&self) -> Result<(), CodeError> {
        unimplemented!()
    }
    pub fn listing(&self, func: u32) -> Result<String, CodeError> {
        unimplemented!()
    }
}
macro_rules! ids { ($($n:ident)*) => { $(#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)] pub struct $n(pub u32);)* } }
ids!(FuncId TableId MemoryId GlobalId InstanceId);
#[derive(Clone, Copy, Debug)]
pub enum Val {
    I32(i32),
    I64(i64),
    F32(u32),
    F64(u64),
    FuncRef(Option<FuncId>),
    ExternRef(Option<u32>),
}
#[derive(Clone, Copy, Debug, Default)]
#[repr(transparent)]
pub struct Raw(u64);
impl Raw {
    pub fn i32(self) -> i32 {
        self.0 as i32
    }
    pub fn i64(self) -> i64 {
        self.0 as i64
    }
    pub fn f32(self) -> f32 {
        f32::from_bits(self.0 as u32)
    }
    pub fn f64(self) -> f64 {
        f64::from_bits(self.0)
    }
}
impl From<u64> for Raw {
    fn from(v: u64) -> Raw {
        Raw(v)
    }
}
impl From<i64> for Raw {
    fn from(v: i64) -> Raw {
        Raw(v as u64)
    }
}
impl From<u32> for Raw {
    fn from(v: u32) -> Raw {
        Raw(v.into())
    }
}
impl From<i32> for Raw {
    fn from(v: i32) -> Raw {
        Raw((v as u32).into())
    }
}
impl From<f32> for Raw {
    fn from(v: f32) -> Raw {
        Raw(v.to_bits().into())
    }
}
impl From<f64> for Raw {
    fn from(v: f64) -> Raw {
        Raw(v.to_bits())
    }
}
impl Val {
    pub fn zero(ty: ValType) -> Val {
        unimplemented!()
    }
}
pub struct MemoryMut<'a>(&'a mut LinearMemory);
impl<'a> MemoryMut<'a> {
    pub fn data_mut(self) -> &'a mut [u8] {
        self.0.data_mut()
    }
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), vm_memory::OutOfBounds> {
        self.0.write(offset, bytes)
    }
}
pub struct MachineConfig {
    pub threading: Threading,
    pub guarded_stack: bool,
    pub stack_bytes: usize,
}
#[derive(Debug, thiserror::Error)]
#[error("machine")]
pub struct MachineError;
#[derive(Debug, thiserror::Error)]
#[error("entity")]
pub struct EntityError;
#[derive(Debug, thiserror::Error)]
#[error("instantiate")]
pub struct InstantiateError;
#[derive(Default)]
pub struct Entities {
    pub functions: Vec<FuncId>,
    pub tables: Vec<TableId>,
    pub memories: Vec<MemoryId>,
    pub globals: Vec<GlobalId>,
    pub elements: Vec<Vec<Val>>,
}
pub struct Machine;
impl Machine {
    pub fn new(config: MachineConfig) -> Result<Machine, MachineError> {
        unimplemented!()
    }
    pub fn add_memory(&mut self, memory: LinearMemory) -> MemoryId {
        unimplemented!()
    }
    pub fn memory(&self, id: MemoryId) -> &LinearMemory {
        unimplemented!()
    }
    pub fn memory_mut(&mut self, id: MemoryId) -> MemoryMut<'_> {
        unimplemented!()
    }
    pub fn grow_memory(&mut self, id: MemoryId, delta: u64) -> Result<u64, GrowError> {
        unimplemented!()
    }
    pub fn add_table(&mut self, ty: TableType, init: Val) -> Result<TableId, EntityError> {
        unimplemented!()
    }
    pub fn table_type(&self, id: TableId) -> &TableType {
        unimplemented!()
    }
    pub fn table_size(&self, id: TableId) -> u64 {
        unimplemented!()
    }
    pub fn table_get(&self, id: TableId, index: u64) -> Option<Val> {
        unimplemented!()
    }
    pub fn table_set(&mut self, id: TableId, index: u64, val: Val) -> Result<(), EntityError> {
        unimplemented!()
    }
    pub fn table_grow(&mut self, id: TableId, delta: u64, init: Val) -> Result<u64, EntityError> {
        unimplemented!()
    }
    pub fn add_global(&mut self, ty: GlobalType, val: Val) -> Result<GlobalId, EntityError> {
        unimplemented!()
    }
    pub fn global_type(&self, id: GlobalId) -> &GlobalType {
        unimplemented!()
    }
    pub fn global_get(&self, id: GlobalId) -> Val {
        unimplemented!()
    }
    pub fn global_set(&mut self, id: GlobalId, val: Val) -> Result<(), EntityError> {
        unimplemented!()
    }
    pub fn add_host_func(&mut self, ty: FuncType, host: u32) -> FuncId {
        unimplemented!()
    }
    pub fn func_type(&self, id: FuncId) -> &FuncType {
        unimplemented!()
    }
    pub fn instantiate(
        &mut self,
        code: &Arc<Code>,
        entities: Entities,
    ) -> Result<InstanceId, InstantiateError> {
        unimplemented!()
    }
    pub fn instance_func(&mut self, instance: InstanceId, index: u32) -> FuncId {
        unimplemented!()
    }
    pub fn instance_table(&self, instance: InstanceId, index: u32) -> TableId {
        unimplemented!()
    }
    pub fn instance_memory(&self, instance: InstanceId, index: u32) -> MemoryId {
        unimplemented!()
    }
    pub fn instance_global(&self, instance: InstanceId, index: u32) -> GlobalId {
        unimplemented!()
    }
    pub fn instance_code(&self, instance: InstanceId) -> &Arc<Code> {
        unimplemented!()
    }
    pub fn global_init(&mut self, id: GlobalId, val: Val) -> Result<(), EntityError> {
        unimplemented!()
    }
    pub fn set_elements(
        &mut self,
        id: InstanceId,
        elements: &[Vec<Val>],
    ) -> Result<(), InstantiateError> {
        unimplemented!()
    }
    pub fn memory_init(
        &mut self,
        id: InstanceId,
        memory: u32,
        segment: u32,
        dst: u64,
        src: u64,
        len: u64,
    ) -> Result<(), TrapCode> {
        unimplemented!()
    }
    pub fn table_init(
        &mut self,
        id: InstanceId,
        table: u32,
        segment: u32,
        dst: u64,
        src: u64,
        len: u64,
    ) -> Result<(), TrapCode> {
        unimplemented!()
    }
    pub fn data_drop(&mut self, id: InstanceId, segment: u32) {}
    pub fn elem_drop(&mut self, id: InstanceId, segment: u32) {}
    pub fn to_raw(&self, val: &Val) -> Raw {
        unimplemented!()
    }
    pub fn from_raw(&self, ty: ValType, raw: Raw) -> Val {
        unimplemented!()
    }
}
pub type HostError = Box<dyn std::error::Error + Send + Sync>;
pub trait Host {
    fn machine(&mut self) -> &mut Machine;
    fn call_host(
        &mut self,
        host: u32,
        caller: Option<InstanceId>,
        slots: &mut [Raw],
    ) -> Result<(), HostError>;
}
pub struct Frame {
    pub instance: InstanceId,
    pub code: Arc<Code>,
    pub func_index: u32,
    pub offset: u32,
}
pub struct Trap {
    pub code: TrapCode,
    pub frames: Vec<Frame>,
}
pub enum CallError {
    Trap(Trap),
    Host {
        error: HostError,
        frames: Vec<Frame>,
    },
}
pub fn call<H: Host>(host: &mut H, func: FuncId, slots: &mut [Raw]) -> Result<(), CallError> {
    unimplemented!()
}
