//! Everything of Syncline that touches a disk.
//!
//! A [`Root`] is a directory held open, a [`RelPath`] a checked path beneath it. Together they give a [`Place`]: a held
//! parent directory and a name in it, on which all work is done. There is no way to use bytes from a peer as a path
//! without checking them first, no way out of a root, and no link in a last place is ever followed by accident.
//!
//! ```
//! use std::path::Path;
//! use syncline_fs::{FileWriter, RelPath, Root, Space, TempFiles, Trust};
//!
//! # let directory = tempfile::tempdir()?;
//! # let directory = directory.path();
//! let root = Root::open(directory, Trust::Owners)?;
//! let place = root.place(RelPath::new(b"greeting")?)?;
//!
//! let temporaries = TempFiles::new();
//! let mut temporary = temporaries.create(&place, 0o644)?;
//! let mut writer = FileWriter::new(temporary.file(), place.path(), Space::Fresh { holes: false });
//! writer.write(b"hello")?;
//! writer.finish()?;
//! temporary.rename_to(&place)?;
//!
//! assert_eq!(place.stat()?.size, 5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod account_files;
mod acl;
mod attributes;
mod backup;
mod error;
mod fake;
mod links;
mod list;
pub mod mode;
mod object;
mod path;
mod place;
mod resolve;
mod root;
mod scan;
mod source;
mod stat;
mod temp;
mod tree;
mod users;
mod write;

pub use rustix::io::Errno;

pub use account_files::AccountFiles;
pub use acl::{Acl, AclKind};
pub use attributes::{Attributes, WantedXattrs, Xattrs};
pub use backup::{BackedUp, BackupFor, Preserve, copy_object};
pub use error::{Error, Op, Result};
pub use fake::FakeStat;
pub use links::{MUNGE_PREFIX, confined_target, is_unsafe_target, munged, unmunged};
pub use list::{Entry, Listing};
pub use object::Object;
pub use path::{Name, PathError, RelPath, RelPathBuf};
pub use place::{NewObject, Place};
pub use resolve::{Links, Resolver, Trust};
pub use root::{Dir, Root, create_operator_file, open_operator_file};
pub use scan::{Scan, Scanned, Scanner, Want};
pub use source::{Copier, Holes, OpenSource, SourceFile};
pub use stat::{Device, Kind, Stat, Time};
pub use temp::{TempFile, TempFiles};
pub use tree::Obstruction;
pub use users::{AccountSource, Accounts, Identity, NameServices};
pub use write::{FileWriter, Space, sync};
