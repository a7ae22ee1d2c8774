//! What the machine knows of an executor: the seam between them.
//!
//! The machine and its code use executors through these two traits only; which executors there are is
//! known to [`crate::executors`] alone. An executor in turn knows the machine: its runtime operations,
//! and how a run fails.

use std::fmt;

use crate::context::{Context, FuncObject, Runtime, Word};
use crate::handlers::FrameCode;
use crate::options::{CodeError, Threading};
use crate::profile::FunctionProfile;
use crate::sites::FrameSites;

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

    /// Goes on with a run where the runtime's exit fields say, with its registers. Answers as [`Executor::run`].
    ///
    /// # Safety
    ///
    /// As there. The fields are those of a run of this machine that stopped in a host function, for want of fuel or at a deadline, and
    /// its frames are on the value stack again.
    unsafe fn resume(&self, runtime: *mut Runtime) -> u32;

    /// Where a run goes on after the host function in which it has stopped: the code, and the frame, which is null if
    /// that is the run's end.
    ///
    /// # Safety
    ///
    /// The run has just ended because a host function returned an error, and the runtime's exit fields say where.
    unsafe fn after_host_call(&self, runtime: *mut Runtime) -> (*const u8, *mut Word);

    /// The code to which the first frame of a run returns.
    fn finish(&self) -> *const u8;

    /// What there is at an address that a function with this context returns to, in a frame.
    ///
    /// # Safety
    ///
    /// Both are from a header of a frame of a run, whose context this is.
    unsafe fn goes_back(&self, back: *const u8, frame: *mut Word, context: *mut Context) -> Back;

    /// How much fuel what the run has stopped at needs, if it is an instruction for that.
    ///
    /// # Safety
    ///
    /// The run has just ended for want of fuel.
    unsafe fn fuel_required(&self, runtime: *mut Runtime) -> Option<u64>;
}

/// Where a function returns to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Back {
    /// The end of the run.
    End,
    /// A frame of a function that runs in this context.
    Frame(*mut Context),
    /// An adapter of a tail call, which takes this context back; it returns in turn.
    Adapter(*mut Context),
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

    /// How many slots the frame of the function has that the code at an address belongs to.
    fn frame_slots(&self, ip: *const u8) -> Option<u32>;

    /// What is known of a frame by an address in its code.
    fn frame_code(&self, ip: *const u8) -> Option<FrameCode<'_>>;

    /// Which instruction of which function the code at an address stands for.
    fn locate(&self, ip: *const u8) -> Option<(u32, u32)>;

    /// The function that the code at an address belongs to, where runs of that can stop, and how many bytes from its start the
    /// address is. Nothing if it has no such code, or it was not asked for.
    fn sites_at(&self, ip: *const u8) -> Option<(u32, &FrameSites, u32)>;

    /// The code of a function that the module defines, from its start, and where its runs can stop. It is translated unless that has been done.
    fn sites_of(&self, func: u32) -> Result<Option<(*const u8, &FrameSites)>, CodeError>;

    /// A function's IR and its threaded code as text.
    fn listing(&self, func: u32) -> Result<String, CodeError>;

    /// What has been counted, if this executor counts.
    fn profile(&self) -> Result<Vec<FunctionProfile>, CodeError> {
        Ok(Vec::new())
    }
}
