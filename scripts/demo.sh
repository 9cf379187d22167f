#!/usr/bin/env bash
# Shows the bypass at work: what becomes of each call of a static `rm -rf`, and how long it
# takes beside the same file system on plain FUSE. Argument: the directory of the programs.
set -euo pipefail

BIN=$1
FILES=5000
ROUNDS=3

# A tmpfs where there is one: a disk's own pace would hide what is shown.
if [[ -z ${TMPDIR:-} && -w /dev/shm && $(stat -fc %T /dev/shm) == tmpfs ]]; then
    TMPDIR=/dev/shm
fi
WORK=$(mktemp -d "${TMPDIR:-/tmp}/finesse-demo.XXXXXX")
SERVERS=()

# Runs at every end. The servers unmount on SIGTERM; what is mounted all the same, because
# one was killed, is detached before the directory goes.
clean_up() {
    local status=$? pid mnt
    trap - EXIT INT TERM HUP
    cd /
    for pid in "${SERVERS[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${SERVERS[@]}"; do wait "$pid" 2>/dev/null || true; done
    for mnt in "$WORK"/*.mnt; do
        if grep -qF " $mnt " /proc/self/mountinfo; then
            fusermount3 -uz "$mnt" || umount -l "$mnt" || true
        fi
    done
    rm -rf --one-file-system "$WORK"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

# serve NAME PROGRAM: mounts NAME.src on NAME.mnt.
serve() {
    local name=$1 program=$2 tries
    mkdir "$WORK/$name.src" "$WORK/$name.mnt"
    "$BIN/$program" passthrough "$WORK/$name.src" "$WORK/$name.mnt" &
    SERVERS+=($!)
    for ((tries = 0; tries < 100; tries++)); do
        if grep -qF " $WORK/$name.mnt " /proc/self/mountinfo; then return; fi
        kill -0 "${SERVERS[-1]}" 2>/dev/null || break
        sleep 0.05
    done
    echo "demo: $program does not serve $WORK/$name.mnt" >&2
    exit 1
}

# fill NAME COUNT: makes files behind the mount, in ten directories, 4 KiB each.
fill() {
    local tree="$WORK/$1.src/tree" dir
    for dir in {0..9}; do
        mkdir -p "$tree/$dir"
        head -c "$(($2 / 10 * 4096))" /dev/zero | split -a 4 -b 4096 - "$tree/$dir/"
    done
}

# remove_timed NAME [COMMAND...]: milliseconds that a static rm takes, and nothing is left.
remove_timed() {
    local name=$1 where=mnt begin end
    shift
    [[ $name == native ]] && where=src
    fill "$name" "$FILES"
    begin=${EPOCHREALTIME/./}
    "$@" "$BUSYBOX" rm -rf "$WORK/$name.$where/tree"
    end=${EPOCHREALTIME/./}
    [[ ! -e $WORK/$name.src/tree ]] || { echo "demo: rm left something" >&2; exit 1; }
    echo $(((end - begin) / 1000))
}

median() { printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"; }

# An absolute path, as of a program that nothing can be preloaded into.
BUSYBOX=$(command -v busybox) || { echo "demo: no busybox" >&2; exit 1; }
mkdir "$WORK/native.src"
serve plain finesse-mount-plain
serve finesse finesse-mount

say "A pass-through file system is mounted, and a static rm empties it under finesse-run"
fill finesse 500
echo "\$ finesse-run --report -- busybox rm -rf $WORK/finesse.mnt/tree"
"$BIN/finesse-run" --report -- "$BUSYBOX" rm -rf "$WORK/finesse.mnt/tree"
[[ ! -e $WORK/finesse.src/tree ]] || { echo "demo: rm left something" >&2; exit 1; }

say "The same rm of $FILES files, in turn on the directory itself, on plain FUSE, by the bypass"
native=() plain=() bypass=()
printf '  %-8s %9s %12s %9s   (ms, on %s)\n' '' native 'plain FUSE' bypass "$(stat -fc %T "$WORK")"
for ((round = 1; round <= ROUNDS; round++)); do
    native+=("$(remove_timed native)")
    plain+=("$(remove_timed plain)")
    bypass+=("$(remove_timed finesse "$BIN/finesse-run" --)")
    printf '  round %-2d %9d %12d %9d\n' "$round" "${native[-1]}" "${plain[-1]}" "${bypass[-1]}"
done
printf '  %-8s %9d %12d %9d\n' median \
    "$(median "${native[@]}")" "$(median "${plain[@]}")" "$(median "${bypass[@]}")"
echo
echo "Whole runs, with start-up, and with the listing of the directories, which stays with the"
echo "kernel. \`make bench\` measures call by call, and against FUSE at its best placement too."
