//! From a policy's text to the policy.

mod rule;
#[cfg(test)]
mod tests;

use finesse_wire::Operation;
use toml::de::{DeArray, DeTable, DeValue};

use crate::decision::Decision;
use crate::error::{Fault, PolicyError};
use crate::fast::{Fast, FastRules};
use crate::operations::{GROUPS, OperationSet, PerOperation};
use crate::policy::Policy;
use crate::source::{Source, Value, entries};

const TOP_KEYS: [&str; 3] = ["version", "defaults", "rule"];
const FAST: &str = "fast";
const ACTION: &str = "a string: `bypass`, `kernel` or the name of an errno";

/// Reads the whole text.
pub(crate) fn policy(text: &str) -> Result<Policy, PolicyError> {
    let source = Source(text);
    let tree = source.tree()?;
    let mut defaults = (Policy::built_in_defaults(), Fast::default());
    let mut rules = (Vec::new(), Vec::new());
    for entry in entries(tree.get_ref()) {
        match entry.key {
            "version" => version(source, entry.value)?,
            "defaults" => defaults = self::defaults(source, entry.value)?,
            "rule" => rules = rule::rules(source, entry.value)?,
            _ => return Err(source.unknown_key(&entry, &TOP_KEYS)),
        }
    }
    let ((rules, fast_rules), (defaults, fast)) = (rules, defaults);
    let fast = FastRules {
        rules: fast_rules,
        default: fast,
    };
    Ok(Policy::new(rules, defaults, fast))
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
/// group, and these to those for one operation. And what holds for programs.
fn defaults(
    source: Source<'_>,
    value: &Value<'_>,
) -> Result<(PerOperation<Decision>, Fast), PolicyError> {
    let table = table(source, value, "a table `[defaults]`")?;
    let mut named = Vec::new();
    let mut fast = Fast::default();
    for entry in entries(table) {
        if entry.key == FAST {
            fast = self::fast(source, entry.value)?;
            continue;
        }
        let Some(operations) = OperationSet::from_name(entry.key) else {
            let known: Vec<_> = operation_names().into_iter().chain([FAST]).collect();
            return Err(source.unknown_key(&entry, &known));
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
    Ok((defaults, fast))
}

fn fast(source: Source<'_>, value: &Value<'_>) -> Result<Fast, PolicyError> {
    let name = source.string(value, "a string: `auto`, `on` or `off`")?;
    name.parse().map_err(|_| {
        source.error(
            &value.span(),
            Fault::UnknownFast,
            format!("unknown value `{}` of `{FAST}`", name.escape_debug()),
            Fast::expected(name),
        )
    })
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
