//! Bringing the agent into a target.
//!
//! The thread waits in a trapped call. The code to which it will return is overwritten
//! with the bootstrap, which maps the agent; the agent maps the rest and calls us; we put
//! the code back and answer. If we die meanwhile, the agent puts it back. Sound only while
//! nobody else runs in that memory and the process handles no signals but its own faults.

use std::os::fd::AsFd;
use std::sync::Arc;

use finesse_agent::{Bootstrap, layout};
use finesse_notify::Notification;
use finesse_wire::FEATURE_DIRECT;
use procfs::process::Process;

use super::alone::is_alone;
use super::memory::{Memory, not_opened, not_written};
use super::resident::Resident;
use super::{FastPath, Seen, Why};
use crate::connection::Connection;
use crate::mounts::Mount;
use crate::targets::{Identity, Thread, share_memory};

/// A bootstrap on its way.
#[derive(Debug)]
pub(crate) struct Boot {
    at: u64,
    text: Vec<u8>,
    connection: Arc<Connection>,
    mount: Arc<Mount>,
    /// As [`Seen::changes`].
    changes: u64,
    /// The target has the channel's descriptor, too.
    is_complete: bool,
}

/// No descriptor.
const NONE: u32 = u32::MAX;

const NO_DESCRIPTOR: Why = "it may open no more descriptors";

impl Boot {
    /// Prepares the target to run the bootstrap once its call is answered.
    pub(super) fn begin(fast: &FastPath, seen: Seen<'_>) -> Result<Boot, Why> {
        let tid = seen.notification.tid();
        let mount = seen.mount;
        check_target(tid, fast.base)?;
        let identity = seen
            .thread
            .identity()
            .ok_or("credentials that do not travel")?;
        let end = seen
            .thread
            .process()
            .end()
            .map_err(|_| "no descriptors are left")?;
        let connection = seen
            .connection
            .another(mount.door.device(), FEATURE_DIRECT, end)
            .map_err(|error| {
                tracing::debug!("{error}");
                "the file system admits no further target"
            })?;
        Boot::prepare(fast, seen, identity, &connection).inspect_err(|_| connection.hang_up())
    }

    fn prepare(
        fast: &FastPath,
        seen: Seen<'_>,
        identity: &Identity,
        connection: &Arc<Connection>,
    ) -> Result<Boot, Why> {
        if !connection.bind(identity) {
            return Err("the file system refuses the caller");
        }
        let ring_len = rustix::fs::fstat(connection.memory())
            .ok()
            .and_then(|stat| u32::try_from(stat.st_size).ok())
            .ok_or("the channel is too large")?;
        let tid = seen.notification.tid();
        let memory = Memory::open(tid).map_err(|error| not_opened(&error))?;
        let mut code = Bootstrap {
            base: fast.base,
            agent: NONE,
            ring: NONE,
            ring_len,
        };
        let at = seen.notification.returns_to();
        let mut text = vec![0; code.code().len()];
        memory
            .read(at, &mut text)
            .map_err(|_| "its text cannot be read")?;
        save(&memory, tid, &text)?;
        let write = |bytes: &[u8]| {
            let written = memory.write(at, bytes);
            written.map_err(|error| not_written(&error))
        };
        // Nobody but the target can close what it is given, so all else that may fail comes
        // before: the text can be written if it can be written as it is.
        write(&text)?;
        let add = |fd| seen.notification.add_descriptor(fd);
        code.agent = add(fast.agent.as_fd()).map_err(|_| NO_DESCRIPTOR)?;
        // Without the second one the agent fails, and closes the first.
        let ring = add(connection.memory().as_fd());
        code.ring = *ring.as_ref().unwrap_or(&NONE);
        write(&code.code())?;
        Ok(Boot {
            at,
            text,
            connection: Arc::clone(connection),
            mount: Arc::clone(seen.mount),
            changes: seen.changes,
            is_complete: ring.is_ok(),
        })
    }

    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// The bootstrap has mapped everything, or not.
    pub(super) fn finish(
        self,
        fast: &FastPath,
        notification: &Notification,
        thread: &Thread,
    ) -> Result<Resident, Why> {
        self.put_back(notification)
            .inspect_err(|_| self.connection.hang_up())?;
        Resident::new(
            fast.base,
            notification.tid(),
            thread,
            self.connection,
            self.mount,
        )
    }

    fn put_back(&self, notification: &Notification) -> Result<(), Why> {
        let memory = Memory::open(notification.tid()).map_err(|error| not_opened(&error))?;
        memory
            .write(self.at, &self.text)
            .map_err(|error| not_written(&error))?;
        if !self.is_complete {
            return Err(NO_DESCRIPTOR);
        }
        match notification.args()[0] {
            0 => Ok(()),
            _ => Err("its address space has no room"),
        }
    }
}

/// Puts the text where the agent finds it if we die before we have put it back.
fn save(memory: &Memory, tid: u32, text: &[u8]) -> Result<(), Why> {
    if text.len() > layout::SAVED_MAX {
        return Err("the bootstrap is too long");
    }
    let stack = stack_pointer(tid).ok_or("its stack is not shown")?;
    let mut saved = text.len().to_le_bytes().to_vec();
    saved.extend_from_slice(text);
    memory
        .write(stack.wrapping_sub(layout::SAVED), &saved)
        .map_err(|_| "its stack has no room")
}

/// Of a thread that waits in a system call: the next to last number of proc_pid_syscall(5).
fn stack_pointer(tid: u32) -> Option<u64> {
    let line = std::fs::read_to_string(format!("/proc/{tid}/syscall")).ok()?;
    let number = line.split_ascii_whitespace().nth(7)?;
    u64::from_str_radix(number.strip_prefix("0x")?, 16).ok()
}

fn parent(status: &procfs::process::Status) -> u32 {
    u32::try_from(status.ppid).unwrap_or(0)
}

/// Signals that only faults of its own code raise in a process, which makes none while the
/// bootstrap runs. Every Rust program handles two of them, to name a stack overflow.
const FAULTS: u64 = bit(libc::SIGILL)
    | bit(libc::SIGTRAP)
    | bit(libc::SIGBUS)
    | bit(libc::SIGFPE)
    | bit(libc::SIGSEGV);

/// Of a signal in the masks of proc_pid_status(5).
const fn bit(signal: libc::c_int) -> u64 {
    1 << (signal - 1)
}

fn check_target(tid: u32, base: u64) -> Result<(), Why> {
    let process = i32::try_from(tid)
        .ok()
        .and_then(|tid| Process::new(tid).ok())
        .ok_or("it is gone")?;
    let status = process.status().map_err(|_| "it is gone")?;
    if !is_alone(tid) {
        return Err("others run in its memory");
    }
    if status.sigcgt & !FAULTS != 0 {
        return Err("it handles signals");
    }
    if share_memory(tid, parent(&status)) != Some(false) {
        return Err("it may share its memory with its parent");
    }
    let maps = process.maps().map_err(|_| "its memory is not shown")?;
    let taken = |from: u64, to: u64| maps.iter().any(|m| m.address.0 < to && from < m.address.1);
    if taken(base, base + 0x1000_0000) || taken(layout::TABLE, layout::TABLE + 0x1_0000) {
        return Err("the agent's place is taken");
    }
    Ok(())
}
