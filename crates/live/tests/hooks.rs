//! Hooks and streams against real programs, web servers and readers.
#![allow(clippy::unwrap_used)] // In helpers as in tests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use syncline_conf::live::{ChangeKind, Config, Mirror};
use syncline_fs::RelPath;
use syncline_live::state::{HookCounts, Registry, State};
use syncline_live::{Change, Hooks, Log};

const LONG: Duration = Duration::from_secs(20);

fn change(path: &[u8], kind: ChangeKind) -> Change {
    Change::new(RelPath::new(path).unwrap().to_owned(), kind, false)
}

fn changed(path: &str) -> Change {
    change(path.as_bytes(), ChangeKind::Changed)
}

/// A mirror of `/srv/www` with what `toml` adds.
fn mirror(targets: &[&str], toml: &str) -> Mirror {
    let mut text = "[[mirror]]\nsource = \"/srv/www\"\n".to_owned();
    for target in targets {
        text += "[[mirror.target]]\n";
        text += &[("name", (*target).to_owned()), ("url", format!("{target}::www"))]
            .map(|(key, value)| format!("{key} = {value:?}\n"))
            .concat();
    }
    text += toml;
    let config = Config::parse(Path::new("synclive.toml"), text.as_bytes());
    config.unwrap_or_else(|error| panic!("{error}")).mirrors.remove(0)
}

struct Running {
    hooks: Hooks,
    registry: Registry,
    log: Receiver<String>,
}

fn start(mirror: &Mirror) -> Running {
    let registry = Registry::new();
    let (sender, log) = channel();
    let log_to = Log::to(move |_, line| drop(sender.send(line.to_owned())));
    let hooks = Hooks::start(mirror, "www", &registry, &log_to).unwrap();
    Running { hooks, registry, log }
}

impl Running {
    /// Ends when everything was told; gives what became of it, and the log.
    fn end(self) -> (HookCounts, Vec<String>) {
        self.hooks.stop(LONG);
        let counts = self.registry.snapshot(Duration::ZERO).mirrors[0].hooks;
        (counts, self.log.try_iter().collect())
    }

    fn counts(&self) -> HookCounts {
        self.registry.snapshot(Duration::ZERO).mirrors[0].hooks
    }
}

/// Waits until something holds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

const NASTY: &[&[u8]] =
    &[b"; touch pwned", b"a b", b"new\nline", b"$(id)`id`", b"-rf", b"\xff\xfe", b"'q\"", b"*"];

fn nasty_changes() -> Vec<Change> {
    NASTY.iter().map(|path| change(path, ChangeKind::Changed)).collect()
}

/// The bytes of nasty names on disk, in order.
fn nasty_paths() -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = NASTY.iter().map(|path| [b"/srv/www/", *path].concat()).collect();
    paths.sort();
    paths
}

fn split(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut parts: Vec<_> = bytes.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
    parts.pop();
    parts.sort();
    parts
}

#[test]
fn r130_paths_reach_a_command_as_arguments_whatever_they_are_called() {
    let top = tempfile::tempdir().unwrap();
    let out = top.path().join("out");
    let script = format!("printf '%s\\0' \"$@\" > {}; echo $SYNCLIVE_COUNT", out.display());
    let toml = format!(
        "[[mirror.hook]]\nafter = \"target-batch\"\nrun = [\"sh\", \"-c\", {script:?}, \"x\"]\nsuffix = [\"last\"]\n"
    );
    let running = start(&mirror(&["web1"], &toml));
    running.hooks.batch("web1", 7, &nasty_changes());
    let (counts, log) = running.end();
    let arguments = std::fs::read(out).unwrap();
    assert!(arguments.ends_with(b"\0last\0"), "what follows the paths comes last");
    let mut expected = nasty_paths();
    expected.push(b"last".to_vec());
    expected.sort();
    assert_eq!(split(&arguments), expected);
    assert_eq!((counts.ok, counts.failed), (1, 0));
    assert_eq!(log, [format!("mirror=www hook=sh output: {}", NASTY.len())]);
}

#[test]
fn r130_paths_reach_a_command_on_its_standard_input_and_one_that_does_not_read_is_no_harm() {
    let top = tempfile::tempdir().unwrap();
    let out = top.path().join("out");
    let script = format!("cat > {}", out.display());
    let toml = format!(
        "[[mirror.hook]]\nrun = [\"sh\", \"-c\", {script:?}]\npass = \"stdin\"\n\
         [[mirror.hook]]\nrun = [\"true\"]\npass = \"stdin\"\n"
    );
    let running = start(&mirror(&["web1"], &toml));
    running.hooks.batch("web1", 1, &nasty_changes());
    let (counts, _) = running.end();
    assert_eq!(split(&std::fs::read(out).unwrap()), nasty_paths());
    assert_eq!((counts.ok, counts.failed), (2, 0));
}

#[test]
fn r130_paths_reach_a_command_in_a_file_that_is_removed_afterwards() {
    let top = tempfile::tempdir().unwrap();
    let out = top.path().join("out");
    let script = format!(
        "cat \"$1\" > {0}; echo >> {0}; echo \"$1 $SYNCLIVE_MIRROR $SYNCLIVE_TARGET $SYNCLIVE_BATCH\" >> {0}",
        out.display()
    );
    let toml = format!(
        "[[mirror.hook]]\nafter = \"target-batch\"\nrun = [\"sh\", \"-c\", {script:?}, \"x\"]\npass = \"json\"\n"
    );
    let running = start(&mirror(&["web1"], &toml));
    let changes = [changed("a b"), change(b"gone\xff", ChangeKind::Removed)];
    running.hooks.batch("web1", 3, &changes);
    running.end();
    let text = std::fs::read_to_string(out).unwrap();
    let (json, rest) = text.split_once('\n').unwrap();
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(
        json,
        serde_json::json!({"mirror": "www", "target": "web1", "batch": 3, "changes": [
            {"path": "/srv/www/a b", "what": "changed"},
            {"path": "/srv/www/gone\u{fffd}", "what": "removed", "path_hex": "2f7372762f7777772f676f6e65ff"},
        ]})
    );
    let (file, rest) = rest.split_once(' ').unwrap();
    assert_eq!(rest, "www web1 3\n");
    assert!(!Path::new(file).exists());
}

#[test]
fn r130_only_kinds_and_rules_that_are_asked_for_count() {
    let top = tempfile::tempdir().unwrap();
    let out = top.path().join("out");
    let script = format!("printf '%s\\n' \"$@\" >> {}", out.display());
    let toml = format!(
        "[[mirror.hook]]\nrun = [\"sh\", \"-c\", {script:?}, \"x\"]\nkinds = [\"removed\"]\n\
         only = [\"+ *.html\", \"- *\"]\n"
    );
    let running = start(&mirror(&["web1"], &toml));
    let mut refused = change(b"refused.html", ChangeKind::Removed);
    refused.failed = true;
    let changes = [
        changed("a.html"),
        change(b"d/b.html", ChangeKind::Removed),
        change(b"c.css", ChangeKind::Removed),
        refused,
    ];
    running.hooks.batch("web1", 1, &changes);
    running.end();
    assert_eq!(std::fs::read_to_string(out).unwrap(), "/srv/www/d/b.html\n");
}

#[test]
fn r130_a_command_that_fails_is_tried_again_as_often_as_allowed_and_counted() {
    let top = tempfile::tempdir().unwrap();
    let out = top.path().join("out");
    let script = format!("echo x >> {}; exit 3", out.display());
    let toml = format!("[[mirror.hook]]\nrun = [\"sh\", \"-c\", {script:?}]\nretries = 1\n");
    let running = start(&mirror(&["web1"], &toml));
    running.hooks.batch("web1", 1, &[changed("a")]);
    until("given up", || running.counts().failed == 1);
    let (counts, log) = running.end();
    assert_eq!((counts.ok, counts.retried, counts.failed), (0, 1, 1));
    assert_eq!(std::fs::read_to_string(out).unwrap(), "x\nx\n");
    assert_eq!(
        log,
        [
            "mirror=www target=- hook=sh failed: it ended with status 3; again in 1 s",
            "mirror=www target=- hook=sh failed: it ended with status 3; given up",
        ]
    );
}

#[test]
fn r130_a_command_that_takes_too_long_is_ended_with_all_that_it_started() {
    let toml = "[[mirror.hook]]\nrun = [\"sh\", \"-c\", \"sleep 600 | sleep 600\"]\ntimeout = \"50ms\"\nretries = 0\n";
    let running = start(&mirror(&["web1"], toml));
    running.hooks.batch("web1", 1, &[changed("a")]);
    until("ended", || running.counts().failed == 1);
    let (_, log) = running.end();
    assert_eq!(log, ["mirror=www target=- hook=sh failed: it took longer than 0.05 s; given up"]);
}

#[test]
fn r130_each_path_has_a_run_of_its_own_if_that_is_asked_for() {
    let top = tempfile::tempdir().unwrap();
    let out = top.path().join("out");
    let script = format!("echo \"$*\" >> {}", out.display());
    let toml = format!(
        "[[mirror.hook]]\nrun = [\"sh\", \"-c\", {script:?}, \"x\"]\npass = \"each\"\nsuffix = [\"s\"]\n"
    );
    let running = start(&mirror(&[], &toml));
    running.hooks.batch("", 1, &[changed("a"), changed("b c")]);
    running.end();
    assert_eq!(std::fs::read_to_string(out).unwrap(), "/srv/www/a s\n/srv/www/b c s\n");
}

#[test]
fn r133_a_sleeping_hook_delays_nobody_and_gets_all_that_came_meanwhile_at_once() {
    let top = tempfile::tempdir().unwrap();
    let (out, go) = (top.path().join("out"), top.path().join("go"));
    let script = format!(
        "echo $SYNCLIVE_COUNT >> {}; while [ ! -e {} ]; do sleep 0.02; done",
        out.display(),
        go.display()
    );
    let toml = format!("[[mirror.hook]]\nrun = [\"sh\", \"-c\", {script:?}]\npass = \"none\"\n");
    let running = start(&mirror(&["web1"], &toml));
    running.hooks.batch("web1", 1, &[changed("first")]);
    until("started", || out.exists());
    let began = Instant::now();
    for number in 0..5000 {
        running.hooks.batch("web1", number, &[changed(&format!("f{}", number % 100))]);
    }
    assert!(began.elapsed() < Duration::from_secs(2));
    std::fs::write(go, "").unwrap();
    running.end();
    assert_eq!(std::fs::read_to_string(out).unwrap(), "1\n100\n");
}

#[test]
fn a_hook_for_all_targets_waits_for_those_that_are_behind_and_not_for_those_in_trouble() {
    let top = tempfile::tempdir().unwrap();
    let out = top.path().join("out");
    let (both, looked) = (top.path().join("both"), top.path().join("looked"));
    let script = format!(
        "if [ -e {} ]; then echo run; else echo early; fi >> {}",
        both.display(),
        out.display()
    );
    let each = format!("echo >> {}", looked.display());
    let toml = format!(
        "[[mirror.hook]]\nrun = [\"sh\", \"-c\", {script:?}]\npass = \"none\"\n\
         [[mirror.hook]]\nrun = [\"sh\", \"-c\", {each:?}]\npass = \"none\"\nafter = \"target-batch\"\n"
    );
    let mirror = mirror(&["web1", "web2", "web3"], &toml);
    let running = start(&mirror);
    let status = running.registry.mirror("www", &mirror.source);
    let [web1, web2, web3] = ["web1", "web2", "web3"].map(|name| status.target(name, name));
    let now = running.registry.now();
    let _ = web1.set_state(now, State::Live, "");
    let _ = web2.set_state(now, State::Behind, "");
    let _ = web3.set_state(now, State::Misconfigured, "unknown module");
    for target in [&web1, &web2, &web3] {
        target.set_queue(now, 1, Some(now));
    }
    running.hooks.batch("web1", 1, &[changed("a")]);
    web1.set_queue(now, 0, None);
    // A hook that waits for nobody has been run: the other one had its chance.
    until("looked", || looked.exists());
    std::fs::write(&both, "").unwrap();
    running.hooks.batch("web2", 1, &[changed("a")]);
    web2.set_queue(now, 0, None);
    until("run", || out.exists());
    let (counts, _) = running.end();
    assert_eq!((counts.ok - 2, std::fs::read_to_string(out).unwrap().as_str()), (1, "run\n"));
}

#[test]
fn r135_a_hook_may_be_run_for_changes_of_state() {
    let top = tempfile::tempdir().unwrap();
    let out = top.path().join("out");
    let script = format!(
        "echo $SYNCLIVE_TARGET $SYNCLIVE_STATE_BEFORE $SYNCLIVE_STATE \"$SYNCLIVE_REASON\" >> {}",
        out.display()
    );
    let toml = format!("[[mirror.hook]]\nafter = \"state\"\nrun = [\"sh\", \"-c\", {script:?}]\n");
    let running = start(&mirror(&["web1"], &toml));
    let target = running.registry.mirror("www", Path::new("/srv/www")).target("web1", "x");
    let transition = target.set_state(Duration::ZERO, State::Retrying, "connection refused");
    running.hooks.state("web1", &transition.unwrap());
    running.hooks.batch("web1", 1, &[changed("a")]);
    running.end();
    assert_eq!(
        std::fs::read_to_string(out).unwrap(),
        "web1 starting retrying connection refused\n"
    );
}

/// A web server that gives the answers, one connection each, and the requests.
fn web_server(answers: Vec<&'static str>) -> (u16, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        answers.into_iter().map(|answer| answer_one(&listener, answer)).collect()
    });
    (port, server)
}

fn answer_one(listener: &TcpListener, answer: &str) -> String {
    let (mut socket, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(socket.try_clone().unwrap());
    let (mut request, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap() <= 2 {
            break;
        }
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.trim().parse().unwrap();
        }
        request += &line;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    if answer == "never" {
        // Until the other side gives up.
        let _ = socket.read(&mut [0]);
    } else {
        socket.write_all(answer.as_bytes()).unwrap();
    }
    request.replace('\r', "") + &String::from_utf8(body).unwrap()
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[test]
fn r131_each_path_is_purged_by_its_encoded_name_with_a_secret_that_is_not_logged() {
    let top = tempfile::tempdir().unwrap();
    let secret = top.path().join("secret");
    std::fs::write(&secret, "k&y\n").unwrap();
    let (port, server) = web_server(vec![OK, "HTTP/1.1 403 Forbidden\r\n\r\n"]);
    let toml = format!(
        "[[mirror.hook]]\nhttp = \"PURGE\"\nurl = \"http://127.0.0.1:{port}/www/{{path}}?key={{secret}}\"\n\
         headers = {{ Host = \"cdn.example\", X-Key = \"{{secret}}\" }}\nsecret-file = {secret:?}\nretries = 0\n"
    );
    let running = start(&mirror(&["web1"], &toml));
    running.hooks.batch("web1", 1, &[changed("a b/ü.html"), changed("c")]);
    let (counts, log) = running.end();
    let requests = server.join().unwrap();
    assert_eq!(
        requests[0],
        format!(
            "PURGE /www/a%20b/%C3%BC.html?key=k%26y HTTP/1.1\nHost: cdn.example\nX-Key: k&y\n\
             User-Agent: synclive/{}\nConnection: close\n",
            env!("CARGO_PKG_VERSION")
        )
    );
    assert!(requests[1].starts_with("PURGE /www/c?"));
    assert_eq!((counts.ok, counts.failed), (1, 1));
    assert_eq!(
        log,
        [format!(
            "mirror=www target=- hook=PURGE 127.0.0.1:{port} failed: the answer was 403; given up"
        )]
    );
}

#[test]
fn r131_a_failing_server_is_asked_again_and_bodies_hold_the_changes() {
    for (body, kind, expected) in [
        (
            "json",
            "application/json",
            r#"{"batch":1,"changes":[{"path":"a b","what":"changed"},{"path":"gone","what":"removed"}],"mirror":"www","target":"web1"}"#,
        ),
        (
            "form",
            "application/x-www-form-urlencoded",
            "mirror=www&target=web1&changed=a%20b&removed=gone",
        ),
    ] {
        let (port, server) =
            web_server(vec!["HTTP/1.1 500 Oops\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"]);
        let toml = format!(
            "[[mirror.hook]]\nafter = \"target-batch\"\nhttp = \"POST\"\nurl = \"http://127.0.0.1:{port}/in\"\nbody = \"{body}\"\n"
        );
        let running = start(&mirror(&["web1"], &toml));
        let changes = [changed("a b"), change(b"gone", ChangeKind::Removed)];
        running.hooks.batch("web1", 1, &changes);
        until("sent", || running.counts().ok == 1);
        let (counts, _) = running.end();
        assert_eq!((counts.ok, counts.retried, counts.failed), (1, 1, 0));
        let requests = server.join().unwrap();
        assert_eq!(requests[0], requests[1]);
        let (head, sent) = requests[1].rsplit_once('\n').unwrap();
        assert!(head.contains(&format!("Content-Type: {kind}")), "{head}");
        assert_eq!(sent, expected);
    }
}

#[test]
fn r131_a_server_that_does_not_answer_is_given_up_in_time() {
    let (port, server) = web_server(vec!["never"]);
    let toml = format!(
        "[[mirror.hook]]\nhttp = \"GET\"\nurl = \"http://127.0.0.1:{port}/\"\ntimeout = \"100ms\"\nretries = 0\n"
    );
    let running = start(&mirror(&["web1"], &toml));
    running.hooks.batch("web1", 1, &[changed("a")]);
    until("given up", || running.counts().failed == 1);
    let (_, log) = running.end();
    server.join().unwrap();
    assert!(log[0].ends_with("failed: no answer within 0.1 s; given up"), "{log:?}");
}

#[test]
fn r132_a_unix_socket_gets_a_line_for_each_change_failed_ones_too() {
    let top = tempfile::tempdir().unwrap();
    let path = top.path().join("events");
    let listener = UnixListener::bind(&path).unwrap();
    let running = start(&mirror(&["web1"], &format!("[[mirror.stream]]\nunix = {path:?}\n")));
    let mut failed = change(b"b", ChangeKind::Removed);
    failed.failed = true;
    running.hooks.batch("web1", 1, &[changed("a\nb"), failed]);
    let (socket, _) = listener.accept().unwrap();
    let (counts, _) = running.end();
    assert_eq!(counts.ok, 2);
    let lines: Vec<serde_json::Value> = BufReader::new(socket)
        .lines()
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0]["time"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    let shown = |line: &serde_json::Value| {
        ["seq", "mirror", "target", "path", "kind", "result"].map(|key| line[key].to_string())
    };
    assert_eq!(
        shown(&lines[0]),
        ["0", "\"www\"", "\"web1\"", "\"/srv/www/a\\nb\"", "\"changed\"", "\"ok\""]
    );
    assert_eq!(
        shown(&lines[1]),
        ["1", "\"www\"", "\"web1\"", "\"/srv/www/b\"", "\"removed\"", "\"failed\""]
    );
}

#[test]
fn r132_a_reader_that_stopped_costs_bounded_memory_and_nobody_time_and_sees_the_gap() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap();
    let running = start(&mirror(&["web1"], &format!("[[mirror.stream]]\ntcp = \"{to}\"\n")));
    let long = "x".repeat(1000);
    let changes: Vec<Change> =
        (0..1000).map(|number| changed(&format!("{long}{number}"))).collect();
    // More than a socket and the queue hold, and nobody reads.
    let began = Instant::now();
    for number in 0..60 {
        running.hooks.batch("web1", number, &changes);
    }
    assert!(began.elapsed() < Duration::from_secs(5));
    until("dropped", || running.counts().dropped > 0);
    let (socket, _): (TcpStream, _) = listener.accept().unwrap();
    let reader = std::thread::spawn(move || {
        let lines = BufReader::new(socket).lines().map_while(Result::ok);
        let numbers = lines.filter_map(|line| {
            let json: serde_json::Value = serde_json::from_str(&line).ok()?;
            json["seq"].as_u64()
        });
        numbers.collect::<Vec<_>>()
    });
    until("sent", || running.counts().ok + running.counts().dropped == 60_000);
    running.hooks.batch("web1", 61, &[changed("last")]);
    let (counts, _) = running.end();
    let numbers = reader.join().unwrap();
    assert!(numbers.is_sorted() && numbers.last() == Some(&60_000));
    assert_eq!(numbers.len() as u64, counts.ok);
    assert_eq!(counts.ok + counts.dropped, 60_001);
}

#[test]
fn r133_a_stream_in_sersyncs_format_is_a_connection_for_each_path() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap();
    let running =
        start(&mirror(&[], &format!("[[mirror.stream]]\ntcp = \"{to}\"\nformat = \"sersync\"\n")));
    running.hooks.batch("", 1, &[changed("a b"), change(b"d/gone", ChangeKind::Removed)]);
    for expected in ["/srv/www/a b", "/srv/www/d/gone"] {
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        assert_eq!(text, expected);
    }
    running.end();
}

#[test]
fn r138_stopping_does_not_wait_for_a_hook_longer_than_it_may() {
    let toml = "[[mirror.hook]]\nrun = [\"sleep\", \"600\"]\nsuffix = [\"600\"]\npass = \"none\"\n";
    let running = start(&mirror(&["web1"], toml));
    running.hooks.batch("web1", 1, &[changed("a")]);
    let began = Instant::now();
    running.hooks.stop(Duration::from_millis(50));
    assert!(began.elapsed() < Duration::from_secs(10));
    let counts = running.registry.snapshot(Duration::ZERO).mirrors[0].hooks;
    assert_eq!((counts.ok, counts.failed + counts.dropped), (0, 1));
}
