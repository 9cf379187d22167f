//! Runs a program under a seccomp notification filter and forwards its calls.
