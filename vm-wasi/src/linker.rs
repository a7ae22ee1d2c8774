//! The functions as a guest imports them.

use std::time::Duration;

use vm_engine::{Caller, Error, Extern, Linker};

use crate::abi::Version;
use crate::clocks::{ClockId, Start};
use crate::ctx::{Ctx, WasiCtx};
use crate::errno::Errno;
use crate::fd;
use crate::memory::{GuestMemory, IoVecs};
use crate::path::{self, At, PathOpen, PathTimes};
use crate::poll::{self, PollOneoff, Polled};
use crate::readdir;
use crate::sock;
use crate::until::Until;
use crate::waiter::Interest;

/// The guest called `proc_exit`: not a failure, but the end of its run.
///
/// Found in the error of the call that ran the guest by
/// [`Error::downcast_ref`](vm_engine::Error::downcast_ref).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("exited with status {0}")]
pub struct I32Exit(pub i32);

impl I32Exit {
    /// The status with which a process of the host should end: the lowest 8
    /// bits, which are all that POSIX's `wait` passes on; but 1 where these are
    /// 0 although the status is not, so that failure never looks like success.
    pub fn process_exit_code(&self) -> u8 {
        match self.0.to_le_bytes()[0] {
            0 if self.0 != 0 => 1,
            code => code,
        }
    }
}

/// The guest wrote to a stream that nobody is left to read, and was to end then: see
/// [`WasiCtxBuilder::end_on_broken_pipe`](crate::WasiCtxBuilder::end_on_broken_pipe).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("nobody is left to read what the guest writes")]
pub struct BrokenPipe;

/// A guest called a function that takes pointers, but has no memory under the
/// name by which preview 1 finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the module calls `{function}` of WASI but exports no memory named `memory`")]
struct NoMemory {
    function: &'static str,
}

/// Defines every function of WASI preview 1 (`wasi_snapshot_preview1`) and of the version before it
/// (`wasi_unstable`) in a linker.
///
/// `get` finds the guest's [`WasiCtx`] in the data of the store.
///
/// # Errors
///
/// The linker already has a definition of one of the names.
pub fn add_to_linker<T: 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut WasiCtx + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    define(linker, get, Version::Preview1)?;
    define(linker, get, Version::Unstable)
}

fn define<T: 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut WasiCtx + Copy + Send + Sync + 'static,
    version: Version,
) -> Result<(), Error> {
    /// Each line: a function with its parameters, and what it does with the
    /// context and the memory. A parameter smaller than 32 bits travels as an
    /// `i32`, a signed or unsigned 64-bit one as an `i64`.
    macro_rules! functions {
        ($($name:ident($($arg:ident: $ty:ty),*) $call:expr;)*) => {$(
            linker.func_wrap(
                version.module(),
                stringify!($name),
                move |mut caller: Caller<'_, T>, $($arg: $ty),*| {
                    with_memory(stringify!($name), &mut caller, get, $call).map(status)
                },
            )?;
        )*};
    }

    functions! {
        args_get(argv: u32, buffer: u32)
            |ctx, memory| ctx.args.get(memory, argv, buffer);
        args_sizes_get(count: u32, size: u32)
            |ctx, memory| ctx.args.sizes(memory, count, size);
        environ_get(environ: u32, buffer: u32)
            |ctx, memory| ctx.env.get(memory, environ, buffer);
        environ_sizes_get(count: u32, size: u32)
            |ctx, memory| ctx.env.sizes(memory, count, size);
        clock_res_get(id: u32, result: u32)
            |ctx, memory| memory.write_u64(result, ctx.clocks.resolution(ClockId::from_guest(id)?)?);
        clock_time_get(id: u32, _precision: u64, result: u32)
            |ctx, memory| memory.write_u64(result, ctx.clocks.now(ClockId::from_guest(id)?)?);
        random_get(buffer: u32, len: u32)
            |ctx, memory| memory.fill(buffer, len, |bytes| ctx.random.fill(bytes));

        fd_fdstat_get(fd: u32, result: u32)
            |ctx, memory| fd::fd_fdstat_get(ctx, memory, version, fd, result);
        fd_filestat_get(fd: u32, result: u32)
            |ctx, memory| fd::fd_filestat_get(ctx, memory, version, fd, result);
        fd_pread(fd: u32, vecs: u32, count: u32, offset: u64, read: u32)
            |ctx, memory| fd::fd_pread(ctx, memory, fd, IoVecs { ptr: vecs, count }, offset, read);
        fd_prestat_get(fd: u32, result: u32)
            |ctx, memory| fd::fd_prestat_get(ctx, memory, fd, result);
        fd_prestat_dir_name(fd: u32, path: u32, len: u32)
            |ctx, memory| fd::fd_prestat_dir_name(ctx, memory, fd, path, len);
        fd_pwrite(fd: u32, vecs: u32, count: u32, offset: u64, written: u32)
            |ctx, memory| fd::fd_pwrite(ctx, memory, fd, IoVecs { ptr: vecs, count }, offset, written);
        fd_readdir(fd: u32, buffer: u32, len: u32, cookie: u64, used: u32)
            |ctx, memory| readdir::fd_readdir(ctx, memory, fd, buffer, len, cookie, used);
        fd_seek(fd: u32, offset: i64, whence: u32, position: u32)
            |ctx, memory| fd::fd_seek(ctx, memory, version, fd, offset, whence, position);
        fd_tell(fd: u32, position: u32)
            |ctx, memory| fd::fd_tell(ctx, memory, fd, position);
        path_create_directory(fd: u32, path: u32, path_len: u32)
            |ctx, memory| path::path_create_directory(ctx, memory, At { fd, path, path_len });
        path_filestat_get(fd: u32, lookup: u32, path: u32, path_len: u32, result: u32)
            |ctx, memory| {
                let at = At { fd, path, path_len };
                path::path_filestat_get(ctx, memory, version, lookup, at, result)
            };
        path_filestat_set_times(
            fd: u32, lookup: u32, path: u32, path_len: u32, accessed: u64, modified: u64, flags: u32
        )
            |ctx, memory| path::path_filestat_set_times(ctx, memory, &PathTimes {
                fd, lookup, path, path_len, accessed, modified, flags,
            });
        path_link(
            from_fd: u32, lookup: u32, from: u32, from_len: u32, to_fd: u32, to: u32, to_len: u32
        )
            |ctx, memory| {
                let from = At { fd: from_fd, path: from, path_len: from_len };
                let to = At { fd: to_fd, path: to, path_len: to_len };
                path::path_link(ctx, memory, lookup, from, to)
            };
        path_open(
            fd: u32, lookup: u32, path: u32, path_len: u32, oflags: u32,
            rights_base: u64, _rights_inheriting: u64, fdflags: u32, opened: u32
        )
            |ctx, memory| path::path_open(ctx, memory, &PathOpen {
                fd, lookup, path, path_len, oflags, rights_base, fdflags, opened,
            });
        path_readlink(fd: u32, path: u32, path_len: u32, buffer: u32, len: u32, used: u32)
            |ctx, memory| {
                path::path_readlink(ctx, memory, At { fd, path, path_len }, buffer, len, used)
            };
        path_remove_directory(fd: u32, path: u32, path_len: u32)
            |ctx, memory| path::path_remove_directory(ctx, memory, At { fd, path, path_len });
        path_rename(from_fd: u32, from: u32, from_len: u32, to_fd: u32, to: u32, to_len: u32)
            |ctx, memory| {
                let from = At { fd: from_fd, path: from, path_len: from_len };
                let to = At { fd: to_fd, path: to, path_len: to_len };
                path::path_rename(ctx, memory, from, to)
            };
        path_symlink(target: u32, target_len: u32, fd: u32, path: u32, path_len: u32)
            |ctx, memory| {
                path::path_symlink(ctx, memory, target, target_len, At { fd, path, path_len })
            };
        path_unlink_file(fd: u32, path: u32, path_len: u32)
            |ctx, memory| path::path_unlink_file(ctx, memory, At { fd, path, path_len });

    }

    /// The same for functions that may wait for a descriptor, the first parameter: to be read, or to be written. Where
    /// threads share the context, one that waits lets the others have it.
    macro_rules! functions_that_wait {
        ($($name:ident($fd:ident: u32 $(, $arg:ident: $ty:ty)*) to $interest:ident $call:expr;)*) => {$(
            linker.func_wrap(
                version.module(),
                stringify!($name),
                move |mut caller: Caller<'_, T>, $fd: u32 $(, $arg: $ty)*| {
                    let what = ($fd, $interest);
                    with_memory_for(stringify!($name), &mut caller, get, what, $call).map(status)
                },
            )?;
        )*};
    }

    functions_that_wait! {
        fd_read(fd: u32, vecs: u32, count: u32, read: u32) to READ
            |ctx, memory| fd::fd_read(ctx, memory, fd, IoVecs { ptr: vecs, count }, read);
        sock_recv(fd: u32, vecs: u32, count: u32, flags: u32, len: u32, out: u32) to READ
            |ctx, memory| {
                sock::sock_recv(ctx, memory, fd, IoVecs { ptr: vecs, count }, flags, len, out)
            };
        sock_send(fd: u32, vecs: u32, count: u32, flags: u32, len: u32) to WRITE
            |ctx, memory| sock::sock_send(ctx, memory, fd, IoVecs { ptr: vecs, count }, flags, len);
    }

    linker.func_wrap(
        version.module(),
        "poll_oneoff",
        move |mut caller: Caller<'_, T>,
              subscriptions: u32,
              events: u32,
              count: u32,
              result: u32| {
            let args = PollOneoff {
                subscriptions,
                events,
                count,
                result,
            };
            let mut start = Start::default();
            let mut naps = Naps::default();
            loop {
                let waits = !get(caller.data_mut()).is_shared();
                let until = Until::interrupted(caller.interruption());
                let mut left = None;
                let polled = with_memory("poll_oneoff", &mut caller, get, |ctx, memory| {
                    let polled = poll::poll_oneoff(ctx, memory, version, args, &mut start, waits)?;
                    if let Polled::Nothing(time) = polled {
                        left = Some(time);
                    }
                    Ok(())
                })?;
                match left {
                    None => return Ok::<_, Error>(status(polled)),
                    Some(_) if until.is_over() => return Ok(status(Err(Errno::Intr))),
                    Some(time) => naps.sleep(time),
                }
            }
        },
    )?;

    /// The same for functions that take no pointer, and so need no memory.
    macro_rules! functions_without_memory {
        ($($name:ident($($arg:ident: $ty:ty),*) $call:expr;)*) => {$(
            linker.func_wrap(
                version.module(),
                stringify!($name),
                move |mut caller: Caller<'_, T>, $($arg: $ty),*| {
                    let call: fn(&mut Ctx, ($($ty,)*)) -> Result<(), Errno> = $call;
                    status(get(caller.data_mut()).with(|ctx| call(ctx, ($($arg,)*))))
                },
            )?;
        )*};
    }

    functions_without_memory! {
        fd_advise(fd: u32, offset: u64, len: u64, advice: u32)
            |ctx, (fd, offset, len, advice)| fd::fd_advise(ctx, fd, offset, len, advice);
        fd_allocate(fd: u32, offset: u64, len: u64)
            |ctx, (fd, offset, len)| fd::fd_allocate(ctx, fd, offset, len);
        fd_close(fd: u32)
            |ctx, (fd,)| fd::fd_close(ctx, fd);
        fd_datasync(fd: u32)
            |ctx, (fd,)| fd::fd_datasync(ctx, fd);
        fd_fdstat_set_flags(fd: u32, flags: u32)
            |ctx, (fd, flags)| fd::fd_fdstat_set_flags(ctx, fd, flags);
        fd_fdstat_set_rights(fd: u32, _base: u64, _inheriting: u64)
            |ctx, (fd, ..)| fd::fd_fdstat_set_rights(ctx, fd);
        fd_filestat_set_size(fd: u32, size: u64)
            |ctx, (fd, size)| fd::fd_filestat_set_size(ctx, fd, size);
        fd_filestat_set_times(fd: u32, accessed: u64, modified: u64, flags: u32)
            |ctx, (fd, accessed, modified, flags)| {
                fd::fd_filestat_set_times(ctx, fd, accessed, modified, flags)
            };
        fd_renumber(from: u32, to: u32)
            |ctx, (from, to)| fd::fd_renumber(ctx, from, to);
        fd_sync(fd: u32)
            |ctx, (fd,)| fd::fd_sync(ctx, fd);
        sched_yield()
            |_, ()| {
                std::thread::yield_now();
                Ok(())
            };
        proc_raise(signal: u32)
            |_, (signal,)| Err(raise(signal));
        sock_shutdown(fd: u32, how: u32)
            |ctx, (fd, how)| sock::sock_shutdown(ctx, fd, how);
    }

    if version == Version::Preview1 {
        functions_that_wait! {
            sock_accept(fd: u32, flags: u32, result: u32) to READ
                |ctx, memory| sock::sock_accept(ctx, memory, fd, flags, result);
        }
    }

    linker.func_wrap(
        version.module(),
        "fd_write",
        move |mut caller: Caller<'_, T>, fd: u32, vecs: u32, count: u32, written: u32| {
            let vecs = IoVecs { ptr: vecs, count };
            let what = (fd, WRITE);
            let result = with_memory_for("fd_write", &mut caller, get, what, |ctx, memory| {
                fd::fd_write(ctx, memory, fd, vecs, written)
            })?;
            match result {
                Err(errno) if get(caller.data_mut()).with(|ctx| ctx.ends(fd, errno)) => {
                    Err(Error::new(BrokenPipe))
                }
                result => Ok(status(result)),
            }
        },
    )?;
    linker.func_wrap(
        version.module(),
        "proc_exit",
        |code: i32| -> Result<(), Error> { Err(Error::new(I32Exit(code))) },
    )?;
    Ok(())
}

/// Runs one call on the memory of the guest that called.
fn with_memory<T: 'static>(
    function: &'static str,
    caller: &mut Caller<'_, T>,
    get: impl Fn(&mut T) -> &mut WasiCtx,
    call: impl FnOnce(&mut Ctx, &mut GuestMemory<'_>) -> Result<(), Errno>,
) -> Result<Result<(), Errno>, Error> {
    let until = Until::interrupted(caller.interruption());
    match caller.get_export("memory") {
        Some(Extern::Memory(memory)) => {
            let (bytes, data) = memory.data_and_store_mut(caller);
            let mut memory = GuestMemory::new(bytes).wait_until(until);
            Ok(get(data).with(|ctx| call(ctx, &mut memory)))
        }
        Some(Extern::SharedMemory(memory)) => {
            let mut memory = GuestMemory::shared(&memory).wait_until(until);
            Ok(get(caller.data_mut()).with(|ctx| call(ctx, &mut memory)))
        }
        _ => Err(Error::new(NoMemory { function })),
    }
}

const READ: Interest = Interest {
    read: true,
    write: false,
};
const WRITE: Interest = Interest {
    read: false,
    write: true,
};

/// The same of a call that may have to wait for a descriptor. Where threads share the context, it waits without it: whether it would have to is asked
/// under the lock under which it is made, so that no other thread takes what it was told is there; and what others outside of the guest take all the same is
/// waited for anew.
fn with_memory_for<T: 'static>(
    function: &'static str,
    caller: &mut Caller<'_, T>,
    get: impl Fn(&mut T) -> &mut WasiCtx + Copy,
    (fd, interest): (u32, Interest),
    call: impl Fn(&mut Ctx, &mut GuestMemory<'_>) -> Result<(), Errno>,
) -> Result<Result<(), Errno>, Error> {
    if !get(caller.data_mut()).is_shared() {
        return with_memory(function, caller, get, call);
    }
    let until = Until::interrupted(caller.interruption());
    let mut naps = Naps::default();
    loop {
        let mut waits = false;
        let result = with_memory(function, caller, get, |ctx, memory| {
            waits = ctx.would_wait(fd, interest);
            if waits {
                return Ok(());
            }
            memory.wait_not_at_all();
            let result = call(ctx, memory);
            waits = result == Err(Errno::Again) && ctx.may_wait(fd);
            result
        })?;
        if !waits {
            return Ok(result);
        }
        if until.is_over() {
            return Ok(Err(Errno::Intr));
        }
        naps.sleep(None);
    }
}

/// Sleeps of who has to look again: short ones first.
#[derive(Default)]
struct Naps(u32);

impl Naps {
    /// For so long, but not for longer than can be told from waiting.
    fn sleep(&mut self, left: Option<Duration>) {
        let most = Duration::from_micros(50 << self.0.min(6));
        self.0 += 1;
        std::thread::sleep(left.map_or(most, |left| left.min(most)));
    }
}

fn status(result: Result<(), Errno>) -> u32 {
    u32::from(result.err().unwrap_or(Errno::Success).raw())
}

/// Why no signal is raised: a guest has none. Ending by one is `abort`, which C libraries do by a trap.
fn raise(signal: u32) -> Errno {
    /// The last one of preview 1's, `sys`.
    const LAST: u32 = 30;
    match signal {
        0..=LAST => Errno::NotSup,
        _ => Errno::Inval,
    }
}
