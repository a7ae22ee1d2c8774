//! Stopping a guest from outside.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use crate::{sys, thread};

/// What one thread asks another to do: to end the run of guest code that it is in.
///
/// A run that can be asked begins with [`enter`](Self::enter) and ends with [`leave`](Self::leave). A request
/// holds for the outermost run that is going on when it is made, and for those inside of it; one that comes when
/// nothing runs is nobody's.
///
/// How a run notices: an executor that polls reads [`is_pending`](Self::is_pending). One that does not is told by a
/// signal, which is sent to the run's thread: while the thread's innermost activation is armed, names this object
/// ([`Activation::interruptible`](crate::Activation::interruptible)), and the thread is in text that was registered
/// for it ([`register_interruptible`](crate::register_interruptible)), it goes on at the landing pad with
/// [`TrapCode::Interrupt`](crate::TrapCode::Interrupt). Otherwise nothing happens, and the executor looks by itself,
/// after it has armed. The signal also ends a system call in which the thread waits (`EINTR`).
#[derive(Debug, Default)]
pub struct Interrupt {
    pending: AtomicBool,
    /// The thread that runs, innermost. Locked while it is sent a signal and woken, so it is alive then, and in the run that is meant.
    running: Mutex<Option<Thread>>,
    /// Wakes the run where it waits for other threads.
    waker: Mutex<Option<Waker>>,
}

/// A thread in which a run is going on.
#[derive(Clone, Copy, Debug)]
pub struct Thread(sys::Thread);

impl Interrupt {
    /// Nothing runs, nothing is asked for.
    pub const fn new() -> Interrupt {
        Interrupt {
            pending: AtomicBool::new(false),
            running: Mutex::new(None),
            waker: Mutex::new(None),
        }
    }

    fn running(&self) -> MutexGuard<'_, Option<Thread>> {
        // Nothing that can panic happens under the lock.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the run that is going on to end. Answers whether there is one.
    pub fn request(&self) -> bool {
        let running = self.running();
        let Some(Thread(thread)) = *running else {
            return false;
        };
        // The signal comes after this, for whoever receives it.
        self.pending.store(true, Ordering::Release);
        sys::notify(thread);
        if let Some(waker) = &*self.waker() {
            waker.wake_by_ref();
        }
        // Only now can the run end, and a later one wait: that one is not meant.
        drop(running);
        true
    }

    /// Whether the run that is going on has been asked to end.
    #[inline]
    pub fn is_pending(&self) -> bool {
        self.pending.load(Ordering::Relaxed)
    }

    /// What [`is_pending`](Self::is_pending) reads, for assembly: not 0 if so. It lives as long as this.
    #[inline]
    pub fn pending(&self) -> &AtomicBool {
        &self.pending
    }

    fn waker(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what a request wakes from now on: what the run waits by, if it waits in a way that a signal does not end. Answers what
    /// it was before. Who waits looks for a [pending](Self::is_pending) request after this and before it waits; none comes between.
    pub fn set_waker(&self, waker: Option<Waker>) -> Option<Waker> {
        std::mem::replace(&mut *self.waker(), waker)
    }

    /// A run begins on this thread. Answers where the run goes on in which it is nested.
    pub fn enter(&self) -> Option<Thread> {
        thread::receive_requests();
        self.running().replace(Thread(sys::this_thread()))
    }

    /// A run ends; `outer` is what [`enter`](Self::enter) has answered. At the end of the outermost one, what was
    /// asked for is forgotten.
    pub fn leave(&self, outer: Option<Thread>) {
        let mut running = self.running();
        *running = outer;
        if outer.is_none() {
            self.pending.store(false, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::{Wake, Waker};

    use super::Interrupt;

    /// Looks, when it is woken, whether the run can end at that moment.
    struct Looks {
        interrupt: Arc<Interrupt>,
        woken: AtomicU32,
    }

    impl Wake for Looks {
        fn wake(self: Arc<Self>) {
            assert!(self.interrupt.running.try_lock().is_err());
            self.woken.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_is_woken_is_in_the_run_that_is_meant() {
        let interrupt = Arc::new(Interrupt::new());
        let looks = Arc::new(Looks {
            interrupt: Arc::clone(&interrupt),
            woken: AtomicU32::new(0),
        });
        assert!(
            interrupt
                .set_waker(Some(Waker::from(Arc::clone(&looks))))
                .is_none()
        );
        // Nothing runs.
        assert!(!interrupt.request());
        let none = interrupt.enter();
        assert!(interrupt.request());
        interrupt.leave(none);
        assert_eq!(looks.woken.load(Ordering::Relaxed), 1);
        interrupt.set_waker(None);
    }

    #[test]
    fn a_request_holds_until_the_outermost_run_has_ended() {
        let interrupt = Interrupt::new();
        assert!(!interrupt.request() && !interrupt.is_pending());
        let none = interrupt.enter();
        let outer = interrupt.enter();
        assert!(interrupt.request() && interrupt.is_pending());
        interrupt.leave(outer);
        assert!(interrupt.is_pending());
        interrupt.leave(none);
        assert!(!interrupt.is_pending() && !interrupt.request());
        let none = interrupt.enter();
        assert!(!interrupt.is_pending());
        interrupt.leave(none);
    }
}
