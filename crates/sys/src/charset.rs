//! Character sets, as the C library converts between them.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_char};
use std::io;
use std::ptr::{null, null_mut};

/// Converts text from one character set to another. The tables are read when it is made: it works where no file can be
/// opened any more.
///
/// ```
/// use syncline_sys::charset::Converter;
///
/// let mut converter = Converter::new(c"UTF-8", c"ISO-8859-1")?;
/// assert_eq!(converter.convert(b"caf\xe9")?, "café".as_bytes());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Converter {
    descriptor: libc::iconv_t,
}

// SAFETY: a descriptor belongs to no thread; only one uses it at a time, as every use takes `&mut self`.
unsafe impl Send for Converter {}

impl Converter {
    /// A way from one set to another, by the names the C library has for them.
    pub fn new(to: &CStr, from: &CStr) -> io::Result<Self> {
        // SAFETY: both names end in NUL and are only read.
        let descriptor = unsafe { libc::iconv_open(to.as_ptr(), from.as_ptr()) };
        if descriptor.addr() == usize::MAX {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { descriptor })
    }

    /// The whole text; an error (`EILSEQ`, or `EINVAL` where the text ends in the middle of a character) if part of it is
    /// no text in its set, or cannot be said in the other.
    pub fn convert(&mut self, text: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = self.begin(text);
        let mut rest = text;
        self.take(&mut rest, &mut out)?;
        self.end(&mut out)?;
        Ok(out)
    }

    /// The text as far as it can be converted; other bytes stay as they are.
    pub fn convert_leniently(&mut self, text: &[u8]) -> Vec<u8> {
        let mut out = self.begin(text);
        let mut rest = text;
        while self.take(&mut rest, &mut out).is_err() {
            let Some((first, others)) = rest.split_first() else { break };
            out.push(*first);
            rest = others;
        }
        // All text has been taken: what is left to write is a shift sequence.
        let _ = self.end(&mut out);
        out
    }

    fn begin(&mut self, text: &[u8]) -> Vec<u8> {
        // SAFETY: the descriptor is open; without buffers the call only puts it into its first state.
        unsafe { libc::iconv(self.descriptor, null_mut(), null_mut(), null_mut(), null_mut()) };
        Vec::with_capacity(text.len() * 2)
    }

    fn end(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.call(None, out)
    }

    /// Takes text until nothing is left of it or something cannot be converted, which `rest` then begins with.
    fn take(&mut self, rest: &mut &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.call(Some(rest), out)
    }

    fn call(&mut self, mut rest: Option<&mut &[u8]>, out: &mut Vec<u8>) -> io::Result<()> {
        let mut room = 32;
        loop {
            room += rest.as_ref().map_or(0, |rest| rest.len() * 2);
            out.reserve(room);
            let text: &[u8] = rest.as_deref().copied().unwrap_or_default();
            let mut from = text.as_ptr().cast_mut().cast::<c_char>();
            let mut left = text.len();
            let from_at: *mut *mut c_char = if rest.is_some() { &raw mut from } else { null_mut() };
            let spare = out.spare_capacity_mut();
            let mut to = spare.as_mut_ptr().cast::<c_char>();
            let mut free = spare.len();
            // SAFETY: `from` and `left` describe `text`, which is only read; `to` and `free` describe the spare capacity
            // of `out`. All live across the call, and the descriptor is open.
            let result = unsafe {
                libc::iconv(self.descriptor, from_at, &raw mut left, &raw mut to, &raw mut free)
            };
            let error = io::Error::last_os_error();
            let written = spare.len() - free;
            // SAFETY: the call has initialised the bytes it took from the spare capacity.
            unsafe { out.set_len(out.len() + written) };
            if let Some(rest) = rest.as_deref_mut() {
                *rest = &text[text.len() - left..];
            }
            match result {
                usize::MAX if error.raw_os_error() == Some(libc::E2BIG) => room *= 2,
                usize::MAX => return Err(error),
                // Some C libraries write a stand-in for what cannot be said.
                1.. if cfg!(target_env = "musl") => {
                    return Err(io::Error::from_raw_os_error(libc::EILSEQ));
                }
                _ => return Ok(()),
            }
        }
    }
}

impl Drop for Converter {
    fn drop(&mut self) {
        // SAFETY: opened by `new`, closed once.
        unsafe { libc::iconv_close(self.descriptor) };
    }
}

/// The character set of the user's locale (`LC_ALL`, `LC_CTYPE`, `LANG`), by the C library's name.
pub fn of_locale() -> String {
    // SAFETY: the name ends in NUL and there is no locale to build upon. The environment is only read: whoever changes it
    // while threads run breaks his own promise.
    let locale = unsafe { libc::newlocale(libc::LC_CTYPE_MASK, c"".as_ptr(), null_mut()) };
    if locale.is_null() {
        return "ANSI_X3.4-1968".to_owned();
    }
    // SAFETY: the locale is valid, so the answer is a string that ends in NUL, valid as long as the locale is.
    let name = unsafe {
        let name = libc::nl_langinfo_l(libc::CODESET, locale);
        if std::ptr::eq(name, null()) { c"" } else { CStr::from_ptr(name) }
    };
    let name = name.to_string_lossy().into_owned();
    // SAFETY: made above, freed once; nothing refers to it any more.
    unsafe { libc::freelocale(locale) };
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_to_utf8_and_back() {
        for (set, bytes, text) in [
            (c"ISO-8859-1", &b"caf\xe9"[..], "café"),
            (c"GBK", b"\xd6\xd0\xce\xc4", "中文"),
            (c"EUC-JP", b"\xc6\xfc\xcb\xdc", "日本"),
            (c"ISO-2022-JP", b"\x1b$BF|\x1b(B", "日"),
            (c"UTF-8", "é".as_bytes(), "é"),
        ] {
            let Ok(mut there) = Converter::new(c"UTF-8", set) else {
                eprintln!("SKIPPED text_goes_to_utf8_and_back: the C library has no {set:?}");
                continue;
            };
            let mut back = Converter::new(set, c"UTF-8").unwrap();
            assert_eq!(there.convert(bytes).unwrap(), text.as_bytes(), "{set:?}");
            assert_eq!(back.convert(text.as_bytes()).unwrap(), bytes, "{set:?}");
        }
    }

    #[test]
    fn what_cannot_be_said_is_an_error_or_stays() {
        let mut latin = Converter::new(c"ISO-8859-1", c"UTF-8").unwrap();
        let errno = |error: io::Error| error.raw_os_error();
        let error = latin.convert("a中b".as_bytes()).unwrap_err();
        assert_eq!(errno(error), Some(libc::EILSEQ));
        assert_eq!(errno(latin.convert(b"a\xc3").unwrap_err()), Some(libc::EINVAL));
        assert_eq!(latin.convert_leniently("é中é".as_bytes()), b"\xe9\xe4\xb8\xad\xe9");
        assert_eq!(latin.convert_leniently(b"\xff\xc3"), b"\xff\xc3");
        assert_eq!(latin.convert(b"").unwrap(), b"");
    }

    #[test]
    fn long_text_gets_the_room_it_needs() {
        let mut wide = Converter::new(c"UTF-32LE", c"UTF-8").unwrap();
        let text = "x".repeat(10_000);
        assert_eq!(wide.convert(text.as_bytes()).unwrap().len(), 40_000);
    }

    #[test]
    fn nobody_knows_a_set_of_no_name() {
        assert!(Converter::new(c"UTF-8", c"no such set").is_err());
        assert!(!of_locale().is_empty());
    }
}
