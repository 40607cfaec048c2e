//! One line more for the mistakes that operators make: on a terminal, or with `SYNCLINE_HINTS=1`.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::output;

/// A run gets one hint: the first mistake leads to the others.
static TOLD: AtomicBool = AtomicBool::new(false);

/// Prints the hint for a message, if there is one and somebody to read it.
pub(crate) fn tell(message: &str) {
    let Some(hint) = hint(message) else { return };
    let wanted = match std::env::var("SYNCLINE_HINTS") {
        Ok(value) => value == "1",
        Err(_) => std::io::stderr().is_terminal(),
    };
    if wanted && !TOLD.swap(true, Ordering::Relaxed) {
        output::to_stderr(format!("hint: {hint}\n").as_bytes());
    }
}

fn hint(message: &str) -> Option<&'static str> {
    let hints: &[(&str, &str)] = &[
        (
            "password file must not be other-accessible",
            "run `chmod 600` on the password file and try again",
        ),
        (
            "password file must be owned by root",
            "run `chown root` on the password file, or run as its owner",
        ),
        (
            "auth failed on module",
            "check the user in the address, and that the password file holds the password alone, not `user:password`",
        ),
        (
            "Unknown module",
            "`syncline host::` lists the modules; names are case-sensitive and unlisted ones are not shown",
        ),
        (
            "must start with a module name",
            "write host::module/path; the part before the first slash is the module, not a directory",
        ),
        (
            "module is read only",
            "set `read only = no` in the module's section of the daemon's configuration to allow uploads",
        ),
        (
            "Connection refused",
            "nothing listens there: is the daemon running, and is the port (default 873) right?",
        ),
        ("\u{ff20}", "the address holds a full-width \u{ff20}: write a plain @"),
        ("\\#357\\#274\\#240", "the address holds a full-width \u{ff20}: write a plain @"),
    ];
    hints.iter().find(|(words, _)| message.contains(words)).map(|(_, hint)| *hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_mistakes_have_a_hint_and_others_none() {
        assert!(hint("@ERROR: auth failed on module x").unwrap().contains("password"));
        assert!(
            hint("rsync: [sender] failed to connect to h (::1): Connection refused (111)")
                .is_some()
        );
        assert!(hint("something else").is_none());
    }
}
