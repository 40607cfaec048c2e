//! Connections: transports, set-up, the threads, and the ends of a run (docs/spec session.md).
//!
//! A [`Connection`] is a transport with its reader and writer thread. [`ClientPlan`] and [`ServerPlan`] settle the terms on
//! it and run the role: the source's [`crate::source`] or the sink's [`crate::sink`].

mod batch;
mod channel;
mod client;
mod connection;
pub mod daemon;
mod end;
mod far;
mod here;
mod listing;
mod names;
mod peer;
mod pen;
mod queue;
mod remember;
mod rules;
mod server;
mod setup;
pub mod shell;
pub mod socket;
mod throttle;

pub use batch::BatchPlan;
pub use client::ClientPlan;
pub use connection::Connection;
pub(crate) use names::own_lines;
pub(crate) use peer::Peer;
pub use remember::{Admitted, Remembered};
pub(crate) use rules::complete;
pub use rules::{rules_of, sending_filter};
pub use server::{ServerPlan, ServerVoice};
pub(crate) use setup::{check_options, own_version};
