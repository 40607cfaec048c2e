//! The command line after `--daemon` (cli.md 3.11, daemon.md 4.2).

use crate::error::{Speaker, UsageError};
use crate::options::Family;
use crate::parse::{Item, Parser};
use crate::table::{Effect, Mode};
use crate::values::format::Format;
use crate::word::Word;

/// What a daemon's command line asks for. Values beat those of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonOptions {
    /// `--server`: one session on standard input and output.
    pub server: bool,
    /// Whether to go into the background.
    pub detach: bool,
    /// `--config`.
    pub config: Option<Word>,
    /// `--dparam`: name and value, in order. Whether the name exists is the configuration's to say.
    pub parameters: Vec<(Word, Word)>,
    /// `--address`.
    pub address: Option<Word>,
    /// `--port` as given; whether it is one is found out when listening.
    pub port: Option<i32>,
    /// `--sockopts`.
    pub sockopts: Option<Word>,
    /// `-4`, `-6`.
    pub family: Family,
    /// `--bwlimit` in KiB a second.
    pub bwlimit: Option<u32>,
    /// `--log-file`.
    pub log_file: Option<Word>,
    /// `--log-file-format`.
    pub log_file_format: Option<Format>,
    /// `--temp-dir`.
    pub temp_dir: Option<Word>,
    /// `--protocol`.
    pub protocol: Option<i32>,
    /// Count of `-v`.
    pub verbose: u8,
    /// `--check-config`.
    pub check_config: bool,
    /// `--print-config`.
    pub print_config: bool,
}

impl Default for DaemonOptions {
    fn default() -> Self {
        Self {
            server: false,
            detach: true,
            config: None,
            parameters: Vec::new(),
            address: None,
            port: None,
            sockopts: None,
            family: Family::Any,
            bwlimit: None,
            log_file: None,
            log_file_format: None,
            temp_dir: None,
            protocol: None,
            verbose: 0,
            check_config: false,
            print_config: false,
        }
    }
}

#[derive(Default)]
pub(crate) struct DaemonDraft {
    pub(crate) o: DaemonOptions,
    pub(crate) daemon: bool,
    pub(crate) help: bool,
    pub(crate) port: Option<i32>,
}

/// What to do after parsing.
pub(crate) enum DaemonCommand {
    Help,
    Run(Box<DaemonOptions>),
}

/// Parses a whole command line with the rows of daemon mode. `implied`: the program is a daemon whatever it is told.
pub(crate) fn parse(words: &[Word], implied: bool) -> Result<DaemonCommand, UsageError> {
    let mut draft = DaemonDraft { daemon: implied, ..DaemonDraft::default() };
    for item in Parser::new(words, Mode::Daemon, Speaker::Daemon) {
        match item? {
            // A daemon takes no arguments and does not mind them.
            Item::Argument(_) => {}
            Item::Option(occurrence) => {
                if let Effect::Daemon(effect) = occurrence.row.effect {
                    effect(&mut draft, &occurrence)?;
                }
                if draft.help {
                    return Ok(DaemonCommand::Help);
                }
            }
        }
    }
    if !draft.daemon {
        return Err(UsageError::DaemonOptionAlone);
    }
    draft.o.port = draft.port.filter(|&port| port != 0);
    Ok(DaemonCommand::Run(Box::new(draft.o)))
}
