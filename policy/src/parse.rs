//! From a policy's text to the policy.

use std::ops::Range;

use finesse_wire::Operation;
use toml::de::{DeArray, DeTable, DeValue};

use crate::components::Malformed;
use crate::decision::Decision;
use crate::error::{Fault, PolicyError};
use crate::names::Choices;
use crate::operations::{GROUPS, OperationSet, PerOperation};
use crate::pattern::{Pattern, ProgramPattern};
use crate::policy::Policy;
use crate::rule::Rule;
use crate::shadow;
use crate::source::{Entry, Source, Value, entries};

const TOP_KEYS: [&str; 3] = ["version", "defaults", "rule"];
const RULE_KEYS: [&str; 5] = ["mount", "path", "program", "operations", "action"];
const ACTION: &str = "a string: `bypass`, `kernel` or the name of an errno";
const RULES: &str = "`[[rule]]` tables";

/// Reads the whole text.
pub(crate) fn policy(text: &str) -> Result<Policy, PolicyError> {
    let source = Source(text);
    let tree = source.tree()?;
    let mut defaults = Policy::built_in_defaults();
    let mut rules = Vec::new();
    for entry in entries(tree.get_ref()) {
        match entry.key {
            "version" => version(source, entry.value)?,
            "defaults" => defaults = self::defaults(source, entry.value)?,
            "rule" => rules = self::rules(source, entry.value)?,
            _ => return Err(source.unknown_key(&entry, &TOP_KEYS)),
        }
    }
    Ok(Policy::new(rules, defaults))
}

fn version(source: Source<'_>, value: &Value<'_>) -> Result<(), PolicyError> {
    let expected = "the integer 1, the only version of the schema";
    match value.get_ref() {
        DeValue::Integer(number) if number.to_string() == "1" => Ok(()),
        DeValue::Integer(number) => Err(source.error(
            &value.span(),
            Fault::UnknownVersion,
            format!("version {number}"),
            expected.to_owned(),
        )),
        _ => Err(source.wrong_type(value, expected)),
    }
}

/// The decisions without a rule: those for all operations give way to those for a
/// group, and these to those for one operation.
fn defaults(source: Source<'_>, value: &Value<'_>) -> Result<PerOperation<Decision>, PolicyError> {
    let table = table(source, value, "a table `[defaults]`")?;
    let mut named = Vec::new();
    for entry in entries(table) {
        let Some(operations) = OperationSet::from_name(entry.key) else {
            return Err(source.unknown_key(&entry, &operation_names()));
        };
        named.push((operations, action(source, entry.value)?));
    }
    named.sort_by_key(|(operations, _)| std::cmp::Reverse(operations.iter().count()));
    let mut defaults = Policy::built_in_defaults();
    for (operations, decision) in named {
        for operation in operations.iter() {
            defaults.set(operation, decision);
        }
    }
    Ok(defaults)
}

fn rules(source: Source<'_>, value: &Value<'_>) -> Result<Vec<Rule>, PolicyError> {
    let mut rules: Vec<Rule> = Vec::new();
    for value in array(source, value, RULES)? {
        let rule = rule(source, value, rules.len() + 1)?;
        if let Some(earlier) = shadow::repeated(&rules, &rule) {
            return Err(source.error(
                &value.span(),
                Fault::Impossible,
                format!("a rule that can never match: it repeats rule {earlier}"),
                "another mount, path, program or other operations".to_owned(),
            ));
        }
        rules.push(rule);
    }
    Ok(rules)
}

fn rule(source: Source<'_>, value: &Value<'_>, number: usize) -> Result<Rule, PolicyError> {
    let at = value.span();
    let mut decision = None;
    let mut path_at = at.clone();
    let mut rule = Rule {
        number,
        line: source.position(at.start).0,
        mount: None,
        path: None,
        program: None,
        operations: OperationSet::all(),
        decision: Decision::Kernel,
    };
    for entry in entries(table(source, value, RULES)?) {
        match entry.key {
            "mount" => rule.mount = Some(pattern(source, &entry, Pattern::absolute)?),
            "path" => {
                rule.path = Some(pattern(source, &entry, Pattern::absolute)?);
                path_at = entry.value.span();
            }
            "program" => rule.program = Some(pattern(source, &entry, ProgramPattern::new)?),
            "operations" => rule.operations = operations(source, entry.value)?,
            "action" => decision = Some(action(source, entry.value)?),
            _ => return Err(source.unknown_key(&entry, &RULE_KEYS)),
        }
    }
    rule.decision = decision.ok_or_else(|| without_action(source, &at))?;
    path_below_mount(source, &rule, &path_at)?;
    Ok(rule)
}

fn without_action(source: Source<'_>, at: &Range<usize>) -> PolicyError {
    source.error(
        at,
        Fault::MissingKey,
        "a rule without `action`".to_owned(),
        "`action = \"bypass\"`, `\"kernel\"` or the name of an errno".to_owned(),
    )
}

fn path_below_mount(
    source: Source<'_>,
    rule: &Rule,
    path_at: &Range<usize>,
) -> Result<(), PolicyError> {
    match (&rule.mount, &rule.path) {
        (Some(mount), Some(path)) if !path.may_lie_under(mount) => Err(source.error(
            path_at,
            Fault::Impossible,
            format!("the path `{}`, which is on no such mount", path.text()),
            format!("a path at or below the rule's mount `{}`", mount.text()),
        )),
        _ => Ok(()),
    }
}

fn pattern<P>(
    source: Source<'_>,
    entry: &Entry<'_, '_>,
    compile: fn(&str) -> Result<P, Malformed>,
) -> Result<P, PolicyError> {
    let text = source.string(entry.value, "a string: a glob pattern")?;
    let compiled = if text.is_empty() {
        Err(Malformed::new(
            "an empty pattern, which matches nothing",
            "a glob, or no such key",
        ))
    } else {
        compile(text)
    };
    compiled.map_err(|malformed| {
        source.error(
            &entry.value.span(),
            Fault::BadPattern,
            format!("in `{}` {}", entry.key, malformed.found),
            malformed.expected.to_owned(),
        )
    })
}

fn operations(source: Source<'_>, value: &Value<'_>) -> Result<OperationSet, PolicyError> {
    let expected = "an array of names of operations";
    let names = array(source, value, expected)?;
    let mut set = OperationSet::default();
    let mut seen: Vec<&str> = Vec::new();
    for value in names {
        let name = source.string(value, "a string: the name of an operation")?;
        let Some(operations) = OperationSet::from_name(name) else {
            return Err(source.error(
                &value.span(),
                Fault::UnknownOperation,
                format!("unknown operation `{}`", name.escape_debug()),
                Choices::new(&operation_names(), name).to_string(),
            ));
        };
        if seen.contains(&name) {
            return Err(source.error(
                &value.span(),
                Fault::Impossible,
                format!("`{name}` for the second time"),
                "each operation once".to_owned(),
            ));
        }
        seen.push(name);
        set = set.iter().chain(operations.iter()).collect();
    }
    if set.is_empty() {
        return Err(source.error(
            &value.span(),
            Fault::Impossible,
            "no operation, so that the rule can never match".to_owned(),
            "at least one name, or no key `operations` for all of them".to_owned(),
        ));
    }
    Ok(set)
}

fn action(source: Source<'_>, value: &Value<'_>) -> Result<Decision, PolicyError> {
    let name = source.string(value, ACTION)?;
    Decision::from_name(name).ok_or_else(|| {
        source.error(
            &value.span(),
            Fault::UnknownAction,
            format!("unknown action `{}`", name.escape_debug()),
            Decision::expected(name),
        )
    })
}

fn operation_names() -> Vec<&'static str> {
    GROUPS
        .into_iter()
        .chain(Operation::all().map(Operation::name))
        .collect()
}

fn table<'t, 'i>(
    source: Source<'_>,
    value: &'t Value<'i>,
    expected: &str,
) -> Result<&'t DeTable<'i>, PolicyError> {
    value
        .get_ref()
        .as_table()
        .ok_or_else(|| source.wrong_type(value, expected))
}

fn array<'t, 'i>(
    source: Source<'_>,
    value: &'t Value<'i>,
    expected: &str,
) -> Result<&'t DeArray<'i>, PolicyError> {
    value
        .get_ref()
        .as_array()
        .ok_or_else(|| source.wrong_type(value, expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error of a text, as shown and by kind.
    fn error(text: &str) -> (String, Fault) {
        let error = Policy::parse(text).expect_err(text);
        (error.to_string(), error.fault)
    }

    fn assert_errors(fault: Fault, cases: &[(&str, &str)]) {
        for (text, expected) in cases {
            assert_eq!(error(text), ((*expected).to_owned(), fault), "{text}");
        }
    }

    #[test]
    fn the_example_is_a_policy_without_warnings() {
        let policy = Policy::parse(include_str!("../../docs/policy.example.toml")).unwrap();
        assert_eq!(policy.rules.len(), 4);
        assert_eq!(policy.warnings().count(), 0);
    }

    #[test]
    fn syntax() {
        assert_errors(
            Fault::Syntax,
            &[
                (
                    "version = ",
                    "1:11: string values must be quoted; expected literal string",
                ),
                (
                    "[[rule]]\naction = bypass",
                    "2:10: string values must be quoted; expected literal string",
                ),
                (
                    "version = 1\nversion = 1",
                    "2:1: duplicate key; expected each key once",
                ),
                (
                    "[[rule]]\naction = \"bypass",
                    "2:17: invalid basic string; expected `\"`",
                ),
            ],
        );
    }

    #[test]
    fn unknown_keys() {
        assert_errors(
            Fault::UnknownKey,
            &[
                (
                    "rules = []",
                    "1:1: unknown key `rules`; expected one of `version`, `defaults`, `rule`; did you mean `rule`?",
                ),
                (
                    "\n[[rule]]\n  opertion = ['unlink']",
                    "3:3: unknown key `opertion`; expected one of `mount`, `path`, `program`, `operations`, `action`; did you mean `operations`?",
                ),
                (
                    "[[rule]]\naction = 'kernel'\nfast = 'on'",
                    "3:1: unknown key `fast`; expected one of `mount`, `path`, `program`, `operations`, `action`",
                ),
                (
                    "[defaults]\nunlnk = 'kernel'",
                    "2:1: unknown key `unlnk`; expected one of `all`, `mutations`, `lookups`, `unlink`, `rmdir`, `mkdir`, `rename`, `link`, `symlink`, `mknod`, `chmod`, `chown`, `truncate`, `utimens`, `setxattr`, `removexattr`, `stat`, `access`, `readlink`, `getxattr`, `listxattr`, `statfs`; did you mean `unlink`?",
                ),
                (
                    "[extra]",
                    "1:2: unknown key `extra`; expected one of `version`, `defaults`, `rule`",
                ),
            ],
        );
    }

    #[test]
    fn missing_action() {
        assert_errors(
            Fault::MissingKey,
            &[
                (
                    "version = 1\n\n[[rule]]\nmount = '/m'",
                    "3:1: a rule without `action`; expected `action = \"bypass\"`, `\"kernel\"` or the name of an errno",
                ),
                (
                    "rule = [{ action = 'kernel' }, {}]",
                    "1:32: a rule without `action`; expected `action = \"bypass\"`, `\"kernel\"` or the name of an errno",
                ),
            ],
        );
    }

    #[test]
    fn wrong_types() {
        assert_errors(
            Fault::WrongType,
            &[
                (
                    "version = '1'",
                    "1:11: the string `1`; expected the integer 1, the only version of the schema",
                ),
                (
                    "defaults = 1",
                    "1:12: the integer 1; expected a table `[defaults]`",
                ),
                (
                    "[rule]\naction = 'kernel'",
                    "1:1: a table; expected `[[rule]]` tables",
                ),
                (
                    "rule = ['kernel']",
                    "1:9: the string `kernel`; expected `[[rule]]` tables",
                ),
                (
                    "[[rule]]\naction = 13",
                    "2:10: the integer 13; expected a string: `bypass`, `kernel` or the name of an errno",
                ),
                (
                    "[[rule]]\naction = 0",
                    "2:10: the integer 0; expected a string: `bypass`, `kernel` or the name of an errno",
                ),
                (
                    "rule = [{ path = '/üü', action = 3 }]",
                    "1:34: the integer 3; expected a string: `bypass`, `kernel` or the name of an errno",
                ),
                (
                    "[[rule]]\nmount = true",
                    "2:9: the boolean true; expected a string: a glob pattern",
                ),
                (
                    "[[rule]]\noperations = 'unlink'",
                    "2:14: the string `unlink`; expected an array of names of operations",
                ),
                (
                    "[[rule]]\noperations = ['unlink', 1.5]",
                    "2:25: the float 1.5; expected a string: the name of an operation",
                ),
                (
                    "[defaults]\nlookups = 2020-01-01",
                    "2:11: the date-time 2020-01-01; expected a string: `bypass`, `kernel` or the name of an errno",
                ),
            ],
        );
    }

    #[test]
    fn unknown_names() {
        assert_errors(
            Fault::UnknownVersion,
            &[(
                "version = 2",
                "1:11: version 2; expected the integer 1, the only version of the schema",
            )],
        );
        assert_errors(
            Fault::UnknownOperation,
            &[(
                "[[rule]]\noperations = ['unlink', 'renmae']",
                "2:25: unknown operation `renmae`; expected one of `all`, `mutations`, `lookups`, `unlink`, `rmdir`, `mkdir`, `rename`, `link`, `symlink`, `mknod`, `chmod`, `chown`, `truncate`, `utimens`, `setxattr`, `removexattr`, `stat`, `access`, `readlink`, `getxattr`, `listxattr`, `statfs`; did you mean `rename`?",
            )],
        );
        assert_errors(
            Fault::UnknownAction,
            &[
                (
                    "[[rule]]\naction = 'bypas'",
                    "2:10: unknown action `bypas`; expected `bypass`, `kernel` or the name of an errno such as `EACCES`; did you mean `bypass`?",
                ),
                (
                    "[[rule]]\naction = 'eacces'",
                    "2:10: unknown action `eacces`; expected `bypass`, `kernel` or the name of an errno such as `EACCES`; did you mean `EACCES`?",
                ),
                (
                    "[[rule]]\naction = 'E0'",
                    "2:10: unknown action `E0`; expected `bypass`, `kernel` or the name of an errno such as `EACCES`",
                ),
                (
                    "[defaults]\nstat = ''",
                    "2:8: unknown action ``; expected `bypass`, `kernel` or the name of an errno such as `EACCES`",
                ),
            ],
        );
    }

    #[test]
    fn bad_patterns() {
        assert_errors(
            Fault::BadPattern,
            &[
                (
                    "[[rule]]\nmount = ''",
                    "2:9: in `mount` an empty pattern, which matches nothing; expected a glob, or no such key",
                ),
                (
                    "[[rule]]\npath = 'data/**'",
                    "2:8: in `path` a relative pattern; expected an absolute one, beginning with `/`",
                ),
                (
                    "[[rule]]\npath = '/a/../b'",
                    "2:8: in `path` a component `.` or `..`, which no normalised path has; expected a pattern without `.`, `..`, empty components and trailing slash",
                ),
                (
                    "[[rule]]\nmount = '/mnt/'",
                    "2:9: in `mount` an empty component, which no path has; expected a pattern without `.`, `..`, empty components and trailing slash",
                ),
                (
                    "[[rule]]\nmount = \"/mnt/[a\"",
                    "2:9: in `mount` `[` without `]`; expected `]` after it",
                ),
                (
                    "[[rule]]\nprogram = 'bin/rm'",
                    "2:11: in `program` a relative path; expected a file name such as `rm`, or an absolute path",
                ),
                (
                    "[[rule]]\npath = '/ü/x**'  # ü",
                    "2:8: in `path` `**` beside other text or in braces; expected `**` alone between slashes, or `*`",
                ),
            ],
        );
    }

    #[test]
    fn impossible_rules() {
        assert_errors(
            Fault::Impossible,
            &[
                (
                    "[[rule]]\noperations = []",
                    "2:14: no operation, so that the rule can never match; expected at least one name, or no key `operations` for all of them",
                ),
                (
                    "[[rule]]\noperations = ['stat', 'stat']",
                    "2:23: `stat` for the second time; expected each operation once",
                ),
                (
                    "[[rule]]\nmount = '/mnt/*'\npath = '/srv/**'\naction = 'kernel'",
                    "3:8: the path `/srv/**`, which is on no such mount; expected a path at or below the rule's mount `/mnt/*`",
                ),
                (
                    "[[rule]]\nmount = '/m'\naction = 'kernel'\n\n\
                     [[rule]]\nmount = '/m'\noperations = ['stat']\naction = 'bypass'",
                    "5:1: a rule that can never match: it repeats rule 1; expected another mount, path, program or other operations",
                ),
                (
                    "[[rule]]\noperations = ['mutations']\naction = 'kernel'\n\
                     [[rule]]\noperations = ['lookups']\naction = 'kernel'\n  \
                     [[rule]]\naction = 'bypass'",
                    "7:3: a rule that can never match: it repeats rule 1; expected another mount, path, program or other operations",
                ),
            ],
        );
    }

    #[test]
    fn the_first_fault_of_the_text_is_reported() {
        let (error, _) = error("[[rule]]\nzz = 1\naa = 1");
        assert!(error.starts_with("2:1: "), "{error}");
    }
}
