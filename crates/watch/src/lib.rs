#![doc = include_str!("../README.md")]

mod change;
mod error;
mod fanotify;
mod inotify;
mod mask;
mod moment;
mod names;
mod notice;
mod options;
mod queue;
mod record;
mod scan;
pub mod settle;
mod tree;
mod watcher;

pub use change::{Change, Joiner, Place};
pub use error::Error;
pub use fanotify::{FanotifyEvent, Named, fanotify_events};
pub use mask::Mask;
pub use notice::{Entry, Lost, Notice};
pub use options::{Backend, Exclude, OnLimit, Options, Root, RootId};
pub use record::{Record, records};
pub use watcher::Watcher;
