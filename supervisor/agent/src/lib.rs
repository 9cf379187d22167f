//! The code that runs inside of a target: it posts requests to a file system's channel
//! without a trap. This crate only holds its bytes and says where things lie; the
//! supervisor puts them into a target.
//!
//! ```text
//!  base + 0x00000   calls from here always notify the supervisor: start, take-overs
//!         0x01000   the agent; the filter lets calls from here pass
//!         0x08000   the calls that it knows
//!         0x10000   stubs, one a rewritten site; likewise
//!         0x20000   state: what the supervisor says (wiped by fork), a block a slot, counters
//!         0x24000   a path a slot
//!        0x200000   the channel's memory, shared with the file system's process (not by a child)
//!        0x600000   grows down into a child's hole there
//!  0x050F0000       where rewritten sites jump through
//! ```

mod calls;
#[allow(unsafe_code)]
mod image;
pub mod layout;

pub use calls::{knows, low_bytes, numbers, operations, table};
pub use image::{bootstrap, entry, image, takeovers};
