//! Descriptors of the host's that the guest uses as they are: its standard streams, pipes, sockets.
//!
//! There are no buffers here: a read takes what the guest asks for and no more, a write goes out at once, and what it
//! returns is what the host says. Other processes may share the open file behind a descriptor, so its flags are left
//! alone: whether the guest waits is decided by asking the host first.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::net::sockopt;
use rustix::net::{RecvAncillaryBuffer, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendFlags};

use crate::abi::{FdFlags, FileType, RiFlags};
use crate::embedder::stream_type;
use crate::errno::Errno;
use crate::memory::{GuestMemory, IoVecs};
use crate::stream::Readiness;
use crate::until::Until;

/// What a write may be long if it is not to wait: so much fits into a pipe that says it has room.
const PIPE_BUF: usize = 4096;

/// A descriptor of the host's.
pub(crate) struct HostStream {
    fd: HostFd,
    kind: Kind,
    waiting: Waiting,
}

enum HostFd {
    Borrowed(BorrowedFd<'static>),
    Owned(OwnedFd),
}

impl AsFd for HostFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            HostFd::Borrowed(fd) => *fd,
            HostFd::Owned(fd) => fd.as_fd(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A pipe, a terminal, a file, a device.
    Stream,
    Socket(FileType),
    Listener(FileType),
}

/// Whether reads and writes wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    /// As the host has set it up.
    AsHost,
    Always,
    Never,
}

impl HostStream {
    pub(crate) fn stdin() -> HostStream {
        HostStream::new(HostFd::Borrowed(rustix::stdio::stdin()))
    }

    pub(crate) fn stdout() -> HostStream {
        HostStream::new(HostFd::Borrowed(rustix::stdio::stdout()))
    }

    pub(crate) fn stderr() -> HostStream {
        HostStream::new(HostFd::Borrowed(rustix::stdio::stderr()))
    }

    pub(crate) fn owned(fd: OwnedFd) -> HostStream {
        HostStream::new(HostFd::Owned(fd))
    }

    fn new(fd: HostFd) -> HostStream {
        HostStream {
            kind: kind(fd.as_fd()),
            fd,
            waiting: Waiting::AsHost,
        }
    }

    pub(crate) fn is_listener(&self) -> bool {
        matches!(self.kind, Kind::Listener(_))
    }

    pub(crate) fn is_socket(&self) -> bool {
        matches!(self.kind, Kind::Socket(_))
    }

    pub(crate) fn file_type(&self) -> FileType {
        match self.kind {
            Kind::Stream => stream_type(rustix::termios::isatty(&self.fd)),
            Kind::Socket(file_type) | Kind::Listener(file_type) => file_type,
        }
    }

    pub(crate) fn flags(&self) -> FdFlags {
        let host = fcntl_getfl(&self.fd).unwrap_or(OFlags::empty());
        let nonblocking = match self.waiting {
            Waiting::AsHost => host.contains(OFlags::NONBLOCK),
            Waiting::Always => false,
            Waiting::Never => true,
        };
        let mut flags = FdFlags::default();
        if nonblocking {
            flags = flags.union(FdFlags::NONBLOCK);
        }
        if host.contains(OFlags::APPEND) {
            flags = flags.union(FdFlags::APPEND);
        }
        flags
    }

    pub(crate) fn set_nonblocking(&mut self, nonblocking: bool) {
        self.waiting = if nonblocking {
            Waiting::Never
        } else {
            Waiting::Always
        };
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(crate) fn read(&self, memory: &mut GuestMemory<'_>, vecs: IoVecs) -> Result<u32, Errno> {
        if self.is_socket() {
            return self
                .receive(memory, vecs, RiFlags::default())
                .map(|(len, _)| len);
        }
        let until = memory.until();
        memory.scatter(vecs, |buffer| {
            self.wait(&until, PollFlags::IN, || {
                Ok(rustix::io::read(&self.fd, &mut *buffer)?)
            })
        })
    }

    pub(crate) fn write(&self, memory: &GuestMemory<'_>, vecs: IoVecs) -> Result<u32, Errno> {
        if self.is_socket() {
            return self.send(memory, vecs);
        }
        let until = memory.until();
        let at_once = self.waiting == Waiting::Never || until.is_now();
        memory.gather(vecs, |parts| {
            self.wait(&until, PollFlags::OUT, || match at_once {
                true => write_at_once(self.as_fd(), parts),
                false => Ok(rustix::io::writev(&self.fd, parts)?),
            })
        })
    }

    /// `sock_recv`; also returns whether a message was cut off because it did not fit.
    pub(crate) fn receive(
        &self,
        memory: &mut GuestMemory<'_>,
        vecs: IoVecs,
        how: RiFlags,
    ) -> Result<(u32, bool), Errno> {
        let mut flags = RecvFlags::empty();
        flags.set(RecvFlags::PEEK, how.contains(RiFlags::PEEK));
        flags.set(RecvFlags::WAITALL, how.contains(RiFlags::WAITALL));
        let until = memory.until();
        // Only the host can wait for all without taking some.
        let now = until.is_now() && !how.contains(RiFlags::WAITALL);
        flags.set(RecvFlags::DONTWAIT, self.waiting == Waiting::Never || now);
        let mut cut_off = false;
        let len = memory.scatter(vecs, |buffer| {
            self.wait(&until, PollFlags::IN, || {
                let mut parts = [io::IoSliceMut::new(buffer)];
                let mut none = RecvAncillaryBuffer::default();
                let message = rustix::net::recvmsg(&self.fd, &mut parts, &mut none, flags)?;
                cut_off = message.flags.contains(ReturnFlags::TRUNC);
                Ok(message.bytes)
            })
        })?;
        Ok((len, cut_off))
    }

    /// `sock_send`. Without a signal, if there is nobody to receive it.
    pub(crate) fn send(&self, memory: &GuestMemory<'_>, vecs: IoVecs) -> Result<u32, Errno> {
        let mut flags = no_signal();
        let until = memory.until();
        let at_once = self.waiting == Waiting::Never || until.is_now();
        flags.set(SendFlags::DONTWAIT, at_once);
        memory.gather(vecs, |parts| {
            self.wait(&until, PollFlags::OUT, || {
                let mut none = SendAncillaryBuffer::default();
                Ok(rustix::net::sendmsg(&self.fd, parts, &mut none, flags)?)
            })
        })
    }

    /// `sock_accept`.
    pub(crate) fn accept(&self, until: &Until, nonblocking: bool) -> Result<HostStream, Errno> {
        let fd = self.wait(until, PollFlags::IN, || Ok(accept(self.as_fd())?))?;
        let mut stream = HostStream::owned(fd);
        stream.set_nonblocking(nonblocking);
        Ok(stream)
    }

    /// `sock_shutdown`.
    pub(crate) fn shut_down(&self, how: rustix::net::Shutdown) -> Result<(), Errno> {
        Ok(rustix::net::shutdown(&self.fd, how).map_err(io::Error::from)?)
    }

    /// `fd_sync`: nothing is held back here, and not everything can be synchronised.
    pub(crate) fn sync(&self) -> Result<(), Errno> {
        match rustix::fs::fsync(&self.fd) {
            Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::OPNOTSUPP) => Ok(()),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }

    /// Makes a call that may wait, and lets it wait if and only if the guest wants it to and may.
    fn wait<T>(
        &self,
        until: &Until,
        for_what: PollFlags,
        mut call: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        let at_once = self.waiting == Waiting::Never || until.is_now();
        if at_once && !is_ready(until, self.as_fd(), for_what, Some(&ZERO))? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        loop {
            match until.retry(&mut call) {
                // The host would not have waited, but the guest wants to.
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock
                        && self.waiting == Waiting::Always
                        && !until.is_now() =>
                {
                    is_ready(until, self.as_fd(), for_what, None)?;
                }
                result => return result,
            }
        }
    }
}

/// Writes what a descriptor that is ready takes without waiting: all, if that fits into any pipe that has room, else the beginning. A file on disk
/// never waits.
fn write_at_once(fd: BorrowedFd<'_>, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
    let fits = parts.iter().map(|part| part.len()).sum::<usize>() <= PIPE_BUF;
    let is_file = || {
        let mode = rustix::fs::fstat(fd).map(|stat| stat.st_mode);
        let kind = mode.map(rustix::fs::FileType::from_raw_mode);
        kind == Ok(rustix::fs::FileType::RegularFile)
    };
    if fits || is_file() {
        return Ok(rustix::io::writev(fd, parts)?);
    }
    let first = &parts[0];
    Ok(rustix::io::write(fd, &first[..first.len().min(PIPE_BUF)])?)
}

/// The same of any open file: `EAGAIN` if it is not ready.
pub(crate) fn write_file_at_once(
    until: &Until,
    file: BorrowedFd<'_>,
    parts: &[io::IoSlice<'_>],
) -> io::Result<usize> {
    if !is_ready(until, file, PollFlags::OUT, Some(&ZERO))? {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    write_at_once(file, parts)
}

const ZERO: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// Waits for so long until reading or writing would not wait.
fn is_ready(
    until: &Until,
    fd: BorrowedFd<'_>,
    for_what: PollFlags,
    timeout: Option<&Timespec>,
) -> io::Result<bool> {
    let mut fds = [PollFd::from_borrowed_fd(fd, for_what)];
    until.retry(|| Ok(poll(&mut fds, timeout)? > 0))
}

/// What the host says of a descriptor after `poll`, if it is ready.
pub(crate) fn readiness(
    fd: BorrowedFd<'_>,
    found: PollFlags,
    wanted: PollFlags,
) -> Option<Result<Readiness, Errno>> {
    if found.contains(PollFlags::NVAL) {
        return Some(Err(Errno::Badf));
    }
    if !found.intersects(wanted | PollFlags::HUP | PollFlags::ERR) {
        return None;
    }
    let reads = wanted.contains(PollFlags::IN);
    let hangup =
        found.intersects(PollFlags::HUP | PollFlags::ERR) || (reads && is_half_closed(found));
    let bytes = if reads {
        readable(fd, hangup)
    } else {
        u64::from(!hangup)
    };
    Some(Ok(Readiness { bytes, hangup }))
}

/// What to ask for to hear when something can be read.
pub(crate) fn to_read() -> PollFlags {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    return PollFlags::IN | PollFlags::RDHUP;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    PollFlags::IN
}

/// Whether the other end of a connection will send no more.
fn is_half_closed(found: PollFlags) -> bool {
    found.intersects(to_read() - PollFlags::IN)
}

/// How many bytes can be read at once; at least 1 where nobody knows and there may be some.
fn readable(fd: BorrowedFd<'_>, hangup: bool) -> u64 {
    let file = rustix::fs::fstat(fd).ok().filter(|stat| {
        rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::RegularFile
    });
    if let Some(file) = file {
        let size = u64::try_from(file.st_size).unwrap_or(0);
        return size.saturating_sub(rustix::fs::tell(fd).unwrap_or(0));
    }
    match rustix::io::ioctl_fionread(fd) {
        Ok(0) | Err(_) => u64::from(!hangup),
        Ok(bytes) => bytes,
    }
}

fn kind(fd: BorrowedFd<'_>) -> Kind {
    let file_type = match sockopt::socket_type(fd) {
        Ok(rustix::net::SocketType::DGRAM) => FileType::SocketDgram,
        Ok(_) => FileType::SocketStream,
        Err(_) => return Kind::Stream,
    };
    if listens(fd) {
        Kind::Listener(file_type)
    } else {
        Kind::Socket(file_type)
    }
}

#[cfg(not(target_vendor = "apple"))]
fn listens(socket: BorrowedFd<'_>) -> bool {
    sockopt::socket_acceptconn(socket) == Ok(true)
}

#[cfg(not(target_vendor = "apple"))]
fn accept(listener: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
    rustix::net::accept_with(listener, rustix::net::SocketFlags::CLOEXEC)
}

#[cfg(not(target_vendor = "apple"))]
fn no_signal() -> SendFlags {
    SendFlags::NOSIGNAL
}

/// A socket that was given to a guest and is not connected: what else could it be for?
#[cfg(target_vendor = "apple")]
fn listens(socket: BorrowedFd<'_>) -> bool {
    let stream = sockopt::socket_type(socket) == Ok(rustix::net::SocketType::STREAM);
    stream
        && rustix::net::getpeername(socket).is_err_and(|error| error == rustix::io::Errno::NOTCONN)
}

#[cfg(target_vendor = "apple")]
fn accept(listener: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
    let socket = rustix::net::accept(listener)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    sockopt::set_socket_nosigpipe(&socket, true)?;
    Ok(socket)
}

/// There is an option of the socket's in place of the flag; the standard library sets it for sockets that it makes.
#[cfg(target_vendor = "apple")]
fn no_signal() -> SendFlags {
    SendFlags::empty()
}
