//! Options that a file makes up or gives another meaning (cli.md 2): `rsync alias -Z --no-p --chmod=ugo=rwX`.

use crate::word::Word;

/// What the lines of `/etc/popt`, `/etc/popt.d/*` and `~/.popt` say for this program. Of two for one option the later
/// one holds. `exec` lines, which put another program in our place, are passed over.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Aliases(Vec<Alias>);

/// One option and what it stands for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Alias {
    option: Word,
    pub(crate) words: Vec<Word>,
}

/// Options that stay what they are: they decide whether there are aliases.
const FIXED: [&[u8]; 2] = [b"--server", b"--daemon"];

impl Aliases {
    /// Adds those of one file.
    ///
    /// ```
    /// use syncline_options::{Aliases, Command, Context, parse};
    ///
    /// let mut context = Context::at(jiff::Zoned::now());
    /// context.aliases.add(b"rsync alias --careful -n --itemize-changes\n");
    /// let words = ["-a", "--careful", "from/", "to/"].map(|word| word.as_bytes().to_vec());
    /// let Ok(Command::Transfer(options)) = parse(&words, &context) else { panic!() };
    /// assert!(options.connection.dry_run);
    /// ```
    pub fn add(&mut self, text: &[u8]) {
        let mut joined = Vec::with_capacity(text.len());
        let mut bytes = text.iter().copied().peekable();
        while let Some(byte) = bytes.next() {
            match (byte, bytes.peek()) {
                (b'\\', Some(b'\n')) => drop(bytes.next()),
                _ => joined.push(byte),
            }
        }
        self.0.extend(joined.split(|&byte| byte == b'\n').filter_map(Alias::parse));
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The alias for `--name`, unless one is being expanded that is the same.
    pub(crate) fn long(&self, name: &[u8], but: impl Fn(&Alias) -> bool) -> Option<&Alias> {
        let named = |alias: &&Alias| alias.option.strip_prefix(b"--") == Some(name);
        self.0.iter().rev().find(named).filter(|alias| !but(alias))
    }

    /// The alias for a letter, likewise.
    pub(crate) fn short(&self, letter: u8, but: impl Fn(&Alias) -> bool) -> Option<&Alias> {
        self.0.iter().rev().find(|alias| alias.option == [b'-', letter]).filter(|alias| !but(alias))
    }
}

impl Alias {
    fn parse(line: &[u8]) -> Option<Self> {
        let mut words = split(line)?.into_iter();
        let ours = words.next()? == b"rsync" && words.next()? == b"alias";
        let option = words.next().filter(|_| ours)?;
        let is_option = match option.as_slice() {
            [b'-', b'-', _, ..] => !FIXED.contains(&option.as_slice()),
            [b'-', letter] => *letter != b'-',
            _ => false,
        };
        // Descriptions for a help text that is not made of them.
        let described =
            |word: &Word| word.starts_with(b"--POPTdesc=") || word.starts_with(b"--POPTargs=");
        let words: Vec<Word> = words.filter(|word| !described(word)).collect();
        (is_option && !words.is_empty()).then_some(Self { option, words })
    }
}

/// Words as a shell would split them; none in a comment or an empty line.
fn split(line: &[u8]) -> Option<Vec<Word>> {
    let line = line.trim_ascii();
    if line.is_empty() || line.starts_with(b"#") {
        return None;
    }
    let mut words: Vec<Word> = Vec::new();
    let mut word: Option<Word> = None;
    let mut quote = None;
    let mut bytes = line.iter().copied();
    while let Some(byte) = bytes.next() {
        match (byte, quote) {
            (b'\\', None) => word.get_or_insert_default().extend(bytes.next()),
            (b'\\', Some(mark)) => {
                let next = bytes.next();
                let word = word.get_or_insert_default();
                word.extend((next != Some(mark)).then_some(b'\\'));
                word.extend(next);
            }
            (b'"' | b'\'', None) => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (byte, Some(mark)) if byte == mark => quote = None,
            (byte, None) if byte.is_ascii_whitespace() => words.extend(word.take()),
            (byte, _) => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_the_stock_program_does() {
        let split = |line: &str| {
            let words = split(line.as_bytes()).unwrap_or_default();
            words.into_iter().map(|word| String::from_utf8(word).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(
            split(r#" a  "x\ y" 'a\b\'c' d\ne "" "open"#),
            ["a", r"x\ y", r"a\b'c", "dne", "", "open"]
        );
        assert!(split("# rsync alias -n -r").is_empty());
    }

    #[test]
    fn lines_for_others_and_lines_without_a_meaning_are_passed_over() {
        let mut aliases = Aliases::default();
        aliases.add(
            b"other alias --a -n\nrsync exec --b echo\nrsync alias --c\nrsync alias d -n\nrsync alias -ee -n\n\
              rsync alias --server -n\nrsync\nrsync alias --POPTdesc=x\nrsync alias --f --POPTdesc=x\n",
        );
        assert!(aliases.is_empty(), "{aliases:?}");
        aliases.add(b"  rsync\talias --a -n\\\n -r --POPTargs=X");
        assert_eq!(aliases.long(b"a", |_| false).unwrap().words, [b"-n".to_vec(), b"-r".to_vec()]);
    }
}
