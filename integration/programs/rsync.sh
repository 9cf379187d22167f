# Twice, and the second time there is nothing to do; then some changes.
mkdir from; cd from
for ((i = 0; i < 4 * SCALE; i++)); do
    mkdir -p "d$i/e"
    for ((j = 0; j < 12; j++)); do seq "$j" "$((i + 100))" >"d$i/f$j"; touch -d "2000-01-0$((j % 9 + 1))" "d$i/f$j"; done
    ln -s ../f1 "d$i/e/soft"; ln "d$i/f2" "d$i/e/hard"
done
mkfifo fifo; truncate -s 300000 sparse; chmod 4750 sparse; setfattr -n user.kind -v sparse sparse
find . -exec touch -h -d 2000-02-02 {} +
cd ..
rsync -aHXS from/ to/; echo "status $?"
echo "again: $(rsync -aHXSi from/ to/)"
rsync -aHXS --stats from/ to/ | grep -E 'files transferred|Literal data'
diff -r --no-dereference from to | grep -v 'is a fifo'; cmp from/d3/f3 to/d3/f3 && echo "the same"
echo changed >from/d0/f0; touch -d 2000-03-03 from/d0/f0; rm -r from/d1; mv from/d2 from/moved; chmod 600 from/d3/f3
rsync -aHXSi --delete from/ to/ | sort
rsync -aHXSi --delete from/ to/
rsync -a --inplace --no-whole-file from/d0/ to/d0/; rsync -a --remove-source-files from/d3/ to/gone/; find from/d3 | sort
rsync -a missing to/ 2>/dev/null; echo "status $?"
exit 0
