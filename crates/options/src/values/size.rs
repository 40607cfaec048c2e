//! Sizes with units (cli.md 4.1).

use std::fmt;

/// Why a size was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeProblem {
    /// The text does not follow the grammar.
    Invalid,
    /// Negative, beyond 64 bits, or above the option's maximum.
    TooLarge,
    /// Below the option's minimum.
    TooSmall,
}

/// The unit of a number without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Byte,
    /// KiB.
    Kibi,
}

/// Which values an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The smallest value.
    pub min: u64,
    /// The largest value, if the option has one.
    pub max: Option<u64>,
    /// Whether 0 means "no limit" although it is below `min`.
    pub zero_is_unlimited: bool,
}

impl Range {
    /// Everything from 0 up.
    pub const ANY: Self = Self { min: 0, max: None, zero_is_unlimited: false };
}

/// Parses a size. `point` is the locale's decimal point, accepted beside `.`.
pub fn parse(text: &[u8], unit: Unit, range: Range, point: u8) -> Result<u64, SizeProblem> {
    let value = parse_unbounded(text, unit, point)?;
    if value == 0 && range.zero_is_unlimited {
        return Ok(0);
    }
    if range.max.is_some_and(|max| value > max) {
        return Err(SizeProblem::TooLarge);
    }
    if value < range.min {
        return Err(SizeProblem::TooSmall);
    }
    Ok(value)
}

fn parse_unbounded(text: &[u8], unit: Unit, point: u8) -> Result<u64, SizeProblem> {
    let (negative, body) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let digits = |from: &[u8]| from.iter().take_while(|b| b.is_ascii_digit()).count();
    let mut end = digits(body);
    let whole = end;
    if body.get(end).is_some_and(|&b| b == b'.' || b == point) {
        end += 1;
        end += digits(&body[end..]);
    }
    let (number, rest) = body.split_at(end);
    let (power, rest) = match rest.first().map(u8::to_ascii_lowercase) {
        Some(b'b') => (0, rest.get(1..).unwrap_or_default()),
        Some(letter) if b"kmgtp".contains(&letter) => {
            let power = 1 + b"kmgtp".iter().position(|&unit| unit == letter).unwrap_or(0) as u32;
            (power, rest.get(1..).unwrap_or_default())
        }
        None | Some(b'+' | b'-') => (u32::from(unit == Unit::Kibi), rest),
        Some(_) => return Err(SizeProblem::Invalid),
    };
    let (base, rest) = match rest {
        [b'b' | b'B', rest @ ..] => (1000u64, rest),
        [b'i' | b'I', b'b' | b'B', rest @ ..] | rest => (1024, rest),
    };
    let step = match rest {
        [] => 0,
        b"+1" if rest.len() < body.len() => 1i128,
        b"-1" if rest.len() < body.len() => -1,
        _ => return Err(SizeProblem::Invalid),
    };
    if negative {
        // Negative sizes are called "too large" on purpose (cli.md 4, traps); a negative nothing is no number.
        let nothing = !number.iter().any(|b| (b'1'..=b'9').contains(b));
        return Err(if nothing { SizeProblem::Invalid } else { SizeProblem::TooLarge });
    }
    let scaled = scale(number, whole, base.pow(power)).ok_or(SizeProblem::TooLarge)? + step;
    // The wire holds 63 bits.
    i64::try_from(scaled)
        .ok()
        .and_then(|value| u64::try_from(value).ok())
        .ok_or(SizeProblem::TooLarge)
}

/// Multiplies the decimal `number`, whose first `whole` bytes are its integer part, and drops the fraction.
fn scale(number: &[u8], whole: usize, factor: u64) -> Option<i128> {
    let (integer, fraction) = number.split_at(whole);
    let mut sum = 0i128;
    for digit in integer {
        sum = sum.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
        if sum > i128::from(u64::MAX) {
            return None;
        }
    }
    let mut part = 0i128;
    let mut divisor = 1i128;
    // Eighteen digits are finer than any unit's step.
    for digit in fraction.iter().skip(1).take(18) {
        part = part * 10 + i128::from(digit - b'0');
        divisor *= 10;
    }
    let factor = i128::from(factor);
    Some(sum * factor + part * factor / divisor)
}

/// A limit as the size errors print it: units of 1024 with two decimals (cli.md 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(pub u64);

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut value = self.0 as f64;
        let mut units = "KMGTP".chars();
        let mut unit = None;
        while value >= 1024.0 {
            let Some(next) = units.next() else { break };
            value /= 1024.0;
            unit = Some(next);
        }
        match unit {
            Some(unit) => write!(f, "{value:.2}{unit}"),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Result<u64, SizeProblem> {
        parse(text.as_bytes(), Unit::Byte, Range::ANY, b'.')
    }

    #[test]
    fn the_table_of_the_specification_holds() {
        for (text, value) in [
            ("1k", 1024),
            ("1KiB", 1024),
            ("1kb", 1000),
            ("1.5k", 1536),
            ("1k-1", 1023),
            ("1kb+1", 1001),
            ("k", 0),
            ("", 0),
            ("0.3", 0),
            ("1m", 1 << 20),
            ("2b", 2),
        ] {
            assert_eq!(bytes(text), Ok(value), "{text}");
        }
        for text in ["1e", "1ki", "1kbb", "1kb-2", "+1", "x"] {
            assert_eq!(bytes(text), Err(SizeProblem::Invalid), "{text}");
        }
        for text in ["-1", "0-1", "8192p"] {
            assert_eq!(bytes(text), Err(SizeProblem::TooLarge), "{text}");
        }
    }

    #[test]
    fn limits_are_shown_in_units_of_1024() {
        assert_eq!(Limit(131_072).to_string(), "128.00K");
        assert_eq!(Limit(1 << 29).to_string(), "512.00M");
        assert_eq!(Limit(512).to_string(), "512");
    }
}
