//! The values that options take, parsed into types (cli.md 4, 7, 8 and 11).

pub mod chmod;
pub mod choice;
pub mod flags;
pub mod format;
pub mod iconv;
pub mod idmap;
pub mod integer;
pub mod size;
pub mod stop;
