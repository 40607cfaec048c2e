//! One `hint:` line follows the mistakes that operators make, and only when it is wanted.

use std::error::Error;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use syncline_suite::daemon::Daemon;
use syncline_suite::program::Program;

type Outcome = Result<(), Box<dyn Error>>;

/// What a mistake is answered with: stock's line, then a hint with this word in it.
struct Answer {
    said: &'static str,
    hint: &'static str,
}

struct Stage {
    top: tempfile::TempDir,
    daemon: Daemon,
}

impl Stage {
    fn new() -> Result<Self, Box<dyn Error>> {
        let top = tempfile::tempdir()?;
        let path = |name: &str| top.path().join(name);
        for name in ["module", "files"] {
            fs::create_dir(path(name))?;
        }
        fs::write(path("secrets"), "user:secret\n")?;
        fs::set_permissions(path("secrets"), PermissionsExt::from_mode(0o600))?;
        let module = path("module");
        let shown = module.display();
        let extra = format!(
            "[closed]\npath = {shown}\nread only = yes\n[locked]\npath = {shown}\nauth users = user\nsecrets file = {}\n",
            path("secrets").display()
        );
        let program = Program::ours("synclined")?.path;
        let daemon = Daemon::start_with(&program, &module, &path("files"), &extra)?;
        Ok(Self { top, daemon })
    }

    fn run(&self, arguments: &[&str], hints: &str) -> Result<String, Box<dyn Error>> {
        let port = self.daemon.port.to_string();
        let output = Command::new(Program::ours("syncline")?.path)
            .current_dir(self.top.path())
            .env("LC_ALL", "C.UTF-8")
            .env("SYNCLINE_HINTS", hints)
            .arg(format!("--port={port}"))
            .args(arguments)
            .stdin(Stdio::null())
            .output()?;
        assert!(!output.status.success(), "{arguments:?} succeeded");
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn expect(&self, arguments: &[&str], answer: &Answer) -> Outcome {
        let text = self.run(arguments, "1")?;
        let lines: Vec<&str> = text.lines().collect();
        let said = lines.iter().position(|line| line.contains(answer.said));
        let hint = lines.iter().position(|line| line.starts_with("hint: "));
        let hints = lines.iter().filter(|line| line.starts_with("hint: ")).count();
        assert!(said.is_some() && hint > said && hints == 1, "{arguments:?}: {text}");
        assert!(lines[hint.unwrap_or(0)].contains(answer.hint), "{text}");
        assert!(!self.run(arguments, "0")?.contains("hint: "), "{arguments:?}: not wanted");
        Ok(())
    }

    fn password_file(&self, content: &str, mode: u32) -> Result<String, Box<dyn Error>> {
        let path = self.top.path().join("password");
        fs::write(&path, content)?;
        fs::set_permissions(&path, PermissionsExt::from_mode(mode))?;
        Ok(format!("--password-file={}", path.display()))
    }
}

#[test]
fn a_password_file_that_holds_the_user_too_is_hinted_at() -> Outcome {
    let stage = Stage::new()?;
    let file = stage.password_file("user:secret\n", 0o600)?;
    let answer = Answer { said: "auth failed on module locked", hint: "the password alone" };
    stage.expect(&[&file, "user@127.0.0.1::locked/"], &answer)
}

#[test]
fn a_password_file_that_others_can_read_is_hinted_at() -> Outcome {
    let stage = Stage::new()?;
    let file = stage.password_file("secret\n", 0o644)?;
    let answer = Answer { said: "must not be other-accessible", hint: "chmod 600" };
    stage.expect(&[&file, "user@127.0.0.1::locked/"], &answer)
}

#[test]
fn a_wrong_password_is_hinted_at() -> Outcome {
    let stage = Stage::new()?;
    let file = stage.password_file("wrong\n", 0o600)?;
    let answer = Answer { said: "auth failed on module locked", hint: "check the user" };
    stage.expect(&[&file, "user@127.0.0.1::locked/"], &answer)
}

#[test]
fn a_slash_before_the_module_is_hinted_at() -> Outcome {
    let answer = Answer { said: "must start with a module name", hint: "host::module/path" };
    Stage::new()?.expect(&["127.0.0.1::/m"], &answer)
}

#[test]
fn an_unknown_module_is_hinted_at() -> Outcome {
    let answer = Answer { said: "Unknown module", hint: "lists the modules" };
    Stage::new()?.expect(&["127.0.0.1::nothing/"], &answer)
}

#[test]
fn a_read_only_module_is_hinted_at() -> Outcome {
    let answer = Answer { said: "module is read only", hint: "read only = no" };
    Stage::new()?.expect(&["-r", "module", "127.0.0.1::closed/"], &answer)
}

#[test]
fn a_refused_connection_is_hinted_at() -> Outcome {
    let free = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let answer = Answer { said: "Connection refused", hint: "is the daemon running" };
    Stage::new()?.expect(&[&format!("--port={free}"), "127.0.0.1::m/"], &answer)
}

#[test]
fn a_full_width_at_sign_is_hinted_at() -> Outcome {
    let answer = Answer { said: "\u{ff20}", hint: "write a plain @" };
    Stage::new()?.expect(&["user\u{ff20}127.0.0.1::m/"], &answer)
}
