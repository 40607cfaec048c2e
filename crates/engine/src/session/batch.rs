//! Batch files: a run's data stream recorded, and done again without its source (docs/spec session.md 14).

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use syncline_filter::{Rules, Settings};
use syncline_options::Options;
use syncline_options::options::{Append, Dirs};
use syncline_options::values::choice::{Compression as Compress, Compressor};
use syncline_wire::{
    BatchHeader, BatchOptions, Checksum, CompatFlags, Compression, Side, WireRead,
};

use super::far::FarOffers;
use super::queue::{Clock, Input, Output};
use super::setup::{check_options, wire_checksum, wire_compression};
use super::{Peer, rules, server};
use crate::link::{Request, Requests};
use crate::report::Class;
use crate::source::OperatorFiles;
use crate::{Error, ExitCode, Job, Monitor, Result, Role, Terms};

/// A batch file that is being written; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Recorder(Arc<Mutex<File>>);

impl Recorder {
    /// Makes the file.
    pub(crate) fn create(path: &Path, job: &Job, role: Role) -> Result<Self> {
        let file = job.paths.create_file(path, false, 0o600);
        let file = file.map_err(|error| unopened(path, role, error.reason()))?;
        Ok(Self(Arc::new(Mutex::new(file))))
    }

    /// Records bytes of the stream.
    pub(crate) fn put(&self, bytes: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(bytes)
    }

    /// Records the head.
    pub(crate) fn put_header(&self, options: &Options, terms: &Terms) -> io::Result<()> {
        let header = BatchHeader {
            options: options_of(options).known_in(terms.protocol),
            protocol: terms.protocol,
            flags: terms.compat,
            seed: terms.seed,
        };
        let mut bytes = Vec::new();
        header.encode(&mut bytes);
        self.put(&bytes)
    }
}

impl Write for Recorder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn unopened(path: &Path, role: Role, reason: String) -> Error {
    let text = format!("rsync: [{role}] Batch file \"{}\" open error: {reason}", path.display());
    Error::fatal(ExitCode::FILE_IO, text)
}

fn options_of(options: &Options) -> BatchOptions {
    FLAGS
        .iter()
        .fold(BatchOptions::default(), |bits, flag| bits.with_if((flag.get)(options), flag.bit))
}

/// An option that the reader of a batch must have as its writer had it.
struct Flag {
    bit: BatchOptions,
    name: &'static str,
    get: fn(&Options) -> bool,
    set: fn(&mut Options, bool),
}

const FLAGS: &[Flag] = &[
    Flag {
        bit: BatchOptions::RECURSIVE,
        name: "--recurse (-r)",
        get: |o| o.select.recursive,
        set: |o, on| o.select.recursive = on,
    },
    Flag {
        bit: BatchOptions::OWNER,
        name: "--owner (-o)",
        get: |o| o.attributes.owner,
        set: |o, on| o.attributes.owner = on,
    },
    Flag {
        bit: BatchOptions::GROUP,
        name: "--group (-g)",
        get: |o| o.attributes.group,
        set: |o, on| o.attributes.group = on,
    },
    Flag {
        bit: BatchOptions::LINKS,
        name: "--links (-l)",
        get: |o| o.attributes.links,
        set: |o, on| o.attributes.links = on,
    },
    Flag {
        bit: BatchOptions::DEVICES,
        name: "--devices (-D)",
        get: |o| o.attributes.devices,
        set: |o, on| o.attributes.devices = on,
    },
    Flag {
        bit: BatchOptions::HARD_LINKS,
        name: "--hard-links (-H)",
        get: |o| o.attributes.hard_links > 0,
        set: |o, on| o.attributes.hard_links = on.into(),
    },
    Flag {
        bit: BatchOptions::CHECKSUM,
        name: "--checksum (-c)",
        get: |o| o.data.checksum,
        set: |o, on| o.data.checksum = on,
    },
    Flag {
        bit: BatchOptions::DIRS,
        name: "--dirs (-d)",
        get: |o| o.select.takes_dirs(),
        set: |o, on| o.select.dirs = if on { Dirs::Yes } else { Dirs::No },
    },
    Flag {
        bit: BatchOptions::COMPRESS,
        name: "--compress (-z)",
        get: |o| o.data.compression != Compress::Off,
        set: |o, on| {
            let zlib = Compress::Chosen(Compressor::Zlib);
            o.data.compression = if on { zlib } else { Compress::Off };
        },
    },
    Flag {
        bit: BatchOptions::ICONV,
        name: "--iconv",
        get: |o| o.connection.iconv.is_some(),
        set: |_, _| {},
    },
    Flag {
        bit: BatchOptions::ACLS,
        name: "--acls (-A)",
        get: |o| o.attributes.acls,
        set: |o, on| o.attributes.acls = on,
    },
    Flag {
        bit: BatchOptions::XATTRS,
        name: "--xattrs (-X)",
        get: |o| o.attributes.xattrs > 0,
        set: |o, on| o.attributes.xattrs = on.into(),
    },
    Flag {
        bit: BatchOptions::INPLACE,
        name: "--inplace",
        get: |o| o.data.inplace,
        set: |o, on| o.data.inplace = on,
    },
    Flag {
        bit: BatchOptions::APPEND,
        name: "--append",
        get: |o| o.data.append == Append::Blind,
        set: |o, on| set_append(o, on, Append::Blind),
    },
    Flag {
        bit: BatchOptions::APPEND_VERIFY,
        name: "--append-verify",
        get: |o| o.data.append == Append::Verify,
        set: |o, on| set_append(o, on, Append::Verify),
    },
];

fn set_append(options: &mut Options, on: bool, how: Append) {
    options.data.append = match (on, options.data.append) {
        (true, _) => how,
        (false, now) if now == how => Append::No,
        (false, now) => now,
    };
}

/// What doing a batch needs.
pub struct BatchPlan<'a> {
    /// The run.
    pub job: Job,
    /// The file; `-` is standard input.
    pub file: Vec<u8>,
    /// Where things go.
    pub destination: Vec<u8>,
    /// Where relative names start.
    pub start: PathBuf,
    /// The rules of the command line.
    pub rules: Rules,
    /// How rule files are read.
    pub files: OperatorFiles,
    /// Told of options that are set to match the file, if that is to be told.
    pub adapted: &'a dyn Fn(Class, &str),
    /// Told once the terms are settled.
    pub begun: &'a dyn Fn(&Terms),
}

impl BatchPlan<'_> {
    /// Does what the file has recorded.
    pub fn run(mut self, monitor: &Monitor) -> (Result<ExitCode>, Role) {
        let result = self.perform(monitor).map(|()| monitor.tally().exit_code());
        (result, Role::Destination)
    }

    fn perform(&mut self, monitor: &Monitor) -> Result<()> {
        let reader = self.open()?;
        let clock = Clock::new(None);
        let failed = |error| Error::system(ExitCode::IPC, Role::Destination, "thread", error);
        let interrupt = &self.job.interrupt;
        let spawned = Output::spawn(io::sink(), Arc::clone(&clock), interrupt);
        let (output, writer) = spawned.map_err(failed)?;
        let mut input = Input::spawn(reader, Arc::clone(&clock), interrupt).map_err(failed)?;
        let terms = self.terms(&mut input)?;
        check_options(&self.job.options, terms.protocol)?;
        self.job.open_charset()?;
        (self.begun)(&terms);
        self.job.take_identity(Role::Destination)?;
        let rules = std::mem::replace(&mut self.rules, Rules::new(Settings::default()));
        let options = &self.job.options;
        let complete = rules::complete(rules, options, true, terms.protocol, &mut self.files)?;
        let (role, monitors) = (Role::Receiver, monitor.clone());
        let peer = Peer::new(input, output, terms.clone(), role, monitors, None, clock);
        let pace = Pace::default();
        let offers = FarOffers::new(peer, &self.job, monitor)?.at_pace(pace.clone());
        let place = (self.destination.clone(), self.start.clone());
        let requests = BatchRequests { pace };
        let (job, rules) = (&self.job, &complete.rules);
        let result = server::sink_into(
            job,
            &terms,
            rules,
            place,
            (Box::new(offers), Box::new(requests)),
            monitor,
        );
        writer.close();
        result
    }

    fn open(&self) -> Result<Box<dyn Read + Send>> {
        if self.file == b"-" {
            return Ok(Box::new(io::stdin()));
        }
        let path = self.start.join(std::ffi::OsStr::from_bytes(&self.file));
        let file = self.job.paths.open_file(&path);
        let file = file.map_err(|error| unopened(&path, Role::Destination, error.reason()))?;
        if !file.metadata().is_ok_and(|data| data.is_file()) {
            let text = format!("Batch file \"{}\" is not a regular file", path.display());
            return Err(Error::fatal(ExitCode::FILE_IO, text));
        }
        Ok(Box::new(file))
    }

    /// Reads the head, and sets options as it wants them.
    fn terms(&mut self, input: &mut impl WireRead) -> Result<Terms> {
        let header =
            BatchHeader::decode(input).map_err(|error| Error::wire(Role::Destination, error))?;
        let options = &mut self.job.options;
        if header.flags.contains(CompatFlags::INCREMENTAL) && !options.select.recursive {
            let text = "Incompatible options specified for inc-recursive batch file.";
            return Err(Error::fatal(ExitCode::USAGE, text));
        }
        if options.select.dirs == Dirs::Implied {
            // By the lone argument, which is no source here.
            options.select.dirs = Dirs::No;
        }
        // All are looked at before one is set: some imply others.
        let differing: Vec<&Flag> = FLAGS
            .iter()
            .filter(|flag| flag.bit.known_in(header.protocol) == flag.bit)
            .filter(|flag| header.options.contains(flag.bit) != (flag.get)(options))
            .collect();
        for flag in differing {
            let wanted = header.options.contains(flag.bit);
            if flag.bit == BatchOptions::ICONV {
                let word = if wanted { "specify" } else { "do not specify" };
                let text = format!("Please {word} the --iconv option to use this batch file.");
                let text = text.replace("Please do not", "Do not");
                return Err(Error::fatal(ExitCode::USAGE, text));
            }
            (flag.set)(options, wanted);
            let word = if wanted { "Setting" } else { "Clearing" };
            let text = format!("{word} the {} option to match the batchfile.", flag.name);
            (self.adapted)(Class::Info, &text);
        }
        let options = &self.job.options;
        let default = Checksum::default_of(header.protocol);
        let chosen = &options.data.checksum_choice;
        let transfer = chosen.transfer.and_then(wire_checksum);
        let whole = chosen.whole.and_then(wire_checksum);
        let named = match options.data.compression {
            Compress::Off => Compression::None,
            Compress::Negotiated => Compression::Zlib,
            Compress::Chosen(name) => wire_compression(name).unwrap_or(Compression::None),
        };
        // A writer with lists to negotiate had only the default in them, and yet it was negotiated.
        let negotiated = header.flags.contains(CompatFlags::VARINT_FLAGS);
        Ok(Terms {
            protocol: header.protocol,
            peer_version: header.protocol.number().into(),
            compat: header.flags,
            side: Side::Client,
            seed: header.seed,
            transfer_checksum: transfer.unwrap_or(default),
            list_checksum: whole.unwrap_or(default),
            default_checksum: transfer.is_none() && !negotiated,
            compression: named.with_level(options.data.compress_level),
        })
    }
}

impl std::fmt::Debug for BatchPlan<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchPlan").field("job", &self.job).finish_non_exhaustive()
    }
}

/// What the generator says where nobody hears it: it is only noted.
#[derive(Debug)]
struct BatchRequests {
    pace: Pace,
}

impl Drop for BatchRequests {
    fn drop(&mut self) {
        self.pace.end();
    }
}

impl Requests for BatchRequests {
    fn item(&mut self, request: &Request<'_>) -> Result<()> {
        if request.item.is_transfer() {
            self.pace.request(request.index);
        }
        Ok(())
    }

    fn decided(&mut self, index: u32) {
        self.pace.decide(index);
    }

    fn done(&mut self) -> Result<()> {
        self.pace.end_round();
        Ok(())
    }

    fn delete_stats(&mut self, _counts: [u32; 5]) -> Result<()> {
        Ok(())
    }

    fn success(&mut self, _index: u32) -> Result<()> {
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// How far the generator is, for a stream that does not wait for it; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace(Arc<(Mutex<Progress>, Condvar)>);

#[derive(Debug, Default)]
struct Progress {
    /// Entries whose fate is decided, and whether they are asked for and have not come.
    entries: HashMap<u32, bool>,
    /// Lists and phases that the generator has ended.
    rounds: usize,
    /// It says nothing more.
    ended: bool,
}

impl Pace {
    fn change(&self, change: impl FnOnce(&mut Progress)) {
        let (progress, changed) = &*self.0;
        change(&mut progress.lock().unwrap_or_else(PoisonError::into_inner));
        changed.notify_all();
    }

    fn wait(&self, until: impl Fn(&Progress) -> bool) -> Result<MutexGuard<'_, Progress>> {
        let (progress, changed) = &*self.0;
        let progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_while(progress, |progress| !until(progress) && !progress.ended);
        let progress = waited.unwrap_or_else(PoisonError::into_inner);
        if until(&progress) { Ok(progress) } else { Err(Error::Stopped) }
    }

    fn request(&self, index: u32) {
        self.change(|progress| {
            progress.entries.insert(index, true);
        });
    }

    fn decide(&self, index: u32) {
        self.change(|progress| {
            progress.entries.entry(index).or_insert(false);
        });
    }

    fn end_round(&self) {
        self.change(|progress| progress.rounds += 1);
    }

    fn end(&self) {
        self.change(|progress| progress.ended = true);
    }

    /// Waits until it is known whether the entry is asked for; then it has come. In the second phase, behind so many
    /// lists, that is known when the generator has ended it too.
    pub(super) fn wait_for(&self, index: u32, again: Option<usize>) -> Result<bool> {
        let mut progress = self.wait(|progress| match again {
            None => progress.entries.contains_key(&index),
            Some(lists) => progress.entries.get(&index) == Some(&true) || progress.rounds > lists,
        })?;
        Ok(progress.entries.insert(index, false) == Some(true))
    }

    /// Waits until the generator says nothing more.
    pub(super) fn wait_for_end(&self) {
        let (progress, changed) = &*self.0;
        let progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
        drop(changed.wait_while(progress, |progress| !progress.ended));
    }

    /// Waits until all of these entries are decided; those that are asked for and have not come.
    pub(super) fn missing(&self, entries: &[u32]) -> Result<Vec<u32>> {
        let all =
            |progress: &Progress| entries.iter().all(|index| progress.entries.contains_key(index));
        let mut progress = self.wait(all)?;
        let missing = entries.iter().copied();
        Ok(missing.filter(|index| progress.entries.insert(*index, false) == Some(true)).collect())
    }
}
