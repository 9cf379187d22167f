//! The bypass door: supervisors connect to a socket and get shared memory, in which
//! requests are served by a small VFS ([`crate::vfs`]) above the file system.
//!
//! Threads: one accepts, one a session listens for its messages, and each session has
//! its server threads ([`servers`]). All of them end with the [`DoorHandle`].

mod attendant;
mod callers;
mod granted;
mod listener;
mod peer;
mod peer_groups;
mod servers;
mod session;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use finesse_wire::Door;

use crate::backend::Backend;
use crate::coherence::Coherence;
use crate::gate::Gate;
use crate::kernel_door::NameCache;
use crate::kernel_view::KernelView;
use crate::vfs::Vfs;

pub use crate::vfs::{MountFacts, Negotiated};
pub use attendant::{Attendant, Errand, Promise};
use listener::Listener;

/// A door that stands open until this is dropped.
#[derive(Debug)]
pub struct DoorHandle {
    vfs: Arc<Vfs>,
    listener: Listener,
}

/// Opens the door of a mount.
///
/// # Errors
/// When the socket or a thread cannot be made.
pub fn start(
    backend: Arc<dyn Backend>,
    gate: Arc<Gate>,
    view: Arc<KernelView>,
    coherence: Arc<Coherence>,
    mount: MountFacts,
) -> io::Result<DoorHandle> {
    let vfs = Arc::new(Vfs::new(backend, gate, view, coherence, mount.clone()));
    let listener = Listener::start(Arc::clone(&vfs), mount)?;
    Ok(DoorHandle { vfs, listener })
}

impl DoorHandle {
    /// Where supervisors find the door.
    pub fn door(&self) -> &Door {
        self.listener.door()
    }

    /// What looks for requests in threads of the file system.
    pub fn attendant(&self) -> Attendant {
        Attendant(self.listener.sessions())
    }

    /// The names that the door remembers, to be told of the kernel door's changes.
    pub fn name_cache(&self) -> Arc<dyn NameCache> {
        Arc::clone(self.vfs.names()) as Arc<dyn NameCache>
    }
}

impl Drop for DoorHandle {
    /// Ends every session, waits for what is being served, and forgets all nodes held.
    fn drop(&mut self) {
        self.listener.stop();
        self.vfs.names().clear();
    }
}
