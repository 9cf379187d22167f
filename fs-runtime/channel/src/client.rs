//! The supervisor's end.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

// Unlike the standard library's, its Condvar makes no system call when nobody waits.
use parking_lot::{Condvar, Mutex, MutexGuard};
use thiserror::Error;

use crate::completions::Completions;
use crate::doorbell::{Doorbell, Fate, GaveUp, Generation, Progress};
use crate::end::End;
use crate::geometry::Geometry;
use crate::mapping::{Mapping, OpenError};
use crate::spin::{self, Watched};

/// How long a caller watches its slot before it sleeps: a little longer than most file
/// systems take.
const WATCH: Duration = Duration::from_micros(100);

/// How often to look whether the server has retired a slot, which it does silently.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The supervisor's end of one channel; threads share it.
#[derive(Debug)]
pub struct Client {
    mapping: Mapping,
    slots: Mutex<Slots>,
    slot_free: Condvar,
    end: End,
}

/// The slots that are in nobody's hands.
#[derive(Debug)]
struct Slots {
    /// Last in, first out: the slot used last is the one in the caches.
    free: Vec<Pending>,
    /// Given up while in service; free again once the server has retired them.
    abandoned: Vec<Pending>,
}

/// A request that was posted.
#[derive(Debug)]
#[must_use = "a posted request holds its slot until it is taken or abandoned"]
pub struct Pending {
    slot: u32,
    generation: Generation,
    /// The server slept and had to be woken.
    rang: bool,
    /// Its slot is not this end's to use again ([`Client::adopt`]).
    adopted: bool,
}

impl Pending {
    /// The number by which the server knows the request: [`Slot::label`].
    pub fn label(&self) -> u64 {
        self.generation.label(self.slot)
    }

    /// The same slot, for its next request.
    fn next(self) -> Self {
        Pending {
            generation: self.generation.next(),
            ..self
        }
    }
}

/// A slot taken for a request, not posted yet. Dropping it loses the slot.
#[derive(Debug)]
#[must_use = "a slot that is not used is lost"]
pub struct Slot(Pending);

impl Slot {
    /// The number by which another process finds the request in the same memory, once this
    /// one has died: [`Client::fate`]. At most [`LABEL_BITS`] bits.
    pub fn label(&self) -> u64 {
        self.0.label()
    }
}

/// Bits of a [`Slot::label`]: a channel has at most 512 slots.
pub const LABEL_BITS: u32 = Generation::BITS + 9;

/// Why a request was not posted. It was not executed and never will be.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum PostError {
    /// Longer than a slot's request area.
    #[error("the request does not fit into a slot")]
    TooLarge,
    /// No slot came free in time.
    #[error("no slot is free")]
    Full,
    /// The server is gone.
    #[error("the channel is closed")]
    Closed,
}

/// The server broke the protocol, or went away in the middle of a request.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the file system's process broke the protocol or went away")]
pub struct PeerFault;

/// What abandoning a request means for its effect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Abandoned {
    /// It was not executed and never will be.
    NeverServed,
    /// It may have been executed, or still be.
    MaybeServed,
}

impl Client {
    /// Maps the memory that a server made.
    ///
    /// # Errors
    /// [`OpenError`] when the descriptor is not a sound channel.
    pub fn open(fd: &OwnedFd) -> Result<Client, OpenError> {
        let mapping = Mapping::open(fd)?;
        let slots = mapping.geometry().slots;
        let free = (0..slots)
            .rev()
            .map(|slot| Pending {
                slot,
                generation: Generation::FIRST,
                rang: false,
                adopted: false,
            })
            .collect();
        Ok(Client {
            mapping,
            slots: Mutex::new(Slots {
                free,
                abandoned: Vec::new(),
            }),
            slot_free: Condvar::new(),
            end: End::new(),
        })
    }

    /// Number and size of the slots.
    pub fn geometry(&self) -> Geometry {
        self.mapping.geometry()
    }

    /// Posts a request; waits up to `patience` for a free slot.
    ///
    /// # Errors
    /// [`PostError`]; the request was not posted.
    pub fn post(&self, request: &[u8], patience: Duration) -> Result<Pending, PostError> {
        Ok(self.post_in(self.slot(request.len(), patience)?, request))
    }

    /// Takes a slot for a request of `len` bytes; waits up to `patience` for one.
    ///
    /// # Errors
    /// [`PostError`].
    pub fn slot(&self, len: usize, patience: Duration) -> Result<Slot, PostError> {
        if len > self.mapping.geometry().request_max as usize {
            return Err(PostError::TooLarge);
        }
        self.free_slot(patience).map(Slot)
    }

    /// Posts a request.
    ///
    /// # Panics
    /// When the request is longer than the slot was asked for.
    pub fn post_in(&self, slot: Slot, request: &[u8]) -> Pending {
        let Slot(mut pending) = slot;
        self.mapping.write_request(pending.slot, request);
        self.mapping.placement().note_client();
        self.doorbell(pending.slot).post(pending.generation);
        pending.rang = self.mapping.bell().ring();
        pending
    }

    /// What became of the request of a client in a process that has died. One that nobody
    /// has begun to execute is taken back. The reply is put into `buf` when there is one.
    pub fn fate(&self, label: u64, buf: &mut Vec<u8>) -> Fate {
        let Some((slot, generation)) = Generation::of_label(label) else {
            return Fate::Unknown;
        };
        if slot >= self.mapping.geometry().slots {
            return Fate::Unknown;
        }
        match self.doorbell(slot).fate(generation) {
            Fate::Replied if !self.mapping.read_reply(slot, buf) => Fate::Unknown,
            fate => fate,
        }
    }

    /// A request that somebody else posted in `slot`, of whom this end takes it over; none
    /// when there is no such slot.
    pub fn adopt(&self, slot: u32) -> Option<Pending> {
        (slot < self.mapping.geometry().slots).then(|| Pending {
            slot,
            generation: self.doorbell(slot).generation(),
            rang: false,
            adopted: true,
        })
    }

    /// Whether there is something to take (a reply, or the end of the channel).
    pub fn is_over(&self, pending: &Pending) -> bool {
        self.doorbell(pending.slot)
            .is_over(pending.generation, &self.end)
    }

    /// Watches for the reply for some 100 µs: true when there is something to take.
    /// Not at all when the server had to be woken or was
    /// last seen on this CPU, which it then needs.
    pub fn spin(&self, pending: &Pending) -> bool {
        let placement = self.mapping.placement();
        let watch = if pending.rang { Duration::ZERO } else { WATCH };
        let watched = spin::until(
            watch,
            || self.is_over(pending),
            || placement.server_is_here(),
        );
        watched == Watched::Done
    }

    /// Sleeps until there is something to take, `timeout` at most. False when the time was
    /// up.
    pub fn wait(&self, pending: &Pending, timeout: Duration) -> bool {
        self.doorbell(pending.slot)
            .sleep(pending.generation, &self.end, timeout)
    }

    /// Whether [`Client::take`] would return at once. The caller wants to be counted in
    /// [`Client::wait_completions`] from now on.
    pub fn watch(&self, pending: &Pending) -> bool {
        self.doorbell(pending.slot)
            .watch(pending.generation, &self.end)
    }

    /// The completion counter, to be read before looking at the watched requests.
    pub fn completions(&self) -> u32 {
        self.counter().count()
    }

    /// Sleeps until the completion counter differs from `seen` or the channel is closed,
    /// `timeout` at most. May return early.
    pub fn wait_completions(&self, seen: u32, timeout: Option<Duration>) {
        self.end.sleep(|| self.counter().sleep(seen, timeout));
    }

    /// Wakes whoever sleeps in [`Client::wait_completions`].
    pub fn interrupt_completions(&self) {
        self.counter().add();
    }

    /// Copies the reply into `buf` and frees the slot.
    ///
    /// # Errors
    /// [`PeerFault`] when there is no sound reply; the slot is then not used again, and
    /// the request may have been executed.
    pub fn take(&self, pending: Pending, buf: &mut Vec<u8>) -> Result<(), PeerFault> {
        self.read(&pending, buf)?;
        self.release(pending);
        Ok(())
    }

    /// Copies the reply into `buf`; it stays in the slot until [`Client::release`], for
    /// whoever asks for the request's [`Client::fate`].
    ///
    /// # Errors
    /// [`PeerFault`], as for [`Client::take`].
    pub fn read(&self, pending: &Pending, buf: &mut Vec<u8>) -> Result<(), PeerFault> {
        let is_replied =
            self.doorbell(pending.slot).progress(pending.generation) == Progress::Replied;
        if is_replied && self.mapping.read_reply(pending.slot, buf) {
            Ok(())
        } else {
            Err(PeerFault)
        }
    }

    /// Frees the slot of a request whose reply was read.
    pub fn release(&self, pending: Pending) {
        self.doorbell(pending.slot).release(pending.generation);
        self.give_back(pending);
    }

    /// Gives a request up.
    pub fn abandon(&self, pending: Pending) -> Abandoned {
        match self.doorbell(pending.slot).give_up(pending.generation) {
            GaveUp::NeverServed => {
                self.give_back(pending);
                Abandoned::NeverServed
            }
            GaveUp::InService => {
                if !pending.adopted {
                    self.lock().abandoned.push(pending);
                }
                Abandoned::MaybeServed
            }
            GaveUp::Replied => {
                self.give_back(pending);
                Abandoned::MaybeServed
            }
            // The slot is not used again.
            GaveUp::Fault => Abandoned::MaybeServed,
        }
    }

    /// The server is gone: every wait ends, nothing is posted any more. Returns when no
    /// thread sleeps in [`Client::wait`] or [`Client::wait_completions`].
    pub fn close(&self) {
        self.end.come(|| {
            for slot in 0..self.mapping.geometry().slots {
                self.doorbell(slot).wake();
            }
            self.counter().add();
        });
        // Under the lock: nobody is between looking at the end and waiting.
        let _slots = self.lock();
        self.slot_free.notify_all();
    }

    /// Whether [`Client::close`] was called.
    pub fn is_closed(&self) -> bool {
        self.end.has_come()
    }

    fn free_slot(&self, patience: Duration) -> Result<Pending, PostError> {
        let mut slots = self.lock();
        // A time beyond the clock's range never comes.
        let deadline = Instant::now().checked_add(patience);
        loop {
            if self.is_closed() {
                return Err(PostError::Closed);
            }
            if let Some(slot) = slots.free.pop() {
                return Ok(slot);
            }
            self.reclaim(&mut slots);
            if slots.free.is_empty() {
                let left = deadline.map_or(LOOK_AGAIN, |deadline| {
                    deadline.saturating_duration_since(Instant::now())
                });
                if left.is_zero() {
                    return Err(PostError::Full);
                }
                self.slot_free.wait_for(&mut slots, left.min(LOOK_AGAIN));
            }
        }
    }

    /// Moves the abandoned slots that the server has retired to the free ones.
    fn reclaim(&self, slots: &mut Slots) {
        let retired = slots
            .abandoned
            .extract_if(.., |p| self.doorbell(p.slot).is_retired(p.generation));
        slots.free.extend(retired.map(Pending::next));
    }

    fn give_back(&self, pending: Pending) {
        if pending.adopted {
            return;
        }
        self.lock().free.push(pending.next());
        self.slot_free.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock()
    }

    fn doorbell(&self, slot: u32) -> Doorbell<'_> {
        self.mapping.doorbell(slot)
    }

    fn counter(&self) -> Completions<'_> {
        self.mapping.completions()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    use crate::Server;

    #[test]
    fn adopted_slots_stay_with_who_posts_in_them() {
        let geometry = Geometry {
            slots: 4,
            request_max: 64,
            reply_max: 64,
        };
        let (_server, memory) = Server::create(geometry).unwrap();
        let client = Client::open(&memory).unwrap();
        let kept = || {
            let slots = client.lock();
            (slots.free.len(), slots.abandoned.len())
        };
        for _ in 0..3 {
            client.release(client.adopt(1).unwrap());
            // Free, taken back, and given up while it is served.
            let _ = client.abandon(client.adopt(1).unwrap());
            let adopted = client.adopt(1).unwrap();
            client.doorbell(1).post(adopted.generation);
            assert_eq!(client.abandon(adopted), Abandoned::NeverServed);
            let adopted = client.adopt(1).unwrap();
            client.doorbell(1).post(adopted.generation);
            client.doorbell(1).claim().unwrap();
            assert_eq!(client.abandon(adopted), Abandoned::MaybeServed);
            client.doorbell(1).release(Generation::FIRST);
        }
        assert_eq!(kept(), (4, 0));
    }
}
