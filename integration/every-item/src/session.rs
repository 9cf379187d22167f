//! Mounting, serving, notifying.

use std::ffi::OsStr;
use std::fmt::Debug;
use std::hash::Hash;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use fuser::{
    BackgroundSession, Config, Filesystem, INodeNo, MountOption, Notifier, PollHandle,
    PollNotifier, Session, SessionACL, SessionUnmounter, mount, spawn_mount,
};

use crate::implementation::Everything;
use crate::traits;

traits! {
    Session<Everything>: AsFd, Debug, Send, Sync, Unpin;
    BackgroundSession: Debug, Send, Sync, Unpin;
    SessionUnmounter: Debug, Send, Sync, Unpin;
    SessionACL: Copy, Debug, Default, Eq;
    Config: Clone, Debug, Default, Eq;
    MountOption: Clone, Debug, Eq, Hash;
    Notifier: Clone, Debug, Send, Sync, Unpin;
    PollHandle: Copy, Debug;
    PollNotifier: Clone, Debug, Send, Sync, Unpin;
}

fn serving<FS: Filesystem>() {
    let _: fn(FS, &'static str, &Config) -> io::Result<Session<FS>> = Session::new;
    let _: fn(FS, PathBuf, &Config) -> io::Result<Session<FS>> = Session::new;
    let _: fn(FS, OwnedFd, SessionACL, Config) -> io::Result<Session<FS>> = Session::from_fd;
    let _: fn(Session<FS>) -> io::Result<()> = Session::run;
    let _: fn(Session<FS>) -> io::Result<BackgroundSession> = Session::spawn;
    let _: fn(&mut Session<FS>) -> io::Result<()> = Session::unmount;
    let _: fn(&mut Session<FS>) -> SessionUnmounter = Session::unmount_callable;
    let _: fn(&Session<FS>) -> Notifier = Session::notifier;
    let _: fn(FS, &'static Path, &Config) -> io::Result<()> = mount;
    let _: fn(FS, &'static Path, &Config) -> io::Result<BackgroundSession> = spawn_mount;
}

const UNMOUNT: fn(&mut SessionUnmounter) -> io::Result<()> = SessionUnmounter::unmount;
const BACKGROUND: (
    fn(BackgroundSession) -> io::Result<()>,
    fn(BackgroundSession) -> io::Result<()>,
    fn(&BackgroundSession) -> Notifier,
) = (
    BackgroundSession::umount_and_join,
    BackgroundSession::join,
    BackgroundSession::notifier,
);
const NOTIFY: (
    fn(&Notifier, PollHandle) -> io::Result<()>,
    fn(&Notifier, INodeNo, &OsStr) -> io::Result<()>,
    fn(&Notifier, INodeNo, i64, i64) -> io::Result<()>,
    fn(&Notifier, INodeNo, u64, &[u8]) -> io::Result<()>,
    fn(&Notifier, INodeNo, INodeNo, &OsStr) -> io::Result<()>,
) = (
    Notifier::poll,
    Notifier::inval_entry,
    Notifier::inval_inode,
    Notifier::store,
    Notifier::delete,
);
const POLL: (
    fn(&PollNotifier) -> PollHandle,
    fn(PollNotifier) -> io::Result<()>,
) = (PollNotifier::handle, PollNotifier::notify);
const HANDLE: PollHandle = PollHandle(1);

/// A part that is moved out, as the field is public.
fn guard(session: BackgroundSession) -> JoinHandle<io::Result<()>> {
    session.guard
}

fn configuration() -> Config {
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName("name".into()),
        MountOption::Subtype("kind".into()),
        MountOption::CUSTOM("option".into()),
        MountOption::AutoUnmount,
        MountOption::DefaultPermissions,
        MountOption::Dev,
        MountOption::NoDev,
        MountOption::Suid,
        MountOption::NoSuid,
        MountOption::RO,
        MountOption::RW,
        MountOption::Exec,
        MountOption::NoExec,
        MountOption::Atime,
        MountOption::NoAtime,
        MountOption::DirSync,
        MountOption::Sync,
        MountOption::Async,
    ];
    config.acl = SessionACL::Owner;
    config.n_threads = Some(2_usize);
    config.clone_fd = true;
    config
}

const WHO: [SessionACL; 3] = [SessionACL::All, SessionACL::RootAndOwner, SessionACL::Owner];
