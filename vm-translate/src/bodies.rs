//! The bodies of functions: where they are, and that they are valid before anything is made of them.
//!
//! Whatever reads a body relying on what validation has found takes a [`ValidBody`], which only this module makes. A module
//! may be parsed without its bodies; then each is validated when it is first asked for.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use wasmparser::{
    BinaryReader, FuncToValidate, FuncValidatorAllocations, FunctionBody, Parser, ValidPayload,
    Validator, ValidatorResources, WasmFeatures,
};

use crate::{Error, Features, missing, validate};

/// A body that has been validated.
#[derive(Clone, Debug)]
pub(crate) struct ValidBody<'a>(FunctionBody<'a>);

impl<'a> Deref for ValidBody<'a> {
    type Target = FunctionBody<'a>;

    fn deref(&self) -> &FunctionBody<'a> {
        &self.0
    }
}

#[cfg(test)]
impl<'a> ValidBody<'a> {
    /// One of which the test knows that it is valid, or that nothing depends on it.
    pub(crate) fn known(body: FunctionBody<'a>) -> ValidBody<'a> {
        ValidBody(body)
    }
}

/// When bodies are validated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// When the module is made.
    Parsed,
    /// When each is first asked for.
    Asked,
}

/// The bodies of a module's own functions.
#[derive(Clone, Debug)]
pub(crate) struct Bodies {
    /// Of each, where it is in the module's bytes: local declarations and code.
    ranges: Vec<Range<u32>>,
    /// What they are read with.
    features: WasmFeatures,
    /// Nothing if all have been validated. Clones of a module share it.
    unknown: Option<Arc<Unknown>>,
}

impl Bodies {
    /// None, of a module that has none yet.
    pub(crate) fn none(features: &Features) -> Bodies {
        Bodies {
            ranges: Vec::new(),
            features: features.validated(),
            unknown: None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Where a body is.
    pub(crate) fn range(&self, defined: usize) -> Option<Range<usize>> {
        let range = self.ranges.get(defined)?;
        Some(range.start as usize..range.end as usize)
    }

    /// The body of a function, which is the one of this number that the module defines and of the type with this
    /// index. It is validated unless that has been done.
    pub(crate) fn get<'a>(
        &self,
        bytes: &'a [u8],
        func: u32,
        defined: usize,
        ty: u32,
    ) -> Result<ValidBody<'a>, Error> {
        let range = self.range(defined).ok_or(Error::NoBody { func })?;
        if let Some(unknown) = &self.unknown {
            unknown.validate(bytes, func, defined, ty, range.clone())?;
        }
        Ok(ValidBody(read(bytes, range, self.features)))
    }
}

fn read(bytes: &[u8], range: Range<usize>, features: WasmFeatures) -> FunctionBody<'_> {
    let start = range.start as u64;
    FunctionBody::new(BinaryReader::new_features(&bytes[range], start, features))
}

/// Takes bodies as the parser finds them.
pub(crate) struct Finding {
    features: Features,
    /// What the validator lets through.
    validated: WasmFeatures,
    when: When,
    ranges: Vec<Range<u32>>,
    /// What the validator knows of the module, if bodies are validated later.
    resources: Option<ValidatorResources>,
    allocations: FuncValidatorAllocations,
}

impl Finding {
    pub(crate) fn new(features: &Features, validated: WasmFeatures, when: When) -> Finding {
        Finding {
            features: features.clone(),
            validated,
            when,
            ranges: Vec::new(),
            resources: None,
            allocations: FuncValidatorAllocations::default(),
        }
    }

    /// Takes the next body.
    pub(crate) fn add(
        &mut self,
        func: FuncToValidate<ValidatorResources>,
        body: &FunctionBody<'_>,
    ) -> Result<(), Error> {
        match self.when {
            When::Parsed => {
                let mut func = func.into_validator(std::mem::take(&mut self.allocations));
                validate::body(&mut func, body, self.features.refuses_objects())?;
                self.allocations = func.into_allocations();
            }
            When::Asked => {
                self.resources.get_or_insert(func.resources);
            }
        }
        let range = body.range();
        self.ranges.push(range.start as u32..range.end as u32);
        Ok(())
    }

    /// Whether there has been none so far.
    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// All of them.
    pub(crate) fn finish(self) -> Bodies {
        let features = self.features.validated();
        let unknown = self.resources.map(|resources| {
            let words = self.ranges.len().div_ceil(WORD_BITS);
            Arc::new(Unknown {
                is_reduced: self.validated != features,
                first: Known {
                    resources,
                    features: self.validated,
                },
                whole: OnceLock::new(),
                all: OnceLock::new(),
                features: self.features,
                valid: (0..words).map(|_| AtomicU64::new(0)).collect(),
                allocations: Mutex::default(),
            })
        });
        Bodies {
            ranges: self.ranges,
            features,
            unknown,
        }
    }
}

/// What the validator knows of a module when it comes to the bodies, and what it lets through.
#[derive(Clone, Debug)]
struct Known {
    resources: ValidatorResources,
    features: WasmFeatures,
}

impl Known {
    /// Of a module that has bodies, all of which are skipped.
    fn read(bytes: &[u8], features: WasmFeatures) -> Result<Known, Error> {
        let mut validator = Validator::new_with_features(features);
        let mut parser = Parser::new(0);
        parser.set_features(features);
        for payload in parser.parse_all(bytes) {
            if let ValidPayload::Func(func, _) = validator.payload(&payload?)? {
                let resources = func.resources;
                return Ok(Known {
                    resources,
                    features,
                });
            }
        }
        // It had bodies when it was parsed.
        Err(Error::NoBody { func: 0 })
    }
}

/// Bodies that may not be valid.
struct Unknown {
    /// What the module may use.
    features: Features,
    /// From when the module was parsed.
    first: Known,
    /// Whether that is without references to types, see [`Features::without_typed_references`].
    is_reduced: bool,
    /// If it is, with them: read when a body is not valid without.
    whole: OnceLock<Result<Known, Error>>,
    /// With every proposal, to find out which of them a body needs: read when one is not valid. Nothing if the
    /// module is not valid so.
    all: OnceLock<Option<Known>>,
    /// A bit for each body: whether it is known to be valid.
    valid: Box<[AtomicU64]>,
    /// What validations have left for the next ones: one for each that ran at the same time.
    allocations: Mutex<Vec<FuncValidatorAllocations>>,
}

/// What a longer body has needed is not kept: such bodies are rare, and it would stay as long as the module.
const MOST_SCRATCH_BYTES: u64 = 1 << 14;

const WORD_BITS: usize = u64::BITS as usize;

impl Unknown {
    /// Validates a body unless that has been done. Threads that ask for the same body at the same time may all do so, and
    /// find the same.
    fn validate(
        &self,
        bytes: &[u8],
        func: u32,
        defined: usize,
        ty: u32,
        range: Range<usize>,
    ) -> Result<(), Error> {
        let (word, bit) = (&self.valid[defined / WORD_BITS], 1 << (defined % WORD_BITS));
        // Bodies never change, so that there is nothing else to be seen by who sees the bit.
        if word.load(Ordering::Relaxed) & bit != 0 {
            return Ok(());
        }
        let with = |known: &Known, refuses_objects| {
            self.validate_as(known, bytes, func, ty, range.clone(), refuses_objects)
        };
        let refuses_objects = self.features.refuses_objects();
        let result = match with(&self.first, refuses_objects) {
            Err(_) if self.is_reduced => self.whole(bytes).and_then(|whole| {
                // What is valid without references to types is valid with them.
                with(whole, refuses_objects)
            }),
            result => result,
        };
        match result {
            Ok(()) => {
                word.fetch_or(bit, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => Err(error.with_missing(|_| {
                let Some(all) = self.all(bytes) else {
                    return Vec::new();
                };
                match with(all, false) {
                    Ok(()) => missing::from_body(&self.features, |features| {
                        read(bytes, range.clone(), features)
                    }),
                    Err(_) => Vec::new(),
                }
            })),
        }
    }

    fn validate_as(
        &self,
        known: &Known,
        bytes: &[u8],
        func: u32,
        ty: u32,
        range: Range<usize>,
        refuses_objects: bool,
    ) -> Result<(), Error> {
        let allocations = self.allocations().pop().unwrap_or_default();
        let mut validator = FuncToValidate {
            resources: known.resources.clone(),
            index: func,
            ty,
            features: known.features,
        }
        .into_validator(allocations);
        let body = read(bytes, range, known.features);
        let result = validate::body(&mut validator, &body, refuses_objects);
        if body.range().end - body.range().start <= MOST_SCRATCH_BYTES {
            self.allocations().push(validator.into_allocations());
        }
        result
    }

    fn whole(&self, bytes: &[u8]) -> Result<&Known, Error> {
        let read = || Known::read(bytes, self.features.validated());
        let whole = self.whole.get_or_init(read);
        whole.as_ref().map_err(Error::clone)
    }

    fn all(&self, bytes: &[u8]) -> Option<&Known> {
        let read = || Known::read(bytes, self.features.with_all()).ok();
        self.all.get_or_init(read).as_ref()
    }

    fn allocations(&self) -> MutexGuard<'_, Vec<FuncValidatorAllocations>> {
        // Nothing that can panic runs with the lock.
        (self.allocations.lock()).unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.valid.iter();
        let valid: u32 = words
            .map(|word| word.load(Ordering::Relaxed).count_ones())
            .sum();
        f.debug_struct("Unknown")
            .field("valid", &valid)
            .finish_non_exhaustive()
    }
}
