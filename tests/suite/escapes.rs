//! Nothing that a client names leads out of a module or to what its filter hides: every option with a path and every
//! file of rules, with `use chroot = no`, by root where the tests run as root, and without Landlock, so that only the
//! daemon's own path rules stand in the way.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use syncline_suite::program::{Program, Side};
use syncline_suite::sandbox::is_root;
use tempfile::TempDir;

/// A module `m` with a hidden directory, links that lead out, and something outside worth reaching.
struct Scene {
    folder: TempDir,
    client: PathBuf,
    side: Side,
    daemon: Child,
    port: u16,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for directory in ["m/sub", "m/secret", "m/d", "outside/basis", "from", "to"] {
            fs::create_dir_all(at(directory)).unwrap();
        }
        let list = "a\n";
        let rules = "- a\n";
        for (path, text) in [
            ("m/a", "a"),
            ("m/b", "b"),
            ("m/sub/a", "a"),
            ("m/sub/b", "b"),
            ("m/secret/list", list),
            ("m/secret/rules", rules),
            ("m/secret/.rules", rules),
            ("m/secret/f", "the content of f"),
            ("outside/list", list),
            ("outside/rules", rules),
            ("outside/.rules", rules),
            ("outside/basis/f", "the content of f"),
            ("from/f", "the content of f"),
            ("m/d/old", "old"),
        ] {
            fs::write(at(path), text).unwrap();
        }
        for (link, target) in [
            ("m/linked_list", at("outside/list")),
            ("m/linked_rules", "../outside/rules".into()),
            ("m/.linked", "../outside/.rules".into()),
            ("m/sub/.linked", "../../outside/.rules".into()),
            ("m/way_out", "../outside".into()),
            ("m/d/way_out", at("outside")),
        ] {
            symlink(target, at(link)).unwrap();
        }
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let owner = if is_root() { "uid = 0\ngid = 0\n" } else { "" };
        let conf = format!(
            "use chroot = no\n{owner}log file = {log}\n[m]\npath = {module}\nread only = no\n\
             munge symlinks = no\nexclude = /secret/***\n",
            log = at("log").display(),
            module = at("m").display(),
        );
        fs::write(at("conf"), conf).unwrap();
        let program = Program::under_test("rsync", "synclined").unwrap();
        let daemon = Command::new(Program::ours("without-landlock").unwrap().path)
            .arg(&program.path)
            .args(["--daemon", "--no-detach", "--address=127.0.0.1"])
            .arg(format!("--config={}", at("conf").display()))
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let client = Program::stock("rsync").unwrap().path;
        let scene = Self { folder, client, side: program.side, daemon, port };
        let end = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < end, "the daemon does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        if scene.side == Side::Ours {
            let said = "this kernel offers no Landlock";
            assert!(scene.read("log").contains(said), "Landlock is still there");
        }
        scene
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_default()
    }

    /// Runs the client; `@` stands for the daemon, `OUTSIDE` for the directory to be kept from.
    fn run(&self, words: &[&str]) -> Output {
        let outside = self.at("outside");
        let daemon = format!("rsync://127.0.0.1:{}", self.port);
        let words = words.iter().map(|word| {
            word.replace('@', &daemon).replace("OUTSIDE", &outside.display().to_string())
        });
        Command::new(&self.client).args(words).current_dir(self.folder.path()).output().unwrap()
    }

    /// What a pull of the whole module brings, with the daemon told this.
    fn pull(&self, words: &[&str]) -> (Vec<String>, Output) {
        let to = self.at("to");
        fs::remove_dir_all(&to).unwrap();
        fs::create_dir(&to).unwrap();
        let output = self.run(&[words, &["-r", "@/m/", "to/"]].concat());
        (names(&to), output)
    }

    /// What outside of the module looks like, to be compared with what it was.
    fn outside(&self) -> Vec<String> {
        let mut all = names(&self.at("outside"));
        all.extend(names(self.folder.path()).into_iter().filter(|name| name == "log.taken"));
        all
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn names(top: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut below = vec![top.to_owned()];
    while let Some(directory) = below.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            all.push(path.strip_prefix(top).unwrap().display().to_string());
            if path.symlink_metadata().unwrap().is_dir() {
                below.push(path);
            }
        }
    }
    all.sort();
    all
}

/// Names that lead outside or to what is hidden, for a file called `file` there.
fn ways_to(file: &str) -> Vec<String> {
    [
        "OUTSIDE/{}",
        "../outside/{}",
        "/../outside/{}",
        "/../../../../../../../../OUTSIDE/{}",
        "sub/../../outside/{}",
        "linked_{}",
        "/linked_{}",
        "way_out/{}",
        "/way_out/{}",
        "d/way_out/{}",
        "secret/{}",
        "/secret/{}",
        "sub/../secret/{}",
    ]
    .map(|way| way.replace("{}", file))
    .to_vec()
}

#[test]
fn a_list_of_names_is_read_in_the_module_only() {
    let scene = Scene::new();
    fs::write(scene.at("m/list"), "b\n").unwrap();
    let (brought, _) = scene.pull(&["--files-from=:/sub/../../list"]);
    assert_eq!(brought, ["b"], "the module's own list is read");
    for way in ways_to("list") {
        let (brought, output) = scene.pull(&[&format!("--files-from=:{way}")]);
        assert!(brought.is_empty(), "{way}: {brought:?}");
        assert!(!output.status.success(), "{way}");
    }
}

#[test]
fn names_in_a_list_stay_in_the_module() {
    let scene = Scene::new();
    let mut list = fs::File::create(scene.at("m/list")).unwrap();
    for way in ways_to("list") {
        let way = way.replace("OUTSIDE", &scene.at("outside").display().to_string());
        writeln!(list, "{way}").unwrap();
    }
    // As stock, a link is sent as what it is, with -l; nothing behind one is.
    let (brought, _) = scene.pull(&["--files-from=:list", "-L"]);
    let files: Vec<_> = brought.iter().filter(|name| scene.at("to").join(name).is_file()).collect();
    assert!(files.is_empty(), "{files:?}");
}

#[test]
fn rule_files_of_options_are_read_in_the_module_only() {
    let scene = Scene::new();
    fs::write(scene.at("m/rules"), "- b\n").unwrap();
    for option in ["-M--exclude-from=/../rules", "-M--filter=. sub/../rules"] {
        let (brought, _) = scene.pull(&[option]);
        assert!(brought.contains(&"a".into()) && !brought.contains(&"b".into()), "{option}");
    }
    for way in ways_to("rules") {
        for option in ["-M--exclude-from=", "-M--filter=. ", "-M--filter=merge,- "] {
            let option = format!("{option}{way}");
            let (brought, output) = scene.pull(&[&option]);
            let obeyed = output.status.success() && !brought.contains(&"a".into());
            assert!(!obeyed, "{option}: {brought:?}");
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!told.contains("- a"), "{option}: {told}");
        }
    }
}

#[test]
fn merge_files_of_directories_are_read_in_the_module_only() {
    let scene = Scene::new();
    fs::write(scene.at("m/sub/.own"), "- b\n").unwrap();
    let (brought, _) = scene.pull(&["--filter=: .own"]);
    assert!(brought.contains(&"b".into()) && !brought.contains(&"sub/b".into()), "{brought:?}");
    for way in [".linked", "/.linked", "../outside/.rules", "OUTSIDE/.rules", "/secret/.rules"] {
        let (brought, _) = scene.pull(&[&format!("--filter=: {way}")]);
        assert!(brought.contains(&"a".into()), "{way}: {brought:?}");
        assert!(brought.contains(&"sub/a".into()), "{way}: {brought:?}");
    }
    // A file of the module may name another, which is not outside either.
    for way in ways_to("rules") {
        fs::write(scene.at("m/.outer"), format!(". {way}\n")).unwrap();
        let (brought, output) = scene.pull(&["--filter=: .outer"]);
        let obeyed = output.status.success() && !brought.contains(&"a".into());
        assert!(!obeyed, "{way}: {brought:?}");
    }
}

#[test]
fn merge_files_protect_nothing_from_outside_when_files_are_deleted() {
    let scene = Scene::new();
    for way in [".linked", "../outside/.rules", "/../outside/.rules"] {
        fs::create_dir_all(scene.at("m/d/sub")).unwrap();
        fs::write(scene.at("m/d/a"), "a").unwrap();
        let filter = format!("--filter=: {way}");
        scene.run(&["-r", "--delete", &filter, "from/", "@/m/d/"]);
        assert!(!scene.at("m/d/a").exists(), "{way}");
    }
}

#[test]
fn nothing_is_written_outside_by_any_option() {
    let scene = Scene::new();
    let before = scene.outside();
    let ways = [
        "OUTSIDE",
        "../outside",
        "/../outside",
        "../../outside",
        "way_out",
        "/way_out",
        "/d/way_out",
        "secret",
        "/secret",
        "../secret",
    ];
    for way in ways {
        for options in [
            &["--temp-dir="][..],
            &["--backup", "--backup-dir="],
            &["--inplace", "--backup", "--backup-dir="],
            &["--partial-dir="],
            &["--delay-updates", "--partial-dir="],
            &["--delete", "--backup", "--backup-dir="],
        ] {
            fs::write(scene.at("m/d/f"), "older").unwrap();
            let (last, others) = options.split_last().unwrap();
            let option = format!("{last}{way}");
            scene.run(&[&["-rI", &option], others, &["from/", "@/m/d/"]].concat());
            assert_eq!(scene.outside(), before, "{option}");
            let secret = names(&scene.at("m/secret"));
            assert_eq!(secret, [".rules", "f", "list", "rules"], "{option}");
        }
    }
    for option in [
        "-M--log-file=OUTSIDE/../log.taken",
        "-M--write-batch=OUTSIDE/batch",
        "-M--only-write-batch=OUTSIDE/batch",
        "-M--read-batch=OUTSIDE/list",
        "-M--password-file=OUTSIDE/list",
        "-M--early-input=OUTSIDE/list",
        "-M--config=OUTSIDE/list",
        "-M--daemon",
        "-M--rsh=touch OUTSIDE/taken",
        "-M--rsync-path=touch OUTSIDE/taken",
        "-M--copy-as=root",
        "-M--insecure-links",
        "-M--confine-root=/",
        "-M--copy-devices",
        "-M--write-devices",
    ] {
        scene.run(&["-r", option, "from/", "@/m/d/"]);
        scene.run(&["-r", option, "@/m/d/", "to/"]);
        assert_eq!(scene.outside(), before, "{option}");
    }
}

#[test]
fn destinations_stay_in_the_module() {
    let scene = Scene::new();
    let before = scene.outside();
    for way in
        ["/../outside/", "/../../outside/", "/way_out/", "/d/way_out/", "/secret/", "/d/../secret/"]
    {
        let to = format!("@/m{way}");
        for words in [&["-r"][..], &["-r", "--mkpath"], &["-rK"], &["-rR", "--no-implied-dirs"]] {
            scene.run(&[words, &["from/", &to]].concat());
            assert_eq!(scene.outside(), before, "{words:?} {to}");
            assert_eq!(names(&scene.at("m/secret")), [".rules", "f", "list", "rules"], "{to}");
        }
    }
}

#[test]
fn alternate_basis_directories_stay_in_the_module() {
    let scene = Scene::new();
    let hidden = [scene.at("outside/basis/f"), scene.at("m/secret/f")];
    let inodes = hidden.map(|file| file.metadata().unwrap().ino());
    // The same time, so that only the place decides.
    let reference = scene.at("from/f");
    for file in ["outside/basis/f", "m/secret/f"] {
        let status = Command::new("touch").arg("-r").arg(&reference).arg(scene.at(file)).status();
        assert!(status.unwrap().success());
    }
    for way in [
        "OUTSIDE/basis",
        "../outside/basis",
        "../../outside/basis",
        "/../outside/basis",
        "way_out/basis",
        "/way_out/basis",
        "../d/way_out/basis",
        "secret",
        "/secret",
        "../secret",
        "../d/../secret",
    ] {
        // Stock tests such a name as if it began at the module's root.
        if scene.side == Side::Stock && way.ends_with("../secret") {
            continue;
        }
        for kind in ["link", "copy", "compare"] {
            for target in ["@/m/d/", "@/m/"] {
                let option = format!("--{kind}-dest={way}");
                let place = if target == "@/m/" { scene.at("m/f") } else { scene.at("m/d/f") };
                let _ = fs::remove_file(&place);
                let output =
                    scene.run(&["-rt", "--stats", "--no-whole-file", &option, "from/", target]);
                let told = String::from_utf8_lossy(&output.stdout).into_owned();
                let used = told.contains("Matched data") && !told.contains("Matched data: 0 bytes");
                assert!(!used, "{option} {target}: {told}");
                if let Ok(made) = place.metadata() {
                    assert!(!inodes.contains(&made.ino()), "{option} {target} is linked");
                    continue;
                }
                assert!(!output.status.success(), "{option} {target}: the file was found there");
            }
        }
    }
}

#[test]
fn targets_of_links_climb_no_higher_than_the_transfer() {
    let scene = Scene::new();
    fs::create_dir_all(scene.at("from/x/y")).unwrap();
    symlink("../../../../t", scene.at("from/x/y/link")).unwrap();
    for to in ["", "d/"] {
        scene.run(&["-rl", "from/", &format!("@/m/{to}")]);
        let made = scene.at(&format!("m/{to}x/y/link"));
        assert_eq!(made.read_link().unwrap().to_str(), Some("../../t"), "{to}");
    }
}
