//! The rules that a program adds by itself, in their order (docs/spec/filters.md 2.2, 9.3, 12).

use crate::error::FilterError;
use crate::load::{Context, NoFiles, RuleFiles};
use crate::parse::Template;
use crate::rule::{Action, Modifiers, Side, Sides};
use crate::rules::Rules;
use crate::wire::Direction;

/// The first protocol in which `:C` and `-C` are ordinary rules.
const CVS_RULES: u8 = 29;
/// The first protocol with perishable rules.
const PERISHABLE: u8 = 30;

/// The options that imply rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImpliedRules {
    /// `--old-dirs`.
    pub old_dirs: bool,
    /// The suffix of backups that are made beside the originals while something is deleted: `--backup`, any deletion,
    /// no `--backup-dir`. It is protected unless `--delete-excluded`.
    pub backup_suffix: Option<Vec<u8>>,
    /// A relative `--partial-dir`, or `.~tmp~` for `--delay-updates` without one.
    pub partial_dir: Option<Vec<u8>>,
    /// `--cvs-exclude`.
    pub cvs_exclude: bool,
}

/// A client's complete list and what it tells its peer.
#[derive(Clone, Debug)]
pub struct ClientRules {
    /// The list for the client's own side; in a local run for both.
    pub rules: Rules,
    /// The texts for the peer, to be sent if [`SectionOptions::section_is_sent`](crate::SectionOptions).
    pub section: Vec<Vec<u8>>,
    /// Whether a per-directory rule keeps the client from checking excluded names (14).
    pub(crate) holds_dir_merge: bool,
}

impl Rules {
    /// Appends the implied rules, once the protocol is negotiated, and encodes the list for the peer. A local run is
    /// a push whose section goes nowhere.
    pub fn complete(
        mut self,
        implied: &ImpliedRules,
        direction: Direction,
        protocol: u8,
        files: &mut dyn RuleFiles,
    ) -> Result<ClientRules, FilterError> {
        if implied.old_dirs {
            self.push_implied(b"/*/*", false, Modifiers::default());
        }
        if let Some(suffix) = &implied.backup_suffix
            && !self.settings.delete_excluded
        {
            let modifiers = Modifiers { sides: Sides::RECEIVER, ..Modifiers::default() };
            self.push_implied(&[b"*", &suffix[..]].concat(), false, modifiers);
        }
        if let Some(directory) = &implied.partial_dir {
            let perishable = direction == Direction::Pull || protocol >= PERISHABLE;
            let modifiers = Modifiers { perishable, ..Modifiers::default() };
            let name = directory.strip_suffix(b"/").unwrap_or(directory);
            self.push_implied(name, true, modifiers);
        }
        self.set_protocol(protocol);
        let cvs = implied.cvs_exclude;
        if cvs && direction == Direction::Push {
            if protocol >= CVS_RULES {
                self.cvs_file_rule(false)?;
            }
            self.cvs_list_rule(false, files);
        }
        let section = self.encode(direction, protocol)?;
        if cvs && direction == Direction::Push && protocol < CVS_RULES {
            self.cvs_file_rule(false)?;
        }
        if cvs && direction == Direction::Pull {
            // Added after the sides were settled, so `--delete-excluded` does not take them from the receiver (9.3).
            self.cvs_file_rule(true)?;
            self.cvs_list_rule(true, files);
        }
        let holds_dir_merge = self.merges.iter().any(|slot| slot.alive);
        Ok(ClientRules { rules: self, section, holds_dir_merge })
    }

    /// Appends what `-C` means to a server, after it has received the client's section.
    pub fn complete_server(
        &mut self,
        side: Side,
        protocol: u8,
        files: &mut dyn RuleFiles,
    ) -> Result<(), FilterError> {
        self.set_protocol(protocol);
        match side {
            Side::Sender => {
                self.cvs_file_rule(true)?;
                self.cvs_list_rule(true, files);
            }
            Side::Receiver if protocol < CVS_RULES => self.cvs_file_rule(true)?,
            Side::Receiver => {}
        }
        Ok(())
    }

    fn cvs_file_rule(&mut self, acts_always: bool) -> Result<(), FilterError> {
        let context = Context { acts_always, ..Context::OPTIONS };
        self.add(b":C", &Template::NEW, context, &mut NoFiles)
    }

    fn cvs_list_rule(&mut self, acts_always: bool, files: &mut dyn RuleFiles) {
        self.load(files, |loader, target| {
            loader.add_cvs(target, Action::Exclude, Modifiers::default(), acts_always);
        });
    }
}
