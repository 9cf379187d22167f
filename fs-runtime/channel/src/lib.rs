//! Moves requests and replies, as bytes, between two processes that do not trust each
//! other: a supervisor's [`Client`] and a file system's [`Server`], over one size-sealed
//! memfd. It knows no messages and it is the only code that touches shared memory.
//!
//! ```text
//! page 0      header: geometry, then the words that server threads sleep on
//! page 1      doorbells, dense: one {state, waiter} pair of 32-bit words a slot
//! page 2 …    slots: request length and bytes, reply length and bytes
//! ```
//!
//! A slot goes round once a call; only the states that the two arrows name change hands:
//!
//! ```text
//!          client              server               server              client
//!  FREE ───post───► POSTED ───claim───► SERVING ───reply───► REPLIED ───take───► FREE
//!                     │ abandon            │ abandon
//!                     ▼                    ▼            server retires it
//!                   FREE                ABANDONED ─────────────────────► FREE
//! ```
//!
//! `claim` is one compare-and-swap, so a request is executed at most once, whatever the
//! client does meanwhile. A client in another process that has the memory can tell what became
//! of a request when the one that posted it has died ([`Client::fate`]). Both sides treat the memory as hostile: lengths are read once
//! and bounded, bytes are copied before use, an unexpected state is the peer's fault and
//! ends the slot. There are no references into payload memory.
//!
//! The hand-shake (`doorbell`, `bell`, `completions`, `end`) is
//! model-checked: `RUSTFLAGS='--cfg loom' cargo test -p finesse-channel --release loom`
//! builds only these modules, over loom's atomics, and runs their `loom_` tests.

// Only the client and the server, which the model leaves out, use all of it.
#![cfg_attr(loom, allow(dead_code))]

mod bell;
#[cfg(not(loom))]
mod client;
mod completions;
mod doorbell;
mod end;
mod futex;
#[cfg(not(loom))]
mod geometry;
#[cfg(not(loom))]
#[allow(unsafe_code)]
mod mapping;
#[cfg(all(test, loom))]
mod model;
#[cfg(not(loom))]
mod placement;
#[cfg(not(loom))]
mod server;
#[cfg(not(loom))]
mod slice;
#[cfg(not(loom))]
mod spin;
mod sync;

#[cfg(not(loom))]
pub use client::{Abandoned, Client, LABEL_BITS, PeerFault, Pending, PostError, Slot};
#[cfg(not(loom))]
pub use doorbell::Fate;
#[cfg(not(loom))]
pub use geometry::{Geometry, GeometryError};
#[cfg(not(loom))]
pub use mapping::OpenError;
#[cfg(not(loom))]
pub use placement::leave_to_the_watcher;
#[cfg(not(loom))]
pub use server::{Server, Ticket};
#[cfg(not(loom))]
pub use slice::run_soon;
