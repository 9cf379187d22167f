# One file whose content says the time; the kernel may keep all of it for ever, so it goes by notification only.
. "${0%/*}/say.sh"
cd "$1" || exit 9
try ls
try stat -c '%n %F %a %h %s' current_time .
sed 's/[0-9]/N/g' current_time
old=$(cat current_time)
for round in 1 2 3; do
    new=$old
    for step in $(seq 100); do
        new=$(cat current_time)
        [ "$new" = "$old" ] || break
        sleep 0.05
    done
    [ "$new" != "$old" ] && echo "another content"
    old=$new
    stat -c '%F %a %s' current_time
done
try sh -c 'echo a > current_time'
try stat missing
try rm current_time
try mv current_time other
