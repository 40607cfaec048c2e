//! `--out-format` and `--log-file-format` (docs/spec cli.md 11).

use syncline_fs::munged;
use syncline_options::values::format::{Digits, Format, Piece};
use syncline_wire::ItemFlags;
use syncline_wire::list::FileKind;

use super::{Direction, Numbers, Served, Setting, itemize, listing};
use crate::ItemEvent;

/// What values depend on beside the item.
pub(super) struct Context<'a> {
    pub(super) setting: &'a Setting,
    pub(super) numbers: &'a Numbers,
    pub(super) protocol: u8,
    /// Who is served, in a daemon's log.
    pub(super) served: Option<&'a Served>,
    /// The receiver can set times of links.
    pub(super) link_times: bool,
    /// Bytes of a file's sum.
    pub(super) digest_length: usize,
    /// Sums are shown back to front.
    pub(super) reversed: bool,
}

impl Context<'_> {
    /// Targets of links are shown as they are stored here.
    fn munges(&self) -> bool {
        let receives = match self.setting.direction {
            Direction::Local => false,
            Direction::Push => self.setting.server,
            Direction::Pull => !self.setting.server,
        };
        receives && self.setting.options.attributes.munge_links == Some(true)
    }
}

/// The line for an item, without its newline.
pub(super) fn line(format: &Format, item: &ItemEvent<'_>, context: &Context<'_>) -> Vec<u8> {
    expand(format, |letter, (width, left), digits| match letter {
        b'L' => Some(link(item, context, width, left)),
        letter => value(letter, digits, item, context),
    })
}

/// The line for a deletion; `name` has its slash.
pub(super) fn deletion(format: &Format, name: &[u8], context: &Context<'_>) -> Vec<u8> {
    expand(format, |letter, _, _| {
        Some(match letter {
            b'f' => match context.served {
                Some(served) => in_module(&served.destination, without_slash(name)),
                None => name.to_vec(),
            },
            b'n' => name.to_vec(),
            b'i' => b"*deleting  ".to_vec(),
            b'o' => b"del.".to_vec(),
            b'a' | b'h' | b'm' | b'P' | b'u' if context.served.is_some() => served(letter, context),
            b'L' | b'm' => Vec::new(),
            b'l' | b'b' | b'c' | b'U' => b"0".to_vec(),
            b'G' => b"DEFAULT".to_vec(),
            b'B' => b"---------".to_vec(),
            b'M' => b"1970/01/01-00:00:00".to_vec(),
            b'C' => vec![b' '; digest_width(context)],
            b't' => listing::date(jiff::Timestamp::now().as_second(), ' ').into_bytes(),
            b'p' => std::process::id().to_string().into_bytes(),
            b'%' => b"%".to_vec(),
            _ => return None,
        })
    })
}

/// The name of an item, with the slash of a directory.
pub(super) fn name(item: &ItemEvent<'_>) -> Vec<u8> {
    let mut path = item.entry.path();
    if item.entry.is_directory() {
        path.push(b'/');
    }
    path
}

fn expand(
    format: &Format,
    value: impl Fn(u8, (usize, bool), Digits) -> Option<Vec<u8>>,
) -> Vec<u8> {
    let mut line = Vec::new();
    for piece in format.pieces() {
        match piece {
            Piece::Literal(text) => line.extend_from_slice(text),
            Piece::Field { letter, width, left, digits } => {
                match value(*letter, (*width, *left), *digits) {
                    Some(value) => pad(&mut line, &value, *width, *left),
                    None => line.extend_from_slice(&piece.spelling()),
                }
            }
            _ => line.extend_from_slice(&piece.spelling()),
        }
    }
    line
}

fn pad(line: &mut Vec<u8>, value: &[u8], width: usize, left: bool) {
    let blanks = width.saturating_sub(value.len());
    if left {
        line.extend_from_slice(value);
    }
    line.extend(std::iter::repeat_n(b' ', blanks));
    if !left {
        line.extend_from_slice(value);
    }
}

fn value(
    letter: u8,
    digits: Digits,
    item: &ItemEvent<'_>,
    context: &Context<'_>,
) -> Option<Vec<u8>> {
    let entry = item.entry;
    let options = &context.setting.options;
    let number = |value: u64| {
        let level = match digits {
            Digits::Plain => 0,
            Digits::Grouped => 1,
            Digits::Decimal => 2,
            Digits::Binary => 3,
        };
        context.numbers.at_level(value, level).into_bytes()
    };
    let moved = item.moved.unwrap_or_default();
    Some(match letter {
        b'n' => name(item),
        b'f' if context.served.is_some() => in_module(item.top, &entry.path()),
        b'f' => {
            let path = entry.path();
            if context.setting.direction == Direction::Pull { path } else { source_path(item) }
        }
        b'i' => {
            let setting = (context.setting.direction, context.protocol);
            itemize::field(item, options, setting.0, setting.1, context.link_times).to_vec()
        }
        b'o' => match context.setting.direction {
            Direction::Pull => b"recv".to_vec(),
            _ => b"send".to_vec(),
        },
        b'l' => number(entry.size()),
        b'b' => number(moved.data),
        b'c' => number(moved.sums),
        b'C' => {
            let known = entry.checksum().or(moved.digest);
            let regular = entry.kind() == FileKind::Regular;
            let shown = options.data.checksum || item.flags.contains(ItemFlags::TRANSFER);
            // One byte is what stands for none.
            match known.filter(|digest| regular && shown && digest.len() > 1) {
                Some(digest) => hexadecimal(digest, context.reversed),
                None => vec![b' '; digest_width(context)],
            }
        }
        b'B' => listing::permissions(entry.mode())[1..].to_vec(),
        b'M' => listing::date(entry.mtime().0, '-').into_bytes(),
        b'U' => {
            let uid = if options.attributes.owner { entry.uid() } else { 0 };
            uid.to_string().into_bytes()
        }
        b'G' => {
            if options.attributes.group {
                entry.gid().to_string().into_bytes()
            } else {
                b"DEFAULT".to_vec()
            }
        }
        b't' => listing::date(jiff::Timestamp::now().as_second(), ' ').into_bytes(),
        b'p' => std::process::id().to_string().into_bytes(),
        b'a' | b'h' | b'm' | b'P' | b'u' if context.served.is_some() => served(letter, context),
        b'm' => Vec::new(),
        b'%' => b"%".to_vec(),
        _ => return None,
    })
}

/// A name below a directory of a module, relative to the module.
fn in_module(top: &[u8], name: &[u8]) -> Vec<u8> {
    let top = top.strip_prefix(b"/").unwrap_or(top);
    let name = name.strip_prefix(b"/").unwrap_or(name);
    match (top, name) {
        (b"" | b".", name) => name.to_vec(),
        (top, b"" | b".") => top.to_vec(),
        (top, name) => [top, b"/", name].concat(),
    }
}

fn without_slash(name: &[u8]) -> &[u8] {
    name.strip_suffix(b"/").unwrap_or(name)
}

fn served(letter: u8, context: &Context<'_>) -> Vec<u8> {
    let Some(served) = context.served else { return Vec::new() };
    match letter {
        b'a' => served.address.clone(),
        b'h' => served.host.clone(),
        b'm' => served.module.clone(),
        b'P' => served.path.clone(),
        _ => served.user.clone(),
    }
}

/// Sums of the xxhash family travel in the reverse of the order they are written in.
fn hexadecimal(digest: &[u8], reversed: bool) -> Vec<u8> {
    let mut bytes = digest.to_vec();
    if reversed {
        bytes.reverse();
    }
    bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
}

fn digest_width(context: &Context<'_>) -> usize {
    2 * context.digest_length
}

/// Where the arrow points; with a width the arrow's place is kept in any case.
fn link(item: &ItemEvent<'_>, context: &Context<'_>, width: usize, left: bool) -> Vec<u8> {
    let munged_target;
    let (arrow, target): (&[u8], &[u8]) = match (item.leader, item.target.or(item.entry.target())) {
        (Some(leader), _) if !leader.is_empty() => (b" => ", leader),
        (_, Some(target)) if context.munges() => {
            munged_target = munged(target);
            (b" -> ", &munged_target)
        }
        (_, Some(target)) => (b" -> ", target),
        _ if width > 0 => (b"    ", b""),
        _ => (b"", b""),
    };
    let mut text = arrow.to_vec();
    // The width is that of the target alone.
    pad(&mut text, target, width, left);
    text
}

/// The path of a source as it was named; the name itself where nobody knows.
fn source_path(item: &ItemEvent<'_>) -> Vec<u8> {
    let path = item.entry.path();
    match item.base {
        Some(base) => base.give(&path),
        None => path.strip_prefix(b"/").map(<[u8]>::to_vec).unwrap_or(path),
    }
}
