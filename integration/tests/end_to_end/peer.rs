//! Both ends of the socket that sets a session up, as an impostor speaks them.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use finesse_wire::{
    CallerId, Credentials, DOOR_NAME, Door, FromRuntime, FromSupervisor, PROTOCOL_VERSION,
    TOKEN_LEN, Token,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind,
    connect, listen, recvmsg, sendmsg, socket_with, sockopt,
};
use rustix::process::Uid;

/// No peer takes longer for a word.
const SOON: Duration = Duration::from_secs(10);

/// The door that a mount shows.
pub(crate) fn door_of(mount: &Path) -> Door {
    let text = std::fs::read_link(mount.join(DOOR_NAME)).unwrap();
    text.to_str().unwrap().parse().unwrap()
}

/// A socket to whoever listens behind a door.
pub(crate) fn knock(door: &Door) -> rustix::io::Result<OwnedFd> {
    let socket = seqpacket();
    connect(
        &socket,
        &SocketAddrUnix::new_abstract_name(door.socket.as_bytes())?,
    )?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(SOON))?;
    Ok(socket)
}

fn seqpacket() -> OwnedFd {
    let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
    socket_with(family, kind, SocketFlags::CLOEXEC, None).unwrap()
}

/// Becomes another user, this thread alone; for good.
pub(crate) fn become_user(user: u32) {
    let user = Uid::from_raw(user);
    rustix::thread::set_thread_res_uid(user, user, user).unwrap();
}

/// What the runtime answers to the token: the answer, and the memory that comes along.
pub(crate) fn hello(socket: &OwnedFd, token: Token) -> (Option<FromRuntime>, Option<OwnedFd>) {
    let hello = FromSupervisor::Hello {
        version: PROTOCOL_VERSION,
        features: 0,
        token,
    };
    say(socket, &hello.encode(), None);
    let (packet, memory) = hear(socket);
    (packet.map(|p| FromRuntime::decode(&p).unwrap()), memory)
}

/// What the runtime answers to a caller's credentials.
pub(crate) fn register(socket: &OwnedFd, credentials: &Credentials) -> Option<FromRuntime> {
    let register = FromSupervisor::Register {
        caller: CallerId(1),
        credentials: credentials.clone(),
    };
    say(socket, &register.encode(), None);
    hear(socket).0.map(|p| FromRuntime::decode(&p).unwrap())
}

/// Sends a packet; the peer may be gone.
pub(crate) fn say(socket: &OwnedFd, packet: &[u8], with: Option<&OwnedFd>) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds: Vec<_> = with.iter().map(AsFd::as_fd).collect();
    if !fds.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&fds));
    }
    let _ = sendmsg(
        socket,
        &[IoSlice::new(packet)],
        &mut control,
        SendFlags::NOSIGNAL,
    );
}

/// The next packet, `None` at the end, and what came along.
fn hear(socket: &OwnedFd) -> (Option<Vec<u8>>, Option<OwnedFd>) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut packet = vec![0; 8192];
    let mut parts = [IoSliceMut::new(&mut packet)];
    let received = recvmsg(socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC);
    let length = received.map_or(0, |received| received.bytes);
    let memory = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    packet.truncate(length);
    ((length > 0).then_some(packet), memory)
}

/// A listener that poses as a runtime; dropping it ends it.
#[derive(Debug)]
pub(crate) struct FakeRuntime {
    door: Door,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl FakeRuntime {
    /// Listens as `user` and does `session` with each that connects.
    pub(crate) fn start(
        user: u32,
        session: impl Fn(&OwnedFd) + Send + Sync + 'static,
    ) -> FakeRuntime {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let door = Door {
            socket: format!("finesse-fake-{}-{number}", std::process::id()),
            token: Token([7; TOKEN_LEN]),
        };
        let stop = Arc::new(AtomicBool::new(false));
        let (ready, is_ready) = mpsc::channel();
        let (name, end) = (door.socket.clone(), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            become_user(user);
            let listener = seqpacket();
            let address = SocketAddrUnix::new_abstract_name(name.as_bytes()).unwrap();
            bind(&listener, &address).unwrap();
            listen(&listener, 16).unwrap();
            ready.send(()).unwrap();
            accept_all(&listener, &end, &session);
        });
        is_ready.recv().unwrap();
        FakeRuntime {
            door,
            stop,
            thread: Some(thread),
        }
    }

    pub(crate) fn door(&self) -> &Door {
        &self.door
    }
}

impl Drop for FakeRuntime {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().unwrap().join();
        assert!(thread::panicking() || ended.is_ok());
    }
}

fn accept_all(listener: &OwnedFd, stop: &AtomicBool, session: &(impl Fn(&OwnedFd) + Sync)) {
    thread::scope(|scope| {
        while !stop.load(Ordering::Relaxed) {
            let mut fds = [PollFd::new(listener, PollFlags::IN)];
            let brief = Timespec {
                tv_sec: 0,
                tv_nsec: 20_000_000,
            };
            if poll(&mut fds, Some(&brief)) == Ok(1) {
                let socket = accept_with(listener, SocketFlags::CLOEXEC).unwrap();
                scope.spawn(move || session(&socket));
            }
        }
    });
}

/// A welcome of a runtime behind file system `device`.
pub(crate) fn welcome(device: (u32, u32)) -> Vec<u8> {
    welcome_with(device, 0)
}

fn welcome_with(device: (u32, u32), features: u64) -> Vec<u8> {
    let message = FromRuntime::Welcome {
        version: PROTOCOL_VERSION,
        features,
        device,
    };
    message.encode()
}

/// Answers as a runtime does whose memory is `memory`, until the supervisor goes.
pub(crate) fn keep_session(socket: &OwnedFd, device: (u32, u32), memory: &OwnedFd) {
    keep_session_and(socket, device, memory, |_| ());
}

/// As [`keep_session`]; `learn` is shown what the supervisor says before it is answered.
pub(crate) fn keep_session_and(
    socket: &OwnedFd,
    device: (u32, u32),
    memory: &OwnedFd,
    learn: impl Fn(&FromSupervisor),
) {
    while let (Some(packet), _) = hear(socket) {
        let Ok(message) = FromSupervisor::decode(&packet) else {
            continue;
        };
        learn(&message);
        match message {
            FromSupervisor::Hello { features, .. } => {
                say(socket, &welcome_with(device, features), Some(memory));
            }
            FromSupervisor::Register { caller, .. } => {
                say(socket, &FromRuntime::Registered { caller }.encode(), None);
            }
            FromSupervisor::Grant { base } => {
                say(socket, &FromRuntime::Granted { base }.encode(), None);
            }
            FromSupervisor::Forget { .. } | FromSupervisor::Interrupt { .. } => {}
        }
    }
}

/// Waits for the first word and for the end; says `answer` in between.
pub(crate) fn answer_once(socket: &OwnedFd, answer: &[u8], with: Option<&OwnedFd>) {
    let _ = hear(socket);
    if !answer.is_empty() {
        say(socket, answer, with);
    }
    while hear(socket).0.is_some() {}
}
