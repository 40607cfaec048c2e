//! The argument list for a server (session.md 2).

use crate::error::UsageError;
use crate::options::{
    Append, DeleteWhen, Dirs, FilesFrom, MissingArguments, Options, Partial, StderrMode, SuperUser,
};
use crate::values::choice::{Checksum, Compression, Compressor};
use crate::values::flags::info_for_server;
use crate::word::Word;

/// Capability letters of a client of today, after the one for incremental recursion (session.md 2.3).
const CAPABILITIES: &str = "LsfxCIvu";
/// Most words before `.`, remote options included.
const MAX_OPTION_WORDS: usize = 140;

/// Who sends the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The client does; the server receives.
    Push,
    /// The server does.
    Pull,
}

/// What the list depends on beside the options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packing {
    /// Who sends.
    pub direction: Direction,
    /// The version assumed of the peer: the negotiated one with a daemon; this program's highest or `--protocol` with a
    /// remote shell (session.md 2.1).
    pub version: u8,
}

/// The words of a server's command line, apart from its file arguments.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ServerArguments {
    /// `--server`, `--sender`, the bundle, `--iconv`: on the command line even with secluded arguments.
    pub head: Vec<Word>,
    /// The long options.
    pub options: Vec<Word>,
    /// `--remote-option` values, which come last.
    pub remote_options: Vec<Word>,
}

impl ServerArguments {
    /// All option words in order.
    pub fn words(&self) -> impl Iterator<Item = &Word> {
        self.head.iter().chain(&self.options).chain(&self.remote_options)
    }
}

impl Options {
    /// Packs the options for a server.
    pub fn pack(&self, packing: Packing) -> Result<ServerArguments, UsageError> {
        let mut head = vec![b"--server".to_vec()];
        if packing.direction == Direction::Pull {
            head.push(b"--sender".to_vec());
        }
        head.extend(self.bundle(packing));
        if let Some(iconv) = &self.connection.iconv {
            head.push([b"--iconv=", iconv.for_server()].concat());
        }
        let options = Packer { o: self, packing, words: Vec::new() }.pack();
        let remote_options = self.connection.remote_options.clone();
        if head.len() + options.len() + remote_options.len() > MAX_OPTION_WORDS
            && !remote_options.is_empty()
        {
            return Err(UsageError::TooManyRemoteOptions);
        }
        Ok(ServerArguments { head, options, remote_options })
    }

    /// Whether this client offers incremental recursion (session.md 2.2, traps).
    pub fn offers_incremental(&self, packing: Packing) -> bool {
        let late = matches!(self.delete.when, DeleteWhen::Before | DeleteWhen::After);
        let vetoed = packing.direction == Direction::Pull
            && (late || self.data.delay_updates || self.select.prune_empty_dirs);
        self.select.incremental && self.select.recursive && packing.version >= 30 && !vetoed
    }

    /// Whether a push with deletion but without recursion says so.
    fn deletes_dirs_only(&self, packing: Packing) -> bool {
        packing.direction == Direction::Push
            && self.delete.when != DeleteWhen::Never
            && !self.select.recursive
            && self.select.takes_dirs()
    }

    /// The bundle of letters with its dash (session.md 2.2).
    fn bundle(&self, packing: Packing) -> Option<Word> {
        let push = packing.direction == Direction::Push;
        let (select, data, attributes) = (&self.select, &self.data, &self.attributes);
        let mut letters = String::from("-");
        let mut add =
            |count: u8, letter: char| letters.extend(std::iter::repeat_n(letter, count.into()));
        let once = u8::from;

        add(once(self.connection.is_secluded()), 's');
        add(self.output.verbose.min(9), 'v');
        add(once(self.output.quiet > 0 && self.output.stderr != StderrMode::Client), 'q');
        add(once(data.backup), 'b');
        add(once(select.update), 'u');
        add(once(self.connection.dry_run), 'n');
        add(once(attributes.links), 'l');
        let explicit = select.dirs == Dirs::Yes && !select.recursive;
        let listed = self.output.list_only || self.arguments.len() == 1;
        let listing = select.dirs != Dirs::Refused && !select.recursive && listed;
        add(once(explicit || listing || self.deletes_dirs_only(packing)), 'd');
        if push {
            add(once(attributes.keep_dirlinks), 'K');
            add(once(select.prune_empty_dirs), 'm');
            add(
                once(attributes.omit_dir_times && !(data.backup && data.backup_dir.is_none())),
                'O',
            );
            add(once(attributes.omit_link_times), 'J');
            add(if data.alt_dest.is_some() { data.fuzzy.min(2) } else { data.fuzzy.min(1) }, 'y');
        } else {
            add(once(attributes.copy_links), 'L');
            add(once(attributes.copy_dirlinks), 'k');
        }
        add(
            once(
                data.whole_file == Some(true)
                    || data.checksum_choice.transfer == Some(Checksum::None),
            ),
            'W',
        );
        add(attributes.hard_links.min(2), 'H');
        add(once(attributes.owner), 'o');
        add(once(attributes.group), 'g');
        add(once(attributes.devices), 'D');
        add(once(attributes.times), 't');
        add(attributes.atimes.min(2), 'U');
        add(once(attributes.crtimes), 'N');
        add(once(attributes.perms), 'p');
        add(once(push && attributes.executability && !attributes.perms), 'E');
        add(once(attributes.acls), 'A');
        add(attributes.xattrs.min(2), 'X');
        add(once(select.recursive), 'r');
        add(once(data.checksum), 'c');
        add(once(select.cvs_exclude), 'C');
        add(once(data.ignore_times), 'I');
        add(once(select.is_relative()), 'R');
        add(select.one_file_system.min(2), 'x');
        add(once(data.sparse), 'S');
        let by_flag = data.compression == Compression::Negotiated && data.compress_flag;
        add(once(by_flag || data.compression == Compression::Chosen(Compressor::Zlib)), 'z');
        if packing.version >= 30 {
            letters.push_str("e.");
            if self.offers_incremental(packing) {
                letters.push('i');
            }
            letters.push_str(CAPABILITIES);
        }
        (letters.len() > 1).then(|| letters.into_bytes())
    }
}

/// The long options in the order of session.md 2.4; the numbers in comments are its rows.
struct Packer<'a> {
    o: &'a Options,
    packing: Packing,
    words: Vec<Word>,
}

impl Packer<'_> {
    fn push(&mut self, word: &str) {
        self.words.push(word.as_bytes().to_vec());
    }

    fn push_if(&mut self, condition: bool, word: &str) {
        if condition {
            self.push(word);
        }
    }

    fn joined(&mut self, name: &str, value: &[u8]) {
        self.words.push([name.as_bytes(), b"=", value].concat());
    }

    fn pair(&mut self, name: &str, value: &[u8]) {
        self.push(name);
        self.words.push(value.to_vec());
    }

    fn is_push(&self) -> bool {
        self.packing.direction == Direction::Push
    }

    fn pack(mut self) -> Vec<Word> {
        self.output();
        self.transfer();
        self.deletion();
        self.limits();
        self.placing();
        self.names();
        self.updating();
        self.selection();
        self.words
    }

    /// Rows 2 to 7.
    fn output(&mut self) {
        let o = self.o;
        self.push_if(o.output.list_only, "--list-only");
        self.push_if(o.deletes_dirs_only(self.packing), "--no-r");
        if let Some(level) = o.data.compress_level {
            self.joined("--compress-level", level.to_string().as_bytes());
        }
        self.push_if(o.attributes.devices && !o.attributes.specials, "--no-specials");
        self.push_if(o.attributes.specials && !o.attributes.devices, "--specials");
        if self.is_push()
            && let Some(format) = o.item_format()
        {
            if format.has(b'i') {
                self.push(if o.output.itemize > 1 {
                    "--log-format=%i%I"
                } else {
                    "--log-format=%i"
                });
            } else if format.has(b'o') {
                self.push("--log-format=%o");
            } else if o.output.verbose == 0 {
                self.push("--log-format=X");
            }
        }
        match o.output.stderr {
            StderrMode::Errors => {}
            StderrMode::All => self.push("--msgs2stderr"),
            StderrMode::Client => self.push("--no-msgs2stderr"),
        }
    }

    /// Rows 8 to 14.
    fn transfer(&mut self) {
        let o = self.o;
        if let Some(size) = o.data.block_size {
            self.push(&format!("-B{size}"));
        }
        if let Some(seconds) = o.connection.timeout {
            self.push(&format!("--timeout={seconds}"));
        }
        if let Some(rate) = o.connection.bwlimit {
            self.push(&format!("--bwlimit={rate}"));
        }
        if let Some(dir) = &o.data.backup_dir {
            self.pair("--backup-dir", dir);
        }
        let default: &[u8] = if o.data.backup_dir.is_some() { b"" } else { b"~" };
        if o.data.suffix != default {
            self.joined("--suffix", &o.data.suffix);
        }
        if !matches!(o.data.checksum_choice.text.as_slice(), b"" | b"auto" | b"auto,auto") {
            self.joined("--checksum-choice", &o.data.checksum_choice.text);
        }
        if let Compression::Chosen(compressor) = o.data.compression {
            match compressor {
                Compressor::Zlibx => self.push("--new-compress"),
                Compressor::Zlib => self.push("--old-compress"),
                _ => self.joined("--compress-choice", &o.data.compress_choice_text),
            }
        }
    }

    /// Rows 15 to 23.
    fn deletion(&mut self) {
        let o = self.o;
        if !self.is_push() {
            if let Some(list) = &o.data.skip_compress {
                self.joined("--skip-compress", list);
            }
            return;
        }
        match o.delete.max {
            None => {}
            Some(0) => self.push("--max-delete=-1"),
            Some(most) => self.push(&format!("--max-delete={most}")),
        }
        if let Some(size) = o.select.min_size {
            self.push(&format!("--min-size={size}"));
        }
        if let Some(size) = o.select.max_size {
            self.push(&format!("--max-size={size}"));
        }
        match o.delete.when {
            DeleteWhen::Never => {}
            DeleteWhen::Before => self.push("--delete-before"),
            DeleteWhen::Delay => self.push("--delete-delay"),
            DeleteWhen::During => self.push("--delete-during"),
            DeleteWhen::After => self.push("--delete-after"),
            DeleteWhen::ByProtocol => self.push_if(!o.delete.excluded, "--delete"),
        }
        self.push_if(o.delete.excluded, "--delete-excluded");
        self.push_if(o.delete.force, "--force");
        self.push_if(o.batch.only_write, "--only-write-batch=X");
        self.push_if(o.attributes.super_user == SuperUser::Yes, "--super");
        self.push_if(o.data.size_only, "--size-only");
        self.push_if(o.output.stats, "--stats");
    }

    /// Rows 24 to 27.
    fn limits(&mut self) {
        let o = self.o;
        if let Some(text) = &o.connection.max_alloc_text {
            self.joined("--max-alloc", text);
        }
        match o.select.missing_arguments {
            MissingArguments::Report => {}
            MissingArguments::Delete => self.push("--delete-missing-args"),
            MissingArguments::Ignore => self.push_if(!self.is_push(), "--ignore-missing-args"),
        }
        if let Some(window) = o.data.modify_window.filter(|_| self.is_push()) {
            if window < 0 {
                self.push(&format!("-@{window}"));
            } else {
                self.push(&format!("--modify-window={window}"));
            }
        }
        if o.data.checksum_seed != 0 {
            self.push(&format!("--checksum-seed={}", o.data.checksum_seed));
        }
    }

    /// Rows 28 and 29.
    fn placing(&mut self) {
        let o = self.o;
        if self.is_push() {
            if let Some(dir) = &o.data.partial_dir_for_server {
                self.pair("--partial-dir", dir);
            }
            self.push_if(o.data.delay_updates, "--delay-updates");
            self.push_if(o.data.partial == Partial::Keep, "--partial");
        }
        self.push_if(o.delete.ignore_errors, "--ignore-errors");
        self.push_if(o.attributes.copy_unsafe_links, "--copy-unsafe-links");
        self.push_if(o.attributes.safe_links, "--safe-links");
        self.push_if(o.attributes.numeric_ids, "--numeric-ids");
    }

    /// Rows 31 to 34.
    fn names(&mut self) {
        let o = self.o;
        if !self.is_push() {
            return;
        }
        if let Some(map) = &o.attributes.usermap {
            self.joined("--usermap", map);
        }
        if let Some(map) = &o.attributes.groupmap {
            self.joined("--groupmap", map);
        }
        self.push_if(o.select.ignore_existing, "--ignore-existing");
        self.push_if(o.select.existing_only, "--existing");
        if let Some(dir) = &o.data.temp_dir {
            self.pair("--temp-dir", dir);
        }
        self.push_if(o.data.fsync, "--fsync");
        if let Some(alt) = &o.data.alt_dest {
            for dir in &alt.dirs {
                self.pair(&format!("--{}", alt.kind.name()), dir);
            }
        }
    }

    /// Rows 35 to 37.
    fn updating(&mut self) {
        let o = self.o;
        if let Some(words) = info_for_server(&o.output.info, !self.is_push()) {
            self.joined("--info", words.as_bytes());
        }
        match o.data.append {
            Append::No if o.data.inplace => {
                self.push("--inplace");
                self.push_if(
                    self.is_push() && o.data.sparse && o.data.whole_file == Some(false),
                    "--no-W",
                );
            }
            Append::No => {}
            Append::Blind => self.push("--append"),
            Append::Verify => {
                self.push("--append");
                self.push("--append");
            }
        }
    }

    /// Rows 38 to 45.
    fn selection(&mut self) {
        let o = self.o;
        match &o.select.files_from {
            Some(FilesFrom::Remote { path, .. }) => {
                self.pair("--files-from", path);
                self.push_if(o.select.from0, "--from0");
                self.push_if(!o.select.is_relative(), "--no-relative");
            }
            Some(FilesFrom::Stdin | FilesFrom::Local(_)) if !self.is_push() => {
                self.push("--files-from=-");
                self.push("--from0");
                self.push_if(!o.select.is_relative(), "--no-relative");
            }
            _ => {}
        }
        let implied_matter = !self.is_push() || self.packing.version >= 30;
        self.push_if(
            o.select.is_relative() && !o.select.implied_dirs && implied_matter,
            "--no-implied-dirs",
        );
        self.push_if(self.is_push() && o.attributes.write_devices, "--write-devices");
        if let Some(removal) = o.select.remove_source {
            self.push(&format!("--{}", removal.name()));
        }
        self.push_if(!self.is_push() && o.attributes.copy_devices, "--copy-devices");
        self.push_if(self.is_push() && o.data.preallocate, "--preallocate");
        self.push_if(o.attributes.open_noatime && o.attributes.atimes < 2, "--open-noatime");
        self.push_if(self.is_push() && o.select.mkpath, "--mkpath");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Context;
    use crate::parse::{Command, parse};
    use crate::table::{Argument, Effect, Mode, OptionId, Row, Sent, rows};

    /// The words for a server after these options, or nothing if they are no transfer.
    fn packed(options: &[String], direction: Direction) -> Option<ServerArguments> {
        let ends: &[&str] =
            if direction == Direction::Push { &["a", "h:d"] } else { &["h:a", "d"] };
        let words: Vec<Word> = options
            .iter()
            .map(String::as_str)
            .chain(ends.iter().copied())
            .map(|word| word.as_bytes().to_vec())
            .collect();
        let context = Context::at("2026-11-21T17:02:39+00:00[UTC]".parse().expect("a date"));
        match parse(&words, &context) {
            Ok(Command::Transfer(options)) => options.pack(Packing { direction, version: 32 }).ok(),
            _ => None,
        }
    }

    /// A way of writing the option that changes something.
    fn example(row: &Row) -> String {
        let value = match row.id {
            OptionId::Stderr => "all",
            OptionId::ChecksumChoice => "md5",
            OptionId::CompressChoice => "zstd",
            OptionId::Chmod => "u+x",
            OptionId::StopAt => "5-5",
            OptionId::Info | OptionId::Debug => "all2",
            OptionId::MaxAlloc => "2g",
            OptionId::Outbuf => "L",
            OptionId::RemoteOption => "--x",
            OptionId::ConfineRoot => "/x",
            OptionId::FilesFrom => ":x",
            OptionId::OutFormat | OptionId::LogFormat => "%i",
            _ => "3",
        };
        let name = match row.id {
            OptionId::IncRecursive | OptionId::ImpliedDirs => row.shown_negations.first(),
            OptionId::DevicesAndSpecials => None,
            _ => row.names.first().or(row.hidden.first()).or(row.negations.first()),
        };
        match (name, row.short, row.argument) {
            (Some(name), _, Argument::None) => format!("--{name}"),
            (Some(name), ..) => format!("--{name}={value}"),
            (None, letter, _) => format!("-{}", letter.map(char::from).unwrap_or_default()),
        }
    }

    #[test]
    fn the_table_says_truly_what_a_server_is_told() {
        // What these say is told in another option's words, or needs company that would hide it.
        let indirect = [
            OptionId::Archive,
            OptionId::ItemizeChanges,
            OptionId::OutFormat,
            OptionId::Progress,
            OptionId::From0,
            OptionId::Dirs,
            OptionId::OldDirs,
            OptionId::Recursive,
            OptionId::PartialProgress,
            OptionId::LogFormat,
            OptionId::Relative,
            OptionId::Server,
            OptionId::Sender,
            OptionId::Protocol,
            OptionId::Qsort,
            OptionId::DelayUpdates,
            OptionId::PruneEmptyDirs,
            OptionId::DeleteBefore,
            OptionId::DeleteAfter,
            OptionId::DeleteDuring,
            OptionId::DeleteDelay,
            OptionId::Chown,
            OptionId::Usermap,
            OptionId::Groupmap,
            OptionId::WriteDevices,
        ];
        let company = ["-r", "-R"].map(str::to_owned);
        for row in rows().filter(|row| row.mode == Mode::Transfer && !indirect.contains(&row.id)) {
            for direction in [Direction::Push, Direction::Pull] {
                let mut options = company.to_vec();
                options.push(example(row));
                let Some(with) = packed(&options, direction) else { continue };
                let told = Some(with) != packed(&company, direction);
                let expected = match row.sent {
                    Sent::Never => false,
                    Sent::Both => true,
                    Sent::Push => direction == Direction::Push,
                    Sent::Pull => direction == Direction::Pull,
                };
                assert_eq!(told, expected, "{} {direction:?}", example(row));
            }
        }
    }

    #[test]
    fn only_daemon_options_switch_to_daemon_mode() {
        let daemon = [OptionId::Daemon, OptionId::Config, OptionId::Dparam, OptionId::Detach];
        for row in rows().filter(|row| row.mode == Mode::Transfer) {
            let switches = matches!(row.effect, Effect::SwitchToDaemon);
            assert_eq!(switches, daemon.contains(&row.id), "{:?}", row.id);
        }
    }
}
