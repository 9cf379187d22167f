//! Processes whose children may be others' children: landlock passes from parent to child and
//! shows nowhere, so who the parent was has to be certain.

use std::collections::HashSet;
use std::path::Path;

/// Processes noted before the dead ones among them are forgotten; when so many live, nobody
/// is certain any more.
const MOST: usize = 1024;

/// Ids of processes some of whose children they may not have made: who adopts orphans
/// (`PR_SET_CHILD_SUBREAPER`, or the first process of the pid namespace), and the parents of
/// processes that landlock restricts, which can make siblings of their own (`CLONE_PARENT`).
///
/// Ids that another process has by now err to the safe side.
#[derive(Debug)]
pub(super) struct Fosters {
    processes: HashSet<u32>,
    everybody: bool,
}

impl Fosters {
    pub(super) fn new() -> Self {
        Fosters {
            processes: HashSet::from([1]),
            everybody: false,
        }
    }

    /// Notes a process; `None` when it cannot be told which.
    pub(super) fn note(&mut self, process: Option<u32>) {
        let Some(process) = process else {
            self.everybody = true;
            return;
        };
        if self.processes.len() >= MOST {
            self.processes.retain(|process| is_there(*process));
            self.everybody |= self.processes.len() >= MOST;
        }
        self.processes.insert(process);
    }

    pub(super) fn contains(&self, process: u32) -> bool {
        self.everybody || self.processes.contains(&process)
    }
}

fn is_there(process: u32) -> bool {
    Path::new("/proc").join(process.to_string()).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dead_are_forgotten_and_too_many_are_everybody() {
        let mut fosters = Fosters::new();
        let (me, nobody) = (std::process::id(), u32::MAX);
        assert!(fosters.contains(1) && !fosters.contains(me));
        fosters.note(Some(me));
        for number in 0..3000 {
            fosters.note(Some(nobody - number));
        }
        assert!(fosters.contains(1) && fosters.contains(me));
        assert!(!fosters.contains(2) && !fosters.contains(nobody));
        fosters.note(None);
        assert!(fosters.contains(2));
    }
}
