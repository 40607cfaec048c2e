//! Lua text to tokens.

/// A token and the line it begins on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) line: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// A name or a keyword.
    Name(String),
    Text(Vec<u8>),
    Number(Number),
    /// Anything else.
    Symbol(&'static str),
    End,
}

/// A number, which keeps being an integer if it is written as one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Integer(i64),
    Float(f64),
}

impl Number {
    pub(super) fn to_f64(self) -> f64 {
        match self {
            Self::Integer(number) => number as f64,
            Self::Float(number) => number,
        }
    }

    /// As it is joined to a string.
    pub(super) fn to_text(self) -> String {
        match self {
            Self::Integer(number) => number.to_string(),
            Self::Float(number) if number.fract() == 0.0 => format!("{number:.1}"),
            Self::Float(number) => number.to_string(),
        }
    }
}

/// A line and what is wrong there.
pub(super) type Problem = (u32, String);

/// Longer ones first, so that the first that fits is right.
const SYMBOLS: [&str; 33] = [
    "...", "..", "<<", ">>", "//", "==", "~=", "<=", ">=", "::", "+", "-", "*", "/", "%", "^", "#",
    "&", "~", "|", "<", ">", "=", "(", ")", "{", "}", "[", "]", ";", ":", ",", ".",
];

pub(super) fn tokens(text: &[u8]) -> Result<Vec<Token>, Problem> {
    let mut lexer = Lexer { rest: text, line: 1 };
    let mut tokens = Vec::new();
    // A first line of this kind is for the shell.
    if text.starts_with(b"#") {
        lexer.skip_line();
    }
    loop {
        let token = lexer.next()?;
        let end = token.kind == Kind::End;
        tokens.push(token);
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    rest: &'a [u8],
    line: u32,
}

impl Lexer<'_> {
    fn next(&mut self) -> Result<Token, Problem> {
        self.skip_blanks()?;
        let line = self.line;
        let Some(&byte) = self.rest.first() else { return Ok(Token { kind: Kind::End, line }) };
        let kind = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                let name = self.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
                Kind::Name(String::from_utf8_lossy(name).into_owned())
            }
            b'0'..=b'9' => self.number()?,
            b'.' if self.rest.get(1).is_some_and(u8::is_ascii_digit) => self.number()?,
            b'"' | b'\'' => Kind::Text(self.quoted(byte)?),
            b'[' => match self.long_bracket()? {
                Some(text) => Kind::Text(text),
                None => self.symbol()?,
            },
            _ => self.symbol()?,
        };
        Ok(Token { kind, line })
    }

    fn symbol(&mut self) -> Result<Kind, Problem> {
        let Some(symbol) = SYMBOLS.iter().find(|symbol| self.rest.starts_with(symbol.as_bytes()))
        else {
            let shown = crate::text::show(self.rest.get(..1).unwrap_or_default());
            let hint = match crate::text::lookalike(
                self.rest.get(..self.rest.len().min(4)).unwrap_or_default(),
            ) {
                Some((found, meant)) => {
                    format!("`{found}` is not the character `{meant}`: type it again")
                }
                None => format!("`{shown}` cannot stand here"),
            };
            return Err((self.line, hint));
        };
        self.rest = &self.rest[symbol.len()..];
        Ok(Kind::Symbol(symbol))
    }

    fn skip_blanks(&mut self) -> Result<(), Problem> {
        loop {
            self.take_while(|byte| byte.is_ascii_whitespace() || byte == 0x0b);
            if !self.rest.starts_with(b"--") {
                return Ok(());
            }
            self.rest = &self.rest[2..];
            if !self.rest.starts_with(b"[") || self.long_bracket()?.is_none() {
                self.skip_line();
            }
        }
    }

    fn skip_line(&mut self) {
        self.take_while(|byte| byte != b'\n');
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &[u8] {
        let end = self.rest.iter().position(|&byte| !wanted(byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.line += count_lines(taken);
        self.rest = rest;
        taken
    }

    fn number(&mut self) -> Result<Kind, Problem> {
        let hexadecimal = self.rest.starts_with(b"0x") || self.rest.starts_with(b"0X");
        let mut before = 0;
        let end = self.rest.iter().position(|&byte| {
            let sign = matches!(byte, b'+' | b'-') && matches!(before, b'e' | b'E') && !hexadecimal;
            before = byte;
            !(byte.is_ascii_alphanumeric() || byte == b'.' || sign)
        });
        let (digits, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let digits = String::from_utf8_lossy(digits);
        let number = match digits.get(2..).filter(|_| hexadecimal) {
            Some(digits) => i64::from_str_radix(digits, 16).ok().map(Number::Integer),
            None => match digits.parse() {
                Ok(integer) => Some(Number::Integer(integer)),
                Err(_) => digits.parse().ok().map(Number::Float),
            },
        };
        self.rest = rest;
        number.map(Kind::Number).ok_or_else(|| (self.line, format!("`{digits}` is no number")))
    }

    fn quoted(&mut self, quote: u8) -> Result<Vec<u8>, Problem> {
        let begin = self.line;
        let open = || (begin, "the string is not closed on its line".to_owned());
        let mut text = Vec::new();
        self.rest = &self.rest[1..];
        loop {
            let (&byte, rest) = self.rest.split_first().ok_or_else(open)?;
            self.rest = rest;
            match byte {
                b'\n' => return Err(open()),
                b'\\' => self.escape(&mut text)?,
                byte if byte == quote => return Ok(text),
                byte => text.push(byte),
            }
        }
    }

    fn escape(&mut self, text: &mut Vec<u8>) -> Result<(), Problem> {
        let line = self.line;
        let wrong = |what: &str| (line, format!("`\\{what}` is no escape"));
        let (&byte, rest) = self.rest.split_first().ok_or_else(|| wrong(""))?;
        self.rest = rest;
        let plain = match byte {
            b'a' => 0x07,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 0x0b,
            b'\\' | b'"' | b'\'' => byte,
            b'\n' => {
                self.line += 1;
                b'\n'
            }
            b'z' => {
                self.take_while(|byte| byte.is_ascii_whitespace());
                return Ok(());
            }
            b'x' => {
                let digits = self.rest.get(..2).and_then(|digits| str::from_utf8(digits).ok());
                let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                self.rest = self.rest.get(2..).unwrap_or_default();
                byte.ok_or_else(|| wrong("x"))?
            }
            b'u' => {
                let close = self.rest.iter().take(12).position(|&byte| byte == b'}');
                let digits = close.and_then(|close| self.rest.get(..close)?.strip_prefix(b"{"));
                let digits = digits.and_then(|digits| str::from_utf8(digits).ok());
                let number = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
                let character = number.and_then(char::from_u32).ok_or_else(|| wrong("u"))?;
                text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                self.rest = &self.rest[close.map_or(0, |close| close + 1)..];
                return Ok(());
            }
            b'0'..=b'9' => {
                let more =
                    self.rest.iter().take(2).take_while(|byte| byte.is_ascii_digit()).count();
                let digits = [&[byte], &self.rest[..more]].concat();
                self.rest = &self.rest[more..];
                let digits = String::from_utf8_lossy(&digits).into_owned();
                digits.parse().map_err(|_| wrong(&digits))?
            }
            other => return Err(wrong(&crate::text::show(&[other]))),
        };
        text.push(plain);
        Ok(())
    }

    /// `[[…]]`, `[==[…]==]`; `None` if this bracket is only a bracket.
    fn long_bracket(&mut self) -> Result<Option<Vec<u8>>, Problem> {
        let level = self.rest[1..].iter().take_while(|&&byte| byte == b'=').count();
        if self.rest.get(level + 1) != Some(&b'[') {
            return Ok(None);
        }
        let close = [b"]", &vec![b'='; level][..], b"]"].concat();
        let body = &self.rest[level + 2..];
        let Some(end) = body.windows(close.len()).position(|window| window == close) else {
            return Err((self.line, "the long bracket that begins here is not closed".to_owned()));
        };
        let text = &body[..end];
        self.line += count_lines(text);
        self.rest = &body[end + close.len()..];
        // A line feed right after the bracket does not count.
        let text = text.strip_prefix(b"\r\n").or(text.strip_prefix(b"\n")).unwrap_or(text);
        Ok(Some(text.to_vec()))
    }
}

fn count_lines(text: &[u8]) -> u32 {
    u32::try_from(text.split(|&byte| byte == b'\n').count() - 1).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind> {
        tokens(text.as_bytes()).unwrap().into_iter().map(|token| token.kind).collect()
    }

    #[test]
    fn strings_of_every_form_are_read() {
        let text = |bytes: &[u8]| Kind::Text(bytes.to_vec());
        let expected =
            [text("a\nAB同c".as_bytes()), text(b"it's"), text(b"x"), text(b"]]"), Kind::End];
        assert_eq!(
            kinds(
                r#""a\n\65\x42\u{540c}\z
              c" 'it\'s' [[
x]] [=[]]]=]"#
            ),
            expected
        );
    }

    #[test]
    fn comments_are_skipped_and_lines_counted() {
        let tokens = tokens(b"#!/usr/bin/lsyncd\n-- one\n--[[ two\n]] x --[==[ ]] ]==] y").unwrap();
        let lines: Vec<u32> = tokens.iter().map(|token| token.line).collect();
        assert_eq!(lines, [4, 4, 4]);
    }

    #[test]
    fn numbers_stay_what_they_are() {
        let number = |number| Kind::Number(number);
        let expected = [
            number(Number::Integer(10)),
            number(Number::Integer(255)),
            number(Number::Float(0.5)),
            number(Number::Float(1500.0)),
            Kind::Symbol(".."),
            number(Number::Integer(1)),
            Kind::End,
        ];
        assert_eq!(kinds("10 0xff .5 1.5e+3 .. 1"), expected);
        assert_eq!(
            (Number::Float(2.0).to_text(), Number::Integer(2).to_text()),
            ("2.0".into(), "2".into())
        );
    }

    #[test]
    fn what_is_no_token_is_named_with_its_line() {
        let problem = |text: &str| tokens(text.as_bytes()).unwrap_err();
        assert_eq!(problem("\n\"a\n").0, 2);
        assert_eq!(problem("\n[[a\n").0, 2);
        assert_eq!(problem("x = “a”"), (1, "`“` is not the character `\"`: type it again".into()));
        assert_eq!(problem("x = 1z"), (1, "`1z` is no number".into()));
        assert_eq!(problem(r#""\q""#).1, r"`\q` is no escape");
        assert_eq!(problem("?").1, "`?` cannot stand here");
    }
}
