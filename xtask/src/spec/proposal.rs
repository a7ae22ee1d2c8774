//! Which WebAssembly proposals a script needs beyond what Palisade implements.
//!
//! Nothing here goes by a script's name. A script needs a proposal if a module that it expects to be
//! valid is valid only with that proposal ([`missing_features`] tells, by trying), or if a directive or
//! a value in it exists only with the proposal. The runner then also asks the engine, which has to
//! refuse the same modules: so nothing here can hide a failure.

use std::collections::BTreeSet;

use vm_translate::{Features, missing_features};
use wast::core::{AbstractHeapType, HeapType, WastArgCore, WastRetCore};
use wast::{QuoteWat, Wast, WastArg, WastDirective, WastExecute, WastInvoke, WastRet, Wat};

/// A module that only validates with missing proposals.
pub(crate) struct Witness {
    /// Where the module starts, in bytes of the script's text.
    pub(crate) offset: usize,
    /// The module in the binary format.
    pub(crate) module: Vec<u8>,
}

/// What a directive of a script needs beyond what the engine implements.
#[derive(Default)]
pub(crate) struct Needs {
    /// Names of proposals.
    pub(crate) proposals: BTreeSet<&'static str>,
    /// Its modules that need a missing proposal.
    pub(crate) witnesses: Vec<Witness>,
    /// A module of it that the validator does not take whatever proposals are on.
    hopeless: Option<Witness>,
    /// What the engine has on.
    features: Features,
}

/// What a module in the binary format imports, by its two names.
pub(crate) fn imports(module: &[u8]) -> Vec<(String, String)> {
    let mut names = Vec::new();
    for payload in wasmparser::Parser::new(0).parse_all(module) {
        if let Ok(wasmparser::Payload::ImportSection(section)) = payload {
            let imports = section.into_imports().filter_map(Result::ok);
            names.extend(imports.map(|import| (import.module.to_owned(), import.name.to_owned())));
        }
    }
    names
}

impl Needs {
    /// Finds out what each directive of the script `wast` needs. Encoding resolves names in place, so
    /// `wast` should be parsed again for running it.
    pub(crate) fn of(wast: &mut Wast<'_>, features: &Features) -> Vec<Needs> {
        let of_directive = |directive: &mut WastDirective<'_>| {
            let mut needs = Needs {
                features: features.clone(),
                ..Needs::default()
            };
            needs.directive(directive);
            needs
        };
        wast.directives.iter_mut().map(of_directive).collect()
    }

    /// A proposal can be so new that the validator does not know all of it. So in a script that needs
    /// missing proposals, a module that the validator takes under no circumstances needs them too.
    pub(crate) fn spread(needs: &mut [Needs]) {
        let all: BTreeSet<_> = needs.iter().flat_map(|needs| &needs.proposals).collect();
        let all: BTreeSet<_> = all.into_iter().copied().collect();
        for needs in needs {
            if let Some(witness) = needs.hopeless.take() {
                needs.proposals.extend(&all);
                needs.witnesses.push(witness);
            }
        }
    }

    fn directive(&mut self, directive: &mut WastDirective<'_>) {
        let offset = directive.span().offset();
        match directive {
            WastDirective::Module(module) | WastDirective::ModuleDefinition(module) => {
                if let Ok(bytes) = module.encode() {
                    self.module(offset, bytes);
                }
                if is_component(module) {
                    self.proposals.insert("component-model");
                }
            }
            WastDirective::AssertUnlinkable { module, .. } => self.wat(offset, module),
            WastDirective::AssertTrap { exec, .. } => self.execute(offset, exec),
            WastDirective::AssertReturn { exec, results, .. } => {
                self.execute(offset, exec);
                for result in results {
                    self.result(result);
                }
            }
            WastDirective::AssertException { exec, .. } => self.execute(offset, exec),
            WastDirective::AssertSuspension { .. } => {
                self.proposals.insert("stack-switching");
            }
            WastDirective::AssertExhaustion { call, .. } => self.invoke(call),
            WastDirective::Invoke(call) => self.invoke(call),
            WastDirective::Thread(_) | WastDirective::Wait { .. } => {
                self.proposals.insert("threads");
            }
            // Modules that are expected to be refused tell nothing about what has to be there, and
            // the others have no module.
            WastDirective::AssertMalformed { .. }
            | WastDirective::AssertInvalid { .. }
            | WastDirective::AssertMalformedCustom { .. }
            | WastDirective::AssertInvalidCustom { .. }
            | WastDirective::ModuleInstance { .. }
            | WastDirective::Register { .. } => {}
        }
    }

    fn execute(&mut self, offset: usize, execute: &mut WastExecute<'_>) {
        match execute {
            WastExecute::Invoke(call) => self.invoke(call),
            WastExecute::Wat(module) => self.wat(offset, module),
            WastExecute::Get { .. } => {}
        }
    }

    fn wat(&mut self, offset: usize, module: &mut Wat<'_>) {
        if let Ok(bytes) = module.encode() {
            self.module(offset, bytes);
        }
    }

    fn invoke(&mut self, call: &WastInvoke<'_>) {
        for argument in &call.args {
            let proposal = match argument {
                WastArg::Core(WastArgCore::RefNull(ty)) if !is_base_heap_type(ty) => "gc",
                WastArg::Core(WastArgCore::RefHost(_)) => "gc",
                WastArg::Core(_) => continue,
                _ => "component-model",
            };
            self.proposals.insert(proposal);
        }
    }

    fn result(&mut self, result: &WastRet<'_>) {
        match result {
            WastRet::Core(result) => self.core_result(result),
            _ => {
                self.proposals.insert("component-model");
            }
        }
    }

    fn core_result(&mut self, result: &WastRetCore<'_>) {
        let proposal = match result {
            WastRetCore::RefNull(Some(ty)) if !is_base_heap_type(ty) => "gc",
            WastRetCore::RefHost(_)
            | WastRetCore::RefAny
            | WastRetCore::RefEq
            | WastRetCore::RefArray
            | WastRetCore::RefStruct
            | WastRetCore::RefI31 => "gc",
            WastRetCore::RefI31Shared => "shared-everything-threads",
            WastRetCore::Either(results) => {
                for result in results {
                    self.core_result(result);
                }
                return;
            }
            _ => return,
        };
        self.proposals.insert(proposal);
    }

    fn module(&mut self, offset: usize, module: Vec<u8>) {
        let missing = missing_features(&module, &self.features);
        if !missing.is_empty() {
            self.proposals.extend(missing);
            self.witnesses.push(Witness { offset, module });
        } else if vm_translate::Module::new(&module[..], &self.features).is_err() {
            self.hopeless = Some(Witness { offset, module });
        }
    }
}

fn is_component(module: &QuoteWat<'_>) -> bool {
    matches!(
        module,
        QuoteWat::Wat(Wat::Component(_)) | QuoteWat::QuoteComponent(..)
    )
}

/// Whether a null of this heap type is one of functions, of the host's things or of exceptions.
fn is_base_heap_type(ty: &HeapType<'_>) -> bool {
    matches!(
        ty,
        HeapType::Abstract {
            shared: false,
            ty: AbstractHeapType::Func
                | AbstractHeapType::Extern
                | AbstractHeapType::NoFunc
                | AbstractHeapType::NoExtern
                | AbstractHeapType::Exn
                | AbstractHeapType::NoExn
        }
    )
}

#[cfg(test)]
mod tests {
    use wast::parser::{ParseBuffer, parse};

    use super::*;

    fn needs(script: &str) -> Vec<&'static str> {
        let buffer = ParseBuffer::new(script).expect("the script's tokens");
        let mut wast = parse::<Wast<'_>>(&buffer).expect("the script's grammar");
        let needs = Needs::of(&mut wast, &Features::default()).into_iter();
        let all: BTreeSet<_> = needs.flat_map(|needs| needs.proposals).collect();
        all.into_iter().collect()
    }

    #[test]
    fn webassembly_2_needs_nothing() {
        let script = r#"
            (module
              (table 1 externref)
              (func (export "f") (param i32) (result i32 f64)
                (i32.extend8_s (i32.trunc_sat_f64_s (f64.const 1))) (f64.const 2))
              (memory 1)
              (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 1))))
            (module (func (export "v") (param v128) (result v128) (local.get 0)))
            (assert_return (invoke "f" (i32.const 1)) (i32.const 1) (f64.const 2))
            (assert_return (invoke "v" (v128.const i64x2 1 2)) (v128.const i64x2 1 2))"#;
        assert_eq!(needs(script), [""; 0]);
    }

    #[test]
    fn every_missing_proposal_of_a_module_is_named() {
        assert_eq!(
            needs("(module (type $f (func)) (type (cont $f)) (type (struct)))"),
            ["gc", "stack-switching"]
        );
    }

    #[test]
    fn an_invalid_module_needs_nothing() {
        // It has to fail, not to be skipped.
        assert_eq!(needs("(module (func (result i32) i64.const 0))"), [""; 0]);
        assert_eq!(
            needs(r#"(assert_invalid (module (func (result i32))) "type mismatch")"#),
            [""; 0]
        );
    }

    #[test]
    fn directives_and_values_count() {
        assert_eq!(
            needs(r#"(assert_return (invoke "f" (ref.null any)))"#),
            ["gc"]
        );
        assert_eq!(needs(r#"(assert_exception (invoke "f"))"#), [""; 0]);
        assert_eq!(needs(r#"(assert_return (invoke "f") (ref.i31))"#), ["gc"]);
    }
}
