//! The bytes.

use std::arch::global_asm;

global_asm!(include_str!("agent.s"));

unsafe extern "C" {
    static finesse_agent_start: [u8; 0];
    static finesse_agent_end: [u8; 0];
    static finesse_agent_table: [u64; 2];
    static finesse_bootstrap_start: [u8; 0];
    static finesse_bootstrap_end: [u8; 0];
}

/// What lies at the base.
#[must_use]
pub fn image() -> &'static [u8] {
    // SAFETY: both symbols delimit constant bytes of this program's own image.
    unsafe { between(&raw const finesse_agent_start, &raw const finesse_agent_end) }
}

/// Offset of the agent's entry, which stubs jump to.
#[must_use]
pub fn entry() -> u64 {
    // SAFETY: a constant of this program's own image.
    unsafe { finesse_agent_table[0] }
}

/// Offset of the first take-over.
#[must_use]
pub fn takeovers() -> u64 {
    // SAFETY: as above.
    unsafe { finesse_agent_table[1] }
}

/// SAFETY: both belong to one constant object, `end` not before `start`.
unsafe fn between(start: *const [u8; 0], end: *const [u8; 0]) -> &'static [u8] {
    let (start, end) = (start.cast::<u8>(), end.cast::<u8>());
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(start, end.offset_from_unsigned(start)) }
}

/// The code that brings the agent to `base`, for the padding behind a program's text: at
/// [`layout::boot`](crate::layout::boot)'s offsets, to be followed by ways in.
#[must_use]
pub fn bootstrap(base: u64) -> Vec<u8> {
    const MARK: [u8; 8] = [0x11; 8];
    // SAFETY: as in `image`.
    let template = unsafe {
        between(
            &raw const finesse_bootstrap_start,
            &raw const finesse_bootstrap_end,
        )
    };
    let mut code = template.to_vec();
    let at = code.windows(MARK.len()).position(|bytes| bytes == MARK);
    let at = at.unwrap_or_else(|| unreachable!("the template has its mark"));
    code[at..at + MARK.len()].copy_from_slice(&base.to_le_bytes());
    code
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout;

    #[test]
    fn everything_is_where_the_layout_says() {
        let end = image().len() as u64;
        assert!(layout::TRAPPING < end && end <= layout::CALLS);
        assert!((layout::TRAPPING..end).contains(&entry()));
        let last = takeovers() + u64::from(layout::SLOTS) * layout::TAKEOVER;
        assert!(last <= layout::TRAPPING);
        // Each begins with the call by which the supervisor knows it.
        for slot in 0..u64::from(layout::SLOTS) {
            let at = usize::try_from(takeovers() + slot * layout::TAKEOVER).unwrap();
            assert_eq!(image()[at..at + 2], [0x0F, 0x05], "{slot}");
        }
        let paths = layout::PATHS + u64::from(layout::SLOTS) * layout::PATH;
        // stack_guard_gap (mm/mmap.c): 1 MiB.
        assert!(paths + (1 << 20) <= layout::RING);
        const { assert!(layout::MAX_STUBS * 8 <= layout::NEAR) };
        const { assert!(layout::NEAR + layout::MAX_STUBS * layout::NEAR_LEN <= layout::TABLE_LEN) };
        let blocks = u64::from(layout::SLOTS) * layout::BLOCK as u64;
        assert!(layout::BLOCKS + blocks <= layout::SERVED);
    }

    #[test]
    fn the_bootstrap_is_filled_in() {
        let base = 0x0102_0304_0506_0708_u64;
        let code = bootstrap(base);
        assert!(code.windows(8).any(|bytes| bytes == base.to_le_bytes()));
        assert_eq!(code[..8], [0; 8], "it is not armed");
        assert_eq!(code.len() % 8, 0, "what follows is aligned");
    }
}
