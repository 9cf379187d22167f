// Every call as Go makes it: no libc, threads of its own. Usage: calls DIRECTORY
package main

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

const (
	cwd       = -100
	noFollow  = 0x100
	removeDir = 0x200
)

func say(name string, err error) {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		fmt.Println(name, -1, int(errno))
	} else if err != nil {
		fmt.Println(name, -1, err)
	} else {
		fmt.Println(name, 0, 0)
	}
}

func raw(name string, number uintptr, arguments ...any) {
	var words [6]uintptr
	for i, argument := range arguments {
		switch value := argument.(type) {
		case string:
			pointer, _ := syscall.BytePtrFromString(value)
			words[i] = uintptr(unsafe.Pointer(pointer))
			defer func() { _ = *pointer }()
		case int:
			words[i] = uintptr(value)
		case []byte:
			words[i] = uintptr(unsafe.Pointer(&value[0]))
		}
	}
	result, _, errno := syscall.Syscall6(number, words[0], words[1], words[2], words[3], words[4], words[5])
	if errno != 0 {
		fmt.Println(name, -1, int(errno))
	} else {
		fmt.Println(name, result, 0)
	}
}

func look(name string, info os.FileInfo, err error) {
	say(name, err)
	if err == nil {
		fmt.Println(" ", info.Mode(), info.Name(), info.IsDir() || info.Size() >= 0)
	}
}

func standardLibrary() {
	say("mkdir", os.Mkdir("d", 0o755))
	say("mkdir again", os.Mkdir("d", 0o755))
	say("mkdirall", os.MkdirAll("d/e/f/g", 0o700))
	say("write", os.WriteFile("file", []byte("hello"), 0o644))
	say("symlink", os.Symlink("file", "link"))
	say("link", os.Link("file", "hard"))
	say("rename", os.Rename("hard", "d/hard"))
	say("rename missing", os.Rename("missing", "x"))
	say("chmod", os.Chmod("link", 0o600))
	say("chown", os.Chown("link", 5, 6))
	say("lchown", os.Lchown("link", 7, 8))
	say("truncate", os.Truncate("file", 3))
	say("chtimes", os.Chtimes("file", time.Unix(1000, 1), time.Unix(2000, 2)))
	info, err := os.Stat("link")
	look("stat", info, err)
	info, err = os.Lstat("link")
	look("lstat", info, err)
	info, err = os.Stat("missing")
	look("stat missing", info, err)
	target, err := os.Readlink("link")
	say("readlink "+target, err)
	say("access", syscall.Access("file", 4))
	var space syscall.Statfs_t
	say("statfs", syscall.Statfs("d", &space))
	say("mknod", syscall.Mknod("node", syscall.S_IFREG|0o600, 0))
	say("mkfifo", syscall.Mkfifo("pipe", 0o600))
	say("truncate node", os.Truncate("node", 3))
	say("setxattr", syscall.Setxattr("file", "user.go", []byte("value"), 0))
	value := make([]byte, 64)
	size, err := syscall.Getxattr("file", "user.go", value)
	say("getxattr", err)
	fmt.Println(string(value[:max(size, 0)]))
	size, err = syscall.Listxattr("file", value)
	say("listxattr", err)
	fmt.Printf("%q\n", value[:max(size, 0)])
	say("removexattr", syscall.Removexattr("file", "user.go"))
	say("utimes", syscall.Utimes("file", []syscall.Timeval{{Sec: 5}, {Sec: 6}}))
	say("remove", os.Remove("node"))
	say("remove missing", os.Remove("node"))
	say("removeall", os.RemoveAll("d/e"))
}

func max(a, b int) int {
	if a > b {
		return a
	}
	return b
}

func numbers(dir int) {
	raw("mkdirat", syscall.SYS_MKDIRAT, dir, "n", 0o755)
	raw("mknodat", syscall.SYS_MKNODAT, dir, "n/f", 0o100644, 0)
	raw("symlinkat", syscall.SYS_SYMLINKAT, "f", dir, "n/s")
	raw("linkat", syscall.SYS_LINKAT, dir, "n/f", dir, "n/h", 0)
	raw("renameat", syscall.SYS_RENAMEAT, dir, "n/h", dir, "n/i")
	raw("renameat2", 316, dir, "n/i", dir, "n/f", 1)
	raw("renameat2", 316, dir, "n/i", dir, "n/f", 2)
	raw("fchmodat", syscall.SYS_FCHMODAT, dir, "n/s", 0o640)
	raw("fchmodat2", 452, dir, "n/f", 0o600, noFollow)
	raw("fchownat", syscall.SYS_FCHOWNAT, dir, "n/s", 9, 10, noFollow)
	raw("futimesat", syscall.SYS_FUTIMESAT, dir, "n/f", 0)
	raw("utimensat", syscall.SYS_UTIMENSAT, dir, "n/f", 0, 0)
	raw("faccessat", syscall.SYS_FACCESSAT, dir, "n/f", 4)
	raw("faccessat2", 439, dir, "n/f", 4, removeDir)
	raw("readlinkat", syscall.SYS_READLINKAT, dir, "n/s", make([]byte, 64), 64)
	raw("newfstatat", syscall.SYS_NEWFSTATAT, cwd, "n/s", make([]byte, 256), noFollow)
	raw("statx", 332, dir, "n/f", 0, 0x7ff, make([]byte, 256))
	raw("unlinkat", syscall.SYS_UNLINKAT, dir, "n/s", 0)
	raw("unlinkat", syscall.SYS_UNLINKAT, dir, "n", removeDir)
	raw("rmdir", syscall.SYS_RMDIR, "n")
	raw("unlink", syscall.SYS_UNLINK, "missing")
}

func goroutines() {
	var group sync.WaitGroup
	for worker := 0; worker < 8; worker++ {
		group.Add(1)
		go func(worker int) {
			defer group.Done()
			for i := 0; i < 25; i++ {
				name := fmt.Sprintf("w%d-%d", worker, i)
				if err := os.Mkdir(name, 0o755); err != nil {
					fmt.Println(name, err)
				}
				if i%2 == 1 {
					if err := os.Remove(name); err != nil {
						fmt.Println(name, err)
					}
				}
			}
		}(worker)
	}
	group.Wait()
}

func main() {
	if len(os.Args) != 2 || os.Chdir(os.Args[1]) != nil {
		os.Exit(2)
	}
	syscall.Umask(0o027)
	dir, err := syscall.Open(".", syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	say("open", err)
	standardLibrary()
	numbers(dir)
	goroutines()
}
