//! The same for daemons of others. With other seeds, and for longer, those on libfuse's high-level interface that are
//! cached for long differ from their plain mounts, where traced because libfuse has a node, and so the kernel
//! attributes, for each name of a file: what is cached of one is not what the bypass finds by another.

use super::{Form, LOOKS, STEPS, compare, compare_on, mount};
use crate::environment::number;
use crate::foreign::{Foreign, examples};
use crate::twins::Setting;

const fn foreign(foreign: Foreign, ttl: f64) -> Setting {
    Setting {
        foreign: Some(foreign),
        ttl,
        ..Setting::PASSTHROUGH
    }
}

#[test]
fn bindfs_cached_for_long() {
    let setting = foreign(Foreign::BINDFS, 1000.0);
    compare(Form::new("bindfs-1000", setting, 12));
}

#[test]
fn bindfs_never_cached() {
    let setting = foreign(Foreign::BINDFS, 0.0);
    compare(Form::new("bindfs-0", setting, 13));
}

#[test]
fn fuser_cached_for_long() {
    let setting = foreign(Foreign::FUSER, 1000.0);
    compare(Form::new("fuser-1000", setting, 21));
}

#[test]
fn sshfs_never_cached() {
    let setting = foreign(Foreign::SSHFS, 0.0);
    compare(Form::new("sshfs-0", setting, 14));
}

#[test]
fn overlay_cached_for_long() {
    let setting = foreign(Foreign::OVERLAY, 1000.0);
    // It does not find a socket any more that the kernel has forgotten.
    compare(Form {
        sockets: false,
        ..Form::new("overlay-1000", setting, 15)
    });
}

#[test]
fn mergerfs_cached_for_long() {
    let setting = foreign(Foreign::MERGERFS, 1000.0);
    // Of one user: whose group 0 it is comes to the group that the thread served before.
    compare(Form {
        crowd: "alone",
        ..Form::new("mergerfs-1000", setting, 16)
    });
}

#[test]
fn unionfs_cached_for_long() {
    let setting = foreign(Foreign::UNIONFS, 1000.0);
    compare(Form::new("unionfs-1000", setting, 17));
}

#[test]
fn passthrough_ll_cached_for_long() {
    let setting = foreign(Foreign::PASSTHROUGH_LL, 1000.0);
    compare(Form::new("passthrough-ll-1000", setting, 18));
}

#[test]
fn passthrough_of_libfuse_cached_for_long() {
    let setting = foreign(Foreign::PASSTHROUGH, 1000.0);
    compare(Form::new("passthrough-1000", setting, 22));
}

#[test]
fn passthrough_fh_cached_for_long() {
    let setting = foreign(Foreign::PASSTHROUGH_FH, 1000.0);
    compare(Form::new("passthrough-fh-1000", setting, 23));
}

#[test]
fn passthrough_hp_never_cached() {
    if examples::source().is_some() {
        let setting = foreign(Foreign::PASSTHROUGH_HP, 0.0);
        compare(Form::new("passthrough-hp-0", setting, 24));
    }
}

#[test]
fn disorderfs_cached_for_long() {
    let setting = foreign(Foreign::DISORDERFS, 1000.0);
    compare(Form::new("disorderfs-1000", setting, 25));
}

/// As `mounted_read_only`; the image is made of what the first half left.
#[test]
fn squashfuse_of_what_bindfs_made() {
    let setting = foreign(Foreign::BINDFS, 1.0);
    let Some(twins) = mount(setting) else {
        return;
    };
    let half = number("FINESSE_DIFF_STEPS", STEPS) / 2;
    compare_on(&twins, Form::new("squashfuse-made", setting, 19), half);
    let setting = foreign(Foreign::SQUASHFUSE, 1.0);
    let form = Form {
        bypassed: LOOKS,
        ..Form::new("squashfuse", setting, 20)
    };
    compare_on(&twins.mounted_again(setting), form, half);
}
