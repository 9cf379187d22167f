//! Who shares root, umask and working directory with whom (`CLONE_FS`, clone(2)).
#![allow(unsafe_code)]

/// `KCMP_FS` (linux/kcmp.h).
const KCMP_FS: libc::c_ulong = 3;

/// Whether two threads share their `fs_struct`. None when the kernel does not say: one of them is gone, or it was
/// built without kcmp(2).
pub(super) fn share_fs(one: u32, other: u32) -> Option<bool> {
    let (one, other) = (libc::c_ulong::from(one), libc::c_ulong::from(other));
    let unused: libc::c_ulong = 0;
    // SAFETY: kcmp reads five numbers, none of which is an address, and changes nothing.
    match unsafe { libc::syscall(libc::SYS_kcmp, one, other, KCMP_FS, unused, unused) } {
        0 => Some(true),
        // Smaller, larger, other.
        1..=3 => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_share_and_processes_do_not() {
        let me = std::process::id();
        let thread = std::thread::spawn(|| nix::unistd::gettid().as_raw().cast_unsigned());
        assert_eq!(share_fs(me, me), Some(true));
        let other = thread.join().unwrap();
        assert_ne!(share_fs(me, other), Some(false));
        assert_eq!(share_fs(me, u32::MAX >> 1), None);
        let mut child = std::process::Command::new("sleep")
            .arg("9")
            .spawn()
            .unwrap();
        assert_eq!(share_fs(me, child.id()), Some(false));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
