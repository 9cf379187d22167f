//! The BPF program that decides which calls trap.

use std::fs::File;
use std::io::{self, Read, Seek};

use libc::sock_filter;
use libseccomp::error::SeccompError;
use libseccomp::{
    ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall,
};
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

impl Trap {
    /// Whether a call of the x86-64 ABI is trapped for this.
    #[must_use]
    pub fn is(&self, number: i32, arguments: [u64; 6]) -> bool {
        let holds = |when: When| {
            let argument = arguments.get(when.argument as usize);
            argument.is_some_and(|it| it & when.mask == when.value)
        };
        self.number == number && self.when.is_none_or(holds)
    }
}

/// One system call to trap when it is made through the i386 or the x32 ABI.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ForeignTrap {
    /// Its name there; an ABI that has no such call is left out.
    pub name: &'static str,
    /// Trap only then.
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
    #[error("libseccomp cannot build the filter")]
    Build(#[from] SeccompError),
    /// The program could not be fetched from it.
    #[error("cannot export the filter")]
    Export(#[from] io::Error),
}

impl From<nix::Error> for FilterError {
    fn from(error: nix::Error) -> Self {
        FilterError::Export(error.into())
    }
}

/// Code of ours in a target. From `start` on every call traps, from `passing` up to `end`
/// every call passes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Resident {
    /// First address; the area does not cross a multiple of 4 GiB.
    pub start: u64,
    /// First address from which calls pass.
    pub passing: u64,
    /// First address behind the area.
    pub end: u64,
}

impl Resident {
    /// The instructions that decide by where a call comes from (`instruction_pointer` of
    /// `struct seccomp_data`, seccomp(2)).
    fn prelude(self) -> [sock_filter; 8] {
        const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
        let [low, high] = [8, 12];
        let at_least = |address: u64, jt, jf| {
            let (low, _) = halves(address);
            statement(libc::BPF_JMP | libc::BPF_JGE, low, jt, jf)
        };
        let (_, start_high) = halves(self.start);
        let leave = |action| statement(libc::BPF_RET, action, 0, 0);
        [
            statement(LOAD, high, 0, 0),
            statement(libc::BPF_JMP | libc::BPF_JEQ, start_high, 0, 6),
            statement(LOAD, low, 0, 0),
            at_least(self.start, 0, 4),
            at_least(self.end, 3, 0),
            at_least(self.passing, 1, 0),
            leave(libc::SECCOMP_RET_USER_NOTIF),
            leave(libc::SECCOMP_RET_ALLOW),
        ]
    }
}

/// Low and high half.
fn halves(address: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = address.to_ne_bytes();
    (
        u32::from_ne_bytes([a, b, c, d]),
        u32::from_ne_bytes([e, f, g, h]),
    )
}

/// `BPF_K` is 0.
fn statement(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    let [a, b, ..] = code.to_ne_bytes();
    sock_filter {
        code: u16::from_ne_bytes([a, b]),
        jt,
        jf,
        k,
    }
}

/// Bytes of the longest program that the kernel takes (`BPF_MAXINSNS`).
const LONGEST: u64 = 4096 * 8;

/// A filter that lets everything pass but the trapped calls.
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
    /// The same, but for calls from code of ours in the target.
    #[must_use]
    pub fn with_resident(mut self, resident: Resident) -> Filter {
        self.program.splice(0..0, resident.prelude());
        self
    }

    /// Builds the program. Any x86-64 program may make calls of the other two ABIs as well,
    /// where the kernel has them.
    ///
    /// # Errors
    /// [`FilterError`] when libseccomp refuses a rule.
    pub fn build(traps: &[Trap], foreign: &[ForeignTrap]) -> Result<Filter, FilterError> {
        let mut context = context()?;
        for trap in traps {
            add(&mut context, trap.number.into(), trap.when)?;
        }
        for arch in [ScmpArch::X86, ScmpArch::X32] {
            context.merge(foreign_context(arch, foreign)?)?;
        }
        let mut file = File::from(memfd_create(c"finesse-filter", MFdFlags::MFD_CLOEXEC)?);
        // libseccomp does not say that a file which may not grow (`RLIMIT_FSIZE`) has only a part.
        file.set_len(LONGEST)?;
        context.export_bpf(&file)?;
        let mut bytes = Vec::new();
        let len = file.stream_position()?;
        file.rewind()?;
        file.take(len).read_to_end(&mut bytes)?;
        let program = bytes.as_chunks::<8>().0.iter().map(instruction).collect();
        Ok(Filter { program })
    }
}

fn context() -> Result<ScmpFilterContext, SeccompError> {
    let mut context = ScmpFilterContext::new(ScmpAction::Allow)?;
    context.set_act_badarch(ScmpAction::Allow)?;
    // A binary tree over the call numbers: few instructions for every call.
    context.set_ctl_optimize(2)?;
    Ok(context)
}

/// The rules of one other ABI: only merging keeps them apart from those of x86-64.
fn foreign_context(
    arch: ScmpArch,
    traps: &[ForeignTrap],
) -> Result<ScmpFilterContext, SeccompError> {
    let mut context = context()?;
    context.add_arch(arch)?;
    context.remove_arch(ScmpArch::Native)?;
    for trap in traps {
        if ScmpSyscall::from_name_by_arch(trap.name, arch).is_ok_and(is_real) {
            add(&mut context, ScmpSyscall::from_name(trap.name)?, trap.when)?;
        }
    }
    Ok(context)
}

/// libseccomp has negative numbers for calls that an ABI lacks.
fn is_real(call: ScmpSyscall) -> bool {
    call.as_raw_syscall() >= 0
}

fn add(
    context: &mut ScmpFilterContext,
    call: ScmpSyscall,
    when: Option<When>,
) -> Result<(), SeccompError> {
    let tests: Vec<_> = when
        .iter()
        .map(|when| {
            let equal = ScmpCompareOp::MaskedEqual(when.mask);
            ScmpArgCompare::new(when.argument, equal, when.value)
        })
        .collect();
    context.add_rule_conditional(ScmpAction::Notify, call, &tests)?;
    Ok(())
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
