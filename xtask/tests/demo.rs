//! The demo shows what it says, twice, and leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::path::Path;
use std::process::Command;

#[test]
fn r145_the_demo_leaves_no_file_and_no_process_behind() {
    let chores = Path::new(env!("CARGO_BIN_EXE_xtask"));
    let programs = chores.parent().unwrap();
    let missing =
        ["syncline", "synclined", "synclive"].iter().find(|name| !programs.join(name).exists());
    if let Some(name) = missing {
        eprintln!(
            "SKIPPED r145_the_demo_leaves_no_file_and_no_process_behind: {name} is not built"
        );
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let mut demo = Command::new(chores);
        demo.args(["demo", "--built"]).arg(programs).env("TMPDIR", scratch.path());
        let output = demo.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains("Everything is cleaned up."), "{said}");
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
        let place = scratch.path().to_str().unwrap();
        let left = std::fs::read_dir("/proc").unwrap().flatten().find(|process| {
            // One that ended meanwhile has no words any more.
            let words = std::fs::read_to_string(process.path().join("cmdline"));
            words.is_ok_and(|words| words.contains(place))
        });
        assert!(left.is_none(), "{left:?}");
    }
}
