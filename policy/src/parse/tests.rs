//! Each kind of fault, where it is reported and how.

use crate::{Fault, Policy};

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
    let policy = Policy::parse(include_str!("../../../docs/policy.example.toml")).unwrap();
    assert_eq!((policy.rules.len(), policy.fast.rules.len()), (4, 1));
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
                "3:3: unknown key `opertion`; expected one of `mount`, `path`, `program`, `operations`, `action`, `fast`; did you mean `operations`?",
            ),
            (
                "[[rule]]\naction = 'kernel'\nslow = 'on'",
                "3:1: unknown key `slow`; expected one of `mount`, `path`, `program`, `operations`, `action`, `fast`",
            ),
            (
                "[[rule]]\nfast = 'on'\nslow = 'on'",
                "3:1: unknown key `slow`; expected one of `mount`, `path`, `program`, `operations`, `action`, `fast`",
            ),
            (
                "[defaults]\nunlnk = 'kernel'",
                "2:1: unknown key `unlnk`; expected one of `all`, `mutations`, `lookups`, `unlink`, `rmdir`, `mkdir`, `rename`, `link`, `symlink`, `mknod`, `chmod`, `chown`, `truncate`, `utimens`, `setxattr`, `removexattr`, `stat`, `access`, `readlink`, `getxattr`, `listxattr`, `statfs`, `fast`; did you mean `unlink`?",
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
                "3:1: a rule without `action` or `fast`; expected `action = \"bypass\"`, `\"kernel\"` or the name of an errno",
            ),
            (
                "[[rule]]\nfast = 'on'",
                "1:1: a rule with `fast` and without `program`; expected `program`, or `fast` among the `[defaults]`",
            ),
            (
                "rule = [{ action = 'kernel' }, {}]",
                "1:32: a rule without `action` or `fast`; expected `action = \"bypass\"`, `\"kernel\"` or the name of an errno",
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
                "[[rule]]\nprogram = 'rm'\nfast = true",
                "3:8: the boolean true; expected a string: `auto`, `on` or `off`",
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
        Fault::UnknownFast,
        &[
            (
                "[defaults]\nfast = 'of'",
                "2:8: unknown value `of` of `fast`; expected one of `auto`, `on`, `off`; did you mean `off`?",
            ),
            (
                "[[rule]]\nprogram = 'rm'\nfast = 'bypass'",
                "3:8: unknown value `bypass` of `fast`; expected one of `auto`, `on`, `off`",
            ),
        ],
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
                "[[rule]]\nprogram = 'rm'\nfast = 'on'\naction = 'kernel'",
                "4:1: `action` beside `fast`; expected `program` alone beside `fast`, and a rule of its own for the rest",
            ),
            (
                "[[rule]]\nmount = '/m'\nprogram = 'rm'\nfast = 'on'",
                "2:1: `mount` beside `fast`; expected `program` alone beside `fast`, and a rule of its own for the rest",
            ),
            (
                "[[rule]]\naction = 'kernel'\n[[rule]]\nprogram = 'rm'\nfast = 'on'\n\
                 [[rule]]\nprogram = 'rm'\nfast = 'off'",
                "6:1: a rule that can never match: it repeats rule 2; expected another program",
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
