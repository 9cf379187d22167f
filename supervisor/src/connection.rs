//! A session with one runtime: the socket that sets it up, the channel that carries
//! requests, the callers it knows.

use std::collections::HashSet;
use std::io;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use finesse_channel::{Client, OpenError, PostError, Slot};
use finesse_wire::{
    CallerId, DecodeError, Door, FEATURE_INTERRUPT, FromRuntime, FromSupervisor, NodeId,
    PROTOCOL_VERSION, Refusal,
};
use nix::sys::socket::{
    AddressFamily, MsgFlags, Shutdown, SockFlag, SockType, UnixAddr, connect, getsockopt, send,
    setsockopt, shutdown, socket, sockopt,
};
use parking_lot::Mutex;
use thiserror::Error;

use crate::heirs::Heirs;
use crate::pace::Pace;
use crate::reason::Reason;
use crate::slow::{Interrupts, SlowCall, SlowCalls};
use crate::targets::Identity;
use crate::{passed, trace};

/// How long a runtime may take to answer on the socket.
const SOCKET_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a call waits for others to be done on the socket before it goes to the kernel.
const LINE_WAIT: Duration = Duration::from_millis(20);
/// A packet from a runtime is at most this long.
const PACKET: usize = 256;
/// How long a request waits for a free slot before it goes to the kernel.
const SLOT_WAIT: Duration = Duration::from_millis(20);

/// One session; threads share it.
#[derive(Debug)]
pub(crate) struct Connection {
    client: Arc<Client>,
    /// Where it was found.
    door: Door,
    /// The channel's, for heirs, and for a target that is to post itself.
    memory: OwnedFd,
    socket: Mutex<OwnedFd>,
    /// The same, for who must not wait for an answer on it.
    line: OwnedFd,
    registered: Mutex<HashSet<u32>>,
    /// The runtime has not answered in time: what comes later would be taken for the answer to
    /// something else. What it has in service goes on. Under the socket's lock; relaxed.
    is_mute: AtomicBool,
    pace: Pace,
    slow: SlowCalls,
    /// The number by which heirs know the channel; 0: they do not.
    number: OnceLock<u32>,
}

/// Why there is no session.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// A system call failed.
    #[error("cannot reach the file system's process: {0}")]
    Io(#[from] io::Error),
    /// The process behind the socket is neither root's nor ours.
    #[error("the file system's process belongs to user {0}, which is neither root nor you")]
    Untrusted(u32),
    /// It does not let us in.
    #[error("the file system's process refuses: {0:?}")]
    Refused(Refusal),
    /// It speaks another version.
    #[error("the file system speaks protocol version {0}, this supervisor {PROTOCOL_VERSION}")]
    Version(u32),
    /// The door leads to another file system than the mount's, as when one file system
    /// shows another one's files.
    #[error("the door leads to file system {0}, not to the mount's own")]
    OtherFileSystem(String),
    /// It does not keep to the protocol.
    #[error("the file system's process does not keep to the protocol: {0}")]
    Protocol(#[from] DecodeError),
    /// It answered something out of turn.
    #[error("the file system's process answered out of turn")]
    OutOfTurn,
    /// Its shared memory is not sound.
    #[error(transparent)]
    Channel(#[from] OpenError),
}

impl From<nix::Error> for ConnectError {
    fn from(errno: nix::Error) -> Self {
        ConnectError::Io(errno.into())
    }
}

impl Connection {
    /// Connects through a door that the mount of file system `device` has shown, for what
    /// `features` say, until `until` is readable.
    pub(crate) fn open(
        door: Door,
        device: &str,
        features: u64,
        until: Option<OwnedFd>,
    ) -> Result<Arc<Connection>, ConnectError> {
        let socket = dial(&door.socket)?;
        check_peer(&socket)?;
        let hello = FromSupervisor::Hello {
            version: PROTOCOL_VERSION,
            features: features | FEATURE_INTERRUPT,
            token: door.token,
        };
        say(&socket, &hello)?;
        let (answer, memory) = hear(&socket)?;
        let heeds_interrupts = match answer {
            FromRuntime::Welcome {
                version: PROTOCOL_VERSION,
                device: theirs,
                features: used,
            } => {
                if used & !FEATURE_INTERRUPT != features {
                    return Err(ConnectError::OutOfTurn);
                }
                let theirs = format!("{}:{}", theirs.0, theirs.1);
                if theirs != device {
                    return Err(ConnectError::OtherFileSystem(theirs));
                }
                used & FEATURE_INTERRUPT != 0
            }
            FromRuntime::Welcome { version, .. } => return Err(ConnectError::Version(version)),
            FromRuntime::Refused(refusal) => return Err(ConnectError::Refused(refusal)),
            FromRuntime::Registered { .. } | FromRuntime::Granted { .. } => {
                return Err(ConnectError::OutOfTurn);
            }
        };
        let memory = memory.ok_or(ConnectError::OutOfTurn)?;
        let client = Arc::new(Client::open(&memory)?);
        let interrupts = heeds_interrupts
            .then(|| socket.try_clone().map(Interrupts::new))
            .transpose()?;
        let connection = Arc::new(Connection {
            slow: SlowCalls::start(Arc::clone(&client), interrupts)?,
            client,
            door,
            number: OnceLock::new(),
            memory,
            registered: Mutex::default(),
            is_mute: AtomicBool::new(false),
            pace: Pace::default(),
            line: socket.try_clone()?,
            socket: Mutex::new(socket),
        });
        connection.watch_for_the_end(until)?;
        Ok(connection)
    }

    /// Another session with the same runtime, as [`Connection::open`] makes it: the mount is not
    /// asked again, which might hang.
    pub(crate) fn another(
        &self,
        device: &str,
        features: u64,
        until: OwnedFd,
    ) -> Result<Arc<Connection>, ConnectError> {
        Connection::open(self.door.clone(), device, features, Some(until))
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.client.is_closed()
    }

    /// Ends the session on both sides: the runtime gives up what it has for it, and the thread
    /// that waits for the runtime's end does.
    pub(crate) fn hang_up(&self) {
        // Fails when the runtime is gone already.
        let _ = shutdown(self.line.as_raw_fd(), Shutdown::Both);
    }

    /// How soon its file system answers.
    pub(crate) fn pace(&self) -> &Pace {
        &self.pace
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The number under which the runtime knows a caller.
    pub(crate) fn caller(&self, identity: &Identity) -> Result<CallerId, Reason> {
        let caller = CallerId(identity.number);
        if self.registered.lock().contains(&identity.number) {
            return Ok(caller);
        }
        // Not as long as the runtime may keep silent: other file systems have calls, too.
        let socket = self.socket.try_lock_for(LINE_WAIT);
        let socket = socket.ok_or(Reason::Channel)?;
        // Somebody else may have asked meanwhile.
        if self.registered.lock().contains(&identity.number) {
            return Ok(caller);
        }
        if self.is_mute.load(Ordering::Relaxed) {
            return Err(Reason::CallerRefused);
        }
        let message = FromSupervisor::Register {
            caller,
            credentials: identity.credentials.clone(),
        };
        let answer = say(&socket, &message)
            .map_err(ConnectError::from)
            .and_then(|()| hear(&socket));
        match answer {
            Ok((FromRuntime::Registered { caller: known }, _)) if known == caller => {
                self.registered.lock().insert(identity.number);
                Ok(caller)
            }
            Ok((FromRuntime::Refused(_), _)) => Err(Reason::CallerRefused),
            Err(ConnectError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                tracing::warn!(
                    "a file system's process keeps silent; callers new to it go to the kernel"
                );
                self.is_mute.store(true, Ordering::Relaxed);
                Err(Reason::CallerRefused)
            }
            other => {
                tracing::warn!("a file system's process broke the session: {other:?}");
                self.client.close();
                Err(Reason::Channel)
            }
        }
    }

    /// A place for a request of `len` bytes.
    pub(crate) fn slot(&self, len: usize) -> Result<Slot, PostError> {
        self.client.slot(len, SLOT_WAIT)
    }

    /// Where heirs find the request that will be posted in `slot`.
    pub(crate) fn trace(&self, heirs: &Heirs, slot: &Slot) -> NonZeroU64 {
        let number = *self
            .number
            .get_or_init(|| heirs.entrust(self.memory.as_fd(), self.line.as_fd()));
        trace::pack(number, slot.label())
    }

    /// The channel's memory.
    pub(crate) fn memory(&self) -> &OwnedFd {
        &self.memory
    }

    /// Registers the one caller of a target that posts itself.
    pub(crate) fn bind(&self, identity: &Identity) -> bool {
        let message = FromSupervisor::Register {
            caller: CallerId(0),
            credentials: identity.credentials.clone(),
        };
        matches!(self.ask(&message), Ok((FromRuntime::Registered { .. }, _)))
    }

    /// Takes that caller back; it is gone once this returns.
    pub(crate) fn unbind(&self) {
        let forget = FromSupervisor::Forget {
            caller: CallerId(0),
        };
        let forgotten = say(&self.socket.lock(), &forget).is_ok();
        // The answer to a later message tells that the earlier one was heard.
        if !forgotten || !self.grant(NodeId(0)) {
            self.hang_up();
        }
    }

    /// Lets a target that posts itself start from a directory.
    pub(crate) fn grant(&self, base: NodeId) -> bool {
        let answer = self.ask(&FromSupervisor::Grant { base });
        matches!(answer, Ok((FromRuntime::Granted { base: granted }, _)) if granted == base)
    }

    fn ask(
        &self,
        message: &FromSupervisor,
    ) -> Result<(FromRuntime, Option<OwnedFd>), ConnectError> {
        let socket = self.socket.lock();
        say(&socket, message)?;
        hear(&socket)
    }

    /// Leaves a call to the thread that waits for slow ones.
    pub(crate) fn hand_over(&self, call: SlowCall) {
        self.slow.hand_over(call, &self.client);
    }

    /// Closes the channel when the runtime's end of the socket closes: its process has
    /// ended, whatever ended it.
    fn watch_for_the_end(self: &Arc<Self>, until: Option<OwnedFd>) -> io::Result<()> {
        use rustix::event::{PollFd, PollFlags, poll};
        let watched = self.socket.lock().as_fd().try_clone_to_owned()?;
        let client = Arc::clone(&self.client);
        std::thread::Builder::new()
            .name("session".into())
            .spawn(move || {
                let mut fds = vec![PollFd::new(&watched, PollFlags::RDHUP)];
                fds.extend(until.iter().map(|fd| PollFd::new(fd, PollFlags::IN)));
                while !client.is_closed() && matches!(poll(&mut fds, None), Err(_) | Ok(0)) {}
                client.close();
                if until.is_some() {
                    let _ = shutdown(watched.as_raw_fd(), Shutdown::Both);
                } else {
                    tracing::warn!("a file system's process has ended; its calls go to the kernel");
                }
            })?;
        Ok(())
    }
}

fn dial(name: &str) -> Result<OwnedFd, ConnectError> {
    let socket = socket(
        AddressFamily::Unix,
        SockType::SeqPacket,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    let limit =
        nix::sys::time::TimeVal::new(i64::try_from(SOCKET_TIMEOUT.as_secs()).unwrap_or(1), 0);
    setsockopt(&socket, sockopt::ReceiveTimeout, &limit)?;
    setsockopt(&socket, sockopt::SendTimeout, &limit)?;
    connect(
        socket.as_raw_fd(),
        &UnixAddr::new_abstract(name.as_bytes())?,
    )?;
    Ok(socket)
}

/// Anybody may listen under any abstract name: only root and our own user are believed.
fn check_peer(socket: &OwnedFd) -> Result<(), ConnectError> {
    let peer = getsockopt(socket, sockopt::PeerCredentials)?.uid();
    if peer == 0 || peer == nix::unistd::geteuid().as_raw() {
        Ok(())
    } else {
        Err(ConnectError::Untrusted(peer))
    }
}

fn say(socket: &OwnedFd, message: &FromSupervisor) -> io::Result<()> {
    send(
        socket.as_raw_fd(),
        &message.encode(),
        MsgFlags::MSG_NOSIGNAL,
    )?;
    Ok(())
}

/// One packet, with the descriptor that came along, if one did.
fn hear(socket: &OwnedFd) -> Result<(FromRuntime, Option<OwnedFd>), ConnectError> {
    let mut packet = [0; PACKET];
    let (len, descriptors) = passed::receive(socket, &mut packet)?;
    let first = descriptors.into_iter().next();
    Ok((FromRuntime::decode(&packet[..len])?, first))
}
