//! `refuse options`: the same answer as the stock daemon's to the same client.

mod common;

use common::{context, run_stock, stock_is_here, words};
use syncline_options::{Command, Direction, Form, Packing, Refusals, parse, parse_server};

/// What the daemon refuses, and what the client asks for. Left out: words after which the stock daemon falls out of step
/// (daemon.md 11, traps).
const CASES: &[(&str, &str)] = &[
    ("checksum", "-c"),
    ("c", "-c"),
    ("checksum", "-a"),
    ("checksum", "-ac"),
    ("a", "-a"),
    ("archive", "-r"),
    ("a", "-d"),
    ("archive*", "-a"),
    ("del", "-r --del"),
    ("delete-during", "-r --del"),
    ("delete", "-r --del"),
    ("delete", "-r --delete"),
    ("delete", "-r --delete-after"),
    ("delete", "-r --delete-excluded"),
    ("delete", "--delete-missing-args"),
    ("delete", "--remove-source-files"),
    ("delete-before", "-r --delete"),
    ("delete-during", "-r --delete"),
    ("delete-before delete-during", "-r --delete"),
    ("delete-*", "-r --delete"),
    ("delete*", "-r --delete-delay"),
    ("delete-before delete-during", "-r --delete-after"),
    ("z", "-z"),
    ("compress", "-zz"),
    ("z", "--zc=zstd"),
    ("z", "--zl=5"),
    ("z", "--zc=none"),
    ("z", "--zc=zlib"),
    ("compress-level", "-z --zl=3"),
    ("compress-choice", "--zc=lz4"),
    ("new-compress", "-zz"),
    ("compress*", "-z"),
    ("partial", "--partial"),
    ("partial", "-P"),
    ("partial", "--inplace"),
    ("partial", "--append"),
    ("partial", "--partial-dir=X"),
    ("partial", "--delay-updates"),
    ("partial-dir", "--partial-dir=X"),
    ("progress", "-P"),
    ("inplace", "--inplace"),
    ("inplace", "--append"),
    ("append", "--append"),
    ("append", "--append-verify"),
    ("no-iconv", "-r"),
    ("*", "-a"),
    ("*", "-av"),
    ("*", "-n"),
    ("* !a !v", "-av"),
    ("* !a !v", "-av --timeout=3"),
    ("* !a", "-aH"),
    ("* !a", "-az"),
    ("* !a", "-aS"),
    ("D", "-a"),
    ("devices", "-a"),
    ("devices", "-D"),
    ("specials", "--specials"),
    ("[vz]", "-v"),
    ("?", "-u"),
    ("verbose", "-v"),
    ("v", "-vv"),
    ("existing", "--existing"),
    ("ignore-non-existing", "--existing"),
    ("existing", "--ignore-non-existing"),
    ("link-dest", "--link-dest=x"),
    ("*-dest", "--copy-dest=x"),
    ("max-size", "--max-size=5"),
    ("numeric-ids", "--numeric-ids"),
    ("usermap", "--chown=u"),
    ("force", "--force"),
    ("", "--write-devices"),
    ("!write-devices", "--write-devices"),
    ("inplace !write-devices", "--write-devices"),
    ("", "--copy-devices"),
    ("!copy-devices", "--copy-devices"),
    ("", "-M--log-file=x"),
    ("!log-file", "-M--log-file=x"),
    ("", "-M--insecure-links"),
    ("", "--iconv=utf8"),
    ("", "-M--daemon"),
    ("", "-M--bogus"),
    ("", "-M-Z"),
    ("no-verbose", "-M--no-v"),
    ("no-v", "-M--no-verbose"),
    ("verbose", "-M--no-v"),
    ("log-format", "-i"),
    ("out-format", "-i"),
    ("info", "--info=name2"),
    ("stats", "--stats"),
    ("e", "-r"),
    ("rsh", "-r"),
    ("server", "-r"),
    ("s", "-sr"),
    ("protect-args", "-sr"),
    ("secluded-args", "-sr"),
    ("n", "-n"),
    ("dry-run", "-n"),
    ("dry*", "-n"),
    ("checksum-seed", "--checksum-seed=4"),
    ("bwlimit", "--bwlimit=9"),
    ("bw*", "--bwlimit=9"),
    ("x", "-xx"),
    ("one-file-system", "-x"),
    ("xattrs", "-X"),
    ("acls", "-A"),
    ("msgs2stderr", "--stderr=all"),
    ("no-msgs2stderr", "--stderr=client"),
    ("stderr", "--stderr=all"),
    ("R", "-R"),
    ("cc", "--cc=md5"),
    ("checksum-choice", "--cc=md5"),
    ("*choice", "--cc=md5"),
    ("temp-dir", "-Tx"),
    ("T", "-Tx"),
    ("suffix", "--suffix=.x"),
    ("backup", "--backup-dir=b"),
    ("backup*", "--backup-dir=b"),
    ("b", "-b"),
    ("i-r", "-r"),
    ("no-i-r", "--no-i-r"),
    ("omit-dir-times", "-O"),
    ("mkpath", "--mkpath"),
    ("super", "--super"),
    ("fake-super", "-M--fake-super"),
    ("max-alloc", "--max-alloc=2g"),
    ("remove-source-files", "--remove-source-files"),
    ("remove-s*", "--remove-sent-files"),
    ("remove-source-files", "--remove-sent-files"),
    ("recursive", "-r"),
    ("r", "-a"),
    ("l", "-M-a"),
    ("times", "-M--archive"),
    ("D", "-M--devices"),
    ("D", "-M-D"),
    ("a", "-M-a"),
    ("perms owner", "-M-a"),
    ("links D owner", "-M-a"),
    ("d p t", "-M-a"),
    ("log-format", "-ii"),
    ("out-f*", "-i"),
    ("delete-before delete-during", "-r --delete-excluded"),
    ("devices", "-M--devices"),
];

/// What our side of the daemon would say to the words that our client sends.
fn ours(refuse: &str, line: &str) -> Option<String> {
    let parsed = parse(&words(line), &context(&[]));
    let Ok(Command::Transfer(options)) = parsed else { panic!("{line}: {parsed:?}") };
    let job = options.job().expect("a job");
    let (direction, files) = match job.form {
        Form::Push { destination, .. } => (Direction::Push, vec![destination]),
        Form::Pull { sources, .. } => (Direction::Pull, sources),
        form => panic!("{form:?}"),
    };
    let packing = Packing { direction, version: 32 };
    let invocation = options.daemon_invocation(packing, b"m", &files).expect("words");
    let mut sent = invocation.words;
    sent.extend(invocation.secluded.into_iter().flatten());
    let sent: Vec<_> = sent.iter().map(|word| syncline_options::unescape(word)).collect();
    let request =
        parse_server(&sent, &context(&[]), &Refusals::for_module(refuse.as_bytes(), false));
    request.error.map(|error| error.to_string())
}

/// Runs some cases in a directory of their own and returns what differs.
fn differences(cases: &[(&str, &str)]) -> Vec<String> {
    let bench = tempfile::tempdir().expect("a directory");
    let mut differences = Vec::new();
    for dir in ["m", "src"] {
        std::fs::create_dir(bench.path().join(dir)).expect("a directory");
    }
    for (refuse, options) in cases {
        let conf = format!(
            "use chroot = no\nlog file = log\n[m]\npath = {}/m\nread only = no\nrefuse options = {refuse}\n",
            bench.path().display()
        );
        for (name, text) in [("m/f", "f\n"), ("m/list", "f\n"), ("src/f", "f\n"), ("conf", &conf)] {
            std::fs::write(bench.path().join(name), text).expect("a file");
        }
        let daemon = format!("exec rsync --daemon --config={}/conf", bench.path().display());
        let variables = [("RSYNC_CONNECT_PROG".to_owned(), daemon)];
        // Most options are refused in both directions alike; a pull costs the daemon's pause once more.
        let both = ["delete", "partial", "z", "D"].iter().any(|word| refuse.contains(word));
        let ends: &[&str] = if both { &["src/ h::m/", "h::m/f dst"] } else { &["src/ h::m/"] };
        for ends in ends {
            let line = format!("{options} {ends}");
            let output = run_stock(bench.path(), &words(&line), &variables);
            let text = String::from_utf8_lossy(&output.stderr);
            let said = text.lines().find(|line| {
                ["rsync: The server is configured", "rsync: on remote machine", "rsync: Attempt"]
                    .iter()
                    .any(|start| line.starts_with(start))
            });
            // The one text that is not to be copied.
            let said = said.map(|text| text.replace("--(null) (-D)", "-D"));
            let ours = ours(refuse, &line);
            if said != ours {
                let first = text.lines().next().unwrap_or_default();
                differences.push(format!(
                    "refuse {refuse:?}, {line}\n  stock {said:?} [{first}]\n  ours  {ours:?}"
                ));
            }
        }
    }
    differences
}

#[test]
fn our_daemon_refuses_what_the_stock_daemon_refuses() {
    if !stock_is_here("our_daemon_refuses_what_the_stock_daemon_refuses") {
        return;
    }
    // The stock daemon sleeps before it hangs up; several at once sleep together.
    let differences: Vec<String> = std::thread::scope(|scope| {
        let runs: Vec<_> = CASES
            .chunks(CASES.len().div_ceil(8))
            .map(|cases| scope.spawn(|| differences(cases)))
            .collect();
        runs.into_iter().flat_map(|run| run.join().expect("a finished thread")).collect()
    });
    assert!(
        differences.is_empty(),
        "{} differences\n{}",
        differences.len(),
        differences.join("\n")
    );
}
