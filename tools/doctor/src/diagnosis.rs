//! All checks together, and how they are shown.

use std::path::PathBuf;

use serde::Serialize;

use crate::check::{Check, State};
use crate::{checks, table};

/// What the doctor has to say.
#[derive(Debug, Serialize)]
pub(crate) struct Diagnosis {
    ok: bool,
    checks: Vec<Check>,
    paths: Vec<Check>,
}

impl Diagnosis {
    /// Examines the kernel, the user and the mounts of `paths`.
    pub(crate) fn make(paths: &[PathBuf]) -> Diagnosis {
        let looked = paths.iter().map(|path| checks::mount::look(path));
        Diagnosis::of(checks::system(), looked.collect())
    }

    fn of(checks: Vec<Check>, paths: Vec<Check>) -> Diagnosis {
        let mut all = checks.iter().chain(&paths);
        Diagnosis {
            ok: all.all(|check| check.state != State::Missing),
            checks,
            paths,
        }
    }

    /// Whether nothing is missing.
    pub(crate) fn ok(&self) -> bool {
        self.ok
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_else(|error| error.to_string())
    }

    pub(crate) fn to_text(&self) -> String {
        table::of(self.checks.iter().chain(&self.paths))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_a_failure() {
        let limited = Check::limited("a", "b", "c");
        let missing = Check::missing("a", "b", "c");
        assert!(Diagnosis::of(vec![limited.clone()], vec![]).ok());
        assert!(!Diagnosis::of(vec![limited], vec![missing.clone()]).ok());
        assert!(!Diagnosis::of(vec![missing], vec![]).ok());
    }

    #[test]
    fn json_has_the_documented_shape() {
        let json = Diagnosis::of(vec![Check::limited("n", "m", "r")], vec![]).to_json();
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        let check =
            serde_json::json!({"name": "n", "state": "limited", "meaning": "m", "remedy": "r"});
        assert_eq!(
            value,
            serde_json::json!({"ok": true, "checks": [check], "paths": []})
        );
    }
}
