//! Where one thread of a workload works, and what its names look like.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// One thread's directory.
#[derive(Debug, Clone)]
pub struct Place {
    dir: PathBuf,
}

impl Place {
    /// The directory of thread number `thread` below `root`.
    #[must_use]
    pub fn of_thread(root: &Path, thread: usize) -> Self {
        Self {
            dir: root.join(format!("t{thread}")),
        }
    }

    /// Creates the directory.
    ///
    /// # Errors
    /// What mkdir(2) says.
    pub fn create(&self) -> io::Result<()> {
        fs::create_dir(&self.dir)
    }

    /// The directory's path.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The full path of `name` below the directory.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The directory opened through whatever path `root` leads, for the *at* calls.
    ///
    /// # Errors
    /// What open(2) says.
    pub fn open(&self) -> io::Result<File> {
        File::open(&self.dir)
    }

    /// Full paths `KIND000000…`, ready for the kernel: none is built inside a timed loop.
    ///
    /// # Errors
    /// A path with a zero byte.
    pub fn paths(&self, kind: &str, count: usize) -> io::Result<Vec<CString>> {
        (0..count)
            .map(|index| c_path(&self.path(&numbered(kind, index))))
            .collect()
    }

    /// The same names relative to the directory.
    ///
    /// # Errors
    /// A name with a zero byte.
    pub fn names(&self, kind: &str, count: usize) -> io::Result<Vec<CString>> {
        (0..count)
            .map(|index| Ok(CString::new(numbered(kind, index))?))
            .collect()
    }

    /// Creates `count` empty files `KIND000000…`.
    ///
    /// # Errors
    /// What open(2) says.
    pub fn make_files(&self, kind: &str, count: usize) -> io::Result<()> {
        (0..count)
            .try_for_each(|index| File::create_new(self.path(&numbered(kind, index))).map(drop))
    }

    /// Creates `count` files of `bytes` bytes.
    ///
    /// # Errors
    /// What open(2) and write(2) say.
    pub fn make_filled(&self, kind: &str, count: usize, bytes: usize) -> io::Result<()> {
        let content = vec![b'f'; bytes];
        (0..count).try_for_each(|index| fs::write(self.path(&numbered(kind, index)), &content))
    }

    /// Creates `count` directories.
    ///
    /// # Errors
    /// What mkdir(2) says.
    pub fn make_directories(&self, kind: &str, count: usize) -> io::Result<()> {
        (0..count).try_for_each(|index| fs::create_dir(self.path(&numbered(kind, index))))
    }
}

/// A path as the kernel wants it.
///
/// # Errors
/// A path with a zero byte.
pub fn c_path(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

fn numbered(kind: &str, index: usize) -> String {
    format!("{kind}{index:06}")
}
