//! Copies a call's arguments out of the target's memory: each byte once.

use finesse_notify::{MemoryError, read_bytes, read_string};
use finesse_wire::{Operation, SetTime};

use crate::calls::{Detail, PathCall, TimesLayout};
use crate::reason::Reason;

/// The arguments of one call; the buffers are used again for the next.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) first: Vec<u8>,
    pub(crate) second: Vec<u8>,
    /// A link's target or an attribute's name.
    pub(crate) text: Vec<u8>,
    /// An attribute's value.
    pub(crate) value: Vec<u8>,
    pub(crate) times: [SetTime; 2],
}

/// `XATTR_NAME_MAX` (linux/limits.h).
const MAX_ATTRIBUTE_NAME: usize = 255;

impl Arguments {
    pub(crate) fn new() -> Self {
        Arguments {
            first: Vec::new(),
            second: Vec::new(),
            text: Vec::new(),
            value: Vec::new(),
            times: [SetTime::Now; 2],
        }
    }

    /// Reads what `call` names from the memory of `tid`.
    pub(crate) fn read(&mut self, tid: u32, call: &PathCall) -> Result<(), Reason> {
        let string = |address, into: &mut Vec<u8>| {
            read_string(tid, address, into).map_err(|error| unreadable(&error))
        };
        string(call.first.address, &mut self.first)?;
        if let Some(second) = call.second {
            string(second.address, &mut self.second)?;
        }
        match call.detail {
            Detail::Text { address } => string(address, &mut self.text)?,
            Detail::Name { address } | Detail::NamedBuffer { name: address, .. } => {
                string(address, &mut self.text)?;
            }
            Detail::Value {
                name,
                address,
                size,
                ..
            } => {
                string(name, &mut self.text)?;
                read_bytes(tid, address, size, &mut self.value)
                    .map_err(|error| unreadable(&error))?;
            }
            Detail::Times { address, layout } => self.read_times(tid, address, layout)?,
            _ => {}
        }
        self.check(call)
    }

    /// Errors that come before any look at the path are the kernel's.
    fn check(&self, call: &PathCall) -> Result<(), Reason> {
        let attribute = matches!(
            call.operation,
            Operation::Setxattr | Operation::Removexattr | Operation::Getxattr
        );
        let sound = match call.operation {
            Operation::Symlink => !self.text.is_empty(),
            _ if attribute => (1..=MAX_ATTRIBUTE_NAME).contains(&self.text.len()),
            Operation::Utimens => self.times != [SetTime::Omit; 2],
            _ => true,
        };
        if sound {
            Ok(())
        } else {
            Err(Reason::Arguments)
        }
    }

    fn read_times(&mut self, tid: u32, address: u64, layout: TimesLayout) -> Result<(), Reason> {
        if address == 0 {
            self.times = [SetTime::Now; 2];
            return Ok(());
        }
        let size = if layout == TimesLayout::Utimbuf {
            16
        } else {
            32
        };
        read_bytes(tid, address, size, &mut self.value).map_err(|error| unreadable(&error))?;
        let word = |index: usize| {
            self.value
                .get(index * 8..)
                .and_then(|bytes| bytes.first_chunk())
                .map_or(0, |bytes| i64::from_le_bytes(*bytes))
        };
        self.times = match layout {
            TimesLayout::Utimbuf => [SetTime::At(word(0), 0), SetTime::At(word(1), 0)],
            TimesLayout::Timeval => [timeval(word(0), word(1))?, timeval(word(2), word(3))?],
            TimesLayout::Timespec => [timespec(word(0), word(1))?, timespec(word(2), word(3))?],
        };
        Ok(())
    }
}

fn unreadable(error: &MemoryError) -> Reason {
    match error {
        MemoryError::Gone => Reason::TargetGone,
        MemoryError::Io(_) | MemoryError::Partly | MemoryError::TooLong => Reason::Memory,
    }
}

fn timeval(seconds: i64, microseconds: i64) -> Result<SetTime, Reason> {
    u32::try_from(microseconds)
        .ok()
        .filter(|us| *us < 1_000_000)
        .map(|us| SetTime::At(seconds, us * 1000))
        .ok_or(Reason::Arguments)
}

fn timespec(seconds: i64, nanoseconds: i64) -> Result<SetTime, Reason> {
    match nanoseconds {
        libc::UTIME_NOW => Ok(SetTime::Now),
        libc::UTIME_OMIT => Ok(SetTime::Omit),
        _ => u32::try_from(nanoseconds)
            .ok()
            .filter(|ns| *ns < 1_000_000_000)
            .map(|ns| SetTime::At(seconds, ns))
            .ok_or(Reason::Arguments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::PathArg;

    fn utimens(address: u64) -> PathCall {
        PathCall {
            operation: Operation::Utimens,
            first: PathArg {
                dirfd: 0,
                address: c"path".as_ptr() as u64,
            },
            second: None,
            follow: true,
            detail: Detail::Times {
                address,
                layout: TimesLayout::Timespec,
            },
        }
    }

    fn read(times: &[i64; 4]) -> Result<[SetTime; 2], Reason> {
        let mut arguments = Arguments::new();
        arguments.read(std::process::id(), &utimens(times.as_ptr() as u64))?;
        Ok(arguments.times)
    }

    #[test]
    fn times_are_read_and_judged() {
        assert_eq!(
            read(&[-5, 999_999_999, 7, libc::UTIME_NOW]),
            Ok([SetTime::At(-5, 999_999_999), SetTime::Now])
        );
        assert_eq!(read(&[0, 1_000_000_000, 0, 0]), Err(Reason::Arguments));
        assert_eq!(
            read(&[0, libc::UTIME_OMIT, 0, libc::UTIME_OMIT]),
            Err(Reason::Arguments)
        );
    }

    #[test]
    fn bad_addresses_are_the_kernels() {
        let mut arguments = Arguments::new();
        assert_eq!(
            arguments.read(std::process::id(), &utimens(8)),
            Err(Reason::Memory)
        );
    }
}
