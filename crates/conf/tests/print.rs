//! What is printed reads back to the same values, whatever the file was.
#![allow(clippy::unwrap_used)] // In helpers as in tests.

use std::path::Path;

use proptest::prelude::*;
use syncline_conf::rsyncd::{Config, Effective, NoIncludes, parameters};

/// A parameter name, a value of its kind or not, and the odd line between.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let names: Vec<&'static str> = parameters().map(|parameter| parameter.name).collect();
    let values = proptest::sample::select(vec![
        &b"yes"[..],
        b"no",
        b"unset",
        b"7",
        b"-3x",
        b"local3",
        b"/srv//",
        b"a b",
        b" \\\n  a",
        b"a \\\n\n",
        b"# x",
        b"",
        b"%FOO%",
        b"\xe5\x90\x8c\xff",
        b"x\\",
        b"x\\\0",
        b"\\\n \\\n\n",
        b"a]b",
        b"GLOBAL",
        b"m1",
        b"a/b",
        b"M 2",
        b"  q\\ \\\n\n",
    ]);
    let headers = proptest::sample::select(vec![
        &b"[m1]"[..],
        b"[m 2]",
        b"[M1]",
        b"[global]",
        b"[a\\]",
        b"[module 0]",
        b"[# x]",
        b"[\xef\xbc\x83]",
    ]);
    prop_oneof![
        8 => (proptest::sample::select(names), values).prop_map(|(name, value)| [name.as_bytes(), b" = ", value].concat()),
        3 => headers.prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..12),
    ]
}

fn values(settings: Vec<Effective<'_>>) -> Vec<(&'static str, Vec<u8>)> {
    settings.into_iter().map(|effective| (effective.parameter.name, effective.value)).collect()
}

proptest! {
    #[test]
    fn what_is_printed_reads_back_to_the_same_values(lines in proptest::collection::vec(line(), 0..20)) {
        let text = lines.join(&b'\n');
        let Ok(parsed) = Config::parse(Path::new("a"), &text, &NoIncludes) else { return Ok(()) };
        let printed = parsed.config.print();
        let again = Config::parse(Path::new("b"), &printed, &NoIncludes).unwrap().config;
        prop_assert_eq!(values(parsed.config.global().effective()), values(again.global().effective()));
        prop_assert_eq!(values(parsed.config.defaults().effective()), values(again.defaults().effective()));
        prop_assert_eq!(parsed.config.modules().len(), again.modules().len());
        for (module, same) in parsed.config.modules().iter().zip(again.modules()) {
            prop_assert_eq!(module.name(), same.name());
            prop_assert_eq!(values(module.settings.effective()), values(same.settings.effective()));
        }
    }
}
