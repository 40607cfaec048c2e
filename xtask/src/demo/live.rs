//! The part about live mirrors: three targets, edits with their latencies, one target killed and healed.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::{Daemon, milliseconds, program, same, slash, terminate, wait};

/// How many edits are timed.
const EDITS: usize = 40;
/// What changes while a target is away.
const CHANGES: usize = 500;

pub(super) fn show(top: &Path) -> io::Result<()> {
    println!(
        "\n5. Live: synclive mirrors a directory to two daemons and a directory of this machine"
    );
    let (source, targets) =
        (top.join("live"), ["web1", "web2", "local"].map(|name| top.join(name)));
    for directory in targets.iter().chain([&source]) {
        fs::create_dir(directory)?;
    }
    for number in 0..1000 {
        let folder = source.join(format!("folder-{:02}", number / 50));
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(format!("{number}.txt")), format!("{number}\n").repeat(50))?;
    }
    let [web1, web2, local] = &targets;
    let daemon1 = Daemon::start(top, "web1d", web1)?;
    let daemon2 = Daemon::start(top, "web2d", web2)?;
    let url = |daemon: &Daemon| format!("rsync://127.0.0.1:{}/demo/", daemon.port);
    let began = Instant::now();
    let mirror = Mirror::start(top, &source, &[url(&daemon1), url(&daemon2), slash(local)])?;
    mirror.until_live(3)?;
    println!("   1,000 files are at all three {} after the start", milliseconds(began.elapsed()));
    targets.iter().try_for_each(|target| same(&source, target))?;

    let mut latencies = Vec::new();
    for number in 0..EDITS {
        let text = format!("edit {number}");
        let file = format!("folder-{:02}/edited.txt", number % 20);
        let began = Instant::now();
        fs::write(source.join(&file), &text)?;
        wait(|| {
            let seen = |target: &PathBuf| {
                fs::read_to_string(target.join(&file)).is_ok_and(|seen| seen == text)
            };
            Ok(targets.iter().all(seen))
        })?;
        latencies.push(began.elapsed());
    }
    latencies.sort();
    println!(
        "   {EDITS} edits, from write to visible at all three: median {}, 19 of 20 within {}, slowest {}",
        milliseconds(latencies[EDITS / 2]),
        milliseconds(latencies[EDITS * 19 / 20]),
        milliseconds(latencies[EDITS - 1])
    );

    let began = Instant::now();
    fs::rename(source.join("folder-00"), source.join("renamed"))?;
    fs::remove_dir_all(source.join("folder-01"))?;
    equal(&source, &targets)?;
    println!(
        "   a directory renamed and one removed, everywhere after {}",
        milliseconds(began.elapsed())
    );

    println!("\n6. One target is killed, {CHANGES} files change, and it comes back");
    let port = daemon2.port;
    daemon2.kill()?;
    let began = Instant::now();
    for number in 0..CHANGES {
        fs::write(source.join("renamed").join(format!("new-{number}.txt")), format!("{number}\n"))?;
    }
    equal(&source, &[web1.clone(), local.clone()])?;
    println!("   the other two have everything {} after the first", milliseconds(began.elapsed()));
    mirror.until_said("state=retrying")?;
    let _daemon2 = Daemon::start_at(port, top, "web2d", web2)?;
    let began = Instant::now();
    equal(&source, std::slice::from_ref(web2))?;
    println!(
        "   it has caught up {} after its daemon was back, by itself",
        milliseconds(began.elapsed())
    );
    mirror.stop()?;
    targets.iter().try_for_each(|target| same(&source, target))
}

/// Waits until targets are what the source is.
fn equal(source: &Path, targets: &[PathBuf]) -> io::Result<()> {
    wait(|| Ok(targets.iter().all(|target| same(source, target).is_ok())))
}

/// `synclive` at work.
struct Mirror {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Mirror {
    fn start(top: &Path, source: &Path, targets: &[String]) -> io::Result<Self> {
        let mut command = program("synclive");
        command
            .arg(source)
            .args(targets)
            .arg(format!("--state-dir={}", top.join("state").display()));
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let log = BufReader::new(child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?);
        let said = Arc::new(Mutex::new(String::new()));
        let to = said.clone();
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                let mut said = to.lock().unwrap_or_else(PoisonError::into_inner);
                said.push_str(&line);
                said.push('\n');
            }
        });
        Ok(Self { child, said })
    }

    fn count(&self, text: &str) -> usize {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).matches(text).count()
    }

    fn until_live(&self, targets: usize) -> io::Result<()> {
        wait(|| Ok(self.count("state=live") >= targets))
    }

    fn until_said(&self, text: &str) -> io::Result<()> {
        wait(|| Ok(self.count(text) > 0))
    }

    fn stop(mut self) -> io::Result<()> {
        terminate(&mut self.child)
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        // After a failed step: one that has been stopped already is no concern.
        let _ = terminate(&mut self.child);
    }
}

impl Daemon {
    /// Ends it without a word.
    fn kill(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }
}
