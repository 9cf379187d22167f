//! A policy as a whole.

use std::path::Path;
use std::sync::Arc;

use finesse_wire::Operation;

use crate::decision::Decision;
use crate::error::PolicyError;
use crate::fast::{Fast, FastRules};
use crate::operations::{OperationSet, PerOperation};
use crate::parse;
use crate::program::ProgramPolicy;
use crate::rule::Rule;

/// A checked and compiled policy. The default is the built-in one: mutations are
/// bypassed, look-ups are left to the kernel, which caches them, and no program posts its
/// calls itself.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(crate) rules: Vec<Arc<Rule>>,
    pub(crate) defaults: PerOperation<Decision>,
    pub(crate) fast: FastRules,
    /// The narrowed policy if no rule asks for the program.
    any_program: Option<ProgramPolicy>,
}

impl Policy {
    /// Reads a policy's text.
    ///
    /// # Errors
    /// The first fault of the text: it is not TOML, has an unknown key, a value of a
    /// wrong type, a bad pattern, or a rule that can never apply.
    pub fn parse(text: &str) -> Result<Policy, PolicyError> {
        parse::policy(text)
    }

    /// Each operation is bypassed, look-ups too.
    pub fn bypass_all() -> Policy {
        let defaults = PerOperation::from_fn(|_| Decision::Bypass);
        Policy::new(Vec::new(), defaults, FastRules::default())
    }

    pub(crate) fn new(
        rules: Vec<Rule>,
        defaults: PerOperation<Decision>,
        fast: FastRules,
    ) -> Policy {
        let rules: Vec<Arc<Rule>> = rules.into_iter().map(Arc::new).collect();
        let mut policy = Policy {
            rules,
            defaults,
            fast,
            any_program: None,
        };
        policy.narrow_for_any();
        policy
    }

    fn narrow_for_any(&mut self) {
        let asks = self.rules.iter().any(|rule| rule.program.is_some());
        self.any_program = (!asks && self.fast.rules.is_empty())
            .then(|| ProgramPolicy::new(&self.rules, &self.defaults, self.fast.default));
    }

    /// The policy with `fast` for all programs, whatever it says of them.
    #[must_use]
    pub fn with_fast(mut self, fast: Fast) -> Policy {
        self.fast = FastRules {
            rules: Vec::new(),
            default: fast,
        };
        self.narrow_for_any();
        self
    }

    /// Whether some program may post its calls itself.
    pub fn maybe_fast(&self) -> bool {
        self.fast.maybe_on()
    }

    /// Whether some program may do so in any case.
    pub fn maybe_on(&self) -> bool {
        self.fast.has(Fast::On)
    }

    /// Whether some program may do so where that is likely to pay.
    pub fn maybe_auto(&self) -> bool {
        self.fast.has(Fast::Auto)
    }

    /// The decisions where no rule matches, if the text does not set them.
    pub(crate) fn built_in_defaults() -> PerOperation<Decision> {
        PerOperation::from_fn(|operation| {
            if operation.is_lookup() {
                Decision::Kernel
            } else {
                Decision::Bypass
            }
        })
    }

    /// The policy for the program at `exe`: the absolute path of the file that
    /// execve(2) ran, as /proc/PID/exe shows it without a ` (deleted)` at its end. For a
    /// script that is its interpreter.
    pub fn for_program(&self, exe: &Path) -> ProgramPolicy {
        if let Some(policy) = &self.any_program {
            return policy.clone();
        }
        let rules = self.rules.iter().filter(|rule| rule.is_for_program(exe));
        let rules: Vec<_> = rules.cloned().collect();
        ProgramPolicy::new(&rules, &self.defaults, self.fast.of(exe))
    }

    /// The operations that some program's call may not leave to the kernel: only these
    /// are worth trapping.
    pub fn operations_maybe_not_kernel(&self) -> OperationSet {
        Operation::all()
            .filter(|o| self.maybe_not_kernel(*o))
            .collect()
    }

    fn maybe_not_kernel(&self, operation: Operation) -> bool {
        for rule in self
            .rules
            .iter()
            .filter(|rule| rule.operations.contains(operation))
        {
            if rule.decision != Decision::Kernel {
                return true;
            }
            if rule.is_for_any_place() && rule.program.is_none() {
                return false;
            }
        }
        *self.defaults.get(operation) != Decision::Kernel
    }

    /// Whether some rule has a path pattern, so that the full text of paths is needed.
    pub fn needs_paths(&self) -> bool {
        self.rules.iter().any(|rule| rule.path.is_some())
    }
}

impl Default for Policy {
    fn default() -> Self {
        Policy::new(
            Vec::new(),
            Policy::built_in_defaults(),
            FastRules::default(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Call;
    use Decision::{Bypass, Kernel, Refuse};

    fn policy(text: &str) -> Policy {
        Policy::parse(text).unwrap()
    }

    fn decide(
        policy: &Policy,
        exe: &str,
        operation: Operation,
        mount: &str,
        path: &str,
    ) -> Decision {
        policy.for_program(Path::new(exe)).decide(&Call {
            operation,
            mount: Path::new(mount),
            path: Path::new(path),
        })
    }

    #[test]
    fn built_in_policy_bypasses_mutations_only() {
        for policy in [Policy::default(), policy(""), policy("version = 1")] {
            for operation in Operation::all() {
                let expected = if operation.is_lookup() {
                    Kernel
                } else {
                    Bypass
                };
                assert_eq!(decide(&policy, "/bin/x", operation, "/m", "/m/a"), expected);
                assert_eq!(
                    policy.operations_maybe_not_kernel().contains(operation),
                    expected == Bypass
                );
            }
            assert!(!policy.needs_paths());
        }
    }

    #[test]
    fn bypass_all_bypasses_all() {
        let policy = Policy::bypass_all();
        assert_eq!(policy.operations_maybe_not_kernel(), OperationSet::all());
        let narrowed = policy.for_program(Path::new("/bin/x"));
        assert!(Operation::all().all(|o| narrowed.fixed(o) == Some(Bypass)));
    }

    #[test]
    fn narrower_defaults_win_over_wider_ones() {
        let policy = policy("[defaults]\nstat = 'bypass'\nlookups = 'EIO'\nall = 'kernel'");
        assert_eq!(decide(&policy, "/x", Operation::Stat, "/m", "/m/a"), Bypass);
        assert_eq!(
            decide(&policy, "/x", Operation::Access, "/m", "/m/a"),
            Refuse(5)
        );
        assert_eq!(
            decide(&policy, "/x", Operation::Unlink, "/m", "/m/a"),
            Kernel
        );
        assert_eq!(
            policy.operations_maybe_not_kernel(),
            OperationSet::from_name("lookups").unwrap()
        );
    }

    const PLACES: &str = r#"
[[rule]]
mount = "/mnt/*"
path = "/mnt/*/keep/**"
operations = ["unlink", "rename"]
action = "EPERM"
[[rule]]
mount = "/mnt/slow"
action = "kernel"
[[rule]]
operations = ["lookups"]
action = "bypass"
"#;

    #[test]
    fn the_first_matching_rule_decides() {
        let policy = policy(PLACES);
        let unlink = |mount, path| decide(&policy, "/bin/rm", Operation::Unlink, mount, path);
        assert_eq!(unlink("/mnt/slow", "/mnt/slow/keep/a"), Refuse(1));
        assert_eq!(unlink("/mnt/slow", "/mnt/slow/a"), Kernel);
        assert_eq!(unlink("/mnt/fast", "/mnt/fast/a"), Bypass);
        assert_eq!(unlink("/srv", "/mnt/x/keep/a"), Bypass);
        let stat = |mount, path| decide(&policy, "/bin/ls", Operation::Stat, mount, path);
        assert_eq!(stat("/mnt/slow", "/mnt/slow/a"), Kernel);
        assert_eq!(stat("/mnt/fast", "/mnt/fast/keep/a"), Bypass);
    }

    #[test]
    fn paths_are_needed_only_by_operations_with_path_rules() {
        let policy = policy(PLACES);
        assert!(policy.needs_paths());
        let narrowed = policy.for_program(Path::new("/bin/rm"));
        assert!(narrowed.needs_path(Operation::Unlink));
        assert!(!narrowed.needs_path(Operation::Mkdir));
        assert_eq!(narrowed.fixed(Operation::Mkdir), None);
        assert!(!narrowed.needs_path(Operation::Stat));
    }

    #[test]
    fn refusals_are_not_by_mount_alone() {
        let by_mount_alone = |text| {
            let policy = policy(text).for_program(Path::new("/bin/rm"));
            policy.is_by_mount_alone()
        };
        assert!(by_mount_alone("[[rule]]\nmount = '/m'\naction = 'kernel'"));
        assert!(!by_mount_alone("[[rule]]\nmount = '/m'\naction = 'EIO'"));
        assert!(!by_mount_alone("[defaults]\nstat = 'EIO'"));
        let hidden = "[[rule]]\naction = 'kernel'\n[[rule]]\npath = '/m/x'\naction = 'EIO'";
        assert!(by_mount_alone(hidden));
    }

    #[test]
    fn two_places_get_the_stricter_decision() {
        let policy = policy(PLACES).for_program(Path::new("/bin/mv"));
        let place = |path| Call {
            operation: Operation::Rename,
            mount: Path::new("/mnt/a"),
            path: Path::new(path),
        };
        let (free, kept) = (place("/mnt/a/x"), place("/mnt/a/keep/x"));
        assert_eq!(policy.decide_both(&free, &free), Bypass);
        assert_eq!(policy.decide_both(&free, &kept), Refuse(1));
        assert_eq!(policy.decide_both(&kept, &free), Refuse(1));
    }

    #[test]
    fn rules_of_other_programs_are_dropped() {
        let policy = policy(
            "[[rule]]\nprogram = 'rm'\npath = '/m/x'\naction = 'EBUSY'\n\
             [[rule]]\nprogram = '/opt/**'\naction = 'kernel'",
        );
        let rm = policy.for_program(Path::new("/bin/rm"));
        assert!(rm.needs_path(Operation::Unlink));
        assert!(!rm.is_by_mount_alone());
        let other = policy.for_program(Path::new("/bin/mv"));
        assert_eq!(other.fixed(Operation::Unlink), Some(Bypass));
        assert!(other.is_by_mount_alone());
        let opt = policy.for_program(Path::new("/opt/a/b"));
        assert_eq!(opt.fixed(Operation::Unlink), Some(Kernel));
    }

    #[test]
    fn what_all_programs_leave_to_the_kernel_is_not_trapped() {
        let trapped = |text| policy(text).operations_maybe_not_kernel();
        assert!(trapped("[[rule]]\naction = 'kernel'").is_empty());
        let one = "[[rule]]\nprogram = 'rm'\noperations = ['stat']\naction = 'bypass'\n\
                   [[rule]]\naction = 'kernel'";
        assert_eq!(trapped(one), [Operation::Stat].into_iter().collect());
        let hidden = "[[rule]]\noperations = ['all']\naction = 'kernel'\n\
                      [[rule]]\nprogram = 'rm'\naction = 'bypass'";
        assert!(trapped(hidden).is_empty());
        let one_program = "[[rule]]\nprogram = 'rm'\naction = 'kernel'";
        assert_eq!(
            trapped(one_program),
            OperationSet::from_name("mutations").unwrap()
        );
        let partly = "[[rule]]\nmount = '/m'\naction = 'kernel'";
        assert_eq!(
            trapped(partly),
            OperationSet::from_name("mutations").unwrap()
        );
    }
}
