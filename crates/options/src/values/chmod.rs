//! `--chmod` (cli.md 4.4).

/// One class of users whose bits a rule changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Who {
    /// The owner.
    pub user: bool,
    /// The group.
    pub group: bool,
    /// Everybody else.
    pub other: bool,
}

/// Which files a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All files.
    All,
    /// `D`: directories.
    Directories,
    /// `F`: everything but directories.
    Files,
}

/// What a symbolic rule does with its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `+`.
    Add,
    /// `-`.
    Remove,
    /// `=`.
    Set,
}

/// The bits on the right of the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bits {
    /// Letters out of `rwxXst`.
    Letters {
        /// The rwx bits as one octal digit.
        rwx: u8,
        /// `X`: x bits count only for directories and files that had one.
        conditional_x: bool,
        /// `s`.
        set_id: bool,
        /// `t`.
        sticky: bool,
    },
    /// The user's rwx bits as they are now.
    FromUser,
    /// The group's.
    FromGroup,
    /// The others'.
    FromOther,
}

/// One item of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Which files it is for.
    pub kind: Kind,
    /// The change.
    pub change: Change,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// All twelve bits are replaced.
    Octal(u32),
    /// `who op bits`; no `who` means all classes, masked by the umask.
    Symbolic {
        /// The classes, `None` when none was written.
        who: Option<Who>,
        /// The operator.
        operator: Operator,
        /// The bits.
        bits: Bits,
    },
}

/// All rules of all `--chmod` options in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chmod {
    rules: Vec<Rule>,
}

impl Chmod {
    /// Appends the rules of one option value. `None`: the value does not follow the grammar and nothing was appended.
    pub fn append(&mut self, text: &[u8]) -> Option<()> {
        let parsed: Option<Vec<Rule>> = text.split(|&b| b == b',').map(parse_item).collect();
        self.rules.extend(parsed?);
        Some(())
    }

    /// Parses one value.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut chmod = Self::default();
        chmod.append(text)?;
        Some(chmod)
    }

    /// The rules in order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Applies the rules to the twelve permission bits of `mode` (other bits are kept).
    pub fn apply(&self, mode: u32, is_dir: bool, umask: u32) -> u32 {
        let had_x = mode & 0o111 != 0;
        let mut bits = mode & 0o7777;
        for rule in &self.rules {
            match rule.kind {
                Kind::Directories if !is_dir => continue,
                Kind::Files if is_dir => continue,
                _ => {}
            }
            bits = rule.change.apply(bits, is_dir || had_x, umask);
        }
        (mode & !0o7777) | bits
    }
}

impl Change {
    fn apply(self, mode: u32, x_counts: bool, umask: u32) -> u32 {
        let (who, operator, bits) = match self {
            Self::Octal(octal) => return octal,
            Self::Symbolic { who, operator, bits } => (who, operator, bits),
        };
        let classes = who.unwrap_or(Who { user: true, group: true, other: true });
        let class_mask = u32::from(classes.user) * 0o700
            + u32::from(classes.group) * 0o070
            + u32::from(classes.other) * 0o007;
        let mut cleared = class_mask;
        let (rwx, special) = match bits {
            Bits::Letters { rwx, conditional_x, set_id, sticky } => {
                let rwx = if conditional_x && !x_counts { rwx & !1 } else { rwx };
                let mut special = 0;
                let mut special_cleared = 0;
                if set_id {
                    let user = who.is_some_and(|who| who.user);
                    let group = who.is_some_and(|who| who.group);
                    special |= if user || !group { 0o4000 } else { 0 };
                    special |= if group { 0o2000 } else { 0 };
                }
                if sticky {
                    special |= 0o1000;
                }
                if set_id || sticky {
                    special_cleared |=
                        u32::from(classes.user) * 0o4000 + u32::from(classes.group) * 0o2000;
                }
                cleared |= special_cleared;
                (u32::from(rwx), special)
            }
            Bits::FromUser => ((mode >> 6) & 7, 0),
            Bits::FromGroup => ((mode >> 3) & 7, 0),
            Bits::FromOther => (mode & 7, 0),
        };
        if !matches!(bits, Bits::Letters { .. }) {
            cleared |= u32::from(classes.user) * 0o4000
                + u32::from(classes.group) * 0o2000
                + u32::from(classes.other) * 0o1000;
        }
        let mut value = (rwx * 0o111) & class_mask;
        if who.is_none() {
            value &= !umask;
        }
        value |= special;
        match operator {
            Operator::Add => mode | value,
            Operator::Remove => mode & !value,
            Operator::Set => (mode & !cleared) | value,
        }
    }
}

fn parse_item(text: &[u8]) -> Option<Rule> {
    let mut kind = Kind::All;
    let mut who = None::<Who>;
    let mut at = 0;
    while let Some(&letter) = text.get(at) {
        match letter {
            b'D' if kind != Kind::Files => kind = Kind::Directories,
            b'F' if kind != Kind::Directories => kind = Kind::Files,
            b'u' => who.get_or_insert_default().user = true,
            b'g' => who.get_or_insert_default().group = true,
            b'o' => who.get_or_insert_default().other = true,
            b'a' => who = Some(Who { user: true, group: true, other: true }),
            _ => break,
        }
        at += 1;
    }
    let rest = &text[at..];
    let change = match rest.first()? {
        b'0'..=b'7' if who.is_none() => Change::Octal(octal(rest)?),
        b'+' => Change::Symbolic { who, operator: Operator::Add, bits: bits(&rest[1..])? },
        b'-' => Change::Symbolic { who, operator: Operator::Remove, bits: bits(&rest[1..])? },
        b'=' => Change::Symbolic { who, operator: Operator::Set, bits: bits(&rest[1..])? },
        _ => return None,
    };
    Some(Rule { kind, change })
}

fn octal(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0u32, |sum, &digit| match digit {
        b'0'..=b'7' => Some(sum * 8 + u32::from(digit - b'0')).filter(|&sum| sum <= 0o7777),
        _ => None,
    })
}

fn bits(text: &[u8]) -> Option<Bits> {
    match text {
        b"u" => return Some(Bits::FromUser),
        b"g" => return Some(Bits::FromGroup),
        b"o" => return Some(Bits::FromOther),
        _ => {}
    }
    let (mut rwx, mut conditional_x, mut set_id, mut sticky) = (0, false, false, false);
    for letter in text {
        match letter {
            b'r' => rwx |= 4,
            b'w' => rwx |= 2,
            b'x' => rwx |= 1,
            b'X' => {
                rwx |= 1;
                conditional_x = true;
            }
            b's' => set_id = true,
            b't' => sticky = true,
            _ => return None,
        }
    }
    Some(Bits::Letters { rwx, conditional_x, set_id, sticky })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verified_results_of_the_specification_hold() {
        for (mode, text, result) in [
            (0o644, "+x", 0o755),
            (0o750, "=r", 0o444),
            (0o755, "u=o", 0o555),
            (0o755, "o-g", 0o750),
            (0o644, "o-g", 0o640),
            (0o644, "g+u", 0o664),
            (0o644, "a+s", 0o6644),
            (0o644, "g+s", 0o2644),
            (0o644, "o+s", 0o4644),
            (0o4755, "u=rw", 0o4655),
            (0o4755, "u=t", 0o1055),
            (0o2755, "u=s", 0o6055),
            (0o6755, "g=u", 0o4775),
            (0o7777, "a=t", 0o1000),
            (0o4755, "u=g", 0o555),
            (0o644, "a+X", 0o644),
            (0o4755, "a=r", 0o4444),
        ] {
            let chmod = Chmod::parse(text.as_bytes()).expect(text);
            assert_eq!(chmod.apply(mode, false, 0o022), result, "{mode:o} {text}");
        }
        assert_eq!(Chmod::parse(b"a+X").map(|c| c.apply(0o755, true, 0o022)), Some(0o755));
        assert_eq!(Chmod::parse(b"+x").map(|c| c.apply(0o644, false, 0o077)), Some(0o744));
    }

    #[test]
    fn malformed_items_are_refused() {
        for text in
            ["", "u+r,", ",", "DF+x", "u644", "8", "10000", "u+ug", "u+r+w", "z=r", "u", "D"]
        {
            assert_eq!(Chmod::parse(text.as_bytes()), None, "{text}");
        }
    }
}
