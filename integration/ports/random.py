"""Random calls below the cwd, with the answer of each: argv[1] is the seed."""

import errno
import os
import random
import stat
import sys

rng = random.Random(int(sys.argv[1]))
os.mkdir("random")
os.chdir("random")
NAMES = ["a", "b", "c", "d"]


def path():
    parts = [rng.choice(NAMES) for _ in range(rng.choice((1, 1, 2, 2, 3)))]
    return "/".join(parts) + rng.choice(("", "", "", "", "/", "/.", "/.."))


def look(name, follow=False):
    found = os.stat(name, follow_symlinks=follow)
    size = found.st_size if not stat.S_ISDIR(found.st_mode) else "-"
    return oct(found.st_mode), found.st_nlink, found.st_uid, found.st_gid, size


def write(name):
    flags = os.O_WRONLY | rng.choice((0, os.O_CREAT, os.O_CREAT, os.O_CREAT | os.O_EXCL))
    fd = os.open(name, flags | rng.choice((0, os.O_TRUNC, os.O_APPEND)), rng.choice((0o644, 0o600)))
    try:
        return os.pwrite(fd, b"x" * rng.randrange(3000), rng.randrange(2000)), look(name, True)
    finally:
        os.close(fd)


def read(name):
    fd = os.open(name, os.O_RDONLY)
    try:
        data = os.read(fd, 5000)
        return len(data), sum(data)
    finally:
        os.close(fd)


def times(name):
    os.utime(name, ns=(rng.randrange(2**40) * 1000, rng.randrange(2**40) * 1000), follow_symlinks=False)
    found = os.lstat(name)
    return found.st_atime_ns, found.st_mtime_ns


CALLS = [
    ("mkdir", lambda: os.mkdir(path(), rng.choice((0o755, 0o700, 0o1777)))),
    ("mkdir", lambda: os.mkdir(path(), 0o755)),
    ("rmdir", lambda: os.rmdir(path())),
    ("write", lambda: write(path())),
    ("write", lambda: write(path())),
    ("read", lambda: read(path())),
    ("unlink", lambda: os.unlink(path())),
    ("rename", lambda: os.rename(path(), path())),
    ("rename", lambda: os.rename(path(), path())),
    ("link", lambda: os.link(path(), path(), follow_symlinks=False)),
    ("symlink", lambda: os.symlink(rng.choice(("../a", "b", "c/d", "d/..")), path())),
    ("readlink", lambda: os.readlink(path())),
    ("mkfifo", lambda: os.mkfifo(path(), 0o640)),
    ("chmod", lambda: os.chmod(path(), rng.choice((0o644, 0o755, 0o700, 0o4755)))),
    ("chown", lambda: os.chown(path(), rng.randrange(3), rng.randrange(3), follow_symlinks=False)),
    ("truncate", lambda: os.truncate(path(), rng.randrange(5000))),
    ("utimensat", lambda: times(path())),
    ("stat", lambda: look(path(), True)),
    ("lstat", lambda: look(path())),
    ("listdir", lambda: sorted(os.listdir(path()))),
    ("access", lambda: os.access(path(), rng.choice((os.F_OK, os.R_OK, os.W_OK | os.R_OK)))),
    ("setxattr", lambda: os.setxattr(path(), "user." + rng.choice(NAMES), b"v" * rng.randrange(9))),
    ("getxattr", lambda: os.getxattr(path(), "user." + rng.choice(NAMES))),
    ("listxattr", lambda: sorted(os.listxattr(path()))),
    ("removexattr", lambda: os.removexattr(path(), "user." + rng.choice(NAMES))),
    ("chdir", lambda: os.chdir(path())),
]

root = os.open(".", os.O_RDONLY)
# A FIFO would be waited for.
for step in range(600):
    if step % 20 == 0:
        os.fchdir(root)
    name, call = rng.choice(CALLS)
    before = rng.getstate()
    try:
        if name in ("read", "write"):
            target = path()
            if stat.S_ISFIFO(os.stat(target).st_mode):
                continue
    except OSError:
        pass
    rng.setstate(before)
    try:
        answer = call()
    except OSError as error:
        answer = errno.errorcode[error.errno]
    print(step, name, answer)
