//! Children that the daemon forks.
//!
//! A child has the daemon's memory but none of its threads: locks may be held by nobody. And
//! it shares the daemon's descriptors, flags included. So in a child the library does nothing.
#![allow(unsafe_code)]

use std::sync::Once;

unsafe extern "C" {
    /// pthread_atfork(3).
    fn pthread_atfork(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
    ) -> std::ffi::c_int;
}

/// Has `child` called in every child that is forked from now on.
pub(crate) fn in_children(child: extern "C" fn()) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the function stays where it is, as this library is never unloaded: it was
        // there before the program began.
        let failed = unsafe { pthread_atfork(None, None, Some(child)) };
        if failed != 0 {
            log::warn!("children of the daemon cannot be told apart from it");
        }
    });
}
