//! Text to be matched: a name, or a name with a directory in front and perhaps a slash behind, never copied together.

use syncline_wildcard::{Start, Text, Wildcard};

/// Where the last `slashes + 1` components begin; `None` if there are fewer.
pub(crate) fn tail_start(text: impl Text, slashes: usize) -> Option<usize> {
    let mut wanted = slashes + 1;
    for at in (0..text.length()).rev() {
        if text.at(at) == b'/' {
            wanted -= 1;
            if wanted == 0 {
                return Some(at + 1);
            }
        }
    }
    (wanted == 1).then_some(0)
}

/// `head`, a slash, `name`, and perhaps a slash.
#[derive(Clone, Copy)]
pub(crate) struct Joined<'a> {
    /// `None`: no head and no slash after it.
    pub(crate) head: Option<&'a [u8]>,
    pub(crate) name: &'a [u8],
    pub(crate) slash_behind: bool,
}

impl Joined<'_> {
    fn name_start(self) -> usize {
        self.head.map_or(0, |head| head.len() + 1)
    }
}

impl Text for Joined<'_> {
    #[inline]
    fn length(self) -> usize {
        self.name_start() + self.name.len() + usize::from(self.slash_behind)
    }

    #[inline]
    fn at(self, index: usize) -> u8 {
        let byte = match self.head {
            Some(head) if index < head.len() => head.get(index),
            Some(head) if index == head.len() => None,
            Some(head) => self.name.get(index - head.len() - 1),
            None => self.name.get(index),
        };
        byte.copied().unwrap_or(b'/')
    }
}

/// The rest of a text.
#[derive(Clone, Copy)]
pub(crate) struct Rest<T> {
    pub(crate) text: T,
    pub(crate) start: usize,
}

impl<T: Text> Text for Rest<T> {
    fn length(self) -> usize {
        self.text.length() - self.start
    }

    fn at(self, index: usize) -> u8 {
        self.text.at(self.start + index)
    }
}

/// Whether `text` from `start` on matches `wildcard`.
pub(crate) fn matches_from<T: Text>(wildcard: &Wildcard, text: T, start: usize) -> bool {
    wildcard.matches_text(Rest { text, start }, Start::Here)
}
