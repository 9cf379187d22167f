# One file that the kernel reads from another one itself.
. "${0%/*}/say.sh"
cd "$1" || exit 9
try ls -lAn --time-style=+%s
try stat -c '%n %F %a %u:%g %h %s' . passthrough missing
for round in 1 2 3; do
    try cmp passthrough /etc/profile
    try head -c 100 passthrough
done
exec 3<passthrough 4<passthrough
try cmp - /etc/profile <&3
try cmp - /etc/profile <&4
exec 3<&- 4<&-
try mkdir new
try rm passthrough
try mv passthrough other
try chmod 600 passthrough
try truncate -s 0 passthrough
