//! The program as an operator meets it. Tests are named after the requirements of docs/spec live.md 6.
#![allow(clippy::unwrap_used)]

mod bench;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use bench::{Bench, Daemon, code, stderr, stdout, stock_is_missing, synclive, until};

#[test]
fn r1_a_source_and_three_kinds_of_target_need_no_configuration() {
    if stock_is_missing("r1_a_source_and_three_kinds_of_target_need_no_configuration") {
        return;
    }
    let bench = Bench::new();
    bench.write("source/a", "1");
    bench.write("source/x.tmp", "hidden");
    bench.write("secret", "pass word\n");
    bench.write("users", "u:pass word\n");
    for file in ["secret", "users"] {
        fs::set_permissions(bench.path(file), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let auth = format!("auth users = u\nsecrets file = {}", bench.text("users"));
    let daemon = Daemon::start(bench.top.path(), &bench.path("t0"), &auth);
    fs::create_dir_all(bench.path("t1")).unwrap();
    // A shell that is not remote: it drops the host and runs the rest.
    bench.write("shell", "#!/bin/sh\nshift\nexec \"$@\"\n");
    fs::set_permissions(bench.path("shell"), fs::Permissions::from_mode(0o755)).unwrap();
    let by_shell = format!("somewhere:{}", bench.text("t1"));
    let by_daemon = daemon.url().replace("rsync://", "rsync://u@");
    let mut live = bench.start(&[
        "-z",
        "--exclude=*.tmp",
        &bench.text("source"),
        &by_daemon,
        &by_shell,
        &bench.text("t2"),
        &format!("--rsh={}", bench.text("shell")),
        &format!("--password-file={}", bench.text("secret")),
    ]);
    for target in ["t0", "t1", "t2"] {
        bench.until_is(&format!("{target}/a"), "1");
    }
    bench.write("source/d/b", "2");
    bench.write("source/y.tmp", "hidden");
    fs::remove_file(bench.path("source/a")).unwrap();
    for target in ["t0", "t1", "t2"] {
        bench.until_is(&format!("{target}/d/b"), "2");
        until("a is gone", || !bench.path(&format!("{target}/a")).exists());
        assert!(!bench.path(&format!("{target}/x.tmp")).exists());
        assert!(!bench.path(&format!("{target}/y.tmp")).exists());
    }
    // R8: the password is nowhere but in its files.
    let words = fs::read(format!("/proc/{}/cmdline", live.0.id())).unwrap();
    live.signal("TERM");
    assert_eq!(live.end(), Some(0));
    let mut texts = vec![words, bench.log().into_bytes()];
    let mut directories = vec![bench.path("state")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { directories.push(path) } else { texts.push(fs::read(path).unwrap()) }
        }
    }
    for text in texts {
        assert!(!text.windows(9).any(|window| window == b"pass word"));
    }
}

#[test]
fn r2_a_bad_configuration_is_an_error_with_its_place_before_anything_starts() {
    let bench = Bench::new();
    let source = bench.text("source");
    for (text, problem) in [
        (
            format!("[[mirror]]\nsource = \"{source}\"\nsettel = \"1s\"\n"),
            ":3: `mirror[0].settel`: unknown field",
        ),
        (
            format!("[[mirror]]\nsource = \"{source}\"\nsettle = 5\n"),
            ":3: `mirror[0].settle`: invalid type",
        ),
        (
            format!(
                "[[mirror]]\nsource = \"{source}\"\n[[mirror.target]]\nurl = \"{source}/in\"\n"
            ),
            ":4: `mirror[0].target[0].url`: the target is the source or lies in it",
        ),
        (
            format!(
                "[[mirror]]\nsource = \"{source}\"\nfilter = [\"? x\"]\n[[mirror.target]]\nurl = \"h::m\"\n"
            ),
            "mirror",
        ),
        (
            format!(
                "[[mirror]]\nsource = \"{source}\"\n[mirror.options]\niconv = \"utf-8,latin1\"\n[[mirror.target]]\nurl = \"{}\"\n",
                bench.text("t0")
            ),
            "iconv: names are converted on the way to another host only",
        ),
    ] {
        bench.write("c.toml", &text);
        for more in [&["--check-config"][..], &[]] {
            let output = synclive([&["--config", &bench.text("c.toml")], more].concat());
            assert_eq!(code(&output), 2, "{text}");
            assert!(stderr(&output).contains(problem), "{problem}: {}", stderr(&output));
        }
    }
    assert!(!bench.path("state").exists());
    bench.write(
        "c.toml",
        &format!("[[mirror]]\nsource = \"{source}\"\n[[mirror.target]]\nurl = \"h::m\"\n"),
    );
    let output = synclive(["--check-config", "--config", &bench.text("c.toml")]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

#[test]
fn r2_a_command_line_that_says_nothing_sensible_is_refused() {
    for (words, problem) in [
        (&["--nope"][..], "--nope: unknown option"),
        (&["/tmp"], "there is no target"),
        (&["/tmp", "host::"], "it is no target"),
        (&["/tmp", "h::m", "--settle=5"], "--settle takes a time"),
        (&["/tmp", "h::m", "--startup=x"], "--startup takes compare"),
        (&["/tmp", "h::m", "-r"], "belong to -o"),
        (&["--config", "x", "/tmp"], "one or the other"),
        (&["--config", "x", "-z"], "stand in the configuration"),
        (&["--config", "x", "-o", "y"], "two configurations"),
        (&["--config", "/nowhere"], "/nowhere: "),
        (&["migrate"], "migrate takes one file"),
    ] {
        let output = synclive(words);
        assert_eq!(code(&output), 2, "{words:?}");
        assert!(stderr(&output).contains(problem), "{words:?}: {}", stderr(&output));
    }
    let output = synclive(["--help"]);
    assert_eq!(code(&output), 0);
    assert!(
        stdout(&output).contains("--status-addr") && stdout(&output).contains("--password-file")
    );
    assert_eq!(stdout(&synclive(["-V"])), format!("synclive {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn what_is_printed_as_configuration_says_the_same() {
    let bench = Bench::new();
    let words = [
        &*bench.text("source"),
        "u@web1::www",
        "--exclude=*.o",
        "-z",
        "--no-delete",
        "--settle=7ms",
    ];
    let first = synclive(words.iter().chain(&["--print-config"]));
    assert_eq!(code(&first), 0, "{}", stderr(&first));
    bench.write("c.toml", &stdout(&first));
    let second = synclive(["--config", &bench.text("c.toml"), "--print-config"]);
    assert_eq!(stdout(&first), stdout(&second));
    for line in ["delete = false", "filter = [\"- *.o\"]", "settle = \"7ms\"", "compress = true"] {
        assert!(stdout(&first).contains(line), "{line} in {}", stdout(&first));
    }
}

#[test]
fn r3_checking_says_what_would_be_refused_and_changes_nothing() {
    if stock_is_missing("r3_checking_says_what_would_be_refused_and_changes_nothing") {
        return;
    }
    let bench = Bench::new();
    bench.write("source/a", "1");
    let source = bench.text("source");
    for (number, (settings, ok, said)) in [
        ("", 0, "ok"),
        ("refuse options = delete", 1, "removals are refused"),
        ("refuse options = hard-links", 0, "renames send content again"),
        ("read only = yes", 1, "read only"),
    ]
    .into_iter()
    .enumerate()
    {
        let directory = bench.path(&format!("d{number}"));
        let daemon = Daemon::start(&directory, &directory.join("t"), settings);
        let output = synclive(["check", &source, &daemon.url()]);
        assert_eq!(code(&output), ok, "{settings}: {}{}", stdout(&output), stderr(&output));
        assert!(stdout(&output).contains(said), "{settings}: {}", stdout(&output));
        assert_eq!(fs::read_dir(directory.join("t")).unwrap().count(), 0);
    }
    let output =
        synclive(["check", &source, &format!("rsync://127.0.0.1:{}/m", Bench::free_port())]);
    assert_eq!(code(&output), 1);
    assert!(stdout(&output).starts_with("FAILED"), "{}", stdout(&output));
}

#[test]
fn r6_once_ends_with_the_code_of_the_worst_target() {
    if stock_is_missing("r6_once_ends_with_the_code_of_the_worst_target") {
        return;
    }
    let bench = Bench::new();
    bench.write("source/d/a", "1");
    let daemon = Daemon::start(bench.top.path(), &bench.path("t"), "");
    bench.write("t/foreign", "");
    let source = bench.text("source");
    let output = synclive(["once", &source, &daemon.url(), &bench.text("local")]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!((bench.read("t/d/a"), bench.read("local/d/a")), ("1".into(), "1".into()));
    assert!(!bench.path("t/foreign").exists());
    let nowhere = format!("rsync://127.0.0.1:{}/m", Bench::free_port());
    assert_eq!(code(&synclive(["once", &source, &nowhere, &bench.text("local")])), 10);
    let unknown = daemon.url().replace("/m/", "/unknown/");
    assert_eq!(code(&synclive(["once", &source, &unknown])), 5);
}

#[test]
fn r7_a_second_instance_says_who_is_the_first() {
    let bench = Bench::new();
    let words = [&*bench.text("source"), &bench.text("t")];
    let live = bench.start(&words);
    bench.until_log("state=live");
    let mut second = bench.start(&words);
    assert_eq!(second.end(), Some(4));
    assert!(bench.log().contains(&format!("in use by another instance, process {}", live.0.id())));
}

#[test]
fn r25_a_service_manager_hears_when_all_is_watched_and_when_it_ends() {
    let bench = Bench::new();
    let socket = UnixDatagram::bind(bench.path("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let name = bench.path("notify");
    let mut live = bench.start_with(&[&bench.text("source"), &bench.text("t")], |command| {
        command.env("NOTIFY_SOCKET", &name).env("WATCHDOG_USEC", "300000");
    });
    let hears = |wanted: &str| loop {
        let mut buffer = [0; 1000];
        let count = socket.recv(&mut buffer).unwrap();
        if buffer[..count].starts_with(wanted.as_bytes()) {
            return;
        }
    };
    hears("READY=1");
    hears("WATCHDOG=1");
    live.signal("TERM");
    hears("STOPPING=1");
    assert_eq!(live.end(), Some(0));
}

#[test]
fn r24_a_target_that_is_away_does_not_prevent_the_start_unless_that_is_wanted() {
    let bench = Bench::new();
    bench.write("source/a", "1");
    let away = format!("rsync://127.0.0.1:{}/m", Bench::free_port());
    let words = [&*bench.text("source"), &away, &bench.text("t")];
    let mut live = bench.start(&words);
    bench.until_is("t/a", "1");
    bench.until_log("state=retrying");
    live.signal("INT");
    assert_eq!(live.end(), Some(0));
    let mut live = bench.start(&[&words[..], &["--fail-fast"]].concat());
    assert_eq!(live.end(), Some(10));
}

#[test]
fn r138_a_signal_ends_it_with_the_rest_in_the_journal_and_a_second_one_at_once() {
    if stock_is_missing(
        "r138_a_signal_ends_it_with_the_rest_in_the_journal_and_a_second_one_at_once",
    ) {
        return;
    }
    let bench = Bench::new();
    let daemon = Daemon::start(bench.top.path(), &bench.path("t"), "");
    let words = [&*bench.text("source"), &daemon.url()];
    let mut live = bench.start(&words);
    bench.until_log("state=live");
    for number in 0..500 {
        bench.write(&format!("source/d{}/f{number}", number % 7), "x");
    }
    live.signal("TERM");
    assert_eq!(live.end(), Some(0));
    let mut live = bench.start(&words);
    until("all is there", || {
        (0..500).all(|number| bench.path(&format!("t/d{}/f{number}", number % 7)).exists())
    });
    until("it is live", || bench.log().matches("state=live").count() >= 2);
    live.signal("TERM");
    assert_eq!(live.end(), Some(0));

    // A target that never answers keeps it for as long as stopping may take; the second signal does not wait.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rsync://{}/m", silent.local_addr().unwrap());
    let mut live = bench.start(&[&bench.text("source"), &url]);
    let _connection = silent.accept().unwrap();
    live.signal("TERM");
    bench.until_log("stopping within 10 s");
    until("it stops", || bench.log().matches("stopping within").count() == 3);
    let begun = Instant::now();
    live.signal("INT");
    assert_eq!(live.end(), Some(130));
    assert!(begun.elapsed() < Duration::from_secs(8));
}

#[test]
fn r139_a_configuration_that_is_read_again_adds_a_target_and_a_bad_one_changes_nothing() {
    let bench = Bench::new();
    bench.write("source/a", "1");
    let config = |targets: &[&str]| {
        let mut text = format!("[[mirror]]\nname = \"m\"\nsource = \"{}\"\n", bench.text("source"));
        for target in targets {
            text += "[[mirror.target]]\nurl = \"";
            text += &bench.text(target);
            text += "\"\n";
        }
        text
    };
    bench.write("c.toml", &config(&["t0"]));
    let mut live = bench.start(&["--config", &bench.text("c.toml")]);
    bench.until_is("t0/a", "1");
    bench.write("c.toml", "[[mirror]]\nsource = 5\n");
    live.signal("HUP");
    bench.until_log("the configuration stays as it was: ");
    bench.write("source/b", "2");
    bench.until_is("t0/b", "2");
    bench.write("c.toml", &config(&["t0", "t1"]));
    live.signal("HUP");
    bench.until_is("t1/b", "2");
    bench.write("source/c", "3");
    bench.until_is("t0/c", "3");
    bench.until_is("t1/c", "3");
    live.signal("USR1");
    bench.until_log("  live");
    live.signal("TERM");
    assert_eq!(live.end(), Some(0));
}

#[test]
fn r144_status_says_how_it_is_by_text_and_exit_code() {
    let bench = Bench::new();
    let port = Bench::free_port();
    let address = format!("--status-addr=127.0.0.1:{port}");
    let status = || synclive(["status", &address]);
    assert_eq!(code(&status()), 3);
    let live = bench.start(&[&bench.text("source"), &bench.text("t"), &address]);
    bench.until_log("state=live");
    let output = status();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains("  live  "), "{}", stdout(&output));
    drop(live);
    let away = format!("rsync://127.0.0.1:{}/m", Bench::free_port());
    let file = bench.text("status.json");
    let words = [&*bench.text("source"), &away, &address, "--status-file", &file];
    let mut live = bench.start(&words);
    bench.until_log("state=retrying");
    assert_eq!(code(&status()), 2);
    // R137: the same in a file, there for those who come later.
    live.signal("TERM");
    assert_eq!(live.end(), Some(0));
    let output = synclive(["status", "--status-file", &file]);
    assert_eq!(code(&output), 2);
    assert!(stdout(&output).contains("stopped"), "{}", stdout(&output));
}

#[test]
fn r93_a_mass_removal_is_held_until_a_person_allows_it() {
    let bench = Bench::new();
    for number in 0..20 {
        bench.write(&format!("source/d/f{number}"), "x");
    }
    bench.write(
        "c.toml",
        &format!(
            "[[mirror]]\nname = \"m\"\nsource = \"{}\"\nmax-delete = 5\n[[mirror.target]]\nurl = \"{}\"\n",
            bench.text("source"),
            bench.text("t")
        ),
    );
    let config = bench.text("c.toml");
    let state = format!("--state-dir={}", bench.text("state"));
    assert_eq!(code(&synclive(["allow", "m", "--config", &config, &state])), 3);
    let live = bench.start(&["--config", &config]);
    bench.until_is("t/d/f19", "x");
    bench.until_log("state=live");
    // All at once, as far as it can see.
    live.signal("STOP");
    for number in 0..20 {
        fs::remove_file(bench.path(&format!("source/d/f{number}"))).unwrap();
    }
    live.signal("CONT");
    bench.until_log("state=delete-held");
    assert!(bench.path("t/d/f0").exists());
    let output = synclive(["allow", "m", "--config", &config, &state]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    until("it is gone", || fs::read_dir(bench.path("t/d")).unwrap().count() == 0);
    bench.until_log("mirror=m allowed");
    assert_eq!(code(&synclive(["retry", &state])), 0);
    drop(live);
}

#[test]
fn r122_a_schedule_puts_right_what_somebody_else_changed_at_a_target() {
    let bench = Bench::new();
    bench.write("source/a", "1");
    bench.write(
        "c.toml",
        &format!(
            "[[mirror]]\nsource = \"{}\"\nschedule = \"every 1s\"\n[[mirror.target]]\nurl = \"{}\"\n",
            bench.text("source"),
            bench.text("t")
        ),
    );
    let _live = bench.start(&["--config", &bench.text("c.toml")]);
    bench.until_is("t/a", "1");
    bench.until_log("state=live");
    bench.write("t/a", "changed by hand");
    bench.write("t/foreign", "");
    bench.until_is("t/a", "1");
    until("it is gone", || !bench.path("t/foreign").exists());
}

#[test]
fn what_is_not_performed_yet_is_refused_and_not_ignored() {
    let bench = Bench::new();
    for (line, key) in
        [("[[mirror.target]]\nurl = \"rsync://h/m/\"\nwarm = \"module\"", "warm = \"module\"")]
    {
        bench.write(
            "c.toml",
            &format!(
                "[[mirror]]\nsource = \"{}\"\n{line}\n[[mirror.target]]\nurl = \"{}\"\n",
                bench.text("source"),
                bench.text("t")
            ),
        );
        for words in [&["--check-config"][..], &[]] {
            let output = synclive([words, &["--config", &bench.text("c.toml")]].concat());
            assert_eq!(code(&output), 2);
            let said = stderr(&output);
            assert!(said.contains(&format!("`{key}` is not performed yet")), "{said}");
        }
    }
    assert!(!bench.path("t").exists());
}

#[test]
fn in_the_background_it_goes_on_when_the_command_has_ended() {
    let bench = Bench::new();
    bench.write("source/a", "1");
    let mut command = bench.start(&[&bench.text("source"), &bench.text("t"), "-d"]);
    assert_eq!(command.end(), Some(0));
    bench.write("source/b", "2");
    bench.until_is("t/b", "2");
    let process: i32 = bench.read("state/lock").trim().parse().unwrap();
    let process = rustix::process::Pid::from_raw(process).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
    bench.until_log("INFO stopped");
    // What cannot start says so by the command's own code.
    let mut command = bench.start(&[&bench.text("missing"), &bench.text("t"), "-d"]);
    assert_ne!(command.end(), Some(0));
}

#[test]
fn the_sample_configuration_is_in_order_and_the_unit_names_the_program() {
    let packaging = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging");
    let sample = packaging.join("synclive.toml");
    let output =
        synclive([std::ffi::OsStr::new("--check-config"), "--config".as_ref(), sample.as_os_str()]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    // What is commented out is in order as well.
    let text = fs::read_to_string(sample).unwrap();
    let all: Vec<&str> = text
        .lines()
        .map(|line| {
            line.strip_prefix('#')
                .filter(|rest| rest.contains('=') || rest.starts_with("[["))
                .unwrap_or(line)
        })
        .filter(|line| !line.starts_with(' '))
        .collect();
    let bench = Bench::new();
    bench.write("all.toml", &all.join("\n"));
    let output = synclive(["--check-config", "--config", &bench.text("all.toml")]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let unit = fs::read_to_string(packaging.join("systemd/synclive.service")).unwrap();
    assert!(unit.contains("\nExecStart=/usr/bin/synclive --config /etc/synclive.toml\n"));
    assert!(unit.contains("\nType=notify-reload\n"));
}

#[test]
fn r5_and_r142_migrating_tells_by_its_status_what_was_lost_and_prints_no_password() {
    let bench = Bench::new();
    let sync = format!(
        "sync{{ default.rsync, source = '{}', target = 'web1::www', ",
        bench.text("source")
    );
    let plain = sync.clone() + "rsync = { archive = true, password_file = '/etc/p' } }";
    bench.write("plain.lua", &plain);
    bench.write("lossy.lua", &(sync + "init = function() end }"));
    bench.write("bad.lua", "print('hello'");
    bench.write(
        "cdn.xml",
        r#"<head><sersync><localpath watch="/data"><remote ip="192.0.2.7" name="m"/></localpath>
        <plugin start="true" name="refreshCDN"/></sersync>
        <plugin name="refreshCDN"><localpath watch="/data"><cdninfo domainname="cdn" port="80" username="u" passwd="hush"/>
        <sendurl base="http://x"/><regexurl regex="false" match="x"/></localpath></plugin></head>"#,
    );
    for (file, expected, said) in [
        ("plain.lua", 0, "[delay-dropped:15]"),
        ("lossy.lua", 3, "lossy.lua:1: cannot be translated: "),
        ("bad.lua", 1, "bad.lua"),
        ("cdn.xml", 0, "[cdn-password"),
    ] {
        let output = synclive(["migrate", &bench.text(file)]);
        assert_eq!(code(&output), expected, "{file}: {}", stderr(&output));
        assert!(stderr(&output).contains(said), "{file}: {}", stderr(&output));
        assert!(!stdout(&output).contains("hush") && !stderr(&output).contains("hush"));
    }
    let output = synclive(["migrate", "--to", &bench.text("new.toml"), &bench.text("plain.lua")]);
    assert_eq!((code(&output), stdout(&output)), (0, String::new()));
    let output = synclive(["--check-config", "--config", &bench.text("new.toml")]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}
