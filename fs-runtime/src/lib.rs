//! fuser's API with a second, kernel-bypassing door.

mod backend;
mod coherence;
mod door;
mod filesystem;
mod fuser_backend;
mod gate;
mod kernel_door;
mod kernel_view;
mod reply;
mod request;
mod session;
mod vfs;
