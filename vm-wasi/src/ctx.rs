//! What one guest gets of the world, and how it is put together.

use std::io::{self, Read, Write};
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cap_std::fs::Dir;

use crate::abi::FdFlags;
use crate::clocks::{Clock, ClockId, Clocks};
use crate::embedder::{Input, Output};
use crate::errno::Errno;
#[cfg(unix)]
use crate::host::HostStream;
use crate::memory_dir::MemoryDir;
use crate::random::Random;
use crate::stream::{InputStream, OutputStream, Reader, Writer};
use crate::strings::StringArray;
use crate::table::{Access, Descriptor, Object, Table, Tree};
use crate::waiter::{Interest, Waiter};

/// Everything that a guest can reach through WASI: its arguments, environment,
/// streams and directories. Made by a [`WasiCtxBuilder`], kept in the data of a
/// [`Store`](vm_engine::Store).
pub struct WasiCtx(Held);

/// Whose it is.
enum Held {
    /// One guest's.
    Own(Box<Ctx>),
    /// Several threads' of one guest.
    Shared(Arc<Mutex<Ctx>>),
}

impl WasiCtx {
    /// The same as [`WasiCtxBuilder::new`].
    pub fn builder() -> WasiCtxBuilder {
        WasiCtxBuilder::new()
    }

    /// The same context once more, for another thread of the guest: what one does with a descriptor, the others see.
    ///
    /// Each call has the context to itself then. One that waits does not keep the others from it: it looks again and again, at most
    /// every few milliseconds, whether it can go on.
    pub fn share(&mut self) -> WasiCtx {
        let shared = match std::mem::replace(&mut self.0, Held::Own(Box::default())) {
            Held::Own(own) => Arc::new(Mutex::new(*own)),
            Held::Shared(shared) => shared,
        };
        self.0 = Held::Shared(Arc::clone(&shared));
        WasiCtx(Held::Shared(shared))
    }

    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.0, Held::Shared(_))
    }

    /// Does something with it.
    pub(crate) fn with<R>(&mut self, action: impl FnOnce(&mut Ctx) -> R) -> R {
        match &mut self.0 {
            Held::Own(own) => action(own),
            // A panic of an embedder's stream leaves it as good as it was.
            Held::Shared(shared) => {
                action(&mut shared.lock().unwrap_or_else(PoisonError::into_inner))
            }
        }
    }
}

/// The context itself.
#[derive(Default)]
pub(crate) struct Ctx {
    pub(crate) args: StringArray,
    pub(crate) env: StringArray,
    pub(crate) clocks: Clocks,
    pub(crate) random: Random,
    pub(crate) table: Table,
    pub(crate) waiter: Waiter,
    ends_on_broken_pipe: bool,
}

impl Ctx {
    /// Whether calls on a descriptor may have to wait, and the guest wants them to: one that is none waits for nothing.
    pub(crate) fn may_wait(&self, fd: u32) -> bool {
        let Ok(descriptor) = self.table.get(fd) else {
            return false;
        };
        let waits = match &descriptor.object {
            #[cfg(unix)]
            Object::Host(_) => true,
            Object::Input(_) | Object::Output(_) => true,
            Object::File(file) => !file.regular,
            _ => false,
        };
        waits && !descriptor.flags().contains(FdFlags::NONBLOCK)
    }

    /// Whether a call would have to wait now.
    pub(crate) fn would_wait(&mut self, fd: u32, interest: Interest) -> bool {
        if !self.may_wait(fd) {
            return false;
        }
        let interests = std::iter::once((fd, interest)).collect();
        let found = self
            .waiter
            .ask(&mut self.table, &interests, Some(Duration::ZERO));
        found.is_ok_and(|found| found.is_empty())
    }

    /// Whether a guest that could not write to a descriptor ends for that reason.
    pub(crate) fn ends(&self, fd: u32, errno: Errno) -> bool {
        let is_stream = || match self.table.get(fd).map(|descriptor| &descriptor.object) {
            #[cfg(unix)]
            Ok(Object::Host(stream)) => !stream.is_socket(),
            Ok(Object::Output(_)) => true,
            _ => false,
        };
        self.ends_on_broken_pipe && errno == Errno::Pipe && is_stream()
    }
}

impl std::fmt::Debug for WasiCtx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = f.debug_struct("WasiCtx");
        if let Held::Own(own) = &self.0 {
            text.field("args", &own.args).field("env", &own.env);
        }
        text.finish_non_exhaustive()
    }
}

/// Why [`WasiCtxBuilder::build`] refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Guests get strings that end at the first NUL, so one with a NUL in it
    /// can't be passed whole.
    #[error("{what} {text:?} contains a NUL character; remove it")]
    Nul {
        /// Which kind of string it is.
        what: &'static str,
        /// The string.
        text: String,
    },
    /// The environment is a list of `NAME=VALUE`, so a name can neither be
    /// empty nor contain the `=`.
    #[error(
        "{0:?} can't be the name of an environment variable: it must be non-empty, without `=`"
    )]
    EnvironmentName(String),
    /// The sizes are 32-bit numbers in the guest.
    #[error("the {0} are too large together: a guest can be given at most 4 GiB")]
    TooLarge(&'static str),
}

/// Puts a [`WasiCtx`] together. A fresh one grants nothing: no arguments, no
/// environment, no directory; standard input is at its end, and standard
/// output and error are thrown away.
///
/// ```
/// let ctx = vm_wasi::WasiCtxBuilder::new()
///     .inherit_stdio()
///     .arg("prog")
///     .args(&["-v", "input.txt"])
///     .env("LANG", "C")
///     .build()?;
/// # Ok::<(), vm_wasi::BuildError>(())
/// ```
pub struct WasiCtxBuilder {
    args: Vec<String>,
    env: Vec<(String, String)>,
    stdin: Descriptor,
    stdout: Descriptor,
    stderr: Descriptor,
    preopens: Vec<(Tree, String)>,
    #[cfg(unix)]
    sockets: Vec<OwnedFd>,
    clocks: Clocks,
    random: Random,
    ends_on_broken_pipe: bool,
}

impl Default for WasiCtxBuilder {
    fn default() -> WasiCtxBuilder {
        WasiCtxBuilder::new()
    }
}

impl WasiCtxBuilder {
    /// A builder for a guest that is given nothing.
    pub fn new() -> WasiCtxBuilder {
        WasiCtxBuilder {
            args: Vec::new(),
            env: Vec::new(),
            stdin: input(Reader(io::empty())),
            stdout: output(Writer(io::sink())),
            stderr: output(Writer(io::sink())),
            preopens: Vec::new(),
            #[cfg(unix)]
            sockets: Vec::new(),
            clocks: Clocks::new(),
            random: Random::default(),
            ends_on_broken_pipe: false,
        }
    }

    /// Appends an argument. The first one is the program's name by custom.
    pub fn arg(&mut self, arg: impl AsRef<str>) -> &mut WasiCtxBuilder {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Appends arguments.
    pub fn args(&mut self, args: &[impl AsRef<str>]) -> &mut WasiCtxBuilder {
        self.args
            .extend(args.iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable. Setting one again replaces its value.
    pub fn env(&mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> &mut WasiCtxBuilder {
        let (name, value) = (name.as_ref(), value.as_ref());
        match self.env.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.env.push((name.to_owned(), value.to_owned())),
        }
        self
    }

    /// Sets environment variables.
    pub fn envs(&mut self, env: &[(impl AsRef<str>, impl AsRef<str>)]) -> &mut WasiCtxBuilder {
        for (name, value) in env {
            self.env(name, value);
        }
        self
    }

    /// Uses the host process's standard input, output and error.
    ///
    /// They are used as they are, without buffers: the guest takes from standard input what it asks for and no more,
    /// and what it writes is written at once. So what the host has written to [`std::io::stdout`] and not yet flushed
    /// may come later than what the guest writes, and what [`std::io::stdin`] has read ahead is the host's.
    pub fn inherit_stdio(&mut self) -> &mut WasiCtxBuilder {
        self.inherit_stdin().inherit_stdout().inherit_stderr()
    }

    /// Uses the host process's standard input.
    pub fn inherit_stdin(&mut self) -> &mut WasiCtxBuilder {
        self.stdin = inherited::stdin();
        self
    }

    /// Uses the host process's standard output.
    pub fn inherit_stdout(&mut self) -> &mut WasiCtxBuilder {
        self.stdout = inherited::stdout();
        self
    }

    /// Uses the host process's standard error.
    pub fn inherit_stderr(&mut self) -> &mut WasiCtxBuilder {
        self.stderr = inherited::stderr();
        self
    }

    /// Lets the guest read its standard input from `reader`, of which nobody knows whether it has to be waited for.
    pub fn stdin(&mut self, reader: impl Read + Send + 'static) -> &mut WasiCtxBuilder {
        self.stdin_stream(Reader(reader))
    }

    /// Passes the guest's standard output to `writer`, which is flushed after
    /// every write.
    pub fn stdout(&mut self, writer: impl Write + Send + 'static) -> &mut WasiCtxBuilder {
        self.stdout_stream(Writer(writer))
    }

    /// Passes the guest's standard error to `writer`, which is flushed after
    /// every write.
    pub fn stderr(&mut self, writer: impl Write + Send + 'static) -> &mut WasiCtxBuilder {
        self.stderr_stream(Writer(writer))
    }

    /// Lets the guest read its standard input from a stream of the embedder's.
    pub fn stdin_stream(&mut self, stream: impl InputStream + 'static) -> &mut WasiCtxBuilder {
        self.stdin = input(stream);
        self
    }

    /// Passes the guest's standard output to a stream of the embedder's.
    pub fn stdout_stream(&mut self, stream: impl OutputStream + 'static) -> &mut WasiCtxBuilder {
        self.stdout = output(stream);
        self
    }

    /// Passes the guest's standard error to a stream of the embedder's.
    pub fn stderr_stream(&mut self, stream: impl OutputStream + 'static) -> &mut WasiCtxBuilder {
        self.stderr = output(stream);
        self
    }

    /// Lets the guest read its standard input from a descriptor of the host's, without a buffer: a file, a
    /// [`PipeReader`](std::io::PipeReader), a socket.
    #[cfg(unix)]
    pub fn stdin_fd(&mut self, fd: impl Into<OwnedFd>) -> &mut WasiCtxBuilder {
        self.stdin = host(HostStream::owned(fd.into()), Access::READ);
        self
    }

    /// Passes the guest's standard output to a descriptor of the host's, without a buffer.
    #[cfg(unix)]
    pub fn stdout_fd(&mut self, fd: impl Into<OwnedFd>) -> &mut WasiCtxBuilder {
        self.stdout = host(HostStream::owned(fd.into()), Access::WRITE);
        self
    }

    /// Passes the guest's standard error to a descriptor of the host's, without a buffer.
    #[cfg(unix)]
    pub fn stderr_fd(&mut self, fd: impl Into<OwnedFd>) -> &mut WasiCtxBuilder {
        self.stderr = host(HostStream::owned(fd.into()), Access::WRITE);
        self
    }

    /// Whether a guest that writes to standard output or error when nobody is left to read ends, with the error
    /// [`BrokenPipe`](crate::BrokenPipe). Default: no, the write fails with `EPIPE`.
    ///
    /// Native programs end by a signal then, unless they ask not to. Guests cannot ask, and this crate leaves the
    /// process's signals alone: a command that runs guests as programs turns this on, and ends as it sees fit.
    pub fn end_on_broken_pipe(&mut self, end: bool) -> &mut WasiCtxBuilder {
        self.ends_on_broken_pipe = end;
        self
    }

    /// Gives the guest a directory, with all that is below it, under the name
    /// `guest_path` (`/`, `.`, `/data` …). The first one is descriptor 3.
    pub fn preopened_dir(&mut self, dir: Dir, guest_path: impl AsRef<str>) -> &mut WasiCtxBuilder {
        let guest_path = guest_path.as_ref().to_owned();
        self.preopens.push((Tree::Host(dir), guest_path));
        self
    }

    /// Gives the guest files in memory, to read, under the name `guest_path`: a directory like those of
    /// [`preopened_dir`](WasiCtxBuilder::preopened_dir), and among them in order.
    pub fn preopened_memory_dir(
        &mut self,
        dir: MemoryDir,
        guest_path: impl AsRef<str>,
    ) -> &mut WasiCtxBuilder {
        let guest_path = guest_path.as_ref().to_owned();
        self.preopens
            .push((Tree::Memory(dir.into_root()), guest_path));
        self
    }

    /// Gives the guest a socket: a listener, whose connections it can accept, or a connection. Sockets get the
    /// descriptors after those of directories, in order; the first one is 3 if there are no directories.
    ///
    /// ```
    /// # use vm_wasi::WasiCtxBuilder;
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let ctx = WasiCtxBuilder::new().preopened_socket(listener).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(unix)]
    pub fn preopened_socket(&mut self, socket: impl Into<OwnedFd>) -> &mut WasiCtxBuilder {
        self.sockets.push(socket.into());
        self
    }

    /// Has the guest see a clock of the embedder's: see [`Clock`]. Without it, clocks are the host's.
    pub fn clock(&mut self, id: ClockId, clock: impl Clock + 'static) -> &mut WasiCtxBuilder {
        self.clocks.set(id, Box::new(clock));
        self
    }

    /// Has the guest's random bytes made by `fill`, which fills the slice that it is given. Without it, they are the
    /// host's. A generator that starts from the same seed makes a guest's run the same each time.
    ///
    /// ```
    /// # use vm_wasi::WasiCtxBuilder;
    /// let ctx = WasiCtxBuilder::new().random(|bytes: &mut [u8]| bytes.fill(4)).build()?;
    /// # Ok::<(), vm_wasi::BuildError>(())
    /// ```
    pub fn random(&mut self, fill: impl FnMut(&mut [u8]) + Send + 'static) -> &mut WasiCtxBuilder {
        self.random = Random::own(fill);
        self
    }

    /// The context. The builder is empty afterwards, as if new.
    ///
    /// # Errors
    ///
    /// A string that can't be passed to a guest: see [`BuildError`].
    pub fn build(&mut self) -> Result<WasiCtx, BuildError> {
        let own = Box::new(self.build_own()?);
        Ok(WasiCtx(Held::Own(own)))
    }

    pub(crate) fn build_own(&mut self) -> Result<Ctx, BuildError> {
        let builder = std::mem::take(self);

        let mut args = StringArray::default();
        for arg in &builder.args {
            no_nul("the argument", arg)?;
            args.push(arg).ok_or(BuildError::TooLarge("arguments"))?;
        }
        let mut env = StringArray::default();
        for (name, value) in &builder.env {
            if name.is_empty() || name.contains('=') {
                return Err(BuildError::EnvironmentName(name.clone()));
            }
            let pair = format!("{name}={value}");
            no_nul("the environment variable", &pair)?;
            env.push(&pair)
                .ok_or(BuildError::TooLarge("environment variables"))?;
        }

        let mut table = Table::default();
        let mut descriptors = vec![builder.stdin, builder.stdout, builder.stderr];
        for (tree, guest_path) in builder.preopens {
            no_nul("the guest path", &guest_path)?;
            descriptors.push(Descriptor::preopened(tree, guest_path));
        }
        #[cfg(unix)]
        for socket in builder.sockets {
            descriptors.push(host(HostStream::owned(socket), Access::BOTH));
        }
        for descriptor in descriptors {
            table
                .push(descriptor)
                .map_err(|_| BuildError::TooLarge("preopened directories and sockets"))?;
        }

        Ok(Ctx {
            args,
            env,
            clocks: builder.clocks,
            random: builder.random,
            table,
            waiter: Waiter::default(),
            ends_on_broken_pipe: builder.ends_on_broken_pipe,
        })
    }
}

fn input(stream: impl InputStream + 'static) -> Descriptor {
    Descriptor::new(Object::Input(Input::new(stream)), Access::READ)
}

fn output(stream: impl OutputStream + 'static) -> Descriptor {
    Descriptor::new(Object::Output(Output::new(stream)), Access::WRITE)
}

#[cfg(unix)]
fn host(stream: HostStream, access: Access) -> Descriptor {
    Descriptor::new(Object::Host(stream), access)
}

/// The process's own streams.
#[cfg(unix)]
mod inherited {
    use super::{Access, Descriptor, HostStream, host};

    pub(super) fn stdin() -> Descriptor {
        host(HostStream::stdin(), Access::READ)
    }

    pub(super) fn stdout() -> Descriptor {
        host(HostStream::stdout(), Access::WRITE)
    }

    pub(super) fn stderr() -> Descriptor {
        host(HostStream::stderr(), Access::WRITE)
    }
}

/// The process's own streams, as the standard library has them.
#[cfg(not(unix))]
mod inherited {
    use std::io::{self, IsTerminal, Read, Write};

    use super::{Descriptor, InputStream, OutputStream, input, output};

    struct Standard<S>(S);

    impl<S: Read> Read for Standard<S> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl<S: Read + IsTerminal + Send> InputStream for Standard<S> {
        fn is_terminal(&self) -> bool {
            self.0.is_terminal()
        }
    }

    impl<S: Write> Write for Standard<S> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            self.0.flush()
        }
    }

    impl<S: Write + IsTerminal + Send> OutputStream for Standard<S> {
        fn is_terminal(&self) -> bool {
            self.0.is_terminal()
        }
    }

    pub(super) fn stdin() -> Descriptor {
        input(Standard(io::stdin()))
    }

    pub(super) fn stdout() -> Descriptor {
        output(Standard(io::stdout()))
    }

    pub(super) fn stderr() -> Descriptor {
        output(Standard(io::stderr()))
    }
}

fn no_nul(what: &'static str, text: &str) -> Result<(), BuildError> {
    if text.contains('\0') {
        return Err(BuildError::Nul {
            what,
            text: text.to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_that_a_guest_cannot_get_whole_are_refused() {
        let error = WasiCtxBuilder::new().arg("a\0b").build().unwrap_err();
        assert!(error.to_string().contains("a\\0b"), "{error}");
        for name in ["", "A=B"] {
            let error = WasiCtxBuilder::new().env(name, "x").build().unwrap_err();
            assert_eq!(error, BuildError::EnvironmentName(name.to_owned()));
        }
        assert!(WasiCtxBuilder::new().env("A", "x\0").build().is_err());
    }

    #[test]
    fn the_last_value_of_a_variable_counts() {
        let ctx = WasiCtxBuilder::new()
            .envs(&[("A", "1"), ("B", "2")])
            .env("A", "3")
            .build_own()
            .unwrap();
        let mut bytes = vec![0; 64];
        let mut memory = crate::memory::GuestMemory::new(&mut bytes);
        ctx.env.get(&mut memory, 0, 8).unwrap();
        assert_eq!(memory.slice(8, 8).unwrap()[..], b"A=3\0B=2\0"[..]);
    }

    #[test]
    fn a_context_can_move_to_another_thread() {
        fn send<T: Send>() {}
        send::<WasiCtx>();
        send::<WasiCtxBuilder>();
    }
}
