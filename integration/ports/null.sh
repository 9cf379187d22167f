# A file system that can do nothing.
. "${0%/*}/say.sh"
try stat -f -c '%s %l %b' "$1"
for name in "$1" "$1/a" "$1/a/b"; do
    try stat -c %F "$name"
    try cat "$name"
    try ls "$name"
    try mkdir "$name"
    try rmdir "$name"
    try rm -f "$name"
    try touch "$name"
    try ln -s t "$name"
    try readlink "$name"
    try chmod 600 "$name"
    try mv "$name" "$1/z"
    try test -w "$name"
    try getfattr -d -m - "$name"
done
