//! Calls that our own code in a target makes: the bootstrap, the agent's start, and the agent
//! where a reply does not come at once.

use std::sync::Arc;

use finesse_agent::layout::{self, ask};
use finesse_notify::{Notification, write_bytes};

use super::inject::{self, Boot};
use super::{FastPath, Stage, resident};
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
    is_trapping(base, address) && slot_left_to_us(base, address).is_none()
}

/// Whether the agent makes it, in its own name or in the program's.
pub(super) fn is_trapping(base: u64, address: u64) -> bool {
    (base..base + layout::TRAPPING).contains(&address)
}

/// The slot of a call that the agent leaves to us, made in the program's name.
fn slot_left_to_us(base: u64, address: u64) -> Option<u64> {
    let offset = address.checked_sub(base + finesse_agent::by_traps())?;
    let slot = offset / layout::BY_TRAP;
    (slot < u64::from(layout::SLOTS)).then_some(slot)
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
                *stage = match prepared.boot(self, notification, thread) {
                    Ok(boot) => self.begin_to_tell(process, boot),
                    Err(why) => self.stays_on_traps(process, why),
                };
            }
            (ask::NO_ROOM, Stage::Booting(boot)) => {
                *stage = self.finish(boot, &notification, thread);
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

    /// The agent may have left a call to us that is the program's as any other. Then it is told
    /// that we have it: from now on the kernel ends it for fatal signals only. The guardian does
    /// not say so: what the kernel then answers with `EINTR` is made again.
    pub(crate) fn has_come(&self, notification: &Notification) {
        if let Some(slot) = slot_left_to_us(self.base, notification.returns_to()) {
            let block = self.base + layout::BLOCKS + slot * layout::BLOCK as u64;
            let heard = block + layout::block::HEARD as u64;
            // It fails where the target is gone.
            let _ = write_bytes(notification.tid(), heard, &1_u32.to_le_bytes());
        }
    }

    /// Before it is told anything: from now on it hears of changes.
    fn begin_to_tell(&self, process: &Arc<Process>, boot: Boot) -> Stage {
        let mut processes = self.processes.lock();
        processes.retain(|_, process| process.strong_count() > 0);
        processes.insert(process.tgid(), Arc::downgrade(process));
        Stage::Booting(boot)
    }

    fn finish(&self, boot: Boot, notification: &Notification, thread: &Thread) -> Stage {
        let changes = boot.changes();
        let process = thread.process();
        match boot.finish(self, notification, thread) {
            Ok((resident, notes)) => {
                self.note(process, Note::HasAgent);
                notes.into_iter().for_each(|note| self.note(process, note));
                self.take_back_what_is_old(notification.tid(), changes);
                Stage::Resident(resident)
            }
            Err(why) => self.stays_on_traps(process, why),
        }
    }

    /// Answers a call from the agent's own code: its start has something to ask or to say, or
    /// a reply did not come at once.
    pub(crate) fn serve(&self, notification: Notification, thread: &Thread) -> Option<TakenOver> {
        let process = thread.process();
        let mut progress = process.progress().lock();
        let stage = &mut progress.stage;
        match std::mem::replace(stage, Stage::Off) {
            Stage::Booting(mut boot) if notification.args()[1] == ask::RING => {
                boot.give_ring(notification);
                *stage = Stage::Booting(boot);
                return None;
            }
            Stage::Booting(boot) => {
                *stage = self.finish(boot, &notification, thread);
                notification.succeed(0);
                return None;
            }
            other => *stage = other,
        }
        drop(progress);
        self.take_over(notification, process)
    }

    /// A reply did not come at once.
    fn take_over(&self, notification: Notification, process: &Process) -> Option<TakenOver> {
        self.note(process, Note::Trapped);
        let session = session(process).or_else(|| {
            // A child of vfork(2) has its parent's agent.
            let sharers = self.sharers(notification.tid(), Some(process.tgid()));
            sharers.iter().find_map(|it| session(it))
        });
        let Some((connection, mount)) = session else {
            // A child makes the call itself. Others may have made it.
            let is_forked = resident::is_forked(self.base, notification.tid());
            notification.fail(if is_forked { libc::EINTR } else { libc::EIO });
            return None;
        };
        Some(TakenOver {
            slot: self.slot(&notification),
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
        Stage::Resident(it) => Some((Arc::clone(it.connection()), Arc::clone(it.mount()))),
        _ => None,
    }
}
