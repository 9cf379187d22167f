# vfork(2), posix_spawn(3) and fork(2) from several threads at once.
"$GUEST" . "$((60 * SCALE))"
