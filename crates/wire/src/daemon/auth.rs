//! Challenge and response (docs/spec session.md 4.5).

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::Digest;
use subtle::ConstantTimeEq;

use crate::{Error, Protocol, Result};

/// How passwords are proven.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum AuthDigest {
    /// SHA-512.
    Sha512,
    /// SHA-256.
    Sha256,
    /// SHA-1.
    Sha1,
    /// MD5.
    Md5,
    /// MD4, chosen from a list.
    Md4,
    /// MD4 after four zero bytes: peers below protocol 30 that sent no list.
    Md4Old,
}

impl AuthDigest {
    /// What a greeting offers, strongest first.
    pub const OFFERED: [Self; 5] = [Self::Sha512, Self::Sha256, Self::Sha1, Self::Md5, Self::Md4];

    /// The name in a greeting.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha512 => "sha512",
            Self::Sha256 => "sha256",
            Self::Sha1 => "sha1",
            Self::Md5 => "md5",
            Self::Md4 | Self::Md4Old => "md4",
        }
    }

    /// The digest of this name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::OFFERED.into_iter().find(|digest| digest.name().eq_ignore_ascii_case(name))
    }

    fn hash(self, parts: &[&[u8]]) -> Vec<u8> {
        fn all<D: Digest>(mut state: D, parts: &[&[u8]]) -> Vec<u8> {
            for part in parts {
                state.update(part);
            }
            state.finalize().to_vec()
        }
        match self {
            Self::Sha512 => all(sha2::Sha512::new(), parts),
            Self::Sha256 => all(sha2::Sha256::new(), parts),
            Self::Sha1 => all(sha1::Sha1::new(), parts),
            Self::Md5 => all(md5::Md5::new(), parts),
            Self::Md4 => all(md4::Md4::new(), parts),
            Self::Md4Old => all(md4::Md4::new_with_prefix([0; 4]), parts),
        }
    }
}

/// The digest both sides use: the client's first that the server has too, or by version where a
/// greeting came without a list. `client` and `server` are the lists of the two greetings.
pub fn choose_digest(
    client: Option<&[AuthDigest]>,
    server: Option<&[AuthDigest]>,
    protocol: Protocol,
) -> Result<AuthDigest> {
    match (client, server) {
        (Some(client), Some(server)) => client
            .iter()
            .copied()
            .find(|digest| server.contains(digest))
            .ok_or(Error::Negotiation { what: "daemon-auth checksum" }),
        _ if protocol.has_varints() => Ok(AuthDigest::Md5),
        _ => Ok(AuthDigest::Md4Old),
    }
}

/// The text a daemon challenges with, from bytes nobody can predict.
pub fn challenge(digest: AuthDigest, unpredictable: &[u8]) -> String {
    STANDARD_NO_PAD.encode(digest.hash(&[unpredictable]))
}

/// The text that proves knowledge of the password; it follows the user's name and a space.
pub fn respond(digest: AuthDigest, password: &[u8], challenge: &[u8]) -> String {
    STANDARD_NO_PAD.encode(digest.hash(&[password, challenge]))
}

/// Whether a response proves the password, in time that does not depend on where they differ.
pub fn matches_response(
    digest: AuthDigest,
    password: &[u8],
    challenge: &[u8],
    response: &[u8],
) -> bool {
    respond(digest, password, challenge).as_bytes().ct_eq(response).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documented_responses_are_computed() {
        for (digest, challenge, response) in [
            (AuthDigest::Md5, "I9qVqH553GQzBfIcV/4vSg", "+tnHXxwZ6Sh/9PKsZ3rXIg"),
            (AuthDigest::Md4Old, "gWC1e6y5jvSxrneZzQCFFg", "AyIeF+BHhRhQOqFggPOrig"),
            (
                AuthDigest::Sha512,
                "i/kLH+ROS8vgRgDpdqVx1BPGRTKhMODul67TcquPrR2dUKpiQe6tstOzIEXdKCAxMs2i+3h1NWBI7Y1zvrY9Bw",
                "kjYgkJvkLvf8XtYeUWhYg3zmAwliMLfpQJ4vt3+N6MqhdXcdcvbgJAQdytqoLQp5th6lIPhbeJskzRqRELVnPg",
            ),
        ] {
            let challenge = challenge.as_bytes();
            assert_eq!(respond(digest, b"sekrit", challenge), response);
            assert!(matches_response(digest, b"sekrit", challenge, response.as_bytes()));
            assert!(!matches_response(digest, b"secret", challenge, response.as_bytes()));
        }
    }

    #[test]
    fn challenge_lengths_tell_the_digest() {
        let lengths = AuthDigest::OFFERED.map(|digest| challenge(digest, b"seed").len());
        assert_eq!(lengths, [86, 43, 27, 22, 22]);
    }

    #[test]
    fn without_both_lists_the_version_decides() {
        let all = Some(&AuthDigest::OFFERED[..]);
        let choose = |client, server, version| {
            choose_digest(client, server, Protocol::new(version).unwrap()).ok()
        };
        assert_eq!(choose(all, all, 29), Some(AuthDigest::Sha512));
        assert_eq!(choose(None, all, 29), Some(AuthDigest::Md4Old));
        assert_eq!(choose(all, None, 30), Some(AuthDigest::Md5));
        assert_eq!(choose(all, Some(&[][..]), 32), None);
    }
}
