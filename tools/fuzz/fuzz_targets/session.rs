//! The packets of a session, both ways, and the text of a door.
#![no_main]

use finesse_wire::{Door, FromRuntime, FromSupervisor};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = FromSupervisor::decode(bytes) {
        assert_eq!(message.encode(), bytes);
    }
    if let Ok(message) = FromRuntime::decode(bytes) {
        assert_eq!(message.encode(), bytes);
    }
    if let Some(door) = std::str::from_utf8(bytes)
        .ok()
        .and_then(|t| t.parse::<Door>().ok())
    {
        assert_eq!(door.to_string().parse(), Ok(door));
    }
});
