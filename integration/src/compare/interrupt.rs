//! Ctrl-C, SIGTERM and SIGHUP: stop between two steps, so that every guard cleans up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use thiserror::Error;

/// The user asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("interrupted")]
pub struct Interrupted;

/// Whether the user asked to stop.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    asked: Arc<AtomicBool>,
}

impl Interrupt {
    /// Catches the signals of this process from now on.
    ///
    /// # Errors
    /// They are caught already.
    pub fn install() -> Result<Self> {
        let interrupt = Self::default();
        let asked = Arc::clone(&interrupt.asked);
        // A flag and nothing else: Relaxed suffices.
        ctrlc::set_handler(move || asked.store(true, Ordering::Relaxed))
            .context("cannot catch signals")?;
        Ok(interrupt)
    }

    /// Whether the user asked to stop.
    #[must_use]
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// An error once the user has asked to stop.
    ///
    /// # Errors
    /// [`Interrupted`].
    pub fn check(&self) -> Result<()> {
        if self.asked() {
            Err(Interrupted.into())
        } else {
            Ok(())
        }
    }
}
