//! Requests to web servers.

use std::fmt::Write as _;
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use syncline_conf::live::{Body, HttpHook};
use syncline_tls::{Client, Trust};

use super::message;
use super::queue::{Job, Work};

/// An answer's head is read up to here.
const LONGEST_HEAD: usize = 16 << 10;

/// A request as it is configured.
#[derive(Debug)]
pub(super) struct Request {
    hook: HttpHook,
    host: String,
    port: u16,
    /// What stands behind the host.
    target: String,
    /// Whom to trust, for a server that is spoken to in private.
    tls: Option<Client>,
}

/// A request as it is sent.
#[derive(Debug)]
pub(super) struct Sending<'a> {
    request: &'a Request,
    path: Option<Vec<u8>>,
    body: Option<(&'static str, String)>,
}

impl Request {
    pub(super) fn new(hook: &HttpHook) -> Result<Self, String> {
        let url = hook.url.as_str();
        let (rest, secure) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
            (Some(rest), _) => (rest, false),
            (_, Some(rest)) => (rest, true),
            _ => return Err(format!("`{url}` begins with neither `http://` nor `https://`")),
        };
        let slash = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(slash);
        let target = if target.starts_with('/') { target.into() } else { format!("/{target}") };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| format!("`{url}` has no proper port"))?)
            }
            _ => (authority, if secure { 443 } else { 80 }),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let plain = |c: char| c.is_ascii_graphic();
        if host.is_empty() || host.contains('@') || !url.chars().all(plain) {
            return Err(format!("`{url}` is no URL: blanks and the like are written as %20"));
        }
        let trust = || Client::new(&Trust::default()).map_err(|error| error.to_string());
        let tls = secure.then(trust).transpose()?;
        Ok(Self { hook: hook.clone(), host: host.into(), port, target, tls })
    }

    /// Whether each path has a request of its own.
    pub(super) fn is_for_each_path(&self) -> bool {
        self.target.contains("{path}")
    }

    /// What the log calls it: nothing that may be secret.
    pub(super) fn label(&self) -> String {
        format!("{} {}:{}", self.hook.method, self.host, self.port)
    }

    /// The requests of a job.
    pub(super) fn sendings(&self, mirror: &str, job: &Job) -> Vec<Sending<'_>> {
        let whole =
            |work: &Work, path| Sending { request: self, path, body: self.body(mirror, job, work) };
        match &job.work {
            Work::Changes(changes) if self.is_for_each_path() => {
                let one = changes.iter().map(|(path, waiting)| {
                    let only = Work::Changes([(path.clone(), *waiting)].into());
                    whole(&only, Some(path.as_bytes().to_vec()))
                });
                one.collect()
            }
            work => vec![whole(work, Some(Vec::new()))],
        }
    }

    fn body(&self, mirror: &str, job: &Job, work: &Work) -> Option<(&'static str, String)> {
        let target = job.target.as_deref();
        match self.hook.body {
            Body::None => None,
            Body::Json => {
                let json = message::json(mirror, target, job.batch, work, <[u8]>::to_vec);
                Some(("application/json", json.to_string()))
            }
            Body::Form => {
                Some(("application/x-www-form-urlencoded", message::form(mirror, target, work)))
            }
        }
    }

    fn secret(&self) -> Result<String, String> {
        let Some(file) = &self.hook.secret_file else { return Ok(String::new()) };
        read_secret(file).map_err(|error| format!("{}: {error}", file.display()))
    }
}

/// The first line of a file.
fn read_secret(file: &PathBuf) -> io::Result<String> {
    let text = std::fs::read_to_string(file)?;
    let line = text.lines().next().unwrap_or_default().trim_end();
    if line.contains(|c: char| c.is_control()) {
        return Err(io::Error::other("it holds characters that no header line may have"));
    }
    Ok(line.to_owned())
}

impl Sending<'_> {
    /// Sends it and waits for the answer: 2xx is success.
    pub(super) fn send(&self, timeout: Duration) -> Result<(), String> {
        let until = Instant::now() + timeout;
        let text = self.text()?;
        let status = self.exchange(text.as_bytes(), until).map_err(|error| match error.kind() {
            // A socket's deadline shows as either.
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                format!("no answer within {} s", timeout.as_secs_f64())
            }
            _ => error.to_string(),
        })?;
        if (200..300).contains(&status) { Ok(()) } else { Err(format!("the answer was {status}")) }
    }

    fn text(&self) -> Result<String, String> {
        let Request { hook, host, port, target, tls } = self.request;
        let secret = self.request.secret()?;
        let (mut path_text, mut secret_text) = (String::new(), String::new());
        message::percent_encode(self.path.as_deref().unwrap_or_default(), b"/", &mut path_text);
        message::percent_encode(secret.as_bytes(), b"", &mut secret_text);
        let target = replace(target, &[("{path}", &path_text), ("{secret}", &secret_text)]);
        let mut text = format!("{} {target} HTTP/1.1\r\n", hook.method);
        if !hook.headers.keys().any(|name| name.eq_ignore_ascii_case("host")) {
            let shown = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            let usual = if tls.is_some() { 443 } else { 80 };
            let port = if *port == usual { String::new() } else { format!(":{port}") };
            let _ = write!(text, "Host: {shown}{port}\r\n");
        }
        for (name, value) in &hook.headers {
            let value = replace(value, &[("{secret}", &secret)]);
            let _ = write!(text, "{name}: {value}\r\n");
        }
        text += concat!(
            "User-Agent: synclive/",
            env!("CARGO_PKG_VERSION"),
            "\r\nConnection: close\r\n"
        );
        match &self.body {
            Some((kind, body)) => {
                let length = body.len();
                let _ =
                    write!(text, "Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}");
            }
            None if matches!(hook.method.as_str(), "POST" | "PUT" | "PATCH") => {
                text += "Content-Length: 0\r\n\r\n";
            }
            None => text += "\r\n",
        }
        Ok(text)
    }

    fn exchange(&self, request: &[u8], until: Instant) -> io::Result<u16> {
        let socket = connect(&self.request.host, self.request.port, until)?;
        let Some(tls) = &self.request.tls else { return converse(socket, request, until) };
        // A handshake that is drawn out by single bytes is ended by the end of the socket.
        let limit = socket.try_clone()?;
        let (_done, wait) = std::sync::mpsc::channel::<()>();
        let watch = move || {
            let left = until.saturating_duration_since(Instant::now());
            if wait.recv_timeout(left) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                // It may be over.
                let _ = limit.shutdown(std::net::Shutdown::Both);
            }
        };
        std::thread::Builder::new().name("limit".into()).spawn(watch)?;
        let tunnel = tls.connect(socket, &self.request.host).map_err(|error| {
            let late = Instant::now() >= until;
            if late { io::ErrorKind::TimedOut.into() } else { io::Error::other(error.to_string()) }
        })?;
        converse(tunnel.stream, request, until)
    }
}

/// A connection whose patience can be set.
trait Patient: io::Read + io::Write {
    fn patience(&self, time: Duration) -> io::Result<()>;
}

impl Patient for TcpStream {
    fn patience(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time)).and_then(|()| self.set_write_timeout(Some(time)))
    }
}

impl Patient for UnixStream {
    fn patience(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time)).and_then(|()| self.set_write_timeout(Some(time)))
    }
}

/// Sends a request; the status of the answer.
fn converse(mut socket: impl Patient, request: &[u8], until: Instant) -> io::Result<u16> {
    socket.patience(left(until)?)?;
    socket.write_all(request)?;
    let mut head = Vec::new();
    loop {
        if let Some(status) = status(&head)? {
            return Ok(status);
        }
        socket.patience(left(until)?)?;
        let mut buffer = [0; 1024];
        let count = match socket.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        if count == 0 || head.len() > LONGEST_HEAD {
            return Err(io::Error::other("the answer is not HTTP"));
        }
        head.extend_from_slice(buffer.get(..count).unwrap_or_default());
    }
}

/// The first status of an answer that is more than "continue", once it is there.
pub fn status(mut head: &[u8]) -> io::Result<Option<u16>> {
    let wrong = || io::Error::other("the answer is not HTTP");
    loop {
        let Some(end) = head.windows(2).position(|window| window == b"\r\n") else {
            return Ok(None);
        };
        let line = str::from_utf8(head.get(..end).unwrap_or_default()).map_err(|_| wrong())?;
        let mut words = line.split(' ');
        let version = words.next().unwrap_or_default();
        let digits =
            |word: &&str| word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_digit());
        let status = words.next().filter(digits).and_then(|word| word.parse().ok());
        let status = status.ok_or_else(wrong)?;
        if !version.starts_with("HTTP/1.") {
            return Err(wrong());
        }
        if !(100..200).contains(&status) {
            return Ok(Some(status));
        }
        let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Ok(None);
        };
        head = head.get(end + 4..).unwrap_or_default();
    }
}

/// Connects to the first address that answers.
pub(super) fn connect(host: &str, port: u16, until: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::other(format!("{host} has no address"));
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, left(until)?) {
            Ok(socket) => {
                socket.set_nodelay(true)?;
                return Ok(socket);
            }
            Err(error) => last = io::Error::new(error.kind(), format!("{address}: {error}")),
        }
    }
    Err(last)
}

fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// Replaces words by values; a value that holds a word stays as it is.
fn replace(text: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let (before, tail) = rest.split_at(open);
        out += before;
        if let Some((word, value)) = values.iter().find(|(word, _)| tail.starts_with(word)) {
            out += value;
            rest = tail.get(word.len()..).unwrap_or_default();
        } else {
            out.push('{');
            rest = tail.get(1..).unwrap_or_default();
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(url: &str) -> Result<Request, String> {
        Request::new(&HttpHook {
            method: "PURGE".parse().unwrap(),
            url: url.parse().unwrap(),
            headers: [("X-Key".to_owned(), "{secret}".to_owned())].into(),
            body: Body::None,
            secret_file: None,
        })
    }

    #[test]
    fn addresses_are_taken_apart() {
        for (url, host, port, target) in [
            ("http://cdn", "cdn", 80, "/"),
            ("http://cdn:81/a/{path}?x", "cdn", 81, "/a/{path}?x"),
            ("http://cdn?x", "cdn", 80, "/?x"),
            ("http://[::1]:81/", "::1", 81, "/"),
            ("http://[::1]/", "::1", 80, "/"),
        ] {
            let request = request(url).unwrap();
            assert_eq!(
                (request.host.as_str(), request.port, request.target.as_str()),
                (host, port, target)
            );
        }
        for wrong in ["ftp://cdn/", "http://", "http://a b/", "http://u:p@cdn/", "http://cdn:x/"] {
            assert!(request(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_path_cannot_become_part_of_the_request() {
        let request = request("http://cdn/{path}").unwrap();
        let path = Some(b"a\r\nX: {secret} \xff/b".to_vec());
        let text = Sending { request: &request, path, body: None }.text().unwrap();
        assert_eq!(
            text.lines().next().unwrap(),
            "PURGE /a%0D%0AX%3A%20%7Bsecret%7D%20%FF/b HTTP/1.1"
        );
        assert_eq!(replace("{path}{x}{", &[("{path}", "{path}")]), "{path}{x}{");
    }

    #[test]
    fn an_answer_counts_once_its_status_is_there() {
        assert_eq!(status(b"HTTP/1.1 20").unwrap(), None);
        assert_eq!(status(b"HTTP/1.0 204 No Content\r\n").unwrap(), Some(204));
        assert_eq!(status(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500\r\n").unwrap(), Some(500));
        assert!(status(b"SSH-2.0\r\n").is_err());
        for wrong in ["HTTP/1.1 x\r\n", "HTTP/1.1 +20\r\n", "HTTP/1.1 2000\r\n", "HTTP/1.1\r\n"] {
            assert!(status(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
