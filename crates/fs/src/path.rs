use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

/// A checked path beneath a [`Root`](crate::Root): relative, without `..`, `.`, NUL or empty part, or the root itself.
///
/// Any bytes but NUL and `/` may stand in a component: names are not text.
///
/// ```
/// use syncline_fs::{PathError, RelPath};
///
/// let path = RelPath::new(b"photos/2024/a.jpg")?;
/// assert_eq!(path.parent(), RelPath::new(b"photos/2024")?);
/// assert_eq!(RelPath::new(b"../etc/passwd"), Err(PathError::DotDot));
/// # Ok::<(), PathError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelPath<'a>(&'a [u8]);

impl<'a> RelPath<'a> {
    /// The root itself, `.`.
    pub const ROOT: RelPath<'static> = RelPath(b".");

    /// Checks `bytes`.
    pub fn new(bytes: &'a [u8]) -> Result<Self, PathError> {
        if bytes == b"." {
            return Ok(Self(bytes));
        }
        if bytes.first() == Some(&b'/') {
            return Err(PathError::Absolute);
        }
        for part in bytes.split(|byte| *byte == b'/') {
            check_component(part)?;
        }
        Ok(Self(bytes))
    }

    /// The path as it was given; `.` for the root.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Is this the root itself?
    pub fn is_root(self) -> bool {
        self.0 == b"."
    }

    /// The directory that holds it; the root for a name without a directory, and for the root itself.
    pub fn parent(self) -> RelPath<'a> {
        match memchr::memrchr(b'/', self.0) {
            Some(slash) => RelPath(&self.0[..slash]),
            None => RelPath::ROOT,
        }
    }

    /// The last component; none for the root.
    pub fn file_name(self) -> Option<Name<'a>> {
        (!self.is_root()).then(|| Name(self.leaf()))
    }

    /// The components from the top; none for the root.
    pub fn components(self) -> impl Iterator<Item = Name<'a>> {
        let parts = if self.is_root() { &[] } else { self.0 };
        parts.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).map(Name)
    }

    /// The path with `name` below it.
    pub fn join(self, name: Name<'_>) -> RelPathBuf {
        let mut path = self.to_owned();
        path.push(name);
        path
    }

    /// Does it lie below `ancestor`, or is it the same?
    pub fn starts_with(self, ancestor: RelPath<'_>) -> bool {
        ancestor.is_root()
            || self.0.strip_prefix(ancestor.0).is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
    }

    /// An owned copy.
    pub fn to_owned(self) -> RelPathBuf {
        RelPathBuf(self.0.to_vec())
    }

    /// The last component as the system calls take it: `.` for the root.
    pub(crate) fn leaf(self) -> &'a [u8] {
        match memchr::memrchr(b'/', self.0) {
            Some(slash) => &self.0[slash + 1..],
            None => self.0,
        }
    }
}

impl fmt::Debug for RelPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(OsStr::from_bytes(self.0), f)
    }
}

/// An owned [`RelPath`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelPathBuf(Vec<u8>);

impl RelPathBuf {
    /// The root itself.
    pub fn root() -> Self {
        RelPath::ROOT.to_owned()
    }

    /// Checks a name from a peer and repairs what may be repaired: repeated slashes, `.` components and a trailing
    /// slash disappear, an absolute path or any `..` is refused (filelist.md 5).
    pub fn clean(bytes: &[u8]) -> Result<Self, PathError> {
        if bytes.is_empty() {
            return Err(PathError::Empty);
        }
        if bytes.first() == Some(&b'/') {
            return Err(PathError::Absolute);
        }
        let mut path = Self::root();
        for part in bytes.split(|byte| *byte == b'/') {
            if !part.is_empty() && part != b"." {
                path.push(Name::new(part)?);
            }
        }
        Ok(path)
    }

    /// A path an operator of the other side named, brought below our root: leading slashes disappear, and `..` stops at
    /// the root (behaviour.md 21.5).
    pub fn sanitize(bytes: &[u8]) -> Result<Self, PathError> {
        let mut path = Self::root();
        for part in bytes.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => path.pop(),
                name => path.push(Name::new(name)?),
            }
        }
        Ok(path)
    }

    /// Goes down to `name`.
    pub fn push(&mut self, name: Name<'_>) {
        if self.as_path().is_root() {
            self.0.clear();
        } else {
            self.0.push(b'/');
        }
        self.0.extend_from_slice(name.0);
    }

    /// Goes up one directory; the root stays the root.
    pub fn pop(&mut self) {
        *self = self.as_path().parent().to_owned();
    }

    /// The borrowed form.
    pub fn as_path(&self) -> RelPath<'_> {
        RelPath(&self.0)
    }

    /// The bytes; `.` for the root.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for RelPathBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_path().fmt(f)
    }
}

/// One component of a path: not empty, not `.` or `..`, without `/` and NUL.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name<'a>(&'a [u8]);

impl<'a> Name<'a> {
    /// Checks `bytes`.
    pub fn new(bytes: &'a [u8]) -> Result<Self, PathError> {
        if memchr::memchr(b'/', bytes).is_some() {
            return Err(PathError::Slash);
        }
        check_component(bytes)?;
        Ok(Self(bytes))
    }

    /// The name's bytes.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The name as a path of one component.
    pub fn as_path(self) -> RelPath<'a> {
        RelPath(self.0)
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(OsStr::from_bytes(self.0), f)
    }
}

/// Why bytes are not a [`RelPath`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// Nothing at all, or nothing between two slashes.
    #[error("empty path or path component")]
    Empty,
    /// It starts with a slash.
    #[error("absolute path")]
    Absolute,
    /// A `..` component.
    #[error("\"..\" in path")]
    DotDot,
    /// A `.` component in a longer path.
    #[error("\".\" in path")]
    Dot,
    /// A NUL byte.
    #[error("NUL byte in path")]
    Nul,
    /// A slash where one component is wanted.
    #[error("slash in a file name")]
    Slash,
}

fn check_component(part: &[u8]) -> Result<(), PathError> {
    match part {
        b"" => Err(PathError::Empty),
        b"." => Err(PathError::Dot),
        b".." => Err(PathError::DotDot),
        _ if memchr::memchr(0, part).is_some() => Err(PathError::Nul),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_could_leave_the_root_is_no_path() {
        for (bytes, error) in [
            (&b""[..], PathError::Empty),
            (b"/", PathError::Absolute),
            (b"/etc", PathError::Absolute),
            (b"..", PathError::DotDot),
            (b"a/..", PathError::DotDot),
            (b"a/../b", PathError::DotDot),
            (b"a//b", PathError::Empty),
            (b"a/", PathError::Empty),
            (b"./a", PathError::Dot),
            (b"a/.", PathError::Dot),
            (b"a\0b", PathError::Nul),
        ] {
            assert_eq!(RelPath::new(bytes), Err(error), "{:?}", OsStr::from_bytes(bytes));
        }
    }

    #[test]
    fn names_that_only_look_odd_are_fine() {
        for bytes in [&b"..."[..], b"..a", b"a..", b" ", b"\xff\xfe", b"new\nline", b"-rf", b"a\\b"]
        {
            assert!(RelPath::new(bytes).is_ok());
        }
    }

    #[test]
    fn a_peer_s_name_is_repaired_or_refused() {
        for (given, clean) in [
            (&b"d//x"[..], &b"d/x"[..]),
            (b"./d/./y", b"d/y"),
            (b"d/", b"d"),
            (b"d/./", b"d"),
            (b".", b"."),
            (b"./", b"."),
        ] {
            assert_eq!(RelPathBuf::clean(given).unwrap().as_bytes(), clean);
        }
        assert_eq!(RelPathBuf::clean(b"a/../x"), Err(PathError::DotDot));
        assert_eq!(RelPathBuf::clean(b"/"), Err(PathError::Absolute));
        assert_eq!(RelPathBuf::clean(b""), Err(PathError::Empty));
    }

    #[test]
    fn a_peer_s_option_path_stops_at_the_root() {
        for (given, clean) in [
            (&b"/ABS"[..], &b"ABS"[..]),
            (b"../../X", b"X"),
            (b"a/../../b//c/.", b"b/c"),
            (b"../..", b"."),
            (b"", b"."),
        ] {
            assert_eq!(RelPathBuf::sanitize(given).unwrap().as_bytes(), clean);
        }
    }

    #[test]
    fn parents_and_names_come_apart() {
        let path = RelPath::new(b"a/b/c").unwrap();
        assert_eq!(path.parent().as_bytes(), b"a/b");
        assert_eq!(path.parent().parent().parent(), RelPath::ROOT);
        assert_eq!(path.file_name().unwrap().as_bytes(), b"c");
        assert_eq!(RelPath::ROOT.file_name(), None);
        assert_eq!(RelPath::ROOT.components().count(), 0);
        assert!(path.starts_with(RelPath::new(b"a/b").unwrap()));
        assert!(!path.starts_with(RelPath::new(b"a/").unwrap_or(RelPath::new(b"a/bb").unwrap())));
        let mut buf = path.to_owned();
        (0..5).for_each(|_| buf.pop());
        assert_eq!(buf, RelPathBuf::root());
    }

    proptest! {
        #[test]
        fn whatever_bytes_come_in_only_safe_paths_come_out(bytes: Vec<u8>) {
            let cleaned = [RelPathBuf::clean(&bytes), RelPathBuf::sanitize(&bytes)];
            for path in cleaned.into_iter().flatten() {
                prop_assert!(RelPath::new(path.as_bytes()).is_ok());
            }
        }

        #[test]
        fn components_joined_again_are_the_path(parts in prop::collection::vec("[a-z.]{3,5}", 0..6)) {
            let mut path = RelPathBuf::root();
            for part in &parts {
                path.push(Name::new(part.as_bytes()).unwrap());
            }
            let found: Vec<_> = path.as_path().components().map(|name| name.as_bytes().to_vec()).collect();
            prop_assert_eq!(found, parts.iter().map(|part| part.as_bytes().to_vec()).collect::<Vec<_>>());
        }
    }
}
