//! What a pulling client asked for, and what it therefore accepts (docs/spec/filters.md 14).

use crate::client::ClientRules;
use crate::error::shown;
use crate::eval::Name;
use crate::filter::Filter;
use crate::rule::Side;
use syncline_wildcard::Wildcard;

/// How requests are understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestOptions {
    /// The requests begin with a module's name.
    pub daemon: bool,
    /// `--relative`, also implied by `--files-from`.
    pub relative: bool,
    /// `--recursive`.
    pub recursive: bool,
    /// `--dirs`, also implied by `--files-from`.
    pub dirs: bool,
}

/// The names that a sender may send in answer to a client's requests.
///
/// ```
/// use syncline_filter::{Name, RequestList, RequestOptions};
///
/// let options = RequestOptions { recursive: true, ..RequestOptions::default() };
/// let requests = RequestList::new([&b"backup/photos"[..]], options);
/// assert!(requests.accepts(&Name::file(b"photos/2024/1.jpg")));
/// assert!(!requests.accepts(&Name::file(b".ssh/authorized_keys")));
/// ```
#[derive(Clone, Debug)]
pub struct RequestList {
    accepted: Vec<Accepted>,
}

#[derive(Clone, Debug)]
struct Accepted {
    path: RequestedPath,
    reach: Reach,
}

#[derive(Clone, Debug)]
enum RequestedPath {
    Literal(Vec<u8>),
    Wild(Wildcard),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Itself,
    /// The path as a directory, on the way to what was asked for.
    AsParent,
    Children,
    EverythingBelow,
}

impl RequestList {
    /// The list for remote source arguments, or for the lines of a local `--files-from`.
    pub fn new<'a>(requests: impl IntoIterator<Item = &'a [u8]>, options: RequestOptions) -> Self {
        let mut list = Self { accepted: Vec::new() };
        for request in requests {
            list.add(request, options);
        }
        list
    }

    /// Whether a name in the file list was asked for. A list without a single entry accepts nothing but the root:
    /// stock then accepts everything.
    pub fn accepts(&self, name: &Name<'_>) -> bool {
        matches!(name.path, b"" | b".")
            || self.accepted.iter().any(|accepted| accepted.accepts(name))
    }

    /// Whether the contents of the root were asked for, so that the root is no mere way to something else (14.2).
    pub fn asks_for_root_contents(&self) -> bool {
        self.accepted.iter().any(|accepted| {
            matches!(accepted.reach, Reach::Children | Reach::EverythingBelow)
                && matches!(&accepted.path, RequestedPath::Literal(path) if path.is_empty())
        })
    }

    /// Whether a directory is accepted only as the way to something below (14.2).
    pub fn is_only_a_parent(&self, path: &[u8]) -> bool {
        let name = Name::directory(path);
        let mut accepting =
            self.accepted.iter().filter(|accepted| accepted.accepts(&name)).peekable();
        accepting.peek().is_some() && accepting.all(|accepted| accepted.reach == Reach::AsParent)
    }

    fn add(&mut self, request: &[u8], options: RequestOptions) {
        let mut path = request;
        if options.daemon {
            path = memchr::memchr(b'/', path).map_or(b"", |slash| &path[slash + 1..]);
        }
        if options.relative {
            if let Some(mark) = path.windows(3).position(|window| window == b"/./") {
                path = &path[mark + 3..];
            }
        } else {
            path = memchr::memrchr(b'/', path).map_or(path, |slash| &path[slash + 1..]);
        }
        let path = clean(path);
        for form in forms(&path) {
            if !path.is_empty() {
                self.accept(&form, Reach::Itself);
            }
            if options.relative {
                for slash in memchr::memchr_iter(b'/', &form) {
                    self.accept(&form[..slash], Reach::AsParent);
                }
            }
            if options.recursive {
                self.accept(&form, Reach::EverythingBelow);
            } else if options.dirs {
                self.accept(&form, Reach::Children);
            }
        }
    }

    fn accept(&mut self, path: &[u8], reach: Reach) {
        let path = if is_wild(path) {
            let mut pattern = escape_idle_backslashes(path);
            match reach {
                Reach::Itself | Reach::AsParent => {}
                Reach::Children => pattern.extend_from_slice(b"/*"),
                Reach::EverythingBelow => pattern.extend_from_slice(b"/**"),
            }
            RequestedPath::Wild(Wildcard::new(&pattern))
        } else {
            let mut literal = path.to_vec();
            let mut index = 0;
            literal.retain(|&byte| {
                index += 1;
                !(byte == b'\\' && path.get(index) == Some(&b']'))
            });
            RequestedPath::Literal(literal)
        };
        self.accepted.push(Accepted { path, reach });
    }
}

impl Accepted {
    fn accepts(&self, name: &Name<'_>) -> bool {
        if self.reach == Reach::AsParent && !name.is_directory {
            return false;
        }
        let literal = match &self.path {
            RequestedPath::Wild(wildcard) => return wildcard.matches(name.path),
            RequestedPath::Literal(literal) => literal,
        };
        let below = if literal.is_empty() {
            Some(name.path)
        } else {
            name.path.strip_prefix(&literal[..]).and_then(|below| below.strip_prefix(b"/"))
        };
        match self.reach {
            Reach::Itself | Reach::AsParent => name.path == literal,
            Reach::Children => below.is_some_and(|below| !below.contains(&b'/')),
            Reach::EverythingBelow => below.is_some(),
        }
    }
}

/// What a pulling client checks each name of the file list against.
#[derive(Clone, Debug, Default)]
pub struct ReceiverChecks {
    excluded: Option<Filter>,
    requests: Option<RequestList>,
}

/// A name that no honest sender would have sent. It ends the run with exit code 4.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RejectedName {
    /// The client's own rules exclude it.
    #[error("ERROR: rejecting excluded file-list name: {}", shown(.0))]
    Excluded(Box<[u8]>),
    /// It was not asked for.
    #[error("ERROR: rejecting unrequested file-list name: {}", shown(.0))]
    Unrequested(Box<[u8]>),
}

impl ReceiverChecks {
    /// The checks of a client with these rules. `requests` is `None` where stock does not check: with `--old-args` and
    /// when a list of files is read from the remote side. With `--trust-sender` make no checks at all.
    ///
    /// Names are compared with the rules as the sender should have done, except where a per-directory rule stands in
    /// the list, whose files the client cannot see.
    pub fn new(client: &ClientRules, requests: Option<RequestList>) -> Self {
        let excluded = (!client.holds_dir_merge).then(|| Filter::new(&client.rules, Side::Sender));
        Self { excluded, requests }
    }

    /// Checks one entry of the file list.
    pub fn check(&self, name: &Name<'_>) -> Result<(), RejectedName> {
        if matches!(name.path, b"" | b".") {
            return Ok(());
        }
        if self.excluded.as_ref().is_some_and(|filter| filter.excludes(name)) {
            return Err(RejectedName::Excluded(name.path.into()));
        }
        if self.requests.as_ref().is_some_and(|requests| !requests.accepts(name)) {
            return Err(RejectedName::Unrequested(name.path.into()));
        }
        Ok(())
    }
}

/// `path` without empty and dot components.
fn clean(path: &[u8]) -> Vec<u8> {
    let components = path.split(|&byte| byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    components.collect::<Vec<_>>().join(&b'/')
}

fn is_wild(path: &[u8]) -> bool {
    memchr::memchr3(b'*', b'?', b'[', path).is_some()
}

/// The path, and if it holds a `[` also the path with each unescaped one escaped: a shell may have found a file of
/// that very name.
fn forms(path: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![path.to_vec()];
    if path.contains(&b'[') {
        let mut escaped = Vec::with_capacity(path.len() + 4);
        let mut after_backslash = false;
        for &byte in path {
            if byte == b'[' && !after_backslash {
                escaped.push(b'\\');
            }
            after_backslash = byte == b'\\' && !after_backslash;
            escaped.push(byte);
        }
        forms.push(escaped);
    }
    forms
}

/// In a wild request a backslash escapes `* ? [ ]` and stands for itself elsewhere.
fn escape_idle_backslashes(path: &[u8]) -> Vec<u8> {
    let mut pattern = Vec::with_capacity(path.len());
    for (index, &byte) in path.iter().enumerate() {
        pattern.push(byte);
        if byte == b'\\' && !matches!(path.get(index + 1), Some(b'*' | b'?' | b'[' | b']')) {
            pattern.push(b'\\');
        }
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(request: &str, relative: bool, recursive: bool, dirs: bool) -> RequestList {
        let options = RequestOptions { relative, recursive, dirs, ..RequestOptions::default() };
        RequestList::new([request.as_bytes()], options)
    }

    fn accepts(list: &RequestList, path: &str) -> bool {
        match path.strip_suffix('/') {
            Some(directory) => list.accepts(&Name::directory(directory.as_bytes())),
            None => list.accepts(&Name::file(path.as_bytes())),
        }
    }

    #[test]
    fn the_examples_of_the_specification_hold() {
        let plain = list("x/d", false, true, false);
        assert!(accepts(&plain, "d") && accepts(&plain, "d/e/f") && !accepts(&plain, "e"));
        let contents = list("d/", false, true, false);
        assert!(accepts(&contents, "anything/at/all"));
        assert!(contents.asks_for_root_contents());
        let bracket = list("[k]", false, true, false);
        for name in ["k", "[k]", "k/x", "[k]/x"] {
            assert!(accepts(&bracket, name), "{name}");
        }
        let relative = list("x/y/z", true, true, false);
        assert!(accepts(&relative, "x/") && accepts(&relative, "x/y/"));
        assert!(!accepts(&relative, "x") && !accepts(&relative, "x/q"));
        assert!(accepts(&relative, "x/y/z") && accepts(&relative, "x/y/z/deep"));
        assert!(relative.is_only_a_parent(b"x/y") && !relative.is_only_a_parent(b"x/y/z"));
        let marked = list("x/./y/z", true, true, false);
        assert!(accepts(&marked, "y/z") && accepts(&marked, "y/") && !accepts(&marked, "x/"));
        let shallow = list("d/", false, false, true);
        assert!(accepts(&shallow, "a") && !accepts(&shallow, "a/b"));
    }

    #[test]
    fn an_empty_request_that_can_yield_nothing_accepts_nothing() {
        let nothing = list("src/", false, false, false);
        assert!(accepts(&nothing, "./") && !accepts(&nothing, "a"));
    }

    #[test]
    fn a_daemon_request_loses_its_module() {
        let options =
            RequestOptions { daemon: true, relative: true, recursive: true, ..Default::default() };
        let list = RequestList::new([&b"mod/a/b"[..]], options);
        assert!(accepts(&list, "a/b/c") && !accepts(&list, "mod/a/b"));
    }
}
