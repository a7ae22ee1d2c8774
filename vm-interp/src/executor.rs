//! What the machine knows of an executor: the seam between them.
//!
//! The machine and its code use executors through these two traits only; which executors there are is
//! known to [`crate::executors`] alone. An executor in turn knows the machine: its runtime operations,
//! and how a run fails.

use std::fmt;

use crate::context::{FuncObject, Runtime, Word};
use crate::options::{CodeError, Threading};
use crate::profile::FunctionProfile;

/// Something that runs functions.
pub(crate) trait Executor: Sync {
    /// Which one it is.
    fn threading(&self) -> Threading;

    /// The first word of a host function's code: of an executor that has cells, the handler's address.
    fn host_cell(&self) -> u64;

    /// Runs a function of an instance until it returns, traps, or the host ends it. Answers a status,
    /// see [`crate::context`]; if it is not 0, the runtime's exit fields say where the run ended.
    ///
    /// # Safety
    ///
    /// The runtime is that of a machine whose code is of this executor; its `machine` and `world` are
    /// those of the machine, which nobody else uses while this runs. The function is of an instance of that
    /// machine. The frame is on the machine's value stack, with its header cleared and the arguments behind it;
    /// nothing above is in use.
    unsafe fn run(&self, runtime: *mut Runtime, func: *const FuncObject, frame: *mut Word) -> u32;
}

/// A module's code for an executor.
pub(crate) trait ExecutorCode: fmt::Debug + Send + Sync {
    /// What [`FuncObject::entry`] of a function that the module defines starts as.
    fn entry(&self, func: u32) -> *mut u8;

    /// Translates a function that the module defines, unless that has been done. Answers its entry from
    /// now on.
    fn translate(&self, func: u32) -> Result<*mut u8, CodeError>;

    /// Frees what is kept for further translations.
    fn trim(&self) {}

    /// How many bytes of code a function that the module defines has; nothing if it is not translated.
    fn size(&self, func: u32) -> Option<usize>;

    /// Which instruction of which function the code at an address stands for.
    fn locate(&self, ip: *const u8) -> Option<(u32, u32)>;

    /// A function's IR and its threaded code as text.
    fn listing(&self, func: u32) -> Result<String, CodeError>;

    /// What has been counted, if this executor counts.
    fn profile(&self) -> Result<Vec<FunctionProfile>, CodeError> {
        Ok(Vec::new())
    }
}
