//! Safe seccomp user notification: filter, listener, notification, target memory.
