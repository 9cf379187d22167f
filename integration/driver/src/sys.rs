//! The system calls by number, without the C library's choices between old and new ones.
//!
//! Each function is one system call of the same name (section 2 of the manual); all return what the
//! kernel said. Nothing here keeps a pointer beyond the call.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{c_int, c_long, c_uint, gid_t, mode_t, off_t, timespec, uid_t};

/// The number of fchmodat2(2), Linux 6.6.
const FCHMODAT2: c_long = 452;

fn answer(value: c_long) -> io::Result<usize> {
    usize::try_from(value).map_err(|_| io::Error::last_os_error())
}

/// Calls the kernel. Used in this file only, where every pointer argument comes from a `CStr` (ends in a
/// zero byte), a slice passed with its own length, or a `MaybeUninit` of the very type that the call fills.
macro_rules! raw {
    ($number:expr $(, $argument:expr)* $(,)?) => {
        // SAFETY: each pointer argument comes from a reference that outlives the call and is of the size and
        // form that the call expects (see above each use: `CStr`, slice with its length, or the call's own
        // output type); the kernel keeps none of them.
        answer(unsafe { libc::syscall($number $(, $argument)*) })
    };
}

macro_rules! path_calls {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $kind:ty),*) = $number:expr;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// The call's errno.
        pub fn $name(path: &CStr $(, $argument: $kind)*) -> io::Result<()> {
            raw!($number, path.as_ptr() $(, $argument)*).map(drop)
        }
    )*};
}

macro_rules! at_calls {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $kind:ty),*) = $number:expr;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// The call's errno.
        pub fn $name(dir: BorrowedFd<'_>, path: &CStr $(, $argument: $kind)*) -> io::Result<()> {
            raw!($number, dir.as_raw_fd(), path.as_ptr() $(, $argument)*).map(drop)
        }
    )*};
}

macro_rules! two_path_calls {
    ($($(#[$doc:meta])* $name:ident = $number:expr;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// The call's errno.
        pub fn $name(from: &CStr, to: &CStr) -> io::Result<()> {
            raw!($number, from.as_ptr(), to.as_ptr()).map(drop)
        }
    )*};
}

path_calls! {
    /// unlink(2).
    unlink() = libc::SYS_unlink;
    /// rmdir(2).
    rmdir() = libc::SYS_rmdir;
    /// mkdir(2).
    mkdir(mode: mode_t) = libc::SYS_mkdir;
    /// mknod(2).
    mknod(mode: mode_t, device: c_uint) = libc::SYS_mknod;
    /// chmod(2).
    chmod(mode: mode_t) = libc::SYS_chmod;
    /// chown(2).
    chown(owner: uid_t, group: gid_t) = libc::SYS_chown;
    /// lchown(2).
    lchown(owner: uid_t, group: gid_t) = libc::SYS_lchown;
    /// truncate(2).
    truncate(length: off_t) = libc::SYS_truncate;
    /// access(2).
    access(mode: c_int) = libc::SYS_access;
}

at_calls! {
    /// unlinkat(2).
    unlinkat(flags: c_int) = libc::SYS_unlinkat;
    /// mkdirat(2).
    mkdirat(mode: mode_t) = libc::SYS_mkdirat;
    /// mknodat(2).
    mknodat(mode: mode_t, device: c_uint) = libc::SYS_mknodat;
    /// fchmodat(2) as the kernel has it: no flags.
    fchmodat(mode: mode_t) = libc::SYS_fchmodat;
    /// fchmodat2(2).
    fchmodat2(mode: mode_t, flags: c_int) = FCHMODAT2;
    /// fchownat(2).
    fchownat(owner: uid_t, group: gid_t, flags: c_int) = libc::SYS_fchownat;
    /// faccessat(2) as the kernel has it: no flags.
    faccessat(mode: c_int) = libc::SYS_faccessat;
    /// faccessat2(2).
    faccessat2(mode: c_int, flags: c_int) = libc::SYS_faccessat2;
}

two_path_calls! {
    /// rename(2).
    rename = libc::SYS_rename;
    /// link(2).
    link = libc::SYS_link;
    /// symlink(2): `from` is the target's text.
    symlink = libc::SYS_symlink;
}

/// renameat2(2), both names relative to `dir`.
///
/// # Errors
/// The call's errno.
pub fn renameat2(dir: BorrowedFd<'_>, from: &CStr, to: &CStr, flags: c_uint) -> io::Result<()> {
    let dir = dir.as_raw_fd();
    raw!(
        libc::SYS_renameat2,
        dir,
        from.as_ptr(),
        dir,
        to.as_ptr(),
        flags
    )
    .map(drop)
}

/// renameat(2), both names relative to `dir`.
///
/// # Errors
/// The call's errno.
pub fn renameat(dir: BorrowedFd<'_>, from: &CStr, to: &CStr) -> io::Result<()> {
    let dir = dir.as_raw_fd();
    raw!(libc::SYS_renameat, dir, from.as_ptr(), dir, to.as_ptr()).map(drop)
}

/// linkat(2), both names relative to `dir`.
///
/// # Errors
/// The call's errno.
pub fn linkat(dir: BorrowedFd<'_>, from: &CStr, to: &CStr) -> io::Result<()> {
    let dir = dir.as_raw_fd();
    raw!(
        libc::SYS_linkat,
        dir,
        from.as_ptr(),
        dir,
        to.as_ptr(),
        0 as c_int
    )
    .map(drop)
}

/// symlinkat(2): `text` is what the link says.
///
/// # Errors
/// The call's errno.
pub fn symlinkat(text: &CStr, dir: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    raw!(
        libc::SYS_symlinkat,
        text.as_ptr(),
        dir.as_raw_fd(),
        name.as_ptr()
    )
    .map(drop)
}

fn seconds(time: i64) -> timespec {
    timespec {
        tv_sec: time,
        tv_nsec: 0,
    }
}

/// utimensat(2) with both times at `time` seconds.
///
/// # Errors
/// The call's errno.
pub fn utimensat(dir: BorrowedFd<'_>, path: &CStr, time: i64) -> io::Result<()> {
    let times = [seconds(time); 2];
    raw!(
        libc::SYS_utimensat,
        dir.as_raw_fd(),
        path.as_ptr(),
        times.as_ptr(),
        0 as c_int
    )
    .map(drop)
}

/// utime(2) with both times at `time` seconds.
///
/// # Errors
/// The call's errno.
pub fn utime(path: &CStr, time: i64) -> io::Result<()> {
    let times = [time; 2];
    raw!(libc::SYS_utime, path.as_ptr(), times.as_ptr()).map(drop)
}

/// setxattr(2) without flags.
///
/// # Errors
/// The call's errno.
pub fn setxattr(path: &CStr, name: &CStr, value: &[u8]) -> io::Result<()> {
    raw!(
        libc::SYS_setxattr,
        path.as_ptr(),
        name.as_ptr(),
        value.as_ptr(),
        value.len(),
        0 as c_int
    )
    .map(drop)
}

/// removexattr(2).
///
/// # Errors
/// The call's errno.
pub fn removexattr(path: &CStr, name: &CStr) -> io::Result<()> {
    raw!(libc::SYS_removexattr, path.as_ptr(), name.as_ptr()).map(drop)
}

/// getxattr(2): the length of the value.
///
/// # Errors
/// The call's errno.
pub fn getxattr(path: &CStr, name: &CStr, value: &mut [u8]) -> io::Result<usize> {
    raw!(
        libc::SYS_getxattr,
        path.as_ptr(),
        name.as_ptr(),
        value.as_mut_ptr(),
        value.len()
    )
}

/// listxattr(2): the length of the list.
///
/// # Errors
/// The call's errno.
pub fn listxattr(path: &CStr, list: &mut [u8]) -> io::Result<usize> {
    raw!(
        libc::SYS_listxattr,
        path.as_ptr(),
        list.as_mut_ptr(),
        list.len()
    )
}

/// readlink(2): the length of the text.
///
/// # Errors
/// The call's errno.
pub fn readlink(path: &CStr, text: &mut [u8]) -> io::Result<usize> {
    raw!(
        libc::SYS_readlink,
        path.as_ptr(),
        text.as_mut_ptr(),
        text.len()
    )
}

/// stat(2), the answer thrown away.
///
/// # Errors
/// The call's errno.
pub fn stat(path: &CStr) -> io::Result<()> {
    let mut attributes = MaybeUninit::<libc::stat>::uninit();
    raw!(libc::SYS_stat, path.as_ptr(), attributes.as_mut_ptr()).map(drop)
}

/// lstat(2), the answer thrown away.
///
/// # Errors
/// The call's errno.
pub fn lstat(path: &CStr) -> io::Result<()> {
    let mut attributes = MaybeUninit::<libc::stat>::uninit();
    raw!(libc::SYS_lstat, path.as_ptr(), attributes.as_mut_ptr()).map(drop)
}

/// newfstatat(2) without flags, the answer thrown away.
///
/// # Errors
/// The call's errno.
pub fn newfstatat(dir: BorrowedFd<'_>, path: &CStr) -> io::Result<()> {
    let mut attributes = MaybeUninit::<libc::stat>::uninit();
    raw!(
        libc::SYS_newfstatat,
        dir.as_raw_fd(),
        path.as_ptr(),
        attributes.as_mut_ptr(),
        0 as c_int
    )
    .map(drop)
}

/// statx(2) of the basic fields, the answer thrown away.
///
/// # Errors
/// The call's errno.
pub fn statx(path: &CStr) -> io::Result<()> {
    let mut attributes = MaybeUninit::<libc::statx>::uninit();
    let (base, mask) = (libc::AT_FDCWD, libc::STATX_BASIC_STATS);
    raw!(
        libc::SYS_statx,
        base,
        path.as_ptr(),
        0 as c_int,
        mask,
        attributes.as_mut_ptr()
    )
    .map(drop)
}

/// statfs(2), the answer thrown away.
///
/// # Errors
/// The call's errno.
pub fn statfs(path: &CStr) -> io::Result<()> {
    let mut facts = MaybeUninit::<libc::statfs>::uninit();
    raw!(libc::SYS_statfs, path.as_ptr(), facts.as_mut_ptr()).map(drop)
}

/// A descriptor by open(2), closed by [`close`].
#[derive(Debug)]
#[must_use]
pub struct Descriptor(c_int);

/// open(2).
///
/// # Errors
/// The call's errno.
pub fn open(path: &CStr, flags: c_int, mode: mode_t) -> io::Result<Descriptor> {
    let number = raw!(libc::SYS_open, path.as_ptr(), flags | libc::O_CLOEXEC, mode)?;
    Ok(Descriptor(
        c_int::try_from(number).expect("a descriptor is an int"),
    ))
}

/// read(2).
///
/// # Errors
/// The call's errno.
pub fn read(file: &Descriptor, buffer: &mut [u8]) -> io::Result<usize> {
    raw!(libc::SYS_read, file.0, buffer.as_mut_ptr(), buffer.len())
}

/// write(2).
///
/// # Errors
/// The call's errno.
pub fn write(file: &Descriptor, bytes: &[u8]) -> io::Result<usize> {
    raw!(libc::SYS_write, file.0, bytes.as_ptr(), bytes.len())
}

/// close(2). It ends the descriptor whatever it returns.
///
/// # Errors
/// The call's errno.
#[allow(clippy::needless_pass_by_value)] // The descriptor is gone afterwards.
pub fn close(file: Descriptor) -> io::Result<()> {
    raw!(libc::SYS_close, file.0).map(drop)
}

/// getppid(2), the cheapest of calls.
pub fn getppid() {
    // It cannot fail.
    let _ = raw!(libc::SYS_getppid);
}

/// The effective user and group.
#[must_use]
pub fn user_and_group() -> (uid_t, gid_t) {
    // SAFETY: neither call has a precondition.
    unsafe { (libc::geteuid(), libc::getegid()) }
}
