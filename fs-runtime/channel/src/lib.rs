//! Bytes between two processes that do not trust each other, over shared memory.
