//! Where a forwarded call went, in one word of the ledger: the guardian finds there which
//! request of which channel it is.
//!
//! Bit 63 is set; the channel's number lies below it, and below that the request's label
//! (`Slot::label`). Channel 0: nobody can tell.

use std::num::NonZeroU64;

use finesse_channel::LABEL_BITS;

const SET: u64 = 1 << 63;

/// Channels have numbers below this.
pub(crate) const CHANNELS: u32 = 1 << (63 - LABEL_BITS);

/// The call may have had an effect, and its request cannot be found any more.
pub(crate) const UNKNOWN: NonZeroU64 = NonZeroU64::new(SET).unwrap();

/// The request `label` of the channel `number`, which is below [`CHANNELS`].
pub(crate) fn pack(number: u32, label: u64) -> NonZeroU64 {
    debug_assert!(number < CHANNELS && label >> LABEL_BITS == 0);
    UNKNOWN | u64::from(number) << LABEL_BITS | label
}

/// The channel's number and the request's label; `None` when they are not known.
pub(crate) fn unpack(trace: NonZeroU64) -> Option<(u32, u64)> {
    let number = u32::try_from((trace.get() & !SET) >> LABEL_BITS).ok()?;
    (number != 0).then_some((number, trace.get() & ((1 << LABEL_BITS) - 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_is_unpacked() {
        let most = (1 << LABEL_BITS) - 1;
        for (number, label) in [(1, 0), (1, most), (CHANNELS - 1, 0), (CHANNELS - 1, most)] {
            assert_eq!(unpack(pack(number, label)), Some((number, label)));
        }
        assert_eq!(unpack(UNKNOWN), None);
        assert_eq!(unpack(pack(0, most)), None);
    }
}
