//! Translated modules: what all instances of a module share.

use std::num::NonZero;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use vm_translate::{Module, RegisteredType};

use crate::context::ContextLayout;
use crate::executor::ExecutorCode;
use crate::options::{CodeError, CodeOptions};
use crate::profile::FunctionProfile;

/// How much of a module has been translated, and to how much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CodeSize {
    /// Functions that have been translated.
    pub functions: u32,
    /// Bytes of their bodies in the module.
    pub wasm_bytes: u64,
    /// Bytes of their threaded code; tables for backtraces not counted.
    pub code_bytes: u64,
}

/// A module's code for one executor.
///
/// Shared by all instances of the module, in all machines and on all threads. Functions are
/// translated when they are first called, or by [`Code::translate_all`].
#[derive(Debug)]
pub struct Code {
    module: Arc<Module>,
    options: CodeOptions,
    layout: ContextLayout,
    /// Words of a context of this module.
    context_words: usize,
    executor: Box<dyn ExecutorCode>,
}

impl Code {
    /// Code for a module, with what makes an executor's part of it.
    pub(crate) fn with_executor<C: ExecutorCode + 'static>(
        module: Arc<Module>,
        options: CodeOptions,
        make: impl FnOnce(&Arc<Module>, ContextLayout) -> C,
    ) -> Arc<Code> {
        let count = |len: usize| len as u32;
        let (layout, bytes) = ContextLayout::new(
            count(module.globals().len()),
            count(module.tables().len()),
            module.imported_funcs(),
            count(module.memories().len()),
        );
        let executor = Box::new(make(&module, layout));
        Arc::new(Code {
            module,
            options,
            layout,
            context_words: bytes / size_of::<u64>(),
            executor,
        })
    }

    /// The module.
    pub fn module(&self) -> &Arc<Module> {
        &self.module
    }

    /// How it is translated.
    pub fn options(&self) -> &CodeOptions {
        &self.options
    }

    /// Translates every function that has not been translated yet.
    ///
    /// # Errors
    ///
    /// The first function that is beyond a limit.
    pub fn translate_all(&self) -> Result<(), CodeError> {
        let result = self
            .defined()
            .try_for_each(|func| self.executor.translate(func).map(drop));
        self.executor.trim();
        result
    }

    /// Like [`Code::translate_all`], on so many threads: the caller's and others that end before
    /// this returns. A thread that the host refuses to start is done without.
    ///
    /// # Errors
    ///
    /// The first function that is beyond a limit, in the order of the functions.
    pub fn translate_all_on(&self, threads: NonZero<usize>) -> Result<(), CodeError> {
        /// Functions that a thread takes at once: enough for the counter not to matter, and few
        /// enough for all threads to end at about the same time.
        const CHUNK: u32 = 16;
        let defined = self.defined();
        let next = AtomicU32::new(defined.start);
        // Chunks are taken in order and each ends at its first error, so the least function that
        // fails is among the errors.
        let work = || -> Result<(), (u32, CodeError)> {
            loop {
                let claimed = next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |start| {
                    (start < defined.end).then(|| start.saturating_add(CHUNK).min(defined.end))
                });
                let Ok(start) = claimed else { return Ok(()) };
                let end = start.saturating_add(CHUNK).min(defined.end);
                for func in start..end {
                    self.executor
                        .translate(func)
                        .map_err(|error| (func, error))?;
                }
            }
        };
        let results = thread::scope(|scope| {
            let others: Vec<_> = (1..threads.get())
                .map_while(|_| thread::Builder::new().spawn_scoped(scope, work).ok())
                .collect();
            let mut results = vec![work()];
            for other in others {
                // A panic is the bug that it would have been on the caller's thread.
                results.push(
                    other
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                );
            }
            results
        });
        self.executor.trim();
        let errors = results.into_iter().filter_map(Result::err);
        match errors.min_by_key(|(func, _)| *func) {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }

    /// How much has been translated so far.
    pub fn size(&self) -> CodeSize {
        let mut sum = CodeSize::default();
        for func in self.defined() {
            if let Some(size) = self.executor.size(func) {
                sum.functions += 1;
                sum.wasm_bytes += u64::from(self.module.func_size(func));
                sum.code_bytes += size as u64;
            }
        }
        sum
    }

    /// The functions that the module defines.
    fn defined(&self) -> Range<u32> {
        self.module.imported_funcs()..self.module.func_count()
    }

    /// A function's IR and its threaded code as text, for people.
    ///
    /// # Errors
    ///
    /// If the function is imported, does not exist, or is beyond a limit.
    pub fn listing(&self, func: u32) -> Result<String, CodeError> {
        self.executor.listing(func)
    }

    /// How often the instructions of each function that has been called have run so far. Empty
    /// unless [`CodeOptions::profile`] was set.
    ///
    /// Threads that count at the same time may lose a few counts.
    ///
    /// # Errors
    ///
    /// None that running the functions would not have met.
    pub fn profile(&self) -> Result<Vec<FunctionProfile>, CodeError> {
        self.executor.profile()
    }

    pub(crate) fn layout(&self) -> &ContextLayout {
        &self.layout
    }

    pub(crate) fn context_words(&self) -> usize {
        self.context_words
    }

    /// The executor's part.
    pub(crate) fn executor(&self) -> &dyn ExecutorCode {
        &*self.executor
    }

    /// The type of a tag of the module.
    pub(crate) fn tag_type(&self, tag: u32) -> &RegisteredType {
        self.module.tag_type(tag)
    }

    /// The type of a function of the module.
    pub(crate) fn func_type(&self, func: u32) -> &RegisteredType {
        self.module.func_type(func)
    }
}
