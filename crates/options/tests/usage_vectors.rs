//! The wrong command lines of the specification's vectors, without the stock program.

mod common;

use common::context;
use serde_json::Value;
use syncline_options::{Command, UsageError, Word, parse};

fn error(words: &[Word], variables: &[(String, String)]) -> Option<UsageError> {
    match parse(words, &context(variables)) {
        Err(error) => Some(error),
        Ok(Command::Transfer(options)) => options.job().err(),
        Ok(_) => None,
    }
}

#[test]
fn usage_errors_have_the_texts_of_the_vectors() {
    let cases: Value = serde_json::from_str(include_str!("vectors/usage.json")).expect("vectors");
    let cases = cases.as_array().expect("a list");
    assert!(cases.len() > 40, "the vectors are there");
    for case in cases {
        let text = |key: &str| case[key].as_str().unwrap_or_default().to_owned();
        let words: Vec<Word> = case["argv"]
            .as_array()
            .expect("words")
            .iter()
            .map(|word| word.as_str().expect("a word").as_bytes().to_vec())
            .collect();
        let variables: Vec<(String, String)> = case["env"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect();
        let name = text("name");
        let error = error(&words, &variables).unwrap_or_else(|| panic!("{name}: no error"));
        let server = words.first().is_some_and(|word| word == b"--server");
        let shown = if error.shows_help() { "{USAGE}".to_owned() } else { error.to_string() };
        let end = if error.ends_line() { "\n" } else { "" };
        let expected = text("stderr");
        assert!(
            expected.starts_with(&format!("{shown}{end}")),
            "{name}: {shown:?} is not {expected:?}"
        );
        assert_eq!(case["exit"].as_u64(), Some(error.exit_code().into()), "{name}");
        assert!(
            expected.contains(&format!("[{}=", error.role(server))),
            "{name}: role {}",
            error.role(server)
        );
    }
}
