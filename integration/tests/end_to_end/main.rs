//! Whole programs on whole mounts: what `finesse-run` does is what a plain run on a plain FUSE mount does.
//!
//! Each test mounts below a temporary directory of its own and takes everything down when it ends. The
//! programs come from the same target directory; `cargo build --workspace` makes them.

mod concurrency;
mod confinement;
mod differential;
mod doors;
mod environment;
mod fast;
mod foreign;
mod guest;
mod guests;
mod hostile;
mod interrupts;
mod last_words;
mod lines;
mod peer;
mod ports;
mod processes;
mod real_programs;
mod report;
mod run;
mod run_failures;
mod serve;
mod stale_caches;
mod survival;
mod timed;
mod tree;
mod twins;
mod two_doors;
