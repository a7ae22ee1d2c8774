//! A module's cells: translated when a function is first called, and again when it is hot, and then
//! patched into its callers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockWriteGuard};

use vm_memory::Layout;
use vm_translate::{BaselineTranslator, Function, Module, TranslateAllocations, TranslateOptions};

use super::baseline::BaselineWriter;
use super::cells::{Cells, Surroundings, TooLarge, Turning};
use super::encode::{Wanted, encode};
use super::fixed::Fixed;
use super::fixed_handler;
use super::shapes::DirectShapes;
use super::tiers::{Continuation, TURN_LEFT};
use crate::budget::Budget;
use crate::context::ContextLayout;
use crate::executor::ExecutorCode;
use crate::handlers::{FrameCode, HandlerTable};
use crate::options::{CodeError, CodeOptions};
use crate::profile::FunctionProfile;
use crate::registers::SavedRegisters;
use crate::sites::FrameSites;

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
    functions: Box<[FunctionCode]>,
    /// Where each function's cells start, which function it is, and whether they are baseline code.
    places: RwLock<BTreeMap<usize, (u32, bool)>>,
    /// What translations have left for the next ones: one for each that ran at the same time.
    scratch: Mutex<Vec<Scratch>>,
    budget: Budget,
    /// Optimized code of more words is beyond a limit.
    #[cfg(test)]
    most_words: Arc<AtomicU64>,
}

/// The code of a function. Most have none: they are never called.
#[derive(Debug, Default)]
struct FunctionCode {
    /// Nothing in it if the function has to do without.
    baseline: OnceLock<Option<Box<Translated>>>,
    /// How often baseline code has been called.
    calls: AtomicU32,
    /// Or why it cannot be had. Nobody tries again.
    optimized: OnceLock<Result<Box<Translated>, CodeError>>,
}

impl FunctionCode {
    fn baseline(&self) -> Option<&Translated> {
        self.baseline.get()?.as_deref()
    }

    fn optimized(&self) -> Option<&Translated> {
        self.optimized.get()?.as_deref().ok()
    }

    /// The best code that it will ever have, if it has that: baseline code if there can be no better.
    fn settled(&self) -> Option<&Translated> {
        match self.optimized.get()? {
            Ok(optimized) => Some(optimized),
            Err(_) => self.baseline(),
        }
    }
}

/// Where a call goes to.
pub(super) struct Entry {
    /// The first cell.
    pub(super) cell: u64,
    /// Whether later calls can go there at once.
    pub(super) settled: bool,
}

/// Memory that translations use one after the other.
#[derive(Debug, Default)]
struct Scratch {
    baseline: BaselineTranslator,
    optimized: TranslateAllocations,
    cells: Cells,
}

/// A translation of more words than this leaves nothing: such functions are rare, and their memory, which
/// stays as long as the module, is some hundred KiB.
const MOST_SCRATCH_WORDS: usize = 1 << 13;

impl Scratch {
    /// Whether the last translation was one that leaves something.
    fn is_usual(&self) -> bool {
        self.cells.words.len() <= MOST_SCRATCH_WORDS
    }
}

/// A function's cells. Their words are atomic because calls in them are patched while other
/// threads run them.
#[derive(Debug)]
struct Translated {
    words: Box<[AtomicU64]>,
    offsets: Box<[(u32, u32)]>,
    saved: SavedRegisters,
    /// What few functions have.
    extra: Option<Box<Extra>>,
}

#[derive(Debug, Default)]
struct Extra {
    /// Of a function that is profiled, what is counted.
    counters: Box<[Counter]>,
    /// Of baseline code, its loops.
    loops: Box<[Turning]>,
    /// Of optimized code, how frames of baseline code go on in it.
    continuation: Option<Continuation>,
    /// Where its runs can stop, if that was asked for.
    sites: Option<Box<FrameSites>>,
    /// Where exceptions are caught.
    handlers: Option<Box<HandlerTable>>,
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
        options: CodeOptions,
    ) -> DirectCode {
        let defined = (module.func_count() - module.imported_funcs()) as usize;
        let inner = Box::new(Inner {
            module: Arc::clone(module),
            layout,
            type_ids: module.types().iter().map(|ty| ty.number()).collect(),
            budget: Budget::new(module, options.max_code_bytes),
            options,
            stubs: OnceLock::new(),
            functions: (0..defined).map(|_| FunctionCode::default()).collect(),
            places: RwLock::default(),
            scratch: Mutex::default(),
            #[cfg(test)]
            most_words: Arc::new(AtomicU64::new(u64::MAX)),
        });
        let address = std::ptr::from_ref::<Inner>(&inner).expose_provenance() as u64;
        let resolve = fixed_handler(Fixed::Resolve);
        let first = module.imported_funcs();
        let stubs = (0..defined as u32)
            .flat_map(|n| [resolve, address, u64::from(first + n)].map(AtomicU64::new));
        inner.stubs.get_or_init(|| stubs.collect());
        DirectCode { inner }
    }

    /// The same, where optimized code of more words is beyond a limit, which may change.
    #[cfg(test)]
    pub(super) fn limited(mut self, words: Arc<AtomicU64>) -> DirectCode {
        self.inner.most_words = words;
        self
    }
}

impl ExecutorCode for DirectCode {
    /// The first cell: the function's own, or the stub that translates it.
    fn entry(&self, func: u32) -> *mut u8 {
        self.inner.entry(func) as *mut u8
    }

    fn translate(&self, func: u32) -> Result<*mut u8, CodeError> {
        if self.inner.baseline(func).is_none() {
            self.inner.optimized(func)?;
        }
        Ok(self.entry(func))
    }

    fn trim(&self) {
        *self.inner.scratch() = Vec::new();
    }

    fn size(&self, func: u32) -> Option<usize> {
        let function = self.inner.function(func);
        let tiers = function.baseline().into_iter().chain(function.optimized());
        let words = tiers.map(|translated| translated.words.len());
        words
            .reduce(|one, other| one + other)
            .map(|words| words * size_of::<u64>())
    }

    fn frame_slots(&self, ip: *const u8) -> Option<u32> {
        let (_, translated, _) = self.inner.place_of(ip)?;
        Some(translated.frame_slots())
    }

    fn frame_code(&self, ip: *const u8) -> Option<FrameCode<'_>> {
        let (_, translated, at) = self.inner.place_of(ip)?;
        Some(FrameCode {
            start: translated.words.as_ptr().cast(),
            at: at as u32,
            slots: translated.frame_slots(),
            saved: translated.saved,
            handlers: translated
                .extra
                .as_deref()
                .and_then(|extra| extra.handlers.as_deref()),
        })
    }

    fn sites_at(&self, ip: *const u8) -> Option<(u32, &FrameSites, u32)> {
        let (func, translated, at) = self.inner.place_of(ip)?;
        Some((func, translated.sites()?, at as u32))
    }

    fn sites_of(&self, func: u32) -> Result<Option<(*const u8, &FrameSites)>, CodeError> {
        let translated = match self.inner.optimized(func) {
            Ok(translated) => translated,
            // That would be enough for a call too.
            Err(error) => self.inner.baseline(func).ok_or(error)?,
        };
        let start = translated.words.as_ptr().cast();
        Ok(translated.sites().map(|sites| (start, sites)))
    }

    fn locate(&self, ip: *const u8) -> Option<(u32, u32)> {
        let inner = &self.inner;
        let stubs = inner.stubs().as_ptr_range();
        if (stubs.start.addr()..stubs.end.addr()).contains(&ip.addr()) {
            let stub = (ip.addr() - stubs.start.addr()) / (STUB_WORDS * size_of::<u64>());
            let func = inner.module.imported_funcs() + stub as u32;
            // Nothing of it has run: it is known by its function only.
            return Some((func, inner.module.func_offset(func)));
        }
        let (func, translated, at) = inner.place_of(ip)?;
        let after = translated
            .offsets
            .partition_point(|(cell, _)| *cell as usize <= at);
        Some((func, translated.offsets[after.checked_sub(1)?].1))
    }

    fn profile(&self) -> Result<Vec<FunctionProfile>, CodeError> {
        let inner = &self.inner;
        let profiled = inner.functions.iter().zip(inner.module.imported_funcs()..);
        let profiled = profiled.filter_map(|(function, func)| {
            let translated = function.optimized()?;
            let counters = &translated.extra.as_deref()?.counters;
            (!counters.is_empty()).then_some((func, counters))
        });
        profiled
            .map(|(func, counters)| {
                // The same as when the cells were made: translation depends on nothing else.
                let mut scratch = Scratch::default();
                let function = inner.encoded_optimized(func, None, &mut scratch)?;
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

    fn listing(&self, func: u32) -> Result<String, CodeError> {
        let mut scratch = Scratch::default();
        let function = self.inner.encoded_optimized(func, None, &mut scratch)?;
        let cells = &scratch.cells;
        let written: Vec<u64> = cells.words.written().collect();
        let mut text = function.to_string();
        let _ = writeln!(text, "  threaded code: {} bytes", written.len() * 8);
        // The places of what may trap in one cell stand in one line.
        let same_cell = |a: &(u32, u32), b: &(u32, u32)| a.0 / 8 == b.0 / 8;
        let mut noted = cells.offsets.chunk_by(same_cell).peekable();
        while let Some(places) = noted.next() {
            let start = places[0].0 as usize / 8;
            let end = (noted.peek()).map_or(written.len(), |next| next[0].0 as usize / 8);
            let words = &written[start..end];
            let _ = write!(text, "  +{:04x}", 8 * start);
            for (_, offset) in places {
                let _ = write!(text, " {offset:06x}");
            }
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

impl Translated {
    /// What has been encoded, with the addresses of its own words in it.
    fn new(cells: &mut Cells) -> Translated {
        let counters = cells.counters.iter().map(|(at, inst)| {
            let count = Box::new(AtomicU64::new(0));
            let address = std::ptr::from_ref(&*count).expose_provenance() as u64;
            cells.words.fill(*at, address);
            Counter { inst: *inst, count }
        });
        let counters: Box<[Counter]> = counters.collect();
        let mut words: Box<[AtomicU64]> = cells.words.written().map(AtomicU64::new).collect();
        let start = words.as_ptr().expose_provenance() as u64;
        for word in &cells.relocations {
            *words[*word].get_mut() += start;
        }
        let handlers = cells.handlers.take();
        let is_usual = counters.is_empty() && cells.loops.is_empty() && handlers.is_none();
        let extra = (!is_usual).then(|| {
            Box::new(Extra {
                counters,
                loops: cells.loops[..].into(),
                continuation: None,
                sites: None,
                handlers,
            })
        });
        Translated {
            words,
            offsets: cells.offsets[..].into(),
            saved: cells.saved,
            extra,
        }
    }

    /// The bytes that it takes.
    fn bytes(&self) -> usize {
        let extra = self.extra.as_deref().map_or(0, |extra| {
            size_of::<Extra>()
                + extra.counters.len() * (size_of::<Counter>() + size_of::<AtomicU64>())
                + size_of_val(&*extra.loops)
                + extra.continuation.as_ref().map_or(0, Continuation::bytes)
                + extra.sites.as_deref().map_or(0, FrameSites::bytes)
                + extra.handlers.as_deref().map_or(0, HandlerTable::bytes)
        });
        size_of::<Translated>() + size_of_val(&*self.words) + size_of_val(&*self.offsets) + extra
    }

    /// How many slots its frame has.
    fn frame_slots(&self) -> u32 {
        // The first cell says it behind its handler, see `Fixed::Enter`.
        let bytes = self.words[1].load(Ordering::Relaxed) as u32;
        bytes / size_of::<u64>() as u32
    }

    /// Of baseline code, the offset of the loop that has turned most often, if any has. Each had so many turns to go.
    fn hottest_loop(&self, turns: u64) -> Option<u32> {
        let loops = &self.extra.as_deref()?.loops;
        let left = |turning: &Turning| {
            let left = &self.words[turning.cell as usize + TURN_LEFT];
            (left.load(Ordering::Relaxed), turning.offset)
        };
        let (left, offset) = loops.iter().map(left).min()?;
        (left < turns).then_some(offset)
    }

    fn sites(&self) -> Option<&FrameSites> {
        self.extra.as_deref()?.sites.as_deref()
    }

    /// How to call it; `settled` says whether later calls can go there at once.
    fn entry(&self, settled: bool) -> Entry {
        let cell = self.words.as_ptr().expose_provenance() as u64;
        Entry { cell, settled }
    }
}

impl Inner {
    /// The function whose cells an address is in, these cells, and how many bytes from their start it is.
    fn place_of(&self, ip: *const u8) -> Option<(u32, &Translated, usize)> {
        let places = self.places.read().unwrap_or_else(PoisonError::into_inner);
        let (start, (func, is_baseline)) = places.range(..=ip.addr()).next_back()?;
        let function = self.function(*func);
        let translated = match is_baseline {
            true => function.baseline()?,
            false => function.optimized()?,
        };
        let at = ip.addr() - start;
        (at < translated.words.len() * size_of::<u64>()).then_some((*func, translated, at))
    }

    fn stubs(&self) -> &[AtomicU64] {
        self.stubs.get().map_or(&[], |stubs| stubs)
    }

    fn function(&self, func: u32) -> &FunctionCode {
        &self.functions[(func - self.module.imported_funcs()) as usize]
    }

    fn entry(&self, func: u32) -> u64 {
        let words = match self.function(func).settled() {
            Some(translated) => &translated.words[..],
            None => {
                let stub = (func - self.module.imported_funcs()) as usize * STUB_WORDS;
                &self.stubs()[stub..]
            }
        };
        words.as_ptr().expose_provenance() as u64
    }

    /// How many turns of a loop in baseline code make it hot.
    pub(super) fn turns(&self) -> u64 {
        let hot = self.options.baseline;
        hot.map_or(u64::MAX, |hot| u64::from(hot.turns).max(1))
    }

    /// Translates a function to its IR and to optimized code in the scratch.
    fn encoded_optimized(
        &self,
        func: u32,
        hottest_loop: Option<u32>,
        scratch: &mut Scratch,
    ) -> Result<Function, CodeError> {
        let options = TranslateOptions {
            shapes: &DirectShapes,
            unchecked: Some(&self.unchecked()),
            additions: self.options.additions(),
            hottest_loop,
        };
        CodeError::if_invalid(&self.module, func)?;
        let allocations = &mut scratch.optimized;
        let function = (self.module).translate_with(func, &options, allocations)?;
        let wanted = Wanted {
            count: self.options.profile,
            continuations: self.options.baseline.is_some(),
        };
        let entry = |func| self.entry(func);
        let encoded = encode(
            &function,
            &self.surroundings(&entry),
            wanted,
            &mut scratch.cells,
        );
        encoded.map_err(|e| too_large(func, &e))?;
        #[cfg(test)]
        if scratch.cells.words.len() as u64 > self.most_words.load(Ordering::Relaxed) {
            return Err(too_large(func, &TooLarge("a limit of tests")));
        }
        Ok(function)
    }

    /// Translates a function to baseline code in the scratch. Answers no if it has none.
    fn encoded_baseline(&self, func: u32, scratch: &mut Scratch) -> Result<bool, CodeError> {
        let Scratch {
            baseline, cells, ..
        } = scratch;
        let code = std::ptr::from_ref(self).expose_provenance() as u64;
        let entry = |func| self.entry(func);
        let around = self.surroundings(&entry);
        let mut writer = BaselineWriter::new(&around, cells, code, self.turns());
        let unchecked = self.unchecked();
        let done = baseline.translate(
            &self.module,
            func,
            Some(&unchecked),
            self.options.additions(),
            &mut writer,
        )?;
        writer.check_size().map_err(|e| too_large(func, &e))?;
        Ok(done)
    }

    /// Which accesses of memory 0 need no check.
    fn unchecked(&self) -> impl Fn(u64, u32) -> bool + use<> {
        let layout = self.options.unchecked;
        move |offset, width| layout.is_some_and(|layout: Layout| layout.unchecked(offset, width))
    }

    fn surroundings<'a>(&'a self, entry: &'a dyn Fn(u32) -> u64) -> Surroundings<'a> {
        Surroundings {
            layout: self.layout,
            type_ids: &self.type_ids,
            guarded_stack: self.options.unchecked.is_some(),
            metered: self.options.fuel.is_some(),
            page_size_log2: (self.module.memories().first())
                .filter(|memory| !memory.shared)
                .map(|memory| memory.page_size_log2.into()),
            entry,
        }
    }

    fn scratch(&self) -> MutexGuard<'_, Vec<Scratch>> {
        self.scratch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a call of a function goes to, which it counts if there is no better code yet.
    pub(super) fn called(&self, func: u32) -> Result<Entry, CodeError> {
        let function = self.function(func);
        if function.optimized.get().is_none()
            && let Some(hot) = self.options.baseline
            && let Some(baseline) = self.baseline(func)
        {
            let calls = function.calls.fetch_add(1, Ordering::Relaxed);
            if calls < hot.calls {
                return Ok(baseline.entry(false));
            }
        }
        match self.optimized(func) {
            // It goes on in what it has: it runs, though no faster.
            Err(_) if function.baseline().is_some() => {}
            optimized => drop(optimized?),
        }
        let cell = self.entry(func);
        let settled = true;
        Ok(Entry { cell, settled })
    }

    /// How a frame of baseline code that is in a loop goes on in optimized code: at which cell. Nothing if
    /// it cannot. Loops are numbered as in baseline code.
    pub(super) fn continuation(
        &self,
        func: u32,
        number: usize,
    ) -> Option<(&Continuation, *const u8)> {
        let baseline = self.function(func).baseline()?;
        let hot = baseline.extra.as_deref()?.loops[number].offset;
        let optimized = self.optimized(func).ok()?;
        let continuation = optimized.extra.as_deref()?.continuation.as_ref()?;
        let entry = continuation.entry(hot)?;
        let words = optimized.words.as_ptr().cast::<u8>();
        Some((continuation, words.wrapping_add(entry as usize)))
    }

    /// The baseline code of a function, translated unless that has been done; nothing if the function has to
    /// do without.
    fn baseline(&self, func: u32) -> Option<&Translated> {
        self.options.baseline?;
        let function = self.function(func);
        if function.baseline.get().is_none() {
            let mut scratch = self.scratch().pop().unwrap_or_default();
            // If it is beyond a limit, optimized code may be within.
            let done = self.encoded_baseline(func, &mut scratch);
            let translated = matches!(done, Ok(true)).then(|| {
                let mut translated = Translated::new(&mut scratch.cells);
                let sites = std::mem::take(&mut scratch.cells.sites);
                if !sites.is_empty() {
                    let slots = translated.frame_slots();
                    let sites = FrameSites::without_registers(sites, slots);
                    translated.extra.get_or_insert_default().sites = Some(Box::new(sites));
                }
                translated
            });
            self.put_back(scratch);
            let mut places = self.places();
            function.baseline.get_or_init(|| {
                let translated = self.kept(translated?, func).ok()?;
                places.insert(translated.words.as_ptr().addr(), (func, true));
                Some(translated)
            });
        }
        function.baseline()
    }

    /// The optimized code of a function, translated unless that has been done or tried.
    fn optimized(&self, func: u32) -> Result<&Translated, CodeError> {
        let slot = &self.function(func).optimized;
        let translated = match slot.get() {
            Some(translated) => translated,
            None => {
                let translated = self.translate_optimized(func);
                let mut places = self.places();
                slot.get_or_init(|| {
                    let translated = self.kept(translated?, func)?;
                    places.insert(translated.words.as_ptr().addr(), (func, false));
                    Ok(translated)
                })
            }
        };
        translated.as_deref().map_err(CodeError::clone)
    }

    fn translate_optimized(&self, func: u32) -> Result<Translated, CodeError> {
        let baseline = self.function(func).baseline();
        let hottest_loop = baseline.and_then(|baseline| baseline.hottest_loop(self.turns()));
        let mut scratch = self.scratch().pop().unwrap_or_default();
        let encoded = self.encoded_optimized(func, hottest_loop, &mut scratch);
        let translated = encoded.map(|function| {
            let entries = &scratch.cells.entries;
            let continuation = (!entries.is_empty()).then(|| Continuation::new(&function, entries));
            let sites = std::mem::take(&mut scratch.cells.sites);
            let slots = function.frame_slots();
            let sites =
                (!sites.is_empty()).then(|| Box::new(FrameSites::of(&function, sites, slots)));
            if scratch.is_usual() {
                scratch.optimized.recycle(function);
            } else {
                // Of a function that is large, its IR is larger: it goes before another copy of the cells is made.
                drop(function);
                scratch.optimized = TranslateAllocations::default();
            }
            let mut translated = Translated::new(&mut scratch.cells);
            if continuation.is_some() {
                translated.extra.get_or_insert_default().continuation = continuation;
            }
            if sites.is_some() {
                translated.extra.get_or_insert_default().sites = sites;
            }
            translated
        });
        self.put_back(scratch);
        translated
    }

    /// A translation that is to be kept, if there is room for it.
    fn kept(&self, translated: Translated, func: u32) -> Result<Box<Translated>, CodeError> {
        self.budget.take(&self.module, func, translated.bytes())?;
        Ok(Box::new(translated))
    }

    /// Where functions' cells are, for who is about to add some. Another thread may have been faster: who has this
    /// decides whose cells are kept, and nobody runs cells that cannot be located.
    fn places(&self) -> RwLockWriteGuard<'_, BTreeMap<usize, (u32, bool)>> {
        self.places.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn put_back(&self, scratch: Scratch) {
        if scratch.is_usual() {
            self.scratch().push(scratch);
        }
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

fn too_large(func: u32, limit: &TooLarge) -> CodeError {
    let what = limit.0;
    CodeError::Limit { func, what }
}
