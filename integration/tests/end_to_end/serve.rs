//! `finesse-serve`: daemons of others with the bypass door.
