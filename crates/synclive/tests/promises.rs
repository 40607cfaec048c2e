//! What the program promises of its use of the machine, and of machines that are short of something.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod bench;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bench::{Bench, Daemon, Live, stdout, stock_is_missing, synclive, until};

/// How often the threads of the program have slept so far.
fn sleeps(live: &Live) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{}/task", live.0.id())).unwrap();
    let count = |status: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse().ok()
    };
    tasks
        .map(|task| fs::read_to_string(task.unwrap().path().join("status")).unwrap_or_default())
        .filter_map(|status| count(&status))
        .sum()
}

#[test]
fn r12_what_has_no_watch_is_looked_at_by_interval_and_everybody_is_told() {
    let test = "r12_what_has_no_watch_is_looked_at_by_interval_and_everybody_is_told";
    let bench = Bench::new();
    for number in 0..40 {
        bench.write(&format!("source/d{number}/f"), "x");
    }
    let config = |poll: &str| {
        let text = format!(
            "status-addr = \"127.0.0.1:{}\"\n[[mirror]]\nname = \"m\"\nsource = \"{}\"\npoll-interval = \"{poll}\"\n\
             [[mirror.target]]\nname = \"t\"\nurl = \"{}\"\n",
            Bench::free_port(),
            bench.text("source"),
            bench.text("t")
        );
        bench.write("c.toml", &text);
        text.split('"').nth(1).unwrap().to_owned()
    };
    // A namespace of its own has a limit of its own.
    let script = "echo 20 > /proc/sys/user/max_inotify_watches && exec \"$0\" \"$@\"";
    let limited = |command: &mut Command| {
        let program = command.get_program().to_owned();
        let words: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        *command = Command::new("unshare");
        command.args(["-Ur", "sh", "-c", script]).arg(program).args(words);
        let log = fs::OpenOptions::new().create(true).append(true).open(bench.path("log"));
        command.stderr(log.unwrap());
    };
    let may = Command::new("unshare")
        .args(["-Ur", "sh", "-c", "echo 20 > /proc/sys/user/max_inotify_watches"])
        .output();
    if !may.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED {test}: no namespace of its own can be made");
        return;
    }
    let address = config("100ms");
    let mut live = bench.start_with(&["--config", &bench.text("c.toml")], limited);
    bench.until_log("state=degraded");
    assert!(bench.log().contains("raise it with: sysctl fs.inotify.max_user_watches="));
    let mut round = 0;
    for number in 0..40 {
        round += 1;
        bench.write(&format!("source/d{number}/f"), &format!("changed {round}"));
        bench.write(&format!("source/d{number}/deep/er/new"), "y");
        bench.until_is(&format!("t/d{number}/f"), &format!("changed {round}"));
        bench.until_is(&format!("t/d{number}/deep/er/new"), "y");
    }
    fs::remove_dir_all(bench.path("source/d39")).unwrap();
    until("what goes is seen to go", || !bench.path("t/d39").exists());
    let status = stdout(&synclive(["status", &format!("--status-addr={address}")]));
    assert!(status.contains("directories without one, looked at every"), "{status}");
    live.signal("TERM");
    live.end();
    // Who does not want that is told what is needed.
    config("0s");
    let mut live = bench.start_with(&["--config", &bench.text("c.toml")], limited);
    bench.until_log("directories and the limit on watches is 20; raise it with: sysctl");
    live.signal("TERM");
    live.end();
}

#[test]
fn r110_what_the_kernel_dropped_is_found_again() {
    let test = "r110_what_the_kernel_dropped_is_found_again";
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap_or_default();
    let limit: usize = limit.trim().parse().unwrap_or(usize::MAX);
    if limit > 50_000 {
        eprintln!("SKIPPED {test}: the kernel's queue holds {limit} events");
        return;
    }
    let bench = Bench::new();
    bench.write("source/d/stays", "x");
    bench.write("source/gone/f", "x");
    let live = bench.start(&[&bench.text("source"), &bench.text("t")]);
    bench.until_log("state=live");
    bench.until_is("t/gone/f", "x");
    live.signal("STOP");
    let files = [bench.path("source/d/one"), bench.path("source/d/other")];
    // Equal events in a row are one for the kernel: each differs from the last.
    for number in 0..limit {
        fs::write(&files[number % 2], "x").unwrap();
    }
    fs::remove_dir_all(bench.path("source/gone")).unwrap();
    bench.write("source/new/deep/f", "seen by nobody");
    bench.write("source/d/stays", "changed");
    live.signal("CONT");
    bench.until_log("the kernel dropped events");
    bench.until_is("t/new/deep/f", "seen by nobody");
    bench.until_is("t/d/stays", "changed");
    until("what went goes", || !bench.path("t/gone").exists());
}

#[test]
fn r121_twenty_targets_share_what_is_read_of_a_file() {
    let test = "r121_twenty_targets_share_what_is_read_of_a_file";
    if stock_is_missing(test) {
        return;
    }
    let bench = Bench::new();
    let daemon = Daemon::start(&bench.path("daemon"), &bench.path("t"), "");
    let urls: Vec<String> = (0..20).map(|number| format!("{}t{number}/", daemon.url())).collect();
    for number in 0..20 {
        fs::create_dir_all(bench.path(&format!("t/t{number}"))).unwrap();
    }
    let source = bench.text("source");
    let words: Vec<&str> = [&*source].into_iter().chain(urls.iter().map(String::as_str)).collect();
    let live = bench.start(&words);
    until("all are live", || bench.log().matches("state=live").count() == 20);
    let peak = || -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", live.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    let before = peak();
    let noise: Vec<u8> = (0..32 << 20_u64)
        .map(|n: u64| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
        .collect();
    fs::write(bench.path("source/big"), &noise).unwrap();
    for number in 0..20 {
        let path = bench.path(&format!("t/t{number}/big"));
        until("it arrives", || path.metadata().is_ok_and(|data| data.len() == 32 << 20));
    }
    let grown = (peak() - before) / 1024;
    // A copy for each would be 640 MB.
    assert!(grown < 80, "{grown} MB more");
}

#[test]
fn r152_an_idle_mirror_sleeps() {
    let bench = Bench::new();
    bench.write("source/f", "x");
    let live = bench.start(&[&bench.text("source"), &bench.text("t")]);
    bench.until_log("state=live");
    bench.until_is("t/f", "x");
    // The journal reaches the disk within a second; after that there is nothing to do.
    let mut before = sleeps(&live);
    until("it has come to rest", || {
        std::thread::sleep(Duration::from_secs(2));
        let now = sleeps(&live);
        let rests = now - before <= 1;
        before = now;
        rests
    });
}

/// Takes one request over TLS; what it was.
fn answer_privately(listener: &TcpListener, papers: &Path) -> String {
    let (socket, peer) = listener.accept().unwrap();
    let server =
        syncline_tls::Server::new(&papers.join("cert.pem"), &papers.join("key.pem")).unwrap();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let carrier = std::thread::spawn(move || server.serve(socket, theirs, &peer.to_string()));
    let (mut request, mut buffer) = (Vec::new(), [0; 1024]);
    while !request.ends_with(b"\r\n\r\n") {
        let count = ours.read(&mut buffer).unwrap();
        if count == 0 {
            break;
        }
        request.extend_from_slice(&buffer[..count]);
    }
    // A client that does not trust us is gone.
    let _ = ours.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
    drop(ours);
    let _ = carrier.join().unwrap();
    String::from_utf8(request).unwrap()
}

#[test]
fn r131_a_request_in_private_goes_to_a_server_that_is_trusted_and_to_no_other() {
    let test = "r131_a_request_in_private_goes_to_a_server_that_is_trusted_and_to_no_other";
    let bench = Bench::new();
    let made = Command::new("openssl")
        .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -days 2".split(' '))
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .current_dir(bench.top.path())
        .output();
    if !made.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED {test}: needs openssl");
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    bench.write(
        "c.toml",
        &format!(
            "[[mirror]]\nsource = \"{}\"\n[[mirror.hook]]\nhttp = \"PURGE\"\nretries = 0\n\
             url = \"https://localhost:{port}/www/{{path}}\"\n",
            bench.text("source")
        ),
    );
    let papers = bench.top.path().to_owned();
    let start = |trusted: &Path| {
        bench.start_with(&["--config", &bench.text("c.toml")], |command| {
            command.env("SSL_CERT_FILE", trusted).env_remove("SSL_CERT_DIR");
        })
    };
    let server = std::thread::spawn(move || answer_privately(&listener, &papers));
    let mut live = start(&bench.path("cert.pem"));
    bench.until_log("watching ");
    bench.write("source/a b", "x");
    let request = server.join().unwrap();
    assert!(request.starts_with("PURGE /www/a%20b HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("Host: localhost:{port}\r\n")), "{request}");
    live.signal("TERM");
    assert_eq!(live.end(), Some(0));
    // Nobody is trusted by a file without certificates: it is said before anything starts.
    bench.write("empty.pem", "");
    let mut live = start(&bench.path("empty.pem"));
    assert_eq!(live.end(), Some(2), "{}", bench.log());
}
