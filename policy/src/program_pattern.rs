//! Patterns of programs.

use std::path::Path;

use crate::components::Malformed;
use crate::pattern::Pattern;

/// A pattern of programs: of the file name if it has no slash, else of the whole path.
#[derive(Clone, Debug)]
pub(crate) struct ProgramPattern {
    pattern: Pattern,
    whole: bool,
}

impl ProgramPattern {
    pub(crate) fn new(text: &str) -> Result<ProgramPattern, Malformed> {
        let whole = text.contains('/');
        let pattern = if whole && !text.starts_with('/') {
            return Err(Malformed::new(
                "a relative path",
                "a file name such as `rm`, or an absolute path",
            ));
        } else if whole {
            Pattern::absolute(text)?
        } else {
            Pattern::name(text)?
        };
        Ok(ProgramPattern { pattern, whole })
    }

    pub(crate) fn text(&self) -> &str {
        self.pattern.text()
    }

    pub(crate) fn matches(&self, exe: &Path) -> bool {
        if self.whole {
            return self.pattern.matches(exe.as_os_str());
        }
        exe.file_name()
            .is_some_and(|name| self.pattern.matches(name))
    }

    /// Whether it surely matches all programs that `other` matches.
    pub(crate) fn covers(&self, other: &ProgramPattern) -> bool {
        match (self.whole, other.whole) {
            (false, true) => other
                .pattern
                .as_literal()
                .is_some_and(|exe| self.matches(Path::new(exe))),
            (true, false) => false,
            _ => self.pattern.covers(&other.pattern),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_match_by_name_or_by_path() {
        let matches = |pattern, exe| {
            ProgramPattern::new(pattern)
                .unwrap()
                .matches(Path::new(exe))
        };
        assert!(matches("rm", "/usr/bin/rm"));
        assert!(matches("python3*", "/usr/bin/python3.11"));
        assert!(!matches("rm", "/usr/bin/rmdir"));
        assert!(matches("/usr/bin/rm", "/usr/bin/rm"));
        assert!(!matches("/usr/bin/rm", "/bin/rm"));
        assert!(!matches("rm", "/"));
    }

    #[test]
    fn covering_is_seen_where_it_is_plain() {
        let covers = |one, other| {
            ProgramPattern::new(one)
                .unwrap()
                .covers(&ProgramPattern::new(other).unwrap())
        };
        assert!(covers("r*", "/bin/rm"));
        assert!(covers("r*", "rm"));
        assert!(!covers("/bin/rm", "rm"));
        assert!(!covers("rm", "/bin/r*"));
    }
}
