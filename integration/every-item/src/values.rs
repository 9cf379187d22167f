//! Plain values.

use std::fmt::{Debug, Display, LowerHex, UpperHex};
use std::fs;
use std::hash::Hash;
use std::io;
use std::time::{Duration, SystemTime};

use fuser::{
    Errno, FileAttr, FileHandle, FileType, Generation, INodeNo, InitFlags, KernelConfig, LockOwner,
    OpenAccMode, OpenFlags, RequestId, TimeOrNow, Version, consts,
};
use serde::{Deserialize, Serialize};

use crate::traits;

traits! {
    INodeNo: Copy, Debug, Display, Eq, Ord, Hash, Into<u64>, Serialize, Deserialize<'static>;
    FileHandle: Copy, Debug, Display, Eq, Ord, Hash, Into<u64>, Serialize, Deserialize<'static>;
    RequestId: Copy, Debug, Eq, Ord, Hash, Into<u64>, Serialize, Deserialize<'static>;
    LockOwner: Copy, Debug, Display, Eq, Ord, Serialize, Deserialize<'static>;
    Version: Copy, Debug, Display, Eq, Ord, Serialize, Deserialize<'static>;
    Generation: Copy, Debug, Eq, Ord, Into<u64>;
    FileType: Copy, Debug, Eq, Hash, Serialize, Deserialize<'static>;
    FileAttr: Copy, Debug, Eq, Serialize, Deserialize<'static>;
    TimeOrNow: Copy, Debug, Eq, Hash;
    Errno: Copy, Debug, Eq, Into<i32>, From<io::Error>, From<io::ErrorKind>;
    OpenAccMode: Copy, Debug, Eq, Hash;
    OpenFlags: Copy, Debug, Eq, Hash, LowerHex, UpperHex;
    KernelConfig: Debug, Send, Sync, Unpin;
}

const NEWTYPES: (
    INodeNo,
    FileHandle,
    RequestId,
    LockOwner,
    Generation,
    Version,
) = (
    INodeNo(2),
    FileHandle(0),
    RequestId(1),
    LockOwner(0),
    Generation(0),
    Version(7, 40),
);
const ROOT: INodeNo = INodeNo::ROOT;
const CONSTS: (u32, u32, usize) = (
    consts::FUSE_LK_FLOCK,
    consts::FUSE_IOCTL_MAX_IOV,
    consts::FUSE_MIN_READ_BUFFER,
);

const FROM_STD: fn(fs::FileType) -> Option<FileType> = FileType::from_std;
const FROM_I32: fn(i32) -> Errno = Errno::from_i32;
const CODE: fn(Errno) -> i32 = Errno::code;
const ACC_MODE: fn(OpenFlags) -> OpenAccMode = OpenFlags::acc_mode;

fn kinds(kind: FileType) -> bool {
    match kind {
        FileType::NamedPipe
        | FileType::CharDevice
        | FileType::BlockDevice
        | FileType::Directory
        | FileType::RegularFile
        | FileType::Symlink
        | FileType::Socket => true,
    }
}

fn times(time: TimeOrNow) -> Option<SystemTime> {
    match time {
        TimeOrNow::SpecificTime(time) => Some(time),
        TimeOrNow::Now => None,
    }
}

fn modes(OpenFlags(bits): OpenFlags) -> i32 {
    match OpenFlags(bits).acc_mode() {
        OpenAccMode::O_RDONLY => 0,
        OpenAccMode::O_WRONLY => 1,
        OpenAccMode::O_RDWR => 2,
    }
}

fn attributes(time: SystemTime) -> FileAttr {
    FileAttr {
        ino: INodeNo::ROOT,
        size: 0_u64,
        blocks: 0_u64,
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind: FileType::Directory,
        perm: 0o755_u16,
        nlink: 2_u32,
        uid: 0_u32,
        gid: 0_u32,
        rdev: 0_u32,
        blksize: 512_u32,
        flags: 0_u32,
    }
}

const CONFIGURE: (
    fn(&mut KernelConfig, u32) -> Result<u32, u32>,
    fn(&mut KernelConfig, Duration) -> Result<Duration, Duration>,
    fn(&mut KernelConfig, u32) -> Result<u32, u32>,
    fn(&mut KernelConfig, u32) -> Result<u32, u32>,
    fn(&KernelConfig) -> InitFlags,
    fn(&KernelConfig) -> Version,
    fn(&mut KernelConfig, InitFlags) -> Result<(), InitFlags>,
    fn(&mut KernelConfig, u16) -> Result<u16, u16>,
    fn(&mut KernelConfig, u16) -> Result<u16, u16>,
) = (
    KernelConfig::set_max_stack_depth,
    KernelConfig::set_time_granularity,
    KernelConfig::set_max_write,
    KernelConfig::set_max_readahead,
    KernelConfig::capabilities,
    KernelConfig::kernel_abi,
    KernelConfig::add_capabilities,
    KernelConfig::set_max_background,
    KernelConfig::set_congestion_threshold,
);

const ERRNOS: &[Errno] = &[
    Errno::EPERM,
    Errno::ENOENT,
    Errno::ESRCH,
    Errno::EINTR,
    Errno::EIO,
    Errno::ENXIO,
    Errno::E2BIG,
    Errno::ENOEXEC,
    Errno::EBADF,
    Errno::ECHILD,
    Errno::EAGAIN,
    Errno::ENOMEM,
    Errno::EACCES,
    Errno::EFAULT,
    Errno::ENOTBLK,
    Errno::EBUSY,
    Errno::EEXIST,
    Errno::EXDEV,
    Errno::ENODEV,
    Errno::ENOTDIR,
    Errno::EISDIR,
    Errno::EINVAL,
    Errno::ENFILE,
    Errno::EMFILE,
    Errno::ENOTTY,
    Errno::ETXTBSY,
    Errno::EFBIG,
    Errno::ENOSPC,
    Errno::ESPIPE,
    Errno::EROFS,
    Errno::EMLINK,
    Errno::EPIPE,
    Errno::EDOM,
    Errno::ERANGE,
    Errno::EDEADLK,
    Errno::ENAMETOOLONG,
    Errno::ENOLCK,
    Errno::ENOSYS,
    Errno::ENOTEMPTY,
    Errno::ELOOP,
    Errno::EWOULDBLOCK,
    Errno::ENOMSG,
    Errno::EIDRM,
    Errno::EREMOTE,
    Errno::ENOLINK,
    Errno::EPROTO,
    Errno::EMULTIHOP,
    Errno::EBADMSG,
    Errno::EOVERFLOW,
    Errno::EILSEQ,
    Errno::EUSERS,
    Errno::ENOTSOCK,
    Errno::EDESTADDRREQ,
    Errno::EMSGSIZE,
    Errno::EPROTOTYPE,
    Errno::ENOPROTOOPT,
    Errno::EPROTONOSUPPORT,
    Errno::ESOCKTNOSUPPORT,
    Errno::EOPNOTSUPP,
    Errno::EPFNOSUPPORT,
    Errno::EAFNOSUPPORT,
    Errno::EADDRINUSE,
    Errno::EADDRNOTAVAIL,
    Errno::ENETDOWN,
    Errno::ENETUNREACH,
    Errno::ENETRESET,
    Errno::ECONNABORTED,
    Errno::ECONNRESET,
    Errno::ENOBUFS,
    Errno::EISCONN,
    Errno::ENOTCONN,
    Errno::ESHUTDOWN,
    Errno::ETOOMANYREFS,
    Errno::ETIMEDOUT,
    Errno::ECONNREFUSED,
    Errno::EHOSTDOWN,
    Errno::EHOSTUNREACH,
    Errno::EALREADY,
    Errno::EINPROGRESS,
    Errno::ESTALE,
    Errno::EDQUOT,
    Errno::ECANCELED,
    Errno::EOWNERDEAD,
    Errno::ENOTRECOVERABLE,
    Errno::ENOTSUP,
    Errno::ENODATA,
    Errno::NO_XATTR,
];
