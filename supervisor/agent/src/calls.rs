//! The system calls that the agent knows, as the table that it reads.
//!
//! A row says what `supervisor/src/calls/table.rs` says of the same call, for code that has
//! no stack: from which of its block's saved registers each part of the request comes.

use finesse_wire::Operation;

use crate::layout;
use row::{ACCESS, MODE, OFFSET, ROOM, TIMEVAL, UTIMBUF, ZERO};

/// Registers of a call, as offsets in a block. 0 stands for none.
mod register {
    pub(super) const NONE: u8 = 0;
    pub(super) const RDI: u8 = 32;
    pub(super) const RSI: u8 = 40;
    pub(super) const RDX: u8 = 48;
    pub(super) const R10: u8 = 56;
    pub(super) const R8: u8 = 64;
}

use register::{NONE, R8, R10, RDI, RDX, RSI};

mod row {
    /// The first field has 16 bits.
    pub(super) const MODE: u8 = 1;
    /// The first field is a mode of access(2); whose ids count follows it.
    pub(super) const ACCESS: u8 = 2;
    /// A field of zero.
    pub(super) const ZERO: u8 = 4;
    /// The times are `struct timeval[2]`, not `struct timespec[2]`.
    pub(super) const TIMEVAL: u8 = 8;
    /// The times are `struct utimbuf`.
    pub(super) const UTIMBUF: u8 = 16;
    /// The first field has 64 bits: a size that `RLIMIT_FSIZE` limits.
    pub(super) const OFFSET: u8 = 32;
    /// The first field says how much room there is, and counts up to `XATTR_SIZE_MAX`.
    pub(super) const ROOM: u8 = 64;
}

/// Whether a link in the last component is followed, as the request says it.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Follow {
    /// It does not say.
    Unsaid = 0,
    Always = 1,
    Never = 2,
    /// Unless `AT_SYMLINK_NOFOLLOW` is given.
    Unless = 3,
    /// If `AT_SYMLINK_FOLLOW` is given.
    If = 4,
}

/// What comes back besides an errno.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Results {
    Nothing = 0,
    Stat = 1,
    Statx = 2,
    /// A link's text, as much as there is room for.
    Bytes = 3,
    /// A value or list, or its size where the first field is 0.
    Sized = 4,
    Statfs = 5,
}

/// One call.
#[derive(Clone, Copy)]
struct Row {
    number: i64,
    operation: Operation,
    /// With `AT_REMOVEDIR`.
    otherwise: Operation,
    /// Directory descriptor, or none for the cwd, and path.
    first: [u8; 2],
    second: [u8; 2],
    flags: u8,
    /// Flags that are understood; with others the call traps.
    allowed: i32,
    follow: Follow,
    fields: [u8; 2],
    /// The text of a symbolic link.
    text: u8,
    special: u8,
    results: Results,
    /// Where they go, and how many bytes there is room for.
    out: u8,
    room: u8,
    times: u8,
    /// The mask of statx(2).
    mask: u8,
    /// The name of an extended attribute.
    name: u8,
    /// Its value, and how long that is.
    value: [u8; 2],
}

const fn row(number: i64, operation: Operation, dir: u8, path: u8) -> Row {
    Row {
        number,
        operation,
        otherwise: operation,
        first: [dir, path],
        second: [NONE; 2],
        flags: NONE,
        allowed: 0,
        follow: Follow::Unsaid,
        fields: [NONE; 2],
        text: NONE,
        special: 0,
        results: Results::Nothing,
        out: NONE,
        room: NONE,
        times: NONE,
        mask: NONE,
        name: NONE,
        value: [NONE; 2],
    }
}

impl Row {
    const fn second(mut self, dir: u8, path: u8) -> Self {
        self.second = [dir, path];
        self
    }

    const fn flags(mut self, register: u8, allowed: i32) -> Self {
        self.flags = register;
        self.allowed = allowed;
        self
    }

    const fn follow(mut self, follow: Follow) -> Self {
        self.follow = follow;
        self
    }

    const fn fields(mut self, first: u8, second: u8) -> Self {
        self.fields = [first, second];
        self
    }

    const fn special(mut self, special: u8) -> Self {
        self.special = special;
        self
    }

    const fn otherwise(mut self, operation: Operation) -> Self {
        self.otherwise = operation;
        self
    }

    const fn text(mut self, register: u8) -> Self {
        self.text = register;
        self
    }

    const fn times(mut self, register: u8) -> Self {
        self.times = register;
        self
    }

    const fn mask(mut self, register: u8) -> Self {
        self.mask = register;
        self
    }

    const fn name(mut self, register: u8) -> Self {
        self.name = register;
        self
    }

    const fn value(mut self, value: u8, length: u8) -> Self {
        self.value = [value, length];
        self
    }

    const fn results(mut self, results: Results, out: u8, room: u8) -> Self {
        self.results = results;
        self.out = out;
        self.room = room;
        self
    }

    fn bytes(self) -> [u8; layout::CALL] {
        let [a, b, c, d] = self.allowed.to_le_bytes();
        let mut bytes = [0; layout::CALL];
        bytes[..24].copy_from_slice(&[
            self.operation as u8,
            self.otherwise as u8,
            self.first[0],
            self.first[1],
            self.second[0],
            self.second[1],
            self.flags,
            self.follow as u8,
            a,
            b,
            c,
            d,
            self.fields[0],
            self.fields[1],
            self.text,
            self.special,
            self.results as u8,
            self.out,
            self.room,
            self.times,
            self.mask,
            self.name,
            self.value[0],
            self.value[1],
        ]);
        bytes
    }
}

const NOFOLLOW: i32 = libc::AT_SYMLINK_NOFOLLOW;
const FOLLOW: i32 = libc::AT_SYMLINK_FOLLOW;
const EMPTY_PATH: i32 = libc::AT_EMPTY_PATH;
const REMOVEDIR: i32 = libc::AT_REMOVEDIR;
const EACCESS: i32 = libc::AT_EACCESS;
const NO_AUTOMOUNT: i32 = libc::AT_NO_AUTOMOUNT;
const FORCE_SYNC: i32 = 0x2000;

use Follow::{Always, If, Never, Unless};
use Operation as O;

#[rustfmt::skip]
static ROWS: &[Row] = &[
    row(libc::SYS_unlink, O::Unlink, NONE, RDI),
    row(libc::SYS_rmdir, O::Rmdir, NONE, RDI),
    row(libc::SYS_unlinkat, O::Unlink, RDI, RSI).flags(RDX, REMOVEDIR).otherwise(O::Rmdir),
    row(libc::SYS_mkdir, O::Mkdir, NONE, RDI).fields(RSI, NONE).special(MODE),
    row(libc::SYS_mkdirat, O::Mkdir, RDI, RSI).fields(RDX, NONE).special(MODE),
    row(libc::SYS_mknod, O::Mknod, NONE, RDI).fields(RSI, RDX).special(MODE),
    row(libc::SYS_mknodat, O::Mknod, RDI, RSI).fields(RDX, R10).special(MODE),
    row(libc::SYS_rename, O::Rename, NONE, RDI).second(NONE, RSI).special(ZERO),
    row(libc::SYS_renameat, O::Rename, RDI, RSI).second(RDX, R10).special(ZERO),
    row(libc::SYS_renameat2, O::Rename, RDI, RSI).second(RDX, R10).fields(R8, NONE),
    row(libc::SYS_link, O::Link, NONE, RDI).second(NONE, RSI).follow(Never),
    row(libc::SYS_linkat, O::Link, RDI, RSI).second(RDX, R10).flags(R8, FOLLOW).follow(If),
    row(libc::SYS_symlink, O::Symlink, NONE, RSI).text(RDI),
    row(libc::SYS_symlinkat, O::Symlink, RSI, RDX).text(RDI),
    row(libc::SYS_chmod, O::Chmod, NONE, RDI).fields(RSI, NONE).special(MODE).follow(Always),
    row(libc::SYS_fchmodat, O::Chmod, RDI, RSI).fields(RDX, NONE).special(MODE).follow(Always),
    row(libc::SYS_fchmodat2, O::Chmod, RDI, RSI).fields(RDX, NONE).special(MODE).flags(R10, NOFOLLOW | EMPTY_PATH).follow(Unless),
    row(libc::SYS_chown, O::Chown, NONE, RDI).fields(RSI, RDX).follow(Always),
    row(libc::SYS_lchown, O::Chown, NONE, RDI).fields(RSI, RDX).follow(Never),
    row(libc::SYS_fchownat, O::Chown, RDI, RSI).fields(RDX, R10).flags(R8, NOFOLLOW | EMPTY_PATH).follow(Unless),
    row(libc::SYS_truncate, O::Truncate, NONE, RDI).fields(RSI, NONE).special(OFFSET),
    row(libc::SYS_utime, O::Utimens, NONE, RDI).times(RSI).special(UTIMBUF).follow(Always),
    row(libc::SYS_utimes, O::Utimens, NONE, RDI).times(RSI).special(TIMEVAL).follow(Always),
    row(libc::SYS_futimesat, O::Utimens, RDI, RSI).times(RDX).special(TIMEVAL).follow(Always),
    row(libc::SYS_utimensat, O::Utimens, RDI, RSI).times(RDX).flags(R10, NOFOLLOW | EMPTY_PATH).follow(Unless),
    row(libc::SYS_setxattr, O::Setxattr, NONE, RDI).name(RSI).value(RDX, R10).fields(R8, NONE).follow(Always),
    row(libc::SYS_lsetxattr, O::Setxattr, NONE, RDI).name(RSI).value(RDX, R10).fields(R8, NONE).follow(Never),
    row(libc::SYS_removexattr, O::Removexattr, NONE, RDI).name(RSI).follow(Always),
    row(libc::SYS_lremovexattr, O::Removexattr, NONE, RDI).name(RSI).follow(Never),
    row(libc::SYS_stat, O::Stat, NONE, RDI).follow(Always).results(Results::Stat, RSI, NONE),
    row(libc::SYS_lstat, O::Stat, NONE, RDI).follow(Never).results(Results::Stat, RSI, NONE),
    row(libc::SYS_newfstatat, O::Stat, RDI, RSI).flags(R10, NOFOLLOW | EMPTY_PATH | NO_AUTOMOUNT).follow(Unless).results(Results::Stat, RDX, NONE),
    row(libc::SYS_statx, O::Stat, RDI, RSI).flags(RDX, NOFOLLOW | EMPTY_PATH | NO_AUTOMOUNT | FORCE_SYNC).mask(R10).follow(Unless).results(Results::Statx, R8, NONE),
    row(libc::SYS_access, O::Access, NONE, RDI).fields(RSI, NONE).special(ACCESS).follow(Always),
    row(libc::SYS_faccessat, O::Access, RDI, RSI).fields(RDX, NONE).special(ACCESS).follow(Always),
    row(libc::SYS_faccessat2, O::Access, RDI, RSI).fields(RDX, NONE).special(ACCESS).flags(R10, NOFOLLOW | EMPTY_PATH | EACCESS).follow(Unless),
    row(libc::SYS_readlink, O::Readlink, NONE, RDI).results(Results::Bytes, RSI, RDX),
    row(libc::SYS_readlinkat, O::Readlink, RDI, RSI).results(Results::Bytes, RDX, R10),
    row(libc::SYS_getxattr, O::Getxattr, NONE, RDI).name(RSI).fields(R10, NONE).special(ROOM).follow(Always).results(Results::Sized, RDX, NONE),
    row(libc::SYS_lgetxattr, O::Getxattr, NONE, RDI).name(RSI).fields(R10, NONE).special(ROOM).follow(Never).results(Results::Sized, RDX, NONE),
    row(libc::SYS_listxattr, O::Listxattr, NONE, RDI).fields(RDX, NONE).special(ROOM).follow(Always).results(Results::Sized, RSI, NONE),
    row(libc::SYS_llistxattr, O::Listxattr, NONE, RDI).fields(RDX, NONE).special(ROOM).follow(Never).results(Results::Sized, RSI, NONE),
    row(libc::SYS_statfs, O::Statfs, NONE, RDI).results(Results::Statfs, RSI, NONE),
];

/// What lies at [`layout::CALLS`]: for each number the row that is its, from 1 on, then the
/// rows.
#[must_use]
pub fn table() -> Vec<u8> {
    let mut index = vec![0; layout::CALL_NUMBERS];
    let mut rows = Vec::new();
    for (at, row) in (1..).zip(ROWS) {
        if let Some(entry) = usize::try_from(row.number)
            .ok()
            .and_then(|n| index.get_mut(n))
        {
            *entry = at;
        }
        rows.extend(row.bytes());
    }
    index.extend(rows);
    index
}

/// The calls' numbers, in the order of the counters at [`layout::SERVED`].
pub fn numbers() -> impl ExactSizeIterator<Item = i32> {
    ROWS.iter()
        .map(|row| i32::try_from(row.number).unwrap_or(-1))
}

/// What a call may ask for; nothing if the agent does not know it.
pub fn operations(number: i32) -> impl Iterator<Item = Operation> {
    let rows = ROWS.iter().filter(move |row| row.number == number.into());
    rows.flat_map(|row| [row.operation, row.otherwise])
}

/// What stands at [`layout::KNOWN`].
#[must_use]
pub fn low_bytes() -> [u8; 256] {
    let mut known = [0; 256];
    for number in numbers() {
        known[usize::from(number.to_le_bytes()[0])] = 1;
    }
    known
}

/// Whether the agent knows a call.
#[must_use]
pub fn knows(number: i32) -> bool {
    numbers().any(|known| known == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_has_its_row() {
        let table = table();
        assert_eq!(
            table.len(),
            layout::CALL_NUMBERS + ROWS.len() * layout::CALL
        );
        assert!(table.len() as u64 <= layout::STUBS - layout::CALLS);
        assert!(ROWS.len() < 256 && layout::SERVED + ROWS.len() as u64 * 8 <= layout::IOVECS);
        for row in ROWS {
            let at = usize::from(table[usize::try_from(row.number).unwrap()]);
            let start = layout::CALL_NUMBERS + (at - 1) * layout::CALL;
            assert_eq!(
                table[start..start + layout::CALL],
                row.bytes(),
                "{}",
                row.number
            );
        }
        let known = table[..layout::CALL_NUMBERS].iter().filter(|at| **at != 0);
        assert_eq!(known.count(), ROWS.len(), "no number twice");
        assert!(knows(87) && !knows(0));
    }
}
