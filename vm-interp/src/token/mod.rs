//! The token executor: a loop in Rust over compact code. The reference for what the IR means.

mod access;
mod atomic;
mod encode;
mod execute;
mod tokens;
mod wide;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use vm_translate::{Function, Module, PlainShapes, TranslateAllocations, TranslateOptions};

use crate::budget::Budget;
use crate::context::{Context, ContextLayout, FuncObject, Runtime, Word};
use crate::executor::{Back, Executor, ExecutorCode};
use crate::handlers::{FrameCode, HandlerTable};
use crate::options::{CodeError, CodeOptions, Threading};
use crate::registers::SavedRegisters;
use crate::sites::FrameSites;
use encode::{Encoded, Links, encode};

/// The token executor.
pub(crate) struct Token;

impl Executor for Token {
    fn threading(&self) -> Threading {
        Threading::Token
    }

    fn host_cell(&self) -> u64 {
        0
    }

    unsafe fn run(&self, runtime: *mut Runtime, func: *const FuncObject, frame: *mut Word) -> u32 {
        // SAFETY: the caller's promise.
        unsafe { execute::run(runtime, Some(func), frame) }
    }

    unsafe fn resume(&self, runtime: *mut Runtime) -> u32 {
        // SAFETY: the caller's promise.
        unsafe { execute::run(runtime, None, (*runtime).exit_frame) }
    }

    unsafe fn after_host_call(&self, runtime: *mut Runtime) -> (*const u8, *mut Word) {
        // SAFETY: the caller's promise: the run has stopped at a token that calls a host function.
        unsafe { execute::after_host_call((*runtime).exit_ip.cast(), (*runtime).exit_frame) }
    }

    fn finish(&self) -> *const u8 {
        execute::finish()
    }

    unsafe fn goes_back(&self, back: *const u8, frame: *mut Word, context: *mut Context) -> Back {
        // SAFETY: the caller's promise: functions return to tokens.
        unsafe { execute::goes_back(back.cast(), frame, context) }
    }

    unsafe fn fuel_required(&self, runtime: *mut Runtime) -> Option<u64> {
        // SAFETY: the caller's promise: the run has stopped at a token.
        unsafe { execute::fuel_required((*runtime).exit_ip.cast()) }
    }
}

/// A translation of more instructions than this leaves nothing: such functions are rare, and their memory stays as
/// long as the module.
const MOST_SCRATCH_INSTS: usize = 1 << 12;

/// A module's code for the token executor.
#[derive(Debug)]
pub(crate) struct TokenCode {
    module: Arc<Module>,
    layout: ContextLayout,
    options: CodeOptions,
    /// The numbers of the module's types.
    types: Vec<u32>,
    /// Of every function of the module, its code once it is translated. Calls read these cells.
    entries: Box<[AtomicPtr<u8>]>,
    /// Of every function, its translation; never anything for imported ones.
    functions: Box<[OnceLock<Result<Translated, CodeError>>]>,
    /// Of every translated function, by the address where its code starts, its index.
    addresses: Mutex<BTreeMap<usize, u32>>,
    /// What translations have left for the next ones: one for each that ran at the same time.
    scratch: Mutex<Vec<TranslateAllocations>>,
    budget: Budget,
}

#[derive(Debug)]
struct Translated {
    code: NonNull<[u32]>,
    /// See [`Encoded::offsets`].
    offsets: Box<[(u32, u32)]>,
    /// Where its runs can stop, if that was asked for.
    sites: Option<Box<FrameSites>>,
    handlers: Option<Box<HandlerTable>>,
}

// SAFETY: it owns the code alone, which nobody changes.
unsafe impl Send for Translated {}
// SAFETY: as above.
unsafe impl Sync for Translated {}

impl Drop for Translated {
    fn drop(&mut self) {
        // SAFETY: made from a box in `TokenCode::translated`. Who runs the code holds the module's
        // `Code` through its instance.
        drop(unsafe { Box::from_raw(self.code.as_ptr()) });
    }
}

impl TokenCode {
    pub(crate) fn new(
        module: &Arc<Module>,
        layout: ContextLayout,
        options: CodeOptions,
    ) -> TokenCode {
        let functions = 0..module.func_count();
        TokenCode {
            module: Arc::clone(module),
            layout,
            budget: Budget::new(module, options.max_code_bytes),
            options,
            types: module.types().iter().map(|ty| ty.number()).collect(),
            entries: functions.clone().map(|_| AtomicPtr::default()).collect(),
            functions: functions.map(|_| OnceLock::new()).collect(),
            addresses: Mutex::default(),
            scratch: Mutex::default(),
        }
    }

    fn ir(&self, func: u32) -> Result<Function, CodeError> {
        self.ir_with(func, &mut TranslateAllocations::default())
    }

    fn ir_with(
        &self,
        func: u32,
        allocations: &mut TranslateAllocations,
    ) -> Result<Function, CodeError> {
        let options = TranslateOptions {
            additions: self.options.additions(),
            ..TranslateOptions::new(&PlainShapes)
        };
        CodeError::if_invalid(&self.module, func)?;
        Ok(self.module.translate_with(func, &options, allocations)?)
    }

    fn scratch(&self) -> MutexGuard<'_, Vec<TranslateAllocations>> {
        self.scratch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn translated(&self, func: u32) -> Result<Translated, CodeError> {
        let mut scratch = self.scratch().pop().unwrap_or_default();
        let function = self.ir_with(func, &mut scratch)?;
        let encoded = encode(&function, self).map(|mut encoded| {
            let sites = std::mem::take(&mut encoded.sites);
            let sites = (!sites.is_empty()).then(|| {
                let slots = encoded.words[0];
                Box::new(FrameSites::of(&function, sites, slots))
            });
            (encoded, sites)
        });
        if function.insts().len() <= MOST_SCRATCH_INSTS {
            scratch.recycle(function);
            self.scratch().push(scratch);
        }
        let (encoded, sites) = encoded?;
        let Encoded {
            words,
            offsets,
            handlers,
            ..
        } = encoded;
        let bytes = size_of::<Translated>()
            + size_of_val(&*words)
            + size_of_val(&*offsets)
            + handlers.as_deref().map_or(0, HandlerTable::bytes)
            + sites.as_deref().map_or(0, FrameSites::bytes);
        self.budget.take(&self.module, func, bytes)?;
        let code = Box::into_raw(words.into_boxed_slice());
        let start = code.cast::<u8>().addr();
        self.lock_addresses().insert(start, func);
        Ok(Translated {
            // SAFETY: a box is never null.
            code: unsafe { NonNull::new_unchecked(code) },
            offsets: offsets.into_boxed_slice(),
            sites,
            handlers,
        })
    }

    /// The function whose code an address is in, that code, and how many words from its start it is.
    fn place_of(&self, ip: *const u8) -> Option<(u32, &Translated, usize)> {
        let addresses = self.lock_addresses();
        let (start, func) = addresses.range(..=ip.addr()).next_back()?;
        let translated = self.functions[*func as usize].get()?.as_ref().ok()?;
        let word = (ip.addr() - start) / size_of::<u32>();
        (word < translated.code.len()).then_some((*func, translated, word))
    }

    fn lock_addresses(&self) -> MutexGuard<'_, BTreeMap<usize, u32>> {
        // Nothing that can panic runs with the lock.
        self.addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl ExecutorCode for TokenCode {
    fn size(&self, func: u32) -> Option<usize> {
        let translated = self.functions.get(func as usize)?.get()?.as_ref().ok()?;
        Some(translated.code.len() * size_of::<u32>())
    }

    /// Null if it is not translated: calls ask for its translation then.
    fn entry(&self, func: u32) -> *mut u8 {
        self.entries[func as usize].load(Ordering::Acquire)
    }

    fn translate(&self, func: u32) -> Result<*mut u8, CodeError> {
        let Some(cell) = self.functions.get(func as usize) else {
            return Err(vm_translate::Error::NoBody { func }.into());
        };
        let translated = cell.get_or_init(|| self.translated(func)).as_ref();
        let start: *mut u8 = translated.map_err(Clone::clone)?.code.as_ptr().cast();
        self.entries[func as usize].store(start, Ordering::Release);
        Ok(start)
    }

    fn frame_slots(&self, ip: *const u8) -> Option<u32> {
        let (_, translated, _) = self.place_of(ip)?;
        // SAFETY: the code is there as long as the translation, and begins with a header.
        Some(unsafe { translated.code.cast::<u32>().read() })
    }

    fn frame_code(&self, ip: *const u8) -> Option<FrameCode<'_>> {
        let (_, translated, word) = self.place_of(ip)?;
        let start = translated.code.cast::<u32>();
        Some(FrameCode {
            start: start.as_ptr().cast_const().cast(),
            at: (word * size_of::<u32>()) as u32,
            // SAFETY: as above.
            slots: unsafe { start.read() },
            saved: SavedRegisters::default(),
            handlers: translated.handlers.as_deref(),
        })
    }

    fn sites_at(&self, ip: *const u8) -> Option<(u32, &FrameSites, u32)> {
        let (func, translated, word) = self.place_of(ip)?;
        let at = (word * size_of::<u32>()) as u32;
        Some((func, translated.sites.as_deref()?, at))
    }

    fn sites_of(&self, func: u32) -> Result<Option<(*const u8, &FrameSites)>, CodeError> {
        let start = self.translate(func)?.cast_const();
        let translated = self.functions[func as usize].get();
        let sites = translated.and_then(|translated| translated.as_ref().ok()?.sites.as_deref());
        Ok(sites.map(|sites| (start, sites)))
    }

    fn locate(&self, ip: *const u8) -> Option<(u32, u32)> {
        let (func, translated, word) = self.place_of(ip)?;
        let after = (translated.offsets).partition_point(|(at, _)| *at as usize <= word);
        let (_, offset) = translated.offsets.get(after.checked_sub(1)?)?;
        Some((func, *offset))
    }

    fn listing(&self, func: u32) -> Result<String, CodeError> {
        let function = self.ir(func)?;
        let code = encode(&function, self)?;
        let mut text = format!("{function}\ntokens:\n");
        let ends = (code.starts.iter().skip(1).copied()).chain([code.words.len() as u32]);
        for (start, end) in code.starts.iter().zip(ends) {
            let words = &code.words[*start as usize..end as usize];
            let name = tokens::NAMES[words[0] as usize];
            let _ = write!(text, "{start:6}  {name}");
            for word in &words[1..] {
                let _ = write!(text, " {}", *word as i32);
            }
            text.push('\n');
        }
        Ok(text)
    }
}

impl Links for TokenCode {
    fn cell(&self, func: u32) -> u64 {
        let cell: *const AtomicPtr<u8> = &self.entries[func as usize];
        cell.expose_provenance() as u64
    }

    fn type_number(&self, ty: u32) -> u32 {
        self.types[ty as usize]
    }

    fn is_shared(&self, memory: u32) -> bool {
        self.module.memories()[memory as usize].shared
    }

    fn layout(&self) -> &ContextLayout {
        &self.layout
    }
}
