# find(1) and xargs(1): a process for each name, or for many, from within each directory, and find's own removal.
for ((i = 0; i < 5 * SCALE; i++)); do
    mkdir -p "d$i/e/f"
    for ((j = 0; j < 6; j++)); do echo "$i $j" >"d$i/f$j"; echo "$j" >"d$i/e/g$j"; done
    ln -s f1 "d$i/link"; touch -d 2000-01-01 "d$i/f2"; chmod 600 "d$i/f3"
done
find . -type f -name 'f1' -exec cp {} {}.copy ';'
find . -type f -name '*.copy' -execdir mv {} moved ';'
find . -name moved -exec chmod 640 {} +
find . -type f -perm 600 -print | sort
find . -type l -exec readlink {} + | sort | uniq -c
find . -type f ! -newer d0/f2 -exec rm {} ';'
find . -path './d0/e/*' -exec sh -c 'for name; do mv "$name" "$name.x"; done' sh {} +
find d1 -depth -mindepth 1 -exec rmdir {} ';' 2>/dev/null; find d1 -delete
find . -name 'g*' -print0 | sort -z | xargs -0 -n 3 -P 2 touch -d 2000-05-05
find . -empty -type d -print -delete | sort
find . -samefile d2/f1 -o -size -2c | sort | head; find . -type f | wc -l
find missing -exec true ';' 2>&1; echo "status $?"
