//! The threads that serve one session's requests.
//!
//! One waits for requests at first; another is started, up to [`MOST`], whenever a
//! request is taken and all the others are busy with one, so that a slow call holds up no
//! other. More would be woken in turn, each with cold caches.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use finesse_channel::{LABEL_BITS, Server, Ticket};
use finesse_wire::{NotMine, Reply, Request};
use parking_lot::Mutex;

use super::attendant::Sessions;
use super::callers::Callers;
use super::granted::Granted;
use crate::backend::CallId;
use crate::vfs::{Bases, Vfs};

/// Most threads a session has.
const MOST: usize = 16;

/// A buffer that grew beyond this many bytes is not kept.
const KEEP: usize = 16 * 1024;

/// What all threads of a session share.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) channel: Server,
    pub(super) vfs: Arc<Vfs>,
    pub(super) callers: Callers,
    pub(super) bases: Bases,
    /// Bases that a target may use which posts requests itself; none: a supervisor posts.
    pub(super) granted: Option<Granted>,
    /// Where to note that a request was served; none: no others serve this session.
    pub(super) sessions: Option<Arc<Sessions>>,
    /// Which session it is: less than [`NUMBERS`].
    pub(super) number: u64,
}

/// How many sessions have a number of their own, of those that are there together.
pub(super) const NUMBERS: u64 = 1 << (u64::BITS - LABEL_BITS - 1);

impl Served {
    /// The request of that label, among those of all sessions.
    fn call(&self, label: u64) -> CallId {
        CallId(self.number << LABEL_BITS | label)
    }

    /// A signal has come for the caller of a request, if that is in hand.
    pub(super) fn interrupt(&self, label: u64) {
        if !self.channel.has_in_hand(label) {
            return;
        }
        let (backend, call) = (self.vfs.backend(), self.call(label));
        backend.interrupt(call);
        // Answered meanwhile, maybe before the backend had heard of it.
        if !self.channel.has_in_hand(label) {
            backend.is_over(call);
        }
    }

    /// Answers a request in hand.
    pub(super) fn reply(&self, ticket: Ticket, reply: &[u8]) {
        let call = self.call(ticket.label());
        self.channel.reply(ticket, reply);
        self.vfs.backend().is_over(call);
    }
}

/// The running threads. Dropping this closes the channel and waits for them.
#[derive(Debug)]
pub(super) struct Servers(Arc<Crew>);

#[derive(Debug)]
struct Crew {
    served: Arc<Served>,
    /// Threads that run, or are about to. Only counts; relaxed.
    count: AtomicUsize,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Servers {
    /// Starts the first thread.
    pub(super) fn start(served: Arc<Served>) -> io::Result<Self> {
        let crew = Arc::new(Crew {
            served,
            count: AtomicUsize::new(0),
            threads: Mutex::default(),
        });
        hire(&crew)?;
        Ok(Servers(crew))
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let served = &self.0.served;
        served.channel.close();
        // Nobody waits for the answers.
        for label in served.channel.labels_in_hand() {
            served.interrupt(label);
        }
        loop {
            // Taken one by one: a thread may start another one while this one waits.
            let thread = self.0.threads.lock().pop();
            let Some(thread) = thread else { return };
            if thread.join().is_err() {
                log::error!("a server thread of the bypass door panicked");
            }
        }
    }
}

/// Starts a thread, unless there are enough.
fn hire(crew: &Arc<Crew>) -> io::Result<()> {
    if crew.count.fetch_add(1, Ordering::Relaxed) >= MOST {
        crew.count.fetch_sub(1, Ordering::Relaxed);
        return Ok(());
    }
    // Held while spawning, so that the new thread cannot be missed by Drop.
    let mut threads = crew.threads.lock();
    let own = Arc::clone(crew);
    let spawned = thread::Builder::new()
        .name("finesse-serve".into())
        .spawn(move || serve(&own));
    match spawned {
        Ok(thread) => {
            threads.push(thread);
            Ok(())
        }
        Err(error) => {
            crew.count.fetch_sub(1, Ordering::Relaxed);
            Err(error)
        }
    }
}

fn serve(crew: &Arc<Crew>) {
    finesse_channel::run_soon();
    let served = &crew.served;
    let (mut request, mut reply) = (Vec::new(), Vec::new());
    while let Some(ticket) = served.channel.next(&mut request) {
        // This one counts.
        if served.channel.in_hand() >= crew.count.load(Ordering::Relaxed)
            && let Err(error) = hire(crew)
        {
            log::warn!("the bypass door cannot start a thread: {error}");
        }
        answer(served, &ticket, &request, &mut reply);
        served.reply(ticket, &reply);
        if let Some(sessions) = &served.sessions {
            sessions.was_served(served);
            served.vfs.backend().answered();
        }
        request.shrink_to(KEEP);
        reply.shrink_to(KEEP);
    }
}

/// Puts the answer to a request's bytes into `reply`.
pub(super) fn answer(served: &Served, ticket: &Ticket, request: &[u8], reply: &mut Vec<u8>) {
    let Ok(request) = Request::decode(request) else {
        return Reply::NotMine(NotMine::Malformed).encode(reply);
    };
    if let Some(granted) = &served.granted
        && !request.call.bases().all(|base| granted.has(base))
    {
        return Reply::NotMine(NotMine::UnknownBase).encode(reply);
    }
    let Some(credentials) = served.callers.get(request.caller) else {
        return Reply::NotMine(NotMine::UnknownCaller).encode(reply);
    };
    let finished = catch_unwind(AssertUnwindSafe(|| {
        let call = served.call(ticket.label());
        served
            .vfs
            .serve(call, &request, &credentials, served.bases, reply);
    }));
    if finished.is_err() {
        log::error!("the file system panicked in {}", request.call.operation());
        Reply::Errno(libc::EIO).encode(reply);
    }
}
