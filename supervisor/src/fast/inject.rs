//! Bringing the agent into a target.
//!
//! A thread waits in a trapped call. Its site is made to lead to the bootstrap, which lies
//! behind the program's text ([`super::padding`]); nothing else changes, so whatever the thread
//! does next, or a handler, or a child, is as it was. Who makes the next call from there comes
//! to the bootstrap. It takes no more signals, asks for the agent and gets it if it is alone
//! in its memory; the agent maps the rest and says so; the sites are rewritten to lead to the
//! agent; signals are taken again, and the call is made. Whoever is refused, or asks nobody
//! because we have died, makes the call.

use std::os::fd::AsFd;
use std::sync::Arc;

use finesse_agent::layout::{self, ask};
use finesse_notify::Notification;
use finesse_wire::FEATURE_DIRECT;

use super::alone::is_alone;
use super::memory::Memory;
use super::padding::Padding;
use super::resident::{Resident, Session};
use super::sites::Sites;
use super::text::Mappings;
use super::{FastPath, Seen, Why};
use crate::mounts::Mount;
use crate::report::Note;
use crate::targets::{Thread, share_memory, status};

/// A target that gets the agent at the next call from a prepared site.
#[derive(Debug)]
pub(crate) struct Prepared {
    sites: Sites,
    mount: Arc<Mount>,
    /// As [`Seen::changes`].
    changes: u64,
}

/// A bootstrap on its way.
#[derive(Debug)]
pub(crate) struct Boot {
    prepared: Prepared,
    connection: Session,
    /// Why it will fail.
    failure: Why,
}

const NO_DESCRIPTOR: Why = "it may open no more descriptors";

impl Prepared {
    /// Prepares the site of a call, unless it stays.
    pub(super) fn begin(fast: &FastPath, seen: Seen<'_>) -> Result<(Prepared, Option<Note>), Why> {
        check_target(seen.notification.tid(), fast)?;
        let mut sites = Sites::new(fast.base);
        let note = sites.prepare(seen.notification)?;
        let prepared = Prepared {
            sites,
            mount: Arc::clone(seen.mount),
            changes: seen.changes,
        };
        Ok((prepared, note))
    }

    /// A further call has trapped; prepares its site as well.
    pub(super) fn extend(&mut self, seen: Seen<'_>) -> Result<Option<Note>, Why> {
        self.mount = Arc::clone(seen.mount);
        self.changes = seen.changes;
        self.sites.prepare(seen.notification)
    }

    /// The target does not come to the bootstrap any more.
    pub(super) fn give_up(&self, tid: u32) {
        self.sites.disarm(tid);
    }

    /// The bootstrap asks for the agent: answers with a descriptor of it.
    pub(super) fn boot(
        self,
        fast: &FastPath,
        notification: Notification,
        thread: &Thread,
    ) -> Result<Boot, Why> {
        let tid = notification.tid();
        let begun = check_target(tid, fast).and_then(|()| self.connect(thread));
        let connection = begun.inspect_err(|_| self.give_up(tid))?;
        let given = notification.succeed_with_descriptor(fast.agent.as_fd());
        if given.is_err() {
            self.give_up(tid);
            return Err(NO_DESCRIPTOR);
        }
        Ok(Boot {
            prepared: self,
            connection,
            failure: "its address space has no room",
        })
    }

    /// A session of the target's own.
    fn connect(&self, thread: &Thread) -> Result<Session, Why> {
        let identity = thread.identity().ok_or("credentials that do not travel")?;
        let end = thread
            .process()
            .end()
            .map_err(|_| "no descriptors are left")?;
        let door = &self.mount.door;
        let connection = door
            .connection(self.mount.id, &self.mount.mountpoint)
            .map_err(|_| "the file system is not served any more")?
            .another(door.device(), FEATURE_DIRECT, end)
            .map_err(|error| {
                tracing::debug!("{error}");
                "the file system admits no further target"
            })?;
        let session = Session(connection);
        if !session.bind(identity) {
            return Err("the file system refuses the caller");
        }
        Ok(session)
    }
}

impl Boot {
    pub(super) fn changes(&self) -> u64 {
        self.prepared.changes
    }

    /// The target does something else meanwhile.
    pub(super) fn give_up(&self, tid: u32) {
        self.prepared.give_up(tid);
    }

    /// The agent's start asks for the channel: answers with a descriptor of it. Without, it will
    /// say that it failed.
    pub(super) fn give_ring(&mut self, notification: Notification) {
        let ring = self.connection.memory().as_fd();
        if notification.succeed_with_descriptor(ring).is_err() {
            self.failure = NO_DESCRIPTOR;
        }
    }

    /// All is mapped, or not.
    pub(super) fn finish(
        mut self,
        fast: &FastPath,
        notification: &Notification,
        thread: &Thread,
    ) -> Result<(Resident, Vec<Note>), Why> {
        let tid = notification.tid();
        self.prepared.give_up(tid);
        if notification.args()[1] != ask::DONE {
            return Err(self.failure);
        }
        let notes = self.prepared.sites.rewrite_prepared(tid);
        let Prepared { sites, mount, .. } = self.prepared;
        let resident = Resident::new(fast.base, tid, thread, self.connection, mount, sites)?;
        Ok((resident, notes))
    }
}

/// Who is not to get the agent asks for it: a child has come by whose parent was prepared.
/// From then on it does not ask.
pub(super) fn refuse(base: u64, notification: &Notification) {
    let Ok(memory) = Memory::open(notification.tid()) else {
        return;
    };
    if let Some(padding) = Padding::recognise(&memory, base, notification.args()[2]) {
        // In memory that it shares, others are armed again at their next call.
        let _ = padding.disarm(&memory);
    }
}

/// How many seccomp filters a thread has (proc_pid_status(5)).
pub(super) fn filters(tid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{tid}/status")).ok()?;
    let mut lines = status.lines();
    let number = lines.find_map(|line| line.strip_prefix("Seccomp_filters:"))?;
    number.trim().parse().ok()
}

fn check_target(tid: u32, fast: &FastPath) -> Result<(), Why> {
    let status = status(tid).ok_or("it is gone")?;
    if !is_alone(tid) {
        return Err("others run in its memory");
    }
    let parent = u32::try_from(status.ppid).unwrap_or(0);
    if share_memory(tid, parent) != Some(false) {
        return Err("it may share its memory with its parent");
    }
    if filters(tid).is_none_or(|filters| filters > fast.filters) {
        return Err("it filters its own calls");
    }
    let mappings = Mappings::of(tid).ok_or("its memory is not shown")?;
    let places = [
        fast.base..fast.base + 0x1000_0000,
        layout::TABLE..layout::TABLE + layout::TABLE_LEN,
    ];
    if !places.iter().all(|place| mappings.are_free(place)) {
        return Err("the agent's place is taken");
    }
    Ok(())
}
