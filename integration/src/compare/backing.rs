//! Where the pass-through file system's files lie.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use nix::mount::{MntFlags, umount2};
use nix::sys::statfs::{self, statfs};
use nix::unistd::{geteuid, syncfs};
use tempfile::TempDir;

/// Size of the loop file. Sparse: it takes what is used.
const IMAGE_BYTES: u64 = 4 << 30;

/// A directory to work in, taken away with everything below it when dropped.
#[derive(Debug)]
pub struct Backing {
    dir: PathBuf,
    kind: String,
    /// Kept for its end: unmounts, or removes.
    _hold: Hold,
}

#[derive(Debug)]
enum Hold {
    Loop { _mount: LoopMount },
    Directory { _dir: TempDir },
}

impl Backing {
    /// The directory below `given` if there is one; else ext4 with a journal on a loop file when root,
    /// else a tmpfs. A backing that is not `needed` is always the latter.
    ///
    /// # Errors
    /// No directory can be made.
    pub fn choose(given: Option<&Path>, needed: bool) -> Result<Self> {
        if let Some(given) = given {
            return Self::below(given);
        }
        if needed && geteuid().is_root() {
            match LoopMount::create() {
                Ok(mount) => {
                    let (dir, kind) = (mount.mountpoint(), "ext4, journal, loop file".to_owned());
                    return Ok(Self {
                        dir,
                        kind,
                        _hold: Hold::Loop { _mount: mount },
                    });
                }
                Err(error) => {
                    eprintln!("warning: no ext4 on a loop file, using a tmpfs: {error:#}");
                }
            }
        }
        Self::below(&tmpfs_dir())
    }

    fn below(parent: &Path) -> Result<Self> {
        let dir = temp_dir("finesse-backing.", parent)?;
        Ok(Self {
            dir: dir.path().to_owned(),
            kind: kind_of(parent),
            _hold: Hold::Directory { _dir: dir },
        })
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What it is, as in the reports.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// What it is and where.
    #[must_use]
    pub fn describe(&self) -> String {
        format!("{} at {}", self.kind, self.dir.display())
    }

    /// Writes out what is dirty, so that one column's journal does not slow the next.
    ///
    /// # Errors
    /// What syncfs(2) says.
    pub fn settle(&self) -> Result<()> {
        let dir =
            File::open(&self.dir).with_context(|| format!("cannot open {}", self.dir.display()))?;
        syncfs(&dir).with_context(|| format!("cannot sync {}", self.dir.display()))
    }
}

/// A fresh directory below `parent`.
///
/// # Errors
/// It cannot be made.
pub fn temp_dir(prefix: &str, parent: &Path) -> Result<TempDir> {
    let dir = tempfile::Builder::new().prefix(prefix).tempdir_in(parent);
    dir.with_context(|| format!("cannot make a directory in {}", parent.display()))
}

/// A directory on a tmpfs, or the directory for temporary files where there is none.
#[must_use]
pub fn tmpfs_dir() -> PathBuf {
    let shm = PathBuf::from("/dev/shm");
    if kind_of(&shm) == "tmpfs" {
        shm
    } else {
        env::temp_dir()
    }
}

/// The type of the file system that `path` lies on, by its magic number (statfs(2)).
#[must_use]
pub fn kind_of(path: &Path) -> String {
    let Ok(facts) = statfs(path) else {
        return "unknown".to_owned();
    };
    let known = [
        (statfs::TMPFS_MAGIC, "tmpfs"),
        (statfs::EXT4_SUPER_MAGIC, "ext4"),
        (statfs::XFS_SUPER_MAGIC, "xfs"),
        (statfs::BTRFS_SUPER_MAGIC, "btrfs"),
        (statfs::OVERLAYFS_SUPER_MAGIC, "overlay"),
    ];
    let kind = facts.filesystem_type();
    known
        .iter()
        .find(|(magic, _)| *magic == kind)
        .map_or_else(|| format!("{:#x}", kind.0), |(_, name)| (*name).to_owned())
}

/// A freshly made ext4 on a loop file. The kernel frees the loop device with the mount.
#[derive(Debug)]
struct LoopMount {
    root: Option<TempDir>,
    mounted: bool,
}

impl LoopMount {
    fn create() -> Result<Self> {
        let root = temp_dir("finesse-loop.", &env::temp_dir())?;
        let image = root.path().join("image");
        File::create(&image)
            .and_then(|file| file.set_len(IMAGE_BYTES))
            .context("cannot make the loop file")?;
        // No lazy initialisation: its thread would write while columns are timed.
        let no_lazy = "lazy_itable_init=0,lazy_journal_init=0";
        tool(
            "mkfs.ext4",
            ["-q", "-F", "-O", "has_journal", "-E", no_lazy].map(OsStr::new),
            &[&image],
        )?;
        let mut mount = Self {
            root: Some(root),
            mounted: false,
        };
        let mountpoint = mount.mountpoint();
        fs::create_dir(&mountpoint).context("cannot make the mountpoint")?;
        tool(
            "mount",
            ["-t", "ext4", "-o", "loop,noatime"].map(OsStr::new),
            &[&image, &mountpoint],
        )?;
        mount.mounted = true;
        ensure!(
            kind_of(&mountpoint) == "ext4",
            "nothing was mounted on {}",
            mountpoint.display()
        );
        Ok(mount)
    }

    fn mountpoint(&self) -> PathBuf {
        self.root
            .as_ref()
            .expect("taken only when dropped")
            .path()
            .join("ext4")
    }
}

impl Drop for LoopMount {
    fn drop(&mut self) {
        let mountpoint = self.mountpoint();
        let gone = !self.mounted
            || umount2(&mountpoint, MntFlags::empty()).is_ok()
            || umount2(&mountpoint, MntFlags::MNT_DETACH).is_ok();
        if !gone && let Some(root) = self.root.take() {
            eprintln!(
                "warning: {} is still mounted and is left behind",
                mountpoint.display()
            );
            let _ = root.keep();
        }
    }
}

fn tool<const N: usize>(name: &str, options: [&OsStr; N], paths: &[&Path]) -> Result<()> {
    let output = Command::new(name).args(options).args(paths).output();
    let output = output.with_context(|| format!("cannot run {name}"))?;
    if !output.status.success() {
        let said = OsStr::from_bytes(&output.stderr)
            .to_string_lossy()
            .trim()
            .to_owned();
        bail!("{name} failed ({}): {said}", output.status);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_directory_is_left_as_it_was() {
        let parent = tempfile::tempdir().unwrap();
        let backing = Backing::choose(Some(parent.path()), true).unwrap();
        assert!(backing.dir().starts_with(parent.path()));
        fs::write(backing.dir().join("file"), "x").unwrap();
        backing.settle().unwrap();
        drop(backing);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_missing_directory_is_named() {
        let error = Backing::choose(Some(Path::new("/no/such/place")), true).unwrap_err();
        assert!(error.to_string().contains("/no/such/place"));
    }
}
