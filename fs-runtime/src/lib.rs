//! fuser's API with a second, kernel-bypassing door.
//!
//! A file system written for [`fuser`](https://docs.rs/fuser) 0.18 ports by one line of
//! its Cargo.toml:
//!
//! ```toml
//! [dependencies]
//! # before
//! fuser = "0.18"
//! # after
//! fuser = { package = "finesse-fuse", version = "0.1" }
//! ```
//!
//! Names, signatures and features (`experimental`, `serializable`, `libfuse`, `libfuse2`,
//! `libfuse3`) are fuser's. The mount works as before; programs started by `finesse-run`
//! reach the same `Filesystem` value over shared memory as well:
//!
//! ```text
//!  kernel ── /dev/fuse ── fuser ── kernel door ─┐ gate of the directory
//!                                               ├──────────────────────► Filesystem
//!  finesse-run ── shared memory ── bypass door ─┘ one change at a time
//! ```
//!
//! ```no_run
//! use std::ffi::OsStr;
//! use finesse_fuse as fuser; // a port renames the dependency instead
//! use fuser::{Config, Errno, Filesystem, INodeNo, ReplyEntry, Request};
//!
//! struct Empty;
//!
//! impl Filesystem for Empty {
//!     fn lookup(&self, _req: &Request, _parent: INodeNo, _name: &OsStr, reply: ReplyEntry) {
//!         reply.error(Errno::ENOENT);
//!     }
//! }
//!
//! fn main() -> std::io::Result<()> {
//!     fuser::mount(Empty, "/mnt/empty", &Config::default())
//! }
//! ```
//!
//! # What a file system may rely on
//! * Served by one thread (`n_threads`, fuser's default), it is called one request at a
//!   time, both doors together. Served by more, both doors call it at the same time, from
//!   as many threads as there are requests.
//! * In one directory, changes and listings never overlap. That is what the kernel does.
//! * Attributes and names are shown to either door's callers for as long as its time-outs
//!   say, and no longer than until the other door changes them.
//! * Every look-up is forgotten in time: the bypass door's own ones too.
//! * `init` comes before the first request and `destroy` after the last one, on both.
//!
//! # When there is only the kernel door
//! The bypass door stays closed for a session made by [`Session::from_fd`] (the mount's
//! options are not known), for a file system that asks for `FUSE_WRITEBACK_CACHE` or
//! `FUSE_DONT_MASK`, in a set-user-id process, and with `FINESSE_DOOR=off` in the
//! environment. While it is open, the name `.finesse-door` in the root is reserved.

mod backend;
mod coherence;
mod door;
#[cfg(feature = "experimental")]
pub mod experimental;
mod filesystem;
mod fuser_backend;
mod gate;
mod kernel_door;
mod kernel_view;
mod notifier;
mod reply;
mod request;
mod served;
mod session;
mod vfs;
mod waiting;

/// What the bypass door of a mount needs, for kernel doors other than fuser's. The crate
/// `finesse-serve` has one; this is no interface for file systems, and changes with it.
#[doc(hidden)]
pub mod doors {
    pub use crate::backend::{Attributes, Backend, CallId, Caller, Entry, SetAttr, Statfs, Xattr};
    pub use crate::coherence::{Coherence, Counts, Sink};
    pub use crate::door::{Attendant, DoorHandle, Errand, MountFacts, Negotiated, Promise, start};
    pub use crate::gate::{Gate, GateGuard, GatePair, LookGuard, Looking};
    pub use crate::kernel_door::{
        AttrNote, DoorLink, Doors, EntryNote, Held, ListingNote, NameCache, OpenNote, Settle,
    };
    pub use crate::kernel_view::{KernelView, Moment, NameKey};
    pub use crate::waiting::hear_of_waits;
    pub use fuser::SessionACL;
}

pub use fuser::{
    AccessFlags, BackingId, BsdFileFlags, Config, CopyFileRangeFlags, Errno, FileAttr, FileHandle,
    FileType, FopenFlags, Generation, INodeNo, InitFlags, IoctlFlags, KernelConfig, LockOwner,
    MountOption, OpenAccMode, OpenFlags, PollEvents, PollFlags, PollHandle, PollNotifier,
    RenameFlags, RequestId, SessionACL, SessionUnmounter, TimeOrNow, Version, WriteFlags, consts,
};

pub use crate::filesystem::Filesystem;
pub use crate::notifier::Notifier;
pub use crate::reply::{
    ReplyAttr, ReplyBmap, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty,
    ReplyEntry, ReplyIoctl, ReplyLock, ReplyLseek, ReplyOpen, ReplyPoll, ReplyStatfs, ReplyWrite,
    ReplyXattr,
};
pub use crate::request::Request;
pub use crate::session::{BackgroundSession, Session, mount, spawn_mount};
