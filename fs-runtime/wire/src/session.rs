//! The messages of a session, one a packet of the `SOCK_SEQPACKET` socket. They set up
//! the shared memory and say who the callers are; operations never travel here.

use crate::bytes::{DecodeError, Reader, Writer};
use crate::credentials::Credentials;
use crate::door::Token;
use crate::request::{CallerId, NodeId};

/// First bytes of every packet: "FNSS".
const MAGIC: u32 = u32::from_le_bytes(*b"FNSS");

/// Feature: the channel goes to a target itself, which is trusted with nothing. Requests
/// may then start from bases that the supervisor granted, and from no others.
pub const FEATURE_DIRECT: u64 = 1;

/// Feature: the file system hears of [`FromSupervisor::Interrupt`].
pub const FEATURE_INTERRUPT: u64 = 2;

/// What a supervisor says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FromSupervisor {
    /// First packet: opens the session.
    Hello {
        /// [`crate::PROTOCOL_VERSION`] of the supervisor.
        version: u32,
        /// Optional parts it can use: [`FEATURE_DIRECT`], [`FEATURE_INTERRUPT`].
        features: u64,
        /// From the mount's door.
        token: Token,
    },
    /// From now on requests may name `caller`, who has these credentials.
    Register {
        /// Number chosen by the supervisor.
        caller: CallerId,
        /// Taken from the kernel, never from a target's memory.
        credentials: Credentials,
    },
    /// No request will name `caller` again.
    Forget {
        /// A registered caller.
        caller: CallerId,
    },
    /// Requests may start from `base`: the target holds this directory.
    Grant {
        /// A node.
        base: NodeId,
    },
    /// A signal has come for the caller of a request, which may end early now; it is answered
    /// as ever. Not answered itself.
    Interrupt {
        /// The request's slot and generation, as the channel names them.
        label: u64,
    },
}

/// Why a runtime says no.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Refusal {
    /// Another protocol version.
    Version = 1,
    /// The token is not the mount's.
    Token = 2,
    /// The peer may not use this mount, or not speak for that caller.
    NotAllowed = 3,
    /// Too many sessions or callers.
    Limit = 4,
}

/// What a runtime says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FromRuntime {
    /// Answer to `Hello`; the packet carries the descriptor of the shared memory.
    Welcome {
        /// [`crate::PROTOCOL_VERSION`] of the runtime.
        version: u32,
        /// Those of the offered features that it uses.
        features: u64,
        /// Device number of the file system, major and minor. A file system that shows
        /// another one's files shows its door too; by this number they are told apart.
        device: (u32, u32),
    },
    /// Answer to `Register`: requests may name the caller now.
    Registered {
        /// The registered caller.
        caller: CallerId,
    },
    /// Answer to `Grant`.
    Granted {
        /// The node.
        base: NodeId,
    },
    /// Answer to `Hello`, `Register` or `Grant`.
    Refused(Refusal),
}

impl FromSupervisor {
    /// The packet's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut out = Writer(&mut bytes);
        out.u32(MAGIC);
        match self {
            FromSupervisor::Hello {
                version,
                features,
                token,
            } => {
                out.u8(1).u32(*version).u64(*features);
                token.0.iter().for_each(|byte| {
                    out.u8(*byte);
                });
            }
            FromSupervisor::Register {
                caller,
                credentials,
            } => {
                credentials.encode(out.u8(2).u32(caller.0));
            }
            FromSupervisor::Forget { caller } => {
                out.u8(3).u32(caller.0);
            }
            FromSupervisor::Grant { base } => {
                out.u8(4).u64(base.0);
            }
            FromSupervisor::Interrupt { label } => {
                out.u8(5).u64(*label);
            }
        }
        bytes
    }

    /// Reads one packet.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are anything but one whole message.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Reader(bytes);
        expect_magic(&mut from)?;
        let message = match from.u8("kind")? {
            1 => FromSupervisor::Hello {
                version: from.u32("version")?,
                features: from.u64("features")?,
                token: Token(from.fixed("token")?),
            },
            2 => FromSupervisor::Register {
                caller: CallerId(from.u32("caller")?),
                credentials: Credentials::decode(&mut from)?,
            },
            3 => FromSupervisor::Forget {
                caller: CallerId(from.u32("caller")?),
            },
            4 => FromSupervisor::Grant {
                base: NodeId(from.u64("base")?),
            },
            5 => FromSupervisor::Interrupt {
                label: from.u64("label")?,
            },
            other => {
                return Err(DecodeError::Unknown {
                    field: "kind",
                    value: other.into(),
                });
            }
        };
        from.end()?;
        Ok(message)
    }
}

impl FromRuntime {
    /// The packet's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut out = Writer(&mut bytes);
        out.u32(MAGIC);
        match self {
            FromRuntime::Welcome {
                version,
                features,
                device,
            } => out
                .u8(1)
                .u32(*version)
                .u64(*features)
                .u32(device.0)
                .u32(device.1),
            FromRuntime::Registered { caller } => out.u8(2).u32(caller.0),
            FromRuntime::Refused(refusal) => out.u8(3).u8(*refusal as u8),
            FromRuntime::Granted { base } => out.u8(4).u64(base.0),
        };
        bytes
    }

    /// Reads one packet.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are anything but one whole message.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Reader(bytes);
        expect_magic(&mut from)?;
        let message = match from.u8("kind")? {
            1 => FromRuntime::Welcome {
                version: from.u32("version")?,
                features: from.u64("features")?,
                device: (from.u32("major")?, from.u32("minor")?),
            },
            2 => FromRuntime::Registered {
                caller: CallerId(from.u32("caller")?),
            },
            3 => FromRuntime::Refused(decode_refusal(&mut from)?),
            4 => FromRuntime::Granted {
                base: NodeId(from.u64("base")?),
            },
            other => {
                return Err(DecodeError::Unknown {
                    field: "kind",
                    value: other.into(),
                });
            }
        };
        from.end()?;
        Ok(message)
    }
}

fn expect_magic(from: &mut Reader<'_>) -> Result<(), DecodeError> {
    match from.u32("magic")? {
        MAGIC => Ok(()),
        other => Err(DecodeError::Unknown {
            field: "magic",
            value: other.into(),
        }),
    }
}

fn decode_refusal(from: &mut Reader<'_>) -> Result<Refusal, DecodeError> {
    match from.u8("refusal")? {
        1 => Ok(Refusal::Version),
        2 => Ok(Refusal::Token),
        3 => Ok(Refusal::NotAllowed),
        4 => Ok(Refusal::Limit),
        other => Err(DecodeError::Unknown {
            field: "refusal",
            value: other.into(),
        }),
    }
}
