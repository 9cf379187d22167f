//! Pass-through and memory file systems with both doors.

fn main() {}
