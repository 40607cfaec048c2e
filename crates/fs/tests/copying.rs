//! Copies: clones, kernel copies, by hand; holes; sources that change.

#![allow(clippy::unwrap_used, reason = "what cannot be set up is a failed test")]

mod support;

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use support::{Mount, Scene, path, skipped};
use syncline_fs::{
    Copier, Error, Holes, OpenSource, Place, RelPath, Root, SourceFile, TempFiles, Trust,
};

const MB: usize = 1 << 20;

fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8 | 1
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn open(place: &Place<'_>) -> SourceFile {
    OpenSource::default().open(place).unwrap()
}

/// Copies `from` to `to` beneath `root` and returns how often progress was told, and the sum of it.
fn copy(root: &Root, copier: &Copier, from: &str, to: &str) -> Result<(usize, u64), Error> {
    let source = open(&root.place(path(from)).unwrap());
    let place = root.place(path(to)).unwrap();
    let mut temporary = TempFiles::new().create(&place, 0o644)?;
    let (mut told, mut sum) = (0, 0);
    copier.copy(&source, temporary.file(), temporary.path(), &mut |bytes| {
        told += 1;
        sum += bytes;
    })?;
    temporary.rename_to(&place)?;
    Ok((told, sum))
}

fn sparse_file(path: &Path) -> u64 {
    let file = File::create(path).unwrap();
    file.write_all_at(&noise(10_000), 3 * MB as u64).unwrap();
    file.write_all_at(&noise(5), 8 * MB as u64).unwrap();
    file.set_len(12 * MB as u64).unwrap();
    file.sync_all().unwrap();
    file.metadata().unwrap().blocks()
}

#[test]
fn files_of_every_size_arrive_whole_and_progress_adds_up() {
    let scene = Scene::new();
    let root = scene.root();
    for holes in [Holes::Keep, Holes::Make] {
        let copier = Copier::new(holes);
        for size in [0, 1, 4096, 65_536, 65_537, 3 * MB + 17] {
            scene.file("from", noise(size));
            let (_, sum) = copy(&root, &copier, "from", "to").unwrap();
            assert_eq!(sum, size as u64);
            assert!(fs::read(scene.inside("to")).unwrap() == noise(size));
        }
    }
}

#[test]
fn holes_are_kept_where_the_source_has_them() {
    let scene = Scene::new();
    let blocks = sparse_file(&scene.inside("from"));
    if blocks * 512 >= 12 * MB as u64 {
        skipped("holes_are_kept_where_the_source_has_them", "the file system makes no holes");
        return;
    }
    let (_, sum) = copy(&scene.root(), &Copier::default(), "from", "to").unwrap();
    assert_eq!(sum, 12 * MB as u64);
    assert!(fs::read(scene.inside("to")).unwrap() == fs::read(scene.inside("from")).unwrap());
    assert!(fs::metadata(scene.inside("to")).unwrap().blocks() <= blocks + 64);
}

#[test]
fn zeros_become_holes_on_request() {
    let scene = Scene::new();
    let mut content = vec![0; 4 * MB];
    content.extend(noise(100));
    content.extend(vec![0; MB]);
    scene.file("from", &content);
    copy(&scene.root(), &Copier::new(Holes::Make), "from", "to").unwrap();
    assert!(fs::read(scene.inside("to")).unwrap() == content);
    assert!(fs::metadata(scene.inside("to")).unwrap().blocks() * 512 < MB as u64);
}

#[test]
fn a_source_that_shrank_is_told_and_its_copy_does_not_stay() {
    let scene = Scene::new();
    let root = scene.root();
    for (holes, size) in [(Holes::Keep, 1000), (Holes::Keep, 2 * MB), (Holes::Make, 2 * MB)] {
        scene.file("from", noise(size));
        let source = open(&root.place(path("from")).unwrap());
        File::options().write(true).open(scene.inside("from")).unwrap().set_len(600).unwrap();
        let temporary = TempFiles::new().create(&root.place(path("to")).unwrap(), 0o644).unwrap();
        let result = source.copy_to(temporary.file(), temporary.path(), holes);
        assert!(
            matches!(result, Err(Error::Shrank { expected, .. }) if expected == size as u64),
            "{result:?}"
        );
        drop(temporary);
        assert_eq!(scene.names(""), ["from"]);
    }
}

#[test]
fn a_sparse_source_that_shrank_is_told_as_well() {
    let scene = Scene::new();
    sparse_file(&scene.inside("from"));
    let source = open(&scene.root().place(path("from")).unwrap());
    File::options().write(true).open(scene.inside("from")).unwrap().set_len(MB as u64).unwrap();
    let target = tempfile::tempfile().unwrap();
    let result = source.copy_to(&target, RelPath::ROOT, Holes::Keep);
    assert!(matches!(result, Err(Error::Shrank { .. })), "{result:?}");
}

#[test]
fn what_a_source_gains_is_not_copied() {
    let scene = Scene::new();
    let root = scene.root();
    scene.file("from", noise(100_000));
    let source = open(&root.place(path("from")).unwrap());
    File::options()
        .append(true)
        .open(scene.inside("from"))
        .unwrap()
        .write_all_at(&noise(100_000), 0)
        .unwrap();
    let target = tempfile::tempfile().unwrap();
    source.copy_to(&target, RelPath::ROOT, Holes::Keep).unwrap();
    assert_eq!(target.metadata().unwrap().len(), 100_000);
}

#[test]
fn a_basis_is_read_anywhere_and_its_end_is_known() {
    let scene = Scene::new();
    scene.file("f", b"0123456789");
    let source = open(&scene.root().place(path("f")).unwrap());
    let mut buffer = [0; 4];
    source.read_exact_at(&mut buffer, 3).unwrap();
    assert_eq!(&buffer, b"3456");
    assert_eq!(source.read_at(&mut buffer, 8).unwrap(), 2);
    assert!(matches!(
        source.read_exact_at(&mut buffer, 8),
        Err(Error::Shrank { expected: 10, found: 10, .. })
    ));
    assert_eq!((source.length(), source.stat().size), (10, 10));
}

#[test]
fn the_access_time_may_be_spared() {
    let scene = Scene::new();
    scene.file("f", "x");
    let root = scene.root();
    let place = root.place(path("f")).unwrap();
    let source = OpenSource { no_atime: true, ..OpenSource::default() }.open(&place).unwrap();
    assert_eq!(source.length(), 1);
}

#[test]
fn a_full_disk_during_a_kernel_copy_is_a_failed_write() {
    let mount = match Mount::tmpfs("size=1m") {
        Ok(mount) => mount,
        Err(reason) => return skipped("a_full_disk_during_a_kernel_copy", &reason),
    };
    let scene = Scene::new();
    scene.file("from", noise(3 * MB));
    let source = open(&scene.root().place(path("from")).unwrap());
    let small = Root::open(mount.path(), Trust::Owners).unwrap();
    let temporary = TempFiles::new().create(&small.place(path("to")).unwrap(), 0o600).unwrap();
    let error = source.copy_to(temporary.file(), path("to"), Holes::Keep).unwrap_err();
    assert_eq!(error.to_string(), "write \"to\" failed: No space left on device (28)");
}

/// Files that share their blocks take no further space.
fn clones_share_blocks(kind: &str, options: &[&str]) {
    let test = format!("a_copy_on_{kind}_is_a_clone");
    let mount = match Mount::image(kind, options) {
        Ok(mount) => mount,
        Err(reason) => return skipped(&test, &reason),
    };
    let root = Root::open(mount.path(), Trust::Owners).unwrap();
    let content = noise(40 * MB);
    fs::write(mount.path().join("from"), &content).unwrap();
    let copier = Copier::default();
    free_space(mount.path());
    let before = free_space(mount.path());
    for number in 0..8 {
        let name = format!("copy{number}");
        let (told, sum) = copy(&root, &copier, "from", &name).unwrap();
        assert_eq!((told, sum), (1, content.len() as u64), "cloned in one step");
        assert!(fs::read(mount.path().join(&name)).unwrap() == content);
    }
    let used = before.saturating_sub(free_space(mount.path()));
    assert!(used < 40 * MB as u64, "8 copies of 40 MiB took {used} bytes");

    // Between two file systems there is no cloning: the copy is made another way.
    let scene = Scene::new();
    scene.file("elsewhere", noise(MB));
    let source = open(&scene.root().place(path("elsewhere")).unwrap());
    let mut temporary = TempFiles::new().create(&root.place(path("x")).unwrap(), 0o600).unwrap();
    copier.copy(&source, temporary.file(), path("x"), &mut |_| {}).unwrap();
    temporary.rename_to(&root.place(path("x")).unwrap()).unwrap();
    assert!(fs::read(mount.path().join("x")).unwrap() == noise(MB));
}

/// Free bytes after everything is on disk.
fn free_space(path: &Path) -> u64 {
    let directory = File::open(path).unwrap();
    rustix::fs::syncfs(&directory).unwrap();
    let stat = rustix::fs::fstatvfs(&directory).unwrap();
    stat.f_bfree * stat.f_frsize
}

#[test]
fn a_copy_on_btrfs_is_a_clone() {
    clones_share_blocks("btrfs", &[]);
}

#[test]
fn a_copy_on_xfs_is_a_clone() {
    clones_share_blocks("xfs", &["-m", "reflink=1"]);
}
