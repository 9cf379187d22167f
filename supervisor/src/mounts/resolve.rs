//! From a path argument to a mount and a place in it.
//!
//! Nothing of a path before the mount is guessed: the directory that the path starts from
//! is looked at anew for each call, and so is the mountpoint, unless a watch tells that
//! the directories above it are as they were ([`super::path_watch`]). It is one statx(2)
//! that never asks a file system. It tells by the mount id whether the mount is still what
//! the path leads to; an inode number names the directory inside the mount, whatever it is
//! called by now.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use finesse_wire::{NodeId, Place};
use rustix::fs::{FileType, Statx};

use super::snapshot::{Mount, Snapshot, look, look_from};
use crate::calls::PathArg;
use crate::reason::Reason;
use crate::targets::{Identity, Start, Thread};

/// A path that leads into a mount.
#[derive(Debug)]
pub(crate) struct Located<'p> {
    pub(crate) mount: Arc<Mount>,
    pub(crate) place: Place<'p>,
}

/// Whose path, and for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lookup<'t> {
    pub(crate) thread: &'t Thread,
    pub(crate) identity: &'t Identity,
    /// Whether the mount must be writable for the call to succeed.
    pub(crate) wants_to_write: bool,
}

impl Snapshot {
    /// Where `path` leads.
    pub(crate) fn locate<'p>(
        &self,
        lookup: Lookup<'_>,
        arg: PathArg,
        path: &'p [u8],
    ) -> Result<Located<'p>, Reason> {
        if self.mounts.is_empty() {
            return Err(Reason::OtherFileSystem);
        }
        let located = match path.first() {
            None => return Err(Reason::Arguments),
            Some(b'/') => self.locate_absolute(lookup, path),
            Some(_) => self.locate_relative(lookup, arg.dirfd, path),
        }?;
        located.mount.check_options(lookup.wants_to_write)?;
        Ok(located)
    }

    fn locate_absolute<'p>(
        &self,
        lookup: Lookup<'_>,
        path: &'p [u8],
    ) -> Result<Located<'p>, Reason> {
        // Later mounts cover earlier ones, longer mountpoints win; whether this is what
        // the kernel would find, the mount id tells.
        let (mount, rest) = self
            .mounts
            .iter()
            .filter_map(|mount| Some((mount, strip(&mount.components, path)?)))
            .max_by_key(|(mount, _)| mount.components.len())
            .ok_or(Reason::OtherFileSystem)?;
        if !mount.is_steady {
            mount.check_is_at(look(mount.mountpoint.as_path()))?;
        }
        mount.check_ancestors(lookup.identity, Path::new("/"), 0)?;
        mount.at_root(rest)
    }

    fn locate_relative<'p>(
        &self,
        lookup: Lookup<'_>,
        dirfd: i32,
        path: &'p [u8],
    ) -> Result<Located<'p>, Reason> {
        let start = lookup.thread.start(dirfd);
        let look_up = |name: &[u8]| look_from(start.task, name);
        let found = look_up(start.name.as_bytes()).map_err(|_| Reason::OtherFileSystem)?;
        if let Some(mount) = self.by_id(found.stx_mnt_id) {
            return mount.at_directory(&found, path);
        }
        let above = self.above.get(&(found.stx_mnt_id, found.stx_ino));
        let (mount, depth, rest) = above
            .into_iter()
            .flatten()
            .filter_map(|(mount, depth)| {
                Some((mount, *depth, strip(&mount.components[*depth..], path)?))
            })
            .max_by_key(|(mount, ..)| mount.components.len())
            .ok_or(Reason::OtherFileSystem)?;
        if !mount.is_steady {
            let mut mountpoint = start.name.as_bytes().to_owned();
            for component in &mount.components[depth..] {
                mountpoint.push(b'/');
                mountpoint.extend_from_slice(component);
            }
            mount.check_is_at(look_up(&mountpoint))?;
        }
        mount.check_ancestors(lookup.identity, &start.path(), depth)?;
        mount.at_root(rest)
    }
}

impl Mount {
    /// Whether the kernel finds this mount where it is looked for.
    fn check_is_at(&self, found: rustix::io::Result<Statx>) -> Result<(), Reason> {
        match found {
            Ok(found) if found.stx_mnt_id == self.id => Ok(()),
            _ => Err(Reason::OtherFileSystem),
        }
    }

    fn at_root<'p>(self: &Arc<Self>, path: &'p [u8]) -> Result<Located<'p>, Reason> {
        if !self.whole {
            return Err(Reason::OtherFileSystem);
        }
        Ok(self.located(NodeId::ROOT, path))
    }

    fn at_directory<'p>(
        self: &Arc<Self>,
        found: &Statx,
        path: &'p [u8],
    ) -> Result<Located<'p>, Reason> {
        // ENOTDIR, or EACCES before it: the kernel knows.
        if FileType::from_raw_mode(found.stx_mode.into()) != FileType::Directory {
            return Err(Reason::Arguments);
        }
        // Nothing is found or made in it any more, whatever its mode: IS_DEADDIR.
        if found.stx_nlink == 0 {
            return Err(Reason::RemovedDirectory);
        }
        Ok(self.located(NodeId(found.stx_ino), path))
    }

    fn located<'p>(self: &Arc<Self>, base: NodeId, path: &'p [u8]) -> Located<'p> {
        Located {
            mount: Arc::clone(self),
            place: Place { base, path },
        }
    }

    fn check_options(&self, wants_to_write: bool) -> Result<(), Reason> {
        if self.kernel_only || wants_to_write && self.read_only {
            return Err(Reason::MountOptions);
        }
        if self.mounts_below {
            return Err(Reason::MountsBelow);
        }
        Ok(())
    }
}

/// What follows `components` in `path`; none when the path goes elsewhere, or somewhere
/// that only a walk can tell (`..`).
fn strip<'p>(components: &[Vec<u8>], path: &'p [u8]) -> Option<&'p [u8]> {
    let mut rest = path.trim_prefix_slashes();
    for component in components {
        let end = rest
            .iter()
            .position(|byte| *byte == b'/')
            .unwrap_or(rest.len());
        if rest[..end] != component[..] {
            return None;
        }
        rest = rest[end..].trim_prefix_slashes();
    }
    Some(rest)
}

/// Leading slashes and `.` components mean nothing.
trait TrimPrefix {
    fn trim_prefix_slashes(&self) -> &Self;
}

impl TrimPrefix for [u8] {
    fn trim_prefix_slashes(&self) -> &Self {
        let mut rest = self;
        loop {
            rest = match rest {
                [b'/', tail @ ..] => tail,
                // "./x" is x; "." and "./" alone stay: as last components they count.
                [b'.', b'/', tail @ ..] if !tail.iter().all(|byte| *byte == b'/') => tail,
                _ => return rest,
            }
        }
    }
}

/// The path in full, for policies that look at paths: lexically, in the target's terms.
pub(crate) fn full_path(thread: &Thread, arg: PathArg, path: &[u8]) -> std::io::Result<PathBuf> {
    let path = Path::new(OsStr::from_bytes(path));
    if path.is_absolute() {
        return Ok(normalise(path));
    }
    let Start { task, name } = thread.start(arg.dirfd);
    let start = rustix::fs::readlinkat(task, name.as_ref(), Vec::new())?;
    let start = Path::new(OsStr::from_bytes(start.as_bytes()));
    Ok(normalise(&start.join(path)))
}

fn normalise(path: &Path) -> PathBuf {
    let mut plain = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => {
                plain.pop();
            }
            _ => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mnt_fs() -> Vec<Vec<u8>> {
        vec![b"mnt".to_vec(), b"fs".to_vec()]
    }

    #[test]
    fn paths_into_the_mount() {
        for (path, rest) in [
            (&b"/mnt/fs/a/b"[..], &b"a/b"[..]),
            (b"//mnt/./fs//a//b/", b"a//b/"),
            (b"/mnt/fs", b""),
            (b"/mnt/fs/", b""),
            (b"/mnt/fs/../x", b"../x"),
            (b"/mnt/fs/.", b"."),
            (b"/mnt/fs/./a", b"a"),
        ] {
            assert_eq!(
                strip(&mnt_fs(), path),
                Some(rest),
                "{}",
                path.escape_ascii()
            );
        }
    }

    #[test]
    fn paths_elsewhere_or_unclear() {
        for path in [
            &b"/mnt"[..],
            b"/mnt/fs2",
            b"/mnt/../mnt/fs",
            b"/",
            b"/mnt/f/s",
        ] {
            assert_eq!(strip(&mnt_fs(), path), None, "{}", path.escape_ascii());
        }
    }
}
