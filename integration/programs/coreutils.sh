# Coreutils, GNU's or busybox's: only options that both have. Where messages go through, they are compared too.
mkdir -p a/b/c/d; mkdir -m 1777 sticky; mkdir -m 2775 setgid; touch setgid/inherits
seq "$((3000 * SCALE))" >a/numbers; cp a/numbers a/b/copy; dd if=/dev/zero of=zeros bs=4096 count=17 2>/dev/null
truncate -s 1000000 sparse; truncate -s 10 a/b/copy; cat a/b/copy
ln a/numbers hard; ln -s a/numbers soft; ln -s ../missing dangling; mkfifo -m 600 fifo
touch -d '1999-12-31 23:59:59' a/numbers; touch -h -d '2000-01-01 00:00:00' soft; touch -r a/numbers zeros
chmod 640 zeros; chmod u+s,g-r hard; chmod -R go-w a; chmod 4711 a/b/copy
[ "$(id -u)" != 0 ] || { chown 12:34 hard; chown -h 5:6 soft; chown -R 7 a/b; chgrp 8 zeros; }
cp -a . ../copy-of-it; mv ../copy-of-it copied; rm -r copied/a/b
cp -r a a2; cp -l a/numbers linked 2>&1; cp -p zeros preserved; cp -rP soft soft2
mv a2/b moved; mv a2/numbers moved/; rmdir a2; mkdir -p x/y/z; rmdir -p x/y/z; mv soft renamed-link
i=0; while [ $i -lt "$((25 * SCALE))" ]; do mkdir "n$i" && touch "n$i/f" && mv "n$i/f" "n$i/g"; i=$((i + 1)); done
rm -r n1*; rm n2/g; rmdir n2; rm -rf nothing n3
# Busybox has neither in Debian.
if command -v split >/dev/null; then split -l 1000 a/numbers part-; install -m 555 zeros installed; cat part-* | cmp - a/numbers; fi
sort -rn a/numbers -o sorted; tee one two <sorted | tail -n 1; cmp one two
head -n 3 sorted; wc -l sorted; cut -c 1 a/numbers | uniq | wc -l; sha256sum one; md5sum <two
stat -c '%n %F %a %s %h %u:%g' hard fifo zeros; stat -c '%n %F %a %h' sticky setgid; stat -L -c '%n %s' renamed-link
readlink renamed-link; readlink dangling; [ "$(realpath renamed-link)" = "$(pwd -P)/a/numbers" ] && echo "real"
ls -1; ls -a a; ls -R moved; basename "$(dirname "$(readlink -f a/b/copy)")"
test -u hard; echo "$?"; test zeros -ot hard; echo "$?"; df . >/dev/null; sync
# What goes wrong.
for wrong in 'mkdir a' 'mkdir missing/x' 'rmdir a' 'rmdir zeros' 'rm missing' 'rm a' 'mv missing x' 'mv a a/b' 'ln zeros hard' \
    'ln a b' 'cp a b' 'mv zeros a/numbers/x' 'touch zeros/' 'cat missing' 'chmod 0 missing' 'ls missing' 'truncate -s 1 a' \
    'mv fifo missing/' 'readlink zeros' 'unlink a' 'ln -s a fifo'; do
    $wrong 2>&1; echo "$wrong: $?"
done
exit 3
