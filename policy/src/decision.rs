//! What may be decided about a call, and its name in a policy.

use std::fmt;

use nix::errno::Errno;

use crate::names::{Choices, nearest};

/// What to do with one call.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Decision {
    /// The file system answers it through the bypass door.
    Bypass,
    /// The kernel executes it as if it had not been trapped.
    Kernel,
    /// The call fails with this errno, a positive number; nobody executes it.
    Refuse(i32),
}

/// Greatest errno that Linux names, linux: include/uapi/asm-generic/errno.h.
const LAST_ERRNO: i32 = 133;

/// Names that share their number with another one.
const ALIASES: [(&str, Errno); 3] = [
    ("EWOULDBLOCK", Errno::EAGAIN),
    ("EDEADLOCK", Errno::EDEADLK),
    ("ENOTSUP", Errno::EOPNOTSUPP),
];

impl Decision {
    /// The stricter of two decisions: a refusal before the kernel before the bypass. Of
    /// two refusals the first stays.
    #[must_use]
    pub fn stricter(self, other: Decision) -> Decision {
        if other.strictness() > self.strictness() {
            other
        } else {
            self
        }
    }

    fn strictness(self) -> u8 {
        match self {
            Decision::Bypass => 0,
            Decision::Kernel => 1,
            Decision::Refuse(_) => 2,
        }
    }

    /// The decision that a policy calls `name`.
    pub(crate) fn from_name(name: &str) -> Option<Decision> {
        match name {
            "bypass" => Some(Decision::Bypass),
            "kernel" => Some(Decision::Kernel),
            _ => errno_named(name).map(Decision::Refuse),
        }
    }

    /// What a policy may write, and which of it is near to `wrong`.
    pub(crate) fn expected(wrong: &str) -> String {
        let mut expected = "`bypass`, `kernel` or the name of an errno such as `EACCES`".to_owned();
        let known: Vec<String> = ["bypass", "kernel"]
            .map(str::to_owned)
            .into_iter()
            .chain(errno_names().map(|(name, _)| name))
            .collect();
        if let Some(name) = nearest(wrong, known.iter().map(String::as_str)) {
            expected.push_str(&Choices::hint(name));
        }
        expected
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Decision::Bypass => f.write_str("bypass"),
            Decision::Kernel => f.write_str("kernel"),
            Decision::Refuse(errno) => write!(f, "{:?}", Errno::from_raw(*errno)),
        }
    }
}

/// All errno names of Linux with their numbers, aliases last.
fn errno_names() -> impl Iterator<Item = (String, i32)> {
    let named = (1..=LAST_ERRNO)
        .map(|number| (Errno::from_raw(number), number))
        .filter(|(errno, _)| *errno != Errno::UnknownErrno)
        .map(|(errno, number)| (format!("{errno:?}"), number));
    let aliases = ALIASES
        .iter()
        .map(|(name, errno)| ((*name).to_owned(), *errno as i32));
    named.chain(aliases)
}

fn errno_named(name: &str) -> Option<i32> {
    errno_names()
        .find(|(known, _)| known == name)
        .map(|(_, number)| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_errno_has_its_name() {
        for (name, number) in [
            ("EPERM", 1),
            ("EACCES", 13),
            ("EAGAIN", 11),
            ("EWOULDBLOCK", 11),
            ("EDEADLK", 35),
            ("EDEADLOCK", 35),
            ("EOPNOTSUPP", 95),
            ("ENOTSUP", 95),
            ("EHWPOISON", 133),
        ] {
            assert_eq!(
                Decision::from_name(name),
                Some(Decision::Refuse(number)),
                "{name}"
            );
        }
        // 41 and 58 are holes in Linux's numbering.
        assert_eq!(errno_names().count(), 131 + ALIASES.len());
    }

    #[test]
    fn names_come_back() {
        for name in ["bypass", "kernel", "EROFS"] {
            assert_eq!(Decision::from_name(name).unwrap().to_string(), name);
        }
        for name in ["", "0", "13", "eacces", "UnknownErrno", "Bypass"] {
            assert_eq!(Decision::from_name(name), None, "{name}");
        }
    }

    #[test]
    fn the_stricter_wins() {
        use Decision::{Bypass, Kernel, Refuse};
        assert_eq!(Bypass.stricter(Kernel), Kernel);
        assert_eq!(Kernel.stricter(Bypass), Kernel);
        assert_eq!(Kernel.stricter(Refuse(1)), Refuse(1));
        assert_eq!(Refuse(1).stricter(Kernel), Refuse(1));
        assert_eq!(Refuse(1).stricter(Refuse(13)), Refuse(1));
    }
}
