//! From `[[rule]]` tables to rules.

use std::ops::Range;

use super::{FAST, action, array, fast, operation_names, table};
use crate::components::Malformed;
use crate::decision::Decision;
use crate::error::{Fault, PolicyError};
use crate::fast::{FastRule, FastRules};
use crate::names::Choices;
use crate::operations::OperationSet;
use crate::pattern::Pattern;
use crate::program_pattern::ProgramPattern;
use crate::rule::Rule;
use crate::shadow;
use crate::source::{Entry, Source, Value, entries};

const KEYS: [&str; 6] = ["mount", "path", "program", "operations", "action", FAST];
const RULES: &str = "`[[rule]]` tables";

/// The rules in order, numbered from 1: those about calls, and those about programs.
pub(super) fn rules(
    source: Source<'_>,
    value: &Value<'_>,
) -> Result<(Vec<Rule>, Vec<FastRule>), PolicyError> {
    let mut rules: Vec<Rule> = Vec::new();
    let mut fast = FastRules::default();
    for value in array(source, value, RULES)? {
        let number = rules.len() + fast.rules.len() + 1;
        if table(source, value, RULES)?.contains_key(FAST) {
            let rule = fast_rule(source, value, number)?;
            if let Some(earlier) = fast.repeated(&rule) {
                return Err(repeats(source, value, earlier, "another program"));
            }
            fast.rules.push(rule);
            continue;
        }
        let rule = rule(source, value, number)?;
        if let Some(earlier) = shadow::repeated(&rules, &rule) {
            let expected = "another mount, path, program or other operations";
            return Err(repeats(source, value, earlier, expected));
        }
        rules.push(rule);
    }
    Ok((rules, fast.rules))
}

fn repeats(source: Source<'_>, value: &Value<'_>, earlier: usize, expected: &str) -> PolicyError {
    source.error(
        &value.span(),
        Fault::Impossible,
        format!("a rule that can never match: it repeats rule {earlier}"),
        expected.to_owned(),
    )
}

/// A rule about whole programs.
fn fast_rule(
    source: Source<'_>,
    value: &Value<'_>,
    number: usize,
) -> Result<FastRule, PolicyError> {
    let at = value.span();
    let (mut program, mut how) = (None, None);
    for entry in entries(table(source, value, RULES)?) {
        match entry.key {
            "program" => program = Some(pattern(source, &entry, ProgramPattern::new)?),
            FAST => how = Some(fast(source, entry.value)?),
            key if KEYS.contains(&key) => {
                return Err(source.error(
                    &entry.key_at,
                    Fault::Impossible,
                    format!("`{key}` beside `{FAST}`"),
                    format!("`program` alone beside `{FAST}`, and a rule of its own for the rest"),
                ));
            }
            _ => return Err(source.unknown_key(&entry, &KEYS)),
        }
    }
    let (Some(program), Some(fast)) = (program, how) else {
        return Err(source.error(
            &at,
            Fault::MissingKey,
            format!("a rule with `{FAST}` and without `program`"),
            format!("`program`, or `{FAST}` among the `[defaults]`"),
        ));
    };
    Ok(FastRule {
        number,
        line: source.position(at.start).0,
        program,
        fast,
    })
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
            _ => return Err(source.unknown_key(&entry, &KEYS)),
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
        "a rule without `action` or `fast`".to_owned(),
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
