//! libc's own functions.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_uint, c_void};
use std::sync::OnceLock;

use libc::{RTLD_NEXT, abort, dlsym, iovec, loff_t, size_t, ssize_t};

macro_rules! functions {
    ($($name:ident($($argument:ty),*) -> $result:ty;)+) => {
        /// libc's functions behind the ones of this library. `C-unwind`: a cancelled thread
        /// unwinds through them.
        #[derive(Debug)]
        pub(super) struct Real {
            $(pub(super) $name: unsafe extern "C-unwind" fn($($argument),*) -> $result,)+
        }

        impl Real {
            fn find() -> Self {
                Real {
                    $($name: {
                        let name = concat!(stringify!($name), "\0");
                        let found = next(name);
                        // SAFETY: the name is a function of libc with these parameters and
                        // this result, by its manual page, and it was found.
                        unsafe {
                            std::mem::transmute::<
                                *mut c_void,
                                unsafe extern "C-unwind" fn($($argument),*) -> $result,
                            >(found)
                        }
                    },)+
                }
            }
        }
    };
}

functions! {
    read(c_int, *mut c_void, size_t) -> ssize_t;
    readv(c_int, *const iovec, c_int) -> ssize_t;
    write(c_int, *const c_void, size_t) -> ssize_t;
    writev(c_int, *const iovec, c_int) -> ssize_t;
    splice(c_int, *mut loff_t, c_int, *mut loff_t, size_t, c_uint) -> ssize_t;
    vmsplice(c_int, *const iovec, size_t, c_uint) -> ssize_t;
    close(c_int) -> c_int;
    dup2(c_int, c_int) -> c_int;
    dup3(c_int, c_int, c_int) -> c_int;
    pipe(*mut c_int) -> c_int;
    pipe2(*mut c_int, c_int) -> c_int;
}

static REAL: OnceLock<Real> = OnceLock::new();

/// Looked up at the first call.
pub(super) fn real() -> &'static Real {
    REAL.get_or_init(Real::find)
}

/// The next definition of a function after this library's own; `name` ends with a NUL.
fn next(name: &'static str) -> *mut c_void {
    // SAFETY: the name ends with a NUL. A program whose libc lacks such a function cannot
    // have called it.
    unsafe {
        let found = dlsym(RTLD_NEXT, name.as_ptr().cast());
        if found.is_null() {
            abort();
        }
        found
    }
}
