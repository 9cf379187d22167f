# The program was built before; it is static and calls the kernel without a libc.
"$GUEST" "$((40 * SCALE))"
