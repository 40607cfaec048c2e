//! Runs with daemons that rely on what an earlier one showed.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::cell::RefCell;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use syncline_engine::session::daemon::{Admission, DaemonRequest, Greeted};
use syncline_engine::session::socket::{Detour, connect};
use syncline_engine::session::{Admitted, ClientPlan, Connection, Remembered, rules_of};
use syncline_engine::source::OperatorFiles;
use syncline_engine::{
    Error, ExitCode, Interrupt, Job, Monitor, Place, Result, Role, Silent, Terms,
};
use syncline_options::{Command as Parsed, Context, Options};
use syncline_wire::Protocol;

/// A source with one file, and pushes of it.
struct Push {
    top: tempfile::TempDir,
    options: Options,
    port: u16,
    memory: Option<Remembered>,
}

impl Push {
    fn new() -> Self {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir(top.path().join("src")).unwrap();
        fs::create_dir(top.path().join("dst")).unwrap();
        let words = ["-rlt", "--timeout=60", "src/", "rsync://u@127.0.0.1/m/dst/"];
        let words = words.map(|word| word.as_bytes().to_vec());
        let context = Context::at(jiff::Zoned::now());
        let parsed = syncline_options::parse(&words, &context).unwrap();
        let Parsed::Transfer(options) = parsed else { panic!("not a transfer") };
        Self { top, options: *options, port: 0, memory: None }
    }

    fn connect(&self) -> Connection {
        let detour = Detour::default();
        let (options, role) = (&self.options, Role::Sender);
        let stream = connect(options, "127.0.0.1", self.port, &detour, role, &mut |_| {}).unwrap();
        Connection::new(stream.reader, stream.writer, options, &Interrupt::default()).unwrap()
    }

    fn spare(&self) -> Greeted {
        Greeted::exchange(self.connect(), Protocol::NEWEST).unwrap()
    }

    /// Sends the tree with this text in its file; the memory is replaced by what a run shows that succeeds.
    fn send(&mut self, text: &str, spare: Option<Greeted>) -> Result<ExitCode> {
        fs::write(self.top.path().join("src/file"), text).unwrap();
        let memory = self.memory.take();
        let paths = [b"m/dst/".to_vec()];
        let request = DaemonRequest {
            options: &self.options,
            module: b"m",
            user: b"u",
            paths: &paths,
            pull: false,
            early_input: None,
            memory: memory.as_ref(),
        };
        let mut password = || Ok(b"secret".to_vec());
        let mut ignore = |_: &[u8]| {};
        let (connection, admission) = if let Some(mut spare) = spare {
            let admission = request.enter_greeted(&mut spare, &mut ignore, &mut password)?;
            (spare.connection, admission)
        } else {
            let (mut connection, own) = (self.connect(), Protocol::NEWEST);
            let admission = request.enter(&mut connection, own, &mut ignore, &mut password)?;
            (connection, admission)
        };
        let Admission::Admitted(admitted) = admission else { panic!("a listing") };
        let learnt = RefCell::new(None);
        let code = self.run(connection, &admitted, &learnt)?;
        self.memory = learnt.into_inner();
        Ok(code)
    }

    fn run(
        &self,
        connection: Connection,
        admitted: &Admitted,
        learnt: &RefCell<Option<Remembered>>,
    ) -> Result<ExitCode> {
        let mut files = OperatorFiles::default();
        let plan = ClientPlan {
            names: None,
            job: Job::new(self.options.clone(), Place::Client),
            sources: vec![b"src/".to_vec()],
            requested: (vec![b"m/dst/".to_vec()], true),
            destination: None,
            pull: false,
            listing: false,
            start: self.top.path().to_owned(),
            rules: rules_of(&self.options, &mut files).unwrap(),
            files,
            settled: Some(admitted.protocol),
            lists: (None, None),
            begun: &|terms: &Terms| *learnt.borrow_mut() = admitted.remember(terms),
        };
        plan.run(connection, &Monitor::new(Arc::new(Silent))).0
    }

    fn arrived(&self) -> String {
        fs::read_to_string(self.top.path().join("dst/file")).unwrap()
    }
}

/// A stock daemon with a module `m` on the push's directory.
struct Daemon(Child);

impl Daemon {
    fn start(push: &mut Push, settings: &str) -> Option<Self> {
        let top = push.top.path();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let ids = if fs::metadata(top).unwrap().uid() == 0 { "uid = 0\ngid = 0\n" } else { "" };
        let shown = top.display();
        let text = format!(
            "{ids}use chroot = no\nread only = no\nlog file = {shown}/log\n\
             [m]\npath = {shown}\n{settings}"
        );
        fs::write(top.join("conf"), text).unwrap();
        let child = Command::new("rsync")
            .args(["--daemon", "--no-detach", "--address=127.0.0.1"])
            .arg(format!("--config={shown}/conf"))
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .spawn()
            .ok()?;
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(60), "the daemon did not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        push.port = port;
        Some(Self(child))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn write_secrets(top: &Path) -> String {
    let secrets = top.join("secrets");
    fs::write(&secrets, "u:secret\n").unwrap();
    fs::set_permissions(&secrets, fs::Permissions::from_mode(0o600)).unwrap();
    format!("auth users = u\nsecrets file = {}\n", secrets.display())
}

#[test]
fn a_stock_daemon_takes_everything_ahead_with_and_without_a_password() {
    for auth in [false, true] {
        let mut push = Push::new();
        let settings = if auth { write_secrets(push.top.path()) } else { String::new() };
        let Some(_daemon) = Daemon::start(&mut push, &settings) else {
            eprintln!("SKIPPED a_stock_daemon_takes_everything_ahead: no rsync");
            return;
        };
        for (round, spare) in [false, true, false, true].into_iter().enumerate() {
            let mut ready = spare.then(|| push.spare());
            assert!(ready.as_mut().is_none_or(Greeted::is_alive));
            let text = "x".repeat(round + 1);
            assert_eq!(push.send(&text, ready).unwrap(), ExitCode::OK, "{auth} {round}");
            assert_eq!(push.arrived(), text);
        }
    }
}

#[test]
fn a_module_that_changed_its_mind_is_noticed_and_nothing_changes() {
    let mut push = Push::new();
    let Some(daemon) = Daemon::start(&mut push, "") else {
        eprintln!("SKIPPED a_module_that_changed_its_mind: no rsync");
        return;
    };
    assert_eq!(push.send("first", None).unwrap(), ExitCode::OK);
    let memory = push.memory.clone();
    drop(daemon);
    let settings = write_secrets(push.top.path());
    let daemon = Daemon::start(&mut push, &settings).unwrap();
    assert!(matches!(push.send("second one", None), Err(Error::Outdated)));
    assert_eq!(push.arrived(), "first");
    assert_eq!(push.send("second one", None).unwrap(), ExitCode::OK);
    assert_eq!(push.arrived(), "second one");
    drop(daemon);
    let _daemon = Daemon::start(&mut push, "").unwrap();
    push.memory = memory;
    push.options.select.incremental = false;
    assert_eq!(push.send("the third", None).unwrap(), ExitCode::OK, "other words are passed over");
    assert_eq!(push.arrived(), "the third");
}

/// A daemon that greets and hears a whole file list without a word, says `last` and
/// ends.
fn mute(last: &'static str) -> (u16, std::thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"@RSYNCD: 32.0 sha512 sha256 sha1 md5 md4\n").unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line).unwrap();
        let mut heard = Vec::new();
        reader.read_until(b'\n', &mut heard).unwrap();
        while reader.read_until(0, &mut heard).unwrap() > 1 {}
        let mut length = [0];
        reader.read_exact(&mut length).unwrap();
        let mut name = vec![0; usize::from(length[0])];
        reader.read_exact(&mut name).unwrap();
        heard.extend(name);
        let mut header = [0; 4];
        reader.read_exact(&mut header).unwrap();
        let mut list = vec![0; usize::from(header[0])];
        reader.read_exact(&mut list).unwrap();
        heard.extend(list);
        stream.write_all(last.as_bytes()).unwrap();
        heard
    });
    (port, heard)
}

#[test]
fn the_list_is_on_its_way_before_the_daemon_has_said_a_word() {
    let mut push = Push::new();
    let Some(daemon) = Daemon::start(&mut push, "") else {
        eprintln!("SKIPPED the_list_is_on_its_way: no rsync");
        return;
    };
    assert_eq!(push.send("one", None).unwrap(), ExitCode::OK);
    let memory = push.memory.clone();
    drop(daemon);
    for (last, code) in [("", None), ("@ERROR: Unknown module 'm'\n", Some(5))] {
        for spare in [false, true] {
            let (port, heard) = mute(last);
            (push.port, push.memory) = (port, memory.clone());
            let ready = spare.then(|| push.spare());
            let error = push.send("two", ready).unwrap_err();
            match code {
                None => assert!(matches!(error, Error::Outdated), "{error}"),
                Some(code) => {
                    assert_eq!(error.exit_code().number(), code);
                    assert_eq!(error.to_string(), last.trim_end());
                }
            }
            let heard = heard.join().unwrap();
            let text = String::from_utf8_lossy(&heard);
            assert!(text.starts_with("m\n--server\0"), "{text}");
            assert!(text.contains("m/dst/\0\0xxh128") && text.contains("file"), "{text}");
        }
    }
}

#[test]
fn a_spare_whose_daemon_ended_is_noticed() {
    let mut push = Push::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    push.port = listener.local_addr().unwrap().port();
    let daemon = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"@RSYNCD: 32.0 md5\nmessage of the day\n").unwrap();
        stream
    });
    let mut spare = push.spare();
    let stream = daemon.join().unwrap();
    assert!(spare.is_alive());
    drop(stream);
    let start = Instant::now();
    while spare.is_alive() {
        assert!(start.elapsed() < Duration::from_secs(60), "the end was not noticed");
        std::thread::yield_now();
    }
}
