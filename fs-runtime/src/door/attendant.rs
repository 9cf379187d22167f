//! Serving requests in threads of somebody else.
//!
//! Where the file system answers in threads of its own only, handing each request over to
//! one of them and back costs more than all the rest. So such a thread may itself look for
//! requests while it has nothing else to do, and serve them.

use std::fmt;
use std::sync::{Arc, Weak};

use finesse_channel::Ticket;
use parking_lot::Mutex;

use super::servers::{Served, answer};

/// The sessions whose requests may be looked for.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    /// Where a request was served last.
    recent: Mutex<Weak<Served>>,
}

impl Sessions {
    pub(super) fn was_served(&self, served: &Arc<Served>) {
        let mut recent = self.recent.lock();
        if recent.as_ptr() != Arc::as_ptr(served) {
            *recent = Arc::downgrade(served);
        }
    }
}

/// What looks for requests.
#[derive(Clone, Debug)]
pub struct Attendant(pub(super) Arc<Sessions>);

impl Attendant {
    /// The calling thread will look for requests soon.
    pub fn promise(&self) -> Option<Promise> {
        let served = self.0.recent.lock().upgrade()?;
        Some(Promise::make(&served))
    }

    /// Watches for a request for about as long as they have lately been apart, unless `stop`
    /// says that there is something else to do. The request is to be served at once. Keeps `promise`,
    /// which ends with it.
    pub fn watch(&self, promise: Option<Promise>, stop: impl FnMut() -> bool) -> Option<Errand> {
        let served = self.0.recent.lock().upgrade()?;
        // One to another session's caller is not kept here.
        let _kept = promise.filter(|promise| Arc::ptr_eq(&promise.0, &served));
        let mut request = Vec::new();
        let ticket = served.channel.watch_for(&mut request, stop)?;
        Some(Errand {
            served,
            ticket,
            request,
        })
    }
}

/// A request that was taken and has to be served.
#[must_use = "an unanswered request keeps its caller waiting"]
pub struct Errand {
    served: Arc<Served>,
    ticket: Ticket,
    request: Vec<u8>,
}

impl fmt::Debug for Errand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Errand").finish_non_exhaustive()
    }
}

impl Errand {
    /// Serves it, and answers. `stays` says whether this thread will look for the next request, once it
    /// is known how to answer this one: it then promises to, before its caller can make another.
    pub fn run(self, stays: impl FnOnce() -> bool) -> Option<Promise> {
        let mut reply = Vec::new();
        answer(&self.served, &self.ticket, &self.request, &mut reply);
        let promise = stays().then(|| Promise::make(&self.served));
        self.served.reply(self.ticket, &reply);
        promise
    }
}

/// This thread will look for requests soon, so nobody has to be woken for the next one. To be dropped
/// when it has begun to look, or before it does something else that may take long.
#[derive(Debug)]
#[must_use = "it is broken at once"]
pub struct Promise(Arc<Served>);

impl Promise {
    fn make(served: &Arc<Served>) -> Promise {
        served.channel.will_look();
        Promise(Arc::clone(served))
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.0.channel.looks_no_more();
    }
}
