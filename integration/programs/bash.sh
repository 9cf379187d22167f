# What bash itself calls: redirections, tests, globs, here documents, jobs.
umask 027
for ((i = 0; i < 20 * SCALE; i++)); do
    echo "line $i" >"f$i"
    echo more >>"f$i"
done
mkdir -p d/{a,b,c}/{1,2}
(cd d/a/1 && pwd -P | sed 's|.*/d/|d/|' >here && cat <<-END >../../here
	a document here, $(cat here)
	END
)
set -o noclobber
if (echo no >f0) 2>/dev/null; then echo "clobbered"; else echo "kept"; fi
echo yes >|f0
set +o noclobber
ln -s f1 link; ln -s nowhere dangling; mkfifo pipe
for name in f0 d link dangling pipe missing; do
    for test in -e -f -d -L -h -p -r -w -x -s -O; do
        if test $test "$name"; then printf '%s ' "$test"; fi
    done
    echo "$name"
done
[[ f0 -nt missing && f1 -ef link ]] && echo "newer, and the same"
echo f?; echo d/*/*; shopt -s globstar nullglob dotglob; echo d/**; echo none*
(cat <pipe >from-pipe) & echo through >pipe; wait
{ sleep 0.01; mv f1 f1.moved; } & wait $!
[[ -e link ]] || echo "link leads nowhere now"
exec 5>fd5 6<f2; echo five >&5; read -r -u 6 line; echo "$line"; rm fd5; echo six >&5; exec 5>&- 6<&-
[[ -e fd5 ]] || echo "removed while open"
trap 'rm -f f3; echo "trapped"' EXIT
while read -r name; do rm "$name"; done < <(printf '%s\n' f1?)
bash -c 'cd missing' 2>/dev/null || echo "cd: $?"
(exit 41) || echo "status $?"
cat missing/x 2>&1 || true
exit 7
