//! Where things lie in the shared memory.

use thiserror::Error;

/// First word of the header: "FNSCHAN1".
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"FNSCHAN1");

const PAGE: usize = 4096;
/// Doorbells fill one page at most, so that they stay dense.
const MAX_SLOTS: u32 = 512;
const MAX_PAYLOAD: u32 = 1 << 20;

/// Number and size of the slots of one channel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Geometry {
    /// Slots, that is, requests in flight: 1 to 512.
    pub slots: u32,
    /// Longest request in bytes: 1 to 1 MiB.
    pub request_max: u32,
    /// Longest reply in bytes: 1 to 1 MiB.
    pub reply_max: u32,
}

/// Offsets in bytes of one slot's parts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Offsets {
    /// State and waiter words.
    pub doorbell: usize,
    /// Length word of the request.
    pub request: usize,
    /// Length word of the reply.
    pub reply: usize,
}

/// A geometry outside its bounds.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("channel geometry {0:?} is out of bounds")]
pub struct GeometryError(pub Geometry);

impl Geometry {
    /// Where a slot's parts lie in the memory; `slot` is below `slots`.
    pub fn offsets(self, slot: u32) -> Offsets {
        Offsets {
            doorbell: self.doorbell(slot),
            request: self.request(slot),
            reply: self.reply(slot),
        }
    }

    /// Checks the bounds.
    ///
    /// # Errors
    /// [`GeometryError`] when a field lies outside what its documentation says.
    pub fn check(self) -> Result<Self, GeometryError> {
        let payload = 1..=MAX_PAYLOAD;
        let sound = (1..=MAX_SLOTS).contains(&self.slots)
            && payload.contains(&self.request_max)
            && payload.contains(&self.reply_max);
        if sound {
            Ok(self)
        } else {
            Err(GeometryError(self))
        }
    }

    /// Bytes from one slot to the next: request and reply, each with a length word, in
    /// whole pages, so that the pages of an unused part are never allocated.
    fn stride(self) -> usize {
        self.reply_in_slot() + area(self.reply_max)
    }

    fn reply_in_slot(self) -> usize {
        area(self.request_max)
    }

    /// Bytes of the whole memory: less than 1.1 GiB within the bounds, so no sum below
    /// overflows.
    pub(crate) fn total(self) -> usize {
        2 * PAGE + self.slots as usize * self.stride()
    }

    /// Offset of the doorbell of `slot`, which is below `slots`.
    pub(crate) fn doorbell(self, slot: u32) -> usize {
        debug_assert!(slot < self.slots);
        PAGE + slot as usize * 8
    }

    /// Offset of the request's length word.
    pub(crate) fn request(self, slot: u32) -> usize {
        debug_assert!(slot < self.slots);
        2 * PAGE + slot as usize * self.stride()
    }

    /// Offset of the reply's length word.
    pub(crate) fn reply(self, slot: u32) -> usize {
        self.request(slot) + self.reply_in_slot()
    }
}

/// Whole pages for a length word, padded to 8 bytes, and `max` bytes.
fn area(max: u32) -> usize {
    (8 + max as usize).next_multiple_of(PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bounds_are_checked() {
        let good = Geometry {
            slots: 64,
            request_max: 100,
            reply_max: 100,
        };
        assert!(good.check().is_ok());
        for bad in [
            Geometry { slots: 0, ..good },
            Geometry { slots: 513, ..good },
            Geometry {
                request_max: 0,
                ..good
            },
            Geometry {
                reply_max: u32::MAX,
                ..good
            },
        ] {
            assert_eq!(bad.check(), Err(GeometryError(bad)));
        }
    }

    proptest! {
        #[test]
        fn areas_do_not_overlap(
            slots in 1..=MAX_SLOTS, request_max in 1..=MAX_PAYLOAD, reply_max in 1..=MAX_PAYLOAD,
        ) {
            let g = Geometry { slots, request_max, reply_max }.check().unwrap();
            let mut end = 2 * PAGE;
            prop_assert!(g.doorbell(slots - 1) + 8 <= end);
            for slot in 0..slots {
                prop_assert!(g.request(slot) >= end);
                prop_assert!(g.reply(slot) >= g.request(slot) + 8 + request_max as usize);
                end = g.reply(slot) + 8 + reply_max as usize;
            }
            prop_assert!(end <= g.total());
        }
    }
}
