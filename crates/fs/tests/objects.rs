//! Attributes of objects: owner, times, mode, extended attributes, ACLs, what --fake-super stores; listing; backups.

#![allow(clippy::unwrap_used, reason = "what cannot be set up is a failed test")]

mod support;

use std::fs;
use std::num::NonZero;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Arc;

use support::{Mount, Scene, is_root, names, path, skipped};
use syncline_fs::{
    Acl, AclKind, Attributes, BackedUp, BackupFor, Device, Errno, Kind, Links, NewObject, Object,
    Place, Preserve, RelPath, Root, Scanner, TempFiles, Time, Trust, WantedXattrs, Xattrs,
    copy_object,
};

fn apply(attributes: &Attributes<'_>, place: &Place<'_>) -> bool {
    attributes
        .apply(Object::from(place), &place.stat().unwrap(), &mut |error| panic!("{error}"))
        .unwrap()
}

/// Does the file system of the tests store extended attributes and ACLs?
fn stores_attributes(place: &Place<'_>) -> bool {
    let object = Object::from(place);
    let acl = Acl { users: vec![(7, 7)], mask: Some(7), ..Acl::from_mode(0o640) };
    let stores = object.set_xattr(b"user.probe", b"1").is_ok()
        && object.remove_xattr(b"user.probe").is_ok()
        && object.set_acl(AclKind::Access, Some(&acl)).is_ok()
        && object.set_acl(AclKind::Access, None).is_ok();
    if !stores {
        skipped("a test of attributes", "the file system stores none");
    }
    stores
}

#[test]
fn times_are_set_to_the_nanosecond_before_1970_and_after_2038() {
    let scene = Scene::new();
    scene.file("f", "");
    scene.link("f", "link");
    scene.directory("d");
    let root = scene.root();
    for (name, seconds, nanos) in
        [("f", -1_000_000, 999_999_999), ("link", 5_000_000_000, 1), ("d", 0, 0), (".", 1, 2)]
    {
        let mtime = Some(Time { seconds, nanos });
        let place = root.place(path(name)).unwrap();
        let atime = place.stat().unwrap().atime;
        assert!(apply(&Attributes { mtime, ..Attributes::default() }, &place));
        let stat = place.stat().unwrap();
        assert_eq!((Some(stat.mtime), stat.atime), (mtime, atime), "{name}");
        assert!(!apply(&Attributes { mtime, ..Attributes::default() }, &place), "nothing to do");
    }
    assert_ne!(fs::metadata(scene.inside("f")).unwrap().mtime(), 5_000_000_000);
}

#[test]
fn a_mode_is_set_on_anything_but_a_link() {
    let scene = Scene::new();
    scene.file("f", "");
    scene.directory("d");
    scene.link("f", "link");
    let root = scene.root();
    let fifo = NewObject::Node { kind: Kind::Fifo, mode: 0o600, device: Device::default() };
    root.place(path("p")).unwrap().create(&fifo).unwrap();
    for name in ["f", "d", "p", "."] {
        let place = root.place(path(name)).unwrap();
        // Without search permission the top of a tree cannot be worked in, other objects can.
        let modes = if name == "." { [0o4710, 0o1700, 0o755] } else { [0o4710, 0o1000, 0o755] };
        for mode in modes {
            Object::from(&place).set_mode(mode).unwrap();
            assert_eq!(place.stat().unwrap().permissions(), mode, "{name}");
        }
    }
    let link = root.place(path("link")).unwrap();
    let error = Object::from(&link).set_mode(0o600).unwrap_err();
    assert!(matches!(error.errno(), Some(Errno::OPNOTSUPP | Errno::LOOP)), "{error}");
    assert_eq!(fs::metadata(scene.inside("f")).unwrap().mode() & 0o7777, 0o755);
}

#[test]
fn setuid_survives_a_change_of_owner() {
    if !is_root() {
        skipped("setuid_survives_a_change_of_owner", "needs root");
        return;
    }
    let scene = Scene::new();
    scene.file("f", "");
    let root = scene.root();
    let place = root.place(path("f")).unwrap();
    Object::from(&place).set_mode(0o4755).unwrap();
    let wanted =
        Attributes { uid: Some(65_534), gid: Some(5), mode: Some(0o4755), ..Attributes::default() };
    assert!(apply(&wanted, &place));
    let stat = place.stat().unwrap();
    assert_eq!((stat.uid, stat.gid, stat.permissions()), (65_534, 5, 0o4755));
    assert!(!apply(&wanted, &place));
}

#[test]
fn extended_attributes_are_set_replaced_and_removed() {
    let scene = Scene::new();
    scene.file("f", "");
    let root = scene.root();
    let place = root.place(path("f")).unwrap();
    if !stores_attributes(&place) {
        return;
    }
    let object = Object::from(&place);
    let long = vec![7; 3000];
    let wanted = Xattrs::from([
        (b"user.empty".to_vec(), Vec::new()),
        (b"user.long".to_vec(), long.clone()),
        (b"user.\xff\xfe".to_vec(), b"\0binary".to_vec()),
    ]);
    object.set_xattr(b"user.surplus", b"x").unwrap();
    object.set_xattr(b"user.long", b"short").unwrap();
    object.set_xattr(b"user.theirs", b"kept").unwrap();
    let ours = |name: &[u8]| name != b"user.theirs";
    let attributes = Attributes {
        xattrs: Some(WantedXattrs { values: &wanted, ours: &ours }),
        ..Attributes::default()
    };
    assert!(apply(&attributes, &place));
    assert!(!apply(&attributes, &place), "nothing to do");
    assert_eq!(object.xattrs(ours).unwrap(), wanted);
    assert_eq!(object.xattr(b"user.theirs").unwrap().as_deref(), Some(&b"kept"[..]));
    assert_eq!(object.xattr(b"user.surplus").unwrap(), None);
    // The same through an open file.
    let file = fs::File::open(scene.inside("f")).unwrap();
    let open = Object::open(&file, path("f"));
    assert_eq!(open.xattrs(ours).unwrap(), wanted);
    open.remove_xattr(b"user.long").unwrap();
    open.remove_xattr(b"user.long").unwrap();
    assert_eq!(object.xattr(b"user.long").unwrap(), None);
}

#[test]
fn an_unsettable_attribute_is_complained_about_and_the_rest_is_done() {
    let scene = Scene::new();
    scene.file("f", "");
    let root = scene.root();
    let place = root.place(path("f")).unwrap();
    let values = Xattrs::from([(b"no-such-namespace.x".to_vec(), b"1".to_vec())]);
    let mtime = Some(Time { seconds: 9, nanos: 0 });
    let attributes = Attributes {
        xattrs: Some(WantedXattrs { values: &values, ours: &|_| false }),
        mtime,
        mode: Some(0o600),
        ..Attributes::default()
    };
    let mut complaints = Vec::new();
    let now = place.stat().unwrap();
    attributes.apply(Object::from(&place), &now, &mut |error| complaints.push(error)).unwrap();
    assert_eq!(complaints.len(), 1);
    let stat = place.stat().unwrap();
    assert_eq!((Some(stat.mtime), stat.permissions()), (mtime, 0o600));
}

#[test]
fn lists_are_set_read_and_removed() {
    let scene = Scene::new();
    scene.file("f", "");
    scene.directory("d");
    let root = scene.root();
    let file = root.place(path("f")).unwrap();
    if !stores_attributes(&file) {
        return;
    }
    let acl =
        Acl { users: vec![(1, 7)], groups: vec![(60, 4)], mask: Some(7), ..Acl::from_mode(0o644) };
    let wanted = Attributes { access_acl: Some(&acl), mode: Some(0o2674), ..Attributes::default() };
    assert!(apply(&wanted, &file));
    assert_eq!(Object::from(&file).acl(AclKind::Access).unwrap(), Some(acl.clone()));
    assert_eq!(file.stat().unwrap().permissions(), 0o2674);
    assert!(!apply(&wanted, &file), "nothing to do");

    let minimal = Acl::from_mode(0o640);
    let wanted =
        Attributes { access_acl: Some(&minimal), mode: Some(0o640), ..Attributes::default() };
    assert!(apply(&wanted, &file));
    assert_eq!(Object::from(&file).acl(AclKind::Access).unwrap(), None);
    assert_eq!(file.stat().unwrap().permissions(), 0o640);

    let directory = root.place(path("d")).unwrap();
    let default = acl.completed_for_default(0);
    let set = |acl| Attributes { default_acl: Some(acl), ..Attributes::default() };
    assert!(apply(&set(Some(&default)), &directory));
    let held = root.directory(path("d")).unwrap();
    assert_eq!(held.creation_mask(path("d")).unwrap(), Some(0o777 & !default.mode()));
    assert!(apply(&set(None), &directory));
    assert_eq!(held.creation_mask(path("d")).unwrap(), None);
    assert!(!apply(&set(None), &directory));
}

#[test]
fn what_fake_super_stores_takes_the_place_of_what_is_real() {
    let scene = Scene::new();
    scene.file("f", "");
    let root = scene.root();
    let place = root.place(path("f")).unwrap();
    if !stores_attributes(&place) {
        return;
    }
    let faking = scene.root().with_fake_super(true);
    let fake = faking.place(path("f")).unwrap();
    let real = place.stat().unwrap();
    assert_eq!(fake.stat().unwrap(), real);
    let wanted =
        Attributes { uid: Some(12), gid: Some(34), mode: Some(0o4444), ..Attributes::default() };
    assert!(apply(&wanted, &fake));
    assert!(!apply(&wanted, &fake));
    let object = Object::from(&place);
    let text = object.xattr(b"user.rsync.%stat").unwrap();
    assert_eq!(text.as_deref(), Some(&b"104444 0,0 12:34"[..]));
    let stat = fake.stat().unwrap();
    assert_eq!((stat.permissions(), stat.uid, stat.gid), (0o4444, 12, 34));
    let stat = place.stat().unwrap();
    assert_eq!((stat.permissions(), stat.uid, stat.gid), (0o644, real.uid, real.gid));
    // What the real object can say is not stored.
    let own = Attributes {
        uid: Some(real.uid),
        gid: Some(real.gid),
        mode: Some(0o640),
        ..Attributes::default()
    };
    assert!(apply(&own, &fake));
    assert_eq!(object.xattr(b"user.rsync.%stat").unwrap(), None);
    assert_eq!(place.stat().unwrap().permissions(), 0o640);
    object.set_xattr(b"user.rsync.%stat", b"junk").unwrap();
    let error = fake.stat().unwrap_err().to_string();
    assert!(error.starts_with("corrupt user.rsync.%stat"), "{error}");
}

#[test]
fn links_and_nodes_that_are_not_real_are_plain_files() {
    let scene = Scene::new();
    scene.file("f", "");
    let root = scene.root();
    if !stores_attributes(&root.place(path("f")).unwrap()) {
        return;
    }
    let faking = scene.root().with_fake_super(true);
    let device = Device { major: 7, minor: 300 };
    let node = |kind| NewObject::Node { kind, mode: 0o640, device };
    faking.place(path("block")).unwrap().create(&node(Kind::BlockDevice)).unwrap();
    faking.place(path("fifo")).unwrap().create(&node(Kind::Fifo)).unwrap();
    let link = faking.place(path("link")).unwrap();
    link.create(&NewObject::Symlink { target: b"some/where" }).unwrap();
    assert_eq!(link.read_link().unwrap(), b"some/where");
    let held = faking.top().clone();
    let listing = held.list(RelPath::ROOT, |_, _| true).unwrap();
    let kind_of = |name: &[u8]| {
        let entry = listing.iter().find(|entry| entry.name.as_bytes() == name).unwrap();
        (entry.stat.unwrap().kind(), entry.stat.unwrap().rdev)
    };
    assert_eq!(kind_of(b"block"), (Kind::BlockDevice, device));
    assert_eq!(kind_of(b"fifo"), (Kind::Fifo, Device::default()));
    assert_eq!(kind_of(b"link").0, Kind::Symlink);
    assert_eq!(faking.stat_following(path("link")).unwrap().kind(), Kind::Symlink);
    for name in ["block", "fifo", "link"] {
        assert_eq!(root.place(path(name)).unwrap().stat().unwrap().kind(), Kind::File, "{name}");
    }
}

#[test]
fn access_lists_that_are_not_real_are_stored_without_what_the_mode_says() {
    let scene = Scene::new();
    scene.file("f", "");
    let root = scene.root();
    let real = root.place(path("f")).unwrap();
    if !stores_attributes(&real) {
        return;
    }
    let faking = scene.root().with_fake_super(true);
    let place = faking.place(path("f")).unwrap();
    let acl = Acl { users: vec![(1, 7)], mask: Some(7), group: Some(4), ..Acl::from_mode(0o674) };
    let wanted = Attributes { mode: Some(0o674), access_acl: Some(&acl), ..Attributes::default() };
    assert!(apply(&wanted, &place));
    assert!(!apply(&wanted, &place));
    let stored = Object::from(&real).xattr(b"user.rsync.%aacl").unwrap().unwrap();
    let stored = Acl::from_fake(&stored).unwrap();
    assert_eq!((stored.user, stored.group, stored.mask), (None, Some(4), Some(7)));
    assert_eq!(Object::from(&place).acl(AclKind::Access).unwrap(), Some(acl));
    assert_eq!(Object::from(&real).acl(AclKind::Access).unwrap(), None);
}

#[test]
fn devices_and_specials_are_made_and_told_apart() {
    let scene = Scene::new();
    let root = scene.root();
    let make = |name: &str, kind, device| {
        let place = root.place(path(name)).unwrap();
        place.create(&NewObject::Node { kind, mode: 0o640, device })?;
        let stat = place.stat()?;
        assert_eq!(stat.kind(), kind);
        Ok::<_, syncline_fs::Error>(stat.rdev)
    };
    make("fifo", Kind::Fifo, Device::default()).unwrap();
    make("socket", Kind::Socket, Device::default()).unwrap();
    let device = Device { major: 300, minor: 70_000 };
    match make("char", Kind::CharDevice, device) {
        Ok(found) => assert_eq!(found, device),
        Err(error) => skipped("devices_are_made", &error.to_string()),
    }
}

#[test]
fn a_listing_has_every_wanted_name_with_its_own_record() {
    let scene = Scene::new();
    for number in 0..2000 {
        scene.file(&format!("big/file-number-{number:04}"), vec![1; number % 7]);
    }
    scene.link("nowhere", "big/link");
    scene.directory("big/dir");
    let root = scene.root();
    let directory = root.place(path("big")).unwrap().open_directory().unwrap();
    for _ in 0..2 {
        let listing = directory
            .list(path("big"), |name, kind| {
                assert!(
                    kind == Kind::Unknown
                        || (kind == Kind::Directory) == (name.as_bytes() == b"dir")
                );
                !name.as_bytes().ends_with(b"5")
            })
            .unwrap();
        assert_eq!(listing.len(), 1802);
        for entry in listing.iter() {
            let stat = entry.stat.unwrap();
            match entry.name.as_bytes() {
                b"link" => assert_eq!(stat.kind(), Kind::Symlink),
                b"dir" => assert!(stat.is_dir()),
                name => {
                    let number: usize = std::str::from_utf8(&name[12..]).unwrap().parse().unwrap();
                    assert_eq!(stat.size, number as u64 % 7);
                }
            }
        }
    }
    let empty = root.directory(path("big/dir")).unwrap();
    assert!(empty.list(path("big/dir"), |_, _| true).unwrap().is_empty());
}

#[test]
fn an_unreadable_directory_is_told_by_name() {
    if is_root() {
        skipped("an_unreadable_directory_is_told_by_name", "root reads everything");
        return;
    }
    let scene = Scene::new();
    scene.directory("dark");
    fs::set_permissions(scene.inside("dark"), fs::Permissions::from_mode(0o111)).unwrap();
    let root = scene.root();
    let error = root.place(path("dark")).unwrap().open_directory().unwrap_err();
    assert_eq!(error.to_string(), "opendir \"dark\" failed: Permission denied (13)");
    let held = root.directory(path("dark")).unwrap();
    assert_eq!(held.list(path("dark"), |_, _| true).unwrap_err().errno(), Some(Errno::ACCESS));
}

#[test]
fn threads_list_ahead_and_the_walker_takes_in_its_own_order() {
    let scene = Scene::new();
    for number in 0..100 {
        scene.file(&format!("d{number:02}/file"), "");
    }
    scene.link("../outside", "planted");
    let root = scene.root();
    let scanner = Scanner::new(NonZero::new(3).unwrap()).unwrap();
    let all: syncline_fs::Want = Arc::new(|_, _| true);
    let top = root.place(RelPath::ROOT).unwrap().open_directory().unwrap();
    let mut subdirectories: Vec<_> = names(&scene.inside(""));
    subdirectories.sort_by(|one, other| other.cmp(one));
    let asked: Vec<_> = subdirectories
        .iter()
        .map(|name| (name, scanner.ask(&top, path(name), Arc::clone(&all))))
        .collect();
    for (name, scan) in asked {
        match scan.wait().unwrap() {
            Ok(scanned) => {
                assert_eq!(scanned.listing.len(), 1, "{name}");
                let file = format!("{name}/file");
                assert!(scanned.directory.place(path(&file)).stat().is_ok());
            }
            Err(error) => {
                assert_eq!((name.as_str(), error.errno()), ("planted", Some(Errno::NOTDIR)));
            }
        }
    }
    // A walk that ends early does not wait for what it asked.
    let _never_taken: Vec<_> =
        (0..50).map(|_| scanner.ask(&top, path("d00"), Arc::clone(&all))).collect();
    drop(scanner);
}

#[test]
fn a_backup_keeps_the_inode_and_the_name_until_its_place_is_taken() {
    let scene = Scene::new();
    scene.file("f", "old");
    scene.file("f~", "older");
    let root = scene.root();
    let place = root.place(path("f")).unwrap();
    let inode = place.stat().unwrap().ino;
    let files = TempFiles::new();
    let how = root
        .back_up(&place, path("f~"), BackupFor::Replacing, Preserve::default(), &files)
        .unwrap();
    assert_eq!(how, BackedUp::Linked);
    assert_eq!(root.place(path("f~")).unwrap().stat().unwrap().ino, inode);
    assert!(place.stat().is_ok(), "never missing");
    let mut new = files.create(&place, 0o644).unwrap();
    new.rename_to(&place).unwrap();
    assert_eq!(fs::read(scene.inside("f~")).unwrap(), b"old");
    assert_eq!(scene.names(""), ["f", "f~"]);
}

#[test]
fn a_backup_of_what_is_deleted_is_a_rename_over_whatever_is_there() {
    let scene = Scene::new();
    scene.file("f", "old");
    scene.file("bak/f/in/the/way", "");
    scene.link("nowhere", "link");
    let root = scene.root();
    let backups = root.descend(path("bak"), Links::Refuse).unwrap();
    let files = TempFiles::new();
    for name in ["f", "link"] {
        let place = root.place(path(name)).unwrap();
        let how = backups
            .back_up(&place, path(name), BackupFor::Deleting, Preserve::default(), &files)
            .unwrap();
        assert_eq!(how, BackedUp::Renamed);
    }
    assert_eq!(scene.names(""), ["bak"]);
    assert_eq!(fs::read(scene.inside("bak/f")).unwrap(), b"old");
    assert_eq!(fs::read_link(scene.inside("bak/link")).unwrap().to_str(), Some("nowhere"));
}

#[test]
fn a_backup_on_another_disk_is_a_copy_with_attributes() {
    let mount = match Mount::tmpfs("size=4m") {
        Ok(mount) => mount,
        Err(reason) => return skipped("a_backup_on_another_disk_is_a_copy", &reason),
    };
    let scene = Scene::new();
    scene.file("f", "old");
    scene.link("nowhere", "link");
    let root = scene.root();
    let fifo = NewObject::Node { kind: Kind::Fifo, mode: 0o600, device: Device::default() };
    root.place(path("fifo")).unwrap().create(&fifo).unwrap();
    let backups = Root::open(mount.path(), Trust::Owners).unwrap();
    let mtime = Some(Time { seconds: 1_000_000_000, nanos: 42 });
    let preserve = Preserve { owner: true, group: true, times: true, xattrs: true, acls: true };
    let files = TempFiles::new();
    for (name, reason) in
        [("f", BackupFor::Replacing), ("link", BackupFor::Replacing), ("fifo", BackupFor::Deleting)]
    {
        let place = root.place(path(name)).unwrap();
        apply(&Attributes { mtime, ..Attributes::default() }, &place);
        if name == "f" {
            apply(&Attributes { mode: Some(0o2751), ..Attributes::default() }, &place);
        }
        // What lies in the place of the backup does not matter.
        fs::create_dir_all(mount.path().join(name).join("in/the/way")).unwrap();
        let how = backups.back_up(&place, path(name), reason, preserve, &files).unwrap();
        assert_eq!(how, BackedUp::Copied);
        let (old, new) =
            (place.stat().unwrap(), backups.place(path(name)).unwrap().stat().unwrap());
        assert_eq!(
            (old.mode, old.uid, old.gid, old.mtime),
            (new.mode, new.uid, new.gid, new.mtime)
        );
    }
    assert_eq!(fs::read(mount.path().join("f")).unwrap(), b"old");
    assert_eq!(names(mount.path()), ["f", "fifo", "link"]);
}

#[test]
fn a_partial_directory_is_made_in_the_place_of_anything() {
    let scene = Scene::new();
    scene.link("../outside", "link");
    scene.file("file", "");
    scene.file("there/kept", "");
    let root = scene.root();
    for name in ["link", "file", "new", "there"] {
        let place = root.place(path(name)).unwrap();
        place.ensure_directory(0o700).unwrap();
        assert!(place.stat().unwrap().is_dir());
        place.ensure_directory(0o700).unwrap();
    }
    assert_eq!(scene.names("there"), ["kept"]);
    assert_eq!(names(&scene.outside("")), ["secret"]);
}

#[test]
fn our_own_read_only_file_takes_attributes_and_data_and_stays_read_only() {
    let scene = Scene::new();
    scene.file("f", "old");
    let root = scene.root();
    let place = root.place(path("f")).unwrap();
    Object::from(&place).set_mode(0o444).unwrap();
    let file = place.open_in_place(0o600, false).unwrap();
    assert_eq!(place.stat().unwrap().permissions(), 0o444, "restored before any data arrives");
    std::os::unix::fs::FileExt::write_all_at(&file, b"new", 0).unwrap();
    assert_eq!(fs::read(scene.inside("f")).unwrap(), b"new");
    if Object::from(&place).set_xattr(b"user.x", b"1").is_ok() {
        Object::from(&place).remove_xattr(b"user.x").unwrap();
        assert_eq!(place.stat().unwrap().permissions(), 0o444);
    } else {
        skipped("attributes of our_own_read_only_file", "the file system stores none");
    }
}

#[test]
fn a_copy_takes_over_what_is_asked_for_and_the_mode() {
    let scene = Scene::new();
    scene.file("f", "data");
    let root = scene.root();
    let place = root.place(path("f")).unwrap();
    let mtime = Some(Time { seconds: 7, nanos: 8 });
    apply(&Attributes { mtime, mode: Some(0o751), ..Attributes::default() }, &place);
    let stat = place.stat().unwrap();
    let files = TempFiles::new();
    let copy = root.place(path("copy")).unwrap();
    for times in [false, true] {
        let preserve = Preserve { times, ..Preserve::default() };
        copy_object(&place, &stat, &copy, preserve, &files).unwrap();
        let found = copy.stat().unwrap();
        assert_eq!((found.permissions(), found.mtime == stat.mtime), (0o751, times));
        assert_ne!(found.ino, stat.ino);
        assert_eq!(fs::read(scene.inside("copy")).unwrap(), b"data");
    }
    assert_eq!(scene.names(""), ["copy", "f"]);
}
