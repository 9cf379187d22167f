use std::sync::mpsc;
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use fuser::{Errno, FileAttr, FileType, Generation, INodeNo};

use super::{Answer, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyStatfs, ReplyXattr, Slot};
use crate::backend::Xattr;

fn attr() -> FileAttr {
    FileAttr {
        ino: INodeNo(7),
        size: 3,
        blocks: 1,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: FileType::RegularFile,
        perm: 0o640,
        nlink: 1,
        uid: 1,
        gid: 2,
        rdev: 0,
        blksize: 512,
        flags: 0,
    }
}

#[test]
fn an_entry_keeps_its_two_time_outs_apart() {
    let (attr_ttl, entry_ttl) = (Duration::from_secs(1), Duration::from_secs(2));
    let entry = Slot::ask(1, |answer| {
        ReplyEntry::slot(answer).entry_with_ttls(&attr_ttl, &entry_ttl, &attr(), Generation(0));
    })
    .unwrap();
    assert_eq!((entry.attr_ttl, entry.entry_ttl), (attr_ttl, entry_ttl));
    assert_eq!(entry.attr, attr());
    let entry = Slot::ask(1, |answer| {
        ReplyEntry::slot(answer).entry(&entry_ttl, &attr(), Generation(0));
    })
    .unwrap();
    assert_eq!((entry.attr_ttl, entry.entry_ttl), (entry_ttl, entry_ttl));
}

#[test]
fn values_arrive_as_they_were_given() {
    let ttl = Duration::from_millis(5);
    let got = Slot::ask(1, |a| ReplyAttr::slot(a).attr(&ttl, &attr())).unwrap();
    assert_eq!((got.attr, got.ttl), (attr(), ttl));
    let data = Slot::ask(1, |a| ReplyData::slot(a).data(b"target")).unwrap();
    assert_eq!(data, b"target");
    let size = Slot::ask(1, |a| ReplyXattr::slot(a).size(9)).unwrap();
    assert!(matches!(size, Xattr::Size(9)));
    let value = Slot::ask(1, |a| ReplyXattr::slot(a).data(b"v")).unwrap();
    assert!(matches!(value, Xattr::Data(v) if v == b"v"));
    let got = Slot::ask(1, |a| {
        ReplyStatfs::slot(a).statfs(1, 2, 3, 4, 5, 6, 7, 8);
    })
    .unwrap();
    assert_eq!((got.blocks, got.bfree, got.bavail), (1, 2, 3));
    assert_eq!((got.files, got.ffree), (4, 5));
    assert_eq!((got.bsize, got.namelen, got.frsize), (6, 7, 8));
    assert_eq!(Slot::ask(1, |a| ReplyEmpty::slot(a).ok()), Ok(()));
}

#[test]
fn errors_arrive_as_they_were_given() {
    let error = |ask: fn(Answer<()>)| Slot::ask(1, ask).unwrap_err();
    assert_eq!(
        error(|a| ReplyEmpty::slot(a).error(Errno::ENOSPC)),
        Errno::ENOSPC
    );
    assert_eq!(
        Slot::ask(1, |a| ReplyEntry::slot(a).error(Errno::ENOENT)).err(),
        Some(Errno::ENOENT)
    );
}

#[test]
fn a_dropped_reply_is_an_io_error() {
    assert_eq!(Slot::ask(1, |a| drop(ReplyEmpty::slot(a))), Err(Errno::EIO));
    assert_eq!(
        Slot::ask(1, |a| drop(ReplyEntry::slot(a))).err(),
        Some(Errno::EIO)
    );
    let panicked = Slot::ask(1, |a| {
        let thread = thread::spawn(move || {
            let _reply = ReplyData::slot(a);
            panic!("a handler's panic, on purpose");
        });
        assert!(thread.join().is_err());
    });
    assert_eq!(panicked.err(), Some(Errno::EIO));
}

#[test]
fn a_late_reply_from_another_thread_is_waited_for() {
    let (handed_over, reply) = mpsc::channel::<ReplyEmpty>();
    let (asked, until_asked) = mpsc::channel();
    let answering = thread::spawn(move || {
        let reply = reply.recv().unwrap();
        until_asked.recv().unwrap();
        thread::sleep(Duration::from_millis(30));
        reply.error(Errno::EXDEV);
    });
    let answer = Slot::ask(1, |a| {
        handed_over.send(ReplyEmpty::slot(a)).unwrap();
        asked.send(()).unwrap();
    });
    assert_eq!(answer, Err(Errno::EXDEV));
    answering.join().unwrap();
}
