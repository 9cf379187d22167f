//! The file system's end.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::doorbell::{Doorbell, Generation, Waiter};
use crate::futex;
use crate::geometry::Geometry;
use crate::mapping::{Mapping, Word};
use crate::spin::{self, Patience, Watch, Watched};

/// The file system's end of one channel. Any number of threads may call
/// [`Server::next`] and [`Server::reply`].
#[derive(Debug)]
pub struct Server {
    mapping: Mapping,
    closed: AtomicBool,
    /// Where the next scan begins, so that no slot starves.
    cursor: AtomicUsize,
    waiting: AtomicUsize,
    pace: Mutex<Pace>,
}

/// When requests come.
#[derive(Debug)]
struct Pace {
    patience: Patience,
    last: Instant,
}

/// A request in hand: the slot to reply in.
#[derive(Debug)]
#[must_use = "an unanswered request keeps its caller waiting"]
pub struct Ticket {
    slot: u32,
    generation: Generation,
}

impl Server {
    /// Makes the shared memory. The descriptor is for the client.
    ///
    /// # Errors
    /// When the geometry is out of bounds, or memfd_create(2) or mmap(2) fails.
    pub fn create(geometry: Geometry) -> io::Result<(Server, OwnedFd)> {
        let (mapping, fd) = Mapping::create(geometry)?;
        let server = Server {
            mapping,
            closed: AtomicBool::new(false),
            cursor: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            pace: Mutex::new(Pace {
                patience: Patience::new(),
                last: Instant::now(),
            }),
        };
        Ok((server, fd))
    }

    /// Waits for a request and copies its bytes into `buf`. `None` once closed.
    pub fn next(&self, buf: &mut Vec<u8>) -> Option<Ticket> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let ticket = self.wait(buf);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        ticket
    }

    /// Threads that wait in [`Server::next`].
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Longest reply in bytes.
    pub fn reply_max(&self) -> usize {
        self.mapping.geometry().reply_max as usize
    }

    /// Answers a request.
    ///
    /// # Panics
    /// When `bytes` is longer than [`Server::reply_max`].
    #[expect(clippy::needless_pass_by_value, reason = "a request is answered once")]
    pub fn reply(&self, ticket: Ticket, bytes: &[u8]) {
        let Ticket { slot, generation } = ticket;
        self.mapping.write_reply(slot, bytes);
        self.learn();
        let doorbell = self.doorbell(slot);
        match doorbell.reply(generation) {
            Waiter::Awake => {}
            Waiter::OnSlot => futex::wake(doorbell.state, 1),
            Waiter::OnCompletions => {
                let completions = self.mapping.word(Word::Completions);
                completions.fetch_add(1, Ordering::SeqCst);
                futex::wake(completions, u32::MAX >> 1);
            }
        }
    }

    /// Ends the channel on this side: every [`Server::next`] returns `None`.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        let bell = self.mapping.word(Word::Bell);
        bell.fetch_add(1, Ordering::SeqCst);
        futex::wake(bell, u32::MAX >> 1);
    }

    fn wait(&self, buf: &mut Vec<u8>) -> Option<Ticket> {
        loop {
            if self.closed.load(Ordering::SeqCst) {
                return None;
            }
            let found = self
                .scan()
                .or_else(|| self.watch())
                .or_else(|| self.sleep());
            let Some(ticket) = found else { continue };
            self.share_the_work();
            // A length out of bounds is the client's fault; empty bytes decode to nothing,
            // which answers it.
            if !self.mapping.read_request(ticket.slot, buf) {
                buf.clear();
            }
            return Some(ticket);
        }
    }

    /// One look at every doorbell.
    fn scan(&self) -> Option<Ticket> {
        let slots = self.mapping.geometry().slots as usize;
        let start = self.cursor.load(Ordering::Relaxed);
        (0..slots).map(|i| (start + i) % slots).find_map(|slot| {
            let index = u32::try_from(slot).ok()?;
            let generation = self.doorbell(index).claim()?;
            self.cursor.store(slot, Ordering::Relaxed);
            Some(Ticket {
                slot: index,
                generation,
            })
        })
    }

    /// Watches the doorbells for a while, unless another thread does.
    fn watch(&self) -> Option<Ticket> {
        let budget = self.budget();
        if budget.is_zero() {
            return None;
        }
        let _watch = Watch::begin()?;
        let spinners = self.mapping.word(Word::Spinners);
        // SeqCst: pairs with the client's load after it posted. Either it sees a spinner
        // here, or the scan below or in `sleep` sees its request.
        spinners.fetch_add(1, Ordering::SeqCst);
        let mut found = None;
        let watched = spin::until(budget, || {
            found = self.scan();
            found.is_some() || self.closed.load(Ordering::Relaxed)
        });
        spinners.fetch_sub(1, Ordering::SeqCst);
        if watched == Watched::Preempted
            && let Ok(mut pace) = self.pace.try_lock()
        {
            pace.patience.pause();
        }
        found
    }

    /// Sleeps until the client rings.
    ///
    /// The count of sleepers goes up before the last scan, and the client posts before it
    /// reads the count (both SeqCst): one of the two sees the other.
    fn sleep(&self) -> Option<Ticket> {
        let bell = self.mapping.word(Word::Bell);
        let sleepers = self.mapping.word(Word::Sleepers);
        let rung = bell.load(Ordering::SeqCst);
        sleepers.fetch_add(1, Ordering::SeqCst);
        let found = self.scan();
        if found.is_none() && !self.closed.load(Ordering::SeqCst) {
            futex::wait(bell, rung, None);
        }
        sleepers.fetch_sub(1, Ordering::SeqCst);
        found
    }

    /// A client that saw a spinner did not ring; the spinner that leaves with one request
    /// rings for the others.
    fn share_the_work(&self) {
        let slots = self.mapping.geometry().slots;
        let sleepers = self.mapping.word(Word::Sleepers);
        if sleepers.load(Ordering::SeqCst) == 0 {
            return;
        }
        if (0..slots).any(|slot| self.doorbell(slot).is_posted()) {
            let bell = self.mapping.word(Word::Bell);
            bell.fetch_add(1, Ordering::SeqCst);
            futex::wake(bell, 1);
        }
    }

    fn doorbell(&self, slot: u32) -> Doorbell<'_> {
        let (state, waiter) = self.mapping.doorbell(slot);
        Doorbell { state, waiter }
    }

    fn budget(&self) -> Duration {
        // A busy lock means that requests come from several threads: watching is right.
        self.pace
            .try_lock()
            .map_or(Duration::from_micros(50), |pace| pace.patience.budget())
    }

    fn learn(&self) {
        if let Ok(mut pace) = self.pace.try_lock() {
            let now = Instant::now();
            let gap = now - pace.last;
            pace.last = now;
            pace.patience.learn(gap);
        }
    }
}
