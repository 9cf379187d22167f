//! Trees as text, to compare.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// One line a node below `root`: path, kind, mode, owner, links, size, target, content; times only when they
/// were set to something long past.
///
/// Absolute symbolic links name the `mount`; what is below it is shown as `@`.
pub(crate) fn describe(root: &Path, mount: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    add((root, mount), root, &mut lines);
    lines.sort();
    lines
}

fn add(roots: (&Path, &Path), dir: &Path, lines: &mut Vec<String>) {
    let entries = fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    for entry in entries {
        let path = entry.unwrap().path();
        lines.push(line(roots, &path));
        if path.symlink_metadata().is_ok_and(|it| it.is_dir()) {
            add(roots, &path, lines);
        }
    }
}

fn line((root, mount): (&Path, &Path), path: &Path) -> String {
    const LONG_PAST: i64 = 1_000_000_000;
    let name = path.strip_prefix(root).unwrap();
    let it = match path.symlink_metadata() {
        Ok(it) => it,
        Err(error) => return format!("{name:?}: {error}"),
    };
    let mut line = format!(
        "{name:?} {:o} {}:{} links {} rdev {}",
        it.mode(),
        it.uid(),
        it.gid(),
        it.nlink(),
        it.rdev()
    );
    if !it.is_dir() {
        line += &format!(" size {}", it.len());
    }
    if it.mtime() < LONG_PAST {
        line += &format!(" mtime {}.{}", it.mtime(), it.mtime_nsec());
    }
    if it.file_type().is_symlink() {
        let target = fs::read_link(path).map(|target| match target.strip_prefix(mount) {
            Ok(rest) => Path::new("@").join(rest),
            Err(_) => target,
        });
        line += &format!(" -> {target:?}");
    } else if it.is_file() && it.len() < 1 << 16 {
        line += &format!(" {:x?}", fs::read(path).map(|bytes| sum(&bytes)).ok());
    }
    line
}

fn sum(bytes: &[u8]) -> u64 {
    let step = |sum: u64, byte: &u8| sum.wrapping_mul(31).wrapping_add(u64::from(*byte));
    bytes.iter().fold(7, step)
}
