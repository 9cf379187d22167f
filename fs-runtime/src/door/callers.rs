//! The callers that a session has registered.

use std::collections::HashMap;
use std::sync::Arc;

use finesse_wire::{CallerId, Credentials};
use parking_lot::RwLock;

/// Most callers a session may have.
const MAX_CALLERS: usize = 4096;

/// Registered callers of one session.
#[derive(Debug, Default)]
pub(super) struct Callers(RwLock<HashMap<u32, Arc<Credentials>>>);

impl Callers {
    /// Registers a caller, or registers it anew. False when there are too many.
    pub(super) fn register(&self, caller: CallerId, credentials: Credentials) -> bool {
        let mut callers = self.0.write();
        if callers.len() >= MAX_CALLERS && !callers.contains_key(&caller.0) {
            return false;
        }
        callers.insert(caller.0, Arc::new(credentials));
        true
    }

    /// Removes a caller.
    pub(super) fn forget(&self, caller: CallerId) {
        self.0.write().remove(&caller.0);
    }

    /// Who a caller is.
    pub(super) fn get(&self, caller: CallerId) -> Option<Arc<Credentials>> {
        self.0.read().get(&caller.0).map(Arc::clone)
    }
}
