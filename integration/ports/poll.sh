# Sixteen files to which bytes come in time. How many come when depends on the machine: what is compared is that
# the client of the same package gets sixteen answers, and that nothing but its files is there.
. "${0%/*}/say.sh"
cd "$1" || exit 9
try ls
try stat -c '%n %F %a %u:%g' 0 9 A F G 00
"$4poll_client" >"$2/answers" 2>"$2/errors"
echo "poll_client = $?"
cat "$2/errors"
sed -E 's/_: +/_ /g; s/([0-9A-F]):[0-9]{2} /_ /g' "$2/answers" | sort | uniq -c
grep -cE '[0-9A-F]:(0[1-9]|10)' "$2/answers"
exec 3<3
try cat 3
exec 3<&-
try rm 3
try mkdir new
try mv 3 4
try chmod 600 3
