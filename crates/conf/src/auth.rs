//! The rules of `auth users` (daemon.md 8.2).

use crate::text::{items, lookalike, show};
use syncline_wildcard::Wildcard;

/// Who may enter a module, in the order in which the rules are tried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthRules {
    rules: Vec<AuthRule>,
}

/// One item of `auth users`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthRule {
    /// Whom it is about.
    pub who: Who,
    /// What it says about them.
    pub access: Access,
    /// A word after the colon that is none of `ro`, `rw` and `deny`; stock ignores it.
    pub ignored_option: Option<Vec<u8>>,
}

/// Whom a rule is about: shell patterns, in which `*` and `?` match no `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// Users whose name matches.
    User(Vec<u8>),
    /// Users of the operating system with a group whose name matches.
    Group(Vec<u8>),
}

/// What a rule grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// No option: `read only` of the module decides.
    AsModule,
    /// `:ro`
    ReadOnly,
    /// `:rw`
    ReadWrite,
    /// `:deny`
    Deny,
}

/// The groups of the operating system's users.
pub trait UserGroups {
    /// The names of all groups of the user, the primary one included; empty if there is no such user.
    fn groups_of(&self, user: &[u8]) -> Vec<Vec<u8>>;
}

/// The rule that decides about a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthMatch<'a> {
    /// The rule.
    pub rule: &'a AuthRule,
    /// The group that matched, if it is a rule about groups. Its `@group:` line in the secrets file counts.
    pub group: Option<Vec<u8>>,
}

impl AuthRules {
    /// Reads the value of `auth users`, variables already replaced.
    pub fn parse(list: &[u8]) -> Self {
        Self { rules: items(list).into_iter().map(rule).collect() }
    }

    /// The rules in order.
    pub fn rules(&self) -> &[AuthRule] {
        &self.rules
    }

    /// The first rule that matches the user: nothing after it is looked at.
    pub fn decide(&self, user: &[u8], groups: &dyn UserGroups) -> Option<AuthMatch<'_>> {
        let mut groups_of_user = None;
        self.rules.iter().find_map(|rule| match &rule.who {
            Who::User(pattern) => {
                Wildcard::new(pattern).matches(user).then_some(AuthMatch { rule, group: None })
            }
            Who::Group(pattern) => {
                let names: &Vec<Vec<u8>> =
                    groups_of_user.get_or_insert_with(|| groups.groups_of(user));
                let group = names.iter().find(|name| Wildcard::new(pattern).matches(name))?;
                Some(AuthMatch { rule, group: Some(group.clone()) })
            }
        })
    }

    /// What an administrator should look at.
    pub fn findings(&self) -> Vec<AuthFinding> {
        let mut findings = Vec::new();
        for rule in &self.rules {
            let (Who::User(name) | Who::Group(name)) = &rule.who;
            if name.starts_with(b"#") || name.starts_with("＃".as_bytes()) {
                findings.push(AuthFinding::CommentWord { word: show(name) });
            } else if let Some((found, meant)) = lookalike(name) {
                findings.push(AuthFinding::Lookalike { word: show(name), found, meant });
            }
            if let Some(option) = &rule.ignored_option {
                findings
                    .push(AuthFinding::UnknownOption { name: show(name), option: show(option) });
            }
        }
        findings
    }
}

fn rule(item: &[u8]) -> AuthRule {
    let colon = item.iter().position(|&byte| byte == b':');
    let (name, option) = colon.map_or((item, None), |at| (&item[..at], Some(&item[at + 1..])));
    let who = match name.strip_prefix(b"@") {
        Some(group) => Who::Group(group.to_vec()),
        None => Who::User(name.to_vec()),
    };
    let lower = option.map(<[u8]>::to_ascii_lowercase);
    let access = match lower.as_deref() {
        Some([b'r', b'o', ..]) => Access::ReadOnly,
        Some([b'r', b'w', ..]) => Access::ReadWrite,
        Some([b'd', ..]) => Access::Deny,
        _ => Access::AsModule,
    };
    let ignored_option = option.filter(|_| access == Access::AsModule).map(<[u8]>::to_vec);
    AuthRule { who, access, ignored_option }
}

/// Something in `auth users` that does not do what its author probably meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum AuthFinding {
    /// Words after a `#` are users.
    #[error(
        "there is no comment after a value: `{word}` and every word after it are names of allowed users; \
         remove them or give the comment a line of its own"
    )]
    CommentWord {
        /// The word.
        word: String,
    },
    /// A full-width character or the like.
    #[error(
        "`{word}` holds `{found}`, which is not `{meant}`: the name is taken literally; type `{meant}`"
    )]
    Lookalike {
        /// The item.
        word: String,
        /// What stands there.
        found: char,
        /// What was meant.
        meant: char,
    },
    /// `joe:read`
    #[error("`:{option}` after `{name}` is ignored (accepted: :ro, :rw, :deny)")]
    UnknownOption {
        /// Whose.
        name: String,
        /// The word.
        option: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Root;
    impl UserGroups for Root {
        fn groups_of(&self, user: &[u8]) -> Vec<Vec<u8>> {
            if user == b"root" { vec![b"root".to_vec(), b"staff".to_vec()] } else { Vec::new() }
        }
    }

    fn access(rules: &[u8], user: &[u8]) -> Option<(Access, Option<Vec<u8>>)> {
        AuthRules::parse(rules).decide(user, &Root).map(|found| (found.rule.access, found.group))
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        assert_eq!(access(b"joe:ro j*:rw", b"joe"), Some((Access::ReadOnly, None)));
        assert_eq!(access(b"joe:ro j*:rw", b"jim"), Some((Access::ReadWrite, None)));
        assert_eq!(access(b"joe:deny *", b"joe"), Some((Access::Deny, None)));
        assert_eq!(access(b"joe ann", b"stranger"), None);
    }

    #[test]
    fn stars_match_no_slash_and_case_counts() {
        assert_eq!(access(b"*", b"a/b"), None);
        assert_eq!(access(b"joe", b"Joe"), None);
    }

    #[test]
    fn group_rules_tell_which_group_matched() {
        assert_eq!(access(b"@sta*", b"root"), Some((Access::AsModule, Some(b"staff".to_vec()))));
        assert_eq!(access(b"@*", b"nobody-here"), None);
    }

    #[test]
    fn options_go_by_their_first_letters_in_any_case() {
        assert_eq!(access(b"joe:READ", b"joe"), Some((Access::AsModule, None)));
        assert_eq!(access(b"joe:Rox", b"joe"), Some((Access::ReadOnly, None)));
        assert_eq!(access(b"joe:DENIED", b"joe"), Some((Access::Deny, None)));
    }

    #[test]
    fn words_after_a_hash_are_users_and_are_pointed_out() {
        let rules = AuthRules::parse("zk # 用户".as_bytes());
        assert_eq!(rules.rules().len(), 3);
        assert!(matches!(rules.findings()[..], [AuthFinding::CommentWord { .. }]));
        let rules = AuthRules::parse("＠staff joe:read".as_bytes());
        assert!(matches!(
            rules.findings()[..],
            [AuthFinding::Lookalike { meant: '@', .. }, AuthFinding::UnknownOption { .. }]
        ));
    }
}
