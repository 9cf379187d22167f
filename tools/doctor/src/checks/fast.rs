//! What the fast path takes (`finesse-run --fast`): code is written into programs.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use super::memory::{TEXT, place};
use crate::check::Check;
use crate::probe::{self, ProbeError, Question};

const LIMIT: Duration = Duration::from_secs(5);
const MIN_ADDR: &str = "/proc/sys/vm/mmap_min_addr";
/// Where rewritten calls jump through (`finesse-agent`, layout.rs): the bytes of the address
/// are a part of the code.
const TABLE: usize = 0x050F_0000;
const TABLE_LEN: usize = 0x1_0000;
/// What a writer says that has written.
const WRITTEN: &str = "written";
const ON_TRAPS: &str = "with --fast, programs stay on traps";

pub(super) fn checks() -> Vec<Check> {
    vec![
        writing(try_writing()),
        table(map_table().err(), std::fs::read_to_string(MIN_ADDR).ok()),
        looking(children_are_shown(), memory_is_compared()),
    ]
}

/// What the fast path is told of a program's memory and children.
fn looking(children: bool, memory: bool) -> Check {
    let name = "programs' relatives";
    let missing = match (children, memory) {
        (true, true) => {
            return Check::ok(
                name,
                "who shares memory with whom is shown: with --fast, an agent goes where it is alone",
            );
        }
        (false, _) => "/proc shows no children (CONFIG_PROC_CHILDREN)",
        (true, false) => "kcmp(2) compares nothing (CONFIG_KCMP)",
    };
    Check::limited(
        name,
        format!("{missing}: {ON_TRAPS}"),
        "run a kernel with CONFIG_PROC_CHILDREN and CONFIG_KCMP; allow kcmp(2) in the filter of this container",
    )
}

fn children_are_shown() -> bool {
    let own = std::process::id();
    Path::new(&format!("/proc/{own}/task/{own}/children")).exists()
}

/// kcmp(2), on this process and itself.
fn memory_is_compared() -> bool {
    const KCMP_VM: libc::c_ulong = 1;
    let own = libc::c_ulong::from(std::process::id());
    let unused: libc::c_ulong = 0;
    // SAFETY: kcmp reads five numbers, none of which is an address, and changes nothing.
    unsafe { libc::syscall(libc::SYS_kcmp, own, own, KCMP_VM, unused, unused) == 0 }
}

fn writing(tried: Result<String, ProbeError>) -> Check {
    let name = "text of programs";
    let refused = match tried {
        Ok(text) if text == WRITTEN => {
            return Check::ok(
                name,
                "a process wrote into another one's text: with --fast, calls can be rewritten",
            );
        }
        Ok(error) => error,
        Err(error) => error.to_string(),
    };
    Check::limited(
        name,
        format!("a process could not write into another one's text, so {ON_TRAPS}: {refused}"),
        "see ptrace_scope above; boot with proc_mem.force_override=always (a kernel may be built to force writes for ptrace(2) alone, or never)",
    )
}

fn try_writing() -> Result<String, ProbeError> {
    let target = probe::ask::<&str>(Question::Target, &[], LIMIT)?;
    let place = [target.pid().to_string(), target.text.clone()];
    Ok(probe::ask(Question::Writer, &place, LIMIT)?.text.clone())
}

/// Writes what is not writable in the process and at the address that `arguments` name; that
/// process has a page of its own from then on.
pub(super) fn write(arguments: &[PathBuf]) -> Option<String> {
    let (pid, address) = place(arguments)?;
    Some(match overwrite(pid, address) {
        Ok(true) => WRITTEN.to_owned(),
        Ok(false) => "what was written is not there".to_owned(),
        Err(error) if error.raw_os_error() == Some(libc::EIO) => {
            "the kernel forces no writes (proc_mem.force_override)".to_owned()
        }
        Err(error) => error.to_string(),
    })
}

fn overwrite(pid: u32, address: u64) -> io::Result<bool> {
    let path = format!("/proc/{pid}/mem");
    let memory = File::options().read(true).write(true).open(path)?;
    let new: Vec<u8> = TEXT.to_bytes().iter().rev().copied().collect();
    memory.write_all_at(&new, address)?;
    let mut found = vec![0; new.len()];
    memory.read_exact_at(&mut found, address)?;
    Ok(found == new)
}

fn table(refused: Option<io::Error>, lowest: Option<String>) -> Check {
    let name = "low addresses";
    let Some(error) = refused else {
        return Check::ok(
            name,
            "0x050F0000 can be mapped: with --fast, rewritten calls jump through it",
        );
    };
    let lowest = lowest.and_then(|text| text.trim().parse::<usize>().ok());
    match lowest {
        Some(lowest) if lowest > TABLE => Check::limited(
            name,
            format!("vm.mmap_min_addr is {lowest}, above 0x050F0000, so {ON_TRAPS}"),
            "set sysctl vm.mmap_min_addr=65536",
        ),
        _ => Check::limited(
            name,
            format!("0x050F0000 cannot be mapped, so {ON_TRAPS}: {error}"),
            "see whether a limit of this session (ulimit -v) or a security module forbids it",
        ),
    }
}

/// Maps what rewritten calls jump through, and lets go of it.
fn map_table() -> io::Result<()> {
    let at = std::ptr::without_provenance_mut(TABLE);
    let flags = MapFlags::PRIVATE | MapFlags::FIXED_NOREPLACE;
    // SAFETY: new memory, which replaces none (`MAP_FIXED_NOREPLACE`; a kernel that does not
    // know the flag takes the address for a hint, and replaces none either).
    let mapped = unsafe { mmap_anonymous(at, TABLE_LEN, ProtFlags::READ, flags) }?;
    let is_there = mapped == at;
    // SAFETY: what was mapped just now, which nothing refers to.
    unsafe { munmap(mapped, TABLE_LEN) }?;
    is_there
        .then_some(())
        .ok_or_else(|| io::Error::other("the kernel chose another address"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::State;

    #[test]
    fn findings_are_judged() {
        assert_eq!(writing(Ok(WRITTEN.to_owned())).state, State::Ok);
        let refused = writing(Ok("no".to_owned()));
        assert_eq!(refused.state, State::Limited);
        assert!(refused.meaning.ends_with(": no"), "{}", refused.meaning);
        assert_eq!(writing(Err(ProbeError::TimedOut)).state, State::Limited);
        assert_eq!(looking(true, true).state, State::Ok);
        assert_eq!(looking(false, true).state, State::Limited);
        assert_eq!(looking(true, false).state, State::Limited);
    }

    #[test]
    fn the_lowest_address_is_the_cause_when_it_is() {
        let error = || Some(io::Error::from_raw_os_error(libc::EPERM));
        assert_eq!(table(None, None).state, State::Ok);
        let too_high = table(error(), Some("134217728\n".to_owned()));
        assert!(
            too_high.meaning.contains("vm.mmap_min_addr"),
            "{too_high:?}"
        );
        let other = table(error(), Some("65536\n".to_owned()));
        assert!(!other.meaning.contains("vm.mmap_min_addr"), "{other:?}");
        assert_eq!(other.state, State::Limited);
    }

    #[test]
    fn what_is_not_writable_is_written() {
        let page = MapFlags::PRIVATE;
        // SAFETY: new memory at an address of the kernel's choice.
        let at = unsafe { mmap_anonymous(std::ptr::null_mut(), 4096, ProtFlags::READ, page) };
        let address = at.unwrap().addr() as u64;
        // Where the kernel forces no writes, this fails with EIO, as it should.
        match overwrite(std::process::id(), address) {
            Ok(written) => assert!(written),
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EIO)),
        }
    }
}
