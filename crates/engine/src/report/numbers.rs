//! Numbers as people read them (docs/spec cli.md 8).

/// Whether a number may be shortened with a unit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Units {
    /// Byte counts, sizes, rates.
    Allowed,
    /// Counts of things, times, ratios.
    Never,
}

/// The number style of a run.
#[derive(Clone, Copy, Debug)]
pub struct Numbers {
    level: u8,
    point: char,
}

impl Numbers {
    /// `level` is that of `--human-readable`: 0 digits, 1 groups, 2 units of 1000, 3 units of 1024.
    pub fn new(level: u8, decimal_point: char) -> Self {
        Self { level, point: decimal_point }
    }

    /// The level.
    pub fn level(self) -> u8 {
        self.level
    }

    /// A count of bytes.
    pub fn bytes(self, value: u64) -> String {
        self.at_level(value, self.level)
    }

    /// A count of things: groups at most.
    pub fn grouped(self, value: u64) -> String {
        self.at_level(value, self.level.min(1))
    }

    /// A count at a level of its own.
    pub fn at_level(self, value: u64, level: u8) -> String {
        let base: u64 = match level {
            0 => return value.to_string(),
            1 => return self.group(&value.to_string()),
            2 => 1000,
            _ => 1024,
        };
        if value < base {
            return self.group(&value.to_string());
        }
        let (mut scaled, mut unit) = (value as f64 / base as f64, 0);
        while scaled >= base as f64 && unit < 4 {
            scaled /= base as f64;
            unit += 1;
        }
        let unit = ['K', 'M', 'G', 'T', 'P'][unit];
        format!("{}{unit}", self.point_in(&format!("{scaled:.2}")))
    }

    /// A number with `digits` behind the point.
    pub fn decimal(self, value: f64, digits: usize, units: Units) -> String {
        if units == Units::Allowed && self.level >= 2 {
            let base = if self.level == 2 { 1000.0 } else { 1024.0 };
            if value >= base {
                return self.at_level(value as u64, self.level);
            }
        }
        let text = format!("{value:.digits$}");
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let whole = if self.level == 0 { whole.to_owned() } else { self.group(whole) };
        if fraction.is_empty() { whole } else { format!("{whole}{}{fraction}", self.point) }
    }

    fn group(self, digits: &str) -> String {
        let separator = if self.point == '.' { ',' } else { '.' };
        let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
        for (position, digit) in digits.chars().enumerate() {
            if position > 0 && (digits.len() - position).is_multiple_of(3) {
                grouped.push(separator);
            }
            grouped.push(digit);
        }
        grouped
    }

    fn point_in(self, text: &str) -> String {
        if self.point == '.' { text.to_owned() } else { text.replace('.', &self.point.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn styles_are_stocks() {
        for (level, value, text) in [
            (0, 1_234_567, "1234567"),
            (1, 1_234_567, "1,234,567"),
            (2, 1_234_567, "1.23M"),
            (3, 1_234_567, "1.18M"),
            (2, 999, "999"),
            (2, 999_999, "1000.00K"),
            (3, 999_999, "976.56K"),
            (3, 1023, "1,023"),
            (1, 0, "0"),
        ] {
            assert_eq!(Numbers::new(level, '.').bytes(value), text);
        }
        assert_eq!(Numbers::new(1, ',').bytes(1_234_567), "1.234.567");
        assert_eq!(Numbers::new(2, ',').bytes(1_234_567), "1,23M");
        assert_eq!(Numbers::new(2, '.').decimal(130_920.81, 2, Units::Never), "130,920.81");
    }
}
