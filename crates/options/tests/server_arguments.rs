//! The words for a server, byte for byte as the stock program sends them. A script in place of the remote shell writes
//! down what it is given.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::line_up::OPTIONS;
use common::{context, run_stock, stock_is_here, words};
use syncline_options::{Command, Direction, Form, Invocation, Packing, Word, parse};

const BATCH_FILES: &[&str] = &["bb", "bb.sh"];

/// What both say when the transfer is a local one.
const LOCAL: &str = "local";

struct Bench {
    directory: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let script = directory.path().join("rsh");
        std::fs::write(
            &script,
            "#!/bin/sh\ntrap '' USR1 TERM HUP PIPE\nfor word; do printf '%s\\0' \"$word\"; done >words\nexec >/dev/null\ncat >stream\nexit 1\n",
        )
        .expect("a script");
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))
            .expect("an executable script");
        std::fs::write(directory.path().join("list"), "a\n").expect("a list");
        std::fs::write(directory.path().join("a"), "a\n").expect("a file");
        std::fs::create_dir(directory.path().join("x")).expect("a directory");
        Self { directory }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// What the stock program gives to the shell, or its error text.
    fn stock(&self, line: &[Word], variables: &[(String, String)]) -> Result<Vec<Word>, String> {
        let log = self.path().join("words");
        for stale in BATCH_FILES.iter().chain(&["words", "stream"]) {
            let _ = std::fs::remove_file(self.path().join(stale));
        }
        let output = run_stock(self.path(), line, variables);
        if let Ok(bytes) = std::fs::read(&log) {
            let mut words: Vec<Word> = bytes.split(|&b| b == 0).map(<[u8]>::to_vec).collect();
            words.pop();
            return Ok(words);
        }
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        if ["link_stat", "change_dir"].iter().any(|call| text.contains(call)) {
            return Err(LOCAL.to_owned());
        }
        Err(text
            .lines()
            .take_while(|line| !line.starts_with("rsync error:"))
            .collect::<Vec<_>>()
            .join("\n"))
    }
}

/// What we would give to it.
fn ours(line: &[Word], variables: &[(String, String)]) -> Result<Vec<Word>, String> {
    let mut words = invocation(line, variables)?.words;
    words.remove(0);
    Ok(words)
}

fn invocation(line: &[Word], variables: &[(String, String)]) -> Result<Invocation, String> {
    let text = |error: syncline_options::UsageError| error.to_string();
    let command = parse(line, &context(variables)).map_err(text)?;
    let Command::Transfer(options) = command else { return Err(format!("{command:?}")) };
    let job = options.job().map_err(text)?;
    let (direction, remote, files) = match job.form {
        Form::Push { remote, destination, .. } => (Direction::Push, remote, vec![destination]),
        Form::Pull { remote, sources, .. } => (Direction::Pull, remote, sources),
        Form::Local { .. } => return Err(LOCAL.to_owned()),
        form => return Err(format!("{form:?}")),
    };
    let version = options.connection.protocol.map_or(32, |version| version as u8);
    let packing = Packing { direction, version };
    options.shell_invocation(packing, &remote, &files).map_err(text)
}

fn show(result: &Result<Vec<Word>, String>) -> String {
    match result {
        Ok(words) => String::from_utf8_lossy(&words.join(&b' ')).into_owned(),
        Err(text) => format!("error: {text}"),
    }
}

fn compare(
    bench: &Bench,
    line: &[Word],
    variables: &[(String, String)],
    differences: &mut Vec<String>,
) {
    let stock = bench.stock(line, variables);
    let ours = ours(line, variables);
    if stock != ours {
        let line = String::from_utf8_lossy(&line.join(&b' ')).into_owned();
        differences.push(format!("{line}\n  stock {}\n  ours  {}", show(&stock), show(&ours)));
    }
}

/// The two directions for some options.
fn both_ways(options: &[&str]) -> [Vec<Word>; 2] {
    ["a h:dst", "h:src dst"].map(|ends| {
        let mut line = words("-e ./rsh");
        line.extend(options.iter().flat_map(|option| words(option)));
        line.extend(words(ends));
        line
    })
}

#[test]
fn each_option_travels_as_stock_sends_it() {
    if !stock_is_here("each_option_travels_as_stock_sends_it") {
        return;
    }
    let bench = Bench::new();
    let mut differences = Vec::new();
    for option in OPTIONS {
        for line in both_ways(&[option]) {
            compare(&bench, &line, &[], &mut differences);
        }
    }
    assert!(
        differences.is_empty(),
        "{} differences\n{}",
        differences.len(),
        differences.join("\n")
    );
}

#[test]
fn options_together_travel_as_stock_sends_them() {
    if !stock_is_here("options_together_travel_as_stock_sends_them") {
        return;
    }
    let bench = Bench::new();
    let mut differences = Vec::new();
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % below
    };
    let rounds =
        std::env::var("SYNCLINE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(200);
    for _ in 0..rounds {
        let count = 2 + random(6);
        let chosen: Vec<&str> = (0..count).map(|_| OPTIONS[random(OPTIONS.len())]).collect();
        for line in both_ways(&chosen) {
            compare(&bench, &line, &[], &mut differences);
        }
    }
    assert!(
        differences.is_empty(),
        "{} differences\n{}",
        differences.len(),
        differences.join("\n")
    );
}

#[test]
fn the_environment_and_odd_file_names_change_words_as_with_stock() {
    if !stock_is_here("the_environment_and_odd_file_names_change_words_as_with_stock") {
        return;
    }
    let bench = Bench::new();
    let mut differences = Vec::new();
    let variables = [
        ("RSYNC_OLD_ARGS", "0"),
        ("RSYNC_OLD_ARGS", "1"),
        ("RSYNC_OLD_ARGS", "2"),
        ("RSYNC_OLD_ARGS", "x"),
        ("RSYNC_OLD_ARGS", ""),
        ("RSYNC_PROTECT_ARGS", "1"),
        ("RSYNC_PROTECT_ARGS", "0"),
        ("RSYNC_PROTECT_ARGS", "yes"),
        ("RSYNC_PROTECT_ARGS", ""),
        ("RSYNC_PARTIAL_DIR", "pd"),
        ("RSYNC_PARTIAL_DIR", "."),
        ("RSYNC_PARTIAL_DIR", ""),
        ("RSYNC_MAX_ALLOC", "3g"),
        ("RSYNC_MAX_ALLOC", ""),
        ("RSYNC_ICONV", "utf8,latin1"),
        ("RSYNC_ICONV", ""),
        ("RSYNC_ICONV", "-"),
    ];
    for (name, value) in variables {
        let variables = [(name.to_owned(), value.to_owned())];
        for options in [
            "-r",
            "-s",
            "--no-s",
            "--old-args",
            "--no-old-args",
            "--partial",
            "--partial-dir=q",
            "--max-alloc=1g",
            "--no-iconv",
            "--iconv=utf8",
            "--partial --inplace",
            "-P --delay-updates",
        ] {
            for line in both_ways(&[options, "--suffix=a*"]) {
                compare(&bench, &line, &variables, &mut differences);
            }
        }
    }
    let names = [
        "~", "~/x", "~bob", "-x", "a\\*b", "a\\b", "{a,b}", "a$b", "a;b|c", "it's", "*.c", "[ab]",
        "a\"b", "", "/", "~bob/./x", "~/./y", "a\tb", "a\u{e9}b",
    ];
    for name in names {
        for options in [
            "",
            "-s",
            "--old-args",
            "--old-args --old-args",
            "-R",
            "--trust-sender",
            "--files-from=:list",
            "-M-x{y}",
        ] {
            for ends in
                [["a".to_owned(), format!("h:{name}")], [format!("u@h:{name}"), "dst".to_owned()]]
            {
                let mut line = words("-e ./rsh");
                line.extend(words(options));
                line.extend(ends.map(String::into_bytes));
                compare(&bench, &line, &[], &mut differences);
            }
        }
    }
    for line in [
        "-e './rsh -x' u@h:a dst",
        "-e ./rsh a@b@h:a dst",
        "-e ./rsh [::1]:a dst",
        "-e ./rsh u@[fe80::1%eth0]:a dst",
        "-e ./rsh u@h::m/x dst",
        "-e ./rsh rsync://u@h:99/m/x dst",
        "-e ./rsh rsync://h:x/m dst",
        "-e ./rsh RSYNC://h/m dst",
        "-e ./rsh rsync://h:99999/m dst",
        "-e ./rsh rsync://u:p@h/x dst",
        "-e ./rsh h[1]:x dst",
        "-e ./rsh h]:x dst",
        "-e ./rsh [h]x:y dst",
        "-e ./rsh []:y dst",
        "-e ./rsh u@[h]:y dst",
        "-e ./rsh u@x[h]:y dst",
        "-e ./rsh u[@h:y dst",
        "-e ./rsh [a/b]:y dst",
        "-e ./rsh rsync://[h/x dst",
        "-e ./rsh rsync://h[1]/x dst",
        "-e ./rsh rsync://u@[::1]/x dst",
        "-e ./rsh rsync:///x dst",
        "-e ./rsh [h:1]:x dst",
        "-e ./rsh rsync://h:/x dst",
        "-e ./rsh rsync:// dst",
        "-e ./rsh @h:x dst",
        "-e ./rsh h:a :b h:c dst",
        "-e ./rsh h:a h:b :c",
        "-e ./rsh h:",
        "-e ./rsh h:x",
        "-e ./rsh -r h:x",
        "-e ./rsh --no-d h:x",
        "-e ./rsh rsync://[::1]:5/m dst",
        "-e ./rsh a h::m",
        "-4 -e ./rsh h:a dst",
        "-e ./rsh --rsync-path a'b h:a dst",
        "-e ./rsh rsync://h dst",
        "-e ./rsh rsync://h/ dst",
        "-e ./rsh [::1:a dst",
        "-e ./rsh h:[x dst",
        "-e ./rsh rsync:/h:x dst",
    ] {
        compare(&bench, &words(line), &[], &mut differences);
    }
    assert!(
        differences.is_empty(),
        "{} differences\n{}",
        differences.len(),
        differences.join("\n")
    );
}

#[test]
fn secluded_words_are_those_of_stock() {
    if !stock_is_here("secluded_words_are_those_of_stock") {
        return;
    }
    let bench = Bench::new();
    let mut differences = Vec::new();
    for options in [
        "-s",
        "-sa --delete",
        "-s --temp-dir=",
        "-s -M-x --suffix=.a*",
        "-s --partial-dir=p --link-dest=../x",
        "-s --files-from=:list",
    ] {
        for line in both_ways(&[options]) {
            bench.stock(&line, &[]).expect("a run of the script");
            let stream = std::fs::read(bench.path().join("stream")).expect("the stream");
            let stock: Vec<Word> = stream
                .split(|&b| b == 0)
                .map(<[u8]>::to_vec)
                .take_while(|word| !word.is_empty())
                .collect();
            let ours =
                invocation(&line, &[]).map(|invocation| invocation.secluded.unwrap_or_default());
            if ours.as_ref() != Ok(&stock) {
                differences.push(format!(
                    "{options}\n  stock {}\n  ours  {}",
                    show(&Ok(stock)),
                    show(&ours)
                ));
            }
        }
    }
    assert!(
        differences.is_empty(),
        "{} differences\n{}",
        differences.len(),
        differences.join("\n")
    );
}
