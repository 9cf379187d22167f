//! Why no file system was mounted, and the exit code that says so.

use std::io;
use std::path::PathBuf;

/// Everything that ends the program before, or instead of, a clean unmount.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("mountpoint {0} does not exist; create the directory first")]
    MountpointMissing(PathBuf),
    #[error("mountpoint {0} is not a directory")]
    MountpointNotDirectory(PathBuf),
    #[error(
        "mountpoint {0} already has something mounted on it; unmount that first (fusermount3 -u)"
    )]
    MountpointBusy(PathBuf),
    #[error(
        "mountpoint {0} holds a FUSE mount whose process is gone; remove it with fusermount3 -u"
    )]
    MountpointDead(PathBuf),
    #[error(
        "mountpoint {0} lies inside the source directory, so the file system would serve itself"
    )]
    MountpointInSource(PathBuf),
    #[error("cannot use mountpoint {0}: {1}")]
    Mountpoint(PathBuf, io::Error),
    #[error("source directory {0}: {1}")]
    Source(PathBuf, io::Error),
    #[error(
        "cannot open /dev/fuse: {0} (if it is missing, load the module: modprobe fuse; it is usually open to all, mode 0666)"
    )]
    NoFuseDevice(io::Error),
    #[error(
        "fusermount3 was not found, and mounting without it needs root; install the package fuse3"
    )]
    NoFusermount,
    #[error("--allow-other needs the line user_allow_other in /etc/fuse.conf when not run as root")]
    AllowOtherForbidden,
    #[error("mounting on {0} failed: {1}")]
    Mount(PathBuf, io::Error),
    #[error("cannot write to the descriptor given by --ready-fd: {0}")]
    Ready(io::Error),
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
    #[error("serving ended with an error: {0}")]
    Serve(io::Error),
}

impl Failure {
    /// A code of its own for what a script may want to tell apart; 2 is left to usage errors.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Serve(_) | Self::Signals(_) | Self::Ready(_) => 1,
            Self::MountpointMissing(_) => 3,
            Self::MountpointNotDirectory(_) => 4,
            Self::MountpointBusy(_) | Self::MountpointDead(_) => 5,
            Self::Source(..) => 6,
            Self::NoFuseDevice(_) => 7,
            Self::NoFusermount => 8,
            Self::MountpointInSource(_) => 9,
            Self::AllowOtherForbidden => 10,
            Self::Mount(..) | Self::Mountpoint(..) => 11,
        }
    }
}
