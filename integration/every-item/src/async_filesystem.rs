//! The module `experimental`.

use std::ffi::OsStr;
use std::fmt::Debug;
use std::time::Duration;

use fuser::experimental::{
    AsyncFilesystem, DirEntListBuilder, GetAttrResponse, LookupResponse, RequestContext, Result,
    TokioAdapter,
};
use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, Generation, INodeNo, LockOwner, OpenFlags,
    Request, RequestId,
};

use crate::traits;

#[derive(Debug)]
struct Nothing;

#[async_trait::async_trait]
impl AsyncFilesystem for Nothing {
    async fn lookup(
        &self,
        _context: &RequestContext,
        _parent: INodeNo,
        _name: &OsStr,
    ) -> Result<LookupResponse> {
        Err(Errno::ENOENT)
    }

    async fn getattr(
        &self,
        _context: &RequestContext,
        _ino: INodeNo,
        _file_handle: Option<FileHandle>,
    ) -> Result<GetAttrResponse> {
        Err(Errno::ENOENT)
    }

    async fn read(
        &self,
        _context: &RequestContext,
        _ino: INodeNo,
        _file_handle: FileHandle,
        _offset: u64,
        _size: u32,
        _flags: OpenFlags,
        _lock: Option<LockOwner>,
        _out_data: &mut Vec<u8>,
    ) -> Result<()> {
        Err(Errno::ENOENT)
    }

    async fn readdir(
        &self,
        _context: &RequestContext,
        _ino: INodeNo,
        _file_handle: FileHandle,
        _offset: u64,
        mut builder: DirEntListBuilder<'_>,
    ) -> Result<()> {
        let _full: bool = builder.add(INodeNo::ROOT, 1_u64, FileType::Directory, "name");
        Ok(())
    }
}

traits! {
    TokioAdapter<Nothing>: Filesystem, Debug, Send, Sync;
    LookupResponse: Debug, Send, Sync;
    GetAttrResponse: Debug, Send, Sync;
    RequestContext: Send, Sync;
}

fn contexts() {
    let _: fn(&'static Request) -> RequestContext = RequestContext::from;
    let _: fn(&'static Request) -> RequestContext = Into::into;
}

const NEW: (
    fn(Nothing) -> TokioAdapter<Nothing>,
    fn(Duration, FileAttr, Generation) -> LookupResponse,
    fn(Duration, FileAttr) -> GetAttrResponse,
) = (TokioAdapter::new, LookupResponse::new, GetAttrResponse::new);
const CONTEXT: (
    fn(&RequestContext) -> u32,
    fn(&RequestContext) -> u32,
    fn(&RequestContext) -> u32,
    fn(&RequestContext) -> RequestId,
) = (
    RequestContext::user_id,
    RequestContext::group_id,
    RequestContext::process_id,
    RequestContext::request_id,
);
