//! The functions that stand in for libc's.
//!
//! Each looks whether its descriptor is /dev/fuse, which costs one load from a table, and
//! calls libc's own function if not. For /dev/fuse the decisions are made by
//! [`crate::turn`], in safe code; here are the steps that read, write and sleep.
//!
//! # Cancellation
//! libfuse ends its threads by pthread_cancel(3) in the middle of a read, which unwinds
//! the stack from the system call upwards. So every function that is on the stack then is
//! `C-unwind` or Rust's own, holds nothing that has to be dropped (a *plain old frame*),
//! and our own work is done with cancellation disabled ([`quiet::quietly`]).

mod closing;
mod quiet;
mod reading;
mod real;
mod start;
mod writing;
