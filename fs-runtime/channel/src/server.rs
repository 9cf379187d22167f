//! The file system's end.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::doorbell::Generation;
use crate::end::End;
use crate::geometry::Geometry;
use crate::mapping::Mapping;
use crate::placement::{self, Mover};
use crate::spin::{self, Patience, Watch, Watched};

/// How long a thread leaves requests to others that watch, or have promised to look. They may hang.
const TRUST: Duration = Duration::from_millis(100);

/// The file system's end of one channel. Any number of threads may call
/// [`Server::next`] and [`Server::reply`].
#[derive(Debug)]
pub struct Server {
    mapping: Mapping,
    end: End,
    /// Where the next scan begins, so that no slot starves.
    cursor: AtomicU32,
    pace: Mutex<Pace>,
    mover: Mover,
    /// Requests in hand. Only counts; relaxed.
    in_hand: AtomicUsize,
    /// Of each slot, the generation in hand and one; 0: none. The memory itself is the client's
    /// to write as well. Relaxed: who looks and who replies have a lock of their own.
    hands: Box<[AtomicU32]>,
    /// Whether [`Server::next`] sleeps at once. Set before it is called; relaxed.
    watched_by_others: AtomicBool,
    /// See [`Server::clients_ring_again`]. Set before [`Server::next`] is called; relaxed.
    clients_ring_again: AtomicBool,
    /// Requests that took long of late, less the others. Relaxed: a hint.
    slow: AtomicU32,
}

/// A request that takes longer is not to hold up others.
const SLOW: Duration = Duration::from_micros(50);
/// As many slow requests make a slow file system, and are remembered.
const SLOW_ONES: u32 = 4;

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
    /// When it was taken, if clients ring again.
    taken: Option<Instant>,
    /// Clients count on who serves it.
    is_promised: bool,
}

impl Ticket {
    /// The number by which the client knows the request: [`crate::Pending::label`].
    pub fn label(&self) -> u64 {
        self.generation.label(self.slot)
    }
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
            end: End::new(),
            cursor: AtomicU32::new(0),
            pace: Mutex::new(Pace {
                patience: Patience::new(),
                last: Instant::now(),
            }),
            mover: Mover::new(),
            in_hand: AtomicUsize::new(0),
            hands: (0..geometry.slots).map(|_| AtomicU32::new(0)).collect(),
            watched_by_others: AtomicBool::new(false),
            clients_ring_again: AtomicBool::new(false),
            slow: AtomicU32::new(0),
        };
        Ok((server, fd))
    }

    /// Waits for a request and copies its bytes into `buf`. `None` once closed.
    pub fn next(&self, buf: &mut Vec<u8>) -> Option<Ticket> {
        let mut trusts_others = true;
        loop {
            if self.end.has_come() {
                return None;
            }
            let others = self.watched_by_others.load(Ordering::Relaxed);
            let bell = self.mapping.bell();
            let scan_unless_watched = || match others && bell.is_watched() {
                true => None,
                false => self.scan(),
            };
            let mut found = match trusts_others {
                true => scan_unless_watched(),
                false => self.scan(),
            }
            .or_else(|| if others { None } else { self.watch(|| false) });
            if found.is_none() {
                let limit = others.then_some(TRUST);
                let began = Instant::now();
                found = bell.sleep(&self.end, limit, scan_unless_watched);
                trusts_others = began.elapsed() < TRUST;
            }
            if let Some(mut ticket) = found {
                self.take(&mut ticket, buf);
                return Some(ticket);
            }
        }
    }

    /// Lets [`Server::next`] sleep at once where no request is posted, or one of the other threads
    /// watches that call [`Server::watch_for`].
    pub fn leave_watching_to_others(&self) {
        self.watched_by_others.store(true, Ordering::Relaxed);
    }

    /// Clients ring again for requests that nobody has taken after a while. As long as requests are
    /// served soon, a client may then count on a thread that serves one: each thread that answers
    /// calls [`Server::next`] next, and others, who would get into its way, sleep.
    pub fn clients_ring_again(&self) {
        self.clients_ring_again.store(true, Ordering::Relaxed);
    }

    /// Watches for a request for a bounded while, or until `stop` says so, which is asked
    /// all the time. `None` also when it is not worth the while.
    pub fn watch_for(&self, buf: &mut Vec<u8>, stop: impl FnMut() -> bool) -> Option<Ticket> {
        if self.end.has_come() {
            return None;
        }
        // The last look is for those who have posted while there was a watch to count on.
        let found = self.scan().or_else(|| self.watch(stop));
        let mut ticket = found.or_else(|| self.scan())?;
        self.take(&mut ticket, buf);
        Some(ticket)
    }

    fn take(&self, ticket: &mut Ticket, buf: &mut Vec<u8>) {
        self.in_hand.fetch_add(1, Ordering::Relaxed);
        self.hand(ticket.slot)
            .store(Self::taken(ticket.generation), Ordering::Relaxed);
        self.mapping.placement().note_server();
        let bell = self.mapping.bell();
        if self.clients_ring_again.load(Ordering::Relaxed) {
            ticket.taken = Some(Instant::now());
            ticket.is_promised = self.slow.load(Ordering::Relaxed) < SLOW_ONES;
        }
        if ticket.is_promised {
            bell.will_look();
        } else {
            bell.share(|| self.is_any_posted());
        }
        // A length out of bounds is the client's fault; empty bytes decode to nothing,
        // which answers it.
        if !self.mapping.read_request(ticket.slot, buf) {
            buf.clear();
        }
    }

    /// Requests taken and not yet answered, by all threads.
    pub fn in_hand(&self) -> usize {
        self.in_hand.load(Ordering::Relaxed)
    }

    /// Whether the request of that [`Ticket::label`] is taken and not yet answered.
    pub fn has_in_hand(&self, label: u64) -> bool {
        Generation::of_label(label).is_some_and(|(slot, generation)| {
            let hand = self.hands.get(slot as usize);
            hand.is_some_and(|hand| hand.load(Ordering::Relaxed) == Self::taken(generation))
        })
    }

    /// The labels of all that are taken and not yet answered.
    pub fn labels_in_hand(&self) -> impl Iterator<Item = u64> {
        (0..).zip(&self.hands).filter_map(|(slot, hand)| {
            let number = hand.load(Ordering::Relaxed).checked_sub(1)?;
            Some(Generation::of_number(number).label(slot))
        })
    }

    fn hand(&self, slot: u32) -> &AtomicU32 {
        &self.hands[slot as usize]
    }

    fn taken(generation: Generation) -> u32 {
        generation.number() + 1
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
        let Ticket {
            slot, generation, ..
        } = ticket;
        self.in_hand.fetch_sub(1, Ordering::Relaxed);
        // Before the client may use the slot again.
        self.hand(slot).store(0, Ordering::Relaxed);
        self.mapping.write_reply(slot, bytes);
        self.learn();
        self.mapping
            .doorbell(slot)
            .reply(generation, self.mapping.completions());
        if ticket.is_promised {
            // It looks now, and finds what was posted by who counted on that.
            self.mapping.bell().looks_now();
        }
        if let Some(taken) = ticket.taken {
            self.note_time(taken.elapsed());
        }
    }

    /// A request took so long.
    fn note_time(&self, took: Duration) {
        let slow = self.slow.load(Ordering::Relaxed);
        let now = if took > SLOW {
            (slow + 1).min(2 * SLOW_ONES)
        } else {
            slow.saturating_sub(1)
        };
        // Seldom: all threads have the line.
        if now != slow {
            self.slow.store(now, Ordering::Relaxed);
        }
    }

    /// Lets clients count on the calling thread: it will look for requests soon, or do something else
    /// and say [`Server::looks_no_more`]. Then a request that follows a reply at once wakes nobody.
    pub fn will_look(&self) {
        self.mapping.bell().will_look();
    }

    /// Ends what [`Server::will_look`] began; to be called once for it. Another thread is woken for a
    /// request that was posted meanwhile.
    pub fn looks_no_more(&self) {
        self.mapping.bell().looks_no_more(|| self.is_any_posted());
    }

    /// Ends the channel on this side: every [`Server::next`] returns `None`. Returns when
    /// no thread sleeps in it.
    pub fn close(&self) {
        self.end.come(|| self.mapping.bell().wake_all());
    }

    /// One look at every doorbell, beginning with the one that the last request came
    /// from: a client with one request at a time uses its slot again and again. Every other
    /// time the others come first, so that no slot starves.
    fn scan(&self) -> Option<Ticket> {
        let slots = self.mapping.geometry().slots;
        let start = self.cursor.load(Ordering::Relaxed);
        (start..slots).chain(0..start).find_map(|slot| {
            let generation = self.mapping.doorbell(slot).claim()?;
            let next = if slot == start { slot + 1 } else { slot };
            self.cursor.store(next, Ordering::Relaxed);
            Some(Ticket {
                slot,
                generation,
                taken: None,
                is_promised: false,
            })
        })
    }

    fn is_any_posted(&self) -> bool {
        (0..self.mapping.geometry().slots).any(|slot| self.mapping.doorbell(slot).is_posted())
    }

    /// Watches the doorbells for a while, or until `stop` says so, from another CPU than the
    /// client's; unless another thread does, or has a request in hand and will look when it is
    /// done (where others watch, it will not).
    fn watch(&self, mut stop: impl FnMut() -> bool) -> Option<Ticket> {
        let budget = self.budget();
        if budget.is_zero()
            || (self.in_hand() > 0 && !self.watched_by_others.load(Ordering::Relaxed))
        {
            return None;
        }
        let placement = self.mapping.placement();
        if placement.client_is_here() && !self.mover.move_away() {
            return None;
        }
        let _watch = Watch::begin()?;
        let mut watched = Watched::TimeUp;
        let found = self.mapping.bell().watch(|| {
            let mut found = None;
            let done = || {
                found = self.scan();
                found.is_some() || self.end.has_come() || stop()
            };
            watched = spin::until(budget, done, || placement.client_is_where_i_watch());
            found
        });
        if found.is_none() {
            placement::watches_no_more();
        }
        if watched == Watched::Preempted
            && let Ok(mut pace) = self.pace.try_lock()
        {
            pace.patience.pause();
        }
        found
    }

    fn budget(&self) -> Duration {
        // A busy lock means that requests come from several threads.
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
