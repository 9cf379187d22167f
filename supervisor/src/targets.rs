//! Who makes a call: the threads of the supervised program, and what is remembered of
//! them.
//!
//! What is remembered, and what makes it forgotten (each is a trapped call, or death):
//!
//! | remembered | per | forgotten |
//! |---|---|---|
//! | credentials | thread | set*id, setgroups, capset, exec by that thread; exec elsewhere in the process |
//! | umask | process | replaced by umask(2), asked anew for each call once one of several threads set it; exec |
//! | standing (namespaces, root) | process | chroot, pivot_root, unshare, setns, landlock confine for good; exec |
//! | whose children may be others' | process | death |
//! | program, and so policy | process | exec |
//!
//! Processes that share root and umask (`CLONE_FS` without `CLONE_THREAD`), and threads
//! that do not, are left to the kernel once one of them changes either.
//!
//! A thread id that was reused cannot be mistaken: each thread is held by a pidfd, and
//! what is remembered counts only while that pidfd says that it lives.

mod fosters;
mod process;
mod sharing;
mod thread;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use finesse_policy::Policy;
use parking_lot::Mutex;

pub(crate) use process::{Process, Standing};
pub(crate) use sharing::share_memory;
pub(crate) use thread::{Identity, Start, Thread, status};

use crate::calls::Event;
use crate::reason::Reason;
use fosters::Fosters;
use process::Home;
use sharing::share_fs;
use thread::Identities;

/// Threads remembered before the dead ones among them are looked for.
/// Each holds two descriptors, and so does each process.
const SWEEP_AT: usize = 128;

/// A thread, as it is known when it makes a call.
#[derive(Debug)]
pub(crate) struct Met {
    pub(crate) thread: Arc<Thread>,
    /// It was looked up by its number for this very call. That it was the one that waits
    /// is certain once the notification is found valid afterwards.
    pub(crate) just_now: bool,
}

/// Processes noted as having changed their umask or root, before the dead ones among them
/// are forgotten.
const MAX_CHANGERS: usize = 64;

/// Processes noted as executing a program; more than ever do at one moment.
const MAX_IN_EXEC: usize = 4096;

/// The threads and processes of the supervised program.
#[derive(Debug)]
pub(crate) struct Targets {
    policy: Arc<Policy>,
    home: Home,
    identities: Identities,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    threads: HashMap<u32, Arc<Thread>>,
    processes: HashMap<u32, Arc<Process>>,
    /// Processes in which a thread other than the leader called exec: it takes over the
    /// leader's id without leaving a trace here, so nothing of them is remembered.
    uncertain: HashSet<u32>,
    /// Processes whose leader called exec and has not called again. Until then another
    /// thread may show the old program ([`Process::runs_its_program`]).
    in_exec: HashSet<u32>,
    /// Processes that changed their umask or root: who is met later may share them.
    changers: HashSet<u32>,
    /// Threads at which the next sweep happens.
    sweep_at: usize,
    /// A process has confined itself in a way that its children inherit invisibly.
    confinement: bool,
    /// Who is no witness of where a child comes from.
    fosters: Fosters,
}

impl Targets {
    pub(crate) fn new(policy: Arc<Policy>) -> std::io::Result<Self> {
        Ok(Targets {
            policy,
            home: Home::of_this_process()?,
            identities: Identities::default(),
            known: Mutex::new(Known {
                threads: HashMap::new(),
                processes: HashMap::new(),
                uncertain: HashSet::new(),
                in_exec: HashSet::new(),
                changers: HashSet::new(),
                sweep_at: SWEEP_AT,
                confinement: false,
                fosters: Fosters::new(),
            }),
        })
    }

    /// Some children of this process may be others'.
    pub(crate) fn note_foster(&self, tgid: u32) {
        self.known.lock().fosters.note(Some(tgid));
    }

    /// The thread `tid`, which waits in a notification. The caller checks afterwards that
    /// it lives ([`Thread::pidfd`]).
    pub(crate) fn thread(&self, tid: u32) -> Result<Met, Reason> {
        let known = self.known(tid).map(|thread| Met {
            thread,
            just_now: false,
        });
        known.map_or_else(|| self.meet(tid), Ok)
    }

    /// The thread of that id, if it was met.
    pub(crate) fn known(&self, tid: u32) -> Option<Arc<Thread>> {
        self.known.lock().threads.get(&tid).map(Arc::clone)
    }

    /// Forgets a thread that turned out to be dead and looks who has its id now.
    pub(crate) fn meet_again(&self, tid: u32) -> Result<Met, Reason> {
        self.known.lock().threads.remove(&tid);
        self.meet(tid)
    }

    fn meet(&self, tid: u32) -> Result<Met, Reason> {
        // The pidfd first: if it lives when it is checked later, all that was read in
        // between was read of the same thread.
        let pidfd = thread::open_pidfd(tid).ok();
        let task = thread::open_task(tid).map_err(|_| Reason::TargetGone)?;
        let status = thread::status(tid).ok_or(Reason::TargetGone)?;
        let tgid = u32::try_from(status.tgid).map_err(|_| Reason::TargetGone)?;
        if tid == tgid {
            self.known.lock().in_exec.remove(&tgid);
        }
        let process = self.process(tgid, &status)?;
        if tid != tgid && share_fs(tid, tgid) == Some(false) {
            process.confine();
        }
        let identity = self.identities.of(&status);
        let thread = Arc::new(Thread::new(pidfd, task, process, identity));
        let mut known = self.known.lock();
        if thread.pidfd().is_some() && !known.uncertain.contains(&tgid) {
            known.threads.insert(tid, Arc::clone(&thread));
        }
        if known.threads.len() >= known.sweep_at {
            known.sweep();
        }
        Ok(Met {
            thread,
            just_now: true,
        })
    }

    fn process(&self, tgid: u32, status: &procfs::process::Status) -> Result<Arc<Process>, Reason> {
        let in_exec = {
            let known = self.known.lock();
            let process = known.processes.get(&tgid);
            if let Some(process) = process.filter(|p| p.lives() && p.runs_its_program()) {
                return Ok(Arc::clone(process));
            }
            known.in_exec.contains(&tgid) || known.uncertain.contains(&tgid)
        };
        let inherited = self.inherited(tgid, status);
        let process = Arc::new(
            Process::meet(tgid, status, &self.home, inherited, &self.policy, in_exec)
                .ok_or(Reason::TargetGone)?,
        );
        // Who changes umask or root from here on, finds the process among the known. Another
        // worker may have met it at the same time: what it noted since is not lost.
        let (process, changers) = {
            let mut known = self.known.lock();
            (known.keep(process), known.changers.clone())
        };
        let shares = |other: &u32| *other != tgid && share_fs(tgid, *other) == Some(true);
        if changers.iter().any(shares) {
            process.confine();
        }
        Ok(process)
    }

    /// The standing that a process has from its parent. Landlock leaves no trace in /proc:
    /// once somebody used it, only children of processes known to be free count as free.
    fn inherited(&self, tgid: u32, status: &procfs::process::Status) -> Standing {
        let parent = {
            let known = self.known.lock();
            let parent = parent_in(status).and_then(|ppid| known.processes.get(&ppid));
            match parent {
                Some(parent) if known.confinement => Arc::clone(parent),
                Some(parent) => return parent.standing(),
                None if known.confinement => return Standing::Confined,
                None => return Standing::Free,
            }
        };
        // Its id may have been another's when `status` was read. It was its own in between
        // these two looks, if it still lives.
        let is_parent = thread::status(tgid).as_ref().and_then(parent_in) == Some(parent.tgid());
        let is_parent = is_parent && parent.lives();
        // Whatever made it a foster parent came before it was found to be the parent.
        let is_certain = !self.known.lock().fosters.contains(parent.tgid());
        if is_parent && is_certain {
            parent.standing()
        } else {
            Standing::Confined
        }
    }

    /// A trapped call is about to change what is remembered.
    pub(crate) fn observe(&self, tid: u32, event: Event) {
        match event {
            Event::Credentials => {
                self.known.lock().threads.remove(&tid);
            }
            Event::Umask(mask) => {
                if let Ok(thread) = self.living(tid) {
                    thread.process().set_umask(mask);
                    self.leave_sharers(thread.process());
                }
            }
            Event::Confine => {
                let thread = self.living(tid);
                self.known.lock().confinement = true;
                if let Ok(thread) = thread {
                    thread.process().confine();
                    self.leave_sharers(thread.process());
                }
            }
            Event::Restrict => self.restrict(tid),
            Event::Adopts => {
                let process = thread::process_of(tid);
                self.known.lock().fosters.note(process);
            }
            Event::Exec => self.forget_program(tid),
            Event::Filter | Event::Exit => {}
        }
    }

    /// A thread restricts itself by landlock. From now on it can make processes that are its
    /// parent's children and are restricted.
    fn restrict(&self, tid: u32) {
        let thread = self.living(tid);
        let parent = thread::status(tid).as_ref().and_then(parent_in);
        {
            let mut known = self.known.lock();
            known.confinement = true;
            known.fosters.note(parent);
        }
        match thread {
            Ok(thread) => {
                thread.process().confine();
                self.leave_sharers(thread.process());
            }
            // Nothing could be remembered of it.
            Err(_) => self.known.lock().fosters.note(None),
        }
    }

    /// `process` changes umask or root: the processes that share them are left to the
    /// kernel, and so is it.
    fn leave_sharers(&self, process: &Process) {
        let others: Vec<_> = {
            let mut known = self.known.lock();
            known.note_changer(process.tgid());
            let processes = known.processes.values();
            let others = processes.filter(|other| other.tgid() != process.tgid());
            others.cloned().collect()
        };
        for other in others {
            if share_fs(process.tgid(), other.tgid()) == Some(true) {
                other.confine();
                process.confine();
            }
        }
    }

    /// The thread that has this id now.
    fn living(&self, tid: u32) -> Result<Arc<Thread>, Reason> {
        let met = self.thread(tid)?;
        let met = if met.just_now || met.thread.lives() {
            met
        } else {
            self.meet_again(tid)?
        };
        Ok(met.thread)
    }

    fn forget_program(&self, tid: u32) {
        // A thread that was never met may still be one of a known process.
        let is_known_leader = self.known.lock().processes.contains_key(&tid);
        let tgid = if is_known_leader {
            Some(tid)
        } else {
            thread::process_of(tid)
        };
        let Some(tgid) = tgid else { return };
        let mut known = self.known.lock();
        known.forget_process(tgid);
        if tid == tgid {
            known.note_exec(tgid);
        } else {
            known.uncertain.insert(tgid);
        }
    }
}

fn parent_in(status: &procfs::process::Status) -> Option<u32> {
    u32::try_from(status.ppid).ok()
}

impl Known {
    /// The process that is remembered: one that was met already, or this one.
    fn keep(&mut self, process: Arc<Process>) -> Arc<Process> {
        let known = self.processes.get(&process.tgid());
        if let Some(known) = known.filter(|p| p.lives() && p.runs_its_program()) {
            return Arc::clone(known);
        }
        self.processes.insert(process.tgid(), Arc::clone(&process));
        process
    }

    fn note_changer(&mut self, tgid: u32) {
        // Each process that is met later is compared with all of them.
        if self.changers.len() >= MAX_CHANGERS {
            let processes = &self.processes;
            self.changers
                .retain(|tgid| processes.get(tgid).is_some_and(|p| p.lives()));
        }
        self.changers.insert(tgid);
    }

    fn note_exec(&mut self, tgid: u32) {
        // Many never call again, and would gather. Only those that are in the middle of an
        // exec right now matter.
        if self.in_exec.len() >= MAX_IN_EXEC {
            self.in_exec.clear();
        }
        self.in_exec.insert(tgid);
    }

    /// Forgets a process and its threads, but not its standing: exec does not lift a
    /// confinement.
    fn forget_process(&mut self, tgid: u32) {
        self.threads
            .retain(|_, thread| thread.process().tgid() != tgid);
        let confined = self
            .processes
            .get(&tgid)
            .is_some_and(|p| p.standing() == Standing::Confined);
        if !confined {
            self.processes.remove(&tgid);
        }
    }

    fn sweep(&mut self) {
        self.threads.retain(|_, thread| thread.lives());
        self.processes.retain(|_, process| process.lives());
        let processes = &self.processes;
        self.uncertain.retain(|tgid| processes.contains_key(tgid));
        self.changers.retain(|tgid| processes.contains_key(tgid));
        self.sweep_at = SWEEP_AT.max(2 * self.threads.len());
    }
}
