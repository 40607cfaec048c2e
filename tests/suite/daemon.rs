//! `vectors/daemon`: a configuration, a session driven byte by byte or by stock's client, the log and the files after it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use libtest_mimic::{Arguments, Trial};
use serde::Deserialize;
use sha2::Digest;
use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use syncline_suite::pending;
use syncline_suite::program::{Program, Side, vectors};
use syncline_suite::sandbox::{self, Sandbox, is_root};
use syncline_suite::skipped;
use syncline_suite::text::{Encoding, Expected};

#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    root: bool,
    conf: String,
    #[serde(default)]
    files: Vec<FileText>,
    setup: Option<String>,
    #[serde(default = "yes")]
    daemon: bool,
    #[serde(default)]
    daemon_args: Vec<String>,
    #[serde(default)]
    daemon_env: BTreeMap<String, String>,
    own_log: Option<String>,
    steps: Vec<Step>,
    #[serde(default)]
    log_contains: Vec<String>,
    #[serde(default)]
    log_hex: Vec<String>,
    #[serde(default)]
    log_absent: Vec<String>,
    #[serde(default)]
    tree: BTreeMap<String, Option<Object>>,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct FileText {
    path: String,
    mode: String,
    text: String,
}

#[derive(Deserialize)]
struct Object {
    #[serde(rename = "type")]
    kind: Option<String>,
    mode: Option<String>,
    data: Option<String>,
    target: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Step {
    Raw {
        send: Vec<Piece>,
        wait: Option<f64>,
        expect_lines: Vec<String>,
        #[serde(default)]
        expect_prefix: bool,
        expect_closed: Option<bool>,
        hold: Option<String>,
    },
    Release {
        hold: String,
    },
    Client(Call),
    Command(Call),
    Inetd {
        #[serde(flatten)]
        call: Call,
        expect_server_exit: i32,
    },
    Signal {
        signal: String,
        expect_exit: i32,
    },
    Sleep {
        seconds: f64,
    },
}

#[derive(Deserialize)]
struct Call {
    argv: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    expect_exit: Vec<i32>,
    #[serde(default)]
    exit_may_also_be: Vec<i32>,
    stdout: Option<String>,
    stderr: Option<String>,
    #[serde(default)]
    stdout_contains: Vec<String>,
    #[serde(default)]
    stderr_contains: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Piece {
    Text(String),
    Hex { hex: String },
    Sleep { sleep: f64 },
    Auth { auth: Login },
}

#[derive(Deserialize)]
struct Login {
    user: String,
    password: String,
    digest: String,
    #[serde(default)]
    seed_bytes: Vec<u8>,
}

fn main() {
    let arguments = Arguments::from_args();
    let client = Arc::new(Program::stock("rsync").expect("stock's client"));
    let server = Arc::new(Program::under_test("rsync", "synclined").expect("a daemon to test"));
    let text = std::fs::read(vectors("daemon").join("cases.json")).expect("the cases");
    let cases: Cases = serde_json::from_slice(&text).expect("the cases in their schema");
    let trials = cases.cases.into_iter().map(|case| {
        let (client, server) = (Arc::clone(&client), Arc::clone(&server));
        Trial::test(case.name.clone(), move || {
            if case.root && !is_root() {
                skipped(&case.name, "needs root");
                return Ok(());
            }
            let session = Session::start(&case, &client, &server);
            let outcome = session.and_then(|session| Ok(session.play()?));
            Ok(pending::judge("daemon", &case.name, &server, outcome)?)
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

/// A case being played.
struct Session<'a> {
    case: &'a Case,
    client: &'a Program,
    server: &'a Program,
    sandbox: Sandbox,
    port: u16,
    inetd_port: u16,
    daemon: Option<Child>,
    held: HashMap<String, TcpStream>,
}

impl<'a> Session<'a> {
    fn start(
        case: &'a Case,
        client: &'a Program,
        server: &'a Program,
    ) -> Result<Self, Box<dyn Error>> {
        let sandbox = Sandbox::new(false)?;
        let (port, inetd_port) = (free_port()?, free_port()?);
        let held = HashMap::new();
        let mut session =
            Self { case, client, server, sandbox, port, inetd_port, daemon: None, held };
        for file in &case.files {
            let path = session.sandbox.path().join(&file.path);
            std::fs::create_dir_all(path.parent().unwrap_or(session.sandbox.path()))?;
            std::fs::write(&path, session.fill(&file.text))?;
            let mode = u32::from_str_radix(&file.mode, 8)?;
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode))?;
        }
        let log = if case.own_log.is_some() { "" } else { "log file = {DIR}/log\n" };
        let conf = session.fill(&format!("{log}{}", case.conf));
        std::fs::write(session.sandbox.path().join("rsyncd.conf"), conf)?;
        if let Some(setup) = &case.setup {
            session.sandbox.shell(&session.fill(setup))?;
        }
        if case.daemon {
            session.start_daemon()?;
        }
        Ok(session)
    }

    fn start_daemon(&mut self) -> Result<(), Box<dyn Error>> {
        let mut command = self.sandbox.command(&self.server.path);
        command
            .current_dir("/")
            .args(["--daemon", "--no-detach", "--address=127.0.0.1"])
            .arg(self.fill("--config={DIR}/rsyncd.conf"))
            .arg(format!("--port={}", self.port))
            .args(self.case.daemon_args.iter().map(|word| self.fill(word)))
            .envs(self.case.daemon_env.iter().map(|(name, value)| (name, self.fill(value))))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = command.spawn()?;
        let end = Instant::now() + Duration::from_secs(10);
        // Not by connecting: a connection would be in the log and take a slot.
        while !is_listening(self.port)? {
            if Instant::now() > end || child.try_wait()?.is_some() {
                return Err("the daemon did not start listening".into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.daemon = Some(child);
        Ok(())
    }

    fn play(mut self) -> Result<(), String> {
        for (number, step) in self.case.steps.iter().enumerate() {
            self.step(step).map_err(|text| format!("step {number}: {text}"))?;
        }
        self.stop();
        self.check_log()?;
        self.check_tree()
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Raw { send, wait, expect_lines, expect_prefix, expect_closed, hold } => {
                let wait = Duration::from_secs_f64(wait.unwrap_or(0.5));
                let (stream, received, closed) = self.raw(send, wait).map_err(words)?;
                if let Some(name) = hold {
                    self.held.insert(name.clone(), stream);
                }
                self.check_lines(&received, expect_lines, *expect_prefix)?;
                match expect_closed {
                    Some(expected) if *expected != closed => {
                        Err(format!("closed is {closed}, expected {expected}"))
                    }
                    _ => Ok(()),
                }
            }
            Step::Release { hold } => self.release(hold),
            Step::Client(call) => self.call(call, &self.client.path, &call.argv),
            Step::Command(call) => {
                let (program, rest) = call.argv.split_first().ok_or("an empty command")?;
                self.call(call, self.fill(program), rest)
            }
            Step::Inetd { call, expect_server_exit } => self.inetd(call, *expect_server_exit),
            Step::Signal { signal, expect_exit } => self.signal(signal, *expect_exit),
            Step::Sleep { seconds } => {
                std::thread::sleep(Duration::from_secs_f64(*seconds));
                Ok(())
            }
        }
    }

    /// Closes a held connection and waits until its session is over.
    fn release(&mut self, hold: &str) -> Result<(), String> {
        let before = self.sessions()?;
        self.held.remove(hold).ok_or_else(|| format!("no connection {hold:?} is held"))?;
        let end = Instant::now() + Duration::from_secs(10);
        while self.sessions()? >= before {
            if Instant::now() > end {
                return Err(format!("the session of {hold:?} does not end"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// How many processes serve connections now.
    fn sessions(&self) -> Result<usize, String> {
        let pid = self.daemon.as_ref().map(Child::id).ok_or("no daemon runs")?;
        let children = format!("/proc/{pid}/task/{pid}/children");
        let children = std::fs::read_to_string(children).map_err(words)?;
        Ok(children.split_whitespace().count())
    }

    /// Sends the pieces, then reads until the daemon closes or is silent for `wait`.
    fn raw(&self, send: &[Piece], wait: Duration) -> io::Result<(TcpStream, Vec<u8>, bool)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        let mut received = Vec::new();
        for piece in send {
            std::thread::sleep(Duration::from_millis(30));
            // A daemon that has already refused us may have closed: what it said is what counts.
            let sent = match piece {
                Piece::Text(text) => stream.write_all(self.fill(text).as_bytes()),
                Piece::Hex { hex } => stream.write_all(&from_hex(hex)),
                Piece::Sleep { sleep } => {
                    std::thread::sleep(Duration::from_secs_f64(*sleep));
                    Ok(())
                }
                Piece::Auth { auth } => {
                    let challenge = read_challenge(&mut stream, &mut received)?;
                    stream.write_all(auth.answer(&challenge).as_bytes())
                }
            };
            if sent.is_err() {
                break;
            }
        }
        let end = Instant::now() + wait;
        let mut buffer = [0; 4096];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok((stream, received, false));
            }
            stream.set_read_timeout(Some(left))?;
            match stream.read(&mut buffer) {
                Ok(0) => return Ok((stream, received, true)),
                Ok(length) => received.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Ok((stream, received, true)),
            }
        }
    }

    fn check_lines(
        &self,
        received: &[u8],
        expected: &[String],
        prefix: bool,
    ) -> Result<(), String> {
        let text = String::from_utf8_lossy(received);
        let mut lines: Vec<&str> = text.split('\n').collect();
        if lines.last() == Some(&"") {
            lines.pop();
        }
        let enough =
            if prefix { lines.len() >= expected.len() } else { lines.len() == expected.len() };
        let same = lines.iter().zip(expected).all(|(actual, expected)| {
            let expected = self.fill(expected);
            match expected.split_once("{CHALLENGE}") {
                Some((before, after)) => {
                    let middle =
                        actual.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
                    middle.is_some_and(|word| !word.is_empty() && !word.contains(' '))
                }
                None => *actual == expected,
            }
        });
        if enough && same {
            Ok(())
        } else {
            Err(format!("received {lines:?}, expected {expected:?}"))
        }
    }

    fn call(
        &self,
        call: &Call,
        program: impl AsRef<std::ffi::OsStr>,
        argv: &[String],
    ) -> Result<(), String> {
        let mut own = self.sandbox.command(program);
        own.args(argv.iter().map(|word| self.fill(word)));
        own.envs(call.env.iter().map(|(name, value)| (name, self.fill(value))));
        let outcome = sandbox::finish(&mut own, b"", Duration::from_secs(60)).map_err(words)?;
        let stdout = String::from_utf8_lossy(&outcome.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&outcome.stderr).into_owned();
        let mut problems = Vec::new();
        let mut codes = call.expect_exit.iter().chain(&call.exit_may_also_be);
        if !codes.any(|&code| outcome.code == Some(code)) {
            problems.push(format!("exit {:?}, expected {:?}", outcome.code, call.expect_exit));
        }
        let mut whole = |expected: &Option<String>, actual: &str, name: &str| {
            if let Some(expected) = expected
                && !Expected::new(&self.fill(expected), Encoding::Utf8).matches(actual.as_bytes())
            {
                problems.push(format!("{name} should be {expected:?}"));
            }
        };
        whole(&call.stdout, &stdout, "stdout");
        whole(&call.stderr, &stderr, "stderr");
        let mut part = |parts: &[String], actual: &str| {
            for part in parts.iter().map(|part| self.fill(part)) {
                if !actual.contains(&part) {
                    problems.push(format!("{part:?} is missing"));
                }
            }
        };
        part(&call.stdout_contains, &stdout);
        part(&call.stderr_contains, &stderr);
        if problems.is_empty() {
            return Ok(());
        }
        let argv = call.argv.join(" ");
        Err(format!("{argv}: {}\nstdout {stdout}\nstderr {stderr}", problems.join("\n")))
    }

    /// One connection handed over as standard input and output, as inetd does.
    fn inetd(&self, call: &Call, expect_exit: i32) -> Result<(), String> {
        let listener = TcpListener::bind(("127.0.0.1", self.inetd_port)).map_err(words)?;
        std::thread::scope(|scope| {
            let server = scope.spawn(|| -> io::Result<Option<i32>> {
                let (connection, _) = listener.accept()?;
                let mut command = self.sandbox.command(&self.server.path);
                command.arg("--daemon").arg(self.fill("--config={DIR}/rsyncd.conf"));
                command.stdin(OwnedFd::from(connection.try_clone()?));
                command.stdout(OwnedFd::from(connection));
                command.stderr(Stdio::null());
                let mut child = command.spawn()?;
                // The command still holds the connection; the client sees its end only when nobody does.
                drop(command);
                Ok(child.wait()?.code())
            });
            let client = self.call(call, &self.client.path, &call.argv);
            let code = server.join().map_err(|_| "the inetd thread died")?.map_err(words)?;
            client?;
            if code == Some(expect_exit) {
                return Ok(());
            }
            Err(format!("the server's exit is {code:?}, expected {expect_exit}"))
        })
    }

    fn signal(&mut self, name: &str, expect_exit: i32) -> Result<(), String> {
        let child = self.daemon.as_mut().ok_or("no daemon runs")?;
        let signal = match name {
            "SIGTERM" => rustix::process::Signal::TERM,
            "SIGHUP" => rustix::process::Signal::HUP,
            "SIGINT" => rustix::process::Signal::INT,
            other => return Err(format!("no signal {other}")),
        };
        rustix::process::kill_process(rustix::process::Pid::from_child(child), signal)
            .map_err(words)?;
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            if let Some(status) = child.try_wait().map_err(words)? {
                self.daemon = None;
                return match status.code() {
                    Some(code) if code == expect_exit => Ok(()),
                    other => Err(format!("exit {other:?}, expected {expect_exit}")),
                };
            }
            if Instant::now() > end {
                return Err(format!("{name} did not end the daemon within 5 s"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn stop(&mut self) {
        self.held.clear();
        if let Some(mut child) = self.daemon.take() {
            let pid = rustix::process::Pid::from_child(&child);
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            let end = Instant::now() + Duration::from_secs(5);
            while matches!(child.try_wait(), Ok(None)) && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(5));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// The connection's own process may still be writing when the listener is gone: wait for the lines, with a bound.
    fn check_log(&self) -> Result<(), String> {
        let path = self.sandbox.path().join(self.case.own_log.as_deref().unwrap_or("log"));
        let end = Instant::now() + Duration::from_secs(3);
        loop {
            let log = std::fs::read(&path).unwrap_or_default();
            let missing = self.missing_from_log(&log);
            if missing.is_none() || Instant::now() > end {
                self.check_absent(&log)?;
                return missing.map_or(Ok(()), |text| {
                    Err(format!(
                        "the log lacks {text:?}; it holds\n{}",
                        String::from_utf8_lossy(&log)
                    ))
                });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn missing_from_log(&self, log: &[u8]) -> Option<String> {
        let mut messages = log.split(|&byte| byte == b'\n').map(message);
        for wanted in &self.case.log_contains {
            let text = self.fill(wanted);
            let expected = Expected::new(&text, Encoding::Utf8);
            if !messages.any(|message| expected.matches(message)) {
                return Some(text);
            }
        }
        let found = |bytes: &[u8]| log.windows(bytes.len()).any(|window| window == bytes);
        self.case.log_hex.iter().find(|hex| !found(&from_hex(hex))).cloned()
    }

    fn check_absent(&self, log: &[u8]) -> Result<(), String> {
        let log = String::from_utf8_lossy(log);
        match self.case.log_absent.iter().find(|text| log.contains(&self.fill(text))) {
            Some(text) => Err(format!("the log must not hold {text:?}:\n{log}")),
            None => Ok(()),
        }
    }

    fn check_tree(&self) -> Result<(), String> {
        for (name, expected) in &self.case.tree {
            let path = self.sandbox.path().join(name);
            let data = path.symlink_metadata();
            let Some(expected) = expected else {
                if data.is_ok() {
                    return Err(format!("{name} must not exist"));
                }
                continue;
            };
            let data = data.map_err(|error| format!("{name}: {error}"))?;
            let kind = match data.file_type() {
                kind if kind.is_dir() => "dir",
                kind if kind.is_symlink() => "link",
                _ => "file",
            };
            let mode = format!("{:o}", data.permissions().mode() & 0o7777);
            let content =
                || String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()).into_owned();
            let target = || path.read_link().unwrap_or_default().to_string_lossy().into_owned();
            let differs = |expected: &Option<String>, actual: &dyn Fn() -> String| {
                expected.as_ref().is_some_and(|expected| self.fill(expected) != actual())
            };
            let same_mode = |expected: &String| expected.trim_start_matches('0') == mode;
            if differs(&expected.kind, &|| kind.to_owned())
                || expected.mode.as_ref().is_some_and(|mode| !same_mode(mode))
                || differs(&expected.data, &content)
                || differs(&expected.target, &target)
            {
                return Err(format!("{name} is a {kind} {mode} {:?} {:?}", content(), target()));
            }
        }
        Ok(())
    }

    fn fill(&self, text: &str) -> String {
        let own = if is_root() { "uid = root\ngid = root\n" } else { "" };
        text.replace("{DIR}", &self.sandbox.path().to_string_lossy())
            .replace("{PORT}", &self.port.to_string())
            .replace("{IPORT}", &self.inetd_port.to_string())
            .replace("{OWN}", own)
            .replace("{RSYNC}", &self.client.text())
            .replace(
                "{PROGRAM}",
                &self.server.path.with_file_name(self.program()).to_string_lossy(),
            )
            .replace("{SERVER}", &self.server.text())
    }

    /// The program that is a daemon only if it is told so.
    fn program(&self) -> &'static str {
        if self.server.side == Side::Ours { "syncline" } else { "rsync" }
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Login {
    fn answer(&self, challenge: &str) -> String {
        let text =
            [self.seed_bytes.as_slice(), self.password.as_bytes(), challenge.as_bytes()].concat();
        let digest = match self.digest.as_str() {
            "sha512" => sha2::Sha512::digest(text).to_vec(),
            "sha256" => sha2::Sha256::digest(text).to_vec(),
            "sha1" => sha1::Sha1::digest(text).to_vec(),
            "md5" => md5::Md5::digest(text).to_vec(),
            _ => md4::Md4::digest(text).to_vec(),
        };
        format!("{} {}\n", self.user, STANDARD_NO_PAD.encode(digest))
    }
}

fn read_challenge(stream: &mut TcpStream, received: &mut Vec<u8>) -> io::Result<String> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut byte = [0];
    let mut line = Vec::new();
    loop {
        stream.read_exact(&mut byte)?;
        received.push(byte[0]);
        if byte[0] != b'\n' {
            line.push(byte[0]);
            continue;
        }
        let text = String::from_utf8_lossy(&line).into_owned();
        if let Some(challenge) = text.strip_prefix("@RSYNCD: AUTHREQD ") {
            return Ok(challenge.to_owned());
        }
        line.clear();
    }
}

/// A log line without its time and process id.
fn message(line: &[u8]) -> &[u8] {
    let dated = line.len() > 20 && line[4] == b'/' && line[13] == b':';
    let close = line.iter().position(|&byte| byte == b']').filter(|_| dated);
    close.and_then(|at| line.get(at + 2..)).unwrap_or(line)
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let value = |digit: u8| char::from(digit).to_digit(16).unwrap_or_default() as u8;
    digits.chunks_exact(2).map(|pair| value(pair[0]) << 4 | value(pair[1])).collect()
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Whether some socket of this machine listens on 127.0.0.1 at this port, by the kernel's own table.
fn is_listening(port: u16) -> io::Result<bool> {
    let wanted = format!("0100007F:{port:04X} 00000000:0000 0A");
    Ok(std::fs::read_to_string("/proc/net/tcp")?.contains(&wanted))
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}
