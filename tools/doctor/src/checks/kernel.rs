//! The kernel: its version, and calls that came with one.

#![allow(unsafe_code)]

use std::io;

use rustix::fs::{AtFlags, CWD, OFlags, StatxFlags, statx};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::system::uname;

use crate::check::Check;

const UPDATE: &str = "run a newer kernel";

/// Major and minor number of a version.
type Version = (u32, u32);

/// The first kernel with all that Finesse needs: `WAIT_KILLABLE_RECV`.
const NEEDED: Version = (5, 19);
/// The first kernel with all that makes it fast and exact: `PIDFD_THREAD`.
const WANTED: Version = (6, 9);

pub(super) fn checks() -> Vec<Check> {
    let uname = uname();
    let release = uname.release().to_string_lossy();
    let machine = uname.machine().to_string_lossy();
    vec![
        version(&release),
        architecture(&machine),
        mount_ids(),
        thread_pidfds(),
        close_range(),
    ]
}

fn version(release: &str) -> Check {
    let name = "kernel version";
    match parse(release) {
        None => Check::limited(
            name,
            format!("{release}: not understood; the checks below tell what works"),
            UPDATE,
        ),
        Some(version) if version < NEEDED => Check::missing(
            name,
            format!("{release}: before Linux 5.19 a signal could make a trapped call run twice"),
            "run Linux 5.19 or newer, 6.9 at best",
        ),
        Some(version) if version < WANTED => Check::limited(
            name,
            format!(
                "{release}: works; newer kernels trap faster (6.6) and tell threads apart more surely (6.9)"
            ),
            "run Linux 6.9 or newer",
        ),
        Some(_) => Check::ok(name, format!("{release}: has all that Finesse uses")),
    }
}

/// The version at the head of a release string such as `6.1.0-18-amd64`.
fn parse(release: &str) -> Option<Version> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn architecture(machine: &str) -> Check {
    let name = "architecture";
    if machine == "x86_64" {
        Check::ok(name, "x86_64: its system calls are the ones Finesse knows")
    } else {
        Check::missing(
            name,
            format!("{machine}: Finesse knows the system calls of x86_64 only"),
            "run on x86_64",
        )
    }
}

/// `STATX_MNT_ID` (Linux 5.8): tells which mount a path leads to.
fn mount_ids() -> Check {
    let name = "mount ids";
    let found = statx(CWD, "/", AtFlags::empty(), StatxFlags::MNT_ID);
    if found.is_ok_and(|found| found.stx_mask & StatxFlags::MNT_ID.bits() != 0) {
        Check::ok(name, "statx(2) tells which mount a path leads to")
    } else {
        Check::missing(
            name,
            "statx(2) does not tell which mount a path leads to, so no call can be bypassed",
            "run Linux 5.8 or newer",
        )
    }
}

/// `PIDFD_THREAD` (linux/pidfd.h, Linux 6.9), the same bit as `O_EXCL`. Older kernels
/// refuse the flag for any thread.
fn thread_pidfds() -> Check {
    let name = "thread descriptors";
    let flags = PidfdFlags::from_bits_retain(OFlags::EXCL.bits());
    let own = Pid::from_raw(std::process::id().cast_signed());
    if own.is_some_and(|pid| pidfd_open(pid, flags).is_ok()) {
        Check::ok(
            name,
            "pidfd_open(2) takes threads, so an ended thread is noticed",
        )
    } else {
        Check::limited(
            name,
            "pidfd_open(2) takes processes only, so what is known of a program's threads is asked again more often",
            "run Linux 6.9 or newer",
        )
    }
}

/// close_range(2) (Linux 5.9).
fn close_range() -> Check {
    let name = "close_range";
    // SAFETY: a range whose first descriptor lies beyond its last is refused with EINVAL
    // before any descriptor is closed.
    let result = unsafe { libc::syscall(libc::SYS_close_range, 1, 0, 0) };
    let errno = io::Error::last_os_error().raw_os_error();
    if result == -1 && errno == Some(libc::EINVAL) {
        Check::ok(
            name,
            "the supervisor lets go of the program's descriptors at once",
        )
    } else {
        Check::missing(
            name,
            "without close_range(2) the supervisor keeps the program's descriptors open: pipes would not end",
            "run Linux 5.9 or newer, or allow the call in the seccomp filter of this container",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::State;

    #[test]
    fn releases_are_parsed() {
        assert_eq!(parse("6.1.0-18-amd64"), Some((6, 1)));
        assert_eq!(parse("5.19"), Some((5, 19)));
        assert_eq!(parse("6.18.0+"), Some((6, 18)));
        assert_eq!(parse("weird"), None);
        assert_eq!(parse("6"), None);
    }

    #[test]
    fn versions_are_judged() {
        for (release, state) in [
            ("5.4.0", State::Missing),
            ("5.18.9", State::Missing),
            ("5.19.0", State::Limited),
            ("6.8.12", State::Limited),
            ("6.9.0", State::Ok),
            ("6.18.1", State::Ok),
            ("7.0.0", State::Ok),
            ("odd", State::Limited),
        ] {
            assert_eq!(version(release).state, state, "{release}");
        }
    }

    #[test]
    fn other_machines_are_missing_out() {
        assert_eq!(architecture("aarch64").state, State::Missing);
        assert_eq!(architecture("x86_64").state, State::Ok);
    }
}
