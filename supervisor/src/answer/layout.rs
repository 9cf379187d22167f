//! Results as the x86-64 ABI lays them out in memory.

use finesse_wire::{Stat, Statfs, Timestamp};

use super::MountFacts;

/// `FUSE_SUPER_MAGIC` (linux/magic.h).
const FUSE_SUPER_MAGIC: i64 = 0x6573_5546;

/// `struct stat` (arch/x86/include/uapi/asm/stat.h), 144 bytes.
pub(super) fn stat(stat: &Stat, facts: MountFacts) -> Vec<u8> {
    let mut out = Layout::with_capacity(144);
    out.u64(encode_device(facts.device))
        .u64(stat.ino)
        .u64(stat.nlink.into());
    out.u32(stat.mode).u32(stat.uid).u32(stat.gid).u32(0);
    out.u64(stat.rdev.into())
        .u64(stat.size)
        .u64(stat.blksize.into())
        .u64(stat.blocks);
    for time in [stat.atime, stat.mtime, stat.ctime] {
        out.i64(time.seconds).u64(time.nanoseconds.into());
    }
    out.pad(144)
}

/// `struct statx` (include/uapi/linux/stat.h), 256 bytes, as fs/fuse fills it for file
/// systems without FUSE_STATX: the basic fields whatever the mask asks for, and the mount
/// id.
pub(super) fn statx(stat: &Stat, facts: MountFacts) -> Vec<u8> {
    /// `STATX_BASIC_STATS | STATX_MNT_ID`.
    const MASK: u32 = 0x7ff | 0x1000;
    /// `STATX_ATTR_AUTOMOUNT | STATX_ATTR_MOUNT_ROOT | STATX_ATTR_DAX`.
    const ATTRIBUTES_MASK: u64 = 0x1000 | 0x2000 | 0x20_0000;
    let mut out = Layout::with_capacity(256);
    out.u32(MASK).u32(stat.blksize);
    out.u64(if stat.ino == 1 { 0x2000 } else { 0 });
    out.u32(stat.nlink)
        .u32(stat.uid)
        .u32(stat.gid)
        .u32(stat.mode & 0xFFFF);
    out.u64(stat.ino)
        .u64(stat.size)
        .u64(stat.blocks)
        .u64(ATTRIBUTES_MASK);
    let birth = Timestamp::default();
    for time in [stat.atime, birth, stat.ctime, stat.mtime] {
        out.i64(time.seconds).u32(time.nanoseconds).u32(0);
    }
    let (major, minor) = decode_device(stat.rdev);
    out.u32(major)
        .u32(minor)
        .u32(facts.device.0)
        .u32(facts.device.1);
    out.u64(facts.mount_id);
    out.pad(256)
}

/// `struct statfs` (include/uapi/asm-generic/statfs.h), 120 bytes. `f_fsid` is zero as in
/// `convert_fuse_statfs` (fs/fuse/inode.c).
pub(super) fn statfs(statfs: &Statfs, facts: MountFacts) -> Vec<u8> {
    let fragment = if statfs.frsize == 0 {
        statfs.bsize
    } else {
        statfs.frsize
    };
    let mut out = Layout::with_capacity(120);
    out.i64(FUSE_SUPER_MAGIC).u64(statfs.bsize.into());
    out.u64(statfs.blocks).u64(statfs.bfree).u64(statfs.bavail);
    out.u64(statfs.files).u64(statfs.ffree).u64(0);
    out.u64(statfs.namelen.into())
        .u64(fragment.into())
        .i64(facts.statfs_flags);
    out.pad(120)
}

/// `new_encode_dev` (include/linux/kdev_t.h).
pub(super) fn encode_device((major, minor): (u32, u32)) -> u64 {
    u64::from(minor & 0xff | major << 8 | (minor & !0xff) << 12)
}

/// `new_decode_dev`.
fn decode_device(device: u32) -> (u32, u32) {
    (device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xf_ff00)
}

/// Bytes in the order of a C struct without implicit padding.
struct Layout(Vec<u8>);

impl Layout {
    fn with_capacity(bytes: usize) -> Self {
        Layout(Vec::with_capacity(bytes))
    }

    fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn i64(&mut self, value: i64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// The struct, with the reserved fields at its end.
    fn pad(mut self, size: usize) -> Vec<u8> {
        debug_assert!(self.0.len() <= size);
        self.0.resize(size, 0);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_the_abis() {
        let facts = MountFacts::default();
        assert_eq!(stat(&Stat::default(), facts).len(), size_of::<libc::stat>());
        assert_eq!(
            statx(&Stat::default(), facts).len(),
            size_of::<libc::statx>()
        );
        assert_eq!(
            statfs(&Statfs::default(), facts).len(),
            size_of::<libc::statfs>()
        );
    }

    #[test]
    fn devices_round_trip() {
        for device in [(0, 0), (10, 229), (259, 0xabcde)] {
            let encoded = u32::try_from(encode_device(device)).unwrap();
            assert_eq!(decode_device(encoded), device);
        }
    }
}
