//! How one thread of the daemon sleeps: on /dev/fuse and on an eventfd of its own.
//!
//! All calls here are raw system calls, which pthread_cancel(3) does not interrupt.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use rustix::thread::gettid;

use crate::device::borrow;

const BELL: u64 = 0;
const DEVICE: u64 = 1;

/// See the module. EPOLLEXCLUSIVE: a request of the kernel wakes one thread, not all.
#[derive(Debug)]
pub(crate) struct Waiter {
    epoll: OwnedFd,
    bell: OwnedFd,
    /// The descriptor of /dev/fuse that the thread reads from; -1: none yet.
    device: AtomicI32,
    watches_device: AtomicBool,
    /// Whether the thread may be asleep in a read of the device, see `crate::mode`.
    reads: AtomicBool,
    /// Whether it was woken to look for requests.
    watches: AtomicBool,
    thread: i32,
}

impl Waiter {
    /// Of the calling thread.
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &bell, EventData::new_u64(BELL), EventFlags::IN)?;
        Ok(Waiter {
            epoll,
            bell,
            device: AtomicI32::new(-1),
            watches_device: AtomicBool::new(false),
            reads: AtomicBool::new(false),
            watches: AtomicBool::new(false),
            thread: gettid().as_raw_nonzero().get(),
        })
    }

    /// The thread reads from `device`. Whether it did not before.
    pub(crate) fn reads_from(&self, device: BorrowedFd<'_>) -> bool {
        let new = !self.is_at(device.as_raw_fd());
        if new {
            self.leave_device();
            // Only the thread itself sets it and asks for it; relaxed.
            self.device.store(device.as_raw_fd(), Ordering::Relaxed);
        }
        new
    }

    /// Before it sleeps: a request of the kernel is to wake it too.
    pub(crate) fn watch_device(&self) -> io::Result<()> {
        if self.watches_device() {
            return Ok(());
        }
        let device = borrow(self.device.load(Ordering::Relaxed));
        let flags = EventFlags::IN | EventFlags::EXCLUSIVE;
        match epoll::add(&self.epoll, device, EventData::new_u64(DEVICE), flags) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        self.watches_device.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The kernel goes through all who watch a device at each request, also those who do not
    /// sleep (`ep_poll_callback`, fs/eventpoll.c).
    pub(crate) fn leave_device(&self) {
        if self.watches_device() {
            // It fails when the device was closed: then it is not watched either.
            let _ = epoll::delete(&self.epoll, borrow(self.device.load(Ordering::Relaxed)));
            self.watches_device.store(false, Ordering::Relaxed);
        }
    }

    /// Only the thread itself asks; relaxed.
    pub(crate) fn watches_device(&self) -> bool {
        self.watches_device.load(Ordering::Relaxed)
    }

    /// Whether the thread reads from `device`.
    pub(crate) fn is_at(&self, device: RawFd) -> bool {
        // Only the thread itself sets and asks; relaxed.
        self.device.load(Ordering::Relaxed) == device
    }

    /// What to wait on, by epoll_wait(2).
    pub(crate) fn descriptor(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }

    /// Whether there is a request of the kernel.
    pub(crate) fn has_request(&self) -> bool {
        let device = borrow(self.device.load(Ordering::Relaxed));
        let mut fds = [PollFd::new(&device, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    /// Wakes the thread, now or when it sleeps next.
    pub(crate) fn wake(&self) {
        // It fails only when the count is at its limit, and then it is not 0.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    /// The same, to look for requests itself.
    pub(crate) fn wake_to_watch(&self) {
        self.watches_next();
        self.wake();
    }

    /// The thread, which is awake or about to be, is to look for requests itself.
    pub(crate) fn watches_next(&self) {
        // The eventfd carries it over; relaxed.
        self.watches.store(true, Ordering::Relaxed);
    }

    /// Whether it was woken so, since this was asked last.
    pub(crate) fn takes_to_watching(&self) -> bool {
        self.watches.swap(false, Ordering::Relaxed)
    }

    /// Takes the wake-ups until now; whether there was one.
    pub(crate) fn settle(&self) -> bool {
        rustix::io::read(&self.bell, &mut [0; 8]).is_ok()
    }

    pub(crate) fn thread(&self) -> i32 {
        self.thread
    }

    /// The thread is about to read from the device, or is back.
    pub(crate) fn says_it_reads(&self, reads: bool) {
        // SeqCst: whoever makes the device non-blocking looks here afterwards, see
        // `crate::mode`.
        self.reads.store(reads, Ordering::SeqCst);
    }

    pub(crate) fn reads(&self) -> bool {
        self.reads.load(Ordering::SeqCst)
    }
}

/// Whether an event of epoll_wait(2) is about the device.
pub(crate) fn is_device(data: u64) -> bool {
    data == DEVICE
}
