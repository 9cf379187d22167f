//! A file system in memory that checks nothing, counts look-ups and logs calls.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use fuser::{AccessFlags, Errno, FileAttr, FileType, INodeNo, RenameFlags};
use parking_lot::Mutex;

use crate::backend::{Attributes, Backend, CallId, Caller, Entry, SetAttr, Statfs, Xattr};

/// One node.
#[derive(Clone)]
pub(crate) struct Inode {
    pub(crate) attr: FileAttr,
    pub(crate) names: BTreeMap<Vec<u8>, u64>,
    pub(crate) link: Vec<u8>,
    pub(crate) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Something to do in each call.
pub(crate) type Hook = Arc<dyn Fn(&str) + Send + Sync>;

/// The file system.
pub(crate) struct Mock {
    pub(crate) nodes: Mutex<HashMap<u64, Inode>>,
    /// Look-ups given and not forgotten.
    held: Mutex<HashMap<u64, i64>>,
    pub(crate) calls: Mutex<Vec<String>>,
    /// Answers to give instead of the right one.
    pub(crate) forced: Mutex<HashMap<&'static str, Errno>>,
    pub(crate) entry_ttl: Mutex<Duration>,
    pub(crate) attr_ttl: Mutex<Duration>,
    pub(crate) changes: Mutex<Vec<SetAttr>>,
    /// Runs in each call, with its name.
    pub(crate) on_call: Mutex<Option<Hook>>,
    next: AtomicU64,
    /// Whether it hears of signals.
    pub(crate) heeds: AtomicBool,
    /// The calls that got one, and those that are over.
    pub(crate) interrupted: Mutex<Vec<CallId>>,
    pub(crate) over: Mutex<Vec<CallId>>,
}

fn attributes(ino: u64, kind: FileType, perm: u16) -> FileAttr {
    let time = SystemTime::UNIX_EPOCH;
    FileAttr {
        ino: INodeNo(ino),
        size: 0,
        blocks: 0,
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind,
        perm,
        nlink: 1,
        uid: 1000,
        gid: 1000,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

impl Mock {
    pub(crate) fn new() -> Self {
        let mock = Mock {
            nodes: Mutex::default(),
            held: Mutex::default(),
            calls: Mutex::default(),
            forced: Mutex::default(),
            entry_ttl: Mutex::new(Duration::from_secs(60)),
            attr_ttl: Mutex::new(Duration::from_secs(60)),
            changes: Mutex::default(),
            on_call: Mutex::new(None),
            next: AtomicU64::new(2),
            heeds: AtomicBool::new(false),
            interrupted: Mutex::default(),
            over: Mutex::default(),
        };
        mock.put(1, FileType::Directory, 0o755);
        mock
    }

    fn put(&self, ino: u64, kind: FileType, perm: u16) {
        let node = Inode {
            attr: attributes(ino, kind, perm),
            names: BTreeMap::new(),
            link: Vec::new(),
            xattrs: BTreeMap::new(),
        };
        self.nodes.lock().insert(ino, node);
    }

    /// Makes a node at a path of existing directories.
    pub(crate) fn make(&self, path: &str, kind: FileType, perm: u16) -> u64 {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = self.find(dir);
        let ino = self.next.fetch_add(1, Ordering::Relaxed);
        self.put(ino, kind, perm);
        let mut nodes = self.nodes.lock();
        let names = &mut nodes.get_mut(&parent).unwrap().names;
        names.insert(name.into(), ino);
        ino
    }

    pub(crate) fn dir(&self, path: &str) -> u64 {
        self.make(path, FileType::Directory, 0o755)
    }

    pub(crate) fn file(&self, path: &str) -> u64 {
        self.make(path, FileType::RegularFile, 0o644)
    }

    pub(crate) fn symlink_to(&self, path: &str, target: &str) -> u64 {
        let ino = self.make(path, FileType::Symlink, 0o777);
        self.edit(ino, |node| node.link = target.into());
        ino
    }

    /// The node at a path, without following links.
    pub(crate) fn find(&self, path: &str) -> u64 {
        let nodes = self.nodes.lock();
        path.split('/')
            .filter(|name| !name.is_empty())
            .fold(1, |at, name| nodes[&at].names[name.as_bytes()])
    }

    pub(crate) fn has(&self, dir: &str, name: &str) -> bool {
        let dir = self.find(dir);
        self.nodes.lock()[&dir].names.contains_key(name.as_bytes())
    }

    pub(crate) fn edit(&self, ino: u64, edit: impl FnOnce(&mut Inode)) {
        edit(self.nodes.lock().get_mut(&ino).unwrap());
    }

    pub(crate) fn force(&self, call: &'static str, errno: Errno) {
        self.forced.lock().insert(call, errno);
    }

    /// The calls since the last time.
    pub(crate) fn took(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock())
    }

    /// Nodes with look-ups outstanding.
    pub(crate) fn outstanding(&self) -> HashMap<u64, i64> {
        let mut held = self.held.lock().clone();
        held.retain(|_, count| *count != 0);
        held
    }

    fn called(&self, call: &'static str) -> Result<(), Errno> {
        self.calls.lock().push(call.into());
        let hook = self.on_call.lock().clone();
        if let Some(hook) = hook {
            hook(call);
        }
        match self.forced.lock().get(call) {
            Some(errno) => Err(*errno),
            None => Ok(()),
        }
    }

    fn entry(&self, ino: u64) -> Entry {
        *self.held.lock().entry(ino).or_default() += 1;
        Entry {
            node: INodeNo(ino),
            attr: self.nodes.lock()[&ino].attr,
            entry_ttl: *self.entry_ttl.lock(),
            attr_ttl: *self.attr_ttl.lock(),
        }
    }

    fn add(&self, parent: u64, name: &OsStr, mode: u32, kind: FileType) -> Entry {
        let ino = self.next.fetch_add(1, Ordering::Relaxed);
        self.put(ino, kind, u16::try_from(mode & 0o7777).unwrap());
        self.edit(parent, |dir| {
            dir.names.insert(name.as_bytes().into(), ino);
        });
        self.entry(ino)
    }

    fn take(&self, parent: u64, name: &OsStr) -> Result<u64, Errno> {
        let mut nodes = self.nodes.lock();
        let dir = nodes.get_mut(&parent).ok_or(Errno::ESTALE)?;
        dir.names.remove(name.as_bytes()).ok_or(Errno::ENOENT)
    }
}

impl Backend for Mock {
    fn heeds_interrupts(&self) -> bool {
        self.heeds.load(Ordering::Relaxed)
    }

    fn interrupt(&self, call: CallId) {
        self.interrupted.lock().push(call);
    }

    fn is_over(&self, call: CallId) {
        self.over.lock().push(call);
    }

    fn lookup(&self, _: Caller, parent: INodeNo, name: &OsStr) -> Result<Entry, Errno> {
        self.called("lookup")?;
        let child = {
            let nodes = self.nodes.lock();
            let dir = nodes.get(&parent.0).ok_or(Errno::ESTALE)?;
            *dir.names.get(name.as_bytes()).ok_or(Errno::ENOENT)?
        };
        Ok(self.entry(child))
    }

    fn forget(&self, node: INodeNo, lookups: u64) {
        let mut held = self.held.lock();
        let count = held.entry(node.0).or_default();
        *count -= i64::try_from(lookups).unwrap();
        assert!(*count >= 0, "node {node:?} was forgotten too often");
    }

    fn getattr(&self, _: Caller, node: INodeNo) -> Result<Attributes, Errno> {
        self.called("getattr")?;
        let nodes = self.nodes.lock();
        Ok(Attributes {
            attr: nodes.get(&node.0).ok_or(Errno::ESTALE)?.attr,
            ttl: *self.attr_ttl.lock(),
        })
    }

    fn setattr(
        &self,
        caller: Caller,
        node: INodeNo,
        change: &SetAttr,
    ) -> Result<Attributes, Errno> {
        self.called("setattr")?;
        self.changes.lock().push(*change);
        self.edit(node.0, |inode| {
            let attr = &mut inode.attr;
            attr.perm = change
                .mode
                .map_or(attr.perm, |mode| u16::try_from(mode & 0o7777).unwrap());
            attr.uid = change.uid.unwrap_or(attr.uid);
            attr.gid = change.gid.unwrap_or(attr.gid);
            attr.size = change.size.unwrap_or(attr.size);
        });
        self.getattr(caller, node)
    }

    fn readlink(&self, _: Caller, node: INodeNo) -> Result<Vec<u8>, Errno> {
        self.called("readlink")?;
        Ok(self.nodes.lock()[&node.0].link.clone())
    }

    fn mknod(
        &self,
        _: Caller,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: u32,
    ) -> Result<Entry, Errno> {
        self.called("mknod")?;
        let kind = match mode & libc::S_IFMT {
            libc::S_IFREG => FileType::RegularFile,
            libc::S_IFIFO => FileType::NamedPipe,
            libc::S_IFSOCK => FileType::Socket,
            libc::S_IFCHR => FileType::CharDevice,
            other => panic!("mknod of type {other:o}"),
        };
        Ok(self.add(parent.0, name, mode, kind))
    }

    fn mkdir(
        &self,
        _: Caller,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
    ) -> Result<Entry, Errno> {
        self.called("mkdir")?;
        Ok(self.add(parent.0, name, mode, FileType::Directory))
    }

    fn symlink(
        &self,
        _: Caller,
        parent: INodeNo,
        name: &OsStr,
        target: &OsStr,
    ) -> Result<Entry, Errno> {
        self.called("symlink")?;
        let entry = self.add(parent.0, name, 0o777, FileType::Symlink);
        self.edit(entry.attr.ino.0, |node| {
            node.link = target.as_bytes().into();
        });
        Ok(entry)
    }

    fn link(
        &self,
        _: Caller,
        node: INodeNo,
        parent: INodeNo,
        name: &OsStr,
    ) -> Result<Entry, Errno> {
        self.called("link")?;
        self.edit(parent.0, |dir| {
            dir.names.insert(name.as_bytes().into(), node.0);
        });
        self.edit(node.0, |node| node.attr.nlink += 1);
        Ok(self.entry(node.0))
    }

    fn unlink(&self, _: Caller, parent: INodeNo, name: &OsStr) -> Result<(), Errno> {
        self.called("unlink")?;
        self.take(parent.0, name).map(drop)
    }

    fn rmdir(&self, _: Caller, parent: INodeNo, name: &OsStr) -> Result<(), Errno> {
        self.called("rmdir")?;
        self.take(parent.0, name).map(drop)
    }

    fn rename(
        &self,
        _: Caller,
        from: (INodeNo, &OsStr),
        to: (INodeNo, &OsStr),
        flags: RenameFlags,
    ) -> Result<(), Errno> {
        self.called("rename")?;
        let source = self.take(from.0.0, from.1)?;
        let target = self.take(to.0.0, to.1).ok();
        self.edit(to.0.0, |dir| {
            dir.names.insert(to.1.as_bytes().into(), source);
        });
        if let (true, Some(target)) = (flags.contains(RenameFlags::RENAME_EXCHANGE), target) {
            self.edit(from.0.0, |dir| {
                dir.names.insert(from.1.as_bytes().into(), target);
            });
        }
        Ok(())
    }

    fn setxattr(
        &self,
        _: Caller,
        node: INodeNo,
        name: &OsStr,
        value: &[u8],
        _: i32,
    ) -> Result<(), Errno> {
        self.called("setxattr")?;
        self.edit(node.0, |node| {
            node.xattrs.insert(name.as_bytes().into(), value.into());
        });
        Ok(())
    }

    fn getxattr(&self, _: Caller, node: INodeNo, name: &OsStr, size: u32) -> Result<Xattr, Errno> {
        self.called("getxattr")?;
        let nodes = self.nodes.lock();
        let value = nodes[&node.0].xattrs.get(name.as_bytes());
        reply(value.ok_or(Errno::NO_XATTR)?.clone(), size)
    }

    fn listxattr(&self, _: Caller, node: INodeNo, size: u32) -> Result<Xattr, Errno> {
        self.called("listxattr")?;
        let nodes = self.nodes.lock();
        let names = nodes[&node.0].xattrs.keys();
        reply(
            names.flat_map(|name| [name, &b"\0"[..]].concat()).collect(),
            size,
        )
    }

    fn removexattr(&self, _: Caller, node: INodeNo, name: &OsStr) -> Result<(), Errno> {
        self.called("removexattr")?;
        let mut nodes = self.nodes.lock();
        let node = nodes.get_mut(&node.0).unwrap();
        node.xattrs
            .remove(name.as_bytes())
            .map(drop)
            .ok_or(Errno::NO_XATTR)
    }

    fn access(&self, _: Caller, _: INodeNo, _: AccessFlags) -> Result<(), Errno> {
        self.called("access")
    }

    fn statfs(&self, _: Caller, _: INodeNo) -> Result<Statfs, Errno> {
        self.called("statfs")?;
        Ok(Statfs {
            bsize: 512,
            ..Statfs::default()
        })
    }
}

fn reply(data: Vec<u8>, size: u32) -> Result<Xattr, Errno> {
    match size as usize {
        0 => Ok(Xattr::Size(u32::try_from(data.len()).unwrap())),
        room if room < data.len() => Err(Errno::ERANGE),
        _ => Ok(Xattr::Data(data)),
    }
}
