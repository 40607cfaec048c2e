//! Our source against stock sinks: as a server, and as a client pushing.

mod common;

use std::fs;

use common::{Bench, Daemon, OURS, lines, snapshot, stock_is_missing, words};

const PROTOCOLS: [u8; 6] = [32, 31, 30, 29, 28, 27];

#[test]
fn a_stock_client_pulls_from_our_server_at_every_protocol() {
    if stock_is_missing("a_stock_client_pulls_from_our_server_at_every_protocol") {
        return;
    }
    let bench = Bench::new();
    for protocol in PROTOCOLS {
        let target = format!("pulled{protocol}");
        let mut arguments = bench.shell_options(OURS);
        arguments.extend(words(&["-aH", &format!("--protocol={protocol}")]));
        arguments.push(format!("h:{}/", bench.text("src")));
        arguments.push(target.clone());
        let output = bench.run("rsync", &arguments);
        assert!(output.status.success(), "{protocol}: {output:?}");
        if protocol >= 31 {
            assert_eq!(snapshot(&bench.path("src")), snapshot(&bench.path(&target)), "{protocol}");
        }
        assert_eq!(
            fs::read(bench.path("src/big")).unwrap(),
            fs::read(bench.path(&target).join("big")).unwrap()
        );
    }
}

#[test]
fn we_push_to_a_stock_server_and_show_what_stock_shows() {
    if stock_is_missing("we_push_to_a_stock_server_and_show_what_stock_shows") {
        return;
    }
    let bench = Bench::new();
    for options in [
        &["-ai"][..],
        &["-av"],
        &["-rv", "--no-inc-recursive"],
        &["-aH", "--out-format=%i %n%L %l"],
        &["-dlt", "-i"],
        &["-aR", "-ii"],
        &["-an", "-i", "--delete"],
        &["-az", "-i", "--exclude=big", "--protocol=29"],
        &["-ac", "-i", "--checksum-choice=md5"],
    ] {
        let mut shown = Vec::new();
        for (program, target) in [("rsync", "stock"), (OURS, "ours")] {
            let mut arguments = bench.shell_options("rsync");
            arguments.extend(words(options));
            arguments.extend(words(&["src/", &format!("h:{}", bench.text("to"))]));
            let output = bench.run(program, &arguments);
            assert!(output.status.success(), "{options:?}: {output:?}");
            shown.push(lines(&output));
            if bench.path("to").exists() {
                fs::rename(bench.path("to"), bench.path(target)).unwrap();
            } else {
                fs::create_dir(bench.path(target)).unwrap();
            }
        }
        assert_eq!(shown[0], shown[1], "{options:?}");
        assert_eq!(
            snapshot(&bench.path("stock")).len(),
            snapshot(&bench.path("ours")).len(),
            "{options:?}"
        );
        fs::remove_dir_all(bench.path("stock")).unwrap();
        fs::remove_dir_all(bench.path("ours")).unwrap();
    }
}

#[test]
fn changed_files_go_as_deltas_in_every_compression() {
    if stock_is_missing("changed_files_go_as_deltas_in_every_compression") {
        return;
    }
    let bench = Bench::new();
    let old = fs::read_to_string(bench.path("src/big")).unwrap().replace("line 7777\n", "gone\n");
    for compression in ["none", "zlib", "zlibx", "zstd", "lz4"] {
        fs::create_dir_all(bench.path("to")).unwrap();
        fs::write(bench.path("to/big"), &old).unwrap();
        let mut arguments = bench.shell_options("rsync");
        arguments.extend(words(&["-I", "--stats", &format!("--compress-choice={compression}")]));
        arguments.extend(words(&["src/big", &format!("h:{}/", bench.text("to"))]));
        let output = bench.run(OURS, &arguments);
        assert!(output.status.success(), "{compression}: {output:?}");
        assert_eq!(
            fs::read(bench.path("src/big")).unwrap(),
            fs::read(bench.path("to/big")).unwrap(),
            "{compression}"
        );
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let matched = text.lines().find_map(|line| line.strip_prefix("Matched data: ")).unwrap();
        assert_ne!(matched, "0 bytes", "{compression}");
    }
}

#[test]
fn we_push_to_a_stock_daemon_with_a_password() {
    if stock_is_missing("we_push_to_a_stock_daemon_with_a_password") {
        return;
    }
    let bench = Bench::new();
    let secrets = bench.path("secrets");
    fs::write(&secrets, "joe:right\n").unwrap();
    for (name, text) in [("good", "right\n"), ("bad", "wrong\n")] {
        fs::write(bench.path(name), text).unwrap();
    }
    for name in ["secrets", "good", "bad"] {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(bench.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let module = format!("auth users = joe\nsecrets file = {}\n", secrets.display());
    let daemon = Daemon::start(&bench, &module);
    let url = daemon.url("to/").replace("rsync://", "rsync://joe@");
    for (file, code) in [("good", 0), ("bad", 5)] {
        let arguments = words(&["-a", &format!("--password-file={file}"), "src/", &url]);
        let output = bench.run(OURS, &arguments);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
    }
    assert_eq!(snapshot(&bench.path("src")).len(), snapshot(&bench.path("to")).len());
}

#[test]
fn listings_are_stocks() {
    if stock_is_missing("listings_are_stocks") {
        return;
    }
    let bench = Bench::new();
    let daemon = Daemon::start(&bench, "comment = all of it\n");
    let source = format!("h:{}/", bench.text("src"));
    let root = format!("rsync://127.0.0.1:{}/", daemon.port);
    let url = daemon.url("src/");
    for arguments in [
        vec![root.as_str()],
        vec!["-r", &url],
        vec!["--no-motd", &root],
        vec!["-r", "--no-inc-recursive", &url],
        vec!["-al", "--protocol=28", &url],
        vec![&url],
        vec!["-r", "--exclude=sub", &source],
        vec!["--list-only", "-h", &source],
    ] {
        let arguments: Vec<String> =
            bench.shell_options("rsync").into_iter().chain(words(&arguments)).collect();
        // A daemon form with a shell would be a daemon behind a shell.
        let arguments: Vec<String> = if arguments.iter().any(|word| word.starts_with("rsync://")) {
            arguments.into_iter().filter(|word| !word.starts_with("--rs")).collect()
        } else {
            arguments
        };
        let stock = bench.run("rsync", &arguments);
        let ours = bench.run(OURS, &arguments);
        let text =
            |output: &std::process::Output| String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(text(&stock), text(&ours), "{arguments:?}");
        assert_eq!(stock.status.code(), ours.status.code(), "{arguments:?}");
    }
}

#[test]
fn a_missing_source_is_23_and_the_rest_goes_on() {
    if stock_is_missing("a_missing_source_is_23_and_the_rest_goes_on") {
        return;
    }
    let bench = Bench::new();
    let mut arguments = bench.shell_options("rsync");
    arguments.extend(words(&["-a", "src/small", "src/nope", &format!("h:{}/", bench.text("to"))]));
    let stock = bench.run("rsync", &arguments);
    fs::remove_dir_all(bench.path("to")).unwrap();
    let ours = bench.run(OURS, &arguments);
    assert_eq!(ours.status.code(), Some(23));
    let first = |output: &std::process::Output| {
        String::from_utf8_lossy(&output.stderr).lines().next().map(str::to_owned)
    };
    assert_eq!(first(&stock), first(&ours));
    assert!(bench.path("to/small").exists());
}

#[test]
fn sources_are_removed_once_they_are_in_place() {
    if stock_is_missing("sources_are_removed_once_they_are_in_place") {
        return;
    }
    let bench = Bench::new();
    let mut arguments = bench.shell_options("rsync");
    arguments.extend(words(&[
        "-a",
        "--remove-source-files",
        "src/",
        &format!("h:{}/", bench.text("to")),
    ]));
    let output = bench.run(OURS, &arguments);
    assert!(output.status.success(), "{output:?}");
    assert!(!bench.path("src/big").exists());
    assert!(bench.path("src/sub").exists());
    assert!(bench.path("to/big").exists());
}

#[test]
fn named_files_are_sent_from_a_list() {
    if stock_is_missing("named_files_are_sent_from_a_list") {
        return;
    }
    let bench = Bench::new();
    fs::write(bench.path("names"), "small\n# a comment\n\nsub/file\r\n").unwrap();
    let mut shown = Vec::new();
    for (program, server) in [("rsync", "rsync"), (OURS, "rsync"), ("rsync", OURS)] {
        let mut arguments = bench.shell_options(server);
        arguments.extend(words(&["-ai", "--files-from=names"]));
        if server == OURS {
            // Forwarded lists have no comments.
            fs::write(bench.path("names"), "small\nsub/file\n").unwrap();
            arguments.extend([format!("h:{}", bench.text("src")), "to".to_owned()]);
        } else {
            arguments.extend(words(&["src", &format!("h:{}", bench.text("to"))]));
        }
        let output = bench.run(program, &arguments);
        assert!(output.status.success(), "{output:?}");
        shown.push(snapshot(&bench.path("to")).len());
        fs::remove_dir_all(bench.path("to")).unwrap();
    }
    assert_eq!(shown[0], shown[1]);
    assert_eq!(shown[0], shown[2]);
}
