# A file system that can be changed: by hand, then at random.
. "${0%/*}/say.sh"
mkdir "$1/tree-$3" || exit 9
cd "$1/tree-$3" || exit 9
echo outside > "$2/outside-$3"
try mkdir a a/b a/b/c
try mkdir a
try mkdir x/y
try mkdir a/
try mkdir -m 2751 g
try touch f
try sh -c 'echo content > a/f; echo more >> a/f; cat a/f'
try cp a/f g/f
try ln g/f h
try ln g/f h
try ln a hard
try stat -c '%n %F %a %h %s' h a/f a .
try ln -s a/f link
try ln -s loop loop
try ln -s a dir
try cat link loop dir/f
try readlink link dir
try mv h i
try mv i a/b
try mv a/b/i .
try mv -T f a
try mv -T a f
try mv -T a a/b/d
try mv -T a/b/c a/b/e
try mv -T g a/b
try mv a/b .
try rmdir a
try rmdir b/e
try rm b
try rm f/
try rmdir f
try chmod 640 f
try chmod u+s f
try chown 12:34 f
try chown -h 5:6 link
try truncate -s 100 f
try truncate -s 3 i
try cat i
try touch -d @1000000000 f
try stat -c %Y f
try mkfifo p
try setfattr -n user.one -v 1 f
try setfattr -n user.two -v 22 f
try getfattr -d -m - f
try setfattr -x user.one f
try setfattr -x user.one f
try getfattr -n user.one f
try getfattr -d -m user f
try mv "$2/outside-$3" outside
try mv f "$2/outside-$3"
try cat outside/
try touch "$(printf '%0256d' 1)"
try touch "$(printf '%0255d' 1)"
try sh -c 'exec 3>open; rm open; echo late >&3; ls open'
try cp -r a copy
try rm -r copy
try find . -name nothing
show .
python3 "${0%/*}/random.py" "$3"
show .
