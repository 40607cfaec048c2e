//! rsync's wildcard matcher (docs/spec/filters.md 6.5): compiled once, linear-ish always.
//!
//! ```
//! use syncline_wildcard::Wildcard;
//!
//! let objects = Wildcard::new(b"**/*.[ao]");
//! assert!(objects.matches(b"build/x/lib.a"));
//! assert!(!objects.matches(b"lib.a"));
//! ```
//!
//! # Why two retry points are enough
//!
//! A pattern is a row of *stretches* joined by double stars; a stretch is a row of fixed-length *runs* joined by
//! single stars, which never cross a `/`. The shortest match of the earliest start of a stretch also ends first, and
//! what follows a double star is served best by an early end, so only the last double star and the last single star
//! after it are ever retried. A single star that runs into a `/` condemns every start of its stretch that would meet
//! the same slashes; a single star that runs into the end condemns the match. Each byte of text is therefore looked
//! at no more than once for each token of the pattern, plus a constant: the tests count the steps.

/// A wildcard pattern, ready to be matched against whole texts.
///
/// ```
/// use syncline_wildcard::Wildcard;
///
/// let sources = Wildcard::new(b"src/**/[a-m]*.rs");
/// assert!(sources.matches(b"src/x/y/lib.rs"));
/// assert!(!sources.matches(b"src/lib.rs"));
/// ```
#[derive(Clone, Debug)]
pub struct Wildcard {
    /// `None` for a pattern that nothing can match: a bad set, a trailing backslash.
    tokens: Option<Box<[Token]>>,
    sets: Box<[ByteSet]>,
    /// ASCII letters of the text are lowered before they are compared.
    folds: bool,
}

impl Wildcard {
    /// Compiles `pattern`. Every byte string is a pattern; some match nothing.
    pub fn new(pattern: &[u8]) -> Self {
        let mut sets = Vec::new();
        let tokens = compile(pattern, &mut sets);
        Self { tokens: tokens.map(Into::into), sets: sets.into(), folds: false }
    }

    /// Compiles `pattern` for comparing without regard to the case of ASCII letters, as host names and file suffixes
    /// are. File names in filters are always compared by byte.
    pub fn ignoring_case(pattern: &[u8]) -> Self {
        Self { folds: true, ..Self::new(&pattern.to_ascii_lowercase()) }
    }

    /// Whether the complete `text` matches the complete pattern.
    pub fn matches(&self, text: &[u8]) -> bool {
        self.matches_text(text, Start::Here)
    }

    /// Whether the rest of `text` from an allowed start on matches the complete pattern. The text may lie in pieces.
    pub fn matches_text(&self, text: impl Text, start: Start) -> bool {
        self.metered(text, start, &mut Unmetered)
    }

    /// Whether `text` matches, and how many steps it took to find out. A step is one comparison of a token with a
    /// byte or one retry; the number never exceeds `4 * (pattern + 2) * (text + 2)` in lengths.
    #[doc(hidden)]
    pub fn matches_counting(&self, text: &[u8]) -> (bool, u64) {
        let mut steps = 0;
        let matched = self.metered(text, Start::Here, &mut steps);
        (matched, steps)
    }

    /// As [`Wildcard::matches_counting`], with the match free to begin behind any slash.
    #[doc(hidden)]
    pub fn matches_tail_counting(&self, text: &[u8]) -> (bool, u64) {
        let mut steps = 0;
        let matched = self.metered(text, Start::AfterAnySlash, &mut steps);
        (matched, steps)
    }

    /// Whether nothing at all can match.
    pub fn is_unmatchable(&self) -> bool {
        self.tokens.is_none()
    }

    fn metered<T: Text>(&self, text: T, start: Start, meter: &mut impl Meter) -> bool {
        match &self.tokens {
            Some(tokens) => self.run(tokens, text, start, meter),
            None => false,
        }
    }

    fn run<T: Text>(
        &self,
        tokens: &[Token],
        text: T,
        start: Start,
        meter: &mut impl Meter,
    ) -> bool {
        let end = text.length();
        let mut at = 0;
        let mut next = 0;
        let mut stretch = match start {
            Start::Here => None,
            Start::AfterAnySlash => Some(Stretch { token: 0, start: 0, aligned: true }),
        };
        let mut star: Option<Star> = None;
        loop {
            meter.step();
            match tokens.get(next) {
                Some(Token::DoubleStar) => {
                    next += 1;
                    if next == tokens.len() {
                        return true;
                    }
                    stretch = Some(Stretch { token: next, start: at, aligned: false });
                    star = None;
                    continue;
                }
                Some(Token::Star) => {
                    next += 1;
                    star = Some(Star { token: next, reach: at });
                    continue;
                }
                Some(&token) if at < end && self.token_matches(token, text.at(at)) => {
                    at += 1;
                    next += 1;
                    continue;
                }
                None if at == end => return true,
                _ => {}
            }
            // A mismatch: lengthen the last single star, else start the last stretch later.
            if let Some(point) = &mut star {
                if point.reach == end {
                    return false;
                }
                if text.at(point.reach) != b'/' {
                    point.reach += 1;
                    at = point.reach;
                    next = point.token;
                    continue;
                }
            }
            let Some(point) = &mut stretch else { return false };
            let from = match star.take() {
                // All starts up to the first slash that this one met would meet the same fate.
                Some(stopped) => point.first_slash(text, stopped.reach, meter).max(point.start + 1),
                None => point.start + 1,
            };
            let Some(begin) = point.next_start(text, from, meter) else { return false };
            point.start = begin;
            at = begin;
            next = point.token;
        }
    }

    #[inline]
    fn token_matches(&self, token: Token, byte: u8) -> bool {
        let byte = if self.folds { byte.to_ascii_lowercase() } else { byte };
        match token {
            Token::Byte(wanted) => wanted == byte,
            Token::AnyByte => byte != b'/',
            Token::Set(index) => {
                self.sets.get(index as usize).is_some_and(|set| set.contains(byte))
            }
            Token::Star | Token::DoubleStar => false,
        }
    }
}

/// Where a match may begin in its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the first byte only.
    Here,
    /// At the first byte or behind any slash (docs/spec/filters.md 6.4, third row).
    AfterAnySlash,
}

/// A byte string that the matcher can look at, perhaps in pieces that were never copied together.
pub trait Text: Copy {
    /// How many bytes it has.
    fn length(self) -> usize;

    /// The byte at `index`, which is below the length.
    fn at(self, index: usize) -> u8;

    /// Whether the text from `start` on, which is not above the length, equals `wanted`.
    fn tail_equals(self, start: usize, wanted: &[u8]) -> bool {
        self.length() - start == wanted.len()
            && wanted.iter().enumerate().all(|(index, &byte)| self.at(start + index) == byte)
    }
}

impl Text for &[u8] {
    #[inline]
    fn length(self) -> usize {
        self.len()
    }

    #[inline]
    fn at(self, index: usize) -> u8 {
        self[index]
    }

    #[inline]
    fn tail_equals(self, start: usize, wanted: &[u8]) -> bool {
        &self[start..] == wanted
    }
}

/// Counts the matcher's steps, or does not.
trait Meter {
    fn step(&mut self);
}

/// The meter of everyday use.
struct Unmetered;

impl Meter for Unmetered {
    #[inline]
    fn step(&mut self) {}
}

impl Meter for u64 {
    fn step(&mut self) {
        *self += 1;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    AnyByte,
    Set(u32),
    Star,
    DoubleStar,
}

/// The last single star: the token after it, and how far it has been stretched.
struct Star {
    token: usize,
    reach: usize,
}

/// The last double star (or a free beginning): the token after it, and where that is tried at present.
struct Stretch {
    token: usize,
    start: usize,
    /// Only positions behind a slash will do.
    aligned: bool,
}

impl Stretch {
    /// The first start that does not meet the slashes of the present one: the slash where the star stopped if the
    /// stretch met none before, else the byte behind the first it met.
    fn first_slash<T: Text>(&self, text: T, stopped: usize, meter: &mut impl Meter) -> usize {
        for at in self.start..stopped {
            meter.step();
            if text.at(at) == b'/' {
                return at + 1;
            }
        }
        stopped
    }

    fn next_start<T: Text>(&self, text: T, from: usize, meter: &mut impl Meter) -> Option<usize> {
        let end = text.length();
        if !self.aligned {
            return (from <= end).then_some(from);
        }
        let mut at = from;
        while at <= end {
            meter.step();
            if at > 0 && text.at(at - 1) == b'/' {
                return Some(at);
            }
            at += 1;
        }
        None
    }
}

/// 256 bits, one for each byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct ByteSet([u64; 4]);

impl ByteSet {
    #[inline]
    fn contains(&self, byte: u8) -> bool {
        self.0[(byte >> 6) as usize] & (1 << (byte & 63)) != 0
    }

    fn insert(&mut self, byte: u8) {
        self.0[(byte >> 6) as usize] |= 1 << (byte & 63);
    }

    fn remove(&mut self, byte: u8) {
        self.0[(byte >> 6) as usize] &= !(1 << (byte & 63));
    }

    fn insert_class(&mut self, name: &[u8]) -> Option<()> {
        let member: fn(&u8) -> bool = match name {
            b"alnum" => u8::is_ascii_alphanumeric,
            b"alpha" => u8::is_ascii_alphabetic,
            b"blank" => |byte| matches!(byte, b' ' | b'\t'),
            b"cntrl" => u8::is_ascii_control,
            b"digit" => u8::is_ascii_digit,
            b"graph" => u8::is_ascii_graphic,
            b"lower" => u8::is_ascii_lowercase,
            b"print" => |byte| matches!(byte, b' '..=b'~'),
            b"punct" => u8::is_ascii_punctuation,
            b"space" => |byte| matches!(byte, b' ' | b'\t'..=b'\r'),
            b"upper" => u8::is_ascii_uppercase,
            b"xdigit" => u8::is_ascii_hexdigit,
            _ => return None,
        };
        (0..=u8::MAX).filter(member).for_each(|byte| self.insert(byte));
        Some(())
    }
}

/// `None`: no text can match.
fn compile(pattern: &[u8], sets: &mut Vec<ByteSet>) -> Option<Vec<Token>> {
    let mut tokens = Vec::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        tokens.push(match byte {
            b'?' => Token::AnyByte,
            b'\\' => {
                let (&escaped, after) = rest.split_first()?;
                rest = after;
                Token::Byte(escaped)
            }
            b'*' => {
                let more = rest.iter().take_while(|&&byte| byte == b'*').count();
                rest = &rest[more..];
                if more > 0 { Token::DoubleStar } else { Token::Star }
            }
            b'[' => {
                let (set, after) = compile_set(rest)?;
                rest = after;
                sets.push(set);
                Token::Set(sets.len() as u32 - 1)
            }
            other => Token::Byte(other),
        });
    }
    Some(tokens)
}

/// Compiles what follows a `[`; returns the set and what follows its `]`.
fn compile_set(body: &[u8]) -> Option<(ByteSet, &[u8])> {
    let mut set = ByteSet::default();
    let (negated, mut rest) = match body.first() {
        Some(b'!' | b'^') => (true, &body[1..]),
        _ => (false, body),
    };
    // The byte that a following `-` would make the beginning of a range.
    let mut range_from: Option<u8> = None;
    let mut first = true;
    loop {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        match byte {
            b']' if !first => break,
            b'-' if range_from.is_some() && rest.first().is_some_and(|&byte| byte != b']') => {
                let from = range_from.take()?;
                let (to, after) = member(rest)?;
                rest = after;
                (from..=to).for_each(|byte| set.insert(byte));
            }
            b'[' if rest.first() == Some(&b':') => {
                let class = &rest[1..];
                let close = memchr::memchr(b']', class)?;
                if let Some((b':', name)) = class[..close].split_last() {
                    set.insert_class(name)?;
                    rest = &class[close + 1..];
                    range_from = None;
                } else {
                    set.insert(b'[');
                    range_from = Some(b'[');
                }
            }
            _ => {
                let (member, after) =
                    if byte == b'\\' { member_after_backslash(rest)? } else { (byte, rest) };
                rest = after;
                set.insert(member);
                range_from = Some(member);
            }
        }
        first = false;
    }
    if negated {
        set.0.iter_mut().for_each(|word| *word = !*word);
    }
    set.remove(b'/');
    Some((set, rest))
}

fn member(rest: &[u8]) -> Option<(u8, &[u8])> {
    let (&byte, after) = rest.split_first()?;
    if byte == b'\\' { member_after_backslash(after) } else { Some((byte, after)) }
}

fn member_after_backslash(rest: &[u8]) -> Option<(u8, &[u8])> {
    rest.split_first().map(|(&byte, after)| (byte, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_follow_the_specified_corner_cases() {
        let members = |pattern: &[u8]| -> Vec<u8> {
            let wildcard = Wildcard::new(pattern);
            (1..=255).filter(|&byte| wildcard.matches(&[byte])).collect()
        };
        assert_eq!(members(b"[]-a]"), b"]^_`a");
        assert_eq!(members(br"[\]]"), b"]");
        assert_eq!(members(b"[--0]"), b"-.0", "a slash is never a member");
        assert_eq!(members(b"[c-a]"), b"c");
        assert_eq!(members(b"[a-c-e]"), b"-abce");
        assert_eq!(members(b"[[:]"), b":[");
        assert_eq!(members(b"[[:digit:]-z]"), b"-0123456789z");
        assert_eq!(members(b"[!]-a]").len(), 255 - 5 - 1);
    }

    #[test]
    fn patterns_that_nothing_can_match_are_known_when_compiled() {
        for pattern in [&b"[ab"[..], b"x\\*\\", b"[[:nonsense:]]", b"[[::]]", b"[[:alpha:"] {
            assert!(Wildcard::new(pattern).is_unmatchable(), "{}", pattern.escape_ascii());
        }
    }

    #[test]
    fn host_names_may_be_matched_without_regard_to_case() {
        let wildcard = Wildcard::ignoring_case(b"*.Example.[A-C]om");
        assert!(wildcard.matches(b"WWW.example.COM"));
        assert!(!Wildcard::new(b"*.O").matches(b"x.o"));
    }

    #[test]
    fn crafted_patterns_stay_within_the_step_limit() {
        let mut patterns = Vec::new();
        for unit in ["*a", "**a", "*?", "a*", "**a*b", "**/*a", "**/a*", "*[ab]", "**?*a/"] {
            for times in [1, 3, 25, 60] {
                patterns.push(format!("{}b", unit.repeat(times)));
                patterns.push(format!("**{}b**c", unit.repeat(times)));
            }
        }
        let mut texts = vec!["a".repeat(2000), "a/".repeat(1000), "ab".repeat(1000)];
        texts.push(format!("{}/", "a".repeat(50)).repeat(40));
        texts.push(format!("{}/b", "ab".repeat(20)).repeat(40));
        for pattern in &patterns {
            let wildcard = Wildcard::new(pattern.as_bytes());
            for text in &texts {
                let limit = 4 * (pattern.len() as u64 + 2) * (text.len() as u64 + 2);
                let (_, steps) = wildcard.matches_counting(text.as_bytes());
                assert!(steps <= limit, "{pattern} took {steps} steps on {} bytes", text.len());
                let (_, steps) = wildcard.matches_tail_counting(text.as_bytes());
                assert!(steps <= limit, "{pattern} took {steps} steps behind any slash");
            }
        }
    }
}
