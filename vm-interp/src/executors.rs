//! Which executors there are, and what is made for one of them: code and machines.
//!
//! The only place that names them.

use std::sync::Arc;

use vm_memory::ValueStack;
use vm_translate::Module;

use crate::code::Code;
#[cfg(palisade_direct)]
use crate::direct::{self, Direct, DirectCode};
use crate::executor::Executor;
use crate::machine::{Host, Machine, MachineConfig, MachineError, STACK_GUARD_BYTES};
use crate::options::{CodeError, CodeOptions, Threading};
use crate::token::{Token, TokenCode};

/// Whether the direct executor can run here.
///
/// # Errors
///
/// [`CodeError::DirectUnavailable`], with the reason.
pub fn direct_availability() -> Result<(), CodeError> {
    #[cfg(palisade_direct)]
    let available = direct::available();
    #[cfg(not(palisade_direct))]
    let available = Err(match cfg!(feature = "direct") {
        true => "it has no handlers for this platform: only x86-64 Linux so far",
        false => "this program was built without the feature `direct`",
    });
    available.map_err(|reason| CodeError::DirectUnavailable {
        reason: reason.to_owned(),
    })
}

/// The executor of this kind, if it can run here.
fn executor(threading: Threading) -> Result<&'static dyn Executor, CodeError> {
    match threading {
        Threading::Token => Ok(&Token),
        Threading::Direct => {
            direct_availability()?;
            #[cfg(palisade_direct)]
            return Ok(&Direct);
            #[cfg(not(palisade_direct))]
            unreachable!("not available")
        }
    }
}

impl Code {
    /// Code for a module. Translates nothing yet.
    ///
    /// # Errors
    ///
    /// If the options contradict each other or cannot be met here.
    pub fn new(module: Arc<Module>, options: CodeOptions) -> Result<Arc<Code>, CodeError> {
        match options.threading {
            Threading::Direct => {
                direct_availability()?;
                #[cfg(palisade_direct)]
                {
                    let tiers = CodeOptions {
                        baseline: options.baseline.filter(|_| !options.profile),
                        ..options.clone()
                    };
                    let code = Code::with_executor(module, options, |module, layout| {
                        DirectCode::new(module, layout, tiers)
                    });
                    Ok(code)
                }
                #[cfg(not(palisade_direct))]
                unreachable!("not available")
            }
            Threading::Token if options.unchecked.is_some() => Err(CodeError::TokenUnchecked),
            Threading::Token if options.profile => Err(CodeError::TokenProfile),
            Threading::Token => {
                let own = options.clone();
                let make = |module: &_, layout| TokenCode::new(module, layout, own);
                Ok(Code::with_executor(module, options, make))
            }
        }
    }
}

impl<H: Host> Machine<H> {
    /// A machine without entities.
    ///
    /// # Errors
    ///
    /// If the host refuses the value stack, or the executor cannot run here.
    pub fn new(config: MachineConfig, host: H) -> Result<Box<Machine<H>>, MachineError> {
        let stack = if config.guarded_stack {
            ValueStack::guarded(config.stack_bytes, STACK_GUARD_BYTES)?
        } else {
            ValueStack::plain(config.stack_bytes)?
        };
        Machine::with_stack(config.threading, stack, host)
    }

    /// A machine without entities, on a value stack that is there already, from a pool say. Its contents do not
    /// matter.
    ///
    /// # Errors
    ///
    /// If the stack ends in a guard of less than [`STACK_GUARD_BYTES`], or the executor cannot run here.
    pub fn with_stack(
        threading: Threading,
        stack: ValueStack,
        host: H,
    ) -> Result<Box<Machine<H>>, MachineError> {
        Machine::with_executor(executor(threading)?, stack, host)
    }
}

/// The sanitizer that this is a build with (`address`, `leak`, `memory`, `thread`, …), if any.
///
/// A sanitizer sees what compiled code does, so the token executor's accesses, and not those of the
/// direct executor's assembly. Both run under the address sanitizer, with guards too: its own signal
/// handler is below ours and gets what is not a guest's.
pub const fn sanitizer() -> Option<&'static str> {
    option_env!("PALISADE_SANITIZER")
}

/// Installs the signal handlers by which the direct executor turns faults of guarded memory and of
/// guarded value stacks into traps. Does nothing if they are installed.
///
/// Whoever runs code that relies on guards calls this first, or registers the executor's access
/// sites with [`register_access_sites`] and forwards signals to [`vm_trap::try_handle`].
///
/// # Errors
///
/// If the platform has no such handlers, or the host refuses them.
pub fn install_signal_handlers() -> Result<(), SignalError> {
    register_access_sites()?;
    Ok(vm_trap::install()?)
}

/// Tells `vm-trap` which instructions of the direct executor may fault on a guest's behalf, for
/// hosts that own the signal handlers.
///
/// # Errors
///
/// If `vm-trap` has no room for more, or there is no direct executor here.
pub fn register_access_sites() -> Result<(), SignalError> {
    #[cfg(palisade_direct)]
    direct::register_sites()?;
    Ok(())
}

/// Sees to it that [`World::interrupt`](crate::World::interrupt) stops runs of direct threading, and wakes host functions
/// that wait in system calls: by this signal, for which it installs a handler. The default is
/// [`vm_trap::DEFAULT_INTERRUPT_SIGNAL`].
///
/// # Errors
///
/// If the platform has no such handlers, another signal has been chosen before, or the host refuses it.
pub fn install_interrupt_signal(signal: i32) -> Result<(), SignalError> {
    register_interruptible()?;
    Ok(vm_trap::install_interrupt(signal)?)
}

/// The same for hosts that own the signal handlers, and forward this signal to [`vm_trap::try_handle`].
///
/// # Errors
///
/// If another signal has been chosen before, or there is no room for the executor's text.
pub fn choose_interrupt_signal(signal: i32) -> Result<(), SignalError> {
    register_interruptible()?;
    Ok(vm_trap::choose_interrupt(signal)?)
}

fn register_interruptible() -> Result<(), SignalError> {
    #[cfg(palisade_direct)]
    direct::register_interruptible()?;
    Ok(())
}

/// Why faults cannot become traps, or guests not be stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignalError {
    /// The handlers could not be installed.
    #[error(transparent)]
    Install(#[from] vm_trap::InstallError),
    /// The signal that stops guests could not be had.
    #[error(transparent)]
    Interrupt(#[from] vm_trap::InterruptError),
    /// The access sites could not be registered.
    #[error(transparent)]
    Register(#[from] vm_trap::RegisterError),
}
