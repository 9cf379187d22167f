//! What a suite has to be able to do.

use anyhow::Result;

use super::cases::Cases;
use super::side::Side;

/// A test suite of somebody else.
pub trait Suite {
    /// Its name and version.
    fn title(&self) -> String;

    /// Runs all cases, or the one named, on a side and says how each ended.
    ///
    /// # Errors
    /// It could not be run to its end; a failing case is no error.
    fn run(&self, side: &Side<'_>, only: Option<&str>) -> Result<Cases>;
}
