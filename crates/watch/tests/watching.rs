//! What a watcher tells, through both back ends.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails, or says why it was skipped"
)]

mod support;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use support::{Copy, listing};
use syncline_watch::{
    Backend, Change, Error, Exclude, Lost, OnLimit, Options, Place, Root, RootId, Watcher,
};

const PATIENCE: Duration = Duration::from_secs(20);

fn place(path: impl AsRef<[u8]>) -> Place {
    Place { root: RootId(0), path: path.as_ref().to_vec() }
}

/// Runs a test with a watcher on `top/d` through each back end that this process may use.
fn both(name: &str, options: &Options, test: impl Fn(&mut Watcher, &Path)) {
    for backend in [Backend::Inotify, Backend::Fanotify] {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path();
        fs::create_dir_all(top.join("d/old")).unwrap();
        fs::create_dir_all(top.join("e/t/u")).unwrap();
        touch(top.join("e/t/u/f"));
        let made = Watcher::new(Options { backend, ..options.clone() })
            .and_then(|mut watcher| watcher.add(Root::tree(top.join("d"))).map(|_| watcher));
        match made {
            Ok(mut watcher) => test(&mut watcher, top),
            Err(error @ Error::Fanotify { .. }) => {
                eprintln!("SKIPPED {name} with {backend:?}: {error}");
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// The changes up to the one wanted, which is the last.
fn until(watcher: &mut Watcher, wanted: impl Fn(&Change) -> bool) -> Vec<Change> {
    let mut all = Vec::new();
    while let Some(change) = watcher.next_change(Some(PATIENCE)).unwrap() {
        let found = wanted(&change);
        all.push(change);
        if found {
            return all;
        }
    }
    panic!("never told; got {all:?}");
}

fn until_appears(watcher: &mut Watcher, path: impl AsRef<[u8]>) -> Vec<Change> {
    let wanted = place(path);
    until(watcher, |change| matches!(change, Change::Appeared { place, .. } if *place == wanted))
}

fn touch(path: impl AsRef<Path>) {
    fs::write(path, b"").unwrap();
}

#[test]
fn a_rename_is_one_change() {
    both("a_rename_is_one_change", &Options::default(), |watcher, top| {
        touch(top.join("d/a"));
        until(watcher, |change| matches!(change, Change::Written { .. }));
        fs::rename(top.join("d/a"), top.join("d/old/b")).unwrap();
        let told = until(watcher, |_| true);
        assert_eq!(
            told,
            [Change::Renamed { from: place("a"), to: place("old/b"), directory: false }]
        );
        fs::rename(top.join("d/old"), top.join("d/new")).unwrap();
        let told = until(watcher, |_| true);
        assert_eq!(
            told,
            [Change::Renamed { from: place("old"), to: place("new"), directory: true }]
        );
        touch(top.join("d/new/f"));
        until_appears(watcher, "new/f");
    });
}

#[test]
fn a_tree_moved_in_is_told_with_its_contents_and_a_tree_moved_out_is_gone() {
    let name = "a_tree_moved_in_is_told_with_its_contents_and_a_tree_moved_out_is_gone";
    both(name, &Options::default(), |watcher, top| {
        fs::rename(top.join("e/t"), top.join("d/t")).unwrap();
        let told = until_appears(watcher, "t/u/f");
        let paths: Vec<_> = told
            .iter()
            .filter_map(|change| match change {
                Change::Appeared { place, .. } => {
                    Some(String::from_utf8_lossy(&place.path).into_owned())
                }
                _ => None,
            })
            .collect();
        assert_eq!(paths, ["t", "t/u", "t/u/f"]);
        fs::rename(top.join("d/t"), top.join("e/t")).unwrap();
        until(watcher, |change| *change == Change::Vanished { place: place("t"), directory: true });
        touch(top.join("e/t/u/g"));
        touch(top.join("d/end"));
        let told = until_appears(watcher, "end");
        assert!(!told.iter().any(
            |change| matches!(change, Change::Appeared { place, .. } if place.path != b"end")
        ));
    });
}

#[test]
fn names_with_newlines_and_bytes_that_are_no_text_are_told_as_they_are() {
    both("names_with_newlines", &Options::default(), |watcher, top| {
        for name in [b"a\nb".as_slice(), b"\xff\xfe", b" ", b"-rf"] {
            touch(top.join("d").join(std::ffi::OsStr::from_bytes(name)));
            until_appears(watcher, name);
        }
    });
}

#[test]
fn links_and_pipes_are_complete_when_they_appear_and_files_are_not() {
    both("links_and_pipes_are_complete", &Options::default(), |watcher, top| {
        touch(top.join("d/f"));
        let told = until_appears(watcher, "f");
        assert!(matches!(told.last(), Some(Change::Appeared { complete: false, .. })));
        std::os::unix::fs::symlink("f", top.join("d/s")).unwrap();
        let told = until_appears(watcher, "s");
        assert!(matches!(told.last(), Some(Change::Appeared { complete: true, .. })));
        fs::hard_link(top.join("d/f"), top.join("d/h")).unwrap();
        let told = until_appears(watcher, "h");
        assert!(matches!(told.last(), Some(Change::Appeared { complete: true, .. })));
    });
}

#[test]
fn a_lost_root_is_told_and_watched_again_when_it_is_back() {
    let options = Options { reattach: true, ..Options::default() };
    both("a_lost_root_is_told_and_watched_again_when_it_is_back", &options, |watcher, top| {
        let lost = |reason| Change::RootLost { root: RootId(0), reason };
        fs::rename(top.join("d"), top.join("away")).unwrap();
        until(watcher, |change| *change == lost(Lost::Moved));
        fs::create_dir(top.join("d")).unwrap();
        touch(top.join("d/here"));
        until(watcher, |change| *change == Change::RootBack { root: RootId(0) });
        until_appears(watcher, "here");
        fs::remove_dir_all(top.join("d")).unwrap();
        until(watcher, |change| *change == lost(Lost::Deleted));
        fs::create_dir(top.join("d")).unwrap();
        until(watcher, |change| *change == Change::RootBack { root: RootId(0) });
        touch(top.join("d/again"));
        until_appears(watcher, "again");
    });
}

#[test]
fn the_rename_of_a_directory_above_the_root_loses_it() {
    for backend in [Backend::Inotify, Backend::Fanotify] {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir_all(top.path().join("a/b/c")).unwrap();
        let made =
            Watcher::new(Options { backend, ..Options::default() }).and_then(|mut watcher| {
                watcher.add(Root::tree(top.path().join("a/b/c"))).map(|_| watcher)
            });
        let Ok(mut watcher) = made else {
            eprintln!("SKIPPED the_rename_of_a_directory_above_the_root_loses_it with {backend:?}");
            continue;
        };
        fs::rename(top.path().join("a"), top.path().join("z")).unwrap();
        until(&mut watcher, |change| {
            matches!(change, Change::RootLost { reason: Lost::Moved, .. })
        });
    }
}

#[test]
fn a_single_file_is_seen_through_every_replacement() {
    for backend in [Backend::Inotify, Backend::Fanotify] {
        let top = tempfile::tempdir().unwrap();
        let file = top.path().join("f");
        touch(&file);
        let made = Watcher::new(Options { backend, ..Options::default() })
            .and_then(|mut watcher| watcher.add(Root::tree(&file)).map(|_| watcher));
        let Ok(mut watcher) = made else {
            eprintln!("SKIPPED a_single_file_is_seen_through_every_replacement with {backend:?}");
            continue;
        };
        for _ in 0..3 {
            touch(top.path().join("f.new"));
            fs::rename(top.path().join("f.new"), &file).unwrap();
            until_appears(&mut watcher, "");
        }
        fs::write(&file, "x").unwrap();
        until(&mut watcher, |change| *change == Change::Written { place: place("") });
        fs::remove_file(&file).unwrap();
        until(&mut watcher, |change| matches!(change, Change::Vanished { .. }));
        touch(&file);
        until_appears(&mut watcher, "");
    }
}

struct NoSecrets;

impl Exclude for NoSecrets {
    fn hides(&self, _: RootId, path: &[u8], _: bool) -> bool {
        path.rsplit(|&byte| byte == b'/').next() == Some(b"secret")
    }
}

#[test]
fn what_is_excluded_is_neither_watched_nor_told() {
    let options = Options { exclude: Some(std::sync::Arc::new(NoSecrets)), ..Options::default() };
    both("what_is_excluded_is_neither_watched_nor_told", &options, |watcher, top| {
        let before = watcher.watches();
        fs::create_dir_all(top.join("d/secret/deep")).unwrap();
        touch(top.join("d/secret/deep/f"));
        fs::rename(top.join("d/old"), top.join("d/new")).unwrap();
        fs::create_dir(top.join("d/new/secret")).unwrap();
        touch(top.join("d/new/secret/f"));
        touch(top.join("d/end"));
        let told = until_appears(watcher, "end");
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(watcher.watches(), before);
    });
}

#[test]
fn followed_links_do_not_lead_in_circles() {
    let top = tempfile::tempdir().unwrap();
    fs::create_dir_all(top.path().join("d/sub")).unwrap();
    fs::create_dir(top.path().join("other")).unwrap();
    std::os::unix::fs::symlink("..", top.path().join("d/sub/up")).unwrap();
    std::os::unix::fs::symlink("../other", top.path().join("d/link")).unwrap();
    let options = Options { follow_links: true, ..Options::default() };
    let mut watcher = Watcher::new(options).unwrap();
    watcher.add(Root::tree(top.path().join("d"))).unwrap();
    let mut watched: Vec<_> = watcher.watched().into_iter().map(|(_, path)| path).collect();
    watched.sort_unstable();
    assert_eq!(watched, [b"".to_vec(), b"link".to_vec(), b"sub".to_vec()]);
    touch(top.path().join("other/f"));
    until_appears(&mut watcher, "link/f");
}

#[test]
fn an_overflow_is_told_and_a_copy_made_right_by_what_follows() {
    both("an_overflow_is_told", &Options::default(), |watcher, top| {
        let mut copy = Copy { entries: listing(&top.join("d")) };
        for n in 0..20_000 {
            touch(top.join(format!("d/{n}")));
        }
        fs::remove_dir(top.join("d/old")).unwrap();
        let mut overflowed = false;
        while let Some(change) = watcher.next_change(Some(Duration::from_millis(100))).unwrap() {
            overflowed |= change == Change::Overflow;
            copy.apply(&top.join("d"), &change);
        }
        assert!(overflowed);
        assert_eq!(copy.entries, listing(&top.join("d")));
    });
}

#[test]
fn after_an_overflow_names_that_are_remembered_are_compared_and_the_differences_told_once() {
    let options = Options { remember_names: true, ..Options::default() };
    both("after_an_overflow_names_that_are_remembered_are_compared", &options, |watcher, top| {
        touch(top.join("d/gone"));
        touch(top.join("d/kept"));
        until(watcher, |change| *change == Change::Written { place: place("kept") });
        for n in 0..20_000 {
            touch(top.join(format!("d/{n}")));
        }
        fs::remove_file(top.join("d/gone")).unwrap();
        fs::write(top.join("d/kept"), "longer").unwrap();
        fs::rename(top.join("d/old"), top.join("d/new")).unwrap();
        touch(top.join("d/new/f"));
        let mut told = Vec::new();
        while let Some(change) = watcher.next_change(Some(Duration::from_millis(100))).unwrap() {
            told.push(change);
        }
        let count = |wanted: &Change| told.iter().filter(|change| *change == wanted).count();
        assert_eq!(count(&Change::Overflow), 1);
        assert!(!told.iter().any(|change| matches!(change, Change::Rescan { .. })));
        assert_eq!(count(&Change::Vanished { place: place("gone"), directory: false }), 1);
        assert!(count(&Change::Written { place: place("kept") }) > 0);
        let mut appeared: Vec<Vec<u8>> = told
            .iter()
            .filter_map(|change| match change {
                Change::Appeared { place, .. } => Some(place.path.clone()),
                _ => None,
            })
            .collect();
        let all = appeared.len();
        appeared.sort_unstable();
        appeared.dedup();
        assert_eq!(appeared.len(), all, "nothing appears twice");
        assert_eq!(all, 20_000 + 2);
    });
}

#[test]
fn a_changed_mode_of_a_subdirectory_is_told() {
    use std::os::unix::fs::PermissionsExt;
    both("a_changed_mode_of_a_subdirectory_is_told", &Options::default(), |watcher, top| {
        fs::set_permissions(top.join("d/old"), fs::Permissions::from_mode(0o700)).unwrap();
        let told = until(watcher, |_| true);
        assert_eq!(told, [Change::Attributes { place: place("old"), directory: true }]);
    });
}

#[test]
fn a_root_that_is_a_link_is_watched_itself_when_that_is_asked_for() {
    for backend in [Backend::Auto, Backend::Inotify, Backend::Fanotify] {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir(top.path().join("d")).unwrap();
        std::os::unix::fs::symlink("d", top.path().join("link")).unwrap();
        let options = Options { backend, watch_links: true, ..Options::default() };
        let added = Watcher::new(options).and_then(|mut watcher| {
            watcher.add(Root::single(top.path().join("link"))).map(|_| watcher)
        });
        let Ok(mut watcher) = added else {
            eprintln!("SKIPPED a_root_that_is_a_link_is_watched_itself with {backend:?}");
            continue;
        };
        touch(top.path().join("d/f"));
        std::os::unix::fs::symlink("elsewhere", top.path().join("new")).unwrap();
        fs::rename(top.path().join("new"), top.path().join("link")).unwrap();
        let told = until(&mut watcher, |_| true);
        assert!(
            matches!(&told[..], [Change::Appeared { place: at, .. }] if at.path.is_empty()),
            "{backend:?}: {told:?}"
        );
    }
}

/// Runs the test that calls it once more, alone in a mount namespace of its own; true there.
fn in_own_mounts(name: &str) -> bool {
    const MARK: &str = "SYNCLINE_OWN_MOUNTS";
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let unshare = |words: &[&std::ffi::OsStr]| {
        let mut command = std::process::Command::new("unshare");
        command.args(["-m", "--propagation", "private"]).args(words);
        command
    };
    if !unshare(&["true".as_ref()]).output().is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED {name}: may not make a mount namespace");
        return false;
    }
    let program = std::env::current_exe().unwrap();
    let mut command = unshare(&[program.as_os_str(), name.as_ref(), "--exact".as_ref()]);
    let output = command.arg("--nocapture").env(MARK, "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    eprint!("{text}");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    false
}

fn run(program: &str, words: &[&str], directory: &Path) {
    let output =
        std::process::Command::new(program).args(words).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_is_mounted_below_the_root_is_watched_too_and_can_be_unmounted() {
    let name = "what_is_mounted_below_the_root_is_watched_too_and_can_be_unmounted";
    if !in_own_mounts(name) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let top = directory.path();
    fs::create_dir_all(top.join("d/early/hidden")).unwrap();
    fs::create_dir_all(top.join("d/late")).unwrap();
    fs::create_dir(top.join("elsewhere")).unwrap();
    fs::create_dir(top.join("d/bound")).unwrap();
    run("mount", &["-t", "tmpfs", "early", "d/early"], top);
    run("mount", &["--bind", "elsewhere", "d/bound"], top);
    let mut watcher =
        Watcher::new(Options { backend: Backend::Fanotify, ..Options::default() }).unwrap();
    if let Err(error) = watcher.add(Root::tree(top.join("d"))) {
        eprintln!("SKIPPED {name}: {error}");
        return;
    }
    fs::create_dir(top.join("d/early/sub")).unwrap();
    touch(top.join("d/early/sub/f"));
    until_appears(&mut watcher, "early/sub/f");
    touch(top.join("d/bound/f"));
    until_appears(&mut watcher, "bound/f");
    run("mount", &["-t", "tmpfs", "late", "d/late"], top);
    until_appears(&mut watcher, "late");
    fs::rename(top.join("d/early/sub"), top.join("d/early/renamed")).unwrap();
    touch(top.join("d/late/f"));
    until_appears(&mut watcher, "late/f");
    touch(top.join("d/early/renamed/g"));
    until_appears(&mut watcher, "early/renamed/g");
    run("umount", &["d/early"], top);
    let told = until_appears(&mut watcher, "early/hidden");
    let gone = Change::Vanished { place: place("early"), directory: true };
    assert!(told.contains(&gone), "{told:?}");
    touch(top.join("d/early/hidden/h"));
    until_appears(&mut watcher, "early/hidden/h");
}

#[test]
fn a_mount_that_cannot_be_marked_is_told_or_makes_the_automatic_choice_another() {
    let name = "a_mount_that_cannot_be_marked_is_told_or_makes_the_automatic_choice_another";
    if !in_own_mounts(name) {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    fs::create_dir_all(top.path().join("d/proc")).unwrap();
    run("mount", &["-t", "proc", "proc", "d/proc"], top.path());
    let root = || Root::single(top.path().join("d/proc"));
    let mut watcher = Watcher::new(Options::default()).unwrap();
    watcher.add(root()).unwrap();
    assert_eq!(watcher.backend(), Backend::Inotify);
    let mut watcher =
        Watcher::new(Options { backend: Backend::Fanotify, ..Options::default() }).unwrap();
    if let Err(error) = watcher.add(Root::tree(top.path().join("d"))) {
        eprintln!("SKIPPED {name}: {error}");
        return;
    }
    let told = until(&mut watcher, |_| true);
    assert!(
        matches!(&told[..], [Change::Unwatched { place: at, .. }] if *at == place("proc")),
        "{told:?}"
    );
}

#[test]
fn r36_what_a_receiving_rsync_writes_settles_as_its_final_names_once() {
    use syncline_watch::settle::{Rules, Settled, Settler};
    let name = "r36_what_a_receiving_rsync_writes_settles_as_its_final_names_once";
    let top = tempfile::tempdir().unwrap();
    fs::create_dir_all(top.path().join("from/sub")).unwrap();
    fs::create_dir(top.path().join("to")).unwrap();
    for file in ["a", "sub/b"] {
        fs::write(top.path().join("from").join(file), vec![b'x'; 3 << 20]).unwrap();
    }
    let mut watcher = Watcher::new(Options::default()).unwrap();
    watcher.add(Root::tree(top.path().join("to"))).unwrap();
    let copied = std::process::Command::new("rsync")
        .args(["-a", "from/", "to/"])
        .current_dir(top.path())
        .status();
    if !copied.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED {name}: needs rsync");
        return;
    }
    let mut settler = Settler::new(Rules::default());
    while let Some(change) = watcher.next_change(Some(Duration::from_millis(50))).unwrap() {
        settler.feed(Duration::ZERO, &change);
    }
    let settled = settler.take(PATIENCE);
    let mut names: Vec<_> = settled
        .iter()
        .filter(|settled| matches!(settled, Settled::Changed { directory: false, .. }))
        .map(|settled| String::from_utf8_lossy(&settled.place().path).into_owned())
        .collect();
    names.sort_unstable();
    // A directory that was told as a whole stands for what is in it.
    let whole = settled
        .iter()
        .any(|settled| matches!(settled, Settled::Changed { whole: true, place, .. } if place.path == b"sub"));
    assert_eq!(names, if whole { vec!["a"] } else { vec!["a", "sub/b"] }, "{settled:?}");
}

/// The limit is the machine's: what is tested is that its error says all there is to say.
#[test]
fn the_error_of_the_limit_says_what_is_needed_what_is_allowed_and_what_to_do() {
    let error = Error::WatchLimit { path: "/srv".into(), needed: 1000, limit: 100 };
    assert_eq!(
        error.to_string(),
        "cannot watch /srv: it has 1000 directories and the limit on watches is 100; \
         raise it with: sysctl fs.inotify.max_user_watches=2048"
    );
    assert_eq!(OnLimit::default(), OnLimit::Fail);
}
