//! `syncwatch run`: one run for a burst, none for what came and went, and what happens when the command is busy or fails.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails, or says why it was skipped"
)]

mod support;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use support::Tool;

fn start(words: &[&str], top: &Path) -> Tool {
    let words: Vec<&str> = ["run", "--settle", "100ms"].iter().chain(words).copied().collect();
    let mut tool = Tool::start("syncwatch", &words, top);
    tool.wait_for_error("watching");
    tool
}

fn config() -> tempfile::TempDir {
    let top = tempfile::tempdir().unwrap();
    fs::create_dir(top.path().join("d")).unwrap();
    fs::write(top.path().join("d/conf"), "one").unwrap();
    top
}

#[test]
fn a_burst_is_one_run_with_the_changed_paths_as_arguments() {
    let top = config();
    let mut tool = start(&["d", "--", "printf", "%s,", "{}", "end\n"], top.path());
    for name in ["a", "b", "c d"] {
        fs::write(top.path().join("d").join(name), "x").unwrap();
    }
    tool.wait_for("of the run", |line| line.ends_with("end"));
    assert_eq!(tool.said, ["d/a,d/b,d/c d,end"]);
}

#[test]
fn what_came_and_went_runs_nothing() {
    let top = config();
    let mut tool = start(&["d", "--", "echo", "{}"], top.path());
    fs::write(top.path().join("d/.tmp"), "x").unwrap();
    fs::remove_file(top.path().join("d/.tmp")).unwrap();
    // Comes after in any case: the settle time of the temporary file ends first.
    tool.wait_for_quiet(std::time::Duration::from_millis(300));
    fs::write(top.path().join("d/conf"), "two").unwrap();
    tool.wait_for("of a run", |_| true);
    assert_eq!(tool.said, ["d/conf"]);
}

#[test]
fn a_single_file_is_caught_at_every_replacement_by_rename() {
    let top = config();
    let mut tool = start(&["d/conf", "--", "cat", "{}"], top.path());
    for text in ["two\n", "three\n", "four\n"] {
        fs::write(top.path().join("d/conf.new"), text).unwrap();
        fs::rename(top.path().join("d/conf.new"), top.path().join("d/conf")).unwrap();
        tool.wait_for_line(text.trim_end());
    }
}

#[test]
fn with_compare_an_unchanged_rewrite_runs_nothing() {
    let top = config();
    let mut tool = start(&["--compare", "d", "--", "echo", "{}"], top.path());
    fs::write(top.path().join("d/conf"), "one").unwrap();
    tool.wait_for_error("same contents");
    fs::write(top.path().join("d/conf"), "two").unwrap();
    tool.wait_for_line("d/conf");
    assert_eq!(tool.said.len(), 1);
}

#[test]
fn only_events_that_were_asked_for_count() {
    let top = config();
    let mut tool = start(&["--events", "delete", "d", "--", "echo", "{}"], top.path());
    fs::write(top.path().join("d/new"), "x").unwrap();
    fs::remove_file(top.path().join("d/conf")).unwrap();
    tool.wait_for("of a run", |_| true);
    assert_eq!(tool.said, ["d/conf"]);
}

#[test]
fn rsync_filter_rules_and_patterns_leave_paths_out() {
    let top = config();
    fs::create_dir(top.path().join("d/cache")).unwrap();
    let words = [
        "-f",
        "+ *.conf",
        "-f",
        "- *.tmp",
        "-f",
        "- cache/",
        "--exclude",
        "~$",
        "d",
        "--",
        "echo",
        "{}",
    ];
    let mut tool = start(&words, top.path());
    for name in ["x.tmp", "cache/f", "x~", "x.conf"] {
        fs::write(top.path().join("d").join(name), "x").unwrap();
    }
    tool.wait_for("of a run", |_| true);
    assert_eq!(tool.said, ["d/x.conf"]);
}

#[test]
fn paths_come_on_standard_input_or_in_a_file_of_json() {
    let top = config();
    let mut tool = start(&["--pass", "stdin", "--once", "d", "--", "tr", "\\0", "\\n"], top.path());
    fs::write(top.path().join("d/a b"), "x").unwrap();
    assert_eq!(tool.end().code(), Some(0));
    assert_eq!(tool.said, ["d/a b"]);
    let mut tool = start(
        &["--pass", "json", "--once", "--shell", "d", "--", "cat \"$SYNCWATCH_JSON\""],
        top.path(),
    );
    fs::remove_file(top.path().join("d/a b")).unwrap();
    assert_eq!(tool.end().code(), Some(0));
    let json: serde_json::Value = serde_json::from_str(&tool.said[0]).unwrap();
    assert_eq!(json, serde_json::json!({"changes": [{"path": "d/a b", "what": "removed"}]}));
}

#[test]
fn once_ends_with_the_status_of_the_command_after_its_retries() {
    let top = config();
    let words = [
        "--once",
        "--retry",
        "2",
        "--retry-delay",
        "10ms",
        "d",
        "--",
        "sh",
        "-c",
        "echo try; exit 7",
    ];
    let mut tool = start(&words, top.path());
    fs::write(top.path().join("d/conf"), "two").unwrap();
    assert_eq!(tool.end().code(), Some(7));
    assert_eq!(tool.said, ["try", "try", "try"]);
}

/// A command that says what happens to it: it starts, is told to reload, is told to stop.
const BUSY: &str = "trap 'echo reload' HUP; trap 'echo stop; exit' TERM; echo start \"$@\"; while :; do read -r _ <fifo && exit; done";

fn busy(policy: &str) -> (tempfile::TempDir, Tool) {
    let top = config();
    assert!(
        std::process::Command::new("mkfifo")
            .arg(top.path().join("fifo"))
            .status()
            .unwrap()
            .success()
    );
    let mut tool =
        start(&["--on-busy", policy, "d", "--", "sh", "-c", BUSY, "sh", "{}"], top.path());
    fs::write(top.path().join("d/a"), "x").unwrap();
    tool.wait_for_line("start d/a");
    fs::write(top.path().join("d/b"), "x").unwrap();
    (top, tool)
}

#[test]
fn a_busy_command_is_run_again_afterwards() {
    let (top, mut tool) = busy("queue");
    fs::write(top.path().join("fifo"), "go\n").unwrap();
    tool.wait_for_line("start d/b");
}

#[test]
fn a_busy_command_is_stopped_and_run_with_all_changes() {
    let (_top, mut tool) = busy("restart");
    tool.wait_for_line("start d/a d/b");
    assert_eq!(tool.said, ["start d/a", "stop", "start d/a d/b"]);
}

#[test]
fn a_busy_command_is_sent_a_signal() {
    let (_top, mut tool) = busy("signal");
    tool.wait_for_line("reload");
}

#[test]
fn changes_during_a_run_can_be_ignored() {
    let (top, mut tool) = busy("ignore");
    tool.wait_for_error("ignored");
    fs::write(top.path().join("fifo"), "go\n").unwrap();
    tool.wait_for_error("finished");
    fs::write(top.path().join("d/c"), "x").unwrap();
    tool.wait_for_line("start d/c");
}

#[test]
fn a_signal_stops_the_command_too() {
    let (_top, mut tool) = busy("queue");
    tool.signal("TERM");
    assert_eq!(tool.end().signal(), Some(signal_hook::consts::SIGTERM));
    assert_eq!(tool.said, ["start d/a", "stop"]);
}

#[test]
fn a_file_of_rules_in_a_directory_counts_there_and_below_and_its_changes_count_at_once() {
    let top = config();
    fs::create_dir_all(top.path().join("d/sub/deep")).unwrap();
    fs::write(top.path().join("d/sub/.rules"), "- *.log\n").unwrap();
    let mut tool = start(&["--filter", ": .rules", "d", "--", "echo", "{}"], top.path());
    fs::write(top.path().join("d/sub/deep/a.log"), "x").unwrap();
    fs::write(top.path().join("d/b.log"), "x").unwrap();
    tool.wait_for("of a run", |_| true);
    assert_eq!(tool.said, ["d/b.log"]);
    fs::write(top.path().join("d/sub/.rules"), "- *.tmp\n").unwrap();
    tool.wait_for_line("d/sub/.rules");
    fs::write(top.path().join("d/sub/deep/c.log"), "x").unwrap();
    fs::write(top.path().join("d/sub/deep/c.tmp"), "x").unwrap();
    tool.wait_for_line("d/sub/deep/c.log");
}
