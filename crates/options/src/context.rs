//! What the parser must know of its surroundings. It looks at none of them by itself.

use jiff::Zoned;

use crate::alias::Aliases;
use crate::word::Word;

/// Environment, clock, locale and aliases, handed in by the program.
#[derive(Clone, Debug)]
pub struct Context {
    /// Now, in the local time zone: for `--stop-at` and `--stop-after`.
    pub now: Zoned,
    /// The locale's decimal point.
    pub decimal_point: u8,
    /// The variables that options depend on.
    pub environment: Environment,
    /// What the user's files say that options stand for.
    pub aliases: Aliases,
}

/// The variables of cli.md 3.10 that change what options mean. An absent variable is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// `RSYNC_RSH`.
    pub rsh: Option<Word>,
    /// `RSYNC_PARTIAL_DIR`.
    pub partial_dir: Option<Word>,
    /// `RSYNC_MAX_ALLOC`.
    pub max_alloc: Option<Word>,
    /// `RSYNC_OLD_ARGS`.
    pub old_args: Option<Word>,
    /// `RSYNC_PROTECT_ARGS`.
    pub protect_args: Option<Word>,
    /// `RSYNC_ICONV`.
    pub iconv: Option<Word>,
}

impl Environment {
    /// Picks the variables that matter out of all of them.
    ///
    /// ```
    /// # use syncline_options::Environment;
    /// let environment = Environment::from_variables([(b"RSYNC_RSH".to_vec(), b"ssh -p 2222".to_vec())]);
    /// assert_eq!(environment.rsh.as_deref(), Some(&b"ssh -p 2222"[..]));
    /// ```
    pub fn from_variables(variables: impl IntoIterator<Item = (Word, Word)>) -> Self {
        let mut environment = Self::default();
        for (name, value) in variables {
            let slot = match name.as_slice() {
                b"RSYNC_RSH" => &mut environment.rsh,
                b"RSYNC_PARTIAL_DIR" => &mut environment.partial_dir,
                b"RSYNC_MAX_ALLOC" => &mut environment.max_alloc,
                b"RSYNC_OLD_ARGS" => &mut environment.old_args,
                b"RSYNC_PROTECT_ARGS" => &mut environment.protect_args,
                b"RSYNC_ICONV" => &mut environment.iconv,
                _ => continue,
            };
            *slot = Some(value);
        }
        environment
    }
}

impl Context {
    /// A context with a clock and nothing else.
    pub fn at(now: Zoned) -> Self {
        let (environment, aliases) = (Environment::default(), Aliases::default());
        Self { now, decimal_point: b'.', environment, aliases }
    }
}
