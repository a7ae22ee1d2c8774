//! Everything exported.

use std::convert::Infallible;

use anyhow::{Result, anyhow};
use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{ExportKind, ExportSection, Module, SectionId};
use wasmparser::{Parser, Payload, TypeRef};

/// The same module with everything exported and nothing else: `f0`, `f1` … for functions, likewise `g`, `t`, `m` and, for tags, `e`.
///
/// # Errors
///
/// If this is no module.
pub fn export_all(wasm: &[u8]) -> Result<Vec<u8>> {
    let mut exports = Exports {
        section: all_exports(wasm)?,
        written: false,
    };
    let mut module = Module::new();
    exports
        .parse_core_module(&mut module, Parser::new(0), wasm)
        .map_err(|error| anyhow!("{error}"))?;
    Ok(module.finish())
}

fn all_exports(wasm: &[u8]) -> Result<ExportSection> {
    let (mut functions, mut tables, mut memories, mut globals, mut tags) = (0, 0, 0, 0, 0);
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    match import?.ty {
                        TypeRef::Func(_) | TypeRef::FuncExact(_) => functions += 1,
                        TypeRef::Table(_) => tables += 1,
                        TypeRef::Memory(_) => memories += 1,
                        TypeRef::Global(_) => globals += 1,
                        TypeRef::Tag(_) => tags += 1,
                    }
                }
            }
            Payload::FunctionSection(section) => functions += section.count(),
            Payload::TableSection(section) => tables += section.count(),
            Payload::MemorySection(section) => memories += section.count(),
            Payload::GlobalSection(section) => globals += section.count(),
            Payload::TagSection(section) => tags += section.count(),
            _ => {}
        }
    }
    let mut exports = ExportSection::new();
    for (letter, kind, count) in [
        ("f", ExportKind::Func, functions),
        ("t", ExportKind::Table, tables),
        ("m", ExportKind::Memory, memories),
        ("g", ExportKind::Global, globals),
        ("e", ExportKind::Tag, tags),
    ] {
        for number in 0..count {
            exports.export(&format!("{letter}{number}"), kind, number);
        }
    }
    Ok(exports)
}

struct Exports {
    section: ExportSection,
    written: bool,
}

impl Reencode for Exports {
    type Error = Infallible;

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        _: wasmparser::ExportSectionReader<'_>,
    ) -> Result<(), reencode::Error<Infallible>> {
        *exports = self.section.clone();
        self.written = true;
        Ok(())
    }

    fn intersperse_section_hook(
        &mut self,
        module: &mut Module,
        _: Option<SectionId>,
        before: Option<SectionId>,
    ) -> Result<(), reencode::Error<Infallible>> {
        let later = match before {
            None => true,
            Some(id) => {
                matches!(
                    id,
                    SectionId::Start
                        | SectionId::Element
                        | SectionId::Code
                        | SectionId::Data
                        | SectionId::DataCount
                )
            }
        };
        if later && !self.written {
            module.section(&self.section);
            self.written = true;
        }
        Ok(())
    }
}
