//! How a mount says that a runtime serves it, and where to reach that runtime.
//!
//! The runtime answers one reserved name in the root of its mount, through the kernel
//! door: a symbolic link that no listing shows, whose target names the socket. Only the
//! process behind the mount can answer, so nothing can pose as it. (An extended
//! attribute would not do: one `ENOSYS` to any getxattr makes the kernel stop asking,
//! `fc->no_getxattr` in fs/fuse/xattr.c.)

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::PROTOCOL_VERSION;

/// The reserved name in the root of a mount.
pub const DOOR_NAME: &str = ".finesse-door";

/// Bytes in a [`Token`].
pub const TOKEN_LEN: usize = 16;

/// A random secret that proves that its bearer could read the door on the mount.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Token(pub [u8; TOKEN_LEN]);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The target of the link [`DOOR_NAME`]: `finesse:VERSION:SOCKET:TOKEN`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Door {
    /// Name of the runtime's `SOCK_SEQPACKET` socket in the abstract name space
    /// (unix(7)), without its leading NUL; letters, digits and `-` only.
    pub socket: String,
    /// What the runtime wants to see from a supervisor.
    pub token: Token,
}

/// Why a link's target is no door that this version can use.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum DoorError {
    /// Not `finesse:VERSION:SOCKET:TOKEN` at all.
    #[error("it does not have the form finesse:VERSION:SOCKET:TOKEN")]
    Malformed,
    /// A runtime of another version.
    #[error("the file system speaks protocol version {theirs}, this supervisor speaks {ours}")]
    Version {
        /// The runtime's protocol version.
        theirs: u32,
        /// [`PROTOCOL_VERSION`].
        ours: u32,
    },
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "finesse:{PROTOCOL_VERSION}:{}:", self.socket)?;
        self.token.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl FromStr for Door {
    type Err = DoorError;

    fn from_str(text: &str) -> Result<Self, DoorError> {
        let mut parts = text.splitn(3, ':');
        let (Some("finesse"), Some(version), Some(rest)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(DoorError::Malformed);
        };
        let theirs = version.parse().map_err(|_| DoorError::Malformed)?;
        if theirs != PROTOCOL_VERSION {
            return Err(DoorError::Version {
                theirs,
                ours: PROTOCOL_VERSION,
            });
        }
        let (socket, token) = rest.split_once(':').ok_or(DoorError::Malformed)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if socket.is_empty() || socket.len() > 100 || !socket.chars().all(plain) {
            return Err(DoorError::Malformed);
        }
        Ok(Door {
            socket: socket.to_owned(),
            token: parse_token(token).ok_or(DoorError::Malformed)?,
        })
    }
}

fn parse_token(hex: &str) -> Option<Token> {
    if hex.len() != 2 * TOKEN_LEN || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut token = [0; TOKEN_LEN];
    for (byte, digits) in token.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(Token(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_door_agree() {
        let door = Door {
            socket: "finesse-12-ab".into(),
            token: Token(*b"0123456789abcdef"),
        };
        assert_eq!(door.to_string().parse(), Ok(door));
    }

    #[test]
    fn other_versions_are_named() {
        let error = "finesse:7:whatever:comes".parse::<Door>().unwrap_err();
        assert_eq!(
            error,
            DoorError::Version {
                theirs: 7,
                ours: PROTOCOL_VERSION
            }
        );
    }

    #[test]
    fn forgeries_are_refused() {
        let token = "00".repeat(TOKEN_LEN);
        for text in [
            String::new(),
            "finesse:1".into(),
            format!("finesse:1::{token}"),
            format!("finesse:1:../../x:{token}"),
            format!("finesse:1:s:{token}00"),
            format!("finesse:1:s:+{}", &token[1..]),
            format!("other:1:s:{token}"),
        ] {
            assert_eq!(text.parse::<Door>(), Err(DoorError::Malformed), "{text}");
        }
    }
}
