//! How server threads sleep, and how a client wakes one without a system call for
//! requests that somebody awake will find.
//!
//! A request is found because, in the one order of all SeqCst operations, either the
//! server's thread counts itself asleep before the client looks at the count (then the
//! client rings), or the client has posted before the thread's last look (then the thread
//! finds the request). The same holds for a thread that watches: a client that counts on
//! it has posted before the thread stops watching and looks again, in [`Bell::sleep`] or
//! in [`Bell::share`].

use std::time::Duration;

use crate::end::End;
use crate::futex::{self, Wake};
use crate::sync::{AtomicU32, Ordering};

/// Three words of the header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bell<'m> {
    /// Futex of sleeping server threads; who wakes them adds one.
    pub(crate) bell: &'m AtomicU32,
    /// Server threads asleep on the bell, or about to be.
    pub(crate) sleepers: &'m AtomicU32,
    /// Server threads that watch the doorbells without sleeping.
    pub(crate) spinners: &'m AtomicU32,
}

/// Client's half.
impl Bell<'_> {
    /// Wakes a thread for a request just posted (SeqCst, [`mod@crate::doorbell`]), unless
    /// one watches or none sleeps. True when it woke one.
    pub(crate) fn ring(&self) -> bool {
        let asleep =
            self.spinners.load(Ordering::SeqCst) == 0 && self.sleepers.load(Ordering::SeqCst) != 0;
        if asleep {
            self.wake(Wake::One);
        }
        asleep
    }
}

/// Server's half.
impl Bell<'_> {
    /// Lets clients count on `watch`, which looks for requests.
    pub(crate) fn watch<T>(&self, watch: impl FnOnce() -> Option<T>) -> Option<T> {
        self.spinners.fetch_add(1, Ordering::SeqCst);
        let found = watch();
        self.spinners.fetch_sub(1, Ordering::SeqCst);
        found
    }

    /// Lets clients count on this thread, which will look for requests soon, until it says
    /// [`Bell::looks_no_more`].
    pub(crate) fn will_look(&self) {
        self.spinners.fetch_add(1, Ordering::SeqCst);
    }

    /// It looks now, as [`Bell::will_look`] said, at every doorbell.
    pub(crate) fn looks_now(&self) {
        self.spinners.fetch_sub(1, Ordering::SeqCst);
    }

    /// It does something else now: rings for a request that was posted meanwhile.
    pub(crate) fn looks_no_more(&self, is_any_posted: impl FnOnce() -> bool) {
        self.spinners.fetch_sub(1, Ordering::SeqCst);
        self.share(is_any_posted);
    }

    /// Whether a thread watches or will look soon: it takes what is posted, or wakes who sleeps. Whoever
    /// leaves requests to it counts itself asleep before it asks.
    pub(crate) fn is_watched(&self) -> bool {
        self.spinners.load(Ordering::SeqCst) != 0
    }

    /// Looks once more, then sleeps until a client rings or `end` comes, or for `limit`.
    pub(crate) fn sleep<T>(
        &self,
        end: &End,
        limit: Option<Duration>,
        look: impl FnOnce() -> Option<T>,
    ) -> Option<T> {
        // Read first: a ring after this makes the futex's comparison fail.
        let rung = self.bell.load(Ordering::SeqCst);
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        let found = look();
        if found.is_none() {
            end.sleep(|| futex::wait(self.bell, rung, limit));
        }
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
        found
    }

    /// After taking a request: clients that saw a watching thread did not ring, so the
    /// thread that leaves with one request rings for the next.
    pub(crate) fn share(&self, is_any_posted: impl FnOnce() -> bool) {
        if self.sleepers.load(Ordering::SeqCst) != 0 && is_any_posted() {
            self.wake(Wake::One);
        }
    }

    /// Wakes every sleeping thread.
    pub(crate) fn wake_all(&self) {
        self.wake(Wake::All);
    }

    fn wake(&self, whom: Wake) {
        self.bell.fetch_add(1, Ordering::SeqCst);
        futex::wake(self.bell, whom);
    }
}
