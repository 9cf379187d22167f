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
    /// Watches for a request for about as long as they have lately been apart, unless `stop`
    /// says that there is something else to do. The request is to be served at once.
    pub fn watch(&self, stop: impl FnMut() -> bool) -> Option<Errand> {
        let served = self.0.recent.lock().upgrade()?;
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
    /// Serves it, and answers.
    pub fn run(self) {
        let mut reply = Vec::new();
        answer(&self.served, &self.ticket, &self.request, &mut reply);
        self.served.reply(self.ticket, &reply);
    }
}
