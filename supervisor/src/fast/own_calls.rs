//! Calls that our own code in a target makes: the bootstrap, the agent's start, and the agent
//! where a reply does not come at once.

use std::sync::Arc;

use finesse_agent::layout::{self, ask};
use finesse_notify::Notification;

use super::inject::{self, Boot};
use super::resident::{self, Resident};
use super::{FastPath, Stage};
use crate::connection::Connection;
use crate::mounts::Mount;
use crate::report::Note;
use crate::targets::{Process, Thread};

/// A call that is to be answered with the reply in this slot of the session with this mount.
#[derive(Debug)]
pub(crate) struct TakenOver {
    pub(crate) notification: Notification,
    pub(crate) connection: Arc<Connection>,
    pub(crate) mount: Arc<Mount>,
    pub(crate) slot: u32,
}

/// Whether a call that returns to `address` comes from that code of the agent which only
/// speaks to us.
pub(crate) fn is_agents(base: u64, address: u64) -> bool {
    (base..base + layout::TRAPPING).contains(&address)
}

/// Whether a program's bootstrap speaks to us, or the agent's start.
pub(crate) fn is_bootstraps(notification: &Notification) -> bool {
    let [option, ..] = notification.args();
    // It is an `int`.
    i64::from(notification.number()) == libc::SYS_prctl
        && option & 0xFFFF_FFFF == u64::from(ask::OPTION.cast_unsigned())
}

impl FastPath {
    /// Answers a call that the bootstrap makes, or somebody in its name.
    pub(crate) fn serve_bootstrap(&self, notification: Notification, thread: &Thread) {
        let process = thread.process();
        let stage = &mut process.progress().lock().stage;
        match (notification.args()[1], std::mem::replace(stage, Stage::Off)) {
            (ask::AGENT, Stage::Prepared(prepared)) => {
                *stage = match prepared.boot(self, notification) {
                    Ok(boot) => {
                        self.begin_to_tell(process);
                        Stage::Booting(boot)
                    }
                    Err(why) => self.stays_on_traps(process, why),
                };
            }
            (ask::NO_ROOM, Stage::Booting(boot)) => {
                *stage = self.finish(boot, &notification, process);
                notification.fail(libc::EINVAL);
            }
            (asked, other) => {
                *stage = other;
                if asked == ask::AGENT {
                    inject::refuse(self.base, &notification);
                }
                notification.fail(libc::EINVAL);
            }
        }
    }

    /// Before it is told anything: from now on it hears of changes.
    pub(super) fn begin_to_tell(&self, process: &Arc<Process>) {
        let mut processes = self.processes.lock();
        processes.retain(|_, process| process.strong_count() > 0);
        processes.insert(process.tgid(), Arc::downgrade(process));
    }

    fn finish(&self, boot: Boot, notification: &Notification, process: &Process) -> Stage {
        match boot.finish(self, notification, process) {
            Ok((present, notes)) => {
                notes.into_iter().for_each(|note| self.note(process, note));
                Stage::Present(present)
            }
            Err(why) => self.stays_on_traps(process, why),
        }
    }

    /// Answers a call from the agent's own code: it has something to ask or to say, or a reply
    /// did not come at once.
    pub(crate) fn serve(&self, notification: Notification, thread: &Thread) -> Option<TakenOver> {
        if notification.returns_to() < self.base + finesse_agent::takeovers() {
            self.serve_agent(notification, thread);
            return None;
        }
        self.take_over(notification, thread.process())
    }

    /// The agent asks for the channel, or something is mapped, or is not.
    fn serve_agent(&self, notification: Notification, thread: &Thread) {
        let process = thread.process();
        let progress = &mut *process.progress().lock();
        let knows_umask = progress.set_umask.is_empty();
        let stage = &mut progress.stage;
        match std::mem::replace(stage, Stage::Off) {
            Stage::Booting(boot) => {
                *stage = self.finish(boot, &notification, process);
                notification.succeed(0);
            }
            Stage::Resident(mut resident) if notification.args()[1] == ask::RING => {
                resident.give_ring(notification);
                *stage = Stage::Resident(resident);
            }
            Stage::Resident(resident) if !resident.is_mapped() => {
                *stage = self.begin_to_post(resident, &notification, thread, knows_umask);
                notification.succeed(0);
            }
            other => {
                *stage = other;
                notification.fail(libc::EINVAL);
            }
        }
    }

    /// The channel is mapped, or not.
    fn begin_to_post(
        &self,
        mut resident: Resident,
        notification: &Notification,
        thread: &Thread,
        knows_umask: bool,
    ) -> Stage {
        let process = thread.process();
        match resident.finish(notification, thread, knows_umask) {
            Ok(()) => {
                self.note(process, Note::HasAgent);
                self.take_back_what_is_old(notification.tid(), resident.changes());
                Stage::Resident(resident)
            }
            Err(why) => {
                resident::disable(self.base, notification.tid());
                self.stays_on_traps(process, why)
            }
        }
    }

    /// A reply did not come at once.
    fn take_over(&self, notification: Notification, process: &Process) -> Option<TakenOver> {
        self.note(process, Note::Trapped);
        let slot = self.slot(&notification);
        if !resident::is_own(self.base, notification.tid(), slot) {
            // A child makes the call itself, whatever channel it has.
            notification.fail(libc::EINTR);
            return None;
        }
        let session = session(process)
            .or_else(|| {
                // A child of vfork(2) has its parent's agent.
                let sharers = self.sharers(notification.tid(), Some(process.tgid()));
                sharers.iter().find_map(|it| session(it))
            })
            .or_else(|| self.kept.lock().get(&process.tgid())?.1.session());
        let Some((connection, mount)) = session else {
            // It may have been made.
            notification.fail(libc::EIO);
            return None;
        };
        Some(TakenOver {
            slot,
            notification,
            connection,
            mount,
        })
    }

    fn slot(&self, notification: &Notification) -> u32 {
        let first = self.base + finesse_agent::takeovers();
        let offset = notification.returns_to().saturating_sub(first);
        u32::try_from(offset / layout::TAKEOVER).unwrap_or(u32::MAX)
    }
}

/// With whom the agent of a process speaks, and of which mount.
fn session(process: &Process) -> Option<(Arc<Connection>, Arc<Mount>)> {
    match &process.progress().lock().stage {
        Stage::Resident(it) | Stage::Retired(it) => it.session(),
        _ => None,
    }
}
