//! Names beneath a root never lead out of it, whichever way they are resolved (behaviour.md 21 and 22).

#![allow(clippy::unwrap_used, reason = "what cannot be set up is a failed test")]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};

use support::{RESOLVERS, Scene, is_root, names, path, skipped};
use syncline_fs::{
    Device, Errno, Error, Kind, Links, NewObject, Object, OpenSource, RelPath, RelPathBuf, Root,
    TempFiles, Time, Trust, create_operator_file, open_operator_file,
};

const FOREIGNER: u32 = 12_345;

fn errno<T: std::fmt::Debug>(result: Result<T, Error>) -> Option<Errno> {
    result.expect_err("this must be refused").errno()
}

/// A tree with every shape of link among its directories.
fn tangle() -> Scene {
    let scene = Scene::new();
    scene.file("real/deep/file", "inside");
    scene.file("top", "top");
    scene.link("real", "inner");
    scene.link("../inner/deep", "real/winding");
    scene.link("../outside", "leaving");
    scene.link("/etc", "absolute");
    scene.link(scene.inside("real"), "absolute-inside");
    scene.link("real/../../root/real", "out-and-in");
    scene.link("loop", "loop");
    scene.link("nothing", "dangling");
    scene.link("top", "to-file");
    scene.link("/proc/self/root", "magic");
    scene
}

#[test]
fn both_resolvers_agree_on_every_shape_of_path() {
    type Found = Result<&'static str, Errno>;
    // Path of a directory; what it leads to with links refused, and with links beneath the root followed.
    let cases: &[(&str, Found, Found)] = &[
        (".", Ok(""), Ok("")),
        ("real", Ok("real"), Ok("real")),
        ("real/deep", Ok("real/deep"), Ok("real/deep")),
        ("inner", Err(Errno::LOOP), Ok("real")),
        ("inner/deep", Err(Errno::LOOP), Ok("real/deep")),
        ("real/winding", Err(Errno::LOOP), Ok("real/deep")),
        ("inner/winding", Err(Errno::LOOP), Ok("real/deep")),
        ("leaving", Err(Errno::LOOP), Err(Errno::LOOP)),
        ("leaving/sub", Err(Errno::LOOP), Err(Errno::LOOP)),
        ("absolute", Err(Errno::LOOP), Err(Errno::LOOP)),
        ("absolute-inside", Err(Errno::LOOP), Err(Errno::LOOP)),
        ("out-and-in", Err(Errno::LOOP), Err(Errno::LOOP)),
        ("loop", Err(Errno::LOOP), Err(Errno::LOOP)),
        ("loop/x", Err(Errno::LOOP), Err(Errno::LOOP)),
        ("magic", Err(Errno::LOOP), Err(Errno::LOOP)),
        ("magic/etc", Err(Errno::LOOP), Err(Errno::LOOP)),
        ("dangling", Err(Errno::LOOP), Err(Errno::NOENT)),
        ("dangling/x", Err(Errno::LOOP), Err(Errno::NOENT)),
        ("to-file", Err(Errno::LOOP), Err(Errno::NOTDIR)),
        ("top", Err(Errno::NOTDIR), Err(Errno::NOTDIR)),
        ("top/x", Err(Errno::NOTDIR), Err(Errno::NOTDIR)),
        ("missing", Err(Errno::NOENT), Err(Errno::NOENT)),
        ("real/missing/x", Err(Errno::NOENT), Err(Errno::NOENT)),
    ];
    let scene = tangle();
    for resolver in RESOLVERS {
        for (links, column) in [(Links::Refuse, 0), (Links::Beneath, 1)] {
            let root = scene.root().with_resolver(resolver).with_links(links);
            for case in cases {
                let expected = if column == 0 { case.1 } else { case.2 };
                let found = root
                    .directory(path(case.0))
                    .map(|directory| directory.stat(path(case.0)).unwrap().ino)
                    .map_err(|error| error.errno().unwrap());
                let expected = expected.map(|real| fs::metadata(scene.inside(real)).unwrap().ino());
                assert_eq!(found, expected, "{resolver:?} {links:?} {}", case.0);
            }
        }
    }
}

#[test]
fn following_everything_is_there_for_those_who_ask() {
    let scene = tangle();
    for resolver in RESOLVERS {
        let root = scene.root().with_resolver(resolver).with_links(Links::Follow);
        let place = root.place(path("leaving/secret")).unwrap();
        assert_eq!(place.stat().unwrap().size, 6);
        assert_eq!(root.stat_following(path("absolute")).unwrap().kind(), Kind::Directory);
    }
}

#[test]
fn a_path_longer_than_a_system_call_takes_is_resolved_all_the_same() {
    let scene = Scene::new();
    let root = scene.root();
    let mut long = RelPathBuf::root();
    let component = "d".repeat(200);
    for _ in 0..25 {
        long.push(path(&component).file_name().unwrap());
        root.place(long.as_path()).unwrap().make_directory(0o755).unwrap();
    }
    assert!(long.as_bytes().len() > 4096);
    for resolver in RESOLVERS {
        for links in [Links::Refuse, Links::Beneath, Links::Follow] {
            let fresh = scene.root().with_resolver(resolver).with_links(links);
            let found = fresh.directory(long.as_path()).unwrap();
            assert!(found.stat(long.as_path()).unwrap().is_dir());
        }
    }
    root.remove_tree(path(&component)).unwrap();
}

#[test]
fn a_directory_that_may_only_be_searched_is_passed() {
    let scene = Scene::new();
    scene.file("dark/room/file", "x");
    fs::set_permissions(scene.inside("dark"), fs::Permissions::from_mode(0o111)).unwrap();
    for resolver in RESOLVERS {
        let root = scene.root().with_resolver(resolver);
        assert_eq!(root.place(path("dark/room/file")).unwrap().stat().unwrap().size, 1);
    }
    let by_operator = Root::open(&scene.inside("dark/room"), Trust::Owners).unwrap();
    assert!(by_operator.place(path("file")).unwrap().stat().is_ok());
    fs::set_permissions(scene.inside("dark"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn no_operation_follows_a_link_in_the_last_place() {
    let scene = Scene::new();
    scene.link("../outside/secret", "link");
    fs::set_permissions(scene.outside("secret"), fs::Permissions::from_mode(0o600)).unwrap();
    let before = fs::metadata(scene.outside("secret")).unwrap();
    for resolver in RESOLVERS {
        let root = scene.root().with_resolver(resolver);
        let link = root.place(path("link")).unwrap();
        let object = Object::from(&link);
        assert_eq!(link.stat().unwrap().kind(), Kind::Symlink);
        assert_eq!(errno(OpenSource::default().open(&link)), Some(Errno::LOOP));
        assert_eq!(errno(link.create_file(0o644)), Some(Errno::EXIST));
        assert!(matches!(
            link.open_in_place(0o644, false),
            Err(Error::NotRegular { kind: Kind::Symlink, .. })
        ));
        assert_eq!(errno(link.open_directory()), Some(Errno::NOTDIR));
        assert!(object.set_mode(0o777).is_err());
        object.set_times(None, Some(Time { seconds: 5, nanos: 0 })).unwrap();
        assert_eq!(link.stat().unwrap().mtime.seconds, 5);
        object.set_owner(Some(link.stat().unwrap().uid), None).unwrap();
        assert!(object.set_xattr(b"user.planted", b"x").is_err());
        assert_eq!(object.xattr(b"user.planted").unwrap(), None);
    }
    let after = fs::metadata(scene.outside("secret")).unwrap();
    assert_eq!((before.mtime(), before.mode()), (after.mtime(), after.mode()));
    assert_eq!((before.ctime(), before.ctime_nsec()), (after.ctime(), after.ctime_nsec()));
}

#[test]
fn a_file_is_put_in_the_place_of_a_link_and_not_through_it() {
    let scene = Scene::new();
    scene.link("../outside/secret", "f");
    let root = scene.root();
    let place = root.place(path("f")).unwrap();
    let mut temporary = TempFiles::new().create(&place, 0o644).unwrap();
    temporary.rename_to(&place).unwrap();
    assert_eq!(place.stat().unwrap().kind(), Kind::File);
    assert_eq!(fs::read(scene.outside("secret")).unwrap(), b"secret");
}

#[test]
fn a_fifo_neither_blocks_a_reader_nor_passes_for_a_file() {
    let scene = Scene::new();
    let root = scene.root();
    let place = root.place(path("pipe")).unwrap();
    let fifo = NewObject::Node { kind: Kind::Fifo, mode: 0o600, device: Device::default() };
    place.create(&fifo).unwrap();
    for result in
        [OpenSource::default().open(&place).map(drop), place.open_in_place(0, false).map(drop)]
    {
        assert!(matches!(result, Err(Error::NotRegular { kind: Kind::Fifo, .. })), "{result:?}");
    }
}

#[test]
fn a_held_directory_stays_what_it_was_when_its_name_is_taken_over() {
    let scene = Scene::new();
    scene.directory("dir");
    let root = scene.root();
    let place = root.place(path("dir/f")).unwrap();
    let temporaries = TempFiles::new();
    let mut temporary = temporaries.create(&place, 0o644).unwrap();
    fs::rename(scene.inside("dir"), scene.inside("moved")).unwrap();
    scene.link("../outside", "dir");
    temporary.rename_to(&place).unwrap();
    assert_eq!(scene.names("moved"), ["f"]);
    assert_eq!(names(&scene.outside("")), ["secret"]);
    root.forget(path("dir"));
    assert_eq!(errno(root.place(path("dir/f"))), Some(Errno::LOOP));
}

#[test]
fn a_removed_directory_is_not_held_on_to() {
    let scene = Scene::new();
    scene.directory("a/b");
    let root = scene.root();
    root.place(path("a/b/f")).unwrap();
    root.remove_tree(path("a")).unwrap();
    scene.directory("a/b");
    root.place(path("a/b/f")).unwrap().create_file(0o600).unwrap();
    assert_eq!(scene.names("a/b"), ["f"]);
}

#[test]
fn more_directories_than_are_held_are_no_trouble() {
    let scene = Scene::new();
    for number in 0..300 {
        scene.directory(&format!("d{number}"));
    }
    let root = scene.root();
    for number in 0..600 {
        let name = format!("d{}/f{}", number % 300, number);
        root.place(path(&name)).unwrap().create_file(0o600).unwrap();
    }
    assert_eq!(scene.names("d7"), ["f307", "f7"]);
}

#[test]
fn the_operator_s_own_links_are_followed() {
    let scene = Scene::new();
    scene.file("real/file", "x");
    scene.link("real", "mine");
    scene.link(scene.inside("mine"), "again");
    for name in ["mine", "again", "mine/", "again/.", "real/../again"] {
        let root = Root::open(&scene.inside(name), Trust::Owners).unwrap();
        assert_eq!(root.place(path("file")).unwrap().stat().unwrap().size, 1, "{name}");
    }
    scene.link("real/file", "list");
    assert!(open_operator_file(&scene.inside("list"), Trust::Owners).is_ok());
}

#[test]
fn a_link_of_somebody_else_is_not_followed_on_the_operator_s_paths() {
    if !is_root() {
        skipped("a_link_of_somebody_else_is_not_followed_on_the_operator_s_paths", "needs root");
        return;
    }
    let scene = Scene::new();
    scene.file("real/file", "x");
    scene.link("real", "planted");
    scene.link("real/file", "planted-file");
    scene.link("real/new", "planted-log");
    scene.link("planted", "mine-to-planted");
    for name in ["planted", "planted-file", "planted-log"] {
        lchown(scene.inside(name), Some(FOREIGNER), Some(FOREIGNER)).unwrap();
    }
    let open = |name: &str, trust| Root::open(&scene.inside(name), trust);
    for name in ["planted", "planted/", "planted/.", "mine-to-planted"] {
        assert_eq!(errno(open(name, Trust::Owners)), Some(Errno::LOOP), "{name}");
        assert!(open(name, Trust::Everyone).is_ok());
        let created = Root::create(&scene.inside(name).join("new/dir"), Trust::Owners);
        assert_eq!(errno(created), Some(Errno::LOOP), "{name}");
    }
    assert_eq!(scene.names("real"), ["file"]);
    for name in ["planted-file", "planted/file"] {
        let opened = open_operator_file(&scene.inside(name), Trust::Owners);
        assert_eq!(errno(opened), Some(Errno::LOOP), "{name}");
        assert!(open_operator_file(&scene.inside(name), Trust::Everyone).is_ok());
    }
    let logged = create_operator_file(&scene.inside("planted-log"), Trust::Owners, true, 0o644);
    assert_eq!(errno(logged), Some(Errno::LOOP));
    assert_eq!(scene.names("real"), ["file"]);
}

#[test]
fn a_link_loop_on_the_operator_s_path_ends() {
    let scene = Scene::new();
    scene.link("loop", "loop");
    assert_eq!(errno(Root::open(&scene.inside("loop"), Trust::Owners)), Some(Errno::LOOP));
}

#[test]
fn an_operator_s_directory_is_made_with_its_parents() {
    let scene = Scene::new();
    scene.directory("real");
    scene.link("real", "mine");
    let root = Root::create(&scene.inside("mine//a/./b/"), Trust::Owners).unwrap();
    root.place(path("f")).unwrap().create_file(0o600).unwrap();
    assert_eq!(scene.names("real/a/b"), ["f"]);
    // There already: nothing to do.
    Root::create(&scene.inside("mine/a/b"), Trust::Owners).unwrap();
    scene.file("file", "");
    assert!(Root::create(&scene.inside("file/x"), Trust::Owners).is_err());
}

#[test]
fn a_peer_s_directory_option_stays_inside_the_module() {
    let scene = Scene::new();
    scene.directory("sub/backup");
    scene.link("sub/backup", "neighbour");
    scene.link("../outside", "leaving");
    scene.link(scene.inside("sub"), "absolute");
    for resolver in RESOLVERS {
        let module = scene.root().with_resolver(resolver);
        let open = |option: &str| {
            let option = RelPathBuf::sanitize(option.as_bytes()).unwrap();
            module.descend_peer_option(option.as_path(), Trust::Owners)
        };
        for option in ["/sub/backup", "../../sub/backup", "sub/../sub/backup", "neighbour"] {
            assert!(open(option).is_ok(), "{option}");
        }
        for option in ["leaving", "absolute", "sub/../leaving/x"] {
            assert_eq!(errno(open(option)), Some(Errno::LOOP), "{option}");
        }
    }
}

#[test]
fn a_root_knows_whether_it_lies_in_another() {
    let scene = Scene::new();
    scene.directory("a/b");
    scene.link(scene.outside(""), "a/out");
    let open = |name: &str| Root::open(&scene.inside(name), Trust::Owners).unwrap();
    let top = open("");
    assert!(open("a/b").is_beneath(&top).unwrap());
    assert!(top.is_beneath(&top).unwrap());
    assert!(!open("a/out").is_beneath(&top).unwrap());
    assert!(!top.is_beneath(&open("a")).unwrap());
}

#[test]
fn a_confined_operator_may_not_reach_outside_even_by_own_links() {
    let scene = Scene::new();
    scene.file("area/dir/rules", "x");
    scene.file("file", "x");
    scene.link("dir", "area/inner");
    scene.link("../file", "area/leaving-file");
    scene.link("..", "area/leaving");
    let area = Root::open(&scene.inside("area"), Trust::Owners).unwrap();
    let within = Trust::OwnersWithin(&area);
    for name in ["area", "area/dir", "area/inner", "area/../area/dir"] {
        assert!(Root::open(&scene.inside(name), within).is_ok(), "{name}");
    }
    assert!(open_operator_file(&scene.inside("area/inner/rules"), within).is_ok());
    for name in ["", "area/leaving", "area/leaving/area/..", "area/dir/../.."] {
        let opened = Root::open(&scene.inside(name), within);
        assert_eq!(errno(opened), Some(Errno::LOOP), "{name}");
    }
    for name in ["file", "area/leaving-file", "area/leaving/file"] {
        let opened = open_operator_file(&scene.inside(name), within);
        assert_eq!(errno(opened), Some(Errno::LOOP), "{name}");
    }
    let log = create_operator_file(&scene.inside("area/leaving/log"), within, true, 0o644);
    assert_eq!(errno(log), Some(Errno::LOOP));
    assert!(Root::create(&scene.inside("area/new/dir"), within).is_ok());
    assert!(Root::create(&scene.inside("new/dir"), within).is_err());
    assert_eq!(scene.names(""), ["area", "file"]);
}

#[test]
fn a_rule_file_is_found_through_own_links_and_a_peer_s_only_inside() {
    let scene = Scene::new();
    scene.file("rules", "inside");
    scene.link("rules", "inner");
    scene.link("../outside/secret", "leaving");
    let root = scene.root();
    for name in ["rules", "inner"] {
        assert!(root.open_rule_file(path(name), Trust::Owners).is_ok());
        assert!(root.open_peer_file(path(name), Trust::Owners).is_ok());
    }
    assert!(root.open_rule_file(path("leaving"), Trust::Owners).is_ok());
    let opened = root.open_peer_file(path("leaving"), Trust::Owners);
    assert_eq!(errno(opened), Some(Errno::LOOP));
    if is_root() {
        lchown(scene.inside("inner"), Some(FOREIGNER), None).unwrap();
        let opened = root.open_rule_file(path("inner"), Trust::Owners);
        assert_eq!(errno(opened), Some(Errno::LOOP));
    }
}

#[test]
fn following_in_the_last_place_still_stops_at_the_root() {
    let scene = tangle();
    for resolver in RESOLVERS {
        let root = scene.root().with_resolver(resolver).with_links(Links::Beneath);
        assert_eq!(root.stat_following(path("to-file")).unwrap().kind(), Kind::File);
        assert!(root.open_directory_following(path("inner")).is_ok());
        let open = |name| OpenSource::default().open_following(&root, path(name));
        assert_eq!(open("to-file").unwrap().length(), 3);
        assert_eq!(errno(root.stat_following(path("leaving"))), Some(Errno::LOOP));
        assert_eq!(errno(root.open_directory_following(path("leaving"))), Some(Errno::LOOP));
        symlink("../outside/secret", scene.inside("to-secret")).ok();
        assert_eq!(errno(open("to-secret")), Some(Errno::LOOP));
    }
}

#[test]
fn a_source_named_through_links_is_the_operator_s_wish_and_what_is_below_is_not() {
    let scene = Scene::new();
    scene.link("../outside", "named");
    scene.link("../root", "../outside/planted");
    let root = scene.root();
    let source = root.descend(path("named"), Links::Follow).unwrap();
    assert_eq!(source.place(path("secret")).unwrap().stat().unwrap().size, 6);
    assert_eq!(errno(source.place(path("planted/x"))), Some(Errno::LOOP));
    assert_eq!(errno(root.descend(path("named"), Links::Refuse)), Some(Errno::LOOP));
}

#[test]
fn names_that_are_no_text_work_like_others() {
    let scene = Scene::new();
    let root = scene.root();
    let directory = RelPath::new(b"\xff\xfe dir\n").unwrap();
    root.place(directory).unwrap().make_directory(0o755).unwrap();
    let file = RelPath::new(b"\xff\xfe dir\n/\x01\x80-\\").unwrap();
    for resolver in RESOLVERS {
        let root = scene.root().with_resolver(resolver);
        let place = root.place(file).unwrap();
        let mut temporary = TempFiles::new().create(&place, 0o600).unwrap();
        temporary.rename_to(&place).unwrap();
        let listing = root.directory(directory).unwrap().list(directory, |_, _| true).unwrap();
        let found: Vec<_> = listing.iter().map(|entry| entry.name.as_bytes().to_vec()).collect();
        assert_eq!(found, [b"\x01\x80-\\".to_vec()]);
    }
}

#[test]
fn the_whole_system_is_a_root_like_any_other() {
    let scene = Scene::new();
    scene.file("d/f", "x");
    let below_slash = RelPathBuf::sanitize(support::raw(&scene.inside("d/f"))).unwrap();
    for resolver in RESOLVERS {
        for links in [Links::Refuse, Links::Beneath] {
            let root = Root::open("/".as_ref(), Trust::Owners).unwrap();
            let root = root.with_resolver(resolver).with_links(links);
            let place = root.place(below_slash.as_path());
            // Where the temporary directory lies behind a link, refusing is right.
            if links == Links::Beneath
                || fs::canonicalize(scene.inside("d")).unwrap() == scene.inside("d")
            {
                assert_eq!(place.unwrap().stat().unwrap().size, 1);
            }
        }
    }
}

#[test]
fn what_a_shell_substitutes_is_opened_like_a_file() {
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"list").unwrap();
    drop(writer);
    let name = format!("/dev/fd/{}", reader.as_raw_fd());
    if !std::path::Path::new("/dev/fd").exists() {
        skipped("what_a_shell_substitutes_is_opened_like_a_file", "no /dev/fd");
        return;
    }
    let mut text = String::new();
    let mut file = open_operator_file(name.as_ref(), Trust::Owners).unwrap();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "list");
    assert_eq!(reader.read(&mut [0; 1]).unwrap(), 0);

    let scene = Scene::new();
    scene.file("d/f", "x");
    let held = fs::File::open(scene.inside("d")).unwrap();
    let name = format!("/proc/self/fd/{}", held.as_raw_fd());
    let root = Root::open(name.as_ref(), Trust::Owners).unwrap();
    assert_eq!(root.place(path("f")).unwrap().stat().unwrap().size, 1);
    assert!(open_operator_file(format!("{name}/f").as_ref(), Trust::Owners).is_ok());
    // No way around the confinement, though.
    let area = Root::open(&scene.outside(""), Trust::Owners).unwrap();
    let within = Trust::OwnersWithin(&area);
    assert_eq!(errno(Root::open(name.as_ref(), within)), Some(Errno::LOOP));
    assert_eq!(errno(open_operator_file(name.as_ref(), within)), Some(Errno::LOOP));
}

#[test]
fn a_rule_file_that_is_none_does_not_hold_up_the_scan() {
    let scene = Scene::new();
    let root = scene.root();
    let fifo = NewObject::Node { kind: Kind::Fifo, mode: 0o600, device: Device::default() };
    root.place(path("rules")).unwrap().create(&fifo).unwrap();
    for opened in [
        root.open_rule_file(path("rules"), Trust::Owners),
        root.open_peer_file(path("rules"), Trust::Owners),
    ] {
        assert!(matches!(opened, Err(Error::NotRegular { kind: Kind::Fifo, .. })), "{opened:?}");
    }
}
