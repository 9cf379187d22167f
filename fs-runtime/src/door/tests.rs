//! Sessions over real sockets and shared memory.

use std::io::{ErrorKind, IoSliceMut, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use finesse_channel::{Client, Pending};
use finesse_wire::{
    Call, CallerId, Credentials, FEATURE_DIRECT, FEATURE_INTERRUPT, FromRuntime, FromSupervisor,
    NodeId, NotMine, PROTOCOL_VERSION, Place, Refusal, Reply, Request, Token,
};
use fuser::SessionACL;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, connect, recvmsg,
    socket,
};
use parking_lot::Mutex;

use super::{DoorHandle, MountFacts, Negotiated, peer::Peer, start};
use crate::coherence::Coherence;
use crate::gate::Gate;
use crate::kernel_view::{KernelView, Limits};
use crate::vfs::Bases;
use crate::vfs::tests::Sent;
use crate::vfs::tests::mock::Mock;

const SOON: Duration = Duration::from_secs(10);

fn own_uid() -> u32 {
    nix::unistd::getuid().as_raw()
}

fn own_credentials() -> Credentials {
    Credentials {
        uids: [own_uid(); 4],
        gids: [nix::unistd::getgid().as_raw(); 4],
        ..Credentials::default()
    }
}

fn mount() -> MountFacts {
    MountFacts {
        owner_uid: own_uid(),
        owner_gid: nix::unistd::getgid().as_raw(),
        allow: SessionACL::All,
        default_permissions: false,
        read_only: false,
        device: (0, 42),
        negotiated: Arc::new(Negotiated::default()),
    }
}

fn open_door() -> (Arc<Mock>, DoorHandle) {
    let fs = Arc::new(Mock::new());
    let view = Arc::new(KernelView::new(Limits::DEFAULT));
    let sink = Box::new(Sent::default());
    let coherence = Arc::new(Coherence::new(Arc::clone(&view), sink));
    let door = start(Arc::clone(&fs) as _, Gate::new(), view, coherence, mount()).unwrap();
    (fs, door)
}

fn knock(door: &DoorHandle) -> UnixStream {
    let (family, kind) = (AddressFamily::Unix, SockType::SeqPacket);
    let socket = socket(family, kind, SockFlag::SOCK_CLOEXEC, None).unwrap();
    let address = UnixAddr::new_abstract(door.door().socket.as_bytes()).unwrap();
    connect(socket.as_raw_fd(), &address).unwrap();
    let socket = UnixStream::from(socket);
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket
}

fn hello(version: u32, token: Token) -> Vec<u8> {
    hello_for(version, token, 0)
}

fn hello_for(version: u32, token: Token, features: u64) -> Vec<u8> {
    FromSupervisor::Hello {
        version,
        features,
        token,
    }
    .encode()
}

fn send(mut socket: &UnixStream, packet: &[u8]) {
    assert_eq!(socket.write(packet).unwrap(), packet.len());
}

/// The next packet; `None` at the end, which is a reset for a peer that the door had not
/// accepted yet.
fn hear(mut socket: &UnixStream) -> Option<FromRuntime> {
    let mut packet = [0; 256];
    match socket.read(&mut packet) {
        Ok(0) => None,
        Ok(len) => Some(FromRuntime::decode(&packet[..len]).unwrap()),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
        Err(error) => panic!("{error}"),
    }
}

/// The welcome and the memory that comes with it.
fn welcomed(socket: &UnixStream, features: u64) -> OwnedFd {
    let mut packet = [0; 256];
    let mut parts = [IoSliceMut::new(&mut packet)];
    let mut control = nix::cmsg_space!(RawFd);
    let received = recvmsg::<()>(
        socket.as_raw_fd(),
        &mut parts,
        Some(&mut control),
        MsgFlags::MSG_CMSG_CLOEXEC,
    )
    .unwrap();
    let mut fds = received.cmsgs().unwrap().flat_map(|message| match message {
        ControlMessageOwned::ScmRights(fds) => fds,
        _ => Vec::new(),
    });
    let fd = fds.next().expect("the welcome brings the memory");
    let len = received.bytes;
    assert_eq!(
        FromRuntime::decode(&packet[..len]),
        Ok(FromRuntime::Welcome {
            version: PROTOCOL_VERSION,
            features,
            device: (0, 42),
        })
    );
    #[allow(unsafe_code)]
    // SAFETY: recvmsg(2) made the descriptor for this process, and nothing else owns it.
    unsafe {
        OwnedFd::from_raw_fd(fd)
    }
}

/// A session with one caller, number 1.
struct Supervisor {
    socket: UnixStream,
    client: Client,
}

impl Supervisor {
    fn connect(door: &DoorHandle) -> Self {
        Self::connect_for(door, 0)
    }

    fn connect_for(door: &DoorHandle, features: u64) -> Self {
        let socket = knock(door);
        let hello = hello_for(PROTOCOL_VERSION, door.door().token, features);
        send(&socket, &hello);
        let client = Client::open(&welcomed(&socket, features)).unwrap();
        let supervisor = Supervisor { socket, client };
        let answer = supervisor.register(1, own_credentials());
        assert_eq!(
            answer,
            Some(FromRuntime::Registered {
                caller: CallerId(1)
            })
        );
        supervisor
    }

    fn register(&self, caller: u32, credentials: Credentials) -> Option<FromRuntime> {
        let caller = CallerId(caller);
        let message = FromSupervisor::Register {
            caller,
            credentials,
        };
        send(&self.socket, &message.encode());
        hear(&self.socket)
    }

    fn interrupt(&self, label: u64) {
        let packet = FromSupervisor::Interrupt { label }.encode();
        send(&self.socket, &packet);
    }

    fn ask(&self, request: &[u8]) -> Vec<u8> {
        let pending = self.client.post(request, SOON).unwrap();
        assert!(self.client.wait(&pending, SOON), "no reply in time");
        let mut reply = Vec::new();
        self.client.take(pending, &mut reply).unwrap();
        reply
    }

    fn call(&self, caller: u32, call: Call<'_>) -> Vec<u8> {
        self.ask(&request(caller, call))
    }

    fn unlink(&self, path: &str) -> Vec<u8> {
        self.call(1, Call::Unlink { at: at(path) })
    }
}

fn request(caller: u32, call: Call<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    Request {
        caller: CallerId(caller),
        pid: 1,
        umask: 0o022,
        call,
    }
    .encode(&mut bytes);
    bytes
}

fn at(path: &str) -> Place<'_> {
    Place {
        base: NodeId::ROOT,
        path: path.as_bytes(),
    }
}

fn encoded(reply: Reply<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    reply.encode(&mut bytes);
    bytes
}

#[test]
fn a_registered_caller_is_served() {
    let (fs, door) = open_door();
    fs.dir("d");
    fs.file("d/f");
    let supervisor = Supervisor::connect(&door);
    assert_eq!(supervisor.unlink("d/f"), encoded(Reply::Done));
    assert!(!fs.has("d", "f"));
    assert_eq!(
        supervisor.unlink("d/f"),
        encoded(Reply::Errno(libc::ENOENT))
    );
    let unknown = supervisor.call(2, Call::Unlink { at: at("d") });
    assert_eq!(unknown, encoded(Reply::NotMine(NotMine::UnknownCaller)));
    let forget = FromSupervisor::Forget {
        caller: CallerId(1),
    };
    send(&supervisor.socket, &forget.encode());
    // Messages are handled in order: when this one is answered, that one was.
    supervisor.register(3, own_credentials());
    let forgotten = supervisor.unlink("d");
    assert_eq!(forgotten, encoded(Reply::NotMine(NotMine::UnknownCaller)));
    drop(door);
    assert!(fs.outstanding().is_empty());
}

#[test]
fn garbage_in_memory_is_handed_back() {
    let (_fs, door) = open_door();
    let supervisor = Supervisor::connect(&door);
    let malformed = encoded(Reply::NotMine(NotMine::Malformed));
    for garbage in [&b""[..], b"\xff", b"\x01\0\0", &[0; 4096]] {
        assert_eq!(supervisor.ask(garbage), malformed);
    }
}

#[test]
fn wrong_versions_and_tokens_are_refused() {
    let (_fs, door) = open_door();
    let token = door.door().token;
    let mut wrong = token;
    wrong.0[15] ^= 1;
    for (packet, refusal) in [
        (hello(PROTOCOL_VERSION + 1, token), Refusal::Version),
        (hello(PROTOCOL_VERSION, wrong), Refusal::Token),
    ] {
        let socket = knock(&door);
        send(&socket, &packet);
        assert_eq!(hear(&socket), Some(FromRuntime::Refused(refusal)));
        assert_eq!(hear(&socket), None);
    }
}

#[test]
fn broken_protocol_ends_the_session() {
    let (_fs, door) = open_door();
    let forget = FromSupervisor::Forget {
        caller: CallerId(1),
    }
    .encode();
    for packet in [&b"GET / HTTP/1.1"[..], &[0; 9000], &forget] {
        let socket = knock(&door);
        send(&socket, packet);
        assert_eq!(hear(&socket), None);
    }
    let supervisor = Supervisor::connect(&door);
    send(
        &supervisor.socket,
        &hello(PROTOCOL_VERSION, door.door().token),
    );
    assert_eq!(hear(&supervisor.socket), None);
}

#[test]
fn a_silent_peer_is_shown_out_and_holds_up_nobody() {
    let (_fs, door) = open_door();
    let silent = knock(&door);
    let start = Instant::now();
    drop(Supervisor::connect(&door));
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!(hear(&silent), None);
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn sessions_and_callers_are_limited() {
    let (_fs, door) = open_door();
    let supervisor = Supervisor::connect(&door);
    for caller in 2..=4096 {
        let registered = Some(FromRuntime::Registered {
            caller: CallerId(caller),
        });
        assert_eq!(supervisor.register(caller, own_credentials()), registered);
    }
    let limit = || Some(FromRuntime::Refused(Refusal::Limit));
    assert_eq!(supervisor.register(4097, own_credentials()), limit());
    let others: Vec<_> = (1..64).map(|_| Supervisor::connect(&door)).collect();
    assert_eq!(hear(&knock(&door)), limit());
    drop(others);
    std::thread::sleep(Duration::from_millis(300));
    drop(Supervisor::connect(&door));
}

#[test]
fn a_slow_call_holds_up_no_other() {
    let (fs, door) = open_door();
    fs.file("slow");
    let supervisor = Supervisor::connect(&door);
    *fs.on_call.lock() = Some(Arc::new(|call| {
        if call == "unlink" {
            std::thread::sleep(Duration::from_secs(2));
        }
    }));
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| supervisor.unlink("slow"));
        std::thread::sleep(Duration::from_millis(100));
        let start = Instant::now();
        for _ in 0..20 {
            supervisor.call(1, Call::Statfs { at: at("") });
        }
        assert!(start.elapsed() < Duration::from_secs(1));
        assert_eq!(slow.join().unwrap(), encoded(Reply::Done));
    });
}

#[test]
fn a_panic_in_the_file_system_is_an_error_of_one_call() {
    let (fs, door) = open_door();
    fs.file("f");
    fs.file("g");
    let supervisor = Supervisor::connect(&door);
    *fs.on_call.lock() = Some(Arc::new(|call| assert_ne!(call, "unlink", "on purpose")));
    assert_eq!(supervisor.unlink("f"), encoded(Reply::Errno(libc::EIO)));
    *fs.on_call.lock() = None;
    assert_eq!(supervisor.unlink("g"), encoded(Reply::Done));
    drop(door);
    assert!(fs.outstanding().is_empty());
}

#[test]
fn who_posts_itself_starts_from_what_was_granted() {
    let (fs, door) = open_door();
    for name in ["f", "g"] {
        fs.file(name);
    }
    let grant = FromSupervisor::Grant { base: NodeId::ROOT }.encode();
    let program = Supervisor::connect_for(&door, FEATURE_DIRECT);
    let unknown = encoded(Reply::NotMine(NotMine::UnknownBase));
    assert_eq!(program.unlink("f"), unknown);
    send(&program.socket, &grant);
    let granted = FromRuntime::Granted { base: NodeId::ROOT };
    assert_eq!(hear(&program.socket), Some(granted));
    assert_eq!(program.unlink("f"), encoded(Reply::Done));
    // Nobody else has anything to grant.
    let supervisor = Supervisor::connect(&door);
    assert_eq!(supervisor.unlink("g"), encoded(Reply::Done));
    send(&supervisor.socket, &grant);
    assert_eq!(hear(&supervisor.socket), None);
}

/// A door to a file system that hears of signals, of which "slow" cannot be removed as long as the sender lives.
fn open_door_that_heeds() -> (Arc<Mock>, DoorHandle, Sender<()>) {
    let (fs, door) = open_door();
    fs.file("slow");
    fs.heeds.store(true, Ordering::Relaxed);
    let (held, until) = channel();
    let until = Mutex::new(until);
    *fs.on_call.lock() = Some(Arc::new(move |call| {
        if call == "unlink" {
            let _ = until.lock().recv_timeout(SOON);
        }
    }));
    (fs, door, held)
}

fn wait_until(true_now: impl Fn() -> bool) {
    let end = Instant::now() + SOON;
    while !true_now() {
        assert!(Instant::now() < end, "waited in vain");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A request to remove "slow", which the file system has in hand.
fn begin_to_remove_slow(supervisor: &Supervisor, fs: &Mock) -> Pending {
    let unlink = request(1, Call::Unlink { at: at("slow") });
    let pending = supervisor.client.post(&unlink, SOON).unwrap();
    let is_removal = |call: &String| call.starts_with("unlink");
    wait_until(|| fs.calls.lock().iter().any(is_removal));
    pending
}

#[test]
fn a_signal_is_told_of_while_the_request_is_in_hand() {
    let (fs, door, held) = open_door_that_heeds();
    let both = FEATURE_DIRECT | FEATURE_INTERRUPT;
    drop(Supervisor::connect_for(&door, both));
    let supervisor = Supervisor::connect_for(&door, FEATURE_INTERRUPT);
    let other = Supervisor::connect_for(&door, FEATURE_INTERRUPT);
    // Nothing is in hand: neither of these nor of any slot.
    supervisor.interrupt(0);
    supervisor.interrupt(u64::MAX);
    // Messages are handled in order; the first request may have the label 0.
    supervisor.register(2, own_credentials());
    let pending = begin_to_remove_slow(&supervisor, &fs);
    other.interrupt(pending.label());
    other.register(2, own_credentials());
    assert!(fs.interrupted.lock().is_empty());
    supervisor.interrupt(pending.label());
    wait_until(|| !fs.interrupted.lock().is_empty());
    let [interrupted] = fs.interrupted.lock()[..] else {
        panic!("one request was interrupted");
    };
    assert!(fs.over.lock().is_empty());
    drop(held);
    assert!(supervisor.client.wait(&pending, SOON));
    wait_until(|| fs.over.lock().contains(&interrupted));
    supervisor.interrupt(pending.label());
    supervisor.register(2, own_credentials());
    assert_eq!(fs.interrupted.lock().len(), 1);
    supervisor.client.release(pending);
}

#[test]
fn what_is_in_hand_is_interrupted_when_its_session_ends() {
    let (fs, door, held) = open_door_that_heeds();
    let supervisor = Supervisor::connect(&door);
    let _pending = begin_to_remove_slow(&supervisor, &fs);
    assert!(fs.interrupted.lock().is_empty());
    drop(supervisor);
    wait_until(|| fs.interrupted.lock().len() == 1);
    drop(held);
}

#[test]
fn who_has_not_agreed_on_interrupts_has_none_to_tell() {
    let (fs, door, _held) = open_door_that_heeds();
    let supervisor = Supervisor::connect(&door);
    supervisor.interrupt(0);
    assert_eq!(hear(&supervisor.socket), None);
    // Nor is it agreed on with a file system that hears of none.
    fs.heeds.store(false, Ordering::Relaxed);
    let socket = knock(&door);
    let hello = hello_for(PROTOCOL_VERSION, door.door().token, FEATURE_INTERRUPT);
    send(&socket, &hello);
    drop(welcomed(&socket, 0));
}

#[test]
fn closing_the_door_ends_sessions() {
    let (_fs, door) = open_door();
    let supervisor = Supervisor::connect(&door);
    let silent = knock(&door);
    // Closing does not wait for a silent peer's time limit.
    let start = Instant::now();
    drop(door);
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!(hear(&supervisor.socket), None);
    assert_eq!(hear(&silent), None);
}

#[test]
fn a_door_is_not_guessable() {
    let (_a, first) = open_door();
    let (_b, second) = open_door();
    assert_ne!(first.door().socket, second.door().socket);
    assert_ne!(first.door().token, second.door().token);
    let text = first.door().to_string();
    assert_eq!(text.parse().as_ref(), Ok(first.door()));
}

#[test]
fn peers_speak_for_themselves() {
    let mut owners = mount();
    owners.owner_uid = 1000;
    owners.allow = SessionACL::Owner;
    let mut everybodys = owners.clone();
    everybodys.allow = SessionACL::All;
    let (root, owner) = (Peer::fake(0, 0, &[]), Peer::fake(1000, 1000, &[33]));
    let stranger = Peer::fake(7, 7, &[]);
    for (peer, owners_door, bases) in [
        (&root, true, Bases::Any),
        (&owner, true, Bases::Any),
        (&stranger, false, Bases::Root),
    ] {
        assert_eq!(peer.may_connect(&owners), owners_door);
        assert!(peer.may_connect(&everybodys));
        assert_eq!(peer.bases(&everybodys), bases);
    }
    let own = Credentials {
        uids: [1000; 4],
        gids: [1000, 33, 1000, 1000],
        groups: vec![33],
        capabilities: 0,
    };
    assert!(owner.speaks_for(&own) && root.speaks_for(&own) && !stranger.speaks_for(&own));
    let mut wrong = [own.clone(), own.clone(), own.clone(), own];
    wrong[0].uids[3] = 0;
    wrong[1].gids[2] = 5;
    wrong[2].groups.push(0);
    wrong[3].capabilities = 1;
    for credentials in wrong {
        assert!(!owner.speaks_for(&credentials), "{credentials:?}");
        assert!(root.speaks_for(&credentials));
    }
}
