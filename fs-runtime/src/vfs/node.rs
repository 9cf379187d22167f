//! Nodes in hand. Whoever holds one owes the file system a forget.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use fuser::{FileAttr, FileType, INodeNo};

use crate::backend::{Backend, Entry};

/// One look-up of a node that outlives a request. Dropping it forgets the look-up.
pub(crate) struct Held {
    backend: Arc<dyn Backend>,
    node: u64,
}

impl Held {
    /// The node's id.
    pub(super) fn node(&self) -> u64 {
        self.node
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.backend.forget(INodeNo(self.node), 1);
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Held").field(&self.node).finish()
    }
}

/// A node that the file system named just now. Dropping it forgets the look-up.
pub(super) struct Found<'v> {
    backend: &'v Arc<dyn Backend>,
    entry: Entry,
}

impl<'v> Found<'v> {
    /// `entry` counts as one look-up.
    pub(super) fn new(backend: &'v Arc<dyn Backend>, entry: Entry) -> Self {
        Found { backend, entry }
    }

    /// The node's id.
    pub(super) fn node(&self) -> u64 {
        self.entry.node.0
    }

    /// Whether it is a directory.
    pub(super) fn is_dir(&self) -> bool {
        self.entry.attr.kind == FileType::Directory
    }

    /// Makes the look-up last.
    pub(super) fn hold(self) -> Arc<Held> {
        let held = Held {
            backend: Arc::clone(self.backend),
            node: self.node(),
        };
        std::mem::forget(self);
        Arc::new(held)
    }
}

impl Deref for Found<'_> {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        &self.entry
    }
}

impl Drop for Found<'_> {
    fn drop(&mut self) {
        self.backend.forget(self.entry.node, 1);
    }
}

/// Why a node in hand stays alive.
pub(super) enum Hold<'v> {
    /// The kernel holds it: the root, or what a caller's descriptor or cwd refers to.
    Kernel,
    /// The name cache holds it too.
    Cached(#[allow(dead_code)] Arc<Held>),
    /// This request looked it up; the field is there to be dropped.
    Own(#[allow(dead_code)] Found<'v>),
}

/// A directory in a walk.
pub(super) struct Dir<'v> {
    /// The node's id.
    pub(super) node: u64,
    /// What keeps it alive.
    pub(super) hold: Hold<'v>,
}

/// The directories passed on the way down, base first. They stay in hand until the
/// operation is over, as the kernel's dentries hold their parents: a file system may find
/// a node by its parents.
#[derive(Default)]
pub(super) struct Above<'v>(Vec<Dir<'v>>);

impl<'v> Above<'v> {
    /// One down from `dir`.
    pub(super) fn push(&mut self, dir: Dir<'v>) {
        self.0.push(dir);
    }

    /// One up.
    pub(super) fn pop(&mut self) -> Option<Dir<'v>> {
        self.0.pop()
    }
}

impl Drop for Above<'_> {
    fn drop(&mut self) {
        // Children are forgotten before their parents.
        while self.0.pop().is_some() {}
    }
}

/// What a path leads to.
pub(super) struct Target<'v> {
    /// The node's id.
    pub(super) node: u64,
    /// Its attributes, asked for in this request.
    pub(super) attr: FileAttr,
    /// What keeps it alive.
    #[allow(dead_code)] // Held until the operation is over.
    pub(super) hold: Hold<'v>,
    /// Where it was found.
    #[allow(dead_code)] // As above.
    pub(super) above: Above<'v>,
}

impl Target<'_> {
    /// Whether it is a directory.
    pub(super) fn is_dir(&self) -> bool {
        self.attr.kind == FileType::Directory
    }

    /// Whether it is a regular file.
    pub(super) fn is_regular(&self) -> bool {
        self.attr.kind == FileType::RegularFile
    }
}

/// The type bits of a mode.
pub(super) fn type_bits(kind: FileType) -> u32 {
    match kind {
        FileType::NamedPipe => libc::S_IFIFO,
        FileType::CharDevice => libc::S_IFCHR,
        FileType::BlockDevice => libc::S_IFBLK,
        FileType::Directory => libc::S_IFDIR,
        FileType::RegularFile => libc::S_IFREG,
        FileType::Symlink => libc::S_IFLNK,
        FileType::Socket => libc::S_IFSOCK,
    }
}

/// Type and permission bits.
pub(super) fn mode(attr: &FileAttr) -> u32 {
    type_bits(attr.kind) | u32::from(attr.perm) & 0o7777
}
