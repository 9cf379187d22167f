//! The BPF program that decides which calls trap.

use std::fs::File;
use std::io::{self, Read, Seek};

use libc::sock_filter;
use libseccomp::error::SeccompError;
use libseccomp::{ScmpAction, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext};
use nix::sys::memfd::{MFdFlags, memfd_create};
use thiserror::Error;

/// One system call of the x86-64 ABI to trap.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Trap {
    /// Its number (asm/unistd_64.h).
    pub number: i32,
    /// Trap only then; the kernel tests it before anything leaves the program.
    pub when: Option<When>,
}

/// A test of one argument: `argument & mask == value`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct When {
    /// 0 to 5.
    pub argument: u32,
    /// Bits that count.
    pub mask: u64,
    /// What they must be.
    pub value: u64,
}

/// Why no filter could be built.
#[derive(Debug, Error)]
pub enum FilterError {
    /// libseccomp refused a rule.
    #[error("libseccomp cannot build the filter: {0}")]
    Build(#[from] SeccompError),
    /// The program could not be fetched from it.
    #[error("cannot export the filter: {0}")]
    Export(#[from] io::Error),
}

impl From<nix::Error> for FilterError {
    fn from(error: nix::Error) -> Self {
        FilterError::Export(error.into())
    }
}

/// A filter that lets everything pass but the trapped calls. Calls of other ABIs (i386,
/// x32) pass.
#[derive(Clone)]
pub struct Filter {
    pub(crate) program: Vec<sock_filter>,
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Filter({} instructions)", self.program.len())
    }
}

impl Filter {
    /// Builds the program.
    ///
    /// # Errors
    /// [`FilterError`] when libseccomp refuses a rule.
    pub fn build(traps: &[Trap]) -> Result<Filter, FilterError> {
        let mut context = ScmpFilterContext::new(ScmpAction::Allow)?;
        context.set_act_badarch(ScmpAction::Allow)?;
        // A binary tree over the call numbers: few instructions for every call.
        context.set_ctl_optimize(2)?;
        for trap in traps {
            match trap.when {
                None => context.add_rule(ScmpAction::Notify, trap.number)?,
                Some(when) => context.add_rule_conditional(
                    ScmpAction::Notify,
                    trap.number,
                    &[ScmpArgCompare::new(
                        when.argument,
                        ScmpCompareOp::MaskedEqual(when.mask),
                        when.value,
                    )],
                )?,
            };
        }
        let mut file = File::from(memfd_create(c"finesse-filter", MFdFlags::MFD_CLOEXEC)?);
        context.export_bpf(&file)?;
        let mut bytes = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        let program = bytes.as_chunks::<8>().0.iter().map(instruction).collect();
        Ok(Filter { program })
    }
}

/// One `struct sock_filter` (linux/filter.h) from its bytes.
fn instruction(bytes: &[u8; 8]) -> sock_filter {
    let [a, b, jt, jf, k @ ..] = *bytes;
    sock_filter {
        code: u16::from_ne_bytes([a, b]),
        jt,
        jf,
        k: u32::from_ne_bytes(k),
    }
}
