# What only reads, of the tree that `daemon.sh` leaves.
find . | sort | sha256sum; find . -type f -printf '%p %s %m\n' | sort | grep -v 'git/index' | sha256sum
find . -type l -printf '%p %l\n' | sort; find copy -maxdepth 2 -type d | sort | wc -l; stat -c '%n %F %a %s' copy/d0/f1 copy/dangling
tar -cf - --sort=name --owner=0 --group=0 --mtime=@0 out copy/d0 | sha256sum; grep -rlE '^1$' out copy | sort
git -C copy -c safe.directory='*' log --format='%h %s'; git -C copy fsck --full 2>&1; cmp copy/d0/f2 out/moved/f2; echo "$?"
diff -r copy/d2 out/d2; wc -c copy/d0/*; ls -R out; cat missing 2>&1; ls copy/d0/f1/ 2>&1; cat copy/d0/soft | tail -n 1
