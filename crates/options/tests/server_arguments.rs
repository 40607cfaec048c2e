//! The words for a server, byte for byte as the stock program sends them. A script in place of the remote shell writes
//! down what it is given.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::{context, run_stock, stock_is_here, words};
use syncline_options::{Command, Direction, Form, Packing, Word, parse};

/// Options by themselves; each is tried in both directions, and random choices of them together.
const OPTIONS: &[&str] = &[
    "-a",
    "-v",
    "-vv",
    "-q",
    "-qq",
    "--stats",
    "--progress",
    "-P",
    "-i",
    "-ii",
    "--out-format=%n",
    "--out-format=%o",
    "--out-format=%i",
    "--out-format=%%i",
    "--out-format=%-10i",
    "--list-only",
    "--stderr=all",
    "--stderr=c",
    "--msgs2stderr",
    "--no-msgs2stderr",
    "--info=name0",
    "--info=name2,del",
    "--info=all2,name1",
    "--info=none",
    "--info=stats2,misc",
    "--info=progress2",
    "--info=flist0",
    "--debug=all",
    "-h",
    "-8",
    "--no-motd",
    "-r",
    "--no-r",
    "-d",
    "--no-d",
    "--old-dirs",
    "-R",
    "--no-R",
    "--no-implied-dirs",
    "--mkpath",
    "-x",
    "-xx",
    "-m",
    "-C",
    "-F",
    "--exclude=a",
    "--max-size=10k",
    "--min-size=1.5k",
    "--max-size=0",
    "--existing",
    "--ignore-non-existing",
    "--ignore-existing",
    "-u",
    "--ignore-missing-args",
    "--delete-missing-args",
    "--remove-source-files",
    "--remove-sent-files",
    "-c",
    "--cc=md5",
    "--cc=auto",
    "--cc=auto,auto",
    "--cc=xxh3,md5",
    "--cc=none",
    "--cc=XXH3",
    "--checksum-seed=5",
    "--checksum-seed=-5",
    "-I",
    "--size-only",
    "--modify-window=2",
    "-@-1",
    "--modify-window=0",
    "-W",
    "--no-W",
    "-B700",
    "-B0",
    "-B1k",
    "-y",
    "-yy",
    "--compare-dest=x",
    "--link-dest=x",
    "--link-dest=../y",
    "--copy-dest=x",
    "-z",
    "-zz",
    "-zzz",
    "--zc=zstd",
    "--zc=zlib",
    "--zc=zlibx",
    "--zc=lz4",
    "--zc=none",
    "--zc=auto",
    "--zc=ZSTD",
    "--old-compress",
    "--new-compress",
    "--zl=5",
    "--zl=-3",
    "--zl=99",
    "--no-z",
    "--zt=3",
    "--skip-compress=gz/jpg",
    "-S",
    "--preallocate",
    "--inplace",
    "--no-inplace",
    "--append",
    "--append-verify",
    "--no-append",
    "--partial",
    "--no-partial",
    "--partial-dir=p",
    "--partial-dir=./p//q/",
    "--partial-dir=.",
    "--delay-updates",
    "-T",
    "--temp-dir=t",
    "-b",
    "--no-backup",
    "--backup-dir=bk",
    "--backup-dir=./bk",
    "--suffix=.old",
    "--suffix=~",
    "--fsync",
    "-p",
    "-E",
    "--chmod=u+x",
    "-A",
    "-X",
    "-XX",
    "-t",
    "-U",
    "-UU",
    "--open-noatime",
    "-O",
    "-J",
    "-o",
    "-g",
    "-D",
    "--no-D",
    "--devices",
    "--specials",
    "--no-specials",
    "--no-devices",
    "--copy-devices",
    "--write-devices",
    "--no-write-devices",
    "--drop-D",
    "--super",
    "--no-super",
    "--fake-super",
    "-l",
    "-L",
    "--copy-unsafe-links",
    "--safe-links",
    "-k",
    "-K",
    "--munge-links",
    "--insecure-links",
    "-H",
    "-HH",
    "--numeric-ids",
    "--usermap=a:b",
    "--groupmap=*:b",
    "--chown=u:g",
    "--chown=:g",
    "--chown=u",
    "--no-o",
    "--no-g",
    "--delete",
    "--delete-before",
    "--del",
    "--delete-delay",
    "--delete-after",
    "--delete-excluded",
    "--force",
    "--ignore-errors",
    "--max-delete=5",
    "--max-delete=0",
    "--max-delete=-1",
    "-n",
    "-M--foo",
    "-M-x=a*b",
    "--blocking-io",
    "--timeout=30",
    "--timeout=-1",
    "--no-timeout",
    "--bwlimit=100",
    "--bwlimit=1.5m",
    "--bwlimit=0",
    "--bwlimit=512b",
    "--no-bwlimit",
    "--port=99",
    "--address=1.2.3.4",
    "-4",
    "-6",
    "--protocol=31",
    "--protocol=29",
    "--iconv=utf8,latin1",
    "--iconv=utf8",
    "--iconv=-",
    "--no-iconv",
    "-s",
    "--old-args",
    "--trust-sender",
    "--max-alloc=2g",
    "--max-alloc=1g",
    "--max-alloc=1024m",
    "--files-from=list",
    "--files-from=:list",
    "-0",
    "--no-inc-recursive",
    "--no-i-r",
    "--ignore-times",
    "--no-times",
    "--no-perms",
    "--only-write-batch=bb",
    "--write-batch=bb",
    "--confine-root=/",
    "--stop-after=5",
    "--no-h",
    "--log-file=log",
    "--rsync-path=rr",
    "--outbuf=L",
    "-no-implied-dirs",
    "--no-old-args",
    "--no-numeric-ids",
    "--no-H",
    "--no-X",
    "--no-links",
    "--no-l",
    "--no-A",
    "--no-U",
    "--no-i",
    "--no-v",
    "--no-progress",
    "--no-x",
    "--no-relative",
    "--no-fuzzy",
    "--no-m",
    "--no-0",
    "--no-from0",
    "--no-delay-updates",
    "--no-ignore-errors",
    "--no-force",
    "--no-open-noatime",
    "--no-c",
];

const BATCH_FILES: &[&str] = &["bb", "bb.sh"];

struct Bench {
    directory: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let script = directory.path().join("rsh");
        std::fs::write(
            &script,
            "#!/bin/sh\nfor word; do printf '%s\\0' \"$word\"; done >words\nexec >/dev/null\ncat >stream\nexit 1\n",
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
        match std::fs::read(&log) {
            Ok(bytes) => {
                let mut words: Vec<Word> = bytes.split(|&b| b == 0).map(<[u8]>::to_vec).collect();
                words.pop();
                Ok(words)
            }
            Err(_) => {
                let text = String::from_utf8_lossy(&output.stderr).into_owned();
                Err(text
                    .lines()
                    .take_while(|line| !line.starts_with("rsync error:"))
                    .collect::<Vec<_>>()
                    .join("\n"))
            }
        }
    }
}

/// What we would give to it.
fn ours(line: &[Word], variables: &[(String, String)]) -> Result<Vec<Word>, String> {
    let text = |error: syncline_options::UsageError| error.to_string();
    let command = parse(line, &context(variables)).map_err(text)?;
    let Command::Transfer(options) = command else { return Err(format!("{command:?}")) };
    let job = options.job().map_err(text)?;
    let (direction, remote, files) = match job.form {
        Form::Push { remote, destination, .. } => (Direction::Push, remote, vec![destination]),
        Form::Pull { remote, sources, .. } => (Direction::Pull, remote, sources),
        form => return Err(format!("{form:?}")),
    };
    let version = options.connection.protocol.map_or(32, |version| version as u8);
    let packing = Packing { direction, version, listing: job.listing };
    let mut words = options.shell_invocation(packing, &remote, &files).map_err(text)?.words;
    words.remove(0);
    Ok(words)
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
    for option in OPTIONS.iter().filter(|&&option| option != "-T") {
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
        let chosen: Vec<&str> = (0..count)
            .map(|_| OPTIONS[random(OPTIONS.len())])
            .filter(|&option| option != "-T")
            .collect();
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
