# Round trips, with what only an archive knows of: holes, attributes, links, owners.
mkdir tree; cd tree
for ((i = 0; i < 4 * SCALE; i++)); do
    mkdir -p "d$i/e/f"
    for ((j = 0; j < 12; j++)); do seq "$i" "$((i + j * 20))" >"d$i/f$j"; done
    ln -s ../f1 "d$i/e/soft"; ln "d$i/f2" "d$i/e/hard"
done
mkfifo -m 640 fifo; chmod 2711 d0; chmod 4755 d0/f0; ln -s missing dangling
truncate -s 4000000 sparse; printf end | dd of=sparse bs=1 seek=2000000 conv=notrunc status=none
setfattr -n user.kind -v some d1/f1; setfattr -n user.kind -v directory d1
[ "$(id -u)" != 0 ] || { chown 12:34 d1/f1; chown -h 56 d1/e/soft; }
long=$(printf 'n%.0s' {1..200}); mkdir "$long"; : >"$long/$long"
find . -exec touch -h -d '2000-01-02 03:04:05.678' {} +
cd ..
all='--xattrs --xattrs-include=* --format=posix --sparse --sparse-version=0.0 --hole-detection=raw --sort=name'
tar $all --pax-option=exthdr.name=%d/%f,delete=atime,delete=ctime -cf archive -C tree .
tar -tf archive | wc -l; tar -df archive -C tree && echo "no difference"
mkdir out; tar $all -xpf archive -C out; echo "status $?"
diff -r --no-dereference tree out | grep -v 'is a fifo'
tar $all -xpf archive -C out; echo "over itself $?"
tar $all -xpf archive -C out --unlink-first --recursive-unlink; echo "anew $?"
tar -czf archive.gz -C tree d0 d1 --sort=name; mkdir some; tar -xzf archive.gz -C some --strip-components=1 d0; ls some
tar -cf - -C tree d0 | tar -xf - -C out --keep-old-files 2>&1 | grep -c 'File exists'
tar -xf archive -C out missing 2>/dev/null; echo "status $?"
cp --sparse=always out/sparse again; cmp again tree/sparse
rm -r some; rm archive.gz
