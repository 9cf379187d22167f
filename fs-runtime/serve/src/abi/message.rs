//! Requests of the bypass door, in the form in which a daemon reads them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use finesse_fuse::doors::Caller;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{IN_HEADER, InHeader};

/// Set in the `unique` of every request of the bypass door and of none of the kernel's,
/// which count from 0 by twos; the top bit is `FUSE_UNIQUE_RESEND`.
pub(crate) const MARK: u64 = 1 << 62;

/// A request on its way to the daemon.
#[derive(Debug)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    pub(crate) fn new(opcode: u32, node: u64, caller: Caller) -> Self {
        let header = InHeader {
            opcode,
            nodeid: node,
            uid: caller.uid,
            gid: caller.gid,
            pid: caller.pid,
            ..InHeader::default()
        };
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(header.as_bytes());
        Message(bytes)
    }

    /// A kernel's request, as it was read.
    pub(crate) fn of_kernel(bytes: &[u8]) -> Self {
        Message(bytes.to_vec())
    }

    /// Adds a fixed part.
    pub(crate) fn with<T: IntoBytes + Immutable>(mut self, part: &T) -> Self {
        self.0.extend_from_slice(part.as_bytes());
        self
    }

    /// Adds bytes as they are.
    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Adds a name and a NUL.
    pub(crate) fn name(mut self, name: &OsStr) -> Self {
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(0);
        self
    }

    /// Says how long it is, and under which number it is to be answered.
    pub(crate) fn numbered(mut self, unique: u64) -> Self {
        let len = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        if let Ok((header, _)) = InHeader::mut_from_prefix(&mut self.0) {
            (header.len, header.unique) = (len, unique);
        }
        self
    }

    pub(crate) fn opcode(&self) -> u32 {
        InHeader::read_from_prefix(&self.0).map_or(0, |(header, _)| header.opcode)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        debug_assert!(self.0.len() >= IN_HEADER, "every message has a header");
        &self.0
    }
}
