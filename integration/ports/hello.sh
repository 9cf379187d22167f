# A tree of files that nobody may change.
. "${0%/*}/say.sh"
cd "$1" || exit 9
try ls -lAn --time-style=+%s
try stat -c '%n %F %a %u:%g %h %s %b %i %X %Y %Z' . hello.txt
try stat -f -c '%s %l %b %f %a %c %d' .
try cat hello.txt
try tail -c 5 hello.txt
[ ! -e stats-per-thread ] || try cat stats-per-thread
for name in missing hello.txt/ hello.txt/below missing/below ./../at/hello.txt; do
    try stat -c %F "$name"
    try cat "$name"
done
try test -r hello.txt
try test -w hello.txt
try test -x hello.txt
try readlink hello.txt
try getfattr -d -m - hello.txt
try setfattr -n user.a -v b hello.txt
try mkdir new
try mkdir hello.txt
try touch new
try rm hello.txt
try rmdir hello.txt
try ln -s hello.txt link
try ln hello.txt link
try mv hello.txt other
try chmod 600 hello.txt
try chown 1:1 hello.txt
try truncate -s 0 hello.txt
try touch hello.txt
show .
