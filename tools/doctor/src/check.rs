//! One line of the diagnosis.

use serde::{Deserialize, Serialize};

/// How it stands with what a check looked at.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// As Finesse wants it.
    Ok,
    /// Finesse works, with a drawback.
    Limited,
    /// Finesse does not work without it.
    Missing,
}

impl State {
    pub(crate) fn word(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Limited => "limited",
            State::Missing => "missing",
        }
    }
}

/// What was looked at, how it stands, what that means, and how to mend it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Check {
    pub(crate) name: String,
    pub(crate) state: State,
    pub(crate) meaning: String,
    /// None where nothing needs mending.
    pub(crate) remedy: Option<String>,
}

impl Check {
    pub(crate) fn ok(name: impl Into<String>, meaning: impl Into<String>) -> Check {
        Check {
            name: name.into(),
            state: State::Ok,
            meaning: meaning.into(),
            remedy: None,
        }
    }

    pub(crate) fn limited(
        name: impl Into<String>,
        meaning: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Check {
        Check {
            state: State::Limited,
            remedy: Some(remedy.into()),
            ..Check::ok(name, meaning)
        }
    }

    pub(crate) fn missing(
        name: impl Into<String>,
        meaning: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Check {
        Check {
            state: State::Missing,
            ..Check::limited(name, meaning, remedy)
        }
    }
}
