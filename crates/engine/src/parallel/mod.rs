//! One job over several sessions (`--parallel`): what each of them does, and their events as those of one run.
//!
//! 1. A *survey* lists the top of the source, two levels deep, in a session that copies nothing.
//! 2. A [`Division`] shares the subtrees found there out by weight. What it says travels as filter rules, which every
//!    server understands: the *first* session makes the directories above and at the cuts, and nothing else; each part
//!    then is the whole job less what the others do. A name that the survey did not see belongs to the part without
//!    cuts, so that every name is transferred, and deleted, by exactly one session.
//! 3. [`Merged`] turns the events of all sessions into those of one run.
//!
//! Directories above the cuts are in the list of several sessions. The first session has made them and set their
//! attributes, so that the parts find nothing to do there; whoever changes something in one sets its time at its end.

mod division;
mod merged;
mod survey;
mod weigh;

pub use division::{Division, Part};
pub use merged::{Merged, Merger};
pub use survey::{Survey, Surveyor};
pub use weigh::weigh;

use syncline_filter::{ListedRule, Rules};
use syncline_options::Options;
use syncline_options::options::{DeleteWhen, MissingArguments, Partial};

/// Below this version what the rules of a division say cannot be told to a peer.
pub const OLDEST_PROTOCOL: u8 = 30;

/// What a job of these options has that keeps it in one session: the result might be another, or there is nothing to
/// share out.
pub fn obstacle(options: &Options, rules: &Rules, sources: usize) -> Option<&'static str> {
    let (select, data) = (&options.select, &options.data);
    let (attributes, delete) = (&options.attributes, &options.delete);
    let deletes = delete.when != DeleteWhen::Never;
    let reads_directories =
        select.cvs_exclude || rules.iter().any(|rule| !matches!(rule, ListedRule::Rule(_)));
    let old = options.connection.protocol.is_some_and(|version| version < OLDEST_PROTOCOL.into());
    let absolute_partial = matches!(&data.partial, Partial::Dir(path) if path.starts_with(b"/"));
    let found = [
        (!select.recursive || select.old_dirs, "without --recursive there are no subtrees"),
        (options.output.list_only, "--list-only copies nothing"),
        (select.files_from.is_some(), "--files-from names what is copied"),
        (select.is_relative(), "--relative sends whole paths"),
        (attributes.hard_links > 0, "--hard-links may join any two files"),
        (attributes.keep_dirlinks, "--keep-dirlinks may join any two directories"),
        (attributes.copy_as.is_some(), "--copy-as changes the whole process"),
        (select.prune_empty_dirs, "--prune-empty-dirs looks at the whole list"),
        (data.delay_updates, "--delay-updates renames all files at the end"),
        (data.backup_dir.is_some(), "--backup-dir is one for all"),
        (absolute_partial, "an absolute --partial-dir is one for all"),
        (delete.when == DeleteWhen::Before, "--delete-before deletes before anything is copied"),
        (delete.when == DeleteWhen::After, "--delete-after deletes after everything is copied"),
        (delete.when == DeleteWhen::Delay, "--delete-delay deletes after everything is copied"),
        (delete.max.is_some(), "--max-delete counts all deletions"),
        (
            select.missing_arguments == MissingArguments::Delete,
            "--delete-missing-args may name anything",
        ),
        (select.remove_source.is_some(), "removing sources changes the times of their directories"),
        (
            reads_directories && (deletes || sources > 1),
            "rule files in directories are read in the order of one session",
        ),
        (options.connection.iconv.is_some(), "--iconv translates names"),
        (old, "the protocol is older than 30"),
    ];
    found.into_iter().find(|(applies, _)| *applies).map(|(_, reason)| reason)
}

/// The options of the session that lists the top of the source.
pub fn survey_options(options: &Options) -> Options {
    let mut asked = options.clone();
    asked.output.list_only = true;
    asked.output.motd = false;
    asked.data.checksum = false;
    asked.data.alt_dest = None;
    asked.data.backup = false;
    asked.data.temp_dir = None;
    asked.attributes.acls = false;
    asked.attributes.xattrs = 0;
    asked.attributes.owner = false;
    asked.attributes.group = false;
    without_deletion(&mut asked);
    asked
}

/// The options of the session that makes the directories.
pub fn first_options(options: &Options) -> Options {
    let mut asked = options.clone();
    asked.data.checksum = false;
    without_deletion(&mut asked);
    asked
}

/// The options of one part of so many: they share the bandwidth.
pub fn part_options(options: &Options, parts: usize) -> Options {
    let mut asked = options.clone();
    let share = |limit: u32| (limit / u32::try_from(parts).unwrap_or(u32::MAX)).max(1);
    asked.output.motd = false;
    asked.connection.bwlimit = options.connection.bwlimit.map(share);
    asked
}

fn without_deletion(options: &mut Options) {
    options.delete.when = DeleteWhen::Never;
    options.delete.excluded = false;
    options.delete.ignore_errors = false;
}

#[cfg(test)]
mod tests {
    use syncline_filter::{NoFiles, Settings};

    use super::*;

    fn options(words: &str) -> Options {
        let words: Vec<Vec<u8>> = words.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        let context = syncline_options::Context::at(jiff::Zoned::default());
        match syncline_options::parse(&words, &context) {
            Ok(syncline_options::Command::Transfer(options)) => *options,
            other => panic!("{other:?}"),
        }
    }

    fn reason(words: &str) -> Option<&'static str> {
        obstacle(&options(words), &Rules::new(Settings::default()), 1)
    }

    #[test]
    fn what_joins_parts_keeps_them_together() {
        for free in ["-a s/ d", "-a --delete s/ d", "-aAX --fuzzy -b s/ d", "-rc --partial s/ d"] {
            assert_eq!(reason(free), None, "{free}");
        }
        for bound in [
            "-lt s/ d",
            "-aH s/ d",
            "-aR s/ d",
            "-aK s/ d",
            "-am s/ d",
            "-a --delete-before s/ d",
            "-a --delete-after s/ d",
            "-a --delete-delay s/ d",
            "-a --delete --max-delete=3 s/ d",
            "-a --delay-updates s/ d",
            "-a --backup-dir=b s/ d",
            "-a --partial-dir=/p s/ d",
            "-a --files-from=l s/ d",
            "-a --delete-missing-args s/ d",
            "-a --protocol=29 s/ d",
        ] {
            assert!(reason(bound).is_some(), "{bound}");
        }
    }

    #[test]
    fn rule_files_bind_where_their_order_counts() {
        let mut rules = Rules::new(Settings::default());
        rules.filter(b": .rules", &mut NoFiles).unwrap();
        assert_eq!(obstacle(&options("-a s/ d"), &rules, 1), None);
        assert!(obstacle(&options("-a s/ d"), &rules, 2).is_some());
        assert!(obstacle(&options("-a --delete s/ d"), &rules, 1).is_some());
    }

    #[test]
    fn parts_share_the_bandwidth() {
        let whole = options("-a --bwlimit=10m s/ d");
        let limit = whole.connection.bwlimit.unwrap();
        assert_eq!(part_options(&whole, 4).connection.bwlimit, Some(limit / 4));
        assert_eq!(part_options(&options("-a s/ d"), 4).connection.bwlimit, None);
    }

    #[test]
    fn sessions_that_are_no_part_delete_nothing() {
        let whole = options("-aA --delete-excluded s/ d");
        for asked in [survey_options(&whole), first_options(&whole)] {
            assert_eq!(asked.delete.when, DeleteWhen::Never);
            assert!(!asked.delete.excluded);
        }
        assert!(survey_options(&whole).output.list_only);
    }
}
