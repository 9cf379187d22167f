//! The vocabulary that a supervisor and a file system share: which operations there
//! are, and how a request, its reply and the messages of a session look as bytes.
//! No I/O, no `unsafe`.
//!
//! All integers are little-endian. Decoders treat their input as hostile: they read
//! each byte once, bound every length, and refuse what they do not understand.
//! `docs/PROTOCOL.md` has the tables.

mod bytes;
mod credentials;
mod door;
mod operation;
mod reply;
mod request;
mod session;

pub use bytes::DecodeError;
pub use credentials::{Credentials, MAX_GROUPS};
pub use door::{DOOR_NAME, Door, DoorError, TOKEN_LEN, Token};
pub use operation::{Operation, UnknownOperation};
pub use reply::{MAX_ERRNO, NotMine, Reply, Stat, Statfs, Timestamp};
pub use request::{Call, CallerId, MAX_PATH, MAX_XATTR_VALUE, NodeId, Place, Request, SetTime};
pub use session::{FEATURE_DIRECT, FEATURE_INTERRUPT, FromRuntime, FromSupervisor, Refusal};

/// Version of everything in this crate and of the shared memory's layout. Peers with
/// another one do not talk to each other; the calls go to the kernel.
pub const PROTOCOL_VERSION: u32 = 1;

/// Most bytes an encoded [`Request`] has: two paths, an attribute name and value, and
/// fixed fields.
pub const MAX_REQUEST: usize = 2 * MAX_PATH + 256 + MAX_XATTR_VALUE + 128;

/// Most bytes an encoded [`Reply`] has: a list or value of 64 KiB and fixed fields.
pub const MAX_REPLY: usize = MAX_XATTR_VALUE + 64;
