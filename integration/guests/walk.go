// Makes a tree by several goroutines, walks it, changes it, and removes most of it. Usage: walk COUNT
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

func must(err error) {
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

func create(number int) {
	dir := filepath.Join("tree", strconv.Itoa(number%8), strconv.Itoa(number))
	must(os.MkdirAll(dir, 0o750))
	file := filepath.Join(dir, "file")
	must(os.WriteFile(file, []byte(fmt.Sprintln("number", number)), 0o644))
	must(os.Symlink("file", filepath.Join(dir, "soft")))
	must(os.Link(file, filepath.Join(dir, "hard")))
	must(os.Chtimes(file, time.Unix(900000000, 0), time.Unix(900000000+int64(number), 0)))
	must(os.Rename(file, filepath.Join(dir, "renamed")))
	temporary, err := os.CreateTemp(dir, "temporary")
	must(err)
	must(temporary.Close())
	must(os.Remove(temporary.Name()))
}

func walk(say string) {
	files, dirs, links, bytes := 0, 0, 0, int64(0)
	must(filepath.WalkDir("tree", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			dirs++
		case info.Mode()&fs.ModeSymlink != 0:
			links++
		default:
			files++
			bytes += info.Size()
		}
		return nil
	}))
	fmt.Println(say, files, "files", dirs, "directories", links, "links", bytes, "bytes")
}

func say(name string, err error) {
	fmt.Println(name, err, errors.Is(err, fs.ErrExist), errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission))
}

func main() {
	count, err := strconv.Atoi(os.Args[1])
	must(err)
	var group sync.WaitGroup
	for worker := 0; worker < 4; worker++ {
		group.Add(1)
		go func(number int) {
			defer group.Done()
			for ; number < count; number += 4 {
				create(number)
			}
		}(worker)
	}
	group.Wait()
	walk("made")
	matches, err := filepath.Glob("tree/*/*1/renamed")
	must(err)
	for _, path := range matches {
		must(os.Chmod(path, 0o600))
		must(os.Truncate(path, 3))
		must(os.Rename(path, path+".moved"))
	}
	fmt.Println(len(matches), "matches")
	say("mkdir", os.Mkdir("tree/0", 0o700))
	say("remove", os.Remove("tree/0"))
	say("rename", os.Rename("tree/0", "tree/0/in"))
	say("missing", os.Remove("tree/missing"))
	say("not a directory", os.Mkdir("tree/1/1/hard/x", 0o700))
	must(os.Chdir("tree/2"))
	must(os.RemoveAll("2"))
	must(os.Chdir("../.."))
	for _, path := range []string{"tree/3", "tree/4", "tree/missing"} {
		must(os.RemoveAll(path))
	}
	walk("left")
	os.Exit(5)
}
