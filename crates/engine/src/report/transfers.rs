//! The lines of a daemon's transfer log (docs/spec daemon.md 14.4).

use std::sync::OnceLock;

use syncline_options::values::format::Format;
use syncline_wire::{Checksum, ItemFlags, Protocol};

use super::format::{self, Context};
use super::{Numbers, Setting};
use crate::{ItemEvent, Terms};

/// Whom a daemon serves, and what: the fields that only its log has.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Served {
    /// `%h`.
    pub host: Vec<u8>,
    /// `%a`.
    pub address: Vec<u8>,
    /// `%m`.
    pub module: Vec<u8>,
    /// `%P`.
    pub path: Vec<u8>,
    /// The destination's path below the module, for the names of what is deleted there.
    pub destination: Vec<u8>,
    /// `%u`.
    pub user: Vec<u8>,
}

/// Renders the line of an item, or none.
#[derive(Debug)]
pub struct Transfers {
    format: Format,
    setting: Setting,
    numbers: Numbers,
    served: Served,
    protocol: u8,
    checksum: OnceLock<Checksum>,
}

impl Transfers {
    /// Lines of this format. The setting's direction is the daemon's own.
    pub fn new(format: Format, setting: Setting, served: Served, protocol: Protocol) -> Self {
        let numbers = Numbers::new(0, setting.decimal_point);
        let protocol = protocol.number();
        Self { format, setting, numbers, served, protocol, checksum: OnceLock::new() }
    }

    /// The terms are settled: sums are shown as they are.
    pub fn begin(&self, terms: &Terms) {
        // Settled once.
        let _ = self.checksum.set(terms.transfer_checksum);
    }

    /// A handled item: every change if the format itemizes, else what was transferred.
    pub fn item(&self, item: &ItemEvent<'_>) -> Option<Vec<u8>> {
        if item.moved.is_none() || self.setting.options.connection.dry_run {
            return None;
        }
        let changed = item.flags.intersects(ItemFlags(0x07ff))
            || item.flags.intersects(ItemFlags::TRANSFER | ItemFlags::IS_NEW)
            || item.flags.contains(ItemFlags::LOCAL_CHANGE | ItemFlags::NAME_FOLLOWS);
        let wanted =
            if self.format.has(b'i') { changed } else { item.flags.contains(ItemFlags::TRANSFER) };
        wanted.then(|| format::line(&self.format, item, &self.context()))
    }

    /// A deletion.
    pub fn deletion(&self, path: &[u8], directory: bool) -> Option<Vec<u8>> {
        if self.setting.options.connection.dry_run {
            return None;
        }
        let name = if directory { [path, b"/"].concat() } else { path.to_vec() };
        Some(if self.format.has(b'i') || self.format.has(b'o') {
            format::deletion(&self.format, &name, &self.context())
        } else {
            [b"deleting ", &name[..]].concat()
        })
    }

    fn checksum(&self) -> Checksum {
        self.checksum.get().copied().unwrap_or(Checksum::Md5)
    }

    fn context(&self) -> Context<'_> {
        Context {
            setting: &self.setting,
            numbers: &self.numbers,
            protocol: self.protocol,
            served: Some(&self.served),
            link_times: true,
            digest_length: self.checksum().digest_length(),
            reversed: matches!(
                self.checksum(),
                Checksum::Xxh128 | Checksum::Xxh3 | Checksum::Xxh64
            ),
        }
    }
}
