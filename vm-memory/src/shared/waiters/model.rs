//! Queues of waiting threads, in every order in which threads can run.
//!
//! Run by `RUSTFLAGS="--cfg loom" cargo test --release --locked -p vm-memory --lib model`. A wake that gets lost leaves a thread that waits for ever,
//! which loom reports as a deadlock.

use std::sync::Arc;
use std::sync::Mutex as Notes;

use loom::model::Builder;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread::{JoinHandle, spawn};

use super::*;

/// When those who wait for so long are done.
const LATER: Instant = Instant(1);

/// Two words at which threads wait as long as they are 0.
#[derive(Default)]
struct Place {
    queues: Queues,
    words: [AtomicU32; 2],
    /// Who has entered a queue, in this order: written under its lock, which makes this one loom's no concern.
    entered: Notes<Vec<usize>>,
}

/// A thread that waits.
struct Waits {
    waiter: Arc<Waiter>,
    thread: JoinHandle<Option<WaitResult>>,
}

impl Place {
    fn wait(
        &self,
        who: usize,
        word: usize,
        until: Option<Instant>,
        waiter: &Arc<Waiter>,
        ticks: Option<Ticks<'_>>,
    ) -> Option<WaitResult> {
        let is_expected = || {
            let is_expected = self.words[word].load(Ordering::SeqCst) == 0;
            if is_expected {
                self.entered.lock().unwrap().push(who);
            }
            is_expected
        };
        (self.queues).wait(word as u64, is_expected, until, waiter, ticks)
    }

    /// A thread of its own that waits.
    fn spawn(self: &Arc<Self>, who: usize, word: usize, until: Option<Instant>) -> Waits {
        let waiter = Arc::new(Waiter::new());
        let (place, mine) = (Arc::clone(self), Arc::clone(&waiter));
        let thread = spawn(move || place.wait(who, word, until, &mine, None));
        Waits { waiter, thread }
    }

    /// A thread that wakes so many and answers how many it has woken.
    fn wakes(self: &Arc<Self>, word: usize, most: u32) -> JoinHandle<u32> {
        let place = Arc::clone(self);
        spawn(move || place.queues.wake(word as u64, most))
    }

    /// Changes a word and wakes all who wait for that.
    fn change(&self, word: usize) -> u32 {
        self.words[word].store(1, Ordering::SeqCst);
        self.queues.wake(word as u64, u32::MAX)
    }
}

impl Drop for Place {
    /// Whatever has happened, nothing is left of those who have waited.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.queues.lock().is_empty());
        }
    }
}

impl Waits {
    fn join(self) -> Option<WaitResult> {
        let waited = self.thread.join().unwrap();
        // Nobody else keeps what it waited by.
        assert_eq!(Arc::strong_count(&self.waiter), 1);
        waited
    }
}

/// It is that time, and those who sleep until then are woken.
fn later(waiter: &Waiter) {
    let _state = waiter.state();
    LATER.set();
    waiter.changed.notify_one();
}

fn ok(results: &[Option<WaitResult>]) -> u32 {
    let ok = results
        .iter()
        .filter(|result| **result == Some(WaitResult::Ok));
    ok.count() as u32
}

/// In every order; or, where those are too many, in every one in which threads that could go on are cut off at most so many times, or as many times as the
/// environment says (`LOOM_MAX_PREEMPTIONS`).
fn in_every_order(most_cuts: Option<usize>, run: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(most_cuts);
    builder.check(run);
}

#[test]
fn a_change_is_seen_or_the_wake_after_it_is_heard() {
    in_every_order(None, || {
        let place = Arc::<Place>::default();
        let waits = [0, 1].map(|who| place.spawn(who, 0, None));
        let woken = place.change(0);
        let results = waits.map(Waits::join);
        assert_eq!(ok(&results), woken);
        for result in results {
            assert!(matches!(
                result,
                Some(WaitResult::Ok | WaitResult::Mismatch)
            ));
        }
    });
}

#[test]
fn as_many_are_woken_as_are_counted_and_the_first_come_first() {
    in_every_order(Some(2), || {
        let place = Arc::<Place>::default();
        let waits = [0, 1].map(|who| place.spawn(who, 0, None));
        let wakes = [place.wakes(0, 1), place.wakes(0, 1)];
        let each = wakes.map(|wakes| wakes.join().unwrap());
        assert!(each.iter().all(|woken| *woken <= 1));
        let woken: u32 = each.iter().sum();
        // Those end by themselves who have come first; for the others something has to happen yet.
        let first = place.entered.lock().unwrap()[..woken as usize].to_vec();
        let mut results = Vec::new();
        let (early, late): (Vec<_>, Vec<_>) =
            (waits.into_iter().enumerate()).partition(|(who, _)| first.contains(who));
        results.extend(early.into_iter().map(|(_, waits)| waits.join()));
        assert_eq!(ok(&results), woken);
        let woken = woken + place.change(0);
        results.extend(late.into_iter().map(|(_, waits)| waits.join()));
        assert_eq!(ok(&results), woken);
    });
}

#[test]
fn who_is_stopped_is_counted_or_gone_and_the_next_is_woken_instead() {
    in_every_order(Some(3), || {
        let place = Arc::<Place>::default();
        let stopped = place.spawn(0, 0, None);
        let other = place.spawn(1, 0, None);
        let wakes = place.wakes(0, 1);
        Arc::clone(&stopped.waiter).wake();
        let woken = wakes.join().unwrap();
        let mut results = vec![stopped.join()];
        assert!(matches!(results[0], Some(WaitResult::Ok) | None));
        if woken > ok(&results) {
            // Then it was the other one, and it needs nothing more.
            results.push(other.join());
            assert_eq!(ok(&results), woken);
        } else {
            let woken = woken + place.change(0);
            results.push(other.join());
            assert_eq!(ok(&results), woken);
        }
    });
}

/// One that waits, one that wakes, and what ends a wait otherwise.
fn woken_or(ends: impl Fn(&Waits, &mut Vec<JoinHandle<()>>)) {
    let place = Arc::<Place>::default();
    let waits = place.spawn(0, 0, Some(LATER));
    let wakes = place.wakes(0, 1);
    let mut threads = Vec::new();
    ends(&waits, &mut threads);
    for thread in threads {
        thread.join().unwrap();
    }
    let woken = wakes.join().unwrap();
    match waits.join() {
        Some(WaitResult::Ok) => assert_eq!(woken, 1),
        Some(WaitResult::TimedOut) | None => assert_eq!(woken, 0),
        Some(WaitResult::Mismatch) => panic!("nobody has changed it"),
    }
}

#[test]
fn who_is_woken_and_stopped_at_once_is_one_of_both() {
    in_every_order(None, || {
        woken_or(|waits, _| Arc::clone(&waits.waiter).wake());
    });
}

#[test]
fn who_is_woken_and_out_of_time_at_once_is_one_of_both() {
    in_every_order(None, || woken_or(|waits, _| later(&waits.waiter)));
}

#[test]
fn who_is_woken_stopped_and_out_of_time_at_once_is_one_of_it() {
    in_every_order(Some(4), || {
        woken_or(|waits, threads| {
            let waiter = Arc::clone(&waits.waiter);
            threads.push(spawn(move || later(&waiter)));
            Arc::clone(&waits.waiter).wake();
        });
    });
}

#[test]
fn time_passes_for_who_waits_and_for_nobody_else() {
    in_every_order(Some(3), || {
        let place = Arc::<Place>::default();
        let short = place.spawn(0, 0, Some(LATER));
        let long = place.spawn(1, 0, None);
        let wakes = place.wakes(0, 1);
        later(&short.waiter);
        let woken = wakes.join().unwrap();
        let mut results = vec![short.join()];
        assert!(matches!(
            results[0],
            Some(WaitResult::Ok | WaitResult::TimedOut)
        ));
        if woken > ok(&results) {
            results.push(long.join());
            assert_eq!(ok(&results), woken);
        } else {
            let woken = woken + place.change(0);
            results.push(long.join());
            assert_eq!(ok(&results), woken);
        }
    });
}

#[test]
fn places_do_not_disturb_each_other() {
    in_every_order(Some(3), || {
        let place = Arc::<Place>::default();
        let waits = [0, 1].map(|word| place.spawn(word, word, None));
        let elsewhere = Arc::clone(&place);
        let change = spawn(move || elsewhere.change(1));
        let woken = [place.change(0), change.join().unwrap()];
        for (waits, woken) in waits.into_iter().zip(woken) {
            let result = if woken == 1 {
                WaitResult::Ok
            } else {
                WaitResult::Mismatch
            };
            assert_eq!(waits.join(), Some(result));
        }
    });
}

#[test]
fn who_is_asked_at_ticks_goes_on_or_leaves() {
    in_every_order(None, || {
        let place = Arc::<Place>::default();
        let wakes = place.wakes(0, 1);
        let waiter = Arc::new(Waiter::new());
        let (sleeper, time) = (Arc::clone(&waiter), Arc::clone(&waiter));
        let there = Arc::clone(&place);
        let waits = spawn(move || {
            let mut asked = 0;
            let ticks = Ticks {
                every: Duration::from_nanos(1),
                goes_on: &mut || {
                    asked += 1;
                    false
                },
            };
            let result = there.wait(0, 0, None, &sleeper, Some(ticks));
            (result, asked)
        });
        // The clock stands still after that: a tick that begins later never ends.
        later(&time);
        let woken = wakes.join().unwrap();
        let end = place.change(0);
        let (result, asked) = waits.join().unwrap();
        match result {
            Some(WaitResult::Ok) => assert_eq!(woken + end, 1),
            Some(WaitResult::Mismatch) => assert_eq!((woken + end, asked), (0, 0)),
            None => assert_eq!((woken + end, asked), (0, 1)),
            Some(WaitResult::TimedOut) => panic!("it has no time-out"),
        }
    });
}

/// All of it at once, as far as that can be tried.
#[test]
fn two_who_wait_two_who_wake_and_one_who_stops() {
    in_every_order(Some(2), || {
        let place = Arc::<Place>::default();
        let stopped = place.spawn(0, 0, None);
        let timed = place.spawn(1, 0, Some(LATER));
        let wakes = [place.wakes(0, 1), place.wakes(0, 2)];
        Arc::clone(&stopped.waiter).wake();
        later(&timed.waiter);
        let woken: u32 = wakes.map(|wakes| wakes.join().unwrap()).iter().sum();
        let results = [stopped.join(), timed.join()];
        assert_eq!(ok(&results), woken);
        assert!(matches!(results[0], Some(WaitResult::Ok) | None));
        assert!(matches!(
            results[1],
            Some(WaitResult::Ok | WaitResult::TimedOut)
        ));
    });
}
