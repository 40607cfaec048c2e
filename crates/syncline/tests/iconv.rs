//! File names are converted between charsets: with the stock program at either end, with daemons, in batches.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What one name is in three charsets.
struct Spelling {
    charset: &'static str,
    name: &'static [u8],
    directory: &'static [u8],
}

const UTF8: Spelling =
    Spelling { charset: "UTF-8", name: "café".as_bytes(), directory: "é中".as_bytes() };
const GBK: Spelling =
    Spelling { charset: "GBK", name: b"caf\xa8\xa6", directory: b"\xa8\xa6\xd6\xd0" };
/// EUC-JP has `é` in its third set.
const EUC: Spelling =
    Spelling { charset: "EUC-JP", name: b"caf\x8f\xab\xb1", directory: b"\x8f\xab\xb1\xc3\xe6" };

/// A directory to work in, with a remote shell that runs its words here.
struct Scene(tempfile::TempDir);

struct Outcome {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let shell = folder.path().join("rsh");
        fs::write(&shell, "#!/bin/sh\nshift\nexec sh -c \"$*\"\n").unwrap();
        fs::set_permissions(&shell, fs::Permissions::from_mode(0o755)).unwrap();
        Self(folder)
    }

    fn at(&self, path: impl AsRef<[u8]>) -> PathBuf {
        self.0.path().join(OsStr::from_bytes(path.as_ref()))
    }

    fn file(&self, path: &[u8], text: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn run(&self, program: &str, words: &[&str]) -> Outcome {
        let words: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
        self.run_with(program, &words, &[])
    }

    fn run_with(&self, program: &str, words: &[&OsStr], variables: &[(&str, &str)]) -> Outcome {
        let mut command = Command::new(program);
        command.current_dir(self.0.path()).args(words).stdin(Stdio::null());
        command.env("LC_ALL", "C.UTF-8").env_remove("RSYNC_RSH").env_remove("RSYNC_ICONV");
        let output = command.envs(variables.iter().copied()).output().unwrap();
        Outcome {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Everything below a directory: content and number of links of files, targets of links.
    fn tree(&self, path: &str) -> BTreeMap<Vec<u8>, String> {
        let mut found = BTreeMap::new();
        let top = self.at(path);
        let mut owed = vec![top.clone()];
        while let Some(directory) = owed.pop() {
            for entry in fs::read_dir(&directory).unwrap() {
                let path = entry.unwrap().path();
                let data = fs::symlink_metadata(&path).unwrap();
                let what = if data.is_symlink() {
                    format!(
                        "-> {}",
                        fs::read_link(&path).unwrap().as_os_str().as_bytes().escape_ascii()
                    )
                } else if data.is_dir() {
                    owed.push(path.clone());
                    "directory".to_owned()
                } else {
                    format!("{} x{}", fs::read_to_string(&path).unwrap(), data.nlink())
                };
                let name = path.strip_prefix(&top).unwrap().as_os_str().as_bytes().to_vec();
                found.insert(name, what);
            }
        }
        found
    }

    /// Two names that sort one way in one charset and the other way in another, a hard link, symlinks, a subdirectory.
    fn spelt(&self, top: &str, how: &Spelling) {
        let below = |path: &[&[u8]]| [top.as_bytes(), b"/", &path.concat()].concat();
        self.file(&below(&[how.name]), "1");
        self.file(&below(&[b"cafz"]), "2");
        self.file(&below(&[how.directory, b"/", how.name, b"/deep"]), "3");
        self.file(&below(&[how.directory, b"/x"]), "4");
        self.file(&below(&[b"z/", how.directory]), "5");
        fs::hard_link(
            self.at(below(&[how.name])),
            self.at(below(&[how.directory, b"/", how.directory])),
        )
        .unwrap();
        symlink(OsStr::from_bytes(how.name), self.at(below(&[b"link"]))).unwrap();
    }
}

/// Client and server, stock only where it is there.
fn pairs(test: &str) -> Vec<(&'static str, &'static str)> {
    let ours = common::OURS;
    if common::stock_is_missing(test) {
        return vec![(ours, ours)];
    }
    vec![(ours, ours), (ours, "rsync"), ("rsync", ours)]
}

#[test]
fn names_are_converted_both_ways_with_any_peer() {
    for (client, server) in pairs("names_are_converted_both_ways_with_any_peer") {
        for (here, there) in [(&UTF8, &GBK), (&GBK, &UTF8), (&EUC, &GBK)] {
            for more in ["--protocol=32", "--protocol=30", "--no-inc-recursive", "-s"] {
                let scene = Scene::new();
                scene.spelt("here", here);
                scene.spelt("there", there);
                let iconv = format!("--iconv={},{}", here.charset, there.charset);
                let path = format!("--rsync-path={server}");
                let to = format!("h:{}/", scene.at("pushed").display());
                let from = format!("h:{}/", scene.at("there").display());
                let common = ["-aH", more, &iconv, &path, "-e", "./rsh"];
                for (words, result, like) in [
                    ([&common[..], &["here/", &to]].concat(), "pushed", "there"),
                    ([&common[..], &[&from, "pulled/"]].concat(), "pulled", "here"),
                ] {
                    let outcome = scene.run(client, &words);
                    let shown = format!("{client} {words:?}: {}", outcome.err);
                    assert_eq!((outcome.code, outcome.err.as_str()), (Some(0), ""), "{shown}");
                    assert_eq!(scene.tree(result), scene.tree(like), "{shown}");
                    // What is there is found again.
                    let outcome = scene.run(client, &[&["-i", "--delete"], &words[..]].concat());
                    assert_eq!(outcome.out, "", "{shown}");
                }
            }
        }
    }
}

#[test]
fn a_copy_within_the_machine_converts_too() {
    let scene = Scene::new();
    scene.spelt("here", &UTF8);
    scene.spelt("there", &GBK);
    for more in ["-aH", "-saH"] {
        let words = [more, "-i", "--iconv=UTF-8,GBK", "here/", "copied/"];
        let outcome = scene.run(common::OURS, &words);
        assert_eq!((outcome.code, outcome.err.as_str()), (Some(0), ""));
        assert_eq!(scene.tree("copied"), scene.tree("there"));
        assert!(outcome.out.contains(">f+++++++++ é中/café/deep\n"), "{}", outcome.out);
        fs::remove_dir_all(scene.at("copied")).unwrap();
    }
}

#[test]
fn before_protocol_30_targets_of_links_stay_as_they_are() {
    for (client, server) in pairs("before_protocol_30_targets_of_links_stay_as_they_are") {
        let scene = Scene::new();
        scene.spelt("here", &UTF8);
        let path = format!("--rsync-path={server}");
        let to = format!("h:{}/", scene.at("pushed").display());
        let words =
            ["-a", "--protocol=29", "--iconv=UTF-8,GBK", &path, "-e", "./rsh", "here/", &to];
        assert_eq!(scene.run(client, &words).code, Some(0));
        let target = fs::read_link(scene.at("pushed/link")).unwrap();
        assert_eq!(target.as_os_str().as_bytes(), UTF8.name);
        assert!(scene.at([b"pushed/", GBK.name].concat()).is_file());
    }
}

/// Words for which Latin-1 has none, beside some it has.
fn unsayable() -> Scene {
    let scene = Scene::new();
    for (path, text) in [
        ("src/ü", "1"),
        ("src/中", "2"),
        ("src/目/ü", "3"),
        ("src/目/目/f", "4"),
        ("src/d/中", "5"),
        ("src/d/ä", "6"),
    ] {
        scene.file(path.as_bytes(), text);
    }
    symlink("中", scene.at("src/l")).unwrap();
    scene.file(b"dst/old", "o");
    scene.file(b"dst/d/old", "o");
    scene
}

#[test]
fn what_the_receiver_cannot_say_is_told_and_nothing_is_deleted() {
    let ours = common::OURS;
    let mut ends = vec![(ours, ours)];
    if !common::stock_is_missing("what_the_receiver_cannot_say_is_told_and_nothing_is_deleted") {
        // Stock as the receiving side gives up here.
        ends.extend([("rsync", ours)]);
    }
    for (client, server) in ends {
        for more in ["--inc-recursive", "--no-inc-recursive", "--delete-after"] {
            let scene = unsayable();
            let path = format!("--rsync-path={server}");
            let to = format!("h:{}/", scene.at("dst").display());
            let words = ["-ai", "--delete", more, "--stderr=client", "--iconv=UTF-8,ISO-8859-1"];
            let words = [&words[..], &[&path, "-e", "./rsh", "src/", &to]].concat();
            let outcome = scene.run(client, &words);
            let shown = format!("{client} {words:?}: {}{}", outcome.out, outcome.err);
            assert_eq!(outcome.code, Some(23), "{shown}");
            for name in ["中", "目", "d/中", "目/目", "目/ü", "目/目/f"] {
                let part = format!(
                    "eceiver] cannot convert filename: {name} (Invalid or incomplete multibyte or wide character)\n"
                );
                assert_eq!(outcome.err.matches(&part).count(), 1, "{part} in {shown}");
            }
            assert!(outcome.err.contains("] cannot convert symlink data for: \"/"), "{shown}");
            assert!(outcome.out.contains("IO error encountered -- skipping file deletion\n"));
            let names: Vec<Vec<u8>> = scene.tree("dst").into_keys().collect();
            let expected: [&[u8]; 5] = [b"d", b"d/old", b"d/\xe4", b"old", b"\xfc"];
            assert_eq!(names, expected, "{shown}");
        }
    }
}

#[test]
fn what_the_puller_cannot_say_is_passed_over() {
    for (client, server) in pairs("what_the_puller_cannot_say_is_passed_over") {
        if client != common::OURS {
            continue;
        }
        let scene = unsayable();
        let path = format!("--rsync-path={server}");
        let from = format!("h:{}/", scene.at("src").display());
        let words = ["-a", "--iconv=ISO-8859-1,UTF-8", &path, "-e", "./rsh", &from, "dst/"];
        let outcome = scene.run(client, &words);
        assert_eq!(outcome.code, Some(23), "{}", outcome.err);
        assert!(outcome.err.contains("cannot convert filename: 目/目/f ("), "{}", outcome.err);
        let names: Vec<Vec<u8>> = scene.tree("dst").into_keys().collect();
        let expected: [&[u8]; 5] = [b"d", b"d/old", b"d/\xe4", b"old", b"\xfc"];
        assert_eq!(names, expected);
    }
}

#[test]
fn what_the_sender_cannot_say_is_not_sent_nor_deleted_at_the_other_end() {
    for (client, server) in
        pairs("what_the_sender_cannot_say_is_not_sent_nor_deleted_at_the_other_end")
    {
        for more in ["--inc-recursive", "--no-inc-recursive"] {
            let scene = unsayable();
            let path = format!("--rsync-path={server}");
            let to = format!("h:{}/", scene.at("dst").display());
            let words = ["-ai", "--delete", more, "--iconv=ASCII,UTF-8"];
            let words = [&words[..], &[&path, "-e", "./rsh", "src/", &to]].concat();
            let outcome = scene.run(client, &words);
            let shown = format!("{client} {words:?}: {}", outcome.err);
            assert_eq!(outcome.code, Some(23), "{shown}");
            for name in ["ü", "中", "目", "d/中", "d/ä"] {
                assert!(
                    outcome.err.contains(&format!("[sender] cannot convert filename: {name} ("))
                );
            }
            // What is below is not looked at.
            assert!(!outcome.err.contains("目/"), "{shown}");
            let names: Vec<Vec<u8>> = scene.tree("dst").into_keys().collect();
            assert_eq!(names, [&b"d"[..], b"d/old", b"old"], "{shown}");
        }
    }
}

#[test]
fn lists_of_files_are_converted_where_arguments_are_secluded() {
    for (client, server) in pairs("lists_of_files_are_converted_where_arguments_are_secluded") {
        let scene = Scene::new();
        scene.spelt("there", &GBK);
        scene.file(b"list", "café\né中/x\n");
        let path = format!("--rsync-path={server}");
        let from = format!("h:{}/", scene.at("there").display());
        let words = ["-a", "--files-from=list", "--iconv=UTF-8,GBK", &path, "-e", "./rsh"];
        let secluded = [&["-s"], &words[..], &[&from, "a/"]].concat();
        let outcome = scene.run(client, &secluded);
        assert_eq!(outcome.code, Some(0), "{client} {server}: {}", outcome.err);
        assert!(scene.at("a/café").is_file() && scene.at("a/é中/x").is_file());
        let plain = [&words[..], &[&from, "b/"]].concat();
        let outcome = scene.run(client, &plain);
        assert_eq!(outcome.code, Some(23), "{client} {server}: {}", outcome.err);
        // So are the arguments.
        let one = format!("{from}café");
        let words = ["-as", "--iconv=UTF-8,GBK", &path, "-e", "./rsh", &one, "c/"];
        let outcome = scene.run(client, &words);
        assert_eq!(outcome.code, Some(0), "{client} {server}: {}", outcome.err);
        assert!(scene.at("c/café").is_file());
    }
}

#[test]
fn a_daemon_has_the_charset_of_its_module() {
    for (client, server) in pairs("a_daemon_has_the_charset_of_its_module") {
        if server == common::OURS && !PathBuf::from(server).with_file_name("synclined").exists() {
            eprintln!("SKIPPED a_daemon_has_the_charset_of_its_module: synclined is not built");
            continue;
        }
        let scene = Scene::new();
        scene.spelt("here", &UTF8);
        scene.spelt("there", &GBK);
        fs::create_dir(scene.at("module")).unwrap();
        let own = if rustix::process::geteuid().is_root() { "uid = 0\ngid = 0\n" } else { "" };
        let text = format!(
            "{own}use chroot = no\nmunge symlinks = no\nlog file = {0}/log\n[in]\npath = {0}/module\ncharset = GBK\nread only = no\n\
             [out]\npath = {0}/there\ncharset = GBK\n[none]\npath = {0}/there\n[odd]\npath = {0}/there\ncharset = odd\n",
            scene.0.path().display()
        );
        fs::write(scene.at("conf"), text).unwrap();
        let daemon = format!("{server} --daemon --config={}", scene.at("conf").display());
        let run = |words: &[&str]| {
            let words: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
            scene.run_with(client, &words, &[("RSYNC_CONNECT_PROG", &daemon)])
        };
        // What the client says of the other side does not count.
        let outcome = run(&["-aH", "--iconv=UTF-8,EUC-JP", "here/", "h::in/"]);
        let shown = format!("{client} {server}: {}", outcome.err);
        assert_eq!(outcome.code, Some(0), "{shown}");
        assert_eq!(scene.tree("module"), scene.tree("there"), "{shown}");
        let outcome = run(&["-aH", "--iconv=UTF-8", "h::out/", "pulled/"]);
        assert_eq!(outcome.code, Some(0), "{client} {server}: {}", outcome.err);
        assert_eq!(scene.tree("pulled"), scene.tree("here"));
        // Who does not ask gets bytes.
        let outcome = run(&["-aH", "h::out/", "raw/"]);
        assert_eq!(outcome.code, Some(0), "{client} {server}: {}", outcome.err);
        assert_eq!(scene.tree("raw"), scene.tree("there"));
        // Deleted names and messages come in the client's charset.
        scene.file(b"empty/x", "");
        let outcome = run(&["-ai", "--delete", "--iconv=UTF-8", "empty/", "h::in/"]);
        assert!(outcome.out.contains("*deleting   é中/café/\n"), "{}", outcome.out);
        let outcome = run(&["-as", "--iconv=UTF-8", "h::out/日", "x/"]);
        assert!(outcome.err.contains("link_stat \"日\" (in out) failed"), "{}", outcome.err);
        let outcome = run(&["-as", "--iconv=UTF-8", "h::out/café", "one/"]);
        assert_eq!(outcome.code, Some(0), "{client} {server}: {}", outcome.err);
        assert!(scene.at("one/café").is_file());
        let outcome = run(&["-a", "--iconv=UTF-8", "h::none/", "x/"]);
        let refused = "The server is configured to refuse --iconv\n";
        assert!(outcome.err.contains(refused), "{}", outcome.err);
        // Nobody enters where nothing could be converted.
        assert_eq!(run(&["-a", "h::odd/", "x/"]).code, Some(5));
        let log = fs::read(scene.at("log")).unwrap();
        assert!(String::from_utf8_lossy(&log).contains("iconv_open(\"UTF-8\", \"odd\") failed"));
    }
}

#[test]
fn a_batch_is_read_with_a_charset_or_not_at_all() {
    for (writer, reader) in pairs("a_batch_is_read_with_a_charset_or_not_at_all") {
        let scene = Scene::new();
        scene.spelt("here", &UTF8);
        scene.spelt("there", &GBK);
        let words = ["-aH", "--write-batch=batch", "--iconv=UTF-8,EUC-JP", "here/", "x/"];
        let outcome = scene.run(writer, &words);
        assert_eq!(outcome.code, Some(0), "{writer}: {}", outcome.err);
        let outcome = scene.run(reader, &["-aH", "--read-batch=batch", "--iconv=GBK", "copy/"]);
        assert_eq!(outcome.code, Some(0), "{writer} {reader}: {}", outcome.err);
        assert_eq!(scene.tree("copy"), scene.tree("there"));
        let outcome = scene.run(reader, &["-aH", "--read-batch=batch", "raw/"]);
        assert_eq!(outcome.code, Some(1));
        let text = "Please specify the --iconv option to use this batch file.\n";
        assert!(outcome.err.contains(text), "{}", outcome.err);
        assert!(!scene.at("raw").exists());
        let outcome = scene.run(writer, &["-aH", "--write-batch=plain", "here/", "y/"]);
        assert_eq!(outcome.code, Some(0), "{writer}: {}", outcome.err);
        let outcome = scene.run(reader, &["-aH", "--read-batch=plain", "--iconv=GBK", "raw/"]);
        assert_eq!(outcome.code, Some(1));
        let text = "Do not specify the --iconv option to use this batch file.\n";
        assert!(outcome.err.contains(text), "{}", outcome.err);
    }
}

#[test]
fn the_environment_and_the_locale_name_charsets() {
    let scene = Scene::new();
    scene.spelt("there", &GBK);
    scene.spelt("here", &UTF8);
    let copy = |words: &[&str], variables: &[(&str, &str)]| {
        let words: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
        let outcome = scene.run_with(common::OURS, &words, variables);
        assert_eq!(outcome.code, Some(0), "{}", outcome.err);
        outcome
    };
    let outcome = copy(&["-aH", "--debug=ICONV2", "here/", "a/"], &[("RSYNC_ICONV", ".,GBK")]);
    assert_eq!(outcome.out, "msg checking charset: UTF-8\n[sender] charset: UTF-8\n");
    assert_eq!(scene.tree("a"), scene.tree("there"));
    copy(&["-aH", "--no-iconv", "here/", "b/"], &[("RSYNC_ICONV", ".,GBK")]);
    assert_eq!(scene.tree("b"), scene.tree("here"));
    let outcome = scene.run(common::OURS, &["-a", "--iconv=odd", "here/", "c/"]);
    assert_eq!(outcome.code, Some(4));
    assert!(outcome.err.starts_with("iconv_open(\"UTF-8\", \"odd\") failed\n"), "{}", outcome.err);
    assert!(!scene.at("c").exists());
}

#[test]
fn a_listing_shows_what_can_be_said() {
    let scene = unsayable();
    fs::rename(scene.at("src/d/中"), scene.at(b"src/d/\xff")).unwrap();
    let outcome = scene.run(common::OURS, &["-r", "--iconv=UTF-8", "src/d/"]);
    assert_eq!(outcome.code, Some(23));
    assert!(outcome.err.contains("[sender] cannot convert filename: \\#377 ("), "{}", outcome.err);
    assert!(outcome.out.ends_with(" ä\n"), "{}", outcome.out);
    // Every byte is a character there.
    assert_eq!(scene.run(common::OURS, &["-r", "--iconv=ISO-8859-1", "src/d/"]).code, Some(0));
}

/// A key that is confined to a directory takes the charset its client names.
#[test]
fn a_confined_server_converts() {
    let scene = Scene::new();
    scene.spelt("here", &UTF8);
    scene.spelt("there", &GBK);
    fs::create_dir(scene.at("dst")).unwrap();
    let shell = format!(
        "#!/bin/sh\nshift\nexport SSH_ORIGINAL_COMMAND=\"$*\"\nexec {} --serve-only {}\n",
        common::OURS,
        scene.at("dst").display()
    );
    fs::write(scene.at("rsh"), shell).unwrap();
    for more in ["-aH", "-aHs"] {
        let words = [more, "--iconv=UTF-8,GBK", "-e", "./rsh", "here/", "h:/"];
        let outcome = scene.run(common::OURS, &words);
        assert_eq!((outcome.code, outcome.err.as_str()), (Some(0), ""));
        assert_eq!(scene.tree("dst"), scene.tree("there"));
    }
}
