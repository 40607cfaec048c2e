//! Somebody swaps directories and files for links while we work beneath them: nothing outside is ever touched.

#![allow(clippy::unwrap_used, reason = "what cannot be set up is a failed test")]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use support::{RESOLVERS, Scene, names, path, skipped};
use syncline_fs::{
    Attributes, FileWriter, Links, NewObject, Object, Obstruction, OpenSource, Resolver, Root,
    Space, TempFiles, Time,
};

/// A race is over when both sides have won often enough, or after so many rounds.
const MOST_ROUNDS: usize = 20_000;
const ENOUGH: usize = 40;

/// Runs `work` again and again while another thread flips `root/dir` between a directory and a link to `outside`.
/// `work` tells whether it found the directory.
fn while_flipping(scene: &Scene, root: &Root, mut work: impl FnMut(&Root, usize) -> bool) {
    let stop = AtomicBool::new(false);
    symlink("../outside", scene.inside("planted")).unwrap();
    let flip = || {
        let (one, other) = (scene.inside("dir"), scene.inside("planted"));
        renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).unwrap();
        std::thread::yield_now();
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                flip();
                flip();
            }
        });
        let (mut found, mut missed) = (0, 0);
        for round in 0..MOST_ROUNDS {
            root.forget(path("dir"));
            if work(root, round) {
                found += 1;
            } else {
                missed += 1;
            }
            if found.min(missed) >= ENOUGH {
                break;
            }
            std::thread::yield_now();
        }
        stop.store(true, Ordering::Relaxed);
        if found.min(missed) < ENOUGH {
            skipped("a part of a race", &format!("{found} times won, {missed} times lost"));
        }
    });
    fs::remove_file(scene.inside("planted")).unwrap();
}

fn roots(scene: &Scene) -> impl Iterator<Item = (Resolver, Links, Root)> {
    RESOLVERS.into_iter().flat_map(move |resolver| {
        [Links::Refuse, Links::Beneath]
            .map(|links| (resolver, links, scene.root().with_resolver(resolver).with_links(links)))
    })
}

fn assert_outside_untouched(scene: &Scene) {
    assert_eq!(names(&scene.outside("")), ["secret"]);
    assert_eq!(fs::read(scene.outside("secret")).unwrap(), b"secret");
}

#[test]
fn files_are_written_only_beneath_the_root() {
    let scene = Scene::new();
    scene.directory("dir");
    for (_, _, root) in roots(&scene) {
        let temporaries = TempFiles::new();
        while_flipping(&scene, &root, |root, _| {
            // While the name is a link, or is missing, there is an error; that is all.
            let Ok(place) = root.place(path("dir/secret")) else { return false };
            let mut temporary = temporaries.create(&place, 0o644).unwrap();
            let space = Space::Fresh { holes: false };
            let mut writer = FileWriter::new(temporary.file(), temporary.path(), space);
            writer.write(b"new").unwrap();
            writer.finish().unwrap();
            temporary.rename_to(&place).unwrap();
            true
        });
        assert_outside_untouched(&scene);
        assert!(scene.names("dir").iter().all(|name| name == "secret"));
    }
}

#[test]
fn objects_are_made_changed_and_removed_only_beneath_the_root() {
    let temporaries = TempFiles::new();
    let scene = Scene::new();
    scene.directory("dir");
    let before = fs::metadata(scene.outside("secret")).unwrap();
    for (_, _, root) in roots(&scene) {
        while_flipping(&scene, &root, |root, round| {
            let Ok(place) = root.place(path("dir/secret")) else { return false };
            let link = NewObject::Symlink { target: b"nowhere" };
            match round % 4 {
                0 => temporaries.replace(&place, &link).unwrap(),
                1 => drop(place.create_file(0o777)),
                2 => {
                    let attributes = Attributes {
                        mode: Some(0o777),
                        mtime: Some(Time { seconds: 7, nanos: 0 }),
                        ..Attributes::default()
                    };
                    if let Ok(now) = place.stat() {
                        // A link has no mode to set.
                        let _ = attributes.apply(Object::from(&place), &now, &mut |_| {});
                    }
                }
                _ => place.unlink_if_present().unwrap(),
            }
            true
        });
        assert_outside_untouched(&scene);
    }
    let after = fs::metadata(scene.outside("secret")).unwrap();
    assert_eq!(before.permissions(), after.permissions());
    assert_eq!(before.modified().unwrap(), after.modified().unwrap());
}

#[test]
fn whole_trees_are_made_and_removed_only_beneath_the_root() {
    let scene = Scene::new();
    scene.directory("dir");
    fs::create_dir_all(scene.outside("victim/deep")).unwrap();
    for (_, _, root) in roots(&scene) {
        while_flipping(&scene, &root, |root, _| {
            let path_made = path("dir/new/deep");
            let made = root.make_directories(path_made, 0o755, Obstruction::Refuse, |_| Ok(()));
            let _ = root.remove_tree(path("dir/new"));
            let _ = root.remove_tree(path("dir/victim"));
            made.is_ok()
        });
        assert_eq!(names(&scene.outside("")), ["secret", "victim"]);
        assert_eq!(names(&scene.outside("victim")), ["deep"]);
    }
}

#[test]
fn what_is_read_comes_from_beneath_the_root() {
    let scene = Scene::new();
    scene.file("dir/secret", "public");
    for (_, links, root) in roots(&scene) {
        while_flipping(&scene, &root, |root, _| {
            let found = match links {
                Links::Beneath => OpenSource::default().open_following(root, path("dir/secret")),
                _ => root
                    .place(path("dir/secret"))
                    .and_then(|place| OpenSource::default().open(&place)),
            };
            let Ok(source) = found else { return false };
            let mut content = [0; 6];
            source.read_exact_at(&mut content, 0).unwrap();
            assert_eq!(&content, b"public");
            true
        });
    }
}

#[test]
fn a_directory_swapped_while_its_tree_is_removed_does_not_lead_elsewhere() {
    let scene = Scene::new();
    for _ in 0..60 {
        for number in 0..20 {
            scene.file(&format!("doomed/dir/f{number}"), "");
        }
        let root = scene.root();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _ = fs::rename(scene.inside("doomed/dir"), scene.inside("aside"));
                let _ = symlink("../../outside", scene.inside("doomed/dir"));
            });
            let _ = root.remove_tree(path("doomed"));
        });
        for leftover in ["doomed", "aside"] {
            let _ = root.remove_tree(path(leftover));
        }
        assert_outside_untouched(&scene);
    }
}
