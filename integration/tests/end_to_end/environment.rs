//! Numbers that the environment may set: longer forms of tests.

use std::env;

/// The variable's number, or `default` where it is not set.
pub(crate) fn number(name: &str, default: u64) -> u64 {
    let parsed = |text: String| {
        text.parse()
            .unwrap_or_else(|e| panic!("{name}={text}: {e}"))
    };
    env::var(name).map_or(default, parsed)
}
