# A repository with some history, its clone, and what one does there.
one=-c\ gc.auto=0
mkdir origin; cd origin; git init -q -b main .; mkdir -p src/{a,b,c} docs
for ((i = 0; i < 4 * SCALE; i++)); do
    for ((j = 0; j < 15; j++)); do
        seq "$((i * j))" "$((i * j + 200))" >"src/$(printf %s $((j % 3)) | tr 012 abc)/file$j"
        echo "$i" >"docs/page-$i-$j"
    done
    ln -sfn "file$i" src/a/newest; chmod "$((i % 2 ? 755 : 644))" src/b/file1
    git add -A; GIT_COMMITTER_DATE="2001-02-03T04:05:06+$(printf %04d "$i")" git $one commit -q -m "change $i"
done
git tag -a -m 'a tag' v1; git checkout -q -b side 'HEAD~2'; mkdir book; git mv docs/page-0-* book; git mv src/c/file2 book; echo side >side; git add side
git $one commit -q -m 'side'; git checkout -q main
cd ..
git clone -q origin clone; cd clone; git config remote.origin.url ../origin
git checkout -q -b local origin/side; git status --short --branch; git checkout -q main; git status
git checkout -q v1~3; git checkout -q main; git merge -q --no-edit origin/side; git log --format='%h %s' | head -n 5
git rm -q -r src/c; echo changed >>src/a/file0; mv src/b/file1 src/b/renamed; echo new >untracked
git status --porcelain; git diff --stat; git stash -q; git status --porcelain; git stash pop -q; git add -A; git $one commit -q -m local
git mv src/a src/moved; git reset -q --hard; git clean -fdq; git worktree add -q ../worktree side; git -C ../worktree status --short
git worktree remove ../worktree; git branch -D -q local
git checkout -q -b topic HEAD~1; echo topic >topic; git add topic; git $one commit -q -m topic; git rebase -q main
git repack -q -a -d; git gc -q --prune=now; git fsck --full --strict 2>&1; git count-objects -v | grep -E '^(count|in-pack|packs|garbage)'
git push -q origin topic; git -C ../origin fsck --full; git -C ../origin gc -q; git -C ../origin branch -a; git ls-files -s | sha256sum
git rev-parse HEAD
git checkout -q missing 2>&1
