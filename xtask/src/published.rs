//! Programs that people run, from public registries: `programs/published/list.toml`.
//!
//! They are fetched by name and version with the registry's own client (`pip`, `npm`) into `target/published`, and never
//! committed. Those for training have a say in which shapes there are; those for testing are only measured.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use crate::guest::Kind;
use crate::programs::{Program, in_tree_folder, output};

/// What a program is used for. None is used for both.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Use {
    Train,
    Test,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Registry {
    Pypi,
    Npm,
}

/// A published program and what it is given to do.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Published {
    pub(crate) name: String,
    #[serde(rename = "use")]
    pub(crate) purpose: Use,
    registry: Registry,
    package: String,
    version: String,
    /// The module's path in the package.
    file: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// Folders of the package that it is given: `PATH::GUEST`.
    #[serde(default)]
    directories: Vec<String>,
    /// What its output contains.
    pub(crate) prints: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    program: Vec<Published>,
}

/// The programs of the list whose name contains `filter`, fetched, as benchmarks have them.
pub(crate) fn programs(filter: &str) -> Result<Vec<Program>> {
    let listed = list()?.into_iter();
    let listed = listed.filter(|program| program.name.contains(filter));
    let program = |published: Published| {
        Ok(Program {
            name: match published.purpose {
                Use::Train => format!("{} (trained on)", published.name),
                Use::Test => published.name.clone(),
            },
            file: published.module()?,
            kind: Kind::Wasi,
            published: Some(published),
        })
    };
    listed.map(program).collect()
}

/// The programs of the list.
pub(crate) fn list() -> Result<Vec<Published>> {
    let file = folder().join("list.toml");
    let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let list: List = toml::from_str(&text).with_context(|| format!("in {}", file.display()))?;
    Ok(list.program)
}

impl Published {
    /// The module, fetched if it is not there yet.
    pub(crate) fn module(&self) -> Result<PathBuf> {
        let fetched = self.fetched().with_context(|| {
            let Published {
                package, version, ..
            } = self;
            format!("fetching {package} {version}")
        })?;
        let module = fetched.join(&self.file);
        ensure!(
            module.is_file(),
            "{} {} has no {}",
            self.package,
            self.version,
            self.file.display()
        );
        Ok(module)
    }

    /// The folders that it is given, each with its name in the guest.
    pub(crate) fn directories(&self) -> Result<Vec<(PathBuf, String)>> {
        let mut directories = vec![(folder(), ".".to_owned())];
        for directory in &self.directories {
            let (path, guest) = directory
                .split_once("::")
                .with_context(|| format!("`{directory}` of {} is not PATH::GUEST", self.name))?;
            directories.push((self.place().join(path), guest.to_owned()));
        }
        Ok(directories)
    }

    /// Whether it has folders that are not where the guest sees them, which not every engine's command can give it.
    pub(crate) fn has_mapped_directories(&self) -> bool {
        !self.directories.is_empty()
    }

    /// Where its package is unpacked.
    fn place(&self) -> PathBuf {
        let package = self.package.replace('/', "-");
        store().join(format!("{package}-{}", self.version))
    }

    fn fetched(&self) -> Result<PathBuf> {
        let place = self.place();
        if place.is_dir() {
            return Ok(place);
        }
        fs::create_dir_all(store())?;
        // Beside its place, to which it goes when it is whole.
        let unpacked = tempfile::tempdir_in(store())?;
        let inside = match self.registry {
            Registry::Pypi => {
                let wheel = format!("{}=={}", self.package, self.version);
                output(
                    Command::new("pip")
                        .args(["download", "--quiet", "--no-deps", "--only-binary", ":all:"])
                        .arg("--dest")
                        .arg(unpacked.path())
                        .arg(wheel),
                )?;
                let wheel = only_file(unpacked.path())?;
                output(
                    Command::new("python3")
                        .args(["-m", "zipfile", "-e"])
                        .arg(&wheel)
                        .arg(unpacked.path()),
                )?;
                fs::remove_file(wheel)?;
                unpacked.path().to_owned()
            }
            Registry::Npm => {
                output(
                    Command::new("npm")
                        .args(["pack", "--silent", "--pack-destination"])
                        .arg(unpacked.path())
                        .arg(format!("{}@{}", self.package, self.version)),
                )?;
                let archive = only_file(unpacked.path())?;
                output(
                    Command::new("tar")
                        .arg("-xzf")
                        .arg(&archive)
                        .arg("-C")
                        .arg(unpacked.path()),
                )?;
                unpacked.path().join("package")
            }
        };
        fs::rename(inside, &place)?;
        // Nothing is left in it, or it has become the place.
        drop(unpacked);
        Ok(place)
    }
}

fn only_file(folder: &Path) -> Result<PathBuf> {
    let mut files = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    match (files.pop(), files.len()) {
        (Some(file), 0) => Ok(file.path()),
        _ => bail!("one file was to be downloaded, not {}", files.len()),
    }
}

/// `programs/published`, with the list and the scripts, where they run.
pub(crate) fn folder() -> PathBuf {
    in_tree_folder().join("published")
}

/// `target/published`.
fn store() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| in_tree_folder().join("../target"));
    target.join("published")
}

#[cfg(test)]
mod tests {
    use super::list;

    #[test]
    fn every_program_has_a_version_and_a_name_of_its_own() {
        let list = list().unwrap();
        let mut names: Vec<_> = list.iter().map(|program| &program.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), list.len());
        for program in &list {
            assert!(program.directories().unwrap().len() > program.directories.len());
            assert!(!program.version.is_empty() && !program.prints.is_empty());
        }
    }
}
