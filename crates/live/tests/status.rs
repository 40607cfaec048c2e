//! The state over HTTP: what a scraper, a load balancer and a browser get, and what a rude peer does not.
#![allow(clippy::unwrap_used)] // In helpers as in tests.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use syncline_live::state::{
    BatchReport, BatchResult, ByteCounts, HookOutcome, Progress, Registry, RenameMethod, Scope,
    State,
};
use syncline_live::status::{Server, fetch, json, text};

const SECOND: Duration = Duration::from_secs(1);

fn serve(registry: &Registry) -> Server {
    Server::start("127.0.0.1:0".parse().unwrap(), registry.clone(), SECOND * 60).unwrap()
}

fn raw(address: SocketAddr, request: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(SECOND * 20)).unwrap();
    // The other side may close before it has read all of it.
    let _ = socket.write_all(request);
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

fn get(address: SocketAddr, path: &str) -> (String, String) {
    let answer = raw(address, format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// A registry with a bit of everything, odd names included.
fn example() -> Registry {
    let registry = Registry::new();
    let mirror = registry.mirror("w\"w\\w\n<b>", Path::new("/data/www"));
    mirror.set_watching(true);
    mirror.set_watches(120, 65_536);
    mirror.overflow();
    mirror.rescan(Scope::Subtree);
    mirror.hook(SECOND, HookOutcome::Failed("purge <script>".into()));
    let target = mirror.target("web1", "rsync://web1/www/");
    let _ = target.set_state(SECOND, State::Live, "");
    target.batch(
        SECOND,
        &BatchReport {
            result: BatchResult::Ok,
            changed: 3,
            removed: 1,
            bytes: ByteCounts::new(1000, 200, 70),
            session: Duration::from_millis(4),
            renames: vec![(RenameMethod::HardLink, 2)],
        },
    );
    target.visible(Duration::from_millis(7));
    let target = mirror.target("web2", "rsync://web2/www/");
    let _ = target.set_state(SECOND, State::Retrying, "connection refused");
    target.retry(SECOND * 30);
    target.set_queue(SECOND, 12, Some(SECOND));
    target.error(SECOND, "connect: \u{1b}[31m<refused>");
    target.set_failed_paths(1, ["a<b".to_owned()]);
    target.set_progress(Some(Progress { path: "big<".into(), done: 5, total: 10 }));
    registry
}

/// Name, labels and value of a line, read as Prometheus does.
fn sample(line: &str) -> (String, Vec<(String, String)>, f64) {
    let end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    while let Some(label) = rest.strip_prefix(['{', ',']) {
        let (label, tail) = label.split_once("=\"").unwrap();
        let (mut value, mut chars) = (String::new(), tail.char_indices());
        let end = loop {
            match chars.next().unwrap() {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next().unwrap().1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, plain) => value.push(plain),
            }
        };
        labels.push((label.to_owned(), value));
        rest = &tail[end + 1..];
        rest = rest.strip_prefix('}').unwrap_or(rest);
    }
    (name.to_owned(), labels, rest.trim().parse().unwrap())
}

#[test]
fn r134_metrics_have_every_name_and_are_what_prometheus_reads() {
    let registry = example();
    let server = serve(&registry);
    let (head, body) = get(server.address(), "/metrics");
    assert!(head.contains("200 OK") && head.contains("version=0.0.4"));
    let (mut names, mut current, mut typed) = (BTreeSet::new(), String::new(), BTreeSet::new());
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            current = rest.split(' ').next().unwrap().to_owned();
            assert!(typed.insert(current.clone()), "{current} comes twice");
        } else if !line.starts_with('#') {
            let (name, labels, value) = sample(line);
            let of_histogram =
                ["_bucket", "_sum", "_count"].iter().any(|end| name == format!("{current}{end}"));
            assert!(name == current || of_histogram, "{name} stands under {current}");
            for (label, value) in &labels {
                assert!(label != "mirror" || value == "w\"w\\w\n<b>");
            }
            assert!(value.is_finite());
            names.insert(name);
        }
    }
    for name in [
        "lag_seconds",
        "pending_paths",
        "target_state",
        "batches_total",
        "paths_total",
        "sent_bytes_total",
        "received_bytes_total",
        "literal_bytes_total",
        "renames_total",
        "retries_total",
        "failed_paths",
        "overflows_total",
        "rescans_total",
        "drift_paths_total",
        "watches",
        "watch_limit",
        "unwatched",
        "journal_bytes",
        "hook_runs_total",
        "session_seconds_bucket",
        "visible_seconds_bucket",
        "build_info",
    ] {
        assert!(names.contains(&format!("synclive_{name}")), "{name}");
    }
    let value = |wanted: &str, label: (&str, &str)| {
        let lines = body.lines().filter(|line| !line.starts_with('#')).map(sample);
        let mut found = lines.filter(|(name, labels, _)| {
            name == wanted && labels.contains(&(label.0.to_owned(), label.1.to_owned()))
        });
        found.next().unwrap().2
    };
    assert!(value("synclive_lag_seconds", ("target", "web2")) >= 0.0);
    assert!((value("synclive_sent_bytes_total", ("target", "web1")) - 1000.0).abs() < 0.1);
    assert!((value("synclive_visible_seconds_bucket", ("le", "0.01")) - 1.0).abs() < 0.1);
    let current: Vec<_> = body
        .lines()
        .filter(|line| line.starts_with("synclive_target_state") && line.ends_with(" 1"))
        .map(|line| sample(line).1[2].1.clone())
        .collect();
    assert_eq!(current, ["live", "retrying"]);
}

#[test]
fn r136_health_is_503_with_a_line_for_each_target_that_is_not_well() {
    let registry = example();
    let server = serve(&registry);
    let (head, body) = get(server.address(), "/healthz");
    assert!(head.starts_with("HTTP/1.1 503 "));
    assert!(
        body.contains(" target=web2 state=retrying ") && body.ends_with(" connection refused\n"),
        "{body}"
    );
    let target = registry.mirror("w\"w\\w\n<b>", Path::new("/data/www")).target("web2", "");
    let _ = target.set_state(SECOND, State::Live, "");
    let (head, body) = get(server.address(), "/healthz");
    assert!(head.starts_with("HTTP/1.1 200 "));
    assert_eq!(body, "ok\n");
}

#[test]
fn r136_the_json_is_the_snapshot_and_stays_within_a_megabyte() {
    let registry = example();
    let server = serve(&registry);
    let snapshot = fetch(server.address()).unwrap();
    let targets: Vec<_> =
        snapshot.mirrors[0].targets.iter().map(|target| (&*target.name, target.state)).collect();
    assert_eq!(targets, [("web1", State::Live), ("web2", State::Retrying)]);
    assert_eq!(snapshot.mirrors[0].targets[0].bytes, ByteCounts::new(1000, 200, 70));
    for mirror in 0..30 {
        let mirror = registry.mirror(&format!("m{mirror}"), Path::new("/data"));
        for target in 0..100 {
            let target = mirror.target(&format!("t{target}"), "rsync://host/module/");
            for error in 0..10 {
                target.error(SECOND, &format!("{error}").repeat(900));
            }
            target.set_failed_paths(20, (0..20).map(|path| format!("{path}").repeat(400)));
        }
    }
    let mut snapshot = registry.snapshot(SECOND * 7200);
    let text = json(&snapshot);
    assert!(text.len() <= 1 << 20);
    snapshot = serde_json::from_str(&text).unwrap();
    assert!(snapshot.mirrors.iter().map(|mirror| mirror.targets.len()).sum::<usize>() > 300);
}

#[test]
fn r144_the_page_shows_each_target_and_has_nothing_from_elsewhere() {
    let registry = example();
    let server = serve(&registry);
    let (head, page) = get(server.address(), "/");
    assert!(head.contains("Content-Security-Policy: default-src 'none'"));
    for shown in ["web1", "web2", "live", "retrying", "connection refused", "<svg", "Last errors"] {
        assert!(page.contains(shown), "{shown}");
    }
    let own = page
        .replace("href=\"/metrics\"", "")
        .replace("href=\"/healthz\"", "")
        .replace("href=\"/status.json\"", "");
    for foreign in [
        "http://", "https://", "//", "<script", "<form", "<button", "src=", "href=", "url(",
        "@import",
    ] {
        // A target's own address is text.
        let own = own.replace("rsync://", "");
        assert!(!own.contains(foreign), "{foreign}");
    }
    for forged in ["<b>", "<refused>", "a<b", "big<", "\u{1b}"] {
        assert!(!page.contains(forged), "{forged}");
    }
}

#[test]
fn r144_the_text_for_a_terminal_is_clean() {
    let text = text(&example().snapshot(SECOND * 2));
    assert!(text.contains("web2  retrying  lag    1.0 s  12 paths waiting"), "{text}");
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
}

#[test]
fn what_is_asked_otherwise_is_refused_in_time_and_costs_others_nothing() {
    let server = serve(&example());
    let address = server.address();
    for (request, status) in [
        ("GET /nowhere HTTP/1.1\r\n\r\n", "404 Not Found"),
        ("DELETE / HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
        ("hello\r\n\r\n", "400 Bad Request"),
    ] {
        assert!(raw(address, request.as_bytes()).starts_with(&format!("HTTP/1.1 {status}\r\n")));
    }
    let head = raw(address, b"HEAD /metrics HTTP/1.0\r\n\r\n");
    assert!(head.contains("200 OK") && head.ends_with("\r\n\r\n"));
    assert!(raw(address, &vec![b'x'; 20_000]).starts_with("HTTP/1.1 431 "));
    // As many as there are places, silent; the next is turned away, and let in when a place is free again.
    let silent: Vec<_> = (0..16).map(|_| TcpStream::connect(address).unwrap()).collect();
    let end = Instant::now() + SECOND * 20;
    while !raw(address, b"GET /healthz HTTP/1.0\r\n\r\n").is_empty() {
        assert!(Instant::now() < end, "never turned away");
    }
    drop(silent);
    while raw(address, b"GET /healthz HTTP/1.0\r\n\r\n").is_empty() {
        assert!(Instant::now() < end, "never let in again");
    }
    drop(server);
    assert!(TcpStream::connect(address).is_err(), "it listens no more");
}
