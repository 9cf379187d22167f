//! One rule of a policy.

use std::path::Path;

use crate::decision::Decision;
use crate::operations::OperationSet;
use crate::pattern::Pattern;
use crate::program::Call;
use crate::program_pattern::ProgramPattern;

/// One rule: when all its conditions hold, its decision stands. A condition that is
/// `None` always holds.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// Place among the rules, from 1.
    pub(crate) number: usize,
    /// Line of the policy's text where it begins, from 1.
    pub(crate) line: usize,
    pub(crate) mount: Option<Pattern>,
    pub(crate) path: Option<Pattern>,
    pub(crate) program: Option<ProgramPattern>,
    pub(crate) operations: OperationSet,
    pub(crate) decision: Decision,
}

impl Rule {
    pub(crate) fn is_for_program(&self, exe: &Path) -> bool {
        self.program
            .as_ref()
            .is_none_or(|program| program.matches(exe))
    }

    /// Whether it holds on each mount and path.
    pub(crate) fn is_for_any_place(&self) -> bool {
        self.mount.is_none() && self.path.is_none()
    }

    /// Whether mount and path are as the rule wants them.
    pub(crate) fn is_for_place(&self, call: &Call<'_>) -> bool {
        let mount = self.mount.as_ref();
        let path = self.path.as_ref();
        mount.is_none_or(|mount| mount.matches(call.mount.as_os_str()))
            && path.is_none_or(|path| path.matches(call.path.as_os_str()))
    }
}
