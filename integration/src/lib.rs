//! Harness, oracle tests and the native / FUSE / bypass comparison.
