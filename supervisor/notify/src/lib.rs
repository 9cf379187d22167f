//! Safe seccomp user notification (seccomp_unotify(2)): the filter that traps calls, the
//! listener that receives them, the notification that must be answered once, and the
//! memory of the thread that waits for the answer.
//!
//! A notification is linear: answering consumes it, dropping it continues the call in the
//! kernel, unless it was marked as forwarded. The kernel writes what it delivers straight
//! into a [`Ledger`] that outlives the receiving process, so that no call is lost when
//! that process is killed.

mod filter;
#[allow(unsafe_code)]
mod install;
#[allow(unsafe_code)]
mod ledger;
#[allow(unsafe_code)]
mod listener;
mod memory;
mod probe;

pub use filter::{Filter, FilterError, ForeignTrap, Resident, Trap, When};
pub use install::InstallError;
pub use ledger::Ledger;
pub use listener::{Abi, Listener, Notification, Orphan};
pub use memory::{MAX_STRING, MemoryError, read_bytes, read_string, write_bytes};
pub use probe::Support;
