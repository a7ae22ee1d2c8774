//! The folder that the guests work in.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::Result;
use tempfile::TempDir;

/// Below this, what the guest's root is; beside it, what the guest must not reach.
pub(super) const ROOT: &str = "root";

/// A new folder with files, folders and links.
pub(super) fn make() -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("outside"), "not for guests")?;
    let root = folder.path().join(ROOT);
    fs::create_dir_all(root.join("dir/sub"))?;
    fs::create_dir(root.join("empty"))?;
    fs::write(
        root.join("file"),
        "some contents of a file, which are not short",
    )?;
    fs::write(root.join("nothing"), "")?;
    fs::write(root.join("dir/inner"), "inner")?;
    symlink("file", root.join("link"))?;
    symlink("dir", root.join("dirlink"))?;
    symlink("nowhere", root.join("broken"))?;
    symlink("loop", root.join("loop"))?;
    symlink("..", root.join("up"))?;
    symlink("../outside", root.join("out"))?;
    symlink("/etc/hostname", root.join("absolute"))?;
    symlink("../file", root.join("dir/back"))?;
    Ok(folder)
}

/// Everything below a folder, in order: names with contents, targets of links, or that it is a folder.
pub(super) fn list(folder: &Path) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    list_into(folder, "", &mut lines)?;
    lines.sort();
    Ok(lines)
}

fn list_into(folder: &Path, prefix: &str, lines: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}/{}", entry.file_name().to_string_lossy());
        let ty = entry.file_type()?;
        if ty.is_dir() {
            list_into(&entry.path(), &name, lines)?;
            lines.push(format!("{name}/"));
        } else if ty.is_symlink() {
            lines.push(format!(
                "{name} -> {}",
                fs::read_link(entry.path())?.display()
            ));
        } else {
            // Files with holes may be large.
            let mut bytes = Vec::new();
            File::open(entry.path())?
                .take(1 << 16)
                .read_to_end(&mut bytes)?;
            let shown = &bytes[..bytes.len().min(200)];
            let sum = bytes.iter().fold(0u32, |sum, byte| {
                sum.wrapping_mul(31).wrapping_add((*byte).into())
            });
            lines.push(format!(
                "{name}: {} bytes, {sum:#x}: {}",
                entry.metadata()?.len(),
                shown.escape_ascii()
            ));
        }
    }
    Ok(())
}
