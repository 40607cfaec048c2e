//! The effective configuration as text that reads back to the same values.

use std::collections::HashSet;

use super::lines::squeezed;
use super::parameters::Effective;
use super::value::{Origin, fold};
use super::{Config, Module};
use crate::text::is_blank;

pub(super) fn print(config: &Config) -> Vec<u8> {
    let mut out = b"# Global parameters\n".to_vec();
    settings(&mut out, &config.global.effective());
    out.extend_from_slice(b"\n# Defaults of modules\n");
    settings(&mut out, &config.defaults.effective());
    let mut headers = HashSet::new();
    for (index, module) in config.modules.iter().enumerate() {
        out.push(b'\n');
        header(&mut out, module, index, &mut headers);
        settings(&mut out, &module.settings.effective());
    }
    out
}

/// A name that no header can have, or that would reopen an earlier module, is set by `name`.
fn header(out: &mut Vec<u8>, module: &Module, index: usize, headers: &mut HashSet<Vec<u8>>) {
    out.extend_from_slice(format!("# {}\n", module.location).as_bytes());
    let name = &module.name;
    let folded = fold(name);
    let possible = !name.is_empty()
        && squeezed(name) == *name
        && folded != b"global"
        && !name.iter().any(|byte| matches!(byte, b']' | b'/' | b'\n' | 0));
    if possible && headers.insert(folded.clone()) {
        out.extend_from_slice(&[b"[", &name[..], b"]\n"].concat());
        return;
    }
    headers.insert(folded);
    let mut number = index;
    let placeholder = loop {
        let placeholder = format!("module {number}").into_bytes();
        if headers.insert(fold(&placeholder)) {
            break placeholder;
        }
        number += 1;
    };
    out.extend_from_slice(&[b"[", &placeholder[..], b"]\n"].concat());
    line(out, "name", name);
}

/// First what something set, each with its origin; then the built-in values, of which an unset string has none.
fn settings(out: &mut Vec<u8>, settings: &[Effective<'_>]) {
    for effective in settings.iter().filter(|effective| *effective.origin != Origin::BuiltIn) {
        out.extend_from_slice(format!("# {}\n", effective.origin).as_bytes());
        line(out, effective.parameter.name, &effective.value);
    }
    let mut first = true;
    for effective in settings {
        if *effective.origin == Origin::BuiltIn && !effective.value.is_empty() {
            if std::mem::take(&mut first) {
                out.extend_from_slice(b"# built-in defaults\n");
            }
            line(out, effective.parameter.name, &effective.value);
        }
    }
}

/// Blanks at the ends of a value survive only beside a continued line.
fn line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b" = ");
    if value.first().is_some_and(|&byte| is_blank(byte)) {
        out.extend_from_slice(b"\\\n");
    }
    out.extend_from_slice(value);
    if value.last().is_some_and(|&byte| is_blank(byte)) {
        out.extend_from_slice(b"\\\n");
    } else if value.last() == Some(&b'\\') {
        // Only a NUL or the end of the file keeps a backslash at the end of a value.
        out.push(0);
    }
    out.push(b'\n');
}
