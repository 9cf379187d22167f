//! One file system, and what is done with it.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::mount::End;

/// A file system that others wrote.
#[derive(Debug, Clone, Copy)]
pub struct Port {
    /// Its name, which is its program's.
    pub name: &'static str,
    /// What uses it: a shell script in `integration/ports`. It gets the mountpoint, a directory beside it, the
    /// directory of the client programs or a number, and prints what is compared.
    pub script: &'static str,
    /// What its program is called with.
    pub arguments: fn(&Places) -> Vec<OsString>,
    /// How its process ends.
    pub end: End,
    /// Whether calls of the script must have been bypassed.
    pub bypassed: bool,
    /// Whether it can be used by several at once: then the script also comes through both doors together.
    pub together: bool,
}

/// Where a file system finds what it needs.
#[derive(Debug, Clone)]
pub struct Places {
    /// Where it mounts.
    pub mountpoint: PathBuf,
    /// A directory for its data.
    pub data: PathBuf,
}
