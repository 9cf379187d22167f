//! Who else runs in a target's memory.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::targets::share_memory;

/// Links of the directory of a process's threads besides one for each of them
/// (`proc_task_getattr`, fs/proc/base.c).
const OWN_LINKS: u64 = 2;

/// How many threads a process has; none when it is gone.
fn threads(tid: u32) -> Option<u64> {
    // Its status says so too, but takes ten times as long.
    let links = fs::metadata(format!("/proc/{tid}/task")).ok()?.nlink();
    links.checked_sub(OWN_LINKS)
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

/// Whether there is a thread of that id.
pub(super) fn is_there(tid: u32) -> bool {
    fs::metadata(format!("/proc/{tid}")).is_ok()
}

/// The children of all threads of a process.
pub(super) fn children(tid: u32) -> BTreeSet<u32> {
    let tasks = fs::read_dir(format!("/proc/{tid}/task"));
    let paths = tasks.into_iter().flatten().flatten();
    let lists = paths.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let numbers = |list: String| {
        let numbers = list.split_ascii_whitespace().map(str::parse);
        numbers.filter_map(Result::ok).collect::<Vec<_>>()
    };
    lists.flat_map(numbers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::process::Command;
    use std::sync::mpsc::channel;

    #[test]
    fn threads_are_counted() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        assert_eq!(threads(child.id()), Some(1));
        assert!(is_alone(child.id()));
        assert!(children(std::process::id()).contains(&child.id()));
        assert!(children(child.id()).is_empty());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(threads(child.id()), None);
        let own = std::process::id();
        let (sender, receiver) = channel::<()>();
        let other = std::thread::spawn(move || receiver.recv());
        assert!(threads(own).unwrap() > 1 && !is_alone(own));
        drop(sender);
        other.join().unwrap().unwrap_err();
    }
}
