//! Is a mount served by Finesse? Asked once a file system, when a call first leads there,
//! by a thread of its own, so that a hung mount hangs nobody else.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use finesse_wire::{DOOR_NAME, DoorError};
use parking_lot::{Condvar, Mutex};
use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};
use thiserror::Error;

use crate::connection::{ConnectError, Connection};
use crate::reason::Reason;

/// How long the first call waits for the answer before it goes to the kernel.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// What is known of one file system's runtime.
pub(crate) struct Door {
    /// Device number, `major:minor`, as in the mount table.
    device: String,
    was_over: bool,
    state: Mutex<State>,
    answered: Condvar,
}

#[derive(Debug)]
enum State {
    Unasked,
    Asking,
    Open(Arc<Connection>),
    Closed,
}

impl State {
    /// A channel that was closed, because of a fault or of the runtime's end, opens no more.
    fn close_after_its_end(&mut self) {
        if let State::Open(connection) = self
            && !connection.is_open()
        {
            connection.hang_up();
            *self = State::Closed;
        }
    }
}

/// Why a mount cannot be used through the bypass.
#[derive(Debug, Error)]
pub enum NotServed {
    /// The file system has no door: it is not built on Finesse's runtime, or an older
    /// runtime, or the door is switched off.
    #[error("the file system has no Finesse door")]
    NoDoor,
    /// Another file system is in the way by now.
    #[error("the mountpoint leads to another mount by now")]
    Moved,
    /// The mount did not let us ask.
    #[error("cannot ask the mount: {0}")]
    Io(#[from] io::Error),
    /// There is a door that this version cannot read.
    #[error("the mount's door cannot be used: {0}")]
    Door(#[from] DoorError),
    /// The runtime did not let us in.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Door({})", self.device)
    }
}

impl Door {
    /// `was_over` says that the last one with this number was, which was reported then.
    pub(crate) fn new(device: String, was_over: bool) -> Self {
        Door {
            device,
            was_over,
            state: Mutex::new(State::Unasked),
            answered: Condvar::new(),
        }
    }

    pub(crate) fn device(&self) -> &str {
        &self.device
    }

    /// Whether nothing is to be expected of it: it is served by nobody, or by a process that
    /// has ended. Another file system may have its device number by now.
    pub(crate) fn is_over(&self) -> bool {
        let mut state = self.state.lock();
        state.close_after_its_end();
        matches!(*state, State::Closed)
    }

    /// The connection to the runtime behind the mount `id` at `mountpoint`.
    pub(crate) fn connection(
        self: &Arc<Self>,
        id: u64,
        mountpoint: &Path,
    ) -> Result<Arc<Connection>, Reason> {
        let mut state = self.state.lock();
        if let State::Unasked = *state {
            *state = State::Asking;
            self.ask(id, mountpoint.to_owned());
            self.answered.wait_for(&mut state, FIRST_WAIT);
        }
        state.close_after_its_end();
        match &*state {
            State::Open(connection) => Ok(Arc::clone(connection)),
            State::Asking | State::Unasked => Err(Reason::Discovering),
            State::Closed => Err(Reason::NotServed),
        }
    }

    fn ask(self: &Arc<Self>, id: u64, mountpoint: PathBuf) {
        let door = Arc::clone(self);
        let asking = move || {
            let answer = ask(id, &mountpoint, &door.device);
            let shown = mountpoint.display();
            let state = match answer {
                Ok(connection) => {
                    tracing::info!("{shown} is served by Finesse");
                    State::Open(connection)
                }
                Err(NotServed::NoDoor) => {
                    tracing::info!("{shown} is left to the kernel: {}", NotServed::NoDoor);
                    State::Closed
                }
                Err(error) if door.was_over => {
                    tracing::info!("{shown} is still left to the kernel: {error}");
                    State::Closed
                }
                Err(error) => {
                    tracing::warn!("{shown} is left to the kernel: {error}");
                    State::Closed
                }
            };
            *door.state.lock() = state;
            door.answered.notify_all();
        };
        // Without a thread the state stays "asking", and all calls continue.
        if let Err(error) = std::thread::Builder::new()
            .name("discovery".into())
            .spawn(asking)
        {
            tracing::warn!("cannot start a thread to ask a mount: {error}");
        }
    }
}

/// Asks the mount `id`, whose file system has `device`, and connects to its runtime.
pub(crate) fn ask(id: u64, mountpoint: &Path, device: &str) -> Result<Arc<Connection>, NotServed> {
    let root = open_root(id, mountpoint)?;
    let text = match rustix::fs::readlinkat(&root, DOOR_NAME, Vec::new()) {
        Ok(text) => text,
        // EINVAL: something of that name that is no link.
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::INVAL) => return Err(NotServed::NoDoor),
        Err(errno) => return Err(NotServed::Io(errno.into())),
    };
    let door: finesse_wire::Door = text.to_string_lossy().parse()?;
    Ok(Connection::open(door, device, 0, None)?)
}

/// The root of exactly this mount; opening it does not ask the file system.
fn open_root(id: u64, mountpoint: &Path) -> Result<OwnedFd, NotServed> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(mountpoint, flags, Mode::empty()).map_err(io::Error::from)?;
    let at = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let found = rustix::fs::statx(&root, "", at, StatxFlags::MNT_ID).map_err(io::Error::from)?;
    if found.stx_mnt_id == id {
        Ok(root)
    } else {
        Err(NotServed::Moved)
    }
}
