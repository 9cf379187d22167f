//! The kernel door.
mod name_cache;
pub(crate) use name_cache::NameCache;
