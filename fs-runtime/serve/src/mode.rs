//! Whether anybody may come through the bypass door.
//!
//! Without a supervisor the daemon's threads sleep in the kernel's own blocking read, as
//! they would without this library. When one comes, they have to look at the mailbox as
//! well: /dev/fuse is made non-blocking, and those who sleep in a read are woken by a
//! signal that does nothing. It restarts the read, which then finds the flag.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::device;
use crate::kick::Kick;
use crate::unwatched::{Asked, Unwatched};
use crate::waiter::Waiter;

/// How long the daemon may take to notice.
const PATIENCE: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_micros(200);
/// How long threads may take to leave a read.
const BRIEFLY: Duration = Duration::from_millis(10);

/// See the module.
#[derive(Debug)]
pub(crate) struct Mode {
    watching: AtomicBool,
    supervisors: Mutex<usize>,
    threads: Mutex<Vec<Arc<Waiter>>>,
    devices: Mutex<Vec<RawFd>>,
    unwatched: Unwatched,
    ungated: Arc<AtomicUsize>,
    aside: Arc<AtomicUsize>,
    kick: Option<Kick>,
    /// Whether a thread that was given something may sleep in a read, since `look_again` saw
    /// to it.
    fresh: AtomicBool,
}

/// A request of the kernel that cannot pass its gate.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// Another request of the kernel holds it, and the kernel wanted both at a time: it may
    /// pass. For as long as this lives it is under way.
    Ungated(Counted),
    /// The bypass door may hold it. For as long as this lives it is set aside.
    Aside(Counted),
}

/// One that is counted while it lives.
#[derive(Debug)]
pub(crate) struct Counted(Arc<AtomicUsize>);

impl Counted {
    // SeqCst: who counts looks at `watching` afterwards, and who sets that looks at the
    // counts afterwards. One of the two sees the other.
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Counted(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Mode {
    pub(crate) fn new() -> Self {
        Mode {
            watching: AtomicBool::new(false),
            supervisors: Mutex::new(0),
            threads: Mutex::default(),
            devices: Mutex::default(),
            unwatched: Unwatched::new(),
            ungated: Arc::default(),
            aside: Arc::default(),
            kick: Kick::new(),
            fresh: AtomicBool::new(false),
        }
    }

    /// Whether the bypass door may hold a gate.
    pub(crate) fn is_watching(&self) -> bool {
        self.watching.load(Ordering::SeqCst)
    }

    /// Whether the request `unique` needs no gate, as nobody may come through the bypass door
    /// before it is answered.
    pub(crate) fn goes_unwatched(&self, unique: u64, asked: Asked) -> bool {
        self.unwatched.keep(unique, asked, || self.is_watching())
    }

    /// The requests that went unwatched.
    pub(crate) fn unwatched(&self) -> &Unwatched {
        &self.unwatched
    }

    /// What becomes of a request that cannot pass its gate.
    pub(crate) fn stopped(&self) -> Stopped {
        let (ungated, aside) = (Counted::new(&self.ungated), Counted::new(&self.aside));
        if self.is_watching() {
            Stopped::Aside(aside)
        } else {
            Stopped::Ungated(ungated)
        }
    }

    /// A thread of the daemon reads for the first time.
    pub(crate) fn thread_came(&self, waiter: &Arc<Waiter>) {
        if let Some(kick) = self.kick {
            kick.let_through();
        }
        self.threads.lock().push(Arc::clone(waiter));
    }

    /// It has ended.
    pub(crate) fn thread_went(&self, waiter: &Arc<Waiter>) {
        self.threads
            .lock()
            .retain(|other| !Arc::ptr_eq(other, waiter));
    }

    /// The daemon has this descriptor of the mount.
    pub(crate) fn device_came(&self, fd: RawFd) {
        let mut devices = self.devices.lock();
        devices.push(fd);
        // Under the lock, as in `set_blocking`: one of the two sees the other.
        if self.is_watching() {
            device::set_blocking(fd, false);
        }
    }

    /// Whether the descriptor is one of the mount's.
    pub(crate) fn has(&self, fd: RawFd) -> bool {
        self.devices.lock().contains(&fd)
    }

    /// It has closed it; true if that was the last one.
    pub(crate) fn device_went(&self, fd: RawFd) -> bool {
        let mut devices = self.devices.lock();
        devices.retain(|other| *other != fd);
        devices.is_empty()
    }

    fn set_blocking(&self, blocking: bool) {
        for fd in &*self.devices.lock() {
            device::set_blocking(*fd, blocking);
        }
    }

    /// A supervisor is about to send requests; false when the daemon does not listen.
    pub(crate) fn supervisor_came(&self) -> bool {
        let mut supervisors = self.supervisors.lock();
        if *supervisors == 0 && !self.wake_all() {
            self.sleep();
            return false;
        }
        *supervisors += 1;
        true
    }

    /// One that came has gone.
    pub(crate) fn supervisor_went(&self) {
        let mut supervisors = self.supervisors.lock();
        *supervisors -= 1;
        if *supervisors == 0 {
            self.sleep();
        }
    }

    /// A request that is set aside will be a message: until it is taken, or for good,
    /// threads go on looking.
    fn sleep(&self) {
        self.watching.store(false, Ordering::SeqCst);
        if self.aside.load(Ordering::SeqCst) == 0 {
            self.set_blocking(true);
        }
    }

    /// A thread that was given something may sleep in a read from now on. Relaxed:
    /// `look_again` comes by in any case.
    pub(crate) fn may_sleep(&self) {
        if !self.fresh.load(Ordering::Relaxed) {
            self.fresh.store(true, Ordering::Relaxed);
        }
    }

    /// Lets threads that sleep in a plain read after they were given something return from
    /// it once, as if by a signal: see `FIRST_SLEEP` in `crate::turn`.
    pub(crate) fn look_again(&self) {
        if !self.fresh.swap(false, Ordering::Relaxed) {
            return;
        }
        // Held meanwhile: no supervisor comes or goes.
        let supervisors = self.supervisors.lock();
        if *supervisors > 0 {
            return;
        }
        self.set_blocking(false);
        let end = Instant::now() + BRIEFLY;
        while !self.kick_readers() {
            if Instant::now() > end {
                // They get no CPU: once more, later.
                self.fresh.store(true, Ordering::Relaxed);
                break;
            }
            std::thread::sleep(POLL);
        }
        if self.aside.load(Ordering::SeqCst) == 0 {
            self.set_blocking(true);
        }
        drop(supervisors);
    }

    /// The session is over.
    pub(crate) fn end(&self) {
        self.unwatched.clear();
        self.set_blocking(true);
    }

    /// Returns when every thread looks at the mailbox and every request passes the gates.
    ///
    /// A read that began before the flag was set may sleep, and its thread has said before
    /// that it reads; one that began later does not sleep.
    fn wake_all(&self) -> bool {
        self.watching.store(true, Ordering::SeqCst);
        self.set_blocking(false);
        let end = Instant::now() + PATIENCE;
        let under_way = || !self.unwatched.is_empty() || self.ungated.load(Ordering::SeqCst) != 0;
        while !self.kick_readers() || under_way() {
            if Instant::now() > end {
                log::warn!(
                    "the daemon's threads cannot be woken, or take long for a request: no \
                     supervisor is served"
                );
                return false;
            }
            std::thread::sleep(POLL);
        }
        true
    }

    /// True when there is none to wake.
    fn kick_readers(&self) -> bool {
        // Held meanwhile: a thread that is here has not ended.
        let threads = self.threads.lock();
        let mut none_reads = true;
        for waiter in &*threads {
            if waiter.reads() {
                none_reads = false;
                if let Some(kick) = self.kick {
                    kick.thread(waiter.thread());
                }
            }
        }
        none_reads
    }
}
