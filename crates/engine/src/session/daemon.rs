//! The client's side of a daemon's greeting (docs/spec session.md 4.3 to 4.6).

use syncline_options::options::{ArgumentProtection, Options};
use syncline_options::{Direction, Packing};
use syncline_wire::daemon::{
    EARLY_INPUT_MAX, Greeting, LINE_MAX, choose_digest, put_daemon_arguments,
    put_secluded_arguments, read_line, respond,
};
use syncline_wire::{Protocol, WireRead};

use super::Connection;
use super::remember::{Admitted, Remembered};
use super::setup::{self, Expected};
use super::shell::{dashless, escape_option};
use crate::{Charset, Error, ExitCode, Result, Role};

/// What a client wants of a daemon.
#[derive(Clone, Debug)]
pub struct DaemonRequest<'a> {
    /// The options, some of which the daemon is told.
    pub options: &'a Options,
    /// The module; empty for a list of modules.
    pub module: &'a [u8],
    /// Who asks.
    pub user: &'a [u8],
    /// The paths, module names included.
    pub paths: &'a [Vec<u8>],
    /// Files come to us.
    pub pull: bool,
    /// What the daemon's early hooks are given (`--early-input`).
    pub early_input: Option<&'a [u8]>,
    /// What an earlier run showed of this daemon and module. Where it fits, nothing waits for what it tells; where it
    /// turns out to be wrong the run ends with [`Error::Outdated`], nothing changed, and is to be repeated without.
    pub memory: Option<&'a Remembered>,
}

/// What came of the request.
#[derive(Clone, Debug)]
pub enum Admission {
    /// The module is open; the version is settled and the arguments are on their way.
    Admitted(Admitted),
    /// The daemon has listed its modules and is done.
    Listed,
}

/// A connection over which both greetings went, and nothing else: it can be kept for a while (docs/spec live.md 5.3).
#[derive(Debug)]
pub struct Greeted {
    /// The connection.
    pub connection: Connection,
    own: Greeting,
    peer: Greeting,
}

impl Greeted {
    /// Exchanges greetings.
    pub fn exchange(mut connection: Connection, own: Protocol) -> Result<Self> {
        let own = Greeting::own(own);
        put(&connection, own.to_line().as_bytes());
        let line = read_line(&mut connection.input, LINE_MAX)
            .map_err(|error| lost(&connection, error, Role::Client, NO_GREETING))?;
        let peer = Greeting::parse(&line).map_err(started)?;
        Ok(Self { connection, own, peer })
    }

    /// Whether the daemon still holds the connection, as far as it can be known without asking it.
    pub fn is_alive(&mut self) -> bool {
        self.connection.input.is_open()
    }
}

const NO_GREETING: &str = "rsync: did not see server greeting";
const NO_ANSWER: &str = "rsync: didn't get server startup line";

impl DaemonRequest<'_> {
    /// Goes through the greeting. `text` takes lines for the user (message of the day, module list) that come before
    /// the last word is said; `password` is asked for one if the daemon wants it.
    pub fn enter(
        &self,
        connection: &mut Connection,
        own: Protocol,
        text: &mut dyn FnMut(&[u8]),
        password: &mut dyn FnMut() -> Result<Vec<u8>>,
    ) -> Result<Admission> {
        let greeting = Greeting::own(own);
        let memory = self.memory;
        let mut out = greeting.to_line().into_bytes();
        let ahead = self.put_request(&mut out, memory)?;
        put(connection, &out);
        let line = read_line(&mut connection.input, LINE_MAX).map_err(|error| {
            match lost(connection, error, self.role(), NO_GREETING) {
                Error::Timeout { seconds, role } => Error::Timeout { seconds, role },
                _ if ahead => Error::Outdated,
                error => error,
            }
        })?;
        let peer = Greeting::parse(&line).map_err(started)?;
        if ahead && memory.is_some_and(|memory| memory.greeting != peer) {
            return Err(Error::Outdated);
        }
        self.admit(connection, &greeting, &peer, memory, ahead, text, password)
    }

    /// The same where the greeting is over.
    pub fn enter_greeted(
        &self,
        greeted: &mut Greeted,
        text: &mut dyn FnMut(&[u8]),
        password: &mut dyn FnMut() -> Result<Vec<u8>>,
    ) -> Result<Admission> {
        let Greeted { connection, own, peer } = greeted;
        let memory = self.memory.filter(|memory| memory.greeting == *peer);
        let mut out = Vec::new();
        let ahead = self.put_request(&mut out, memory)?;
        // The time it was kept is not held against the daemon.
        connection.clock.touch();
        put(connection, &out);
        self.admit(connection, own, peer, memory, ahead, text, password)
    }

    /// The module, and the arguments behind it where it is known that the module asks for no password: it would take
    /// them for the answer. Whether they are.
    fn put_request(&self, out: &mut Vec<u8>, memory: Option<&Remembered>) -> Result<bool> {
        if let Some(early) = self.early_input.filter(|early| !early.is_empty()) {
            if early.len() > EARLY_INPUT_MAX {
                let file = self.options.connection.early_input.as_deref().unwrap_or_default();
                let file = String::from_utf8_lossy(file);
                let text = format!("{file} is > {EARLY_INPUT_MAX} bytes.");
                return Err(Error::fatal(ExitCode::START, text));
            }
            out.extend_from_slice(format!("#early_input={}\n", early.len()).as_bytes());
            out.extend_from_slice(early);
        }
        out.extend_from_slice(self.module);
        out.push(b'\n');
        self.put_ahead(out, memory.filter(|memory| !memory.asks_password))
    }

    /// From the module's line on. `ahead` tells that the arguments are on their way; then the answer is left to the
    /// set-up.
    #[allow(clippy::too_many_arguments)]
    fn admit(
        &self,
        connection: &mut Connection,
        own: &Greeting,
        peer: &Greeting,
        memory: Option<&Remembered>,
        mut ahead: bool,
        text: &mut dyn FnMut(&[u8]),
        password: &mut dyn FnMut() -> Result<Vec<u8>>,
    ) -> Result<Admission> {
        let protocol = own.negotiate(peer).map_err(|error| Error::wire(self.role(), error))?;
        let memory = memory.filter(|memory| memory.greeting == *peer);
        let mut asks_password = false;
        while !ahead {
            let line = read_line(&mut connection.input, LINE_MAX)
                .map_err(|error| lost(connection, error, self.role(), NO_ANSWER))?;
            match Answer::of(&line) {
                Answer::Challenge(challenge) if !asks_password => {
                    asks_password = true;
                    let digest =
                        choose_digest(own.digests.as_deref(), peer.digests.as_deref(), protocol)
                            .map_err(started)?;
                    let response = respond(digest, &password()?, challenge);
                    let mut answer = [self.user, b" ", response.as_bytes(), b"\n"].concat();
                    ahead = self.put_ahead(&mut answer, memory)?;
                    put(connection, &answer);
                }
                Answer::Challenge(_) => {
                    let text = "rsync: the server asked for a password twice";
                    return Err(Error::fatal(ExitCode::START, text));
                }
                Answer::Admitted => break,
                Answer::Listed => return Ok(Admission::Listed),
                Answer::Refused(error) => return Err(error),
                Answer::Text => text(&line),
            }
        }
        let words = self.words(protocol)?;
        let memory = memory.filter(|memory| memory.fits(&words));
        if !ahead {
            let mut out = Vec::new();
            self.put_set_up(&mut out, &words, memory, protocol);
            put(connection, &out);
        }
        connection.expected = memory.map(|memory| Expected::new(self.options, memory, !ahead));
        let words = [words.head, words.rest].concat();
        let greeting = peer.clone();
        Ok(Admission::Admitted(Admitted { protocol, greeting, asks_password, words }))
    }

    /// Everything that can be said without the daemon's word, if that is known. Whether it is.
    fn put_ahead(&self, out: &mut Vec<u8>, memory: Option<&Remembered>) -> Result<bool> {
        let Some(memory) = memory else { return Ok(false) };
        let protocol = memory.terms.protocol;
        let words = self.words(protocol)?;
        let fits = memory.fits(&words);
        if fits {
            self.put_set_up(out, &words, Some(memory), protocol);
        }
        Ok(fits)
    }

    /// The arguments, and the chosen algorithms behind them where they are known.
    fn put_set_up(
        &self,
        out: &mut Vec<u8>,
        words: &Words,
        memory: Option<&Remembered>,
        protocol: Protocol,
    ) {
        let mut rest = words.rest.clone();
        rest.extend(self.paths.iter().map(|path| self.path_word(path)));
        if self.options.connection.protection == ArgumentProtection::Secluded {
            put_daemon_arguments(out, &words.head, protocol);
            if let Some(charset) = &words.charset {
                rest = rest.iter().map(|word| charset.text_to_wire(word)).collect();
            }
            put_secluded_arguments(out, &rest);
        } else {
            let all = [words.head.clone(), rest].concat();
            put_daemon_arguments(out, &all, protocol);
        }
        if let Some(memory) = memory {
            setup::put_chosen(out, self.options, &memory.terms);
        }
    }

    /// The words in front of the paths.
    fn words(&self, protocol: Protocol) -> Result<Words> {
        let direction = if self.pull { Direction::Pull } else { Direction::Push };
        let packing = Packing { direction, version: protocol.number() };
        let packed = self
            .options
            .pack(packing)
            .map_err(|error| Error::fatal(ExitCode::USAGE, error.to_string()))?;
        let mut rest = packed.options.clone();
        let escapes = !matches!(
            self.options.connection.protection,
            ArgumentProtection::Secluded | ArgumentProtection::Nothing
        );
        if escapes {
            rest = rest.iter().map(|word| escape_option(word)).collect();
        }
        rest.extend(packed.remote_options.iter().cloned());
        rest.push(b".".to_vec());
        let secluded = self.options.connection.protection == ArgumentProtection::Secluded;
        let charset = match self.options.connection.iconv.as_ref().filter(|_| secluded) {
            Some(iconv) => Some(Charset::open(&iconv.local)?),
            None => None,
        };
        Ok(Words { head: packed.head.clone(), rest, charset })
    }

    fn role(&self) -> Role {
        if self.pull { Role::Destination } else { Role::Sender }
    }

    /// A path as daemons take it: they split at the module's name in the middle of an argument.
    fn path_word(&self, path: &[u8]) -> Vec<u8> {
        let mut path = dashless(path);
        if path == self.module {
            path.push(b'/');
        }
        let splits = !matches!(
            self.options.connection.protection,
            ArgumentProtection::OldArgs
                | ArgumentProtection::Nothing
                | ArgumentProtection::Secluded
        );
        if !splits {
            return path;
        }
        let wanted = [b" ", self.module, b"/"].concat();
        let replaced = [b"[ ]", self.module, b"/"].concat();
        let mut word = Vec::with_capacity(path.len());
        let mut rest = &path[..];
        while let Some(at) = rest.windows(wanted.len()).position(|window| window == wanted) {
            word.extend_from_slice(&rest[..at]);
            word.extend_from_slice(&replaced);
            rest = &rest[at + wanted.len()..];
        }
        word.extend_from_slice(rest);
        word
    }
}

/// The words of a request in front of the paths.
struct Words {
    head: Vec<Vec<u8>>,
    rest: Vec<Vec<u8>>,
    /// That of words which are secluded.
    charset: Option<Charset>,
}

impl Remembered {
    fn fits(&self, words: &Words) -> bool {
        self.words.iter().eq(words.head.iter().chain(&words.rest))
    }
}

/// A line of a daemon that was asked for a module.
enum Answer<'a> {
    Challenge(&'a [u8]),
    Admitted,
    Listed,
    Refused(Error),
    Text,
}

impl<'a> Answer<'a> {
    fn of(line: &'a [u8]) -> Self {
        if let Some(challenge) = line.strip_prefix(b"@RSYNCD: AUTHREQD ") {
            return Self::Challenge(challenge);
        }
        match line {
            b"@RSYNCD: OK" => Self::Admitted,
            b"@RSYNCD: EXIT" => Self::Listed,
            line if line.starts_with(b"@ERROR") => {
                let text = String::from_utf8_lossy(line).into_owned();
                Self::Refused(Error::fatal(ExitCode::START, text))
            }
            _ => Self::Text,
        }
    }
}

/// Hears whether a module is open, where that was taken for granted; what a refusal says.
pub(super) fn hear_admission(input: &mut impl WireRead) -> syncline_wire::Result<Option<Error>> {
    loop {
        match Answer::of(&read_line(input, LINE_MAX)?) {
            Answer::Admitted => return Ok(None),
            Answer::Refused(error) => return Ok(Some(error)),
            Answer::Challenge(_) | Answer::Listed => return Ok(Some(Error::Outdated)),
            Answer::Text => {}
        }
    }
}

/// Whether it could be written shows in what is read: a daemon that refuses has said why before it ended.
fn put(connection: &Connection, bytes: &[u8]) {
    connection.output.buffer().extend_from_slice(bytes);
    let _ = connection.output.flush();
}

fn lost(
    connection: &Connection,
    error: syncline_wire::Error,
    role: Role,
    text: &'static str,
) -> Error {
    match error {
        syncline_wire::Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            let seconds = connection.clock.limit().map_or(0, |limit| limit.as_secs());
            Error::Timeout { seconds, role }
        }
        syncline_wire::Error::Io(error) => {
            Error::system(ExitCode::SOCKET, role, "read error", error)
        }
        _ => Error::fatal(ExitCode::START, text),
    }
}

fn started(error: syncline_wire::Error) -> Error {
    Error::fatal(ExitCode::START, format!("rsync: {error}"))
}
