//! The script beside a batch file, which does the batch again (docs/spec session.md 14.4).

use std::io::Write;
use std::path::Path;

use syncline_engine::{Error, ExitCode, Job, Role};
use syncline_filter::{Direction, FilterError, Rules};
use syncline_options::table::{Argument, Mode, find_long, find_short};
use syncline_options::{OptionId, Options};

/// Ends the rules in a script.
const END: &[u8] = b"#E#";

/// Writes `BATCH.sh`. `words` are the command line as it was typed, the program first.
pub(crate) fn write(
    job: &Job,
    words: &[Vec<u8>],
    destination: &[u8],
    rules: &Rules,
    role: Role,
) -> Result<(), Error> {
    use std::os::unix::ffi::OsStrExt;
    let options = &job.options;
    let Some(batch) = &options.batch.write else { return Ok(()) };
    let name = [batch, &b".sh"[..]].concat();
    let old = options.connection.protocol.is_some_and(|version| version < 29);
    let protocol = if old { 28 } else { 32 };
    let rules = rules.encode(Direction::Push, protocol).map_err(|error| unfiltered(&error))?;
    let text = script(words, options, destination, &rules, old)?;
    let path = Path::new(std::ffi::OsStr::from_bytes(&name));
    let shown = std::env::current_dir().unwrap_or_default().join(path);
    let made = job.paths.create_file(path, false, 0o700).map_err(|error| {
        let reason = error.reason();
        let text =
            format!("rsync: [{role}] Batch file \"{}\" open error: {reason}", shown.display());
        Error::fatal(ExitCode::SELECTION, text)
    })?;
    { made }.write_all(&text).map_err(|error| {
        Error::system(ExitCode::FILE_IO, role, format!("write to {}", shown.display()), error)
    })
}

fn unfiltered(error: &FilterError) -> Error {
    Error::fatal(ExitCode::new(error.exit_code()), error.to_string())
}

fn script(
    words: &[Vec<u8>],
    options: &Options,
    destination: &[u8],
    rules: &[Vec<u8>],
    old: bool,
) -> Result<Vec<u8>, Error> {
    let batch = options.batch.write.as_deref().unwrap_or_default();
    let (program, words) = words
        .split_first()
        .map_or((&b""[..], words), |(program, words)| (program.as_slice(), words));
    let mut line = quoted(program);
    if !rules.is_empty() {
        line.extend_from_slice(if old { b" --exclude-from='-'" } else { b" --filter='._-'" });
    }
    for part in parts(words) {
        match part {
            Part::Kept(word) => line.extend([&b" "[..], &quoted_option(word)].concat()),
            Part::Batch => line.extend([&b" --read-batch="[..], &quoted(batch)].concat()),
        }
    }
    line.extend([&b" ${1:-"[..], &quoted(without_host(destination)), b"}"].concat());
    if !rules.is_empty() {
        line.extend([&b" <<'"[..], END, b"'\n"].concat());
        for rule in rules {
            if rule.contains(&b'\n') {
                let text =
                    "cannot write a filter rule containing a newline to the batch replay script";
                return Err(Error::fatal(ExitCode::USAGE, text));
            }
            line.extend_from_slice(rule);
            line.push(if options.select.from0 { 0 } else { b'\n' });
        }
        if options.select.from0 {
            line.extend_from_slice(b";\n");
        }
        line.extend_from_slice(END);
    }
    line.push(b'\n');
    Ok(line)
}

enum Part<'w> {
    Kept(&'w [u8]),
    Batch,
}

/// What stays of the words: no rules, no names, and the batch as what is read.
fn parts(words: &[Vec<u8>]) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == b"--" {
            break;
        }
        let (id, separate) = match word.strip_prefix(b"--") {
            Some(long) => {
                let name = long.split(|&byte| byte == b'=').next().unwrap_or_default();
                let Some((row, _)) = find_long(Mode::Transfer, name) else { continue };
                let takes = row.argument != Argument::None && !long.contains(&b'=');
                (row.id, takes)
            }
            None if word.len() > 1 && word.starts_with(b"-") => bundle(&word[1..]),
            // The names of files.
            None => continue,
        };
        let value = if separate { words.next() } else { None };
        match id {
            OptionId::Filter
            | OptionId::FilesFrom
            | OptionId::Include
            | OptionId::Exclude
            | OptionId::IncludeFrom
            | OptionId::ExcludeFrom => {}
            OptionId::WriteBatch | OptionId::OnlyWriteBatch => parts.push(Part::Batch),
            _ => {
                parts.push(Part::Kept(word));
                parts.extend(value.map(|value| Part::Kept(value)));
            }
        }
    }
    parts
}

/// The option that ends a bundle of letters, and whether its value is the next word.
fn bundle(letters: &[u8]) -> (OptionId, bool) {
    let mut last = OptionId::Verbose;
    for (at, &letter) in letters.iter().enumerate() {
        let Some(row) = find_short(Mode::Transfer, letter) else { continue };
        if row.argument != Argument::None {
            // A rule alone in its word goes; in a bundle the word must stay for its other letters.
            let id = if at == 0 { row.id } else { last };
            return (id, at + 1 == letters.len());
        }
        last = row.id;
    }
    (last, false)
}

fn quoted_option(word: &[u8]) -> Vec<u8> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    match word.iter().position(|&byte| byte == b'=') {
        Some(at) if word.starts_with(b"--") && word[..at].iter().all(plain) => {
            [&word[..=at], &quoted(&word[at + 1..])].concat()
        }
        _ => quoted(word),
    }
}

fn quoted(word: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for &byte in word {
        match byte {
            b'\'' => quoted.extend_from_slice(b"'\\''"),
            byte => quoted.push(byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

fn without_host(destination: &[u8]) -> &[u8] {
    let colon = destination.iter().position(|&byte| byte == b':');
    let slash = destination.iter().position(|&byte| byte == b'/');
    match colon {
        Some(colon) if slash.is_none_or(|slash| colon < slash) => {
            let path = &destination[colon + 1..];
            path.strip_prefix(b":").unwrap_or(path)
        }
        _ => destination,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_has_the_words_without_names_and_rules() {
        let words: Vec<Vec<u8>> = [
            "rsync",
            "-rtH",
            "--exclude",
            "*.o",
            "-f- x",
            "--suffix=a'b",
            "--write-batch=b/B",
            "src/",
            "h:dst/",
        ]
        .iter()
        .map(|word| word.as_bytes().to_vec())
        .collect();
        let mut options = Options::default();
        options.batch.write = Some(b"b/B".to_vec());
        let rules = [b"- *.o".to_vec()];
        let text = script(&words, &options, b"h:dst/", &rules, false).unwrap();
        let expected = "'rsync' --filter='._-' '-rtH' --suffix='a'\\''b' --read-batch='b/B' ${1:-'dst/'} <<'#E#'\n- *.o\n#E#\n";
        assert_eq!(String::from_utf8_lossy(&text), expected);
    }
}
