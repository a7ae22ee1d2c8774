//! The modules in the tree.

use std::path::{Path, PathBuf};

/// Every module below the folders `programs` and `examples`.
pub fn in_tree() -> Vec<PathBuf> {
    fn collect(folder: &Path, modules: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, modules);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "wasm")
            {
                modules.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut modules = Vec::new();
    collect(&root.join("programs"), &mut modules);
    collect(&root.join("examples"), &mut modules);
    modules.sort();
    modules
}
