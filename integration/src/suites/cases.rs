//! What a suite says of its cases.

use std::collections::{BTreeMap, BTreeSet};

/// How one case ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As the suite wants it.
    Passed,
    /// Otherwise.
    Failed,
    /// The suite left it out.
    Skipped,
    /// The suite ended before it, or does not know it.
    NotRun,
}

/// One case of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// How it ended.
    pub verdict: Verdict,
    /// What the suite said about it, one line; empty for most.
    pub words: String,
}

/// All cases of one run, by name.
#[derive(Debug, Clone, Default)]
pub struct Cases(BTreeMap<String, Case>);

impl Cases {
    /// Notes a case. A name that comes again is counted up: suites run one case for several kinds of file.
    pub fn note(&mut self, name: &str, verdict: Verdict, words: String) {
        let mut unique = name.to_owned();
        let mut again = 1;
        while self.0.contains_key(&unique) {
            again += 1;
            unique = format!("{name} #{again}");
        }
        self.0.insert(unique, Case { verdict, words });
    }

    /// Those whose names `wanted` likes.
    #[must_use]
    pub fn retain(mut self, wanted: impl Fn(&str) -> bool) -> Self {
        self.0.retain(|name, _| wanted(name));
        self
    }

    /// Takes over the cases of another run; they stand in for cases of the same names.
    pub fn supersede(&mut self, other: Cases) {
        self.0.extend(other.0);
    }

    /// How the case `name` ended.
    #[must_use]
    pub fn verdict(&self, name: &str) -> Verdict {
        self.0
            .get(name)
            .map_or(Verdict::NotRun, |case| case.verdict)
    }

    /// What the suite said about the case `name`.
    #[must_use]
    pub fn words(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |case| &case.words)
    }

    /// How many ended with `verdict`.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.with(verdict).count()
    }

    /// The names of those that ended with `verdict`, sorted.
    pub fn with(&self, verdict: Verdict) -> impl Iterator<Item = &str> {
        let those = self
            .0
            .iter()
            .filter(move |(_, case)| case.verdict == verdict);
        those.map(|(name, _)| name.as_str())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names of the cases that ended otherwise than in `other`, sorted.
    #[must_use]
    pub fn differing(&self, other: &Cases) -> Vec<String> {
        let names: BTreeSet<_> = self.0.keys().chain(other.0.keys()).collect();
        let differs = |name: &&String| self.verdict(name) != other.verdict(name);
        names.into_iter().filter(differs).cloned().collect()
    }

    /// The names of the cases that failed in both, but with other words.
    #[must_use]
    pub fn failing_otherwise(&self, other: &Cases) -> Vec<&str> {
        self.with(Verdict::Failed)
            .filter(|name| other.verdict(name) == Verdict::Failed)
            .filter(|name| self.words(name) != other.words(name))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cases(list: &[(&str, Verdict, &str)]) -> Cases {
        let mut cases = Cases::default();
        for (name, verdict, words) in list {
            cases.note(name, *verdict, (*words).to_owned());
        }
        cases
    }

    #[test]
    fn what_ended_otherwise_or_is_missing_differs() {
        let a = cases(&[
            ("same", Verdict::Failed, "x"),
            ("other", Verdict::Passed, ""),
            ("lost", Verdict::Skipped, ""),
        ]);
        let b = cases(&[
            ("same", Verdict::Failed, "y"),
            ("other", Verdict::Failed, ""),
            ("new", Verdict::Passed, ""),
        ]);
        assert_eq!(a.differing(&b), ["lost", "new", "other"]);
        assert_eq!(b.differing(&a), ["lost", "new", "other"]);
        assert!(a.differing(&a).is_empty());
        assert_eq!(a.failing_otherwise(&b), ["same"]);
        assert_eq!(a.verdict("new"), Verdict::NotRun);
    }

    #[test]
    fn a_name_may_come_again() {
        let cases = cases(&[("a", Verdict::Passed, ""), ("a", Verdict::Failed, "")]);
        assert_eq!(cases.len(), 2);
        assert_eq!(cases.with(Verdict::Failed).collect::<Vec<_>>(), ["a #2"]);
    }
}
