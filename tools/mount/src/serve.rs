//! Mount, serve until the end, unmount.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::{env, thread};

use fuser::{Config, Filesystem, MountOption, Session, SessionACL, SessionUnmounter};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::geteuid;
use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};

use crate::failure::Failure;
use crate::memory::Memory;
use crate::options::{Common, Kind, Options};
use crate::passthrough::Passthrough;

/// Mounts what the options ask for and serves it until it is unmounted.
///
/// Signals are blocked before any thread exists, so that all of them leave the signals to the one
/// that waits for them.
pub(crate) fn serve(options: &Options) -> Result<(), Failure> {
    let signals = block_signals()?;
    // Modes arrive with the caller's umask already applied.
    rustix::process::umask(rustix::fs::Mode::empty());
    check_fuse()?;
    let common = &options.common;
    match &options.kind {
        Kind::Passthrough { source, mountpoint } => {
            let mountpoint = check_mountpoint(mountpoint)?;
            check_source(source, &mountpoint)?;
            let fs = Passthrough::new(source, common.entry_ttl, common.attr_ttl)
                .map_err(|error| Failure::Source(source.clone(), error))?;
            let config = config(
                &source.to_string_lossy(),
                common,
                common.default_permissions || common.allow_other,
            );
            run(fs, &mountpoint, &config, common.ready_fd, signals)
        }
        Kind::Memory { mountpoint, size } => {
            let mountpoint = check_mountpoint(mountpoint)?;
            let fs = Memory::new(*size, common.entry_ttl, common.attr_ttl);
            run(
                fs,
                &mountpoint,
                &config("memory", common, true),
                common.ready_fd,
                signals,
            )
        }
    }
}

fn run<FS: Filesystem>(
    fs: FS,
    mountpoint: &Path,
    config: &Config,
    ready_fd: Option<u32>,
    signals: SigSet,
) -> Result<(), Failure> {
    let mut session =
        Session::new(fs, mountpoint, config).map_err(|error| mount_failure(mountpoint, error))?;
    unmount_on_signal(session.unmount_callable(), mountpoint.to_owned(), signals);
    announce(ready_fd)?;
    log::info!("serving {}", mountpoint.display());
    match session.run() {
        // One thread took the kernel's farewell; its leaving aborts the connection under the
        // others (FUSE_ABORT_ERROR). The mount is gone all the same.
        Err(error) if error.raw_os_error() == Some(libc::ECONNABORTED) => Ok(()),
        end => end.map_err(Failure::Serve),
    }
}

/// `checked` says that permissions are checked by mode, owner and group.
fn config(name: &str, common: &Common, checked: bool) -> Config {
    let mut mount_options = vec![
        MountOption::FSName(name.replace(',', "_")),
        MountOption::Subtype("finesse".to_owned()),
    ];
    if checked {
        mount_options.push(MountOption::DefaultPermissions);
    }
    if common.read_only {
        mount_options.push(MountOption::RO);
    }
    if geteuid().is_root() {
        mount_options.extend([MountOption::Dev, MountOption::Suid]);
    }
    let mut config = Config::default();
    config.mount_options = mount_options;
    config.acl = if common.allow_other {
        SessionACL::All
    } else {
        SessionACL::Owner
    };
    config.n_threads = Some(common.thread_count());
    config.clone_fd = common.thread_count() > 1;
    config
}

fn block_signals() -> Result<SigSet, Failure> {
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    signals
        .thread_block()
        .map_err(|errno| Failure::Signals(errno.into()))?;
    Ok(signals)
}

/// First signal: unmount, or detach a mount that is in use, which then ends with its last user.
/// Second signal: end at once.
fn unmount_on_signal(mut unmounter: SessionUnmounter, mountpoint: PathBuf, signals: SigSet) {
    thread::spawn(move || {
        if signals.wait().is_err() {
            return;
        }
        if let Err(error) = unmounter.unmount() {
            log::warn!(
                "{}: {error}; detached, serving what is still open (signal again to end at once)",
                mountpoint.display()
            );
            if let Err(error) = umount2(&mountpoint, MntFlags::MNT_DETACH) {
                log::warn!("detaching failed: {error}");
            }
        }
        if signals.wait().is_ok() {
            std::process::exit(1);
        }
    });
}

/// Opening through /proc leaves the descriptor itself to whoever passed it.
fn announce(ready_fd: Option<u32>) -> Result<(), Failure> {
    let Some(fd) = ready_fd else { return Ok(()) };
    OpenOptions::new()
        .write(true)
        .open(format!("/proc/self/fd/{fd}"))
        .and_then(|mut file| file.write_all(b"\n"))
        .map_err(Failure::Ready)
}

fn check_fuse() -> Result<(), Failure> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/fuse")
        .map_err(Failure::NoFuseDevice)?;
    if geteuid().is_root() || fusermount_found() {
        Ok(())
    } else {
        Err(Failure::NoFusermount)
    }
}

fn fusermount_found() -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain([PathBuf::from("/bin"), PathBuf::from("/sbin")])
        .any(|dir| dir.join("fusermount3").exists())
}

/// The mountpoint's real path, if something can be mounted there.
fn check_mountpoint(path: &Path) -> Result<PathBuf, Failure> {
    let found =
        statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS).map_err(io::Error::from);
    let found = found.map_err(|error| match error.raw_os_error() {
        Some(libc::ENOENT) => Failure::MountpointMissing(path.to_owned()),
        Some(libc::ENOTCONN) => Failure::MountpointDead(path.to_owned()),
        Some(libc::ENOTDIR) => Failure::MountpointNotDirectory(path.to_owned()),
        _ => Failure::Mountpoint(path.to_owned(), error),
    })?;
    if u32::from(found.stx_mode) & libc::S_IFMT != libc::S_IFDIR {
        return Err(Failure::MountpointNotDirectory(path.to_owned()));
    }
    if found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
        return Err(Failure::MountpointBusy(path.to_owned()));
    }
    path.canonicalize()
        .map_err(|error| Failure::Mountpoint(path.to_owned(), error))
}

/// A mountpoint strictly inside the source would make a walk through the source call itself.
fn check_source(source: &Path, mountpoint: &Path) -> Result<(), Failure> {
    let real = source
        .canonicalize()
        .map_err(|error| Failure::Source(source.to_owned(), error))?;
    if real != mountpoint && mountpoint.starts_with(&real) {
        return Err(Failure::MountpointInSource(mountpoint.to_owned()));
    }
    Ok(())
}

fn mount_failure(mountpoint: &Path, error: io::Error) -> Failure {
    if error.to_string().contains("user_allow_other") {
        return Failure::AllowOtherForbidden;
    }
    if error.raw_os_error() == Some(libc::EBUSY) {
        return Failure::MountpointBusy(mountpoint.to_owned());
    }
    Failure::Mount(mountpoint.to_owned(), error)
}
