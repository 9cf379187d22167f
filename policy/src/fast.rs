//! Which programs post their calls themselves.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use thiserror::Error;

use crate::names::Choices;
use crate::program_pattern::ProgramPattern;

/// Whether a program posts its calls itself, without a trap.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Fast {
    /// Where that is likely to pay.
    Auto,
    /// Once it has made some calls.
    On,
    /// Never.
    #[default]
    Off,
}

/// A word that is none of them.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("expected {0}")]
pub struct UnknownFast(String);

impl Fast {
    const ALL: [(&'static str, Fast); 3] =
        [("auto", Fast::Auto), ("on", Fast::On), ("off", Fast::Off)];

    /// What a policy may write, and which of it is near to `wrong`.
    pub(crate) fn expected(wrong: &str) -> String {
        Choices::new(&Fast::ALL.map(|(name, _)| name), wrong).to_string()
    }
}

impl FromStr for Fast {
    type Err = UnknownFast;

    fn from_str(name: &str) -> Result<Fast, UnknownFast> {
        let known = Fast::ALL.into_iter().find(|(known, _)| *known == name);
        known
            .map(|(_, fast)| fast)
            .ok_or_else(|| UnknownFast(Fast::expected(name)))
    }
}

impl fmt::Display for Fast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Fast::ALL.into_iter().find(|(_, fast)| fast == self);
        f.write_str(known.map_or("", |(name, _)| name))
    }
}

/// A rule about programs: what holds for those that match.
#[derive(Clone, Debug)]
pub(crate) struct FastRule {
    /// Place among the rules of both kinds, from 1.
    pub(crate) number: usize,
    /// Line of the policy's text where it begins, from 1.
    pub(crate) line: usize,
    pub(crate) program: ProgramPattern,
    pub(crate) fast: Fast,
}

/// What a policy says of all programs.
#[derive(Clone, Debug, Default)]
pub(crate) struct FastRules {
    /// In order; the first that matches decides.
    pub(crate) rules: Vec<FastRule>,
    pub(crate) default: Fast,
}

impl FastRules {
    pub(crate) fn of(&self, exe: &Path) -> Fast {
        let rule = self.rules.iter().find(|rule| rule.program.matches(exe));
        rule.map_or(self.default, |rule| rule.fast)
    }

    /// Whether some program may post its calls itself.
    pub(crate) fn maybe_on(&self) -> bool {
        self.has(Fast::On) || self.has(Fast::Auto)
    }

    /// Whether some program may have this value.
    pub(crate) fn has(&self, fast: Fast) -> bool {
        self.default == fast || self.rules.iter().any(|rule| rule.fast == fast)
    }

    /// The number of the earlier rule about the same programs.
    pub(crate) fn repeated(&self, rule: &FastRule) -> Option<usize> {
        let text = rule.program.text();
        let same = self.rules.iter().find(|it| it.program.text() == text);
        same.map(|it| it.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Policy;

    fn fast(text: &str, exe: &str) -> Fast {
        Policy::parse(text)
            .unwrap()
            .for_program(Path::new(exe))
            .fast()
    }

    #[test]
    fn names_come_back() {
        for (name, fast) in Fast::ALL {
            assert_eq!(name.parse(), Ok(fast));
            assert_eq!(fast.to_string(), name);
        }
        let error = "atuo".parse::<Fast>().unwrap_err().to_string();
        assert_eq!(
            error,
            "expected one of `auto`, `on`, `off`; did you mean `auto`?"
        );
    }

    #[test]
    fn the_first_matching_rule_decides() {
        let text = "[defaults]\nfast = 'auto'\n\
                    [[rule]]\nprogram = 'rm'\nfast = 'on'\n\
                    [[rule]]\nprogram = 'rm'\naction = 'kernel'\n\
                    [[rule]]\nprogram = '/bin/*'\nfast = 'off'";
        assert_eq!(fast(text, "/bin/rm"), Fast::On);
        assert_eq!(fast(text, "/bin/mv"), Fast::Off);
        assert_eq!(fast(text, "/opt/mv"), Fast::Auto);
        for text in ["", "[[rule]]\naction = 'kernel'"] {
            assert_eq!(fast(text, "/bin/rm"), Fast::Off);
        }
    }

    #[test]
    fn only_a_policy_that_may_be_fast_says_so() {
        let maybe = |text| Policy::parse(text).unwrap().maybe_fast();
        assert!(!maybe(""));
        assert!(!maybe("[[rule]]\nprogram = 'rm'\nfast = 'off'"));
        assert!(maybe("[[rule]]\nprogram = 'rm'\nfast = 'auto'"));
        assert!(maybe("[defaults]\nfast = 'on'"));
        let auto = |text| Policy::parse(text).unwrap().maybe_auto();
        assert!(auto("[[rule]]\nprogram = 'rm'\nfast = 'auto'"));
        assert!(!auto("[defaults]\nfast = 'on'"));
    }

    #[test]
    fn the_command_line_wins() {
        let text = "[defaults]\nfast = 'on'\n[[rule]]\nprogram = 'rm'\nfast = 'auto'";
        let policy = Policy::parse(text).unwrap().with_fast(Fast::Off);
        assert!(!policy.maybe_fast());
        assert_eq!(policy.for_program(Path::new("/bin/rm")).fast(), Fast::Off);
    }
}
