//! What is wrong with a policy, and where.

use thiserror::Error;

/// The first fault of a policy's text.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{line}:{column}: {found}; expected {expected}")]
pub struct PolicyError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The kind of fault.
    pub fault: Fault,
    /// What stands there, for a person to read.
    pub found: String,
    /// What would have been right, for a person to read.
    pub expected: String,
}

/// Kinds of fault that a policy may have.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Fault {
    /// The text is not TOML.
    Syntax,
    /// A key that no table of a policy has.
    UnknownKey,
    /// A rule without an action, or one with `fast` and without a program.
    MissingKey,
    /// A value of another type.
    WrongType,
    /// A version of the schema that this crate does not know.
    UnknownVersion,
    /// A name that is no operation's.
    UnknownOperation,
    /// A name that is no action's and no errno's.
    UnknownAction,
    /// A value of `fast` that is none.
    UnknownFast,
    /// A pattern that is not well formed.
    BadPattern,
    /// A rule that is well formed but can never apply.
    Impossible,
}
