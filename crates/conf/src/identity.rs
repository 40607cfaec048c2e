//! The values of `uid`, `gid`, `daemon uid` and `daemon gid` (daemon.md 3.1, 3.3).

use crate::text::items;

/// A user or a group as a configuration names it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Id {
    /// All digits: the number itself, whether or not anybody has it.
    Number(u32),
    /// Anything else is a name to be looked up, `-1` included.
    Name(Vec<u8>),
    /// All digits, but beyond 32 bits: stock ends the session silently.
    TooLarge(Vec<u8>),
}

impl Id {
    /// Reads one user or group.
    ///
    /// ```
    /// use syncline_conf::identity::Id;
    /// assert_eq!(Id::parse(b"65534"), Id::Number(65534));
    /// assert_eq!(Id::parse(b"-1"), Id::Name(b"-1".to_vec()));
    /// ```
    pub fn parse(text: &[u8]) -> Self {
        if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
            return Self::Name(text.to_vec());
        }
        let number = str::from_utf8(text).ok().and_then(|digits| digits.parse().ok());
        number.map_or_else(|| Self::TooLarge(text.to_vec()), Self::Number)
    }
}

/// The groups of a module's process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups {
    /// The list begins with `*`: first come all groups of the user, the primary one at the front.
    pub of_user: bool,
    /// The groups named. The first of all is the group id, and all are supplementary groups. A `*` here is not at
    /// the front of the list and thus an unknown name.
    pub ids: Vec<Id>,
}

impl Groups {
    /// Reads the value of `gid`, variables already replaced.
    pub fn parse(list: &[u8]) -> Self {
        let mut items = items(list);
        let of_user = items.first() == Some(&&b"*"[..]);
        if of_user {
            items.remove(0);
        }
        Self { of_user, ids: items.into_iter().map(Id::parse).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_beyond_32_bits_are_no_number() {
        assert_eq!(Id::parse(b"4294967295"), Id::Number(u32::MAX));
        assert_eq!(Id::parse(b"4294967296"), Id::TooLarge(b"4294967296".to_vec()));
        assert_eq!(Id::parse(b""), Id::Name(Vec::new()));
    }

    #[test]
    fn a_star_stands_for_the_users_groups_only_at_the_front() {
        let groups = Groups::parse(b"* www,100");
        assert!(groups.of_user);
        assert_eq!(groups.ids, [Id::Name(b"www".to_vec()), Id::Number(100)]);
        let groups = Groups::parse(b"www *");
        assert!(!groups.of_user);
        assert_eq!(groups.ids, [Id::Name(b"www".to_vec()), Id::Name(b"*".to_vec())]);
    }

    #[test]
    fn a_leading_comma_lets_names_hold_blanks() {
        let groups = Groups::parse(b" , domain users , 100");
        assert_eq!(groups.ids, [Id::Name(b"domain users".to_vec()), Id::Number(100)]);
    }
}
