//! Tokens to statements. All of Lua 5.3 is understood well enough to find the end of what a configuration is not
//! made of; only the part of live.md 2.10 keeps its content.

use super::lexer::{Kind, Number, Problem, Token};

/// How deep expressions and blocks may nest.
const MAX_DEPTH: u32 = 100;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expression {
    pub(super) kind: ExpressionKind,
    pub(super) line: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum ExpressionKind {
    Nil,
    Bool(bool),
    Number(Number),
    Text(Vec<u8>),
    Table(Vec<Item>),
    Name(String),
    Index(Box<Expression>, Box<Expression>),
    Concat(Box<Expression>, Box<Expression>),
    Call(Box<Expression>, Vec<Expression>),
    /// What cannot be translated, in a word.
    Other(&'static str),
}

use ExpressionKind as E;

/// `value`, `name = value` or `[key] = value` in a table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Item {
    pub(super) key: Option<Expression>,
    pub(super) value: Expression,
    pub(super) line: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Statement {
    pub(super) kind: StatementKind,
    pub(super) line: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum StatementKind {
    Local(Vec<String>, Vec<Expression>),
    Assign(Vec<Expression>, Vec<Expression>),
    /// A call that stands for itself.
    Call(Expression),
    ForIn {
        names: Vec<String>,
        values: Vec<Expression>,
        body: Vec<Statement>,
    },
    Do(Vec<Statement>),
    /// What cannot be translated: its keyword, and the names whose values it may change.
    Other {
        keyword: &'static str,
        assigned: Vec<String>,
    },
}

pub(super) fn parse(tokens: &[Token]) -> Result<Vec<Statement>, Problem> {
    let mut parser = Parser { tokens, at: 0, depth: 0, assigned: Vec::new() };
    let block = parser.block()?;
    match parser.peek() {
        Kind::End => Ok(block),
        _ => Err(parser.unexpected("a statement")),
    }
}

const KEYWORDS: [&str; 22] = [
    "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in",
    "local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
];

/// Binary operators with how strongly they bind to the left and to the right.
const OPERATORS: [(&str, u8, u8); 21] = [
    ("or", 1, 1),
    ("and", 2, 2),
    ("<", 3, 3),
    (">", 3, 3),
    ("<=", 3, 3),
    (">=", 3, 3),
    ("~=", 3, 3),
    ("==", 3, 3),
    ("|", 4, 4),
    ("~", 5, 5),
    ("&", 6, 6),
    ("<<", 7, 7),
    (">>", 7, 7),
    ("..", 9, 8),
    ("+", 10, 10),
    ("-", 10, 10),
    ("*", 11, 11),
    ("/", 11, 11),
    ("//", 11, 11),
    ("%", 11, 11),
    ("^", 14, 13),
];

const UNARY: u8 = 12;

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: u32,
    /// Names that the statements so far give values to.
    assigned: Vec<String>,
}

impl Parser<'_> {
    fn block(&mut self) -> Result<Vec<Statement>, Problem> {
        self.deeper(|parser| {
            let mut statements = Vec::new();
            loop {
                while parser.take(";") {}
                if matches!(parser.peek(), Kind::End)
                    || ["end", "else", "elseif", "until"].iter().any(|end| parser.is(end))
                {
                    return Ok(statements);
                }
                let returned = parser.is("return");
                statements.push(parser.statement()?);
                if returned {
                    return Ok(statements);
                }
            }
        })
    }

    fn statement(&mut self) -> Result<Statement, Problem> {
        let line = self.line();
        let kind = if self.is("local") { self.local()? } else { self.plain_statement()? };
        Ok(Statement { kind, line })
    }

    fn local(&mut self) -> Result<StatementKind, Problem> {
        self.take("local");
        if self.take("function") {
            let name = self.name()?;
            self.function_body()?;
            return Ok(StatementKind::Other { keyword: "function", assigned: vec![name] });
        }
        let mut names = vec![self.name()?];
        while self.take(",") {
            names.push(self.name()?);
        }
        let values = if self.take("=") { self.expressions()? } else { Vec::new() };
        self.assigned.extend(names.iter().cloned());
        Ok(StatementKind::Local(names, values))
    }

    fn plain_statement(&mut self) -> Result<StatementKind, Problem> {
        let mark = self.assigned.len();
        let keyword = match self.peek() {
            Kind::Name(name) => KEYWORDS.iter().find(|keyword| *keyword == name).copied(),
            Kind::Symbol("::") => Some("goto"),
            _ => None,
        };
        match keyword {
            Some("do") => {
                self.take("do");
                let body = self.block()?;
                self.expect("end")?;
                return Ok(StatementKind::Do(body));
            }
            Some("for") => return self.for_loop(mark),
            Some("if") => {
                self.take("if");
                loop {
                    self.expression()?;
                    self.expect("then")?;
                    self.block()?;
                    if !self.take("elseif") {
                        break;
                    }
                }
                if self.take("else") {
                    self.block()?;
                }
                self.expect("end")?;
            }
            Some("while") => {
                self.take("while");
                self.expression()?;
                self.expect("do")?;
                self.block()?;
                self.expect("end")?;
            }
            Some("repeat") => {
                self.take("repeat");
                self.block()?;
                self.expect("until")?;
                self.expression()?;
            }
            Some("function") => {
                self.take("function");
                let name = self.name()?;
                while self.take(".") || self.take(":") {
                    self.name()?;
                }
                self.function_body()?;
                self.assigned.push(name);
            }
            Some("return") => {
                self.take("return");
                if !matches!(self.peek(), Kind::End) && !self.is("end") && !self.is(";") {
                    self.expressions()?;
                }
                self.take(";");
            }
            Some("break") => _ = self.take("break"),
            Some("goto") => {
                let label = !self.take("goto");
                if label {
                    self.expect("::")?;
                }
                self.name()?;
                if label {
                    self.expect("::")?;
                }
            }
            _ => return self.assignment_or_call(),
        }
        let assigned = self.assigned.get(mark..).unwrap_or_default().to_vec();
        Ok(StatementKind::Other { keyword: keyword.unwrap_or_default(), assigned })
    }

    fn for_loop(&mut self, mark: usize) -> Result<StatementKind, Problem> {
        self.take("for");
        let mut names = vec![self.name()?];
        let numeric = self.take("=");
        while !numeric && self.take(",") {
            names.push(self.name()?);
        }
        if !numeric {
            self.expect("in")?;
        }
        let values = self.expressions()?;
        self.expect("do")?;
        let body = self.block()?;
        self.expect("end")?;
        if numeric {
            let assigned = self.assigned.get(mark..).unwrap_or_default().to_vec();
            return Ok(StatementKind::Other { keyword: "for", assigned });
        }
        Ok(StatementKind::ForIn { names, values, body })
    }

    fn assignment_or_call(&mut self) -> Result<StatementKind, Problem> {
        let first = self.suffixed()?;
        if !self.is("=") && !self.is(",") {
            return match first.kind {
                E::Call(..) | E::Other("method call") => Ok(StatementKind::Call(first)),
                _ => Err(self.unexpected("`=` or a call")),
            };
        }
        let mut targets = vec![first];
        while self.take(",") {
            targets.push(self.suffixed()?);
        }
        self.expect("=")?;
        for target in &targets {
            match root(target) {
                Some(name) => self.assigned.push(name.to_owned()),
                None => {
                    return Err((
                        target.line,
                        "only names and parts of tables take values".to_owned(),
                    ));
                }
            }
        }
        Ok(StatementKind::Assign(targets, self.expressions()?))
    }

    fn expressions(&mut self) -> Result<Vec<Expression>, Problem> {
        let mut expressions = vec![self.expression()?];
        while self.take(",") {
            expressions.push(self.expression()?);
        }
        Ok(expressions)
    }

    fn expression(&mut self) -> Result<Expression, Problem> {
        self.operation(0)
    }

    /// Operators that bind more strongly than `limit`.
    fn operation(&mut self, limit: u8) -> Result<Expression, Problem> {
        self.deeper(|parser| {
            let line = parser.line();
            let unary = ["not", "-", "#", "~"].iter().find(|operator| parser.is(operator)).copied();
            let mut left = if let Some(operator) = unary {
                parser.take(operator);
                let operand = parser.operation(UNARY)?;
                let kind = match (operator, operand.kind) {
                    ("-", E::Number(Number::Integer(number))) => {
                        E::Number(Number::Integer(number.wrapping_neg()))
                    }
                    ("-", E::Number(Number::Float(number))) => E::Number(Number::Float(-number)),
                    _ => E::Other("arithmetic"),
                };
                Expression { kind, line }
            } else {
                parser.simple()?
            };
            loop {
                let operator = OPERATORS
                    .iter()
                    .find(|(symbol, to_left, _)| *to_left > limit && parser.is(symbol));
                let Some(&(symbol, _, to_right)) = operator else { return Ok(left) };
                parser.take(symbol);
                let right = parser.operation(to_right)?;
                let kind = match symbol {
                    ".." => E::Concat(Box::new(left), Box::new(right)),
                    "and" | "or" => E::Other("`and` and `or`"),
                    "<" | ">" | "<=" | ">=" | "~=" | "==" => E::Other("comparison"),
                    _ => E::Other("arithmetic"),
                };
                left = Expression { kind, line };
            }
        })
    }

    fn simple(&mut self) -> Result<Expression, Problem> {
        let line = self.line();
        let kind = match self.peek() {
            Kind::Number(number) => E::Number(*number),
            Kind::Text(text) => E::Text(text.clone()),
            Kind::Symbol("...") => E::Other("`...`"),
            Kind::Symbol("{") => return self.table(),
            Kind::Name(name) => match &name[..] {
                "nil" => E::Nil,
                "true" => E::Bool(true),
                "false" => E::Bool(false),
                "function" => {
                    self.at += 1;
                    self.function_body()?;
                    return Ok(Expression { kind: E::Other("function"), line });
                }
                _ => return self.suffixed(),
            },
            _ => return self.suffixed(),
        };
        self.at += 1;
        Ok(Expression { kind, line })
    }

    /// A name or something in parentheses, with what is indexed and called behind it.
    fn suffixed(&mut self) -> Result<Expression, Problem> {
        let line = self.line();
        let mut expression = if self.take("(") {
            let inner = self.expression()?;
            self.expect(")")?;
            inner
        } else {
            Expression { kind: E::Name(self.name()?), line }
        };
        // A chain is not nested on the stack here, but what walks it later is.
        for _ in 0..MAX_DEPTH {
            let line = self.line();
            let kind = if self.take(".") {
                let key = Expression { kind: E::Text(self.name()?.into_bytes()), line };
                E::Index(Box::new(expression), Box::new(key))
            } else if self.take("[") {
                let key = self.expression()?;
                self.expect("]")?;
                E::Index(Box::new(expression), Box::new(key))
            } else if self.take(":") {
                self.name()?;
                self.arguments()?;
                E::Other("method call")
            } else if self.is("(") || self.is("{") || matches!(self.peek(), Kind::Text(_)) {
                E::Call(Box::new(expression), self.arguments()?)
            } else {
                return Ok(expression);
            };
            expression = Expression { kind, line };
        }
        Err((self.line(), too_deep()))
    }

    fn arguments(&mut self) -> Result<Vec<Expression>, Problem> {
        if self.take("(") {
            if self.take(")") {
                return Ok(Vec::new());
            }
            let arguments = self.expressions()?;
            self.expect(")")?;
            return Ok(arguments);
        }
        if self.is("{") || matches!(self.peek(), Kind::Text(_)) {
            return Ok(vec![self.simple()?]);
        }
        Err(self.unexpected("the arguments of a call"))
    }

    fn table(&mut self) -> Result<Expression, Problem> {
        self.deeper(|parser| {
            let begin = parser.line();
            parser.expect("{")?;
            let mut items = Vec::new();
            while !parser.take("}") {
                let line = parser.line();
                let named = matches!(parser.peek(), Kind::Name(_))
                    && parser
                        .tokens
                        .get(parser.at + 1)
                        .is_some_and(|token| token.kind == Kind::Symbol("="));
                let key = if named {
                    Some(Expression { kind: E::Text(parser.name()?.into_bytes()), line })
                } else if parser.take("[") {
                    let key = parser.expression()?;
                    parser.expect("]")?;
                    Some(key)
                } else {
                    None
                };
                if key.is_some() {
                    parser.expect("=")?;
                }
                let value = parser.expression()?;
                items.push(Item { key, value, line });
                if !parser.take(",") && !parser.take(";") && !parser.is("}") {
                    return Err(
                        parser.unexpected(&format!("`,` or the `}}` of the `{{` in line {begin}"))
                    );
                }
            }
            Ok(Expression { kind: E::Table(items), line: begin })
        })
    }

    fn function_body(&mut self) -> Result<(), Problem> {
        self.expect("(")?;
        while !self.take(")") {
            if !self.take("...") {
                self.name()?;
            }
            if !self.take(",") && !self.is(")") {
                return Err(self.unexpected("`,` or `)`"));
            }
        }
        self.block()?;
        self.expect("end")
    }

    fn deeper<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        if self.depth == MAX_DEPTH {
            return Err((self.line(), too_deep()));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn peek(&self) -> &Kind {
        self.tokens.get(self.at).map_or(&Kind::End, |token| &token.kind)
    }

    fn line(&self) -> u32 {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(1, |token| token.line)
    }

    fn is(&self, word: &str) -> bool {
        match self.peek() {
            Kind::Symbol(symbol) => *symbol == word,
            Kind::Name(name) => name == word,
            _ => false,
        }
    }

    fn take(&mut self, word: &str) -> bool {
        let is = self.is(word);
        self.at += usize::from(is);
        is
    }

    fn expect(&mut self, word: &str) -> Result<(), Problem> {
        if self.take(word) { Ok(()) } else { Err(self.unexpected(&format!("`{word}`"))) }
    }

    fn name(&mut self) -> Result<String, Problem> {
        match self.peek() {
            Kind::Name(name) if !KEYWORDS.contains(&&name[..]) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.unexpected("a name or a value")),
        }
    }

    fn unexpected(&self, wanted: &str) -> Problem {
        let found = match self.peek() {
            Kind::Name(name) => format!("before `{name}`"),
            Kind::Text(text) => format!("before the string \"{}\"", crate::text::show(text)),
            Kind::Number(number) => format!("before `{}`", number.to_text()),
            Kind::Symbol(symbol) => format!("before `{symbol}`"),
            Kind::End => "at the end of the file".to_owned(),
        };
        (self.line(), format!("{wanted} is missing {found}"))
    }
}

fn too_deep() -> String {
    format!("this nests more than {MAX_DEPTH} deep")
}

/// The name at the root of what is assigned to: `a` of `a.b[1]`.
pub(super) fn root(target: &Expression) -> Option<&str> {
    match &target.kind {
        E::Name(name) => Some(name),
        E::Index(object, _) => root(object),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::lexer::tokens;
    use super::*;

    fn parsed(text: &str) -> Result<Vec<Statement>, Problem> {
        parse(&tokens(text.as_bytes())?)
    }

    #[test]
    fn everything_of_lua_is_passed_over_to_its_end() {
        let text = r"
            local a <const> = 1
        ";
        assert!(parsed(text).is_err(), "this is Lua 5.4");
        let text = r#"
            local function f(a, ...) local g = function() return end return a, ... end
            function m.n:o(x) for i = 1, 10, 2 do if x then break elseif not x then goto l else x = 1 end end end
            while a < b and c ~= d do repeat a = a + 1 ^ 2 .. "x" until #t >= -2 // 3 | 4 & ~5 << 6 end
            ::l:: ;;; (f or g)(1)[2].x:y "z" { 1 }
            do t.x, t[1] = nil, { [1] = 2; f = function() end, } end
            sync{ default.rsync }
            return a; "#;
        let kinds = parsed(text).unwrap();
        let others =
            kinds.iter().filter(|statement| matches!(statement.kind, StatementKind::Other { .. }));
        assert_eq!((kinds.len(), others.count()), (8, 5));
    }

    #[test]
    fn what_a_skipped_block_may_change_is_known() {
        let statements = parsed("if x then a = 1; b.c = 2; for i = 1, 2 do d = i end end").unwrap();
        let StatementKind::Other { keyword, assigned } = &statements[0].kind else { panic!() };
        assert_eq!(
            (*keyword, &assigned[..]),
            ("if", &["a".to_owned(), "b".into(), "d".into()][..])
        );
    }

    #[test]
    fn errors_name_the_line_and_what_is_missing() {
        for (text, line, problem) in [
            (
                "sync{\n a = 1\n b = 2 }",
                3,
                "`,` or the `}` of the `{` in line 1 is missing before `b`",
            ),
            ("x = ", 1, "a name or a value is missing at the end of the file"),
            ("x", 1, "`=` or a call is missing at the end of the file"),
            ("if x then", 1, "`end` is missing at the end of the file"),
            ("end", 1, "a statement is missing before `end`"),
            ("f() = 1", 1, "only names and parts of tables take values"),
            ("f(1 2)", 1, "`)` is missing before `2`"),
        ] {
            assert_eq!(parsed(text), Err((line, problem.to_owned())), "{text}");
        }
    }

    #[test]
    fn nesting_has_a_bound() {
        for text in [
            "x = ".to_owned() + &"{".repeat(5000),
            "x = ".to_owned() + &"(".repeat(5000),
            "do ".repeat(5000),
            "x = a".to_owned() + &".b".repeat(5000),
            "x = ".to_owned() + &"a .. ".repeat(5000),
        ] {
            assert!(parsed(&text).unwrap_err().1.contains("deep"));
        }
    }
}
