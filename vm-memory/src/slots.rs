//! Which slots of a pool are free, and what is known of each.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::MemoryError;

/// How many free slots are looked at for one that suits, so that taking one takes constant time.
const LOOK: usize = 32;

/// Numbers `0 .. count`, each free, in use or given up, and a `T` for each free one. All room is
/// allocated at the start: taking and giving back allocate nothing.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    count: u32,
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    /// Used before; the most recent last.
    free: Vec<(u32, T)>,
    /// From this number on, no slot has been used yet.
    fresh: u32,
    /// Given up.
    retired: u32,
}

impl<T: Default> Slots<T> {
    pub(crate) fn new(count: u32) -> Result<Slots<T>, MemoryError> {
        let mut free = Vec::new();
        free.try_reserve_exact(count as usize)
            .map_err(|_| MemoryError::Allocate {
                bytes: u64::from(count) * size_of::<(u32, T)>() as u64,
            })?;
        Ok(Slots {
            count,
            state: Mutex::new(State {
                free,
                fresh: 0,
                retired: 0,
            }),
        })
    }

    /// Takes a slot: the most recently used one that suits, else one that was never used, else the
    /// one used longest ago of the recent ones.
    pub(crate) fn take(&self, suits: impl Fn(&T) -> bool) -> Result<(u32, T), MemoryError> {
        let mut state = self.lock();
        let recent = state.free.len().saturating_sub(LOOK);
        if let Some(at) = (recent..state.free.len())
            .rev()
            .find(|at| suits(&state.free[*at].1))
        {
            return Ok(state.free.remove(at));
        }
        if state.fresh < self.count {
            let slot = state.fresh;
            state.fresh += 1;
            return Ok((slot, T::default()));
        }
        if recent < state.free.len() {
            return Ok(state.free.remove(recent));
        }
        let slots = self.count - state.retired;
        Err(MemoryError::PoolFull { slots })
    }

    /// Gives a slot back.
    pub(crate) fn give(&self, slot: u32, state: T) {
        // Room for all has been reserved.
        self.lock().free.push((slot, state));
    }

    /// Gives a slot up for good.
    pub(crate) fn retire(&self) {
        self.lock().retired += 1;
    }

    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    pub(crate) fn in_use(&self) -> u32 {
        let state = self.lock();
        state.fresh - state.free.len() as u32 - state.retired
    }

    pub(crate) fn retired(&self) -> u32 {
        self.lock().retired
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing that runs under the lock can panic half way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_that_suit_come_first_then_fresh_ones_then_any() {
        let slots = Slots::<u32>::new(3).unwrap();
        assert_eq!(slots.take(|_| true), Ok((0, 0)));
        assert_eq!(slots.take(|_| true), Ok((1, 0)));
        slots.give(0, 10);
        slots.give(1, 11);
        assert_eq!(slots.in_use(), 0);
        assert_eq!(slots.take(|state| *state == 10), Ok((0, 10)));
        assert_eq!(slots.take(|state| *state == 10), Ok((2, 0)));
        assert_eq!(slots.take(|state| *state == 10), Ok((1, 11)));
        assert_eq!(slots.in_use(), 3);
        let full = MemoryError::PoolFull { slots: 3 };
        assert_eq!(slots.take(|_| true), Err(full));
        slots.give(2, 12);
        assert_eq!(slots.take(|_| false), Ok((2, 12)));
    }

    #[test]
    fn a_slot_that_was_given_up_never_comes_back() {
        let slots = Slots::<u32>::new(2).unwrap();
        let _ = slots.take(|_| true);
        slots.retire();
        assert_eq!((slots.in_use(), slots.retired()), (0, 1));
        assert_eq!(slots.take(|_| true), Ok((1, 0)));
        let full = MemoryError::PoolFull { slots: 1 };
        assert_eq!(slots.take(|_| true), Err(full));
    }
}
