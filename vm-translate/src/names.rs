//! The name section: names for people, which nothing depends on.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::OnceLock;

use wasmparser::{BinaryReader, BinaryReaderError, Name, NameSectionReader};

use crate::hints::problem;

/// The names that a module gives to itself and to its functions. They are read when one is asked
/// for: most modules run without that.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// Where the contents of name sections are in the module's bytes.
    sections: Vec<Range<usize>>,
    read: OnceLock<Read>,
}

#[derive(Clone, Debug, Default)]
struct Read {
    module: Option<Box<str>>,
    funcs: HashMap<u32, Box<str>>,
    /// What is malformed, and where.
    problems: Vec<(String, u64)>,
}

impl Names {
    /// Notes where the contents of a name section are.
    pub(crate) fn add(&mut self, section: Range<usize>) {
        self.sections.push(section);
    }

    pub(crate) fn module(&self, bytes: &[u8]) -> Option<&str> {
        self.read(bytes).module.as_deref()
    }

    pub(crate) fn func(&self, bytes: &[u8], func: u32) -> Option<&str> {
        self.read(bytes).funcs.get(&func).map(AsRef::as_ref)
    }

    pub(crate) fn problems(&self, bytes: &[u8]) -> &[(String, u64)] {
        &self.read(bytes).problems
    }

    fn read(&self, bytes: &[u8]) -> &Read {
        self.read.get_or_init(|| {
            let mut read = Read::default();
            for section in &self.sections {
                let start = section.start as u64;
                let reader = BinaryReader::new(&bytes[section.clone()], start);
                if let Err(error) = read.section(NameSectionReader::new(reader)) {
                    read.problems.push(problem(error));
                }
            }
            read
        })
    }
}

impl Read {
    /// Reads a name section as far as it is well-formed; the error says where it no longer is.
    fn section(&mut self, section: NameSectionReader<'_>) -> Result<(), BinaryReaderError> {
        for name in section {
            match name? {
                Name::Module { name, .. } => self.module = Some(name.into()),
                Name::Function(names) => {
                    for naming in names {
                        let naming = naming?;
                        self.funcs.insert(naming.index, naming.name.into());
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}
