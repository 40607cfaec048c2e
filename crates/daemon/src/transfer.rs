//! The transfer itself: the engine's server role under the module's rules (docs/spec daemon.md 10.3 to 13).

use std::io::{Cursor, Read};
use std::sync::Arc;

use syncline_engine::report::{Class, Direction, Output, Report, Served, Setting, Transfers};
use syncline_engine::session::socket::limit_writes;
use syncline_engine::session::{Connection, ServerPlan, ServerVoice};
use syncline_engine::source::OperatorFiles;
use syncline_engine::{Error, Event, ExitCode, Job, Module, Monitor, Observer, Place};
use syncline_fs::{AccountFiles, Accounts};
use syncline_options::options::{Batch, SuperUser};
use syncline_options::values::flags::Debug;
use syncline_options::values::format::Format;
use syncline_options::{DaemonOptions, Options};
use syncline_wire::Message;

use crate::entry::Entry;
use crate::log::Log;
use crate::name_converter::NameConverter;
use crate::option_paths::OptionPaths;
use crate::paths::message;
use crate::request::{Refusal, Request};
use crate::session::Session;

/// Threads that compress for one client, whatever it asks for.
const COMPRESS_THREADS_MAX: u32 = 8;

/// A `max verbosity` from which on there is no cap.
const VERBOSITY_UNCAPPED: i32 = 6;

/// Performs the request, or says why not; the exit code.
pub(crate) fn run(session: Session<'_>, mut entry: Entry, request: Request) -> u8 {
    let Session { options: daemon, log, link, signals, peer, .. } = session;
    let Request { mut options, arguments, refusal } = request;
    // What the engine leaves out must not be passed over in silence.
    let missing = syncline_engine::unperformed(&options)
        .map(|error| Refusal { text: error.to_string().into_bytes(), code: error.exit_code() });
    let sends = options.server.as_ref().is_some_and(|server| server.sender);
    let imposed = impose(&mut options, &entry, daemon, sends, &log);
    let refusal = refusal
        .or_else(|| wrong_direction(&options, &entry, sends))
        .or_else(|| imposed.err())
        .or(missing);
    let Ok(protocol) = entry.protocol else { return ExitCode::PROTOCOL.number() };
    let lingering = link.linger();
    let (reader, ahead, writer) = link.into_parts();
    let mut job = Job::new(options.clone(), Place::Server);
    // The client says whether names are converted, the module to what.
    job.charset = entry.charset.take().filter(|_| options.connection.iconv.is_some());
    if job.charset.is_none() {
        job.options.connection.iconv = None;
    }
    let converter = entry.name_converter.take();
    let loss = converter.as_ref().map(NameConverter::loss);
    if let Some(loss) = &loss {
        job.interrupt = loss.interrupt.clone();
    }
    job.accounts = match converter {
        Some(converter) => Accounts::of(converter),
        // Name services are programs, and those in a chroot may be its clients' work.
        None if entry.chrooted => Accounts::of(AccountFiles::default()),
        None => Accounts::new(),
    };
    signals.during_transfer(&job.interrupt, &job.temporaries);
    limit_writes(&writer, options.connection.timeout);
    let connection = if sends {
        Connection::of_sender(reader, ahead, writer, &options, &job.interrupt)
    } else {
        let reader = Cursor::new(ahead).chain(reader);
        Connection::new(reader, writer, &options, &job.interrupt)
    };
    let connection = match connection {
        Ok(connection) => connection,
        Err(error) => {
            log.warn(error.to_string());
            return error.exit_code().number();
        }
    };
    let setting = |direction| Setting {
        options: options.clone(),
        direction,
        listing: false,
        server: true,
        decimal_point: '.',
    };
    let own = setting(if sends { Direction::Push } else { Direction::Pull });
    let served = Served {
        host: peer.host.clone(),
        address: peer.address.to_string().into_bytes(),
        module: entry.name.clone(),
        path: entry.configured_path.clone(),
        destination: arguments.first().map(|path| without_slash(path).to_vec()).unwrap_or_default(),
        user: entry.user.clone(),
    };
    let transfers =
        log_format(&entry, daemon).map(|format| Transfers::new(format, own, served, protocol));
    let refused = refusal.is_some();
    job.module = Some(module(entry));
    let start = job.module.as_ref().map(Module::start).unwrap_or_default();
    let plan = ServerPlan {
        job,
        arguments,
        start,
        files: OperatorFiles::default(),
        settled: Some(protocol),
        lists: (None, None),
    };
    let clients = setting(if sends { Direction::Pull } else { Direction::Push });
    let mut watched = None;
    let observe = |voice: ServerVoice| {
        let told = Told { voice: voice.clone(), log: log.clone() };
        let report = Report::new(clients, Box::new(told));
        // Below 29 it is this end that names what it makes.
        report.set_protocol(protocol);
        let monitor =
            Monitor::new(Arc::new(Observed { report, voice, transfers, log: log.clone() }));
        watched = Some(monitor.clone());
        monitor
    };
    if !refused {
        log.info(if sends { "building file list" } else { "receiving file list" });
    }
    let (result, role) = match refusal {
        Some(Refusal { text, code }) => {
            let text = String::from_utf8_lossy(&text).into_owned();
            plan.refuse(connection, Error::fatal(ExitCode::new(code), text), observe)
        }
        None => plan.run(connection, observe),
    };
    let lost = loss.is_some_and(|loss| loss.has_happened());
    if lost {
        log.warn("Connection to name-converter failed.");
    }
    let code = match &result {
        _ if lost => ExitCode::SOCKET,
        Ok(code) => *code,
        Err(error) => error.exit_code(),
    };
    if !refused {
        if let Some(monitor) = watched.filter(|_| result.is_ok() || sends) {
            let tally = monitor.tally();
            log.info(format!(
                "sent {} bytes  received {} bytes  total size {}",
                tally.sent.get(),
                tally.received.get(),
                tally.total_size.get()
            ));
        }
        if result.is_err() {
            let version = env!("CARGO_PKG_VERSION");
            log.warn(format!("rsync error: {code} at transfer.rs(0) [{role}={version}]"));
        }
    }
    if let Some(link) = lingering {
        match result {
            // One that takes nothing will not hear why either.
            Ok(_) | Err(Error::Timeout { .. }) => link.close(),
            Err(_) => link.close_patiently(),
        }
    }
    code.number()
}

fn without_slash(path: &[u8]) -> &[u8] {
    path.strip_suffix(b"/").unwrap_or(path)
}

fn module(entry: Entry) -> Module {
    Module {
        sanitizes: entry.sanitizes(),
        confined: entry.sanitizes() && !*entry.settings.insecure_links,
        path: crate::paths::path(&entry.path).to_owned(),
        name: entry.name,
        filter: entry.filter,
    }
}

/// The format of transfer lines, if there are to be any.
fn log_format(entry: &Entry, daemon: &DaemonOptions) -> Option<Format> {
    if let Some(format) = &daemon.log_file_format {
        return Some(format.clone());
    }
    let wanted = *entry.settings.transfer_logging && !entry.log_format.is_empty();
    wanted.then(|| Format::parse(&entry.log_format))
}

/// What the module has to say about a client's options (docs/spec daemon.md 10.3, 10.4, 13.2).
fn impose(
    options: &mut Options,
    entry: &Entry,
    daemon: &DaemonOptions,
    sends: bool,
    log: &Log,
) -> Result<(), Refusal> {
    let settings = &entry.settings;
    let smaller = |one: Option<u32>, other: Option<u32>| match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    let connection = &mut options.connection;
    let timeout = u32::try_from(*settings.timeout).ok().filter(|&seconds| seconds > 0);
    connection.timeout = smaller(connection.timeout.filter(|&seconds| seconds > 0), timeout);
    connection.bwlimit = smaller(connection.bwlimit, daemon.bwlimit);
    let converts = entry.name_converter.is_some();
    let attributes = &mut options.attributes;
    attributes.munge_links = Some(entry.munge);
    attributes.insecure_links = *settings.insecure_links;
    attributes.confine_root = None;
    if *settings.fake_super {
        attributes.super_user = SuperUser::Fake;
        attributes.xattrs = attributes.xattrs.min(1);
    } else if attributes.super_user == SuperUser::Fake {
        attributes.super_user = SuperUser::Yes;
    }
    attributes.numeric_ids |= settings.numeric_ids.unwrap_or(entry.chrooted && !converts);
    if let Some(wanted) = *settings.open_noatime {
        attributes.open_noatime = wanted;
    }
    let (name, chmod) = if sends {
        ("outgoing chmod", &entry.outgoing_chmod)
    } else {
        ("incoming chmod", &entry.incoming_chmod)
    };
    if !chmod.is_empty() && attributes.chmod.append(chmod).is_none() {
        log.warn(message![b"Invalid \"", name, b"\" directive: ", chmod]);
    }
    options.data.compress_threads = options.data.compress_threads.min(COMPRESS_THREADS_MAX);
    options.delete.ignore_errors |= *settings.ignore_errors;
    options.batch = Batch::default();
    let output = &mut options.output;
    output.quiet = 0;
    output.log_file = None;
    match *settings.max_verbosity {
        VERBOSITY_UNCAPPED.. => {}
        most => options.limit_verbosity(u8::try_from(most).unwrap_or(0)),
    }
    if options.data.temp_dir.is_none() && !entry.temp_dir.is_empty() {
        options.data.temp_dir = Some(entry.temp_dir.clone());
    }
    let paths =
        OptionPaths { root: &entry.path, sanitizes: entry.sanitizes(), filter: &entry.filter };
    paths.impose(options)
}

/// A direction that the module does not allow (docs/spec daemon.md 10.5).
fn wrong_direction(options: &Options, entry: &Entry, sends: bool) -> Option<Refusal> {
    let refuse = |text: String| Some(Refusal { text: text.into_bytes(), code: 1 });
    if !sends && entry.read_only {
        return refuse("ERROR: module is read only".into());
    }
    if sends && *entry.settings.write_only {
        return refuse("ERROR: module is write only".into());
    }
    match options.select.remove_source {
        Some(how) if sends && entry.read_only => {
            let name = how.name();
            refuse(format!("ERROR: --{name} cannot be used with a read-only module"))
        }
        _ => None,
    }
}

/// Events go to the client as text or messages, and into the log.
struct Observed {
    report: Report,
    voice: ServerVoice,
    transfers: Option<Transfers>,
    log: Log,
}

impl Observer for Observed {
    fn event(&self, event: &Event<'_>) {
        let line = self.transfers.as_ref().and_then(|transfers| match event {
            Event::Settled(terms) => {
                transfers.begin(terms);
                None
            }
            Event::Item(item) => transfers.item(item),
            Event::Deleted { path, directory } => transfers.deletion(path, *directory),
            _ => None,
        });
        if let Some(line) = line {
            self.log.info(line);
        }
        if let Event::Deleted { path, directory } = event {
            self.voice.send(Message::Deleted { name: path.to_vec(), directory: *directory });
        }
        self.report.event(event);
    }

    fn wants_items(&self) -> bool {
        self.transfers.is_some() || self.report.wants_items()
    }

    fn traces(&self, flag: Debug, level: u8) -> bool {
        self.report.traces(flag, level)
    }
}

/// What a session says goes to the client and into the log.
struct Told {
    voice: ServerVoice,
    log: Log,
}

impl Output for Told {
    fn put(&mut self, class: Class, text: &[u8]) {
        match class {
            Class::ClientInfo => return,
            Class::Info | Class::Log => self.log.info(text),
            Class::Warning | Class::Error | Class::TransferError | Class::Foreign => {
                self.log.warn(text);
            }
        }
        self.voice.say(class, text);
    }
}
