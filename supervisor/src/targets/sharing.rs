//! Who shares root, umask and working directory with whom (`CLONE_FS`, clone(2)).
#![allow(unsafe_code)]

/// What two threads may share (linux/kcmp.h).
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
enum Part {
    /// `KCMP_VM`: memory.
    Memory = 1,
    /// `KCMP_FS`: root, umask and working directory.
    Fs = 3,
}

/// Whether two threads share their `fs_struct`. None when the kernel does not say: one of them is gone, or it was
/// built without kcmp(2).
pub(super) fn share_fs(one: u32, other: u32) -> Option<bool> {
    share(Part::Fs, one, other)
}

/// Whether two processes share their memory (`CLONE_VM`, as vfork(2) does). None as above.
pub(crate) fn share_memory(one: u32, other: u32) -> Option<bool> {
    share(Part::Memory, one, other)
}

fn share(part: Part, one: u32, other: u32) -> Option<bool> {
    let part = libc::c_ulong::from(part as u8);
    let (one, other) = (libc::c_ulong::from(one), libc::c_ulong::from(other));
    let unused: libc::c_ulong = 0;
    // SAFETY: kcmp reads five numbers, none of which is an address, and changes nothing.
    match unsafe { libc::syscall(libc::SYS_kcmp, one, other, part, unused, unused) } {
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
