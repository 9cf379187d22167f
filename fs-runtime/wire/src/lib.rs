//! The vocabulary that a supervisor and a file system share: which operations there
//! are, and how a request and its reply look as bytes. No I/O, no `unsafe`.

mod operation;

pub use operation::{Operation, UnknownOperation};
