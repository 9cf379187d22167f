//! Who asks, and what no_new_privs takes away.

use procfs::process::Process;

use crate::check::Check;

/// Bit numbers of capabilities(7).
pub(super) const CAP_SYS_PTRACE: u32 = 19;
pub(super) const CAP_SYS_ADMIN: u32 = 21;

pub(super) fn checks() -> Vec<Check> {
    vec![user(nix::unistd::geteuid().as_raw()), no_new_privs()]
}

/// Whether this process has the capability in effect.
pub(super) fn has(capability: u32) -> bool {
    Process::myself()
        .and_then(|me| me.status())
        .is_ok_and(|status| status.capeff >> capability & 1 == 1)
}

fn user(uid: u32) -> Check {
    let meaning = if uid == 0 {
        "root: speaks for every user to a file system's process".to_owned()
    } else {
        format!(
            "user {uid}: speaks for itself alone; file systems of this user and of root are trusted"
        )
    };
    Check::ok("user", meaning)
}

fn no_new_privs() -> Check {
    let active = nix::sys::prctl::get_no_new_privs().unwrap_or(false);
    judge_no_new_privs(active, has(CAP_SYS_ADMIN))
}

fn judge_no_new_privs(active: bool, privileged: bool) -> Check {
    let name = "no_new_privs";
    if active {
        Check::limited(
            name,
            "set already, by whoever started this shell: set-user-ID programs such as sudo get no privilege here, fusermount3 among them, so nothing can be mounted without root",
            "start from a session without it (a container without no-new-privileges, a service without NoNewPrivileges=)",
        )
    } else if privileged {
        Check::ok(
            name,
            "not needed with CAP_SYS_ADMIN: set-user-ID programs keep their privilege under finesse-run",
        )
    } else {
        Check::limited(
            name,
            "finesse-run must set it: set-user-ID programs such as sudo and ping get no privilege under it",
            "start those outside finesse-run, or run it as root",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::State;

    #[test]
    fn no_new_privs_is_judged() {
        assert_eq!(judge_no_new_privs(true, true).state, State::Limited);
        assert_eq!(judge_no_new_privs(false, true).state, State::Ok);
        assert_eq!(judge_no_new_privs(false, false).state, State::Limited);
    }
}
