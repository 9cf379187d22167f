//! What happens when the library is loaded.
#![allow(unsafe_code)]

use super::quiet::quietly;
use crate::settings;

/// Runs before main. It is no more than a look at the environment and one descriptor.
#[cfg_attr(test, allow(dead_code))]
extern "C" fn start() {
    let _ = quietly(settings::prepare);
}

// SAFETY: the dynamic linker calls each function in this section once, with three
// arguments that this one does not look at.
#[cfg(not(test))]
#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;
