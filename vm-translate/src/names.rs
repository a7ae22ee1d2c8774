//! The name section: names for people, which nothing depends on.

use std::collections::HashMap;

use wasmparser::{Name, NameSectionReader};

/// The names that a module gives to itself and to its functions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    module: Option<Box<str>>,
    funcs: HashMap<u32, Box<str>>,
}

impl Names {
    /// Reads a name section as far as it is well-formed: the specification wants errors in custom
    /// sections ignored.
    pub(crate) fn read(&mut self, section: NameSectionReader<'_>) {
        for name in section.into_iter().map_while(Result::ok) {
            match name {
                Name::Module { name, .. } => self.module = Some(name.into()),
                Name::Function(names) => {
                    for naming in names.into_iter().map_while(Result::ok) {
                        self.funcs.insert(naming.index, naming.name.into());
                    }
                }
                _ => {}
            }
        }
    }

    pub(crate) fn module(&self) -> Option<&str> {
        self.module.as_deref()
    }

    pub(crate) fn func(&self, func: u32) -> Option<&str> {
        self.funcs.get(&func).map(AsRef::as_ref)
    }
}
