//! Threads that wait at a gate for a request of the kernel.
//!
//! A thread of the daemon must not: whoever holds the gate may need this very thread. So
//! the request is set aside, and handed to the daemon as a message once it may enter.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::session::Session;

/// Most threads. More requests than that wait for one another.
const MOST: usize = 64;

/// Something to do that may wait.
pub(crate) type Errand = Box<dyn FnOnce(&Arc<Session>) + Send>;

/// See the module.
#[derive(Debug)]
pub(crate) struct Ushers {
    errands: flume::Sender<Errand>,
    queue: flume::Receiver<Errand>,
    /// How many there are, and how many errands are not done. Only counts; relaxed.
    threads: AtomicUsize,
    undone: Arc<AtomicUsize>,
}

impl Ushers {
    pub(crate) fn new() -> Self {
        let (errands, queue) = flume::unbounded();
        Ushers {
            errands,
            queue,
            threads: AtomicUsize::new(0),
            undone: Arc::default(),
        }
    }

    /// Has `errand` done by a thread of its own for as long as it takes.
    pub(crate) fn send(&self, session: &Arc<Session>, errand: Errand) {
        let undone = self.undone.fetch_add(1, Ordering::Relaxed) + 1;
        if undone > self.threads.load(Ordering::Relaxed) {
            self.hire(session);
        }
        // The receiver lives as long as this does.
        let _ = self.errands.send(errand);
    }

    fn hire(&self, session: &Arc<Session>) {
        if self.threads.fetch_add(1, Ordering::Relaxed) >= MOST {
            self.threads.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let (queue, undone) = (self.queue.clone(), Arc::clone(&self.undone));
        let session = Arc::downgrade(session);
        let spawned = crate::threads::spawn("finesse-usher", move || {
            while let Ok(errand) = queue.recv() {
                let Some(session) = session.upgrade() else {
                    return;
                };
                errand(&session);
                undone.fetch_sub(1, Ordering::Relaxed);
            }
        });
        if let Err(error) = spawned {
            self.threads.fetch_sub(1, Ordering::Relaxed);
            log::warn!("cannot start a thread: {error}");
        }
    }
}
