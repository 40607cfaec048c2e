//! The program the user started.

use std::fs::File;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use syncline_engine::local::LocalPlan;
use syncline_engine::report::{Class, Direction, Report, Setting};
use syncline_engine::session::daemon::Admission;
use syncline_engine::session::shell::{RemoteShell, server_command};
use syncline_engine::session::{BatchPlan, ClientPlan, Connection, rules_of};
use syncline_engine::source::{CvsPlaces, OperatorFiles};
use syncline_engine::{
    Cause, Error, ExitCode, Job, Monitor, OperatorPaths, Place, Role, Terms, locale_charset,
};
use syncline_filter::Rules;
use syncline_options::options::{ArgumentProtection, SuperUser};
use syncline_options::values::flags::{Debug, Info};
use syncline_options::{
    Command, Form, Options, Packing, Refusals, Remote, Transport, Word, parse_server,
};
use syncline_options::{Direction as Way, Job as Arguments};

use crate::output::Streams;
use crate::password::Passwords;
use crate::{daemon, parallel, script, signals};

/// The options of a local copy's receiving end, if `-M` has any for it: those of the command line, and these behind
/// them.
fn receiving_options(options: &Options) -> Result<Option<Options>, Error> {
    let words = &options.connection.remote_options;
    if words.is_empty() {
        return Ok(None);
    }
    let wrong = |text: String| Error::fatal(ExitCode::STREAM, text);
    let context = crate::context();
    let theirs = parse_server(words, &context, &Refusals::default());
    if let Some(error) = theirs.error {
        return Err(wrong(error.to_string()));
    }
    if theirs.options.output.log_file.is_some() || theirs.options.connection.dry_run {
        let text = "rsync: a local copy is one process: --log-file and --dry-run hold for both ends, without -M";
        return Err(wrong(text.into()));
    }
    let mut all: Vec<Word> = std::env::args_os().skip(1).map(OsStringExt::into_vec).collect();
    let end = all.iter().position(|word| word == b"--").unwrap_or(all.len());
    all.splice(end..end, words.iter().cloned());
    match syncline_options::parse(&all, &context) {
        Ok(Command::Transfer(mut both)) => {
            both.attributes.munge_links = theirs.options.attributes.munge_links;
            both.attributes.chmod = theirs.options.attributes.chmod;
            Ok(Some(*both))
        }
        Ok(_) => Ok(None),
        Err(error) => Err(wrong(error.to_string())),
    }
}

/// Does what the command line asks for.
pub(crate) fn run(options: Options) -> ExitCode {
    if let Some(error) = syncline_engine::unperformed(&options) {
        return crate::usage(&error, false);
    }
    let arguments = match options.job() {
        Ok(arguments) => arguments,
        Err(error) => return crate::usage(&error, false),
    };
    Run::new(options, arguments).run()
}

/// A run, or one session of it.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) job: Job,
    pub(crate) options: Options,
    pub(crate) arguments: Arguments,
    pub(crate) report: Arc<Report>,
    pub(crate) monitor: Monitor,
    pub(crate) start: Instant,
    /// The rules of the command line, where they were read already.
    pub(crate) rules: Option<Rules>,
    pub(crate) opening: Opening,
    /// The version that was agreed on, once it is.
    pub(crate) protocol: Arc<AtomicU8>,
    pub(crate) passwords: Arc<Passwords>,
}

/// What is said when a session begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Opening {
    /// The line that heads a run.
    Heading,
    /// Nothing: it was said before.
    Continued,
    /// Nothing: the session is not seen.
    Unseen,
}

/// How a run, or a session of it, ended, and in which role.
pub(crate) type Ended = (Result<ExitCode, Error>, Role);

impl Run {
    fn new(options: Options, arguments: Arguments) -> Self {
        let direction = match &arguments.form {
            Form::Push { .. } => Direction::Push,
            Form::Pull { .. } | Form::ModuleList { .. } | Form::Batch { .. } => Direction::Pull,
            _ => Direction::Local,
        };
        let setting = Setting {
            options: options.clone(),
            direction,
            listing: arguments.listing,
            server: false,
            decimal_point: '.',
        };
        let (log, log_problem) = open_log(&options, &OperatorPaths::of(&options));
        let report = Arc::new(Report::new(setting, Box::new(Streams::new(&options, log))));
        if let Some(problem) = log_problem {
            report.line(Class::Error, problem.as_bytes());
            report.line(Class::Info, b"Ignoring \"log file\" setting.");
        }
        let monitor = Monitor::new(report.clone());
        monitor.trace(Debug::Iconv, 2, || {
            format!("msg checking charset: {}", locale_charset()).into_bytes()
        });
        let local = direction == Direction::Local;
        let job = Job::new(options.clone(), if local { Place::Local } else { Place::Client });
        if let Err(error) = signals::watch(&job) {
            let text = format!("rsync: [client] signals: {}", syncline_engine::reason(&error));
            report.line(Class::Error, text.as_bytes());
        }
        Self {
            job,
            options,
            arguments,
            report,
            monitor,
            start: Instant::now(),
            rules: None,
            opening: Opening::Heading,
            protocol: Arc::default(),
            passwords: Arc::default(),
        }
    }

    fn run(mut self) -> ExitCode {
        if let Form::ModuleList { remote } = &self.arguments.form {
            return match self.modules(remote) {
                (Ok(code), _) => code,
                (result, role) => self.finish(result, role, self.job.interrupt.cause()),
            };
        }
        if self.options.parallel > 1 && !self.arguments.listing {
            match rules_of(&self.options, &mut operator_files(self.job.paths.clone())) {
                Ok(rules) => self.rules = Some(rules),
                Err(error) => return self.finish(Err(error), Role::Client, None),
            }
            if let Some(((result, role), cause)) = parallel::run(&self) {
                return self.finish(result, role, cause);
            }
        }
        let (result, role) = self.session();
        self.finish(result, role, self.job.interrupt.cause())
    }

    /// Does it all, or the part of it that the rules leave.
    pub(crate) fn session(&self) -> Ended {
        match self.arguments.form.clone() {
            Form::Push { sources, remote, destination } => {
                self.remote(&remote, false, sources, &[destination], None)
            }
            Form::Pull { remote, sources, destination } => {
                self.remote(&remote, true, Vec::new(), &sources, destination)
            }
            Form::Local { sources, destination: Some(destination) }
                if self.needs_stream() && !self.arguments.listing =>
            {
                self.local_by_stream(sources, &destination)
            }
            Form::Local { sources, destination } => self.local(sources, destination),
            Form::Batch { destination } => self.batch(destination),
            _ => (
                Err(Error::fatal(ExitCode::UNSUPPORTED, "this form is not performed yet")),
                Role::Client,
            ),
        }
    }

    fn rules(&self, files: &mut OperatorFiles) -> Result<Rules, Error> {
        self.rules.clone().map_or_else(|| rules_of(&self.options, files), Ok)
    }

    fn begin(&self, terms: &Terms) {
        self.protocol.store(terms.protocol.number(), Ordering::Relaxed);
        match self.opening {
            Opening::Heading => self.report.begin(terms),
            Opening::Continued => self.report.continue_with(terms),
            Opening::Unseen => {}
        }
    }

    fn local(&self, sources: Vec<Vec<u8>>, destination: Option<Vec<u8>>) -> Ended {
        let receiving = match receiving_options(&self.options) {
            Ok(receiving) => receiving,
            Err(error) => return (Err(error), Role::Client),
        };
        let mut files = operator_files(self.job.paths.clone());
        let rules = match self.rules(&mut files) {
            Ok(rules) => rules,
            Err(error) => return (Err(error), Role::Client),
        };
        let plan = LocalPlan {
            job: Job { receiving: receiving.map(Box::new), ..self.job.clone() },
            sources,
            names: None,
            destination,
            listing: self.arguments.listing,
            start: std::env::current_dir().unwrap_or_default(),
            rules,
            files,
        };
        plan.run(&|terms: &Terms| self.begin(terms), &self.monitor)
    }

    /// Whether a copy within this machine is to be recorded, or has ends of different charsets.
    fn needs_stream(&self) -> bool {
        self.options.batch.write.is_some() || self.options.connection.iconv.is_some()
    }

    /// Such a copy's far end is a process of this program.
    fn local_by_stream(&self, sources: Vec<Vec<u8>>, destination: &[u8]) -> Ended {
        let role = Role::Sender;
        let begun = |terms: &Terms| self.begin(terms);
        let plan = match self.plan(false, sources, &[], None, &begun) {
            Ok(plan) => plan,
            Err(error) => return (Err(error), Role::Client),
        };
        if let Err(error) = self.write_script(destination, &plan.rules, role) {
            return (Err(error), role);
        }
        let words = match local_server(&self.options, destination) {
            Ok(words) => words,
            Err(error) => return (Err(error), role),
        };
        self.spawn(&words, None, plan, role)
    }

    /// Does what a batch file has recorded.
    fn batch(&self, destination: Vec<u8>) -> Ended {
        let mut files = operator_files(self.job.paths.clone());
        let rules = match self.rules(&mut files) {
            Ok(rules) => rules,
            Err(error) => return (Err(error), Role::Client),
        };
        let plan = BatchPlan {
            job: self.job.clone(),
            file: self.options.batch.read.clone().unwrap_or_default(),
            destination,
            start: std::env::current_dir().unwrap_or_default(),
            rules,
            files,
            adapted: &|class, text| {
                if self.options.output.info.level(Info::Misc) > 0 {
                    self.report.line(class, text.as_bytes());
                }
            },
            begun: &|terms: &Terms| self.begin(terms),
        };
        plan.run(&self.monitor)
    }

    /// The script beside a batch file.
    fn write_script(&self, destination: &[u8], rules: &Rules, role: Role) -> Result<(), Error> {
        let words: Vec<Vec<u8>> = std::env::args_os().map(OsStringExt::into_vec).collect();
        script::write(&self.job, &words, destination, rules, role)
    }

    fn finish(
        &self,
        result: Result<ExitCode, Error>,
        role: Role,
        cause: Option<Cause>,
    ) -> ExitCode {
        let code = self.report_end(result, role, cause);
        let tally = self.monitor.tally();
        self.monitor.trace(Debug::Io, 1, || {
            let (sent, received) = (tally.sent.get(), tally.received.get());
            format!("[{role}] {sent} bytes out, {received} bytes in").into_bytes()
        });
        let text = || format!("[{role}] exits with code {}", code.number()).into_bytes();
        self.monitor.trace(Debug::Exit, 1, text);
        code
    }

    fn report_end(
        &self,
        result: Result<ExitCode, Error>,
        role: Role,
        cause: Option<Cause>,
    ) -> ExitCode {
        let code = match (result, cause) {
            (Ok(code), _) => {
                self.report.summarize(self.monitor.tally(), self.start.elapsed().as_secs());
                code
            }
            (Err(_), Some(cause)) => {
                let code = signals::code_of(cause);
                if cause == Cause::Deadline {
                    self.report.line(Class::Error, signals::AT_LIMIT.as_bytes());
                }
                self.report.fail(code, role);
                return code;
            }
            // The peer has said why.
            (Err(Error::PeerExit(code)), None) => return code,
            (Err(error), None) => {
                let text = error.to_string();
                for line in text.lines() {
                    self.report.line(Class::Error, line.as_bytes());
                }
                self.report.fail(error.exit_code(), error.role().unwrap_or(role));
                return error.exit_code();
            }
        };
        if code != ExitCode::OK {
            self.report.fail(code, role);
        }
        code
    }

    fn remote(
        &self,
        remote: &Remote,
        pull: bool,
        sources: Vec<Vec<u8>>,
        paths: &[Vec<u8>],
        destination: Option<Vec<u8>>,
    ) -> Ended {
        let role = if pull { Role::Destination } else { Role::Sender };
        let begun = |terms: &Terms| self.begin(terms);
        let target = destination.clone().or_else(|| paths.first().cloned()).unwrap_or_default();
        let plan = match self.plan(pull, sources, paths, destination, &begun) {
            Ok(plan) => {
                ClientPlan { requested: (paths.to_vec(), remote.transport.is_daemon()), ..plan }
            }
            Err(error) => return (Err(error), Role::Client),
        };
        if let Err(error) = self.write_script(&target, &plan.rules, role) {
            return (Err(error), role);
        }
        match remote.transport {
            Transport::Shell => self.shell(remote, plan, paths, role),
            Transport::Daemon { port, tls } => {
                let reached = daemon::reach(&self.job, remote, (port, tls), role, &self.report);
                self.daemon(reached, remote, Some(plan), paths, role)
            }
            Transport::DaemonOverShell { port } => {
                let reached = daemon::reach_by_shell(&self.job, remote, port, role);
                self.daemon(reached, remote, Some(plan), paths, role)
            }
            _ => (
                Err(Error::fatal(ExitCode::UNSUPPORTED, "this transport is not performed yet")),
                role,
            ),
        }
    }

    /// What every run with a far end is made of.
    fn plan<'a>(
        &self,
        pull: bool,
        sources: Vec<Vec<u8>>,
        paths: &[Vec<u8>],
        destination: Option<Vec<u8>>,
        begun: &'a dyn Fn(&Terms),
    ) -> Result<ClientPlan<'a>, Error> {
        let mut files = operator_files(self.job.paths.clone());
        let rules = self.rules(&mut files)?;
        let variable = |name: &str| std::env::var(name).ok();
        Ok(ClientPlan {
            job: self.job.clone(),
            sources,
            names: None,
            requested: (paths.to_vec(), false),
            destination,
            pull,
            listing: self.arguments.listing,
            start: std::env::current_dir().unwrap_or_default(),
            rules,
            files,
            settled: None,
            lists: (variable("RSYNC_CHECKSUM_LIST"), variable("RSYNC_COMPRESS_LIST")),
            begun,
        })
    }

    /// The modules of a daemon.
    fn modules(&self, remote: &Remote) -> Ended {
        let role = Role::Destination;
        let reached = match remote.transport {
            Transport::DaemonOverShell { port } => {
                daemon::reach_by_shell(&self.job, remote, port, role)
            }
            Transport::Daemon { port, tls } => {
                daemon::reach(&self.job, remote, (port, tls), role, &self.report)
            }
            _ => {
                let text = "this transport is not performed yet";
                Err(Error::fatal(ExitCode::UNSUPPORTED, text))
            }
        };
        self.daemon(reached, remote, None, &[], role)
    }

    /// Goes through a daemon's greeting, and runs the plan if there is one.
    fn daemon(
        &self,
        reached: Result<daemon::Reached, Error>,
        remote: &Remote,
        plan: Option<ClientPlan<'_>>,
        paths: &[Vec<u8>],
        role: Role,
    ) -> Ended {
        let mut reached = match reached {
            Ok(reached) => reached,
            Err(error) => return (Err(error), role),
        };
        let pull = plan.as_ref().is_none_or(|plan| plan.pull);
        let admitted = daemon::enter(
            &mut reached.connection,
            &self.options,
            remote,
            paths,
            pull,
            &self.report,
            &self.passwords,
        );
        let (result, role) = match (admitted, plan) {
            // Not waited for: the program in between ends when our process lets go of the connection.
            (Err(error), _) => return (Err(error), role),
            (Ok(Admission::Admitted(admitted)), Some(mut plan)) => {
                plan.settled = Some(admitted.protocol);
                plan.run(reached.connection, &self.monitor)
            }
            (Ok(_), _) => return (Ok(ExitCode::OK), role),
        };
        if let Some(tunnel) = reached.tunnel.filter(|_| result.is_ok()) {
            tunnel.finish();
        }
        match reached.child {
            Some(child) => {
                let status = RemoteShell::wait(child, result.is_err());
                (merge(result, status), role)
            }
            None => (result, role),
        }
    }

    fn shell(&self, remote: &Remote, plan: ClientPlan<'_>, paths: &[Vec<u8>], role: Role) -> Ended {
        let direction = if plan.pull { Way::Pull } else { Way::Push };
        let version =
            self.options.connection.protocol.map_or(32, |number| number.clamp(0, 32) as u8);
        let command = server_command(
            &self.options,
            remote.host.user.as_deref(),
            &remote.host.name,
            direction,
            version,
            paths,
        );
        let (words, secluded) = match command {
            Ok(command) => command,
            Err(error) => return (Err(error), role),
        };
        if self.options.output.debug.level(Debug::Cmd) >= 2 {
            for line in detailed_command(&self.options, remote, paths, &words) {
                self.report.line(Class::ClientInfo, &line);
            }
        }
        if self.options.output.debug.level(Debug::Cmd) >= 1 {
            self.report.line(Class::ClientInfo, &shown_command(&words));
        }
        self.spawn(&words, secluded, plan, role)
    }

    /// Starts a server and runs the plan on its streams.
    fn spawn(
        &self,
        words: &[Vec<u8>],
        secluded: Option<Vec<Vec<u8>>>,
        plan: ClientPlan<'_>,
        role: Role,
    ) -> Ended {
        let shell = match RemoteShell::spawn(words, &[], role) {
            Ok(shell) => shell,
            Err(error) => return (Err(error), role),
        };
        let (reader, writer, child) = shell.into_parts();
        let connection = Connection::new(reader, writer, &self.options, &self.job.interrupt);
        let (result, role) = match connection {
            Ok(connection) => {
                if let Some(words) = secluded {
                    connection.send_secluded(&words);
                }
                plan.run(connection, &self.monitor)
            }
            Err(error) => (Err(error), role),
        };
        let status = RemoteShell::wait(child, result.is_err());
        (merge(result, status), role)
    }
}

/// The words that start this program as the far end of a copy within this machine.
fn local_server(options: &Options, destination: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    let mut options = options.clone();
    // No shell is in between.
    options.connection.protection = ArgumentProtection::Nothing;
    let version = options.connection.protocol.map_or(32, |number| number.clamp(0, 32) as u8);
    let program = std::env::current_exe()
        .map_err(|error| Error::system(ExitCode::IPC, Role::Sender, "current program", error))?;
    let packed = options
        .pack(Packing { direction: Way::Push, version })
        .map_err(|error| Error::fatal(ExitCode::USAGE, error.to_string()))?;
    let mut words = vec![program.into_os_string().into_vec()];
    words.extend(packed.head);
    words.extend(packed.options);
    words.extend(packed.remote_options);
    if options.data.whole_file.is_none() && options.copies_whole_files(true) {
        words.push(b"--whole-file".to_vec());
    }
    // Both ends are this side.
    let attributes = &options.attributes;
    let own = [
        (attributes.munge_links == Some(true), "--munge-links"),
        (attributes.drop_devices, "--drop-D"),
        (attributes.super_user == SuperUser::Fake, "--fake-super"),
        (attributes.insecure_links, "--insecure-links"),
        // Another machine's server is not told.
        (options.output.debug.level(Debug::Iconv) > 0, "--debug=iconv"),
    ];
    words.extend(own.iter().filter(|(on, _)| *on).map(|(_, word)| word.as_bytes().to_vec()));
    let named = [("confine-root", &attributes.confine_root), ("copy-as", &attributes.copy_as)];
    for (name, value) in named {
        let word = |value: &Vec<u8>| [b"--", name.as_bytes(), b"=", value].concat();
        words.extend(value.as_ref().map(word));
    }
    words.push(b".".to_vec());
    let dash = destination.starts_with(b"-");
    words.push(if dash { [b"./", destination].concat() } else { destination.to_vec() });
    Ok(words)
}

/// The child's status counts where it is worse (docs/spec session.md 12.2).
fn merge(result: Result<ExitCode, Error>, status: ExitCode) -> Result<ExitCode, Error> {
    match result {
        Ok(code) if status.number() > code.number() => Ok(status),
        Err(error)
            if (matches!(error, Error::Closed { .. }) || error.exit_code() == ExitCode::SOCKET)
                && status.number() > ExitCode::STREAM.number() =>
        {
            Err(Error::fatal(status, error.to_string()))
        }
        result => result,
    }
}

/// The further lines of `--debug=CMD2`.
fn detailed_command(
    options: &Options,
    remote: &Remote,
    paths: &[Vec<u8>],
    words: &[Vec<u8>],
) -> [Vec<u8>; 2] {
    let parts = [
        (&b"cmd="[..], options.connection.shell()),
        (b" machine=", &remote.host.name),
        (b" user=", remote.host.user.as_deref().unwrap_or(b"<NULL>")),
        (b" path=", paths.first().map_or(&b""[..], Vec::as_slice)),
    ];
    let whole = parts.iter().flat_map(|(name, value)| [*name, *value]).collect::<Vec<_>>().concat();
    let mut each = Vec::new();
    for (place, word) in words.iter().enumerate() {
        each.extend_from_slice(format!("cmd[{place}]=").as_bytes());
        each.extend_from_slice(word);
        each.push(b' ');
    }
    [whole, each]
}

/// The line of `--debug=CMD`: words that a shell might misread are quoted.
fn shown_command(words: &[Vec<u8>]) -> Vec<u8> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b",.-_=+@/".contains(byte);
    let mut line = b"opening connection using:".to_vec();
    for word in words {
        line.push(b' ');
        if word.iter().all(plain) {
            line.extend_from_slice(word);
        } else {
            line.extend([&b"\""[..], word, b"\""].concat());
        }
    }
    line.extend_from_slice(format!("  ({} args)", words.len()).as_bytes());
    line
}

/// How rule files are read on behalf of the user.
pub(crate) fn operator_files(paths: OperatorPaths) -> OperatorFiles {
    OperatorFiles {
        paths,
        cvs: CvsPlaces {
            home: std::env::home_dir(),
            environment: std::env::var("CVSIGNORE").unwrap_or_default().into_bytes(),
        },
        ..OperatorFiles::default()
    }
}

/// The log file, and what is wrong with it.
fn open_log(options: &Options, paths: &OperatorPaths) -> (Option<File>, Option<String>) {
    let Some(path) = &options.output.log_file else { return (None, None) };
    match paths.create_file(Path::new(std::ffi::OsStr::from_bytes(path)), true, 0o644) {
        Ok(file) => (Some(file), None),
        Err(error) => {
            let shown = String::from_utf8_lossy(path);
            let text =
                format!("rsync: [client] failed to open log-file {shown}: {}", error.reason());
            (None, Some(text))
        }
    }
}
