//! What the end of a session means for its target (R80, docs/spec live.md 6.9.1).

use syncline_engine::{Error, ExitCode};

use crate::push::{Findings, Outcome};

/// A class of ends, each with its own reaction.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// It ended well, perhaps without some paths.
    Arrived,
    /// Some paths did not arrive.
    Partial,
    /// The network, or an end that tells nothing: tried again soon.
    Transient,
    /// All slots of the module are taken.
    Busy,
    /// A person must set it right.
    Misconfigured,
    /// The daemon refuses an option.
    Refused(String),
    /// Nothing moved for too long.
    Stalled,
    /// No room there.
    Full,
    /// The target found a path of the list impossible.
    BadList,
}

const FULL: [&str; 2] = ["No space left on device (28)", "Disk quota exceeded (122)"];

impl Verdict {
    pub(crate) fn of(outcome: &Outcome) -> Self {
        let said = |wanted: &str| outcome.findings.texts.iter().any(|text| text.contains(wanted));
        match &outcome.result {
            Ok(code) if [ExitCode::OK, ExitCode::VANISHED].contains(code) => Self::Arrived,
            Ok(ExitCode::DELETE_LIMIT) => Self::Arrived,
            Ok(_) if FULL.iter().any(|text| said(text)) => Self::Full,
            Ok(_) => Self::Partial,
            Err(error) => Self::of_error(error, &outcome.findings.texts),
        }
    }

    fn of_error(error: &Error, texts: &[String]) -> Self {
        let own = error.to_string();
        let said =
            |wanted: &str| own.contains(wanted) || texts.iter().any(|text| text.contains(wanted));
        if said("@ERROR: max connections") {
            return Self::Busy;
        }
        if said("@ERROR") || said("read only") {
            return Self::Misconfigured;
        }
        let refused = texts.iter().chain([&own]).find_map(|text| {
            let (_, option) = text.split_once("configured to refuse --")?;
            Some(option.split_whitespace().next().unwrap_or_default().to_owned())
        });
        if let Some(option) = refused {
            return Self::Refused(option);
        }
        if said("ABORTING due to") {
            return Self::BadList;
        }
        if FULL.iter().any(|text| said(text)) {
            return Self::Full;
        }
        match error.exit_code() {
            ExitCode::TIMEOUT | ExitCode::CONNECT_TIMEOUT => Self::Stalled,
            ExitCode::USAGE | ExitCode::PROTOCOL | ExitCode::SELECTION | ExitCode::UNSUPPORTED => {
                Self::Misconfigured
            }
            code if [126, 127].contains(&code.number()) => Self::Misconfigured,
            _ => Self::Transient,
        }
    }
}

/// The paths that lines of trouble name, and whether every line names one.
pub(crate) fn named(findings: &Findings, is_known: impl Fn(&[u8]) -> bool) -> (Vec<Vec<u8>>, bool) {
    let mut paths = Vec::new();
    let mut all = !findings.dropped;
    // A line with stars belongs to the one before it.
    let names_none = |text: &&String| text.starts_with("rsync error:") || text.starts_with("*** ");
    for text in findings.texts.iter().filter(|text| !names_none(text)) {
        let found = quoted(text).into_iter().flat_map(candidates).find(|path| is_known(path));
        all &= found.is_some();
        paths.extend(found);
    }
    (paths, all)
}

/// What stands in double quotes.
fn quoted(text: &str) -> Vec<&str> {
    text.split('"').skip(1).step_by(2).collect()
}

/// What a quoted name may mean: as it is, or a temporary file's.
fn candidates(name: &str) -> Vec<Vec<u8>> {
    let name = name.trim_start_matches('/');
    let mut all = vec![name.as_bytes().to_vec()];
    let (directory, base) = name.rsplit_once('/').map_or(("", name), |(above, base)| (above, base));
    if let Some(hidden) = base.strip_prefix('.')
        && let Some((real, random)) = hidden.rsplit_once('.')
        && random.len() == 6
    {
        let real =
            if directory.is_empty() { real.to_owned() } else { format!("{directory}/{real}") };
        all.push(real.into_bytes());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(texts: &[String]) -> Findings {
        Findings { texts: texts.to_vec(), ..Findings::default() }
    }

    fn verdict(code: ExitCode, text: &str) -> Verdict {
        Verdict::of_error(&Error::fatal(code, text.to_owned()), &[])
    }

    #[test]
    fn r80_errors_of_daemons_have_their_classes() {
        for (code, text, class) in [
            (5, "@ERROR: max connections (3) reached -- try again later", Verdict::Busy),
            (5, "@ERROR: auth failed on module m", Verdict::Misconfigured),
            (5, "@ERROR: access denied to m from h (127.0.0.1)", Verdict::Misconfigured),
            (5, "@ERROR: Unknown module 'm'", Verdict::Misconfigured),
            (5, "@ERROR: chroot failed", Verdict::Misconfigured),
            (1, "ERROR: module is read only", Verdict::Misconfigured),
            (
                4,
                "rsync: The server is configured to refuse --delete",
                Verdict::Refused("delete".into()),
            ),
            (
                10,
                "rsync: [sender] failed to connect to h: Connection refused (111)",
                Verdict::Transient,
            ),
            (12, "connection unexpectedly closed", Verdict::Transient),
            (30, "io timeout after 60 seconds", Verdict::Stalled),
            (35, "timeout waiting for daemon connection", Verdict::Stalled),
            (11, "write failed on \"/x\": No space left on device (28)", Verdict::Full),
            (11, "write failed on \"/x\": Disk quota exceeded (122)", Verdict::Full),
            (2, "ABORTING due to invalid path from sender: p/a", Verdict::BadList),
            (2, "protocol version mismatch -- is your shell clean?", Verdict::Misconfigured),
            (255, "unexplained", Verdict::Transient),
            (127, "no such command", Verdict::Misconfigured),
            (14, "fork", Verdict::Transient),
        ] {
            assert_eq!(verdict(ExitCode::new(code), text), class, "{text}");
        }
    }

    #[test]
    fn r86_lines_of_trouble_are_resolved_to_paths() {
        let texts = [
            "rsync: [receiver] mkstemp \"/sub/.file.AbCdEf\" (in m) failed: Permission denied (13)",
            "rsync: [generator] delete_file: unlink(\"x\") failed: Operation not permitted (1)",
            "rsync error: some files/attrs were not transferred (code 23) at x",
        ]
        .map(str::to_owned);
        let known = |path: &[u8]| [&b"sub/file"[..], b"x"].contains(&path);
        assert_eq!(
            named(&findings(&texts), known),
            (vec![b"sub/file".to_vec(), b"x".to_vec()], true)
        );
        assert!(!named(&findings(&["failed verification".to_owned()]), known).1);
    }
}
