//! Serves the status page with made-up mirrors, to look at it: `cargo run -p syncline-live --example status_page`.
#![allow(clippy::print_stdout)]

use std::path::Path;
use std::time::Duration;

use syncline_live::state::{
    BatchReport, BatchResult, ByteCounts, HookOutcome, Progress, Registry, State, TargetStatus,
};
use syncline_live::status::Server;

fn main() -> std::io::Result<()> {
    let registry = Registry::new();
    let website = registry.mirror("website", Path::new("/data/www/"));
    website.set_watching(true);
    website.set_watches(10_412, 524_288);
    website
        .hook(minutes(3), HookOutcome::Failed("PURGE cdn.example:80: the answer was 503".into()));
    let web1 = website.target("web1", "rsync://backup@web1.example/www/");
    let _ = web1.set_state(minutes(1), State::Live, "");
    traffic(&web1, 0.4, 0.0);
    let web2 = website.target("web2", "rsync://backup@web2.example/www/");
    let _ = web2.set_state(minutes(2), State::Behind, "");
    traffic(&web2, 14.0, 9.0);
    web2.set_progress(Some(Progress {
        path: "media/conference-2026.mp4".into(),
        done: 734_003_200,
        total: 1_610_612_736,
    }));
    let web3 = website.target("web3", "rsync://backup@web3.example/www/");
    traffic(&web3, 2.0, 900.0);
    let _ = web3.set_state(
        minutes(45),
        State::Retrying,
        "connect to web3.example port 873: connection refused",
    );
    web3.retry(minutes(60) + Duration::from_secs(12));
    for _ in 0..31 {
        web3.error(minutes(59), "connect to web3.example port 873: connection refused (111)");
    }
    web3.set_failed_paths(2, ["private/keys/web3.pem".into(), "private/keys/old.pem".into()]);
    let backup = registry.mirror("/srv/home/", Path::new("/srv/home/"));
    backup.set_watching(true);
    backup.set_watches(98_120, 524_288);
    backup.overflow();
    let nas = backup.target("rsync://nas/home/", "rsync://nas/home/");
    let _ = nas.set_state(
        minutes(50),
        State::DeleteHeld,
        "48,120 of 50,000 known entries would be removed, such as old/2019, old/2020, old/2021",
    );
    traffic(&nas, 1.0, 300.0);

    let server = Server::start(([127, 0, 0, 1], 8730).into(), registry.clone(), minutes(1))?;
    println!("http://{}/", server.address());
    loop {
        std::thread::park();
    }
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

/// The traffic of an hour that is as far behind at its end as `behind` says.
fn traffic(target: &TargetStatus, most: f64, behind: f64) {
    for step in 0..120_u32 {
        let now = Duration::from_secs(u64::from(step) * 30);
        let wave = (f64::from(step * step % 37) / 37.0).powi(3) * most;
        target.set_queue(
            now,
            u64::from(step % 7),
            Some(now.saturating_sub(Duration::from_secs_f64(wave))),
        );
        target.set_queue(now, 0, None);
        let report = BatchReport {
            result: BatchResult::Ok,
            changed: u64::from(step % 11) + 1,
            removed: u64::from(step % 3),
            bytes: ByteCounts::new(1_400_000, 22_000, 900_000),
            session: Duration::from_millis(9),
            renames: Vec::new(),
        };
        target.batch(now, &report);
        target.visible(Duration::from_millis(6));
    }
    if behind > 0.0 {
        let now = minutes(60);
        target.set_queue(now, 1_243, Some(now.saturating_sub(Duration::from_secs_f64(behind))));
    }
}
