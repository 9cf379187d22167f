//! Which node an inode number means, where the two are not the same.

use std::sync::atomic::{AtomicBool, Ordering};

use fuser::INodeNo;
use parking_lot::Mutex;

use super::table;

/// Most directories that are recorded.
const CAP: usize = 1 << 20;

/// How a mount numbers its inodes. A descriptor or working directory is named by the
/// inode number that the kernel shows of it.
#[derive(Debug)]
pub(super) enum Numbers {
    /// By the node's id, until a reply shows otherwise (then the flag is set).
    Nodes(AtomicBool),
    /// By a number of its own.
    Own(Mutex<Table>),
}

/// The directories that the kernel holds. A number that two of them had at some time means
/// neither.
#[derive(Debug, Default)]
pub(super) struct Table {
    nodes: table::Table<Vec<u64>>,
    numbers: table::Table<Vec<u64>>,
    /// A directory found no place, so a number may mean one more.
    overflown: bool,
}

impl Numbers {
    pub(super) fn are_nodes() -> Self {
        Numbers::Nodes(AtomicBool::new(false))
    }

    /// The kernel shows the root as 1 until it is told otherwise.
    pub(super) fn own() -> Self {
        let mut table = Table::default();
        table.add(INodeNo::ROOT.0, INodeNo::ROOT.0);
        Numbers::Own(Mutex::new(table))
    }

    /// Whether inode numbers are something else than the nodes' ids.
    pub(super) fn are_own(&self) -> bool {
        matches!(self, Numbers::Own(_))
    }

    /// A reply showed `number` for `node`.
    pub(super) fn shown(&self, node: INodeNo, number: INodeNo) {
        if let Numbers::Nodes(differ) = self
            && node != number
        {
            differ.store(true, Ordering::Relaxed);
        }
    }

    /// The kernel is given the directory `node` with `number`.
    pub(super) fn directory(&self, node: INodeNo, number: INodeNo) {
        if let Numbers::Own(table) = self {
            table.lock().add(node.0, number.0);
        }
    }

    /// The kernel holds `node` no more.
    pub(super) fn gone(&self, node: INodeNo) {
        if let Numbers::Own(table) = self {
            table.lock().remove(node.0);
        }
    }

    /// The node that `number` means; `None` when that is not sure.
    pub(super) fn node(&self, number: u64, held: impl Fn(INodeNo) -> bool) -> Option<INodeNo> {
        match self {
            Numbers::Nodes(differ) => {
                let node = INodeNo(number);
                let same = || !differ.load(Ordering::Relaxed) && held(node);
                (node == INodeNo::ROOT || same()).then_some(node)
            }
            Numbers::Own(table) => {
                // `held` takes a lock that is held while `gone` is called.
                let found = table.lock().node(number);
                found.filter(|node| held(*node))
            }
        }
    }
}

impl Table {
    fn add(&mut self, node: u64, number: u64) {
        let known = self.numbers.get(&node);
        if known.is_some_and(|numbers| numbers.contains(&number)) {
            return;
        }
        if known.is_none() && self.numbers.len() >= CAP {
            self.overflown = true;
            return;
        }
        self.numbers.entry(node).or_default().push(number);
        self.nodes.entry(number).or_default().push(node);
    }

    fn remove(&mut self, node: u64) {
        for number in self.numbers.remove(&node).unwrap_or_default() {
            let left = self.nodes.get_mut(&number).is_some_and(|nodes| {
                nodes.retain(|other| *other != node);
                !nodes.is_empty()
            });
            if !left {
                self.nodes.remove(&number);
            }
        }
    }

    fn node(&self, number: u64) -> Option<INodeNo> {
        match self.nodes.get(&number)?.as_slice() {
            [node] if !self.overflown => Some(INodeNo(*node)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: INodeNo = INodeNo(10);
    const B: INodeNo = INodeNo(11);

    fn held(_: INodeNo) -> bool {
        true
    }

    #[test]
    fn a_number_means_the_only_directory_that_had_it() {
        let numbers = Numbers::own();
        assert_eq!(numbers.node(1, held), Some(INodeNo::ROOT));
        assert_eq!(numbers.node(5, held), None);
        numbers.directory(A, INodeNo(5));
        assert_eq!(numbers.node(5, held), Some(A));
        assert_eq!(numbers.node(5, |_| false), None, "not held");
        // The root's own number, beside 1.
        numbers.directory(INodeNo::ROOT, INodeNo(2));
        assert_eq!(numbers.node(2, held), Some(INodeNo::ROOT));
        assert_eq!(numbers.node(1, held), Some(INodeNo::ROOT));
    }

    #[test]
    fn a_number_of_two_directories_means_neither() {
        let numbers = Numbers::own();
        for node in [A, B] {
            numbers.directory(node, INodeNo(5));
        }
        assert_eq!(numbers.node(5, held), None);
        numbers.gone(A);
        assert_eq!(numbers.node(5, held), Some(B));
        numbers.directory(B, INodeNo(1));
        assert_eq!(numbers.node(1, held), None, "the root is not safe either");
    }

    #[test]
    fn numbers_that_are_nodes_are_so_until_one_differs() {
        let numbers = Numbers::are_nodes();
        numbers.shown(A, A);
        assert_eq!(numbers.node(10, held), Some(A));
        numbers.shown(A, B);
        assert_eq!(numbers.node(10, held), None);
        assert_eq!(numbers.node(1, held), Some(INodeNo::ROOT));
    }
}
