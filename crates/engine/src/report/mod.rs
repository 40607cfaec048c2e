//! Events as stock's text, byte for byte (docs/spec cli.md 6 to 15).
//!
//! A [`Report`] is an [`Observer`]: it renders each event and hands the lines, by [`Class`], to an [`Output`]. The client's
//! output writes to standard output, standard error and the log file; a server's wraps lines into messages.

mod format;
mod itemize;
mod listing;
mod notice;
mod numbers;
mod progress;
mod summary;
mod transfers;
mod zone;

pub use numbers::{Numbers, Units};
pub use transfers::{Served, Transfers};
pub use zone::local_zone;

use std::sync::{Mutex, PoisonError};

use syncline_options::Options;
use syncline_options::values::flags::{Debug, Info};
use syncline_options::values::format::Format;
use syncline_wire::{Checksum, CompatFlags, ItemFlags, Protocol, TextKind};

use crate::{Event, ExitCode, ItemEvent, Observer, Overall, Role, Severity, Tally, Terms};

/// Where a line belongs (docs/spec cli.md 1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Class {
    /// Standard output, and the log.
    Info,
    /// Standard output only.
    ClientInfo,
    /// The log only.
    Log,
    /// Standard error, and the log.
    Warning,
    /// Standard error, and the log; the exit code is set elsewhere.
    Error,
    /// Standard error, and the log; the run ends with 23.
    TransferError,
    /// As [`Class::Error`]; the text is in the wire's charset already.
    Foreign,
}

impl Class {
    /// How such a text goes to the other end of a connection; what is for one end alone does not travel.
    #[must_use]
    pub fn text_kind(self) -> Option<TextKind> {
        match self {
            Self::Info => Some(TextKind::Info),
            Self::Warning => Some(TextKind::Warning),
            Self::Error | Self::Foreign => Some(TextKind::Error),
            Self::TransferError => Some(TextKind::TransferError),
            Self::ClientInfo | Self::Log => None,
        }
    }
}

/// Takes rendered text. A line comes with its newline; text without one is a line under way.
pub trait Output: Send {
    /// Some text.
    fn put(&mut self, class: Class, text: &[u8]);
}

/// Which way files go, as far as the text depends on it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// Both ends are this process.
    Local,
    /// To a peer.
    Push,
    /// From a peer.
    Pull,
}

/// What the report of one run depends on.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The options.
    pub options: Options,
    /// Which way files go.
    pub direction: Direction,
    /// No destination: entries are listed.
    pub listing: bool,
    /// A server says less: its client prints.
    pub server: bool,
    /// The locale's decimal point.
    pub decimal_point: char,
}

/// Renders events.
pub struct Report {
    setting: Setting,
    numbers: Numbers,
    /// The line of each item, if items are shown.
    format: Option<Format>,
    /// The line of what an old server did.
    name_format: Format,
    /// The line of each item in the log, if there is one.
    log_format: Option<Format>,
    state: Mutex<State>,
}

struct State {
    output: Box<dyn Output>,
    /// How far the terms are known: lines depend on the version.
    protocol: u8,
    checksum: Checksum,
    link_times: bool,
    progress: progress::State,
    /// A header line waits for its end.
    header_open: bool,
    /// Nothing stands behind it so far: another line ends it first, on the stream that line goes to.
    header_bare: bool,
    counted: usize,
}

impl Report {
    /// A report that writes to `output`.
    pub fn new(setting: Setting, output: Box<dyn Output>) -> Self {
        let options = &setting.options;
        let numbers = Numbers::new(options.output.human_readable, setting.decimal_point);
        let format = if setting.server || setting.listing { None } else { options.item_format() };
        let log_format = options.output.log_file.is_some().then(|| {
            let given = options.output.log_file_format.clone();
            given.unwrap_or_else(|| Format::parse(b"%i %n%L"))
        });
        let state = State {
            output,
            protocol: 32,
            checksum: Checksum::Xxh128,
            link_times: true,
            progress: progress::State::default(),
            header_open: false,
            header_bare: false,
            counted: 0,
        };
        let name_format = Format::parse(b"%n%L");
        Self { setting, numbers, format, name_format, log_format, state: Mutex::new(state) }
    }

    /// The terms of a further session are settled: no line heads it.
    pub fn continue_with(&self, terms: &Terms) {
        self.learn(&mut self.state(), terms);
    }

    fn learn(&self, state: &mut State, terms: &Terms) {
        state.protocol = terms.protocol.number();
        // Where nothing is said of it, we know of ourselves; versions without item flags never show it.
        let own = self.setting.direction == Direction::Pull && state.protocol == 29;
        state.link_times = self.setting.direction == Direction::Local
            || own
            || terms.compat.contains(CompatFlags::SYMLINK_TIMES);
        state.checksum = if self.setting.options.data.checksum {
            terms.list_checksum
        } else {
            terms.transfer_checksum
        };
    }

    /// The terms are settled: the line that heads the run.
    pub fn begin(&self, terms: &Terms) {
        let mut state = self.state();
        self.learn(&mut state, terms);
        if self.setting.server {
            return;
        }
        if self.setting.direction != Direction::Local
            && self.setting.options.output.debug.level(Debug::Nstr) > 0
        {
            for line in summary::negotiated(&self.setting, terms) {
                state.put_line(Class::Info, line.as_bytes());
            }
        }
        let pull = self.setting.direction == Direction::Pull;
        let log: &[u8] = if pull { b"receiving file list\n" } else { b"building file list\n" };
        state.put(Class::Log, log);
        let dirs = crate::job::takes_dirs(&self.setting.options, self.setting.listing);
        if self.info(Info::Flist) == 0 || !dirs {
            return;
        }
        match (terms.incremental(), pull) {
            (true, true) => state.put(Class::ClientInfo, b"receiving incremental file list\n"),
            (true, false) => state.put(Class::ClientInfo, b"sending incremental file list\n"),
            (false, pull) => {
                let words: &[u8] =
                    if pull { b"receiving file list ... " } else { b"building file list ... " };
                state.put(Class::ClientInfo, words);
                state.header_open = true;
                state.header_bare = true;
            }
        }
    }

    /// How far several sessions are.
    pub fn overall(&self, overall: &Overall) {
        if self.setting.options.connection.dry_run || self.info(Info::Progress) == 0 {
            return;
        }
        let mut state = self.state();
        if let Some(text) = state.progress.overall(overall, self.numbers) {
            state.put(Class::ClientInfo, text.as_bytes());
        }
    }

    /// The version is settled: a server learns nothing more.
    pub fn set_protocol(&self, protocol: Protocol) {
        self.state().protocol = protocol.number();
    }

    /// The run came to its end: statistics and totals.
    pub fn summarize(&self, tally: &Tally, elapsed_seconds: u64) {
        if self.setting.server {
            return;
        }
        let mut state = self.state();
        Self::finish_progress(&mut state);
        let searched = self.setting.direction != Direction::Pull;
        if searched && self.setting.options.output.debug.level(Debug::Deltasum) > 0 {
            state.put_line(Class::Info, tally.search_line().as_bytes());
        }
        let text =
            summary::lines(&self.setting, self.numbers, state.protocol, tally, elapsed_seconds);
        if let Some(text) = text {
            state.put(Class::ClientInfo, b"\n");
            // Each line is a message of its own: a newline inside one would be shown escaped.
            for line in text.lines() {
                let class = if line.is_empty() { Class::ClientInfo } else { Class::Info };
                state.put_line(class, line.as_bytes());
            }
        } else {
            let text = summary::log_line(tally);
            state.put(Class::Log, text.as_bytes());
        }
    }

    /// The last line of a run that failed: `rsync error: ...`.
    pub fn fail(&self, code: ExitCode, role: Role) {
        let mut state = self.state();
        Self::finish_progress(&mut state);
        let word = if code.is_warning() { "warning" } else { "error" };
        let version = env!("CARGO_PKG_VERSION");
        let line = format!("rsync {word}: {code} at main.rs(0) [{role}={version}]\n");
        let class = if code.is_warning() { Class::Warning } else { Class::Error };
        state.put(class, line.as_bytes());
    }

    /// A line of its own, without its newline.
    pub fn line(&self, class: Class, text: &[u8]) {
        let mut state = self.state();
        Self::finish_progress(&mut state);
        state.put_line(class, text);
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn info(&self, flag: Info) -> u8 {
        self.setting.options.output.info.level(flag)
    }

    /// Below protocol 29 what the receiving side does by itself is named, whatever the format (cli.md 9.2): a client is
    /// not told more by its server.
    fn old_item(&self, state: &mut State, item: &ItemEvent<'_>) {
        let level = self.info(Info::Name);
        let own = item.moved.is_none() && !item.flags.contains(ItemFlags::TRANSFER);
        if !own || state.protocol >= 29 || level == 0 {
            return;
        }
        let line = if self.is_named(state, item) {
            Some(format::line(&self.name_format, item, &self.context(state)))
        } else {
            (level >= 2).then(|| unchanged(item)).flatten()
        };
        if let Some(line) = line {
            Self::finish_progress(state);
            state.put_line(Class::Info, &line);
        }
    }

    fn item(&self, state: &mut State, item: &ItemEvent<'_>) {
        if self.setting.server {
            return self.old_item(state, item);
        }
        let flags = item.flags;
        let after = item.moved.is_some();
        let itemizes = self.format.as_ref().is_some_and(|format| format.has(b'i'));
        let shown =
            if itemizes { self.is_worth_itemizing(flags) } else { self.is_named(state, item) };
        if state.protocol < 29 && !itemizes && !flags.contains(ItemFlags::TRANSFER) {
            self.old_item(state, item);
        } else if let Some(format) = &self.format {
            if shown && format.needs_transfer() == after {
                let line = format::line(format, item, &self.context(state));
                Self::finish_progress(state);
                state.put_line(Class::ClientInfo, &line);
            } else if shown && !after && format.needs_transfer() && self.info(Info::Progress) > 0 {
                let path = format::name(item);
                state.put_line(Class::ClientInfo, &path);
            } else if !shown
                && !after
                && !itemizes
                && self.info(Info::Name) >= 2
                && let Some(text) = unchanged(item)
            {
                Self::finish_progress(state);
                state.put_line(Class::ClientInfo, &text);
            }
        }
        if let Some(format) = &self.log_format {
            let quiet =
                self.setting.options.connection.dry_run && flags.contains(ItemFlags::TRANSFER);
            if after == format.needs_transfer() && self.is_worth_itemizing(flags) && !quiet {
                let line = format::line(format, item, &self.context(state));
                state.put_line(Class::Log, &line);
            }
        }
    }

    /// Whether an item gets a name line (cli.md 9.2). Without item flags a directory that was made is named for the
    /// time that was set on it, not for being new.
    fn is_named(&self, state: &State, item: &ItemEvent<'_>) -> bool {
        let made = item.entry.is_directory() && item.flags.contains(ItemFlags::LOCAL_CHANGE);
        if state.protocol < 29 && made && !self.setting.options.connection.dry_run {
            return item.dressed;
        }
        is_change(item)
    }

    fn is_worth_itemizing(&self, flags: ItemFlags) -> bool {
        let significant = flags.intersects(ItemFlags(0x07ff)) // every difference
            || flags.intersects(ItemFlags::TRANSFER | ItemFlags::IS_NEW);
        let linked = flags.contains(ItemFlags::LOCAL_CHANGE | ItemFlags::NAME_FOLLOWS);
        significant
            || linked
            || self.setting.options.output.itemize >= 2
            || (self.setting.options.output.itemize > 0 && self.info(Info::Name) >= 2)
    }

    fn context(&self, state: &State) -> format::Context<'_> {
        format::Context {
            setting: &self.setting,
            numbers: &self.numbers,
            protocol: state.protocol,
            served: None,
            link_times: state.link_times,
            digest_length: state.checksum.digest_length(),
            reversed: matches!(state.checksum, Checksum::Xxh128 | Checksum::Xxh3 | Checksum::Xxh64),
        }
    }

    fn finish_progress(state: &mut State) {
        if state.progress.close() {
            state.put(Class::ClientInfo, b"\n");
        }
    }

    fn header_end(&self, state: &mut State, count: usize) {
        state.header_bare = false;
        if !std::mem::take(&mut state.header_open) {
            return;
        }
        let text = if self.info(Info::Flist) >= 2 {
            let plural = if count == 1 { "file" } else { "files" };
            format!("{} {plural} to consider\n", self.numbers.grouped(count as u64))
        } else {
            "done\n".to_owned()
        };
        state.put(Class::ClientInfo, text.as_bytes());
    }

    fn deleted(&self, state: &mut State, path: &[u8], directory: bool) {
        let shown = self.info(Info::Del) > 0 || self.info(Info::Name) > 0 || self.format.is_some();
        let name = if directory { [path, b"/"].concat() } else { path.to_vec() };
        let render = |format: Option<&Format>| match format {
            Some(format) if format.has(b'i') || format.has(b'o') => {
                format::deletion(format, &name, &self.context(state))
            }
            _ => [b"deleting ", &name[..]].concat(),
        };
        let line = shown.then(|| render(self.format.as_ref()));
        let log = self.log_format.is_some().then(|| render(self.log_format.as_ref()));
        if let Some(line) = line {
            Self::finish_progress(state);
            state.put_line(Class::ClientInfo, &line);
        }
        if let Some(line) = log {
            state.put_line(Class::Log, &line);
        }
    }
}

impl Observer for Report {
    fn event(&self, event: &Event<'_>) {
        let mut state = self.state();
        let state = &mut *state;
        match event {
            Event::Item(item) => self.item(state, item),
            Event::Deleted { path, directory } if !self.setting.server => {
                self.deleted(state, path, *directory);
            }
            Event::Deleted { path, directory } if state.protocol < 29 => {
                let format = self.setting.options.output.out_format.as_ref();
                let name = if *directory { [path, &b"/"[..]].concat() } else { path.to_vec() };
                if let Some(format) = format.filter(|format| format.has(b'i') || format.has(b'o')) {
                    let line = format::deletion(format, &name, &self.context(state));
                    state.put_line(Class::Info, &line);
                } else if format.is_some() || self.info(Info::Del) > 0 || self.info(Info::Name) > 0
                {
                    state.put_line(Class::Info, &[b"deleting ", &name[..]].concat());
                }
            }
            Event::Deleted { .. } | Event::Settled(_) | Event::Withheld { .. } => {}
            Event::Trace(text) => {
                Self::finish_progress(state);
                state.put_line(Class::Info, text);
            }
            Event::UpToDate(path) => {
                if self.info(Info::Name) >= 2 && self.format.is_some() {
                    let itemizes = self.format.as_ref().is_some_and(|format| format.has(b'i'));
                    if !itemizes {
                        state.put_line(Class::Info, &[path, &b" is uptodate"[..]].concat());
                    }
                }
            }
            Event::Notice(notice) => {
                if let Some((class, line)) = notice::line(notice, &self.setting.options) {
                    Self::finish_progress(state);
                    state.put_line(class, &line);
                }
            }
            Event::Problem(problem) => {
                Self::finish_progress(state);
                let class = match problem.severity {
                    Severity::Warning => Class::Warning,
                    Severity::Error => Class::Error,
                    Severity::Transfer => Class::TransferError,
                    Severity::Foreign => Class::Foreign,
                };
                state.put_line(class, &problem.text);
            }
            Event::Peer { kind, text } => {
                Self::finish_progress(state);
                let class = match kind {
                    TextKind::Info => Class::Info,
                    TextKind::Warning => Class::Warning,
                    TextKind::Error => Class::Error,
                    TextKind::TransferError => Class::TransferError,
                };
                state.end_header(class);
                state.put(class, text);
            }
            Event::Listing(count) => {
                if !state.header_open || self.info(Info::Flist) < 2 || self.setting.server {
                    return;
                }
                let hundreds = count / 100 * 100;
                if state.counted == 0 {
                    state.put(Class::ClientInfo, b"\n");
                    state.header_bare = false;
                }
                if hundreds >= state.counted {
                    let text = format!(" {hundreds} files...\r");
                    state.put(Class::ClientInfo, text.as_bytes());
                    state.counted = hundreds + 100;
                }
            }
            Event::Listed(count) => self.header_end(state, *count),
            Event::Entry(entry) => {
                let line = listing::line(*entry, &self.setting, self.numbers);
                state.put_line(Class::Info, &line);
            }
            Event::Progress(progress) => {
                if self.setting.server || self.setting.options.connection.dry_run {
                    return;
                }
                let level = self.info(Info::Progress);
                if let Some(text) = state.progress.update(progress, level, self.numbers) {
                    state.put(Class::ClientInfo, text.as_bytes());
                }
            }
            Event::ListDone(overall) => {
                if self.setting.server || self.setting.listing || self.info(Info::Progress) < 2 {
                    return;
                }
                if let Some(text) = state.progress.overall(overall, self.numbers) {
                    state.put(Class::ClientInfo, text.as_bytes());
                }
            }
        }
    }

    fn traces(&self, flag: Debug, level: u8) -> bool {
        self.setting.options.output.debug.level(flag) >= level
    }

    fn wants_items(&self) -> bool {
        // Of a server's items only old clients want to hear.
        !self.setting.server || self.state().protocol < 29
    }

    fn wants_progress(&self) -> bool {
        !self.setting.server && (self.info(Info::Progress) > 0 || self.info(Info::Flist) >= 2)
    }
}

impl State {
    fn end_header(&mut self, class: Class) {
        if class != Class::Log && std::mem::take(&mut self.header_bare) {
            self.put(class, b"\n");
        }
    }

    fn put(&mut self, class: Class, text: &[u8]) {
        self.output.put(class, text);
    }

    fn put_line(&mut self, class: Class, line: &[u8]) {
        self.end_header(class);
        let mut text = Vec::with_capacity(line.len() + 1);
        text.extend_from_slice(line);
        text.push(b'\n');
        self.output.put(class, &text);
    }
}

/// Whether something was done.
fn is_change(item: &ItemEvent<'_>) -> bool {
    let flags = item.flags;
    if flags.intersects(ItemFlags::TRANSFER | ItemFlags::LOCAL_CHANGE | ItemFlags::IS_NEW) {
        // A link that is in place already says nothing.
        let settled = flags.contains(ItemFlags::LOCAL_CHANGE | ItemFlags::NAME_FOLLOWS)
            && item.leader.is_none_or(<[u8]>::is_empty)
            && !flags.contains(ItemFlags::IS_NEW);
        return !settled;
    }
    item.entry.is_directory() && is_attribute_change(flags)
}

/// What `-vv` says of an object whose content is right.
fn unchanged(item: &ItemEvent<'_>) -> Option<Vec<u8>> {
    if item.entry.is_directory() {
        return None;
    }
    let mut line = format::name(item);
    if !is_attribute_change(item.flags) {
        line.extend_from_slice(b" is uptodate");
    }
    Some(line)
}

fn is_attribute_change(flags: ItemFlags) -> bool {
    flags.intersects(ItemFlags(0x07ff))
}

impl std::fmt::Debug for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Report").field("setting", &self.setting).finish_non_exhaustive()
    }
}
