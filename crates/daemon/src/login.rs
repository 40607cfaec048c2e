//! Authentication (docs/spec daemon.md 8).

use syncline_conf::auth::{Access, AuthRules, UserGroups};
use syncline_conf::rsyncd::ModuleSettings;
use syncline_sys::accounts;
use syncline_wire::Protocol;
use syncline_wire::daemon::{
    AuthDigest, LINE_MAX, Reply, challenge, choose_digest, matches_response, read_line,
};
use zeroize::Zeroizing;

use crate::link::Link;
use crate::paths::message;
use crate::secrets_file::{self, Unusable};

/// What the client's greeting says.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// The negotiated version, or the nearest we speak.
    pub(crate) protocol: Protocol,
    /// The client's list, if it sent one.
    pub(crate) digests: Option<Vec<AuthDigest>>,
}

/// Who came in.
#[derive(Debug)]
pub(crate) struct User {
    /// The name.
    pub(crate) name: Vec<u8>,
    /// What the rule that let them in says.
    pub(crate) access: Access,
}

/// Why nobody did.
#[derive(Debug)]
pub(crate) enum Denial {
    /// There is no digest both know: the client is told, and the session ends with 4.
    NoCommonDigest,
    /// The client is told nothing but that it failed; this comes behind the common beginning of the log line, and
    /// the first, if there is one, on a line before it.
    Failed(Option<String>, Vec<u8>),
    /// The handshake took too long.
    Late,
}

/// The parameters that decide, variables replaced.
#[derive(Debug)]
pub(crate) struct Gate<'a> {
    /// The module.
    pub(crate) settings: &'a ModuleSettings,
    /// `auth users`.
    pub(crate) rules: AuthRules,
    /// `secrets file`.
    pub(crate) secrets_file: Vec<u8>,
}

impl Gate<'_> {
    /// Challenges the client and judges its answer.
    pub(crate) fn admit(&self, link: &mut Link, terms: &Terms) -> Result<User, Denial> {
        let digest =
            choose_digest(Some(&AuthDigest::OFFERED), terms.digests.as_deref(), terms.protocol)
                .map_err(|_| Denial::NoCommonDigest)?;
        self.check_floor(digest)?;
        let mut seed = Zeroizing::new([0; 32]);
        let bad_answer = || Denial::failed(": invalid challenge response");
        getrandom::fill(seed.as_mut()).map_err(|_| bad_answer())?;
        let challenge = Zeroizing::new(challenge(digest, seed.as_ref()));
        let line = Reply::AuthRequired(challenge.as_bytes().to_vec()).to_line();
        let late = |error: &std::io::Error| error.kind() == std::io::ErrorKind::TimedOut;
        link.send(&line).map_err(|error| if late(&error) { Denial::Late } else { bad_answer() })?;
        let answer = Zeroizing::new(read_line(link, LINE_MAX).map_err(|error| match error {
            syncline_wire::Error::Io(error) if late(&error) => Denial::Late,
            _ => bad_answer(),
        })?);
        let space = answer.iter().position(|&byte| byte == b' ').ok_or_else(bad_answer)?;
        let (user, response) = (&answer[..space], &answer[space + 1..]);
        let proven =
            |password: &[u8]| matches_response(digest, password, challenge.as_bytes(), response);
        let access = self.judge(user, proven)?;
        Ok(User { name: user.to_vec(), access })
    }

    fn check_floor(&self, digest: AuthDigest) -> Result<(), Denial> {
        let floor = self.settings.auth_digest.as_bytes();
        if floor.is_empty() {
            return Ok(());
        }
        let shown = String::from_utf8_lossy(floor);
        let strength =
            |name: &str| AuthDigest::OFFERED.iter().position(|digest| digest.name() == name);
        let wanted = AuthDigest::from_name(&shown).and_then(|digest| strength(digest.name()));
        let Some(wanted) = wanted else {
            return Err(Denial::failed(format!(
                ": the configured 'auth digest = {shown}' is not a supported digest on this build"
            )));
        };
        if strength(digest.name()).is_some_and(|strength| strength <= wanted) {
            return Ok(());
        }
        Err(Denial::failed(format!(
            ": negotiated auth digest {} is weaker than the required 'auth digest = {shown}'",
            digest.name()
        )))
    }

    fn judge(&self, user: &[u8], proven: impl Fn(&[u8]) -> bool) -> Result<Access, Denial> {
        let fail = |why: &str| Denial::Failed(None, message![b" for ", user, b": ", why]);
        let matched =
            self.rules.decide(user, &SystemGroups).ok_or_else(|| fail("no matching rule"))?;
        if matched.rule.access == Access::Deny {
            return Err(fail("denied by rule"));
        }
        let strict = *self.settings.strict_modes;
        let secrets = secrets_file::open(&self.secrets_file, strict).map_err(|why| match why {
            Unusable::Missing(_) => fail("no secrets file"),
            Unusable::Refused(refusal) => Denial::Failed(
                Some(refusal.to_string()),
                message![b" for ", user, b": ignoring secrets file"],
            ),
        })?;
        if user.starts_with(b"#") {
            return Err(fail("invalid username"));
        }
        let passwords = secrets.passwords(user, matched.group.as_deref());
        if passwords.is_empty() {
            return Err(fail("secret not found"));
        }
        // Every one is tried, so that time does not tell which of the two matched.
        let hits = passwords.iter().filter(|password| proven(password.expose())).count();
        if hits == 0 {
            return Err(fail("password mismatch"));
        }
        Ok(matched.rule.access)
    }
}

impl Denial {
    fn failed(text: impl AsRef<[u8]>) -> Self {
        Self::Failed(None, text.as_ref().to_vec())
    }
}

/// Users and groups of this machine.
struct SystemGroups;

impl UserGroups for SystemGroups {
    fn groups_of(&self, user: &[u8]) -> Vec<Vec<u8>> {
        let Ok(Some(user)) = accounts::user_by_name(user) else { return Vec::new() };
        let groups = accounts::groups_of(&user.name, user.group).unwrap_or_default();
        let names = groups.into_iter().filter_map(|id| accounts::group_by_id(id).ok().flatten());
        names.map(|group| group.name).collect()
    }
}
