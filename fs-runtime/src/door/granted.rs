//! The directories that a target holds, as its supervisor says.

use std::collections::HashSet;

use finesse_wire::NodeId;
use parking_lot::RwLock;

/// Most bases a session may have.
const MAX_BASES: usize = 4096;

/// Bases from which a target's own requests may start.
#[derive(Debug, Default)]
pub(super) struct Granted(RwLock<HashSet<u64>>);

impl Granted {
    /// False when there are too many.
    pub(super) fn add(&self, base: NodeId) -> bool {
        let mut bases = self.0.write();
        let has_room = bases.len() < MAX_BASES || bases.contains(&base.0);
        if has_room {
            bases.insert(base.0);
        }
        has_room
    }

    /// Whether a request may start there.
    pub(super) fn has(&self, base: NodeId) -> bool {
        self.0.read().contains(&base.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_granted_is_a_base() {
        let granted = Granted::default();
        assert!(!granted.has(NodeId::ROOT));
        assert!(granted.add(NodeId(7)) && granted.has(NodeId(7)));
        assert!(!granted.has(NodeId(8)));
    }

    #[test]
    fn there_is_a_limit() {
        let granted = Granted::default();
        let added = (0..u64::MAX).take_while(|base| granted.add(NodeId(*base)));
        assert_eq!(added.count(), MAX_BASES);
        assert!(granted.add(NodeId(0)), "again");
    }
}
