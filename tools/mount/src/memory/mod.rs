//! A file system held in memory.

use std::time::Duration;

pub(crate) struct Memory;

impl Memory {
    pub(crate) fn new(_size: Option<u64>, _entry_ttl: Duration, _attr_ttl: Duration) -> Self {
        Self
    }
}

impl fuser::Filesystem for Memory {}
