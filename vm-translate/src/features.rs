//! Which proposals a module may use.

use wasmparser::WasmFeatures;

/// The proposals that modules may use.
///
/// The default is WebAssembly 2.0 and of later proposals those that are implemented. Proposals go by the names of
/// their repositories at <https://github.com/WebAssembly>, more or less: see [`Features::names`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Features {
    wasm: WasmFeatures,
}

/// Proposals that are implemented and part of the standard, or about to be: all of them are on by default and can be turned off.
///
/// What the proposal gc says of functions, their types' recursion groups and subtypes, comes with function-references: in
/// WebAssembly 3.0 neither is to be had without the other. See [`Features::validated`].
const IMPLEMENTED: &[(&str, WasmFeatures)] = &[
    ("mutable-global", WasmFeatures::MUTABLE_GLOBAL),
    (
        "saturating-float-to-int",
        WasmFeatures::SATURATING_FLOAT_TO_INT,
    ),
    ("sign-extension", WasmFeatures::SIGN_EXTENSION),
    ("multi-value", WasmFeatures::MULTI_VALUE),
    ("reference-types", WasmFeatures::REFERENCE_TYPES),
    ("bulk-memory", WasmFeatures::BULK_MEMORY),
    ("simd", WasmFeatures::SIMD),
    ("relaxed-simd", WasmFeatures::RELAXED_SIMD),
    ("extended-const", WasmFeatures::EXTENDED_CONST),
    ("tail-call", WasmFeatures::TAIL_CALL),
    ("wide-arithmetic", WasmFeatures::WIDE_ARITHMETIC),
    ("multi-memory", WasmFeatures::MULTI_MEMORY),
    ("custom-page-sizes", WasmFeatures::CUSTOM_PAGE_SIZES),
    ("memory64", WasmFeatures::MEMORY64),
    ("function-references", WasmFeatures::FUNCTION_REFERENCES),
    ("exceptions", WasmFeatures::EXCEPTIONS),
    ("threads", WasmFeatures::THREADS),
];

/// Proposals that are implemented but no part of the standard: they are off by default and can be turned on.
const OPTIONAL: &[(&str, WasmFeatures)] = &[("legacy-exceptions", WasmFeatures::LEGACY_EXCEPTIONS)];

/// Proposals that the validator knows but that are not implemented, those that others build on
/// first.
const UNIMPLEMENTED: &[(&str, WasmFeatures)] = &[
    ("gc", WasmFeatures::GC),
    ("compact-imports", WasmFeatures::COMPACT_IMPORTS),
    ("memory-control", WasmFeatures::MEMORY_CONTROL),
    ("stack-switching", WasmFeatures::STACK_SWITCHING),
    ("custom-descriptors", WasmFeatures::CUSTOM_DESCRIPTORS),
    (
        "shared-everything-threads",
        WasmFeatures::SHARED_EVERYTHING_THREADS,
    ),
    (
        "acquire-release-atomics",
        WasmFeatures::ACQUIRE_RELEASE_ATOMICS,
    ),
];

/// Why a proposal cannot be turned on or off.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeatureError {
    /// No proposal has this name.
    #[error("there is no proposal `{0}`; those that can be set are {names}", names = Features::names().collect::<Vec<_>>().join(", "))]
    Unknown(String),
    /// The proposal is not implemented, so it cannot be turned on.
    #[error("the proposal `{0}` is not implemented yet: it has to stay off")]
    NotImplemented(&'static str),
}

/// Those that can be turned on and off.
fn settable() -> impl Iterator<Item = &'static (&'static str, WasmFeatures)> {
    IMPLEMENTED.iter().chain(OPTIONAL)
}

/// All that have names here.
fn known() -> impl Iterator<Item = &'static (&'static str, WasmFeatures)> {
    settable().chain(UNIMPLEMENTED)
}

impl Features {
    /// The names of the proposals that can be turned on and off.
    pub fn names() -> impl Iterator<Item = &'static str> {
        settable().map(|(name, _)| *name)
    }

    /// Turns a proposal on or off.
    ///
    /// # Errors
    ///
    /// If there is no proposal of this name, or it is to be turned on but is not implemented.
    pub fn set(&mut self, name: &str, on: bool) -> Result<&mut Features, FeatureError> {
        if let Some((_, flag)) = settable().find(|(known, _)| *known == name) {
            self.wasm.set(*flag, on);
            return Ok(self);
        }
        match UNIMPLEMENTED.iter().find(|(known, _)| *known == name) {
            Some((name, _)) if on => Err(FeatureError::NotImplemented(name)),
            Some(_) => Ok(self),
            None => Err(FeatureError::Unknown(name.to_owned())),
        }
    }

    /// Whether a proposal is on; nothing if no proposal has this name.
    pub fn get(&self, name: &str) -> Option<bool> {
        known()
            .find(|(known, _)| *known == name)
            .map(|(_, flag)| self.wasm.contains(*flag))
    }

    /// Whether modules may compute with floats, which is no proposal: they may unless this says no.
    pub fn set_floats(&mut self, on: bool) -> &mut Features {
        self.wasm.set(WasmFeatures::FLOATS, on);
        self
    }

    pub(crate) fn wasm(&self) -> WasmFeatures {
        self.wasm
    }

    /// What the validator is to let through. Of the proposal gc it is more than there is, unless that is on: see
    /// [`Features::refuses_objects`].
    pub(crate) fn validated(&self) -> WasmFeatures {
        validated(self.wasm)
    }

    /// The same without references to types, their recursion groups and their subtypes, and without exceptions: for these
    /// the validator keeps types in the same way.
    pub(crate) fn without_typed_references(&self) -> WasmFeatures {
        let typed = WasmFeatures::FUNCTION_REFERENCES | WasmFeatures::GC;
        self.wasm - typed - WasmFeatures::EXCEPTIONS - WasmFeatures::LEGACY_EXCEPTIONS
    }

    /// Whether what the validator lets through has to be looked through for objects of the proposal gc.
    pub(crate) fn refuses_objects(&self) -> bool {
        self.validated() != self.wasm
    }

    /// Every proposal that the validator knows and that has a name here.
    pub(crate) fn each() -> impl Iterator<Item = WasmFeatures> {
        known().map(|(_, flag)| *flag)
    }

    /// What is on here, and all the others too.
    pub(crate) fn with_all(&self) -> WasmFeatures {
        Features::each().fold(self.wasm, |all, flag| all | flag)
    }

    /// The names of those that are off.
    pub(crate) fn names_of_off(&self, flags: WasmFeatures) -> Vec<&'static str> {
        let off = flags - self.wasm;
        known()
            .filter(|(_, flag)| off.intersects(*flag))
            .map(|(name, _)| *name)
            .collect()
    }
}

impl Default for Features {
    fn default() -> Features {
        let mut wasm = WasmFeatures::MVP;
        for (_, flag) in IMPLEMENTED {
            wasm |= *flag;
        }
        Features { wasm }
    }
}

/// What the validator is to let through if these proposals are on.
pub(crate) fn validated(wasm: WasmFeatures) -> WasmFeatures {
    match wasm.contains(WasmFeatures::FUNCTION_REFERENCES) {
        true => wasm | WasmFeatures::GC,
        false => wasm,
    }
}

/// A proposal's name, from that of the validator's constant.
pub(crate) fn proposal_name(constant: &str) -> String {
    constant.to_ascii_lowercase().replace('_', "-")
}

/// The proposal that a validator's constant belongs to: it has constants of their own for parts of
/// two proposals.
pub(crate) fn proposal_of(constant: &str) -> String {
    match constant {
        "BULK_MEMORY_OPT" => "bulk-memory".to_owned(),
        "CALL_INDIRECT_OVERLONG" => "reference-types".to_owned(),
        constant => proposal_name(constant),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn implemented_proposals_can_be_turned_on_and_off() {
        for name in Features::names() {
            let mut features = Features::default();
            let is_optional = OPTIONAL.iter().any(|(optional, _)| *optional == name);
            assert_eq!(features.get(name), Some(!is_optional));
            for on in [false, true, false] {
                features.set(name, on).unwrap();
                assert_eq!(features.get(name), Some(on));
            }
        }
    }

    #[test]
    fn unimplemented_proposals_cannot_be_turned_on() {
        for (name, _) in UNIMPLEMENTED {
            let mut features = Features::default();
            assert_eq!(features.get(name), Some(false));
            assert!(features.set(name, false).is_ok());
            assert_eq!(
                features.set(name, true).err(),
                Some(FeatureError::NotImplemented(name))
            );
        }
        assert!(Features::default().set("sse2", true).is_err());
    }

    #[test]
    fn names_are_those_of_errors() {
        for (name, flag) in known() {
            let (constant, _) = flag.iter_names().next().unwrap();
            assert_eq!(proposal_name(constant), *name);
        }
    }
}
