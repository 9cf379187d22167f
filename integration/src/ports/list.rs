//! Which file systems there are, and how each is mounted and used.

use std::ffi::OsString;

use super::port::{Places, Port};
use crate::mount::End;

/// Where file systems come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The examples in fuser's package, ported by the line of their dependency.
    Fuser,
    /// File systems on the library easy_fuser, which depends on fuser itself: ported by `[patch.crates-io]`.
    EasyFuser,
}

impl Source {
    /// All of them.
    pub const ALL: [Source; 2] = [Source::Fuser, Source::EasyFuser];

    /// Package and version.
    #[must_use]
    pub fn package(self) -> (&'static str, &'static str) {
        match self {
            Source::Fuser => ("fuser", "0.18.0"),
            Source::EasyFuser => ("easy_fuser", "0.7.1"),
        }
    }
}

/// The file systems of `source`.
pub fn ports(source: Source) -> impl Iterator<Item = Port> {
    let ports = match source {
        Source::Fuser => &EXAMPLES[..],
        Source::EasyFuser => &MIRRORS[..],
    };
    ports.iter().copied()
}

/// Of fuser's examples, the one that is no file system but a client of one (poll).
pub const CLIENTS: [&str; 1] = ["poll_client"];

const EXAMPLE: Port = Port {
    name: "",
    script: "hello.sh",
    arguments: mountpoint,
    end: End::Unmounted,
    bypassed: true,
    together: false,
};

const EXAMPLES: [Port; 10] = [
    Port {
        name: "hello",
        ..EXAMPLE
    },
    Port {
        name: "async_hello",
        ..EXAMPLE
    },
    Port {
        name: "null",
        script: "null.sh",
        ..EXAMPLE
    },
    Port {
        name: "ioctl",
        script: "ioctl.sh",
        ..EXAMPLE
    },
    Port {
        name: "poll",
        script: "poll.sh",
        end: End::Killed,
        ..EXAMPLE
    },
    Port {
        name: "notify_inval_entry",
        script: "notify_inval_entry.sh",
        arguments: slowly_forgetting,
        end: End::Killed,
        ..EXAMPLE
    },
    Port {
        name: "notify_inval_inode",
        script: "notify_inval_inode.sh",
        end: End::Killed,
        ..EXAMPLE
    },
    Port {
        name: "passthrough",
        script: "passthrough.sh",
        ..EXAMPLE
    },
    Port {
        name: "passthrough_fork",
        script: "passthrough.sh",
        // Its parent process waits for ever.
        end: End::Killed,
        ..EXAMPLE
    },
    Port {
        name: "simple",
        script: "tree.sh",
        arguments: kept_in_data,
        together: true,
        ..EXAMPLE
    },
];

const MIRROR: Port = Port {
    script: "tree.sh",
    arguments: source_and_mountpoint,
    together: true,
    ..EXAMPLE
};

const MIRRORS: [Port; 3] = [
    Port {
        name: "mirror_serial",
        ..MIRROR
    },
    Port {
        name: "mirror_parallel",
        ..MIRROR
    },
    Port {
        name: "mirror_async",
        ..MIRROR
    },
];

fn mountpoint(places: &Places) -> Vec<OsString> {
    vec![places.mountpoint.clone().into()]
}

/// Names are remembered for 1000 s, and change each second.
fn slowly_forgetting(places: &Places) -> Vec<OsString> {
    let options = ["--timeout", "1000"].map(OsString::from);
    options.into_iter().chain(mountpoint(places)).collect()
}

fn kept_in_data(places: &Places) -> Vec<OsString> {
    vec![
        "--data-dir".into(),
        places.data.clone().into(),
        "--mount-point".into(),
        places.mountpoint.clone().into(),
    ]
}

fn source_and_mountpoint(places: &Places) -> Vec<OsString> {
    vec![places.data.clone().into(), places.mountpoint.clone().into()]
}
