//! Keys of the configuration that change what is mirrored, and when. Each test names its requirement.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod bench;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use bench::{Bench, Daemon, stock_is_missing, until};
use syncline_live::state::State;

/// A bench with a daemon for `t` and a local target `local`; both are to become what the source is.
fn with_two(test: &str) -> Option<(Bench, Daemon, String)> {
    if stock_is_missing(test) {
        return None;
    }
    let bench = Bench::new();
    let daemon = Daemon::start(&bench.path("daemon"), &bench.path("t"), "");
    fs::create_dir(bench.path("local")).unwrap();
    let local = bench.path("local").display().to_string();
    Some((bench, daemon, local))
}

#[test]
fn r102_expressions_hide_from_watching_sending_and_comparing_and_protect_what_targets_have() {
    let test =
        "r102_expressions_hide_from_watching_sending_and_comparing_and_protect_what_targets_have";
    let Some((mut bench, daemon, local)) = with_two(test) else { return };
    bench.write("seen", "x");
    bench.write("d/hidden12.log", "x");
    bench.write("d/shown.log", "x");
    bench.write("cache7/deep/below", "x");
    for target in ["t", "local"] {
        for name in ["hidden99.log", "foreign.txt"] {
            fs::write(bench.path(target).join(name), "the target's own").unwrap();
        }
    }
    let settings = r"filter-regex = ['(.*)\d+\.log', '^cache[0-9]/(.*)']";
    bench.start(settings, &[&daemon.url(), &local]);
    for target in ["t0", "t1"] {
        bench.until_state(target, State::Live);
    }
    let watches = || bench.registry.snapshot(bench.registry.now()).mirrors[0].watches;
    let before = watches();
    bench.write("d/new1.log", "hidden");
    bench.write("cache7/deeper/more", "hidden");
    bench.write("cache8/more", "hidden");
    fs::create_dir(bench.source("d/seen")).unwrap();
    bench.write("d/last", "seen");
    bench.write("cache77", "seen: another name");
    fs::rename(bench.source("d/shown.log"), bench.source("d/shown8.log")).unwrap();
    until("a directory that is seen is watched", || watches() > before);
    for target in ["t", "local"] {
        let at = |name: &str| bench.path(target).join(name);
        until("what is seen arrives", || at("d/last").exists() && at("cache77").exists());
        until("what becomes hidden goes", || !at("d/shown.log").exists());
        assert!(at("seen").exists() && !at("foreign.txt").exists());
        for hidden in ["d/hidden12.log", "d/new1.log", "cache7", "d/shown8.log"] {
            assert!(!at(hidden).exists(), "{hidden}");
        }
        assert!(at("hidden99.log").exists(), "what is hidden is not removed there");
    }
    assert_eq!(watches(), before + 1, "a hidden directory has none");
}

#[test]
fn r122_scheduled_comparisons_hide_what_their_own_filter_says() {
    let Some((mut bench, daemon, local)) =
        with_two("r122_scheduled_comparisons_hide_what_their_own_filter_says")
    else {
        return;
    };
    bench.write("a.php", "x");
    bench.write("b.tmp", "x");
    for target in ["t", "local"] {
        fs::write(bench.path(target).join("own.php"), "protected at scheduled runs").unwrap();
    }
    let settings = "startup = \"none\"\nfilter = [\"- *.tmp\"]\nschedule = \"every 1s\"\nschedule-filter = [\"- *.php\"]";
    bench.start(settings, &[&daemon.url(), &local]);
    for target in ["t", "local"] {
        let at = |name: &str| bench.path(target).join(name);
        // As with sersync's crontab, these runs know nothing of the other filter.
        until("a scheduled run comes", || at("b.tmp").exists());
        assert!(at("own.php").exists() && !at("a.php").exists());
        bench.write("a.php", "changed");
        until("a change is no affair of the schedule", || at("a.php").exists());
        fs::remove_file(bench.source("a.php")).unwrap();
        until("nor its removal", || !at("a.php").exists());
        bench.write("a.php", "x");
    }
}

#[test]
fn r112_r113_a_check_finds_what_nobody_told_counts_it_and_has_it_put_right() {
    let Some((mut bench, daemon, local)) =
        with_two("r112_r113_a_check_finds_what_nobody_told_counts_it_and_has_it_put_right")
    else {
        return;
    };
    for number in 0..30 {
        bench.write(&format!("d/f{number}"), "content");
    }
    bench.write("flipped", "right");
    // What changed a moment ago may be on its way, so only what is older counts.
    let settings = "verify = \"every 1s\"\nverify-content = true\nmax-open-wait = \"10ms\"\nmax-delay = \"10ms\"\nresend-interval = \"10ms\"";
    bench.start(settings, &[&daemon.url(), &local]);
    for target in ["t0", "t1"] {
        bench.until_state(target, State::Live);
    }
    for target in ["t", "local"] {
        bench.until_equal(target);
        until("a check finds nothing", || bench.log().contains("drift=0"));
        let at = |name: &str| bench.path(target).join(name);
        // Same size, same time, other content.
        let time = at("flipped").metadata().unwrap().modified().unwrap();
        fs::write(at("flipped"), "wrong").unwrap();
        fs::File::options().write(true).open(at("flipped")).unwrap().set_modified(time).unwrap();
        fs::remove_file(at("d/f7")).unwrap();
        fs::write(at("d/foreign"), "").unwrap();
        bench.until_equal(target);
    }
    let log = bench.log();
    for name in ["flipped differs", "d/f7 differs", "d/foreign is too much there"] {
        assert!(log.contains(&format!("drift: {name}")), "{name}: {log}");
    }
    let snapshot = bench.registry.snapshot(bench.registry.now());
    for target in &snapshot.mirrors[0].targets {
        assert!(target.drift_paths >= 3, "{} {log}", target.drift_paths);
    }
}

#[test]
fn r34_a_transient_name_that_is_renamed_in_time_is_never_sent() {
    let Some((mut bench, daemon, _)) =
        with_two("r34_a_transient_name_that_is_renamed_in_time_is_never_sent")
    else {
        return;
    };
    bench.start("transient = [\"*.part\"]", &[&daemon.url()]);
    bench.until_state("t0", State::Live);
    let begun = Instant::now();
    for number in 0..10 {
        bench.write("x.part", "y");
        // Long enough to be sent, were it not for its name.
        until("something else is", || {
            bench.write(&format!("f{number}"), "x");
            bench.path(&format!("t/f{number}")).exists()
        });
        fs::rename(bench.source("x.part"), bench.source(&format!("x{number}"))).unwrap();
    }
    bench.until_equal("t");
    // On a machine that took longer it may have been sent.
    if begun.elapsed() < Duration::from_secs(1) {
        assert!(!daemon.log().contains("x.part"), "{}", daemon.log());
    }
    bench.write("stays.part", "is sent in the end");
    bench.until_equal("t");
}

#[test]
fn r64_a_daemon_that_greets_and_then_says_nothing_has_the_time_of_a_handshake() {
    let mut bench = Bench::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rsync://127.0.0.1:{}/m/", listener.local_addr().unwrap().port());
    let config = format!(
        "state-dir = \"{}\"\n[[mirror]]\nname = \"m\"\nsource = \"{}\"\n[[mirror.target]]\nname = \"t0\"\n\
         url = \"{url}\"\nhandshake-timeout = \"200ms\"\nio-timeout = \"1h\"\n",
        bench.path("state").display(),
        bench.path("source").display()
    );
    let config = syncline_conf::live::Config::parse("c.toml".as_ref(), config.as_bytes()).unwrap();
    bench.write("f", "x");
    let server = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.write_all(b"@RSYNCD: 32.0 sha512 sha256 sha1 md5 md4\n").unwrap();
        // Until the other side gives up.
        let _ = socket.read_to_end(&mut Vec::new());
    });
    bench.start_with(&config, syncline_live::StartOptions::default());
    until("it gives up", || bench.log().contains("the handshake took longer than 0.2 s"));
    bench.until_state("t0", State::Stalled);
    server.join().unwrap();
}
