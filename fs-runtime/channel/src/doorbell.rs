//! The hand-shake on one slot: who owns it, and how the owner changes.
//!
//! The state word holds the state in its low three bits and the slot's generation above
//! them, so a word that is left over from an earlier call never matches.

use std::time::{Duration, Instant};

use crate::completions::Completions;
use crate::end::End;
use crate::futex::{self, Wake};
use crate::sync::{AtomicU32, Ordering};

const STATE_BITS: u32 = 3;

/// States of a slot; see the crate's documentation for who moves it where.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
enum State {
    Free = 0,
    Posted = 1,
    Serving = 2,
    Replied = 3,
    Abandoned = 4,
}

/// How often a slot has gone round, modulo 2^29.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Generation(u32);

impl Generation {
    pub(crate) const FIRST: Generation = Generation(0);

    pub(crate) fn next(self) -> Generation {
        Generation(self.0.wrapping_add(1) & (u32::MAX >> STATE_BITS))
    }

    fn previous(self) -> Generation {
        Generation(self.0.wrapping_sub(1) & (u32::MAX >> STATE_BITS))
    }

    /// The number itself: [`Generation::BITS`] bits.
    pub(crate) fn number(self) -> u32 {
        self.0
    }

    /// The generation of that number; higher bits are ignored.
    pub(crate) fn of_number(number: u32) -> Generation {
        Generation(number & (u32::MAX >> STATE_BITS))
    }

    /// Bits of a generation's number.
    pub(crate) const BITS: u32 = u32::BITS - STATE_BITS;

    /// The number of this generation of `slot`, by which both sides name one request: at most
    /// [`crate::LABEL_BITS`] bits.
    pub(crate) fn label(self, slot: u32) -> u64 {
        u64::from(slot) << Generation::BITS | u64::from(self.0)
    }

    /// Slot and generation of a label.
    pub(crate) fn of_label(label: u64) -> Option<(u32, Generation)> {
        let mask = (1 << Generation::BITS) - 1;
        let slot = u32::try_from(label >> Generation::BITS).ok()?;
        let number = u32::try_from(label & mask).ok()?;
        Some((slot, Generation(number)))
    }

    fn with(self, state: State) -> u32 {
        self.0 << STATE_BITS | state as u32
    }
}

/// What the client's waiting looks like to the server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
enum Waiter {
    /// It watches the state word, or does something else.
    Awake = 0,
    /// It sleeps on the state word.
    OnSlot = 1,
    /// It sleeps on the channel's completion counter.
    OnCompletions = 2,
}

const AWAKE: u32 = Waiter::Awake as u32;
const ON_SLOT: u32 = Waiter::OnSlot as u32;

/// What the client finds when it looks at its slot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Progress {
    /// Not replied to yet.
    Underway,
    /// The reply lies in the slot.
    Replied,
    /// A value that an honest server never leaves there.
    Fault,
}

/// What giving up a slot meant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum GaveUp {
    /// The server had not started and never will; the slot is free again.
    NeverServed,
    /// The server has it in hand; the server frees the slot.
    InService,
    /// It was answered already; the slot is free again.
    Replied,
    /// The server left a value there that means nothing.
    Fault,
}

/// What became of a request whose client died.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// It was not executed and never will be.
    NeverServed,
    /// It is being executed.
    InService,
    /// It was executed; the reply lies in the slot.
    Replied,
    /// Nobody can tell: the client had given it up, or the server broke the protocol.
    Unknown,
}

/// The two words of a slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doorbell<'m> {
    pub(crate) state: &'m AtomicU32,
    pub(crate) waiter: &'m AtomicU32,
}

/// Client's half. The client calls these for slots that it took off its free list.
impl Doorbell<'_> {
    /// Hands the request, already in the slot, to the server.
    ///
    /// The store pairs with the load in [`Doorbell::claim`] (Release/Acquire, for the
    /// request's bytes) and is SeqCst for the counts of [`crate::bell`].
    pub(crate) fn post(&self, generation: Generation) {
        self.waiter.store(Waiter::Awake as u32, Ordering::Relaxed);
        self.state
            .store(generation.with(State::Posted), Ordering::SeqCst);
    }

    /// What the word says.
    pub(crate) fn generation(&self) -> Generation {
        Generation(self.state.load(Ordering::SeqCst) >> STATE_BITS)
    }

    /// Looks. A `Replied` pairs with [`Doorbell::reply`], for the reply's bytes; SeqCst
    /// for [`Doorbell::announce`].
    pub(crate) fn progress(&self, generation: Generation) -> Progress {
        let word = self.state.load(Ordering::SeqCst);
        if word == generation.with(State::Replied) {
            Progress::Replied
        } else if word == generation.with(State::Posted) || word == generation.with(State::Serving)
        {
            Progress::Underway
        } else {
            Progress::Fault
        }
    }

    /// Looks for a client that sleeps on the channel's completion counter, which it has
    /// read before. True when there is something to take or `end` has come.
    pub(crate) fn watch(&self, generation: Generation, end: &End) -> bool {
        self.announce(Waiter::OnCompletions);
        self.is_over(generation, end)
    }

    /// Whether there is something to take or `end` has come.
    pub(crate) fn is_over(&self, generation: Generation, end: &End) -> bool {
        self.progress(generation) != Progress::Underway || end.has_come()
    }

    /// Says how the client is about to wait. SeqCst, and followed by another look at the
    /// state: pairs with the load of `waiter` in [`Doorbell::reply`], so that one of the
    /// two sees the other.
    fn announce(&self, waiter: Waiter) {
        self.waiter.store(waiter as u32, Ordering::SeqCst);
    }

    /// Sleeps until there is something to take or `end` has come, for `timeout` at most.
    /// False when the time was up.
    pub(crate) fn sleep(&self, generation: Generation, end: &End, timeout: Duration) -> bool {
        // A time beyond the clock's range never comes.
        let deadline = Instant::now().checked_add(timeout);
        self.announce(Waiter::OnSlot);
        let is_over = loop {
            if self.is_over(generation, end) {
                break true;
            }
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                break false;
            }
            end.sleep(|| self.sleep_once(generation, left));
        };
        // Saves the server a wake-up for nobody. Relaxed: a late one does no harm.
        self.waiter.store(Waiter::Awake as u32, Ordering::Relaxed);
        is_over
    }

    fn sleep_once(&self, generation: Generation, timeout: Option<Duration>) {
        let word = self.state.load(Ordering::SeqCst);
        if word == generation.with(State::Posted) || word == generation.with(State::Serving) {
            futex::wait(self.state, word, timeout);
        }
    }

    /// Wakes whoever sleeps on the slot.
    pub(crate) fn wake(&self) {
        futex::wake(self.state, Wake::All);
    }

    /// Gives the slot back after the reply was copied.
    pub(crate) fn release(&self, generation: Generation) {
        self.state
            .store(generation.with(State::Free), Ordering::Relaxed);
    }

    /// Gives up waiting.
    pub(crate) fn give_up(&self, generation: Generation) -> GaveUp {
        let swap = |from: State, to: State| {
            self.state
                .compare_exchange(
                    generation.with(from),
                    generation.with(to),
                    Ordering::SeqCst,
                    Ordering::SeqCst,
                )
                .is_ok()
        };
        if swap(State::Posted, State::Free) {
            GaveUp::NeverServed
        } else if swap(State::Serving, State::Abandoned) {
            GaveUp::InService
        } else if swap(State::Replied, State::Free) {
            GaveUp::Replied
        } else {
            GaveUp::Fault
        }
    }

    /// What became of a request whose client died; one that waits is taken back. May be
    /// asked again and again, and by several processes.
    pub(crate) fn fate(&self, generation: Generation) -> Fate {
        let posted = generation.with(State::Posted);
        let free = generation.with(State::Free);
        // A failed exchange reads; SeqCst, as `give_up` and `progress`.
        let word =
            match self
                .state
                .compare_exchange(posted, free, Ordering::SeqCst, Ordering::SeqCst)
            {
                Ok(_) => return Fate::NeverServed,
                Err(word) => word,
            };
        // Not posted yet, or taken back: a slot is freed for other reasons only when its
        // call was answered.
        if word == free || word == generation.previous().with(State::Free) {
            Fate::NeverServed
        } else if word == generation.with(State::Serving) {
            Fate::InService
        } else if word == generation.with(State::Replied) {
            Fate::Replied
        } else {
            Fate::Unknown
        }
    }

    /// Whether the server has retired a slot that was given up while in service.
    pub(crate) fn is_retired(&self, generation: Generation) -> bool {
        self.state.load(Ordering::Acquire) == generation.with(State::Free)
    }
}

/// Server's half.
impl Doorbell<'_> {
    /// Whether a request seems to wait here.
    pub(crate) fn is_posted(&self) -> bool {
        self.state.load(Ordering::SeqCst) & ((1 << STATE_BITS) - 1) == State::Posted as u32
    }

    /// Takes the request, if there is one: the step that makes execution happen once.
    ///
    /// The look is SeqCst for the counts of [`crate::bell`]; the exchange pairs with
    /// [`Doorbell::post`], for the request's bytes.
    pub(crate) fn claim(&self) -> Option<Generation> {
        let word = self.state.load(Ordering::SeqCst);
        let generation = Generation(word >> STATE_BITS);
        if word != generation.with(State::Posted) {
            return None;
        }
        self.state
            .compare_exchange(
                word,
                generation.with(State::Serving),
                Ordering::Acquire,
                Ordering::Relaxed,
            )
            .ok()
            .map(|_| generation)
    }

    /// Publishes the reply, already in the slot, and wakes the client if it sleeps.
    /// Retires the slot when the client has given it up.
    pub(crate) fn reply(&self, generation: Generation, completions: Completions<'_>) {
        let published = self.state.compare_exchange(
            generation.with(State::Serving),
            generation.with(State::Replied),
            Ordering::SeqCst,
            Ordering::Relaxed,
        );
        if published.is_err() {
            return self.retire(generation);
        }
        // SeqCst: pairs with `announce`.
        match self.waiter.load(Ordering::SeqCst) {
            AWAKE => {}
            ON_SLOT => futex::wake(self.state, Wake::One),
            _ => completions.add(),
        }
    }

    fn retire(&self, generation: Generation) {
        // Only an abandoned slot of this generation: anything else a client wrote there
        // is its own business. Release: pairs with `is_retired`.
        let _ = self.state.compare_exchange(
            generation.with(State::Abandoned),
            generation.with(State::Free),
            Ordering::Release,
            Ordering::Relaxed,
        );
    }
}
