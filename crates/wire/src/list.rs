//! File lists: entries, their coding, storage, order and numbering (docs/spec filelist.md).
//!
//! A sender describes each file as a [`FileEntry`], encodes it with a [`ListEncoder`] and keeps it
//! in a [`FileList`]; a receiver reads whole lists with a [`ListDecoder`]. Both then
//! [`FileList::sort`] and number entries by position.
//!
//! ```
//! use syncline_wire::list::{FileEntry, ListDecoder, ListEncoder, ListOptions, NoNames};
//! use syncline_wire::{IoErrors, Protocol};
//!
//! let options = ListOptions::new(Protocol::NEWEST);
//! let mut wire = Vec::new();
//! let mut encoder = ListEncoder::new(options.clone());
//! encoder.begin(0);
//! for name in ["b", "a"] {
//!     let mut entry = FileEntry { name: name.into(), mode: 0o100_644, ..FileEntry::default() };
//!     encoder.encode(&mut wire, &mut entry, &mut NoNames)?;
//! }
//! encoder.end(&mut wire, IoErrors::NONE, &mut NoNames);
//!
//! let mut decoder = ListDecoder::new(options);
//! let mut list = decoder.read_list(&mut &wire[..], 0, None)?;
//! list.sort(Protocol::NEWEST);
//! let names: Vec<_> = list.iter().map(|entry| entry.path()).collect();
//! assert_eq!(names, [b"a", b"b"]);
//! # Ok::<(), syncline_wire::Error>(())
//! ```
//!
//! With [`crate::CompatFlags::INCREMENTAL`] there is a list for each directory. [`FileLists`] keeps
//! them with their numbers:
//!
//! * A sender encodes the first list from [`FileLists::next_first`] on, adds it sorted, and then
//!   for each [`FileLists::next_waiting`] directory calls [`FileLists::announce`], writes
//!   [`crate::Index::List`] and the list of that directory, and adds it; [`crate::Index::ListEnd`]
//!   closes the series.
//! * A receiver does the same the other way round: [`FileLists::announce`] checks the number that
//!   came and tells the directory for [`ListDecoder::read_list`]; [`FileList::drop_duplicates`]
//!   comes between sorting and adding.
//! * [`FileLists::entry`] finds what an index names; [`FileLists::release_oldest`] follows each
//!   [`crate::Index::Done`].

mod acl;
mod attributes;
mod decode;
mod encode;
mod entry;
mod flags;
mod ids;
mod name;
mod options;
mod order;
mod set;
mod store;
mod xattr;

pub use acl::{Acl, AclName};
pub use attributes::{Attributes, Table};
pub use decode::{CharsetConversion, ListDecoder, Unsayable};
pub use encode::ListEncoder;
pub use entry::{Device, DirectoryRole, FileEntry, FileKind, HardLink};
pub use ids::{IdNames, NameLookup, NoNames};
pub use name::{PATH_MAX, clean_name};
pub use options::ListOptions;
pub use order::{NameParts, compare_names};
pub use set::{FileLists, Place};
pub use store::{EntryRef, FileList};
pub use xattr::{
    Xattr, XattrSet, XattrValue, put_xattr_request, put_xattr_value, put_xattr_values_end,
    read_xattr_request, read_xattr_values,
};
