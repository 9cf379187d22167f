//! A target that posts itself, or is about to: the channel is offered to the agent, and the next
//! thread that comes by maps it.

use std::collections::BTreeSet;
use std::num::NonZero;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use finesse_agent::layout::{self, ask, block, state};
use finesse_channel::Geometry;
use finesse_notify::{MemoryError, Notification, read_bytes, write_bytes};
use finesse_policy::Decision;
use finesse_wire::{FEATURE_DIRECT, MAX_REPLY, MAX_REQUEST, NodeId, Operation};

use super::alone::children;
use super::inject::NO_DESCRIPTOR;
use super::sites::Sites;
use super::{Seen, Why};
use crate::connection::Connection;
use crate::mounts::Mount;
use crate::report::Note;
use crate::targets::Thread;

/// A bit for each operation that makes something, of which the umask takes permissions.
const NEEDS_UMASK: u64 = 1 << Operation::Mkdir as u8 | 1 << Operation::Mknod as u8;

const NOT_WRITTEN: Why = "its memory cannot be written";

/// How far the channel is.
#[derive(Debug)]
enum Channel {
    Offered,
    /// A thread maps it; who were the process's children then.
    Fetched(BTreeSet<u32>),
    Mapped,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Resident {
    channel: Channel,
    base: u64,
    connection: Session,
    mount: Arc<Mount>,
    /// See [`Resident::changes`].
    changes: u64,
    granted: Vec<NodeId>,
    /// Whether no thread is in the middle of changing it.
    knows_umask: bool,
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

/// Whether no call is in the agent: once it is disabled none gets there any more.
pub(super) fn is_idle(base: u64, tid: u32) -> bool {
    let len = layout::SLOTS as usize * layout::BLOCK;
    let mut blocks = Vec::new();
    read_bytes(tid, base + layout::BLOCKS, len, &mut blocks).is_ok()
        && blocks.chunks_exact(layout::BLOCK).all(is_free)
}

fn is_free(block: &[u8]) -> bool {
    block[block::CLAIM..block::CLAIM + 8] == [0; 8]
}

/// Whether the call in a block was begun in this thread's process, not in its parent before that
/// was divided by fork(2).
pub(super) fn is_own(base: u64, tid: u32, slot: u32) -> bool {
    let mut own = Vec::new();
    read_bytes(tid, base + layout::OWN + u64::from(slot) * 32, 4, &mut own).is_ok() && own != [0; 4]
}

impl Resident {
    /// Offers a channel of its own to a target that has made a call which concerns `seen.mount`.
    pub(super) fn offer(base: u64, seen: Seen<'_>, sites: Sites) -> Result<Self, Why> {
        let identity = seen.thread.identity();
        let identity = identity.ok_or("credentials that do not travel")?;
        let mut resident = Resident {
            channel: Channel::Offered,
            base,
            connection: connect(seen)?,
            mount: Arc::clone(seen.mount),
            changes: seen.changes,
            granted: Vec::new(),
            knows_umask: false,
            sites,
            served: vec![0; finesse_agent::numbers().count()],
            bound: None,
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
        if !resident.bind(seen.thread) {
            tracing::debug!("caller {} was refused", identity.number);
            return Err("the file system refuses the caller");
        }
        resident.grant(seen.base);
        let tid = seen.notification.tid();
        let blocks = blocks(base, tid, geometry)?;
        let ring = (base + layout::RING).to_le_bytes();
        write_bytes(tid, base + layout::BLOCKS, &blocks)
            .and_then(|()| write_bytes(tid, state_address(base, state::RING), &ring))
            .and_then(|()| resident.set_enabled(tid, state::OFFERED))
            .map_err(|_| NOT_WRITTEN)?;
        Ok(resident)
    }

    /// [`Seen::changes`] when it was last told of the mounts.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// Whether calls were posted, or could have been.
    pub(super) fn is_mapped(&self) -> bool {
        matches!(self.channel, Channel::Mapped)
    }

    /// The agent asks for the channel that it was offered: answers with a descriptor of it.
    pub(super) fn give_ring(&mut self, notification: Notification) {
        if !matches!(self.channel, Channel::Offered) {
            notification.fail(libc::EINVAL);
            return;
        }
        let children = children(notification.tid());
        let ring = self.connection.memory().as_fd();
        // Without, it will say that it failed.
        if notification.succeed_with_descriptor(ring).is_ok() {
            self.channel = Channel::Fetched(children);
        }
    }

    /// The channel is mapped, or not: from here on the target posts.
    pub(super) fn finish(
        &mut self,
        notification: &Notification,
        thread: &Thread,
        knows_umask: bool,
    ) -> Result<(), Why> {
        let Channel::Fetched(before) = &self.channel else {
            return Err(NO_DESCRIPTOR);
        };
        if notification.args()[1] != ask::DONE {
            return Err("its address space has no room");
        }
        // Another thread may have forked before the channel was kept from children.
        if !children(notification.tid()).is_subset(before) {
            return Err("a child may have its channel");
        }
        self.channel = Channel::Mapped;
        self.knows_umask = knows_umask;
        self.bind(thread);
        if self.bound.is_none() {
            // At the next call that traps.
            return Ok(());
        }
        let told = self.enable(notification.tid(), thread);
        told.map_err(|_| NOT_WRITTEN)
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

    /// With whom calls were posted, if any could have been.
    pub(super) fn session(&self) -> Option<(Arc<Connection>, Arc<Mount>)> {
        let session = || (Arc::clone(&self.connection.0), Arc::clone(&self.mount));
        self.is_mapped().then(session)
    }

    /// Writes all that the agent needs to know.
    fn enable(&self, tid: u32, thread: &Thread) -> Result<(), MemoryError> {
        let Some(umask) = thread.process().umask() else {
            return Ok(());
        };
        let mut page = Page::new(0x1000);
        page.put(state::PID, &thread.process().tgid().to_le_bytes());
        page.put(state::UMASK, &umask.to_le_bytes());
        page.put(state::RING, &(self.base + layout::RING).to_le_bytes());
        page.put(state::DEVICE, &self.mount.device.0.to_le_bytes());
        page.put(state::DEVICE + 4, &self.mount.device.1.to_le_bytes());
        page.put(state::MOUNT_ID, &self.mount.id.to_le_bytes());
        let watchers = self.base + layout::BLOCKS + watchers() * layout::BLOCK as u64;
        page.put(state::WATCHERS, &watchers.to_le_bytes());
        let facts = self.mount.facts();
        page.put(state::ST_DEV, &facts.st_dev().to_le_bytes());
        page.put(state::F_FLAGS, &facts.statfs_flags.to_le_bytes());
        let operations = self.operations(thread);
        page.put(state::OPERATIONS, &operations.to_le_bytes());
        let trapped = if self.knows_umask { 0 } else { NEEDS_UMASK };
        page.put(state::TRAPPED, &trapped.to_le_bytes());
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
        // Other threads may look meanwhile.
        let all = state::ENABLED + 8;
        write_bytes(tid, state_address(self.base, all), &page.0[all..])?;
        self.set_enabled(tid, state::POSTS)
    }

    fn set_enabled(&self, tid: u32, value: u64) -> Result<(), MemoryError> {
        let at = state_address(self.base, state::ENABLED);
        write_bytes(tid, at, &value.to_le_bytes())
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
    pub(super) fn learn(&mut self, seen: Seen<'_>, knows_umask: bool) -> Option<Note> {
        if seen.mount.id != self.mount.id {
            return None;
        }
        let tid = seen.notification.tid();
        let note = self.sites.rewrite(seen.notification);
        let was_known = std::mem::replace(&mut self.knows_umask, knows_umask);
        let has_news = self.bind(seen.thread) | self.grant(seen.base) | (was_known != knows_umask);
        match self.channel {
            Channel::Mapped if self.bound.is_none() || !has_news && self.is_enabled(tid) => {
                return note;
            }
            Channel::Mapped => {}
            // Mounts have changed since.
            Channel::Offered if self.state(tid, state::ENABLED) == Some(0) => {}
            Channel::Offered | Channel::Fetched(_) => return note,
        }
        self.mount = Arc::clone(seen.mount);
        self.changes = seen.changes;
        let told = match self.channel {
            Channel::Mapped => self.enable(tid, seen.thread),
            _ => self.set_enabled(tid, state::OFFERED),
        };
        if let Err(error) = told {
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

/// A session of the target's own.
fn connect(seen: Seen<'_>) -> Result<Session, Why> {
    let end = seen.thread.process().end();
    let end = end.map_err(|_| "no descriptors are left")?;
    let door = &seen.mount.door;
    let connection = door
        .connection(seen.mount.id, &seen.mount.mountpoint)
        .map_err(|_| "the file system is not served any more")?
        .another(door.device(), FEATURE_DIRECT, end)
        .map_err(|error| {
            tracing::debug!("{error}");
            "the file system admits no further target"
        })?;
    Ok(Session(connection))
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

/// How many threads of a target may watch for replies at a time: one CPU is the server's.
fn watchers() -> u64 {
    let cpus = std::thread::available_parallelism().map_or(1, NonZero::get);
    (cpus as u64 - 1).clamp(1, layout::SLOTS.into())
}

fn state_address(base: u64, offset: usize) -> u64 {
    base + layout::STATE + offset as u64
}

/// What each slot's block says of where things lie. Those stay that are in use: of a child whose
/// parent was in the middle of calls, which may be the child's to make.
fn blocks(base: u64, tid: u32, geometry: Geometry) -> Result<Vec<u8>, Why> {
    let mut page = Page::new(layout::SLOTS as usize * layout::BLOCK);
    let mut before = Vec::new();
    read_bytes(tid, base + layout::BLOCKS, page.0.len(), &mut before).map_err(|_| NOT_WRITTEN)?;
    for (slot, before) in (0..layout::SLOTS).zip(before.chunks_exact(layout::BLOCK)) {
        let offsets = geometry.offsets(slot);
        let number = u64::from(slot);
        let in_ring = |offset: usize| base + layout::RING + offset as u64;
        let takeover = finesse_agent::takeovers() + number * layout::TAKEOVER;
        let fields = [
            (block::TRAP, base + takeover),
            (block::REQUEST, in_ring(offsets.request)),
            (block::REPLY, in_ring(offsets.reply)),
            (block::BELL, in_ring(offsets.doorbell)),
            (block::PATH, base + layout::PATHS + number * layout::PATH),
        ];
        let at = slot as usize * layout::BLOCK;
        if !is_free(before) {
            let is_same = |(field, address): &(usize, u64)| {
                before[*field..field + 8] == address.to_le_bytes()
            };
            if !fields.iter().all(is_same) {
                return Err("it was divided in the middle of a call to another file system");
            }
            page.put(at, before);
            continue;
        }
        for (field, address) in fields {
            page.put(at + field, &address.to_le_bytes());
        }
    }
    Ok(page.0)
}
