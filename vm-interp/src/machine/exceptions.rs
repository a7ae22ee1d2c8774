//! Exceptions, their tags, and how long they live.
//!
//! An exception is an `Arc`: the machine has one as long as the exception is on its way, and so has a host that holds a reference to
//! it. What guests have is the number of an entry in a table of the machine's. An exception gets one when a clause wants a reference
//! to it, so one that is caught by its values alone is gone when it has been caught.
//!
//! Entries are given back by a look at everything where a guest may have a reference: globals and tables of that type, and frames on
//! the value stack, word by word. No local that may be a reference to an exception lives in a register (`translate/locals.rs` in
//! `vm-translate`), and nothing else does across a call, so the frames have all. A number of a guest's that looks like a reference
//! keeps an exception longer than need be, but there are no more of these than words. Exceptions among the values of others are
//! held by them.
//!
//! Slots that a host function has been lent are not looked at: as long as it runs, what its parameters refer to is held otherwise. For that
//! the machine notes these slots, but only once there can be exceptions; who has been lent some before that is not known, so until
//! it is over nobody looks.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vm_translate::{HeapType, RegisteredType, ValType};
use vm_trap::TrapCode;

use crate::context::Word;
use crate::machine::entities::next_id;
use crate::machine::host::HostError;
use crate::machine::{EntityError, World};
use crate::value::{ExnId, Raw, TagId, Val};

/// What a host function returns to throw an exception that it has given to [`World::throw`], and what comes out of a call of a guest
/// that has thrown one and not caught it: the machine has the exception then, until somebody
/// [takes it](World::take_exception).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an exception has been thrown and not been caught")]
pub struct ThrownException;

impl ThrownException {
    /// Whether an error is this one, or has come of it.
    pub fn is(error: &(dyn std::error::Error + 'static)) -> bool {
        let mut next = Some(error);
        while let Some(error) = next {
            if error.is::<ThrownException>() {
                return true;
            }
            next = error.source();
        }
        false
    }
}

/// An exception. A clone is a reference to the same one, and keeps it alive.
#[derive(Clone)]
pub(crate) struct Exception(Arc<Thrown>);

impl Exception {
    /// Its tag.
    pub(crate) fn tag(&self) -> TagId {
        self.0.tag
    }

    /// Its values, as in slots.
    pub(crate) fn words(&self) -> &[Word] {
        &self.0.words
    }

    /// The exceptions among its values, and maybe others that words of these look like.
    pub(super) fn held(&self) -> &[Exception] {
        &self.0.held
    }

    /// Its values with their types, if those are the parameters of its tag's type, each as in slots.
    pub(super) fn values<'a>(
        &'a self,
        ty: &'a RegisteredType,
    ) -> impl Iterator<Item = (ValType, [Word; 2])> + 'a {
        let mut words = self.words();
        ty.params().iter().map_while(move |ty| {
            let (own, rest) = words.split_at_checked(ty.slots() as usize)?;
            words = rest;
            Some((*ty, [*own.first()?, own.get(1).copied().unwrap_or(0)]))
        })
    }

    /// Where it is, which no other has as long as it lives.
    pub(super) fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

struct Thrown {
    tag: TagId,
    words: Box<[Word]>,
    /// The number of its entry, plus one; 0 as long as it has none.
    entry: AtomicU32,
    /// The exceptions among its values.
    held: Vec<Exception>,
    /// What the machine's exceptions take.
    bytes: Arc<AtomicUsize>,
}

impl Thrown {
    fn bytes(&self) -> usize {
        size_of::<Thrown>() + size_of_val(&*self.words) + self.held.len() * size_of::<Exception>()
    }
}

impl Drop for Thrown {
    fn drop(&mut self) {
        self.bytes.fetch_sub(self.bytes(), Ordering::Relaxed);
        // One that holds one, and so on: not one inside of the other, or there would have to be as much native stack.
        let mut held = std::mem::take(&mut self.held);
        while let Some(Exception(next)) = held.pop() {
            if let Some(mut last) = Arc::into_inner(next) {
                // So that its own end takes off as much as its beginning has added.
                let of_refs = last.held.len() * size_of::<Exception>();
                last.bytes.fetch_sub(of_refs, Ordering::Relaxed);
                held.append(&mut last.held);
            }
        }
    }
}

/// Bytes that the exceptions of a machine may take together. Guests can hold as many as they like.
const MAX_BYTES: usize = 64 << 20;

/// So many entries have to be in use before the machine looks which of them still are. Builds with debug assertions look early:
/// so whatever throws a few exceptions is a test of what is found then.
const FEWEST: usize = if cfg!(debug_assertions) { 2 } else { 1 << 10 };

/// The upper half of references: no number that programs compute with looks like them.
const MARK: Word = 0x7ff5_e7ce << 32;

/// Whether values of a type may be references to exceptions.
pub(super) fn is_exception(ty: ValType) -> bool {
    matches!(ty, ValType::Ref(ty) if ty.heap.top() == HeapType::Exn)
}

/// A tag of a machine.
struct Tag {
    ty: RegisteredType,
}

/// The exceptions that the host has hold of.
#[derive(Default)]
struct Held {
    exceptions: Vec<(u64, Exception)>,
    /// The number of the next one.
    next: u64,
}

impl Held {
    fn get(&self, id: ExnId) -> Option<&Exception> {
        let found = self.exceptions.binary_search_by_key(&id.0, |(id, _)| *id);
        found.ok().map(|at| &self.exceptions[at].1)
    }
}

/// What there is to be done at the end of a host function that has been lent slots.
pub(super) struct Lent {
    /// The exceptions that its parameters refer to.
    _parameters: Vec<Exception>,
    /// What the host gets hold of from here on it has got in the function.
    held: ExnId,
}

/// A machine's exceptions.
pub(crate) struct Exceptions {
    tags: Vec<Tag>,
    entries: Vec<Option<Exception>>,
    /// Those that are not in use.
    free: Vec<u32>,
    /// When to look next: so many entries are in use, or so many bytes.
    look: (usize, usize),
    bytes: Arc<AtomicUsize>,
    /// How many bytes were left when it was last looked while no run was going on.
    left: usize,
    /// The exception that is on its way.
    thrown: Option<Exception>,
    /// Those that the host has hold of, by ascending numbers.
    held: Mutex<Held>,
    /// Whether there can be any.
    in_use: bool,
    /// Whether there are slots that host functions have been lent before that.
    blind: bool,
    /// Slots that host functions have been lent since: addresses, the innermost function's last.
    lent: Vec<Range<usize>>,
}

impl Default for Exceptions {
    fn default() -> Exceptions {
        Exceptions {
            tags: Vec::new(),
            entries: Vec::new(),
            free: Vec::new(),
            look: (FEWEST, MAX_BYTES / 2),
            bytes: Arc::default(),
            left: 0,
            thrown: None,
            held: Mutex::default(),
            in_use: false,
            blind: false,
            lent: Vec::new(),
        }
    }
}

impl Exceptions {
    /// The exception that a word refers to, if it looks like a reference.
    pub(crate) fn find(&self, word: Word) -> Option<&Exception> {
        let entry = usize::try_from(word.checked_sub(MARK)?).ok()?;
        self.entries.get(entry)?.as_ref()
    }

    /// A reference to an exception of this machine that has an entry; null if it has none.
    pub(crate) fn word(exception: &Exception) -> Word {
        match exception.0.entry.load(Ordering::Relaxed) {
            0 => 0,
            entry => MARK + Word::from(entry - 1),
        }
    }

    /// The exceptions that some words refer to.
    pub(crate) fn among(&self, words: &[Word]) -> Vec<Exception> {
        if self.entries.is_empty() {
            return Vec::new();
        }
        words
            .iter()
            .filter_map(|word| self.find(*word).cloned())
            .collect()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The host has hold of an exception, which has an entry.
    fn hold(&self, exception: Exception) -> ExnId {
        let mut held = self.held();
        let id = held.next;
        held.next += 1;
        held.exceptions.push((id, exception));
        ExnId(id)
    }

    fn is_time_to_look(&self) -> bool {
        let used = self.entries.len() - self.free.len();
        !self.blind && (used >= self.look.0 || self.bytes.load(Ordering::Relaxed) >= self.look.1)
    }

    /// Makes an entry for an exception, unless it has one.
    fn enter(&mut self, exception: &Exception) -> Word {
        debug_assert!(self.in_use, "nobody has said that there can be exceptions");
        if exception.0.entry.load(Ordering::Relaxed) == 0 {
            let entry = match self.free.pop() {
                Some(entry) => entry,
                None => {
                    self.entries.push(None);
                    next_id(self.entries.len() - 1)
                }
            };
            self.entries[entry as usize] = Some(exception.clone());
            exception.0.entry.store(entry + 1, Ordering::Relaxed);
        }
        Exceptions::word(exception)
    }

    /// Keeps the entries of those that `words` refer to, and of those that somebody holds besides.
    fn sweep<'a>(&mut self, words: impl Iterator<Item = &'a Word>) {
        let mut used = vec![false; self.entries.len()];
        for word in words {
            if let Some(entry) = word.checked_sub(MARK)
                && let Some(used) = used.get_mut(usize::try_from(entry).unwrap_or(usize::MAX))
            {
                *used = true;
            }
        }
        // What one that goes has held is held no longer: later ones hold earlier ones, as a rule, and what is left is for the next time.
        for (entry, used) in used.into_iter().enumerate().rev() {
            let slot = &mut self.entries[entry];
            if let Some(Exception(thrown)) = slot
                && !used
                && Arc::strong_count(thrown) == 1
            {
                *slot = None;
                self.free.push(entry as u32);
            }
        }
        let used = self.entries.len() - self.free.len();
        let bytes = self.bytes.load(Ordering::Relaxed);
        self.look = (
            FEWEST.max(2 * used),
            (MAX_BYTES / 2).max(bytes + (MAX_BYTES - bytes.min(MAX_BYTES)) / 2),
        );
    }
}

impl World {
    /// Adds a tag. Exceptions with it have values of the types of the parameters; results a tag's type has none.
    ///
    /// # Panics
    ///
    /// If the machine has 2³² tags already.
    pub fn add_tag(&mut self, ty: &RegisteredType) -> TagId {
        let id = next_id(self.exceptions.tags.len());
        let ty = ty.clone();
        self.use_exceptions();
        self.exceptions.tags.push(Tag { ty });
        TagId(id)
    }

    /// The type of a tag.
    ///
    /// # Panics
    ///
    /// If the machine has no tag of this number.
    pub fn tag_type(&self, id: TagId) -> &RegisteredType {
        &self.exceptions.tags[id.index()].ty
    }

    pub(super) fn registered_tag_type(&self, id: TagId) -> Option<&RegisteredType> {
        self.exceptions.tags.get(id.index()).map(|tag| &tag.ty)
    }

    /// Makes an exception, which the host has hold of then. Nothing is thrown.
    ///
    /// # Errors
    ///
    /// If the values are not of the types of the tag's parameters, the machine has no such tag, or too many exceptions.
    pub fn new_exception(&mut self, tag: TagId, values: &[Val]) -> Result<ExnId, EntityError> {
        let exception = self.make_exception(tag, values, World::exn_word)?;
        Ok(self.exceptions.hold(exception))
    }

    /// Makes an exception that guests can refer to. `exn_word` says what a reference to an exception among its values is for guests.
    pub(super) fn make_exception(
        &mut self,
        tag: TagId,
        values: &[Val],
        exn_word: impl Fn(&World, ExnId) -> Option<Word>,
    ) -> Result<Exception, EntityError> {
        let ty = self.exceptions.tags.get(tag.index());
        let ty = ty.ok_or(EntityError::UnknownTag { tag: tag.0 })?.ty.clone();
        let params = ty.ty().params();
        if params.len() != values.len() {
            let (expected, got) = (params.len(), values.len());
            return Err(EntityError::Values { expected, got });
        }
        let mut words = Vec::with_capacity(ty.ty().param_slots() as usize);
        for (ty, value) in params.iter().zip(values) {
            let two = self.words_with(*ty, value, |id| exn_word(self, id))?;
            words.extend_from_slice(&two[..ty.slots() as usize]);
        }
        self.look_for_exceptions(self.stack_top);
        let exception = self.exception(tag, words.into());
        let exception = exception.map_err(|_| EntityError::TooManyExceptions)?;
        self.exceptions.enter(&exception);
        Ok(exception)
    }

    /// The tag of an exception; nothing if the host has no hold of it.
    pub fn exception_tag(&self, id: ExnId) -> Option<TagId> {
        self.exceptions.held().get(id).map(Exception::tag)
    }

    /// The values of an exception; nothing if the host has no hold of it.
    pub fn exception_values(&self, id: ExnId) -> Option<Vec<Val>> {
        let exception = self.exceptions.held().get(id)?.clone();
        let values = exception.values(self.tag_type(exception.tag()));
        let values = values.map(|(ty, words)| self.read_raw(ty, &words.map(Raw)));
        Some(values.collect())
    }

    /// Whether a value is one that this machine's guests may have, as far as it is a reference to an exception: whether the host has hold of
    /// it.
    pub fn has(&self, value: &Val) -> bool {
        match value {
            Val::ExnRef(Some(id)) => self.exception_tag(*id).is_some(),
            _ => true,
        }
    }

    /// Throws an exception: a host function that returns this error, or one that has come of it, throws it into the guest that has
    /// called it. It is an [`EntityError`] if the host has no hold of the exception.
    pub fn throw(&mut self, id: ExnId) -> HostError {
        let exception = self.exceptions.held().get(id).cloned();
        match exception {
            Some(exception) => {
                self.exceptions.thrown = Some(exception);
                ThrownException.into()
            }
            None => EntityError::UnknownException.into(),
        }
    }

    /// Takes the exception that has been thrown and not been caught, if there is one: it is no longer on its way, and the host has hold
    /// of it.
    pub fn take_exception(&mut self) -> Option<ExnId> {
        let exception = self.exceptions.thrown.take()?;
        self.look_for_exceptions(self.stack_top);
        self.exceptions.enter(&exception);
        Some(self.exceptions.hold(exception))
    }

    /// The number that the next exception gets that the host has hold of: to [let go](World::let_go) of it and of those after it.
    pub fn next_held(&self) -> ExnId {
        ExnId(self.exceptions.held().next)
    }

    /// Lets go of the exceptions that the host has had hold of since it has been told this number. Guests that have them keep them.
    pub fn let_go(&mut self, from: ExnId) {
        let mut held = self.exceptions.held();
        let first = held.exceptions.partition_point(|(id, _)| *id < from.0);
        let gone = held.exceptions.split_off(first);
        drop(held);
        // Without the lock: there may be very many.
        drop(gone);
    }

    /// The host gets hold of the exception that a guest's reference is one to.
    pub(super) fn hold(&self, word: Word) -> Option<ExnId> {
        let exception = self.exceptions.find(word)?.clone();
        Some(self.exceptions.hold(exception))
    }

    /// A reference for guests to an exception that the host has hold of.
    pub(super) fn exn_word(&self, id: ExnId) -> Option<Word> {
        self.exceptions.held().get(id).map(Exceptions::word)
    }

    /// Whether there is an exception that has been thrown and not been caught.
    pub fn has_thrown(&self) -> bool {
        self.exceptions.thrown.is_some()
    }

    /// Makes an exception of words that are values of the tag's types.
    pub(super) fn exception(
        &mut self,
        tag: TagId,
        words: Box<[Word]>,
    ) -> Result<Exception, TrapCode> {
        let exceptions = &mut self.exceptions;
        let held = match exceptions.tags[tag.index()].ty.ty().params() {
            params if params.iter().any(|ty| is_exception(*ty)) => exceptions.among(&words),
            _ => Vec::new(),
        };
        let thrown = Thrown {
            tag,
            words,
            entry: AtomicU32::new(0),
            held,
            bytes: Arc::clone(&exceptions.bytes),
        };
        let bytes = thrown.bytes();
        let before = exceptions.bytes.fetch_add(bytes, Ordering::Relaxed);
        match before + bytes > MAX_BYTES {
            true => Err(TrapCode::AllocationTooLarge),
            false => Ok(Exception(Arc::new(thrown))),
        }
    }

    /// The exception that a guest's reference is one to; nothing if it is null.
    pub(super) fn exception_at(&self, word: Word) -> Option<Exception> {
        self.exceptions.find(word).cloned()
    }

    /// From now on there can be exceptions.
    pub(super) fn use_exceptions(&mut self) {
        if !self.exceptions.in_use {
            self.exceptions.in_use = true;
            self.exceptions.blind = self.native_stack != 0;
        }
    }

    /// No run is going on any more: nobody has been lent anything, and no frame refers to an exception. What frames have left
    /// behind on the stack could be taken for references by the next ones', so it is looked now if there is much to get.
    pub(super) fn runs_have_ended(&mut self) {
        self.exceptions.blind = false;
        let bytes = self.exceptions.bytes.load(Ordering::Relaxed);
        if bytes >= MAX_BYTES / 2 && bytes >= self.exceptions.left + MAX_BYTES / 16 {
            self.sweep_exceptions(self.stack.base());
            self.exceptions.left = self.exceptions.bytes.load(Ordering::Relaxed);
        }
    }

    /// A host function is lent these slots. Answers what is to be given back; nothing if there are no exceptions anyway.
    /// # Safety
    ///
    /// They are on the value stack, and not lent yet.
    pub(super) unsafe fn lend(&mut self, slots: *const Word, count: usize) -> Option<Lent> {
        if !self.exceptions.in_use {
            return None;
        }
        // SAFETY: the caller's promise; the value stack is initialised.
        let words = unsafe { std::slice::from_raw_parts(slots, count) };
        let lent = Lent {
            _parameters: self.exceptions.among(words),
            held: self.next_held(),
        };
        let slots = slots.addr()..slots.wrapping_add(count).addr();
        self.exceptions.lent.push(slots);
        Some(lent)
    }

    /// It gives back what it has been lent, and the host lets go of the exceptions that it has got hold of in it.
    pub(super) fn give_back(&mut self, lent: Option<Lent>) {
        if let Some(Lent { held, .. }) = lent {
            self.exceptions.lent.pop();
            self.let_go(held);
        }
    }

    /// A guest throws an exception.
    pub(super) fn guest_throws(&mut self, exception: Exception) {
        self.exceptions.thrown = Some(exception);
    }

    /// A reference to an exception, for guests.
    pub(super) fn refer_to(&mut self, exception: &Exception) -> Word {
        self.exceptions.enter(exception)
    }

    /// The exception that is on its way.
    pub(super) fn thrown(&mut self) -> &mut Option<Exception> {
        &mut self.exceptions.thrown
    }

    /// If it is time to, gives back the entries of exceptions that nobody has any more. Frames end below `top`.
    pub(super) fn look_for_exceptions(&mut self, top: *const Word) {
        if self.exceptions.is_time_to_look() {
            self.sweep_exceptions(top);
        }
    }

    #[cold]
    fn sweep_exceptions(&mut self, top: *const Word) {
        let base = self.stack.base().cast_const();
        let mut frames: Vec<&[Word]> = Vec::new();
        let mut from = base;
        let top = Range {
            start: top.addr(),
            end: usize::MAX,
        };
        for lent in self.exceptions.lent.iter().chain([&top]) {
            let words = lent.start.saturating_sub(from.addr()) / size_of::<Word>();
            // SAFETY: from the stack's base to the end of the innermost frame all is initialised. Nobody writes to what has not
            // been lent as long as this has the world.
            frames.push(unsafe { std::slice::from_raw_parts(from, words) });
            from = from.with_addr(lent.end);
        }
        let frames = frames.into_iter().flatten();
        let globals = self.globals.iter();
        // SAFETY: the cells of globals live as long as the world.
        let globals = globals
            .filter(|global| is_exception(global.ty.content))
            .map(|global| unsafe { &*global.cell().cast_const() });
        let tables = self.tables.iter();
        let tables = tables.filter(|table| is_exception(table.ty.element.into()));
        let tables = tables.flat_map(|table| table.elements());
        let words = frames.chain(globals).chain(tables);
        self.exceptions.sweep(words);
    }
}
