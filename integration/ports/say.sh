# Sourced by the others: each command, what it says, how it ends.
export LC_ALL=C TZ=UTC
umask 022
try() {
    printf '$ %s\n' "$*"
    "$@" 2>&1
    echo "= $?"
}

# What does not change from run to run of a directory's tree, or of one name.
show() {
    find "$@" -printf '%P %y %m %n %U:%G %s %l\n' 2>&1 | sort
}
