//! A mount's life: as in fuser, with the bypass door opened before the first request is
//! served and closed before the file system is destroyed.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use fuser::{Config, MountOption, SessionACL, SessionUnmounter};
use nix::unistd::{getegid, geteuid, getgid, getuid};
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

use crate::door::MountFacts;
use crate::filesystem::Filesystem;
use crate::kernel_door::{Bypass, Doors, KernelDoor};
use crate::notifier::Notifier;

/// A mounted file system that is not served yet, or is by [`Session::run`].
#[derive(Debug)]
pub struct Session<FS: Filesystem> {
    kernel: fuser::Session<KernelDoor<FS>>,
    doors: Arc<Doors>,
    bypass: Arc<Bypass<FS>>,
    /// None: not known, so there will be no bypass door.
    mount: Option<MountFacts>,
}

impl<FS: Filesystem> AsFd for Session<FS> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.kernel.as_fd()
    }
}

impl<FS: Filesystem> Session<FS> {
    /// Mounts `filesystem` on `mountpoint` and initialises it.
    ///
    /// # Errors
    /// Options that exclude each other, a mount that is refused, or an error of the file
    /// system's init.
    pub fn new<P: AsRef<Path>>(
        filesystem: FS,
        mountpoint: P,
        options: &Config,
    ) -> io::Result<Session<FS>> {
        let (doors, bypass) = (Doors::new(), Bypass::new());
        let threads = options.n_threads.unwrap_or(1);
        let door = KernelDoor::new(filesystem, threads, Arc::clone(&doors), Arc::clone(&bypass));
        let kernel = fuser::Session::new(door, &mountpoint, options)?;
        let mount = mount_facts(mountpoint.as_ref(), options, &bypass);
        Ok(Session {
            kernel,
            doors,
            bypass,
            mount,
        })
    }

    /// Serves a /dev/fuse descriptor that somebody else mounts. Which options the mount
    /// has is not known here, so it gets no bypass door.
    ///
    /// # Errors
    /// When FUSE_INIT fails, or the file system's init does.
    pub fn from_fd(
        filesystem: FS,
        fd: OwnedFd,
        acl: SessionACL,
        config: Config,
    ) -> io::Result<Self> {
        let (doors, bypass) = (Doors::new(), Bypass::new());
        let threads = config.n_threads.unwrap_or(1);
        let door = KernelDoor::new(filesystem, threads, Arc::clone(&doors), Arc::clone(&bypass));
        Ok(Session {
            kernel: fuser::Session::from_fd(door, fd, acl, config)?,
            doors,
            bypass,
            mount: None,
        })
    }

    /// Serves the mount until it is unmounted.
    ///
    /// # Errors
    /// When a thread cannot be started or /dev/fuse fails.
    pub fn run(self) -> io::Result<()> {
        if let Some(mount) = self.mount {
            self.bypass.open(&self.doors, self.kernel.notifier(), mount);
        }
        self.kernel.run()
    }

    /// Serves the mount in the background. It is unmounted when the returned session is
    /// dropped.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn spawn(mut self) -> io::Result<BackgroundSession> {
        let notifier = self.notifier();
        let mount = UnmountOnDrop(self.kernel.unmount_callable());
        let guard = thread::Builder::new()
            .name("fuser-bg".to_owned())
            .spawn(move || self.run())?;
        Ok(BackgroundSession {
            guard,
            notifier,
            mount,
        })
    }

    /// Unmounts.
    ///
    /// # Errors
    /// When the kernel or fusermount3 refuses.
    pub fn unmount(&mut self) -> io::Result<()> {
        self.kernel.unmount()
    }

    /// What can unmount from another thread.
    pub fn unmount_callable(&mut self) -> SessionUnmounter {
        self.kernel.unmount_callable()
    }

    /// What sends notifications to both doors.
    pub fn notifier(&self) -> Notifier {
        Notifier::new(self.kernel.notifier(), Arc::clone(&self.doors))
    }
}

/// What the bypass door must know to allow no more than the mount does. None when the
/// device is not known, or when user and effective user differ: mount and session would
/// then judge by different owners.
fn mount_facts<FS: Filesystem>(
    mountpoint: &Path,
    options: &Config,
    bypass: &Bypass<FS>,
) -> Option<MountFacts> {
    if getuid() != geteuid() || getgid() != getegid() {
        return None;
    }
    let has = |option: &MountOption, text: &str| {
        options.mount_options.iter().any(|given| match given {
            MountOption::CUSTOM(list) => list.split(',').any(|one| one == text),
            given => given == option,
        })
    };
    Some(MountFacts {
        owner_uid: getuid().as_raw(),
        owner_gid: getgid().as_raw(),
        allow: options.acl,
        default_permissions: has(&MountOption::DefaultPermissions, "default_permissions"),
        read_only: has(&MountOption::RO, "ro"),
        negotiated: bypass.negotiated(),
        device: device(mountpoint)?,
    })
}

/// Major and minor number of what is mounted there. Nobody serves it yet: the kernel must
/// answer by itself.
fn device(mountpoint: &Path) -> Option<(u32, u32)> {
    let flags = AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    statx(CWD, mountpoint, flags, StatxFlags::TYPE)
        .map(|found| (found.stx_dev_major, found.stx_dev_minor))
        .inspect_err(|error| log::warn!("no bypass door: cannot tell the device: {error}"))
        .ok()
}

/// A mounted file system that is served in the background.
#[derive(Debug)]
pub struct BackgroundSession {
    /// The thread that serves it.
    pub guard: JoinHandle<io::Result<()>>,
    notifier: Notifier,
    mount: UnmountOnDrop,
}

#[derive(Debug)]
struct UnmountOnDrop(SessionUnmounter);

impl Drop for UnmountOnDrop {
    fn drop(&mut self) {
        if let Err(error) = self.0.unmount() {
            log::warn!("Failed to umount filesystem: {error}");
        }
    }
}

impl BackgroundSession {
    /// Unmounts and waits for the end of the session.
    ///
    /// # Errors
    /// When unmounting fails, or what [`Session::run`] says.
    pub fn umount_and_join(mut self) -> io::Result<()> {
        self.mount.0.unmount()?;
        self.join()
    }

    /// What sends notifications to both doors.
    pub fn notifier(&self) -> Notifier {
        self.notifier.clone()
    }

    /// Waits until somebody unmounts.
    ///
    /// # Errors
    /// What [`Session::run`] says, or that it panicked.
    pub fn join(self) -> io::Result<()> {
        self.guard
            .join()
            .map_err(|_| io::Error::other("filesystem background thread panicked"))?
    }
}

/// Mounts `filesystem` on `mountpoint` and serves it until it is unmounted.
///
/// # Errors
/// Those of [`Session::new`] and [`Session::run`].
pub fn mount<FS: Filesystem, P: AsRef<Path>>(
    filesystem: FS,
    mountpoint: P,
    options: &Config,
) -> io::Result<()> {
    Session::new(filesystem, mountpoint.as_ref(), options).and_then(Session::run)
}

/// Mounts `filesystem` on `mountpoint` and serves it in the background. It is unmounted
/// when the returned session is dropped.
///
/// # Errors
/// Those of [`Session::new`] and [`Session::spawn`].
pub fn spawn_mount<'a, FS: Filesystem + Send + 'static + 'a, P: AsRef<Path>>(
    filesystem: FS,
    mountpoint: P,
    options: &Config,
) -> io::Result<BackgroundSession> {
    Session::new(filesystem, mountpoint.as_ref(), options).and_then(Session::spawn)
}
