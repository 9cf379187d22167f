//! Why a call is left to the kernel.

use std::fmt;

use finesse_wire::NotMine;

/// Why a trapped call is continued in the kernel. Continuing is always right; each reason
/// appears in reports.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Reason {
    /// Trapped only to learn of it (exec, setuid, umask, chroot and the like).
    Event,
    /// A call of another ABI (i386, x32).
    OtherAbi,
    /// Flags or arguments that only the kernel judges.
    Arguments,
    /// A resource limit of the program may forbid it, which is a signal too.
    ResourceLimit,
    /// `--no-bypass`.
    NoBypass,
    /// The policy says kernel.
    Policy,
    /// The target's memory could not be read, or a string in it is too long.
    Memory,
    /// The target is gone, or /proc does not show it.
    TargetGone,
    /// The target lives in other namespaces, under another root, or confined itself.
    Confined,
    /// The path does not lead into a Finesse mount.
    OtherFileSystem,
    /// The path starts from a directory that was removed.
    RemovedDirectory,
    /// The two paths lie on different file systems.
    TwoFileSystems,
    /// A directory above the mount may not be searchable for this caller.
    AncestorPermissions,
    /// The mount is served by no runtime, or by one that is not trusted.
    NotServed,
    /// The mount was found, its runtime has not answered yet.
    Discovering,
    /// Other file systems are mounted below the mount.
    MountsBelow,
    /// The mount is read-only, idmapped or does not follow symbolic links.
    MountOptions,
    /// The runtime refused to register the caller.
    CallerRefused,
    /// The channel is full or closed; nothing was forwarded.
    Channel,
    /// The runtime hands the call back.
    NotMine(NotMine),
}

impl Reason {
    /// A few words for reports.
    pub fn describe(self) -> &'static str {
        match self {
            Reason::Event => "observed only",
            Reason::OtherAbi => "other ABI",
            Reason::Arguments => "unusual arguments",
            Reason::ResourceLimit => "resource limit",
            Reason::NoBypass => "--no-bypass",
            Reason::Policy => "policy",
            Reason::Memory => "unreadable argument",
            Reason::TargetGone => "target gone",
            Reason::Confined => "confined target",
            Reason::OtherFileSystem => "other file system",
            Reason::RemovedDirectory => "removed directory",
            Reason::TwoFileSystems => "two file systems",
            Reason::AncestorPermissions => "permissions above the mount",
            Reason::NotServed => "mount without Finesse",
            Reason::Discovering => "mount being asked",
            Reason::MountsBelow => "mounts below the mount",
            Reason::MountOptions => "mount options",
            Reason::CallerRefused => "caller refused",
            Reason::Channel => "channel full or closed",
            Reason::NotMine(reason) => reason.describe(),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.describe())
    }
}
