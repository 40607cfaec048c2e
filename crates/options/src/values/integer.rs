//! Plain integers of the option parser: C notation, 32 bits (cli.md 2 rule 7).

/// Why a word is not an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntegerProblem {
    /// Not a number, or a number with something after it.
    Invalid,
    /// Outside a signed 32-bit integer.
    Range,
}

/// Parses decimal, `0x` hexadecimal and leading-`0` octal with an optional sign; an empty word is 0.
pub fn parse(text: &[u8]) -> Result<i32, IntegerProblem> {
    let (value, rest) = leading(text);
    if !rest.is_empty() {
        return Err(IntegerProblem::Invalid);
    }
    i32::try_from(value).map_err(|_| IntegerProblem::Range)
}

/// Reads the integer at the start of `text`, saturating at 64 bits, and returns what follows it. Text that does not
/// begin with a number is 0 followed by all of it.
fn leading(text: &[u8]) -> (i64, &[u8]) {
    let trimmed = text.trim_ascii_start();
    let (negative, unsigned) = sign(trimmed);
    let (base, digits) = match unsigned {
        [b'0', b'x' | b'X', rest @ ..] if rest.first().is_some_and(u8::is_ascii_hexdigit) => {
            (16, rest)
        }
        [b'0', ..] => (8, unsigned),
        _ => (10, unsigned),
    };
    let length = digits.iter().take_while(|&&b| (b as char).is_digit(base)).count();
    if length == 0 {
        return (0, text);
    }
    let (digits, rest) = digits.split_at(length);
    let magnitude = digits.iter().fold(0i64, |sum, &b| {
        sum.saturating_mul(i64::from(base))
            .saturating_add(i64::from((b as char).to_digit(base).unwrap_or(0)))
    });
    (if negative { -magnitude } else { magnitude }, rest)
}

/// Reads a decimal integer at the start of `text` and ignores the rest, as the environment's numbers are read.
pub fn leading_decimal(text: &[u8]) -> i64 {
    let trimmed = text.trim_ascii_start();
    let (negative, digits) = sign(trimmed);
    let magnitude = digits
        .iter()
        .take_while(|b| b.is_ascii_digit())
        .fold(0i64, |sum, &b| sum.saturating_mul(10).saturating_add(i64::from(b - b'0')));
    if negative { -magnitude } else { magnitude }
}

/// Takes a sign off; true is minus.
fn sign(text: &[u8]) -> (bool, &[u8]) {
    match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix(b"+").unwrap_or(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c_notation_is_read() {
        for (text, value) in [
            ("0x10", 16),
            ("010", 8),
            ("", 0),
            ("-5", -5),
            ("+7", 7),
            ("2147483647", i32::MAX),
            (" 3", 3),
        ] {
            assert_eq!(parse(text.as_bytes()), Ok(value), "{text}");
        }
    }

    #[test]
    fn rubbish_and_large_numbers_are_told_apart() {
        for text in ["abc", "5x", "0x", "08", "--1", "1 "] {
            assert_eq!(parse(text.as_bytes()), Err(IntegerProblem::Invalid), "{text}");
        }
        for text in ["2147483648", "-2147483649", "99999999999999999999999"] {
            assert_eq!(parse(text.as_bytes()), Err(IntegerProblem::Range), "{text}");
        }
    }
}
