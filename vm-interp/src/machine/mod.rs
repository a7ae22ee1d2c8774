//! Machines: entities, instances, and calls into guest code.
//!
//! # Who owns what during a run
//!
//! A [`Machine`] owns its host and its [`World`], and both are unsized: safe code only ever has a
//! reference to one, or the box, and so can neither move, replace nor drop it while somebody else
//! has it borrowed. A run borrows the machine exclusively from beginning to end
//! ([`Machine::call`]), and lends it to host functions in the middle. What a host function gets is
//! therefore the machine of the run, whole, and it is there when the host function is done.
//!
//! Everything that executors reach by address (contexts, function objects, cells of globals and
//! tables, the [`Runtime`], the value stack) is allocated once, lives until the machine is dropped,
//! and is only ever accessed through raw pointers, so a `&mut Machine` made meanwhile invalidates
//! none of them.
//!
//! How guest code is run, the machine does not know: it has an [`Executor`].

mod arena;
mod backtrace;
mod call;
mod closure;
mod entities;
mod error;
mod exceptions;
mod frames;
mod host;
mod instance;
mod listed;
mod metering;
mod runtime;
mod suspend;
mod unwind;
mod waits;

use std::any::Any;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use vm_memory::ValueStack;
use vm_translate::RegisteredType;
use vm_trap::{Interrupt, Region, RegionClass, RegionSet};

use crate::code::Code;
use crate::context::{FuncObject, REGISTERS, Runtime, Word};
use crate::executor::Executor;
use crate::options::Threading;
use crate::value::FuncId;
use arena::FuncArena;
use closure::HostFunction;
use host::Questions;

pub use backtrace::{Frame, MAX_FRAMES};
pub use call::{CallError, InvalidCall, NATIVE_STACK_RESERVE_BYTES, Trap};
pub use closure::HostClosure;
pub use entities::MemoryMut;
pub use error::{EntityError, InstantiateError, MachineError};
pub use exceptions::ThrownException;
pub use frames::{FramesError, GuestFrame, GuestFrames};
pub use host::{Deadline, Host, HostError};
pub use instance::Entities;
pub use listed::GuestException;
pub use suspend::{Stop, Suspended, Suspension};

pub(crate) use call::fail;
pub(crate) use metering::{epoch_deadline, is_epoch_over};
pub(crate) use runtime::RUNTIME;
pub(crate) use waits::wait_function;

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

/// A world of guests, and the host that it belongs to.
///
/// Guest code runs by [`Machine::call`], and its host functions ([`HostClosure`]) are lent the
/// machine: through it they reach the host, the world, and call guest functions in turn.
///
/// A machine is always in a box: the second type parameter, always [`World`], is unsized. So nothing
/// that safe code does in the middle of a run can move a machine, exchange it for another or drop it.
pub struct Machine<H, W: ?Sized = World> {
    host: H,
    world: W,
}

/// Instances and what they share: functions, memories, tables and globals.
///
/// Entities are added and never removed; they go when the world goes. A world is always a
/// [`Machine`]'s; its type parameter is always `[()]`, and only there for it to be unsized.
pub struct World<Unsized: ?Sized = [()]> {
    /// No other machine of the process has the same.
    id: u64,
    executor: &'static dyn Executor,
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
    exceptions: exceptions::Exceptions,
    /// What the host is asked.
    questions: &'static Questions,
    /// Where the native stack was when the outermost run started; 0 if nothing runs.
    native_stack: usize,
    /// By which its runs are asked to end.
    interrupt: Arc<Interrupt>,
    /// Whether anybody can ask: then its runs say on which thread they are.
    is_interruptible: bool,
    /// What counts epochs, if somebody has said it: the runtime points to it.
    epoch: Option<Arc<AtomicU64>>,
    /// Fuel that has been set aside.
    fuel_reserve: u64,
    /// How much fuel the bulk operation needed for which there was too little.
    fuel_required: u64,
    /// Whether the innermost run can go on later.
    is_resumable: bool,
    /// What ended the innermost run, if its status is `STATUS_HOST`.
    pending: Option<Pending>,
    _unsized: Unsized,
}

/// The [`World::id`] of the next machine.
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// A function of a machine.
struct Function {
    object: NonNull<FuncObject>,
    ty: RegisteredType,
    /// What there is besides, if it is the host's.
    host: Option<HostFunction>,
}

impl Function {
    /// A reference to it.
    fn word(&self) -> Word {
        self.object.as_ptr().expose_provenance() as u64
    }
}

/// What a host function left behind for the end of the run.
enum Pending {
    Error(HostError),
    Panic(Box<dyn Any + Send>),
}

// SAFETY: the world owns alone what its pointers point to, and none of it is bound to a thread. Between
// runs nothing points to a thread's stack; during one, who has the world has it lent by the run, which
// waits for it.
unsafe impl<Unsized: ?Sized> Send for World<Unsized> {}
// SAFETY: through a shared reference only entities can be read. Those are written by methods that
// take the world exclusively, and by guest code, which runs while `call` has it exclusively.
unsafe impl<Unsized: ?Sized> Sync for World<Unsized> {}

impl<H> Deref for Machine<H> {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl<H> DerefMut for Machine<H> {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.world
    }
}

impl<H: Host> Machine<H> {
    /// A machine without entities, on a value stack whose contents do not matter.
    ///
    /// # Errors
    ///
    /// If the stack ends in a guard of less than [`STACK_GUARD_BYTES`].
    pub(crate) fn with_executor(
        executor: &'static dyn Executor,
        stack: ValueStack,
        host: H,
    ) -> Result<Box<Machine<H>>, MachineError> {
        if let Some(guard) = stack.guard()
            && guard.len() < STACK_GUARD_BYTES
        {
            return Err(MachineError::StackGuard { bytes: guard.len() });
        }
        let config = MachineConfig {
            threading: executor.threading(),
            guarded_stack: stack.guard().is_some(),
            stack_bytes: stack.len_bytes(),
        };
        let mut regions = RegionSet::new();
        if let Some(range) = stack.guard() {
            let class = RegionClass::Stack;
            regions.insert(Region { range, class })?;
        }
        let interrupt = Arc::new(Interrupt::new());
        let runtime = Box::new(Runtime {
            fuel: 0,
            epoch: &raw const metering::NO_EPOCH,
            epoch_deadline: u64::MAX,
            calls_left: u64::MAX >> 1,
            exit_ip: std::ptr::null(),
            exit_frame: std::ptr::null_mut(),
            exit_context: std::ptr::null_mut(),
            registers: [0; REGISTERS],
            host_code: std::ptr::null(),
            host_slots: std::ptr::null_mut(),
            machine: std::ptr::null_mut(),
            world: std::ptr::null_mut(),
            regions: Box::into_raw(Box::new(regions)),
            asked_to_end: interrupt.pending(),
        });
        let world = World {
            // 2⁶⁴ machines cannot be made in any lifetime.
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            executor,
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
            exceptions: exceptions::Exceptions::default(),
            questions: Questions::of::<H>(),
            native_stack: 0,
            interrupt,
            is_interruptible: false,
            epoch: None,
            fuel_reserve: 0,
            fuel_required: 0,
            is_resumable: false,
            pending: None,
            _unsized: [],
        };
        Ok(Box::new(Machine { host, world }))
    }

    /// Adds a host function.
    ///
    /// # Panics
    ///
    /// If the machine has 2³² functions already, or the type refers to types that nobody holds.
    pub fn add_host_func(
        &mut self,
        ty: impl Into<RegisteredType>,
        closure: HostClosure<H>,
    ) -> FuncId {
        let ty = ty.into();
        let function = HostFunction::new(self.world.executor.host_cell(), &ty, closure);
        let entry = function.code().into();
        let type_id = ty.number();
        let id = self.world.add_function(ty, |id| FuncObject {
            entry,
            context: std::ptr::null_mut(),
            type_id,
            index: 0,
            id,
        });
        self.world.functions[id.index()].host = Some(function);
        id
    }
}

impl<H> Machine<H> {
    /// The host.
    pub fn host(&self) -> &H {
        &self.host
    }

    /// The host, to change.
    pub fn host_mut(&mut self) -> &mut H {
        &mut self.host
    }

    /// The world and the host at once.
    pub fn split(&self) -> (&World, &H) {
        (&self.world, &self.host)
    }

    /// The world and the host at once, to change.
    pub fn split_mut(&mut self) -> (&mut World, &mut H) {
        (&mut self.world, &mut self.host)
    }

    /// Ends the machine; the host stays.
    pub fn into_host(self: Box<Self>) -> H {
        let sized: *mut Machine<H, World<[(); 0]>> = Box::into_raw(self).cast();
        // SAFETY: every machine is made as one of this type, in `with_executor`.
        let Machine { host, world } = *unsafe { Box::from_raw(sized) };
        drop(world);
        host
    }

    /// A machine whose host's type is forgotten.
    fn erased(machine: *mut Machine<H>) -> *mut () {
        machine.cast()
    }

    /// The machine of which [`Machine::erased`] made this pointer.
    fn from_erased(machine: *mut ()) -> *mut Machine<H> {
        // What makes a machine unsized has no elements.
        std::ptr::slice_from_raw_parts_mut(machine, 0) as *mut Machine<H>
    }
}

impl World {
    /// The world that [`Runtime::world`] points to.
    fn from_erased(world: *mut ()) -> *mut World {
        std::ptr::slice_from_raw_parts_mut(world, 0) as *mut World
    }

    /// How the machine runs guest code.
    pub fn config(&self) -> &MachineConfig {
        &self.config
    }

    /// The type of a function.
    ///
    /// # Panics
    ///
    /// If the machine has no function of this number.
    pub fn func_type(&self, id: FuncId) -> &RegisteredType {
        &self.functions[id.index()].ty
    }

    /// The code of the instance that runs in a context.
    ///
    /// # Safety
    ///
    /// In a run, with the context of an instance of the run's machine, and no exclusive reference to the
    /// machine is in use as long as the answer is.
    pub(crate) unsafe fn code_of<'a>(context: *mut crate::context::Context) -> &'a Code {
        // SAFETY: the caller's promise; contexts live as long as the machine, and the runtime's pointer to the
        // world is that of the run.
        unsafe {
            let world = World::from_erased((*(*context).runtime).world);
            &(&(*world).instances)[(*context).instance as usize].code
        }
    }

    /// Whether a function is one of the host's.
    ///
    /// # Panics
    ///
    /// If the machine has no function of this number.
    pub fn is_host_func(&self, id: FuncId) -> bool {
        self.functions[id.index()].host.is_some()
    }

    fn add_function(
        &mut self,
        ty: RegisteredType,
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

    /// By what other threads ask the machine's runs to end: those that are going on, one inside the other, when the
    /// request comes. Each ends with [`TrapCode::Interrupt`](crate::TrapCode::Interrupt), as soon as it runs guest code; a host function that
    /// waits in a system call is woken by `EINTR` where a signal is sent, and should return then.
    ///
    /// With token threading that needs nothing else; with direct threading, the signal:
    /// [`install_interrupt_signal`](crate::install_interrupt_signal).
    pub fn interrupt(&mut self) -> &Arc<Interrupt> {
        if !self.is_interruptible {
            self.is_interruptible = true;
            if self.native_stack != 0 {
                // In the middle of a run, which could not know.
                self.interrupt.enter();
            }
        }
        &self.interrupt
    }

    /// Whether the run that is going on has been asked to end, see [`World::interrupt`].
    pub fn is_asked_to_end(&self) -> bool {
        self.interrupt.is_pending()
    }

    /// What [`World::is_asked_to_end`] looks at. By this alone nobody can be sure to reach a run: that takes
    /// [`World::interrupt`].
    pub fn interruption(&self) -> &Arc<Interrupt> {
        &self.interrupt
    }

    /// The regions at which a fault of a guest of this machine is a trap.
    fn regions(&mut self) -> &mut RegionSet {
        // SAFETY: allocated in `with_executor`, freed when the world is dropped, and reached only from here
        // and, to be read, from an armed activation: none is armed while someone has the world.
        unsafe { &mut *self.runtime.as_ref().regions }
    }
}

impl<Unsized: ?Sized> Drop for World<Unsized> {
    fn drop(&mut self) {
        let runtime = self.runtime.as_ptr();
        // SAFETY: both came from `Box::into_raw` in `with_executor` and are freed only here. No run is going on:
        // it would have the machine borrowed.
        unsafe {
            drop(Box::from_raw((*runtime).regions));
            drop(Box::from_raw(runtime));
        }
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("config", &self.config)
            .field("instances", &self.instances.len())
            .field("functions", &self.functions.len())
            .field("memories", &self.memories.len())
            .field("tables", &self.tables.len())
            .field("globals", &self.globals.len())
            .finish_non_exhaustive()
    }
}

impl<H: fmt::Debug> fmt::Debug for Machine<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine")
            .field("host", &self.host)
            .field("world", &&self.world)
            .finish()
    }
}
