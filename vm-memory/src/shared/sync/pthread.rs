//! The locks of pthread, as the standard library has its own.
//!
//! Those are made of atomic words and futexes, which Valgrind's tools see as accesses without any order. In a build with these instead, a tool
//! that finds a race between threads has found one.

use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::sync::LockResult;
use std::time::Duration;

/// Stops if a function of pthread has failed: none can, by how they are used here.
fn done(code: libc::c_int) {
    assert_eq!(
        code,
        0,
        "pthread: {}",
        std::io::Error::from_raw_os_error(code)
    );
}

/// A lock, and what it guards. The lock is in a box, since it must not move.
pub(in crate::shared) struct Mutex<T> {
    lock: Box<UnsafeCell<libc::pthread_mutex_t>>,
    value: UnsafeCell<T>,
}

// SAFETY: the value goes from thread to thread with the lock, and pthread's locks are made to be used by all.
unsafe impl<T: Send> Send for Mutex<T> {}
// SAFETY: only a guard reaches the value, and there is one at a time: `lock` makes it when pthread has given it the lock.
unsafe impl<T: Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    pub(in crate::shared) fn new(value: T) -> Mutex<T> {
        Mutex {
            lock: Box::new(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER)),
            value: UnsafeCell::new(value),
        }
    }

    pub(in crate::shared) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        // SAFETY: it was made by the initializer, and has not moved.
        done(unsafe { libc::pthread_mutex_lock(self.lock.get()) });
        Ok(MutexGuard(self, PhantomData))
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Mutex<T> {
        Mutex::new(T::default())
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").finish_non_exhaustive()
    }
}

impl<T> Drop for Mutex<T> {
    fn drop(&mut self) {
        // SAFETY: as in `lock`; guards borrow the lock, so nobody has it.
        done(unsafe { libc::pthread_mutex_destroy(self.lock.get()) });
    }
}

/// Has the lock. It stays in its thread, as a pointer does: only the thread that has locked can unlock.
pub(in crate::shared) struct MutexGuard<'a, T>(&'a Mutex<T>, PhantomData<*const ()>);

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `Mutex::lock` has made the guard, so this thread has the lock, and nobody else reaches the value.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the guard is borrowed exclusively.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: this thread has the lock, in which `Mutex::lock` has made the guard.
        done(unsafe { libc::pthread_mutex_unlock(self.0.lock.get()) });
    }
}

/// By which threads wait for each other. In a box, since it must not move.
pub(in crate::shared) struct Condvar(Box<UnsafeCell<libc::pthread_cond_t>>);

// SAFETY: pthread's are made to be used by all threads.
unsafe impl Send for Condvar {}
// SAFETY: as above.
unsafe impl Sync for Condvar {}

impl Condvar {
    pub(in crate::shared) fn wait<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
    ) -> LockResult<MutexGuard<'a, T>> {
        // SAFETY: both live and have not moved, and the guard says that this thread has the lock. It has it again afterwards.
        done(unsafe { libc::pthread_cond_wait(self.0.get(), guard.0.lock.get()) });
        Ok(guard)
    }

    pub(in crate::shared) fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        time: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, bool)> {
        let mut until = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: a place for the time.
        let told = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut until) };
        assert_eq!(told, 0, "the host has a clock");
        let nanos = until.tv_nsec + libc::c_long::from(time.subsec_nanos().cast_signed());
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        until.tv_sec = until
            .tv_sec
            .saturating_add(seconds)
            .saturating_add(nanos / 1_000_000_000);
        until.tv_nsec = nanos % 1_000_000_000;
        // SAFETY: as in `wait`.
        let code =
            unsafe { libc::pthread_cond_timedwait(self.0.get(), guard.0.lock.get(), &until) };
        let is_over = code == libc::ETIMEDOUT;
        if !is_over {
            done(code);
        }
        Ok((guard, is_over))
    }

    pub(in crate::shared) fn notify_one(&self) {
        // SAFETY: it lives and has not moved.
        done(unsafe { libc::pthread_cond_signal(self.0.get()) });
    }
}

impl Default for Condvar {
    /// One whose time-outs go by the clock that nobody sets.
    fn default() -> Condvar {
        let condition = Box::new(UnsafeCell::new(libc::PTHREAD_COND_INITIALIZER));
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: places for both; the attributes are there from the first call on until the last.
        unsafe {
            done(libc::pthread_condattr_init(attributes.as_mut_ptr()));
            done(libc::pthread_condattr_setclock(
                attributes.as_mut_ptr(),
                libc::CLOCK_MONOTONIC,
            ));
            done(libc::pthread_cond_init(
                condition.get(),
                attributes.as_ptr(),
            ));
            done(libc::pthread_condattr_destroy(attributes.as_mut_ptr()));
        }
        Condvar(condition)
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").finish_non_exhaustive()
    }
}

impl Drop for Condvar {
    fn drop(&mut self) {
        // SAFETY: it lives, and nobody waits by it: who does borrows it.
        done(unsafe { libc::pthread_cond_destroy(self.0.get()) });
    }
}
