//! Made-up files read by us and by the stock daemon: the module lists must agree byte for byte, and where stock
//! refuses a file so must we.
#![allow(clippy::unwrap_used)] // In helpers as in tests.

use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::test_runner::{Config as RunnerConfig, TestRunner};
use syncline_conf::rsyncd::{Config, Includes, Target};

/// Reads below a directory, and knows one variable.
struct Disk;

impl Includes for Disk {
    fn read(&self, path: &Path) -> std::io::Result<Target> {
        if path.is_dir() {
            let entries = std::fs::read_dir(path)?;
            let names = entries.map(|entry| Ok(entry?.file_name().as_bytes().to_vec()));
            return Ok(Target::Directory(names.collect::<std::io::Result<_>>()?));
        }
        std::fs::read(path).map(Target::File)
    }

    fn variable(&self, name: &[u8]) -> Option<Vec<u8>> {
        (name == b"FOO").then(|| b"bar".to_vec())
    }
}

/// The list a stock daemon sends over its standard streams; None: it refuses the file.
fn stock_list(conf: &Path) -> Option<Vec<u8>> {
    let mut daemon = Command::new("rsync")
        .args(["--server", "--daemon", "--config"])
        .arg(conf)
        .arg(".")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("FOO", "bar")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // A daemon that refuses the file may be gone before it is greeted.
    let _ = daemon.stdin.take().unwrap().write_all(b"@RSYNCD: 31.0\n#list\n");
    let mut answer = Vec::new();
    daemon.stdout.take().unwrap().read_to_end(&mut answer).unwrap();
    daemon.wait().unwrap();
    let (_, list) = answer.split_at(answer.iter().position(|&byte| byte == b'\n')? + 1);
    Some(list.strip_suffix(b"@RSYNCD: EXIT\n").unwrap().to_vec())
}

fn our_list(conf: &Path) -> Option<Vec<u8>> {
    let parsed = Config::parse(conf, &std::fs::read(conf).unwrap(), &Disk).ok()?;
    let mut list = Vec::new();
    for module in parsed.config.modules().iter().filter(|module| *module.settings.list) {
        list.extend_from_slice(module.name());
        list.resize(list.len() + 15_usize.saturating_sub(module.name().len()), b' ');
        list.push(b'\t');
        let comment = module
            .settings
            .comment
            .expand(&|name: &[u8]| Disk.variable(name))
            .unwrap()
            .into_owned();
        list.extend_from_slice(&comment);
        list.push(b'\n');
    }
    Some(list)
}

/// Text made of what the grammar is about; with a directory, of includes from it as well.
fn text(directory: Option<&Path>) -> impl Strategy<Value = Vec<u8>> {
    let alphabet: [&[u8]; 41] = [
        b"[a]",
        b"[ B  c]",
        b"[b C]\n",
        b"[global]",
        b"[",
        b"]",
        b"\n",
        b"\n",
        b"\n",
        b"\\\n",
        b"\\",
        b" ",
        b"\t",
        b"\r",
        b"\x0b",
        b"\0",
        b"comment",
        b"\ncomment = ",
        b"\nlist = ",
        b"\nname = ",
        b"=",
        b" = ",
        b"no",
        b"yes",
        b"x",
        b"y z",
        b"#",
        b"; ",
        b"%FOO%",
        b"%",
        b"\xef\xbb\xbf",
        b"/",
        b"\n[a]\n",
        b"\n[n]\n",
        b"\n[global]\n",
        b"\n&foo x",
        b"&",
        b"1",
        b"t r u e",
        b"\nmax verbosity = 3",
        b"\nport = 3",
    ];
    let mut pieces = alphabet.map(<[u8]>::to_vec).to_vec();
    if let Some(directory) = directory {
        let directory = directory.display();
        pieces.extend([
            format!("\n&include {directory}/i.conf\n").into_bytes(),
            format!("\n&merge {directory}/i.conf\n").into_bytes(),
            format!("\n&merge\t{directory}/d\n").into_bytes(),
            format!("&include={directory}/d").into_bytes(),
        ]);
    }
    proptest::collection::vec(proptest::sample::select(pieces), 0..24)
        .prop_map(|pieces| pieces.concat())
}

#[test]
fn made_up_files_list_the_same_modules_as_with_the_stock_daemon() {
    let version = Command::new("rsync").arg("--version").output();
    if !version.is_ok_and(|output| output.stdout.starts_with(b"rsync  version 3.5.")) {
        eprintln!(
            "SKIPPED made_up_files_list_the_same_modules_as_with_the_stock_daemon: no rsync 3.5"
        );
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("d")).unwrap();
    let log = dir.path().join("log").display().to_string();
    let config = RunnerConfig { cases: 120, failure_persistence: None, ..RunnerConfig::default() };
    let rng = proptest::test_runner::TestRng::deterministic_rng(config.rng_algorithm);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let files = (text(Some(dir.path())), text(None), text(None), text(None));
    let result = runner.run(&files, |(conf, file, first, second)| {
        std::fs::write(dir.path().join("i.conf"), file).unwrap();
        std::fs::write(dir.path().join("d/1.conf"), &first).unwrap();
        std::fs::write(dir.path().join("d/2.conf"), &second).unwrap();
        std::fs::write(dir.path().join("d/1.inc"), second).unwrap();
        std::fs::write(dir.path().join("d/2.inc"), first).unwrap();
        let path = dir.path().join("rsyncd.conf");
        std::fs::write(&path, [format!("log file = {log}\n").as_bytes(), &conf[..]].concat())
            .unwrap();
        let shown = |list: Option<Vec<u8>>| list.map(|list| list.escape_ascii().to_string());
        prop_assert_eq!(shown(our_list(&path)), shown(stock_list(&path)));
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}
