// What the mirrors have in common; the operations themselves are the preset's.

use std::path::PathBuf;

use easy_fuser::fuse_presets::mirror_fs::{MirrorFs, MirrorFsTrait};
use easy_fuser::fuse_presets::{StatelessHandler, UnimplementedFuseHandler};

struct Mirror {
    mirror: MirrorFs,
    directories: StatelessHandler<PathBuf>,
    missing: UnimplementedFuseHandler<PathBuf>,
}

fn main() {
    let mut places = std::env::args_os().skip(1).map(PathBuf::from);
    let source = places.next().expect("the directory to mirror");
    let mountpoint = places.next().expect("where to mount");
    let mirror = Mirror {
        mirror: MirrorFs::new(source),
        directories: StatelessHandler::new(),
        missing: UnimplementedFuseHandler::new(),
    };
    mount(mirror, mountpoint, &[], None).expect("it can be mounted");
}
