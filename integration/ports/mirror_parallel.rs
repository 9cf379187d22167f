//! SOURCE MOUNTPOINT: a mirror of a directory by easy_fuser's preset, in parallel mode.

use easy_fuser::fuse_parallel::prelude::*;
use easy_fuser_macro::delegate_fs;

include!("mirror.rs");

impl FuseHandler for Mirror {
    type TId = PathBuf;
    type FileHandle = std::os::fd::OwnedFd;

    delegate_fs! { mirror, [
        access, bmap, copy_file_range, create, fallocate, flush, fsync, getattr, getlk, getxattr, ioctl,
        listxattr, lookup, lseek, mkdir, mknod, open, read, readdir, readlink, release, removexattr, rename,
        rmdir, setattr, setlk, setxattr, statfs, symlink, unlink, write
    ] }
    delegate_fs! { directories, [ forget, fsyncdir, opendir, releasedir ] }
    delegate_fs! { missing, [ link ] }
}
