//! The charset of names at this end, and the way to that of the wire, UTF-8 (docs/spec session.md 10).

use std::ffi::CString;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use syncline_sys::charset::{Converter, of_locale};
use syncline_wire::list::CharsetConversion;

use crate::{Error, ExitCode, Result};

/// What names travel in.
const WIRE: &str = "UTF-8";

/// A charset other than that of the wire, as far as names are concerned. Clones share its tables, which are complete
/// once it is open: it works in a sandbox.
#[derive(Clone)]
pub struct Charset {
    name: String,
    outgoing: Arc<Mutex<Converter>>,
    incoming: Arc<Mutex<Converter>>,
}

impl Charset {
    /// Opens a charset by the C library's name for it; `.` or nothing is the locale's.
    pub fn open(name: &[u8]) -> Result<Self> {
        let name = match name {
            b"" | b"." => locale_charset(),
            name => String::from_utf8_lossy(name).into_owned(),
        };
        let way = |to: &str, from: &str| {
            let converter = CString::new(to)
                .and_then(|to| Ok((to, CString::new(from)?)))
                .map_err(io::Error::from)
                .and_then(|(to, from)| Converter::new(&to, &from));
            converter.map(|converter| Arc::new(Mutex::new(converter))).map_err(|_| {
                let text = format!("iconv_open(\"{to}\", \"{from}\") failed");
                Error::fatal(ExitCode::UNSUPPORTED, text)
            })
        };
        let (outgoing, incoming) = (way(WIRE, &name)?, way(&name, WIRE)?);
        Ok(Self { name, outgoing, incoming })
    }

    /// The C library's name for it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A name of ours as it travels.
    pub(crate) fn to_wire(&self, name: &[u8]) -> io::Result<Vec<u8>> {
        lock(&self.outgoing).convert(name)
    }

    /// Words of ours as they travel: messages, arguments. What cannot be converted stays as it is.
    pub fn text_to_wire(&self, text: &[u8]) -> Vec<u8> {
        lock(&self.outgoing).convert_leniently(text)
    }

    /// Words that travelled as they are here. What cannot be converted stays as it is.
    pub fn text_to_local(&self, text: &[u8]) -> Vec<u8> {
        lock(&self.incoming).convert_leniently(text)
    }

    /// How a list's decoder converts.
    pub(crate) fn conversion(&self) -> CharsetConversion {
        let incoming = Arc::clone(&self.incoming);
        Box::new(move |name| lock(&incoming).convert(name))
    }
}

impl fmt::Debug for Charset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Charset").field(&self.name).finish()
    }
}

/// The charset of the user's locale, by the C library's name.
pub fn locale_charset() -> String {
    of_locale()
}

/// A conversion that panicked left nothing behind that the next one does not reset.
fn lock(converter: &Mutex<Converter>) -> MutexGuard<'_, Converter> {
    converter.lock().unwrap_or_else(PoisonError::into_inner)
}
