//! `--server`: the far end of a client's run, on standard input and output.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use syncline_engine::report::{Class, Direction, Output, Report, Setting};
use syncline_engine::session::{Connection, ServerPlan, ServerVoice};
use syncline_engine::source::{CvsPlaces, OperatorFiles};
use syncline_engine::{
    Cause, Charset, Error, Event, ExitCode, Job, Monitor, Observer, Place, Role,
};
use syncline_options::options::StderrMode;
use syncline_options::values::flags::Debug;
use syncline_options::{Command, Options};
use syncline_wire::{Message, TextKind};

use crate::{escape, output, signals};

/// Serves the client that started this process.
pub(crate) fn run(options: Options, words: &[Vec<u8>]) -> ExitCode {
    let mut job = Job::new(options.clone(), Place::Server);
    if let Err(error) = job.open_charset() {
        return crate::fail(&error.to_string(), error.exit_code());
    }
    if let Err(error) = signals::watch(&job) {
        return crate::fail(&format!("rsync: [server] signals: {error}"), ExitCode::IPC);
    }
    let connection = match connect(&options, &job) {
        Ok(connection) => connection,
        Err(error) => return crate::fail(&error.to_string(), error.exit_code()),
    };
    let (options, connection) = if options.connection.is_secluded() {
        match seclude(connection, words, &job) {
            Ok(parsed) => parsed,
            Err(code) => return code,
        }
    } else {
        (options, connection)
    };
    if let Some(error) = syncline_engine::unperformed(&options) {
        return crate::usage(&error, true);
    }
    // The first argument is the dot that ends the options.
    let arguments = options.arguments.iter().skip(1).cloned().collect();
    let start = std::env::current_dir().unwrap_or_default();
    serve(Job { options, ..job }, connection, arguments, start)
}

pub(crate) fn connect(options: &Options, job: &Job) -> Result<Connection, Error> {
    let failed = |error: std::io::Error| {
        Error::system(ExitCode::IPC, Role::Server, "standard streams", error)
    };
    let input = rustix::stdio::stdin();
    let output = rustix::stdio::stdout();
    // A client may hand over a stream that does not wait (docs/spec session.md 3.2); our threads do.
    for stream in [input, output] {
        let flags = fcntl_getfl(stream).map_err(|error| failed(error.into()))?;
        fcntl_setfl(stream, flags - OFlags::NONBLOCK).map_err(|error| failed(error.into()))?;
    }
    let reader = File::from(input.try_clone_to_owned().map_err(failed)?);
    let writer = File::from(output.try_clone_to_owned().map_err(failed)?);
    Connection::new(reader, writer, options, &job.interrupt)
}

/// The words behind the first ones come over the stream.
fn seclude(
    mut connection: Connection,
    words: &[Vec<u8>],
    job: &Job,
) -> Result<(Options, Connection), ExitCode> {
    let more = connection
        .secluded_arguments()
        .map_err(|error| crate::fail(&error.to_string(), error.exit_code()))?;
    let more = localise(more, job.charset.as_ref());
    let all: Vec<Vec<u8>> = words.iter().cloned().chain(more).collect();
    match syncline_options::parse(&all, &crate::context()) {
        Ok(Command::Server(options)) => Ok((*options, connection)),
        Ok(_) => Err(crate::fail("rsync: not a server's command line", ExitCode::USAGE)),
        Err(error) => Err(crate::usage(&error, true)),
    }
}

/// Secluded words travel in the wire's charset (docs/spec session.md 3.4).
pub(crate) fn localise(words: Vec<Vec<u8>>, charset: Option<&Charset>) -> Vec<Vec<u8>> {
    match charset {
        Some(charset) => words.iter().map(|word| charset.text_to_local(word)).collect(),
        None => words,
    }
}

/// Runs what was asked for; relative names begin at `start`.
pub(crate) fn serve(
    job: Job,
    connection: Connection,
    arguments: Vec<Vec<u8>>,
    start: PathBuf,
) -> ExitCode {
    let options = job.options.clone();
    let interrupt = job.interrupt.clone();
    let mode = options.output.stderr;
    let eight_bit = options.output.eight_bit;
    let variable = |name: &str| std::env::var(name).ok();
    let files = OperatorFiles {
        paths: job.paths.clone(),
        cvs: CvsPlaces {
            home: std::env::home_dir(),
            environment: variable("CVSIGNORE").unwrap_or_default().into_bytes(),
        },
        ..OperatorFiles::default()
    };
    let plan = ServerPlan {
        job,
        arguments,
        start,
        files,
        settled: None,
        lists: (variable("RSYNC_CHECKSUM_LIST"), variable("RSYNC_COMPRESS_LIST")),
    };
    let direction = if plan.sends() { Direction::Pull } else { Direction::Push };
    let setting = Setting { options, direction, listing: false, server: true, decimal_point: '.' };
    let mut spoken = None;
    let (result, role) = plan.run(connection, |voice| {
        let told = Told { voice: voice.clone(), mode, eight_bit };
        let report = Arc::new(Report::new(setting, Box::new(told)));
        spoken = Some(Arc::clone(&report));
        Monitor::new(Arc::new(Observed { report, voice }))
    });
    match (result, interrupt.cause(), spoken) {
        (Err(_), Some(cause), report) => {
            let code = signals::code_of(cause);
            if let (Cause::Deadline, Some(report)) = (cause, report) {
                report.line(Class::Error, signals::AT_LIMIT.as_bytes());
                report.fail(code, role);
            }
            code
        }
        (Ok(code) | Err(Error::PeerExit(code)), ..) => code,
        (Err(error), None, Some(report)) => {
            let code = error.exit_code();
            report.fail(code, role);
            code
        }
        (Err(error), None, None) => crate::fail_as(role, &error.to_string(), error.exit_code()),
    }
}

/// Deletions travel as what they are; everything else as text.
struct Observed {
    report: Arc<Report>,
    voice: ServerVoice,
}

impl Observer for Observed {
    fn event(&self, event: &Event<'_>) {
        if let Some(protocol) = self.voice.protocol() {
            self.report.set_protocol(protocol);
        }
        if let Event::Deleted { path, directory } = event {
            self.voice.send(Message::Deleted { name: path.to_vec(), directory: *directory });
        }
        self.report.event(event);
    }

    fn wants_items(&self) -> bool {
        self.report.wants_items()
    }

    fn traces(&self, flag: Debug, level: u8) -> bool {
        self.report.traces(flag, level)
    }
}

/// A server's output: messages, or standard error for what the mode keeps there (docs/spec session.md 7.6).
struct Told {
    voice: ServerVoice,
    mode: StderrMode,
    eight_bit: bool,
}

impl Output for Told {
    fn put(&mut self, class: Class, text: &[u8]) {
        let Some(kind) = class.text_kind() else { return };
        let old = self.voice.protocol().is_some_and(|protocol| protocol.number() < 29);
        let travels = match self.mode {
            StderrMode::All => false,
            StderrMode::Client => true,
            StderrMode::Errors => kind == TextKind::Info || old,
        };
        if !(travels && self.voice.say(class, text)) {
            // Whose terminal that is, is not known here.
            output::to_stderr(&escape::terminal(text, false, self.eight_bit));
        }
    }
}
