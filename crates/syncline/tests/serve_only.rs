//! `--serve-only`: the stock client through a remote shell that gives what it is told to nobody but us, and through sshd.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails, or says why it was skipped"
)]

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use common::{OURS, stock_is_missing};

/// A served directory with something beside it, and a client's own.
struct Scene {
    top: tempfile::TempDir,
}

impl Scene {
    /// None where there is no stock client.
    fn new(test: &str) -> Option<Self> {
        if stock_is_missing(test) {
            return None;
        }
        let top = tempfile::tempdir().unwrap();
        fs::create_dir_all(top.path().join("served/sub")).unwrap();
        fs::create_dir_all(top.path().join("client")).unwrap();
        fs::write(top.path().join("served/a.c"), "a").unwrap();
        fs::write(top.path().join("served/b.c"), "b").unwrap();
        fs::write(top.path().join("served/x*y"), "star").unwrap();
        fs::write(top.path().join("served/xzy"), "no star").unwrap();
        fs::write(top.path().join("served/sub/deep"), "deep").unwrap();
        fs::write(top.path().join("outside"), "secret").unwrap();
        Some(Self { top })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    /// Runs the stock client in its directory; the words of the server's options stand behind `--serve-only served`.
    fn stock(&self, serve: &[&str], words: &[&str]) -> Output {
        let script = format!(
            "#!/bin/sh\nshift\ncd '{}'\nSSH_ORIGINAL_COMMAND=\"$*\" exec '{OURS}' --serve-only served {}\n",
            self.top.path().display(),
            serve.join(" ")
        );
        let shell = self.path("rsh");
        fs::write(&shell, script).unwrap();
        fs::set_permissions(&shell, fs::Permissions::from_mode(0o755)).unwrap();
        Command::new("rsync")
            .arg(format!("--rsh={}", shell.display()))
            .args(words)
            .current_dir(self.path("client"))
            .output()
            .unwrap()
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path(name)).ok()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_stock_client_pulls_and_pushes_inside_the_directory() {
    let Some(scene) = Scene::new("the_stock_client_pulls_and_pushes_inside_the_directory") else {
        return;
    };
    let output = scene.stock(&[], &["-a", "h:", "got/"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(scene.read("client/got/sub/deep").as_deref(), Some("deep"));
    let output = scene.stock(&[], &["-az", "--delete", "got/sub/", "h:new/"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(scene.read("served/new/deep").as_deref(), Some("deep"));
    let output = scene.stock(&[], &["-as", "h:sub/deep", "secluded"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(scene.read("client/secluded").as_deref(), Some("deep"));
}

#[test]
fn wildcards_are_expanded_unless_they_are_quoted() {
    let Some(scene) = Scene::new("wildcards_are_expanded_unless_they_are_quoted") else { return };
    let output = scene.stock(&[], &["-a", "h:*.c", "c/"]);
    assert!(output.status.success(), "{}", said(&output));
    let mut names: Vec<_> =
        fs::read_dir(scene.path("client/c")).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["a.c", "b.c"]);
    let output = scene.stock(&[], &["-a", r"h:x\*y", "quoted/"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(scene.path("client/quoted/x*y").exists());
    assert!(!scene.path("client/quoted/xzy").exists());
}

#[test]
fn no_path_and_no_link_leads_out() {
    let Some(scene) = Scene::new("no_path_and_no_link_leads_out") else { return };
    symlink("../outside", scene.path("served/way_out")).unwrap();
    symlink("..", scene.path("served/up")).unwrap();
    let outside = scene.path("outside").display().to_string();
    for words in [
        vec!["-a", "h:../outside", "got"],
        vec!["-a", &format!("h:{outside}"), "got"],
        vec!["-aL", "h:way_out", "got"],
        vec!["-a", "--copy-unsafe-links", "h:way_out", "got"],
        vec!["-a", "h:up/outside", "got"],
        vec!["-as", "h:../outside", "got"],
    ] {
        let output = scene.stock(&[], &words);
        assert!(scene.path("client/got").symlink_metadata().is_err(), "{words:?}");
        assert!(!output.status.success(), "{words:?}: {}", said(&output));
    }
    fs::write(scene.path("client/evil"), "evil").unwrap();
    for words in [
        vec!["-a", "evil", "h:../escaped"],
        vec!["-a", "evil", "h:up/escaped"],
        vec!["-aK", "evil", "h:up/"],
        vec!["-a", "--backup", "--backup-dir=../escaped", "evil", "h:a.c"],
        vec!["-a", "--temp-dir=/tmp", "evil", "h:e"],
        vec!["-a", "--log-file=x", "-M--log-file=../escaped", "evil", "h:e"],
    ] {
        scene.stock(&[], &words);
        let beside: Vec<_> =
            fs::read_dir(scene.top.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(beside.len(), 4, "{words:?} left {beside:?}");
    }
    assert_eq!(scene.read("outside").as_deref(), Some("secret"));
}

#[test]
fn read_only_write_only_and_no_deletion_are_kept() {
    let Some(scene) = Scene::new("read_only_write_only_and_no_deletion_are_kept") else { return };
    fs::write(scene.path("client/new"), "new").unwrap();
    fs::create_dir(scene.path("client/none")).unwrap();
    for (serve, words, text) in [
        (&["--ro"][..], &["-a", "new", "h:"][..], "may only read"),
        (&["--ro"], &["-a", "--remove-source-files", "h:a.c", "got"], "--remove-source-files"),
        (&["--wo"], &["-a", "h:a.c", "got"], "may only write"),
        (&["--no-del"], &["-r", "--delete", "none/", "h:sub/"], "--delete"),
        (&["--no-del"], &["-rs", "--delete-after", "none/", "h:sub/"], "--delete"),
        (&["--no-del"], &["-a", "--remove-source-files", "h:a.c", "got"], "--remove-source-files"),
    ] {
        let output = scene.stock(serve, words);
        assert!(!output.status.success(), "{serve:?} {words:?}");
        assert!(said(&output).contains(text), "{serve:?} {words:?}: {}", said(&output));
    }
    assert!(!scene.path("served/new").exists());
    assert!(scene.path("served/a.c").exists() && scene.path("served/sub/deep").exists());
    assert!(scene.stock(&["--ro"], &["-a", "h:a.c", "got"]).status.success());
    assert!(scene.stock(&["--wo", "--no-del"], &["-a", "new", "h:"]).status.success());
    assert_eq!(scene.read("served/new").as_deref(), Some("new"));
}

#[test]
fn what_is_there_stays_as_it_is_when_nothing_may_be_overwritten() {
    let Some(scene) = Scene::new("what_is_there_stays_as_it_is_when_nothing_may_be_overwritten")
    else {
        return;
    };
    fs::write(scene.path("client/a.c"), "longer than before").unwrap();
    fs::write(scene.path("client/new"), "new").unwrap();
    for more in [&[][..], &["--inplace"], &["--append"], &["--whole-file", "-I"]] {
        let words = [&["-t"], more, &["a.c", "new", "h:"]].concat();
        let output = scene.stock(&["--no-overwrite"], &words);
        assert!(output.status.success(), "{more:?}: {}", said(&output));
        assert_eq!(scene.read("served/a.c").as_deref(), Some("a"), "{more:?}");
        assert_eq!(scene.read("served/new").as_deref(), Some("new"));
    }
    for refused in
        ["-b", "--backup-dir=sub", "--partial-dir=sub", "--delay-updates", "-M--log-file=a.c"]
    {
        let output = scene.stock(&["--no-overwrite"], &["-t", refused, "a.c", "h:"]);
        assert!(!output.status.success(), "{refused}");
        assert_eq!(scene.read("served/a.c").as_deref(), Some("a"), "{refused}");
    }
    let output = scene.stock(&[], &["-t", "a.c", "h:"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(scene.read("served/a.c").as_deref(), Some("longer than before"));
}

#[test]
fn the_directory_answers_to_its_own_path_when_that_is_asked_for() {
    let Some(scene) = Scene::new("the_directory_answers_to_its_own_path_when_that_is_asked_for")
    else {
        return;
    };
    let served = scene.path("served").canonicalize().unwrap();
    let named = |name: &str| format!("h:{}{name}", served.display());
    for name in ["/sub/", "/sub/de*"] {
        let output = scene.stock(&["--absolute"], &["-a", &named(name), "got/"]);
        assert!(output.status.success(), "{name}: {}", said(&output));
        assert_eq!(scene.read("client/got/deep").as_deref(), Some("deep"), "{name}");
        fs::remove_dir_all(scene.path("client/got")).unwrap();
    }
    // Beside the directory there is nothing, and without the option its path means one below it.
    let beside = format!("h:{}", scene.path("outside").display());
    for (serve, source) in [(&["--absolute"][..], beside), (&[], named("/sub/"))] {
        let output = scene.stock(serve, &["-a", &source, "got/"]);
        assert!(!output.status.success(), "{source}");
        assert!(
            scene.read("client/got/deep").is_none() && scene.read("client/got/outside").is_none()
        );
    }
}

#[test]
fn symlinks_are_made_harmless_when_that_is_asked_for() {
    let Some(scene) = Scene::new("symlinks_are_made_harmless_when_that_is_asked_for") else {
        return;
    };
    symlink("/etc/passwd", scene.path("client/link")).unwrap();
    let output = scene.stock(&["--munge"], &["-a", "link", "h:"]);
    assert!(output.status.success(), "{}", said(&output));
    let target = fs::read_link(scene.path("served/link")).unwrap();
    assert!(target.starts_with("/rsyncd-munged"), "{}", target.display());
    let output = scene.stock(&["--munge"], &["-a", "h:link", "back"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(fs::read_link(scene.path("client/back")).unwrap(), Path::new("/etc/passwd"));
}

#[test]
fn one_session_that_may_write_works_at_a_time() {
    let Some(scene) = Scene::new("one_session_that_may_write_works_at_a_time") else { return };
    let served = fs::File::open(scene.path("served")).unwrap();
    rustix::fs::flock(&served, rustix::fs::FlockOperation::LockExclusive).unwrap();
    for serve in [&[][..], &["--wo"], &["--munge"]] {
        let output = scene.stock(serve, &["-a", "x", "h:"]);
        assert!(!output.status.success());
        assert!(said(&output).contains("another session is at work"), "{}", said(&output));
    }
    for serve in [&["--ro"][..], &["--no-lock"]] {
        let output = scene.stock(serve, &["-a", "h:a.c", "got/"]);
        assert!(output.status.success(), "{}", said(&output));
    }
    drop(served);
    let output = scene.stock(&[], &["-a", "h:a.c", "got/"]);
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn other_commands_are_refused() {
    let top = tempfile::tempdir().unwrap();
    let serve = |command: Option<&str>| {
        let mut run = Command::new(OURS);
        run.args(["--serve-only", "."]).current_dir(top.path()).stdin(Stdio::null());
        match command {
            Some(command) => run.env("SSH_ORIGINAL_COMMAND", command),
            None => run.env_remove("SSH_ORIGINAL_COMMAND"),
        };
        let output = run.output().unwrap();
        (output.status.code(), said(&output))
    };
    for (command, text) in [
        (None, "SSH_ORIGINAL_COMMAND is not set"),
        (Some("id"), "only a transfer by rsync is allowed, not: id"),
        (Some("rsync --server --daemon ."), "a daemon is not what this key is for"),
        (Some("rsync --server --sender -e.L --serve-only=/ . x"), "--serve-only"),
        (Some("rsync --server --copy-devices --sender . x"), "--copy-devices"),
        (Some("rsync --server --copy-as=root . x"), "--copy-as"),
        (Some("rsync --server --sender . 'x"), "not a command line"),
        (Some("sh -c 'rsync --server . x'"), "only a transfer by rsync is allowed"),
    ] {
        let (code, said) = serve(command);
        assert_eq!(code, Some(1), "{command:?}");
        assert!(said.contains(text), "{command:?}: {said}");
    }
}

/// The whole way: the stock client, ssh, sshd, authorized_keys.
#[test]
fn a_restricted_key_serves_the_stock_client_through_sshd() {
    let name = "a_restricted_key_serves_the_stock_client_through_sshd";
    let Some(scene) = Scene::new(name) else { return };
    let Some(sshd) = Sshd::start(&scene, &["--ro"]) else {
        eprintln!(
            "SKIPPED {name}: needs sshd, ssh-keygen and ssh, and an account that sshd lets in"
        );
        return;
    };
    let rsh = sshd.rsh();
    let run = |words: &[&str]| {
        let mut command = Command::new("rsync");
        command.args(["-a", "-e", &rsh]).args(words).current_dir(scene.path("client"));
        command.output().unwrap()
    };
    let output = run(&["127.0.0.1:sub/", "got/"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(scene.read("client/got/deep").as_deref(), Some("deep"));
    let output = run(&["got/", "127.0.0.1:sub/"]);
    assert!(said(&output).contains("may only read"), "{}", said(&output));
    let output = Command::new("sh").args(["-c", &format!("{rsh} 127.0.0.1 id")]).output().unwrap();
    assert!(said(&output).contains("only a transfer"), "{}", said(&output));
}

struct Sshd {
    child: std::process::Child,
    port: u16,
    key: PathBuf,
}

impl Sshd {
    fn start(scene: &Scene, serve: &[&str]) -> Option<Self> {
        let program =
            ["/usr/sbin/sshd", "/usr/local/sbin/sshd"].iter().find(|p| Path::new(p).exists())?;
        // Below the temporary directory everybody may write: keys lie where StrictModes does not look.
        let place = scene.path("client");
        let make = |name: &str| {
            let key = place.join(name);
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(&key)
                .status();
            made.is_ok_and(|status| status.success()).then_some(key)
        };
        let (host, key) = (make("host_key")?, make("key")?);
        let public = fs::read_to_string(key.with_extension("pub")).ok()?;
        let served = scene.path("served");
        let line = format!(
            "restrict,command=\"'{OURS}' --serve-only '{}' {}\" {public}",
            served.display(),
            serve.join(" ")
        );
        fs::write(place.join("authorized"), line).ok()?;
        let port = std::net::TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nPidFile none\n\
             UsePAM no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n",
            host.display(),
            place.join("authorized").display()
        );
        fs::write(place.join("config"), config).ok()?;
        // As root, sshd wants its privilege separation directory.
        let _ = fs::create_dir_all("/run/sshd");
        let child = Command::new(program)
            .args(["-D", "-q", "-f"])
            .arg(place.join("config"))
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let sshd = Self { child, port, key };
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if std::time::Instant::now() > deadline {
                return None;
            }
            std::thread::yield_now();
        }
        let probe =
            Command::new("sh").args(["-c", &format!("{} 127.0.0.1 probe", sshd.rsh())]).output();
        // Whoever is let in hears from us.
        probe.is_ok_and(|output| said(&output).contains("--serve-only")).then_some(sshd)
    }

    fn rsh(&self) -> String {
        format!(
            "ssh -p {} -i {} -F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
            self.port,
            self.key.display()
        )
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
