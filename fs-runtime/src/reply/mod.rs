//! Replies: each is the kernel's, with what must be recorded before it is sent, or a
//! slot's, where the bypass door waits for the answer.
//!
//! Every reply may be sent later and from another thread; one that is dropped unsent
//! answers EIO. A gate that a kernel request holds is left after its reply was sent.

mod attr;
mod directory;
mod empty;
mod entry;
mod kernel_only;
mod open;
mod slot;
mod values;

pub use attr::ReplyAttr;
pub use directory::{ReplyDirectory, ReplyDirectoryPlus};
pub use empty::ReplyEmpty;
pub use entry::ReplyEntry;
pub use kernel_only::{ReplyBmap, ReplyIoctl, ReplyLock, ReplyLseek, ReplyPoll, ReplyWrite};
pub use open::{ReplyCreate, ReplyOpen};
pub use values::{ReplyData, ReplyStatfs, ReplyXattr};

pub(crate) use slot::{Answer, Slot};

#[cfg(test)]
mod tests;
