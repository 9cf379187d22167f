//! A file system, called as often at once as its author meant it to be.

use std::fmt;
use std::ops::Deref;

use parking_lot::{Mutex, MutexGuard};

/// The file system behind both doors.
///
/// A fuser session with one thread, the default, calls its file system one request at a
/// time, and many rely on that: they count their inode numbers in a file, say. So a file
/// system that is served by one thread is called by one thread at a time through both
/// doors together. What it leaves for later, by answering from another thread, runs beside
/// further calls, as with fuser.
///
/// Lock order: a call is made inside the directory's gate, and no notification is sent
/// during it but the file system's own.
pub(crate) struct Served<FS> {
    fs: FS,
    /// None: it is served by several threads.
    turn: Option<Mutex<()>>,
}

impl<FS> fmt::Debug for Served<FS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Served")
            .field("one_at_a_time", &self.turn.is_some())
            .finish_non_exhaustive()
    }
}

impl<FS> Served<FS> {
    /// `fs`, for a session that serves it by `threads` threads.
    pub(crate) fn new(fs: FS, threads: usize) -> Self {
        Served {
            fs,
            turn: (threads <= 1).then(Mutex::default),
        }
    }

    /// The file system, for one call: waits for the turn.
    #[inline]
    pub(crate) fn call(&self) -> Call<'_, FS> {
        Call {
            fs: &self.fs,
            _turn: self.turn.as_ref().map(Mutex::lock),
        }
    }

    /// The file system, while nobody can call it.
    pub(crate) fn get_mut(&mut self) -> &mut FS {
        &mut self.fs
    }
}

/// The turn to call the file system; it ends with the statement that makes the call.
pub(crate) struct Call<'a, FS> {
    fs: &'a FS,
    _turn: Option<MutexGuard<'a, ()>>,
}

impl<FS> Deref for Call<'_, FS> {
    type Target = FS;

    #[inline]
    fn deref(&self) -> &FS {
        self.fs
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// The most callers that were seen in the file system at once.
    fn most_at_once(threads: usize) -> usize {
        const CALLERS: usize = 4;
        let served = Served::new(AtomicUsize::new(0), threads);
        let (start, most) = (Barrier::new(CALLERS), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..CALLERS {
                scope.spawn(|| {
                    start.wait();
                    let inside = served.call();
                    most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    thread::sleep(Duration::from_millis(20));
                    inside.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        most.into_inner()
    }

    #[test]
    fn one_serving_thread_means_one_call_at_a_time() {
        assert_eq!(most_at_once(1), 1);
    }

    #[test]
    fn several_serving_threads_call_at_once() {
        assert!(most_at_once(2) > 1);
    }
}
