//! A small embedder: links by name, makes what modules define, and calls by name.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test binary uses a part of it"
)]

use std::collections::HashMap;
use std::sync::Arc;

use vm_interp::{
    CallError, Code, CodeOptions, Entities, FuncId, GlobalId, Host, HostClosure, HostError,
    Hotness, InstanceId, Machine, MachineConfig, MemoryId, Raw, TableId, TagId, Threading, Trap,
    Val,
};
use vm_memory::{Layout, LinearMemory};
use vm_translate::{
    ConstExpr, ConstOp, DataMode, ElemMode, ExternKind, Features, FuncType, MemoryType, Module,
};

/// A combination of threading and bounds checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    pub threading: Threading,
    pub guarded: bool,
    pub baseline: Option<Hotness>,
}

/// Every combination that this host supports.
pub fn modes() -> Vec<Mode> {
    let module = Module::new(wat::parse_str("(module)").unwrap(), &Features::default()).unwrap();
    let module = Arc::new(module);
    // Tests are short: with the default, hardly anything would be hot.
    let soon = Hotness { calls: 1, turns: 3 };
    let all = [
        (Threading::Token, false, None),
        (Threading::Direct, false, None),
        (Threading::Direct, false, Some(soon)),
        (Threading::Direct, true, None),
        (Threading::Direct, true, Some(Hotness::default())),
        (Threading::Direct, true, Some(soon)),
    ];
    all.into_iter()
        .map(|(threading, guarded, baseline)| Mode {
            threading,
            guarded,
            baseline,
        })
        .filter(|mode| {
            // Asking for guards comes last: it reserves address space, for which emulators make tables.
            Code::new(module.clone(), mode.options()).is_ok()
                && (!mode.guarded || vm_memory::probe(Layout::FULL).is_available())
        })
        .collect()
}

impl Mode {
    pub fn options(self) -> CodeOptions {
        CodeOptions {
            unchecked: self.guarded.then_some(Layout::FULL),
            baseline: self.baseline,
            ..CodeOptions::new(self.threading)
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Extern {
    Func(FuncId),
    Table(TableId),
    Memory(MemoryId),
    Global(GlobalId),
    Tag(TagId),
}

/// The host of a test that has no other.
#[derive(Debug)]
pub struct Guests {
    /// What host functions note.
    pub log: Vec<i64>,
    /// Whether guests may grow memories and tables.
    pub may_grow: bool,
}

impl Default for Guests {
    fn default() -> Guests {
        Guests {
            log: Vec::new(),
            may_grow: true,
        }
    }
}

impl Host for Guests {
    fn memory_growing(&mut self, _: u64, _: u64, _: Option<u64>) -> Result<bool, HostError> {
        Ok(self.may_grow)
    }

    fn table_growing(&mut self, _: u64, _: u64, _: Option<u64>) -> Result<bool, HostError> {
        Ok(self.may_grow)
    }
}

/// A machine, and what it is known by.
pub struct World<H: Host = Guests> {
    pub machine: Box<Machine<H>>,
    pub mode: Mode,
    pub names: HashMap<(String, String), Extern>,
}

impl World {
    pub fn new(mode: Mode) -> World {
        World::with_stack(mode, MachineConfig::DEFAULT_STACK_BYTES)
    }

    pub fn with_stack(mode: Mode, stack_bytes: usize) -> World {
        World::with_host(mode, stack_bytes, Guests::default())
    }

    pub fn log(&self) -> &[i64] {
        &self.machine.host().log
    }
}

impl<H: Host> World<H> {
    pub fn with_host(mode: Mode, stack_bytes: usize, host: H) -> World<H> {
        if mode.threading == Threading::Direct {
            // Guards need someone to turn faults into traps.
            vm_interp::install_signal_handlers().unwrap();
        }
        let config = MachineConfig {
            threading: mode.threading,
            guarded_stack: mode.threading == Threading::Direct,
            stack_bytes,
        };
        World {
            machine: Machine::new(config, host).unwrap(),
            mode,
            names: HashMap::new(),
        }
    }

    /// Gives something a name that modules can import it by.
    pub fn define(&mut self, module: &str, name: &str, item: Extern) {
        self.names.insert((module.into(), name.into()), item);
    }

    /// Adds a host function under a name.
    pub fn define_host(
        &mut self,
        name: &str,
        ty: FuncType,
        closure: impl Fn(&mut Machine<H>, Option<InstanceId>, &mut [Raw]) -> Result<(), HostError>
        + Send
        + Sync
        + 'static,
    ) -> FuncId {
        let id = self.machine.add_host_func(ty, HostClosure::new(closure));
        self.define("host", name, Extern::Func(id));
        id
    }

    pub fn code(&self, wat: &str) -> Arc<Code> {
        let bytes = wat::parse_str(wat).unwrap_or_else(|error| panic!("{error}"));
        let module = Arc::new(Module::new(bytes, &Features::default()).unwrap());
        Code::new(module, self.mode.options()).unwrap()
    }

    pub fn add_memory(&mut self, ty: &MemoryType) -> MemoryId {
        let ty = vm_memory::MemoryType {
            minimum: ty.minimum,
            maximum: ty.maximum,
            page_size_log2: ty.page_size_log2,
            memory64: ty.memory64,
        };
        let memory = if self.mode.guarded {
            LinearMemory::new_guarded(&ty, Layout::FULL)
        } else {
            LinearMemory::new_bounded(&ty)
        };
        self.machine.add_memory(memory.unwrap())
    }

    /// Instantiates a module, with everything that instantiation does.
    pub fn try_instantiate(&mut self, wat: &str) -> Result<InstanceId, CallError> {
        let bytes = wat::parse_str(wat).unwrap_or_else(|error| panic!("{error}"));
        self.try_instantiate_bytes(&bytes)
    }

    pub fn try_instantiate_bytes(&mut self, bytes: &[u8]) -> Result<InstanceId, CallError> {
        let module = Arc::new(Module::new(bytes, &Features::default()).unwrap());
        let code = Code::new(module, self.mode.options()).unwrap();
        let module = code.module().clone();
        let mut entities = Entities::default();
        for import in module.imports() {
            let name = (import.module.clone(), import.name.clone());
            match self.names[&name] {
                Extern::Func(id) => entities.functions.push(id),
                Extern::Table(id) => entities.tables.push(id),
                Extern::Memory(id) => entities.memories.push(id),
                Extern::Global(id) => entities.globals.push(id),
                Extern::Tag(tag) => entities.tags.push(tag),
            }
        }
        for table in &module.tables()[entities.tables.len()..] {
            let id = self
                .machine
                .add_table(*table, Val::zero(table.element.into()));
            entities.tables.push(id.unwrap());
        }
        for memory in &module.memories()[entities.memories.len()..] {
            entities.memories.push(self.add_memory(memory));
        }
        for global in &module.globals()[entities.globals.len()..] {
            let id = self.machine.add_global(*global, Val::zero(global.content));
            entities.globals.push(id.unwrap());
        }
        for tag in entities.tags.len() as u32..module.tag_count() {
            entities
                .tags
                .push(self.machine.add_tag(module.tag_type(tag)));
        }
        let id = self.machine.instantiate(&code, entities).unwrap();
        for index in module.imported_globals()..module.globals().len() as u32 {
            let value = self.evaluate(id, module.global_init(index).unwrap());
            let global = self.machine.instance_global(id, index);
            self.machine.global_init(global, value).unwrap();
        }
        for (i, segment) in (0..).zip(module.elem_segments()) {
            let exprs = segment.items.exprs().iter();
            let values: Vec<Val> = exprs.map(|expr| self.evaluate(id, expr)).collect();
            self.machine.elem_init(id, i, &values).unwrap();
            let trapped = if let ElemMode::Active { table, offset } = &segment.mode {
                let Val::I32(offset) = self.evaluate(id, offset) else {
                    panic!()
                };
                let len = segment.items.len() as u64;
                self.machine
                    .table_init(id, *table, i, offset as u32 as u64, 0, len)
            } else {
                Ok(())
            };
            trapped.map_err(segment_trap)?;
            if segment.mode != ElemMode::Passive {
                self.machine.elem_drop(id, i);
            }
        }
        for (i, segment) in (0..).zip(module.data_segments()) {
            if let DataMode::Active { memory, offset } = &segment.mode {
                let Val::I32(offset) = self.evaluate(id, offset) else {
                    panic!()
                };
                let len = module.data(segment).len() as u64;
                self.machine
                    .memory_init(id, *memory, i, offset as u32 as u64, 0, len)
                    .map_err(segment_trap)?;
                self.machine.data_drop(id, i);
            }
        }
        if let Some(start) = module.start() {
            let start = self.machine.instance_func(id, start);
            self.machine.call(start, &mut [])?;
        }
        Ok(id)
    }

    pub fn instantiate(&mut self, wat: &str) -> InstanceId {
        self.try_instantiate(wat).unwrap()
    }

    /// Instantiates a module, and lets others import its exports under a name.
    pub fn register(&mut self, name: &str, wat: &str) -> InstanceId {
        let id = self.instantiate(wat);
        let exports = self.machine.instance_code(id).module().clone();
        for export in exports.exports() {
            let item = self.export(id, &export.name);
            self.define(name, &export.name, item);
        }
        id
    }

    fn evaluate(&mut self, id: InstanceId, expr: &ConstExpr) -> Val {
        let [op] = expr.ops() else { panic!("{expr:?}") };
        match *op {
            ConstOp::I32(value) => Val::I32(value),
            ConstOp::I64(value) => Val::I64(value),
            ConstOp::F32(bits) => Val::F32(bits),
            ConstOp::F64(bits) => Val::F64(bits),
            ConstOp::GlobalGet(global) => {
                let global = self.machine.instance_global(id, global);
                self.machine.global_get(global)
            }
            ConstOp::RefNull(ty) => Val::null(ty),
            ConstOp::RefFunc(func) => Val::FuncRef(Some(self.machine.instance_func(id, func))),
            _ => panic!("{expr:?}"),
        }
    }

    pub fn export(&mut self, id: InstanceId, name: &str) -> Extern {
        export(&mut self.machine, id, name)
    }

    pub fn func(&mut self, id: InstanceId, name: &str) -> FuncId {
        func(&mut self.machine, id, name)
    }

    pub fn call(
        &mut self,
        id: InstanceId,
        name: &str,
        args: &[Val],
    ) -> Result<Vec<Val>, CallError> {
        let func = self.func(id, name);
        self.call_func(func, args)
    }

    pub fn call_func(&mut self, func: FuncId, args: &[Val]) -> Result<Vec<Val>, CallError> {
        let ty = self.machine.func_type(func).clone();
        assert_eq!(ty.params().len(), args.len());
        let mut slots = vec![Raw::default(); ty.slots() as usize];
        let mut at = 0;
        for arg in args {
            self.machine.write_raw(arg, &mut slots[at..]);
            at += arg.ty().slots() as usize;
        }
        self.machine.call(func, &mut slots)?;
        let mut at = 0;
        Ok((ty.results().iter())
            .map(|ty| {
                at += ty.slots() as usize;
                self.machine
                    .read_raw(*ty, &slots[at - ty.slots() as usize..])
            })
            .collect())
    }

    /// Calls a function from i32s to one i32.
    pub fn call_i32(&mut self, id: InstanceId, name: &str, args: &[i32]) -> Result<i32, CallError> {
        let args: Vec<Val> = args.iter().map(|arg| Val::I32(*arg)).collect();
        match *self.call(id, name, &args)? {
            [Val::I32(result)] => Ok(result),
            ref other => panic!("{name} answered {other:?}"),
        }
    }

    /// Calls a function that must trap.
    pub fn trap(&mut self, id: InstanceId, name: &str, args: &[Val]) -> Trap {
        match self.call(id, name, args) {
            Err(CallError::Trap(trap)) => trap,
            other => panic!("{name} did not trap: {other:?}"),
        }
    }
}

/// What an instance exports under a name.
pub fn export(world: &mut vm_interp::World, id: InstanceId, name: &str) -> Extern {
    let module = world.instance_code(id).module().clone();
    let export = module.exports().iter().find(|export| export.name == name);
    let export = export.unwrap_or_else(|| panic!("no export {name}"));
    let (kind, index) = (export.kind, export.index);
    match kind {
        ExternKind::Func => Extern::Func(world.instance_func(id, index)),
        ExternKind::Table => Extern::Table(world.instance_table(id, index)),
        ExternKind::Memory => Extern::Memory(world.instance_memory(id, index)),
        ExternKind::Global => Extern::Global(world.instance_global(id, index)),
        ExternKind::Tag => Extern::Tag(world.instance_tag(id, index)),
    }
}

/// The function that an instance exports under a name.
pub fn func(world: &mut vm_interp::World, id: InstanceId, name: &str) -> FuncId {
    match export(world, id, name) {
        Extern::Func(func) => func,
        other => panic!("{name} is {other:?}"),
    }
}

fn segment_trap(code: vm_interp::TrapCode) -> CallError {
    let frames = Vec::new();
    CallError::Trap(Trap { code, frames })
}

/// The type of a function, in short.
pub fn ty(params: &str, results: &str) -> FuncType {
    let list = |types: &str| -> Vec<vm_translate::ValType> {
        use vm_translate::ValType::*;
        let one = |ty| match ty {
            "i32" => I32,
            "i64" => I64,
            "f32" => F32,
            "f64" => F64,
            "funcref" => vm_translate::ValType::FUNCREF,
            "externref" => vm_translate::ValType::EXTERNREF,
            other => panic!("type {other}"),
        };
        types.split_whitespace().map(one).collect()
    };
    FuncType::new(list(params), list(results))
}
