//! Temporary files, in-place writing, holes, full disks.

#![allow(clippy::unwrap_used, reason = "what cannot be set up is a failed test")]

mod support;

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};

use proptest::prelude::*;
use support::{Mount, Scene, names, path, skipped};
use syncline_fs::{
    Errno, Error, FileWriter, NewObject, Op, RelPath, Root, Space, TempFiles, Trust, sync,
};

const FRESH: Space = Space::Fresh { holes: false };

#[test]
fn a_temporary_file_lies_hidden_beside_its_destination_and_is_its_owner_s_only() {
    let scene = Scene::new();
    scene.directory("d");
    let root = scene.root();
    let place = root.place(path("d/file")).unwrap();
    let temporary = TempFiles::new().create(&place, 0o6644).unwrap();
    let [name] = scene.names("d").try_into().unwrap();
    assert!(name.starts_with(".file.") && name.len() == ".file.".len() + 6, "{name}");
    assert_eq!(temporary.path().as_bytes(), format!("d/{name}").as_bytes());
    assert_eq!(temporary.file().metadata().unwrap().mode() & 0o7777, 0o600);
    drop(temporary);
    assert!(scene.names("d").is_empty(), "dropping it removes it");
}

#[test]
fn a_read_only_entry_still_gets_a_temporary_file_that_can_be_written() {
    let scene = Scene::new();
    let root = scene.root();
    let temporary = TempFiles::new().create(&root.place(path("f")).unwrap(), 0o444).unwrap();
    assert_eq!(temporary.file().metadata().unwrap().mode() & 0o7777, 0o600);
}

#[test]
fn a_temporary_file_may_lie_in_another_directory() {
    let scene = Scene::new();
    scene.directory("tmp");
    let root = scene.root();
    let temp_dir = root.directory(path("tmp")).unwrap();
    let place = root.place(path("file")).unwrap();
    let mut temporary = TempFiles::new().create_in(&temp_dir, &place, 0o644).unwrap();
    assert!(scene.names("tmp")[0].starts_with("file."));
    temporary.rename_to(&place).unwrap();
    assert!(scene.names("tmp").is_empty());
    assert_eq!(scene.names(""), ["file", "tmp"]);
}

#[test]
fn names_of_every_length_get_a_temporary_name() {
    let scene = Scene::new();
    let root = scene.root();
    for name in ["n".repeat(255), "é".repeat(127), ".".repeat(3), format!(".{}", "x".repeat(254))]
    {
        let place = root.place(path(&name)).unwrap();
        let mut temporary = TempFiles::new().create(&place, 0o600).unwrap();
        assert!(temporary.path().as_bytes().len() <= 254);
        temporary.rename_to(&place).unwrap();
        TempFiles::new().replace(&place, &NewObject::Symlink { target: b"x" }).unwrap();
        assert_eq!(scene.names(""), std::slice::from_ref(&name));
        place.unlink().unwrap();
    }
}

#[test]
fn clean_up_removes_all_temporary_files_and_ends_the_making_of_new_ones() {
    let scene = Scene::new();
    let root = scene.root();
    let temporaries = TempFiles::new();
    let place = root.place(path("f")).unwrap();
    let mut renamed = temporaries.create(&root.place(path("done")).unwrap(), 0o600).unwrap();
    renamed.rename_to(&root.place(path("done")).unwrap()).unwrap();
    let pending =
        [temporaries.create(&place, 0o600).unwrap(), temporaries.create(&place, 0o600).unwrap()];
    // As a signal thread would, through its own handle.
    temporaries.clone().remove_all();
    assert_eq!(scene.names(""), ["done"]);
    assert!(matches!(temporaries.create(&place, 0o600), Err(Error::ShuttingDown { .. })));
    drop(pending);
    assert_eq!(scene.names(""), ["done"]);
}

#[test]
fn a_temporary_file_that_cannot_be_renamed_can_still_go_elsewhere() {
    let scene = Scene::new();
    scene.file("taken/x", "");
    let root = scene.root();
    let place = root.place(path("taken")).unwrap();
    let mut temporary = TempFiles::new().create(&place, 0o600).unwrap();
    let error = temporary.rename_to(&place).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::ISDIR));
    temporary.rename_to(&root.place(path("partial")).unwrap()).unwrap();
    drop(temporary);
    assert_eq!(scene.names(""), ["partial", "taken"]);
}

#[test]
fn replacing_leaves_neither_a_gap_nor_a_leftover() {
    let scene = Scene::new();
    scene.file("old", "old");
    scene.file("other", "other");
    let root = scene.root();
    let place = root.place(path("old")).unwrap();
    TempFiles::new().replace(&place, &NewObject::Symlink { target: b"target" }).unwrap();
    assert_eq!(place.read_link().unwrap(), b"target");
    let other = root.place(path("other")).unwrap();
    TempFiles::new().replace(&place, &NewObject::HardLink { to: &other }).unwrap();
    assert!(place.stat().unwrap().is_same_inode(&other.stat().unwrap()));
    // The same once more: a rename between two names of one file does nothing, and must leave nothing.
    TempFiles::new().replace(&place, &NewObject::HardLink { to: &other }).unwrap();
    assert_eq!(scene.names(""), ["old", "other"]);
    assert_eq!(other.stat().unwrap().links, 2);
    scene.directory("dir");
    let directory = root.place(path("dir")).unwrap();
    assert!(TempFiles::new().replace(&directory, &NewObject::Symlink { target: b"x" }).is_err());
    assert_eq!(scene.names(""), ["dir", "old", "other"]);
}

#[test]
fn a_temporary_name_taken_by_somebody_else_is_passed_over() {
    let scene = Scene::new();
    let root = scene.root();
    let process = std::process::id();
    let process = if process > 999_999 { 0 } else { process };
    scene.file(&format!(".f.{process}"), "theirs");
    TempFiles::new()
        .replace(&root.place(path("f")).unwrap(), &NewObject::Symlink { target: b"x" })
        .unwrap();
    assert_eq!(scene.names(""), [format!(".f.{process}"), "f".to_owned()]);
}

#[test]
fn writing_in_place_keeps_inode_links_and_what_is_skipped() {
    let scene = Scene::new();
    scene.file("f", "0123456789");
    fs::hard_link(scene.inside("f"), scene.inside("g")).unwrap();
    let root = scene.root();
    let file = root.place(path("f")).unwrap().open_in_place(0o600, false).unwrap();
    let mut writer = FileWriter::new(&file, path("f"), Space::Occupied { holes: false });
    writer.write(b"ab").unwrap();
    writer.skip(3).unwrap();
    assert_eq!(writer.position(), 5);
    writer.write(b"XY").unwrap();
    assert_eq!(writer.finish().unwrap(), 7);
    assert_eq!(fs::read(scene.inside("g")).unwrap(), b"ab234XY");
    let new = root.place(path("new")).unwrap().open_in_place(0o640, false).unwrap();
    assert_eq!(new.metadata().unwrap().len(), 0);
}

#[test]
fn long_runs_of_zeros_become_holes_in_fresh_and_in_occupied_space() {
    let scene = Scene::new();
    let mut content = vec![7; 10_000];
    content.resize(1_500_000, 0);
    content.extend_from_slice(b"tail");
    content.resize(2_000_000, 0);
    let root = scene.root();
    let write = |name: &str, space| {
        let place = root.place(path(name)).unwrap();
        let file = place.open_in_place(0o600, false).unwrap();
        let mut writer = FileWriter::new(&file, path(name), space);
        for piece in content.chunks(30_011) {
            writer.write(piece).unwrap();
        }
        writer.finish().unwrap();
        assert!(fs::read(scene.inside(name)).unwrap() == content, "{name}");
        place.stat().unwrap().blocks
    };
    let dense = write("dense", FRESH);
    let fresh = write("fresh", Space::Fresh { holes: true });
    scene.file("occupied", vec![9; 1_900_000]);
    let occupied = write("occupied", Space::Occupied { holes: true });
    if dense * 512 < 2_000_000 {
        skipped(
            "long_runs_of_zeros_become_holes",
            "the file system does not count blocks as usual",
        );
        return;
    }
    assert!(fresh < dense / 10, "{fresh} of {dense} blocks");
    assert!(occupied < dense / 10, "{occupied} of {dense} blocks");
}

#[test]
fn reserved_space_does_not_show_in_the_result() {
    let scene = Scene::new();
    let root = scene.root();
    for (keep_size, holes) in [(true, false), (false, true), (false, false)] {
        let place = root.place(path("f")).unwrap();
        let temporary = TempFiles::new().create(&place, 0o600).unwrap();
        let space = Space::Fresh { holes };
        let mut writer = FileWriter::new(temporary.file(), temporary.path(), space);
        if let Err(error) = writer.preallocate(100_000, keep_size) {
            skipped("reserved_space_does_not_show_in_the_result", &error.to_string());
            return;
        }
        writer.write(&[1; 50]).unwrap();
        writer.write(&vec![0; 60_000]).unwrap();
        assert_eq!(writer.finish().unwrap(), 60_050);
        let stat = temporary.place().stat().unwrap();
        assert_eq!(stat.size, 60_050);
        sync(temporary.file(), temporary.path()).unwrap();
    }
}

#[test]
fn a_full_disk_is_told_apart_and_the_temporary_file_goes() {
    let mount = match Mount::tmpfs("size=256k") {
        Ok(mount) => mount,
        Err(reason) => return skipped("a_full_disk_is_told_apart", &reason),
    };
    let root = Root::open(mount.path(), Trust::Owners).unwrap();
    let place = root.place(path("big")).unwrap();
    let temporary = TempFiles::new().create(&place, 0o600).unwrap();
    let mut writer = FileWriter::new(temporary.file(), place.path(), FRESH);
    let error = (0..100).find_map(|_| writer.write(&vec![1; 100_000]).err()).unwrap();
    assert!(error.is_full());
    assert_eq!(error.op(), Some(Op::Write));
    assert_eq!(error.to_string(), "write \"big\" failed: No space left on device (28)");
    drop(temporary);
    assert!(names(mount.path()).is_empty());
    // Space is free again.
    let mut small = TempFiles::new().create(&place, 0o600).unwrap();
    FileWriter::new(small.file(), place.path(), FRESH).write(&[1; 1000]).unwrap();
    small.rename_to(&place).unwrap();
}

#[test]
fn a_disk_without_room_for_names_fails_at_the_temporary_file() {
    let mount = match Mount::tmpfs("size=1m,nr_inodes=20") {
        Ok(mount) => mount,
        Err(reason) => return skipped("a_disk_without_room_for_names", &reason),
    };
    let root = Root::open(mount.path(), Trust::Owners).unwrap();
    let error = (0..100)
        .find_map(|number: u32| {
            root.place(path(&number.to_string())).unwrap().create_file(0o600).err()
        })
        .unwrap();
    assert!(error.is_full());
    let error = TempFiles::new().create(&root.place(path("f")).unwrap(), 0o600).unwrap_err();
    assert_eq!(error.op(), Some(Op::MakeTemporary));
    assert!(error.to_string().starts_with("mkstemp \".f."), "{error}");
    assert!(error.to_string().ends_with("failed: No space left on device (28)"), "{error}");
}

#[test]
fn a_temporary_file_on_another_disk_is_copied_beside_its_destination() {
    let mount = match Mount::tmpfs("size=4m") {
        Ok(mount) => mount,
        Err(reason) => return skipped("a_temporary_file_on_another_disk", &reason),
    };
    let scene = Scene::new();
    let root = scene.root();
    let temp_dir = Root::open(mount.path(), Trust::Owners).unwrap();
    let place = root.place(path("f")).unwrap();
    let temporaries = TempFiles::new();
    let mut temporary = temporaries.create_in(temp_dir.top(), &place, 0o600).unwrap();
    temporary.file().write_all_at(b"content", 0).unwrap();
    assert!(temporary.rename_to(&place).unwrap_err().is_cross_device());
    let mut copy = temporary.copy_beside(&place, &temporaries).unwrap();
    copy.rename_to(&place).unwrap();
    drop(temporary);
    assert_eq!(fs::read(scene.inside("f")).unwrap(), b"content");
    assert_eq!(scene.names(""), ["f"]);
    assert!(names(mount.path()).is_empty());
}

#[test]
fn directories_are_made_with_their_parents_and_obstructions_removed_on_request() {
    use syncline_fs::Obstruction::{Refuse, Remove};
    let scene = Scene::new();
    scene.file("file", "");
    scene.link("../outside", "link");
    let root = scene.root();
    let make = |name: &str, obstruction| {
        let mut made = Vec::new();
        root.make_directories(path(name), 0o750, obstruction, |place| {
            made.push(String::from_utf8_lossy(place.path().as_bytes()).into_owned());
            Ok(())
        })
        .map(|()| made)
    };
    assert_eq!(make("a/b/c", Refuse).unwrap(), ["a", "a/b", "a/b/c"]);
    assert_eq!(make("a/b/d", Refuse).unwrap(), ["a/b/d"]);
    for (name, errno) in [("file/x", Errno::NOTDIR), ("link/x", Errno::LOOP)] {
        assert_eq!(make(name, Refuse).unwrap_err().errno(), Some(errno));
        assert_eq!(make(name, Remove).unwrap().len(), 2);
    }
    assert_eq!(names(&scene.outside("")), ["secret"]);
    let mode = fs::metadata(scene.inside("a")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777 & !0o022, 0o750 & !0o022);
}

#[test]
fn a_tree_goes_whole_and_links_in_it_lead_nowhere() {
    let scene = Scene::new();
    scene.file("t/a/b/c", "");
    scene.file("t/x", "");
    scene.link("../../outside", "t/link");
    scene.directory("t/sealed/inner");
    fs::set_permissions(scene.inside("t/sealed"), fs::Permissions::from_mode(0o500)).unwrap();
    let root = scene.root();
    root.remove_tree(path("t")).unwrap();
    assert!(scene.names("").is_empty());
    assert_eq!(names(&scene.outside("")), ["secret"]);
    scene.link("../outside", "link");
    root.remove_tree(path("link")).unwrap();
    assert_eq!(names(&scene.outside("")), ["secret"]);
    assert_eq!(root.remove_directory(path("none")).unwrap_err().op(), Some(Op::RemoveDirectory));
}

#[test]
fn a_mount_inside_a_tree_is_not_emptied() {
    let scene = Scene::new();
    scene.directory("t/mounted");
    let mount = match Mount::tmpfs_at("size=1m", &scene.inside("t/mounted")) {
        Ok(mount) => mount,
        Err(reason) => return skipped("a_mount_inside_a_tree_is_not_emptied", &reason),
    };
    fs::write(mount.path().join("kept"), "").unwrap();
    let error = scene.root().remove_tree(path("t")).unwrap_err();
    assert!(error.is_cross_device(), "{error}");
    assert_eq!(names(mount.path()), ["kept"]);
}

#[test]
fn two_objects_are_exchanged_and_a_vacant_name_is_not_taken_twice() {
    let scene = Scene::new();
    scene.file("a", "A");
    scene.file("b", "B");
    let root = scene.root();
    let [a, b, c] = ["a", "b", "c"].map(|name| root.place(path(name)).unwrap());
    a.exchange_with(&b).unwrap();
    assert_eq!(fs::read(scene.inside("a")).unwrap(), b"B");
    assert_eq!(a.rename_to_vacant(&b).unwrap_err().errno(), Some(Errno::EXIST));
    a.rename_to_vacant(&c).unwrap();
    assert_eq!(scene.names(""), ["b", "c"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn however_it_is_cut_the_content_arrives(
        runs in prop::collection::vec((prop_oneof![Just(0u8), any::<u8>()], 1..200_000usize), 1..8),
        cut in 1..300_000usize,
        holes: bool,
        occupied in prop::option::of(0..400_000usize),
    ) {
        let content: Vec<u8> = runs.iter().flat_map(|(byte, count)| vec![*byte; *count]).collect();
        let file = tempfile::tempfile().unwrap();
        let space = match occupied {
            Some(length) => {
                file.write_all_at(&vec![0xAA; length], 0).unwrap();
                Space::Occupied { holes }
            }
            None => Space::Fresh { holes },
        };
        let mut writer = FileWriter::new(&file, RelPath::ROOT, space);
        for piece in content.chunks(cut) {
            writer.write(piece).unwrap();
        }
        prop_assert_eq!(writer.finish().unwrap(), content.len() as u64);
        let mut found = vec![1; content.len()];
        file.read_exact_at(&mut found, 0).unwrap();
        prop_assert!(found == content);
        prop_assert_eq!(file.metadata().unwrap().len(), content.len() as u64);
    }
}
