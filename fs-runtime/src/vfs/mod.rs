//! The small VFS above a file system: walk, permission, one call, coherence.
//!
//! It repeats what Linux does above FUSE, in Linux's order, because errno depends on the
//! order; each function names the kernel's one. What depends on what only the kernel
//! knows is answered *not mine*, before anything is changed.
//!
//! Lock order: gates (by ascending node) before the name cache's locks; none of them is
//! held while the kernel is notified. A node in hand ([`node`]) is forgotten when the
//! request is over, a cached one when the cache drops it.

mod attributes;
mod create;
mod learned;
mod look;
mod mount;
mod name_cache;
mod node;
mod path;
mod permission;
mod remove;
mod rename;
mod stop;
mod subject;
#[cfg(test)]
pub(crate) mod tests;
mod walk;
mod xattr;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use finesse_wire::{Call, Credentials, NotMine, Place, Reply, Request, Stat, Statfs};

use crate::backend::{Backend, CallId};
use crate::coherence::{Change, Coherence};
use crate::gate::Gate;
use crate::kernel_view::KernelView;

pub use mount::{MountFacts, Negotiated};
pub(crate) use name_cache::NameCache;

use learned::Learned;
use stop::{Outcome, Stop};
use subject::Subject;
use walk::Walk;

/// Which nodes a session's walks may start from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Bases {
    /// Any that the kernel holds.
    Any,
    /// The root: the peer cannot prove that a caller holds another one.
    Root,
}

/// What came of a request that was done.
#[derive(Debug)]
enum Answer {
    Done,
    Stat(Stat),
    Statfs(Statfs),
    Bytes(Vec<u8>),
    Size(u32),
}

/// The VFS of one mount.
pub(crate) struct Vfs {
    backend: Arc<dyn Backend>,
    gate: Arc<Gate>,
    view: Arc<KernelView>,
    coherence: Arc<Coherence>,
    names: Arc<NameCache>,
    learned: Learned,
    mount: MountFacts,
}

impl fmt::Debug for Vfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vfs")
            .field("mount", &self.mount)
            .finish_non_exhaustive()
    }
}

/// One request being served.
struct Serving<'s> {
    vfs: &'s Vfs,
    who: Subject<'s>,
    bases: Bases,
    now: Instant,
}

impl Vfs {
    /// A VFS above `backend`.
    pub(crate) fn new(
        backend: Arc<dyn Backend>,
        gate: Arc<Gate>,
        view: Arc<KernelView>,
        coherence: Arc<Coherence>,
        mount: MountFacts,
    ) -> Self {
        Vfs {
            backend,
            gate,
            view,
            coherence,
            names: Arc::new(NameCache::new()),
            learned: Learned::default(),
            mount,
        }
    }

    /// The names that walks remember, to be told of changes.
    pub(crate) fn names(&self) -> &Arc<NameCache> {
        &self.names
    }

    /// The file system.
    pub(crate) fn backend(&self) -> &dyn Backend {
        self.backend.as_ref()
    }

    /// Serves the request `call` and replaces the content of `out` by the encoded reply.
    pub(crate) fn serve(
        &self,
        call: CallId,
        request: &Request<'_>,
        credentials: &Credentials,
        bases: Bases,
        out: &mut Vec<u8>,
    ) {
        let served = self.answer(call, request, credentials, bases);
        self.names.bury();
        match &served {
            Ok(Answer::Done) => Reply::Done,
            Ok(Answer::Stat(stat)) => Reply::Stat(*stat),
            Ok(Answer::Statfs(statfs)) => Reply::Statfs(*statfs),
            Ok(Answer::Bytes(bytes)) => Reply::Bytes(bytes),
            Ok(Answer::Size(size)) => Reply::Size(*size),
            Err(Stop::Errno(errno)) => Reply::Errno(*errno),
            Err(Stop::NotMine(reason)) => Reply::NotMine(*reason),
        }
        .encode(out);
    }

    fn answer(
        &self,
        call: CallId,
        request: &Request<'_>,
        credentials: &Credentials,
        bases: Bases,
    ) -> Outcome<Answer> {
        self.may_use_mount(credentials)?;
        if self.has_acls() {
            return Err(NotMine::Restricted.into());
        }
        let serving = Serving {
            vfs: self,
            who: Subject::new(credentials, request, call),
            bases,
            now: Instant::now(),
        };
        match serving.route(&request.call, credentials) {
            // As retry_estale: once more, without anything remembered.
            Err(Stop::Errno(libc::ESTALE)) => {
                self.names.clear();
                serving.route(&request.call, credentials)
            }
            answer => answer,
        }
    }
}

impl Serving<'_> {
    /// The table of operations.
    fn route(&self, call: &Call<'_>, credentials: &Credentials) -> Outcome<Answer> {
        match *call {
            Call::Unlink { ref at } => self.unlink(at),
            Call::Rmdir { ref at } => self.rmdir(at),
            Call::Mkdir { ref at, mode } => self.mkdir(at, mode),
            Call::Rename {
                ref from,
                ref to,
                flags,
            } => self.rename(from, to, flags),
            Call::Link {
                ref from,
                ref to,
                follow,
            } => self.link(from, to, follow),
            Call::Symlink { target, ref at } => self.symlink(target, at),
            Call::Mknod { ref at, mode, rdev } => self.mknod(at, mode, rdev),
            Call::Chmod {
                ref at,
                mode,
                follow,
            } => self.chmod(at, mode, follow),
            Call::Chown {
                ref at,
                uid,
                gid,
                follow,
            } => self.chown(at, uid, gid, follow),
            Call::Truncate { ref at, size } => self.truncate(at, size),
            Call::Utimens {
                ref at,
                atime,
                mtime,
                follow,
            } => self.utimens(at, atime, mtime, follow),
            Call::Setxattr {
                ref at,
                name,
                value,
                flags,
                follow,
            } => self.setxattr(at, name, value, flags, follow),
            Call::Removexattr {
                ref at,
                name,
                follow,
            } => self.removexattr(at, name, follow),
            Call::Stat { ref at, follow } => self.stat(at, follow),
            Call::Access {
                ref at,
                mode,
                effective,
                follow,
            } => self.access(at, mode, effective, follow, credentials),
            Call::Readlink { ref at } => self.readlink(at),
            Call::Getxattr {
                ref at,
                name,
                size,
                follow,
            } => self.getxattr(at, name, size, follow),
            Call::Listxattr {
                ref at,
                size,
                follow,
            } => self.listxattr(at, size, follow),
            Call::Statfs { ref at } => self.statfs(at),
        }
    }

    /// Tells the kernel's caches. No gate is held.
    fn publish(&self, change: &Change<'_>) -> Answer {
        self.vfs.coherence.publish(change);
        Answer::Done
    }

    fn walk(&self, at: &Place<'_>) -> Outcome<Walk<'_, '_>> {
        without_nul(at.path)?;
        Walk::from(self.vfs, &self.who, at.base.0, self.bases, self.now)
    }
}

/// No string of a system call holds a NUL.
fn without_nul(string: &[u8]) -> Outcome<()> {
    if string.contains(&0) {
        return Err(NotMine::Malformed.into());
    }
    Ok(())
}
