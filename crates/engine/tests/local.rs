//! The receiving side's promises, seen through copies within this machine.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use syncline_engine::local::LocalPlan;
use syncline_engine::session::rules_of;
use syncline_engine::source::OperatorFiles;
use syncline_engine::{Event, ExitCode, Job, Monitor, Observer, Place};
use syncline_options::{Command, Context};

/// A source and a destination in a directory of their own.
struct Trees {
    top: tempfile::TempDir,
}

/// What a run came to.
struct Outcome {
    code: ExitCode,
    /// Items and deletions in the order they were told.
    told: Vec<String>,
    problems: Vec<String>,
    transferred: u64,
    matched: u64,
}

#[derive(Default)]
struct Notes {
    told: Mutex<Vec<String>>,
    problems: Mutex<Vec<String>>,
}

impl Observer for Notes {
    fn event(&self, event: &Event<'_>) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let told = match event {
            Event::Item(item) if item.moved.is_none() => text(&item.entry.path()),
            Event::Deleted { path, .. } => format!("-{}", text(path)),
            Event::Problem(problem) => {
                self.problems.lock().unwrap().push(text(&problem.text));
                return;
            }
            _ => return,
        };
        self.told.lock().unwrap().push(told);
    }
}

impl Trees {
    fn new() -> Self {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir(top.path().join("src")).unwrap();
        fs::create_dir(top.path().join("dst")).unwrap();
        Self { top }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.top.path().join(path)
    }

    fn write(&self, path: &str, content: &str) -> PathBuf {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        age(&path, 1_000_000_000);
        path
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap()
    }

    fn inode(&self, path: &str) -> u64 {
        fs::metadata(self.at(path)).unwrap().ino()
    }

    /// Copies `src/` to `dst/`.
    fn copy(&self, options: &[&str]) -> Outcome {
        self.run(options, &["src/", "dst/"])
    }

    fn run(&self, options: &[&str], arguments: &[&str]) -> Outcome {
        let words: Vec<Vec<u8>> =
            options.iter().chain(arguments).map(|word| word.as_bytes().to_vec()).collect();
        let context = Context::at(jiff::Zoned::now());
        let command = syncline_options::parse(&words, &context).unwrap();
        let Command::Transfer(options) = command else { panic!("not a transfer") };
        let mut sources: Vec<Vec<u8>> =
            arguments.iter().map(|argument| argument.as_bytes().to_vec()).collect();
        let destination = sources.pop();
        let mut files = OperatorFiles::default();
        let rules = rules_of(&options, &mut files).unwrap();
        let notes = Arc::new(Notes::default());
        let monitor = Monitor::new(notes.clone());
        let plan = LocalPlan {
            names: None,
            job: Job::new(*options, Place::Local),
            sources,
            destination,
            listing: false,
            start: self.top.path().to_path_buf(),
            rules,
            files,
        };
        let (result, _) = plan.run(&|_| {}, &monitor);
        let code = result.unwrap_or_else(|error| error.exit_code());
        Outcome {
            code,
            told: std::mem::take(&mut notes.told.lock().unwrap()),
            problems: std::mem::take(&mut notes.problems.lock().unwrap()),
            transferred: monitor.tally().transferred.get(),
            matched: monitor.tally().matched.get(),
        }
    }
}

fn age(path: &Path, seconds: u64) {
    let file = fs::File::open(path).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_tree_arrives_with_its_attributes_and_a_second_run_finds_nothing_to_do() {
    let trees = Trees::new();
    trees.write("src/a", "one");
    let b = trees.write("src/d/e/b", "two");
    fs::set_permissions(&b, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("a", trees.at("src/link")).unwrap();
    age(&trees.at("src/d/e"), 900_000_000);
    let first = trees.copy(&["-a"]);
    assert_eq!((first.code, first.transferred), (ExitCode::OK, 2));
    assert_eq!(trees.read("dst/d/e/b"), "two");
    let b = fs::metadata(trees.at("dst/d/e/b")).unwrap();
    assert_eq!((b.mode() & 0o7777, b.mtime()), (0o640, 1_000_000_000));
    assert_eq!(fs::metadata(trees.at("dst/d/e")).unwrap().mtime(), 900_000_000);
    assert_eq!(fs::read_link(trees.at("dst/link")).unwrap(), Path::new("a"));
    let second = trees.copy(&["-a"]);
    assert_eq!((second.told.len(), second.transferred), (0, 0));
}

#[test]
fn items_are_told_in_the_order_of_the_list_however_many_threads_copy() {
    let trees = Trees::new();
    let mut expected = vec![".".to_owned()];
    for number in 0..200 {
        trees.write(&format!("src/f{number:03}"), &"x".repeat(number * 50));
        expected.push(format!("f{number:03}"));
    }
    let run = trees.run(&["-r"], &["src/", "new/"]);
    assert_eq!(run.told, expected);
    assert_eq!(names(&trees.at("new")).len(), 200, "and no temporary file is left");
}

#[test]
fn what_the_source_lacks_is_deleted_last_name_first_and_never_what_a_rule_protects() {
    let trees = Trees::new();
    trees.write("src/keep", "x");
    for path in ["dst/gone/one", "dst/gone/two", "dst/more", "dst/safe.o"] {
        trees.write(path, "y");
    }
    let run = trees.copy(&["-r", "--delete", "--exclude=*.o"]);
    assert_eq!(run.told, ["-gone/two", "-gone/one", "-gone", "-more", "keep"]);
    assert_eq!(names(&trees.at("dst")), ["keep", "safe.o"]);
}

#[test]
fn a_limit_on_deletions_is_kept_and_reported() {
    let trees = Trees::new();
    trees.write("src/keep", "x");
    for path in ["dst/1", "dst/2", "dst/3"] {
        trees.write(path, "y");
    }
    let run = trees.copy(&["-r", "--delete", "--max-delete=1"]);
    assert_eq!(run.code, ExitCode::DELETE_LIMIT);
    assert_eq!(names(&trees.at("dst")), ["1", "2", "keep"]);
    assert_eq!(run.problems, ["Deletions stopped due to --max-delete limit (2 skipped)"]);
}

#[test]
fn links_between_files_are_made_again_and_joined_where_copies_were() {
    let trees = Trees::new();
    let a = trees.write("src/a", "same");
    fs::hard_link(&a, trees.at("src/b")).unwrap();
    fs::create_dir(trees.at("src/sub")).unwrap();
    fs::hard_link(&a, trees.at("src/sub/c")).unwrap();
    trees.write("dst/b", "same");
    assert_eq!(trees.copy(&["-aH"]).code, ExitCode::OK);
    assert_eq!(trees.inode("dst/a"), trees.inode("dst/b"));
    assert_eq!(trees.inode("dst/a"), trees.inode("dst/sub/c"));
    assert_eq!(fs::metadata(trees.at("dst/a")).unwrap().nlink(), 3);
}

#[test]
fn the_old_file_is_kept_under_its_backup_name_with_its_own_inode() {
    let trees = Trees::new();
    trees.write("src/f", "new content");
    trees.write("dst/f", "old");
    let inode = trees.inode("dst/f");
    trees.copy(&["-ab"]);
    assert_eq!(trees.read("dst/f"), "new content");
    assert_eq!((trees.read("dst/f~"), trees.inode("dst/f~")), ("old".to_owned(), inode));
}

#[test]
fn an_exact_file_of_a_link_directory_is_linked_and_a_stale_one_is_not() {
    let trees = Trees::new();
    trees.write("src/same", "content");
    trees.write("src/changed", "new");
    trees.write("ref/same", "content");
    trees.write("ref/changed", "older");
    let run = trees.copy(&["-a", "--link-dest=../ref"]);
    assert_eq!((run.code, run.transferred), (ExitCode::OK, 1));
    assert_eq!(trees.inode("dst/same"), trees.inode("ref/same"));
    assert_eq!(trees.read("dst/changed"), "new");
    assert_eq!(trees.read("ref/changed"), "older");
}

#[test]
fn a_directory_in_the_way_of_a_file_stays_unless_it_may_be_emptied() {
    let trees = Trees::new();
    trees.write("src/name", "file");
    trees.write("dst/name/inside", "x");
    let refused = trees.copy(&["-r"]);
    assert_eq!(refused.code, ExitCode::PARTIAL);
    assert_eq!(refused.problems, ["could not make way for new regular file: name"]);
    assert_eq!(trees.read("dst/name/inside"), "x");
    assert_eq!(trees.copy(&["-r", "--force"]).code, ExitCode::OK);
    assert_eq!(trees.read("dst/name"), "file");
}

#[test]
fn a_link_at_the_destination_is_replaced_and_never_written_through() {
    let trees = Trees::new();
    trees.write("src/f", "content");
    trees.write("src/d/g", "content");
    trees.write("outside/f", "safe");
    symlink("../outside/f", trees.at("dst/f")).unwrap();
    symlink("../outside", trees.at("dst/d")).unwrap();
    assert_eq!(trees.copy(&["-r", "--inplace"]).code, ExitCode::OK);
    assert_eq!(trees.read("outside/f"), "safe");
    assert_eq!(names(&trees.at("outside")), ["f"]);
    assert_eq!(trees.read("dst/d/g"), "content");
}

#[test]
fn delayed_files_change_together_and_leave_no_directory_behind() {
    let trees = Trees::new();
    trees.write("src/a", "new a");
    trees.write("src/d/b", "new b");
    trees.write("dst/a", "old");
    assert_eq!(trees.copy(&["-a", "--delay-updates"]).code, ExitCode::OK);
    assert_eq!(trees.read("dst/a"), "new a");
    assert_eq!(trees.read("dst/d/b"), "new b");
    assert_eq!(names(&trees.at("dst")), ["a", "d"]);
    assert_eq!(names(&trees.at("dst/d")), ["b"]);
}

#[test]
fn a_bad_prefix_is_found_by_append_verify_and_left_by_append() {
    let trees = Trees::new();
    trees.write("src/f", "right and longer");
    trees.write("dst/f", "wrong");
    assert_eq!(trees.copy(&["-a", "--append"]).code, ExitCode::OK);
    assert_eq!(trees.read("dst/f"), "wrong and longer");
    trees.write("dst/f", "wrong");
    assert_eq!(trees.copy(&["-a", "--append-verify"]).code, ExitCode::OK);
    assert_eq!(trees.read("dst/f"), "right and longer");
}

#[test]
fn a_dry_run_tells_everything_and_changes_nothing() {
    let trees = Trees::new();
    trees.write("src/d/f", "x");
    trees.write("dst/gone", "y");
    let run = trees.copy(&["-rn", "--delete"]);
    assert_eq!(run.told, ["-gone", "d", "d/f"]);
    assert_eq!(names(&trees.at("dst")), ["gone"]);
    trees.run(&["-rn"], &["src/", "new/"]);
    assert!(!trees.at("new").exists());
}

#[test]
fn one_file_takes_the_name_of_the_destination_and_several_need_a_directory() {
    let trees = Trees::new();
    trees.write("src/f", "x");
    trees.write("src/g", "y");
    trees.run(&["-a"], &["src/f", "name"]);
    assert_eq!(trees.read("name"), "x");
    let run = trees.run(&["-a"], &["src/f", "src/g", "name"]);
    assert_eq!(run.code, ExitCode::SELECTION);
    assert_eq!(trees.read("name"), "x");
    assert_eq!(trees.run(&["-a"], &["src/f", "no/such/name"]).code, ExitCode::SELECTION);
}

#[test]
fn sources_go_once_their_copies_are_safe_and_never_those_that_were_skipped() {
    let trees = Trees::new();
    trees.write("src/moved", "x");
    trees.write("src/older", "y");
    let newer = trees.write("dst/older", "newer");
    age(&newer, 1_100_000_000);
    trees.copy(&["-au", "--remove-source-files"]);
    assert_eq!(names(&trees.at("src")), ["older"]);
    assert_eq!(trees.read("dst/moved"), "x");
    assert_eq!(trees.read("dst/older"), "newer");
}

#[test]
fn as_a_user_who_does_not_exist_nothing_is_touched() {
    let trees = Trees::new();
    trees.write("src/f", "x");
    assert_eq!(trees.copy(&["-a", "--copy-as=no-such-user"]).code, ExitCode::USAGE);
    assert!(names(&trees.at("dst")).is_empty());
}

#[test]
fn without_whole_files_blocks_of_the_old_file_count_and_the_new_content_is_right() {
    for in_place in [false, true] {
        let trees = Trees::new();
        let numbers: Vec<String> = (0..20_000).map(|line: u32| line.to_string()).collect();
        let old = format!("line {}\n", numbers.join("\nline "));
        // One line changed, and a few bytes less in front of the second half.
        let new = old.replace("line 7\n", "LINE 7\n").replacen("line 10000", "10000", 1);
        trees.write("dst/file", &old);
        trees.write("src/file", &new);
        let mut options = vec!["-rtI", "--no-whole-file", "--block-size=1000"];
        if in_place {
            options.push("--inplace");
        }
        let outcome = trees.copy(&options);
        assert_eq!(outcome.code, ExitCode::OK);
        assert_eq!(trees.read("dst/file"), new);
        let length = new.len() as u64;
        assert!(outcome.matched > length - 5000 && outcome.matched < length, "{in_place}");
        let whole = trees.copy(&["-rtI"]);
        assert_eq!((whole.matched, whole.transferred), (0, 1));
    }
}
