//! Mirrors to stock daemons, end to end.
//!
//! Each test names the requirement of docs/spec live.md 6 that it proves.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod bench;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use bench::{Bench, Daemon, mirrored, stock_is_missing};
use syncline_live::state::State;

#[test]
fn r10_what_changes_arrives_at_a_stock_daemon() {
    if stock_is_missing("r10_what_changes_arrives_at_a_stock_daemon") {
        return;
    }
    let mut bench = Bench::new();
    bench.write("there/before", "x");
    let daemon = Daemon::start(&bench.path("daemon"), &bench.path("t"), "");
    fs::write(bench.path("t").join("foreign"), "must go").unwrap();
    bench.start("", &[&daemon.url()]);
    bench.until_state("t0", State::Live);
    bench.until_equal("t");
    bench.write("new", "content");
    bench.write("a/b/c/deep", "content");
    bench.write(".hidden", "1");
    bench.write("back~", "2");
    bench.write("4913", "");
    symlink("new", bench.source("link")).unwrap();
    fs::hard_link(bench.source("new"), bench.source("other")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        bench.source("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o644),
        0,
    )
    .unwrap();
    bench.until_equal("t");
    fs::set_permissions(bench.source("4913"), fs::Permissions::from_mode(0o600)).unwrap();
    bench.write("there/before", "y");
    fs::remove_file(bench.source("link")).unwrap();
    fs::remove_dir_all(bench.source("a")).unwrap();
    bench.until_equal("t");
    bench.stop();
}

/// Bytes of content that were sent so far.
fn literal(bench: &Bench) -> u64 {
    let bytes = |line: &str| -> Option<u64> {
        line.split_once("literal=")?.1.split(' ').next()?.parse().ok()
    };
    bench.log().lines().filter_map(bytes).sum()
}

fn fill_directory(bench: &Bench, name: &str, files: usize) {
    fs::create_dir_all(bench.source(name)).unwrap();
    for number in 0..files {
        let text = format!("{number} ").repeat(200);
        fs::write(bench.source(name).join(format!("f{number}")), text).unwrap();
    }
}

#[test]
fn r50_r51_renames_cost_no_content() {
    let test = "r50_r51_renames_cost_no_content";
    let fill = |bench: &Bench| {
        fill_directory(bench, "old/sub", 200);
        fill_directory(bench, "zold", 20);
        bench.write("file", &"x".repeat(100_000));
    };
    let Some((bench, _daemon)) = mirrored(test, "", "", "", fill) else { return };
    bench.until_equal("t");
    let before = literal(&bench);
    fs::rename(bench.source("old"), bench.source("new")).unwrap();
    bench.until_equal("t");
    fs::rename(bench.source("zold"), bench.source("new/sub/below")).unwrap();
    bench.until_equal("t");
    fs::rename(bench.source("file"), bench.source("another")).unwrap();
    bench.until_equal("t");
    fs::rename(bench.source("another"), bench.source("new/a")).unwrap();
    bench.until_equal("t");
    assert_eq!(literal(&bench) - before, 0, "{}", bench.log());
}

#[test]
fn r33_r52_a_name_that_came_and_went_is_never_made() {
    let test = "r33_r52_a_name_that_came_and_went_is_never_made";
    let Some((bench, _daemon)) = mirrored(test, "", "", "", |bench| bench.write("f", "0")) else {
        return;
    };
    for number in 1..20 {
        bench.write("beside", &number.to_string());
        fs::rename(bench.source("beside"), bench.source("f")).unwrap();
        bench.write("temporary", "x");
        fs::remove_file(bench.source("temporary")).unwrap();
        let arrived = || {
            fs::read(bench.path("t/f")).is_ok_and(|found| found == number.to_string().as_bytes())
        };
        bench::until("it arrives", arrived);
    }
    bench.until_equal("t");
}

#[test]
fn r54_a_module_that_refuses_hard_links_gets_content() {
    let test = "r54_a_module_that_refuses_hard_links_gets_content";
    let fill = |bench: &Bench| fill_directory(bench, "old", 20);
    let Some((bench, _daemon)) = mirrored(test, "", "", "refuse options = hard-links", fill) else {
        return;
    };
    fs::rename(bench.source("old"), bench.source("new")).unwrap();
    bench.until_equal("t");
    fs::rename(bench.source("new"), bench.source("newer")).unwrap();
    bench.until_equal("t");
}

#[test]
fn r55_swaps_chains_and_renames_onto_names_end_equal() {
    let test = "r55_swaps_chains_and_renames_onto_names_end_equal";
    let fill = |bench: &Bench| {
        for name in ["a", "b", "log", "log.1", "log.2"] {
            bench.write(name, &format!("content of {name}"));
        }
        fill_directory(bench, "d", 10);
        fill_directory(bench, "e", 12);
    };
    let Some((bench, _daemon)) = mirrored(test, "", "", "", fill) else { return };
    let rename = |from: &str, to: &str| fs::rename(bench.source(from), bench.source(to)).unwrap();
    for _ in 0..20 {
        rename("a", "t");
        rename("b", "a");
        rename("t", "b");
    }
    rename("log.2", "log.3");
    rename("log.1", "log.2");
    rename("log", "log.1");
    bench.write("log", "new");
    bench.until_equal("t");
    fs::remove_dir_all(bench.source("d")).unwrap();
    rename("e", "d");
    bench.until_equal("t");
    rename("d", "x");
    rename("x", "y");
    bench.until_equal("t");
}

#[test]
fn r42_every_kind_turns_into_every_other() {
    let test = "r42_every_kind_turns_into_every_other";
    let Some((bench, _daemon)) = mirrored(test, "", "", "", |_| {}) else { return };
    let clear = |path: &std::path::Path| {
        let _ = fs::remove_file(path);
        let _ = fs::remove_dir_all(path);
    };
    let kinds: [&dyn Fn(&std::path::Path); 3] = [
        &|path| fs::write(path, "file").unwrap(),
        &|path| {
            fs::create_dir_all(path.join("below")).unwrap();
            fs::write(path.join("below/x"), "x").unwrap();
        },
        &|path| symlink("target", path).unwrap(),
    ];
    bench.write("stays", "x");
    for from in kinds {
        for to in kinds {
            let path = bench.source("turning");
            clear(&path);
            from(&path);
            bench.until_equal("t");
            clear(&path);
            to(&path);
            bench.until_equal("t");
        }
    }
}

#[test]
fn r106_names_are_any_bytes() {
    use std::os::unix::ffi::OsStrExt;
    let Some((bench, _daemon)) = mirrored("r106_names_are_any_bytes", "", "", "", |_| {}) else {
        return;
    };
    let names: [&[u8]; 9] =
        [b"#x", b";y", b" sp ", b"*", b"-v", b"new\nline", b"\xff\xfe", b"[a]", &[b'n'; 255]];
    for name in names {
        let path = bench.path("source").join(std::ffi::OsStr::from_bytes(name));
        fs::write(path, "content").unwrap();
    }
    bench.until_equal("t");
    for name in &names[1..] {
        fs::remove_file(bench.path("source").join(std::ffi::OsStr::from_bytes(name))).unwrap();
    }
    bench.until_equal("t");
}

#[test]
fn r45_no_version_that_never_was_arrives() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let version = |number: u32| format!("{number:08}").repeat(500_000);
    let fill = move |bench: &Bench| bench.write("big", &version(0));
    let test = "r45_no_version_that_never_was_arrives";
    let settings = "max-open-wait = \"50ms\"\nmax-delay = \"50ms\"\nresend-interval = \"20ms\"";
    let Some((bench, _daemon)) = mirrored(test, settings, "", "", fill) else { return };
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let path = bench.source("big");
        let over = &over;
        scope.spawn(move || {
            for number in 1..40 {
                // In place, in pieces: at most moments the file is no version.
                use std::os::unix::fs::FileExt;
                let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
                let text = version(number);
                for (piece, bytes) in text.as_bytes().chunks(400_000).enumerate() {
                    file.write_all_at(bytes, piece as u64 * 400_000).unwrap();
                }
            }
            over.store(true, Ordering::Relaxed);
        });
        while !over.load(Ordering::Relaxed) {
            let seen = fs::read(bench.path("t/big")).unwrap();
            // What was open while it was written may have been sent at a pause: but as one moment showed it.
            assert_eq!(seen.len(), 4_000_000);
        }
    });
    bench.until_equal("t");
}

#[test]
fn r100_r101_what_is_hidden_is_neither_sent_nor_removed() {
    let test = "r100_r101_what_is_hidden_is_neither_sent_nor_removed";
    if stock_is_missing(test) {
        return;
    }
    let mut bench = Bench::new();
    bench.write("seen", "x");
    let daemon = Daemon::start(&bench.path("daemon"), &bench.path("t"), "");
    fs::write(bench.path("t/own.tmp"), "stays").unwrap();
    bench.start("filter = [\"- *.tmp\", \"- /cache/\"]", &[&daemon.url()]);
    bench.until_state("t0", State::Live);
    bench.write("a.tmp", "hidden");
    bench.write("cache/x", "hidden");
    bench.write("b", "seen");
    bench::until("b arrives", || bench.path("t/b").exists());
    fs::remove_file(bench.source("a.tmp")).unwrap();
    // From hidden to seen, and the other way round.
    bench.write("c.tmp", "c");
    fs::rename(bench.source("c.tmp"), bench.source("c")).unwrap();
    bench::until("c arrives", || bench.path("t/c").exists());
    fs::rename(bench.source("b"), bench.source("b.tmp")).unwrap();
    bench::until("b goes", || !bench.path("t/b").exists());
    assert!(bench.path("t/own.tmp").exists());
    assert!(!bench.path("t/a.tmp").exists() && !bench.path("t/cache").exists());
}

#[test]
fn r82_a_path_that_is_refused_delays_no_other() {
    let test = "r82_a_path_that_is_refused_delays_no_other";
    let Some((bench, _daemon)) = mirrored(test, "", "", "exclude = refused", |_| {}) else {
        return;
    };
    bench.write("refused", "never");
    for number in 0..20 {
        bench.write(&format!("f{number}"), "x");
    }
    bench::until("the others arrive", || {
        (0..20).all(|number| bench.path(&format!("t/f{number}")).exists())
    });
    bench::until("it is told", || bench.log().contains("path failed"));
    assert_eq!(bench.state("t0"), State::Live);
}

#[test]
fn r83_a_misconfigured_target_is_tried_until_it_is_mended() {
    let test = "r83_a_misconfigured_target_is_tried_until_it_is_mended";
    if stock_is_missing(test) {
        return;
    }
    let mut bench = Bench::new();
    bench.write("a", "x");
    let mut daemon = Daemon::start(&bench.path("daemon"), &bench.path("t"), "");
    let url = daemon.url().replace("/m/", "/other/");
    bench.start("", &[&url]);
    bench.until_state("t0", State::Misconfigured);
    daemon.kill();
    let conf = bench.path("daemon/conf");
    let text = fs::read_to_string(&conf).unwrap().replace("[m]", "[other]");
    fs::write(&conf, text).unwrap();
    daemon.up();
    bench.service.as_ref().unwrap().retry_now();
    bench.until_state("t0", State::Live);
    bench.until_equal("t");
}

#[test]
fn r85_a_target_that_refused_removals_gets_them_when_it_takes_them() {
    let test = "r85_a_target_that_refused_removals_gets_them_when_it_takes_them";
    if stock_is_missing(test) {
        return;
    }
    let mut bench = Bench::new();
    bench.write("a", "x");
    let (path, refusal) = (bench.path("t"), "refuse options = delete");
    let mut daemon = Daemon::start(&bench.path("daemon"), &path, refusal);
    fs::write(path.join("foreign"), "must go").unwrap();
    bench.start("", &[&daemon.url()]);
    bench.until_state("t0", State::NoDelete);
    bench::until("what is there arrives", || path.join("a").exists());
    fs::remove_file(bench.source("a")).unwrap();
    bench.write("b", "x");
    bench::until("the rest arrives", || path.join("b").exists());
    // It still does, and all goes on.
    bench.service.as_ref().unwrap().retry_now();
    bench.write("c", "x");
    bench::until("the rest arrives", || path.join("c").exists());
    assert!(path.join("a").exists() && path.join("foreign").exists());
    daemon.kill();
    let conf = bench.path("daemon/conf");
    let text = fs::read_to_string(&conf).unwrap().replace(refusal, "");
    fs::write(&conf, text).unwrap();
    daemon.up();
    bench.service.as_ref().unwrap().retry_now();
    bench.until_equal("t");
    bench.until_state("t0", State::Live);
}

#[test]
fn r85_a_killed_daemon_is_found_again() {
    let fill = |bench: &Bench| bench.write("a", "x");
    let test = "r85_a_killed_daemon_is_found_again";
    let Some((bench, mut daemon)) = mirrored(test, "", "", "", fill) else { return };
    daemon.kill();
    for number in 0..50 {
        bench.write(&format!("d/f{number}"), "x");
    }
    bench.until_state("t0", State::Retrying);
    daemon.up();
    bench.until_equal("t");
    bench.until_state("t0", State::Live);
}

#[test]
fn r14_r90_r91_a_source_that_is_lost_or_empty_removes_nothing() {
    let fill = |bench: &Bench| bench.write("a", "x");
    let test = "r14_r90_r91_a_source_that_is_lost_or_empty_removes_nothing";
    let Some((bench, _daemon)) = mirrored(test, "", "", "", fill) else { return };
    fs::remove_file(bench.source("a")).unwrap();
    bench.until_state("t0", State::SourceEmpty);
    assert!(bench.path("t/a").exists());
    bench.write("b", "y");
    bench.until_state("t0", State::Live);
    bench.until_equal("t");
    fs::rename(bench.path("source"), bench.path("away")).unwrap();
    bench.until_state("t0", State::SourceLost);
    assert!(bench.path("t/b").exists());
    fs::rename(bench.path("away"), bench.path("source")).unwrap();
    bench.write("c", "z");
    bench.until_state("t0", State::Live);
    bench.until_equal("t");
}

#[test]
fn r90_a_person_may_allow_an_empty_source() {
    let fill = |bench: &Bench| bench.write("a", "x");
    let test = "r90_a_person_may_allow_an_empty_source";
    let Some((bench, _daemon)) = mirrored(test, "", "", "", fill) else { return };
    fs::remove_file(bench.source("a")).unwrap();
    bench.until_state("t0", State::SourceEmpty);
    assert!(bench.service.as_ref().unwrap().allow("m"));
    bench::until("it is removed", || !bench.path("t/a").exists());
}

#[test]
fn r93_many_removals_wait_for_a_persons_word() {
    let fill = |bench: &Bench| {
        fill_directory(bench, "d", 30);
        bench.write("stays", "x");
    };
    let test = "r93_many_removals_wait_for_a_persons_word";
    let Some((bench, _daemon)) = mirrored(test, "max-delete = 5", "", "", fill) else { return };
    fs::remove_dir_all(bench.source("d")).unwrap();
    bench.until_state("t0", State::DeleteHeld);
    let left = || fs::read_dir(bench.path("t/d")).map_or(0, Iterator::count);
    assert!(left() >= 25, "{}", left());
    bench.write("new", "arrives all the same");
    bench::until("others arrive", || bench.path("t/new").exists());
    assert!(bench.service.as_ref().unwrap().allow("m"));
    bench.until_equal("t");
}

#[test]
fn r72_what_waits_outlives_the_service() {
    let fill = |bench: &Bench| bench.write("a", "x");
    let test = "r72_what_waits_outlives_the_service";
    let Some((mut bench, mut daemon)) = mirrored(test, "", "", "", fill) else { return };
    daemon.kill();
    bench.write("b", "y");
    fs::remove_file(bench.source("a")).unwrap();
    bench.until_state("t0", State::Retrying);
    bench.stop();
    daemon.up();
    // No comparison: the journal alone must know.
    bench.start("startup = \"none\"", &[&daemon.url()]);
    bench.until_equal("t");
    assert!(
        !bench.log().contains("everything is compared")
            || bench.log().matches("everything is compared").count() == 1
    );
}

#[test]
fn r138_a_stop_sends_what_can_be_sent() {
    let Some((mut bench, _daemon)) =
        mirrored("r138_a_stop_sends_what_can_be_sent", "", "", "", |_| {})
    else {
        return;
    };
    for number in 0..500 {
        bench.write(&format!("d{}/f{number}", number % 7), "x");
    }
    bench.stop();
    assert_eq!(bench::tree(&bench.path("source")), bench::tree(&bench.path("t")));
}

#[test]
fn r1_three_kinds_of_target_at_once() {
    if stock_is_missing("r1_three_kinds_of_target_at_once") {
        return;
    }
    let mut bench = Bench::new();
    let shell = bench.path("rsh");
    fs::write(&shell, "#!/bin/sh\nshift\nexec sh -c \"$*\"\n").unwrap();
    fs::set_permissions(&shell, fs::Permissions::from_mode(0o755)).unwrap();
    let daemon = Daemon::start(&bench.path("daemon"), &bench.path("t0"), "");
    let (one, two) = (bench.path("t1"), bench.path("t2"));
    let urls = [daemon.url(), format!("host:{}", one.display()), two.display().to_string()];
    let mut config = bench.config("", &urls.each_ref().map(String::as_str));
    config.mirrors[0].targets[1].ssh = vec![shell.display().to_string().parse().unwrap()];
    fill_directory(&bench, "d", 10);
    bench.start_with(&config, syncline_live::StartOptions::default());
    for target in ["t0", "t1", "t2"] {
        bench.until_state(target, State::Live);
    }
    bench.write("new", "x");
    fs::rename(bench.source("d"), bench.source("e")).unwrap();
    fs::remove_file(bench.source("e/f1")).unwrap();
    for target in ["t0", "t1", "t2"] {
        bench.until_equal(target);
    }
}

#[test]
fn r15_a_single_file_may_be_the_source() {
    if stock_is_missing("r15_a_single_file_may_be_the_source") {
        return;
    }
    let mut bench = Bench::new();
    bench.write("file", "0");
    bench.write("other", "not meant");
    let daemon = Daemon::start(&bench.path("daemon"), &bench.path("t"), "");
    let mut config = bench.config("", &[&daemon.url()]);
    config.mirrors[0].source = bench.source("file");
    bench.start_with(&config, syncline_live::StartOptions::default());
    for number in 1..100 {
        bench.write("beside", &number.to_string());
        fs::rename(bench.source("beside"), bench.source("file")).unwrap();
    }
    let arrived = || fs::read(bench.path("t/file")).is_ok_and(|found| found == b"99");
    bench::until("the last one arrives", arrived);
    assert!(!bench.path("t/other").exists());
}

#[test]
fn r120_a_target_that_never_answers_delays_no_other() {
    if stock_is_missing("r120_a_target_that_never_answers_delays_no_other") {
        return;
    }
    let mut bench = Bench::new();
    let daemon = Daemon::start(&bench.path("daemon"), &bench.path("t"), "");
    // Accepts, by the kernel's hand, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rsync://127.0.0.1:{}/m/", silent.local_addr().unwrap().port());
    bench.start("", &[&daemon.url(), &url]);
    bench.until_state("t0", State::Live);
    for number in 0..20 {
        bench.write(&format!("f{number}"), "x");
        bench::until("it arrives", || bench.path(&format!("t/f{number}")).exists());
    }
}

#[test]
fn r139_a_new_configuration_leaves_unchanged_mirrors_alone() {
    let test = "r139_a_new_configuration_leaves_unchanged_mirrors_alone";
    let Some((bench, daemon)) = mirrored(test, "", "", "", |_| {}) else { return };
    let service = bench.service.as_ref().unwrap();
    let compared = || bench.log().matches("everything is compared").count();
    assert_eq!(compared(), 1);
    service.reload(&bench.config("", &[&daemon.url()])).unwrap();
    bench.write("a", "x");
    bench.until_equal("t");
    assert_eq!(compared(), 1);
    let other = bench.path("other");
    let urls = [daemon.url(), other.display().to_string()];
    service.reload(&bench.config("", &urls.each_ref().map(String::as_str))).unwrap();
    bench.until_equal("other");
    bench.write("b", "y");
    bench.until_equal("t");
}

#[test]
fn r7_a_second_service_is_refused() {
    let Some((bench, daemon)) = mirrored("r7_a_second_service_is_refused", "", "", "", |_| {})
    else {
        return;
    };
    let config = bench.config("", &[&daemon.url()]);
    let second = syncline_live::Service::start(
        &config,
        syncline_live::StartOptions::default(),
        syncline_live::state::Registry::new(),
        syncline_live::Log::to(|_, _| {}),
    );
    let text = second.unwrap_err().to_string();
    assert!(text.contains(&std::process::id().to_string()), "{text}");
}
