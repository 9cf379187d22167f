//! statx(2) results and FUSE attributes.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{FileAttr, FileType, INodeNo, TimeOrNow};
use rustix::fs::{
    AtFlags, Statx, StatxFlags, StatxTimestamp, Timespec, UTIME_NOW, UTIME_OMIT, statx,
};

use super::Answer;

/// `AT_STATX_SYNC_AS_STAT` is 0; following is never wanted, the kernel walks symbolic links itself.
pub(super) fn stat_at(directory: &OwnedFd, name: impl rustix::path::Arg) -> Answer<Statx> {
    statx(directory, name, AtFlags::SYMLINK_NOFOLLOW, wanted())
}

pub(super) fn stat_fd(file: impl AsFd) -> Answer<Statx> {
    statx(file, c"", AtFlags::EMPTY_PATH, wanted())
}

fn wanted() -> StatxFlags {
    StatxFlags::BASIC_STATS | StatxFlags::BTIME
}

pub(super) fn is_directory(stat: &Statx) -> bool {
    u32::from(stat.stx_mode) & libc::S_IFMT == libc::S_IFDIR
}

/// Attributes as FUSE wants them. `ino` is the node id: fuser tells the kernel the node id of a new
/// entry by this very field, so the two are one number in every reply.
pub(super) fn attributes(id: u64, stat: &Statx) -> FileAttr {
    FileAttr {
        ino: INodeNo(id),
        size: stat.stx_size,
        blocks: stat.stx_blocks,
        atime: system_time(stat.stx_atime),
        mtime: system_time(stat.stx_mtime),
        ctime: system_time(stat.stx_ctime),
        crtime: system_time(stat.stx_btime),
        kind: kind(u32::from(stat.stx_mode)),
        perm: stat.stx_mode & 0o7777,
        nlink: stat.stx_nlink,
        uid: stat.stx_uid,
        gid: stat.stx_gid,
        rdev: encode_dev(stat.stx_rdev_major, stat.stx_rdev_minor),
        blksize: stat.stx_blksize,
        flags: 0,
    }
}

pub(super) fn kind(mode: u32) -> FileType {
    match mode & libc::S_IFMT {
        libc::S_IFDIR => FileType::Directory,
        libc::S_IFLNK => FileType::Symlink,
        libc::S_IFIFO => FileType::NamedPipe,
        libc::S_IFSOCK => FileType::Socket,
        libc::S_IFCHR => FileType::CharDevice,
        libc::S_IFBLK => FileType::BlockDevice,
        _ => FileType::RegularFile,
    }
}

/// Device numbers cross the FUSE protocol in the kernel's 32-bit form.
/// linux: include/linux/kdev_t.h, `new_encode_dev`.
fn encode_dev(major: u32, minor: u32) -> u32 {
    minor & 0xff | major << 8 | (minor & !0xff) << 12
}

/// The reverse of `encode_dev`, as the system call takes it.
pub(super) fn decode_dev(dev: u32) -> rustix::fs::Dev {
    rustix::fs::makedev(dev >> 8 & 0xfff, dev & 0xff | dev >> 12 & 0xf_ff00)
}

fn system_time(time: StatxTimestamp) -> SystemTime {
    let seconds = Duration::from_secs(time.tv_sec.unsigned_abs());
    let whole = if time.tv_sec < 0 {
        UNIX_EPOCH.checked_sub(seconds)
    } else {
        UNIX_EPOCH.checked_add(seconds)
    };
    whole.unwrap_or(UNIX_EPOCH) + Duration::from_nanos(u64::from(time.tv_nsec))
}

/// A time as utimensat(2) takes it; `None` leaves it alone.
pub(super) fn timespec(time: Option<TimeOrNow>) -> Timespec {
    match time {
        None => Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        Some(TimeOrNow::Now) => Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_NOW,
        },
        Some(TimeOrNow::SpecificTime(time)) => match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Timespec {
                tv_sec: seconds(after),
                tv_nsec: i64::from(after.subsec_nanos()),
            },
            Err(before) => {
                let before = before.duration();
                let nanos = i64::from(before.subsec_nanos());
                let borrow = i64::from(nanos > 0);
                Timespec {
                    tv_sec: -seconds(before) - borrow,
                    tv_nsec: borrow * 1_000_000_000 - nanos,
                }
            }
        },
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_the_epoch_have_positive_nanoseconds() {
        let time = timespec(Some(TimeOrNow::SpecificTime(
            UNIX_EPOCH - Duration::from_millis(1_250),
        )));
        assert_eq!((time.tv_sec, time.tv_nsec), (-2, 750_000_000));
    }

    #[test]
    fn device_numbers_survive_the_protocol() {
        let dev = rustix::fs::makedev(0xabc, 0xf_4321);
        assert_eq!(decode_dev(encode_dev(0xabc, 0xf_4321)), dev);
    }
}
