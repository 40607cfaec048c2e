//! The handshake with a stock daemon over pipes, with every digest and both forms of the argument
//! list.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // Helpers may do what tests may.

use std::fs;
use std::io::{BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use syncline_wire::daemon::{
    AuthDigest, Greeting, LINE_MAX, Reply, Request, choose_digest, listing_line,
    put_daemon_arguments, put_secluded_arguments, read_line, respond,
};
use syncline_wire::list::{ListDecoder, ListOptions};
use syncline_wire::{
    Algorithm, Checksum, CompatFlags, Demultiplexer, Message, Protocol, WireRead, WireWrite,
};

struct Daemon {
    child: Child,
    input: BufReader<ChildStdout>,
    output: ChildStdin,
    protocol: Protocol,
    digest: AuthDigest,
}

impl Daemon {
    /// Starts a daemon for one connection and exchanges greetings.
    fn start(directory: &Path, own: &Greeting) -> Option<Self> {
        let mut child = Command::new("rsync")
            .args(["--server", "--daemon", "--config=rsyncd.conf", "."])
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut input = BufReader::new(child.stdout.take().unwrap());
        let mut output = child.stdin.take().unwrap();
        output.write_all(own.to_line().as_bytes()).unwrap();
        let peer = Greeting::parse(&read_line(&mut input, LINE_MAX).unwrap()).unwrap();
        let protocol = own.negotiate(&peer).unwrap();
        let digest =
            choose_digest(own.digests.as_deref(), peer.digests.as_deref(), protocol).unwrap();
        Some(Self { child, input, output, protocol, digest })
    }

    fn send(&mut self, bytes: &[u8]) {
        self.output.write_all(bytes).unwrap();
        self.output.flush().unwrap();
    }

    fn reply(&mut self) -> Reply {
        Reply::parse(&read_line(&mut self.input, LINE_MAX).unwrap())
    }

    /// Asks for the module and proves a password; the daemon's verdict.
    fn log_in(&mut self, password: &[u8]) -> Reply {
        self.send(&Request::Module(b"pub".to_vec()).to_line());
        let Reply::AuthRequired(challenge) = self.reply() else { panic!("no challenge") };
        assert_eq!(challenge.len(), syncline_wire::daemon::challenge(self.digest, b"").len());
        let response = respond(self.digest, password, &challenge);
        self.send(format!("alice {response}\n").as_bytes());
        self.reply()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory with a module and its secrets.
fn make_module() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("f"), "hi there\n").unwrap();
    let secrets = root.path().join("secrets");
    fs::write(&secrets, "alice:sekrit\n").unwrap();
    fs::set_permissions(&secrets, fs::Permissions::from_mode(0o600)).unwrap();
    let path = root.path().display();
    let config = format!(
        "use chroot = no\nlog file = {path}/log\n[pub]\npath = {path}\ncomment = Public\n\
         auth users = alice\nsecrets file = {path}/secrets\n"
    );
    fs::write(root.path().join("rsyncd.conf"), config).unwrap();
    root
}

#[test]
fn every_digest_and_version_logs_in() {
    let root = make_module();
    let lists = AuthDigest::OFFERED.map(|digest| Some(vec![digest]));
    let greetings =
        lists.into_iter().map(|digests| (32, digests)).chain([(30, None), (29, None), (27, None)]);
    for (version, digests) in greetings {
        let own = Greeting { version, sub: Some(0), digests };
        let Some(mut daemon) = Daemon::start(root.path(), &own) else {
            eprintln!("SKIPPED every_digest_and_version_logs_in: no rsync");
            return;
        };
        assert_eq!(daemon.log_in(b"sekrit"), Reply::Ok, "{own:?}");
        let mut daemon = Daemon::start(root.path(), &own).unwrap();
        let refused = Reply::Error(b"@ERROR: auth failed on module pub".to_vec());
        assert_eq!(daemon.log_in(b"secret"), refused, "{own:?}");
    }
}

#[test]
fn modules_are_listed() {
    let root = make_module();
    let Some(mut daemon) = Daemon::start(root.path(), &Greeting::own(Protocol::NEWEST)) else {
        eprintln!("SKIPPED modules_are_listed: no rsync");
        return;
    };
    daemon.send(&Request::List.to_line());
    let line = listing_line(b"pub", b"Public");
    assert_eq!(daemon.reply(), Reply::Text(line.strip_suffix(b"\n").unwrap().to_vec()));
    assert_eq!(daemon.reply(), Reply::Exit);
}

#[test]
fn both_forms_of_arguments_lead_to_a_list() {
    let root = make_module();
    for (version, secluded) in [(27, false), (29, false), (30, true), (32, false), (32, true)] {
        let own = Greeting::own(Protocol::new(version).unwrap());
        let Some(mut daemon) = Daemon::start(root.path(), &own) else {
            eprintln!("SKIPPED both_forms_of_arguments_lead_to_a_list: no rsync");
            return;
        };
        assert_eq!(daemon.log_in(b"sekrit"), Reply::Ok);
        let protocol = daemon.protocol;
        let letters = if protocol.has_compat_flags() { "e.LsfxCIvu" } else { "" };
        let mut out = Vec::new();
        if secluded {
            let words = ["--server", "--sender", &format!("-st{letters}")];
            put_daemon_arguments(&mut out, &words, protocol);
            put_secluded_arguments(&mut out, &[".", "pub/f"]);
        } else {
            let words = ["--server", "--sender", &format!("-t{letters}"), ".", "pub/f"];
            put_daemon_arguments(&mut out, &words, protocol);
        }
        daemon.send(&out);
        let mut flags = CompatFlags::default();
        if protocol.has_compat_flags() {
            flags = CompatFlags::decode(&mut daemon.input).unwrap();
            let mut out = Vec::new();
            Checksum::put_offer(&mut out, &Checksum::offer(syncline_wire::Side::Client));
            daemon.send(&out);
            let offer = Checksum::read_offer(&mut daemon.input).unwrap();
            assert_eq!(Checksum::choose(&[Checksum::Md5], &offer).unwrap(), Checksum::Md5);
        }
        daemon.input.read_i32().unwrap();
        let mut out = Vec::new();
        if protocol.multiplexes_client() {
            out.put(b"\x04\0\0\x07");
        }
        syncline_wire::put_filter_end(&mut out);
        daemon.send(&out);
        let mut input =
            Demultiplexer::new(&mut daemon.input, |message: Message| panic!("{message:?}"));
        input.start();
        let options = ListOptions { flags, ..ListOptions::new(protocol) };
        let list = ListDecoder::new(options).read_list(&mut input, 0, None).unwrap();
        let entry = list.get(0).unwrap();
        assert_eq!((list.len(), entry.path(), entry.size()), (1, b"f".to_vec(), 9));
    }
}
