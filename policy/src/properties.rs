//! What holds for all policies, tried on random ones.

use std::path::Path;

use finesse_wire::Operation;
use globset::{GlobBuilder, GlobMatcher};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::operations::OperationSet;
use crate::{Call, Decision, Fast, Fault, Policy};

const MOUNTS: [&str; 4] = ["/mnt/a", "/mnt/*", "/mnt/**", "/{mnt,srv}/a"];
const PATHS: [&str; 7] = [
    "/mnt/a/x",
    "/mnt/a/*",
    "/mnt/a/**",
    "/mnt/**/x",
    "/**",
    "/mnt/*/[!y]",
    "/{mnt/a,srv}/**",
];
const PROGRAMS: [&str; 4] = ["rm", "*", "/bin/*", "/bin/rm"];
const OPERATIONS: [&str; 7] = [
    "all",
    "mutations",
    "lookups",
    "unlink",
    "rename",
    "stat",
    "statfs",
];
const FASTS: [&str; 3] = ["auto", "on", "off"];
const ACTIONS: [&str; 4] = ["bypass", "kernel", "EACCES", "EIO"];

const CALL_MOUNTS: [&str; 3] = ["/mnt/a", "/mnt/b", "/srv/a"];
const CALL_PATHS: [&str; 6] = ["", "/x", "/y", "/.x", "/d/x", "/d/e/x"];
const CALL_PROGRAMS: [&str; 3] = ["/bin/rm", "/bin/mv", "/opt/rm"];

/// A rule as a person would read it, for an interpreter of its own.
#[derive(Clone, Debug)]
struct Written {
    mount: Option<&'static str>,
    path: Option<&'static str>,
    program: Option<&'static str>,
    operations: Option<Vec<&'static str>>,
    action: &'static str,
}

impl Written {
    fn text(&self) -> String {
        let mut text = format!("[[rule]]\naction = '{}'\n", self.action);
        for (key, value) in [
            ("mount", self.mount),
            ("path", self.path),
            ("program", self.program),
        ] {
            if let Some(value) = value {
                text.push_str(&format!("{key} = '{value}'\n"));
            }
        }
        if let Some(operations) = &self.operations {
            text.push_str(&format!("operations = {operations:?}\n"));
        }
        text
    }

    fn has(&self, operation: Operation) -> bool {
        let Some(operations) = &self.operations else {
            return true;
        };
        operations.iter().any(|name| match *name {
            "all" => true,
            "mutations" => !operation.is_lookup(),
            "lookups" => operation.is_lookup(),
            name => name == operation.name(),
        })
    }
}

/// A rule with globset's own matchers.
struct Interpreted<'w> {
    rule: &'w Written,
    mount: Option<GlobMatcher>,
    path: Option<GlobMatcher>,
    program: Option<GlobMatcher>,
}

impl<'w> Interpreted<'w> {
    fn new(rule: &'w Written) -> Self {
        Interpreted {
            rule,
            mount: rule.mount.map(glob),
            path: rule.path.map(glob),
            program: rule.program.map(glob),
        }
    }

    fn matches(&self, exe: &str, call: &Call<'_>) -> bool {
        let holds = |glob: &Option<GlobMatcher>, text: &Path| {
            glob.as_ref().is_none_or(|glob| glob.is_match(text))
        };
        let program = match self.rule.program {
            Some(name) if !name.contains('/') => exe.rsplit('/').next().unwrap(),
            _ => exe,
        };
        self.rule.has(call.operation)
            && holds(&self.mount, call.mount)
            && holds(&self.path, call.path)
            && holds(&self.program, Path::new(program))
    }
}

fn glob(pattern: &str) -> GlobMatcher {
    GlobBuilder::new(pattern)
        .literal_separator(true)
        .build()
        .unwrap()
        .compile_matcher()
}

fn decision(name: &str) -> Decision {
    match name {
        "bypass" => Decision::Bypass,
        "kernel" => Decision::Kernel,
        "EACCES" => Decision::Refuse(13),
        "EIO" => Decision::Refuse(5),
        _ => unreachable!("no other action is generated"),
    }
}

prop_compose! {
    fn written()(
        mount in proptest::option::weighted(0.4, select(&MOUNTS)),
        path in proptest::option::weighted(0.3, select(&PATHS)),
        program in proptest::option::weighted(0.3, select(&PROGRAMS)),
        operations in proptest::option::of(subsequence(&OPERATIONS, 1..4)),
        action in select(&ACTIONS),
    ) -> Written {
        Written { mount, path, program, operations, action }
    }
}

/// A policy of all rules of `written` that are accepted, with `lookups` by default, and
/// the number that each rule has in it. Those refused have none.
fn accepted(written: &[Written], lookups: &str) -> (Policy, Vec<Option<usize>>) {
    let mut text = format!("[defaults]\nlookups = '{lookups}'\n");
    let mut policy = Policy::parse(&text).unwrap();
    let mut count = 0;
    let mut number = |rule: &Written| {
        let longer = text.clone() + &rule.text();
        match Policy::parse(&longer) {
            Ok(parsed) => {
                (text, policy) = (longer, parsed);
                count += 1;
                Some(count)
            }
            Err(error) => {
                assert_eq!(error.fault, Fault::Impossible, "{longer}{error}");
                None
            }
        }
    };
    let numbers = written.iter().map(&mut number).collect();
    (policy, numbers)
}

/// Hands each combination of program, operation, mount and path to `check`.
fn for_each_call(mut check: impl FnMut(&str, &Call<'_>)) {
    for exe in CALL_PROGRAMS {
        for operation in Operation::all() {
            for mount in CALL_MOUNTS {
                for below in CALL_PATHS {
                    let path = format!("{mount}{below}");
                    check(
                        exe,
                        &Call {
                            operation,
                            mount: Path::new(mount),
                            path: Path::new(&path),
                        },
                    );
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..Default::default() })]

    /// The compiled policy decides as all rules, the refused ones too, read one by one;
    /// what it says about trapping, paths and shadows is true.
    #[test]
    fn compiled_rules_decide_as_written(
        written in prop::collection::vec(written(), 0..7),
        lookups in select(&ACTIONS),
    ) {
        let (policy, numbers) = accepted(&written, lookups);
        let read: Vec<_> = written.iter().map(Interpreted::new).collect();
        let trapped = policy.operations_maybe_not_kernel();
        let shadows = policy.shadows();
        let mut narrowed = policy.for_program(Path::new(CALL_PROGRAMS[0]));
        let mut narrowed_for = CALL_PROGRAMS[0].to_owned();
        for_each_call(|exe, call| {
            if narrowed_for != exe {
                narrowed = policy.for_program(Path::new(exe));
                exe.clone_into(&mut narrowed_for);
            }
            let default = if call.operation.is_lookup() { lookups } else { "bypass" };
            let matched = read.iter().position(|rule| rule.matches(exe, call));
            let expected = decision(matched.map_or(default, |index| written[index].action));
            assert_eq!(narrowed.decide(call), expected, "{exe} {call:?} {written:?}");
            assert!(expected == Decision::Kernel || trapped.contains(call.operation));
            if let Some(fixed) = narrowed.fixed(call.operation) {
                assert_eq!(fixed, expected);
            }
            if !narrowed.needs_path(call.operation) {
                let elsewhere = Call { path: Path::new("/"), ..*call };
                assert_eq!(narrowed.decide(&elsewhere), expected);
            }
            // A rule that was refused, or warned of, has nothing to decide.
            let decides = matched.is_none_or(|index| numbers[index].is_some_and(|number| {
                !shadows.iter().any(|shadow| {
                    shadow.rule == number && shadow.operations.contains(call.operation)
                })
            }));
            assert!(decides, "{exe} {call:?} {written:?} {}", policy.explain());
        });
        let with_path = |(rule, number): (&Written, &Option<usize>)| {
            number.is_some() && rule.path.is_some()
        };
        prop_assert_eq!(policy.needs_paths(), written.iter().zip(&numbers).any(with_path));
    }

    /// Rules about programs decide as a person reads them, and leave those about calls alone.
    #[test]
    fn programs_are_fast_as_the_first_matching_rule_says(
        default in proptest::option::of(select(&FASTS)),
        written in prop::collection::vec((select(&PROGRAMS), select(&FASTS)), 0..5),
    ) {
        let defaults = default.map_or(String::new(), |fast| format!("[defaults]\nfast = '{fast}'\n"));
        let (mut text, mut rules) = (defaults, Vec::new());
        for (program, fast) in written {
            let longer = format!("{text}[[rule]]\nprogram = '{program}'\nfast = '{fast}'\n");
            match Policy::parse(&longer) {
                Ok(_) => {
                    text = longer;
                    rules.push((program, fast));
                }
                Err(error) => {
                    prop_assert_eq!(error.fault, Fault::Impossible, "{}{}", longer, error);
                    prop_assert!(rules.iter().any(|(known, _)| *known == program));
                }
            }
        }
        let policy = Policy::parse(&text).unwrap();
        for exe in CALL_PROGRAMS {
            let matches = |program: &str| match program.contains('/') {
                true => glob(program).is_match(exe),
                false => glob(program).is_match(exe.rsplit('/').next().unwrap()),
            };
            let index = rules.iter().position(|(program, _)| matches(program));
            let expected = index.map_or(default.unwrap_or("off"), |index| rules[index].1);
            let narrowed = policy.for_program(Path::new(exe));
            prop_assert_eq!(narrowed.fast().to_string(), expected, "{} {}", exe, text);
            prop_assert!(Operation::all().all(|it| narrowed.fixed(it).is_some()));
            prop_assert!(policy.maybe_fast() || narrowed.fast() == Fast::Off);
            // A rule that is warned of decides nothing.
            let warned = policy.shadows().iter().any(|shadow| Some(shadow.rule) == index.map(|it| it + 1));
            prop_assert!(!warned, "{} {}", exe, policy.explain());
        }
    }

    #[test]
    fn a_repeated_rule_is_refused(
        mut written in prop::collection::vec(written(), 1..4),
        again in any::<prop::sample::Index>(),
    ) {
        written.push(Written { action: "EIO", ..again.get(&written).clone() });
        let (_, numbers) = accepted(&written, "kernel");
        prop_assert_eq!(numbers.last(), Some(&None));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,200}") {
        let _ = Policy::parse(&text);
    }

    #[test]
    fn nothing_like_a_policy_makes_the_parser_panic(
        words in prop::collection::vec(select(&[
            "[[rule]]", "[rule]", "[defaults]", "\n", "=", "action", "mount", "path", "operations",
            "'kernel'", "'EIO'", "fast", "'on'", "program", "'rm'", "'/m/**'", "'/ü'", "\"\\u00fc", "[", "]", "{", "}", ",", "'", "\"",
            "1", "stat", "'stat'", ".", "rule", "version", "\r", "#", "é",
        ]), 0..40),
        separator in select(&["", " ", "\n"]),
    ) {
        if let Err(error) = Policy::parse(&words.join(separator)) {
            prop_assert!(error.line >= 1 && error.column >= 1);
            prop_assert!(!error.found.is_empty() && !error.expected.is_empty());
        }
    }

    /// Patterns that are accepted can be matched, those that are not are an error.
    #[test]
    fn no_pattern_makes_the_parser_panic(pattern in r"[/a*?\[\]{},!^\\.-]{0,30}", key in select(&["mount", "path", "program"])) {
        let text = format!("[[rule]]\n{key} = '/{pattern}'\naction = 'kernel'");
        match Policy::parse(&text) {
            Ok(policy) => {
                let call = Call {
                    operation: Operation::Stat,
                    mount: Path::new("/a"),
                    path: Path::new("/a/a"),
                };
                policy.for_program(Path::new("/a/a")).decide(&call);
                policy.explain();
            }
            Err(error) => prop_assert_eq!(error.fault, Fault::BadPattern, "{}", error),
        }
    }

    /// A class matches what globset's does, but never a slash.
    #[test]
    fn classes_match_single_characters_but_no_slash(class in r"\[[!^]?[a-c+\].-]{1,5}\]") {
        let text = format!("[[rule]]\npath = '/x{class}y'\noperations = ['stat']\naction = 'EIO'");
        if let Ok(policy) = Policy::parse(&text) {
            let policy = policy.for_program(Path::new("/a"));
            let decide = |path| policy.decide(&Call {
                operation: Operation::Stat,
                mount: Path::new("/x"),
                path: Path::new(path),
            });
            prop_assert_eq!(decide("/x/y"), Decision::Kernel);
            let plain = glob(&format!("/x{class}y"));
            for path in ["/xay", "/xby", "/xcy", "/xdy", "/x-y", "/x]y", "/x+y", "/x.y", "/x!y"] {
                prop_assert_eq!(decide(path) == Decision::Refuse(5), plain.is_match(path), "{}", path);
            }
        }
    }
}

#[test]
fn names_are_those_of_the_interpreter() {
    for name in OPERATIONS {
        let rule = Written {
            mount: None,
            path: None,
            program: None,
            operations: Some(vec![name]),
            action: "kernel",
        };
        let set = OperationSet::from_name(name).unwrap();
        assert!(
            Operation::all().all(|o| rule.has(o) == set.contains(o)),
            "{name}"
        );
    }
}
