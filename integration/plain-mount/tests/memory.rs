//! What the memory file system promises beyond the usual.

#![allow(missing_docs)]

mod support;

use std::fs::{self, File};
use std::io::{ErrorKind, Write};

use support::{Kind, on};

#[test]
fn the_size_limit_holds_and_space_comes_back() {
    on(Kind::Memory, &["--size", "4M"], |mount| {
        let mut file = File::create_new(mount.path("big")).expect("create");
        let block = [1; 64 << 10];
        let mut written = 0;
        let error = loop {
            match file.write(&block) {
                Ok(size) => written += size,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert!(written > 3 << 20 && written <= 4 << 20, "{written} bytes");
        drop(file);
        let full = rustix::fs::statvfs(mount.path("")).expect("statfs");
        assert!(full.f_bavail < 2, "{} blocks are free", full.f_bavail);
        assert_eq!(full.f_blocks * full.f_frsize, 4 << 20);
        fs::remove_file(mount.path("big")).expect("unlink");
        // The space comes back when the kernel has forgotten the file, which it does on its own.
        let all_free =
            || rustix::fs::statvfs(mount.path("")).expect("statfs").f_bfree == full.f_blocks;
        assert!((0..100).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            all_free()
        }));
    });
}

#[test]
fn too_many_names_are_refused() {
    on(Kind::Memory, &["--size", "64K"], |mount| {
        let refused =
            (0..1000).find_map(|index| File::create_new(mount.path(&index.to_string())).err());
        assert_eq!(
            refused.map(|error| error.kind()),
            Some(ErrorKind::StorageFull)
        );
    });
}

#[test]
fn link_counts_of_directories_follow_their_children() {
    use std::os::unix::fs::MetadataExt;
    on(Kind::Memory, &["--attr-ttl", "0"], |mount| {
        let links = |name: &str| fs::metadata(mount.path(name)).expect("stat").nlink();
        fs::create_dir_all(mount.path("a/b")).expect("mkdir");
        fs::create_dir_all(mount.path("a/c")).expect("mkdir");
        fs::create_dir(mount.path("d")).expect("mkdir");
        assert_eq!((links("a"), links("d"), links("a/b")), (4, 2, 2));
        fs::rename(mount.path("a/b"), mount.path("d/b")).expect("rename");
        assert_eq!((links("a"), links("d")), (3, 3));
        fs::rename(mount.path("a/c"), mount.path("d/b")).expect("replace an empty directory");
        assert_eq!((links("a"), links("d")), (2, 3));
        fs::remove_dir(mount.path("d/b")).expect("rmdir");
        assert_eq!(links("d"), 2);
    });
}
