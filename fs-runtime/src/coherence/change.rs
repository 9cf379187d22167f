//! What a bypassed operation changed.

use std::ffi::OsStr;

use fuser::INodeNo;

/// A name that came, went, or now means another node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NameChange<'a> {
    pub(crate) parent: INodeNo,
    pub(crate) name: &'a OsStr,
    /// The directory that was removed with the name, if it was one.
    pub(crate) gone_directory: Option<INodeNo>,
}

/// All that one operation changed: at most two names and three nodes. The times of the
/// names' directories are implied.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Change<'a> {
    names: [Option<NameChange<'a>>; 2],
    attributes: [Option<INodeNo>; 3],
    truncated: Option<(INodeNo, u64)>,
}

impl<'a> Change<'a> {
    pub(crate) fn new() -> Self {
        Change::default()
    }

    /// The name was made, or replaced by another node, or stopped naming a file.
    pub(crate) fn name(self, parent: INodeNo, name: &'a OsStr) -> Self {
        self.with_name(NameChange {
            parent,
            name,
            gone_directory: None,
        })
    }

    /// The name and the directory that it named are gone.
    pub(crate) fn directory_gone(self, parent: INodeNo, name: &'a OsStr, child: INodeNo) -> Self {
        self.with_name(NameChange {
            parent,
            name,
            gone_directory: Some(child),
        })
    }

    /// Attributes of the node changed: mode, owner, times, link count, extended ones.
    /// Node 0 stands for an unknown one and is skipped.
    pub(crate) fn attributes_of(mut self, node: INodeNo) -> Self {
        if node.0 != 0 {
            let free = self.attributes.iter_mut().find(|place| place.is_none());
            debug_assert!(free.is_some(), "an operation changes at most three nodes");
            if let Some(place) = free {
                *place = Some(node);
            }
        }
        self
    }

    /// The content of the node changed from `offset` (bytes) on, and its attributes.
    pub(crate) fn content_from(mut self, node: INodeNo, offset: u64) -> Self {
        self.truncated = Some((node, offset));
        self
    }

    fn with_name(mut self, change: NameChange<'a>) -> Self {
        let free = self.names.iter_mut().find(|place| place.is_none());
        debug_assert!(free.is_some(), "an operation changes at most two names");
        if let Some(place) = free {
            *place = Some(change);
        }
        self
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &NameChange<'a>> {
        self.names.iter().flatten()
    }

    pub(super) fn attributes(&self) -> impl Iterator<Item = INodeNo> {
        self.attributes.iter().flatten().copied()
    }

    pub(super) fn truncated(&self) -> Option<(INodeNo, u64)> {
        self.truncated
    }
}
