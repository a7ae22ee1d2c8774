//! Sockets that the guest was given: `sock_*`.

use crate::ctx::Ctx;
use crate::errno::Errno;
use crate::memory::{GuestMemory, IoVecs};

#[cfg(not(unix))]
pub(crate) use elsewhere::{sock_accept, sock_recv, sock_send, sock_shutdown};
#[cfg(unix)]
pub(crate) use unix::{sock_accept, sock_recv, sock_send, sock_shutdown};

#[cfg(unix)]
mod unix {
    use rustix::net::Shutdown;

    use super::{Ctx, Errno, GuestMemory, IoVecs};
    use crate::abi::{FdFlags, RiFlags, SdFlags};
    use crate::fd::{Way, check_transfer};
    use crate::host::HostStream;
    use crate::table::{Access, Descriptor, Object, Table};

    /// `sock_accept`.
    pub(crate) fn sock_accept(
        ctx: &mut Ctx,
        memory: &mut GuestMemory<'_>,
        fd: u32,
        flags: u32,
        accepted: u32,
    ) -> Result<(), Errno> {
        let listener = socket(&ctx.table, fd)?;
        if !listener.is_listener() {
            return Err(Errno::Inval);
        }
        let flags = FdFlags::from_guest(u16::try_from(flags).map_err(|_| Errno::Inval)?)?;
        if !FdFlags::NONBLOCK.contains(flags) {
            return Err(Errno::Inval);
        }
        memory.check(accepted, 4)?;
        let stream = listener.accept(&memory.until(), flags.contains(FdFlags::NONBLOCK))?;
        let fd = ctx
            .table
            .push(Descriptor::new(Object::Host(stream), Access::BOTH))?;
        memory.write_u32(accepted, fd)
    }

    /// `sock_recv`.
    pub(crate) fn sock_recv(
        ctx: &mut Ctx,
        memory: &mut GuestMemory<'_>,
        fd: u32,
        vecs: IoVecs,
        flags: u32,
        received: u32,
        received_flags: u32,
    ) -> Result<(), Errno> {
        let socket = connected(&ctx.table, fd)?;
        let flags = RiFlags::from_guest(u16::try_from(flags).map_err(|_| Errno::Inval)?)?;
        check_transfer(ctx.table.get(fd)?, Way::In, memory, vecs, received)?;
        memory.check(received_flags, 2)?;
        let (len, cut_off) = socket.receive(memory, vecs, flags)?;
        // `roflags` has this one flag.
        memory.write(received_flags, &u16::from(cut_off).to_le_bytes())?;
        memory.write_u32(received, len)
    }

    /// `sock_send`. There are no flags.
    pub(crate) fn sock_send(
        ctx: &mut Ctx,
        memory: &mut GuestMemory<'_>,
        fd: u32,
        vecs: IoVecs,
        flags: u32,
        sent: u32,
    ) -> Result<(), Errno> {
        let socket = connected(&ctx.table, fd)?;
        if flags != 0 {
            return Err(Errno::Inval);
        }
        check_transfer(ctx.table.get(fd)?, Way::Out, memory, vecs, sent)?;
        let len = socket.send(memory, vecs)?;
        memory.write_u32(sent, len)
    }

    /// `sock_shutdown`.
    pub(crate) fn sock_shutdown(ctx: &mut Ctx, fd: u32, how: u32) -> Result<(), Errno> {
        let socket = socket(&ctx.table, fd)?;
        let how = SdFlags::from_guest(u8::try_from(how).map_err(|_| Errno::Inval)?)?;
        let how = match (how.contains(SdFlags::RD), how.contains(SdFlags::WR)) {
            (true, true) => Shutdown::Both,
            (true, false) => Shutdown::Read,
            (false, true) => Shutdown::Write,
            (false, false) => return Err(Errno::Inval),
        };
        socket.shut_down(how)
    }

    fn socket(table: &Table, fd: u32) -> Result<&HostStream, Errno> {
        match &table.get(fd)?.object {
            Object::Host(stream) if stream.is_socket() || stream.is_listener() => Ok(stream),
            _ => Err(Errno::NotSock),
        }
    }

    fn connected(table: &Table, fd: u32) -> Result<&HostStream, Errno> {
        let socket = socket(table, fd)?;
        if socket.is_listener() {
            Err(Errno::NotConn)
        } else {
            Ok(socket)
        }
    }
}

/// No guest can be given a socket.
#[cfg(not(unix))]
mod elsewhere {
    use super::{Ctx, Errno, GuestMemory, IoVecs};

    pub(crate) fn sock_accept(
        ctx: &mut Ctx,
        _: &mut GuestMemory<'_>,
        fd: u32,
        _: u32,
        _: u32,
    ) -> Result<(), Errno> {
        sock_shutdown(ctx, fd, 0)
    }

    pub(crate) fn sock_recv(
        ctx: &mut Ctx,
        _: &mut GuestMemory<'_>,
        fd: u32,
        _: IoVecs,
        _: u32,
        _: u32,
        _: u32,
    ) -> Result<(), Errno> {
        sock_shutdown(ctx, fd, 0)
    }

    pub(crate) fn sock_send(
        ctx: &mut Ctx,
        _: &mut GuestMemory<'_>,
        fd: u32,
        _: IoVecs,
        _: u32,
        _: u32,
    ) -> Result<(), Errno> {
        sock_shutdown(ctx, fd, 0)
    }

    pub(crate) fn sock_shutdown(ctx: &mut Ctx, fd: u32, _: u32) -> Result<(), Errno> {
        ctx.table.get(fd)?;
        Err(Errno::NotSock)
    }
}
