//! Who else runs in a target's memory.

use std::fs;

use crate::targets::{share_memory, status};

/// How many threads a process has; none when it is gone.
pub(super) fn threads(tid: u32) -> Option<u64> {
    Some(status(tid)?.threads)
}

/// Whether the thread, which waits, is the only one that runs in its memory: it has neither
/// others beside it nor children by `CLONE_VM`, vfork(2) included. Its parent is not looked at.
pub(super) fn is_alone(tid: u32) -> bool {
    let children = fs::read_to_string(format!("/proc/{tid}/task/{tid}/children"));
    let Ok(children) = children else { return false };
    threads(tid) == Some(1)
        && children
            .split_ascii_whitespace()
            .filter_map(|child| child.parse().ok())
            .all(|child| share_memory(tid, child) == Some(false))
}
