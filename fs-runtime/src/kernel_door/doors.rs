//! What the two doors of a mount share.

use std::ffi::OsStr;
use std::fmt;
use std::sync::{Arc, OnceLock};

use fuser::INodeNo;

use super::NameCache;
use super::link::DoorLink;
use crate::gate::Gate;
use crate::kernel_view::{KernelView, Limits};

/// The gate, what the kernel was given, and, while the bypass door is open, its cache of
/// names and the link that leads to it.
pub struct Doors {
    /// One directory, one change at a time.
    pub gate: Arc<Gate>,
    /// What the kernel was given.
    pub view: Arc<KernelView>,
    opened: OnceLock<Opened>,
}

struct Opened {
    names: Arc<dyn NameCache>,
    link: DoorLink,
}

impl fmt::Debug for Doors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doors")
            .field("open", &self.opened.get().is_some())
            .finish_non_exhaustive()
    }
}

impl Doors {
    pub(crate) fn new() -> Arc<Self> {
        Self::with_view(KernelView::new(Limits::DEFAULT))
    }

    /// For a file system whose inode numbers are not its nodes' ids.
    pub fn with_numbers_of_their_own() -> Arc<Self> {
        Self::with_view(KernelView::with_numbers_of_their_own(Limits::DEFAULT))
    }

    fn with_view(view: KernelView) -> Arc<Self> {
        Arc::new(Doors {
            gate: Gate::new(),
            view: Arc::new(view),
            opened: OnceLock::new(),
        })
    }

    /// The bypass door is open. Called before the kernel door serves its first request.
    pub fn open(&self, names: Arc<dyn NameCache>, link: DoorLink) {
        let first = self.opened.set(Opened { names, link });
        debug_assert!(first.is_ok(), "a mount has one bypass door");
    }

    /// The link, when `name` in `parent` is the reserved one and the door is open.
    pub fn link_at(&self, parent: INodeNo, name: &OsStr) -> Option<&DoorLink> {
        (parent == INodeNo::ROOT && name == finesse_wire::DOOR_NAME)
            .then(|| self.opened.get())
            .flatten()
            .map(|opened| &opened.link)
    }

    /// The link, when `node` is its reserved one.
    pub fn link_node(&self, node: INodeNo) -> Option<&DoorLink> {
        (node == DoorLink::NODE)
            .then(|| self.opened.get())
            .flatten()
            .map(|opened| &opened.link)
    }

    /// A name may mean something else now.
    pub fn name_changed(&self, parent: INodeNo, name: &OsStr) {
        if let Some(opened) = self.opened.get() {
            opened.names.name_changed(parent, name);
        }
    }

    /// A node's attributes may have changed.
    pub fn attr_changed(&self, node: INodeNo) {
        if let Some(opened) = self.opened.get() {
            opened.names.attr_changed(node);
        }
    }
}
