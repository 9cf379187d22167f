//! File systems that others wrote for fuser, built against finesse-fuse by their dependency line: one that is
//! only looked at, and one that is changed, whose author counts on being called one request at a time. All of
//! them, and those on easy_fuser: `make ports`.

use std::path::Path;

use finesse_integration::compare::interrupt::Interrupt;
use finesse_integration::ports::list::{self, Source};
use finesse_integration::ports::{self, build};

use crate::twins;

#[test]
fn examples_of_fuser() {
    const EXAMPLES: [&str; 2] = ["hello", "simple"];
    if !twins::have_fuse() {
        return;
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let built = build::build(Source::Fuser, target, Some(&EXAMPLES)).unwrap();
    assert_eq!(built.names, EXAMPLES);
    let ports = list::ports(Source::Fuser).filter(|port| EXAMPLES.contains(&port.name));
    for port in ports {
        let same = ports::check(&port, &built, &Interrupt::default()).unwrap();
        assert!(same, "{} differs, as shown above", port.name);
    }
}
