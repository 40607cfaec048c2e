//! Section 17 of docs/spec/inotifywait.md: each test names its requirement.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails, or says why it was skipped"
)]

mod support;

use std::collections::HashSet;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use support::Tool;

fn tree(directories: &[&str]) -> tempfile::TempDir {
    let top = tempfile::tempdir().unwrap();
    for directory in directories {
        fs::create_dir_all(top.path().join(directory)).unwrap();
    }
    top
}

fn touch(path: &Path) {
    fs::write(path, b"").unwrap();
}

const RECURSIVE: [&str; 4] = ["-mr", "-e", "create,delete,moved_to,moved_from", "d"];

#[test]
fn r1_files_made_at_once_in_new_directories_are_all_reported_once() {
    let top = tree(&["d"]);
    let mut tool = Tool::watching(&["-mr", "-e", "create", "d"], top.path());
    for n in 0..200 {
        let directory = top.path().join(format!("d/n{n}"));
        fs::create_dir(&directory).unwrap();
        touch(&directory.join("f"));
    }
    fs::create_dir_all(top.path().join("d/a/b/c/d/e")).unwrap();
    touch(&top.path().join("d/a/b/c/d/e/f"));
    tool.wait_for_line("d/a/b/c/d/e/ CREATE f");
    touch(&top.path().join("d/end"));
    tool.wait_for_line("d/ CREATE end");
    let said = &tool.said;
    let count = |line: &str| said.iter().filter(|said| *said == line).count();
    for n in 0..200 {
        assert_eq!(count(&format!("d/n{n}/ CREATE f")), 1);
        assert_eq!(count(&format!("d/ CREATE,ISDIR n{n}")), 1);
    }
    for line in [
        "d/ CREATE,ISDIR a",
        "d/a/ CREATE,ISDIR b",
        "d/a/b/ CREATE,ISDIR c",
        "d/a/b/c/ CREATE,ISDIR d",
    ] {
        assert_eq!(count(line), 1, "{line}");
    }
    assert_eq!(count("d/a/b/c/d/ CREATE,ISDIR e"), 1);
}

#[test]
fn r2_directories_made_during_the_set_up_are_watched() {
    let top = tree(&["d"]);
    for n in 0..500 {
        fs::create_dir(top.path().join(format!("d/old{n}"))).unwrap();
    }
    let mut tool = Tool::start("inotifywait", &["-mr", "-e", "close_write", "d"], top.path());
    let mut made = 0;
    while made < 500 {
        fs::create_dir(top.path().join(format!("d/old{made}/new"))).unwrap();
        made += 1;
    }
    tool.wait_for_error("Watches established.");
    for n in 0..made {
        touch(&top.path().join(format!("d/old{n}/new/f")));
    }
    let mut missing: HashSet<String> =
        (0..made).map(|n| format!("d/old{n}/new/ CLOSE_WRITE,CLOSE f")).collect();
    while !missing.is_empty() {
        tool.wait_for("CLOSE_WRITE", |_| true);
        missing.remove(tool.said.last().unwrap());
    }
}

#[test]
fn r3_r4_a_directory_moved_out_is_not_paired_with_one_moved_in_and_is_forgotten_at_once() {
    let top = tree(&["d/a/b", "o/new", "e"]);
    let mut tool = Tool::watching(&RECURSIVE, top.path());
    tool.signal("STOP");
    fs::rename(top.path().join("d/a"), top.path().join("e/a")).unwrap();
    fs::rename(top.path().join("o/new"), top.path().join("d/new")).unwrap();
    tool.signal("CONT");
    tool.wait_for_line("d/ MOVED_TO,ISDIR new");
    touch(&top.path().join("e/a/f"));
    touch(&top.path().join("e/a/b/f"));
    touch(&top.path().join("d/new/g"));
    tool.wait_for_line("d/new/ CREATE g");
    assert_eq!(tool.stop(), ["d/ MOVED_FROM,ISDIR a", "d/ MOVED_TO,ISDIR new", "d/new/ CREATE g"]);
}

#[test]
fn r3_r4_a_directory_moved_out_before_a_file_is_moved_in_is_forgotten() {
    let top = tree(&["d/a", "o", "e"]);
    touch(&top.path().join("o/f"));
    let mut tool = Tool::watching(&RECURSIVE, top.path());
    tool.signal("STOP");
    fs::rename(top.path().join("d/a"), top.path().join("e/a")).unwrap();
    fs::rename(top.path().join("o/f"), top.path().join("d/f")).unwrap();
    tool.signal("CONT");
    tool.wait_for_line("d/ MOVED_TO f");
    touch(&top.path().join("e/a/g"));
    touch(&top.path().join("d/end"));
    tool.wait_for_line("d/ CREATE end");
    assert_eq!(tool.stop(), ["d/ MOVED_FROM,ISDIR a", "d/ MOVED_TO f", "d/ CREATE end"]);
}

#[test]
fn r5_the_rename_of_a_big_tree_leaves_no_stale_path() {
    let top = tree(&["d/a"]);
    for n in 0..10_000 {
        fs::create_dir(top.path().join(format!("d/a/{n}"))).unwrap();
    }
    let mut tool = Tool::watching(&["-mr", "-e", "create", "d"], top.path());
    fs::rename(top.path().join("d/a"), top.path().join("d/b")).unwrap();
    for n in 0..10_000 {
        touch(&top.path().join(format!("d/b/{n}/f")));
    }
    let mut missing: HashSet<String> = (0..10_000).map(|n| format!("d/b/{n}/ CREATE f")).collect();
    while !missing.is_empty() {
        tool.wait_for("CREATE", |_| true);
        let line = tool.said.pop().unwrap();
        assert!(missing.remove(&line), "{line}");
    }
}

#[test]
fn r6_dead_watches_are_forgotten_and_take_no_memory() {
    let top = tree(&["d/a"]);
    let mut tool = Tool::watching(&RECURSIVE, top.path());
    let churn = |tool: &mut Tool, round: u32| {
        for _ in 0..5000 {
            fs::create_dir(top.path().join("d/x")).unwrap();
            fs::remove_dir(top.path().join("d/x")).unwrap();
        }
        let end = format!("end{round}");
        touch(&top.path().join("d").join(&end));
        tool.wait_for_line(&format!("d/ CREATE {end}"));
        tool.said.clear();
        tool.resident_kilobytes()
    };
    let first = churn(&mut tool, 0);
    let last = (1..5).map(|round| churn(&mut tool, round)).last().unwrap();
    assert!(last <= first + 1024, "{first} kB grew to {last} kB");
    assert_eq!(tool.watches(), 2);
}

#[test]
fn r6_a_directory_made_again_and_renamed_prints_its_new_path() {
    let top = tree(&["d/a"]);
    let mut tool = Tool::watching(&RECURSIVE, top.path());
    fs::remove_dir(top.path().join("d/a")).unwrap();
    fs::create_dir(top.path().join("d/a")).unwrap();
    tool.wait_for_line("d/ CREATE,ISDIR a");
    fs::rename(top.path().join("d/a"), top.path().join("d/b")).unwrap();
    touch(&top.path().join("d/b/f"));
    tool.wait_for_line("d/b/ CREATE f");
}

#[test]
fn r7_after_an_overflow_every_file_is_reported_once() {
    let top = tree(&["d/s"]);
    touch(&top.path().join("d/gone"));
    let mut tool = Tool::watching(&["-mr", "-e", "create,delete,q_overflow", "d"], top.path());
    tool.signal("STOP");
    for n in 0..50_000 {
        touch(&top.path().join(format!("d/{n}")));
    }
    fs::remove_file(top.path().join("d/gone")).unwrap();
    fs::create_dir_all(top.path().join("d/s/t")).unwrap();
    touch(&top.path().join("d/s/t/f"));
    tool.signal("CONT");
    let mut missing: HashSet<String> = (0..50_000).map(|n| format!("d/ CREATE {n}")).collect();
    missing.extend(
        ["d/ DELETE gone", "d/s/ CREATE,ISDIR t", "d/s/t/ CREATE f", " Q_OVERFLOW "]
            .map(String::from),
    );
    while !missing.is_empty() {
        tool.wait_for("of the lost ones", |_| true);
        let line = tool.said.pop().unwrap();
        assert!(missing.remove(&line), "{line} was printed twice or never happened");
    }
    tool.wait_for_error("queue was full");
}

#[test]
fn r8_with_keep_going_what_exceeds_the_limit_is_polled_and_said() {
    let probe = ["-Ur", "sh", "-c", "echo 3 >/proc/sys/user/max_inotify_watches"];
    let able =
        Command::new("unshare").args(probe).output().is_ok_and(|output| output.status.success());
    if !able {
        eprintln!(
            "SKIPPED r8_with_keep_going_what_exceeds_the_limit_is_polled_and_said: needs user namespaces"
        );
        return;
    }
    let top = tree(&["d/a", "d/b", "d/c", "d/d", "d/e"]);
    let script = "echo 3 >/proc/sys/user/max_inotify_watches; exec \"$0\" \"$@\"";
    let mut tool = Tool::spawn(
        Command::new("unshare")
            .args(["-Ur", "sh", "-c", script, env!("CARGO_BIN_EXE_syncwatch")])
            .args(["wait", "-mr", "-e", "create", "--keep-going", "d"])
            .current_dir(top.path()),
    );
    let line = tool.wait_for_error("polled");
    assert!(line.starts_with("3 directories in d/ are polled"), "{line}");
    assert!(line.contains("6 watches are needed, fs.inotify.max_user_watches is 3"), "{line}");
    for directory in ["a", "b", "c", "d", "e"] {
        touch(&top.path().join("d").join(directory).join("f"));
    }
    let mut missing: HashSet<String> =
        ["a", "b", "c", "d", "e"].map(|name| format!("d/{name}/ CREATE f")).into();
    while !missing.is_empty() {
        tool.wait_for("CREATE", |_| true);
        missing.remove(tool.said.last().unwrap());
    }
}

#[test]
fn r9_directories_that_an_exclude_pattern_covers_get_no_watch() {
    let top = tree(&["d/skip/x/y", "d/keep"]);
    let mut tool = Tool::watching(&["-mr", "-e", "create", "--exclude", "/skip/", "d"], top.path());
    assert_eq!(tool.watches(), 2);
    fs::create_dir_all(top.path().join("d/keep/skip/z")).unwrap();
    touch(&top.path().join("d/keep/end"));
    tool.wait_for_line("d/keep/ CREATE end");
    assert_eq!(tool.watches(), 2);
    assert_eq!(tool.stop(), ["d/keep/ CREATE,ISDIR skip", "d/keep/ CREATE end"]);
}

#[test]
fn r9_an_include_pattern_does_not_keep_new_directories_from_being_watched() {
    let top = tree(&["d"]);
    let mut tool = Tool::watching(&["-mr", "-e", "create", "--include", "txt$", "d"], top.path());
    fs::create_dir(top.path().join("d/n")).unwrap();
    touch(&top.path().join("d/n/f.txt"));
    tool.wait_for_line("d/n/ CREATE f.txt");
}

#[test]
fn r10_a_lost_argument_ends_the_program_or_is_waited_for() {
    let top = tree(&["d"]);
    let mut tool = Tool::watching(&["-m", "--root-lost", "exit", "d"], top.path());
    fs::rename(top.path().join("d"), top.path().join("e")).unwrap();
    assert_eq!(tool.end().code(), Some(1));
    tool.wait_for_error("d/ was renamed");

    fs::create_dir(top.path().join("d")).unwrap();
    let mut tool = Tool::watching(&["-m", "-e", "create", "--root-lost", "wait", "d"], top.path());
    fs::remove_dir(top.path().join("d")).unwrap();
    tool.wait_for_error("d/ was deleted");
    fs::create_dir(top.path().join("d")).unwrap();
    tool.wait_for_error("d/ is back");
    touch(&top.path().join("d/f"));
    tool.wait_for_line("d/ CREATE f");
}

#[test]
fn r11_a_file_watched_by_name_survives_its_replacement() {
    let top = tree(&[]);
    touch(&top.path().join("f"));
    let mut tool =
        Tool::watching(&["-m", "--by-name", "-e", "moved_to,close_write", "f"], top.path());
    for _ in 0..3 {
        touch(&top.path().join("f.new"));
        fs::rename(top.path().join("f.new"), top.path().join("f")).unwrap();
        tool.wait_for_line("f MOVED_TO ");
    }
    touch(&top.path().join("f"));
    tool.wait_for_line("f CLOSE_WRITE,CLOSE ");
}

#[test]
fn r12_names_with_newlines_and_bytes_that_are_no_text_are_printed_raw() {
    use std::os::unix::ffi::OsStrExt;
    let top = tree(&["d"]);
    let (mut tool, mut stdout) = Tool::unread(
        &["-mr", "-e", "create", "--no-newline", "--format", "%w%f%0", "d"],
        top.path(),
    );
    touch(&top.path().join(std::ffi::OsStr::from_bytes(b"d/a\nb")));
    fs::create_dir(top.path().join(std::ffi::OsStr::from_bytes(b"d/\xff\xfe"))).unwrap();
    touch(&top.path().join(std::ffi::OsStr::from_bytes(b"d/\xff\xfe/\x01")));
    let expected = b"d/a\nb\0d/\xff\xfe\0d/\xff\xfe/\x01\0";
    let mut got = vec![0; expected.len()];
    std::io::Read::read_exact(&mut stdout, &mut got).unwrap();
    assert_eq!(got, expected);
    tool.stop();
}

#[test]
fn r13_empty_elements_mean_nothing_a_lone_percent_is_printed_and_an_empty_time_is_empty() {
    let top = tree(&["d"]);
    for (events, format, expected) in
        [("create,", "%f%", "a%"), (",,create", "%f[%T]", "b[]"), ("create", "%f%%", "c%")]
    {
        let mut words = vec!["-m", "-e", events, "--format", format];
        if format.contains("%T") {
            words.extend(["--timefmt", ""]);
        }
        words.push("d");
        let mut tool = Tool::watching(&words, top.path());
        touch(&top.path().join("d").join(&expected[..1]));
        tool.wait_for_line(expected);
        assert_eq!(tool.stop().len(), 1, "{format}");
    }
}

#[test]
fn r14_the_kernel_queue_is_read_while_nobody_reads_the_output() {
    let top = tree(&["d"]);
    let (mut tool, stdout) = Tool::unread(&["-m", "-e", "create,q_overflow", "d"], top.path());
    for n in 0..40_000 {
        touch(&top.path().join(format!("d/{n}")));
    }
    tool.read(stdout);
    tool.wait_for_line("d/ CREATE 39999");
    assert_eq!(tool.said.len(), 40_000);
    assert!(!tool.said.iter().any(|line| line.contains("Q_OVERFLOW")));
}

#[test]
fn r15_a_reader_that_goes_away_ends_the_program_without_another_event() {
    let top = tree(&["d"]);
    let (mut tool, stdout) = Tool::unread(&["-m", "d"], top.path());
    drop(stdout);
    assert_eq!(tool.end().signal(), Some(signal_hook::consts::SIGPIPE));
}

#[test]
fn r16_a_signal_ends_the_program_after_what_was_read_is_printed() {
    let top = tree(&["d"]);
    let mut tool = Tool::watching(&["-m", "-e", "create", "d"], top.path());
    for n in 0..2000 {
        touch(&top.path().join(format!("d/{n}")));
    }
    tool.signal("INT");
    assert_eq!(tool.end().signal(), Some(signal_hook::consts::SIGINT));
    assert_eq!(tool.said.len(), 2000);
}

#[test]
fn r17_the_watchers_own_reading_is_not_printed() {
    let top = tree(&["d/old/older"]);
    let mut tool = Tool::watching(&["-mr", "d"], top.path());
    fs::create_dir_all(top.path().join("d/n/m")).unwrap();
    fs::create_dir(top.path().join("d/end")).unwrap();
    tool.wait_for_line("d/ CREATE,ISDIR end");
    let said = tool.stop();
    let expected = ["d/ CREATE,ISDIR n", "d/n/ CREATE,ISDIR m", "d/ CREATE,ISDIR end"];
    assert_eq!(
        said.iter().collect::<HashSet<_>>(),
        expected.map(String::from).iter().collect(),
        "{said:?}"
    );
    assert_eq!(said.len(), 3);
}

/// The set-up time of 100,000 directories is measured by `cargo xtask bench watch`.
#[test]
fn r18_a_watch_takes_at_most_250_bytes_of_memory() {
    let top = tree(&["empty", "d"]);
    for n in 0..20_000 {
        fs::create_dir_all(top.path().join(format!("d/{}/{}", n % 100, n / 100))).unwrap();
    }
    let resident = |directory| {
        let tool = Tool::watching(&["-mr", directory], top.path());
        (tool.resident_kilobytes(), tool.watches())
    };
    let (base, one) = resident("empty");
    let (full, all) = resident("d");
    assert_eq!((one, all), (1, 20_101));
    let each = full.saturating_sub(base) * 1024 / all as u64;
    assert!(each <= 250, "{each} bytes a watch");
}

/// Whether this process may mark a whole file system, asked of the tool itself.
fn fanotify_works(name: &str, top: &Path) -> bool {
    let mut tool =
        Tool::start("inotifywait", &["-t", "1", "-e", "create", "--backend", "fanotify", "d"], top);
    let works = tool.end().code() == Some(2);
    if !works {
        eprintln!("SKIPPED {name}: fanotify is not to be had here");
    }
    works
}

#[test]
fn r19_fanotify_prints_what_inotify_prints() {
    let top = tree(&["d/sub/deep", "o"]);
    if !fanotify_works("r19_fanotify_prints_what_inotify_prints", top.path()) {
        return;
    }
    let print = |words: &[&str], round: u32| {
        let all = ["-e", "create,delete,move,close_write,delete_self,move_self", "-mr", "d"];
        let mut tool = Tool::watching(&[words, &all].concat(), top.path());
        let (from, to) = (format!("from{round}"), format!("to{round}"));
        // Step by step: what is unread may be merged, and is told as it is now.
        let d = top.path().join("d");
        let mut seen = |step: &dyn Fn(), line: String| {
            step();
            tool.wait_for_line(&line);
        };
        seen(&|| touch(&d.join("sub").join(&from)), format!("d/sub/ CLOSE_WRITE,CLOSE {from}"));
        seen(
            &|| fs::rename(d.join("sub").join(&from), d.join("sub/deep").join(&to)).unwrap(),
            format!("d/sub/deep/ MOVED_TO {to}"),
        );
        seen(
            &|| fs::rename(d.join("sub/deep"), d.join("sub/moved")).unwrap(),
            "d/sub/moved/ MOVE_SELF ".into(),
        );
        seen(
            &|| fs::remove_file(d.join("sub/moved").join(&to)).unwrap(),
            format!("d/sub/moved/ DELETE {to}"),
        );
        seen(
            &|| fs::rename(d.join("sub/moved"), d.join("sub/deep")).unwrap(),
            "d/sub/deep/ MOVE_SELF ".into(),
        );
        seen(&|| fs::create_dir(d.join(&from)).unwrap(), format!("d/ CREATE,ISDIR {from}"));
        seen(&|| fs::remove_dir(d.join(&from)).unwrap(), format!("d/ DELETE,ISDIR {from}"));
        tool.stop()
            .into_iter()
            .map(|line| line.replace(&round.to_string(), "N"))
            .collect::<Vec<_>>()
    };
    assert_eq!(print(&["-F"], 1), print(&[], 2));
    assert_eq!(
        print(&["--fanotify", "-I"], 3),
        print(&[], 4),
        "-I means inotify whatever else is said"
    );
}

#[test]
fn r19_one_mark_takes_the_place_of_all_watches() {
    let top = tree(&["d/a/b/c"]);
    if !fanotify_works("r19_one_mark_takes_the_place_of_all_watches", top.path()) {
        return;
    }
    let mut tool = Tool::watching(&["-mrF", "-e", "create", "d"], top.path());
    assert_eq!(tool.watches(), 0);
    touch(&top.path().join("d/a/b/c/f"));
    tool.wait_for_line("d/a/b/c/ CREATE f");
    let mut tool = Tool::start("inotifywatch", &["-rF", "-e", "create", "-z", "d"], top.path());
    tool.wait_for_error("Finished establishing watches");
    touch(&top.path().join("d/a/g"));
    tool.signal("INT");
    tool.end();
    assert_eq!(
        tool.said,
        [
            "total  create  filename",
            "1      1       d/a/",
            "0      0       d/",
            "0      0       d/a/b/",
            "0      0       d/a/b/c/"
        ]
    );
}

#[test]
fn r19_after_an_overflow_with_fanotify_every_file_is_reported_once() {
    let name = "r19_after_an_overflow_with_fanotify_every_file_is_reported_once";
    let top = tree(&["d/s"]);
    if !fanotify_works(name, top.path()) {
        return;
    }
    touch(&top.path().join("d/gone"));
    let mut tool = Tool::watching(&["-mrF", "-e", "create,delete,q_overflow", "d"], top.path());
    tool.signal("STOP");
    for n in 0..20_000 {
        touch(&top.path().join(format!("d/{n}")));
    }
    fs::remove_file(top.path().join("d/gone")).unwrap();
    touch(&top.path().join("d/s/f"));
    tool.signal("CONT");
    let mut missing: HashSet<String> = (0..20_000).map(|n| format!("d/ CREATE {n}")).collect();
    missing.extend(["d/ DELETE gone", "d/s/ CREATE f", " Q_OVERFLOW "].map(String::from));
    while !missing.is_empty() {
        tool.wait_for("of the lost ones", |_| true);
        let line = tool.said.pop().unwrap();
        assert!(missing.remove(&line), "{line} was printed twice or never happened");
    }
    tool.wait_for_error("queue was full");
}

#[test]
fn r19_a_whole_file_system_is_watched_from_any_path_on_it() {
    let name = "r19_a_whole_file_system_is_watched_from_any_path_on_it";
    let top = tree(&["d", "m"]);
    if !fanotify_works(name, top.path()) {
        return;
    }
    let script = "mount -t tmpfs none m && mkdir m/a m/b && exec \"$0\" \"$@\"";
    let mut tool = Tool::spawn(
        Command::new("unshare")
            .args(["-m", "--propagation", "private", "sh", "-c", script])
            .args([env!("CARGO_BIN_EXE_syncwatch"), "wait", "-S", "-t", "10", "m/a"])
            .args(["-e", "create", "--ready-file", "m/b/ready"])
            .current_dir(top.path()),
    );
    assert_eq!(tool.end().code(), Some(0));
    let place = top.path().canonicalize().unwrap().join("m/b/");
    assert_eq!(tool.said, [format!("{} CREATE ready", place.display())]);
}

#[test]
fn r19_who_may_not_use_fanotify_gets_inotify_without_a_word_and_no_whole_file_system() {
    let name = "r19_who_may_not_use_fanotify_gets_inotify_without_a_word";
    let able = Command::new("unshare").args(["-Ur", "true"]).output();
    if !able.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED {name}: needs user namespaces");
        return;
    }
    let top = tree(&["d/sub", "e"]);
    let unprivileged = |words: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["-Ur", env!("CARGO_BIN_EXE_syncwatch"), "wait"]).args(words);
        Tool::spawn(command.current_dir(top.path()))
    };
    let mut tool = unprivileged(&["-mrF", "-e", "create", "e", "d"]);
    assert!(tool.wait_for_error("").starts_with("Setting up watches."));
    assert_eq!(tool.wait_for_error(""), "Watches established.");
    touch(&top.path().join("d/sub/f"));
    tool.wait_for_line("d/sub/ CREATE f");
    touch(&top.path().join("e/f"));
    tool.wait_for_line("e/ CREATE f");
    let mut tool = unprivileged(&["-S", "d"]);
    assert_eq!(tool.end().code(), Some(1));
    tool.wait_for_error("Couldn't add filesystem watch d: Operation not permitted");
}

#[test]
fn r20_a_daemon_watches_relative_paths_makes_its_file_and_reports_before_it_detaches() {
    let top = tree(&["d"]);
    let mut tool = Tool::start("inotifywait", &["-d", "-o", "out", "missing"], top.path());
    assert_eq!(tool.end().code(), Some(1));
    tool.wait_for_error("Couldn't watch missing: No such file or directory");

    let mut tool = Tool::start(
        "inotifywait",
        &["-d", "-o", "out", "-e", "create", "-t", "1", "d"],
        top.path(),
    );
    assert_eq!(tool.end().code(), Some(0));
    touch(&top.path().join("d/f"));
    let deadline = std::time::Instant::now() + support::PATIENCE;
    while fs::read_to_string(top.path().join("out")).unwrap() != "d/ CREATE f\n" {
        assert!(std::time::Instant::now() < deadline);
        std::thread::yield_now();
    }
}

#[test]
fn r21_a_ready_file_says_that_events_count_from_now_on() {
    let top = tree(&["d"]);
    let mut tool = Tool::start(
        "inotifywait",
        &["-mq", "-e", "create", "--ready-file", "ready", "d"],
        top.path(),
    );
    let deadline = std::time::Instant::now() + support::PATIENCE;
    while !top.path().join("ready").exists() {
        assert!(std::time::Instant::now() < deadline);
        std::thread::yield_now();
    }
    touch(&top.path().join("d/f"));
    tool.wait_for_line("d/ CREATE f");
}

#[test]
fn r22_sort_keys_that_stand_for_several_events_are_refused_and_usr1_prints_at_once() {
    let top = tree(&["d"]);
    for (key, text) in [
        ("move", "Cannot sort by `move' event"),
        ("open,modify", "not a valid key"),
        ("isdir", "Can't sort"),
    ] {
        let mut tool = Tool::start("inotifywatch", &["-d", key, "d"], top.path());
        assert_eq!(tool.end().code(), Some(1));
        tool.wait_for_error(text);
    }
    let mut tool = Tool::start("inotifywatch", &["-e", "create", "d"], top.path());
    tool.wait_for_error("Finished establishing watches");
    touch(&top.path().join("d/f"));
    tool.signal("USR1");
    tool.wait_for_line("1      1       d/");
}
