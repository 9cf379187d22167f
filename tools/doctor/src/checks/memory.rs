//! Reading the memory of a program, from a process that is not its parent: so the
//! supervisor stands to it.
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::privileges;
use crate::check::Check;
use crate::probe::{self, ProbeError, Question};

const LIMIT: Duration = Duration::from_secs(5);
const YAMA: &str = "/proc/sys/kernel/yama/ptrace_scope";
/// What the target holds in its memory, where it is not writable.
pub(super) const TEXT: &std::ffi::CStr = c"the text that the doctor's target holds";
/// What a reader says that has found it.
const FOUND: &str = "found";

pub(super) fn checks() -> Vec<Check> {
    let capable = privileges::has(privileges::CAP_SYS_PTRACE);
    let scope = std::fs::read_to_string(YAMA).ok();
    vec![
        reading(),
        yama(scope.as_deref(), capable),
        capability(capable),
    ]
}

fn reading() -> Check {
    let name = "memory of programs";
    let refused = match try_reading() {
        Ok(text) if text == FOUND => {
            return Check::ok(
                name,
                "a process read another one's memory: paths can be read",
            );
        }
        Ok(error) => error,
        Err(error) => error.to_string(),
    };
    Check::missing(
        name,
        format!("a process could not read another one's memory, so no path can be read: {refused}"),
        "see ptrace_scope and CAP_SYS_PTRACE below; allow process_vm_readv(2) in the filter of this container",
    )
}

fn try_reading() -> Result<String, ProbeError> {
    let target = probe::ask::<&str>(Question::Target, &[], LIMIT)?;
    let place = [target.pid().to_string(), target.text.clone()];
    Ok(probe::ask(Question::Reader, &place, LIMIT)?.text.clone())
}

/// Says where the text is, and waits until nobody wants it any more.
pub(super) fn be_target() -> Option<String> {
    println!("{}", TEXT.as_ptr().addr());
    std::io::stdout().flush().ok()?;
    std::io::stdin().read_to_end(&mut Vec::new()).ok()?;
    None
}

/// Reads the text in the process and at the address that `arguments` name.
pub(super) fn probe(arguments: &[PathBuf]) -> Option<String> {
    let (pid, address) = place(arguments)?;
    let mut text = Vec::new();
    let found = finesse_notify::read_string(pid, address, &mut text);
    let process = Path::new("/proc").join(pid.to_string());
    Some(match (found, std::fs::read_link(process.join("cwd"))) {
        (Err(error), _) => error.to_string(),
        (Ok(()), Err(error)) => format!("its directory cannot be looked up: {error}"),
        (Ok(()), Ok(_)) if text == TEXT.to_bytes() => FOUND.to_owned(),
        (Ok(()), Ok(_)) => "something else was read there".to_owned(),
    })
}

/// The process and the address that `arguments` name.
pub(super) fn place(arguments: &[PathBuf]) -> Option<(u32, u64)> {
    let number = |argument: &PathBuf| argument.to_str()?.parse::<u64>().ok();
    let [pid, address] = arguments else {
        return None;
    };
    Some((u32::try_from(number(pid)?).ok()?, number(address)?))
}

/// Judges Yama's `ptrace_scope` (admin-guide/LSM/Yama.rst); none when the file is absent.
fn yama(scope: Option<&str>, capable: bool) -> Check {
    const LOWER: &str = "set sysctl kernel.yama.ptrace_scope=0, or run finesse-run as root";
    let name = "ptrace_scope";
    match scope.map(str::trim) {
        None => Check::ok(
            name,
            "Yama is not active: a user's programs may look into each other",
        ),
        Some("0") => Check::ok(name, "0: a user's programs may look into each other"),
        Some(scope @ ("1" | "2")) if capable => Check::ok(
            name,
            format!("{scope}: CAP_SYS_PTRACE is excepted, and held here"),
        ),
        Some("1") => Check::missing(
            name,
            "1: a program may look into its own descendants only, and the supervisor is not the program's parent",
            LOWER,
        ),
        Some("2") => Check::missing(name, "2: only CAP_SYS_PTRACE may look into programs", LOWER),
        Some("3") => Check::missing(
            name,
            "3: nobody may look into programs, and that holds until the machine restarts",
            "set kernel.yama.ptrace_scope=0 in /etc/sysctl.d and restart",
        ),
        Some(other) => Check::limited(
            name,
            format!("{other}: a value unknown to this version"),
            "set sysctl kernel.yama.ptrace_scope=0",
        ),
    }
}

fn capability(held: bool) -> Check {
    let meaning = if held {
        "held: programs of all users can be supervised"
    } else {
        "not held: programs of this user can be supervised, which is all that finesse-run starts"
    };
    Check::ok("CAP_SYS_PTRACE", meaning)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::State;

    #[test]
    fn scopes_are_judged() {
        for (scope, capable, state) in [
            (None, false, State::Ok),
            (Some("0\n"), false, State::Ok),
            (Some("1\n"), false, State::Missing),
            (Some("1\n"), true, State::Ok),
            (Some("2\n"), false, State::Missing),
            (Some("2\n"), true, State::Ok),
            (Some("3\n"), true, State::Missing),
            (Some("9"), true, State::Limited),
        ] {
            assert_eq!(yama(scope, capable).state, state, "{scope:?} {capable}");
        }
    }

    #[test]
    fn a_reader_knows_the_text_when_it_sees_it() {
        let arguments = |address: usize| {
            [std::process::id().to_string(), address.to_string()].map(PathBuf::from)
        };
        let right = probe(&arguments(TEXT.as_ptr().addr()));
        assert_eq!(right.as_deref(), Some(FOUND));
        let wrong = probe(&arguments(c"other".as_ptr().addr()));
        assert_ne!(wrong.as_deref(), Some(FOUND));
        assert_ne!(probe(&arguments(8)).as_deref(), Some(FOUND));
    }
}
