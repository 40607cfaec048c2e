//! What is told about changes, and to whom.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::value::{Interval, Rule, Word, as_text};

/// Something done after changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Keys", into = "Keys")]
#[non_exhaustive]
pub struct Hook {
    /// After what.
    pub after: After,
    /// What.
    pub action: Action,
    /// Filter rules for the paths that count; none: all.
    pub only: Vec<Rule>,
    /// Which kinds of changes count.
    pub kinds: Vec<ChangeKind>,
    /// How long one run may take.
    pub timeout: Interval,
    /// How often a failed run is tried again.
    pub retries: u32,
}

impl Hook {
    /// A hook after each batch, with the usual limits.
    pub fn new(action: Action) -> Self {
        Self {
            after: After::Batch,
            action,
            only: Vec::new(),
            kinds: vec![ChangeKind::Changed, ChangeKind::Removed],
            timeout: Interval(Duration::from_secs(60)),
            retries: 3,
        }
    }
}

/// What a hook does.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Action {
    /// Runs a program.
    Run(RunHook),
    /// Sends a request.
    Http(HttpHook),
}

/// A program.
#[derive(Debug, Clone, PartialEq)]
pub struct RunHook {
    /// The program and its first arguments; no shell.
    pub run: Vec<String>,
    /// Arguments after the paths.
    pub suffix: Vec<String>,
    /// How it gets the paths.
    pub pass: PassPaths,
    /// Where its output goes.
    pub output: Output,
}

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpHook {
    /// The method.
    pub method: Word,
    /// The address; `{path}` is the path, percent-encoded, and sends one request for each; `{secret}` is what
    /// `secret_file` holds.
    pub url: Word,
    /// Header lines.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Body,
    /// A file with a secret for the address and the headers.
    pub secret_file: Option<PathBuf>,
}

/// After what a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum After {
    /// A batch has reached all targets.
    #[default]
    Batch,
    /// A batch has reached one of them.
    TargetBatch,
    /// The state of a target changed.
    State,
}

/// How a program gets the paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PassPaths {
    /// As arguments.
    #[default]
    Args,
    /// As an argument, one path for each run.
    Each,
    /// On its standard input, each ended by a NUL.
    Stdin,
    /// In a JSON file whose name is its argument.
    Json,
    /// Not at all.
    None,
}

/// Where the output of a program goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Output {
    /// To the log.
    #[default]
    Log,
    /// Nowhere.
    Discard,
}

/// The body of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// None.
    #[default]
    None,
    /// The changes as JSON.
    Json,
    /// The changes as a form.
    Form,
}

/// A kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// New or different.
    Changed,
    /// Gone.
    Removed,
}

/// Who is told each change as it happens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "StreamKeys", into = "StreamKeys")]
#[non_exhaustive]
pub struct Stream {
    /// Where.
    pub to: StreamAddress,
    /// How.
    pub format: StreamFormat,
}

impl Stream {
    /// A stream.
    pub fn new(to: StreamAddress, format: StreamFormat) -> Self {
        Self { to, format }
    }
}

/// Where a stream goes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum StreamAddress {
    /// A TCP address.
    Tcp(HostPort),
    /// A Unix socket.
    Unix(PathBuf),
}

/// `HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    host: String,
    port: u16,
}

as_text!(HostPort, "an address with a port such as `127.0.0.1:8009`");

impl HostPort {
    /// The host, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for HostPort {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (host, port) = text.rsplit_once(':').ok_or(())?;
        let port = port.parse().ok().filter(|&port| port != 0).ok_or(())?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let bad = |host: &str| {
            host.is_empty()
                || host.contains(|c: char| c.is_whitespace() || c.is_control() || "[]/".contains(c))
        };
        match bare {
            Some(bare) if !bad(bare) && bare.contains(':') => {
                Ok(Self { host: bare.to_owned(), port })
            }
            None if !bad(host) && !host.contains(':') => Ok(Self { host: host.to_owned(), port }),
            _ => Err(()),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// How a stream tells a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StreamFormat {
    /// A line of JSON.
    #[default]
    Jsonl,
    /// A connection for each path, as sersync's socket plugin makes it.
    Sersync,
}

/// The keys of `[[mirror.hook]]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Keys {
    #[serde(default)]
    after: After,
    run: Option<Vec<String>>,
    suffix: Option<Vec<String>>,
    pass: Option<PassPaths>,
    output: Option<Output>,
    http: Option<Word>,
    url: Option<Word>,
    headers: Option<BTreeMap<String, String>>,
    body: Option<Body>,
    secret_file: Option<PathBuf>,
    #[serde(default)]
    only: Vec<Rule>,
    kinds: Option<Vec<ChangeKind>>,
    timeout: Option<Interval>,
    retries: Option<u32>,
}

impl TryFrom<Keys> for Hook {
    type Error = &'static str;

    fn try_from(keys: Keys) -> Result<Self, Self::Error> {
        let action = match (keys.run, keys.http) {
            (Some(run), None) => {
                if keys.url.is_some()
                    || keys.headers.is_some()
                    || keys.body.is_some()
                    || keys.secret_file.is_some()
                {
                    return Err(
                        "`url`, `headers`, `body` and `secret-file` belong to a hook with `http`",
                    );
                }
                if run.first().is_none_or(String::is_empty) {
                    return Err("`run` names no program: write `run = [\"/path/to/program\"]`");
                }
                let suffix = keys.suffix.unwrap_or_default();
                if run.iter().chain(&suffix).any(|word| word.contains('\0')) {
                    return Err("an argument holds a NUL, which no program can be given");
                }
                let (pass, output) =
                    (keys.pass.unwrap_or_default(), keys.output.unwrap_or_default());
                Action::Run(RunHook { run, suffix, pass, output })
            }
            (None, Some(method)) => {
                if keys.suffix.is_some() || keys.pass.is_some() || keys.output.is_some() {
                    return Err("`suffix`, `pass` and `output` belong to a hook with `run`");
                }
                if !method.as_str().bytes().all(|byte| byte.is_ascii_uppercase()) {
                    return Err(
                        "`http` is no method: write `POST`, `PURGE`, `GET` or another in capitals",
                    );
                }
                let url = keys.url.ok_or("a hook with `http` needs `url`")?;
                if !url.as_str().starts_with("http://") && !url.as_str().starts_with("https://") {
                    return Err("`url` begins with neither `http://` nor `https://`");
                }
                let headers = keys.headers.unwrap_or_default();
                if headers.iter().any(|(name, value)| !is_header(name, value)) {
                    return Err("`headers` has a name or a value that is no header line");
                }
                let (body, secret_file) = (keys.body.unwrap_or_default(), keys.secret_file);
                Action::Http(HttpHook { method, url, headers, body, secret_file })
            }
            _ => return Err("a hook needs either `run` or `http`"),
        };
        let usual = Self::new(action);
        if keys.kinds.as_ref().is_some_and(Vec::is_empty) {
            return Err("`kinds` is empty: name `changed`, `removed` or both");
        }
        Ok(Self {
            after: keys.after,
            only: keys.only,
            kinds: keys.kinds.unwrap_or(usual.kinds),
            timeout: keys.timeout.unwrap_or(usual.timeout),
            retries: keys.retries.unwrap_or(usual.retries),
            action: usual.action,
        })
    }
}

fn is_header(name: &str, value: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty()
        && name.bytes().all(token)
        && !value.contains(|c: char| c.is_control() && c != '\t')
}

impl From<Hook> for Keys {
    fn from(hook: Hook) -> Self {
        let mut keys = Self {
            after: hook.after,
            run: None,
            suffix: None,
            pass: None,
            output: None,
            http: None,
            url: None,
            headers: None,
            body: None,
            secret_file: None,
            only: hook.only,
            kinds: Some(hook.kinds),
            timeout: Some(hook.timeout),
            retries: Some(hook.retries),
        };
        match hook.action {
            Action::Run(RunHook { run, suffix, pass, output }) => {
                keys.run = Some(run);
                keys.suffix = Some(suffix);
                keys.pass = Some(pass);
                keys.output = Some(output);
            }
            Action::Http(HttpHook { method, url, headers, body, secret_file }) => {
                keys.http = Some(method);
                keys.url = Some(url);
                keys.headers = Some(headers);
                keys.body = Some(body);
                keys.secret_file = secret_file;
            }
        }
        keys
    }
}

/// The keys of `[[mirror.stream]]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct StreamKeys {
    tcp: Option<HostPort>,
    unix: Option<PathBuf>,
    #[serde(default)]
    format: StreamFormat,
}

impl TryFrom<StreamKeys> for Stream {
    type Error = &'static str;

    fn try_from(keys: StreamKeys) -> Result<Self, Self::Error> {
        let to = match (keys.tcp, keys.unix) {
            (Some(tcp), None) => StreamAddress::Tcp(tcp),
            (None, Some(unix)) if unix.is_absolute() => StreamAddress::Unix(unix),
            (None, Some(_)) => return Err("`unix` is not absolute"),
            _ => return Err("a stream needs either `tcp` or `unix`"),
        };
        Ok(Self { to, format: keys.format })
    }
}

impl From<Stream> for StreamKeys {
    fn from(stream: Stream) -> Self {
        let (tcp, unix) = match stream.to {
            StreamAddress::Tcp(tcp) => (Some(tcp), None),
            StreamAddress::Unix(unix) => (None, Some(unix)),
        };
        Self { tcp, unix, format: stream.format }
    }
}
