//! The socket that supervisors connect to.

use std::fs::File;
use std::io::{self, Read};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use finesse_wire::{Door, FromRuntime, Refusal, TOKEN_LEN, Token};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket,
};
use parking_lot::Mutex;

use super::MountFacts;
use super::attendant::Sessions;
use super::session::{Reception, say};
use crate::vfs::Vfs;

/// Most sessions at once, those that have not said anything yet among them.
const MAX_SESSIONS: usize = 64;

/// How long to wait before accepting again when no descriptors are left.
const RESPITE: Duration = Duration::from_millis(100);

/// The listening socket, its thread and the sessions' threads.
#[derive(Debug)]
pub(super) struct Listener {
    door: Door,
    hall: Arc<Hall>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Hall {
    reception: Reception,
    stop: EventFd,
    sessions: Mutex<Vec<Session>>,
}

#[derive(Debug)]
struct Session {
    socket: Arc<UnixStream>,
    thread: JoinHandle<()>,
}

impl Listener {
    /// Listens under a fresh random name.
    pub(super) fn start(vfs: Arc<Vfs>, mount: MountFacts) -> io::Result<Self> {
        let (name, token) = (random::<8>()?, Token(random::<TOKEN_LEN>()?));
        let name = u64::from_le_bytes(name);
        let door = Door {
            socket: format!("finesse-{}-{name:016x}", std::process::id()),
            token,
        };
        let socket = bound(&door.socket)?;
        let hall = Arc::new(Hall {
            reception: Reception {
                vfs,
                mount,
                token,
                sessions: Arc::default(),
                numbers: AtomicU64::new(0),
            },
            stop: EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC)?,
            sessions: Mutex::default(),
        });
        let own = Arc::clone(&hall);
        let thread = thread::Builder::new()
            .name("finesse-accept".into())
            .spawn(move || own.accept(&socket))?;
        Ok(Listener {
            door,
            hall,
            thread: Some(thread),
        })
    }

    /// Where supervisors find it, and what they have to show.
    pub(super) fn door(&self) -> &Door {
        &self.door
    }

    /// The sessions that others may serve.
    pub(super) fn sessions(&self) -> Arc<Sessions> {
        Arc::clone(&self.hall.reception.sessions)
    }

    /// Accepts no more, ends every session and waits for all threads.
    pub(super) fn stop(&mut self) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        if let Err(error) = self.hall.stop.write(1) {
            log::error!("the bypass door cannot be stopped: {error}");
            return;
        }
        let mut clean = thread.join().is_ok();
        for session in std::mem::take(&mut *self.hall.sessions.lock()) {
            // Fails when the peer is gone already.
            let _ = session.socket.shutdown(Shutdown::Both);
            clean &= session.thread.join().is_ok();
        }
        if !clean {
            log::error!("a thread of the bypass door panicked");
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Hall {
    fn accept(self: &Arc<Self>, socket: &UnixListener) {
        while self.wait(socket) {
            let admitted = socket
                .accept()
                .and_then(|(peer, _)| self.admit(Arc::new(peer)));
            if let Err(error) = admitted {
                log::warn!("the bypass door cannot accept a supervisor: {error}");
                thread::sleep(RESPITE);
            }
        }
    }

    /// Waits for a peer; false when it is time to stop.
    fn wait(&self, socket: &UnixListener) -> bool {
        loop {
            let mut fds = [
                PollFd::new(self.stop.as_fd(), PollFlags::POLLIN),
                PollFd::new(socket.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) => return !fds[0].any().unwrap_or(true),
                Err(nix::Error::EINTR) => {}
                Err(error) => {
                    log::error!("the bypass door cannot wait: {error}");
                    return false;
                }
            }
        }
    }

    fn admit(self: &Arc<Self>, socket: Arc<UnixStream>) -> io::Result<()> {
        let mut sessions = self.sessions.lock();
        sessions.retain(|session| !session.thread.is_finished());
        if sessions.len() >= MAX_SESSIONS {
            // Room for one packet is there: nothing was sent yet.
            return say(&socket, &FromRuntime::Refused(Refusal::Limit));
        }
        let (hall, own) = (Arc::clone(self), Arc::clone(&socket));
        let thread = thread::Builder::new()
            .name("finesse-session".into())
            .spawn(move || {
                let ended = hall.reception.receive(&own);
                log::debug!("a session of the bypass door ended: {ended}");
                // The listener may keep the other reference for long.
                let _ = own.shutdown(Shutdown::Both);
            })?;
        sessions.push(Session { socket, thread });
        Ok(())
    }
}

fn bound(name: &str) -> io::Result<UnixListener> {
    let socket = socket(
        AddressFamily::Unix,
        SockType::SeqPacket,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    let address = UnixAddr::new_abstract(name.as_bytes())?;
    bind(std::os::fd::AsRawFd::as_raw_fd(&socket), &address)?;
    listen(&socket, Backlog::new(16)?)?;
    // std knows stream sockets only, but accepts on any.
    Ok(UnixListener::from(socket))
}

fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
