//! Who asks.

use fuser::{INodeNo, RequestId};

use crate::backend::{CallId, Caller};

/// The parameters of a request, whichever door it came through.
#[derive(Debug)]
pub struct Request {
    unique: RequestId,
    caller: Caller,
}

impl Request {
    /// A request from the bypass door. Ids are the door's own: their top bit is set,
    /// which the kernel's never have.
    pub(crate) fn bypassed(number: u64, caller: Caller) -> Self {
        Request {
            unique: RequestId(number | 1 << 63),
            caller,
        }
    }

    /// The id of the request, unique among those under way.
    #[inline]
    pub fn unique(&self) -> RequestId {
        self.unique
    }

    /// The caller's file system user id.
    #[inline]
    pub fn uid(&self) -> u32 {
        self.caller.uid
    }

    /// The caller's file system group id.
    #[inline]
    pub fn gid(&self) -> u32 {
        self.caller.gid
    }

    /// The caller's process (thread group) id.
    #[inline]
    pub fn pid(&self) -> u32 {
        self.caller.pid
    }
}

impl From<&fuser::Request> for Request {
    #[inline]
    fn from(request: &fuser::Request) -> Self {
        Request {
            unique: request.unique(),
            caller: Caller {
                uid: request.uid(),
                gid: request.gid(),
                pid: request.pid(),
                call: CallId::NONE,
            },
        }
    }
}

/// One node to forget, of the many that `Filesystem::batch_forget` gets.
#[derive(Debug)]
pub struct ForgetOne {
    node: INodeNo,
    lookups: u64,
}

impl ForgetOne {
    /// The node.
    pub fn nodeid(&self) -> INodeNo {
        self.node
    }

    /// How many look-ups of it are taken back.
    pub fn nlookup(&self) -> u64 {
        self.lookups
    }
}
