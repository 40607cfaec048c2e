//! What a mirror promises beyond carrying changes. Each test names the requirement of docs/spec live.md 6 that it proves.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod bench;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use bench::{Bench, Daemon, SmallDisk, mirrored, stock_is_missing, until};
use syncline_live::StartOptions;
use syncline_live::state::State;

#[test]
fn r63_a_spare_whose_process_was_killed_is_replaced_and_no_failure() {
    let test = "r63_a_spare_whose_process_was_killed_is_replaced_and_no_failure";
    let Some((bench, daemon)) = mirrored(test, "", "", "", |_| {}) else { return };
    for number in 0..5 {
        bench.write("f", &number.to_string());
        bench.until_equal("t");
        until("there is a spare and nothing else", || daemon.processes() == 1);
        daemon.signal_sessions(rustix::process::Signal::KILL);
    }
    bench.write("f", "last");
    bench.until_equal("t");
    let log = bench.log();
    assert!(!log.contains("result=failed") && !log.contains("state=retrying"), "{log}");
}

#[test]
fn r65_a_remote_shell_is_run_once_for_a_session() {
    let test = "r65_a_remote_shell_is_run_once_for_a_session";
    if stock_is_missing(test) {
        return;
    }
    let mut bench = Bench::new();
    let (shell, runs) = (bench.path("rsh"), bench.path("runs"));
    let script = format!("#!/bin/sh\necho run >>{}\nshift\nexec sh -c \"$*\"\n", runs.display());
    fs::write(&shell, script).unwrap();
    fs::set_permissions(&shell, fs::Permissions::from_mode(0o755)).unwrap();
    let mut config = bench.config("", &[&format!("host:{}", bench.path("t").display())]);
    config.mirrors[0].targets[0].ssh = vec![shell.display().to_string().parse().unwrap()];
    bench.write("d/f", "before");
    bench.start_with(&config, StartOptions::default());
    bench.until_state("t0", State::Live);
    for number in 0..3 {
        bench.write("d/f", &format!("after {number}"));
        bench.until_equal("t");
    }
    bench.stop();
    let runs = fs::read_to_string(&runs).unwrap().lines().count();
    let batches = bench.log().matches(" batch=").count();
    assert_eq!(runs, batches, "{}", bench.log());
}

#[test]
fn r135_a_mirror_that_falls_behind_says_so_once_and_when_it_has_caught_up() {
    let test = "r135_a_mirror_that_falls_behind_says_so_once_and_when_it_has_caught_up";
    let settings = "min-interval = \"2500ms\"";
    let Some((bench, _daemon)) = mirrored(test, settings, "", "", |_| {}) else { return };
    for number in 0..2 {
        bench.write(&format!("f{number}"), "x");
        bench.until_equal("t");
    }
    let said = |text: &str| bench.log().matches(text).count();
    until("it has caught up", || said("state=live was=behind: everything arrives") == 1);
    assert_eq!(said("state=behind was=live: changes wait and are being sent"), 1);
    bench.until_state("t0", State::Live);
}

/// Whether this process may do what only root may; says so if not.
fn is_no_root(test: &str) -> bool {
    let plain = !rustix::process::geteuid().is_root();
    if plain {
        eprintln!("SKIPPED {test}: needs root");
    }
    plain
}

#[test]
fn r13_what_is_made_in_a_new_or_moved_directory_before_its_watch_is_not_lost() {
    let test = "r13_what_is_made_in_a_new_or_moved_directory_before_its_watch_is_not_lost";
    let Some((bench, _daemon)) = mirrored(test, "", "", "", |_| {}) else { return };
    fs::create_dir_all(bench.path("outside/in/it")).unwrap();
    fs::write(bench.path("outside/in/it/file"), "x").unwrap();
    for number in 0..30 {
        bench.write(&format!("n{number}/a/b/c/file"), "x");
        fs::rename(bench.source(&format!("n{number}")), bench.source(&format!("m{number}")))
            .unwrap();
        bench.write(&format!("m{number}/a/d/late"), "y");
    }
    fs::rename(bench.path("outside"), bench.source("inside")).unwrap();
    bench.write("inside/in/new/file", "z");
    bench.until_equal("t");
}

#[test]
fn r16_a_file_that_stays_open_is_sent_all_the_same() {
    let test = "r16_a_file_that_stays_open_is_sent_all_the_same";
    let Some((bench, _daemon)) = mirrored(test, "max-open-wait = \"100ms\"", "", "", |_| {}) else {
        return;
    };
    let mut file = fs::File::create(bench.source("log")).unwrap();
    for text in ["one\n", "two\n"] {
        file.write_all(text.as_bytes()).unwrap();
        until("it arrives while it is open", || {
            fs::read_to_string(bench.path("t/log")).is_ok_and(|found| found.ends_with(text))
        });
    }
    drop(file);
    bench.until_equal("t");
}

#[test]
fn r20_what_changes_while_a_mirror_starts_arrives() {
    if stock_is_missing("r20_what_changes_while_a_mirror_starts_arrives") {
        return;
    }
    for seed in 0..5 {
        let mut bench = Bench::new();
        for number in 0..200 {
            bench.write(&format!("d{}/f{number}", number % 10), "before");
        }
        let daemon = Daemon::start(&bench.path("daemon"), &bench.path("t"), "");
        let over = AtomicBool::new(false);
        let source = bench.path("source");
        std::thread::scope(|threads| {
            threads.spawn(|| {
                for number in 0.. {
                    let path =
                        source.join(format!("d{}/f{}", (number * 7 + seed) % 12, number % 50));
                    let _ = match (number + seed) % 4 {
                        0 => fs::remove_file(&path),
                        1 => fs::create_dir_all(path.parent().unwrap()),
                        _ => fs::write(&path, format!("while it starts {number}")),
                    };
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
            bench.start("", &[&daemon.url()]);
            bench.until_state("t0", State::Live);
            over.store(true, Ordering::Relaxed);
        });
        bench.until_equal("t");
    }
}

#[test]
fn r22_a_start_compares_trusts_or_does_neither() {
    let test = "r22_a_start_compares_trusts_or_does_neither";
    let Some((mut bench, daemon)) = mirrored(test, "", "", "", |bench| bench.write("a", "x"))
    else {
        return;
    };
    bench.until_equal("t");
    bench.stop();
    let compared = |bench: &Bench| bench.log().matches("everything is compared").count();
    assert_eq!(compared(&bench), 1);
    for (startup, expected) in [("trust", 1), ("none", 1), ("compare", 2), ("trust", 2)] {
        let before = daemon.sessions();
        bench.start(&format!("startup = \"{startup}\""), &[&daemon.url()]);
        until("it watches", || bench.registry.is_watching());
        bench.write("probe", &format!("{startup}{expected}"));
        bench.until_equal("t");
        bench.stop();
        assert_eq!(compared(&bench), expected, "{startup}");
        assert!(daemon.sessions() > before);
    }
    // Nothing that was closed cleanly is there to be trusted.
    fs::remove_dir_all(bench.path("state")).unwrap();
    fs::write(bench.path("t/foreign"), "").unwrap();
    bench.start("startup = \"trust\"", &[&daemon.url()]);
    bench.until_equal("t");
    assert_eq!(compared(&bench), 3);
}

#[test]
fn r40_r143_a_burst_is_a_few_sessions_and_lines_and_no_program_is_run() {
    let test = "r40_r143_a_burst_is_a_few_sessions_and_lines_and_no_program_is_run";
    let fill = |bench: &Bench| (0..5).for_each(|n| bench.write(&format!("d{n}/f"), "x"));
    let Some((bench, daemon)) = mirrored(test, "", "", "", fill) else { return };
    let (sessions, lines) = (daemon.sessions(), bench.log().lines().count());
    for number in 0..500 {
        bench.write(&format!("d{}/n{number}", number % 5), "x");
    }
    for task in fs::read_dir("/proc/self/task").unwrap() {
        let children = fs::read_to_string(task.unwrap().path().join("children")).unwrap();
        for child in children.split_whitespace() {
            let words = fs::read_to_string(format!("/proc/{child}/cmdline")).unwrap_or_default();
            assert!(words.is_empty() || words.contains("--daemon"), "{words}");
        }
    }
    bench.until_equal("t");
    let log = bench.log();
    let told: Vec<&str> = log.lines().skip(lines).collect();
    let made = daemon.sessions() - sessions;
    assert!(made < 100, "{made} sessions for 500 files");
    // A line for each batch, and few others: none for a file.
    assert!(told.len() < 120, "{log}");
    for line in &told {
        assert!(line.contains("mirror=m") && line.contains("target=t0"), "{line}");
    }
    for batch in told.iter().filter(|line| line.contains(" batch=")) {
        for key in ["paths=", "removed=", "sent=", "literal=", "ms=", "result="] {
            assert!(batch.contains(key), "{batch}");
        }
    }
}

#[test]
fn r47_r56_while_a_directory_is_renamed_its_old_or_its_new_name_is_there() {
    let test = "r47_r56_while_a_directory_is_renamed_its_old_or_its_new_name_is_there";
    let fill = |bench: &Bench| (0..50).for_each(|n| bench.write(&format!("d0/f{n}"), "content"));
    let Some((bench, _daemon)) = mirrored(test, "", "", "", fill) else { return };
    bench.until_equal("t");
    for number in 0..10 {
        let (old, new) = (format!("d{number}/f7"), format!("d{}/f7", number + 1));
        let at = |name: &str| bench.path("t").join(name).exists();
        fs::rename(bench.source(&format!("d{number}")), bench.source(&format!("d{}", number + 1)))
            .unwrap();
        until("the old name goes", || {
            let old = at(&old);
            assert!(old || at(&new), "neither name is there");
            !old
        });
        assert!(at(&new));
    }
    bench.until_equal("t");
}

#[test]
fn r49_hard_links_that_are_made_together_are_links_there() {
    let test = "r49_hard_links_that_are_made_together_are_links_there";
    let settings = "options = { archive = true, hard-links = true }";
    let Some((bench, _daemon)) = mirrored(test, settings, "", "", |_| {}) else { return };
    bench.write("w/a", "one file");
    fs::create_dir(bench.source("w/sub")).unwrap();
    fs::hard_link(bench.source("w/a"), bench.source("w/sub/b")).unwrap();
    bench.until_equal("t");
    let inode = |name: &str| bench.path("t").join(name).metadata().unwrap().ino();
    bench.service.as_ref().unwrap().compare(None);
    until("they are one file", || inode("w/a") == inode("w/sub/b"));
    bench.until_equal("t");
}

#[test]
fn r10_an_edit_by_one_name_of_a_file_arrives_at_all_its_names() {
    let test = "r10_an_edit_by_one_name_of_a_file_arrives_at_all_its_names";
    let fill = |bench: &Bench| {
        for number in 0..20 {
            bench.write(&format!("d{number}/file"), "before");
        }
        for (from, to) in [("d0/file", "d1/other"), ("d0/file", "d2/sub/third")] {
            fs::create_dir_all(bench.source(to).parent().unwrap()).unwrap();
            fs::hard_link(bench.source(from), bench.source(to)).unwrap();
        }
    };
    for settings in ["", "options = { archive = true, hard-links = true }"] {
        let Some((bench, _daemon)) = mirrored(test, settings, "", "", fill) else { return };
        bench.until_equal("t");
        for name in ["d1/other", "d0/file", "d2/sub/third"] {
            fs::write(bench.source(name), format!("after {name}")).unwrap();
            bench.until_equal("t");
            fs::set_permissions(bench.source(name), fs::Permissions::from_mode(0o600)).unwrap();
            bench.until_equal("t");
            fs::set_permissions(bench.source(name), fs::Permissions::from_mode(0o644)).unwrap();
        }
        // A name that moves, and one that comes, between two edits.
        fs::rename(bench.source("d1/other"), bench.source("d3/moved")).unwrap();
        fs::hard_link(bench.source("d0/file"), bench.source("d4/fourth")).unwrap();
        fs::write(bench.source("d0/file"), "and again").unwrap();
        bench.until_equal("t");
        fs::rename(bench.source("d2"), bench.source("d5/away")).unwrap();
        fs::write(bench.source("d5/away/sub/third"), "once more").unwrap();
        bench.until_equal("t");
    }
}

#[test]
fn r11_what_is_hidden_takes_no_watch() {
    let test = "r11_what_is_hidden_takes_no_watch";
    let fill = |bench: &Bench| {
        for number in 0..30 {
            fs::create_dir_all(bench.source(&format!("hidden/d{number}"))).unwrap();
        }
        fs::create_dir(bench.source("seen")).unwrap();
    };
    let Some((bench, _daemon)) = mirrored(test, "filter = [\"- /hidden/\"]", "", "", fill) else {
        return;
    };
    let watches = || bench.registry.snapshot(bench.registry.now()).mirrors[0].watches;
    let before = watches();
    assert!(before < 10, "{before}");
    fs::create_dir(bench.source("hidden/later")).unwrap();
    fs::create_dir(bench.source("seen/later")).unwrap();
    until("what is seen has one", || watches() == before + 1);
}

#[test]
fn r43_what_changed_since_it_was_told_is_sent_as_it_is_now() {
    let test = "r43_what_changed_since_it_was_told_is_sent_as_it_is_now";
    let fill = |bench: &Bench| {
        for name in ["file", "directory/below", "gone", "turned"] {
            bench.write(name, "before");
        }
    };
    let limit = "backoff-max = \"500ms\"";
    let Some((bench, mut daemon)) = mirrored(test, "", limit, "", fill) else { return };
    bench.until_equal("t");
    daemon.kill();
    for name in ["file", "directory/below", "gone", "turned", "new"] {
        bench.write(name, "told");
    }
    bench.until_state("t0", State::Retrying);
    fs::remove_file(bench.source("file")).unwrap();
    bench.write("file/is/a/directory", "now");
    fs::remove_dir_all(bench.source("directory")).unwrap();
    symlink("elsewhere", bench.source("directory")).unwrap();
    fs::remove_file(bench.source("gone")).unwrap();
    fs::remove_file(bench.source("turned")).unwrap();
    fs::rename(bench.source("new"), bench.source("turned")).unwrap();
    daemon.up();
    bench.until_equal("t");
}

#[test]
fn r46_a_file_is_replaced_unless_it_is_to_be_written_in_place() {
    let test = "r46_a_file_is_replaced_unless_it_is_to_be_written_in_place";
    for (target, is_one) in [("", false), ("options = { inplace = true }", true)] {
        let fill = |bench: &Bench| bench.write("f", "before");
        let Some((bench, _daemon)) = mirrored(test, "", target, "", fill) else { return };
        bench.until_equal("t");
        // Another hand keeps the old one alive, so that its number is not given again.
        let old = fs::File::open(bench.path("t/f")).unwrap();
        bench.write("f", "after");
        bench.until_equal("t");
        let new = bench.path("t/f").metadata().unwrap();
        assert_eq!(old.metadata().unwrap().ino() == new.ino(), is_one, "{target}");
    }
}

#[test]
fn r53_what_changes_in_a_renamed_directory_at_once_is_right() {
    let test = "r53_what_changes_in_a_renamed_directory_at_once_is_right";
    let fill = |bench: &Bench| (0..30).for_each(|n| bench.write(&format!("r0/f{n}"), "content"));
    let Some((bench, _daemon)) = mirrored(test, "", "", "", fill) else { return };
    for number in 0..10 {
        let new = format!("r{}", number + 1);
        fs::rename(bench.source(&format!("r{number}")), bench.source(&new)).unwrap();
        bench.write(&format!("{new}/f3"), &format!("changed {number}"));
        fs::remove_file(bench.source(&format!("{new}/f{}", number + 10))).unwrap();
        bench.write(&format!("{new}/new{number}"), "new");
        if number % 3 == 0 {
            bench.until_equal("t");
        }
    }
    bench.until_equal("t");
}

#[test]
fn r61_without_pipelines_and_spares_it_works_as_well() {
    let test = "r61_without_pipelines_and_spares_it_works_as_well";
    let target = "pipeline = false\nwarm = \"none\"";
    let Some((bench, mut daemon)) = mirrored(test, "", target, "", |bench| bench.write("a", "x"))
    else {
        return;
    };
    bench.write("b", "x");
    bench.until_equal("t");
    daemon.kill();
    bench.write("c", "x");
    bench.until_state("t0", State::Retrying);
    daemon.up();
    bench.until_equal("t");
}

#[test]
fn r62_a_spare_connection_holds_no_slot_of_a_module() {
    let test = "r62_a_spare_connection_holds_no_slot_of_a_module";
    if stock_is_missing(test) {
        return;
    }
    let mut bench = Bench::new();
    let lock = bench.path("lock");
    let module = format!("max connections = 1\nlock file = {}", lock.display());
    let daemon = Daemon::start(&bench.path("daemon"), &bench.path("t"), &module);
    bench.start("", &[&daemon.url()]);
    bench.until_state("t0", State::Live);
    for number in 0..5 {
        bench.write(&format!("f{number}"), "x");
        bench.until_equal("t");
        // The session itself has the slot until it is over.
        until("another client is served", || {
            let listed = Command::new("rsync").arg(daemon.url()).output().unwrap();
            listed.status.success()
        });
    }
    assert!(!bench.log().contains("state=busy"));
}

#[test]
fn r84_on_a_full_disk_removals_go_first_and_make_room_for_the_rest() {
    let test = "r84_on_a_full_disk_removals_go_first_and_make_room_for_the_rest";
    if stock_is_missing(test) || is_no_root(test) {
        return;
    }
    let mut bench = Bench::new();
    let path = bench.path("t");
    let Some(_small) = SmallDisk::mount(&path, "4m") else {
        eprintln!("SKIPPED {test}: no file system can be mounted");
        return;
    };
    bench.write("old", &"o".repeat(2 << 20));
    let daemon = Daemon::start(&bench.path("daemon"), &path, "");
    let settings = "options = { archive = true, whole-file = true }";
    let config = bench.config_to(settings, &daemon.url(), "backoff-max = \"500ms\"");
    bench.start_with(&config, StartOptions::default());
    bench.until_state("t0", State::Live);
    bench.write("new", &"n".repeat(3 << 20));
    bench.until_state("t0", State::TargetFull);
    fs::remove_file(bench.source("old")).unwrap();
    until("there is room", || !path.join("old").exists());
    bench.until_equal("t");
    bench.until_state("t0", State::Live);
    bench.stop();
}

#[test]
fn r92_a_directory_that_cannot_be_read_proves_nothing() {
    let test = "r92_a_directory_that_cannot_be_read_proves_nothing";
    if stock_is_missing(test) {
        return;
    }
    if rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED {test}: root can read everything");
        return;
    }
    let mut bench = Bench::new();
    bench.write("d/below", "x");
    bench.write("other", "x");
    let daemon = Daemon::start(&bench.path("daemon"), &bench.path("t"), "");
    bench.start("", &[&daemon.url()]);
    bench.until_equal("t");
    bench.stop();
    fs::set_permissions(bench.source("d"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::write(bench.path("t/foreign"), "").unwrap();
    bench.start("", &[&daemon.url()]);
    until("it was compared", || bench.log().matches("everything is compared").count() == 2);
    bench.write("new", "arrives");
    until("others arrive", || bench.path("t/new").exists());
    fs::set_permissions(bench.path("t/d"), fs::Permissions::from_mode(0o700)).unwrap();
    assert!(bench.path("t/d/below").exists(), "{}", bench.log());
    fs::set_permissions(bench.source("d"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn r94_what_is_replaced_or_removed_is_kept_aside() {
    let test = "r94_what_is_replaced_or_removed_is_kept_aside";
    let target = "options = { backup = true, backup-dir = \".before\" }";
    let fill = |bench: &Bench| {
        bench.write("changed", "old");
        bench.write("removed", "gone");
    };
    let Some((bench, _daemon)) = mirrored(test, "filter = [\"- /.before/\"]", target, "", fill)
    else {
        return;
    };
    bench.write("changed", "new");
    fs::remove_file(bench.source("removed")).unwrap();
    for (name, content) in [("changed", "old"), ("removed", "gone")] {
        let kept = bench.path("t/.before").join(name);
        until(&format!("{name} is kept\n{}", bench.log()), || {
            fs::read(&kept).is_ok_and(|found| found == content.as_bytes())
        });
    }
    until("the new one is there", || fs::read(bench.path("t/changed")).is_ok_and(|f| f == b"new"));
}

#[test]
fn r95_no_link_leads_out_of_the_source_or_of_a_local_target() {
    let mut bench = Bench::new();
    let outside = bench.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "not to be read").unwrap();
    bench.write("d/file", "x");
    fs::create_dir(bench.path("t")).unwrap();
    // The target's own link, in the way of a directory.
    symlink(&outside, bench.path("t/d")).unwrap();
    let local = bench.path("t").display().to_string();
    bench.start("", &[&local]);
    bench.until_equal("t");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1, "nothing was written there");
    for number in 0..30 {
        fs::rename(bench.source("d"), bench.source("real")).unwrap();
        symlink(&outside, bench.source("d")).unwrap();
        bench.write(&format!("real/f{number}"), "x");
        fs::remove_file(bench.source("d")).unwrap();
        fs::rename(bench.source("real"), bench.source("d")).unwrap();
        let found = bench.path("t/d/secret");
        assert!(found.symlink_metadata().is_err() || bench.path("t/d").is_symlink());
    }
    bench.until_equal("t");
    assert!(!bench.path("t/d/secret").exists());
    assert_eq!(fs::read(outside.join("secret")).unwrap(), b"not to be read");
}

#[test]
fn r103_a_rule_file_that_changes_shows_and_hides_at_once() {
    let test = "r103_a_rule_file_that_changes_shows_and_hides_at_once";
    let fill = |bench: &Bench| {
        bench.write("d/.rsync-filter", "- *.x\n");
        bench.write("d/a.x", "hidden");
        bench.write("d/b", "seen");
    };
    let Some((bench, _daemon)) = mirrored(test, "filter = [\": .rsync-filter\"]", "", "", fill)
    else {
        return;
    };
    until("b arrives", || bench.path("t/d/b").exists());
    assert!(!bench.path("t/d/a.x").exists());
    bench.write("d/.rsync-filter", "- *.y\n");
    until("a.x is shown", || bench.path("t/d/a.x").exists());
    bench.write("d/c.y", "hidden");
    bench.write("d/last", "seen");
    until("last arrives", || bench.path("t/d/last").exists());
    assert!(!bench.path("t/d/c.y").exists());
}

#[test]
fn r104_devices_and_pipes_are_what_they_are() {
    let test = "r104_devices_and_pipes_are_what_they_are";
    if is_no_root(test) {
        return;
    }
    let Some((bench, _daemon)) = mirrored(test, "", "", "", |_| {}) else { return };
    let make = |name: &str, kind, device| {
        let mode = rustix::fs::Mode::from_raw_mode(0o640);
        rustix::fs::mknodat(rustix::fs::CWD, bench.source(name), kind, mode, device)
    };
    make("pipe", rustix::fs::FileType::Fifo, 0).unwrap();
    let null = rustix::fs::makedev(1, 3);
    if make("null", rustix::fs::FileType::CharacterDevice, null).is_err() {
        eprintln!("SKIPPED {test}: no devices can be made here");
        return;
    }
    let _socket = std::os::unix::net::UnixListener::bind(bench.source("socket")).unwrap();
    bench.until_equal("t");
    assert_eq!(bench.path("t/null").symlink_metadata().unwrap().rdev(), null);
}

#[test]
fn r105_a_changed_acl_or_extended_attribute_alone_arrives() {
    let test = "r105_a_changed_acl_or_extended_attribute_alone_arrives";
    let settings = "options = { archive = true, acls = true, xattrs = true }";
    let Some((bench, _daemon)) = mirrored(test, settings, "", "", |bench| bench.write("f", "x"))
    else {
        return;
    };
    bench.until_equal("t");
    let run = |program: &str, words: &[&str], path: &Path| {
        Command::new(program).args(words).arg(path).output().ok().filter(|o| o.status.success())
    };
    let source = bench.source("f");
    if run("setfattr", &["-n", "user.k", "-v", "1"], &source).is_none()
        || run("setfacl", &["-m", "u:12:rw"], &source).is_none()
    {
        eprintln!("SKIPPED {test}: this file system has no attributes");
        return;
    }
    let target = bench.path("t/f");
    let words = |output: Option<std::process::Output>| {
        output
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
            .unwrap_or_default()
    };
    until("the attribute arrives", || {
        words(run("getfattr", &["-d", "--absolute-names"], &target)).contains("user.k=\"1\"")
    });
    until("the list arrives", || {
        words(run("getfacl", &["-n", "-p"], &target)).contains("user:12:rw")
    });
}

#[test]
fn r107_a_sparse_file_stays_sparse_and_a_long_transfer_is_shown() {
    let test = "r107_a_sparse_file_stays_sparse_and_a_long_transfer_is_shown";
    let settings = "options = { archive = true, sparse = true }";
    let Some((bench, _daemon)) = mirrored(test, settings, "bwlimit = \"300K\"", "", |_| {}) else {
        return;
    };
    let file = fs::File::create(bench.source("sparse")).unwrap();
    file.set_len(1 << 20).unwrap();
    drop(file);
    let noise: Vec<u8> =
        (0..3_500_000_u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
    fs::write(bench.source("z-long"), noise).unwrap();
    let progress = || {
        let snapshot = bench.registry.snapshot(bench.registry.now());
        snapshot.mirrors[0].targets[0].progress.clone()
    };
    let mut seen = None;
    until("the long one is shown", || {
        seen = progress();
        seen.is_some()
    });
    let seen = seen.unwrap();
    assert!(seen.done < seen.total, "{seen:?}");
    bench.until_equal("t");
    assert!(bench.path("t/sparse").metadata().unwrap().blocks() * 512 < 1 << 19);
    until("and no longer", || progress().is_none());
}
