//! Where the library to preload lies.

use std::env;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

const NAME: &str = "libfinesse_serve.so";
const VARIABLE: &str = "FINESSE_SERVE_LIBRARY";

/// From the directory of this program.
const PLACES: [&str; 3] = ["", "../lib", "../lib/x86_64-linux-gnu"];

/// There is none.
#[derive(Debug, Error)]
pub(crate) enum NoLibrary {
    #[error("{} cannot be used as the library: {source}", .path.display())]
    Named { path: PathBuf, source: io::Error },
    #[error("{NAME} is neither in {} nor in ../lib; name it by --library", .0.display())]
    Nowhere(PathBuf),
    #[error("cannot tell where this program lies: {0}")]
    Unplaced(io::Error),
    /// The loader splits its list at these.
    #[error("a library in {} cannot be preloaded: its path has a blank or colon", .0.display())]
    Path(PathBuf),
}

/// `named`, or the one that the environment names, or the one beside this program.
pub(crate) fn find(named: Option<&Path>) -> Result<PathBuf, NoLibrary> {
    let named = named
        .map(Path::to_owned)
        .or_else(|| env::var_os(VARIABLE).map(PathBuf::from));
    let found = match named {
        Some(path) => match path.canonicalize() {
            Ok(path) => path,
            Err(source) => return Err(NoLibrary::Named { path, source }),
        },
        None => beside()?,
    };
    let splits = |byte: &u8| byte.is_ascii_whitespace() || *byte == b':';
    if found.as_os_str().as_encoded_bytes().iter().any(splits) {
        return Err(NoLibrary::Path(found));
    }
    Ok(found)
}

fn beside() -> Result<PathBuf, NoLibrary> {
    let program = env::current_exe().map_err(NoLibrary::Unplaced)?;
    let dir = program.parent().unwrap_or(Path::new("/"));
    let mut places = PLACES.iter().map(|place| dir.join(place).join(NAME));
    places
        .find_map(|path| path.canonicalize().ok())
        .ok_or_else(|| NoLibrary::Nowhere(dir.to_owned()))
}
