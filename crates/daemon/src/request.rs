//! What a client asks of its module: options, and paths made into the module's own (docs/spec daemon.md 10, 11).

use jiff::Timestamp;
use syncline_engine::report::local_zone;
use syncline_options::refuse::Refusals;
use syncline_options::{Context, Options, UsageError, parse_server, unescape};
use syncline_wire::Error as WireError;
use syncline_wire::daemon::{read_daemon_arguments, read_secluded_arguments};

use crate::entry::Entry;
use crate::expand::Expander;
use crate::hooks;
use crate::paths::message;
use crate::session::{Over, Session, Step};

/// A request as it is understood.
#[derive(Debug)]
pub(crate) struct Request {
    /// The client's options, before the module has its say.
    pub(crate) options: Options,
    /// Sources or one destination, below the module.
    pub(crate) arguments: Vec<Vec<u8>>,
    /// Why it is not performed.
    pub(crate) refusal: Option<Refusal>,
}

/// What a client is told once messages can travel, and the session's exit code.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) text: Vec<u8>,
    pub(crate) code: u8,
}

/// The words a client sent.
#[derive(Debug, Default)]
struct Words {
    options: Vec<Vec<u8>>,
    files: Vec<Vec<u8>>,
}

impl Words {
    fn split(mut words: Vec<Vec<u8>>) -> Self {
        let dot = words.iter().position(|word| word == b".").unwrap_or(words.len());
        let files = words.split_off(dot);
        Self { options: words, files: files.into_iter().skip(1).collect() }
    }
}

impl Request {
    /// Reads the request and tells the hook and the log.
    pub(crate) fn hear(session: &mut Session<'_>, entry: &mut Entry) -> Step<Self> {
        let Ok(protocol) = entry.protocol.as_ref().copied() else {
            session
                .log
                .warn("rsync error: protocol incompatibility (code 2): the client is too old");
            return Err(Over(2));
        };
        let refusals = Refusals::for_module(
            &session.expand(&entry.settings.refuse_options)?,
            !entry.settings.charset.is_empty(),
        );
        for token in refusals.unmatched() {
            session.log.warn(message![b"No match for refuse-options string \"", token, b"\""]);
        }
        let context = Context::at(Timestamp::now().to_zoned(local_zone()));
        let first = read_daemon_arguments(&mut session.link, protocol)
            .map_err(|error| session.unreadable(&error))?;
        let mut words = Words::split(first);
        words.options.iter_mut().for_each(|word| *word = unescape(word));
        let mut parsed = parse_server(&words.options, &context, &refusals);
        let secluded = parsed.options.connection.is_secluded();
        if secluded {
            let second = read_secluded_arguments(&mut session.link)
                .map_err(|error| session.unreadable(&error))?;
            let mut second = Words::split(second);
            // Secluded words travel in the wire's charset (docs/spec session.md 3.4).
            let converts = parsed.options.connection.iconv.is_some();
            if let Some(charset) = entry.charset.as_ref().filter(|_| converts) {
                let words = second.options.iter_mut().chain(&mut second.files);
                words.for_each(|word| *word = charset.text_to_local(word));
            }
            words.options.extend(second.options);
            words.files = second.files;
            parsed = parse_server(&words.options, &context, &refusals);
        }
        session.link.limit(None);
        let mut expander = Expander::new(entry);
        let arguments: Vec<Vec<u8>> =
            words.files.iter().flat_map(|word| expander.expand(word, secluded)).collect();
        let told = hooks::Request {
            arguments: [&words.options[..], &[b".".to_vec()], &arguments].concat(),
            words: words.files,
        };
        let mut refusal = parsed
            .error
            .as_ref()
            .map(|error| Refusal { text: error.to_string().into_bytes(), code: exit_code(error) });
        if let Some(hook) = entry.pre_transfer.take() {
            match hook.finish(&told) {
                Ok(Ok(())) => {}
                Ok(Err((status, output))) => {
                    let text = format!("pre-xfer exec returned failure ({status})");
                    let text = if output.is_empty() {
                        text.into_bytes()
                    } else {
                        message![text, b":\n", output]
                    };
                    refusal = Some(Refusal { text, code: 4 });
                }
                Err(error) => {
                    let reason = syncline_engine::reason(&error);
                    let text = format!("pre-xfer exec failed: {reason}").into_bytes();
                    refusal = Some(Refusal { text, code: 4 });
                }
            }
        }
        if let Some(converter) = &entry.name_converter
            && let Err(error) = converter.begin(&told)
        {
            let reason = syncline_engine::reason(&error);
            let text = format!("name converter failed: {reason}").into_bytes();
            refusal.get_or_insert(Refusal { text, code: 10 });
        }
        session.log_request(entry, &parsed.options, &told);
        Ok(Self { options: parsed.options, arguments, refusal })
    }
}

impl Session<'_> {
    fn unreadable(&self, error: &WireError) -> Over {
        match error {
            WireError::TooMany { .. } => {
                self.log.warn("too many daemon arguments");
                Over(2)
            }
            error => self.lost(error),
        }
    }

    fn log_request(&self, entry: &Entry, options: &Options, told: &hooks::Request) {
        let Some(text) = told.text() else { return };
        let sends = options.server.as_ref().is_some_and(|server| server.sender);
        let verb: &[u8] = if sends { b"rsync on " } else { b"rsync to " };
        let user = match &entry.user[..] {
            b"" => Vec::new(),
            user => message![user, b"@"],
        };
        self.log.info(message![verb, text, b" from ", user, self.peer.shown()]);
    }
}

fn exit_code(error: &UsageError) -> u8 {
    match error {
        UsageError::Word { .. } | UsageError::HackAttempt => 4,
        error => error.exit_code(),
    }
}
