//! What a module needs from outside of it, had before the session was confined to it: tables, names, its log.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use common::{Daemon, HELLO, OURS, as_ourselves, client, skipped, stock, wait_until};

fn ours(configuration: &str) -> Daemon {
    Daemon::start(Path::new(OURS), configuration)
}

/// Pushes a file called `name` with `--iconv=UTF-8`, and pulls it back by that name. What the module calls it.
fn there_and_back(daemon: &Daemon, module: &str, name: &str) -> Vec<Vec<u8>> {
    let (from, to) = (daemon.path("from"), daemon.path("to"));
    for directory in [&from, &to] {
        let _ = fs::remove_dir_all(directory);
        fs::create_dir(directory).unwrap();
    }
    fs::write(from.join(name), name).unwrap();
    let slash = |path: &Path| format!("{}/", path.display());
    let converts = "--iconv=UTF-8";
    let pushed = client(&["-r", converts, &slash(&from), &daemon.url(&format!("{module}/"))]);
    assert!(pushed.status.success(), "{module}: {pushed:?}\n{}", daemon.log());
    let wanted = daemon.url(&format!("{module}/{name}"));
    let pulled = client(&["-s", converts, &wanted, &slash(&to)]);
    assert!(pulled.status.success(), "{module}: {pulled:?}\n{}", daemon.log());
    assert_eq!(fs::read(to.join(name)).unwrap(), name.as_bytes());
    let entries = fs::read_dir(daemon.path(module)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().as_bytes().to_vec()).collect()
}

#[test]
fn a_charset_is_complete_before_the_session_is_confined() {
    let test = "a_charset_is_complete_before_the_session_is_confined";
    if stock().is_none() {
        return skipped(test, "no stock client");
    }
    let own = as_ourselves();
    let chroot = if own.is_empty() { "no" } else { "yes" };
    let daemon = ours(&format!(
        "use chroot = no\n{own}read only = no\n\
         [latin]\npath = {{DIR}}/latin\ncharset = ISO-8859-1\n\
         [kanji]\npath = {{DIR}}/kanji\ncharset = EUC-JP\n\
         [jail]\npath = {{DIR}}/jail\ncharset = EUC-JP\nuse chroot = {chroot}\n\
         [odd]\npath = {{DIR}}/latin\ncharset = no-such-charset\n"
    ));
    for module in ["latin", "kanji", "jail"] {
        fs::create_dir(daemon.path(module)).unwrap();
    }
    if daemon.say(&[HELLO, b"kanji\n\0"].concat()).contains("invalid charset") {
        return skipped(test, "the C library has no such tables");
    }
    assert_eq!(there_and_back(&daemon, "latin", "gr\u{fc}n"), [b"gr\xfcn"]);
    assert_eq!(there_and_back(&daemon, "kanji", "\u{65e5}\u{672c}"), [b"\xc6\xfc\xcb\xdc"]);
    assert_eq!(there_and_back(&daemon, "jail", "\u{65e5}\u{672c}"), [b"\xc6\xfc\xcb\xdc"]);
    let refused = daemon.say(&[HELLO, b"odd\n"].concat());
    assert!(refused.ends_with("@ERROR: invalid charset setting.\n"), "{refused}");
}

const JAIL: &str = "daemon chroot = {DIR}/jail\nuse chroot = no\n\
    [names]\npath = /m\nuid = keeper\ngid = keepers\n\
    [all]\npath = /m\nuid = keeper\ngid = *\n\
    [outside]\npath = /m\nuid = daemon\ngid = 0\n\
    [groups]\npath = /m\nuid = 0\ngid = 0\nauth users = @wheel\nsecrets file = /etc/secrets\n\
    [deeper]\npath = /m\nuid = keeper\ngid = keepers\nuse chroot = yes\nnumeric ids = no\n\
    [host]\npath = /m\nuid = 0\ngid = 0\nhosts allow = keep.example\n";

/// What clients hear and get of a daemon of `program` below its chroot, and its log.
fn below_a_chroot(program: &Path) -> (Vec<String>, Vec<String>) {
    let daemon = Daemon::start_with(program, JAIL, |at, _| {
        let jail = at.join("jail");
        fs::create_dir_all(jail.join("etc")).unwrap();
        fs::create_dir_all(jail.join("dev")).unwrap();
        fs::create_dir_all(jail.join("m")).unwrap();
        // Stock takes its challenges from there.
        let _ = Command::new("mknod").arg(jail.join("dev/urandom")).args(["c", "1", "9"]).status();
        for (name, text) in [
            ("etc/passwd", "root:x:0:0::/:\nkeeper:x:4242:4343::/:\n"),
            ("etc/group", "root:x:0:\nkeepers:x:4343:\nwheel:x:5555:keeper\n"),
            ("etc/hosts", "127.0.0.1 keep.example localhost\n"),
            ("etc/secrets", "keeper:word\n"),
            ("m/kept", "text"),
        ] {
            fs::write(jail.join(name), text).unwrap();
        }
        let mode = std::os::unix::fs::PermissionsExt::from_mode;
        fs::set_permissions(jail.join("etc/secrets"), mode(0o600)).unwrap();
        fs::set_permissions(at, mode(0o755)).unwrap();
        std::os::unix::fs::chown(jail.join("m/kept"), Some(4242), Some(5555)).unwrap();
        fs::set_permissions(jail.join("m/kept"), mode(0o640)).unwrap();
    });
    let mut heard = Vec::new();
    for module in ["names", "all", "outside", "groups", "deeper", "host"] {
        let to = daemon.path("to");
        let _ = fs::remove_dir_all(&to);
        let user = if module == "groups" { "keeper@" } else { "" };
        let url = format!("rsync://{user}127.0.0.1:{}/{module}/kept", daemon.port);
        let outcome = Command::new("rsync")
            .args([OsStr::new("-a"), OsStr::new(&url), to.as_os_str()])
            .env("RSYNC_PASSWORD", "word")
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&outcome.stderr).into_owned();
        let first = error.lines().next().unwrap_or_default();
        heard.push(format!("{module}: {:?} {first} {:?}", outcome.status.code(), fs::read(&to)));
    }
    let is_end = |line: &str| line.contains("sent ") && line.contains("total size");
    wait_until("the last session is logged", || daemon.log().lines().any(is_end));
    wait_until("all sessions have ended", || daemon.processes() == 1);
    let log = daemon.log();
    let messages = log.lines().filter_map(|line| line.split_once("] "));
    let messages = messages
        .map(|(_, message)| message.split_once("sent ").map_or(message, |(before, _)| before))
        .filter(|message| !message.starts_with("rsyncd version") && !message.contains("urandom"));
    (heard, messages.map(str::to_owned).collect())
}

#[test]
fn below_a_daemon_chroot_names_are_those_of_the_chroot_and_the_log_goes_on() {
    let test = "below_a_daemon_chroot_names_are_those_of_the_chroot_and_the_log_goes_on";
    if !rustix::process::geteuid().is_root() {
        return skipped(test, "needs root");
    }
    let Some(stock) = stock() else { return skipped(test, "no stock daemon") };
    let (heard, log) = below_a_chroot(Path::new(OURS));
    let (expected, lines) = below_a_chroot(&stock);
    assert_eq!(heard, expected);
    assert_eq!(log, lines);
    assert!(heard[0].ends_with("Ok([116, 101, 120, 116])"), "{}", heard[0]);
    assert!(log.iter().any(|line| line.starts_with("rsync on names/kept from ")), "{log:?}");
}
