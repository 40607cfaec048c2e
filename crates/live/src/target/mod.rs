//! One target of a mirror: its queue, its worker, and what becomes of its sessions.

mod check;
mod desk;
mod held;
mod moves;
mod plan;
mod verdict;
mod worker;

pub(crate) use check::Checker;
pub(crate) use desk::Desk;
pub(crate) use worker::{Setting, Worker};
