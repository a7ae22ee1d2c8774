//! Machines: entities, instances, and calls into guest code.
//!
//! # Who may touch what
//!
//! Everything that executors reach by address (contexts, function objects, cells of globals and
//! tables, the [`Runtime`], the value stack) is allocated once, lives until the machine is dropped,
//! and is only ever accessed through raw pointers, so a `&mut Machine` made meanwhile invalidates
//! none of them. Executors run only inside [`call`]; while they run, nobody else has access to the
//! machine, because `call` holds the host that owns it. Where the host gets control back inside a
//! call (host functions, growth hooks), `call`'s side checks afterwards that the host still has the
//! same machine.

mod arena;
mod backtrace;
mod call;
mod closure;
mod entities;
mod error;
mod host;
mod instance;
mod runtime;

use std::any::Any;
use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use vm_memory::ValueStack;
use vm_translate::FuncType;
use vm_trap::{Region, RegionClass, RegionSet};

use crate::code::{Code, Threading};
use crate::context::{FuncObject, Runtime, Word};
use crate::value::FuncId;
use arena::FuncArena;
use closure::HostFunction;

pub use backtrace::{Frame, MAX_FRAMES};
pub use call::{CallError, InvalidCall, MAX_NATIVE_STACK_BYTES, Trap, call};
pub use closure::HostClosure;
pub use entities::MemoryMut;
pub use error::{EntityError, InstantiateError, MachineError};
pub use host::{Host, HostError};
pub use instance::Entities;

pub(crate) use call::fail;
pub(crate) use runtime::RUNTIME;

/// How a machine runs guest code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineConfig {
    /// By which executor. Only code for the same one can be instantiated.
    pub threading: Threading,
    /// Whether the value stack ends in a guard instead of being checked. The token executor
    /// checks in any case.
    pub guarded_stack: bool,
    /// Usable bytes of the value stack.
    pub stack_bytes: usize,
}

impl MachineConfig {
    /// Usable bytes of the value stack unless one says otherwise: 1 MiB.
    pub const DEFAULT_STACK_BYTES: usize = 1 << 20;
}

/// Inaccessible bytes behind a guarded value stack, at least.
pub const STACK_GUARD_BYTES: usize = 1 << 16;

/// A world of guests: instances and what they share.
///
/// Entities are added and never removed; they go when the machine goes. Guest code runs by
/// [`call`], which takes a [`Host`] that owns the machine.
pub struct Machine {
    /// Never equal for two machines of a process, whatever their addresses.
    serial: u64,
    config: MachineConfig,
    runtime: NonNull<Runtime>,
    stack: ValueStack,
    /// Where the next run's first frame starts: above everything that is in use.
    stack_top: *mut Word,
    objects: FuncArena,
    functions: Vec<Function>,
    instances: Vec<instance::Instance>,
    memories: Vec<entities::Memory>,
    tables: Vec<entities::Table>,
    globals: Vec<entities::Global>,
    /// The host of the innermost run.
    host: Option<host::HostPointer>,
    /// Where the native stack was when the outermost run started; 0 if nothing runs.
    native_stack: usize,
    /// What ended the innermost run, if its status is `STATUS_HOST`.
    pending: Option<Pending>,
}

/// A function of a machine.
struct Function {
    object: NonNull<FuncObject>,
    ty: Arc<FuncType>,
    /// What there is besides, if it is the host's.
    host: Option<closure::HostFunction>,
}

/// What a host function left behind for the end of the run.
enum Pending {
    Error(HostError),
    Panic(Box<dyn Any + Send>),
}

// SAFETY: the machine owns alone what its pointers point to, and none of it is bound to a thread.
// The exception is `host`, which is only used by what a run calls, on the thread of that run, and
// replaced at the start of every run.
unsafe impl Send for Machine {}
// SAFETY: through a shared reference only entities can be read. Those are written by methods that
// take the machine exclusively, and by guest code, which runs while `call` has it exclusively.
unsafe impl Sync for Machine {}

impl Machine {
    /// An empty machine.
    ///
    /// # Errors
    ///
    /// If the host refuses the value stack.
    pub fn new(config: MachineConfig) -> Result<Machine, MachineError> {
        let stack = if config.guarded_stack {
            ValueStack::guarded(config.stack_bytes, STACK_GUARD_BYTES)?
        } else {
            ValueStack::plain(config.stack_bytes)?
        };
        Machine::with_stack(config.threading, stack)
    }

    /// An empty machine on a value stack that is there already, from a pool say. Its contents do not
    /// matter.
    ///
    /// # Errors
    ///
    /// If the stack ends in a guard of less than [`STACK_GUARD_BYTES`].
    pub fn with_stack(threading: Threading, stack: ValueStack) -> Result<Machine, MachineError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        if let Some(guard) = stack.guard()
            && guard.len() < STACK_GUARD_BYTES
        {
            return Err(MachineError::StackGuard { bytes: guard.len() });
        }
        let config = MachineConfig {
            threading,
            guarded_stack: stack.guard().is_some(),
            stack_bytes: stack.len_bytes(),
        };
        let mut regions = RegionSet::new();
        if let Some(range) = stack.guard() {
            let class = RegionClass::Stack;
            regions.insert(Region { range, class })?;
        }
        let runtime = Box::new(Runtime {
            exit_ip: std::ptr::null(),
            exit_frame: std::ptr::null_mut(),
            exit_context: std::ptr::null_mut(),
            machine: std::ptr::null_mut(),
            regions: Box::into_raw(Box::new(regions)),
        });
        Ok(Machine {
            serial: NEXT.fetch_add(1, Ordering::Relaxed),
            config,
            // SAFETY: `Box::into_raw` never returns null.
            runtime: unsafe { NonNull::new_unchecked(Box::into_raw(runtime)) },
            stack_top: stack.base(),
            stack,
            objects: FuncArena::default(),
            functions: Vec::new(),
            instances: Vec::new(),
            memories: Vec::new(),
            tables: Vec::new(),
            globals: Vec::new(),
            host: None,
            native_stack: 0,
            pending: None,
        })
    }

    /// How the machine runs guest code.
    pub fn config(&self) -> &MachineConfig {
        &self.config
    }

    /// Adds a host function. `host` is the number by which [`Host::call_host`] is told which.
    ///
    /// # Panics
    ///
    /// If the machine has 2³² functions already.
    pub fn add_host_func(&mut self, ty: FuncType, host: u32) -> FuncId {
        let (type_id, ty) = crate::registry::register(&ty);
        let function = HostFunction::numbered(self.host_cell(), &ty, host);
        self.add_host(type_id, ty, function)
    }

    /// Adds a host function that is a closure. It can be called while the machine is that of a host
    /// of type `H`; another host's calls fail with [`InvalidCall::WrongHost`].
    ///
    /// # Panics
    ///
    /// As for [`add_host_func`](Self::add_host_func).
    pub fn add_host_closure<H: Host>(&mut self, ty: FuncType, closure: HostClosure<H>) -> FuncId {
        let (type_id, ty) = crate::registry::register(&ty);
        let function = HostFunction::closure(self.host_cell(), &ty, closure);
        self.add_host(type_id, ty, function)
    }

    /// The first cell of a host function's code, for executors that have cells.
    fn host_cell(&self) -> u64 {
        match self.config.threading {
            #[cfg(palisade_direct)]
            Threading::Direct => crate::direct::host_cell(),
            _ => 0,
        }
    }

    fn add_host(&mut self, type_id: u32, ty: Arc<FuncType>, function: HostFunction) -> FuncId {
        let entry = function.code().into();
        let id = self.add_function(ty, |id| FuncObject {
            entry,
            context: std::ptr::null_mut(),
            type_id,
            index: 0,
            id,
        });
        self.functions[id.index()].host = Some(function);
        id
    }

    /// The type of a function.
    ///
    /// # Panics
    ///
    /// If the machine has no function of this number.
    pub fn func_type(&self, id: FuncId) -> &FuncType {
        &self.functions[id.index()].ty
    }

    /// The code of the instance with this number.
    pub(crate) fn code_of(&self, instance: u32) -> &Code {
        &self.instances[instance as usize].code
    }

    fn add_function(
        &mut self,
        ty: Arc<FuncType>,
        object: impl FnOnce(u32) -> FuncObject,
    ) -> FuncId {
        let id = entities::next_id(self.functions.len());
        let object = self.objects.add(object(id));
        self.functions.push(Function {
            object,
            ty,
            host: None,
        });
        FuncId(id)
    }

    /// The regions at which a fault of a guest of this machine is a trap.
    fn regions(&mut self) -> &mut RegionSet {
        // SAFETY: allocated in `new`, freed when the machine is dropped, and reached only from here
        // and, to be read, from an armed activation: none is armed while someone has the machine.
        unsafe { &mut *self.runtime.as_ref().regions }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if self.native_stack != 0 {
            // A host function dropped its own machine. It still runs, and will never return into it.
            let hosts = self.functions.iter_mut().filter_map(|f| f.host.as_mut());
            hosts.for_each(HostFunction::leak);
        }
        let runtime = self.runtime.as_ptr();
        // SAFETY: both came from `Box::into_raw` in `new` and are freed only here. A host that drops
        // its machine while a call runs in it never returns into that call, see `call::same_machine`.
        unsafe {
            drop(Box::from_raw((*runtime).regions));
            drop(Box::from_raw(runtime));
        }
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine")
            .field("config", &self.config)
            .field("instances", &self.instances.len())
            .field("functions", &self.functions.len())
            .field("memories", &self.memories.len())
            .field("tables", &self.tables.len())
            .field("globals", &self.globals.len())
            .finish_non_exhaustive()
    }
}
