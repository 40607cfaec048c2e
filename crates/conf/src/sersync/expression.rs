//! Whether sersync's regular-expression library would take an expression at all (live.md 1.5): what it does not
//! take, sersync reports and skips.

/// Looks for what makes such an expression invalid: an unmatched parenthesis or bracket, a repeat of nothing
/// (`*.php`, a shell pattern), and a backslash at the end.
pub(super) fn is_valid(expression: &[u8]) -> bool {
    let mut depth = 0_usize;
    // What stands before can be repeated.
    let mut repeatable = false;
    let mut rest = expression;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'\\' => {
                let Some((_, tail)) = rest.split_first() else { return false };
                rest = tail;
                repeatable = true;
            }
            b'(' => {
                depth += 1;
                repeatable = false;
                rest = rest.strip_prefix(b"?").unwrap_or(rest);
            }
            b')' => {
                let Some(outer) = depth.checked_sub(1) else { return false };
                depth = outer;
                repeatable = true;
            }
            b'[' => {
                let Some(length) = set_length(rest) else { return false };
                rest = &rest[length..];
                repeatable = true;
            }
            b'*' | b'+' | b'?' if !repeatable => return false,
            b'|' => repeatable = false,
            _ => repeatable = true,
        }
    }
    depth == 0
}

/// The length of a set after its `[`, up to and with the `]`.
fn set_length(rest: &[u8]) -> Option<usize> {
    let mut at = usize::from(rest.first() == Some(&b'^'));
    at += usize::from(rest.get(at) == Some(&b']'));
    loop {
        match rest.get(at)? {
            b']' => return Some(at + 1),
            b'\\' => at += 2,
            b'[' if rest.get(at + 1) == Some(&b':') => {
                at += 2 + rest[at + 2..].windows(2).position(|window| window == b":]")? + 2;
            }
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_valid;

    #[test]
    fn the_default_files_expressions_are_valid() {
        for valid in [
            r"(.*)\.svn",
            r"^info/*",
            r"site([/a-zA-Z0-9]*)/images",
            "[]a]",
            "[[:alpha:]]+",
            "(?:a|b)?",
            "",
        ] {
            assert!(is_valid(valid.as_bytes()), "{valid}");
        }
    }

    #[test]
    fn what_can_mean_nothing_is_not() {
        for invalid in ["(.*", "a)", "*.php", "+", "(*a)", "a|*", "[a", "[[:alpha:", r"a\", r"[a\"]
        {
            assert!(!is_valid(invalid.as_bytes()), "{invalid}");
        }
    }
}
