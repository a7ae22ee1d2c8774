//! Who waits at which address of a memory.
//!
//! Specification: <https://github.com/WebAssembly/threads>, "Wait and Notify operators". Each address has a queue of its own; who
//! comes first is woken first. A thread compares and enters the queue under one lock, which those who wake take too: so between
//! the two nobody can be missed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, PoisonError};
use std::task::Wake;
use std::time::Duration;

use super::sync::{Condvar, Instant, Mutex, MutexGuard};

#[cfg(all(test, loom))]
mod model;

/// What has become of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitResult {
    /// Someone has woken it.
    Ok = 0,
    /// The value was not what was expected, so it has not waited.
    Mismatch = 1,
    /// The time was over first.
    TimedOut = 2,
}

/// By what a thread waits that others may have to stop: a [`Waker`](std::task::Waker) made of it ends the wait.
///
/// It is for one wait, and of no use after that.
#[derive(Debug, Default)]
pub struct Waiter {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Waiting,
    /// Taken out of its queue by who has woken it.
    Woken,
    /// Told to stop, and maybe still in its queue.
    Stopped,
}

impl Waiter {
    /// One that nobody has told to stop.
    pub fn new() -> Waiter {
        Waiter::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic happens under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state of one that waits. Answers whether it did.
    fn end(&self, state: State) -> bool {
        let mut current = self.state();
        let waits = *current == State::Waiting;
        if waits {
            *current = state;
            self.changed.notify_one();
        }
        waits
    }

    /// Sleeps until the state is another or it is time.
    fn sleep(&self, until: Option<Instant>) -> State {
        let mut state = self.state();
        while *state == State::Waiting {
            state = match until {
                None => (self.changed.wait(state)).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    let waited = self.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        *state
    }
}

impl Wake for Waiter {
    fn wake(self: Arc<Self>) {
        self.end(State::Stopped);
    }
}

/// Someone who is asked again and again while a thread waits whether it is to go on.
#[allow(missing_debug_implementations, reason = "a closure")]
pub struct Ticks<'a> {
    /// How often.
    pub every: Duration,
    /// Answers no to stop the wait. No lock is held.
    pub goes_on: &'a mut dyn FnMut() -> bool,
}

/// The queues of a memory.
#[derive(Debug, Default)]
pub(super) struct Queues(Mutex<BTreeMap<u64, VecDeque<Arc<Waiter>>>>);

impl Queues {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, VecDeque<Arc<Waiter>>>> {
        // Nothing that can panic happens under the lock, but for want of memory.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits at an address if `is_expected` says so, which is asked under the lock. `None` if it was told to stop.
    pub(super) fn wait(
        &self,
        address: u64,
        is_expected: impl FnOnce() -> bool,
        until: Option<Instant>,
        waiter: &Arc<Waiter>,
        mut ticks: Option<Ticks<'_>>,
    ) -> Option<WaitResult> {
        {
            let mut queues = self.lock();
            if !is_expected() {
                return Some(WaitResult::Mismatch);
            }
            (queues.entry(address).or_default()).push_back(Arc::clone(waiter));
        }
        let mut goes_on = true;
        let state = loop {
            let tick = (ticks.as_ref()).and_then(|ticks| Instant::now().checked_add(ticks.every));
            let next = match (until, tick) {
                (Some(until), Some(tick)) => Some(until.min(tick)),
                (until, tick) => until.or(tick),
            };
            let state = waiter.sleep(next);
            if state != State::Waiting || until.is_some_and(|until| until <= Instant::now()) {
                break state;
            }
            if let Some(ticks) = &mut ticks
                && !(ticks.goes_on)()
            {
                goes_on = false;
                break state;
            }
        };
        if state == State::Woken || !self.leave(address, waiter) {
            // Who has woken it has counted it.
            return Some(WaitResult::Ok);
        }
        let stopped = state == State::Stopped || !goes_on;
        (!stopped).then_some(WaitResult::TimedOut)
    }

    /// Takes a waiter out of its queue. Answers whether it was in it.
    fn leave(&self, address: u64, waiter: &Arc<Waiter>) -> bool {
        let mut queues = self.lock();
        let Some(queue) = queues.get_mut(&address) else {
            return false;
        };
        let before = queue.len();
        queue.retain(|other| !Arc::ptr_eq(other, waiter));
        let left = queue.len() < before;
        if queue.is_empty() {
            queues.remove(&address);
        }
        left
    }

    /// Wakes those who wait at an address, at most so many, and answers how many.
    pub(super) fn wake(&self, address: u64, most: u32) -> u32 {
        let mut queues = self.lock();
        let Some(queue) = queues.get_mut(&address) else {
            return 0;
        };
        let mut woken = 0;
        while woken < most
            && let Some(waiter) = queue.pop_front()
        {
            // One that was told to stop and has not left yet finds itself out of the queue, as if it had been woken: it counts.
            waiter.end(State::Woken);
            woken += 1;
        }
        if queue.is_empty() {
            queues.remove(&address);
        }
        woken
    }
}
