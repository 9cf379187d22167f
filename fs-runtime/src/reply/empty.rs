use fuser::Errno;

use super::Answer;
use crate::kernel_door::Settle;

/// Answers an operation that has no result but success.
#[derive(Debug)]
pub struct ReplyEmpty(To);

#[derive(Debug)]
enum To {
    Kernel(fuser::ReplyEmpty, Settle),
    Slot(Answer<()>),
}

impl ReplyEmpty {
    pub(crate) fn kernel(reply: fuser::ReplyEmpty, settle: Settle) -> Self {
        ReplyEmpty(To::Kernel(reply, settle))
    }

    pub(crate) fn slot(answer: Answer<()>) -> Self {
        ReplyEmpty(To::Slot(answer))
    }

    /// The operation succeeded.
    pub fn ok(self) {
        match self.0 {
            To::Kernel(reply, settle) => {
                settle.succeeded();
                reply.ok();
            }
            To::Slot(answer) => answer.give(Ok(())),
        }
    }

    /// The operation failed.
    pub fn error(self, err: Errno) {
        match self.0 {
            To::Kernel(reply, settle) => {
                settle.failed();
                reply.error(err);
            }
            To::Slot(answer) => answer.give(Err(err)),
        }
    }
}
