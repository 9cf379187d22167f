# A file whose size is set and asked for by ioctl(2).
. "${0%/*}/say.sh"
cd "$1" || exit 9
show .
try python3 - <<'END'
import array, fcntl, os
GET, SET = 0x80084500, 0x40084501   # _IOR('E', 0, size_t), _IOW('E', 1, size_t)
def ask(fd, number, argument):
    try:
        return fcntl.ioctl(fd, number, argument)
    except OSError as error:
        return error.strerror
fd = os.open("fioc", os.O_RDONLY)
def size():
    value = array.array("N", [7])
    return ask(fd, GET, value), value[0]
print(size())
for wanted in (1, 4096, 70000, 0, 12):
    print(ask(fd, SET, array.array("N", [wanted])), size())
print(os.pread(fd, 100, 0), ask(fd, 0x80084502, array.array("N", [0])))
print(ask(os.open(".", os.O_RDONLY), GET, array.array("N", [0])))
END
try mkdir new
try rm fioc
try mv fioc other
try chmod 600 fioc
try stat -c '%F %a %s' fioc missing
