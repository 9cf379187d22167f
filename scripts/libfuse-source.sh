#!/usr/bin/env bash
# Fetches the source package of libfuse 3 from where this machine's Debian packages come from, and unpacks it:
#     scripts/libfuse-source.sh DIR
# Prints the directory, for FINESSE_LIBFUSE. apt's own settings and lists are left alone.
set -euo pipefail

dir=$(mkdir -p "$1" && cd "$1" && pwd)
unpacked() { compgen -G "$dir/fuse-3*/example" >/dev/null; }

if ! unpacked; then
    mkdir -p "$dir"/apt/{parts,lists/partial,cache/archives/partial}
    for list in /etc/apt/sources.list /etc/apt/sources.list.d/debian.*; do
        [[ -e $list ]] || continue
        sed -E 's/^Types: deb$/Types: deb-src/; s/^deb /deb-src /' "$list" >"$dir/apt/parts/${list##*/}"
    done
    settings=(
        -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$dir/apt/parts"
        -o "Dir::State::lists=$dir/apt/lists" -o "Dir::Cache=$dir/apt/cache" -o "APT::Sandbox::User=$(id -un)"
    )
    apt-get "${settings[@]}" update -q >&2
    (cd "$dir" && apt-get "${settings[@]}" source -q --download-only fuse3 >&2)
    tar -xf "$(compgen -G "$dir/fuse3_3*.orig.tar.?z")" -C "$dir"
fi
unpacked || { echo "libfuse-source: no examples in $dir" >&2; exit 1; }
compgen -G "$dir/fuse-3*/example" | head -n 1 | xargs dirname
