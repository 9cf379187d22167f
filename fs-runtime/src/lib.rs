//! fuser's API with a second, kernel-bypassing door.
