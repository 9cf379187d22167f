//! The errno table, order included, on a file system that checks nothing itself.

mod attributes;
mod cache;
mod create;
mod look;
pub(crate) mod mock;
mod remove;
mod rename;
mod walk;
mod xattr;

use std::ffi::OsStr;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use finesse_wire::{
    Call, CallerId, Credentials, NodeId, NotMine, Place, Reply, Request, Stat, Statfs,
};
use fuser::{INodeNo, SessionACL};
use parking_lot::Mutex;

use super::{Bases, MountFacts, Negotiated, Vfs};
use crate::backend::CallId;
use crate::coherence::{Coherence, Sink};
use crate::gate::Gate;
use crate::kernel_view::{KernelView, Limits};
use mock::Mock;

/// An owned reply.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Got {
    Done,
    Errno(i32),
    NotMine(NotMine),
    Stat(Stat),
    Statfs(Statfs),
    Bytes(Vec<u8>),
    Size(u32),
}

/// Notifications sent to the kernel.
#[derive(Clone, Default)]
pub(crate) struct Sent(pub(crate) Arc<Mutex<Vec<String>>>);

impl Sink for Sent {
    fn inval_entry(&self, parent: INodeNo, name: &OsStr) -> io::Result<()> {
        self.0
            .lock()
            .push(format!("entry {} {}", parent.0, name.display()));
        Ok(())
    }

    fn delete(&self, parent: INodeNo, child: INodeNo, name: &OsStr) -> io::Result<()> {
        let (parent, child) = (parent.0, child.0);
        self.0
            .lock()
            .push(format!("delete {parent} {child} {}", name.display()));
        Ok(())
    }

    fn inval_inode(&self, node: INodeNo, offset: i64, _: i64) -> io::Result<()> {
        self.0.lock().push(format!("inode {} {offset}", node.0));
        Ok(())
    }
}

/// A mount with its door's VFS. Dropping it checks that every look-up was forgotten.
pub(crate) struct World {
    pub(crate) fs: Arc<Mock>,
    pub(crate) view: Arc<KernelView>,
    sent: Sent,
    pub(crate) vfs: Vfs,
}

impl World {
    pub(crate) fn with(adapt: impl FnOnce(&mut MountFacts)) -> Self {
        let mut mount = MountFacts {
            owner_uid: 1000,
            owner_gid: 1000,
            allow: SessionACL::All,
            default_permissions: false,
            read_only: false,
            device: (0, 42),
            negotiated: Arc::new(Negotiated::default()),
        };
        adapt(&mut mount);
        let fs = Arc::new(Mock::new());
        let view = Arc::new(KernelView::new(Limits::DEFAULT));
        let sent = Sent::default();
        let coherence = Arc::new(Coherence::new(Arc::clone(&view), Box::new(sent.clone())));
        let vfs = Vfs::new(
            Arc::clone(&fs) as _,
            Gate::new(),
            Arc::clone(&view),
            coherence,
            mount,
        );
        World {
            fs,
            view,
            sent,
            vfs,
        }
    }

    pub(crate) fn new() -> Self {
        World::with(|_| {})
    }

    /// With `default_permissions`.
    pub(crate) fn checked() -> Self {
        World::with(|mount| mount.default_permissions = true)
    }

    pub(crate) fn read_only() -> Self {
        World::with(|mount| mount.read_only = true)
    }

    /// A call by the owner of everything.
    pub(crate) fn run(&self, call: Call<'_>) -> Got {
        self.run_as(&user(1000), call)
    }

    pub(crate) fn run_as(&self, who: &Credentials, call: Call<'_>) -> Got {
        self.serve(who, Bases::Any, 0o022, call)
    }

    pub(crate) fn serve(&self, who: &Credentials, bases: Bases, umask: u16, call: Call<'_>) -> Got {
        let request = Request {
            caller: CallerId(1),
            pid: 1,
            umask,
            call,
        };
        let mut out = Vec::new();
        self.vfs.serve(CallId::NONE, &request, who, bases, &mut out);
        match Reply::decode(&out).unwrap() {
            Reply::Done => Got::Done,
            Reply::Errno(errno) => Got::Errno(errno),
            Reply::NotMine(reason) => Got::NotMine(reason),
            Reply::Stat(stat) => Got::Stat(stat),
            Reply::Statfs(statfs) => Got::Statfs(statfs),
            Reply::Bytes(bytes) => Got::Bytes(bytes.to_vec()),
            Reply::Size(size) => Got::Size(size),
        }
    }

    /// The kernel looks a name up.
    pub(crate) fn kernel_knows(&self, parent: u64, name: &str, node: u64) {
        let ttl = Duration::from_secs(60);
        let (view, parent) = (&self.view, INodeNo(parent));
        let name = view.key(parent, OsStr::new(name));
        view.gave_entry(parent, name, INodeNo(node), (ttl, ttl), view.moment());
    }

    pub(crate) fn sent(&self) -> Vec<String> {
        std::mem::take(&mut self.sent.0.lock())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.vfs.names().clear();
        if !std::thread::panicking() {
            assert!(
                self.fs.outstanding().is_empty(),
                "{:?}",
                self.fs.outstanding()
            );
        }
    }
}

/// A user with the group of the same number.
pub(crate) fn user(id: u32) -> Credentials {
    Credentials {
        uids: [id; 4],
        gids: [id; 4],
        ..Credentials::default()
    }
}

/// Root with all capabilities.
fn root() -> Credentials {
    Credentials {
        capabilities: u64::MAX >> 23,
        ..user(0)
    }
}

/// A path from the root.
pub(crate) fn at(path: &str) -> Place<'_> {
    Place {
        base: NodeId::ROOT,
        path: path.as_bytes(),
    }
}

fn errno(errno: i32) -> Got {
    Got::Errno(errno)
}

fn not_mine(reason: NotMine) -> Got {
    Got::NotMine(reason)
}
