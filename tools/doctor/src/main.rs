//! What this kernel and user allow.

fn main() {}
