//! From a system call's number and registers to what it asks: the table of all variants.
//!
//! Whatever is unusual (unknown flag bits, `AT_EMPTY_PATH`, null paths) decodes to
//! nothing and goes to the kernel, which knows the errno.

mod foreign;
mod table;

use finesse_agent::layout::ask;
use finesse_notify::{Abi, ForeignTrap, Notification, Trap};
use finesse_wire::Operation;

use crate::reason::Reason;

/// A path argument: where its string lies, and what it is relative to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct PathArg {
    /// A directory descriptor of the target, or `AT_FDCWD`.
    pub(crate) dirfd: i32,
    /// Address of the string in the target.
    pub(crate) address: u64,
}

/// A call on one or two paths.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct PathCall {
    pub(crate) operation: Operation,
    pub(crate) first: PathArg,
    /// The new name of rename and link.
    pub(crate) second: Option<PathArg>,
    /// Whether a symbolic link in the last component of `first` is followed.
    pub(crate) follow: bool,
    pub(crate) detail: Detail,
}

impl PathCall {
    /// Whether a mount must be writable for the call to succeed: it changes something, or
    /// asks whether it may.
    pub(crate) fn wants_to_write(&self) -> bool {
        const W_OK: u32 = 2;
        let asks = matches!(self.detail, Detail::Access { mode, .. } if mode & W_OK != 0);
        asks || !self.operation.is_lookup()
    }
}

/// The arguments beside the paths; addresses are the target's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Detail {
    None,
    Mode(u32),
    Flags(u32),
    Node {
        mode: u32,
        rdev: u32,
    },
    Owner {
        uid: u32,
        gid: u32,
    },
    Size(i64),
    Times {
        address: u64,
        layout: TimesLayout,
    },
    Text {
        address: u64,
    },
    Name {
        address: u64,
    },
    Value {
        name: u64,
        address: u64,
        size: usize,
        flags: u32,
    },
    Access {
        mode: u32,
        effective: bool,
    },
    Stat {
        buffer: u64,
    },
    Statx {
        buffer: u64,
    },
    Buffer {
        buffer: u64,
        size: usize,
    },
    NamedBuffer {
        name: u64,
        buffer: u64,
        size: usize,
    },
}

impl Detail {
    /// Bytes that the target has room for; 0 asks how many there are.
    pub(crate) fn room(self) -> usize {
        match self {
            Detail::Buffer { size, .. } | Detail::NamedBuffer { size, .. } => size,
            _ => 0,
        }
    }
}

/// How the two times lie in memory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TimesLayout {
    /// `struct utimbuf`: two times in seconds.
    Utimbuf,
    /// `struct timeval[2]`: seconds and microseconds.
    Timeval,
    /// `struct timespec[2]`: seconds and nanoseconds, or `UTIME_NOW`, `UTIME_OMIT`.
    Timespec,
}

/// A call that changes what the supervisor remembers of the target.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Event {
    /// The process becomes another program.
    Exec,
    /// The thread's credentials change.
    Credentials,
    /// The process's umask changes to this.
    Umask(u16),
    /// The process leaves this root or namespace.
    Confine,
    /// The thread restricts itself, and the processes that it starts, by landlock(7), of which
    /// nothing can be seen later.
    Restrict,
    /// The process adopts the orphans among its descendants.
    Adopts,
    /// The process filters its own calls, those of our code in it included.
    Filter,
    /// The process ends.
    Exit,
}

/// What a trapped call is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Trapped {
    Path(PathCall),
    Event(Event),
}

/// Decodes a notification's registers.
pub(crate) fn decode(notification: &Notification) -> Result<Trapped, Reason> {
    let (number, args) = (notification.number(), notification.args());
    match notification.abi() {
        Abi::X86_64 => {
            let entry = table::find(number).ok_or(Reason::Arguments)?;
            (entry.decode)(&args).ok_or(Reason::Arguments)
        }
        other => {
            let event = foreign::decode(other, number, &args).ok_or(Reason::OtherAbi)?;
            Ok(Trapped::Event(event))
        }
    }
}

/// Name of a system call that may trap.
pub(crate) fn name(number: i32) -> &'static str {
    table::find(number).map_or("?", |entry| entry.name)
}

/// What to trap so that `wanted` operations can be bypassed: their calls in all variants,
/// and the events that their correctness hangs on.
pub(crate) fn traps(wanted: impl Fn(Operation) -> bool) -> Vec<Trap> {
    let mut traps: Vec<_> = table::paths(wanted).map(table::Entry::trap).collect();
    if !traps.is_empty() {
        traps.extend(table::events().map(table::Entry::trap));
    }
    traps
}

/// The events in the other ABIs.
pub(crate) fn foreign_traps() -> Vec<ForeignTrap> {
    foreign::traps()
}

/// What to trap besides, when programs post requests themselves.
pub(crate) fn fast_traps() -> Vec<Trap> {
    let events = table::fast_events().map(table::Entry::trap);
    events
        .chain([table::prctl_trap(ask::OPTION), table::start()])
        .collect()
}

/// Whether a call is one of the first that a program makes: nearly each sets the register in
/// which its first thread finds its storage, and has no other thread before.
pub(crate) fn is_start(notification: &Notification) -> bool {
    notification.abi() == Abi::X86_64
        && table::start().is(notification.number(), notification.args())
}
