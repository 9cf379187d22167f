//! Each public item of fuser 0.18 on Linux, with its signature and traits. The crate has nothing to run: that it
//! compiles, against fuser and against finesse-fuse, shows that both have the same.

#![allow(dead_code, clippy::type_complexity)]

mod async_filesystem;
mod filesystem;
mod flags;
mod implementation;
mod replies;
mod session;
mod values;

/// `traits!(Type: Trait + Trait)`: the type has these traits.
macro_rules! traits {
    ($($type:ty: $($bound:path),+;)+) => {
        const _: () = {
            $($({
                const fn has<T: $bound>() {}
                has::<$type>();
            })+)+
        };
    };
}
use traits;
