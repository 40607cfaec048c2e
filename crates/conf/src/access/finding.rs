//! What an administrator should look at in an access list.

use super::token::{Address, Mask, Token, all_bits, is_digit_or_dot};
use crate::text::{lookalike, show};

/// A token that does not do what its author probably meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum AccessFinding {
    /// `0.0.0.0/32`, `0.0.0.0`
    #[error(
        "`{token}` matches only the address {}, which no peer has: write `*` for everybody",
        token.split('/').next().unwrap_or_default()
    )]
    OnlyZeroAddress {
        /// The token.
        token: String,
    },
    /// `300.0.0.1`, `127.`
    #[error(
        "`{token}` is no address, so it never matches: write ADDRESS, ADDRESS/BITS or ADDRESS/MASK"
    )]
    MalformedAddress {
        /// The token.
        token: String,
    },
    /// `10.0.0.0/33`
    #[error(
        "`{token}` has no valid mask, so it never matches: write ADDRESS/BITS (0 to 32, IPv6 0 to 128) or ADDRESS/MASK"
    )]
    MalformedMask {
        /// The token.
        token: String,
    },
    /// `127.0.0.*`
    #[error(
        "`{token}` is compared with host names only, so no address matches it: write ADDRESS/BITS"
    )]
    WildcardAddress {
        /// The token.
        token: String,
    },
    /// `!10.0.0.1`
    #[error("`{token}` does not negate, it is taken as a host name: use the other list")]
    Negation {
        /// The token.
        token: String,
    },
    /// `ALL`
    #[error("`{token}` is no keyword here, it is taken as a host name: write `*` for everybody")]
    Keyword {
        /// The token.
        token: String,
    },
    /// `10.0.0.1;10.0.0.2`
    #[error("`{token}` is one host name: separate hosts with blanks or commas")]
    Semicolon {
        /// The token.
        token: String,
    },
    /// Words after a `#` are host names.
    #[error(
        "there is no comment after a value: `{token}` and every word after it are taken as host names; remove them \
         or give the comment a line of its own"
    )]
    CommentWord {
        /// The word.
        token: String,
    },
    /// A full-width character or the like.
    #[error("`{token}` holds `{found}`, which is not `{meant}`: type `{meant}`")]
    Lookalike {
        /// The token.
        token: String,
        /// What stands there.
        found: char,
        /// What was meant.
        meant: char,
    },
}

impl Token {
    pub(super) fn matches_nobody(&self) -> bool {
        match self.finding() {
            Some(
                AccessFinding::OnlyZeroAddress { .. }
                | AccessFinding::MalformedAddress { .. }
                | AccessFinding::MalformedMask { .. }
                | AccessFinding::WildcardAddress { .. },
            ) => true,
            // A plain name that does not resolve matches everybody in a deny list.
            _ => false,
        }
    }

    pub(super) fn finding(&self) -> Option<AccessFinding> {
        let token = show(&self.text);
        if self.text.starts_with(b"#") || self.text.starts_with("＃".as_bytes()) {
            return Some(AccessFinding::CommentWord { token });
        }
        if let Some((found, meant)) = lookalike(&self.text) {
            return Some(AccessFinding::Lookalike { token, found, meant });
        }
        match &self.address {
            Some(Address::Malformed) => return Some(AccessFinding::MalformedAddress { token }),
            Some(Address::Parsed { mask: Mask::Malformed, .. }) => {
                return Some(AccessFinding::MalformedMask { token });
            }
            Some(Address::Parsed { address, mask: Mask::Bits(mask), .. })
                if address.is_unspecified() && *mask == all_bits(*address) =>
            {
                return Some(AccessFinding::OnlyZeroAddress { token });
            }
            _ => {}
        }
        let digits = self.text.iter().any(u8::is_ascii_digit);
        if self.text.starts_with(b"!") {
            Some(AccessFinding::Negation { token })
        } else if matches!(&self.text[..], b"all" | b"except" | b"local") {
            Some(AccessFinding::Keyword { token: token.to_ascii_uppercase() })
        } else if digits
            && self.text.contains(&b'*')
            && self.text.iter().all(|&byte| is_digit_or_dot(byte) || byte == b'*')
        {
            Some(AccessFinding::WildcardAddress { token })
        } else if self.text.contains(&b';') {
            Some(AccessFinding::Semicolon { token })
        } else {
            None
        }
    }
}
