//! Which module of a crate imports which: `cargo xtask imports`.
//!
//! A module is a file or a folder directly below `src`; what is below a folder is the folder's own business.
//! The crate's root, which names all of them, does not count, and neither do tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use syn::visit::{self, Visit};
use syn::{Attribute, ItemMod, ItemUse, Macro, UseTree};

#[derive(Args)]
pub(crate) struct Options {
    /// Folders of the crates to look at
    #[arg(default_values = ["vm-interp", "vm-engine"])]
    crates: Vec<PathBuf>,
}

/// Prints the picture of each crate; fails if there is a circle.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let mut circles = 0;
    for folder in &options.crates {
        let imports = Imports::of(folder)?;
        print!("{}\n{imports}", folder.display());
        circles += imports.circles().len();
    }
    if circles > 0 {
        bail!("{circles} circles of modules that import each other; see above");
    }
    Ok(ExitCode::SUCCESS)
}

/// The modules of a crate, and what each imports.
struct Imports(BTreeMap<String, BTreeSet<String>>);

impl Imports {
    fn of(folder: &Path) -> Result<Imports> {
        let source = folder.join("src");
        let root = parse(&source.join("lib.rs"))?;
        let mut reexports = BTreeMap::new();
        for item in &root.items {
            if let syn::Item::Use(item) = item {
                leaves(&item.tree, &mut Vec::new(), &mut |path| {
                    if let [module, .., name] = path {
                        reexports.insert(name.clone(), module.clone());
                    }
                });
            }
        }
        let mut files = Vec::new();
        collect(&source, &mut Vec::new(), &mut files)?;
        let mut imports = BTreeMap::<String, BTreeSet<String>>::new();
        for (path, _) in &files {
            imports.entry(path[0].clone()).or_default();
        }
        let modules: BTreeSet<String> = imports.keys().cloned().collect();
        for (path, file) in files {
            let mut finder = Finder {
                path: path.clone(),
                found: BTreeSet::new(),
            };
            finder.visit_file(&parse(&file)?);
            let used = finder.found.into_iter().filter_map(|name| {
                let module = reexports.get(&name).unwrap_or(&name);
                (modules.contains(module) && *module != path[0]).then(|| module.clone())
            });
            imports.entry(path[0].clone()).or_default().extend(used);
        }
        Ok(Imports(imports))
    }

    /// The modules in an order in which each follows all that it imports, as far as there is one; modules
    /// that reach each other stand together.
    fn layers(&self) -> Vec<Vec<&str>> {
        let names: Vec<&str> = self.0.keys().map(String::as_str).collect();
        let reach: BTreeMap<&str, BTreeSet<&str>> = names
            .iter()
            .map(|name| (*name, self.reachable(name)))
            .collect();
        let mut layers: Vec<Vec<&str>> = Vec::new();
        for name in &names {
            let together = layers
                .iter_mut()
                .find(|layer| reach[layer[0]].contains(name) && reach[name].contains(layer[0]));
            match together {
                Some(layer) => layer.push(name),
                None => layers.push(vec![name]),
            }
        }
        // What a module reaches, everything above it reaches too.
        layers.sort_by_key(|layer| (reach[layer[0]].len(), layer[0]));
        layers
    }

    fn reachable(&self, from: &str) -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let mut todo: Vec<&str> = self.0[from].iter().map(String::as_str).collect();
        while let Some(name) = todo.pop() {
            if reached.insert(name) {
                todo.extend(self.0[name].iter().map(String::as_str));
            }
        }
        reached
    }

    /// The sets of modules that import each other, directly or not.
    fn circles(&self) -> Vec<Vec<&str>> {
        let mut layers = self.layers();
        layers.retain(|layer| layer.len() > 1);
        layers
    }
}

/// One module a line, below those that it imports.
impl std::fmt::Display for Imports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = self.0.keys().map(String::len).max().unwrap_or(0);
        for layer in self.layers() {
            for name in &layer {
                let imports: Vec<&str> = self.0[*name].iter().map(String::as_str).collect();
                let mut line = format!("  {name:width$}  {}", imports.join(" "));
                if layer.len() > 1 {
                    let _ = write!(line, "  (in a circle of {})", layer.len());
                }
                writeln!(f, "{}", line.trim_end())?;
            }
        }
        Ok(())
    }
}

fn parse(file: &Path) -> Result<syn::File> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    syn::parse_file(&text).with_context(|| file.display().to_string())
}

/// All files below a folder but the crate's root, with the paths of their modules. Those called `tests` are left
/// out.
fn collect(
    folder: &Path,
    path: &mut Vec<String>,
    files: &mut Vec<(Vec<String>, PathBuf)>,
) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let file = entry?.path();
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let name = name.into_owned();
        let root = path.is_empty() && name == "lib";
        if root || name == "tests" {
            continue;
        }
        if file.is_dir() {
            path.push(name);
            collect(&file, path, files)?;
            path.pop();
        } else if file.extension().is_some_and(|extension| extension == "rs") {
            let mut module = path.clone();
            if name != "mod" {
                module.push(name);
            }
            files.push((module, file));
        }
    }
    Ok(())
}

/// Calls `found` with the path of every name that is imported.
fn leaves(tree: &UseTree, path: &mut Vec<String>, found: &mut impl FnMut(&[String])) {
    match tree {
        UseTree::Path(tree) => {
            path.push(tree.ident.to_string());
            leaves(&tree.tree, path, found);
            path.pop();
        }
        UseTree::Name(name) => {
            path.push(name.ident.to_string());
            found(path);
            path.pop();
        }
        UseTree::Rename(name) => {
            path.push(name.ident.to_string());
            found(path);
            path.pop();
        }
        UseTree::Glob(_) => found(path),
        UseTree::Group(group) => {
            for tree in &group.items {
                leaves(tree, path, found);
            }
        }
    }
}

/// Finds what a file names directly below its crate's root.
struct Finder {
    /// The module that is being read.
    path: Vec<String>,
    found: BTreeSet<String>,
}

impl Finder {
    /// Notes a path that is used in the module.
    fn used(&mut self, path: &[String]) {
        let mut at = self.path.len();
        for (n, name) in path.iter().enumerate() {
            match name.as_str() {
                "crate" => at = 0,
                "self" => {}
                "super" => at = at.saturating_sub(1),
                // A path that does not say where it starts is another crate's, or the module's own.
                name => {
                    if n > 0 && at == 0 {
                        self.found.insert(name.to_owned());
                    }
                    return;
                }
            }
        }
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && (attribute.parse_args::<syn::Path>()).is_ok_and(|path| path.is_ident("test"))
    })
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if is_test(&module.attrs) {
            return;
        }
        self.path.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.path.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if !is_test(&item.attrs) {
            leaves(&item.tree, &mut Vec::new(), &mut |path| self.used(path));
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string());
        self.used(&names.collect::<Vec<_>>());
        visit::visit_path(self, path);
    }

    /// What macros get is tokens; paths in them are found by their text.
    fn visit_macro(&mut self, mac: &'ast Macro) {
        let text = mac.tokens.to_string().replace(' ', "");
        for start in ["crate::", "super::"] {
            for (at, _) in text.match_indices(start) {
                let path =
                    text[at..].split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
                let names = path.take(1).flat_map(|path| path.split("::"));
                self.used(&names.map(str::to_owned).collect::<Vec<_>>());
            }
        }
        visit::visit_macro(self, mac);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imports(modules: &[(&str, &[&str])]) -> Imports {
        let owned = |name: &&str| (*name).to_owned();
        let modules = modules
            .iter()
            .map(|(name, imports)| ((*name).to_owned(), imports.iter().map(owned).collect()));
        Imports(modules.collect())
    }

    fn workspace(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
    }

    #[test]
    fn circles_are_found_and_lines_are_none() {
        let line = imports(&[("a", &[]), ("b", &["a"]), ("c", &["a", "b"])]);
        assert!(line.circles().is_empty());
        assert_eq!(line.layers(), [["a"], ["b"], ["c"]]);
        let circle = imports(&[("a", &["c"]), ("b", &["a"]), ("c", &["b"]), ("d", &["a"])]);
        assert_eq!(circle.circles(), [["a", "b", "c"]]);
    }

    #[test]
    fn paths_are_resolved_wherever_they_stand() {
        let text = "
            use super::super::above::One;
            use crate::{beside::{Two, Three}, Reexported as Four};
            use super::sibling;
            use std::fmt;
            fn f() { crate::inline::g(); format!(\"{}\", crate::in_a_macro::H); super::own(); }
            mod inner { use super::super::super::deep; }
            #[cfg(test)] mod tests { use crate::only_in_tests; }
        ";
        let mut finder = Finder {
            path: vec!["folder".to_owned(), "file".to_owned()],
            found: BTreeSet::new(),
        };
        finder.visit_file(&syn::parse_str(text).unwrap());
        let found: Vec<_> = finder.found.iter().map(String::as_str).collect();
        let expected = [
            "Reexported",
            "above",
            "beside",
            "deep",
            "in_a_macro",
            "inline",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn the_machine_knows_no_executor_and_no_crate_has_a_circle() {
        for name in ["vm-interp", "vm-engine"] {
            let imports = Imports::of(&workspace(name)).unwrap();
            assert!(imports.circles().is_empty(), "{name}:\n{imports}");
        }
        let interp = Imports::of(&workspace("vm-interp")).unwrap();
        for above in ["direct", "token", "executors"] {
            assert!(!interp.reachable("machine").contains(above), "{interp}");
            assert!(
                interp.reachable("executors").contains("machine"),
                "{interp}"
            );
        }
    }
}
