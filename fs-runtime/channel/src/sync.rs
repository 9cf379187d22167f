//! The atomics of the hand-shake: the real ones, or loom's under the model checker.

#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU32, Ordering};

#[cfg(loom)]
pub(crate) use model::{AtomicU32, Ordering};

/// Lets others run, in a loop that waits for them.
pub(crate) fn pause() {
    #[cfg(loom)]
    loom::thread::yield_now();
    #[cfg(not(loom))]
    std::thread::sleep(std::time::Duration::from_micros(50));
}

/// loom takes SeqCst on an access for AcqRel and would report wake-ups as lost that are
/// not. It does know SeqCst fences; so here a SeqCst access is a fence and an AcqRel
/// access after it, which is how machines without such accesses build them.
#[cfg(loom)]
mod model {
    pub(crate) use loom::sync::atomic::Ordering;
    use loom::sync::atomic::{self, fence};

    #[derive(Debug)]
    pub(crate) struct AtomicU32(atomic::AtomicU32);

    impl AtomicU32 {
        pub(crate) fn new(value: u32) -> Self {
            AtomicU32(atomic::AtomicU32::new(value))
        }

        pub(crate) fn load(&self, order: Ordering) -> u32 {
            self.0.load(split(order, Ordering::Acquire))
        }

        pub(crate) fn store(&self, value: u32, order: Ordering) {
            self.0.store(value, split(order, Ordering::Release));
        }

        pub(crate) fn fetch_add(&self, value: u32, order: Ordering) -> u32 {
            self.0.fetch_add(value, split(order, Ordering::AcqRel))
        }

        pub(crate) fn fetch_sub(&self, value: u32, order: Ordering) -> u32 {
            self.0.fetch_sub(value, split(order, Ordering::AcqRel))
        }

        pub(crate) fn fetch_or(&self, value: u32, order: Ordering) -> u32 {
            self.0.fetch_or(value, split(order, Ordering::AcqRel))
        }

        pub(crate) fn compare_exchange(
            &self,
            current: u32,
            new: u32,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u32, u32> {
            let success = split(success, Ordering::AcqRel);
            let failure = split(failure, Ordering::Acquire);
            self.0.compare_exchange(current, new, success, failure)
        }
    }

    fn split(order: Ordering, rest: Ordering) -> Ordering {
        if order != Ordering::SeqCst {
            return order;
        }
        fence(Ordering::SeqCst);
        rest
    }
}
