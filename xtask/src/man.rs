//! `cargo xtask man`: man pages and shell completions, generated from the option tables.

use crate::run::{self, Chore, Failure};
use lexopt::prelude::*;
use std::path::{Path, PathBuf};
use std::process::Command;
use syncline_options::table::Mode;
use syncline_options::{complete, daemon_man_page, live_man_page, man_page};

pub(crate) fn run(mut arguments: lexopt::Parser) -> Chore {
    let mut folder = run::workspace().join("target/man");
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("out") => folder = PathBuf::from(arguments.value()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let version = env!("CARGO_PKG_VERSION");
    let date = last_change();
    let files = [
        ("syncline.1", man_page(version, &date)),
        ("synclive.1", live_man_page(version, &date)),
        ("synclined.8", daemon_man_page(version, &date)),
        ("syncline.bash", complete::bash("syncline", Mode::Transfer)),
        ("_syncline", complete::zsh("syncline", Mode::Transfer)),
        ("syncline.fish", complete::fish("syncline", Mode::Transfer)),
        ("synclive.bash", complete::bash("synclive", Mode::Live)),
        ("_synclive", complete::zsh("synclive", Mode::Live)),
        ("synclive.fish", complete::fish("synclive", Mode::Live)),
        ("synclined.bash", complete::bash("synclined", Mode::Daemon)),
        ("_synclined", complete::zsh("synclined", Mode::Daemon)),
        ("synclined.fish", complete::fish("synclined", Mode::Daemon)),
        ("syncwatch.1", syncwatch::man_page(version, &date)),
        ("syncwatch.bash", syncwatch::bash()),
        ("_syncwatch", syncwatch::zsh()),
        ("syncwatch.fish", syncwatch::fish()),
    ];
    let failure = |path: &Path, error| Failure::new(format!("{}: {error}", path.display()));
    std::fs::create_dir_all(&folder).map_err(|error| failure(&folder, error))?;
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|error| failure(&path, error))?;
        println!("{}", path.display());
    }
    Ok(())
}

/// The day of the last change, so that the same tree always gives the same pages.
fn last_change() -> String {
    let mut git = Command::new("git");
    git.args(["log", "-1", "--format=%cs"]).current_dir(run::workspace());
    git.output()
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default()
}
