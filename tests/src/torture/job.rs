//! What a random job asks for: options, transport, and which end is ours.

use super::grow::Profile;
use super::random::Random;

/// How the two ends meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Both ends in one process tree, no peer.
    Local,
    /// Through a remote shell.
    Shell,
    /// Through a daemon on loopback.
    Daemon,
}

/// Transport, direction and our part of it; the first word names the transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    /// Its name on the command line.
    pub name: &'static str,
    /// How the ends meet.
    pub transport: Transport,
    /// Whether files come from the far end.
    pub pull: bool,
    /// Whether our program is the client.
    pub our_client: bool,
    /// Whether our program is the far end.
    pub our_server: bool,
}

const fn mode(
    name: &'static str,
    transport: Transport,
    pull: bool,
    our_client: bool,
    our_server: bool,
) -> Mode {
    Mode { name, transport, pull, our_client, our_server }
}

/// Every mode.
pub const MODES: [Mode; 13] = [
    mode("local", Transport::Local, false, true, true),
    mode("rsh-pull-client", Transport::Shell, true, true, false),
    mode("rsh-pull-server", Transport::Shell, true, false, true),
    mode("rsh-pull-both", Transport::Shell, true, true, true),
    mode("rsh-push-client", Transport::Shell, false, true, false),
    mode("rsh-push-server", Transport::Shell, false, false, true),
    mode("rsh-push-both", Transport::Shell, false, true, true),
    mode("daemon-pull-client", Transport::Daemon, true, true, false),
    mode("daemon-pull-server", Transport::Daemon, true, false, true),
    mode("daemon-pull-both", Transport::Daemon, true, true, true),
    mode("daemon-push-client", Transport::Daemon, false, true, false),
    mode("daemon-push-server", Transport::Daemon, false, false, true),
    mode("daemon-push-both", Transport::Daemon, false, true, true),
];

const BASES: [&[&str]; 14] = [
    &["-r"],
    &["-rt"],
    &["-rlt"],
    &["-a"],
    &["-a"],
    &["-a"],
    &["-a"],
    &["-aH"],
    &["-aH"],
    &["-rlptD"],
    &["-rlpgoD", "-t"],
    &["-dlt"],
    &["-aR"],
    &["-rc"],
];

const EXTRAS: [&str; 76] = [
    "-u",
    "-c",
    "-I",
    "-W",
    "--no-whole-file",
    "-S",
    "-b",
    "--existing",
    "--ignore-existing",
    "--delete",
    "--delete-before",
    "--delete-after",
    "--delete-delay",
    "--delete-during",
    "--size-only",
    "--inplace",
    "--append",
    "--append-verify",
    "-z",
    "--max-size=100k",
    "--min-size=2",
    "-m",
    "--chmod=Du=rwx,go=rx,Fu+rw",
    "--chmod=go-w",
    "-E",
    "--no-perms",
    "--no-times",
    "-O",
    "-J",
    "--partial",
    "--delay-updates",
    "-y",
    "--exclude=*.o",
    "--exclude=sub/",
    "--include=*.c",
    "--filter=P *.bin",
    "--filter=- /a",
    "--delete-excluded",
    "-C",
    "-L",
    "--copy-unsafe-links",
    "--safe-links",
    "-k",
    "-K",
    "--munge-links",
    "--force",
    "--block-size=512",
    "--suffix=.bak",
    "--backup-dir=bk",
    "--max-delete=2",
    "--no-i-r",
    "-n",
    "--checksum-choice=md5",
    "--checksum-choice=xxh64",
    "--modify-window=1",
    "--preallocate",
    "--fuzzy",
    "--numeric-ids",
    "--prune-empty-dirs",
    "--compress-choice=zlib",
    "--compress-choice=lz4",
    "--compress-choice=zlibx",
    "--remove-source-files",
    "--ignore-missing-args",
    "--omit-link-times",
    "-x",
    "--dirs",
    "--temp-dir=tmpd",
    "--compare-dest=../basis",
    "--copy-dest=../basis",
    "--link-dest=../basis",
    "--partial-dir=.pd",
    "--no-implied-dirs",
    "-F",
    "--stats",
    "--mkpath",
];

const META: [&str; 21] = [
    "-X",
    "-X",
    "-A",
    "-A",
    "-AX",
    "-M--fake-super",
    "--write-devices",
    "--fake-super",
    "-U",
    "--open-noatime",
    "-aHAX",
    "--devices",
    "--specials",
    "--chown=1234:2345",
    "--usermap=*:1000",
    "--groupmap=0:2000",
    "--executability",
    "--super",
    "--no-D",
    "--copy-devices",
    "-XX",
];

const PROTOCOLS: [Option<&str>; 8] = [
    None,
    None,
    None,
    Some("--protocol=31"),
    Some("--protocol=30"),
    Some("--protocol=29"),
    Some("--protocol=28"),
    Some("--protocol=27"),
];

const REPORTS: [&str; 5] = ["-i", "-i", "-ii", "--out-format=%i %n%L %l", "-iv"];

/// Leaves out what stock is known to do wrong and we do not (docs/spec/behaviour.md 14.6).
fn avoid_defects(options: &mut Vec<&str>, mode: Mode) {
    let short = |letter: char| {
        move |option: &&str| {
            option.starts_with('-') && !option.starts_with("--") && option.contains(letter)
        }
    };
    let any =
        |options: &[&str], words: &[&str]| options.iter().any(|option| words.contains(option));
    let fakes = any(options, &["--fake-super", "-M--fake-super"]);
    if options.iter().any(short('X')) {
        // It reads attributes of the links that it follows, and forgets the umask of new directories that have some.
        options.retain(|option| !["-L", "-k", "--copy-unsafe-links"].contains(option));
        options.retain(|option| *option != "--no-perms");
        options.push("-p");
        // It makes links and nodes like those of a basis directory without their attributes.
        options.retain(|option| *option != "--copy-dest=../basis");
        // It removes links and nodes before it has sent their attributes.
        options.retain(|option| *option != "--remove-source-files");
    }
    if options.contains(&"-U") {
        // Below 30 its ends do not agree on where access times stand.
        let old =
            |option: &&str| ["--protocol=27", "--protocol=28", "--protocol=29"].contains(option);
        options.retain(|option| !old(option));
        // With attributes and without times it sets one second before 1970.
        options.push("-t");
        // It looks again at files whose special bits went with the owner: by then the sum has been read.
        options.retain(|option| *option != "-c");
        options.iter_mut().filter(|option| **option == "-rc").for_each(|option| *option = "-r");
        // It has read what it appends to a second time, and tells of that.
        options.retain(|option| !option.starts_with("--append"));
        if options.contains(&"--link-dest=../basis") {
            // It gives the basis the mode of what was in the link's place.
            options.push("-p");
        }
    }
    let in_place = |option: &&str| option.starts_with("--append") || *option == "--inplace";
    if any(&options[..], &["-A", "-AX", "-aHAX"]) && options.iter().any(in_place) {
        // Its backups of what is written in place have no access list.
        options.retain(|option| *option != "-b" && !option.starts_with("--backup-dir"));
    }
    if !crate::sandbox::is_root() {
        if options.iter().any(short('X')) {
            // It takes itself for root and does not lend itself rights to write attributes of read-only files.
            options.retain(|option| *option != "--super");
        }
        if options.contains(&"--open-noatime") {
            // It gives up where a link leads to a file of another user; we read such files in the usual way.
            options.retain(|option| !["-L", "-k", "--copy-unsafe-links"].contains(option));
        }
    }
    if mode.transport == Transport::Daemon {
        // Refused, and then each end loses the other at its own moment.
        options.retain(|option| !["--copy-devices", "--write-devices"].contains(option));
    }
    if options.contains(&"-M--fake-super") && mode.transport == Transport::Local {
        // Its receiving end takes --append for a contradiction to --whole-file.
        options.retain(|option| !option.starts_with("--append"));
    }
    if fakes {
        options.retain(|option| *option != "-XX");
        // It sets the times of stored links when it makes them.
        options.retain(|option| !["-J", "--omit-link-times"].contains(option));
        // It stores a directory's lists and removes them again.
        options.retain(|option| *option != "-A" && *option != "-AX" && *option != "-aHAX");
        // It stores owners that it was not sent.
        options.extend(["-o", "-g"]);
    }
}

/// The options of a job.
pub fn options(random: &mut Random, mode: Mode, profile: Profile) -> Vec<String> {
    let mut options: Vec<&str> = random.pick(&BASES).to_vec();
    let count = *random.pick(&[0, 1, 1, 2, 2, 3, 4]);
    options.extend(random.sample(&EXTRAS, count));
    if profile == Profile::Meta {
        let count = *random.pick(&[1, 1, 2, 3]);
        options.extend(random.sample(&META, count));
    }
    if mode.transport != Transport::Local {
        options.extend(*random.pick(&PROTOCOLS));
    }
    if profile == Profile::Meta {
        avoid_defects(&mut options, mode);
    }
    options.push(REPORTS[random.below(REPORTS.len())]);
    // Stock takes the length of a basis from elsewhere for what is already there and loses that much of the file
    // (docs/spec behaviour.md 10).
    let finds_basis =
        |option: &&str| option.contains("-dest=") || ["-y", "--fuzzy"].contains(option);
    // With holes its writes fail now and then (exit 11, "Success" or "No data available").
    if options.iter().any(|option| finds_basis(option) || *option == "-S") {
        options.retain(|option| !option.starts_with("--append"));
    }
    // Where a basis directory has a link to a directory it looks behind that; we stay beneath the basis directory itself.
    if options.iter().any(|option| ["-L", "-k", "--copy-unsafe-links"].contains(option)) {
        options.retain(|option| !option.contains("-dest="));
    }
    options.into_iter().map(str::to_owned).collect()
}
