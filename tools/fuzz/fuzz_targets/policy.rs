//! The text of a policy: read or refused, never a panic.
#![no_main]

use finesse_policy::Policy;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = Policy::parse(text) {
        assert!(!error.to_string().is_empty());
    }
});
