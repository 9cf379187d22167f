# Imports that write their caches, compileall, and shutil.
mkdir -p pkg/sub
for ((i = 0; i < 12 * SCALE; i++)); do
    printf 'VALUE = %s\ndef f(x):\n    return x + %s\n' "$i" "$i" >"pkg/m$i.py"; cp "pkg/m$i.py" "pkg/sub/n$i.py"
    echo "from . import m$i" >>pkg/__init__.py
done
: >pkg/sub/__init__.py
find pkg -exec touch -d 2000-01-01 {} +
python3 -c 'import pkg, sys; print(sum(getattr(pkg, n).VALUE for n in dir(pkg) if n.startswith("m")))'
ls pkg/__pycache__ | wc -l
python3 -m compileall -q -f pkg; echo "status $?"; python3 -m compileall -q pkg; echo "status $?"
echo 'def broken(:' >pkg/sub/broken.py; python3 -m compileall -q pkg >/dev/null 2>&1; echo "status $?"
touch -d 2000-01-02 pkg/m0.py pkg/sub/broken.py
python3 -c 'import pkg.m0, pkg.sub.n1; print(pkg.m0.f(1), pkg.sub.n1.f(1))'
# An import writes its absolute path into a cache.
python3 -m compileall -q -f pkg >/dev/null 2>&1
python3 - <<'END'
import os, pathlib, shutil, tempfile, zipfile
shutil.copytree("pkg", "copied", symlinks=True)
shutil.make_archive("archive", "zip", "pkg")
with zipfile.ZipFile("archive.zip") as archive:
    print(len(archive.namelist()))
    archive.extractall("unpacked")
shutil.rmtree("copied/sub")
with tempfile.TemporaryDirectory(dir=".") as temporary:
    for i in range(50):
        pathlib.Path(temporary, f"{i}").write_text(str(i))
    os.symlink("1", os.path.join(temporary, "link"))
    print(sorted(entry.name for entry in os.scandir(temporary) if entry.is_symlink()))
with tempfile.NamedTemporaryFile(dir=".") as file:
    print(os.stat(file.name).st_nlink)
os.replace("archive.zip", "moved.zip")
for call in (lambda: os.mkdir("pkg"), lambda: os.rmdir("pkg"), lambda: os.unlink("none"), lambda: os.rename("pkg", "pkg/in"),
             lambda: os.listdir("pkg/m0.py"), lambda: os.link("pkg", "x"), lambda: os.chmod("none", 0), lambda: os.readlink("pkg")):
    try:
        call()
    except OSError as error:
        print(error.errno, error)
print(sum(len(files) for _, _, files in os.walk(".")))
os.unlink("moved.zip")
END
