//! Wrong command lines: the stock program's text and exit status.

mod common;

use common::{context, run_stock, stock_is_here, words};
use syncline_options::values::flags;
use syncline_options::{
    Command, Form, Job, Role, Transport, UsageError, Word, daemon_help, help, parse,
};

/// Lines with a `;` between several variables and the words: `NAME=value; words`.
const LINES: &[&str] = &[
    // The parser.
    "--verb a d",
    "--no-archive a d",
    "--archive=1 a d",
    "-av=3 a d",
    "-rZv a d",
    "a d --timeout",
    "--timeout a",
    "--timeout=abc a d",
    "--timeout=99999999999 a d",
    "--timeout=0x a d",
    "--timeout=08 a d",
    "--timeout=-2147483649 a d",
    "-verbose a d",
    "--Verbose a d",
    "-B a",
    "-@x a d",
    "-@5x a d",
    "-@ 5x a d",
    "--= a d",
    "--=x a d",
    "--no-verbose=1 a d",
    "-@=z a d",
    "-v-r a d",
    "-r-- a d",
    "--version --nope",
    "--port=x a d",
    "--port= a d",
    "--protocol=9z a d",
    "--zl=q a d",
    "--no-stats a d",
    "--no-quiet a d",
    "--no-update a d",
    "--no-dry-run a d",
    "--no-delete a d",
    "-Q a d",
    "--no-super=x a d",
    "--checksum-seed=+x a d",
    "--server --nope . d",
    "--server -Z . d",
    "--server --timeout=x . d",
    "--sender a d",
    "--max-delete=1e3 a d",
    "-e",
    "-f",
    "--filter",
    "--xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx a d",
    "--caf\u{e9} a d",
    "-n\\#101 a d",
    "-M",
    "--no-motd=2 a d",
    "--progress=1 a d",
    "-P=1 a d",
    "-y=2 a d",
    // While reading.
    "-M foo a d",
    "--remote-option=x a d",
    "--max-size=x a d",
    "--max-size=-1 a d",
    "--min-size=1kbb a d",
    "--max-size=8192p a d",
    "--max-size=1e a d",
    "--max-size=+1 a d",
    "--max-size=k a d",
    "--max-size=1.5.2k a d",
    "--max-size=.5k a d",
    "--max-size=1b a d",
    "--max-size=1bb a d",
    "--max-size=1bib a d",
    "--max-size=. a d",
    "--max-size=- a d",
    "--max-size=-k a d",
    "--max-size=-.k a d",
    "--max-size=-.5 a d",
    "--max-size=.+1 a d",
    "--max-size=-0 a d",
    "--max-size=0-0 a d",
    "--max-size=1k+2 a d",
    "--info=name2x a d",
    "--cc=auto,AUTO a d",
    "--max-size=1k+1 a d",
    "--max-size=1+2 a d",
    "--max-size=99999999999999999999 a d",
    "--max-size=k+1 a d",
    "--max-size=1iB a d",
    "--max-size=1K1 a d",
    "--block-size=200k a d",
    "--block-size=131072 a d",
    "--block-size=131073 a d",
    "-B -1 a d",
    "-Bx a d",
    "-B= a d",
    "--protocol=29 --block-size=1m a d",
    "--block-size=1m --protocol=29 a d",
    "--protocol=29 -B513m a d",
    "--bwlimit=511b a d",
    "--bwlimit=0.4 a d",
    "--bwlimit=0.5 a d",
    "--bwlimit=x a d",
    "--bwlimit=-1 a d",
    "--bwlimit=1b a d",
    "--max-alloc=1k a d",
    "--max-alloc=x a d",
    "--max-alloc=-5 a d",
    "RSYNC_MAX_ALLOC=1k; a d",
    "RSYNC_MAX_ALLOC=zz; a d",
    "--max-alloc=1k --old-args -s a d",
    "--link-dest=x --copy-dest=y a d",
    "--copy-dest=y --compare-dest=x a d",
    "--chmod=zz a d",
    "--chmod= a d",
    "--chmod=u+x,, a d",
    "--chmod=DF+x a d",
    "--chmod=u644 a d",
    "--chmod=8 a d",
    "--chmod=10000 a d",
    "--chmod=u+ug a d",
    "--chmod=u+r+w a d",
    "--chmod=u a d",
    "--chmod=D755,F644 a d",
    "--chmod=Du+rwX a d",
    "--chmod=00000755 a d",
    "--chmod=ug=rwx,o= a d",
    "--chmod=+s a d",
    "--chmod=u+uw a d",
    "--chmod=aD+x a d",
    "--chmod=DD7 a d",
    "--chmod=u+D a d",
    "--chmod=a+xX a d",
    "--chmod=D a d",
    "--usermap=a:b --usermap=c:d a d",
    "--groupmap=a:b --groupmap=c:d a d",
    "--usermap=a:b --chown=u a d",
    "--groupmap=a:b --chown=:g a d",
    "--groupmap=a:b --chown=u:g a d",
    "--chown=u --usermap=a:b a d",
    "--chown=:g --groupmap=a:b a d",
    "--chown=u --chown=v a d",
    "--chown=:u --chown=:v a d",
    "--stop-after=0 a d",
    "--stop-after=x a d",
    "--stop-after=-5 a d",
    "--stop-after=2h a d",
    "--stop-after= a d",
    "--stop-at=x a d",
    "--stop-at=2020-1-1 a d",
    "--stop-at=2027 a d",
    "--stop-at=T12 a d",
    "--stop-at=T:5 a d",
    "--stop-at=24:00 a d",
    "--stop-at=:60 a d",
    "--stop-at=1:2:3 a d",
    "--stop-at=2-30 a d",
    "--stop-at=2-29 a d",
    "--stop-at=2039-2-30 a d",
    "--stop-at=1-2-3-4 a d",
    "--stop-at=0-1 a d",
    "--stop-at=13-1 a d",
    "--stop-at=32 a d",
    "--stop-at=31 a d",
    "--stop-at=2037/1/1T a d",
    "--stop-at=37-1-1T5:5 a d",
    "--stop-at= a d",
    "--stop-at=T a d",
    "--stop-at=1T5 a d",
    "--stop-at=1T:5 a d",
    "--stop-at=5:x a d",
    "--stop-at=5: a d",
    "--stop-at=: a d",
    "--stop-at=1-1t1:1 a d",
    "--stop-at=T1:1 a d",
    "--stop-at=23:59 a d",
    "--stop-at=001 a d",
    "--stop-at=1-002 a d",
    "--stop-at=1:001 a d",
    "--stop-at=0:0 a d",
    "--stop-at=-1 a d",
    "--stop-at=1- a d",
    "--stop-at=19-1-1 a d",
    "--stop-at=126-1-1 a d",
    "--stop-at=1970-1-1 a d",
    "--time-limit=0 a d",
    "--stderr=x a d",
    "--stderr= a d",
    "--stderr=ALL a d",
    "--stderr=err a d",
    "--stderr=c a d",
    "--info=foo a d",
    "--info=name,foo12 a d",
    "--debug=zzz9 a d",
    "--info=,name a d",
    "--info=12 a d",
    "--info=name-1 a d",
    "--debug=all99999999999 a d",
    "--info=NaMe2 a d",
    "--info=acl a d",
    "--info= a d",
    "-N a d",
    "--crtimes a d",
    "--no-crtimes a d",
    "--no-N a d",
    "--server -N . d",
    // Afterwards.
    "-s --old-args a d",
    "--old-args -s a d",
    "--old-args --no-old-args -s a d",
    "RSYNC_OLD_ARGS=1; -s a d",
    "RSYNC_PROTECT_ARGS=1; --old-args a d",
    "--cc=foo a d",
    "--cc= a d",
    "--cc=md5, a d",
    "--cc=md5,foo a d",
    "--cc=,md5 a d",
    "--cc=auto,md5 a d",
    "--cc=xxhash a d",
    "--cc=md5,md4,sha1 a d",
    "--cc=AUTO a d",
    "--cc=XXH3 a d",
    "--zc=foo a d",
    "--zc= a d",
    "--zc=AUTO a d",
    "--zc=zlib,zstd a d",
    "--zc=foo --no-z a d",
    "--outbuf=x a d",
    "--outbuf= a d",
    "--outbuf=uu a d",
    "--outbuf=full a d",
    "--fake-super -XX a d",
    "--fake-super -X a d",
    "--write-batch=b --read-batch=c a d",
    "--only-write-batch=b --read-batch=c a d",
    "--read-batch=c --files-from=f d",
    "--read-batch=c --remove-source-files d",
    "--read-batch=c --remove-sent-files d",
    "-r --delete-before --delete-after a d",
    "-r --del --delete-after a d",
    "-r --del --delete-delay a d",
    "-r --delete-before --delete-delay a d",
    "-r --delete --delete-after a d",
    "--delete a d",
    "--delete-excluded a d",
    "--delete-after a d",
    "-d --delete a d",
    "--no-d --delete a",
    "--delete a",
    "--old-dirs --delete a d",
    "--list-only --delete a d",
    "--files-from=f --delete a d",
    "--files-from=f --no-d --delete a d",
    "-a --files-from=f --no-d --delete a d",
    "-r --no-r --delete a d",
    "--delete --list-only --no-d a d",
    "--old-dirs --no-r --delete a d",
    "--delete-missing-args a d",
    "--confine-root=foo a d",
    "--confine-root=/ --insecure-links a d",
    "--confine-root= a d",
    "--confine-root=foo --insecure-links a d",
    "-b --suffix=a/b a d",
    "--suffix=a/b a d",
    "-b --suffix= a d",
    "--suffix= a d",
    "--backup-dir=. a d",
    "--backup-dir=./ a d",
    "--backup-dir= a d",
    "--backup-dir=.//b a d",
    "--backup-dir=. --suffix=x a d",
    "--backup-dir=dir --suffix= a d",
    "--append -W a d",
    "--append-verify --whole-file a d",
    "--append --cc=none a d",
    "-W --append --no-W a d",
    "--inplace --partial-dir=p a d",
    "--append --partial-dir=p a d",
    "--inplace --delay-updates a d",
    "--append --delay-updates a d",
    "--inplace --append --delay-updates a d",
    "--inplace --partial-dir= a d",
    "--inplace --partial-dir=. a d",
    "--write-devices --partial-dir=p a d",
    "--write-devices --delay-updates a d",
    "--inplace --partial-dir=p --delay-updates a d",
    "--write-devices --no-inplace --partial-dir=p a d",
    "--no-inplace --write-devices --partial-dir=p a d",
    "--inplace --no-inplace --partial-dir=p a d",
    "RSYNC_PARTIAL_DIR=p; --partial --inplace a d",
    "--append --no-append --partial-dir=p a d",
    "--inplace --partial-dir=p --no-partial a d",
    "--files-from=h:- a d",
    "--files-from=:- a d",
    "--files-from=f a",
    "--files-from=f a b d",
    "--files-from=f a h: d",
    "--files-from=h:f a d",
    "--files-from=:f a d",
    // Several errors: the first in order.
    "--suffix=a/b --confine-root=x a d",
    "--cc=foo --outbuf=x a d",
    "--zc=foo --cc=bar a d",
    "--append -W --suffix= a d",
    "--outbuf=x --fake-super -XX a d",
    "--delete --confine-root=x a d",
    "--nope --max-size=x a d",
    "--max-size=x --nope a d",
    "--cc=foo a:b c:d",
    "--max-alloc=x --cc=foo a d",
    "--delete --suffix=/ a d",
    "--inplace --delay-updates --files-from=h:- a d",
    // Arguments.
    "a:b c:d",
    "a h:x h2:y",
    "h:a b d",
    "h:a i:b d",
    "h:a h::b d",
    "rsync://h:1/a rsync://h:2/b d",
    "h::/x d",
    "'' d",
    "a ''",
    "-- -h:a d",
    "h:a h:b c:d",
    "h:a i::b d",
    "h:a '' d",
    "u@h:a h:b d",
    "u@h:a v@h:b d",
    "rsync://h:1/a h::b d",
    "rsync://h/a rsync://h:2/b d",
    "h::a rsync://h:873/b d",
    "rsync://h:873/a rsync://h/b d",
    "a b ''",
    "a '' d",
    "'' h:d",
    "'' ''",
    "a h::/x",
    "-e ./x h::/y d",
    "-e ./x a h::/y",
    "a -- -h:d",
    "u@-h:a d",
    "-e ''x h:a d",
    "--password-file=p a d",
    "--password-file=p h:a d",
    "--password-file=p a h:d",
    "--contimeout=3 a d",
    "--contimeout=3 h:a d",
    "--contimeout=3 a h:d",
    "--contimeout=3 -e x h::a d",
    "--contimeout=3 a",
    "--password-file=p a",
    "--contimeout=0 a d",
    "--contimeout=-1 a d",
    "--contimeout=3 --no-contimeout a d",
    "-e 'x h:a d",
    "-e x\"y h:a d",
    "h:a :b",
    "h:a :b :c c:d",
    "a h: d",
    "a :d x",
    ":a d",
    "::a d",
    "--files-from=i:f h:a d",
    "--files-from=i:f a h:d",
    "--files-from=u@h:f h:a d",
    "--files-from=h:f u@h:a d",
    "--files-from=h::f h:a d",
    "--old-args a ''",
    "--password-file=p --contimeout=3 a d",
    "--password-file=p a h: d",
    "--contimeout=2 a '' d",
    "-v",
    "",
    "-avh",
    "--delete -v",
    "--list-only",
    "-r --list-only a h: d",
    // Daemon mode.
    "--config=x",
    "--detach",
    "--no-detach",
    "--daemon --nope",
    "--daemon -Z",
    "--daemon --port=x",
    "--daemon --dparam=x",
    "--daemon -M x",
    "--config",
    "--daemon --config",
    "--daemon --bwlimit=1k",
    "--detach=1",
    "--daemon=1",
    "--config=x --nope",
    "--nope --config=x",
    "-a --daemon",
    "--daemon -h",
    "--dparam",
    "--config=x -a",
    "-M --daemon",
    "--port=x --daemon",
    "--dparam=x",
    "--no-detach=5",
];

fn split(line: &str) -> (Vec<(String, String)>, Vec<Word>) {
    let (variables, line) = match line.split_once("; ") {
        Some((variable, line)) if variable.starts_with("RSYNC_") => {
            let (name, value) = variable.split_once('=').expect("NAME=value");
            (vec![(name.to_owned(), value.to_owned())], line)
        }
        _ => (Vec::new(), line),
    };
    (variables, words(line))
}

/// The first error of our parser or of the arguments, with the role it is said in.
fn ours(line: &[Word], variables: &[(String, String)]) -> Option<(String, u8)> {
    let server = line.first().is_some_and(|word| word == b"--server");
    let tell = |error: UsageError| {
        let text = if error.shows_help() { "(help)".to_owned() } else { error.to_string() };
        (format!("{text}\n[{}=]", error.role(server)), error.exit_code())
    };
    match parse(line, &context(variables)) {
        Err(error) => Some(tell(error)),
        Ok(Command::Transfer(options)) => match options.job() {
            Err(error) => Some(tell(error)),
            Ok(Job { form: Form::Pull { remote, .. }, .. })
                if remote.transport == Transport::Shell =>
            {
                options.shell_words(Role::Receiver).err().map(tell)
            }
            Ok(_) => None,
        },
        Ok(_) => None,
    }
}

/// The stock program's text in the same form; `None` when it was not a usage error of any kind.
fn stock(text: &str, status: i32) -> Option<(String, u8)> {
    let last = text.lines().last().unwrap_or_default();
    let usage = ["(code 1)", "(code 4)", "daemon mode.)"].iter().any(|sign| last.contains(sign))
        || text.starts_with("ERROR: The remote path must");
    if !usage {
        return None;
    }
    let role = last
        .rsplit_once('[')
        .and_then(|(_, end)| end.split_once('='))
        .map(|(role, _)| format!("[{role}=]"));
    let mut body = text.to_owned();
    if let Some(at) = text.find("rsync error:") {
        body.truncate(at);
    }
    let body = body.trim_end_matches('\n');
    let body = if body.starts_with("rsync  version") { "(help)" } else { body };
    let end = role.map(|role| format!("\n{role}")).unwrap_or_default();
    Some((format!("{body}{end}"), status as u8))
}

#[test]
fn wrong_command_lines_have_the_stock_text_and_status() {
    if !stock_is_here("wrong_command_lines_have_the_stock_text_and_status") {
        return;
    }
    let bench = tempfile::tempdir().expect("a directory");
    for (name, text) in [("a", "a\n"), ("b", "b\n"), ("f", "a\n"), ("x", "#!/bin/sh\n")] {
        std::fs::write(bench.path().join(name), text).expect("a file");
    }
    std::fs::create_dir(bench.path().join("dir")).expect("a directory");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(bench.path().join("x"), executable).expect("an executable script");
    let mut differences = Vec::new();
    for line in LINES {
        let (mut variables, words) = split(line);
        let ours = ours(&words, &variables);
        // No connection may leave this machine.
        variables.push(("RSYNC_RSH".to_owned(), "false".to_owned()));
        variables.push(("RSYNC_CONNECT_PROG".to_owned(), "false".to_owned()));
        let output = run_stock(bench.path(), &words, &variables);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let stock = stock(&text, output.status.code().unwrap_or(-1));
        if stock != ours {
            differences.push(format!("{line}\n  stock {stock:?}\n  ours  {ours:?}"));
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
fn info_and_debug_help_list_the_words_and_rows_of_stock() {
    if !stock_is_here("info_and_debug_help_list_the_words_and_rows_of_stock") {
        return;
    }
    let bench = tempfile::tempdir().expect("a directory");
    for (option, ours) in
        [("--info=help", flags::info_help()), ("--debug=help", flags::debug_help())]
    {
        let output = run_stock(bench.path(), &words(option), &[]);
        let stock = String::from_utf8_lossy(&output.stdout).into_owned();
        let rows = |text: &str| {
            text.lines()
                .filter(|line| line.as_bytes().get(1) == Some(&b')'))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(rows(&ours), rows(&stock), "{option}");
        let names = |text: &str| {
            let first = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
            let shouted =
                |word: &String| !word.is_empty() && word.bytes().all(|b| b.is_ascii_uppercase());
            text.lines().map(first).filter(shouted).collect::<Vec<_>>()
        };
        assert_eq!(names(&ours), names(&stock), "{option}");
    }
}

#[test]
fn help_begins_a_line_with_every_option_that_stock_documents() {
    if !stock_is_here("help_begins_a_line_with_every_option_that_stock_documents") {
        return;
    }
    let bench = tempfile::tempdir().expect("a directory");
    for (line, ours) in
        [("--help", help("v", "rsync")), ("--daemon --help", daemon_help("v", "rsync"))]
    {
        let output = run_stock(bench.path(), &words(line), &[]);
        let stock = String::from_utf8_lossy(&output.stdout).into_owned();
        let first = |line: &str| {
            let end = line.find(['=', ' ', ',']).unwrap_or(line.len());
            line[..end].to_owned()
        };
        let names = |text: &str| {
            text.lines()
                .filter(|line| line.starts_with('-'))
                .map(first)
                .collect::<std::collections::BTreeSet<_>>()
        };
        let missing: Vec<_> = names(&stock).difference(&names(&ours)).cloned().collect();
        assert!(missing.is_empty(), "{line}: {missing:?}");
        let usages = |text: &str| {
            let lines = text
                .lines()
                .filter(|line| line.starts_with("Usage: ") || line.starts_with("  or   "));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(usages(&ours), usages(&stock), "{line}");
    }
}
