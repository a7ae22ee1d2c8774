//! Sockets that the guest was given.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::Duration;

use super::{DATA, Guest, RESULT, SIZE, VEC, vecs, with};
use crate::abi::{FdFlags, Version};
use crate::errno::Errno;
use crate::{fd, sock};

/// Of the flags that `sock_recv` gives back.
const FLAGS: u32 = 8;
/// After the preopened directory.
const SOCKET: u32 = 4;
const PEEK: u32 = 1;
const WAITALL: u32 = 2;

impl Guest {
    fn accept(&mut self, fd: u32, flags: FdFlags) -> Result<u32, Errno> {
        self.call(|ctx, memory| sock::sock_accept(ctx, memory, fd, u32::from(flags.0), RESULT))?;
        Ok(self.result())
    }

    /// Also returns whether a message was cut off.
    fn recv(&mut self, fd: u32, len: u32, flags: u32) -> Result<(Vec<u8>, bool), Errno> {
        self.vec(len);
        self.put(FLAGS, &[0xee; 2]);
        self.call(|ctx, memory| {
            sock::sock_recv(ctx, memory, fd, vecs(VEC, 1), flags, RESULT, FLAGS)
        })?;
        let len = self.result();
        let cut_off = self.get(FLAGS, 2) == [1, 0];
        Ok((self.get(DATA, len), cut_off))
    }

    fn send(&mut self, fd: u32, bytes: &[u8]) -> Result<u32, Errno> {
        let len = self.put(DATA, bytes);
        self.vec(len);
        self.call(|ctx, memory| sock::sock_send(ctx, memory, fd, vecs(VEC, 1), 0, RESULT))?;
        Ok(self.result())
    }

    fn stat(&mut self, fd: u32) -> (u8, u16, u64) {
        self.call(|ctx, memory| fd::fd_fdstat_get(ctx, memory, Version::Preview1, fd, DATA))
            .unwrap();
        let stat = self.get(DATA, 24);
        let flags = u16::from_le_bytes([stat[2], stat[3]]);
        (
            stat[0],
            flags,
            u64::from_le_bytes(stat[8..16].try_into().unwrap()),
        )
    }
}

fn listening() -> (Guest, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let guest = with(|builder| {
        builder.preopened_socket(listener);
    });
    (guest, address)
}

/// A guest with one end of a connection.
fn connected() -> (Guest, UnixStream) {
    let (ours, guests) = UnixStream::pair().unwrap();
    let guest = with(|builder| {
        builder.preopened_socket(guests);
    });
    (guest, ours)
}

#[test]
fn connections_are_accepted_and_used() {
    let (mut guest, address) = listening();
    let mut client = TcpStream::connect(address).unwrap();
    let fd = guest.accept(SOCKET, FdFlags::default()).unwrap();
    assert_eq!(fd, SOCKET + 1);
    client.write_all(b"question").unwrap();
    assert_eq!(guest.recv(fd, 100, 0), Ok((b"question".to_vec(), false)));
    assert_eq!(guest.send(fd, b"answer"), Ok(6));
    // They are read and written like anything else, too.
    assert_eq!(guest.write(fd, b"!"), Ok(1));
    sock::sock_shutdown(&mut guest.ctx, fd, 2).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "answer!");
    client.write_all(b"more").unwrap();
    assert_eq!(guest.read(fd, 3), Ok(b"mor".to_vec()));
    assert_eq!(guest.send(fd, b"x"), Err(Errno::Pipe));
    drop(client);
    assert_eq!(guest.read(fd, 3), Ok(b"e".to_vec()));
    assert_eq!(guest.recv(fd, 3, 0), Ok((Vec::new(), false)));
    assert_eq!(guest.close(fd), Ok(()));
    assert_eq!(guest.recv(fd, 3, 0), Err(Errno::Badf));
}

#[test]
fn sockets_say_what_they_are() {
    let (mut guest, address) = listening();
    let client = TcpStream::connect(address).unwrap();
    let fd = guest.accept(SOCKET, FdFlags::NONBLOCK).unwrap();
    const SOCKET_STREAM: u8 = 6;
    let (accepts, shuts_down, reads_and_writes) = (1 << 29, 1 << 28, 1 << 1 | 1 << 6);
    let (file_type, flags, rights) = guest.stat(SOCKET);
    assert_eq!((file_type, flags), (SOCKET_STREAM, 0));
    assert_eq!(rights & (accepts | shuts_down | reads_and_writes), accepts);
    let (file_type, flags, rights) = guest.stat(fd);
    assert_eq!((file_type, flags), (SOCKET_STREAM, FdFlags::NONBLOCK.0));
    assert_eq!(
        rights & (accepts | shuts_down | reads_and_writes),
        shuts_down | reads_and_writes
    );
    guest
        .call(|ctx, memory| fd::fd_filestat_get(ctx, memory, Version::Preview1, fd, DATA))
        .unwrap();
    assert_eq!(guest.get(DATA + 16, 1), [SOCKET_STREAM]);
    // C libraries look for directories until there is an `EBADF`.
    let prestat = guest.call(|ctx, memory| fd::fd_prestat_get(ctx, memory, SOCKET, RESULT));
    assert_eq!(prestat, Err(Errno::Badf));
    drop(client);
}

#[test]
fn a_guest_can_ask_not_to_wait() {
    let (mut guest, address) = listening();
    let nonblocking = u32::from(FdFlags::NONBLOCK.0);
    fd::fd_fdstat_set_flags(&mut guest.ctx, SOCKET, nonblocking).unwrap();
    assert_eq!(guest.accept(SOCKET, FdFlags::default()), Err(Errno::Again));
    let mut client = TcpStream::connect(address).unwrap();
    let fd = guest.accept(SOCKET, FdFlags::NONBLOCK).unwrap();
    assert_eq!(guest.recv(fd, 10, 0), Err(Errno::Again));
    assert_eq!(guest.read(fd, 10), Err(Errno::Again));
    let mut sent = 0;
    let errno = loop {
        match guest.send(fd, &[1; 50_000]) {
            Ok(len) => sent += len as usize,
            Err(errno) => break errno,
        }
    };
    assert_eq!(errno, Errno::Again);
    assert_eq!(guest.write(fd, b"x"), Err(Errno::Again));
    client.read_exact(&mut vec![0; sent]).unwrap();
    fd::fd_fdstat_set_flags(&mut guest.ctx, fd, 0).unwrap();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        client.write_all(b"late").unwrap();
        client
    });
    assert_eq!(guest.recv(fd, 10, 0), Ok((b"late".to_vec(), false)));
    thread.join().unwrap();
}

#[test]
fn what_is_received_can_be_looked_at_and_waited_for() {
    let (mut guest, mut ours) = connected();
    ours.write_all(b"abc").unwrap();
    assert_eq!(guest.recv(SOCKET, 2, PEEK), Ok((b"ab".to_vec(), false)));
    assert_eq!(guest.recv(SOCKET, 9, PEEK), Ok((b"abc".to_vec(), false)));
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        ours.write_all(b"def").unwrap();
        ours
    });
    assert_eq!(
        guest.recv(SOCKET, 6, WAITALL),
        Ok((b"abcdef".to_vec(), false))
    );
    drop(thread.join().unwrap());
    assert_eq!(guest.recv(SOCKET, 6, WAITALL), Ok((Vec::new(), false)));
}

#[test]
fn a_message_that_does_not_fit_is_cut_off() {
    let (ours, guests) = UnixDatagram::pair().unwrap();
    let mut guest = with(|builder| {
        builder.preopened_socket(guests);
    });
    assert_eq!(guest.stat(SOCKET).0, 5);
    ours.send(b"one").unwrap();
    ours.send(b"second").unwrap();
    assert_eq!(guest.recv(SOCKET, 10, 0), Ok((b"one".to_vec(), false)));
    assert_eq!(guest.recv(SOCKET, 3, 0), Ok((b"sec".to_vec(), true)));
    // Over several elements it is one message still.
    ours.send(b"third one").unwrap();
    for (index, (at, len)) in (0u32..).zip([(DATA, 4u32), (DATA + 50, 4)]) {
        guest.put(VEC + index * 8, &at.to_le_bytes());
        guest.put(VEC + index * 8 + 4, &len.to_le_bytes());
    }
    guest
        .call(|ctx, memory| sock::sock_recv(ctx, memory, SOCKET, vecs(VEC, 2), 0, RESULT, FLAGS))
        .unwrap();
    assert_eq!((guest.result(), guest.get(FLAGS, 2)), (8, vec![1, 0]));
    assert_eq!(
        (guest.get(DATA, 4), guest.get(DATA + 50, 4)),
        (b"thir".to_vec(), b"d on".to_vec())
    );
    assert_eq!(guest.send(SOCKET, b"answer"), Ok(6));
    let mut answer = [0; 10];
    assert_eq!(ours.recv(&mut answer).unwrap(), 6);
}

#[test]
fn sockets_are_waited_for() {
    use super::poll::{HOUR, clock, descriptor, poll, poll_in_full};
    let (mut guest, address) = listening();
    let moment = 5_000_000;
    let comes = [descriptor(1, 1, SOCKET), clock(2, 1, moment, 0)];
    assert_eq!(poll(&mut guest, &comes), Ok(vec![(2, 0, 0)]));
    let mut client = TcpStream::connect(address).unwrap();
    assert_eq!(poll(&mut guest, &comes), Ok(vec![(1, 0, 1)]));
    let fd = guest.accept(SOCKET, FdFlags::default()).unwrap();
    let both = [
        descriptor(1, 1, fd),
        descriptor(2, 2, fd),
        clock(3, 1, HOUR, 0),
    ];
    assert_eq!(poll_in_full(&mut guest, &both), [(2, 0, 1, false)]);
    client.write_all(b"four").unwrap();
    let reads = [descriptor(1, 1, fd), clock(3, 1, HOUR, 0)];
    assert_eq!(poll_in_full(&mut guest, &reads), [(1, 0, 4, false)]);
    drop(client);
    // The end may arrive after what was sent before it.
    while poll_in_full(&mut guest, &reads) != [(1, 0, 4, true)] {}
    guest.recv(fd, 4, 0).unwrap();
    assert_eq!(poll_in_full(&mut guest, &reads), [(1, 0, 0, true)]);
}

#[test]
fn mistakes_have_numbers() {
    let (mut guest, _ours) = connected();
    let listener = {
        let (mut guest, _) = listening();
        assert_eq!(guest.recv(SOCKET, 1, 0), Err(Errno::NotConn));
        assert_eq!(guest.send(SOCKET, b"x"), Err(Errno::NotConn));
        guest
    };
    drop(listener);
    assert_eq!(guest.accept(SOCKET, FdFlags::default()), Err(Errno::Inval));
    for (fd, errno) in [(0, Errno::NotSock), (3, Errno::NotSock), (77, Errno::Badf)] {
        assert_eq!(guest.accept(fd, FdFlags::default()), Err(errno));
        assert_eq!(guest.recv(fd, 1, 0), Err(errno));
        assert_eq!(guest.send(fd, b"x"), Err(errno));
        assert_eq!(sock::sock_shutdown(&mut guest.ctx, fd, 1), Err(errno));
    }
    assert_eq!(guest.recv(SOCKET, 1, 4), Err(Errno::Inval));
    assert_eq!(guest.recv(SOCKET, 1, 1 << 16), Err(Errno::Inval));
    for how in [0, 4, 256] {
        assert_eq!(
            sock::sock_shutdown(&mut guest.ctx, SOCKET, how),
            Err(Errno::Inval)
        );
    }
    let send = |guest: &mut Guest, list, count, flags, result| {
        guest.call(|ctx, memory| {
            sock::sock_send(ctx, memory, SOCKET, vecs(list, count), flags, result)
        })
    };
    guest.vec(1);
    assert_eq!(send(&mut guest, VEC, 1, 1, RESULT), Err(Errno::Inval));
    assert_eq!(send(&mut guest, SIZE - 7, 1, 0, RESULT), Err(Errno::Fault));
    assert_eq!(send(&mut guest, VEC, 1, 0, SIZE - 3), Err(Errno::Fault));
    let recv = |guest: &mut Guest, list, result, flags| {
        guest.call(|ctx, memory| {
            sock::sock_recv(ctx, memory, SOCKET, vecs(list, 1), 0, result, flags)
        })
    };
    assert_eq!(recv(&mut guest, SIZE - 7, RESULT, FLAGS), Err(Errno::Fault));
    assert_eq!(recv(&mut guest, VEC, SIZE - 3, FLAGS), Err(Errno::Fault));
    assert_eq!(recv(&mut guest, VEC, RESULT, SIZE - 1), Err(Errno::Fault));
    assert_eq!(guest.seek(SOCKET, 0, 1), Err(Errno::Spipe));
    let accept = |guest: &mut Guest, flags, result| {
        guest.call(|ctx, memory| sock::sock_accept(ctx, memory, SOCKET, flags, result))
    };
    let (mut guest, _) = listening();
    assert_eq!(accept(&mut guest, 1, RESULT), Err(Errno::Inval));
    assert_eq!(accept(&mut guest, 1 << 16, RESULT), Err(Errno::Inval));
    assert_eq!(accept(&mut guest, 0, SIZE - 3), Err(Errno::Fault));
}
