//! The walk along a path, as `link_path_walk` and `path_lookupat` do it (fs/namei.c).

use std::time::Instant;

use finesse_wire::{DOOR_NAME, NotMine, Place};
use fuser::{FileType, INodeNo};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::name_cache::{Known, Lookup, deadline};
use super::node::{Above, Dir, Found, Hold, Target};
use super::path::{Last, first, split};
use super::permission::MAY_EXEC;
use super::stop::{Outcome, fail, require};
use super::subject::Subject;
use super::{Bases, Vfs};

/// `MAXSYMLINKS` (linux/namei.h).
const MAX_LINKS: u32 = 40;

/// `FUSE_NAME_LOW_MAX`: longer names are ENAMETOOLONG or not, by the kernel's version
/// and the connection's page limit (fs/fuse/fuse_i.h).
const MAX_NAME: usize = 1024;

/// Longest target of a link that the kernel reads, `PAGE_SIZE - 1` (`fuse_readlink_page`).
const MAX_TARGET: usize = 4095;

/// `FUSE_ROOT_ID`.
pub(super) const ROOT: u64 = 1;

/// Where a path's last component is to be dealt with.
pub(super) struct Parent<'v, 'p> {
    /// The directory it is in.
    pub(super) dir: Dir<'v>,
    /// What that is in.
    #[allow(dead_code)] // Held until the operation is over.
    pub(super) above: Above<'v>,
    /// The component.
    pub(super) last: Last<'p>,
    /// Whether slashes follow it.
    pub(super) slash: bool,
}

/// A walk on the way.
pub(super) struct Walk<'v, 'c> {
    vfs: &'v Vfs,
    who: &'c Subject<'c>,
    now: Instant,
    at: Dir<'v>,
    above: Above<'v>,
    links: u32,
    is_left_if_known: bool,
}

impl<'v, 'c> Walk<'v, 'c> {
    /// Starts at a place's base.
    pub(super) fn from(
        vfs: &'v Vfs,
        who: &'c Subject<'c>,
        base: u64,
        bases: Bases,
        now: Instant,
    ) -> Outcome<Self> {
        let node = vfs.view.node_numbered(base);
        let node = node.filter(|node| node.0 == ROOT || bases == Bases::Any);
        let Some(node) = node else {
            return Err(NotMine::UnknownBase.into());
        };
        Ok(Walk {
            vfs,
            who,
            now,
            at: Dir {
                node: node.0,
                hold: Hold::Kernel,
            },
            above: Above::default(),
            links: 0,
            is_left_if_known: false,
        })
    }

    /// To a node that must be left to the kernel if that holds it: then so is one whose name it
    /// may have, before the file system is asked for anything.
    pub(super) fn unknown_target(self, place: &Place<'_>, follow: bool) -> Outcome<Target<'v>> {
        let walk = Walk {
            is_left_if_known: true,
            ..self
        };
        walk.target(place, follow)
    }

    /// `filename_parentat`: to the directory of the last component.
    pub(super) fn parent<'p>(mut self, place: &Place<'p>) -> Outcome<Parent<'v, 'p>> {
        // The base itself: the mount's root or a descriptor, which only the kernel can
        // remove, rename or find busy.
        let split = split(place.path).ok_or(NotMine::Unsupported)?;
        self.directories(split.head)?;
        self.may_search()?;
        Ok(Parent {
            dir: self.at,
            above: self.above,
            last: split.last,
            slash: split.slash,
        })
    }

    /// `filename_lookup`: to the node itself.
    pub(super) fn target(mut self, place: &Place<'_>, mut follow: bool) -> Outcome<Target<'v>> {
        let mut path = std::borrow::Cow::Borrowed(place.path);
        let mut must_be_dir = false;
        loop {
            let Some(split) = split(&path) else {
                return self.here();
            };
            self.directories(split.head)?;
            self.may_search()?;
            let name = match split.last {
                Last::Name(name) => name,
                Last::Dot => return self.here(),
                Last::DotDot => {
                    self.up()?;
                    return self.here();
                }
            };
            // As lookup_last: a trailing slash follows links and wants a directory.
            must_be_dir |= split.slash;
            follow |= split.slash;
            if self.is_left_if_known {
                self.vfs.leave_known(&self.at, OsStr::from_bytes(name))?;
            }
            let found = self.vfs.child(self.who, &self.at, name)?;
            if found.attr.kind == FileType::Symlink && follow {
                self.count_link()?;
                self.vfs
                    .may_follow(self.who, self.at.node, &found.attr, self.now)?;
                path = self.vfs.link_target(self.who, found.node())?.into();
                continue;
            }
            require(!must_be_dir || found.is_dir(), libc::ENOTDIR)?;
            self.above.push(self.at);
            return Ok(Target {
                node: found.node(),
                attr: found.attr,
                hold: Hold::Own(found),
                above: self.above,
            });
        }
    }

    /// Through a path of which each component is a directory or leads to one.
    fn directories(&mut self, path: &[u8]) -> Outcome<()> {
        let mut rest = path;
        while let Some((component, tail)) = first(rest) {
            self.may_search()?;
            match component {
                Last::Dot => {}
                Last::DotDot => self.up()?,
                Last::Name(name) => {
                    if let Some(mut text) = self.down(name)? {
                        text.push(b'/');
                        text.extend_from_slice(tail);
                        return self.directories(&text);
                    }
                }
            }
            rest = tail;
        }
        Ok(())
    }

    /// One directory down, or the text of the link that is there.
    fn down(&mut self, name: &[u8]) -> Outcome<Option<Vec<u8>>> {
        let (kind, node, hold) = self.vfs.step(self.who, &self.at, name, self.now)?;
        match kind {
            FileType::Directory => {
                let below = Dir { node, hold };
                self.above.push(std::mem::replace(&mut self.at, below));
                Ok(None)
            }
            FileType::Symlink => {
                self.count_link()?;
                self.vfs.link_target(self.who, node).map(Some)
            }
            _ => fail(libc::ENOTDIR),
        }
    }

    fn up(&mut self) -> Outcome<()> {
        self.at = self.above.pop().ok_or(NotMine::LeavesMount)?;
        Ok(())
    }

    fn may_search(&self) -> Outcome<()> {
        self.vfs
            .may_enter(self.who, self.at.node, MAY_EXEC, self.now)
    }

    fn count_link(&mut self) -> Outcome<()> {
        self.links += 1;
        require(self.links <= MAX_LINKS, libc::ELOOP)
    }

    /// The node at which the walk stands. For some operations the kernel needs no
    /// attributes, so that it must be the one to fail for want of them.
    fn here(self) -> Outcome<Target<'v>> {
        let node = self.at.node;
        let got = self.vfs.backend.getattr(self.who.caller(), INodeNo(node));
        let got = got.map_err(|_| NotMine::Unsupported)?;
        Ok(Target {
            node,
            attr: got.attr,
            hold: self.at.hold,
            above: self.above,
        })
    }
}

impl Vfs {
    /// A name looked up in the file system; `None` when it does not exist. The caller
    /// holds the directory's gate.
    pub(super) fn ask(
        &self,
        who: &Subject<'_>,
        dir: &Dir<'_>,
        name: &OsStr,
    ) -> Outcome<Option<Found<'_>>> {
        if name.len() > MAX_NAME || dir.node == ROOT && name == DOOR_NAME {
            return Err(NotMine::Unsupported.into());
        }
        let answer = self.backend.lookup(who.caller(), INodeNo(dir.node), name);
        let entry = match answer {
            Ok(entry) if entry.node.0 == 0 => return Ok(None),
            Err(fuser::Errno::ENOENT) => return Ok(None),
            answer => answer?,
        };
        let found = Found::new(&self.backend, entry);
        // As fuse_lookup and fuse_invalid_attr.
        let valid = found.node() != ROOT && i64::try_from(found.attr.size).is_ok();
        require(valid, libc::EIO)?;
        Ok(Some(found))
    }

    /// Leaves a name that the kernel may have to it, as it has looked it up already.
    fn leave_known(&self, dir: &Dir<'_>, name: &OsStr) -> Outcome<()> {
        let (view, dir) = (&self.view, INodeNo(dir.node));
        if view.knows(dir) && view.name(view.key(dir, name)).is_some() {
            return Err(NotMine::HeldByKernel.into());
        }
        Ok(())
    }

    /// The last component of a path that is not about to change.
    fn child(&self, who: &Subject<'_>, dir: &Dir<'_>, name: &[u8]) -> Outcome<Found<'_>> {
        let name = OsStr::from_bytes(name);
        let _gate = self.gate.look(dir.node, name);
        match self.ask(who, dir, name)? {
            Some(found) => Ok(found),
            None => fail(libc::ENOENT),
        }
    }

    /// A component on the way, out of the cache where it may be.
    fn step(
        &self,
        who: &Subject<'_>,
        dir: &Dir<'_>,
        name: &[u8],
        now: Instant,
    ) -> Outcome<(FileType, u64, Hold<'_>)> {
        let asked = match self.names.lookup(dir.node, name, now) {
            Lookup::Hit(kind, held) => return Ok((kind, held.node(), Hold::Cached(held))),
            Lookup::Miss(asked) => asked,
        };
        let attributes_asked = self.names.ask_attributes();
        let _gate = self.gate.look(dir.node, OsStr::from_bytes(name));
        let Some(found) = self.ask(who, dir, OsStr::from_bytes(name))? else {
            return fail(libc::ENOENT);
        };
        let (kind, node) = (found.attr.kind, found.node());
        if kind == FileType::Directory {
            let known = Known {
                attr: found.attr,
                fresh_until: deadline(now, found.attr_ttl),
                seen: now,
            };
            self.names.keep_attributes(node, known, attributes_asked);
        }
        let lasting =
            matches!(kind, FileType::Directory | FileType::Symlink) && !found.entry_ttl.is_zero();
        let hold = if lasting {
            Hold::Cached(self.names.keep(dir.node, name, found, asked, now))
        } else {
            Hold::Own(found)
        };
        Ok((kind, node, hold))
    }

    /// What a link says, for the walk to go on with.
    fn link_target(&self, who: &Subject<'_>, link: u64) -> Outcome<Vec<u8>> {
        let text = self.read_link(who, link)?;
        match text.first() {
            Some(b'/') => Err(NotMine::LeavesMount.into()),
            None => Err(NotMine::Unsupported.into()),
            Some(_) => Ok(text),
        }
    }

    /// `fuse_get_link`.
    pub(super) fn read_link(&self, who: &Subject<'_>, link: u64) -> Outcome<Vec<u8>> {
        let mut text = self.backend.readlink(who.caller(), INodeNo(link))?;
        if text.len() > MAX_TARGET {
            return Err(NotMine::Unsupported.into());
        }
        if let Some(nul) = text.iter().position(|byte| *byte == 0) {
            text.truncate(nul);
        }
        Ok(text)
    }
}
