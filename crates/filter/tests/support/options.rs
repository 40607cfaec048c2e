//! The options of the recorded cases, as far as they bear on filters.

use syncline_filter::{FilterError, RuleFiles, Rules, SectionOptions};

#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) recursive: bool,
    pub(crate) dirs: bool,
    pub(crate) relative: bool,
    pub(crate) links: bool,
    pub(crate) copy_links: bool,
    pub(crate) copy_dirlinks: bool,
    pub(crate) xattrs: bool,
    pub(crate) cvs: bool,
    pub(crate) backup: bool,
    pub(crate) prune: bool,
    pub(crate) delete: bool,
    pub(crate) delete_after: bool,
    pub(crate) delete_excluded: bool,
    pub(crate) delete_missing_args: bool,
    pub(crate) force: bool,
    pub(crate) from0: bool,
    pub(crate) old_dirs: bool,
    pub(crate) old_args: bool,
    pub(crate) trust_sender: bool,
    pub(crate) no_incremental: bool,
    pub(crate) partial: bool,
    pub(crate) suffix: String,
    pub(crate) backup_dir: Option<String>,
    pub(crate) partial_dir: Option<String>,
    pub(crate) link_dest: Option<String>,
    pub(crate) temp_dir: Option<String>,
    pub(crate) files_from: Option<String>,
    pub(crate) protocol: u8,
    no_relative: bool,
    delay_updates: bool,
}

impl Options {
    pub(crate) fn parse(
        arguments: &[String],
        protocol: Option<u8>,
        rules: &mut Rules,
        files: &mut dyn RuleFiles,
    ) -> Result<Self, FilterError> {
        let mut options = Self { suffix: "~".to_owned(), protocol: 32, ..Self::default() };
        if let Some(protocol) = protocol {
            options.protocol = protocol;
            rules.set_protocol(protocol);
        }
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            if argument == "-f" {
                let rule = arguments.next().map_or("", String::as_str);
                rules.filter(rule.as_bytes(), files)?;
            } else if let Some(long) = argument.strip_prefix("--") {
                options.long(long, &mut arguments, rules, files)?;
            } else {
                argument[1..].chars().try_for_each(|letter| options.short(letter, rules))?;
            }
        }
        if options.files_from.is_some() {
            options.relative = !options.no_relative;
            options.dirs = true;
        }
        if options.old_dirs {
            options.recursive = true;
        }
        if options.delay_updates && options.partial_dir.is_none() {
            options.partial_dir = Some(".~tmp~".to_owned());
        }
        Ok(options)
    }

    pub(crate) fn section(&self) -> SectionOptions {
        SectionOptions {
            prune_empty_dirs: self.prune,
            delete: self.delete,
            delete_excluded: self.delete_excluded,
        }
    }

    fn short(&mut self, letter: char, rules: &mut Rules) -> Result<(), FilterError> {
        match letter {
            'r' => self.recursive = true,
            'd' => self.dirs = true,
            'R' => self.relative = true,
            'l' => self.links = true,
            'L' => self.copy_links = true,
            'k' => self.copy_dirlinks = true,
            'X' => self.xattrs = true,
            'C' => self.cvs = true,
            'b' => self.backup = true,
            'm' => self.prune = true,
            'F' => return rules.default_files(),
            '0' => {
                self.from0 = true;
                rules.set_from0();
            }
            other => panic!("the cases use no -{other}"),
        }
        Ok(())
    }

    fn long<'a>(
        &mut self,
        option: &str,
        arguments: &mut impl Iterator<Item = &'a String>,
        rules: &mut Rules,
        files: &mut dyn RuleFiles,
    ) -> Result<(), FilterError> {
        let (name, given) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (option, None),
        };
        let mut value = || given.clone().or_else(|| arguments.next().cloned()).unwrap_or_default();
        match name {
            "filter" => return rules.filter(value().as_bytes(), files),
            "exclude" => return rules.exclude(value().as_bytes()),
            "include" => return rules.include(value().as_bytes()),
            "exclude-from" => return rules.exclude_from(value().as_bytes(), files),
            "include-from" => return rules.include_from(value().as_bytes(), files),
            "files-from" => self.files_from = Some(value()),
            "partial-dir" => self.partial_dir = Some(value()),
            "partial" => self.partial = true,
            "delay-updates" => self.delay_updates = true,
            "backup-dir" => self.backup_dir = Some(value()),
            "suffix" => self.suffix = value(),
            "link-dest" => self.link_dest = Some(value()),
            "temp-dir" => self.temp_dir = Some(value()),
            "protocol" => {
                self.protocol = value().parse().expect("a protocol number");
                rules.set_protocol(self.protocol);
            }
            "delete" | "del" | "delete-during" | "delete-before" | "delete-delay" => {
                self.delete = true;
            }
            "delete-after" => {
                self.delete = true;
                self.delete_after = true;
            }
            "delete-excluded" => {
                self.delete = true;
                self.delete_excluded = true;
                rules.set_delete_excluded();
            }
            "delete-missing-args" => self.delete_missing_args = true,
            "force" => self.force = true,
            "old-dirs" => self.old_dirs = true,
            "old-args" => self.old_args = true,
            "trust-sender" => self.trust_sender = true,
            "no-inc-recursive" => self.no_incremental = true,
            "no-relative" => self.no_relative = true,
            other => panic!("the cases use no --{other}"),
        }
        Ok(())
    }
}
