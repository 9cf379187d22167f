//! Requests of the bypass door, in the form in which a daemon reads them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use finesse_fuse::doors::{CallId, Caller};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::requests::InterruptIn;
use super::{IN_HEADER, InHeader, opcode};

/// Set in the `unique` of every request of the bypass door and of none of the kernel's,
/// which count from 0 by twos; the top bit is `FUSE_UNIQUE_RESEND`.
pub(crate) const MARK: u64 = 1 << 62;

/// Set in the `unique` of an interrupt, which is else that of the request that it interrupts:
/// `FUSE_INT_REQ_BIT` (fs/fuse/fuse_dev_i.h).
pub(crate) const INTERRUPT: u64 = 1;

/// A request on its way to the daemon.
#[derive(Debug)]
pub(crate) struct Message {
    bytes: Vec<u8>,
    /// What it belongs to.
    call: CallId,
}

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
        Message {
            bytes,
            call: caller.call,
        }
    }

    /// A kernel's request, as it was read.
    pub(crate) fn of_kernel(bytes: &[u8]) -> Self {
        Message {
            bytes: bytes.to_vec(),
            call: CallId::NONE,
        }
    }

    /// The news that the request `unique` may end early (`fuse_read_interrupt`, fs/fuse/dev.c).
    pub(crate) fn interrupt(unique: u64) -> Self {
        Message::new(opcode::INTERRUPT, 0, Caller::NOBODY)
            .with(&InterruptIn { unique })
            .numbered(unique | INTERRUPT)
    }

    /// The request of the bypass door that it belongs to.
    pub(crate) fn call(&self) -> CallId {
        self.call
    }

    /// Adds a fixed part.
    pub(crate) fn with<T: IntoBytes + Immutable>(mut self, part: &T) -> Self {
        self.bytes.extend_from_slice(part.as_bytes());
        self
    }

    /// Adds bytes as they are.
    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Adds a name and a NUL.
    pub(crate) fn name(mut self, name: &OsStr) -> Self {
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self
    }

    /// Says how long it is, and under which number it is to be answered.
    pub(crate) fn numbered(mut self, unique: u64) -> Self {
        let len = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        if let Ok((header, _)) = InHeader::mut_from_prefix(&mut self.bytes) {
            (header.len, header.unique) = (len, unique);
        }
        self
    }

    pub(crate) fn opcode(&self) -> u32 {
        InHeader::read_from_prefix(&self.bytes).map_or(0, |(header, _)| header.opcode)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        debug_assert!(self.bytes.len() >= IN_HEADER, "every message has a header");
        &self.bytes
    }
}
