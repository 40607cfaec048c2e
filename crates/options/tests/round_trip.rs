//! What a server understands of its words is what the client meant.

mod common;

use common::line_up::OPTIONS;
use common::{context, words};
use proptest::prelude::*;
use syncline_options::options::{Dirs, Options, RemoveSource};
use syncline_options::values::flags::{Flag as _, Info};
use syncline_options::{Command, Direction, Packing, Refusals, Word, parse, parse_server};

/// Info words that both roles are told about.
const TOLD: &[Info] = &[Info::Misc, Info::Mount, Info::Name, Info::Stats, Info::Symsafe];

/// Everything that must arrive, as comparable text.
fn meaning(o: &Options, direction: Direction) -> Vec<String> {
    // A map switches its half on where it arrives, even after --no-owner here.
    let push = direction == Direction::Push;
    let mut told = Vec::new();
    let mut tell =
        |name: &str, value: &dyn std::fmt::Debug| told.push(format!("{name}: {value:?}"));
    let (out, select, data, a, c) = (&o.output, &o.select, &o.data, &o.attributes, &o.connection);
    tell("verbose", &out.verbose.min(9));
    tell("stderr", &out.stderr);
    tell("list only", &out.list_only);
    tell("info", &TOLD.iter().map(|&flag| (flag.word(), out.info.user(flag))).collect::<Vec<_>>());
    tell("recursive", &select.recursive);
    tell("relative", &select.is_relative());
    tell("implied dirs", &(select.implied_dirs || !select.is_relative()));
    tell("one file system", &select.one_file_system.min(2));
    tell("cvs", &select.cvs_exclude);
    tell("update", &select.update);
    tell("remove", &select.remove_source.map(RemoveSource::name));
    tell(
        "checksum",
        &(
            data.checksum,
            &data.checksum_choice.transfer,
            &data.checksum_choice.whole,
            data.checksum_seed,
        ),
    );
    tell("times and whole files", &(data.ignore_times, data.whole_file == Some(true)));
    tell("block size", &data.block_size);
    tell("compression", &(data.compression, data.compress_level));
    tell("writing", &(data.sparse, data.inplace, data.append));
    tell("backup", &(data.backup, &data.backup_dir, &data.suffix));
    tell(
        "kept",
        &(
            // A server takes -A for -p as well, whatever a --no-perms said that it is not told of; as stock's does.
            a.perms || a.acls,
            a.acls,
            a.times,
            a.owner || (push && a.usermap.is_some()),
            a.group || (push && a.groupmap.is_some()),
            a.devices,
            a.specials,
            a.links,
            a.numeric_ids,
        ),
    );
    tell("counts", &(a.xattrs.min(2), a.atimes.min(2), a.hard_links.min(2)));
    tell("symlinks", &(a.copy_unsafe_links, a.safe_links, a.open_noatime || a.atimes > 1));
    tell("connection", &(c.dry_run, c.timeout, c.bwlimit, c.max_alloc, o.delete.ignore_errors));
    tell(
        "delete missing",
        &(select.missing_arguments == syncline_options::options::MissingArguments::Delete),
    );
    if push {
        tell(
            "dirs",
            &(!out.list_only
                && !select.recursive
                && (select.dirs == Dirs::Yes || (select.takes_dirs() && deletes(o)))),
        );
        tell("delete", &(o.delete.when, o.delete.excluded, o.delete.force, o.delete.max));
        tell("sizes", &(select.max_size, select.min_size, data.size_only));
        tell(
            "selection",
            &(select.existing_only, select.ignore_existing, select.prune_empty_dirs, select.mkpath),
        );
        tell(
            "placing",
            &(&data.partial, data.delay_updates, &data.temp_dir, data.fsync, data.preallocate),
        );
        tell("alt dest", &data.alt_dest);
        tell("fuzzy", &if data.alt_dest.is_some() { data.fuzzy.min(2) } else { data.fuzzy.min(1) });
        tell("maps", &(&a.usermap, &a.groupmap));
        tell("window", &data.modify_window);
        tell(
            "push only",
            &(a.keep_dirlinks, a.omit_link_times, a.write_devices, out.stats, o.batch.only_write),
        );
        tell("executability", &(a.executability && !a.perms));
        tell("directory times", &(a.omit_dir_times && !(data.backup && data.backup_dir.is_none())));
        let itemizes = o.item_format().is_some_and(|format| format.has(b'i'));
        tell("itemize", &if itemizes { out.itemize.clamp(1, 2) } else { 0 });
    } else {
        tell("pull only", &(a.copy_links, a.copy_dirlinks, a.copy_devices, &data.skip_compress));
        tell("missing", &select.missing_arguments);
    }
    told
}

fn deletes(o: &Options) -> bool {
    o.delete.when != syncline_options::options::DeleteWhen::Never
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_server_understands_what_the_client_meant(chosen in prop::collection::vec(0..OPTIONS.len(), 1..9), push: bool) {
        let mut line: Vec<Word> = chosen.iter().map(|&at| OPTIONS[at]).filter(|option| !option.starts_with("-M")).flat_map(words).collect();
        line.extend(words(if push { "a h:d" } else { "h:a d" }));
        let Ok(Command::Transfer(client)) = parse(&line, &context(&[])) else { return Ok(()) };
        let direction = if push { Direction::Push } else { Direction::Pull };
        let version = client.connection.protocol.map_or(32, |version| version as u8);
        let packed = client.pack(Packing { direction, version }).expect("words");
        let mut sent: Vec<Word> = packed.words().cloned().collect();
        sent.extend(words(". d"));
        let request = parse_server(&sent, &context(&[]), &Refusals::none());
        prop_assert_eq!(request.error, None);
        let server = request.options;
        prop_assert_eq!(server.server.as_ref().map(|server| server.sender), Some(!push));
        let (understood, meant) = (meaning(&server, direction), meaning(&client, direction));
        let wrong: Vec<_> = understood.iter().zip(&meant).filter(|(a, b)| a != b).collect();
        prop_assert!(wrong.is_empty(), "{:?} after {}", wrong, String::from_utf8_lossy(&line.join(&b' ')));
        prop_assert_eq!(&server.arguments, &words(". d"));
        // A program that calls itself a server understands the same.
        let Ok(Command::Server(direct)) = parse(&sent, &context(&[])) else { panic!("a server's command line") };
        prop_assert_eq!(meaning(&direct, direction), meaning(&server, direction));
    }
}
