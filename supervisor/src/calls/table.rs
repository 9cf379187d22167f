//! One line a system call: number, name, operation, and how its registers read.
//!
//! Numbers are those of asm/unistd_64.h; argument types and checks follow the
//! `SYSCALL_DEFINE`s in fs/namei.c, fs/open.c, fs/stat.c, fs/utimes.c, fs/xattr.c and
//! fs/statfs.c.

use finesse_notify::{Trap, When};
use finesse_wire::{MAX_XATTR_VALUE, Operation};

use super::{Detail, Event, PathArg, PathCall, TimesLayout, Trapped};

type Args = [u64; 6];

/// One system call that may trap.
#[derive(Debug)]
pub(super) struct Entry {
    number: i64,
    pub(super) name: &'static str,
    /// Empty for an event.
    operation: &'static [Operation],
    when: Option<When>,
    pub(super) decode: fn(&Args) -> Option<Trapped>,
}

impl Entry {
    pub(super) fn trap(&self) -> Trap {
        Trap {
            number: low_signed(self.number.cast_unsigned()),
            when: self.when,
        }
    }
}

/// The entry of a call.
pub(super) fn find(number: i32) -> Option<&'static Entry> {
    let number = i64::from(number);
    // Sorted by number; a test holds that.
    let index = TABLE.binary_search_by_key(&number, |entry| entry.number);
    match index {
        Ok(index) => Some(&TABLE[index]),
        Err(_) => FAST.iter().find(|entry| entry.number == number),
    }
}

/// The entries that are events where programs post requests themselves.
pub(super) fn fast_events() -> impl Iterator<Item = &'static Entry> {
    FAST.iter()
}

/// prctl(2) with this option, which is no event.
pub(super) fn prctl_trap(option: i32) -> Trap {
    prctl(option).trap()
}

/// arch_prctl(2) with `ARCH_SET_FS` (asm/prctl.h), which is no event.
pub(super) fn start() -> Trap {
    let entry = Entry {
        when: Some(option_is(0x1002)),
        ..event(libc::SYS_arch_prctl, "arch_prctl", |_| None)
    };
    entry.trap()
}

/// The entries that may ask for a wanted operation.
pub(super) fn paths(wanted: impl Fn(Operation) -> bool) -> impl Iterator<Item = &'static Entry> {
    TABLE
        .iter()
        .filter(move |entry| entry.operation.iter().any(|o| wanted(*o)))
}

/// The entries that are events.
pub(super) fn events() -> impl Iterator<Item = &'static Entry> {
    TABLE.iter().filter(|entry| entry.operation.is_empty())
}

const CWD: i32 = libc::AT_FDCWD;
const NOFOLLOW: u32 = libc::AT_SYMLINK_NOFOLLOW.cast_unsigned();
const FOLLOW: u32 = libc::AT_SYMLINK_FOLLOW.cast_unsigned();
const REMOVEDIR: u32 = libc::AT_REMOVEDIR.cast_unsigned();
const EACCESS: u32 = libc::AT_EACCESS.cast_unsigned();
const NO_AUTOMOUNT: u32 = libc::AT_NO_AUTOMOUNT.cast_unsigned();
/// With this flag an empty path means the descriptor; a path that is not empty is
/// unaffected, and empty ones are the kernel's in any case.
const EMPTY_PATH: u32 = libc::AT_EMPTY_PATH.cast_unsigned();
/// `AT_STATX_FORCE_SYNC`: ask the file system, which the bypass does. (`DONT_SYNC` asks
/// for what the kernel has cached: only the kernel has that.)
const FORCE_SYNC: u32 = 0x2000;

use Operation as O;

#[rustfmt::skip]
static TABLE: &[Entry] = &[
    path(libc::SYS_stat, "stat", &[O::Stat], |a| call(O::Stat, at(CWD, a[0]), true, Detail::Stat { buffer: a[1] })),
    path(libc::SYS_lstat, "lstat", &[O::Stat], |a| call(O::Stat, at(CWD, a[0]), false, Detail::Stat { buffer: a[1] })),
    path(libc::SYS_access, "access", &[O::Access], |a| access(at(CWD, a[0]), a[1], 0)),
    event(libc::SYS_execve, "execve", |_| happened(Event::Exec)),
    path(libc::SYS_truncate, "truncate", &[O::Truncate], |a| call(O::Truncate, at(CWD, a[0]), true, Detail::Size(a[1].cast_signed()))),
    path(libc::SYS_rename, "rename", &[O::Rename], |a| pair(O::Rename, at(CWD, a[0]), at(CWD, a[1]), false, Detail::Flags(0))),
    path(libc::SYS_mkdir, "mkdir", &[O::Mkdir], |a| call(O::Mkdir, at(CWD, a[0]), false, Detail::Mode(mode(a[1])))),
    path(libc::SYS_rmdir, "rmdir", &[O::Rmdir], |a| call(O::Rmdir, at(CWD, a[0]), false, Detail::None)),
    path(libc::SYS_link, "link", &[O::Link], |a| pair(O::Link, at(CWD, a[0]), at(CWD, a[1]), false, Detail::None)),
    path(libc::SYS_unlink, "unlink", &[O::Unlink], |a| call(O::Unlink, at(CWD, a[0]), false, Detail::None)),
    path(libc::SYS_symlink, "symlink", &[O::Symlink], |a| call(O::Symlink, at(CWD, a[1]), false, Detail::Text { address: a[0] })),
    path(libc::SYS_readlink, "readlink", &[O::Readlink], |a| readlink(at(CWD, a[0]), a[1], a[2])),
    path(libc::SYS_chmod, "chmod", &[O::Chmod], |a| call(O::Chmod, at(CWD, a[0]), true, Detail::Mode(mode(a[1])))),
    path(libc::SYS_chown, "chown", &[O::Chown], |a| call(O::Chown, at(CWD, a[0]), true, owner(a[1], a[2]))),
    path(libc::SYS_lchown, "lchown", &[O::Chown], |a| call(O::Chown, at(CWD, a[0]), false, owner(a[1], a[2]))),
    event(libc::SYS_umask, "umask", |a| happened(Event::Umask((a[0] & 0o777) as u16))),
    event(libc::SYS_setuid, "setuid", |_| happened(Event::Credentials)),
    event(libc::SYS_setgid, "setgid", |_| happened(Event::Credentials)),
    event(libc::SYS_setreuid, "setreuid", |_| happened(Event::Credentials)),
    event(libc::SYS_setregid, "setregid", |_| happened(Event::Credentials)),
    event(libc::SYS_setgroups, "setgroups", |_| happened(Event::Credentials)),
    event(libc::SYS_setresuid, "setresuid", |_| happened(Event::Credentials)),
    event(libc::SYS_setresgid, "setresgid", |_| happened(Event::Credentials)),
    event(libc::SYS_setfsuid, "setfsuid", |_| happened(Event::Credentials)),
    event(libc::SYS_setfsgid, "setfsgid", |_| happened(Event::Credentials)),
    event(libc::SYS_capset, "capset", |_| happened(Event::Credentials)),
    path(libc::SYS_utime, "utime", &[O::Utimens], |a| times(at(CWD, a[0]), a[1], TimesLayout::Utimbuf, 0)),
    path(libc::SYS_mknod, "mknod", &[O::Mknod], |a| call(O::Mknod, at(CWD, a[0]), false, node(a[1], a[2]))),
    path(libc::SYS_statfs, "statfs", &[O::Statfs], |a| call(O::Statfs, at(CWD, a[0]), true, Detail::Stat { buffer: a[1] })),
    event(libc::SYS_pivot_root, "pivot_root", |_| happened(Event::Confine)),
    prctl(libc::PR_SET_CHILD_SUBREAPER),
    event(libc::SYS_chroot, "chroot", |_| happened(Event::Confine)),
    path(libc::SYS_setxattr, "setxattr", &[O::Setxattr], |a| setxattr(a, true)),
    path(libc::SYS_lsetxattr, "lsetxattr", &[O::Setxattr], |a| setxattr(a, false)),
    path(libc::SYS_getxattr, "getxattr", &[O::Getxattr], |a| getxattr(a, true)),
    path(libc::SYS_lgetxattr, "lgetxattr", &[O::Getxattr], |a| getxattr(a, false)),
    path(libc::SYS_listxattr, "listxattr", &[O::Listxattr], |a| call(O::Listxattr, at(CWD, a[0]), true, buffer(a[1], a[2]))),
    path(libc::SYS_llistxattr, "llistxattr", &[O::Listxattr], |a| call(O::Listxattr, at(CWD, a[0]), false, buffer(a[1], a[2]))),
    path(libc::SYS_removexattr, "removexattr", &[O::Removexattr], |a| call(O::Removexattr, at(CWD, a[0]), true, Detail::Name { address: a[1] })),
    path(libc::SYS_lremovexattr, "lremovexattr", &[O::Removexattr], |a| call(O::Removexattr, at(CWD, a[0]), false, Detail::Name { address: a[1] })),
    path(libc::SYS_utimes, "utimes", &[O::Utimens], |a| times(at(CWD, a[0]), a[1], TimesLayout::Timeval, 0)),
    path(libc::SYS_mkdirat, "mkdirat", &[O::Mkdir], |a| call(O::Mkdir, fd_at(a), false, Detail::Mode(mode(a[2])))),
    path(libc::SYS_mknodat, "mknodat", &[O::Mknod], |a| call(O::Mknod, fd_at(a), false, node(a[2], a[3]))),
    path(libc::SYS_fchownat, "fchownat", &[O::Chown], |a| call(O::Chown, fd_at(a), follows(a[4], EMPTY_PATH)?, owner(a[2], a[3]))),
    path(libc::SYS_futimesat, "futimesat", &[O::Utimens], |a| times(fd_at(a), a[2], TimesLayout::Timeval, 0)),
    path(libc::SYS_newfstatat, "newfstatat", &[O::Stat], |a| call(O::Stat, fd_at(a), follows(a[3], EMPTY_PATH | NO_AUTOMOUNT)?, Detail::Stat { buffer: a[2] })),
    path(libc::SYS_unlinkat, "unlinkat", &[O::Unlink, O::Rmdir], unlinkat),
    path(libc::SYS_renameat, "renameat", &[O::Rename], |a| pair(O::Rename, fd_at(a), fd_at(&a[2..]), false, Detail::Flags(0))),
    path(libc::SYS_linkat, "linkat", &[O::Link], linkat),
    path(libc::SYS_symlinkat, "symlinkat", &[O::Symlink], |a| call(O::Symlink, fd_at(&a[1..]), false, Detail::Text { address: a[0] })),
    path(libc::SYS_readlinkat, "readlinkat", &[O::Readlink], |a| readlink(fd_at(a), a[2], a[3])),
    path(libc::SYS_fchmodat, "fchmodat", &[O::Chmod], |a| call(O::Chmod, fd_at(a), true, Detail::Mode(mode(a[2])))),
    path(libc::SYS_faccessat, "faccessat", &[O::Access], |a| access(fd_at(a), a[2], 0)),
    event(libc::SYS_unshare, "unshare", |_| happened(Event::Confine)),
    path(libc::SYS_utimensat, "utimensat", &[O::Utimens], |a| times(fd_at(a), a[2], TimesLayout::Timespec, a[3])),
    event(libc::SYS_setns, "setns", |_| happened(Event::Confine)),
    path(libc::SYS_renameat2, "renameat2", &[O::Rename], |a| pair(O::Rename, fd_at(a), fd_at(&a[2..]), false, Detail::Flags(low(a[4])))),
    event(libc::SYS_execveat, "execveat", |_| happened(Event::Exec)),
    path(libc::SYS_statx, "statx", &[O::Stat], statx),
    path(libc::SYS_faccessat2, "faccessat2", &[O::Access], |a| access(fd_at(a), a[2], a[3])),
    event(libc::SYS_landlock_restrict_self, "landlock_restrict_self", |_| happened(Event::Restrict)),
    path(libc::SYS_fchmodat2, "fchmodat2", &[O::Chmod], |a| call(O::Chmod, fd_at(a), follows(a[3], EMPTY_PATH)?, Detail::Mode(mode(a[2])))),
];

/// linux/prctl.h
const PR_SET_SYSCALL_USER_DISPATCH: i32 = 59;

/// What our code in a program has to know of besides.
static FAST: &[Entry] = &[
    prctl(libc::PR_SET_SECCOMP),
    prctl(PR_SET_SYSCALL_USER_DISPATCH),
    event(libc::SYS_exit_group, "exit_group", |_| {
        happened(Event::Exit)
    }),
    event(libc::SYS_seccomp, "seccomp", |_| happened(Event::Filter)),
];

type Decode = fn(&Args) -> Option<Trapped>;

const fn path(
    number: i64,
    name: &'static str,
    operation: &'static [Operation],
    decode: Decode,
) -> Entry {
    Entry {
        number,
        name,
        operation,
        when: None,
        decode,
    }
}

const fn event(number: i64, name: &'static str, decode: Decode) -> Entry {
    Entry {
        number,
        name,
        operation: &[],
        when: None,
        decode,
    }
}

/// prctl(2) is many calls; its first argument, an `int`, says which.
const fn prctl(option: i32) -> Entry {
    Entry {
        when: Some(option_is(option)),
        ..event(libc::SYS_prctl, "prctl", |a| {
            happened(match low_signed(a[0]) {
                libc::PR_SET_SECCOMP | PR_SET_SYSCALL_USER_DISPATCH => Event::Filter,
                _ => Event::Adopts,
            })
        })
    }
}

/// A test for the first argument of prctl(2).
pub(super) const fn option_is(option: i32) -> When {
    When {
        argument: 0,
        mask: 0xFFFF_FFFF,
        value: option.cast_unsigned() as u64,
    }
}

fn happened(event: Event) -> Option<Trapped> {
    Some(Trapped::Event(event))
}

/// The low half of a register: what a C `int` or `unsigned` argument is.
fn low(register: u64) -> u32 {
    let [a, b, c, d, ..] = register.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

fn low_signed(register: u64) -> i32 {
    low(register).cast_signed()
}

/// `umode_t` has 16 bits.
fn mode(register: u64) -> u32 {
    low(register) & 0xFFFF
}

fn at(dirfd: i32, address: u64) -> PathArg {
    PathArg { dirfd, address }
}

/// A descriptor and a path in the first two registers given.
fn fd_at(args: &[u64]) -> PathArg {
    at(low_signed(args[0]), args[1])
}

/// Whether flags ask to follow; `None` when there are bits beyond the allowed ones.
fn follows(flags: u64, allowed: u32) -> Option<bool> {
    let flags = low(flags);
    (flags & !(allowed | NOFOLLOW) == 0).then_some(flags & NOFOLLOW == 0)
}

fn owner(uid: u64, gid: u64) -> Detail {
    Detail::Owner {
        uid: low(uid),
        gid: low(gid),
    }
}

fn node(mode_register: u64, rdev: u64) -> Detail {
    Detail::Node {
        mode: mode(mode_register),
        rdev: low(rdev),
    }
}

fn buffer(buffer: u64, size: u64) -> Detail {
    Detail::Buffer {
        buffer,
        size: clamp(size),
    }
}

/// Sizes of values and lists count up to `XATTR_SIZE_MAX` and `XATTR_LIST_MAX`.
fn clamp(size: u64) -> usize {
    usize::try_from(size).map_or(MAX_XATTR_VALUE, |size| size.min(MAX_XATTR_VALUE))
}

fn call(operation: O, first: PathArg, follow: bool, detail: Detail) -> Option<Trapped> {
    Some(Trapped::Path(PathCall {
        operation,
        first,
        second: None,
        follow,
        detail,
    }))
}

fn pair(
    operation: O,
    first: PathArg,
    second: PathArg,
    follow: bool,
    detail: Detail,
) -> Option<Trapped> {
    Some(Trapped::Path(PathCall {
        operation,
        first,
        second: Some(second),
        follow,
        detail,
    }))
}

fn unlinkat(a: &Args) -> Option<Trapped> {
    let operation = match low(a[2]) {
        0 => O::Unlink,
        REMOVEDIR => O::Rmdir,
        _ => return None,
    };
    call(operation, fd_at(a), false, Detail::None)
}

fn linkat(a: &Args) -> Option<Trapped> {
    let follow = match low(a[4]) {
        0 => false,
        FOLLOW => true,
        _ => return None,
    };
    pair(O::Link, fd_at(a), fd_at(&a[2..]), follow, Detail::None)
}

fn access(first: PathArg, access_mode: u64, flags: u64) -> Option<Trapped> {
    let follow = follows(flags, EACCESS | EMPTY_PATH)?;
    let effective = low(flags) & EACCESS != 0;
    let mode = low(access_mode);
    (mode & !7 == 0).then_some(())?;
    call(O::Access, first, follow, Detail::Access { mode, effective })
}

fn readlink(first: PathArg, buffer: u64, size: u64) -> Option<Trapped> {
    let size = usize::try_from(low_signed(size))
        .ok()
        .filter(|size| *size > 0)?;
    call(O::Readlink, first, false, Detail::Buffer { buffer, size })
}

/// A null path means the descriptor itself (utimensat(2)): the kernel's.
fn times(first: PathArg, address: u64, layout: TimesLayout, flags: u64) -> Option<Trapped> {
    (first.address != 0).then_some(())?;
    call(
        O::Utimens,
        first,
        follows(flags, EMPTY_PATH)?,
        Detail::Times { address, layout },
    )
}

fn setxattr(a: &Args, follow: bool) -> Option<Trapped> {
    // Larger values are E2BIG, which is the kernel's to say.
    let size = usize::try_from(a[3])
        .ok()
        .filter(|size| *size <= MAX_XATTR_VALUE)?;
    let flags = low(a[4]);
    call(
        O::Setxattr,
        at(CWD, a[0]),
        follow,
        Detail::Value {
            name: a[1],
            address: a[2],
            size,
            flags,
        },
    )
}

fn getxattr(a: &Args, follow: bool) -> Option<Trapped> {
    let detail = Detail::NamedBuffer {
        name: a[1],
        buffer: a[2],
        size: clamp(a[3]),
    };
    call(O::Getxattr, at(CWD, a[0]), follow, detail)
}

fn statx(a: &Args) -> Option<Trapped> {
    /// `STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID` (linux/stat.h): file systems get
    /// these whatever is asked. Further bits ask for what only the kernel knows, such as
    /// the mount's unique id, or are reserved.
    const PLAIN: u32 = 0x1fff;
    (low(a[3]) & !PLAIN == 0).then_some(())?;
    let follow = follows(a[2], EMPTY_PATH | NO_AUTOMOUNT | FORCE_SYNC)?;
    call(O::Stat, fd_at(a), follow, Detail::Statx { buffer: a[4] })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(number: i64, args: Args) -> Option<Trapped> {
        (find(i32::try_from(number).unwrap()).unwrap().decode)(&args)
    }

    fn path_call(number: i64, args: Args) -> PathCall {
        match decode(number, args) {
            Some(Trapped::Path(call)) => call,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn sorted_by_number() {
        assert!(TABLE.is_sorted_by_key(|entry| entry.number));
    }

    #[test]
    fn cwd_arrives_zero_extended() {
        let cwd = u64::from(libc::AT_FDCWD.cast_unsigned());
        let call = path_call(libc::SYS_unlinkat, [cwd, 7, 0, 0, 0, 0]);
        assert_eq!(
            call.first,
            PathArg {
                dirfd: libc::AT_FDCWD,
                address: 7
            }
        );
        assert_eq!(call.operation, O::Unlink);
    }

    #[test]
    fn unlinkat_is_two_operations() {
        let call = path_call(libc::SYS_unlinkat, [3, 7, u64::from(REMOVEDIR), 0, 0, 0]);
        assert_eq!(call.operation, O::Rmdir);
        assert_eq!(decode(libc::SYS_unlinkat, [3, 7, 1, 0, 0, 0]), None);
    }

    #[test]
    fn symlink_walks_its_second_path() {
        let call = path_call(libc::SYS_symlinkat, [11, 5, 22, 0, 0, 0]);
        assert_eq!(
            call.first,
            PathArg {
                dirfd: 5,
                address: 22
            }
        );
        assert_eq!(call.detail, Detail::Text { address: 11 });
    }

    #[test]
    fn unknown_flags_are_the_kernels() {
        for (number, index) in [
            (libc::SYS_fchownat, 4),
            (libc::SYS_fchmodat2, 3),
            (libc::SYS_newfstatat, 3),
            (libc::SYS_statx, 2),
            (libc::SYS_linkat, 4),
            (libc::SYS_utimensat, 3),
            (libc::SYS_faccessat2, 3),
        ] {
            let mut args = [1, 1, 1, 1, 1, 0];
            args[index] = 0x4000_0000;
            assert_eq!(decode(number, args), None, "{number}");
        }
    }

    #[test]
    fn what_only_the_kernel_can_stat_is_the_kernels() {
        let statx = |mask| decode(libc::SYS_statx, [3, 7, 0, mask, 9, 0]);
        assert!(statx(0).is_some() && statx(0x1fff).is_some());
        // STATX_DIOALIGN, STATX_MNT_ID_UNIQUE, STATX_SUBVOL, STATX__RESERVED.
        for bit in [0x2000, 0x4000, 0x8000, 0x8000_0000] {
            assert_eq!(statx(0x7ff | bit), None, "{bit:#x}");
        }
    }

    #[test]
    fn null_times_path_is_the_descriptor() {
        assert_eq!(decode(libc::SYS_utimensat, [3, 0, 0, 0, 0, 0]), None);
        assert_eq!(decode(libc::SYS_futimesat, [3, 0, 0, 0, 0, 0]), None);
    }

    #[test]
    fn who_asks_to_write_needs_a_writable_mount() {
        let wants = |number, args| path_call(number, args).wants_to_write();
        assert!(wants(libc::SYS_access, [7, 2, 0, 0, 0, 0]));
        assert!(wants(libc::SYS_faccessat2, [3, 7, 6, 0, 0, 0]));
        assert!(!wants(libc::SYS_faccessat, [3, 7, 5, 0, 0, 0]));
        assert!(wants(libc::SYS_unlink, [7, 0, 0, 0, 0, 0]));
        assert!(!wants(libc::SYS_stat, [7, 9, 0, 0, 0, 0]));
    }

    #[test]
    fn lookups_trap_only_when_wanted() {
        let mutations = super::super::traps(|o| !o.is_lookup());
        let number = |n: i64| move |trap: &Trap| i64::from(trap.number) == n;
        assert!(mutations.iter().any(number(libc::SYS_unlink)));
        assert!(mutations.iter().any(number(libc::SYS_execve)));
        assert!(!mutations.iter().any(number(libc::SYS_newfstatat)));
        assert!(super::super::traps(|_| false).is_empty());
    }
}
