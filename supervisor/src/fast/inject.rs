//! Bringing the agent into a target.
//!
//! A thread waits in a trapped call, or a program has just begun. Its site is made to lead to the bootstrap, which lies
//! behind the program's text ([`super::padding`]); nothing else changes, so whatever the thread
//! does next, or a handler, or a child, is as it was. Who makes the next call from there comes
//! to the bootstrap. It takes no more signals, asks for the agent and gets it if it is alone
//! in its memory; the agent maps the rest and says so; the sites are rewritten to lead to the
//! agent; signals are taken again, and the call is made. Whoever is refused, or asks nobody
//! because we have died, makes the call. The channel comes later ([`super::resident`]).

use std::os::fd::AsFd;

use finesse_agent::layout::{self, ask};
use finesse_notify::Notification;
use finesse_policy::Decision;

use super::alone::is_alone;
use super::memory::{Memory, not_written};
use super::padding::Padding;
use super::sites::Sites;
use super::text::Mappings;
use super::{FastPath, Seen, Why};
use crate::report::Note;
use crate::targets::{Process, share_memory, status};

/// A target that gets the agent at the next call from a prepared site.
#[derive(Debug)]
pub(crate) struct Prepared {
    sites: Sites,
}

/// A bootstrap on its way.
#[derive(Debug)]
pub(crate) struct Boot {
    prepared: Prepared,
}

/// A target that has the agent, but posts nothing yet.
#[derive(Debug)]
pub(crate) struct Present {
    pub(super) sites: Sites,
}

pub(super) const NO_DESCRIPTOR: Why = "it may open no more descriptors";

impl Prepared {
    /// Prepares the site of a call, unless it stays.
    pub(super) fn begin(fast: &FastPath, seen: Seen<'_>) -> Result<(Prepared, Option<Note>), Why> {
        check_target(seen.notification.tid(), fast)?;
        let mut sites = Sites::new(fast.base);
        let note = sites.prepare(seen.notification)?;
        Ok((Prepared { sites }, note))
    }

    /// Prepares a program that has just begun.
    pub(super) fn at_start(fast: &FastPath, notification: &Notification) -> Result<Prepared, Why> {
        let mut sites = Sites::new(fast.base);
        sites.prepare_start(notification, &fast.texts)?;
        Ok(Prepared { sites })
    }

    /// A further call has trapped; prepares its site as well.
    pub(super) fn extend(&mut self, seen: Seen<'_>) -> Result<Option<Note>, Why> {
        self.sites.prepare(seen.notification)
    }

    /// The target does not come to the bootstrap any more.
    pub(super) fn give_up(&self, tid: u32) {
        self.sites.disarm(tid);
    }

    /// The bootstrap asks for the agent: answers with a descriptor of it.
    pub(super) fn boot(self, fast: &FastPath, notification: Notification) -> Result<Boot, Why> {
        let tid = notification.tid();
        check_target(tid, fast).inspect_err(|_| self.give_up(tid))?;
        let given = notification.succeed_with_descriptor(fast.agent.as_fd());
        if given.is_err() {
            self.give_up(tid);
            return Err(NO_DESCRIPTOR);
        }
        Ok(Boot { prepared: self })
    }
}

impl Boot {
    /// The target does something else meanwhile.
    pub(super) fn give_up(&self, tid: u32) {
        self.prepared.give_up(tid);
    }

    /// All is mapped, or not.
    pub(super) fn finish(
        self,
        fast: &FastPath,
        notification: &Notification,
        process: &Process,
    ) -> Result<(Present, Vec<Note>), Why> {
        let tid = notification.tid();
        self.give_up(tid);
        if notification.args()[1] != ask::DONE {
            return Err("its address space has no room");
        }
        let known = finesse_agent::low_bytes();
        Memory::open(tid)
            .and_then(|memory| memory.write(layout::KNOWN, &known))
            .map_err(|error| not_written(&error))?;
        let mut sites = self.prepared.sites;
        let policy = process.policy();
        let may_be_bypassed = |operation| policy.fixed(operation) != Some(Decision::Kernel);
        let wanted = |number| finesse_agent::operations(number).any(may_be_bypassed);
        let notes = sites.rewrite_all(tid, &fast.texts, wanted);
        Ok((Present { sites }, notes))
    }
}

impl Present {
    /// A child, made by fork(2), of a process with the agent: it has the agent as well, without
    /// state and channel.
    pub(super) fn inherited(fast: &FastPath, tid: u32) -> Option<Present> {
        let mappings = Mappings::of(tid)?;
        let ring = fast.base + layout::RING..fast.base + layout::RING + layout::RING_LEN;
        let is_there = mappings.is_agent(fast.base) && mappings.are_free(&ring);
        if !is_there || check_relations(tid, fast).is_err() {
            return None;
        }
        let sites = Sites::inherited(fast.base, tid)?;
        Some(Present { sites })
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
    check_relations(tid, fast)?;
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

fn check_relations(tid: u32, fast: &FastPath) -> Result<(), Why> {
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
    Ok(())
}
