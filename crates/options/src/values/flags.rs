//! `--info` and `--debug`: words with levels (cli.md 7).

use std::fmt::Write as _;

use crate::word::Word;

/// The highest level of any flag.
pub const MAX_LEVEL: u8 = 4;

macro_rules! flags {
    ($(#[$meta:meta])* $kind:ident { $($name:ident $word:literal $help:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum $kind {
            $(#[doc = $help] $name,)*
        }

        impl Flag for $kind {
            const ALL: &'static [Self] = &[$(Self::$name,)*];

            fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            fn help(self) -> &'static str {
                match self { $(Self::$name => $help,)* }
            }

            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

/// A set of words that have levels.
pub trait Flag: Copy + 'static {
    /// All of them, in alphabetical order.
    const ALL: &'static [Self];
    /// The word, upper case.
    fn word(self) -> &'static str;
    /// What it shows.
    fn help(self) -> &'static str;
    /// Its place in [`Flag::ALL`].
    fn index(self) -> usize;
}

flags! {
    /// What `--info` controls.
    Info {
        Backup "BACKUP" "files that were saved before being replaced",
        Copy "COPY" "failures of copies from another local file",
        Del "DEL" "deletions",
        Flist "FLIST" "building and receiving the file list (2: running count)",
        Misc "MISC" "assorted notes (2: more of them)",
        Mount "MOUNT" "mount points that were met or skipped",
        Name "NAME" "names of updated files (2: also of those up to date)",
        Nonreg "NONREG" "skipped files that are not regular",
        Progress "PROGRESS" "progress of each file (2: of the whole transfer)",
        Remove "REMOVE" "source files that were removed",
        Skip "SKIP" "files skipped because of an option (2: more of them)",
        Stats "STATS" "totals at the end (2 and 3: more of them)",
        Symsafe "SYMSAFE" "symlinks that are not safe",
    }
}

flags! {
    /// What `--debug` controls.
    Debug {
        Acl "ACL" "access control lists",
        Backup "BACKUP" "backup decisions",
        Bind "BIND" "binding of sockets",
        Chdir "CHDIR" "changes of the current directory",
        Connect "CONNECT" "connections and their handshake",
        Cmd "CMD" "commands that are run",
        Del "DEL" "deletion decisions",
        Deltasum "DELTASUM" "block sums and matching",
        Dup "DUP" "duplicate names in a file list",
        Exit "EXIT" "the end of the run",
        Filter "FILTER" "filter decisions",
        Flist "FLIST" "file list operations",
        Fuzzy "FUZZY" "choice of similar files",
        Genr "GENR" "decisions about each file",
        Hash "HASH" "hash tables",
        Hlink "HLINK" "hard links",
        Iconv "ICONV" "character set conversion",
        Io "IO" "messages and buffers of the connection",
        Nstr "NSTR" "negotiated names",
        Own "OWN" "ownership changes",
        Proto "PROTO" "protocol versions",
        Recv "RECV" "receiving of files",
        Send "SEND" "sending of files",
        Time "TIME" "file times",
    }
}

/// The levels of all flags of one kind: what the user set and what other options imply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels<F> {
    user: Vec<Option<u8>>,
    implied: Vec<u8>,
    kind: std::marker::PhantomData<F>,
}

impl<F: Flag> Default for Levels<F> {
    fn default() -> Self {
        Self {
            user: vec![None; F::ALL.len()],
            implied: vec![0; F::ALL.len()],
            kind: std::marker::PhantomData,
        }
    }
}

/// What a value of `--info` or `--debug` asked for, other than levels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LevelsProblem {
    /// `HELP`: print the table and end.
    Help,
    /// An unknown word, without its trailing digits.
    Unknown(Word),
}

impl<F: Flag> Levels<F> {
    /// The level in force: the user's, else the implied one.
    pub fn level(&self, flag: F) -> u8 {
        self.user(flag).unwrap_or_else(|| self.implied.get(flag.index()).copied().unwrap_or(0))
    }

    /// The level that the user set by name.
    pub fn user(&self, flag: F) -> Option<u8> {
        self.user.get(flag.index()).copied().flatten()
    }

    /// Sets a level as a user would.
    pub fn set(&mut self, flag: F, level: u8) {
        if let Some(slot) = self.user.get_mut(flag.index()) {
            *slot = Some(level.min(MAX_LEVEL));
        }
    }

    /// Raises what other options imply; never lowers it.
    pub fn imply(&mut self, flag: F, level: u8) {
        if let Some(slot) = self.implied.get_mut(flag.index()) {
            *slot = level.max(*slot);
        }
    }

    /// Lowers every level to that of `most`.
    pub(crate) fn limit(&mut self, most: &Self) {
        for &flag in F::ALL {
            let (level, limit) = (self.level(flag), most.level(flag));
            if level > limit {
                self.set(flag, limit);
            }
        }
    }

    /// Applies one comma-separated value; later words win.
    pub fn apply(&mut self, text: &[u8]) -> Result<(), LevelsProblem> {
        for item in text.split(|&b| b == b',') {
            if item.is_empty() {
                continue;
            }
            let letters = item.len() - item.iter().rev().take_while(|b| b.is_ascii_digit()).count();
            // Digits alone are a word that does not exist.
            let (word, digits) = item.split_at(if letters == 0 { item.len() } else { letters });
            let level = if digits.is_empty() {
                1
            } else {
                digits
                    .iter()
                    .fold(0u8, |sum, &b| sum.saturating_mul(10).saturating_add(b - b'0'))
                    .min(MAX_LEVEL)
            };
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            if is("HELP") {
                return Err(LevelsProblem::Help);
            } else if is("NONE") || is("ALL") {
                let level = if is("NONE") { 0 } else { level };
                for &flag in F::ALL {
                    self.set(flag, level);
                }
            } else if let Some(&flag) = F::ALL.iter().find(|flag| is(flag.word())) {
                self.set(flag, level);
            } else {
                return Err(LevelsProblem::Unknown(word.to_vec()));
            }
        }
        Ok(())
    }
}

/// What `-v`, twice `-v` and so on add to the info levels.
const INFO_ROWS: &[&[(Info, u8)]] = &[
    &[(Info::Nonreg, 1)],
    &[
        (Info::Copy, 1),
        (Info::Del, 1),
        (Info::Flist, 1),
        (Info::Misc, 1),
        (Info::Name, 1),
        (Info::Stats, 1),
        (Info::Symsafe, 1),
    ],
    &[
        (Info::Backup, 1),
        (Info::Misc, 2),
        (Info::Mount, 1),
        (Info::Name, 2),
        (Info::Remove, 1),
        (Info::Skip, 1),
    ],
];

/// The same for the debug levels.
const DEBUG_ROWS: &[&[(Debug, u8)]] = &[
    &[],
    &[],
    &[
        (Debug::Bind, 1),
        (Debug::Cmd, 1),
        (Debug::Connect, 1),
        (Debug::Del, 1),
        (Debug::Deltasum, 1),
        (Debug::Dup, 1),
        (Debug::Filter, 1),
        (Debug::Flist, 1),
        (Debug::Iconv, 1),
    ],
    &[
        (Debug::Acl, 1),
        (Debug::Backup, 1),
        (Debug::Connect, 2),
        (Debug::Del, 2),
        (Debug::Deltasum, 2),
        (Debug::Exit, 1),
        (Debug::Filter, 2),
        (Debug::Flist, 2),
        (Debug::Fuzzy, 1),
        (Debug::Genr, 1),
        (Debug::Own, 1),
        (Debug::Recv, 1),
        (Debug::Send, 1),
        (Debug::Time, 1),
    ],
    &[
        (Debug::Cmd, 2),
        (Debug::Del, 3),
        (Debug::Deltasum, 3),
        (Debug::Exit, 2),
        (Debug::Flist, 3),
        (Debug::Iconv, 2),
        (Debug::Own, 2),
        (Debug::Proto, 1),
        (Debug::Time, 2),
    ],
    &[
        (Debug::Chdir, 1),
        (Debug::Deltasum, 4),
        (Debug::Flist, 4),
        (Debug::Fuzzy, 2),
        (Debug::Hash, 1),
        (Debug::Hlink, 1),
    ],
];

/// Adds what `verbose` times `-v` implies.
pub(crate) fn imply_verbosity(info: &mut Levels<Info>, debug: &mut Levels<Debug>, verbose: u8) {
    for row in INFO_ROWS.iter().take(usize::from(verbose) + 1) {
        for &(flag, level) in *row {
            info.imply(flag, level);
        }
    }
    for row in DEBUG_ROWS.iter().take(usize::from(verbose) + 1) {
        for &(flag, level) in *row {
            debug.imply(flag, level);
        }
    }
}

/// The text of `--info=help`.
pub fn info_help() -> String {
    help::<Info>("--info", INFO_ROWS)
}

/// The text of `--debug=help`.
pub fn debug_help() -> String {
    help::<Debug>("--debug", DEBUG_ROWS)
}

fn help<F: Flag>(option: &str, rows: &[&[(F, u8)]]) -> String {
    let mut text = format!(
        "Words for {option}; append a digit to set a level (0 silences, no digit means 1).\n\n"
    );
    for flag in F::ALL {
        let _ = writeln!(text, "{:<10} {}", flag.word(), flag.help());
    }
    let _ = write!(
        text,
        "\n{:<10} every word of {option} (ALL4 for the highest levels)\n{:<10} no word of {option} (same as ALL0)\n{:<10} show this list\n",
        "ALL", "NONE", "HELP"
    );
    text.push_str("\nWords that each repetition of -v adds:\n");
    for (count, row) in rows.iter().enumerate().filter(|(_, row)| !row.is_empty()) {
        let words: Vec<String> = F::ALL
            .iter()
            .filter_map(|flag| row.iter().find(|(of, _)| of.index() == flag.index()))
            .map(|&(flag, level)| spell(flag, level))
            .collect();
        let _ = writeln!(text, "{count}) {}", words.join(","));
    }
    text
}

fn spell<F: Flag>(flag: F, level: u8) -> String {
    if level == 1 { flag.word().to_owned() } else { format!("{}{level}", flag.word()) }
}

/// The value of `--info` that tells a server what the user set, if it needs to know anything (session.md 2.5).
pub(crate) fn info_for_server(info: &Levels<Info>, server_sends: bool) -> Option<String> {
    const RECEIVER: &[Info] = &[
        Info::Backup,
        Info::Copy,
        Info::Del,
        Info::Misc,
        Info::Mount,
        Info::Name,
        Info::Nonreg,
        Info::Skip,
        Info::Stats,
        Info::Symsafe,
    ];
    const SENDER: &[Info] =
        &[Info::Misc, Info::Mount, Info::Name, Info::Remove, Info::Stats, Info::Symsafe];
    let concerned = if server_sends { SENDER } else { RECEIVER };
    let set: Vec<(Info, u8)> =
        concerned.iter().filter_map(|&flag| Some((flag, info.user(flag)?))).collect();
    let mut words = Vec::new();
    let mut common = None;
    if set.len() == concerned.len() {
        let mut counts = [0usize; MAX_LEVEL as usize + 1];
        for &(_, level) in &set {
            counts[usize::from(level.min(MAX_LEVEL))] += 1;
        }
        common = (0..=MAX_LEVEL)
            .max_by_key(|&level| counts[usize::from(level)])
            .filter(|&level| counts[usize::from(level)] >= 5);
        match common {
            Some(0) => words.push("NONE".to_owned()),
            Some(1) => words.push("ALL".to_owned()),
            Some(level) => words.push(format!("ALL{level}")),
            None => {}
        }
    }
    words.extend(
        set.iter()
            .filter(|&&(_, level)| Some(level) != common)
            .map(|&(flag, level)| spell(flag, level)),
    );
    if words.is_empty() { None } else { Some(words.join(",")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_levels_beat_implied_ones_in_any_order() {
        let mut info = Levels::<Info>::default();
        info.apply(b"name0,Del3,STATS99").expect("known words");
        imply_verbosity(&mut info, &mut Levels::default(), 2);
        assert_eq!(info.level(Info::Name), 0);
        assert_eq!(info.level(Info::Del), 3);
        assert_eq!(info.level(Info::Stats), 4);
        assert_eq!(info.level(Info::Misc), 2);
    }

    #[test]
    fn unknown_words_are_named_without_their_digits() {
        let mut info = Levels::<Info>::default();
        assert_eq!(info.apply(b"name,foo12"), Err(LevelsProblem::Unknown(b"foo".to_vec())));
        assert_eq!(info.apply(b"help"), Err(LevelsProblem::Help));
    }

    #[test]
    fn a_server_is_told_the_shortest_list() {
        let told = |text: &str, server_sends| {
            let mut info = Levels::default();
            info.apply(text.as_bytes()).expect("known words");
            info_for_server(&info, server_sends)
        };
        assert_eq!(told("name2,del", false).as_deref(), Some("DEL,NAME2"));
        assert_eq!(told("all2,name1", false).as_deref(), Some("ALL2,NAME"));
        assert_eq!(told("none", true).as_deref(), Some("NONE"));
        assert_eq!(told("progress2", false), None);
    }
}
