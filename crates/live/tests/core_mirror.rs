//! Mirrors to stock daemons, end to end.
//!
//! Each test names the requirement of docs/spec live.md 6 that it proves.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod bench;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use bench::{Bench, Daemon, stock_is_missing};
use syncline_live::state::State;

#[test]
fn r10_what_changes_arrives_at_a_stock_daemon() {
    if stock_is_missing("r10_what_changes_arrives_at_a_stock_daemon") {
        return;
    }
    let mut bench = Bench::new();
    bench.write("there/before", "x");
    let daemon = Daemon::start(&bench.path("daemon"), &bench.path("t"), "");
    fs::write(bench.path("t").join("foreign"), "must go").unwrap();
    bench.start("", &[&daemon.url()]);
    bench.until_state("t0", State::Live);
    bench.until_equal("t");
    bench.write("new", "content");
    bench.write("a/b/c/deep", "content");
    bench.write(".hidden", "1");
    bench.write("back~", "2");
    bench.write("4913", "");
    symlink("new", bench.source("link")).unwrap();
    fs::hard_link(bench.source("new"), bench.source("other")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        bench.source("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o644),
        0,
    )
    .unwrap();
    bench.until_equal("t");
    fs::set_permissions(bench.source("4913"), fs::Permissions::from_mode(0o600)).unwrap();
    bench.write("there/before", "y");
    fs::remove_file(bench.source("link")).unwrap();
    fs::remove_dir_all(bench.source("a")).unwrap();
    bench.until_equal("t");
    bench.stop();
}
