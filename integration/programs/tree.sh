# The tree below the cwd, as text to compare: kind, mode, owner, links, target, size; times that were set to
# something long past; names that are one file; content; extended attributes. VOLATILE is an extended regular
# expression of files whose size and content are nobody's promise. DAEMON=yes: neither are a directory's
# number of links and extended attributes. Nor is what libfuse calls .fuse_hidden*: a file that was removed while
# it was open, until the daemon hears of the last close, which is after close(2) has returned.
find . -mindepth 1 ! -name '.fuse_hidden*' -printf '%p\t%y\t%m\t%U:%G\t%n\t%l\t%s\t%T@\n' | sort | awk -F '\t' -v volatile="$VOLATILE" -v daemon="$DAEMON" '{
    size = $2 == "d" || $1 ~ volatile ? "-" : $7
    time = $8 < 1000000000 ? $8 : "now"
    print $1, $2, $3, $4, daemon == "yes" && $2 == "d" ? "-" : $5, size, time, $6
}'
find . -links +1 ! -type d ! -name '.fuse_hidden*' -printf '%p\t%i\n' | sort | awk -F '\t' '
    $2 in first { print $1, "is", first[$2]; next } { first[$2] = $1 }'
find . -type f ! -name '.fuse_hidden*' -print0 | sort -z | grep -zEv "$VOLATILE" | xargs -0 -r sha256sum
[ "$DAEMON" = yes ] || find . -print0 | sort -z | xargs -0 -r getfattr -h -d -m '^user\.' --
