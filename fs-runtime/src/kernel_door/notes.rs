//! What a kernel request leaves to be done when its reply is sent: record what the kernel
//! is given, tell the bypass door what changed, leave the gate.
//!
//! All of it is done before the reply is written. Whoever has written it may lose its CPU at
//! once to the program that it woke, and must not have the gate then. What a notification
//! takes back cannot come after it for all that:
//! - a name: the notification waits for the directory's lock, which the kernel has until the
//!   name is there (`fuse_reverse_inval_entry`, fs/fuse/dir.c). Only a name that was there
//!   before is looked up without (`fuse_dentry_revalidate`), and is then out of the tree;
//! - attributes: they are older than the notification and are not taken
//!   (`fuse_change_attributes`, `attr_version`), or the inode is not there yet
//!   (`Coherence::waited_for_arrival`);
//! - a listing: no lock orders its pages, so its gate is left when the reply was written.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::time::Duration;

use fuser::{Errno, FopenFlags, INodeNo, RenameFlags};

use super::Doors;
use crate::gate::{GateGuard, GatePair, LookGuard};
use crate::kernel_view::{Moment, NameKey};

/// Whatever holds gates.
#[derive(Debug)]
#[allow(dead_code)] // Held for their drops.
pub enum Held {
    /// No gate.
    Nothing,
    /// One directory's.
    One(GateGuard),
    /// Those of a look-up.
    Look(LookGuard),
    /// Those of a rename.
    Pair(GatePair),
}

/// Names and nodes that the bypass door's cache must forget; it does when this is
/// dropped, whether the file system succeeded, failed or did not answer at all.
#[derive(Debug)]
struct Touched {
    doors: Arc<Doors>,
    parent: INodeNo,
    name: OsString,
    /// A hard link's node.
    node: Option<INodeNo>,
}

impl Drop for Touched {
    fn drop(&mut self) {
        self.doors.name_changed(self.parent, &self.name);
        self.doors.attr_changed(self.parent);
        if let Some(node) = self.node {
            self.doors.attr_changed(node);
        }
    }
}

/// A name that a request asks for or makes.
#[derive(Debug)]
pub struct EntryNote {
    touched: Option<Touched>,
    _held: Held,
    doors: Arc<Doors>,
    parent: INodeNo,
    key: NameKey,
    asked: Moment,
}

impl EntryNote {
    /// A look-up.
    pub(super) fn lookup(doors: &Arc<Doors>, parent: INodeNo, name: &OsStr) -> Self {
        let held = Held::Look(doors.gate.look(parent.0, name));
        Self::look_up_holding(doors, held, parent, name)
    }

    /// A look-up by who is inside the gate of `parent`.
    pub fn look_up_holding(doors: &Arc<Doors>, held: Held, parent: INodeNo, name: &OsStr) -> Self {
        Self::new(doors, held, parent, name, None)
    }

    /// An operation that makes the name; `linked` is the node that gets a further one.
    pub(super) fn change(
        doors: &Arc<Doors>,
        parent: INodeNo,
        name: &OsStr,
        linked: Option<INodeNo>,
    ) -> Self {
        let held = Held::One(doors.gate.exclusive(parent.0));
        Self::change_holding(doors, held, parent, name, linked)
    }

    /// [`EntryNote::change`] by who is inside the gate of `parent`.
    pub fn change_holding(
        doors: &Arc<Doors>,
        held: Held,
        parent: INodeNo,
        name: &OsStr,
        linked: Option<INodeNo>,
    ) -> Self {
        let touched = Touched {
            doors: Arc::clone(doors),
            parent,
            name: name.to_owned(),
            node: linked,
        };
        Self::new(doors, held, parent, name, Some(touched))
    }

    fn new(
        doors: &Arc<Doors>,
        held: Held,
        parent: INodeNo,
        name: &OsStr,
        touched: Option<Touched>,
    ) -> Self {
        EntryNote {
            touched,
            _held: held,
            doors: Arc::clone(doors),
            parent,
            key: doors.view.key(parent, name),
            asked: doors.view.moment(),
        }
    }

    /// The name leads to `node`. Takes and returns how long the name and the attributes
    /// may be remembered.
    pub fn gave(self, node: INodeNo, ttls: (Duration, Duration)) -> (Duration, Duration) {
        drop(self.touched);
        let view = &self.doors.view;
        view.gave_entry(self.parent, self.key, node, ttls, self.asked)
    }

    /// The same for a reply that has one time-out for both.
    pub(crate) fn gave_with_one_ttl(self, node: INodeNo, ttl: Duration) -> Duration {
        let (entry_ttl, attr_ttl) = self.gave(node, (ttl, ttl));
        entry_ttl.min(attr_ttl)
    }

    /// There is nothing to give; the drop does the rest.
    pub(crate) fn failed(self) {}
}

/// Attributes that a request asks for or changes.
#[derive(Debug)]
pub struct AttrNote {
    doors: Arc<Doors>,
    node: INodeNo,
    asked: Moment,
    changes: bool,
}

impl AttrNote {
    /// A request that asks.
    pub fn question(doors: &Arc<Doors>, node: INodeNo) -> Self {
        Self::new(doors, node, false)
    }

    /// A request that may change.
    pub fn change(doors: &Arc<Doors>, node: INodeNo) -> Self {
        Self::new(doors, node, true)
    }

    fn new(doors: &Arc<Doors>, node: INodeNo, changes: bool) -> Self {
        AttrNote {
            doors: Arc::clone(doors),
            node,
            asked: doors.view.moment(),
            changes,
        }
    }

    /// The attributes, with `reported` as inode number. Returns how long they may be
    /// remembered.
    pub fn gave(self, reported: INodeNo, ttl: Duration) -> Duration {
        let view = &self.doors.view;
        view.gave_attr(self.node, reported, ttl, self.asked)
    }

    /// The operation ended; what it changed is told by the drop.
    pub(crate) fn ended(self) {}
}

impl Drop for AttrNote {
    fn drop(&mut self) {
        if self.changes {
            self.doors.attr_changed(self.node);
        }
    }
}

/// An opening.
#[derive(Debug)]
pub enum OpenNote {
    /// Of a file, which `O_TRUNC` may change; the drop tells.
    File(#[allow(dead_code)] AttrNote),
    /// Of a directory.
    Directory(Arc<Doors>, INodeNo),
}

impl OpenNote {
    /// It is open.
    pub fn opened(self, flags: FopenFlags) {
        match self {
            OpenNote::Directory(doors, node) if flags.contains(FopenFlags::FOPEN_CACHE_DIR) => {
                doors.view.gave_directory_pages(node);
            }
            OpenNote::Directory(..) | OpenNote::File(_) => {}
        }
    }

    /// It is not.
    pub fn failed(self, error: Errno) {
        match self {
            OpenNote::Directory(doors, _) if error == Errno::ENOSYS => {
                doors.view.gave_all_directory_pages();
            }
            OpenNote::Directory(..) | OpenNote::File(_) => {}
        }
    }
}

/// A listing with attributes.
#[derive(Debug)]
pub struct ListingNote {
    held: Held,
    doors: Arc<Doors>,
    directory: INodeNo,
    asked: Moment,
}

impl ListingNote {
    pub(super) fn new(doors: &Arc<Doors>, directory: INodeNo) -> Self {
        let held = Held::One(doors.gate.list(directory.0));
        Self::holding(doors, held, directory)
    }

    /// A listing by who is inside the gate of `directory`.
    pub fn holding(doors: &Arc<Doors>, held: Held, directory: INodeNo) -> Self {
        ListingNote {
            held,
            doors: Arc::clone(doors),
            directory,
            asked: doors.view.moment(),
        }
    }

    /// The reply will have `name` with `node`. Returns how long both may be remembered.
    pub fn adding(&self, name: &OsStr, node: INodeNo, ttl: Duration) -> Duration {
        if !counts(name, node) {
            return ttl;
        }
        let view = &self.doors.view;
        let key = view.key(self.directory, name);
        let (entry_ttl, attr_ttl) =
            view.gave_entry(self.directory, key, node, (ttl, ttl), self.asked);
        entry_ttl.min(attr_ttl)
    }

    /// It did not fit after all.
    pub(crate) fn left_out(&self, name: &OsStr, node: INodeNo) {
        if counts(name, node) {
            self.doors.view.forgot(node, 1);
        }
    }

    /// All is told.
    pub fn ended(self) -> Held {
        self.held
    }
}

/// The kernel takes no look-up of `.` and `..` (`fuse_direntplus_link`,
/// fs/fuse/readdir.c).
fn counts(name: &OsStr, node: INodeNo) -> bool {
    node.0 != 0 && name != "." && name != ".."
}

/// An operation that answers with success alone.
#[derive(Debug)]
pub struct Settle {
    effect: Effect,
    _held: Held,
}

#[derive(Debug)]
#[allow(dead_code)] // `Attributes` works by its drop.
enum Effect {
    Nothing,
    Removed(Touched, NameKey),
    Renamed {
        touched: [Touched; 2],
        keys: [NameKey; 2],
        exchange: bool,
    },
    Attributes(AttrNote),
}

impl Settle {
    pub(super) fn nothing() -> Self {
        Settle {
            effect: Effect::Nothing,
            _held: Held::Nothing,
        }
    }

    /// An operation that changes attributes of `node`.
    pub fn attributes(doors: &Arc<Doors>, node: INodeNo) -> Self {
        Settle {
            effect: Effect::Attributes(AttrNote::change(doors, node)),
            _held: Held::Nothing,
        }
    }

    pub(super) fn removal(doors: &Arc<Doors>, parent: INodeNo, name: &OsStr) -> Self {
        let held = Held::One(doors.gate.exclusive(parent.0));
        Self::removal_holding(doors, held, parent, name)
    }

    /// A removal by who is inside the gate of `parent`.
    pub fn removal_holding(doors: &Arc<Doors>, held: Held, parent: INodeNo, name: &OsStr) -> Self {
        let (touched, key) = touch(doors, parent, name);
        Settle {
            effect: Effect::Removed(touched, key),
            _held: held,
        }
    }

    pub(super) fn rename(
        doors: &Arc<Doors>,
        from: (INodeNo, &OsStr),
        to: (INodeNo, &OsStr),
        flags: RenameFlags,
    ) -> Self {
        let held = Held::Pair(doors.gate.exclusive_pair(from.0.0, to.0.0));
        Self::rename_holding(doors, held, from, to, flags)
    }

    /// A rename by who is inside the gates of both directories.
    pub fn rename_holding(
        doors: &Arc<Doors>,
        held: Held,
        from: (INodeNo, &OsStr),
        to: (INodeNo, &OsStr),
        flags: RenameFlags,
    ) -> Self {
        let (from, from_key) = touch(doors, from.0, from.1);
        let (to, to_key) = touch(doors, to.0, to.1);
        Settle {
            effect: Effect::Renamed {
                touched: [from, to],
                keys: [from_key, to_key],
                exchange: flags.contains(RenameFlags::RENAME_EXCHANGE),
            },
            _held: held,
        }
    }

    /// It is done.
    pub fn succeeded(self) {
        match &self.effect {
            Effect::Removed(touched, key) => touched.doors.view.dropped_name(*key),
            Effect::Renamed {
                touched: [from, _],
                keys: [from_key, to_key],
                exchange,
            } => from.doors.view.moved_name(*from_key, *to_key, *exchange),
            Effect::Nothing | Effect::Attributes(_) => {}
        }
    }

    /// It is not; the drop tells what may have changed all the same.
    pub(crate) fn failed(self) {}
}

fn touch(doors: &Arc<Doors>, parent: INodeNo, name: &OsStr) -> (Touched, NameKey) {
    let touched = Touched {
        doors: Arc::clone(doors),
        parent,
        name: name.to_owned(),
        node: None,
    };
    let key = doors.view.key(parent, name);
    (touched, key)
}
