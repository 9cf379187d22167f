//! What a thread of the daemon does in its read of /dev/fuse, step by step. The steps that
//! may sleep are taken by `crate::interpose`, with nothing of ours on the stack.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use finesse_fuse::doors::{Attendant, Promise};
use parking_lot::Mutex;

use crate::abi::{INTERRUPT, MARK, Message, OutHeader, Request, opcode};
use crate::calls::Call;
use crate::device;
use crate::fiber::{self, Fiber, Left, Wants};
use crate::fork;
use crate::mailbox::Parcel;
use crate::pipes;
use crate::session::{Reply, Session, Verdict};
use crate::waiter::Waiter;

/// What has happened.
#[derive(Debug)]
pub(crate) enum Event<'b> {
    /// The daemon has called.
    Called,
    /// The kernel gave a request.
    Read(&'b mut [u8]),
    /// The kernel gave an errno.
    Failed(i32),
    /// The sleep is over: because of the device, or of the mailbox.
    Woken { device: bool },
    /// A signal ended the sleep.
    Interrupted,
    /// Its time is over.
    TimeUp,
}

/// What to do next.
#[derive(Debug)]
pub(crate) enum Step {
    /// Read from the device.
    Read,
    /// Sleep on this descriptor, by epoll_wait(2), for so many milliseconds (-1: for ever).
    Sleep(RawFd, i32),
    /// Give the daemon a message.
    Give(Message),
    /// Give the daemon the first so many bytes of what was read.
    Return(usize),
    /// Give the daemon this errno.
    Fail(i32),
}

static CURRENT: Mutex<Option<Arc<Session>>> = Mutex::new(None);
/// Whether there is a session. A hint for the daemon's other calls; relaxed.
static SERVES: AtomicBool = AtomicBool::new(false);
/// Changes whenever `CURRENT` does, under its lock. Relaxed: a thread that finds the old one
/// might as well have come before the change.
static ERA: AtomicU64 = AtomicU64::new(0);

/// Every so many messages the kernel goes first.
const KERNEL_FIRST: u32 = 8;

/// A daemon looks whether it has to end and then reads; a signal that comes in between is
/// noticed only by the next read that is not in vain. Between two reads of the kernel that is
/// a moment, but here it may be long. So the first sleep ends after so many milliseconds, as
/// if by a signal, and the daemon looks once more.
const FIRST_SLEEP: i32 = 20;

/// Every so many looks for requests of the bypass door there is one at the device: about
/// every 5 µs.
const LOOKS: u32 = 128;

thread_local! {
    static HERE: RefCell<Option<Here>> = const { RefCell::new(None) };
}

/// A thread of the daemon that reads.
#[derive(Debug)]
struct Here {
    session: Arc<Session>,
    era: u64,
    waiter: Arc<Waiter>,
    turns: u32,
    /// Whether the daemon has been given something since it was last told of a signal.
    restless: bool,
    /// Whether it looks for requests itself before it sleeps.
    attends: bool,
    /// The fiber whose question the daemon has.
    asking: Option<(Fiber, Arc<Call>)>,
    /// Who makes requests of the bypass door counts on it to look for the next one.
    promise: Option<Promise>,
}

impl Drop for Here {
    /// The thread ends, maybe cancelled in its sleep.
    fn drop(&mut self) {
        if let Some((fiber, call)) = self.asking.take() {
            self.park(fiber, &call);
        }
        self.session.mode.thread_went(&self.waiter);
        self.session.post.mailbox.rise(&self.waiter, false);
    }
}

/// Whether there is a session that the daemon's calls may concern.
pub(crate) fn serves() -> bool {
    SERVES.load(Ordering::Relaxed)
}

pub(crate) fn current() -> Option<Arc<Session>> {
    Some(current_and_era()?.0)
}

fn current_and_era() -> Option<(Arc<Session>, u64)> {
    if !serves() {
        return None;
    }
    let current = CURRENT.lock();
    Some((current.clone()?, ERA.load(Ordering::Relaxed)))
}

fn change_to(session: Option<Arc<Session>>) {
    let mut current = CURRENT.lock();
    SERVES.store(session.is_some(), Ordering::Relaxed);
    ERA.fetch_add(1, Ordering::Relaxed);
    *current = session;
}

/// Asks this thread, if it is one that reads, and of the current session.
fn here<T>(ask: impl FnOnce(&Here) -> T) -> Option<T> {
    let asked = HERE.try_with(|here| {
        let here = here.try_borrow().ok()?;
        let here = here.as_ref()?;
        let current = serves() && here.era == ERA.load(Ordering::Relaxed);
        current.then(|| ask(here))
    });
    asked.ok().flatten()
}

/// Whether this thread has nothing else to do than to read from `fd`. It has said so then.
pub(crate) fn reads_at_once(fd: RawFd, room: usize) -> bool {
    here(|here| here.reads_at_once(fd, room)).unwrap_or(false)
}

/// Whether the request that was read from `fd` is the daemon's as it is, as nobody may come
/// through the bypass door.
pub(crate) fn arrives_unwatched(fd: RawFd, bytes: &[u8]) -> bool {
    here(|here| here.waiter.is_at(fd) && here.arrives_unwatched(bytes)).unwrap_or(false)
}

/// Sends the kernel a reply to a request that [`arrives_unwatched`] let pass.
pub(crate) fn answers_unwatched<'b>(
    header: &OutHeader,
    body: impl FnOnce() -> Cow<'b, [u8]>,
    write: impl FnOnce() -> Reply,
) -> Option<Reply> {
    // Every answer to the bypass door comes by here.
    if header.unique & MARK != 0 {
        return None;
    }
    // What another thread has read, this one may answer.
    let session = here(|here| Arc::clone(&here.session)).or_else(current)?;
    session.reply_unwatched(header, body, write)
}

/// The next step of a thread that reads up to `room` bytes from `fd`.
pub(crate) fn step(fd: RawFd, room: usize, event: Event<'_>) -> Step {
    let Some((session, era)) = current_and_era() else {
        return alone(fd, event);
    };
    HERE.with_borrow_mut(|here| match enter(here, (session, era), fd) {
        Ok(here) => here.step(fd, room, event),
        Err(error) => {
            log::warn!("the bypass door does not serve a thread of the daemon: {error}");
            device::leave(fd);
            plain(event)
        }
    })
}

/// Without a session: waits for one to begin.
fn alone(fd: RawFd, event: Event<'_>) -> Step {
    if let Event::Read(bytes) = &event
        && let Some(request) = Request::parse(bytes)
        && request.header.opcode == opcode::INIT
    {
        begin(fd, &request);
    }
    plain(event)
}

fn begin(fd: RawFd, request: &Request<'_>) {
    if device::is_nonblocking(fd) {
        log::warn!("no bypass door for this mount: the daemon reads without waiting");
        return;
    }
    fork::in_children(serve_no_more);
    change_to(Session::greet(fd, request));
}

/// In a child: an atomic store, as a signal handler may do it.
extern "C" fn serve_no_more() {
    SERVES.store(false, Ordering::Relaxed);
}

fn plain(event: Event<'_>) -> Step {
    match event {
        Event::Called | Event::Woken { .. } | Event::TimeUp => Step::Read,
        Event::Read(bytes) => Step::Return(bytes.len()),
        Event::Failed(errno) => Step::Fail(errno),
        Event::Interrupted => Step::Fail(libc::EINTR),
    }
}

/// This thread in `session`.
fn enter(
    here: &mut Option<Here>,
    (session, era): (Arc<Session>, u64),
    fd: RawFd,
) -> io::Result<&mut Here> {
    let known = here
        .as_ref()
        .is_some_and(|here| Arc::ptr_eq(&here.session, &session));
    if !known {
        *here = None;
        let waiter = Arc::new(Waiter::new()?);
        session.mode.thread_came(&waiter);
        fiber::is_the_daemons();
        *here = Some(Here {
            session,
            era,
            waiter,
            turns: 0,
            restless: true,
            attends: false,
            asking: None,
            promise: None,
        });
    }
    let Some(here) = here else {
        unreachable!("it was put there");
    };
    if here.waiter.reads_from(device::borrow(fd)) && !here.session.mode.has(fd) {
        if !here.session.serves(fd) {
            return Err(io::Error::other("it reads from another mount"));
        }
        here.session.mode.device_came(fd);
    }
    Ok(here)
}

impl Here {
    /// See the function of that name.
    fn reads_at_once(&self, fd: RawFd, room: usize) -> bool {
        let is_idle = self.asking.is_none() && self.promise.is_none() && !self.attends;
        let reads = is_idle
            && self.waiter.is_at(fd)
            && !self.waiter.watches_device()
            && !self.session.mode.is_watching()
            && !self.session.post.mailbox.has_some();
        if reads {
            self.session.post.has_room(room);
            self.read();
        }
        reads
    }

    /// See the function of that name.
    fn arrives_unwatched(&self, bytes: &[u8]) -> bool {
        let passes =
            self.promise.is_none() && self.restless && self.session.arrives_unwatched(bytes);
        // Else `step` says so.
        if passes {
            self.waiter.says_it_reads(false);
        }
        passes
    }

    fn step(&mut self, fd: RawFd, room: usize, event: Event<'_>) -> Step {
        let step = self.next(fd, room, event);
        // What the daemon does now may take long. A look at the device does not, nor should to forget.
        let is_short = match &step {
            Step::Read => true,
            Step::Give(message) => message.opcode() == opcode::FORGET,
            Step::Sleep(..) | Step::Return(_) | Step::Fail(_) => false,
        };
        if !is_short {
            self.promise = None;
        }
        self.restless |= matches!(step, Step::Give(_) | Step::Return(_));
        step
    }

    fn next(&mut self, fd: RawFd, room: usize, event: Event<'_>) -> Step {
        let (session, waiter) = (Arc::clone(&self.session), Arc::clone(&self.waiter));
        let mailbox = &session.post.mailbox;
        match event {
            Event::Called => {
                session.post.has_room(room);
                if let Some((fiber, call)) = self.asking.take()
                    && let Some(fiber) = call.park(fiber)
                    && let Some(step) = self.enter(fiber)
                {
                    return step;
                }
                if self.is_kernels_turn() {
                    return self.read();
                }
                if self.attends {
                    return self.take_or_sleep();
                }
                self.take_or_read()
            }
            Event::Read(bytes) => {
                waiter.says_it_reads(false);
                self.promise = None;
                match self.arrived(fd, bytes) {
                    Verdict::Deliver(len) => Step::Return(len),
                    Verdict::Taken => self.take_or_read(),
                }
            }
            Event::Failed(libc::EAGAIN) => {
                waiter.says_it_reads(false);
                self.take_or_sleep()
            }
            Event::Failed(errno) => {
                waiter.says_it_reads(false);
                if errno == libc::ENODEV {
                    session.end();
                }
                Step::Fail(errno)
            }
            Event::Woken { device } => {
                waiter.settle();
                mailbox.rise(&waiter, !device);
                if device {
                    self.read()
                } else {
                    self.take_or_read()
                }
            }
            Event::Interrupted => {
                waiter.settle();
                mailbox.rise(&waiter, false);
                Step::Fail(libc::EINTR)
            }
            Event::TimeUp => {
                waiter.settle();
                mailbox.rise(&waiter, false);
                self.restless = false;
                Step::Fail(libc::EINTR)
            }
        }
    }

    fn arrived(&self, fd: RawFd, bytes: &mut [u8]) -> Verdict {
        if let Some(request) = Request::parse(bytes)
            && request.header.opcode == opcode::INIT
        {
            self.greeted(fd, &request);
            return Verdict::Deliver(bytes.len());
        }
        self.session.arrived(fd, bytes)
    }

    /// Another greeting: of the next mount, or once more of this one.
    fn greeted(&self, fd: RawFd, request: &Request<'_>) {
        if self.session.is_over() {
            begin(fd, request);
        } else {
            self.session.greet_again(request);
        }
    }

    fn read(&self) -> Step {
        if !self.session.mode.is_watching() {
            self.waiter.leave_device();
        }
        self.waiter.says_it_reads(true);
        if self.restless {
            self.session.mode.may_sleep();
        }
        Step::Read
    }

    /// Every so often the kernel goes first.
    fn is_kernels_turn(&mut self) -> bool {
        self.turns = self.turns.wrapping_add(1);
        self.turns.is_multiple_of(KERNEL_FIRST)
    }

    fn take_or_read(&mut self) -> Step {
        self.take().unwrap_or_else(|| self.read())
    }

    /// Takes from the mailbox what the daemon has to be given.
    fn take(&mut self) -> Option<Step> {
        loop {
            match self.session.post.mailbox.take()? {
                Parcel::Message(message) | Parcel::Aside(message, _) => {
                    return Some(Step::Give(message));
                }
                Parcel::Fiber(fiber) => {
                    if let Some(step) = self.enter(fiber) {
                        return Some(step);
                    }
                }
                Parcel::Interrupt(unique) => {
                    if let Some(message) = self.session.post.interruption(unique) {
                        return Some(Step::Give(message));
                    }
                }
            }
        }
    }

    fn take_or_sleep(&mut self) -> Step {
        loop {
            if let Some(step) = self.take().or_else(|| self.attend()) {
                return step;
            }
            let mailbox = &self.session.post.mailbox;
            if mailbox.rest(&self.waiter) || mailbox.is_closed() {
                // Who cannot be woken looks now and then.
                let wakes = self.waiter.watch_device().inspect_err(|error| {
                    log::warn!("a thread of the daemon cannot wait for both doors: {error}");
                });
                let limit = if self.restless || wakes.is_err() {
                    FIRST_SLEEP
                } else {
                    -1
                };
                return Step::Sleep(self.waiter.descriptor(), limit);
            }
        }
    }

    /// Goes on with a walk until it has a question for the daemon.
    fn enter(&mut self, fiber: Fiber) -> Option<Step> {
        match fiber.enter() {
            Left::Done(promise) => {
                self.promise = promise;
                None
            }
            Left::Wanting(fiber, Wants::Answer(message, call)) => {
                self.asking = Some((fiber, call));
                Some(Step::Give(message))
            }
            Left::Wanting(fiber, Wants::ThreadThatMayWait) => {
                self.session.post.moved.fetch_add(1, Ordering::Relaxed);
                self.promise = None;
                let goes_on = Box::new(move |_: &Arc<Session>| fiber.finish());
                if self.session.hand_over(goes_on) {
                    self.attends = false;
                }
                None
            }
        }
    }

    /// Looks for requests of the bypass door, while they come one after the other.
    fn attend(&mut self) -> Option<Step> {
        let session = Arc::clone(&self.session);
        let attendant = session.attendant.get()?;
        self.attends |= self.waiter.takes_to_watching();
        while self.attends {
            let mut looks = 0_u32;
            let mut asked = false;
            let errand = attendant.watch(self.promise.take(), || {
                looks = looks.wrapping_add(1);
                asked = looks.is_multiple_of(LOOKS) && self.waiter.has_request();
                asked || session.post.mailbox.has_some()
            });
            let Some(errand) = errand else {
                self.attends = asked || session.post.mailbox.has_some();
                return if asked {
                    Some(self.read())
                } else {
                    self.take()
                };
            };
            session.post.attended.fetch_add(1, Ordering::Relaxed);
            let step = match Fiber::new(errand) {
                Ok(fiber) => self.enter(fiber),
                Err(errand) => {
                    session.send(Box::new(move |_| drop(errand.run(|| false))));
                    None
                }
            };
            if step.is_some() {
                return step;
            }
            if self.is_kernels_turn() {
                return Some(self.read());
            }
            if let Some(step) = self.take() {
                return Some(step);
            }
        }
        None
    }

    fn park(&self, fiber: Fiber, call: &Call) {
        if let Some(fiber) = call.park(fiber) {
            self.session.send(Box::new(move |_| fiber.finish()));
        }
    }
}

/// Whether a reply to `unique` has to be looked at.
pub(crate) fn concerns(unique: u64) -> bool {
    current().is_some_and(|session| session.concerns(unique))
}

/// The daemon answers a question of a thread of ours, and will be back for the next one: the caller that
/// is then answered need not wake our thread again. Not where a fiber of this thread has asked.
fn will_be_back(session: &Arc<Session>) {
    HERE.with_borrow_mut(|here| {
        if let Some(here) = here
            && Arc::ptr_eq(&here.session, session)
            && here.asking.is_none()
        {
            // Questions may follow so soon that it has not come to look.
            here.attends |= here.waiter.takes_to_watching();
            if here.attends {
                here.promise = session.attendant.get().and_then(Attendant::promise);
            }
        }
    });
}

/// Looks at a message that the daemon writes to `fd`, a reply to `unique`.
pub(crate) fn replied(fd: RawFd, unique: u64, message: Vec<u8>) -> Reply {
    match current() {
        Some(session) => {
            if unique & (MARK | INTERRUPT) == MARK {
                will_be_back(&session);
            }
            let reply = session.replied(fd, message);
            if reply == Reply::PassAll {
                // As if this library were not there.
                device::leave(fd);
                change_to(None);
            }
            reply
        }
        None => Reply::Pass,
    }
}

/// The daemon is about to close a descriptor, or to make it another file's.
pub(crate) fn closes(fd: RawFd) {
    if device::is_known(fd)
        && let Some(session) = current()
        && session.device_closes(fd)
    {
        change_to(None);
    }
    if device::is_pipe(fd) {
        pipes::closed(fd);
    }
    device::forget(fd);
}

/// The daemon has made a pipe.
pub(crate) fn pipe_made(read_end: RawFd, write_end: RawFd) {
    if device::note_pipe(read_end, write_end) {
        pipes::made(read_end, write_end);
    }
}

/// The daemon is about to close all descriptors from `first` to `last`.
pub(crate) fn close_range(first: u32, last: u32) {
    for fd in device::touched() {
        if (first..=last).contains(&fd.unsigned_abs()) {
            closes(fd);
        }
    }
}
