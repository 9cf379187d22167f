//! Workloads made of raw system calls, timed from inside the program that makes them.
//!
//! The binary is meant to be linked statically: nothing that works by preloading a library reaches it.
//! Preparation and measurement are separate runs, so that what prepares can work on the backing
//! directory while what is timed works on a mount.

pub mod exec;
pub mod place;
pub mod sys;
pub mod timing;
pub mod workloads;
