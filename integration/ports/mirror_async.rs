//! SOURCE MOUNTPOINT: a mirror of a directory by easy_fuser's preset, in async mode.

use async_trait::async_trait;
use easy_fuser::fuse_async::prelude::*;
use easy_fuser_macro::delegate_fs_sync_to_async;

include!("mirror.rs");

#[async_trait]
impl FuseHandler for Mirror {
    type TId = PathBuf;
    type FileHandle = std::os::fd::OwnedFd;

    delegate_fs_sync_to_async! { mirror, [
        access, bmap, copy_file_range, create, fallocate, flush, fsync, getattr, getlk, getxattr, ioctl,
        listxattr, lookup, lseek, mkdir, mknod, open, read, readdir, readlink, release, removexattr, rename,
        rmdir, setattr, setlk, setxattr, statfs, symlink, unlink, write
    ] }
    delegate_fs_sync_to_async! { directories, [ forget, fsyncdir, opendir, releasedir ] }
    delegate_fs_sync_to_async! { missing, [ link ] }
}
