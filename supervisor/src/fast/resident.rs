//! A target that posts itself.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use finesse_agent::layout::{self, block, state};
use finesse_channel::Geometry;
use finesse_notify::{read_bytes, write_bytes};
use finesse_policy::Decision;
use finesse_wire::{MAX_REPLY, MAX_REQUEST, NodeId, Operation};

use super::sites::Sites;
use super::{Seen, Why};
use crate::connection::Connection;
use crate::mounts::Mount;
use crate::report::Note;
use crate::targets::Thread;

/// See the module.
#[derive(Debug)]
pub(crate) struct Resident {
    base: u64,
    connection: Session,
    mount: Arc<Mount>,
    granted: Vec<NodeId>,
    sites: Sites,
    /// Calls that the agent has answered, a row each, as last read.
    served: Vec<u64>,
    /// Whose requests the runtime takes.
    bound: Option<u32>,
}

/// A session of a target's own, which ends with it.
#[derive(Debug)]
pub(super) struct Session(pub(super) Arc<Connection>);

impl std::ops::Deref for Session {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.0.hang_up();
    }
}

/// Stops a target from posting. False for one without agent, to which nothing happens.
pub(super) fn disable(base: u64, tid: u32) -> bool {
    write_bytes(tid, state_address(base, state::ENABLED), &[0; 8]).is_ok()
}

/// Whether a thread runs in a child that has come by fork(2) while its parent was in the agent.
pub(super) fn is_forked(base: u64, tid: u32) -> bool {
    let mut pid = Vec::new();
    read_bytes(tid, state_address(base, state::PID), 4, &mut pid).is_ok() && pid == [0; 4]
}

impl Resident {
    pub(super) fn new(
        base: u64,
        tid: u32,
        thread: &Thread,
        connection: Session,
        mount: Arc<Mount>,
        sites: Sites,
    ) -> Result<Self, Why> {
        let resident = Resident {
            base,
            connection,
            mount,
            granted: Vec::new(),
            sites,
            served: vec![0; finesse_agent::numbers().count()],
            bound: thread.identity().map(|identity| identity.number),
        };
        let geometry = resident.connection.client().geometry();
        let longest = [geometry.request_max, geometry.reply_max].map(|len| len as usize);
        let is_large = longest[0] >= MAX_REQUEST && longest[1] >= MAX_REPLY;
        if geometry.slots < layout::SLOTS || !is_large {
            return Err("the channel is too small");
        }
        let next = geometry.offsets(layout::SLOTS).request as u64;
        if next > layout::RING_LEN {
            return Err("the channel is too large");
        }
        let blocks = blocks(base, geometry);
        write_bytes(tid, base + layout::BLOCKS, &blocks)
            .map_err(|_| "its memory cannot be written")?;
        resident
            .enable(tid, thread)
            .map_err(|_| "its memory cannot be written")?;
        Ok(resident)
    }

    /// True when the target knows its new umask.
    pub(super) fn tell_umask(&self, tid: u32, mask: u16) -> bool {
        let at = state_address(self.base, state::UMASK);
        write_bytes(tid, at, &u64::from(mask).to_le_bytes()).is_ok()
    }

    /// The runtime takes no request until the caller is registered anew.
    pub(super) fn unbind(&mut self) {
        self.bound = None;
        self.connection.unbind();
    }

    /// Calls that the agent has answered since this was last asked, by their numbers.
    pub(super) fn newly_served(&mut self, tid: u32) -> Vec<(i32, u64)> {
        let mut bytes = Vec::new();
        let at = self.base + layout::SERVED;
        if read_bytes(tid, at, self.served.len() * 8, &mut bytes).is_err() {
            return Vec::new();
        }
        let counts = bytes.as_chunks().0.iter().copied().map(u64::from_le_bytes);
        finesse_agent::numbers()
            .zip(self.served.iter_mut().zip(counts))
            .filter_map(|(number, (before, now))| {
                // The program may write there what it likes.
                let new = now.saturating_sub(std::mem::replace(before, now));
                (new > 0).then_some((number, new))
            })
            .collect()
    }

    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection.0
    }

    pub(super) fn mount(&self) -> &Arc<Mount> {
        &self.mount
    }

    /// Writes all that the agent needs to know.
    fn enable(&self, tid: u32, thread: &Thread) -> Result<(), finesse_notify::MemoryError> {
        let Some(umask) = thread.process().umask() else {
            return Ok(());
        };
        let mut page = Page::new(0x1000);
        page.put(state::ENABLED, &1_u64.to_le_bytes());
        page.put(state::PID, &thread.process().tgid().to_le_bytes());
        page.put(state::UMASK, &umask.to_le_bytes());
        page.put(state::RING, &(self.base + layout::RING).to_le_bytes());
        page.put(state::DEVICE, &self.mount.device.0.to_le_bytes());
        page.put(state::DEVICE + 4, &self.mount.device.1.to_le_bytes());
        page.put(state::MOUNT_ID, &self.mount.id.to_le_bytes());
        let facts = self.mount.facts();
        page.put(state::ST_DEV, &facts.st_dev().to_le_bytes());
        page.put(state::F_FLAGS, &facts.statfs_flags.to_le_bytes());
        let operations = self.operations(thread);
        page.put(state::OPERATIONS, &operations.to_le_bytes());
        // Without one, every path might be below it, and all absolute ones trap.
        let prefix = self.prefix(thread).unwrap_or_default();
        page.put(
            state::MOUNT_OK,
            &u64::from(!prefix.is_empty()).to_le_bytes(),
        );
        page.put(state::PREFIX_LEN, &prefix.len().to_le_bytes());
        page.put(state::PREFIX, prefix);
        page.put(state::GRANTED, &self.granted.len().to_le_bytes());
        for (index, node) in self.granted.iter().enumerate() {
            page.put(state::GRANTS + index * 8, &node.0.to_le_bytes());
        }
        write_bytes(tid, self.base + layout::STATE, &page.0)
    }

    /// A bit for each operation that the policy and the mount let programs bypass here.
    fn operations(&self, thread: &Thread) -> u64 {
        let decide = |operation: Operation| {
            thread.process().policy().decide(&finesse_policy::Call {
                operation,
                mount: &self.mount.mountpoint,
                path: Path::new(""),
            })
        };
        // access(2) may ask whether it may write.
        let may_write = |operation: Operation| {
            !self.mount.is_read_only() || operation.is_lookup() && operation != Operation::Access
        };
        Operation::all()
            .filter(|operation| may_write(*operation))
            .filter(|operation| decide(*operation) == Decision::Bypass)
            .fold(0, |bits, operation| bits | 1 << operation as u8)
    }

    /// The mountpoint's path, if absolute paths lead there without anybody's permission: the
    /// agent checks none above the mount.
    fn prefix(&self, thread: &Thread) -> Option<&[u8]> {
        let prefix = self.mount.mountpoint.as_os_str().as_bytes();
        let is_ours = thread.identity().is_some_and(|identity| identity.is_ours);
        let leads_there = self.mount.is_found_by_path() && self.granted.contains(&NodeId::ROOT);
        (is_ours && leads_there && prefix.len() <= state::PREFIX_MAX).then_some(prefix)
    }

    /// A call that trapped: the agent does not know its directory, its site is not
    /// rewritten, it was suspended, or it leaves such calls to us. What became of its site,
    /// when that is news.
    pub(super) fn learn(&mut self, seen: Seen<'_>) -> Option<Note> {
        if seen.mount.id != self.mount.id {
            return None;
        }
        let tid = seen.notification.tid();
        let has_news = self.bind(seen.thread) | self.grant(seen.base);
        let note = self.sites.rewrite(seen.notification);
        if self.bound.is_none() || !has_news && self.is_enabled(tid) {
            return note;
        }
        self.mount = Arc::clone(seen.mount);
        if let Err(error) = self.enable(tid, seen.thread) {
            tracing::debug!("cannot tell a target: {error}");
        }
        note
    }

    /// Registers the credentials if they are others than before; true when that was done.
    fn bind(&mut self, thread: &Thread) -> bool {
        let Some(identity) = thread.identity() else {
            return false;
        };
        if self.bound == Some(identity.number) {
            return false;
        }
        self.bound = self.connection.bind(identity).then_some(identity.number);
        true
    }

    /// True when the directory was not granted before and is now.
    fn grant(&mut self, base: NodeId) -> bool {
        let is_new = !self.granted.contains(&base)
            && self.granted.len() < state::GRANTS_MAX
            && self.connection.grant(base);
        if is_new {
            self.granted.push(base);
        }
        is_new
    }

    fn is_enabled(&self, tid: u32) -> bool {
        self.state(tid, state::ENABLED) == Some(1)
    }

    fn state(&self, tid: u32, offset: usize) -> Option<u64> {
        let mut bytes = Vec::new();
        let at = state_address(self.base, offset);
        read_bytes(tid, at, 8, &mut bytes).ok()?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }
}

/// Bytes that are laid out field by field.
struct Page(Vec<u8>);

impl Page {
    fn new(len: usize) -> Self {
        Page(vec![0; len])
    }

    fn put(&mut self, offset: usize, bytes: &[u8]) {
        self.0[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
}

fn state_address(base: u64, offset: usize) -> u64 {
    base + layout::STATE + offset as u64
}

/// What each slot's block says of where things lie.
fn blocks(base: u64, geometry: Geometry) -> Vec<u8> {
    let mut page = Page::new(layout::SLOTS as usize * layout::BLOCK);
    for slot in 0..layout::SLOTS {
        let offsets = geometry.offsets(slot);
        let number = u64::from(slot);
        let in_ring = |offset: usize| base + layout::RING + offset as u64;
        let takeover = finesse_agent::takeovers() + number * layout::TAKEOVER;
        for (field, address) in [
            (block::TRAP, base + takeover),
            (block::REQUEST, in_ring(offsets.request)),
            (block::REPLY, in_ring(offsets.reply)),
            (block::BELL, in_ring(offsets.doorbell)),
            (block::PATH, base + layout::PATHS + number * layout::PATH),
        ] {
            page.put(
                slot as usize * layout::BLOCK + field,
                &address.to_le_bytes(),
            );
        }
    }
    page.0
}
