//! The C library's regular expressions and its way to write times: what users of inotifywait write patterns and formats for.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_int};
use std::mem::MaybeUninit;

/// A POSIX extended regular expression, compiled by the C library in the C locale.
pub struct Regex {
    // Boxed: the C library may keep pointers into it.
    compiled: Box<libc::regex_t>,
}

// SAFETY: regexec takes the compiled expression as const; glibc locks its internal state, musl has none.
unsafe impl Sync for Regex {}
// SAFETY: nothing in a compiled expression belongs to a thread.
unsafe impl Send for Regex {}

impl Regex {
    /// Compiles `pattern`; `None` when it is not an extended regular expression.
    pub fn new(pattern: &CStr, ignore_case: bool) -> Option<Self> {
        let mut flags = libc::REG_EXTENDED | libc::REG_NOSUB;
        if ignore_case {
            flags |= libc::REG_ICASE;
        }
        let mut compiled = Box::new(MaybeUninit::<libc::regex_t>::uninit());
        // SAFETY: `compiled` is valid for writing and `pattern` ends in NUL.
        let failed = unsafe { libc::regcomp(compiled.as_mut_ptr(), pattern.as_ptr(), flags) };
        if failed != 0 {
            return None;
        }
        // SAFETY: regcomp succeeded, so it initialised the whole structure.
        let compiled = unsafe { Box::from_raw(Box::into_raw(compiled).cast::<libc::regex_t>()) };
        Some(Self { compiled })
    }

    /// Whether the expression matches anywhere in `text`, which ends at its first NUL.
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.execute(text, 0)
    }

    /// Whether the expression matches in `text` when `$` does not match at its end, because more would follow.
    pub fn is_match_within(&self, text: &[u8]) -> bool {
        self.execute(text, libc::REG_NOTEOL)
    }

    fn execute(&self, text: &[u8], flags: c_int) -> bool {
        let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
        let Ok(text) = CString::new(&text[..end]) else { return false };
        // SAFETY: the expression was compiled, `text` ends in NUL, and no place for matches is asked to be filled.
        unsafe {
            libc::regexec(&raw const *self.compiled, text.as_ptr(), 0, std::ptr::null_mut(), flags)
                == 0
        }
    }
}

impl Drop for Regex {
    fn drop(&mut self) {
        // SAFETY: compiled by regcomp, freed once.
        unsafe { libc::regfree(&raw mut *self.compiled) }
    }
}

/// Seconds since 1970 in local time, written as the C library's `strftime` does in the C locale.
pub fn local_time(seconds: i64, format: &CStr) -> Vec<u8> {
    let mut broken_down = MaybeUninit::<libc::tm>::uninit();
    // SAFETY: both pointers are valid for the call.
    let converted = unsafe { libc::localtime_r(&raw const seconds, broken_down.as_mut_ptr()) };
    if converted.is_null() || format.is_empty() {
        return Vec::new();
    }
    // A result of length 0 may be right or mean that the buffer is too small; no conversion yields more than 64 bytes.
    let mut buffer = vec![0u8; 64 * (format.to_bytes().len() + 1)];
    // SAFETY: the buffer is valid for its length, the format ends in NUL, localtime_r succeeded and filled the structure.
    let length = unsafe {
        libc::strftime(
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            format.as_ptr(),
            broken_down.as_ptr(),
        )
    };
    buffer.truncate(length);
    buffer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_the_c_library() {
        let regex = Regex::new(c"(a)\\1$", false).unwrap();
        assert!(regex.is_match(b"d/aa"));
        assert!(!regex.is_match(b"d/ab"));
        assert!(!regex.is_match_within(b"d/aa"));
        assert!(Regex::new(c"A", true).unwrap().is_match(b"xax"));
        assert!(Regex::new(c"(", false).is_none());
        assert!(Regex::new(c"", false).unwrap().is_match(b""));
    }

    #[test]
    fn unknown_conversions_are_copied() {
        assert_eq!(local_time(0, c"at %% %q %Y"), b"at % %q 1970");
        assert_eq!(local_time(0, c""), b"");
    }
}
