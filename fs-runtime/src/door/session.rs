//! One supervisor's session: the hand-shake, then its messages until it goes.

use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use finesse_channel::{Geometry, Server};
use finesse_wire::{
    FEATURE_DIRECT, FEATURE_INTERRUPT, FromRuntime, FromSupervisor, MAX_REPLY, MAX_REQUEST,
    PROTOCOL_VERSION, Refusal, Token,
};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use thiserror::Error;

use super::MountFacts;
use super::attendant::Sessions;
use super::callers::Callers;
use super::granted::Granted;
use super::peer::Peer;
use super::servers::{NUMBERS, Served, Servers};
use crate::vfs::Vfs;

/// How long a peer may take for its first packet, and for making room for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Longer than any packet (`Register` with [`finesse_wire::MAX_GROUPS`] groups).
const PACKET: usize = 8192;

/// Requests that may be under way in a session.
const SLOTS: u32 = 64;

/// Why a session ended.
#[derive(Debug, Error)]
pub(super) enum Ended {
    /// The peer closed its socket.
    #[error("the supervisor went away")]
    Gone,
    /// The peer was refused.
    #[error("refused: {0:?}")]
    Refused(Refusal),
    /// The peer sent what is no message, or the wrong one.
    #[error("the supervisor broke the protocol")]
    Protocol,
    /// A system call failed.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// What every session of a door needs.
#[derive(Debug)]
pub(super) struct Reception {
    pub(super) vfs: Arc<Vfs>,
    pub(super) mount: MountFacts,
    pub(super) token: Token,
    pub(super) sessions: Arc<Sessions>,
    /// For the next session's number. Only counts; relaxed.
    pub(super) numbers: AtomicU64,
}

impl Reception {
    /// Serves a peer until it goes or misbehaves.
    pub(super) fn receive(&self, socket: &UnixStream) -> Ended {
        match self.run(socket) {
            Ok(never) => match never {},
            Err(Ended::Refused(refusal)) => {
                // The session is over either way.
                let _ = say(socket, &FromRuntime::Refused(refusal));
                Ended::Refused(refusal)
            }
            Err(ended) => ended,
        }
    }

    fn run(&self, socket: &UnixStream) -> Result<std::convert::Infallible, Ended> {
        let (peer, features) = self.greet(socket)?;
        let has = |feature| features & feature != 0;
        // Outlives the threads that serve.
        let _visit = Visit::begin(&self.vfs).ok_or(Ended::Refused(Refusal::Limit))?;
        let (channel, memory) = Server::create(geometry())?;
        let attended = self.vfs.backend().attends();
        if attended {
            channel.leave_watching_to_others();
        } else if has(FEATURE_DIRECT) {
            channel.clients_ring_again();
        }
        let served = Arc::new(Served {
            channel,
            vfs: Arc::clone(&self.vfs),
            callers: Callers::default(),
            bases: peer.bases(&self.mount),
            granted: has(FEATURE_DIRECT).then(Granted::default),
            sessions: attended.then(|| Arc::clone(&self.sessions)),
            number: self.numbers.fetch_add(1, Ordering::Relaxed) % NUMBERS,
        });
        let _servers = Servers::start(Arc::clone(&served))?;
        welcome(socket, self.mount.device, features, &memory)?;
        drop(memory);
        socket.set_read_timeout(None)?;
        loop {
            match hear(socket)? {
                FromSupervisor::Hello { .. } => return Err(Ended::Protocol),
                FromSupervisor::Forget { caller } => served.callers.forget(caller),
                FromSupervisor::Interrupt { label } if has(FEATURE_INTERRUPT) => {
                    served.interrupt(label);
                }
                FromSupervisor::Interrupt { .. } => return Err(Ended::Protocol),
                FromSupervisor::Grant { base } => {
                    let granted = served.granted.as_ref().ok_or(Ended::Protocol)?;
                    let answer = if granted.add(base) {
                        FromRuntime::Granted { base }
                    } else {
                        FromRuntime::Refused(Refusal::Limit)
                    };
                    say(socket, &answer)?;
                }
                FromSupervisor::Register {
                    caller,
                    credentials,
                } => {
                    let answer = if !peer.speaks_for(&credentials) {
                        FromRuntime::Refused(Refusal::NotAllowed)
                    } else if served.callers.register(caller, credentials) {
                        FromRuntime::Registered { caller }
                    } else {
                        FromRuntime::Refused(Refusal::Limit)
                    };
                    say(socket, &answer)?;
                }
            }
        }
    }

    /// Checks who is there and what it says first. Returns which of its features are used.
    fn greet(&self, socket: &UnixStream) -> Result<(Peer, u64), Ended> {
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let peer = Peer::of(socket)?;
        if !peer.may_connect(&self.mount) {
            return Err(Ended::Refused(Refusal::NotAllowed));
        }
        let FromSupervisor::Hello {
            version,
            token,
            features,
        } = hear(socket)?
        else {
            return Err(Ended::Protocol);
        };
        if version != PROTOCOL_VERSION {
            return Err(Ended::Refused(Refusal::Version));
        }
        if !same(token, self.token) {
            return Err(Ended::Refused(Refusal::Token));
        }
        Ok((peer, features & self.features()))
    }

    fn features(&self) -> u64 {
        if self.vfs.backend().heeds_interrupts() {
            FEATURE_DIRECT | FEATURE_INTERRUPT
        } else {
            FEATURE_DIRECT
        }
    }
}

/// A supervisor that the file system knows of.
struct Visit<'v>(&'v Vfs);

impl<'v> Visit<'v> {
    fn begin(vfs: &'v Vfs) -> Option<Self> {
        let visit = vfs.backend().supervisor_came().then_some(Visit(vfs))?;
        if vfs.backend().changes_untold() {
            vfs.names().clear();
        }
        Some(visit)
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.0.backend().supervisor_went();
    }
}

fn geometry() -> Geometry {
    let bytes = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
    Geometry {
        slots: SLOTS,
        request_max: bytes(MAX_REQUEST),
        reply_max: bytes(MAX_REPLY),
    }
}

/// Compares without telling by its time how much is right.
fn same(a: Token, b: Token) -> bool {
    a.0.iter().zip(b.0).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

fn hear(mut socket: &UnixStream) -> Result<FromSupervisor, Ended> {
    let mut packet = [0; PACKET];
    match socket.read(&mut packet)? {
        0 => Err(Ended::Gone),
        len if len == PACKET => Err(Ended::Protocol),
        len => FromSupervisor::decode(&packet[..len]).map_err(|_| Ended::Protocol),
    }
}

pub(super) fn say(mut socket: &UnixStream, message: &FromRuntime) -> io::Result<()> {
    socket.write(&message.encode()).map(drop)
}

fn welcome(
    socket: &UnixStream,
    device: (u32, u32),
    features: u64,
    memory: &OwnedFd,
) -> io::Result<()> {
    let message = FromRuntime::Welcome {
        version: PROTOCOL_VERSION,
        features,
        device,
    }
    .encode();
    sendmsg::<()>(
        socket.as_raw_fd(),
        &[IoSlice::new(&message)],
        &[ControlMessage::ScmRights(&[memory.as_raw_fd()])],
        MsgFlags::MSG_NOSIGNAL,
        None,
    )?;
    Ok(())
}
