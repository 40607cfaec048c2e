//! Every option of the rsync command line as one table.
//!
//! Parsing, `--help`, the manual page, shell completions, the argument list for a server and its inverse, and the
//! matching of a daemon's `refuse options` all come from [`table::rows`]. Words go raw to options in order, and from
//! those to a checked [`Options`] value of enums and typed values. Nothing here touches a file, a socket or the
//! environment: surroundings are handed in as a [`Context`].
//!
//! One feature of the stock program's option library is left out: `exec` lines of alias files. Files named by options
//! (`--filter` merges, `--*-from`, batches) are the program's to read, after parsing; alias files before it.
//!
//! ```
//! use syncline_options::{Command, Context, parse};
//!
//! let context = Context::at(jiff::Zoned::now());
//! let words = ["-av", "--delete", "src/", "host:dst/"].map(|word| word.as_bytes().to_vec());
//! let Ok(Command::Transfer(options)) = parse(&words, &context) else { panic!("a good command line") };
//! assert!(options.select.recursive && options.attributes.times);
//! assert_eq!(options.arguments.len(), 2);
//!
//! // Errors are in the stock program's words.
//! let error = parse(&[b"--nope".to_vec()], &context).unwrap_err();
//! assert_eq!(error.to_string(), "rsync: --nope: unknown option");
//! assert_eq!(error.exit_code(), 1);
//! ```

mod alias;
mod check;
pub mod complete;
mod context;
mod daemon;
mod draft;
mod error;
mod help;
pub mod invoke;
mod job;
mod live;
pub mod location;
pub mod man;
pub mod options;
mod pack;
mod parse;
pub mod refuse;
mod serve_only;
pub mod table;
mod unpack;
pub mod values;
mod word;

pub use alias::Aliases;
pub use context::{Context, Environment};
pub use daemon::DaemonOptions;
pub use error::{ArgumentProblem, Role, Speaker, UsageError, WordProblem};
pub use help::{STOCK_RELEASE, WEB_SITE, daemon_help, help, live_help, version_head};
pub use invoke::Invocation;
pub use job::{Form, Job, Remote, Transport};
pub use live::{LiveOptions, parse_live};
pub use man::{daemon_man_page, live_man_page, man_page};
pub use options::Options;
pub use pack::{Direction, Packing, ServerArguments};
pub use parse::{Command, parse, parse_daemon};
pub use refuse::Refusals;
pub use serve_only::{Access, ServeOnly};
pub use table::OptionId;
pub use unpack::{Capabilities, Request, parse_server, unescape};
pub use word::{Shown, Word};
