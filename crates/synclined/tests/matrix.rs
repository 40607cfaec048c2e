//! Stock's daemon and ours with the same configuration and the same clients: the same answers, logs and files.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::{Daemon, HELLO, OURS, as_ourselves, client, skipped, stock, wait_until};

const CONFIGURATION: &str = "motd file = {DIR}/motd\n\
    use chroot = no\n\
    transfer logging = yes\n\
    path = {DIR}/data\n\
    [pub]\ncomment = public things\n\
    [hidden]\nlist = no\nhosts deny = *\n\
    [drop]\npath = {DIR}/drop\nread only = no\nincoming chmod = D755,F644\nrefuse options = delete\n\
    [keys]\nauth users = joe, ann:deny\nsecrets file = {DIR}/secrets\n\
    [filtered]\nexclude = *.o /d/deep\n\
    [writeonly]\nwrite only = yes\n\
    [gone]\npath = {DIR}/nowhere\n";

/// What a client saw, without what differs from run to run.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn scene(program: &Path) -> Daemon {
    let own = as_ourselves();
    Daemon::start_with(program, &format!("{own}{CONFIGURATION}"), |at, _| {
        std::fs::write(at.join("motd"), "welcome\n").unwrap();
        std::fs::create_dir_all(at.join("data/d/deep")).unwrap();
        std::fs::create_dir(at.join("drop")).unwrap();
        for (name, text) in [
            ("data/f", "hello\n"),
            ("data/d/a.c", "int a;\n"),
            ("data/d/a.o", "\x7fobj"),
            ("data/d/deep/x", "deep\n"),
            ("secrets", "joe:secret\n"),
        ] {
            std::fs::write(at.join(name), text).unwrap();
        }
        std::os::unix::fs::symlink("f", at.join("data/link")).unwrap();
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(at.join("secrets"), mode).unwrap();
        // The same times on both sides.
        let touch = "find data -exec touch -h -d 2020-01-02T03:04:05Z {} +";
        let outcome =
            std::process::Command::new("sh").args(["-c", touch]).current_dir(at).status().unwrap();
        assert!(outcome.success());
    })
}

/// Every client of the matrix; `{URL}` and `{DIR}` are the daemon's.
fn sessions() -> Vec<Vec<String>> {
    let mut all: Vec<Vec<String>> = Vec::new();
    let mut add = |words: &[&str]| all.push(words.iter().map(|word| (*word).to_owned()).collect());
    for version in 27..=32 {
        let protocol = format!("--protocol={version}");
        let pull = format!("{{DIR}}/pull{version}/");
        add(&["-a", "--no-o", "--no-g", &protocol, "{URL}pub/", &pull]);
        add(&["-rt", &protocol, "{URL}pub/d", "{URL}pub/f", &pull]);
        let push = format!("{{URL}}drop/p{version}/");
        add(&["-rlt", &protocol, "{DIR}/data/", &push]);
        add(&["-rlt", &protocol, "{DIR}/data/", &push]);
        add(&["-rt", "-c", &protocol, "{URL}filtered/", &format!("{{DIR}}/filtered{version}/")]);
    }
    add(&["{URL}"]);
    add(&["{URL}pub/"]);
    add(&["-r", "{URL}pub/d/"]);
    add(&["{URL}nosuch/"]);
    add(&["{URL}hidden/"]);
    add(&["{URL}gone/"]);
    add(&["-r", "{URL}writeonly/", "{DIR}/w/"]);
    add(&["{DIR}/data/f", "{URL}pub/"]);
    add(&["-r", "--delete", "{DIR}/data/", "{URL}drop/"]);
    add(&["{URL}keys/"]);
    add(&["{URL}pub/missing", "{DIR}/m"]);
    add(&["{URL}pub/../../etc/passwd", "{DIR}/m"]);
    add(&["-r", "{URL}pub/*", "{DIR}/star/"]);
    add(&["-av", "--no-o", "--no-g", "-n", "{URL}pub/", "{DIR}/dry/"]);
    add(&["-rL", "{URL}pub/", "{DIR}/follow/"]);
    add(&["-rzc", "{URL}pub/", "{DIR}/packed/"]);
    add(&["-r", "--files-from={DIR}/data/f", "{URL}pub/", "{DIR}/listed/"]);
    all
}

fn play(daemon: &Daemon) -> Vec<Seen> {
    let at = daemon.directory.path().to_str().unwrap().to_owned();
    let url = daemon.url("");
    let plain = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).replace(&at, "{DIR}").replace(&url, "{URL}");
        // Rates differ by a few bytes, and stock closes so that the client may lose the connection before its end.
        let differs = ["sent ", "total size is ", "rsync error:"];
        let lines = text.lines().filter(|line| {
            !differs.iter().any(|start| line.starts_with(start)) && !line.contains("] read error: ")
        });
        lines.fold(String::new(), |text, line| text + line + "\n")
    };
    let run = |words: &Vec<String>| {
        let words: Vec<String> =
            words.iter().map(|word| word.replace("{URL}", &url).replace("{DIR}", &at)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let outcome = client(&words);
        Seen {
            code: outcome.status.code(),
            stdout: plain(&outcome.stdout),
            stderr: plain(&outcome.stderr),
        }
    };
    sessions().iter().map(run).collect()
}

/// Every file below the daemon's directory that a client or the daemon has written.
fn tree(daemon: &Daemon) -> BTreeMap<String, String> {
    fn walk(at: &Path, name: &str, all: &mut BTreeMap<String, String>) {
        let data = at.symlink_metadata().unwrap();
        let mode = data.permissions().mode();
        let content = if data.is_symlink() {
            at.read_link().unwrap().display().to_string()
        } else if data.is_file() {
            String::from_utf8_lossy(&std::fs::read(at).unwrap()).into_owned()
        } else {
            for entry in std::fs::read_dir(at).unwrap() {
                let entry = entry.unwrap();
                let below = format!("{name}/{}", entry.file_name().to_string_lossy());
                walk(&entry.path(), &below, all);
            }
            String::new()
        };
        all.insert(name.to_owned(), format!("{mode:o} {content}"));
    }
    let mut all = BTreeMap::new();
    walk(daemon.directory.path(), "", &mut all);
    all.retain(|name, _| !matches!(name.as_str(), "" | "/log" | "/rsyncd.conf"));
    all
}

/// The messages of the log without time, process and figures, sorted by session.
fn messages(daemon: &Daemon) -> Vec<String> {
    let at = daemon.directory.path().to_str().unwrap();
    let log = daemon.log();
    let lines = log.lines().filter_map(|line| line.split_once("] ").map(|(_, text)| text));
    let about_answers = |text: &&str| {
        ["connect ", "rsync ", "module-list", "unknown ", "auth ", "send ", "recv ", "No match"]
            .iter()
            .any(|start| text.starts_with(start))
            && !text.starts_with("rsync error")
    };
    lines.filter(about_answers).map(|line| line.replace(at, "{DIR}")).collect()
}

#[test]
fn both_daemons_answer_log_and_write_the_same() {
    let Some(stock) = stock() else {
        skipped("both_daemons_answer_log_and_write_the_same", "no stock rsync");
        return;
    };
    let (theirs, ours) = (scene(&stock), scene(Path::new(OURS)));
    let (seen_theirs, seen_ours) = (play(&theirs), play(&ours));
    let mut differences = Vec::new();
    for ((words, theirs), ours) in sessions().iter().zip(&seen_theirs).zip(&seen_ours) {
        // A refused pull may lose stock's connection before the client has read why.
        let racy = matches!(theirs.code, Some(10 | 12)) && ours.code == Some(4);
        if theirs != ours && !racy {
            differences.push(format!("{}\nstock {theirs:?}\nours  {ours:?}", words.join(" ")));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
    let (left, right) = (tree(&theirs), tree(&ours));
    for (name, content) in &left {
        assert_eq!(right.get(name), Some(content), "{name}");
    }
    assert_eq!(left.len(), right.len());
    wait_until("all sessions have ended", || ours.processes() == 1 && theirs.processes() == 1);
    let (left, right) = (messages(&theirs), messages(&ours));
    for (left, right) in left.iter().zip(&right) {
        assert_eq!(left, right);
    }
    assert_eq!(left.len(), right.len());
}

#[test]
fn both_daemons_say_the_same_to_raw_clients() {
    let Some(stock) = stock() else {
        skipped("both_daemons_say_the_same_to_raw_clients", "no stock rsync");
        return;
    };
    let (theirs, ours) = (scene(&stock), scene(Path::new(OURS)));
    for words in [
        &b"hello\n"[..],
        b"@RSYNCD: 31\n",
        b"@RSYNCD: 32.0\n",
        b"@RSYNCD: 24\n#list\n",
        b"@RSYNCD: 29\n\n",
        &[HELLO, b"#list\n"].concat(),
        &[HELLO, b"#who\n"].concat(),
        &[HELLO, b"nosuch\n"].concat(),
        &[HELLO, b"hidden\n"].concat(),
        &[HELLO, b"gone\n"].concat(),
        &[HELLO, b"#early_input=9999\n"].concat(),
        &[HELLO, b"a\0b\n"].concat(),
        b"@RSYNCD: 32.0 crc\nkeys\n",
    ] {
        assert_eq!(theirs.say(words), ours.say(words), "{}", String::from_utf8_lossy(words));
    }
}
