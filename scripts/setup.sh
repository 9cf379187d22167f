#!/usr/bin/env bash
# Installs the system packages that building, testing and the demonstration need, and
# says what it installs and why. What is there is left alone.
set -euo pipefail

# package, what shows that it is there, what it is for
NEEDED=(
    "build-essential|command:cc|linking, and the C test programs"
    "pkg-config|command:pkg-config|finding libseccomp"
    "libseccomp-dev|package|building the filter of finesse-run"
    "fuse3|command:fusermount3|mounting and unmounting as an ordinary user"
    "musl-tools|command:musl-gcc|the test programs that are static against musl"
    "golang-go|command:go|the test program in Go, which calls the kernel without a libc"
    "busybox-static|package|a static rm and tar for the demonstration and the comparison"
    "e2fsprogs|command:mkfs.ext4|a journaled ext4 on a loop file for the comparison"
    "attr|command:setfattr|extended attributes in tests"
    "acl|command:setfacl|access control lists in tests"
    "git|command:git|one of the programs that tests run on every side"
    "rsync|command:rsync|another one"
    "sqlite3|command:sqlite3|another one"
    "python3|command:python3|another one"
    "perl|command:perl|another one"
    "bindfs|command:bindfs|a daemon of others that tests and the comparison serve (libfuse 2)"
    "sshfs|command:sshfs|another one (libfuse 3, asks over ssh)"
    "openssh-server|command:sshd|what sshfs asks: started for each test, no port, no service needed"
    "openssh-client|command:ssh-keygen|keys for that"
    "squashfuse|command:squashfuse|another one (read-only)"
    "squashfs-tools|command:mksquashfs|an image for it"
    "fuse-overlayfs|command:fuse-overlayfs|another one (libfuse 3, low-level)"
    "mergerfs|command:mergerfs|another one (a libfuse of its own)"
    "unionfs-fuse|command:unionfs|another one (libfuse 2)"
    "disorderfs|command:disorderfs|another one (libfuse 2, shows directories in another order)"
    "libfuse3-dev|package|libfuse's own pass-through examples, which tests build"
)
RUST_AT_LEAST=1.95

die() {
    printf 'setup: %s\n' "$@" >&2
    exit 1
}

# mkfs.ext4 lies in /usr/sbin, which an ordinary user need not have in PATH.
present() {
    local package=$1 sign=$2
    case $sign in
    command:*) PATH="$PATH:/usr/sbin:/sbin" command -v "${sign#command:}" >/dev/null ;;
    package) [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ;;
    esac
}

as_root() {
    if [[ $(id -u) == 0 ]]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "not root and no sudo; as root, run: $*"
    fi
}

install_packages() {
    local missing=() entry package sign reason
    for entry in "${NEEDED[@]}"; do
        IFS='|' read -r package sign reason <<<"$entry"
        if ! present "$package" "$sign"; then
            ((${#missing[@]})) || echo "setup: these Debian packages are missing and will be installed:"
            printf '  %-16s %s\n' "$package" "$reason"
            missing+=("$package")
        fi
    done
    ((${#missing[@]})) || return 0
    command -v apt-get >/dev/null \
        || die "no apt-get here; install what corresponds to: ${missing[*]}"
    as_root apt-get update -q
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends "${missing[@]}"
}

check_rust() {
    local how="install it by rustup (https://rustup.rs), or run: rustup update stable"
    command -v cargo >/dev/null || die "no cargo in PATH; Rust $RUST_AT_LEAST or newer is needed" "$how"
    local version
    version=$(rustc --version | cut -d ' ' -f 2)
    if [[ $(printf '%s\n' "$RUST_AT_LEAST" "$version" | sort -V | head -n 1) != "$RUST_AT_LEAST" ]]; then
        die "Rust $version is too old; $RUST_AT_LEAST or newer is needed" "$how"
    fi
    local tool
    for tool in fmt clippy; do
        cargo "$tool" --version >/dev/null 2>&1 \
            || die "cargo $tool is missing; run: rustup component add rustfmt clippy"
    done
}

check_fuse() {
    [[ -e /dev/fuse ]] && return
    echo "setup: /dev/fuse is missing; loading the kernel module fuse"
    as_root modprobe fuse || die "no FUSE in this kernel; finesse-mount and the tests need it"
}

[[ $(uname -sm) == "Linux x86_64" ]] || die "Finesse runs on Linux on x86-64 only, this is $(uname -sm)"
install_packages
check_rust
check_fuse
