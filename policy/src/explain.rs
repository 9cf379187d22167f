//! A policy in words.

use std::fmt::Write as _;

use finesse_wire::Operation;

use crate::decision::Decision;
use crate::fast::FastRule;
use crate::operations::OperationSet;
use crate::policy::Policy;
use crate::rule::Rule;
use crate::shadow::{Shadow, fast_shadows, shadows};

impl Policy {
    /// What the policy does, for a person to read: its rules in order, what holds
    /// without a rule, which operations are trapped, and what looks like a mistake.
    pub fn explain(&self) -> String {
        let mut text = String::new();
        for rule in self.explained_rules() {
            text.push_str(&rule);
        }
        text.push_str(if self.rules.is_empty() && self.fast.rules.is_empty() {
            "no rules; each call on a mount that Finesse serves:\n"
        } else {
            "no rule matches:\n"
        });
        for (decision, operations) in self.default_groups() {
            line(&mut text, &verb(decision), &operations.to_string());
        }
        line(&mut text, FAST, &self.fast.default.to_string());
        let trapped = self.operations_maybe_not_kernel();
        text.push_str("trapping:\n");
        line(&mut text, "trapped", &trapped.to_string());
        let rest = OperationSet::all().without(trapped);
        line(&mut text, "not trapped", &rest.to_string());
        let needed = if self.needs_paths() { "yes" } else { "no" };
        line(&mut text, "full paths needed", needed);
        for (index, warning) in self.warnings().enumerate() {
            if index == 0 {
                text.push_str("warnings:\n");
            }
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {warning}");
        }
        text
    }

    /// What is allowed but looks like a mistake: rules that never match because earlier
    /// ones decide first.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.shadows().into_iter().map(|shadow| shadow.to_string())
    }

    pub(crate) fn shadows(&self) -> Vec<Shadow> {
        let mut shadows = shadows(self.rules.iter().map(AsRef::as_ref));
        shadows.extend(fast_shadows(&self.fast.rules));
        shadows.sort_by_key(|shadow| shadow.rule);
        shadows
    }

    /// The rules of both kinds, in order.
    fn explained_rules(&self) -> impl Iterator<Item = String> {
        let calls = self.rules.iter().map(|rule| (rule.number, explained(rule)));
        let programs = self.fast.rules.iter();
        let programs = programs.map(|rule| (rule.number, explained_fast(rule)));
        let mut rules: Vec<_> = calls.chain(programs).collect();
        rules.sort_by_key(|(number, _)| *number);
        rules.into_iter().map(|(_, text)| text)
    }

    /// The defaults, each decision once, in the order of its first operation.
    fn default_groups(&self) -> Vec<(Decision, OperationSet)> {
        let mut decisions: Vec<Decision> = Vec::new();
        for decision in Operation::all().map(|operation| *self.defaults.get(operation)) {
            if !decisions.contains(&decision) {
                decisions.push(decision);
            }
        }
        let holds = |decision| Operation::all().filter(move |o| *self.defaults.get(*o) == decision);
        decisions
            .into_iter()
            .map(|decision| (decision, holds(decision).collect()))
            .collect()
    }
}

const FAST: &str = "fast path";

fn head(number: usize, line: usize) -> String {
    format!("rule {number} (line {line}):\n")
}

fn explained_fast(rule: &FastRule) -> String {
    let mut text = head(rule.number, rule.line);
    line(&mut text, FAST, &rule.fast.to_string());
    line(&mut text, "by program", rule.program.text());
    text
}

fn explained(rule: &Rule) -> String {
    let mut text = head(rule.number, rule.line);
    line(
        &mut text,
        &verb(rule.decision),
        &rule.operations.to_string(),
    );
    let conditions = [
        (
            "on mount",
            rule.mount.as_ref().map(|pattern| pattern.text()),
        ),
        ("for path", rule.path.as_ref().map(|pattern| pattern.text())),
        (
            "by program",
            rule.program.as_ref().map(|pattern| pattern.text()),
        ),
    ];
    for (name, pattern) in conditions {
        if let Some(pattern) = pattern {
            line(&mut text, name, pattern);
        }
    }
    text
}

fn verb(decision: Decision) -> String {
    match decision {
        Decision::Bypass => "bypass".to_owned(),
        Decision::Kernel => "leave to kernel".to_owned(),
        Decision::Refuse(_) => format!("fail with {decision}"),
    }
}

fn line(text: &mut String, name: &str, value: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "  {name:<18} {value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_policy_reads_well() {
        let expected = "\
no rules; each call on a mount that Finesse serves:
  bypass             mutations
  leave to kernel    lookups
  fast path          off
trapping:
  trapped            mutations
  not trapped        lookups
  full paths needed  no
";
        assert_eq!(Policy::default().explain(), expected);
    }

    #[test]
    fn rules_and_warnings_read_well() {
        let text = r#"version = 1
[defaults]
lookups = "bypass"
statfs = "kernel"
fast = "auto"

[[rule]]
mount = "/mnt/*"
path = "/mnt/*/keep/**"
program = "rm"
operations = ["unlink", "rmdir"]
action = "EPERM"

[[rule]]
operations = ["mutations"]
action = "kernel"

[[rule]]
mount = "/mnt/a"
operations = ["unlink", "stat"]
action = "bypass"

[[rule]]
program = "mv"
operations = ["rename"]
action = "bypass"

[[rule]]
program = "/usr/bin/*"
fast = "on"

[[rule]]
program = "/usr/bin/rsync"
fast = "off"
"#;
        let expected = "\
rule 1 (line 7):
  fail with EPERM    unlink, rmdir
  on mount           /mnt/*
  for path           /mnt/*/keep/**
  by program         rm
rule 2 (line 14):
  leave to kernel    mutations
rule 3 (line 18):
  bypass             unlink, stat
  on mount           /mnt/a
rule 4 (line 23):
  bypass             rename
  by program         mv
rule 5 (line 28):
  fast path          on
  by program         /usr/bin/*
rule 6 (line 32):
  fast path          off
  by program         /usr/bin/rsync
no rule matches:
  bypass             mutations, stat, access, readlink, getxattr, listxattr
  leave to kernel    statfs
  fast path          auto
trapping:
  trapped            unlink, rmdir, stat, access, readlink, getxattr, listxattr
  not trapped        mkdir, rename, link, symlink, mknod, chmod, chown, truncate, utimens, \
setxattr, removexattr, statfs
  full paths needed  yes
warnings:
  rule 3 (line 18) never matches unlink: rule 2 decides first
  rule 4 (line 23) never matches: rule 2 decides first
  rule 6 (line 32) never matches: rule 5 decides first
";
        assert_eq!(Policy::parse(text).unwrap().explain(), expected);
    }
}
