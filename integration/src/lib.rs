//! Harness, oracle tests and the native / FUSE / bypass comparison.
//!
//! [`programs`] finds the built programs, [`mount`] starts a file system and takes it down again,
//! [`placement`] pins threads to CPUs; integration tests use the same. [`compare`] is the comparison,
//! [`suites`] runs the test suites of others on both, [`ports`] the file systems of others.

pub mod compare;
pub mod mount;
pub mod placement;
pub mod ports;
pub mod programs;
pub mod ssh;
pub mod suites;
