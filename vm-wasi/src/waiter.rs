//! Waiting for descriptors: those of the host's by `poll`, the embedder's streams by a waker.

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::Duration;

use crate::errno::Errno;
use crate::stream::Readiness;
use crate::table::{Object, Table};

/// What a guest wants to do with a descriptor.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Interest {
    pub(crate) read: bool,
    pub(crate) write: bool,
}

/// Which of it is possible.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Found {
    pub(crate) read: Option<Result<Readiness, Errno>>,
    pub(crate) write: Option<Result<Readiness, Errno>>,
}

impl Found {
    fn is_nothing(&self) -> bool {
        self.read.is_none() && self.write.is_none()
    }
}

/// Asks about descriptors for one guest.
#[derive(Default)]
pub(crate) struct Waiter {
    sleeper: Option<host::Sleeper>,
}

impl Waiter {
    /// Waits for so long, or for ever, until something is possible of what is wanted. May return earlier with
    /// nothing.
    pub(crate) fn ask(
        &mut self,
        table: &mut Table,
        interests: &BTreeMap<u32, Interest>,
        timeout: Option<Duration>,
    ) -> Result<BTreeMap<u32, Found>, Errno> {
        let mut found = BTreeMap::new();
        let mut pending = false;
        for (&fd, interest) in interests {
            let object = &mut table.get_mut(fd)?.object;
            match object {
                Object::Input(_) | Object::Output(_) => {}
                Object::MemoryFile(file) => {
                    let left = file.size().saturating_sub(file.position);
                    let read = Some(Ok(Readiness::bytes(left)));
                    found.insert(fd, Found { read, write: None });
                    continue;
                }
                _ => continue,
            }
            let own;
            let waker = if timeout == Some(Duration::ZERO) {
                Waker::noop()
            } else {
                own = self.sleeper()?.waker();
                &own
            };
            let mut ready = Found::default();
            match object {
                Object::Input(input) if interest.read => {
                    ready.read = input.readiness(waker).map(Ok)
                }
                Object::Output(output) if interest.write => {
                    ready.write = output.readiness(waker).map(Ok)
                }
                _ => {}
            }
            if ready.is_nothing() {
                pending = true;
            } else {
                found.insert(fd, ready);
            }
        }
        let timeout = if found.is_empty() {
            timeout
        } else {
            Some(Duration::ZERO)
        };
        let sleeper = self.sleeper.as_ref().filter(|_| pending);
        host::ask(table, interests, sleeper, timeout, &mut found)?;
        Ok(found)
    }

    fn sleeper(&mut self) -> Result<&host::Sleeper, Errno> {
        Ok(match &mut self.sleeper {
            Some(sleeper) => sleeper,
            none => none.insert(host::Sleeper::new()?),
        })
    }
}

#[cfg(unix)]
mod host {
    use std::collections::BTreeMap;
    use std::io;
    use std::os::fd::{AsFd, OwnedFd};
    use std::sync::Arc;
    use std::task::{Wake, Waker};
    use std::time::Duration;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::fs::{OFlags, fcntl_setfl};

    use super::{Found, Interest};
    use crate::errno::Errno;
    use crate::host::{readiness, to_read};
    use crate::table::{Object, Table};

    /// What ends a `poll` from another thread: a pipe that something is written to.
    pub(super) struct Sleeper {
        reader: OwnedFd,
        writer: Arc<Writer>,
    }

    struct Writer(OwnedFd);

    impl Wake for Writer {
        fn wake(self: Arc<Self>) {
            // A pipe that is full has woken already.
            let _ = rustix::io::write(&self.0, &[0]);
        }
    }

    impl Sleeper {
        pub(super) fn new() -> io::Result<Sleeper> {
            let (reader, writer) = io::pipe()?;
            let (reader, writer) = (OwnedFd::from(reader), OwnedFd::from(writer));
            for end in [&reader, &writer] {
                fcntl_setfl(end, OFlags::NONBLOCK)?;
            }
            Ok(Sleeper {
                reader,
                writer: Arc::new(Writer(writer)),
            })
        }

        pub(super) fn waker(&self) -> Waker {
            self.writer.clone().into()
        }

        fn drain(&self) {
            let mut bytes = [0; 64];
            while rustix::io::read(&self.reader, &mut bytes).is_ok_and(|len| len == bytes.len()) {}
        }
    }

    pub(super) fn ask(
        table: &Table,
        interests: &BTreeMap<u32, Interest>,
        sleeper: Option<&Sleeper>,
        timeout: Option<Duration>,
        found: &mut BTreeMap<u32, Found>,
    ) -> Result<(), Errno> {
        let mut numbers = Vec::new();
        let mut asked = Vec::new();
        for (&fd, interest) in interests {
            let host = match &table.get(fd)?.object {
                Object::Host(stream) => stream.as_fd(),
                Object::File(file) => file.file.as_fd(),
                Object::Input(_)
                | Object::Output(_)
                | Object::MemoryFile(_)
                | Object::Directory(_) => continue,
            };
            let mut wanted = PollFlags::empty();
            if interest.read {
                wanted |= to_read();
            }
            if interest.write {
                wanted |= PollFlags::OUT;
            }
            numbers.push((fd, *interest));
            asked.push(PollFd::from_borrowed_fd(host, wanted));
        }
        if let Some(sleeper) = sleeper {
            asked.push(PollFd::new(&sleeper.reader, PollFlags::IN));
        }
        if asked.is_empty() && timeout == Some(Duration::ZERO) {
            return Ok(());
        }
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        match poll(&mut asked, timeout.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(io::Error::from(error).into()),
        }
        if let Some(sleeper) = sleeper {
            sleeper.drain();
        }
        for ((fd, interest), answer) in numbers.into_iter().zip(&asked) {
            let says = |wanted, flags| {
                if wanted {
                    readiness(answer.as_fd(), answer.revents(), flags)
                } else {
                    None
                }
            };
            let ready = Found {
                read: says(interest.read, PollFlags::IN),
                write: says(interest.write, PollFlags::OUT),
            };
            if !ready.is_nothing() {
                found.insert(fd, ready);
            }
        }
        Ok(())
    }
}

/// Without `poll`, what is the host's counts as ready.
#[cfg(not(unix))]
mod host {
    use std::collections::BTreeMap;
    use std::io;
    use std::sync::Arc;
    use std::task::{Wake, Waker};
    use std::thread::Thread;
    use std::time::Duration;

    use super::{Found, Interest};
    use crate::errno::Errno;
    use crate::stream::Readiness;
    use crate::table::{Object, Table};

    pub(super) struct Sleeper;

    struct Parked(Thread);

    impl Wake for Parked {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    impl Sleeper {
        pub(super) fn new() -> io::Result<Sleeper> {
            Ok(Sleeper)
        }

        pub(super) fn waker(&self) -> Waker {
            Arc::new(Parked(std::thread::current())).into()
        }
    }

    pub(super) fn ask(
        table: &Table,
        interests: &BTreeMap<u32, Interest>,
        _sleeper: Option<&Sleeper>,
        timeout: Option<Duration>,
        found: &mut BTreeMap<u32, Found>,
    ) -> Result<(), Errno> {
        for (&fd, interest) in interests {
            if let Object::File(_) = &table.get(fd)?.object {
                let ready = |wanted: bool| wanted.then_some(Ok(Readiness::default()));
                let ready = Found {
                    read: ready(interest.read),
                    write: ready(interest.write),
                };
                found.insert(fd, ready);
            }
        }
        if found.is_empty() {
            match timeout {
                Some(Duration::ZERO) => {}
                Some(timeout) => std::thread::park_timeout(timeout),
                None => std::thread::park(),
            }
        }
        Ok(())
    }
}
