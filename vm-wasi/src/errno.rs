//! Error numbers of preview 1, and how errors of the host become them.

use std::io;

/// `errno`: the number a failed call returns. The names are those of POSIX
/// without the leading `E`; 0 is success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
#[allow(dead_code)] // The list is the format's, whether or not each number is returned here.
#[rustfmt::skip]
pub(crate) enum Errno {
    Success = 0, TooBig, Acces, AddrInUse, AddrNotAvail, AfNoSupport, Again, Already, Badf, BadMsg,
    Busy, Canceled, Child, ConnAborted, ConnRefused, ConnReset, Deadlk, DestAddrReq, Dom, Dquot,
    Exist, Fault, Fbig, HostUnreach, Idrm, Ilseq, InProgress, Intr, Inval, Io,
    IsConn, IsDir, Loop, Mfile, Mlink, MsgSize, Multihop, NameTooLong, NetDown, NetReset,
    NetUnreach, Nfile, NoBufs, NoDev, NoEnt, NoExec, NoLck, NoLink, NoMem, NoMsg,
    NoProtoOpt, NoSpc, NoSys, NotConn, NotDir, NotEmpty, NotRecoverable, NotSock, NotSup, NoTty,
    Nxio, Overflow, OwnerDead, Perm, Pipe, Proto, ProtoNoSupport, ProtoType, Range, Rofs,
    Spipe, Srch, Stale, TimedOut, TxtBsy, Xdev, NotCapable,
}

impl Errno {
    /// The number as the guest sees it.
    pub(crate) fn raw(self) -> u16 {
        self as u16
    }
}

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Errno {
        from_system(&error).unwrap_or_else(|| from_kind(error.kind()))
    }
}

#[cfg(unix)]
fn from_system(error: &io::Error) -> Option<Errno> {
    use rustix::io::Errno as Host;
    Some(match Host::from_io_error(error)? {
        Host::TOOBIG => Errno::TooBig,
        Host::ACCESS => Errno::Acces,
        Host::ADDRINUSE => Errno::AddrInUse,
        Host::ADDRNOTAVAIL => Errno::AddrNotAvail,
        Host::AGAIN => Errno::Again,
        Host::ALREADY => Errno::Already,
        Host::BADF => Errno::Badf,
        Host::BUSY => Errno::Busy,
        Host::CANCELED => Errno::Canceled,
        Host::CHILD => Errno::Child,
        Host::CONNABORTED => Errno::ConnAborted,
        Host::CONNREFUSED => Errno::ConnRefused,
        Host::CONNRESET => Errno::ConnReset,
        Host::DEADLK => Errno::Deadlk,
        Host::DOM => Errno::Dom,
        Host::DQUOT => Errno::Dquot,
        Host::EXIST => Errno::Exist,
        Host::FAULT => Errno::Fault,
        Host::FBIG => Errno::Fbig,
        Host::HOSTUNREACH => Errno::HostUnreach,
        Host::ILSEQ => Errno::Ilseq,
        Host::INPROGRESS => Errno::InProgress,
        Host::INTR => Errno::Intr,
        Host::INVAL => Errno::Inval,
        Host::IO => Errno::Io,
        Host::ISCONN => Errno::IsConn,
        Host::ISDIR => Errno::IsDir,
        Host::LOOP => Errno::Loop,
        Host::MFILE => Errno::Mfile,
        Host::MLINK => Errno::Mlink,
        Host::MSGSIZE => Errno::MsgSize,
        Host::NAMETOOLONG => Errno::NameTooLong,
        Host::NFILE => Errno::Nfile,
        Host::NOBUFS => Errno::NoBufs,
        Host::NODEV => Errno::NoDev,
        Host::NOENT => Errno::NoEnt,
        Host::NOEXEC => Errno::NoExec,
        Host::NOLCK => Errno::NoLck,
        Host::NOMEM => Errno::NoMem,
        Host::NOSPC => Errno::NoSpc,
        Host::NOSYS => Errno::NoSys,
        Host::NOTCONN => Errno::NotConn,
        Host::NOTDIR => Errno::NotDir,
        Host::NOTEMPTY => Errno::NotEmpty,
        Host::NOTSOCK => Errno::NotSock,
        Host::NOTSUP => Errno::NotSup,
        Host::NOTTY => Errno::NoTty,
        Host::NXIO => Errno::Nxio,
        Host::OVERFLOW => Errno::Overflow,
        Host::PERM => Errno::Perm,
        Host::PIPE => Errno::Pipe,
        Host::RANGE => Errno::Range,
        Host::ROFS => Errno::Rofs,
        Host::SPIPE => Errno::Spipe,
        Host::SRCH => Errno::Srch,
        Host::STALE => Errno::Stale,
        Host::TIMEDOUT => Errno::TimedOut,
        Host::TXTBSY => Errno::TxtBsy,
        Host::XDEV => Errno::Xdev,
        _ => return None,
    })
}

#[cfg(not(unix))]
fn from_system(_error: &io::Error) -> Option<Errno> {
    None
}

/// What the standard library makes of an error that no system call returned,
/// or of one whose number this host does not share with POSIX.
fn from_kind(kind: io::ErrorKind) -> Errno {
    use io::ErrorKind as Kind;
    match kind {
        Kind::NotFound => Errno::NoEnt,
        // Without a system call behind it, this is cap-std refusing a path
        // that leads out of its directory.
        Kind::PermissionDenied => Errno::Perm,
        Kind::AlreadyExists => Errno::Exist,
        Kind::WouldBlock => Errno::Again,
        Kind::NotADirectory => Errno::NotDir,
        Kind::IsADirectory => Errno::IsDir,
        Kind::DirectoryNotEmpty => Errno::NotEmpty,
        Kind::ReadOnlyFilesystem => Errno::Rofs,
        Kind::StaleNetworkFileHandle => Errno::Stale,
        Kind::InvalidInput => Errno::Inval,
        Kind::InvalidData => Errno::Ilseq,
        Kind::TimedOut => Errno::TimedOut,
        Kind::StorageFull => Errno::NoSpc,
        Kind::NotSeekable => Errno::Spipe,
        Kind::QuotaExceeded => Errno::Dquot,
        Kind::FileTooLarge => Errno::Fbig,
        Kind::ResourceBusy => Errno::Busy,
        Kind::ExecutableFileBusy => Errno::TxtBsy,
        Kind::Deadlock => Errno::Deadlk,
        Kind::CrossesDevices => Errno::Xdev,
        Kind::TooManyLinks => Errno::Mlink,
        Kind::InvalidFilename => Errno::NameTooLong,
        Kind::Interrupted => Errno::Intr,
        Kind::Unsupported => Errno::NotSup,
        Kind::OutOfMemory => Errno::NoMem,
        Kind::BrokenPipe => Errno::Pipe,
        _ => Errno::Io,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_witx_description() {
        for (errno, number) in [
            (Errno::Success, 0),
            (Errno::Acces, 2),
            (Errno::Badf, 8),
            (Errno::Exist, 20),
            (Errno::Fault, 21),
            (Errno::Ilseq, 25),
            (Errno::Inval, 28),
            (Errno::Io, 29),
            (Errno::IsDir, 31),
            (Errno::Loop, 32),
            (Errno::NoEnt, 44),
            (Errno::NoSys, 52),
            (Errno::NotDir, 54),
            (Errno::NotEmpty, 55),
            (Errno::NotSock, 57),
            (Errno::NotSup, 58),
            (Errno::Overflow, 61),
            (Errno::Perm, 63),
            (Errno::Pipe, 64),
            (Errno::Rofs, 69),
            (Errno::Spipe, 70),
            (Errno::Xdev, 75),
            (Errno::NotCapable, 76),
        ] {
            assert_eq!(errno.raw(), number, "{errno:?}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_system_error_keeps_its_own_number() {
        let error = |host: rustix::io::Errno| Errno::from(io::Error::from(host));
        assert_eq!(error(rustix::io::Errno::ACCESS), Errno::Acces);
        assert_eq!(error(rustix::io::Errno::PERM), Errno::Perm);
        assert_eq!(error(rustix::io::Errno::NOTEMPTY), Errno::NotEmpty);
    }

    #[test]
    fn an_error_without_a_number_is_told_by_its_kind() {
        assert_eq!(
            Errno::from(io::Error::from(io::ErrorKind::NotFound)),
            Errno::NoEnt
        );
        assert_eq!(Errno::from(io::Error::other("anything")), Errno::Io);
    }
}
