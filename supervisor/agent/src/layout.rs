//! Where things lie; the same numbers stand in `agent.s`. Offsets are from the base unless
//! they say otherwise, lengths in bytes.

/// Calls from below this notify the supervisor.
pub const TRAPPING: u64 = 0x1000;
/// The table of calls: a byte a number, then the rows.
pub const CALLS: u64 = 0x8000;
/// Call numbers from 0 up to this.
pub const CALL_NUMBERS: usize = 512;
/// Length of a row.
pub const CALL: usize = 32;
/// First stub.
pub const STUBS: u64 = 0x10000;
/// Length of a stub.
pub const STUB: u64 = 64;
/// Most stubs.
pub const MAX_STUBS: u64 = 0x10000 / STUB;
/// Calls from [`TRAPPING`] up to this pass the filter.
pub const PASSING_END: u64 = 0x20000;
/// The state's first page.
pub const STATE: u64 = 0x20000;
/// First block.
pub const BLOCKS: u64 = STATE + 0x1000;
/// Length of a block.
pub const BLOCK: usize = 0x200;
/// Blocks, and slots of the channel that are used.
pub const SLOTS: u32 = 16;
/// How many calls of each row were answered without the kernel, u64 each.
pub const SERVED: u64 = STATE + 0x3000;
/// Two struct iovec a block, which a child must not find; 32 bytes.
pub const IOVECS: u64 = STATE + 0x3800;
/// A word each 32 bytes a block; 0 in a child whose parent was in the middle of a call.
pub const OWN: u64 = STATE + 0x3A00;
/// First path.
pub const PATHS: u64 = 0x24000;
/// Length of a path's buffer.
pub const PATH: u64 = 0x1000;
/// The channel: as far below it nothing lies as the kernel leaves free below what grows down.
pub const RING: u64 = 0x20_0000;
/// Length of its part that is mapped.
pub const RING_LEN: u64 = 0x40_0000;
/// The table that rewritten sites jump through: its address ends in the bytes of `syscall`.
pub const TABLE: u64 = 0x050F_0000;
/// In the table, the jumps of those sites that jump there themselves: `jmp [rip]`, where to.
pub const NEAR: u64 = 0x8000;
/// In the table, for each value of a call number's lowest byte one: 0 if no call with such a
/// number is known.
pub const KNOWN: u64 = TABLE + 0x7F00;
/// The page of [`MOVES_WORD`].
pub const MOVES_TABLE: u64 = 0x48CE_8000;
/// What the sites of Go jump through: the address is what is left of their instructions.
pub const MOVES_WORD: u64 = 0x48CE_8948;
/// Length of such a jump, rounded up.
pub const NEAR_LEN: u64 = 16;
/// Length of the table.
pub const TABLE_LEN: u64 = 0x1_0000;

/// Offsets in the bootstrap.
pub mod boot {
    /// A byte; 0: who comes by goes on to the call at once.
    pub const ARMED: u64 = 0;
    /// What ways in jump to.
    pub const ENTRY: u64 = 8;
}

/// The prctl(2) by which the bootstrap and the agent's start speak to the supervisor; the kernel
/// would say `EINVAL`. The second argument says what about.
pub mod ask {
    /// The first argument: none of the kernel's options.
    pub const OPTION: i32 = i32::from_be_bytes(*b"FINE");
    /// For a descriptor of the agent's memory; the third argument is the bootstrap's address.
    pub const AGENT: u64 = 1;
    /// The agent's memory could not be mapped.
    pub const NO_ROOM: u64 = 2;
    /// For a descriptor of the channel, which was offered.
    pub const RING: u64 = 3;
    /// What was to be mapped is.
    pub const DONE: u64 = 4;
    /// It is not.
    pub const FAILED: u64 = 5;
}

/// Offsets in the state's first page.
pub mod state {
    /// u64; [`POSTS`], or [`OFFERED`] and then 3 while a thread maps the channel; otherwise every
    /// call goes to the trap.
    pub const ENABLED: usize = 0;
    /// Calls are posted.
    pub const POSTS: u64 = 1;
    /// The channel may be fetched.
    pub const OFFERED: u64 = 2;
    /// u64; whether the mount is where it was.
    pub const MOUNT_OK: usize = 8;
    /// u32.
    pub const PID: usize = 16;
    /// u32; as registered with the runtime.
    pub const CALLER: usize = 20;
    /// u64 of which 16 bits count.
    pub const UMASK: usize = 24;
    /// u64; address of the channel.
    pub const RING: usize = 32;
    /// u32 major, u32 minor.
    pub const DEVICE: usize = 40;
    /// u64.
    pub const MOUNT_ID: usize = 48;
    /// u64; calls let through.
    pub const PASSED: usize = 64;
    /// u64; length of the mountpoint's path.
    pub const PREFIX_LEN: usize = 72;
    /// u64; number of bases.
    pub const GRANTED: usize = 80;
    /// u64; a bit for each operation that may be bypassed.
    pub const OPERATIONS: usize = 88;
    /// u64; `st_dev`.
    pub const ST_DEV: usize = 96;
    /// i64; `f_flags` of statfs(2).
    pub const F_FLAGS: usize = 104;
    /// u64; calls in blocks below this address watch for their replies, others sleep.
    pub const WATCHERS: usize = 112;
    /// u64; a bit for each operation that goes to the trap.
    pub const TRAPPED: usize = 120;
    /// The mountpoint's path.
    pub const PREFIX: usize = 0x100;
    /// Longest mountpoint.
    pub const PREFIX_MAX: usize = 0x300;
    /// The bases, u64 each.
    pub const GRANTS: usize = 0x400;
    /// Most bases.
    pub const GRANTS_MAX: usize = 0xC00 / 8;
}

/// Offsets in a block.
pub mod block {
    /// u64; nonzero: in use.
    pub const CLAIM: usize = 0;
    /// u32; of the slot's next request.
    pub const GENERATION: usize = 136;
    /// Address of the slot's take-over.
    pub const TRAP: usize = 144;
    /// Address of the slot's request.
    pub const REQUEST: usize = 184;
    /// Address of the slot's reply.
    pub const REPLY: usize = 192;
    /// Address of the slot's doorbell.
    pub const BELL: usize = 200;
    /// Address of the path's buffer.
    pub const PATH: usize = 208;
}

/// Length of a take-over's code.
pub const TAKEOVER: u64 = 128;
