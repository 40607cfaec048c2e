//! Statements to the tables that `settings` and `sync` are called with. Nothing is executed beyond what
//! live.md 2.10 lists: names, strings, tables and loops over tables.

use std::collections::HashMap;
use std::rc::Rc;

use super::lexer::{Number, Problem};
use super::syntax::{Expression, ExpressionKind as E, Item, Statement, StatementKind, root};
use super::{Base, Loss};
use crate::Surroundings;
use crate::text::show;

/// How many expressions are evaluated, loops counted each time around.
const MAX_STEPS: u32 = 200_000;

/// The longest string.
const MAX_TEXT: usize = 1 << 16;

#[derive(Debug, Clone)]
pub(super) enum Value {
    Nil,
    Bool(bool),
    Number(Number),
    Text(Rc<[u8]>),
    Table(Rc<Table>),
    /// `default.rsync` and its kin.
    Base(Base),
    /// What cannot be translated, in a word.
    Unknown(&'static str),
}

/// The items of a table as they were written.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) entries: Vec<Entry>,
    pub(super) line: u32,
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: Key,
    pub(super) value: Value,
    pub(super) line: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Key {
    Name(Vec<u8>),
    Index(i64),
    /// Another kind, which nothing here asks for.
    Other,
}

impl Table {
    pub(super) fn entry(&self, key: &Key) -> Option<&Entry> {
        self.entries.iter().rev().find(|entry| entry.key == *key)
    }

    /// The items with the indices 1, 2 and so on, up to the first that is missing.
    pub(super) fn list(&self) -> impl Iterator<Item = &Entry> {
        (1..)
            .map(|index| self.entry(&Key::Index(index)))
            .map_while(|entry| entry.filter(|entry| !matches!(entry.value, Value::Nil)))
    }
}

/// What a file calls.
#[derive(Default)]
pub(super) struct Calls {
    pub(super) settings: Vec<Rc<Table>>,
    pub(super) syncs: Vec<Rc<Table>>,
    pub(super) losses: Vec<Loss>,
    /// Environment variables whose values were taken.
    pub(super) variables: Vec<(u32, String)>,
}

pub(super) fn run(block: &[Statement], surroundings: &dyn Surroundings) -> Result<Calls, Problem> {
    let mut evaluator =
        Evaluator { scopes: vec![HashMap::new()], steps: 0, calls: Calls::default(), surroundings };
    evaluator.block(block)?;
    Ok(evaluator.calls)
}

struct Evaluator<'a> {
    /// Variables; the first scope holds the global ones.
    scopes: Vec<HashMap<String, Value>>,
    steps: u32,
    calls: Calls,
    surroundings: &'a dyn Surroundings,
}

impl Evaluator<'_> {
    fn block(&mut self, block: &[Statement]) -> Result<(), Problem> {
        self.scopes.push(HashMap::new());
        for statement in block {
            self.statement(statement)?;
        }
        self.scopes.pop();
        Ok(())
    }

    fn statement(&mut self, statement: &Statement) -> Result<(), Problem> {
        let line = statement.line;
        self.step(line)?;
        match &statement.kind {
            StatementKind::Local(names, values) => {
                let values = self.values(values, names.len())?;
                for (name, value) in names.iter().zip(values) {
                    self.note_unknown(line, name, &value);
                    if let Some(scope) = self.scopes.last_mut() {
                        scope.insert(name.clone(), value);
                    }
                }
            }
            StatementKind::Assign(targets, values) => {
                let values = self.values(values, targets.len())?;
                for (target, value) in targets.iter().zip(values) {
                    self.assign(target, value)?;
                }
            }
            StatementKind::Call(call) => self.call(call)?,
            StatementKind::ForIn { names, values, body } => {
                self.for_in(line, names, values, body)?;
            }
            StatementKind::Do(body) => self.block(body)?,
            StatementKind::Other { keyword, assigned } => {
                self.lose(line, keyword, "this statement is not carried out");
                for name in assigned {
                    self.set(name, Value::Unknown("a value that such a statement gives"));
                }
            }
        }
        Ok(())
    }

    fn assign(&mut self, target: &Expression, value: Value) -> Result<(), Problem> {
        let line = target.line;
        match &target.kind {
            E::Name(name) if name == "settings" && matches!(value, Value::Table(_)) => Err((
                line,
                "`settings` is called, not set: write `settings{ … }` without the `=`".to_owned(),
            )),
            E::Name(name) => {
                self.note_unknown(line, name, &value);
                self.set(name, value);
                Ok(())
            }
            _ => {
                let name = root(target).unwrap_or_default();
                self.lose(line, &shown(target), "tables are read as they are written");
                // The defaults stay in use: what was changed of them is named.
                if name != "default" {
                    self.set(name, Value::Unknown("a table that is changed later"));
                }
                Ok(())
            }
        }
    }

    fn call(&mut self, call: &Expression) -> Result<(), Problem> {
        let line = call.line;
        let E::Call(function, arguments) = &call.kind else {
            self.lose(line, "call", "functions are not called");
            return Ok(());
        };
        match &function.kind {
            E::Name(name) if name == "sync" || name == "settings" => {
                let values = self.values(arguments, 1)?;
                match values.into_iter().next() {
                    Some(Value::Table(table)) if name == "sync" => self.calls.syncs.push(table),
                    Some(Value::Table(table)) => self.calls.settings.push(table),
                    Some(Value::Unknown(what)) => self.lose(line, name, what),
                    _ => {
                        return Err((
                            line,
                            format!("`{name}` is called with a table: write `{name}{{ … }}`"),
                        ));
                    }
                }
            }
            _ => self.lose(line, &shown(function), "functions are not called"),
        }
        Ok(())
    }

    fn for_in(
        &mut self,
        line: u32,
        names: &[String],
        values: &[Expression],
        body: &[Statement],
    ) -> Result<(), Problem> {
        let over = match values {
            [Expression { kind: E::Call(function, arguments), .. }] => {
                match (&function.kind, &arguments[..]) {
                    (E::Name(name), [table]) if name == "ipairs" || name == "pairs" => {
                        Some((name == "ipairs", self.value(table)?))
                    }
                    _ => None,
                }
            }
            _ => None,
        };
        let Some((in_order, Value::Table(table))) = over else {
            self.lose(
                line,
                "for",
                "only `ipairs` and `pairs` of a table written in the file are followed",
            );
            return Ok(());
        };
        let entries: Vec<Entry> = if in_order {
            table.list().cloned().collect()
        } else {
            // The last of equal keys is the one that is there.
            let there = |entry: &&Entry| {
                !matches!(entry.value, Value::Nil)
                    && table.entry(&entry.key).is_some_and(|last| std::ptr::eq(last, *entry))
            };
            table.entries.iter().filter(there).cloned().collect()
        };
        for entry in entries {
            self.step(line)?;
            let key = match entry.key {
                Key::Name(name) => Value::Text(name.into()),
                Key::Index(index) => Value::Number(Number::Integer(index)),
                Key::Other => Value::Unknown("a key that is neither a name nor a number"),
            };
            let names = names.iter().cloned().zip([key, entry.value]);
            self.scopes.push(names.collect());
            self.block(body)?;
            self.scopes.pop();
        }
        Ok(())
    }

    /// As many values as are wanted: nil for those that are missing.
    fn values(&mut self, expressions: &[Expression], wanted: usize) -> Result<Vec<Value>, Problem> {
        let mut values = Vec::new();
        for expression in expressions {
            values.push(self.value(expression)?);
        }
        // A call at the end may give more than one.
        let missing = match values.last() {
            Some(Value::Unknown(what)) => Value::Unknown(what),
            _ => Value::Nil,
        };
        while values.len() < wanted {
            values.push(missing.clone());
        }
        Ok(values)
    }

    fn value(&mut self, expression: &Expression) -> Result<Value, Problem> {
        self.step(expression.line)?;
        Ok(match &expression.kind {
            E::Nil => Value::Nil,
            E::Bool(value) => Value::Bool(*value),
            E::Number(number) => Value::Number(*number),
            E::Text(text) => Value::Text(text[..].into()),
            E::Table(items) => Value::Table(Rc::new(self.table(items, expression.line)?)),
            E::Name(name) => self.variable(name),
            E::Index(object, key) => self.index(object, key)?,
            E::Concat(left, right) => match (self.value(left)?, self.value(right)?) {
                (Value::Unknown(what), _) | (_, Value::Unknown(what)) => Value::Unknown(what),
                (left, right) => {
                    let (Some(left), Some(right)) = (text_of(&left), text_of(&right)) else {
                        return Err((
                            expression.line,
                            "`..` joins only strings and numbers".to_owned(),
                        ));
                    };
                    if left.len() + right.len() > MAX_TEXT {
                        return Err((
                            expression.line,
                            format!("this string is longer than {MAX_TEXT} bytes"),
                        ));
                    }
                    Value::Text([left, right].concat().into())
                }
            },
            E::Call(function, arguments) => self.called(expression.line, function, arguments)?,
            E::Other(what) => Value::Unknown(what),
        })
    }

    fn table(&mut self, items: &[Item], line: u32) -> Result<Table, Problem> {
        let mut entries = Vec::new();
        let mut next = 1;
        for item in items {
            let value = self.value(&item.value)?;
            let key = match &item.key {
                None => {
                    next += 1;
                    Key::Index(next - 1)
                }
                Some(key) => match self.value(key)? {
                    Value::Text(name) => Key::Name(name.to_vec()),
                    Value::Number(Number::Integer(index)) => Key::Index(index),
                    _ => Key::Other,
                },
            };
            entries.push(Entry { key, value, line: item.line });
        }
        Ok(Table { entries, line })
    }

    fn index(&mut self, object: &Expression, key: &Expression) -> Result<Value, Problem> {
        let line = key.line;
        if matches!(&object.kind, E::Name(name) if name == "default") && !self.is_set("default") {
            return Ok(match &key.kind {
                E::Text(name) => match &name[..] {
                    b"rsync" => Value::Base(Base::Rsync),
                    b"rsyncssh" => Value::Base(Base::RsyncSsh),
                    b"direct" => Value::Base(Base::Direct),
                    _ => {
                        Value::Unknown("a part of `default` other than rsync, rsyncssh and direct")
                    }
                },
                _ => Value::Unknown("a part of `default`"),
            });
        }
        let key = match self.value(key)? {
            Value::Text(name) => Key::Name(name.to_vec()),
            Value::Number(Number::Integer(index)) => Key::Index(index),
            _ => Key::Other,
        };
        match self.value(object)? {
            Value::Table(table) => Ok(match key {
                Key::Other => Value::Unknown("a key that is neither a name nor a number"),
                key => table.entry(&key).map_or(Value::Nil, |entry| entry.value.clone()),
            }),
            Value::Unknown(what) => Ok(Value::Unknown(what)),
            Value::Base(_) => Ok(Value::Unknown("a part of `default`")),
            _ => Err((line, format!("`{}` is no table", shown(object)))),
        }
    }

    fn called(
        &mut self,
        line: u32,
        function: &Expression,
        arguments: &[Expression],
    ) -> Result<Value, Problem> {
        let is_getenv = shown(function) == "os.getenv" && !self.is_set("os");
        let [argument] = arguments else { return Ok(Value::Unknown("a call")) };
        match self.value(argument)? {
            Value::Text(name) if is_getenv => {
                self.calls.variables.push((line, show(&name)));
                Ok(self
                    .surroundings
                    .variable(&name)
                    .map_or(Value::Nil, |value| Value::Text(value.into())))
            }
            _ => Ok(Value::Unknown("a call")),
        }
    }

    fn variable(&self, name: &str) -> Value {
        let value = self.scopes.iter().rev().find_map(|scope| scope.get(name));
        match value {
            Some(value) => value.clone(),
            None if LIBRARY.contains(&name) => Value::Unknown("a part of Lua's library"),
            None => Value::Nil,
        }
    }

    fn is_set(&self, name: &str) -> bool {
        self.scopes.iter().any(|scope| scope.contains_key(name))
    }

    /// Sets the innermost variable of this name, or a global one.
    fn set(&mut self, name: &str, value: Value) {
        let index = self.scopes.iter().rposition(|scope| scope.contains_key(name)).unwrap_or(0);
        if let Some(scope) = self.scopes.get_mut(index) {
            scope.insert(name.to_owned(), value);
        }
    }

    fn note_unknown(&mut self, line: u32, name: &str, value: &Value) {
        if let Value::Unknown(what) = value {
            self.lose(line, name, what);
        }
    }

    fn lose(&mut self, line: u32, key: &str, what: &'static str) {
        self.calls.losses.push(Loss { line, key: key.to_owned(), what });
    }

    fn step(&mut self, line: u32) -> Result<(), Problem> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Err((line, format!("the file takes more than {MAX_STEPS} steps")));
        }
        Ok(())
    }
}

/// Global names that lsyncd's Lua gives a value.
const LIBRARY: [&str; 24] = [
    "_G",
    "coroutine",
    "debug",
    "default",
    "dofile",
    "error",
    "io",
    "ipairs",
    "load",
    "loadfile",
    "log",
    "math",
    "os",
    "package",
    "pairs",
    "print",
    "require",
    "spawn",
    "spawnShell",
    "string",
    "table",
    "tostring",
    "type",
    "utf8",
];

fn text_of(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::Text(text) => Some(text.to_vec()),
        Value::Number(number) => Some(number.to_text().into_bytes()),
        _ => None,
    }
}

/// A chain of names as it is written, for messages.
fn shown(expression: &Expression) -> String {
    match &expression.kind {
        E::Name(name) => name.clone(),
        E::Index(object, key) => match &key.kind {
            E::Text(name) => format!("{}.{}", shown(object), show(name)),
            E::Number(number) => format!("{}[{}]", shown(object), number.to_text()),
            _ => format!("{}[…]", shown(object)),
        },
        _ => "call".to_owned(),
    }
}
