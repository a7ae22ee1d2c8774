//! A module's cells: translated when a function is first called, and patched into its callers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use vm_memory::Layout;
use vm_translate::{Function, Module, TranslateAllocations, TranslateOptions};

use super::encode::{Cells, Surroundings, encode};
use super::fixed::Fixed;
use super::fixed_handler;
use super::shapes::DirectShapes;
use crate::code::{CodeError, CodeOptions};
use crate::context::ContextLayout;
use crate::profile::FunctionProfile;

/// A module's code for the direct executor.
#[derive(Debug)]
pub(crate) struct DirectCode {
    /// Stubs hold its address.
    inner: Box<Inner>,
}

/// Words of a function's stub: the handler, the address of [`Inner`], the function's index.
const STUB_WORDS: usize = 3;

#[derive(Debug)]
pub(super) struct Inner {
    module: Arc<Module>,
    layout: ContextLayout,
    type_ids: Vec<u32>,
    options: CodeOptions,
    /// The stub of every defined function: the cell that calls [`super::calls::resolve`].
    stubs: OnceLock<Box<[AtomicU64]>>,
    functions: Box<[OnceLock<Translated>]>,
    /// Where each function's cells start, and which function it is.
    places: RwLock<BTreeMap<usize, u32>>,
    /// What translations have left for the next ones: one for each that ran at the same time.
    scratch: Mutex<Vec<Scratch>>,
}

/// Memory that translations use one after the other.
#[derive(Debug, Default)]
struct Scratch {
    allocations: TranslateAllocations,
    cells: Cells,
}

/// A translation of more words than this leaves nothing: such functions are rare, and their memory, which
/// stays as long as the module, is some hundred KiB.
const MOST_SCRATCH_WORDS: usize = 1 << 13;

/// A function's cells. Their words are atomic because calls in them are patched while other
/// threads run them.
#[derive(Debug)]
struct Translated {
    words: Box<[AtomicU64]>,
    offsets: Box<[(u32, u32)]>,
    /// Of a function that is profiled, what is counted.
    counters: Box<[Counter]>,
}

/// How often what starts at an instruction has run, up to where control leaves or enters.
#[derive(Debug)]
struct Counter {
    inst: usize,
    /// Incremented by [`Fixed::Count`].
    count: Box<AtomicU64>,
}

impl DirectCode {
    pub(crate) fn new(
        module: &Arc<Module>,
        layout: ContextLayout,
        type_ids: Vec<u32>,
        options: CodeOptions,
    ) -> DirectCode {
        let defined = (module.func_count() - module.imported_funcs()) as usize;
        let inner = Box::new(Inner {
            module: Arc::clone(module),
            layout,
            type_ids,
            options,
            stubs: OnceLock::new(),
            functions: (0..defined).map(|_| OnceLock::new()).collect(),
            places: RwLock::default(),
            scratch: Mutex::default(),
        });
        let address = std::ptr::from_ref::<Inner>(&inner).expose_provenance() as u64;
        let resolve = fixed_handler(Fixed::Resolve);
        let first = module.imported_funcs();
        let stubs = (0..defined as u32)
            .flat_map(|n| [resolve, address, u64::from(first + n)].map(AtomicU64::new));
        inner.stubs.get_or_init(|| stubs.collect());
        DirectCode { inner }
    }

    /// Translates a function that the module defines, unless that has been done.
    pub(crate) fn translate(&self, func: u32) -> Result<(), CodeError> {
        self.inner.translated(func).map(drop)
    }

    /// Frees the memory that is kept for further translations.
    pub(crate) fn trim(&self) {
        *self.inner.scratch() = Vec::new();
    }

    /// How many bytes of cells a function that the module defines has; `None` if it is not
    /// translated.
    pub(crate) fn size(&self, func: u32) -> Option<usize> {
        let translated = self.inner.function(func).get()?;
        Some(translated.words.len() * size_of::<u64>())
    }

    /// The first cell of a function: its own, or the stub that translates it.
    pub(crate) fn entry(&self, func: u32) -> *mut u8 {
        self.inner.entry(func) as *mut u8
    }

    /// Which instruction of which function the cell at or around `ip` stands for.
    pub(crate) fn locate(&self, ip: *const u8) -> Option<(u32, u32)> {
        let inner = &self.inner;
        let stubs = inner.stubs().as_ptr_range();
        if (stubs.start.addr()..stubs.end.addr()).contains(&ip.addr()) {
            let stub = (ip.addr() - stubs.start.addr()) / (STUB_WORDS * size_of::<u64>());
            let func = inner.module.imported_funcs() + stub as u32;
            // Nothing of it has run: it is known by its function only.
            return Some((func, inner.module.func_offset(func)));
        }
        let places = inner.places.read().unwrap_or_else(PoisonError::into_inner);
        let (start, func) = places.range(..=ip.addr()).next_back()?;
        let translated = inner.function(*func).get()?;
        let at = ip.addr() - start;
        if at >= translated.words.len() * size_of::<u64>() {
            return None;
        }
        let after = translated
            .offsets
            .partition_point(|(cell, _)| *cell as usize <= at);
        Some((*func, translated.offsets[after.checked_sub(1)?].1))
    }

    /// What has been counted.
    pub(crate) fn profile(&self) -> Result<Vec<FunctionProfile>, CodeError> {
        let inner = &self.inner;
        let profiled = inner.functions.iter().zip(inner.module.imported_funcs()..);
        let profiled = profiled.filter_map(|(function, func)| {
            let translated = function.get()?;
            (!translated.counters.is_empty()).then_some((func, &translated.counters))
        });
        profiled
            .map(|(func, counters)| {
                // The same as when the cells were made: translation depends on nothing else.
                let mut scratch = Scratch::default();
                let function = inner.encoded(func, &mut scratch)?;
                let mut cells = scratch.cells.cells;
                for cell in &mut cells {
                    let after =
                        counters.partition_point(|counter| counter.inst <= cell.insts.start);
                    cell.count = match after.checked_sub(1) {
                        Some(n) => counters[n].count.load(Ordering::Relaxed),
                        None => 0,
                    };
                }
                Ok(FunctionProfile { function, cells })
            })
            .collect()
    }

    /// The IR and the cells of a function.
    pub(crate) fn listing(&self, func: u32) -> Result<String, CodeError> {
        let mut scratch = Scratch::default();
        let function = self.inner.encoded(func, &mut scratch)?;
        let cells = &scratch.cells;
        let written: Vec<u64> = cells.words.written().collect();
        let mut text = function.to_string();
        let _ = writeln!(text, "  threaded code: {} bytes", written.len() * 8);
        for (n, (start, offset)) in cells.offsets.iter().enumerate() {
            let end = cells
                .offsets
                .get(n + 1)
                .map_or(written.len(), |(next, _)| *next as usize / 8);
            let words = &written[*start as usize / 8..end];
            let _ = write!(text, "  +{start:04x} {offset:06x}");
            for (n, word) in words.iter().enumerate() {
                // Addresses differ from run to run.
                let _ = match super::handler_name(*word) {
                    Some(name) => write!(text, " [{name}]"),
                    None if n == 1 && super::is_call(words[0]) => write!(text, " callee"),
                    None => write!(text, " {word:016x}"),
                };
            }
            text.push('\n');
        }
        Ok(text)
    }
}

impl Inner {
    fn stubs(&self) -> &[AtomicU64] {
        self.stubs.get().map_or(&[], |stubs| stubs)
    }

    fn function(&self, func: u32) -> &OnceLock<Translated> {
        &self.functions[(func - self.module.imported_funcs()) as usize]
    }

    fn entry(&self, func: u32) -> u64 {
        let words = match self.function(func).get() {
            Some(translated) => &translated.words[..],
            None => {
                let stub = (func - self.module.imported_funcs()) as usize * STUB_WORDS;
                &self.stubs()[stub..]
            }
        };
        words.as_ptr().expose_provenance() as u64
    }

    /// Translates a function to its IR, and to cells in the scratch.
    fn encoded(&self, func: u32, scratch: &mut Scratch) -> Result<Function, CodeError> {
        let layout = self.options.unchecked;
        let predicate = move |offset, width| {
            layout.is_some_and(|layout: Layout| layout.unchecked(offset, width))
        };
        let options = TranslateOptions {
            shapes: &DirectShapes,
            unchecked: Some(&predicate),
        };
        let allocations = &mut scratch.allocations;
        let function = self.module.translate_with(func, &options, allocations)?;
        let around = Surroundings {
            layout: self.layout,
            type_ids: &self.type_ids,
            guarded_stack: self.options.unchecked.is_some(),
            count: self.options.profile,
            entry: &|func| self.entry(func),
        };
        encode(&function, &around, &mut scratch.cells).map_err(|e| CodeError::Limit {
            func: function.index(),
            what: e.0,
        })?;
        Ok(function)
    }

    fn scratch(&self) -> MutexGuard<'_, Vec<Scratch>> {
        self.scratch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Translates a function unless that has been done, and answers its first cell.
    pub(super) fn translated(&self, func: u32) -> Result<u64, CodeError> {
        let slot = self.function(func);
        if slot.get().is_none() {
            let mut scratch = self.scratch().pop().unwrap_or_default();
            let function = self.encoded(func, &mut scratch)?;
            let cells = &mut scratch.cells;
            let counters = cells.counters.iter().map(|(at, inst)| {
                let count = Box::new(AtomicU64::new(0));
                let address = std::ptr::from_ref(&*count).expose_provenance() as u64;
                cells.words.fill(*at, address);
                Counter { inst: *inst, count }
            });
            let counters = counters.collect();
            let mut words: Box<[AtomicU64]> = cells.words.written().map(AtomicU64::new).collect();
            let start = words.as_ptr().expose_provenance() as u64;
            for branch in &cells.branches {
                *words[branch.word].get_mut() += start;
            }
            let translated = Translated {
                words,
                offsets: cells.offsets[..].into(),
                counters,
            };
            scratch.allocations.recycle(function);
            if scratch.cells.words.len() <= MOST_SCRATCH_WORDS {
                self.scratch().push(scratch);
            }
            // Another thread may have been faster; then its cells are used. They can be located
            // before anybody can run them.
            slot.get_or_init(|| {
                let place = translated.words.as_ptr().addr();
                let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
                places.insert(place, func);
                translated
            });
        }
        Ok(self.entry(func))
    }

    /// Makes the call cell that returns to `after` call `entry` from now on.
    ///
    /// # Safety
    ///
    /// `after` follows a cell of [`Fixed::Call`] in code that is alive.
    pub(super) unsafe fn patch(after: *const u8, entry: u64) {
        // SAFETY: the cell is three words, of which the second is the callee.
        unsafe { Inner::patch_target(after.sub(16), entry) };
    }

    /// The same for the word of a cell that is the callee.
    ///
    /// # Safety
    ///
    /// The word is the callee in a cell of code that is alive.
    pub(super) unsafe fn patch_target(target: *const u8, entry: u64) {
        // SAFETY: the words of translated functions are atomic.
        let target = unsafe { &*target.cast::<AtomicU64>() };
        // The callee's cells were written before: whoever sees the address sees them.
        target.store(entry, Ordering::Release);
    }
}
