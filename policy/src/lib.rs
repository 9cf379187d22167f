//! What to do with a trapped call: serve it through the bypass, leave it to the
//! kernel, or refuse it with an errno.
//!
//! A policy is a TOML text (`docs/POLICY.md` describes it). [`Policy::parse`] checks and
//! compiles it, [`Policy::for_program`] narrows it once per execve(2), and
//! [`ProgramPolicy::decide`] answers each call. It also says which programs post their
//! calls themselves ([`Fast`]). No I/O, no `unsafe`.
//!
//! A refusal is a convenience and not a security boundary: the kernel is the one that
//! protects files, and a path is judged by its text alone.

mod components;
mod decision;
mod error;
mod explain;
mod fast;
mod names;
mod operations;
mod parse;
mod pattern;
mod policy;
mod program;
mod program_pattern;
mod rule;
mod shadow;
mod source;

#[cfg(test)]
mod properties;

pub use decision::Decision;
pub use error::{Fault, PolicyError};
pub use fast::{Fast, UnknownFast};
pub use operations::OperationSet;
pub use policy::Policy;
pub use program::{Call, ProgramPolicy};
