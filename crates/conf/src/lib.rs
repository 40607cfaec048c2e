//! Reads the configuration files of an rsync daemon, and of the tools Syncline replaces, into typed values.
//!
//! Text goes in; typed values, the place each came from, precise errors and warnings come out. Nothing here
//! touches a disk, a socket or the user database: included files, host look-ups and group membership come
//! through small traits that the caller implements.
//!
//! ```
//! use std::path::Path;
//! use syncline_conf::rsyncd::{Config, NoIncludes};
//!
//! let text = b"uid = nobody\n[pub]\npath = /srv/pub\nread only = no # let them write\n";
//! let parsed = Config::parse(Path::new("/etc/rsyncd.conf"), text, &NoIncludes)?;
//! let module = parsed.config.module(b"pub").expect("the file defines it");
//! assert_eq!(module.settings.path.as_bytes(), b"/srv/pub");
//! assert_eq!(module.settings.uid.origin().to_string(), "/etc/rsyncd.conf:1");
//!
//! // There are no comments after a value: `no # let them write` is no boolean, so the default stays.
//! assert!(*module.settings.read_only);
//! assert_eq!(
//!     parsed.warnings[0].to_string(),
//!     "/etc/rsyncd.conf:4: `read only = no # let them write` is not a boolean (accepted: yes, true, 1, no, false, \
//!      0), so the value stays `yes`; a comment after a value is part of the value: give it a line of its own",
//! );
//! # Ok::<(), syncline_conf::rsyncd::Errors>(())
//! ```
//!
//! | module | reads |
//! |---|---|
//! | [`rsyncd`] | `rsyncd.conf` with its includes: every parameter of rsync 3.5.0 and our own |
//! | [`access`] | the lists of `hosts allow` and `hosts deny`, and decides about a peer |
//! | [`auth`] | the rules of `auth users`, and decides about a user |
//! | [`secrets`] | secrets files of a daemon and password files of a client |
//! | [`identity`] | the values of `uid` and `gid` |
//! | [`log_format`] | the value of `log format` |
//! | [`socket_options`] | the value of `socket options` |
//! | [`live`] | `synclive.toml`, and writes it |
//! | [`lsyncd`] | the configurations of lsyncd 2.2.3, as far as they are data |
//! | [`sersync`] | the `confxml.xml` of sersync 2.5.4 |
//! | [`migrate`] | both of these, and makes mirrors of ours of them |

pub mod access;
pub mod auth;
mod error;
pub mod identity;
pub mod live;
pub mod log_format;
pub mod lsyncd;
pub mod migrate;
pub mod rsyncd;
pub mod secrets;
pub mod sersync;
pub mod socket_options;
mod surroundings;
mod text;

pub use error::Error;
pub use surroundings::Surroundings;
pub use text::{Location, Text, Variables};

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
