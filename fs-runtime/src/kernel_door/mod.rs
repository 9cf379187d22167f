//! The kernel door: requests that fuser reads from /dev/fuse.
//!
//! Each passes the gate of its directory, reaches the file system with a reply that
//! records what the kernel is given ([`notes`]), and never waits for the bypass door
//! otherwise. The reserved name ([`link`]) is answered here.

mod adapter;
mod bypass;
mod doors;
mod link;
mod name_cache;
mod notes;

pub(crate) use adapter::KernelDoor;
pub(crate) use bypass::Bypass;
pub use doors::Doors;
pub use link::DoorLink;
pub use name_cache::NameCache;
pub use notes::{AttrNote, EntryNote, Held, ListingNote, OpenNote, Settle};
