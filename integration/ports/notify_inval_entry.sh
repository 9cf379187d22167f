# One file whose name says the time; the kernel may remember a name for 1000 s, so it goes by notification only.
. "${0%/*}/say.sh"
cd "$1" || exit 9
old=$(ls)
echo "$old" | sed 's/[0-9]/N/g'
try stat -c '%F %a %h %s' "$old" | sed 's/[0-9]\{6,\}/N/g'
for round in 1 2 3; do
    new=$old
    for step in $(seq 100); do
        new=$(ls)
        [ "$new" = "$old" ] || break
        sleep 0.05
    done
    [ "$new" != "$old" ] && echo "another name"
    # The listing may be a moment ahead of the notification.
    for step in $(seq 100); do
        stat "$old" >/dev/null 2>&1 || break
        sleep 0.01
    done
    stat -c %F "$old" 2>&1 | sed 's/[0-9]\{6,\}/N/g'
    stat -c %F "$(ls)" 2>&1 | sed 's/[0-9]\{6,\}/N/g'
    old=$(ls)
done
try stat missing
try mkdir new
try touch new
