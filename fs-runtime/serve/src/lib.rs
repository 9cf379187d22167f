//! `libfinesse_serve.so`: the bypass door for FUSE daemons that were not written for it.
//!
//! Preloaded into a daemon, or linked by it, the library stands between the daemon and
//! /dev/fuse. It hands the bypass door's requests to the daemon's own threads, in the
//! kernel's words, when they read from /dev/fuse, and takes the replies out of what they
//! write there. Neither libfuse's functions nor its structures are touched.
//!
//! ```text
//!  kernel ────── /dev/fuse ──┐ gate, notes          ┌─ read(2), splice(2)   ─┐
//!                            ├──────────────────────┤                        ├─ the daemon
//!  finesse-run ── bypass ────┘ messages, answers    └─ write(2), writev(2)  ─┘
//!                 door
//! ```
//!
//! * `interpose`: the functions that stand in for libc's. All that is unsafe is there and in
//!   other small leaves.
//! * `turn`: what a thread of the daemon does in its read.
//! * `session`: one mount: requests and replies as they pass.
//! * `purpose`: what a request of the kernel is for; `note`, `gates`, `link`, `notify`, `doubt`:
//!   what is done about it, and `unwatched` while nobody comes through the door.
//! * `pipes`: requests that the daemon wants spliced.
//! * `backend`: the daemon as the bypass door sees it, above `post` (its `mailbox` and
//!   the `calls` under way).
//! * `fiber`: how a thread of the daemon itself serves the bypass door.
//! * `mode`, `waiter`: how the daemon's threads sleep when nobody comes through the door,
//!   and when somebody does.

mod abi;
mod backend;
mod calls;
mod companion;
mod device;
mod doubt;
mod fiber;
mod fork;
mod gates;
mod interpose;
mod kick;
mod link;
mod mailbox;
mod mode;
mod mount;
mod note;
mod notify;
mod pipes;
mod post;
mod purpose;
mod session;
mod settings;
mod threads;
mod turn;
mod unwatched;
mod ushers;
mod waiter;
