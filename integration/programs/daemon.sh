# A tree, its archive, its copies and a repository, with nothing that a daemon lacks which serves files elsewhere: no
# hard links, FIFOs, attributes or links upwards, and no time set alone.
mkdir tree
for ((i = 0; i < 3 * SCALE; i++)); do
    mkdir -p "tree/d$i/e/f"
    for ((j = 0; j < 6; j++)); do seq "$i" "$((i + j * 20))" >"tree/d$i/f$j"; echo "$i $j" >"tree/d$i/e/g$j"; done
    chmod 750 "tree/d$i/e"; chmod 755 "tree/d$i/f1"; chmod 600 "tree/d$i/f2"
done
# The kernel has not looked up what was just made, and is not asked to by perl, unlike by chmod(1).
perl -e 'mkdir "tree/fresh" and chmod 0711, "tree/fresh" or die "$!"'; stat -c %a tree/fresh
find tree -exec touch -d '2000-01-02 03:04:05' {} +
tar -cf archive --sort=name --owner=0 --group=0 -C tree .; tar -tf archive | wc -l; sha256sum <archive
mkdir out; tar -xpmf archive -C out; echo "status $?"; diff -r tree out && echo 'same'
cp -a tree copy; diff -r tree copy && echo 'same'; find copy -newer archive; find copy -perm 600 | sort
ln -s f1 copy/d0/soft; ln -s missing copy/dangling; cmp copy/d0/soft tree/d0/f1; readlink copy/d0/soft; cat copy/dangling 2>&1
cd copy; git init -q -b main .; git add -A; git -c gc.auto=0 commit -q -m first; git ls-files -s | sha256sum
git mv d0/f3 d0/moved; git rm -q -r d1/e; echo changed >>d0/f4; echo new >untracked; git status --porcelain
git add -A; git -c gc.auto=0 commit -q -m second; git checkout -q HEAD~1; ls d1; git checkout -q main; git diff --stat HEAD~1
git fsck --full 2>&1; git rev-parse HEAD; cd ..
grep -rlE '^1 [0-9]$' tree | sort; find out -type f -name 'g*' -delete; find out -type d -empty -print | sort
mv out/d0 out/moved; rm -rf out/d1 tree; ls -R out; mkdir copy 2>&1; rmdir copy/d0 2>&1; rm missing 2>&1; rm archive; ls
