//! File systems with async methods, as fuser's module of this name: expect changes.

use std::ffi::OsStr;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fuser::{
    Errno, FileAttr, FileHandle, FileType, Generation, INodeNo, LockOwner, OpenFlags, RequestId,
};

use crate::{Filesystem, ReplyAttr, ReplyData, ReplyDirectory, ReplyEntry, Request};

/// What async methods answer.
pub type Result<T> = std::result::Result<T, Errno>;

/// Who asks, for as long as the answer takes.
#[derive(Debug)]
pub struct RequestContext {
    uid: u32,
    gid: u32,
    pid: u32,
    unique: RequestId,
}

impl RequestContext {
    /// The caller's user id.
    pub fn user_id(&self) -> u32 {
        self.uid
    }

    /// The caller's group id.
    pub fn group_id(&self) -> u32 {
        self.gid
    }

    /// The caller's process id.
    pub fn process_id(&self) -> u32 {
        self.pid
    }

    /// The id of the request.
    pub fn request_id(&self) -> RequestId {
        self.unique
    }
}

impl From<&Request> for RequestContext {
    fn from(request: &Request) -> Self {
        RequestContext {
            uid: request.uid(),
            gid: request.gid(),
            pid: request.pid(),
            unique: request.unique(),
        }
    }
}

/// Takes the entries of a listing.
#[derive(Debug)]
pub struct DirEntListBuilder<'a> {
    reply: &'a mut ReplyDirectory,
}

impl DirEntListBuilder<'_> {
    /// Adds an entry unless the listing is full, and returns whether it was.
    #[must_use]
    pub fn add<T: AsRef<OsStr>>(
        &mut self,
        ino: INodeNo,
        offset: u64,
        kind: FileType,
        name: T,
    ) -> bool {
        self.reply.add(ino, offset, kind, name)
    }
}

/// Answer of [`AsyncFilesystem::lookup`].
#[derive(Debug)]
pub struct LookupResponse {
    ttl: Duration,
    attr: FileAttr,
    generation: Generation,
}

impl LookupResponse {
    /// The node, which may be remembered for `ttl`.
    pub fn new(ttl: Duration, attr: FileAttr, generation: Generation) -> Self {
        LookupResponse {
            ttl,
            attr,
            generation,
        }
    }
}

/// Answer of [`AsyncFilesystem::getattr`].
#[derive(Debug)]
pub struct GetAttrResponse {
    ttl: Duration,
    attr: FileAttr,
}

impl GetAttrResponse {
    /// The attributes, which may be remembered for `ttl`.
    pub fn new(ttl: Duration, attr: FileAttr) -> Self {
        GetAttrResponse { ttl, attr }
    }
}

/// A file system with async methods.
#[async_trait::async_trait]
pub trait AsyncFilesystem: Send + Sync + 'static {
    /// Finds `name` in `parent`.
    async fn lookup(
        &self,
        context: &RequestContext,
        parent: INodeNo,
        name: &OsStr,
    ) -> Result<LookupResponse>;

    /// Answers the attributes of a node.
    async fn getattr(
        &self,
        context: &RequestContext,
        ino: INodeNo,
        file_handle: Option<FileHandle>,
    ) -> Result<GetAttrResponse>;

    /// Appends the bytes that are read to `out_data`.
    #[allow(clippy::too_many_arguments)]
    async fn read(
        &self,
        context: &RequestContext,
        ino: INodeNo,
        file_handle: FileHandle,
        offset: u64,
        size: u32,
        flags: OpenFlags,
        lock: Option<LockOwner>,
        out_data: &mut Vec<u8>,
    ) -> Result<()>;

    /// Adds the entries from `offset` on, until the builder is full.
    async fn readdir(
        &self,
        context: &RequestContext,
        ino: INodeNo,
        file_handle: FileHandle,
        offset: u64,
        builder: DirEntListBuilder<'_>,
    ) -> Result<()>;
}

/// Runs an [`AsyncFilesystem`] on a tokio runtime of its own.
pub struct TokioAdapter<T: AsyncFilesystem> {
    inner: Arc<T>,
    runtime: tokio::runtime::Runtime,
}

impl<T: AsyncFilesystem> fmt::Debug for TokioAdapter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokioAdapter")
            .field("runtime", &self.runtime)
            .finish_non_exhaustive()
    }
}

impl<T: AsyncFilesystem> TokioAdapter<T> {
    /// Starts the runtime.
    ///
    /// # Panics
    /// When its threads cannot be started.
    pub fn new(inner: T) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .expect("tokio's threads start");
        TokioAdapter {
            inner: Arc::new(inner),
            runtime,
        }
    }
}

impl<T: AsyncFilesystem> Filesystem for TokioAdapter<T> {
    fn lookup(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let (context, name) = (RequestContext::from(req), name.to_owned());
        let inner = Arc::clone(&self.inner);
        self.runtime.spawn(async move {
            match inner.lookup(&context, parent, &name).await {
                Ok(found) => reply.entry(&found.ttl, &found.attr, found.generation),
                Err(error) => reply.error(error),
            }
        });
    }

    fn getattr(&self, req: &Request, ino: INodeNo, fh: Option<FileHandle>, reply: ReplyAttr) {
        let context = RequestContext::from(req);
        let inner = Arc::clone(&self.inner);
        self.runtime.spawn(async move {
            match inner.getattr(&context, ino, fh).await {
                Ok(found) => reply.attr(&found.ttl, &found.attr),
                Err(error) => reply.error(error),
            }
        });
    }

    fn read(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        flags: OpenFlags,
        lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let context = RequestContext::from(req);
        let inner = Arc::clone(&self.inner);
        self.runtime.spawn(async move {
            let mut data = Vec::new();
            let read = inner.read(
                &context, ino, fh, offset, size, flags, lock_owner, &mut data,
            );
            match read.await {
                Ok(()) => reply.data(&data),
                Err(error) => reply.error(error),
            }
        });
    }

    fn readdir(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let context = RequestContext::from(req);
        let inner = Arc::clone(&self.inner);
        self.runtime.spawn(async move {
            let builder = DirEntListBuilder { reply: &mut reply };
            match inner.readdir(&context, ino, fh, offset, builder).await {
                Ok(()) => reply.ok(),
                Err(error) => reply.error(error),
            }
        });
    }
}
