//! Filter rules: from the options, over the connection, to each side's filter (docs/spec session.md 8).

use syncline_filter::{
    ClientRules, Direction, Filter, FilterError, ImpliedRules, Rules, SectionOptions, Settings,
    Side, wire_length, write_section,
};
use syncline_options::Options;
use syncline_options::options::{DeleteWhen, FilterArgument, Partial};
use syncline_wire::{Protocol, WireRead};

use super::Peer;
use crate::source::OperatorFiles;
use crate::{Error, ExitCode, Result};

/// The rules of the command line, read and checked before anything else happens.
pub fn rules_of(options: &Options, files: &mut OperatorFiles) -> Result<Rules> {
    let mut rules = Rules::new(Settings::default());
    add_options(&mut rules, options, files)?;
    Ok(rules)
}

fn add_options(rules: &mut Rules, options: &Options, files: &mut OperatorFiles) -> Result<()> {
    if options.select.from0 {
        rules.set_from0();
    }
    if options.delete.excluded {
        rules.set_delete_excluded();
    }
    for argument in &options.select.filters {
        let added = match argument {
            FilterArgument::Rule(rule) => rules.filter(rule, files),
            FilterArgument::Include(pattern) => rules.include(pattern),
            FilterArgument::Exclude(pattern) => rules.exclude(pattern),
            FilterArgument::IncludeFrom(file) => rules.include_from(file, files),
            FilterArgument::ExcludeFrom(file) => rules.exclude_from(file, files),
            _ => Ok(()),
        };
        added.map_err(failed)?;
    }
    Ok(())
}

/// What a client that sends with these options hides, for those who watch what it would send.
pub fn sending_filter(options: &Options, files: &mut OperatorFiles) -> Result<Filter> {
    let rules = rules_of(options, files)?;
    let complete = complete(rules, options, false, Protocol::NEWEST, files)?;
    let mut filter = Filter::new(&complete.rules, Side::Sender);
    filter.set_role("sender");
    Ok(filter)
}

/// Adds what options imply, once the version is known.
pub(crate) fn complete(
    rules: Rules,
    options: &Options,
    pull: bool,
    protocol: Protocol,
    files: &mut OperatorFiles,
) -> Result<ClientRules> {
    let deletes = options.delete.when != DeleteWhen::Never;
    let data = &options.data;
    let partial_dir = match &data.partial {
        Partial::Dir(directory) if !directory.starts_with(b"/") => Some(directory.clone()),
        Partial::Dir(_) => None,
        _ if data.delay_updates => Some(b".~tmp~".to_vec()),
        _ => None,
    };
    let implied = ImpliedRules {
        old_dirs: options.select.old_dirs,
        backup_suffix: (data.backup && deletes && data.backup_dir.is_none())
            .then(|| data.suffix.clone()),
        partial_dir,
        cvs_exclude: options.select.cvs_exclude,
    };
    let direction = if pull { Direction::Pull } else { Direction::Push };
    rules.complete(&implied, direction, protocol.number(), files).map_err(failed)
}

/// Whether a filter section is in the stream, which both ends know from the options.
pub(crate) fn section_is_sent(options: &Options, pull: bool, protocol: Protocol) -> bool {
    let section = SectionOptions {
        prune_empty_dirs: options.select.prune_empty_dirs,
        delete: options.delete.when != DeleteWhen::Never || options.delete.excluded,
        delete_excluded: options.delete.excluded,
    };
    let direction = if pull { Direction::Pull } else { Direction::Push };
    section.section_is_sent(direction, protocol.number())
}

/// As a client: tells the server what it must know.
pub(crate) fn send(
    peer: &mut Peer,
    rules: &ClientRules,
    options: &Options,
    pull: bool,
) -> Result<()> {
    if section_is_sent(options, pull, peer.terms.protocol) {
        write_section(&rules.section, &mut peer.output.buffer());
        peer.output.flush().map_err(|error| peer.unwritten(error))?;
    }
    Ok(())
}

/// As a server: what its own options say (`-M--exclude=…`), then what the client told.
pub(crate) fn receive(
    peer: &mut Peer,
    options: &Options,
    pull: bool,
    files: &mut OperatorFiles,
) -> Result<Rules> {
    let protocol = peer.terms.protocol;
    let role = if pull { "sender" } else { "Receiver" };
    let number = protocol.number();
    let mut rules = Rules::new(Settings { role, protocol: number, ..Settings::default() });
    if !options.select.filters.is_empty() {
        add_options(&mut rules, options, files)?;
    }
    if section_is_sent(options, pull, protocol) {
        loop {
            let word = peer.read(syncline_wire::WireRead::read_i32)?;
            let Some(length) = wire_length(word).map_err(failed)? else { break };
            let text = peer.read(|input| input.read_vec(length))?;
            rules.receive(&text, number, files).map_err(failed)?;
        }
    }
    if options.select.cvs_exclude {
        let side = if pull { Side::Sender } else { Side::Receiver };
        rules.complete_server(side, number, files).map_err(failed)?;
    }
    Ok(rules)
}

fn failed(error: FilterError) -> Error {
    Error::fatal(ExitCode::new(error.exit_code()), error.to_string())
}
