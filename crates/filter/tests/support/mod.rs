//! A transfer in memory, just true enough to replay the recorded cases: what rsync does around its filters.

pub(crate) mod disk;
pub(crate) mod options;
pub(crate) mod receiver;
pub(crate) mod run;
pub(crate) mod sender;
