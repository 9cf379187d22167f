//! The fast path: targets that post requests themselves.
//!
//! After some bypassed calls a target gets the agent (`finesse-agent`) and a channel of its
//! own, and each call site that traps is rewritten to jump into the agent. Whatever the
//! agent does not know, or cannot do at once, traps as before.

mod alone;
mod history;
mod inject;
mod memory;
mod moves;
mod own_calls;
mod padding;
mod resident;
mod scan;
mod site;
mod sites;
mod text;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use finesse_agent::layout;
use finesse_notify::{Notification, Resident as Area};
use finesse_policy::{Fast, Policy};
use finesse_wire::NodeId;
use parking_lot::Mutex;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{MemfdFlags, SealFlags};

use crate::calls::Event;
use crate::mounts::Mount;
use crate::report::{Note, Report};
use crate::targets::{Process, Standing, Targets, Thread, share_memory};
use history::{History, Program, Worth};
use inject::{Boot, Prepared, Present};
pub(crate) use own_calls::{TakenOver, is_agents, is_bootstraps};
use resident::Resident;
use scan::Texts;

/// The agent looks at no paths and refuses nothing.
const POLICY: Why = "the policy judges its paths, or refuses it calls";

/// It asked for the agent, and did not wait for it.
const ODD: Why = "it does not do what a bootstrap does";

/// Why a target stays on traps.
pub(crate) type Why = &'static str;

/// What is the same for all targets.
#[derive(Debug)]
pub(crate) struct FastPath {
    /// Where the agent lies in every target.
    base: u64,
    /// Its bytes.
    agent: OwnedFd,
    /// Seccomp filters of a target that has none of its own: ours, and those that we are under.
    filters: u64,
    /// Processes that have it, or are to get it. Taken for a look-up; the lock of a process's
    /// stage may be held then.
    processes: Mutex<HashMap<u32, Weak<Process>>>,
    /// Changes of mounts that the processes were told of; each is counted before they are.
    changes: AtomicU64,
    /// An eventfd(2): a worker has looked at the mounts again.
    looked: OwnedFd,
    /// What programs did, and whether all that is to be known is whether the agent is likely to pay.
    history: History,
    only_auto: bool,
    texts: Texts,
    /// Those of processes that another program may run in by now.
    kept: Mutex<HashMap<u32, (Arc<Process>, Resident)>>,
    report: Arc<Report>,
}

/// How far a process has come.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    stage: Stage,
    /// Bypassed calls; those without a trap are counted when it ends.
    calls: u64,
    /// What it runs, if the calls are to be remembered of that.
    program: Option<Program>,
    worth: Worth,
    /// Threads beside others that were about to set their umask, and have not called since.
    set_umask: BTreeSet<u32>,
}

#[derive(Debug, Default)]
enum Stage {
    /// It has made no call that was bypassed.
    #[default]
    New,
    /// It gets the agent once it has made enough calls.
    Counting,
    /// The next call from one of its sites brings in the agent.
    Prepared(Prepared),
    /// The bootstrap runs.
    Booting(Boot),
    /// It has the agent, and gets a channel once it has made enough calls.
    Present(Present),
    /// It posts itself, or is about to.
    Resident(Resident),
    /// It has posted, and does no more: a thread may be waiting for a reply still.
    Retired(Resident),
    /// It stays on traps.
    Off,
}

/// One call of a thread that is about to be forwarded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'c> {
    pub(crate) notification: &'c Notification,
    pub(crate) thread: &'c Thread,
    pub(crate) mount: &'c Arc<Mount>,
    pub(crate) base: NodeId,
    /// [`FastPath::changes`] before the mounts were looked at.
    pub(crate) changes: u64,
}

/// Where the agent is to lie in all targets of one run.
pub(crate) fn choose_base() -> io::Result<u64> {
    let mut bytes = [0; 4];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    let random = u64::from(u32::from_le_bytes(bytes));
    // Above what programs are loaded at, below where the kernel puts mappings; the whole
    // area within 4 GiB, as the filter compares the halves of an address.
    let base = 0x1000_0000_0000 | (random & 0xFFF) << 32 | (random >> 12 & 0xFFF) << 16;
    Ok(base)
}

/// The agent's memory. Each target may keep the descriptor that it gets, and all have the same
/// memory: nobody can change it.
fn agent() -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let agent = rustix::fs::memfd_create("finesse-agent", flags)?;
    rustix::fs::ftruncate(&agent, layout::PASSING_END)?;
    rustix::io::pwrite(&agent, finesse_agent::image(), 0)?;
    rustix::io::pwrite(&agent, &finesse_agent::table(), layout::CALLS)?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&agent, seals)?;
    Ok(agent)
}

/// What the filter has to know.
pub(crate) fn area(base: u64) -> Area {
    Area {
        start: base,
        passing: base + layout::TRAPPING,
        end: base + layout::PASSING_END,
    }
}

/// Why a process that does this has no agent from then on.
fn ends_agent(event: Event, is_single: bool) -> Option<Why> {
    match event {
        Event::Exit | Event::Exec => None,
        // Threads have one umask: the agent goes on without the calls that need it.
        Event::Umask(_) => None,
        Event::Credentials => {
            (!is_single).then_some("others may change credentials, or not, in its memory")
        }
        Event::Adopts => Some("it adopts orphans"),
        Event::Confine | Event::Restrict | Event::Filter => Some("it confines itself"),
    }
}

/// A process whose umask is nobody else's has told us the new one: it goes on posting, with
/// that. False if it is not so.
fn tell_umask(tid: u32, process: &Process, mask: u16) -> bool {
    let progress = process.progress().lock();
    let Stage::Resident(resident) = &progress.stage else {
        return false;
    };
    process.standing() != Standing::Confined
        && alone::is_alone(tid)
        && resident.tell_umask(tid, mask)
}

impl FastPath {
    pub(crate) fn new(base: u64, policy: &Policy, report: Arc<Report>) -> io::Result<Self> {
        let is_auto = policy.maybe_auto();
        Ok(FastPath {
            base,
            agent: agent()?,
            filters: inject::filters(std::process::id()).unwrap_or(0) + 1,
            processes: Mutex::default(),
            changes: AtomicU64::new(0),
            history: match is_auto {
                true => History::open(),
                false => History::of_this_run(),
            }?,
            only_auto: is_auto && !policy.maybe_on(),
            texts: Texts::default(),
            kept: Mutex::default(),
            looked: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            report,
        })
    }

    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// To be asked before the mounts are looked at, for [`Seen`].
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Whether the agent may be brought in when a program begins, as far as that is known without
    /// looking at who it is: many programs begin.
    pub(crate) fn may_begin(&self, notification: &Notification) -> bool {
        // No thread of the former program waits any more.
        self.kept.lock().remove(&notification.tid());
        let fast = if self.only_auto { Fast::Auto } else { Fast::On };
        let program = Program::of(notification.tid());
        self.history.worth_it(program, fast).at_start
    }

    /// Looks for what most programs will need to have found; takes a millisecond or so.
    pub(crate) fn look_ahead(&self) {
        self.texts.look_at_own();
    }

    /// A program begins: the agent is brought in before it has threads, if it may be worth it.
    pub(crate) fn begin(&self, notification: &Notification, thread: &Thread) {
        let process = thread.process();
        let progress = &mut *process.progress().lock();
        let is_new = matches!(progress.stage, Stage::New);
        if !is_new || self.look_at(process, progress).is_err() || !progress.worth.at_start {
            return;
        }
        match Prepared::at_start(self, notification) {
            Ok(prepared) => progress.stage = Stage::Prepared(prepared),
            Err(why) => tracing::debug!("process {} began: {why}", process.tgid()),
        }
    }

    /// Learns from a call that traps: injects the agent, rewrites the site, grants the
    /// directory.
    pub(crate) fn consider(&self, seen: Seen<'_>) {
        let process = seen.thread.process();
        let progress = &mut *process.progress().lock();
        self.note(process, Note::Trapped);
        if progress.calls == 0 {
            self.note(process, Note::Met);
        }
        progress.calls += 1;
        progress.set_umask.remove(&seen.notification.tid());
        // Whoever is gone has set it.
        progress.set_umask.retain(|tid| alone::is_there(*tid));
        let knows_umask = progress.set_umask.is_empty();
        if let Stage::New = progress.stage {
            progress.stage = match self.look_at(process, progress) {
                Ok(()) => Stage::Counting,
                Err(why) => self.stays_on_traps(process, why),
            };
        }
        let is_worth_it = progress.calls > progress.worth.after;
        progress.stage = match std::mem::replace(&mut progress.stage, Stage::Off) {
            Stage::Counting if is_worth_it => self.prepare(seen),
            Stage::Prepared(mut prepared) => match prepared.extend(seen) {
                Ok(note) => {
                    self.note_if(process, note);
                    Stage::Prepared(prepared)
                }
                Err(why) => self.stays_on_traps(process, why),
            },
            Stage::Present(present) if is_worth_it => self.offer(present, seen),
            Stage::Resident(mut resident) => {
                self.note_if(process, resident.learn(seen, knows_umask));
                self.take_back_what_is_old(seen.notification.tid(), seen.changes);
                Stage::Resident(resident)
            }
            other => other,
        };
    }

    /// A process begins, or makes its first call: what it runs if that is to be remembered, and
    /// when it is to have the agent. Why not at all.
    fn look_at(&self, process: &Process, progress: &mut Progress) -> Result<(), Why> {
        let policy = process.policy();
        let fast = policy.fast();
        if fast == Fast::Off {
            return Err("the policy says off");
        }
        if !policy.is_by_mount_alone() {
            return Err(POLICY);
        }
        progress.program = Program::of(process.tgid());
        progress.worth = self.history.worth_it(progress.program, fast);
        Ok(())
    }

    fn prepare(&self, seen: Seen<'_>) -> Stage {
        let process = seen.thread.process();
        match Prepared::begin(self, seen) {
            Ok((prepared, note)) => {
                self.note_if(process, note);
                Stage::Prepared(prepared)
            }
            Err(why) => match Present::inherited(self, seen.notification.tid()) {
                Some(present) => {
                    self.begin_to_tell(process);
                    self.offer(present, seen)
                }
                None => self.stays_on_traps(process, why),
            },
        }
    }

    fn offer(&self, present: Present, seen: Seen<'_>) -> Stage {
        match Resident::offer(self.base, seen, present.sites) {
            Ok(mut resident) => {
                self.note_if(seen.thread.process(), resident.learn(seen, false));
                self.take_back_what_is_old(seen.notification.tid(), seen.changes);
                Stage::Resident(resident)
            }
            Err(why) => self.stays_on_traps(seen.thread.process(), why),
        }
    }

    /// A target was told of the mounts as they were after `changes`. Others that came
    /// meanwhile are seen here, or their news come after what it was told.
    fn take_back_what_is_old(&self, tid: u32, changes: u64) {
        if self.changes() != changes {
            resident::disable(self.base, tid);
        }
    }

    /// A target is about to change something that its requests hang on: it posts nothing
    /// until it traps again and is found to be as it should.
    pub(crate) fn observe(&self, targets: &Targets, tid: u32, event: Event) {
        let is_last = matches!(event, Event::Exit | Event::Exec);
        let met = || targets.thread(tid).ok().map(|met| met.thread);
        if let Event::Umask(mask) = event
            && met().is_some_and(|thread| tell_umask(tid, thread.process(), mask))
        {
            return;
        }
        // First, and whoever it is: a child of vfork(2) has the memory of its parent.
        let has_agent = resident::disable(self.base, tid);
        let thread = match is_last && !has_agent {
            // Of whom nothing is known there is nothing to keep.
            true => targets.known(tid),
            false => met(),
        };
        if has_agent && !is_last && event != Event::Adopts {
            self.leave_sharers(tid, thread.as_deref());
        }
        let thread = thread.as_deref();
        let Some(process) = thread.map(Thread::process) else {
            return;
        };
        let progress = &mut *process.progress().lock();
        if has_agent {
            // Another thread's call may have enabled it meanwhile.
            resident::disable(self.base, tid);
        }
        if matches!(event, Event::Umask(_)) && !alone::is_alone(tid) {
            progress.set_umask.insert(tid);
        }
        progress.stage = match std::mem::replace(&mut progress.stage, Stage::Off) {
            Stage::Resident(mut resident) => {
                let is_single = alone::is_alone(tid);
                if event == Event::Credentials && is_single {
                    resident.unbind();
                }
                let why = ends_agent(event, is_single);
                if is_last || why.is_some() {
                    let served = self.count_untrapped(process, &mut resident, tid);
                    progress.calls = progress.calls.wrapping_add(served);
                }
                match why {
                    Some(why) => self.agent_off(process, resident, why),
                    None if event == Event::Exec && !is_single => {
                        self.keep_session(process, resident);
                        Stage::Off
                    }
                    None => Stage::Resident(resident),
                }
            }
            Stage::Present(present) => match ends_agent(event, alone::is_alone(tid)) {
                Some(why) => self.stays_on_traps(process, why),
                None => Stage::Present(present),
            },
            Stage::Prepared(prepared) => match ends_agent(event, true) {
                Some(why) => {
                    prepared.give_up(tid);
                    self.stays_on_traps(process, why)
                }
                // Who is not alone is not let in.
                None => Stage::Prepared(prepared),
            },
            Stage::Booting(boot) => {
                // No bootstrap does that.
                boot.give_up(tid);
                self.stays_on_traps(process, ODD)
            }
            // What dispatches its own calls shows nowhere else.
            Stage::New | Stage::Counting if event == Event::Filter => {
                self.stays_on_traps(process, "it confines itself")
            }
            other => other,
        };
        if is_last {
            self.remember(progress);
        }
    }

    /// A process ends, or runs another program.
    fn remember(&self, progress: &mut Progress) {
        if let Some(program) = progress.program.take() {
            self.history.learn(program, progress.calls);
        }
    }

    /// An agent that is disabled is enabled no more.
    fn agent_off(&self, process: &Process, mut resident: Resident, why: Why) -> Stage {
        resident.unbind();
        let is_idle = resident::is_idle(self.base, process.tgid());
        tracing::debug!("the agent of process {} is off: {why}", process.tgid());
        self.note(process, Note::AgentOff(why));
        match is_idle {
            true => Stage::Off,
            false => Stage::Retired(resident),
        }
    }

    /// Calls that the agent in the memory of `tid` has answered since this was last asked.
    fn count_untrapped(&self, process: &Process, resident: &mut Resident, tid: u32) -> u64 {
        let served = resident.newly_served(tid);
        for (number, calls) in &served {
            self.report
                .add_untrapped(process.executable(), *number, *calls);
        }
        let counts = served.iter().map(|(_, calls)| *calls);
        // A program may write there what it likes.
        counts.fold(0, u64::wrapping_add)
    }

    fn stays_on_traps(&self, process: &Process, why: Why) -> Stage {
        tracing::debug!("process {} stays on traps: {why}", process.tgid());
        self.note(process, Note::Without(why));
        Stage::Off
    }

    fn note_if(&self, process: &Process, note: Option<Note>) {
        if let Some(note) = note {
            self.note(process, note);
        }
    }

    fn note(&self, process: &Process, note: Note) {
        self.report.note(process.executable(), note);
    }

    /// A thread is about to be somebody else than the other processes that run in its memory
    /// (`CLONE_VM`): an agent cannot tell who runs it.
    fn leave_sharers(&self, tid: u32, thread: Option<&Thread>) {
        let own = thread.map(|thread| thread.process().tgid());
        for other in self.sharers(tid, own) {
            let progress = &mut *other.progress().lock();
            resident::disable(self.base, tid);
            let why = "another process in its memory is somebody else";
            progress.stage = match std::mem::replace(&mut progress.stage, Stage::Off) {
                Stage::Resident(mut resident) => {
                    let served = self.count_untrapped(&other, &mut resident, tid);
                    progress.calls = progress.calls.wrapping_add(served);
                    self.agent_off(&other, resident, why)
                }
                off @ (Stage::Off | Stage::Retired(_)) => off,
                _ => self.stays_on_traps(&other, why),
            };
        }
    }

    /// A thread executes another program, maybe in vain, and another one may be waiting for a
    /// reply.
    fn keep_session(&self, process: &Arc<Process>, resident: Resident) {
        let mut kept = self.kept.lock();
        kept.retain(|_, (process, _)| process.lives());
        kept.insert(process.tgid(), (Arc::clone(process), resident));
    }

    /// The processes that run in the memory of this thread, but its own.
    fn sharers(&self, tid: u32, own: Option<u32>) -> Vec<Arc<Process>> {
        let mut others: Vec<_> = {
            let processes = self.processes.lock();
            let others = processes.values().filter_map(Weak::upgrade);
            others.filter(|it| Some(it.tgid()) != own).collect()
        };
        // Who cannot be told apart any more has ended.
        others.retain(|it| share_memory(tid, it.tgid()) == Some(true));
        others
    }

    /// A worker has looked at the mounts again, maybe because a way to one has changed. Others
    /// who watch the former ways may not hear of that any more.
    pub(crate) fn looked_at_mounts(&self, ways_have_changed: bool) {
        if ways_have_changed {
            self.mounts_changed();
        }
        // Fails when the news is old.
        let _ = rustix::io::write(&self.looked, &1_u64.to_ne_bytes());
    }

    /// Polls as readable after that, until it is taken note of.
    pub(crate) fn looked(&self) -> BorrowedFd<'_> {
        self.looked.as_fd()
    }

    pub(crate) fn take_note(&self) {
        let _ = rustix::io::read(&self.looked, &mut [0; 8]);
    }

    /// The mount table, or a way to a mount, has changed.
    pub(crate) fn mounts_changed(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        for process in self.processes.lock().keys() {
            resident::disable(self.base, *process);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use rustix::io::Errno;

    #[test]
    fn who_has_the_agents_descriptor_cannot_change_it() {
        let agent = agent().unwrap();
        assert_eq!(rustix::io::pwrite(&agent, b"x", 0), Err(Errno::PERM));
        assert_eq!(rustix::fs::ftruncate(&agent, 0), Err(Errno::PERM));
        let none = rustix::fs::fcntl_add_seals(&agent, SealFlags::empty());
        assert_eq!(none, Err(Errno::PERM));
    }
}
