//! One mirror: its watcher, and the thread that tells the queues of its targets what happened.

mod expression;
mod hiding;
mod links;
mod planner;
mod repeats;
mod source;
mod unseen;
mod walk;
mod watching;

pub(crate) use expression::Expressions;
pub(crate) use hiding::Hiding;
pub(crate) use planner::{Planner, Renamed};
pub(crate) use source::Source;
pub(crate) use watching::{Bell, Watching, Wish};
