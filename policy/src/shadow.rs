//! Rules that earlier rules leave nothing to decide.

use std::fmt;

use crate::fast::FastRule;
use crate::operations::OperationSet;
use crate::pattern::Pattern;
use crate::program_pattern::ProgramPattern;
use crate::rule::Rule;

/// A rule that never decides about some of its operations, or of its programs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Shadow {
    /// The rule's number.
    pub(crate) rule: usize,
    line: usize,
    /// The operations that it never decides about.
    pub(crate) operations: OperationSet,
    /// Whether these are all it has.
    pub(crate) whole: bool,
    /// The rules that decide first.
    by: Vec<usize>,
}

/// The number of the first earlier rule with the same conditions, if such rules already
/// decide about all operations of `rule`.
pub(crate) fn repeated(earlier: &[Rule], rule: &Rule) -> Option<usize> {
    let mut open = rule.operations;
    let mut first = None;
    for other in earlier
        .iter()
        .filter(|other| has_conditions_of(other, rule))
    {
        if open.without(other.operations) != open {
            first = first.or(Some(other.number));
        }
        open = open.without(other.operations);
    }
    first.filter(|_| open.is_empty())
}

/// All shadows among the rules. What patterns overlap is judged with care: a shadow that
/// is reported is one, others may stay unseen.
pub(crate) fn shadows<'r>(rules: impl Iterator<Item = &'r Rule>) -> Vec<Shadow> {
    let mut earlier: Vec<&Rule> = Vec::new();
    let mut shadows = Vec::new();
    for rule in rules {
        shadows.extend(shadow(&earlier, rule));
        earlier.push(rule);
    }
    shadows
}

/// As [`shadows`], for rules about programs.
pub(crate) fn fast_shadows(rules: &[FastRule]) -> Vec<Shadow> {
    let shadow = |(index, rule): (usize, &FastRule)| {
        let is_wider = |other: &&FastRule| other.program.covers(&rule.program);
        let other = rules[..index].iter().find(is_wider)?;
        Some(Shadow {
            rule: rule.number,
            line: rule.line,
            operations: OperationSet::default(),
            whole: true,
            by: vec![other.number],
        })
    };
    rules.iter().enumerate().filter_map(shadow).collect()
}

fn shadow(earlier: &[&Rule], rule: &Rule) -> Option<Shadow> {
    let mut open = rule.operations;
    let mut by = Vec::new();
    for other in earlier.iter().filter(|other| is_wider(other, rule)) {
        let rest = open.without(other.operations);
        if rest != open {
            by.push(other.number);
        }
        open = rest;
    }
    let operations = rule.operations.without(open);
    (!operations.is_empty()).then(|| Shadow {
        rule: rule.number,
        line: rule.line,
        operations,
        whole: open.is_empty(),
        by,
    })
}

fn has_conditions_of(one: &Rule, other: &Rule) -> bool {
    conditions(one) == conditions(other)
}

fn conditions(rule: &Rule) -> [Option<&str>; 3] {
    [
        rule.mount.as_ref().map(Pattern::text),
        rule.path.as_ref().map(Pattern::text),
        rule.program.as_ref().map(ProgramPattern::text),
    ]
}

/// Whether `wide` surely holds wherever `narrow` does, operations aside.
fn is_wider(wide: &Rule, narrow: &Rule) -> bool {
    fn holds<P>(wide: Option<&P>, narrow: Option<&P>, covers: fn(&P, &P) -> bool) -> bool {
        match (wide, narrow) {
            (None, _) => true,
            (Some(wide), Some(narrow)) => covers(wide, narrow),
            (Some(_), None) => false,
        }
    }
    holds(wide.mount.as_ref(), narrow.mount.as_ref(), Pattern::covers)
        && holds(wide.path.as_ref(), narrow.path.as_ref(), Pattern::covers)
        && holds(
            wide.program.as_ref(),
            narrow.program.as_ref(),
            ProgramPattern::covers,
        )
}

impl fmt::Display for Shadow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {} (line {}) never ", self.rule, self.line)?;
        if self.whole {
            f.write_str("matches")?;
        } else {
            write!(f, "matches {}", self.operations)?;
        }
        let by: Vec<String> = self.by.iter().map(usize::to_string).collect();
        match by.as_slice() {
            [one] => write!(f, ": rule {one} decides first"),
            many => write!(f, ": rules {} decide first", many.join(", ")),
        }
    }
}
