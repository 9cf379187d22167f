//! One mount of the daemon, from FUSE_INIT to its end.

use std::borrow::Cow;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use finesse_fuse::INodeNo;
use finesse_fuse::InitFlags;
use finesse_fuse::doors::{
    Attendant, Coherence, DoorHandle, DoorLink, Doors, Looking, MountFacts, Negotiated, start,
};
use parking_lot::Mutex;
use thiserror::Error;
use zerocopy::{FromBytes, IntoBytes};

use crate::abi::{
    FORGETS, ForgetIn, ForgetOne, INTERRUPT, InHeader, InitIn, MARK, Message, OUT_HEADER,
    OutHeader, Request, Terms, Unfit, opcode,
};
use crate::backend::Daemon;
use crate::calls::Answer;
use crate::companion::Companion;
use crate::gates::Gates;
use crate::link::{self, About};
use crate::mailbox::{Mailbox, Parcel};
use crate::mode::{Mode, Stopped};
use crate::mount;
use crate::note::{Note, Notes};
use crate::notify::{self, Notifier, ToKernel};
use crate::post::Post;
use crate::purpose::Purpose;
use crate::threads;
use crate::unwatched::Asked;
use crate::ushers::{Errand, Ushers};
use crate::{device, settings};

/// Largest errno that a reply may have (`fuse_dev_do_write`, fs/fuse/dev.c).
const MAX_ERRNO: i32 = 511;

/// How often the daemon is made to look whether it has to end, after it was given something.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) doors: Arc<Doors>,
    pub(crate) post: Arc<Post>,
    pub(crate) mode: Arc<Mode>,
    notes: Notes,
    ushers: Ushers,
    companion: Companion,
    notifier: Arc<Notifier>,
    connection: Option<u32>,
    /// The `unique` of the FUSE_INIT that is not answered yet; 0: there is none.
    greeting: AtomicU64,
    asked: Mutex<InitIn>,
    /// What looks for requests, once the door is open.
    pub(crate) attendant: OnceLock<Attendant>,
    /// Whether requests and replies are looked at.
    follows: AtomicBool,
    stage: Mutex<Stage>,
}

#[derive(Debug)]
enum Stage {
    Greeting,
    /// The kernel door alone.
    Shut,
    Open(#[allow(dead_code)] DoorHandle, Arc<Coherence>),
    Over,
}

/// Why there is no bypass door.
#[derive(Debug, Error)]
enum NoDoor {
    #[error("{0}")]
    Unfit(#[from] Unfit),
    #[error("{0}")]
    Unknown(#[from] mount::Unknown),
    #[error("it cannot be opened: {0}")]
    Io(#[from] std::io::Error),
}

/// What becomes of a request that was read from the kernel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// The daemon gets its first so many bytes.
    Deliver(usize),
    /// It is dealt with, or set aside.
    Taken,
}

/// What becomes of a reply of the daemon.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reply {
    /// It goes to the kernel as it is.
    Pass,
    /// Likewise, and nothing after it is looked at any more.
    PassAll,
    /// It is dealt with; what the daemon's call returns, and the errno if that is -1.
    Done(isize, i32),
}

impl Session {
    /// Begins with the FUSE_INIT that was read from `device`.
    pub(crate) fn greet(device: RawFd, request: &Request<'_>) -> Option<Arc<Session>> {
        let (asked, _) = request.body::<InitIn>()?;
        let mailbox = Arc::<Mailbox>::default();
        let session = Arc::new(Session {
            doors: Doors::with_numbers_of_their_own(),
            post: Arc::new(Post::new(mailbox)),
            mode: Arc::new(Mode::new()),
            notes: Notes::default(),
            ushers: Ushers::new(),
            companion: Companion::default(),
            notifier: Notifier::new(device),
            connection: mount::connection(device),
            greeting: AtomicU64::new(request.header.unique),
            asked: Mutex::new(asked),
            attendant: OnceLock::new(),
            follows: AtomicBool::new(false),
            stage: Mutex::new(Stage::Greeting),
        });
        session.mode.device_came(device);
        Some(session)
    }

    /// The kernel asks once more, in the words of another version.
    pub(crate) fn greet_again(&self, request: &Request<'_>) {
        if let Some((asked, _)) = request.body::<InitIn>() {
            *self.asked.lock() = asked;
            self.greeting
                .store(request.header.unique, Ordering::Release);
        }
    }

    /// Whether a request that was read is the daemon's as it is, as nobody may come through the
    /// bypass door. Otherwise nothing is done about it yet.
    pub(crate) fn arrives_unwatched(&self, bytes: &[u8]) -> bool {
        if !self.follows.load(Ordering::Acquire) {
            return false;
        }
        let Some(request) = Request::parse(bytes) else {
            return false;
        };
        let node = INodeNo(request.header.nodeid);
        if self.mode.is_watching() || !matches!(link::answer(&self.doors, &request), About::Other) {
            return false;
        }
        match request.header.opcode {
            opcode::INIT | opcode::DESTROY | opcode::BATCH_FORGET => false,
            opcode::FORGET => {
                self.forget(&request);
                true
            }
            _ => {
                let asked = Asked::of(&self.doors.view, node, &Purpose::of(&request));
                asked.is_none_or(|asked| self.mode.goes_unwatched(request.header.unique, asked))
            }
        }
    }

    /// The kernel forgets one node.
    fn forget(&self, request: &Request<'_>) {
        if let Some((forget, _)) = request.body::<ForgetIn>() {
            let node = INodeNo(request.header.nodeid);
            self.doors.view.forgot(node, forget.nlookup);
        }
    }

    /// Looks at a request that was read from `device`.
    pub(crate) fn arrived(self: &Arc<Self>, device: RawFd, bytes: &mut [u8]) -> Verdict {
        let whole = Verdict::Deliver(bytes.len());
        if !self.follows.load(Ordering::Acquire) {
            return whole;
        }
        let Some(request) = Request::parse(bytes) else {
            return whole;
        };
        match link::answer(&self.doors, &request) {
            About::Other => {}
            About::Nothing => return Verdict::Taken,
            About::Reply(reply) => {
                // It fails when who asked is gone.
                let _ = rustix::io::write(device::borrow(device), &reply);
                return Verdict::Taken;
            }
            About::Root => {
                if let Ok((header, _)) = InHeader::mut_from_prefix(bytes) {
                    header.nodeid = INodeNo::ROOT.0;
                }
                return whole;
            }
        }
        match request.header.opcode {
            opcode::DESTROY => {
                self.end();
                whole
            }
            opcode::FORGET => {
                self.forget(&request);
                whole
            }
            opcode::BATCH_FORGET => self.forgets(bytes),
            _ => self.admit(device, &request, bytes),
        }
    }

    /// Lets a request through its gates, or sets it aside.
    fn admit(self: &Arc<Self>, device: RawFd, request: &Request<'_>, bytes: &[u8]) -> Verdict {
        let deliver = Verdict::Deliver(bytes.len());
        let purpose = Purpose::of(request);
        let (node, unique) = (INodeNo(request.header.nodeid), request.header.unique);
        let gates = Gates::of(node, &purpose);
        if let Some(held) = gates.try_enter(&self.doors.gate) {
            if let Some(note) = Note::of(&self.doors, (node, &purpose), held, device) {
                let watched = self.mode.is_watching();
                let note = if watched {
                    note.doubting(request, &purpose)
                } else {
                    note
                };
                self.notes.keep(unique, note);
            }
            return deliver;
        }
        match self.mode.stopped() {
            Stopped::Ungated(counted) => {
                let held = finesse_fuse::doors::Held::Nothing;
                if let Some(note) = Note::of(&self.doors, (node, &purpose), held, device) {
                    self.notes.keep(unique, note.ungated(counted));
                }
                deliver
            }
            Stopped::Aside(counted) => {
                let message = Message::of_kernel(bytes);
                let errand = move |session: &Arc<Session>| {
                    let note = Request::parse(message.as_bytes()).and_then(|request| {
                        let purpose = Purpose::of(&request);
                        let held = Gates::of(node, &purpose).enter(&session.doors.gate);
                        let note = Note::of(&session.doors, (node, &purpose), held, device)?;
                        Some(note.doubting(&request, &purpose))
                    });
                    if let Some(note) = note {
                        session.notes.keep(unique, note);
                    }
                    // Nobody takes it any more: then the kernel waits no more either.
                    let _ = session.post.mailbox.put(Parcel::Aside(message, counted));
                };
                self.ushers.send(self, Box::new(errand));
                Verdict::Taken
            }
        }
    }

    /// The kernel forgets many nodes; the daemon does not know the link among them.
    fn forgets(&self, bytes: &mut [u8]) -> Verdict {
        let Some(request) = Request::parse(bytes) else {
            return Verdict::Deliver(bytes.len());
        };
        let link = self.doors.link_node(DoorLink::NODE).is_some();
        let is_link = |one: &ForgetOne| link && INodeNo(one.nodeid) == DoorLink::NODE;
        let (links, rest): (Vec<_>, Vec<_>) = request.forgets().partition(is_link);
        for one in &rest {
            self.doors.view.forgot(INodeNo(one.nodeid), one.nlookup);
        }
        if links.is_empty() {
            return Verdict::Deliver(bytes.len());
        }
        if rest.is_empty() {
            return Verdict::Taken;
        }
        let len = FORGETS + rest.as_bytes().len();
        let count = u32::try_from(rest.len()).unwrap_or(u32::MAX);
        bytes[FORGETS..len].copy_from_slice(rest.as_bytes());
        bytes[FORGETS - 8..FORGETS - 4].copy_from_slice(&count.to_ne_bytes());
        if let Ok((header, _)) = InHeader::mut_from_prefix(bytes) {
            header.len = u32::try_from(len).unwrap_or(u32::MAX);
        }
        Verdict::Deliver(len)
    }

    /// Whether a reply has to be looked at, and must not come through a pipe.
    pub(crate) fn concerns(&self, unique: u64) -> bool {
        unique == 0
            || unique & MARK != 0
            || unique == self.greeting.load(Ordering::Acquire)
            || self.follows.load(Ordering::Acquire)
                && (self.mode.unwatched().find(unique).is_some() || self.notes.has(unique))
    }

    /// The daemon answers a request of the bypass door, or an interrupt of one.
    fn answered(&self, unique: u64, error: i32, message: &[u8]) -> Reply {
        let len = message.len();
        if unique & INTERRUPT != 0 {
            let asked = unique & !INTERRUPT;
            if let Err(errno) = self.post.interrupt_answered(asked, error, len) {
                return Reply::Done(-1, errno);
            }
        } else {
            let answer = answer(error, &message[OUT_HEADER..]);
            self.post.answered(unique, answer);
        }
        Reply::Done(signed(len), 0)
    }

    /// Looks at a message that the daemon writes to `device`.
    pub(crate) fn replied(self: &Arc<Self>, device: RawFd, mut message: Vec<u8>) -> Reply {
        let Ok((header, body)) = OutHeader::mut_from_prefix(&mut message) else {
            return Reply::Pass;
        };
        let (unique, error) = (header.unique, header.error.saturating_neg());
        if unique == 0 {
            if self.follows.load(Ordering::Acquire) {
                notify::heard(&self.doors, header.error, body);
            }
            return Reply::Pass;
        }
        if unique & MARK != 0 {
            return self.answered(unique, error, &message);
        }
        if unique == self.greeting.load(Ordering::Acquire) {
            self.greeted(device, error, body);
            let shut = matches!(*self.stage.lock(), Stage::Shut);
            return if shut { Reply::PassAll } else { Reply::Pass };
        }
        let Some(mut note) = self.notes.take(unique) else {
            return Reply::Pass;
        };
        // Counted until it is settled, so that somebody takes the question.
        if let Some(doubt) = note.doubt(error)
            && let Stopped::Aside(counted) = self.mode.stopped()
        {
            let len = signed(message.len());
            self.ushers.send(
                self,
                Box::new(move |session| {
                    let error = doubt.settled(&session.post, error);
                    session.pass_on(note, error, message);
                    drop(counted);
                }),
            );
            return Reply::Done(len, 0);
        }
        self.pass_on(note, error, message)
    }

    /// Gives the kernel, by `write`, the reply to a request that went unwatched; `None` for
    /// that to any other.
    pub(crate) fn reply_unwatched<'b>(
        &self,
        header: &OutHeader,
        body: impl FnOnce() -> Cow<'b, [u8]>,
        write: impl FnOnce() -> Reply,
    ) -> Option<Reply> {
        let (view, unwatched) = (&self.doors.view, self.mode.unwatched());
        let mut given = Cow::default();
        let asked = unwatched.answered(header.unique, |asked| {
            given = body();
            asked.record(view, header.error.saturating_neg(), &given);
        })?;
        let reply = write();
        if matches!(reply, Reply::Done(-1, _)) && header.error == 0 {
            asked.not_taken(view, &given);
        }
        if asked.lasts() {
            unwatched.is_over(header.unique);
        }
        Some(reply)
    }

    /// Gives the kernel a reply that leaves `note` behind, with `error`.
    fn pass_on(&self, note: Note, error: i32, mut message: Vec<u8>) -> Reply {
        let Ok((header, body)) = OutHeader::mut_from_prefix(&mut message) else {
            return Reply::Pass;
        };
        header.error = error.saturating_neg();
        let device = note.device;
        let settled = note.settle(error, body);
        // The gate is left when the reply is written.
        match rustix::io::write(device::borrow(device), &message) {
            Ok(written) => Reply::Done(signed(written), 0),
            Err(refused) => {
                settled.not_taken(&self.doors);
                Reply::Done(-1, refused.raw_os_error())
            }
        }
    }

    /// The daemon answers FUSE_INIT. The door is open before the kernel hears of it, so
    /// before its first request.
    fn greeted(&self, device: RawFd, error: i32, body: &[u8]) {
        let terms = Terms::read(*self.asked.lock(), body);
        let Some(terms) = terms else { return };
        self.greeting.store(0, Ordering::Release);
        let mut stage = self.stage.lock();
        if error != 0 || !matches!(*stage, Stage::Greeting) {
            return;
        }
        if !settings::door_is_wanted() {
            *stage = Stage::Shut;
            return;
        }
        let opened = terms
            .map_err(NoDoor::from)
            .and_then(|terms| self.open(device, terms));
        *stage = match opened {
            Ok(stage) => {
                self.follows.store(true, Ordering::Release);
                stage
            }
            Err(reason) => {
                log::warn!("no bypass door for this mount, which is served as before: {reason}");
                Stage::Shut
            }
        };
        settings::words_are_over();
    }

    fn open(&self, device: RawFd, terms: Terms) -> Result<Stage, NoDoor> {
        let negotiated = Arc::<Negotiated>::default();
        negotiated.settle(InitFlags::from_bits_retain(terms.flags), terms.time_gran);
        let facts: MountFacts = mount::facts(device, negotiated)?;
        let (uid, gid) = (facts.owner_uid, facts.owner_gid);
        let sink = Box::new(ToKernel(Arc::clone(&self.notifier)));
        let view = Arc::clone(&self.doors.view);
        let coherence = Arc::new(Coherence::new(Arc::clone(&view), sink));
        let daemon = Arc::new(Daemon {
            post: Arc::clone(&self.post),
            mode: Arc::clone(&self.mode),
            terms,
        });
        let gate = Arc::clone(&self.doors.gate);
        let parallel = terms.flags & InitFlags::FUSE_PARALLEL_DIROPS.bits() != 0;
        gate.let_look(if parallel {
            Looking::ByName
        } else {
            Looking::OneAtATime
        });
        let handle =
            threads::without_signals(|| start(daemon, gate, view, Arc::clone(&coherence), facts))?;
        let mode = Arc::downgrade(&self.mode);
        threads::spawn("finesse-shepherd", move || {
            while let Some(mode) = mode.upgrade() {
                mode.look_again();
                drop(mode);
                std::thread::sleep(LOOK_AGAIN);
            }
        })?;
        let link = DoorLink::new(handle.door(), uid, gid);
        self.doors.open(handle.name_cache(), link);
        // Once only: an INIT is answered once.
        let _ = self.attendant.set(handle.attendant());
        log::info!("the bypass door is open");
        Ok(Stage::Open(handle, coherence))
    }

    /// The daemon is about to close a descriptor of the mount.
    /// Whether it is the last one.
    pub(crate) fn device_closes(&self, device: RawFd) -> bool {
        self.notifier.close(device);
        let last = self.mode.device_went(device);
        if last {
            self.end();
        }
        last
    }

    /// Whether a descriptor is one more of this mount (`FUSE_DEV_IOC_CLONE`, dup(2)).
    pub(crate) fn serves(&self, device: RawFd) -> bool {
        self.connection.is_some() && mount::connection(device) == self.connection
    }

    /// Has something done by a thread that may wait, while the caller sleeps. False when it
    /// may as well look for something else to do.
    pub(crate) fn hand_over(self: &Arc<Self>, errand: Errand) -> bool {
        match self.companion.hand_over(self, errand) {
            Ok(()) => true,
            Err(errand) => {
                self.send(errand);
                false
            }
        }
    }

    /// Has something done by a thread that may wait.
    pub(crate) fn send(self: &Arc<Self>, errand: Errand) {
        self.ushers.send(self, errand);
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(*self.stage.lock(), Stage::Over)
    }

    /// The mount is gone, or about to. Whoever waits for the daemon waits no more. The
    /// door is closed by a thread of its own, as it waits for its sessions.
    pub(crate) fn end(&self) {
        let stage = std::mem::replace(&mut *self.stage.lock(), Stage::Over);
        self.follows.store(false, Ordering::Release);
        self.greeting.store(0, Ordering::Release);
        self.post.end();
        self.notes.clear();
        self.mode.end();
        if let Stage::Open(handle, coherence) = stage {
            let counts = coherence.counts();
            log::info!(
                "the bypass door closes: {} notifications sent, {} not needed",
                counts.sent,
                counts.saved
            );
            let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
            log::info!(
                "requests served by the daemon's threads: {} ({} went on elsewhere), by others: {}",
                count(&self.post.attended),
                count(&self.post.moved),
                count(&self.post.handed_over)
            );
            let close = move || drop(handle);
            if let Err(error) = threads::spawn("finesse-close", close) {
                log::warn!("the bypass door cannot be closed: {error}");
            }
        }
    }
}

/// The answer to a request of the bypass door. What the kernel would not take is an error.
fn answer(error: i32, body: &[u8]) -> Answer {
    use finesse_fuse::Errno;
    match error {
        0 => Ok(body.to_vec()),
        1..=MAX_ERRNO if body.is_empty() => Err(Errno::from_i32(error)),
        _ => Err(Errno::EIO),
    }
}

fn signed(len: usize) -> isize {
    isize::try_from(len).unwrap_or(isize::MAX)
}
