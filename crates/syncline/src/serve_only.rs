//! `--serve-only DIR`: for `command=` in authorized_keys. The one server that the key's owner asked for by ssh, kept in one
//! directory: its command line is read here, never by a shell, its options are judged by the option table, every path is
//! resolved beneath the directory, and the kernel takes everything else away before the first byte of the transfer is read.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use syncline_daemon::Tree;
use syncline_engine::{ExitCode, Job, Place};
use syncline_options::refuse::Refusals;
use syncline_options::{Access, Context, Options, ServeOnly, UsageError, parse_server, unescape};

use crate::{output, server, signals};

/// Where sshd leaves what the client wanted to run.
const COMMAND: &str = "SSH_ORIGINAL_COMMAND";

/// Programs by these names are what clients ask for.
const PROGRAMS: [&[u8]; 2] = [b"rsync", b"syncline"];

/// Serves the one transfer.
pub(crate) fn run(asked: &ServeOnly) -> ExitCode {
    let outcome = Serving::prepare(asked).and_then(|serving| serving.run(asked));
    outcome.unwrap_or_else(|text| {
        output::to_stderr(format!("syncline --serve-only: {text}\n").as_bytes());
        ExitCode::USAGE
    })
}

/// A request that is understood and allowed.
struct Serving {
    tree: Tree,
    context: Context,
    refusals: Refusals,
    /// The words of the options, for the case that more of them follow.
    words: Vec<Vec<u8>>,
    paths: Vec<Vec<u8>>,
    options: Options,
    /// The directory's own path, where clients may name it.
    own: Option<Vec<u8>>,
}

impl Serving {
    fn prepare(asked: &ServeOnly) -> Result<Self, String> {
        let command = std::env::var_os(COMMAND).ok_or_else(|| {
            format!("{COMMAND} is not set: this is for command= in authorized_keys")
        })?;
        let (words, paths) = request(&command.into_vec())?;
        let context = crate::context();
        let refusals = Refusals::for_module(&refused(asked), true);
        let options = understand(&words, &context, &refusals)?;
        check_direction(asked, &options)?;
        // Before there is another root.
        let own = if asked.absolute { Some(own_path(&asked.dir)?) } else { None };
        let tree = Tree::enter(&asked.dir)?;
        if asked.access != Access::ReadOnly && !asked.no_lock {
            tree.lock()?;
        }
        Ok(Self { tree, context, refusals, words, paths, options, own })
    }

    fn run(mut self, asked: &ServeOnly) -> Result<ExitCode, String> {
        let secluded = self.options.connection.is_secluded();
        let sends = is_sender(&self.options);
        let writes = asked.access != Access::ReadOnly
            && (!sends || secluded || self.options.select.remove_source.is_some());
        let mut job = Job::new(self.options.clone(), Place::Server);
        // Its tables may be out of reach afterwards.
        job.open_charset().map_err(|error| error.to_string())?;
        self.tree
            .confine(writes)
            .map_err(|reason| format!("cannot confine the server: {reason}"))?;
        signals::watch(&job).map_err(|error| format!("signals: {error}"))?;
        let mut connection =
            server::connect(&self.options, &job).map_err(|error| error.to_string())?;
        if secluded {
            let more = connection.secluded_arguments().map_err(|error| error.to_string())?;
            let (options, paths) = split(server::localise(more, job.charset.as_ref()));
            self.words.extend(options);
            self.paths = paths;
            self.options = understand(&self.words, &self.context, &self.refusals)?;
            check_direction(asked, &self.options)?;
        }
        if let Some(error) = syncline_engine::unperformed(&self.options) {
            return Err(error.to_string());
        }
        if asked.munge {
            self.options.attributes.munge_links = Some(true);
        }
        self.options.select.ignore_existing |= asked.no_overwrite;
        self.tree.impose(&mut self.options)?;
        let paths = self
            .paths
            .iter()
            .filter(|word| !word.is_empty())
            .map(|word| self.own.as_deref().map_or(word.as_slice(), |own| below(own, word)))
            .flat_map(|word| {
                // A name that only looks like a pattern is itself, as in a shell. Nobody quoted secluded words.
                let plain = if secluded { word.to_vec() } else { unescape(word) };
                self.tree.expand(word).unwrap_or_else(|| vec![self.tree.path(&plain)])
            })
            .collect();
        let module = self.tree.into_module();
        let start = module.start();
        let job = Job { options: self.options, module: Some(module), ..job };
        Ok(server::serve(job, connection, paths, start))
    }
}

/// What the option table refuses beyond what it refuses every client: to become somebody else, and what the key may not.
fn refused(asked: &ServeOnly) -> Vec<u8> {
    let mut names = b"copy-as".to_vec();
    if asked.no_delete || asked.access == Access::ReadOnly {
        names.extend_from_slice(b" delete remove-source-files remove-sent-files");
    }
    if asked.no_overwrite {
        // --ignore-existing guards the file's own name: these write to others.
        names.extend_from_slice(b" backup backup-dir partial-dir delay-updates log-file");
    }
    names
}

/// The served directory's path without links.
fn own_path(dir: &[u8]) -> Result<Vec<u8>, String> {
    let dir = Path::new(OsStr::from_bytes(dir));
    let found = dir.canonicalize();
    found
        .map(|path| path.into_os_string().into_vec())
        .map_err(|error| format!("{}: {error}", dir.display()))
}

/// The part of a path below the served directory's own; another path as it is.
fn below<'w>(own: &[u8], word: &'w [u8]) -> &'w [u8] {
    match word.strip_prefix(own) {
        Some(b"") => b".",
        Some(rest) if rest.starts_with(b"/") => rest,
        _ => word,
    }
}

fn understand(
    words: &[Vec<u8>],
    context: &Context,
    refusals: &Refusals,
) -> Result<Options, String> {
    let request = parse_server(words, context, refusals);
    match request.error {
        None => Ok(request.options),
        Some(UsageError::HackAttempt) => Err("a daemon is not what this key is for".to_owned()),
        Some(error) => Err(error.to_string()),
    }
}

fn is_sender(options: &Options) -> bool {
    options.server.as_ref().is_some_and(|server| server.sender)
}

fn check_direction(asked: &ServeOnly, options: &Options) -> Result<(), String> {
    match asked.access {
        Access::ReadOnly if !is_sender(options) => Err("this key may only read".to_owned()),
        Access::WriteOnly if is_sender(options) => Err("this key may only write".to_owned()),
        _ => Ok(()),
    }
}

type Words = Vec<Vec<u8>>;

/// The options and the paths of a server's command line; an error for every other command.
fn request(command: &[u8]) -> Result<(Words, Words), String> {
    let shown = || String::from_utf8_lossy(command).into_owned();
    let mut words =
        shell_words(command).ok_or_else(|| format!("not a command line: {}", shown()))?;
    let refuse = || format!("only a transfer by rsync is allowed, not: {}", shown());
    if words.len() < 2 || words[1] != b"--server" {
        return Err(refuse());
    }
    let program = words.remove(0);
    let name = program.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    if !PROGRAMS.contains(&name) {
        return Err(refuse());
    }
    let (mut options, paths) = split(words);
    for word in &mut options {
        *word = unescape(word);
    }
    Ok((options, paths))
}

/// Options are what comes before the dot.
fn split(mut words: Words) -> (Words, Words) {
    let dot = words.iter().position(|word| word == b".").unwrap_or(words.len());
    let paths = words.split_off(dot).into_iter().skip(1).collect();
    (words, paths)
}

/// The words of a command line as a shell takes it apart, but nothing in it means more than itself: no variable, no command,
/// no redirection. A backslash stays before what was quoted and would be special in a pattern. `None` for an open quote.
fn shell_words(command: &[u8]) -> Option<Words> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut bytes = command.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b' ' | b'\t' | b'\n' => words.extend(word.take()),
            b'\\' => literal(word.get_or_insert_default(), bytes.next()?),
            b'\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match bytes.next()? {
                        b'\'' => break,
                        byte => literal(word, byte),
                    }
                }
            }
            b'"' => {
                let word = word.get_or_insert_default();
                loop {
                    match bytes.next()? {
                        b'"' => break,
                        b'\\' => match bytes.next()? {
                            b'\n' => {}
                            byte @ (b'$' | b'`' | b'"' | b'\\') => literal(word, byte),
                            byte => {
                                literal(word, b'\\');
                                literal(word, byte);
                            }
                        },
                        byte => literal(word, byte),
                    }
                }
            }
            byte => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    Some(words)
}

fn literal(word: &mut Vec<u8>, byte: u8) {
    if b"*?[\\".contains(&byte) {
        word.push(b'\\');
    }
    word.push(byte);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &str) -> Option<Vec<String>> {
        let words = shell_words(command.as_bytes())?;
        Some(words.into_iter().map(|word| String::from_utf8(word).unwrap()).collect())
    }

    #[test]
    fn a_command_line_is_taken_apart_as_by_a_shell_that_knows_only_quotes() {
        let taken = |command: &str| words(command).unwrap();
        assert_eq!(taken("a  b\\ c 'd e' \"f g\"h ''"), ["a", "b c", "d e", "f gh", ""]);
        assert_eq!(taken(r"x\*y 'z*' w* q\\"), [r"x\*y", r"z\*", "w*", r"q\\"]);
        assert_eq!(taken("a;b $(c) `d` >e &"), ["a;b", "$(c)", "`d`", ">e", "&"]);
        assert_eq!(taken(r#""\$x\y""#), [r"$x\\y"]);
        for open in ["'a", "\"a", "a\\", "\"a\\"] {
            assert_eq!(words(open), None, "{open}");
        }
    }

    #[test]
    fn only_a_servers_command_line_is_taken() {
        let (options, paths) = request(b"/usr/bin/rsync --server -e.L . dir/*.c '*'").unwrap();
        assert_eq!(options, [b"--server".to_vec(), b"-e.L".to_vec()]);
        assert_eq!(paths, [b"dir/*.c".to_vec(), br"\*".to_vec()]);
        for other in
            ["", "rsync", "rsync -a a b", "sh -c id", "xrsync --server . x", "rsync --version"]
        {
            assert!(request(other.as_bytes()).is_err(), "{other}");
        }
    }
}
