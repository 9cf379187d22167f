//! The events among the calls of other ABIs. Their paths are the kernel's, but a program of
//! any ABI may change who it is, or restrict itself, and go on in x86-64.
//!
//! Numbers are those of asm/unistd_32.h; arch/x86/entry/syscalls/syscall_64.tbl for x32.

use finesse_notify::{Abi, ForeignTrap};

use super::table::{self, option_is};
use super::{Event, Trapped};

/// One call of the i386 ABI.
#[derive(Debug)]
struct Entry {
    number: i32,
    name: &'static str,
    event: fn(u64) -> Event,
}

const fn event(number: i32, name: &'static str, event: fn(u64) -> Event) -> Entry {
    Entry {
        number,
        name,
        event,
    }
}

#[rustfmt::skip]
static I386: &[Entry] = &[
    event(11, "execve", |_| Event::Exec),
    event(23, "setuid", |_| Event::Credentials),
    event(46, "setgid", |_| Event::Credentials),
    event(60, "umask", |mask| Event::Umask((mask & 0o777) as u16)),
    event(61, "chroot", |_| Event::Confine),
    event(70, "setreuid", |_| Event::Credentials),
    event(71, "setregid", |_| Event::Credentials),
    event(81, "setgroups", |_| Event::Credentials),
    event(138, "setfsuid", |_| Event::Credentials),
    event(139, "setfsgid", |_| Event::Credentials),
    event(164, "setresuid", |_| Event::Credentials),
    event(170, "setresgid", |_| Event::Credentials),
    event(172, PRCTL, |_| Event::Adopts),
    event(185, "capset", |_| Event::Credentials),
    event(203, "setreuid32", |_| Event::Credentials),
    event(204, "setregid32", |_| Event::Credentials),
    event(206, "setgroups32", |_| Event::Credentials),
    event(208, "setresuid32", |_| Event::Credentials),
    event(210, "setresgid32", |_| Event::Credentials),
    event(213, "setuid32", |_| Event::Credentials),
    event(214, "setgid32", |_| Event::Credentials),
    event(215, "setfsuid32", |_| Event::Credentials),
    event(216, "setfsgid32", |_| Event::Credentials),
    event(217, "pivot_root", |_| Event::Confine),
    event(310, "unshare", |_| Event::Confine),
    event(346, "setns", |_| Event::Confine),
    event(358, "execveat", |_| Event::Exec),
    event(446, "landlock_restrict_self", |_| Event::Restrict),
];

const PRCTL: &str = "prctl";

/// execve and execveat of x32; its other events have the numbers of x86-64.
const X32_EXEC: [i32; 2] = [520, 545];

/// What to trap in the other ABIs.
pub(super) fn traps() -> Vec<ForeignTrap> {
    let when = |name| (name == PRCTL).then(|| option_is(libc::PR_SET_CHILD_SUBREAPER));
    let trap = |entry: &Entry| ForeignTrap {
        name: entry.name,
        when: when(entry.name),
    };
    I386.iter().map(trap).collect()
}

/// The event that a call of another ABI is.
pub(super) fn decode(abi: Abi, number: i32, args: &[u64; 6]) -> Option<Event> {
    match abi {
        Abi::I386 => {
            let entry = I386.iter().find(|entry| entry.number == number)?;
            Some((entry.event)(args[0]))
        }
        Abi::X32 if X32_EXEC.contains(&number) => Some(Event::Exec),
        Abi::X32 => match (table::find(number)?.decode)(args)? {
            Trapped::Event(event) => Some(event),
            Trapped::Path(_) => None,
        },
        Abi::X86_64 | Abi::Other => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_its_like_in_the_other_abis() {
        for native in table::events() {
            let like = |entry: &&Entry| entry.name.trim_end_matches("32") == native.name;
            let Some(Trapped::Event(event)) = (native.decode)(&[0o22; 6]) else {
                panic!("{}", native.name);
            };
            assert!(I386.iter().any(|entry| like(&entry)), "{}", native.name);
            for entry in I386.iter().filter(like) {
                assert_eq!(decode(Abi::I386, entry.number, &[0o22; 6]), Some(event));
            }
        }
        assert_eq!(decode(Abi::X32, 520, &[0; 6]), Some(Event::Exec));
        let chroot = i32::try_from(libc::SYS_chroot).unwrap();
        assert_eq!(decode(Abi::X32, chroot, &[0; 6]), Some(Event::Confine));
        let unlink = i32::try_from(libc::SYS_unlink).unwrap();
        assert_eq!(decode(Abi::X32, unlink, &[0; 6]), None);
        assert_eq!(decode(Abi::Other, 11, &[0; 6]), None);
    }
}
