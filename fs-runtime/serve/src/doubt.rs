//! Removals that a bypassed one overtook on their way to the daemon.
//!
//! The kernel asks to remove or rename only what it knows to be there, and holds the
//! directory's lock meanwhile; so a daemon need not be made for the question about a name
//! that is not there (unionfs-fuse answers ERANGE). When such a request fails, the daemon is
//! asked whether the name is there, and if not, the kernel hears what it would have found.

use std::ffi::OsString;

use finesse_fuse::Errno;
use finesse_fuse::doors::{CallId, Caller};
use zerocopy::FromBytes;

use crate::abi::{EntryOut, ForgetIn, Message, Request, opcode};
use crate::post::Post;
use crate::purpose::Purpose;

/// The name that a request takes away, and for whom.
#[derive(Debug)]
pub(crate) struct Doubt {
    caller: Caller,
    parent: u64,
    name: OsString,
}

impl Doubt {
    /// `None`: the request takes no name away.
    pub(crate) fn of(request: &Request<'_>, purpose: &Purpose<'_>) -> Option<Doubt> {
        let name = match purpose {
            Purpose::Remove(name) => name,
            Purpose::Rename(it) => it.from,
            _ => return None,
        };
        let header = &request.header;
        Some(Doubt {
            caller: Caller {
                uid: header.uid,
                gid: header.gid,
                pid: header.pid,
                call: CallId::NONE,
            },
            parent: header.nodeid,
            name: name.to_owned(),
        })
    }

    /// Whether an errno may be about a name that is not there.
    pub(crate) fn is_about(errno: i32) -> bool {
        errno != 0 && errno != libc::ENOENT
    }

    /// What the kernel is to hear instead of `errno`. Waits for the daemon.
    pub(crate) fn settled(&self, post: &Post, errno: i32) -> i32 {
        let question = Message::new(opcode::LOOKUP, self.parent, self.caller).name(&self.name);
        match post.ask(question) {
            Err(error) if error.code() == Errno::ENOENT.code() => libc::ENOENT,
            Err(_) => errno,
            Ok(body) => match EntryOut::read_from_prefix(&body) {
                Ok((out, _)) if out.nodeid == 0 => libc::ENOENT,
                Ok((out, _)) => {
                    let forget = Message::new(opcode::FORGET, out.nodeid, self.caller);
                    post.leave(forget.with(&ForgetIn { nlookup: 1 }));
                    errno
                }
                Err(_) => errno,
            },
        }
    }
}
