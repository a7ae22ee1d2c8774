//! What each thread knows of itself: its innermost activation, its alternate
//! signal stack, and its entry in the list that [`uninstall`](crate::uninstall)
//! asks whether guests are running.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

use crate::AltStackError;
use crate::activation::Activation;
use crate::{sites, sys};

/// The part that is read on every entry, and by the signal handler. Constant
/// initialiser and no destructor: touching it runs no code. In a dynamically
/// loaded library the *first* touch in a thread may still allocate, which is
/// why the handler comes here only after it has seen that the faulting pc is
/// guest text: then this thread has been through [`Scope::push`].
struct Local {
    innermost: Cell<*const Activation>,
    record: Cell<*const Record>,
    /// Whether the thread has been made ready for faults, see [`prepare`].
    ready: Cell<bool>,
    /// Whether it receives the signal of requests to end a run.
    receives: Cell<bool>,
}

thread_local! {
    static LOCAL: Local = const {
        Local {
            innermost: Cell::new(ptr::null()),
            record: Cell::new(ptr::null()),
            ready: Cell::new(false),
            receives: Cell::new(false),
        }
    };

    /// Undoes at thread exit what [`prepare`] did.
    static AT_EXIT: Prepared = const {
        Prepared { record: Cell::new(None), alt_stack: Cell::new(None) }
    };
}

/// The innermost activation of this thread, or null.
pub(crate) fn innermost() -> *const Activation {
    // `try_with` cannot fail for a thread-local without destructor; null is
    // the answer that claims no fault.
    LOCAL
        .try_with(|local| local.innermost.get())
        .unwrap_or(ptr::null())
}

/// Lets this thread receive the signal of requests to end a run. Blocked, it would come when it is too late.
pub(crate) fn receive_requests() {
    LOCAL.with(|local| {
        if !local.receives.get() {
            local.receives.set(sys::unblock_notifications());
        }
    });
}

/// An activation being the innermost of its thread.
pub(crate) struct Scope<'a> {
    activation: &'a Activation,
    was_armed: bool,
    outer: *const Activation,
}

impl<'a> Scope<'a> {
    pub(crate) fn push(activation: &'a Activation) -> Scope<'a> {
        LOCAL.with(|local| {
            if !local.ready.get() {
                get_ready(local);
            }
            // SAFETY: records are never freed, and this one is claimed by this
            // thread until its exit, when the pointer is cleared.
            if let Some(record) = unsafe { local.record.get().as_ref() } {
                let depth = record.depth.load(Ordering::Relaxed);
                record.depth.store(depth + 1, Ordering::Relaxed);
            }
            Scope {
                activation,
                was_armed: activation.is_armed(),
                outer: local.innermost.replace(activation),
            }
        })
    }
}

/// Prepares the thread for its first activation: gives it its record, and if guests can fault in this
/// process, all the rest.
#[cold]
fn get_ready(local: &Local) {
    if sites::any() {
        // Without an alternate stack the handler runs on the thread's own, as
        // it would without us: nothing that entering must refuse.
        // `prepare_thread` is there for those who want to know.
        let _ = prepare();
    } else if local.record.get().is_null() {
        with_exit(keep_record);
    }
}

impl Drop for Scope<'_> {
    fn drop(&mut self) {
        self.activation.set_armed(self.was_armed);
        LOCAL.with(|local| {
            local.innermost.set(self.outer);
            // SAFETY: as in `push`.
            if let Some(record) = unsafe { local.record.get().as_ref() } {
                let depth = record.depth.load(Ordering::Relaxed);
                record
                    .depth
                    .store(depth.saturating_sub(1), Ordering::Relaxed);
            }
        });
    }
}

/// A thread's entry in the list of threads that have run guests. Entries are
/// leaked and used again, never freed, so that the list needs no lock (a lock
/// could be held at a `fork`, for ever).
struct Record {
    next: *const Record,
    claimed: AtomicBool,
    /// The process that claimed it: after `fork`, the child has copies of
    /// records of threads that it does not have.
    process: AtomicU32,
    /// How many activations the thread is in. Written by that thread only.
    depth: AtomicU32,
}

/// Head of the list of records; `next` leads to older ones.
static RECORDS: AtomicPtr<Record> = AtomicPtr::new(ptr::null_mut());

fn records() -> impl Iterator<Item = &'static Record> {
    let mut at = RECORDS.load(Ordering::Acquire).cast_const();
    std::iter::from_fn(move || {
        // SAFETY: the list holds only leaked records, and `next` is written
        // before a record is published.
        let record = unsafe { at.as_ref() }?;
        at = record.next;
        Some(record)
    })
}

fn claim_record() -> &'static Record {
    let free = records().find(|record| {
        record
            .claimed
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    });
    if let Some(record) = free {
        record.depth.store(0, Ordering::Relaxed);
        record.process.store(std::process::id(), Ordering::Relaxed);
        return record;
    }
    let record = Box::leak(Box::new(Record {
        next: ptr::null(),
        claimed: AtomicBool::new(true),
        process: AtomicU32::new(std::process::id()),
        depth: AtomicU32::new(0),
    }));
    let mut head = RECORDS.load(Ordering::Relaxed);
    loop {
        record.next = head;
        match RECORDS.compare_exchange_weak(head, record, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => return record,
            Err(now) => head = now,
        }
    }
}

/// How many threads of this process are inside an activation.
pub(crate) fn running() -> usize {
    let own = LOCAL.try_with(|l| l.record.get()).unwrap_or(ptr::null());
    let process = std::process::id();
    records()
        .filter(|record| {
            record.claimed.load(Ordering::Acquire)
                && (record.process.load(Ordering::Relaxed) == process || ptr::eq(*record, own))
                && record.depth.load(Ordering::Relaxed) != 0
        })
        .count()
}

/// What a thread holds from its first activation to its exit.
struct Prepared {
    record: Cell<Option<&'static Record>>,
    /// `None` if the thread had a sufficient one, or none could be had.
    alt_stack: Cell<Option<sys::AltStack>>,
}

impl Drop for Prepared {
    fn drop(&mut self) {
        let _ = LOCAL.try_with(|local| local.record.set(ptr::null()));
        if let Some(record) = self.record.take() {
            record.claimed.store(false, Ordering::Release);
        }
    }
}

/// Makes this thread ready for faults: gives it its record and, if it has no
/// sufficient one, an alternate signal stack, unblocks the signals, and sees to
/// it that they come to us first.
pub(crate) fn prepare() -> Result<(), AltStackError> {
    LOCAL.with(|local| local.ready.set(true));
    sys::unblock();
    // A handler above ours may pass guests' faults on: nothing to stop for.
    let _ = sys::ensure_first();
    with_exit(|exit| {
        keep_record(exit);
        if let Some(alt_stack) = sys::AltStack::ensure()? {
            exit.alt_stack.set(Some(alt_stack));
        }
        Ok(())
    })
    .unwrap_or(Ok(()))
}

/// `None` for a thread whose thread-locals are being destroyed: it gets nothing,
/// for nobody would be left to give it back.
fn with_exit<R>(f: impl FnOnce(&Prepared) -> R) -> Option<R> {
    AT_EXIT.try_with(f).ok()
}

fn keep_record(exit: &Prepared) {
    if exit.record.get().is_none() {
        let record = claim_record();
        exit.record.set(Some(record));
        LOCAL.with(|local| local.record.set(record));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_used_again() {
        let threads = 50;
        for _ in 0..threads {
            std::thread::spawn(|| {
                let activation = Activation::new(0, ptr::null());
                let scope = Scope::push(&activation);
                assert!(ptr::eq(innermost(), &activation));
                assert!(running() >= 1);
                drop(scope);
                assert!(innermost().is_null());
            })
            .join()
            .expect("no failure");
        }
        assert!(records().count() < threads);
        assert_eq!(running(), 0);
    }
}
