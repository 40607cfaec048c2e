//! Batch files are exchangeable with the stock program, both ways.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::process::Command;

/// Runs a program in `folder`; its output and whether it succeeded.
fn run(folder: &Path, program: &str, words: &[&str]) -> (bool, String) {
    let mut command = Command::new(program);
    command.current_dir(folder).args(words).env("LC_ALL", "C").env_remove("RSYNC_RSH");
    let output = command.output().unwrap();
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text)
}

fn lines(from: u32, to: u32) -> String {
    (from..to).map(|number| number.to_string() + "\n").collect()
}

/// A source, and two destinations that hold an older version of it.
fn trees() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for directory in ["src/d", "one", "two"] {
        std::fs::create_dir_all(at(directory)).unwrap();
    }
    std::fs::write(at("src/f"), lines(0, 20_000)).unwrap();
    std::fs::write(at("src/d/g"), lines(5, 9_000)).unwrap();
    std::fs::hard_link(at("src/f"), at("src/h")).unwrap();
    std::os::unix::fs::symlink("f", at("src/l")).unwrap();
    for destination in ["one", "two"] {
        let old = lines(0, 20_000).replace("5000", "older");
        std::fs::write(at(destination).join("f"), old).unwrap();
        std::fs::write(at(destination).join("gone"), "x").unwrap();
    }
    folder
}

fn exchange(writer: &str, reader: &str, words: &[&str]) {
    let folder = trees();
    let common = [&["-a"], words].concat();
    let write = [&common[..], &["--write-batch=batch", "src/", "one/"]].concat();
    let (done, text) = run(folder.path(), writer, &write);
    assert!(done, "{writer} {write:?}: {text}");
    let read = [&common[..], &["--read-batch=batch", "two/"]].concat();
    let (done, text) = run(folder.path(), reader, &read);
    assert!(done, "{reader} {read:?}: {text}");
    let (same, text) = run(folder.path(), "diff", &["-r", "--no-dereference", "one", "two"]);
    assert!(same, "{writer} to {reader} with {words:?}: {text}");
}

#[test]
fn batches_are_exchangeable_with_stock() {
    if common::stock_is_missing("batches_are_exchangeable_with_stock") {
        return;
    }
    let (ours, stock) = (common::OURS, "rsync");
    let forms: [&[&str]; 7] = [
        &[],
        &["-H", "--delete"],
        &["-z"],
        &["--no-inc-recursive"],
        &["--protocol=29"],
        &["--protocol=27", "-H"],
        &["--inplace", "-B700"],
    ];
    for words in forms {
        exchange(ours, stock, words);
        exchange(stock, ours, words);
        exchange(ours, ours, words);
    }
}

#[test]
fn what_a_batch_lacks_or_has_too_much_is_told() {
    let ours = common::OURS;
    let folder = trees();
    let at = |name: &str| folder.path().join(name);
    std::fs::copy(at("src/f"), at("two/f")).unwrap();
    std::fs::write(at("one/h"), lines(0, 20_000)).unwrap();
    for name in ["src/f", "one/h"] {
        let file = std::fs::File::options().write(true).open(at(name)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    }
    let file = std::fs::File::options().write(true).open(at("two/f")).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    let (done, text) = run(folder.path(), ours, &["-rt", "--write-batch=batch", "src/", "one/"]);
    assert!(done, "{text}");
    let (done, text) = run(folder.path(), ours, &["-rt", "--read-batch=batch", "two/"]);
    assert!(!done);
    assert!(text.contains("(Skipping batched update for \"f\")"), "{text}");
    assert!(text.contains("(No batched update for \"h\")"), "{text}");
    assert_eq!(std::fs::read(at("two/d/g")).unwrap(), std::fs::read(at("src/d/g")).unwrap());
}
