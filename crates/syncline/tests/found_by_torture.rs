//! Small jobs that random ones once showed to differ: stock on both ends, then ours on one; everything is compared.

// Test code, where a panic is the answer.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use common::{OURS, stock_is_missing};

/// How a job's ends meet.
#[derive(Clone, Copy)]
enum Way {
    Local,
    Push,
    Pull,
}

/// What a run came to: its exit code, its lines in no order, the destination.
type Outcome = (Option<i32>, Vec<String>, BTreeMap<String, String>);

/// Everything below a directory. Times that the run itself made are all the same.
fn describe(top: &Path, folder: &Path, into: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let data = path.symlink_metadata().unwrap();
        let time = if data.mtime() > 1_750_000_000 { 0 } else { data.mtime() };
        let content = if data.is_file() {
            format!("{:?}", String::from_utf8_lossy(&fs::read(&path).unwrap()))
        } else if data.is_symlink() {
            format!("-> {}", fs::read_link(&path).unwrap().display())
        } else {
            String::new()
        };
        let line = format!("{:o} {time} {} {content}", data.mode(), data.nlink());
        into.insert(path.strip_prefix(top).unwrap().display().to_string(), line);
        if data.is_dir() {
            describe(top, &path, into);
        }
    }
}

/// Runs a job in a fresh directory at `job`, where `setup` is a script that fills `src` and `dst`.
fn run(job: &Path, setup: &str, options: &str, way: Way, client: &str, server: &str) -> Outcome {
    let _ = fs::remove_dir_all(job);
    fs::create_dir(job).unwrap();
    // What is not given a time has the same everywhere.
    let stamp = "find . -newermt @1500000000 -exec touch -h -d @5000 {} +";
    let script = format!("umask 022; mkdir src dst; {setup}; {stamp}");
    let made = Command::new("sh").args(["-e", "-c", &script]).current_dir(job).status().unwrap();
    assert!(made.success(), "{setup}");
    let shell = job.with_file_name("rsh");
    fs::write(&shell, "#!/bin/sh\nshift\nexec sh -c \"$*\"\n").unwrap();
    fs::set_permissions(&shell, fs::Permissions::from_mode(0o755)).unwrap();
    let shown = job.display().to_string();
    let mut command = Command::new(client);
    command.current_dir(job).env("LC_ALL", "C").env("TZ", "UTC").arg("-e").arg(&shell);
    command.args(options.split(' '));
    if !matches!(way, Way::Local) {
        command.arg(format!("--rsync-path={server}"));
    }
    match way {
        Way::Local => command.args(["src/", "dst/"]),
        Way::Push => command.args(["src/", &format!("h:{shown}/dst/")]),
        Way::Pull => command.args([&format!("h:{shown}/src/"), "dst/"]),
    };
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).replace(&shown, "JOB");
    let varies = |line: &&str| {
        ["sent ", "total size", "opening connection"].iter().all(|start| !line.starts_with(start))
    };
    let mut lines: Vec<String> = text.lines().filter(varies).map(str::to_owned).collect();
    lines.sort();
    let mut tree = BTreeMap::new();
    describe(&job.join("dst"), &job.join("dst"), &mut tree);
    (output.status.code(), lines, tree)
}

/// Whatever end is ours, the job comes to what it comes to with stock alone.
fn agrees(test: &str, setup: &str, options: &str, ways: &[Way]) {
    if stock_is_missing(test) {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    let job = top.path().join("job");
    for &way in ways {
        let expected = run(&job, setup, options, way, "rsync", "rsync");
        let ends: &[_] = match way {
            Way::Local => &[(OURS, OURS)],
            Way::Push | Way::Pull => &[(OURS, "rsync"), ("rsync", OURS)],
        };
        for (client, server) in ends {
            let found = run(&job, setup, options, way, client, server);
            assert_eq!(found, expected, "{client} with {server}: {options}");
        }
    }
}

const REMOTE: [Way; 2] = [Way::Push, Way::Pull];
const EVERY: [Way; 3] = [Way::Local, Way::Push, Way::Pull];

#[test]
fn names_below_an_absolute_argument_keep_its_slash() {
    let test = "names_below_an_absolute_argument_keep_its_slash";
    let setup = "mkdir -p src/b/c src/n/m; touch src/b/f src/b/c/g src/n/a src/n/m/x src/z; \
                 touch -d @1000 src/b src/b/c src/n src/n/m src";
    for protocol in ["27", "29", "30", "32"] {
        let options = format!("-rlptgoD -R -i --delete --protocol={protocol}");
        agrees(test, setup, &options, &[Way::Pull]);
    }
}

#[test]
fn deletions_go_on_until_the_list_that_tells_of_an_error() {
    let test = "deletions_go_on_until_the_list_that_tells_of_an_error";
    let setup = "mkdir -p src/a/b src/c src/d/e src/f; ln -s nowhere src/d/e/dangling; \
                 for i in . a a/b c d d/e f; do mkdir -p dst/$i; touch dst/$i/extra src/$i/kept; done";
    for options in ["-rL --delete-during", "-rL --delete-delay", "-rL --delete-after"] {
        agrees(test, setup, options, &EVERY);
    }
    agrees(test, setup, "-rLH --delete-during", &EVERY);
}

#[test]
fn a_server_that_is_to_list_changes_nothing() {
    let test = "a_server_that_is_to_list_changes_nothing";
    let setup = "mkdir src/a; echo x >src/a/f; ln -s t src/l; touch dst/extra";
    for protocol in ["32", "30", "29", "27"] {
        agrees(test, setup, &format!("-r --list-only --delete --protocol={protocol}"), &EVERY);
        agrees(test, setup, &format!("-av --list-only --protocol={protocol}"), &EVERY);
    }
}

#[test]
fn what_a_hard_link_replaces_is_compared_whatever_it_is() {
    let test = "what_a_hard_link_replaces_is_compared_whatever_it_is";
    let setup = "echo long text >src/a; ln src/a src/b; ln src/a src/c; ln src/a src/d; \
                 touch -d @1000 src/a; cp -p src/a dst/a; mkdir dst/b; ln -s x dst/c; \
                 echo else >dst/d; touch -d @2000 dst/d";
    for options in ["-aHi", "-rlpH -i", "-aHi --existing", "-aHn -i", "-aHi --delete"] {
        agrees(test, setup, options, &EVERY);
    }
}

#[test]
fn a_dry_run_looks_at_hard_links() {
    let test = "a_dry_run_looks_at_hard_links";
    let setup = "echo text >src/a; ln src/a src/b; ln src/a src/c; mkdir src/k; ln src/a src/k/e; \
                 touch -d @1000 src/a; cp -p src/a dst/a; ln dst/a dst/b; \
                 mkdir dst/c";
    for options in ["-aHn -i", "-aHn -ii", "-aHn -i --protocol=28"] {
        agrees(test, setup, options, &EVERY);
    }
}

#[test]
fn a_link_unlike_the_one_in_a_basis_directory_differs_in_time_too() {
    let test = "a_link_unlike_the_one_in_a_basis_directory_differs_in_time_too";
    let setup = "mkdir basis; ln -s t src/target; ln -s u basis/target; ln -s t src/time; \
                 ln -s t basis/time; mkfifo -m 644 src/mode; mkfifo -m 600 basis/mode; \
                 touch -h -d @1000 src/*; touch -h -d @2000 basis/*";
    for options in ["-rlpD -i", "-aJ -i", "-a -i"] {
        for kind in ["copy", "link", "compare"] {
            agrees(test, setup, &format!("{options} --{kind}-dest=../basis"), &EVERY);
        }
    }
}

#[test]
fn old_versions_name_made_directories_that_had_to_be_dressed() {
    let test = "old_versions_name_made_directories_that_had_to_be_dressed";
    let setup = "mkdir -p src/plain/in src/sticky; chmod 1777 src/sticky; touch src/plain/f; \
                 ln -s x src/link; chmod 2775 src; touch -d @1000 src/plain/in src/plain src";
    for options in ["-av", "-av --no-times", "-rtv", "-rtbv", "-av --no-times -R", "-rv"] {
        agrees(test, setup, &format!("{options} --protocol=28"), &REMOTE);
        agrees(test, setup, &format!("{options} -i --protocol=27"), &REMOTE);
    }
    for format in ["X:%n", "%i:%n"] {
        for verbose in ["", " -v", " --info=name2"] {
            let options = format!("-a{verbose} --out-format={format} --protocol=28");
            agrees(test, setup, &options, &REMOTE);
        }
    }
}

#[test]
fn an_old_receiver_takes_modes_from_a_basis_it_has_to_guess() {
    let test = "an_old_receiver_takes_modes_from_a_basis_it_has_to_guess";
    let setup = "mkdir basis; for i in src basis; do touch $i/empty; echo same >$i/same; done; \
                 touch -d @1000 src/*; touch -d @2000 basis/empty; touch -d @1000 basis/same; \
                 chmod 4755 src/*; chmod 664 basis/empty; chmod 600 basis/same";
    for kind in ["copy", "compare", "link"] {
        agrees(test, setup, &format!("-r --{kind}-dest=../basis --protocol=27"), &REMOTE);
        agrees(test, setup, &format!("-rt --{kind}-dest=../basis --protocol=28"), &REMOTE);
    }
}

#[test]
fn what_an_append_leaves_behind_has_its_attributes_before_the_redo() {
    let test = "what_an_append_leaves_behind_has_its_attributes_before_the_redo";
    let setup = "printf 1234567890 >src/f; printf abc >dst/f; chmod 664 src/f; chmod 600 dst/f; \
                 touch -d @1000 src/f";
    for options in ["-ai --append-verify", "-ai --append --protocol=29"] {
        agrees(test, setup, options, &REMOTE);
    }
}

#[test]
fn backups_below_the_destination_outlive_deletions_there() {
    let test = "backups_below_the_destination_outlive_deletions_there";
    let setup = "mkdir -p src/e/b dst/e/b; for i in e e/b; do echo new >src/$i/f; echo o >dst/$i/f; \
                 touch dst/$i/extra; done; touch -d @1000 src/e/f src/e/b/f src/e src/e/b";
    for when in ["after", "during", "before", "delay"] {
        agrees(test, setup, &format!("-rlti --delete-{when} --backup-dir=bk"), &EVERY);
    }
}

#[test]
fn a_directory_of_delayed_files_stays_while_others_come_and_go() {
    let test = "a_directory_of_delayed_files_stays_while_others_come_and_go";
    // Every second file is in the basis directory, and is put into place while others wait.
    let setup = "mkdir old; for i in $(seq 400); do echo $i >src/f$i; done; touch -d @1000 src/f*; \
                 for i in $(seq 1 2 400); do cp -p src/f$i old; done";
    for _ in 0..5 {
        agrees(test, setup, "-rlti --delay-updates --copy-dest=../old", &[Way::Local]);
    }
}

#[test]
fn links_that_lead_in_a_circle_are_followed_as_deep_as_the_system_does() {
    let test = "links_that_lead_in_a_circle_are_followed_as_deep_as_the_system_does";
    let setup = "mkdir src/d; echo x >src/d/f; ln -s .. src/d/up; ln -s self src/self";
    for options in ["-rltik", "-rltiL", "-rltik --no-inc-recursive", "-rltik --protocol=29"] {
        agrees(test, setup, options, &EVERY);
    }
}

#[test]
fn a_server_that_sends_tells_what_its_search_found() {
    let test = "a_server_that_sends_tells_what_its_search_found";
    let setup = "echo new >src/f; echo old >dst/f; touch -d @1000 src/f; touch -d @2000 dst/f";
    for options in ["-rtvv", "-rt --debug=deltasum1", "-rtvv --protocol=29"] {
        agrees(test, setup, options, &REMOTE);
    }
}

#[test]
fn the_progress_of_the_run_is_told_at_the_end_of_each_list_and_round() {
    if stock_is_missing("the_progress_of_the_run_is_told_at_the_end_of_each_list_and_round") {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    let job = top.path().join("job");
    let setup = "mkdir -p src/d/e; for i in a b d/c d/e/f; do echo $i >src/$i; done; \
                 touch -d @1000 src/a src/b src/d/c src/d/e/f src/d/e src/d src";
    let settled = format!("{setup}; cp -a src/. dst");
    // Rates are never the same, and what is known of lists to come depends on who is faster.
    let told = |outcome: &Outcome| outcome.1.join("\n").matches("-chk=").count();
    for way in EVERY {
        for setup in [setup, &settled] {
            for more in ["", " --no-inc-recursive", " -n", " --protocol=29", " --protocol=28"] {
                let options = format!("-a --info=progress2{more}");
                let expected = told(&run(&job, setup, &options, way, "rsync", "rsync"));
                let ends: &[_] = match way {
                    Way::Local => &[(OURS, OURS)],
                    Way::Push | Way::Pull => &[(OURS, "rsync"), ("rsync", OURS)],
                };
                for (client, server) in ends {
                    let found = run(&job, setup, &options, way, client, server);
                    let lines = &found.1;
                    assert_eq!(told(&found), expected, "{client} {server} {options}: {lines:?}");
                }
            }
        }
    }
}

#[test]
fn what_an_append_could_not_verify_comes_again_behind_its_list() {
    let top = tempfile::tempdir().unwrap();
    let names = ["a", "b", "c", "d"];
    for (folder, text) in [("src", "1234567890"), ("dst", "12x")] {
        fs::create_dir(top.path().join(folder)).unwrap();
        for name in names {
            fs::write(top.path().join(folder).join(name), text).unwrap();
        }
    }
    // With progress nothing is copied beside anything else.
    let words = ["-ri", "--append-verify", "--progress", "src/", "dst/"];
    let output = Command::new(OURS).args(words).current_dir(&top).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with('>')).collect();
    let mut expected = names.map(|name| format!(">f.sT...... {name}")).to_vec();
    expected.extend(names.map(|name| format!(">f..T...... {name}")));
    assert_eq!(lines, expected, "{text}");
}
